//! One step: a job on a state, to commit, leaves and writes.
//!
//! [`run`] is the one function behind every outcome. The node in the gateway role runs it on the
//! whole state with an engine, an executor on the witness with an engine, a signer on the witness
//! with [`replay()`]: what its executor reports, every part checked. It is pure: every field of the
//! commit is a function of previous attestation, previous state and job (rule A3).
//!
//! Signatures are the caller's to check, of requests, votes and faults alike.

mod methods;
mod nom;
mod observations;
mod outcome;
mod purse;
mod replay;
mod requests;
mod shape;
mod turn;

use alloc::vec::Vec;

use attestation::commit::Commit;
use attestation::committee::CreationRecord;
use attestation::ids::{
    CommitteeId, Digest, Epoch, ModuleDigest, NetworkId, RequestId, Seq, Slot, StateRoot,
    StatementId,
};
use attestation::step_attestation::StepAttestation;

use crate::job::Job;
use crate::state::State;
use crate::tree::NeedState;

pub use crate::execute::{
    Environment, Event, Executable, Execute, ExecuteError, Execution, Misreport, Op, Prepared,
    Rejection, Report, Verdict,
};
pub use crate::journal::Journal;
use requests::Requests;

pub use outcome::{Outcome, StepOutcome};
pub use purse::payable;
pub use replay::{Replay, replay};

/// What distinguishes one committee's steps from another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Network.
    pub network: NetworkId,
    /// Committee.
    pub committee: CommitteeId,
}

/// The step before, as far as the next one depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Its seq; 0 before the first step.
    pub seq: Seq,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its statement; the committee id's bytes before the first step.
    pub statement: StatementId,
    /// The state after it.
    pub state: StateRoot,
    /// Its time; the creation time before the first step.
    pub time_ms: u64,
    /// SHA-256 of its trace root; zeros before the first step.
    pub trace: Digest,
}

/// Why a job has no outcome. All but the last three say that the job is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The job is not for the step that follows.
    #[error("job for seq {actual} after seq {previous}")]
    Seq {
        /// Seq of the step before.
        previous: Seq,
        /// Seq of the job.
        actual: Seq,
    },
    /// The state given is not the one that the step before left.
    #[error("state {actual} is not the previous step's {expected}")]
    State {
        /// Root that the step before left.
        expected: StateRoot,
        /// Root of the state given.
        actual: StateRoot,
    },
    /// No request, or more than 1,024.
    #[error("{0} requests, 1 to 1024 allowed")]
    Requests(usize),
    /// Too many bytes of requests.
    #[error("{0} bytes of methods and inputs, at most 4194304 allowed")]
    Inputs(usize),
    /// The step's time is before the previous step's.
    #[error("time {actual} ms is before the previous step's {previous} ms")]
    Time {
        /// Time of the step before.
        previous: u64,
        /// Time of the job.
        actual: u64,
    },
    /// A listed vote is not for the step before, out of slot order, or of no member.
    #[error("vote of slot {0} is not one for the step before, or not in order")]
    Vote(Slot),
    /// The trace root revealed is not the one that the step before the one before committed to.
    #[error("the trace root revealed is not that of the step before the one before")]
    Reveal,
    /// A fault is not for this job, too old, out of order, or of no member.
    #[error("fault of slot {slot} for request {request} does not belong in this job")]
    Fault {
        /// Who signed it.
        slot: Slot,
        /// The request that it names.
        request: RequestId,
    },
    /// More observations than a job may carry, or longer ones.
    #[error("{0} observations, at most 2048 of 1048576 bytes together allowed")]
    Observations(usize),
    /// An observation is not for this job, too old, out of order, or of no member.
    #[error("observation of slot {slot} for request {request} does not belong in this job")]
    Observation {
        /// Who signed it.
        slot: Slot,
        /// The request that it names.
        request: RequestId,
    },
    /// Fewer than t members have observed the request's sources.
    #[error("fewer than t members observed the sources of request {0}")]
    Unobserved(RequestId),
    /// A request may not be in this job.
    #[error("request {0}: {1}")]
    Request(RequestId, Violation),
    /// The witness has a hole.
    #[error(transparent)]
    NeedState(NeedState),
    /// The request hung or brought the engine down (rule A11).
    #[error("request {0} brought the engine down")]
    Hung(RequestId),
    /// A module or its compiled form is not at hand yet.
    #[error("module {0} is not at hand")]
    Module(ModuleDigest),
    /// The executor reports what no run can be.
    #[error("the executor's report of {0}: {1}")]
    Misreported(RequestId, Misreport),
    /// Money would appear or be lost: the bookkeeping is wrong, and nothing may be signed.
    #[error("balances, escrows and deposits do not add up to what came in")]
    Conservation,
    /// An entry of the system zApp is not one: the previous state is no committee's.
    #[error("an entry of the system zApp is not one")]
    SystemEntry,
}

