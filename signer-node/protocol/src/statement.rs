//! From a job and its executor's reports to the statement that the signer votes for (rule A3).

use attestation::committee::CreationRecord;
use attestation::ids::{RuntimeProfile, StateRoot};
use attestation::step_attestation::StepAttestation;
use state::job::Job;
use state::step::{Params, Previous, Report, StepError, StepOutcome, replay};

use crate::message::InvalidJob;

/// What steps of a committee are run with.
#[derive(Clone, Copy, Debug)]
pub struct StepParams {
    params: Params,
    genesis: Previous,
    profile: RuntimeProfile,
}

impl StepParams {
    /// The parameters of a committee's first epoch.
    #[must_use]
    pub fn new(record: &CreationRecord) -> Self {
        Self {
            params: Params::of(record),
            genesis: Previous::genesis(record),
            profile: record.profile,
        }
    }

    /// The same in an epoch with this profile.
    #[must_use]
    pub const fn with_profile(self, profile: RuntimeProfile) -> Self {
        Self { profile, ..self }
    }

    /// Digest of engine, gas schedule, host ABI and limits.
    #[must_use]
    pub const fn profile(&self) -> RuntimeProfile {
        self.profile
    }

    /// State root on which the step after `head` runs.
    #[must_use]
    pub fn state_before(&self, head: Option<&StepAttestation>) -> StateRoot {
        self.previous(head).state
    }

    fn previous(&self, head: Option<&StepAttestation>) -> Previous {
        head.map_or(self.genesis, Previous::of)
    }
}

/// Runs the step natively over the job's witness; the executor is believed in nothing but what a
/// zApp's code does with the state shown to it.
///
/// # Errors
/// [`InvalidJob`] if the job, or what the executor reports of it, leads to no statement.
pub fn run(
    step: &StepParams,
    head: Option<&StepAttestation>,
    job: &Job,
    reports: &[Report],
) -> Result<StepOutcome, InvalidJob> {
    let previous = step.previous(head);
    let opened = job.witness.open(&previous.state);
    let state = opened.map_err(|_| InvalidJob::Witness)?;
    replay(&step.params, &previous, job, &state, reports).map_err(reason)
}

fn reason(error: StepError) -> InvalidJob {
    match error {
        StepError::Seq { .. } => InvalidJob::Previous,
        StepError::Requests(_) | StepError::Inputs(_) => InvalidJob::Shape,
        StepError::Time { .. } => InvalidJob::Time,
        StepError::Vote(_) | StepError::Reveal | StepError::Fault { .. } => InvalidJob::Votes,
        StepError::Observations(_) | StepError::Observation { .. } | StepError::Unobserved(_) => {
            InvalidJob::Observations
        }
        StepError::Request(request, _) => InvalidJob::Request(request),
        StepError::State { .. } | StepError::NeedState(_) | StepError::SystemEntry => {
            InvalidJob::Witness
        }
        StepError::Conservation => InvalidJob::Conservation,
        StepError::Hung(_) | StepError::Module(_) | StepError::Misreported(..) => {
            InvalidJob::Executor
        }
    }
}
