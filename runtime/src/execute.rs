//! Running a zApp: from a call to its outcome.
//!
//! Whatever a module does is an outcome with a status; what is no outcome (a hole in the witness,
//! a machine out of memory) is an error and never reaches a commit. Same call, same state: same
//! outcome, always.

use attestation::ids::Digest;
use attestation::leaf::Status;

use crate::abi::{ABORT_CODE, HostFault, Op};
use crate::engine::{Ended, Engine, Loaded};
use crate::host::{Emitted, End, Entries, Environment, Host};
use crate::limits;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Ok, reverted, trapped or out of gas.
    pub status: Status,
    /// The code of a revert, else 0.
    pub code: u32,
    /// Gas used; all of the limit when it ran out.
    pub gas: u64,
    /// The output of a run that returned or aborted.
    pub output: Vec<u8>,
    /// Events of a run that committed.
    pub events: Vec<Emitted>,
    /// Digest over host calls, gas and output (rule A12).
    pub trace: Digest,
    /// What the author should know of a trap; outside of every digest.
    pub fault: Option<HostFault>,
    /// Log lines; outside of every digest.
    pub log: Vec<Vec<u8>>,
}

/// Why a run has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The state at hand does not hold an entry that the call needs.
    #[error("the state at hand does not hold an entry that the call needs")]
    Absent,
    /// This machine failed, not the module.
    #[error("this machine failed to run the call")]
    Failed,
}

/// Runs a call once.
///
/// # Errors
/// [`RunError`] if there is no outcome.
pub fn run(
    engine: &Engine,
    module: &Loaded,
    op: Op,
    gas_limit: u64,
    environment: &Environment,
    entries: &mut dyn Entries,
) -> Result<Outcome, RunError> {
    let gas_limit = gas_limit.min(limits::CALL_GAS_MAX);
    let mut gas = i64::try_from(gas_limit).unwrap_or(i64::MAX);
    let mut host = Host::new(environment, entries, op == Op::View);
    let input_len = i32::try_from(environment.input.len()).unwrap_or(i32::MAX);
    let ended = engine.run(module, op, input_len, &mut host, &mut gas);
    let (status, code, fault) = match ended {
        Ended::Returned(0) => (Status::Ok, 0, None),
        Ended::Returned(code) => (Status::Reverted, code.cast_unsigned(), None),
        Ended::Host(End::Abort) => (Status::Reverted, ABORT_CODE, None),
        Ended::Host(End::OutOfGas) => (Status::OutOfGas, 0, None),
        Ended::Host(End::Fault(fault)) => (Status::Trapped, 0, Some(fault)),
        Ended::Trapped => (Status::Trapped, 0, None),
        Ended::Host(End::Absent) => return Err(RunError::Absent),
        Ended::Failed => return Err(RunError::Failed),
    };
    let gas = match (status, u64::try_from(gas)) {
        (Status::OutOfGas, _) | (_, Err(_)) => gas_limit,
        (_, Ok(left)) => gas_limit.saturating_sub(left),
    };
    let output = match status {
        Status::Ok | Status::Reverted => std::mem::take(&mut host.output),
        _ => Vec::new(),
    };
    let events = match status {
        Status::Ok => std::mem::take(&mut host.events),
        _ => Vec::new(),
    };
    let trace = host.trace(status.into(), code, gas, &output);
    Ok(Outcome {
        status,
        code,
        gas,
        output,
        events,
        trace,
        fault,
        log: std::mem::take(&mut host.log),
    })
}
