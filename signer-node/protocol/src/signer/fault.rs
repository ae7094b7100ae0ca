//! The executor's answers, and faults (rule A11): a request that cannot be run is named, so that
//! it does not stop the others.

use alloc::vec::Vec;

use attestation::ids::{Digest, RequestId, Signature};
use frost_core::Ciphersuite;
use rand_core::{CryptoRng, RngCore};
use state::job::{Job, SignedFault};
use state::limits::OBSERVATIONS_MAX;

use super::{EXECUTOR_SILENT_MS, FAULTS_MAX, Halt, MODULE_RETRY_MS, Signer, Work};
use crate::identity::{SignIdentity, Verify};
use crate::message::{
    Endpoint, ExecutorFailure, FromExecutor, InvalidJob, Message, ToCoordinator, ToExecutor,
};
use crate::planted::{self, Bug};
use crate::statement;

impl Work {
    /// When this work needs attention.
    pub(super) fn due(&self) -> u64 {
        self.retry_at.unwrap_or(self.silent_at).min(self.silent_at)
    }
}

impl<C: Ciphersuite, I: SignIdentity, V: Verify> Signer<C, I, V> {
    pub(super) fn on_executor(
        &mut self,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
        message: FromExecutor,
    ) {
        match message {
            FromExecutor::Ready { profile } => {
                let expected = self.step.profile();
                if profile == expected {
                    self.run_again(now_ms);
                } else {
                    self.halt(Halt::Profile {
                        expected,
                        actual: profile,
                    });
                }
            }
            FromExecutor::Ran {
                job_digest,
                reports,
            } => self.on_ran(rng, job_digest, reports),
            FromExecutor::Failed {
                job_digest,
                failure,
            } => self.on_failed(now_ms, job_digest, failure),
        }
    }

    /// The first request alone runs: whatever hung comes after it and cannot be named yet.
    pub(super) fn on_ran_alone(&mut self, digest: Digest) {
        if let Some(work) = self.work.take_if(|work| work.alone == Some(digest)) {
            self.complain(work.digest, InvalidJob::Executor);
        }
    }

    /// An executor that says nothing: first the job's first request alone, then the fault.
    pub(super) fn check_executor(&mut self, now_ms: u64) {
        let Some(work) = &mut self.work else {
            return;
        };
        if work.retry_at.is_some_and(|at| now_ms >= at) {
            return self.run_again(now_ms);
        }
        if now_ms < work.silent_at {
            return;
        }
        let hung = work.alone.unwrap_or(work.digest);
        let executor = Endpoint::Executor(self.slot);
        let only = work.alone.is_some() || work.job.requests.len() == 1;
        if only {
            let work = self.work.take();
            self.cancel(hung);
            if let Some(work) = work
                && let Some(first) = work.job.requests.first()
            {
                self.fault(first.id(), &work);
            }
            return;
        }
        let mut first = work.job.as_ref().clone();
        first.requests.truncate(1);
        let id = first
            .requests
            .first()
            .map(attestation::request::Request::id);
        first
            .observations
            .retain(|observation| Some(observation.request) == id);
        let digest = first.digest();
        work.alone = Some(digest);
        work.silent_at = now_ms.saturating_add(EXECUTOR_SILENT_MS);
        self.cancel(hung);
        let run = ToExecutor::Run {
            job_digest: digest,
            job: first,
        };
        self.send(executor, Message::ToExecutor(run));
    }

    /// Observations are signed by members; whether they belong is for the step to say.
    pub(super) fn check_observations(&self, job: &Job) -> Result<(), InvalidJob> {
        let signed = job.observations.len() <= OBSERVATIONS_MAX
            && job
                .observations
                .iter()
                .all(|observation| self.committee.observed(observation, &self.verify));
        if signed {
            Ok(())
        } else {
            Err(InvalidJob::Observations)
        }
    }

    /// Listed faults are signed by members; what they refuse is for the step to say.
    pub(super) fn check_faults(&self, job: &Job) -> Result<(), InvalidJob> {
        let all = usize::from(self.committee.quorum().members()) * FAULTS_MAX;
        let signed = job.faults.len() <= all
            && job
                .faults
                .iter()
                .all(|fault| self.committee.faulted(fault, &self.verify));
        if signed {
            Ok(())
        } else {
            Err(InvalidJob::Votes)
        }
    }

    /// A new leader learns what this member cannot run.
    pub(super) fn resend_faults(&mut self) {
        for fault in self.faults.values().cloned().collect::<Vec<_>>() {
            self.tell_all(&ToCoordinator::Fault(fault));
        }
    }

    fn on_failed(&mut self, now_ms: u64, digest: Digest, failure: ExecutorFailure) {
        let Some(work) = &mut self.work else {
            return;
        };
        if work.digest != digest && work.alone != Some(digest) {
            return;
        }
        match failure {
            ExecutorFailure::Module(_) => {
                work.retry_at = Some(now_ms.saturating_add(MODULE_RETRY_MS));
                work.silent_at = now_ms.saturating_add(EXECUTOR_SILENT_MS);
            }
            // A hole invalidates the job; it is never a request's fault.
            ExecutorFailure::Witness => {
                let Some(work) = self.work.take() else {
                    return;
                };
                if planted::is(Bug::HoleIsFault)
                    && let Some(first) = work.job.requests.first()
                {
                    return self.fault(first.id(), &work);
                }
                let reason = self.reason_without_executor(&work);
                self.complain(work.digest, reason);
            }
            ExecutorFailure::Request(request) => {
                let Some(work) = self.work.take() else {
                    return;
                };
                let first = work
                    .job
                    .requests
                    .first()
                    .map(attestation::request::Request::id);
                if first == Some(request) {
                    self.fault(request, &work);
                } else {
                    self.complain(work.digest, InvalidJob::Hung(request));
                }
            }
        }
    }

    /// What the signer itself finds wrong with a job, before any zApp would have to run.
    fn reason_without_executor(&self, work: &Work) -> InvalidJob {
        match statement::run(&self.step, work.previous.as_ref(), &work.job, &[]) {
            Err(InvalidJob::Executor) | Ok(_) => InvalidJob::Witness,
            Err(reason) => reason,
        }
    }

    /// Signs the fault of a request that ran first: nothing before it can have caused it.
    fn fault(&mut self, request: RequestId, work: &Work) {
        if self.faults.len() >= FAULTS_MAX {
            return;
        }
        let mut fault = SignedFault {
            slot: self.slot,
            epoch: self.committee.epoch(),
            seq: work.job.seq,
            request,
            previous_root: self.step.state_before(work.previous.as_ref()),
            inputs: work.job.inputs_root(),
            signature: Signature::from_bytes([0; 64]),
        };
        fault.signature = self
            .identity
            .sign(&fault.signed_bytes(self.committee.domain()));
        self.faults.insert(request, fault.clone());
        self.tell_all(&ToCoordinator::Fault(fault));
    }

    fn cancel(&mut self, job_digest: Digest) {
        let cancel = Message::ToExecutor(ToExecutor::Cancel { job_digest });
        self.send(Endpoint::Executor(self.slot), cancel);
    }

    fn tell_all(&mut self, message: &ToCoordinator) {
        for rank in self.committee.ranks().collect::<Vec<_>>() {
            self.tell(rank, message.clone());
        }
    }
}