/// Why a request may not be in a job. Whoever builds jobs drops such requests beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// It is for another network.
    #[error("for another network")]
    Network,
    /// It is for another committee.
    #[error("for another committee")]
    Committee,
    /// Method name or input have a length that no request may have.
    #[error("method or input of a length that no request has")]
    Length,
    /// Its sources are not ones.
    #[error("sources that no request has")]
    Sources,
    /// Its last possible time has passed.
    #[error("valid until {valid_until_ms} ms, the step is at {time_ms} ms")]
    Expired {
        /// Its last possible time.
        valid_until_ms: u64,
        /// Time of the step.
        time_ms: u64,
    },
    /// Its nonce is not greater than the caller's last: a replay, or out of order.
    #[error("nonce {nonce} after nonce {last} of the same caller")]
    Replayed {
        /// Its nonce.
        nonce: u64,
        /// The caller's last one.
        last: u64,
    },
    /// Its gas limit exceeds what the step has left, or is nothing: it could do nothing, at no cost.
    #[error("gas limit {limit}, the step has {left} left, and 1 is the least")]
    Gas {
        /// Its limit.
        limit: u64,
        /// What the step has left when its turn comes.
        left: u64,
    },
    /// The reports before it leave no room for the longest that it may cause.
    #[error("the step's reports leave no room for another")]
    Space,
}

impl Params {
    /// The parameters of the committee that `record` creates.
    #[must_use]
    pub fn of(record: &CreationRecord) -> Self {
        Self {
            network: record.network,
            committee: record.id(),
        }
    }
}

impl Previous {
    /// What the first step follows.
    #[must_use]
    pub fn genesis(record: &CreationRecord) -> Self {
        Self {
            seq: Seq(0),
            epoch: Epoch(1),
            statement: Commit::genesis_statement(&record.id()),
            state: State::genesis(record).root(),
            time_ms: record.created_ms,
            trace: Digest::from_bytes([0; 32]),
        }
    }

    /// What the step after this one follows.
    #[must_use]
    pub fn of(attestation: &StepAttestation) -> Self {
        Self {
            seq: attestation.commit.seq,
            epoch: attestation.commit.epoch,
            statement: attestation.statement(),
            state: attestation.commit.state,
            time_ms: attestation.commit.time_ms,
            trace: attestation.commit.trace,
        }
    }
}

/// Runs a job on the state that the step before left; the state does not change.
///
/// # Errors
/// [`StepError`] if the job is invalid or cannot be run here. A request that fails is an outcome.
pub fn run(
    params: &Params,
    previous: &Previous,
    job: &Job,
    state: &State,
    execute: &mut dyn Execute,
) -> Result<StepOutcome, StepError> {
    requests(params, previous, job, state, execute)?.end(params, previous)
}

/// What [`run`] would report of each request, without leaves, writes and commit: all that a
/// signer takes from its executor.
///
/// # Errors
/// As [`run`]; holes in the witness that only the new root needs go unnoticed.
pub fn report(
    params: &Params,
    previous: &Previous,
    job: &Job,
    state: &State,
    execute: &mut dyn Execute,
) -> Result<Vec<Report>, StepError> {
    Ok(requests(params, previous, job, state, execute)?.into_reports())
}

/// The step with all its requests run, before it is settled.
fn requests<'a>(
    params: &Params,
    previous: &Previous,
    job: &'a Job,
    state: &'a State,
    execute: &mut dyn Execute,
) -> Result<Requests<'a>, StepError> {
    shape::check(previous, job)?;
    if state.root() != previous.state {
        return Err(StepError::State {
            expected: previous.state,
            actual: state.root(),
        });
    }
    let mut requests = Requests::begin(params, previous, job, state)?;
    for request in &job.requests {
        requests.next(&request.call, execute)?;
    }
    Ok(requests)
}

impl From<NeedState> for StepError {
    fn from(need: NeedState) -> Self {
        Self::NeedState(need)
    }
}

impl From<ExecuteError> for StepError {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::NeedState(need) => Self::NeedState(need),
            ExecuteError::Hung(request) => Self::Hung(request),
            ExecuteError::Module(module) => Self::Module(module),
            ExecuteError::Misreported(request, act) => Self::Misreported(request, act),
        }
    }
}

#[cfg(test)]
mod tests;
