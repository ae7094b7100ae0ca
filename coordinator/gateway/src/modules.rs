//! Modules by digest, and what the node's compiler makes of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use attestation::ids::{Digest, ModuleDigest, RuntimeProfile};
use runtime::engine::Target;
use runtime::{PreparedModule, Rejection};
use sha2::{Digest as _, Sha256};

use crate::gateway::{Event, Gateway};
use crate::rows::StoreError;
use crate::rows::{StoredArtifact, Write};
use crate::workers::WorkersError;

/// Most modules in a store: uploads are free, so they are bounded.
pub const MODULES_MAX: u64 = 4096;

/// Compiles metered modules. The node implements it with a child process that has memory and
/// time caps, so that a module which blows up a compiler takes no node down.
pub trait Compile: Send + Sync + 'static {
    /// Compiles the metered module with [`runtime::engine::compile_for`]; gives the artifact's
    /// bytes.
    fn compile(&self, metered: Vec<u8>, target: Target) -> Compiling<'_>;
}

/// What [`Compile::compile`] returns.
pub type Compiling<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, CompileError>> + Send + 'a>>;

/// Why the compiler has no artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The child could not be started or its answer not read: try again.
    #[error("the compiler is unavailable")]
    Unavailable,
    /// It took more time or memory than allowed.
    #[error("compiling took more time or memory than allowed")]
    Exhausted,
    /// The engine refused a module that the gatekeeper let through: our bug.
    #[error("the engine refused a module that passed the gatekeeper")]
    Refused,
}

/// A compiled module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// SHA-256 of the metered module that it was compiled from.
    pub metered: Digest,
    /// SHA-256 of `bytes`, taken when this node's own compiler made them.
    pub digest: Digest,
    /// The engine's serialised code.
    pub bytes: Vec<u8>,
}

/// Why a module is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The gatekeeper refuses it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store holds as many modules as it may.
    #[error("{MODULES_MAX} modules are stored, the most allowed")]
    Full,
    /// It passed the gatekeeper but does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The gatekeeper could not be run.
    #[error(transparent)]
    Workers(#[from] WorkersError),
}

/// Why there is no artifact.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The module is not at hand.
    #[error("module {0} is not stored here")]
    Unknown(ModuleDigest),
    /// It is refused, or does not compile.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Gateway {
    /// Takes a module: the gatekeeper's verdict goes to its author, module and artifact to the
    /// store.
    ///
    /// # Errors
    /// [`ModuleError`] if it is not taken.
    pub async fn put_module(&self, wasm: Vec<u8>) -> Result<PreparedModule, ModuleError> {
        let (wasm, prepared) = self.prepare(wasm).await?;
        let digest = prepared.original;
        if self.inner.store.module(&digest).await?.is_none() {
            if self.inner.store.modules_count().await? >= MODULES_MAX {
                return Err(ModuleError::Full);
            }
            self.compile(&prepared, Target::HERE).await?;
            let bytes = wasm.as_ref().clone();
            self.inner
                .store
                .write(Write::Module { digest, bytes })
                .await?;
            self.queue().release_held();
            self.emit(Event::ModuleStored(digest));
        }
        Ok(prepared)
    }

    /// A module's bytes as its author sent them.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn module(&self, digest: &ModuleDigest) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.store.module(digest).await
    }

    /// A compiled module for an executor; compiled now if it was not before.
    ///
    /// # Errors
    /// [`ArtifactError`] if the module is not at hand or does not compile.
    pub async fn artifact(
        &self,
        digest: &ModuleDigest,
        target: Target,
    ) -> Result<Artifact, ArtifactError> {
        if let Some(artifact) = self.stored_artifact(digest, target).await? {
            return Ok(artifact);
        }
        let wasm = self.inner.store.module(digest).await?;
        let wasm = wasm.ok_or(ArtifactError::Unknown(*digest))?;
        let (_, prepared) = self.prepare(wasm).await?;
        Ok(self.compile(&prepared, target).await?)
    }

    pub(crate) async fn prepare(
        &self,
        wasm: Vec<u8>,
    ) -> Result<(Arc<Vec<u8>>, PreparedModule), ModuleError> {
        let wasm = Arc::new(wasm);
        let input = Arc::clone(&wasm);
        let verdict = self
            .inner
            .views
            .run(move || runtime::prepare(&input))
            .await?;
        Ok((wasm, verdict?))
    }

    async fn compile(
        &self,
        prepared: &PreparedModule,
        target: Target,
    ) -> Result<Artifact, ModuleError> {
        // One at a time: the second to ask for a module finds what the first one made.
        let _turn = self.inner.compiling.lock().await;
        if let Some(artifact) = self.stored_artifact(&prepared.original, target).await? {
            return Ok(artifact);
        }
        let bytes = self
            .inner
            .compiler
            .compile(prepared.metered.clone(), target)
            .await?;
        let artifact = Artifact {
            metered: prepared.metered_digest,
            digest: Digest::from_bytes(Sha256::digest(&bytes).into()),
            bytes,
        };
        let write = Write::Artifact {
            module: prepared.original,
            profile: shelf(target),
            artifact: StoredArtifact {
                metered: artifact.metered,
                digest: artifact.digest,
                bytes: artifact.bytes.clone(),
            },
        };
        self.inner.store.write(write).await?;
        Ok(artifact)
    }

    async fn stored_artifact(
        &self,
        module: &ModuleDigest,
        target: Target,
    ) -> Result<Option<Artifact>, StoreError> {
        let stored = self.inner.store.artifact(module, &shelf(target)).await?;
        Ok(stored.map(|stored| Artifact {
            metered: stored.metered,
            digest: stored.digest,
            bytes: stored.bytes,
        }))
    }
}

/// Under what artifacts are stored: those of one profile for one engine and system. The profile
/// alone does not tell them apart, since neither decides anything that members compare.
fn shelf(target: Target) -> RuntimeProfile {
    let profile = runtime::profile();
    if target == Target::HERE {
        return profile;
    }
    let hash = Sha256::new()
        .chain_update(profile.as_bytes())
        .chain_update(format!("{target:?}"));
    RuntimeProfile::from_bytes(hash.finalize().into())
}
