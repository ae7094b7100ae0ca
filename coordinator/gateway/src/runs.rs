//! Running zApps: the engine processes, the modules at hand, and one run of a step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use attestation::ids::{ModuleDigest, RequestId};
use runtime::apart::{Remote, Start};
use runtime::engine::{Artifact, Target};
use state::State;
use state::execute::{Executable, Execute, ExecuteError, Execution, Verdict};
use state::job::Job;
use state::journal::{Journal, Stored};
use state::step::{self, Params, Previous, StepError, StepOutcome};
use tokio::sync::OwnedRwLockReadGuard;

use crate::gateway::{Chain, Gateway, lock};
use crate::modules::ArtifactError;

/// Modules at hand in memory; beyond that the oldest is read from the store again.
pub(crate) const SHELF_MAX: usize = 64;

/// The modules that runs may use without waiting for the store. A run that needs another one
/// ends in [`StepError::Module`], which is loaded then, and the run begins anew.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<Mutex<Shelved>>);

#[derive(Default)]
struct Shelved {
    modules: BTreeMap<ModuleDigest, (u64, Arc<Module>)>,
    loads: u64,
}

struct Module {
    wasm: Vec<u8>,
    artifact: Artifact,
}

/// The engine processes: one for steps, one per thread for views. This process, which holds keys,
/// never runs what a module says.
pub(crate) struct Engines {
    shelf: Shelf,
    steps: Mutex<Remote<Shelf>>,
    views: Mutex<Vec<Remote<Shelf>>>,
}

/// One run of a step.
pub(crate) struct Run {
    pub(crate) params: Params,
    pub(crate) previous: Previous,
    pub(crate) job: Arc<Job>,
    pub(crate) chain: OwnedRwLockReadGuard<Chain>,
    pub(crate) engines: Arc<Engines>,
}

/// A run without outcome.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed {
    pub(crate) error: StepError,
    /// The request that was running, if a zApp's.
    pub(crate) request: Option<RequestId>,
}

impl Shelf {
    fn put(&self, digest: ModuleDigest, module: Module) {
        let mut shelved = lock(&self.0);
        shelved.loads += 1;
        let load = shelved.loads;
        shelved.modules.insert(digest, (load, Arc::new(module)));
        if shelved.modules.len() > SHELF_MAX {
            let oldest = shelved.modules.iter().min_by_key(|(_, (load, _))| *load);
            if let Some(digest) = oldest.map(|(digest, _)| *digest) {
                shelved.modules.remove(&digest);
            }
        }
    }

    fn find(&self, digest: &ModuleDigest) -> Option<Arc<Module>> {
        let shelved = lock(&self.0);
        let (_, module) = shelved.modules.get(digest)?;
        Some(Arc::clone(module))
    }
}

impl runtime::Modules for Shelf {
    fn module(&mut self, module: &ModuleDigest) -> Option<Vec<u8>> {
        self.find(module).map(|module| module.wasm.clone())
    }

    fn artifact(&mut self, module: &ModuleDigest) -> Option<Artifact> {
        self.find(module).map(|module| module.artifact.clone())
    }
}

impl Engines {
    /// One engine for steps and `views` for views, started by `start` when they are needed.
    pub(crate) fn new(start: &Arc<dyn Start>, views: usize) -> Self {
        let shelf = Shelf::default();
        let engine = || Remote::new(Arc::clone(start), shelf.clone());
        Self {
            steps: Mutex::new(engine()),
            views: Mutex::new((0..views).map(|_| engine()).collect()),
            shelf,
        }
    }

    /// Answers a query; `None` if every engine for views is in use.
    pub(crate) fn view(
        &self,
        call: &Executable<'_>,
        state: &State,
    ) -> Option<Result<runtime::Ran, ExecuteError>> {
        let mut engine = lock(&self.views).pop()?;
        let ran = engine.view(call, state);
        lock(&self.views).push(engine);
        Some(ran)
    }

    /// Runs a call whose writes are dropped, and says by how much it would change what is stored;
    /// `None` if every engine for views is in use.
    pub(crate) fn rehearse(
        &self,
        call: &Executable<'_>,
        state: &State,
    ) -> Option<Result<(Execution, Stored), ExecuteError>> {
        let mut engine = lock(&self.views).pop()?;
        let mut journal = Journal::new(state);
        let from = journal.open(&call.zapp);
        let ran = engine.execute(call, &mut journal);
        lock(&self.views).push(engine);
        let changes = journal.stored_since(from).map_err(ExecuteError::from);
        let stored = changes.map(|changes| {
            changes.values().fold(Stored::default(), |sum, one| Stored {
                grown: sum.grown + one.grown,
                shrunk: sum.shrunk + one.shrunk,
            })
        });
        Some(ran.and_then(|execution| Ok((execution, stored?))))
    }
}

impl Run {
    /// Runs the step; the state does not change.
    pub(crate) fn run(&self) -> Result<StepOutcome, Failed> {
        let mut engine = lock(&self.engines.steps);
        let mut traced = Traced {
            engine: &mut engine,
            request: None,
        };
        let (params, previous) = (&self.params, &self.previous);
        let result = step::run(params, previous, &self.job, &self.chain.state, &mut traced);
        result.map_err(|error| Failed {
            error,
            request: traced.request,
        })
    }
}

impl Gateway {
    /// Takes a stored module onto the shelf.
    pub(crate) async fn load(&self, digest: &ModuleDigest) -> Result<(), ArtifactError> {
        if self.inner.engines.shelf.find(digest).is_some() {
            return Ok(());
        }
        let wasm = self.inner.store.module(digest).await?;
        let wasm = wasm.ok_or(ArtifactError::Unknown(*digest))?;
        let artifact = self.artifact(digest, Target::HERE).await?;
        let artifact = Artifact {
            bytes: artifact.bytes,
            digest: artifact.digest,
        };
        self.inner
            .engines
            .shelf
            .put(*digest, Module { wasm, artifact });
        Ok(())
    }
}

/// Notes which request runs, so that a run without outcome names it.
struct Traced<'a> {
    engine: &'a mut Remote<Shelf>,
    request: Option<RequestId>,
}

impl Execute for Traced<'_> {
    fn prepare(
        &mut self,
        request: &RequestId,
        module: &ModuleDigest,
    ) -> Result<Verdict, ExecuteError> {
        self.request = Some(*request);
        self.engine.prepare(request, module)
    }

    fn execute(
        &mut self,
        call: &Executable<'_>,
        journal: &mut Journal<'_>,
    ) -> Result<Execution, ExecuteError> {
        self.request = Some(call.request);
        self.engine.execute(call, journal)
    }
}
