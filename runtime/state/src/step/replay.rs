//! A signer's run of a step: its executor's reports, checked and replayed.

use attestation::ids::{ModuleDigest, RequestId, ZappId};
use attestation::leaf::Status;

use crate::execute::{Executable, Execute, ExecuteError, Execution, Misreport, Report, Verdict};
use crate::job::Job;
use crate::journal::Journal;
use crate::state::State;
use crate::step::{Params, Previous, StepError, StepOutcome, run};

/// Runs a job with an executor's reports in place of an engine.
///
/// The executor is believed in nothing but what a zApp's code does with the state shown to it:
/// the system zApp, writes, links, leaves and commit are this function's own work, and reports
/// that any engine's run of the same job could not have produced are refused.
///
/// # Errors
/// As [`run`]; [`StepError::Misreported`] blames the executor.
pub fn replay(
    params: &Params,
    previous: &Previous,
    job: &Job,
    state: &State,
    reports: &[Report],
) -> Result<StepOutcome, StepError> {
    let mut replay = Replay::new(reports);
    let outcome = run(params, previous, job, state, &mut replay)?;
    for at in 0..outcome.reports.len().max(reports.len()) {
        let (request, act) = match (outcome.reports.get(at), reports.get(at)) {
            (Some(own), Some(claim)) if own == claim => continue,
            (Some(own), Some(claim)) if own.request == claim.request => {
                (own.request, Misreport::NotCanonical)
            }
            (Some(report), _) | (None, Some(report)) => (report.request, Misreport::Order),
            (None, None) => break,
        };
        return Err(StepError::Misreported(request, act));
    }
    Ok(outcome)
}

/// Answers with what an executor reports.
#[derive(Debug)]
pub struct Replay<'a> {
    /// Reports not yet passed; requests that run nothing leave theirs to be passed over.
    rest: &'a [Report],
}

impl<'a> Replay<'a> {
    /// Replays reports in the order of the job's requests.
    #[must_use]
    pub fn new(reports: &'a [Report]) -> Self {
        Self { rest: reports }
    }

    fn report(&mut self, request: &RequestId) -> Result<&'a Report, ExecuteError> {
        let missing = ExecuteError::Misreported(*request, Misreport::Order);
        let at = self
            .rest
            .iter()
            .position(|report| report.request == *request);
        let rest = at.and_then(|at| self.rest.get(at..)).ok_or(missing)?;
        self.rest = rest;
        rest.first().ok_or(missing)
    }
}

impl Execute for Replay<'_> {
    fn prepare(&mut self, request: &RequestId, _: &ModuleDigest) -> Result<Verdict, ExecuteError> {
        let report = self.report(request)?;
        let missing = ExecuteError::Misreported(*request, Misreport::NotCanonical);
        report.verdict.clone().ok_or(missing)
    }

    fn execute(
        &mut self,
        call: &Executable<'_>,
        journal: &mut Journal<'_>,
    ) -> Result<Execution, ExecuteError> {
        let blame = |act| ExecuteError::Misreported(call.request, act);
        let report = self.report(&call.request)?;
        let execution = report
            .execution
            .as_ref()
            .ok_or(blame(Misreport::NotCanonical))?;
        if execution.status != Status::Ok && !report.writes.is_empty() {
            return Err(blame(Misreport::WritesOfFailure));
        }
        // Whether the run could have reached other zApps is for the step to judge.
        for write in &report.writes {
            let elsewhere = write.zapp != call.zapp && write.zapp != ZappId::SYSTEM;
            if elsewhere {
                journal.enter(&write.zapp);
            }
            let written = journal.write(&write.zapp, &write.key, write.value.as_deref());
            if elsewhere {
                journal.leave();
            }
            written.map_err(|error| blame(error.into()))?;
        }
        Ok(execution.clone())
    }
}
