//! Running a zApp: from a call to its outcome.
//!
//! Whatever a module does is an outcome with a status; what is no outcome (a hole in the witness,
//! a machine out of memory) is an error and never reaches a commit. Same call, same state: same
//! outcome, always.

use std::collections::BTreeMap;

use attestation::ids::{Digest, ModuleDigest, RequestId, ZappId};
use attestation::leaf::Status;
use sha2::{Digest as _, Sha256};
use state::State;
use state::execute::{
    Event, Executable, Execute, ExecuteError, Execution, Op, Prepared, Rejection, Verdict,
};
use state::journal::{Journal, Next, WriteError};
use state::tree::NeedState;

use crate::abi::{ABORT_CODE, HostFault};
use crate::engine::{Artifact, Ended, Engine, EngineError, Loaded};
use crate::host::{End, Entries, Host};
use crate::limits;

/// Modules that an executor keeps loaded; the least recently used goes first.
pub const LOADED_MAX: usize = 64;

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

    /// Runs a call on entries wherever they are.
    pub(crate) fn run_on(
        &mut self,
        call: &Executable<'_>,
        entries: &mut dyn Entries,
    ) -> Result<Ran, ExecuteError> {
        let module = self.loaded(call)?;
        let mut host = Host::new(call, entries);
        let gas_limit = call.gas_limit.min(limits::CALL_GAS_MAX);
        let mut gas = i64::try_from(gas_limit).unwrap_or(i64::MAX);
        let ended = self
            .engine
            .run(&module, call.op as i32, &mut host, &mut gas);
        outcome(ended, host, gas_limit, gas, call.request)
    }

    fn loaded(&mut self, call: &Executable<'_>) -> Result<Loaded, ExecuteError> {
        self.clock += 1;
        if let Some(slot) = self.loaded.get_mut(&call.module)
            && slot.module.metered == call.metered
        {
            slot.used = self.clock;
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
        if self.loaded.len() >= LOADED_MAX {
            let oldest = self.loaded.iter().min_by_key(|(_, slot)| slot.used);
            if let Some(digest) = oldest.map(|(digest, _)| *digest) {
                self.loaded.remove(&digest);
            }
        }
        let slot = Slot {
            module: module.clone(),
            used: self.clock,
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
}

/// The journal as one zApp sees it.
pub(crate) struct Of<'a, 'b> {
    zapp: ZappId,
    writable: bool,
    journal: &'a mut Journal<'b>,
}

impl<'a, 'b> Of<'a, 'b> {
    /// The journal as this call may use it.
    pub(crate) fn new(call: &Executable<'_>, journal: &'a mut Journal<'b>) -> Self {
        Self {
            zapp: call.zapp,
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
        Ended::Failed => return Err(ExecuteError::Hung(request)),
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
    let trace: Digest = host.trace(status.into(), code, gas, &output);
    Ok(Ran {
        execution: Execution {
            status,
            code,
            gas,
            output,
            events,
            trace,
        },
        fault,
        log: std::mem::take(&mut host.log),
    })
}
