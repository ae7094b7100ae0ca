//! Jobs (rules A2 to A4, A9): what a signer checks before its executor runs one, and before it
//! votes.

use alloc::boxed::Box;

use attestation::commit::Commit;
use attestation::ids::{Attempt, Digest, Seq, Signature, StatementId, View};
use attestation::request::Call;
use attestation::step_attestation::StepAttestation;
use frost_core::Ciphersuite;
use rand_core::{CryptoRng, RngCore};
use serde_bytes::ByteBuf;
use state::job::{Job, SignedVote};
use state::step::Report;
use state::system::methods;

use super::{
    CLOCK_SKEW_MS, Cast, EXECUTOR_SILENT_MS, Halt, Output, Proposed, Ran, Report as Reported,
    Signer, Work,
};
use crate::blame::{Act, Culprit};
use crate::identity::{SignIdentity, Verify};
use crate::message::{
    Certificate, Endpoint, InvalidJob, Lane, LockClaim, Message, SignedNonces, SignedProposal,
    Stated, ToCoordinator, ToExecutor,
};
use crate::nonce::{Binding, OneShotNonces};
use crate::planted::{self, Bug};
use crate::register::{Record, Refused, Voted};
use crate::statement;

impl<C: Ciphersuite, I: SignIdentity, V: Verify> Signer<C, I, V> {
    pub(super) fn on_job(
        &mut self,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
        rank: u16,
        proposal: SignedProposal,
        job: Job,
        certificate: Option<Certificate>,
    ) {
        let own_word = proposal.rank == rank
            && proposal.seq == job.seq
            && self.committee.proposed(&proposal, &self.verify);
        let digest = job.digest();
        if !own_word || proposal.job != digest {
            return;
        }
        if proposal.seq <= self.head_seq() {
            return self.tell_ahead(rank);
        }
        let follows = self.follow_previous(now_ms, &job);
        if proposal.view != self.view() {
            // A leader's word moves nobody to another view; it learns where this member is.
            self.status_due.insert(Endpoint::Coordinator(rank));
            return;
        }
        if let Err(reason) = follows {
            return self.tell_invalid(rank, &proposal, reason);
        }
        if self.equivocates(rank, &proposal) {
            return;
        }
        if let Err(reason) = self.check_job(now_ms, &job, &proposal, certificate.as_ref()) {
            return self.tell_invalid(rank, &proposal, reason);
        }
        // What t members have voted for may go on (rule A9).
        if certificate.is_none()
            && let Err(reason) = self.check_skipped(&job, proposal.view)
        {
            return self.tell_invalid(rank, &proposal, reason);
        }
        // Locked, and nothing that would release the lock is shown: the leader learns why not.
        if certificate.is_none()
            && !planted::is(Bug::LockIgnored)
            && let Some(lock) = self.lock()
            && lock.view() < proposal.view
        {
            return self.tell(rank, ToCoordinator::Locked(lock));
        }
        if planted::is(Bug::LowerView) {
            self.cast = self
                .cast
                .take()
                .filter(|cast| cast.vote.view == proposal.view);
        }
        self.proposed = Some(Proposed {
            proposal,
            certificate,
        });
        if self.ran.as_ref().is_some_and(|ran| ran.digest == digest) {
            return self.conclude(rng);
        }
        self.run(now_ms, digest, Box::new(job));
    }

    /// The executor's reports become the step's statement; then the vote.
    pub(super) fn on_ran(
        &mut self,
        rng: &mut (impl RngCore + CryptoRng),
        digest: Digest,
        reports: alloc::vec::Vec<Report>,
    ) {
        let Some(work) = self.work.take_if(|work| work.digest == digest) else {
            return self.on_ran_alone(digest);
        };
        match statement::run(&self.step, work.previous.as_ref(), &work.job, &reports) {
            Ok(outcome) => {
                let stated = Stated {
                    commit: outcome.commit,
                    root: outcome.root,
                };
                self.ran = Some(Box::new(Ran {
                    digest,
                    job: work.job,
                    outcome: Box::new(outcome),
                    statement: stated.statement(),
                    stated,
                }));
                self.conclude_late(rng);
                self.conclude(rng);
            }
            Err(reason) => self.complain(digest, reason),
        }
    }

