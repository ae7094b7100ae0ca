//! The engines that members may run, for whoever runs calls on this machine: modules at hand, and
//! what a step does not tell of a run.

use std::collections::BTreeMap;

use attestation::ids::{ModuleDigest, RequestId};
use runtime::abi::HostFault;
use runtime::engine::{Artifact, Target, compile_for};
use runtime::{Executor, Modules, prepare};
use sha2::{Digest as _, Sha256};
use state::State;
use state::execute::{Executable, Execute, ExecuteError, Execution, Verdict};
use state::journal::Journal;

use crate::failure::Failure;
use crate::trace::{Recorded, Recorder};

/// Every engine that a member may run.
pub(crate) const ENGINES: [(&str, Target); 2] =
    [("wasmtime", Target::HERE), ("wasmi", Target::Wasmi)];

/// Which of them run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Choice {
    /// All, compared with each other.
    #[default]
    Both,
    /// Machine code.
    Wasmtime,
    /// The interpreter.
    Wasmi,
}

impl Choice {
    /// Names and targets.
    pub(crate) fn engines(self) -> Vec<(&'static str, Target)> {
        let name = match self {
            Self::Both => None,
            Self::Wasmtime => Some("wasmtime"),
            Self::Wasmi => Some("wasmi"),
        };
        let chosen = |(one, _): &(&str, Target)| name.is_none_or(|name| name == *one);
        ENGINES.into_iter().filter(chosen).collect()
    }
}

/// Runs something that runs zApps: deep calls need more stack than a thread has by default.
pub(crate) fn on_deep_stack<T: Send>(
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    let panicked = || Failure::new("the runtime panicked", "please report this");
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(2 * runtime::engine::THREAD_STACK_BYTES)
            .spawn_scoped(scope, work)
            .map_err(|error| Failure::new(format!("no thread: {error}"), "try again"))?
            .join()
            .unwrap_or_else(|_| Err(panicked()))
    })
}

/// What runs zApps.
pub(crate) trait Engine: Execute {
    /// Answers a query.
    fn view(&mut self, call: &Executable<'_>, state: &State) -> Result<runtime::Ran, ExecuteError>;

    /// What it had to say of the last call beyond the outcome; it forgets that.
    fn told(&mut self) -> (Option<HostFault>, Vec<Vec<u8>>);

    /// From now on host calls are kept, so many in all until they are taken.
    fn record(&mut self, calls_max: usize);

    /// The runs since the last time; it forgets them.
    fn recorded(&mut self) -> Vec<Recorded>;

    /// Takes up a module.
    ///
    /// # Errors
    /// Why it is not compiled.
    fn put(&mut self, wasm: &[u8]) -> Result<ModuleDigest, String>;
}

/// An executor that remembers what a step does not tell.
pub(crate) struct Watched {
    executor: Executor<Shelf>,
    fault: Option<HostFault>,
    log: Vec<Vec<u8>>,
    calls_max: Option<usize>,
    recorded: Vec<Recorded>,
}

impl Watched {
    pub(crate) fn start(target: Target) -> Result<Self, String> {
        let shelf = Shelf {
            target,
            modules: BTreeMap::new(),
        };
        Ok(Self {
            executor: Executor::new(shelf).map_err(|error| error.to_string())?,
            fault: None,
            log: Vec::new(),
            calls_max: None,
            recorded: Vec::new(),
        })
    }

    fn run(
        &mut self,
        call: &Executable<'_>,
        journal: &mut Journal<'_>,
    ) -> Result<runtime::Ran, ExecuteError> {
        let Some(max) = self.calls_max else {
            return self.executor.run(call, journal);
        };
        let kept: usize = self.recorded.iter().map(|run| run.calls.len()).sum();
        let mut recorder = Recorder::new(max.saturating_sub(kept));
        let ran = self.executor.run_watched(call, journal, &mut recorder);
        // A run without outcome may be the one that matters.
        self.recorded
            .push(recorder.end(call.request, ran.as_ref().ok()));
        ran
    }
}

impl Engine for Watched {
    fn view(&mut self, call: &Executable<'_>, state: &State) -> Result<runtime::Ran, ExecuteError> {
        self.run(call, &mut Journal::new(state))
    }

    fn told(&mut self) -> (Option<HostFault>, Vec<Vec<u8>>) {
        (self.fault.take(), std::mem::take(&mut self.log))
    }

    fn record(&mut self, calls_max: usize) {
        (self.calls_max, self.recorded) = (Some(calls_max), Vec::new());
    }

    fn recorded(&mut self) -> Vec<Recorded> {
        std::mem::take(&mut self.recorded)
    }

    fn put(&mut self, wasm: &[u8]) -> Result<ModuleDigest, String> {
        self.executor.modules().put(wasm)
    }
}

impl Execute for Watched {
    fn prepare(
        &mut self,
        request: &RequestId,
        module: &ModuleDigest,
    ) -> Result<Verdict, ExecuteError> {
        self.executor.prepare(request, module)
    }

    fn execute(
        &mut self,
        call: &Executable<'_>,
        journal: &mut Journal<'_>,
    ) -> Result<Execution, ExecuteError> {
        // A call that comes to nothing must not leave the last one's words.
        (self.fault, self.log) = (None, Vec::new());
        let ran = self.run(call, journal)?;
        (self.fault, self.log) = (ran.fault, ran.log);
        Ok(ran.execution)
    }
}

/// The modules at hand, compiled for one engine.
struct Shelf {
    target: Target,
    modules: BTreeMap<ModuleDigest, (Vec<u8>, Option<Artifact>)>,
}

impl Shelf {
    /// A module that the gatekeeper refuses is taken, too: a step judges it when it is deployed.
    fn put(&mut self, wasm: &[u8]) -> Result<ModuleDigest, String> {
        let artifact = match prepare(wasm) {
            Ok(prepared) => Some(
                compile_for(&prepared.metered, self.target).map_err(|error| error.to_string())?,
            ),
            Err(_) => None,
        };
        let digest = ModuleDigest::from_bytes(Sha256::digest(wasm).into());
        self.modules.insert(digest, (wasm.to_vec(), artifact));
        Ok(digest)
    }
}

impl Modules for Shelf {
    fn module(&mut self, module: &ModuleDigest) -> Option<Vec<u8>> {
        Some(self.modules.get(module)?.0.clone())
    }

    fn artifact(&mut self, module: &ModuleDigest) -> Option<Artifact> {
        self.modules.get(module)?.1.clone()
    }
}
