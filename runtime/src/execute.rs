//! Running a zApp: from a call to its outcome.
//!
//! Whatever a module does is an outcome with a status; what is no outcome (a hole in the witness,
//! a machine out of memory) is an error and never reaches a commit. Same call, same state: same
//! outcome, always.

use std::collections::{BTreeMap, BTreeSet};

use attestation::ids::{Digest, ModuleDigest, RequestId, ZappId};
use attestation::leaf::Status;
use sha2::{Digest as _, Sha256};
use state::State;
use state::execute::{
    Event, Executable, Execute, ExecuteError, Execution, Op, Post, Prepared, Rejection, Verdict,
};
use state::journal::{Checkpoint, Journal, Next, WriteError};
use state::tree::NeedState;

use crate::abi::{ABORT_CODE, HostFault};
use crate::engine::{Artifact, Ended, Engine, EngineError, Loaded, Meters};
use crate::host::{Callee, Calls, End, Entries, Host};
use crate::limits;
use crate::trace::{HostCall, Watch};

/// Modules that an executor keeps loaded; the least recently used goes first.
pub const LOADED_MAX: usize = 64;
/// Most bytes of their artifacts together; one alone may have more.
pub const LOADED_BYTES_MAX: usize = 32 << 20;

/// Where an executor gets modules from: its own node. Both are `None` until it has them.
pub trait Modules {
    /// The module as its author made it.
    fn module(&mut self, module: &ModuleDigest) -> Option<Vec<u8>>;

    /// What the node's own compiler made of it, with the digest that it had then.
    fn artifact(&mut self, module: &ModuleDigest) -> Option<Artifact>;
}

/// An engine and the modules that it has loaded.
pub struct Executor<M> {
    engine: Engine,
    modules: M,
    loaded: BTreeMap<ModuleDigest, Slot>,
    clock: u64,
}

/// What a run leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The outcome.
    pub execution: Execution,
    /// What the host has to say of a trap; outside of every digest.
    pub fault: Option<HostFault>,
    /// Log lines; outside of every digest.
    pub log: Vec<Vec<u8>>,
}

impl<M: Modules> Executor<M> {
    /// Starts the engine.
    ///
    /// # Errors
    /// [`EngineError`] if it is not exactly what the profile says.
    pub fn new(modules: M) -> Result<Self, EngineError> {
        Ok(Self {
            engine: Engine::new()?,
            modules,
            loaded: BTreeMap::new(),
            clock: 0,
        })
    }

    /// The source of modules.
    pub fn modules(&mut self) -> &mut M {
        &mut self.modules
    }

    /// Answers a query: a run on a state that it cannot change, outside of any step.
    ///
    /// # Errors
    /// [`ExecuteError`] if there is no outcome.
    pub fn view(&mut self, call: &Executable<'_>, state: &State) -> Result<Ran, ExecuteError> {
        let call = Executable {
            op: Op::View,
            ..*call
        };
        self.run(&call, &mut Journal::new(state))
    }

    /// Runs a call, and tells its author more than a step may.
    ///
    /// # Errors
    /// [`ExecuteError`] if there is no outcome.
    pub fn run(
        &mut self,
        call: &Executable<'_>,
        journal: &mut Journal<'_>,
    ) -> Result<Ran, ExecuteError> {
        self.run_on(call, &mut Of::new(call, journal))
    }

    /// Runs a call and shows each of its host calls.
    ///
    /// # Errors
    /// [`ExecuteError`] if there is no outcome; what was seen until then has been shown.
    pub fn run_watched(
        &mut self,
        call: &Executable<'_>,
        journal: &mut Journal<'_>,
        watch: &mut dyn Watch,
    ) -> Result<Ran, ExecuteError> {
        let mut entries = Of::new(call, journal);
        self.runner(Some(watch))
            .run(call, &mut entries, limits::STACK_BYTES)
    }

    /// Runs a call on entries wherever they are.
    pub(crate) fn run_on(
        &mut self,
        call: &Executable<'_>,
        entries: &mut dyn Entries,
    ) -> Result<Ran, ExecuteError> {
        self.runner(None).run(call, entries, limits::STACK_BYTES)
    }

    fn runner<'a>(&'a mut self, watch: Option<&'a mut dyn Watch>) -> Runner<'a, M> {
        Runner {
            engine: &self.engine,
            modules: &mut self.modules,
            loaded: &mut self.loaded,
            clock: &mut self.clock,
            watch,
            running: 0,
        }
    }
}

/// An executor within a call: the zApps that it calls run in the same way, on what is left.
struct Runner<'a, M> {
    engine: &'a Engine,
    modules: &'a mut M,
    loaded: &'a mut BTreeMap<ModuleDigest, Slot>,
    clock: &'a mut u64,
    watch: Option<&'a mut dyn Watch>,
    /// zApps that run at the moment, each but the first called by the one before.
    running: usize,
}