    /// Tells the leader what is wrong with its job, if it is still the view's.
    pub(super) fn complain(&mut self, digest: Digest, reason: InvalidJob) {
        let Some(proposed) = &self.proposed else {
            return;
        };
        if proposed.proposal.job == digest {
            let proposal = proposed.proposal.clone();
            self.tell_invalid(proposal.rank, &proposal, reason);
        }
    }

    pub(super) fn run_again(&mut self, now_ms: u64) {
        if let Some(work) = &mut self.work {
            work.alone = None;
            work.retry_at = None;
            work.silent_at = now_ms.saturating_add(EXECUTOR_SILENT_MS);
            let run = ToExecutor::Run {
                job_digest: work.digest,
                job: work.job.as_ref().clone(),
            };
            self.send(Endpoint::Executor(self.slot), Message::ToExecutor(run));
        }
    }

    pub(super) fn cancel_work(&mut self) {
        if let Some(work) = self.work.take() {
            let cancel = ToExecutor::Cancel {
                job_digest: work.alone.unwrap_or(work.digest),
            };
            self.send(Endpoint::Executor(self.slot), Message::ToExecutor(cancel));
        }
    }

    fn run(&mut self, now_ms: u64, digest: Digest, job: Box<Job>) {
        if self.work.as_ref().is_some_and(|work| work.digest == digest) {
            return;
        }
        self.cancel_work();
        self.work = Some(Work {
            digest,
            job,
            previous: self.head,
            alone: None,
            silent_at: 0,
            retry_at: None,
        });
        self.run_again(now_ms);
    }

    /// The previous attestation is the head or extends it: this is how a member catches up.
    fn follow_previous(&mut self, now_ms: u64, job: &Job) -> Result<(), InvalidJob> {
        if job.previous.is_empty() {
            let first = job.seq.0 == 1 && self.head.is_none();
            return if first {
                Ok(())
            } else {
                Err(InvalidJob::Previous)
            };
        }
        let previous =
            StepAttestation::from_bytes(&job.previous).map_err(|_| InvalidJob::Previous)?;
        if previous.commit.seq.next() != Some(job.seq) {
            return Err(InvalidJob::Previous);
        }
        self.learn(now_ms, &previous);
        if self.head_seq() == previous.commit.seq && self.head_statement() == previous.statement() {
            Ok(())
        } else {
            Err(InvalidJob::Previous)
        }
    }

    /// Two jobs for one (seq, view), both signed: the leader equivocates; the first one stands.
    fn equivocates(&mut self, rank: u16, proposal: &SignedProposal) -> bool {
        let Some(proposed) = &self.proposed else {
            return false;
        };
        let first = &proposed.proposal;
        if (first.seq, first.view) != (proposal.seq, proposal.view) || first.job == proposal.job {
            return false;
        }
        if first.is_first() {
            return true;
        }
        let act = Act::ProposedTwice(Box::new([first.clone(), proposal.clone()]));
        let culprit = Culprit::Coordinator(rank);
        self.report(Reported::ProposedTwice, Output::Blame { culprit, act });
        true
    }

