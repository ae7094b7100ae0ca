//! From a job and its executor's reports to the statement that the signer votes for (rule A3).

use alloc::vec::Vec;

use attestation::committee::CreationRecord;
use attestation::ids::{RuntimeProfile, StateRoot, TraceRoot};
use attestation::step_attestation::StepAttestation;
use state::job::Job;
use state::step::Report;

use crate::message::{InvalidJob, Stated};

/// What a step did, beyond its statement.
#[derive(Clone, Debug)]
pub struct StepOutcome {}

/// What steps of a committee are run with.
#[derive(Clone, Debug)]
pub struct StepParams {
    profile: RuntimeProfile,
}

impl StepParams {
    /// The parameters of a committee's first epoch.
    #[must_use]
    pub fn new(record: &CreationRecord) -> Self {
        Self {
            profile: record.profile,
        }
    }

    /// Digest of engine, gas schedule, host ABI and limits.
    #[must_use]
    pub const fn profile(&self) -> RuntimeProfile {
        self.profile
    }

    /// State root on which the step after `head` runs.
    #[must_use]
    pub fn state_before(&self, head: Option<&StepAttestation>) -> StateRoot {
        head.map_or(StateRoot::from_bytes([0; 32]), |head| head.commit.state)
    }
}

/// Runs the step natively over its witness, taking the executor's reports for the zApps' part.
///
/// # Errors
/// [`InvalidJob`] if the job cannot lead to a statement.
pub fn run(
    _params: &StepParams,
    _head: Option<&StepAttestation>,
    _job: &Job,
    _reports: Vec<Report>,
) -> Result<(StepOutcome, Stated, TraceRoot), InvalidJob> {
    Err(InvalidJob::Witness)
}