impl<M: Modules> Calls for Runner<'_, M> {
    fn run(
        &mut self,
        call: &Executable<'_>,
        entries: &mut dyn Entries,
        stack: i32,
    ) -> Result<Ran, ExecuteError> {
        let module = self.loaded(call)?;
        let engine = self.engine;
        self.running += 1;
        let mut host = Host::new(call, entries, self);
        let gas_limit = call.gas_limit.min(limits::CALL_GAS_MAX);
        let mut meters = Meters {
            gas: i64::try_from(gas_limit).unwrap_or(i64::MAX),
            stack,
        };
        let ended = engine.run(&module, call.op as i32, &mut host, &mut meters);
        let outcome = outcome(ended, host, gas_limit, meters.gas, call.request);
        self.running -= 1;
        outcome
    }

    fn is_watched(&self) -> bool {
        self.watch.is_some()
    }

    fn seen(&mut self, call: HostCall<'_>) {
        let depth = self.running.saturating_sub(1);
        if let Some(watch) = &mut self.watch {
            watch.seen(&HostCall { depth, ..call });
        }
    }
}

impl<M: Modules> Runner<'_, M> {
    fn loaded(&mut self, call: &Executable<'_>) -> Result<Loaded, ExecuteError> {
        *self.clock += 1;
        if let Some(slot) = self.loaded.get_mut(&call.module)
            && slot.module.metered == call.metered
        {
            slot.used = *self.clock;
            return Ok(slot.module.clone());
        }
        let absent = ExecuteError::Module(call.module);
        let artifact = self.modules.artifact(&call.module).ok_or(absent)?;
        let module = self
            .engine
            .load(&artifact.bytes, &artifact.digest)
            .map_err(|_| absent)?;
        // The registry says which metered module runs; an artifact of another one is none.
        if module.metered != call.metered {
            return Err(absent);
        }
        let bytes = artifact.bytes.len();
        let held = |loaded: &BTreeMap<ModuleDigest, Slot>| -> usize {
            loaded.values().map(|slot| slot.bytes).sum()
        };
        while !self.loaded.is_empty()
            && (self.loaded.len() >= LOADED_MAX || held(self.loaded) + bytes > LOADED_BYTES_MAX)
        {
            let oldest = self.loaded.iter().min_by_key(|(_, slot)| slot.used);
            if let Some(digest) = oldest.map(|(digest, _)| *digest) {
                self.loaded.remove(&digest);
            }
        }
        let slot = Slot {
            module: module.clone(),
            used: *self.clock,
            bytes,
        };
        self.loaded.insert(call.module, slot);
        Ok(module)
    }
}

impl<M: Modules> Execute for Executor<M> {
    fn prepare(
        &mut self,
        _request: &RequestId,
        module: &ModuleDigest,
    ) -> Result<Verdict, ExecuteError> {
        verdict(&mut self.modules, module)
    }

    fn execute(
        &mut self,
        call: &Executable<'_>,
        journal: &mut Journal<'_>,
    ) -> Result<Execution, ExecuteError> {
        Ok(self.run(call, journal)?.execution)
    }
}

/// The gatekeeper's verdict on a module that is at hand.
pub(crate) fn verdict(
    modules: &mut impl Modules,
    module: &ModuleDigest,
) -> Result<Verdict, ExecuteError> {
    let wasm = modules.module(module);
    let digest: fn(&Vec<u8>) -> [u8; 32] = |wasm| Sha256::digest(wasm).into();
    let Some(wasm) = wasm.filter(|wasm| digest(wasm) == *module.as_bytes()) else {
        return Err(ExecuteError::Module(*module));
    };
    Ok(match crate::prepare(&wasm) {
        Ok(prepared) => Verdict::Prepared(Prepared {
            metered: prepared.metered_digest,
            functions: prepared.functions,
            operators: prepared.operators,
            calls: prepared.calls,
            pages: prepared.pages,
        }),
        Err(rejection) => Verdict::Rejected(Rejection {
            rule: rejection.rule.id().to_owned(),
            function: rejection.function,
            offset: rejection.offset as u64,
        }),
    })
}

/// A loaded module and when it last ran, in runs.
struct Slot {
    module: Loaded,
    used: u64,
    /// Of its artifact.
    bytes: usize,
}

/// The journal as one zApp sees it.
pub(crate) struct Of<'a, 'b> {
    zapp: ZappId,
    /// The zApps that called the running one, each with where the writes of the next begin.
    callers: Vec<Frame>,
    /// Every zApp that was called so far.
    called: BTreeSet<ZappId>,
    /// Pages that all running ones may grow to; of the first, once it calls another.
    pages: Option<u64>,
    writable: bool,
    journal: &'a mut Journal<'b>,
}