    fn check_job(
        &self,
        now_ms: u64,
        job: &Job,
        proposal: &SignedProposal,
        certificate: Option<&Certificate>,
    ) -> Result<(), InvalidJob> {
        match certificate {
            Some(certificate) => {
                let known = |vote: &SignedVote| self.verified.contains(vote);
                let claim = certificate.check_except(&self.committee, &self.verify, known);
                let earlier =
                    |claim: LockClaim| claim.seq == proposal.seq && claim.view < proposal.view;
                if !claim.is_ok_and(earlier) {
                    return Err(InvalidJob::Votes);
                }
            }
            // A certified job was in time when t members voted for it (rule A9).
            None if job.context.time_ms.abs_diff(now_ms) > CLOCK_SKEW_MS
                && !planted::is(Bug::TimeUnchecked) =>
            {
                return Err(InvalidJob::Time);
            }
            None => {}
        }
        // What t members have seen confirmed may be gone from a chain that was reorganised (A9).
        if certificate.is_none() {
            self.check_claims(job)?;
        }
        self.check_anchor(&job.context, certificate.is_some())?;
        self.check_votes(job)?;
        self.check_faults(job)?;
        self.check_observations(job)?;
        for request in &job.requests {
            // What t members voted for is ready at those that it needs (rule A9).
            let ready = certificate.is_some() || self.is_ready(&request.call);
            let signed = request
                .check_by(|key, message, signature| self.verify.verify(key, message, signature));
            if !ready || (signed.is_err() && !planted::is(Bug::CallerUnchecked)) {
                return Err(InvalidJob::Request(request.id()));
            }
        }
        Ok(())
    }

    /// Whether a request may run as far as epochs go: all but a cutover that would come into force
    /// and is not this member's. One that is over is refused by the step itself.
    fn is_ready(&self, call: &Call) -> bool {
        methods::effective_cutover(call, self.committee.epoch()).is_none()
            || self.cutover.as_ref() == Some(&call.input)
            || planted::is(Bug::CutoverUnready)
    }

    /// Listed votes are for the head, one per member in slot order, and signed (rule A12).
    fn check_votes(&self, job: &Job) -> Result<(), InvalidJob> {
        let mut last = None;
        for vote in &job.votes {
            let listed = vote.seq == self.head_seq()
                && vote.statement == self.head_statement()
                && last.is_none_or(|last| last < vote.slot)
                && (self.verified.contains(vote) || self.committee.voted(vote, &self.verify));
            if !listed {
                return Err(InvalidJob::Votes);
            }
            last = Some(vote.slot);
        }
        Ok(())
    }

    /// Votes, once the outcome is known: one statement per (seq, view), never against a lock
    /// without a later certificate.
    fn conclude(&mut self, rng: &mut (impl RngCore + CryptoRng)) {
        let (Some(proposed), Some(ran)) = (&self.proposed, &self.ran) else {
            return;
        };
        let proposal = &proposed.proposal;
        if proposal.job != ran.digest || proposal.view != self.view() {
            return;
        }
        if self.is_of_another_epoch(&ran.stated.commit) {
            return;
        }
        if let Some(cast) = &mut self.cast {
            // Asked again: the same vote is the same answer.
            cast.sent = false;
            return self.store_job();
        }
        let rank = proposal.rank;
        if let Some(claim) = proposed.certificate.as_ref().and_then(Certificate::claim)
            && claim.statement != ran.statement
        {
            let dissent = Output::Dissent {
                seq: claim.seq,
                view: claim.view,
                certified: claim.statement,
                own: ran.statement,
            };
            return self.report(Reported::Dissent, dissent);
        }
        let (seq, view) = (proposal.seq, proposal.view);
        let voted = Voted {
            lane: Lane::Steps,
            seq,
            view,
            statement: ran.statement,
            mask: SignedVote::mask(self.slot, seq, &ran.outcome.trace_root),
            shown: self.needed_to_release(ran.statement, proposed.certificate.as_ref()),
        };
        match self.append(Record::Vote(voted.clone())) {
            Ok(gate) => self.cast(rng, rank, &voted, gate),
            Err(refused @ Refused::Locked { .. }) => {
                self.report(Reported::Refused, Output::Refused(refused));
                if let Some(lock) = self.lock() {
                    self.tell(rank, ToCoordinator::Locked(lock));
                }
            }
            Err(refused @ Refused::SecondDigest { .. }) => {
                self.report(Reported::Refused, Output::Refused(refused));
            }
            Err(refused) => self.halt(Halt::Register(refused)),
        }
    }

    /// Whether the head has put another epoch into force for a step: its members vote for it, in its
    /// name, whoever was a member before (rule B4).
    pub(super) fn is_of_another_epoch(&self, commit: &Commit) -> bool {
        commit.epoch != self.committee.epoch() && !planted::is(Bug::EpochIgnored)
    }

    fn needed_to_release(
        &self,
        statement: StatementId,
        shown: Option<&Certificate>,
    ) -> Option<Certificate> {
        let lock = self.lock()?.claim()?;
        (lock.statement != statement)
            .then(|| shown.cloned())
            .flatten()
    }

    fn cast(&mut self, rng: &mut (impl RngCore + CryptoRng), rank: u16, voted: &Voted, gate: u64) {
        let Some(ran) = &self.ran else {
            return;
        };
        let (stated, job) = (ran.stated, ran.digest);
        let vote = self.signed_vote(voted.seq, voted.view, voted.statement, voted.mask);
        self.store_job();
        let (nonces, offered) = self.fresh_nonces(rng, &vote, Attempt(0));
        self.cast = Some(Cast {
            vote,
            stated,
            rank,
            job,
            gate,
            sent: false,
            nonces: Some(nonces),
            offered,
            signings: 0,
            package: None,
            answered: None,
        });
    }

    pub(super) fn signed_vote(
        &self,
        seq: Seq,
        view: View,
        statement: StatementId,
        mask: Digest,
    ) -> SignedVote {
        let mut vote = SignedVote {
            slot: self.slot,
            epoch: self.committee.epoch(),
            seq,
            view,
            statement,
            mask,
            signature: Signature::from_bytes([0; 64]),
        };
        let bytes = vote.signed_bytes(self.committee.domain());
        vote.signature = self.identity.sign(&bytes);
        vote
    }

    /// The job goes to the node's disk before its vote leaves, unless it is there already.
    pub(super) fn store_job(&mut self) {
        if let Some(ran) = &self.ran
            && self.stored != Some(ran.digest)
        {
            self.outputs.push_back(Output::StoreJob {
                statement: ran.statement,
                digest: ran.digest,
                job: ran.job.clone(),
            });
        }
    }

    /// What the nonces for a signing of this vote are bound to.
    pub(super) fn binding(&self, vote: &SignedVote, attempt: Attempt) -> Binding {
        Binding {
            lane: Lane::Steps,
            epoch: vote.epoch,
            seq: vote.seq,
            view: vote.view,
            attempt,
            boot: self.boot,
        }
    }

    /// Nonces for the next signing of this vote's view, and their signed commitments.
    pub(super) fn fresh_nonces(
        &self,
        rng: &mut (impl RngCore + CryptoRng),
        vote: &SignedVote,
        attempt: Attempt,
    ) -> (OneShotNonces<C>, SignedNonces) {
        let nonces = OneShotNonces::generate(self.binding(vote, attempt), &self.key, rng);
        self.offer(nonces)
    }

    /// Nonces and their signed commitments.
    pub(super) fn offer(&self, nonces: OneShotNonces<C>) -> (OneShotNonces<C>, SignedNonces) {
        let binding = nonces.binding();
        let commitments = nonces.commitments().serialize();
        let mut offered = SignedNonces {
            slot: self.slot,
            lane: binding.lane,
            epoch: binding.epoch,
            seq: binding.seq,
            view: binding.view,
            attempt: binding.attempt,
            boot: binding.boot,
            commitments: ByteBuf::from(
                commitments.expect("fresh commitments are not the identity"),
            ),
            signature: Signature::from_bytes([0; 64]),
        };
        offered.signature = self
            .identity
            .sign(&offered.signed_bytes(self.committee.domain()));
        (nonces, offered)
    }

    fn tell_ahead(&mut self, rank: u16) {
        if let Some(head) = &self.head {
            let bytes = ByteBuf::from(head.to_bytes());
            self.tell(rank, ToCoordinator::Ahead(bytes));
        }
    }

    fn tell_invalid(&mut self, rank: u16, proposal: &SignedProposal, reason: InvalidJob) {
        let (seq, view) = (proposal.seq, proposal.view);
        self.tell(rank, ToCoordinator::Invalid { seq, view, reason });
    }
}