/// A zApp that waits for one that it calls.
struct Frame {
    caller: ZappId,
    /// Where the writes of the called one begin.
    from: Checkpoint,
    /// Pages of memory without the called one's.
    before: u64,
}

impl<'a, 'b> Of<'a, 'b> {
    /// The journal as this call may use it.
    pub(crate) fn new(call: &Executable<'_>, journal: &'a mut Journal<'b>) -> Self {
        Self {
            zapp: call.zapp,
            callers: Vec::new(),
            called: BTreeSet::new(),
            pages: None,
            writable: call.op != Op::View,
            journal,
        }
    }
}

impl Entries for Of<'_, '_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, NeedState> {
        let value = self.journal.get(&self.zapp, key)?;
        Ok(value.map(<[u8]>::to_vec))
    }

    fn next(&mut self, key: &[u8]) -> Result<Next, NeedState> {
        self.journal.next(&self.zapp, key)
    }

    fn set(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), HostFault> {
        if !self.writable {
            return Err(HostFault::ReadOnly);
        }
        self.journal
            .write(&self.zapp, key, value)
            .map_err(|error| match error {
                WriteError::Elsewhere(_) => HostFault::ReadOnly,
                WriteError::Key(_) => HostFault::Key,
                WriteError::Value(_) => HostFault::Length,
                WriteError::TooMuch => HostFault::Writes,
            })
    }

    fn enter(&mut self, zapp: &ZappId) -> Result<Option<Callee>, NeedState> {
        let runs = *zapp == self.zapp || self.callers.iter().any(|frame| frame.caller == *zapp);
        let many = self.called.len() >= limits::CALLEES_MAX && !self.called.contains(zapp);
        if runs || many || self.callers.len() + 1 >= limits::FRAMES_MAX {
            return Ok(None);
        }
        let Some(record) = self.journal.callee(zapp)? else {
            return Ok(None);
        };
        let before = match self.pages {
            Some(pages) => pages,
            None => {
                let first = self.journal.callee(&self.zapp)?;
                first.map_or(0, |first| first.pages.into())
            }
        };
        let pages = before.saturating_add(record.pages.into());
        if pages > limits::FRAMES_PAGES_MAX {
            return Ok(None);
        }
        self.pages = Some(pages);
        self.called.insert(*zapp);
        let from = self.journal.enter(zapp);
        self.callers.push(Frame {
            caller: self.zapp,
            from,
            before,
        });
        self.zapp = *zapp;
        Ok(Some(Callee {
            module: record.module,
            metered: record.metered,
        }))
    }

    fn leave(&mut self, keep: bool) {
        let Some(frame) = self.callers.pop() else {
            return;
        };
        if !keep {
            self.journal.revert(frame.from);
        }
        self.journal.leave();
        self.pages = Some(frame.before);
        self.zapp = frame.caller;
    }
}

/// What a run came to. Everything but a return value of 0 keeps nothing but status, code and gas;
/// a revert keeps its output too, for the caller to read.
fn outcome(
    ended: Ended,
    mut host: Host<'_>,
    gas_limit: u64,
    gas_left: i64,
    request: RequestId,
) -> Result<Ran, ExecuteError> {
    let (status, code, fault) = match ended {
        Ended::Returned(0) => (Status::Ok, 0, None),
        Ended::Returned(code) => (Status::Reverted, code.cast_unsigned(), None),
        Ended::Host(End::Abort) => (Status::Reverted, ABORT_CODE, None),
        Ended::Host(End::OutOfGas) => (Status::OutOfGas, 0, None),
        Ended::Host(End::Fault(fault)) => (Status::Trapped, 0, Some(fault)),
        Ended::Trapped => (Status::Trapped, 0, None),
        Ended::Host(End::NeedState(hole)) => return Err(ExecuteError::NeedState(hole)),
        Ended::Host(End::Module(module)) => return Err(ExecuteError::Module(module)),
        Ended::Host(End::Failed) | Ended::Failed => return Err(ExecuteError::Hung(request)),
    };
    let gas = match u64::try_from(gas_left) {
        Ok(left) if status != Status::OutOfGas => gas_limit.saturating_sub(left),
        _ => gas_limit,
    };
    let output = match status {
        Status::Ok | Status::Reverted => std::mem::take(&mut host.output),
        _ => Vec::new(),
    };
    let events: Vec<Event> = match status {
        Status::Ok => std::mem::take(&mut host.events),
        _ => Vec::new(),
    };
    let messages: Vec<Post> = match status {
        Status::Ok => std::mem::take(&mut host.messages),
        _ => Vec::new(),
    };
    let trace: Digest = host.trace(status.into(), code, gas, &output);
    Ok(Ran {
        execution: Execution {
            status,
            code,
            gas,
            output,
            events,
            messages,
            trace,
        },
        fault,
        log: std::mem::take(&mut host.log),
    })
}
