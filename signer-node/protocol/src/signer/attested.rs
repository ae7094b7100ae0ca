//! Attestations (rules A7, A12): a step is settled; its nonces, vote and lock are gone.

use alloc::boxed::Box;

use attestation::ids::{Attempt, Seq, StatementId};
use attestation::step_attestation::StepAttestation;
use frost_core::Ciphersuite;
use rand_core::{CryptoRng, RngCore};
use serde_bytes::ByteBuf;
use state::job::{Job, SignedVote};
use state::limits::FAULT_SEQS_MAX;

use super::{Cast, Halt, Late, Output, Signer};
use crate::identity::{SignIdentity, Verify};
use crate::message::{Lane, ToCoordinator};
use crate::planted::{self, Bug};
use crate::register::{Attested, Record};

/// Most statements whose jobs are being read back at once.
const WANTED_MAX: usize = 16;

impl<C: Ciphersuite, I: SignIdentity, V: Verify> Signer<C, I, V> {
    pub(super) fn on_attested(&mut self, now_ms: u64, bytes: &[u8]) {
        if let Ok(attestation) = StepAttestation::from_bytes(bytes) {
            self.learn(now_ms, &attestation);
        }
    }

    /// Takes an attestation above the head: t members signed it, whatever came between.
    pub(super) fn learn(&mut self, now_ms: u64, attestation: &StepAttestation) {
        let seq = attestation.commit.seq;
        let statement = attestation.statement();
        let known = seq == self.head_seq() && statement == self.head_statement();
        if seq < self.head_seq() || known || seq == Seq(0) {
            return;
        }
        let domain = self.committee.domain();
        let ours = attestation.commit.network == domain.network
            && attestation.commit.committee == domain.committee;
        if !ours || !self.verify.attests(self.committee.group_key(), attestation) {
            return;
        }
        if seq == self.head_seq() {
            return self.halt(Halt::Fork(seq));
        }
        let late = self.still_running(attestation);
        let record = Record::Attested(Attested {
            lane: Lane::Steps,
            seq,
            statement,
            attestation: ByteBuf::from(attestation.to_bytes()),
        });
        if let Err(refused) = self.append(record) {
            return self.halt(Halt::Register(refused));
        }
        self.late = late;
        let voted = |cast: &Cast<C>| cast.vote.statement == statement;
        self.met |= self.cast.as_ref().is_some_and(voted);
        self.cast = None;
        self.proposed = None;
        self.reported.clear();
        self.report_attested(attestation);
        self.note_taken(attestation);
        self.head = Some(*attestation);
        // A fault counts in this many later steps, whatever their root.
        self.faults
            .retain(|_, fault| fault.seq.0.saturating_add(FAULT_SEQS_MAX) > seq.0);
        self.reveal(seq);
        self.pace.attested(now_ms);
        if self.chain.base_due() {
            let base = Record::Base(Box::new(self.chain.standing().clone()));
            if let Err(refused) = self.append(base) {
                self.halt(Halt::Register(refused));
            }
        }
    }

    /// The proposal that this member still runs although its step is attested: it may vote late.
    fn still_running(&mut self, attestation: &StepAttestation) -> Option<Late> {
        let proposal = self.proposed.take()?.proposal;
        let running = self
            .work
            .as_ref()
            .is_some_and(|work| work.digest == proposal.job);
        // An earlier start may have voted in this view, for another statement even.
        let vote = self.chain.lane(Lane::Steps).vote;
        let voted = vote.is_some_and(|vote| vote.view == proposal.view);
        let open = running && !voted && proposal.seq == attestation.commit.seq;
        open.then_some(Late {
            proposal,
            ready: None,
        })
    }

    /// A job that finished after its step was attested: the node still gets its outcome, and the
    /// leader the vote, if it is for what is attested. No register entry: nothing else can be
    /// voted at this seq any more, and this view's vote was not cast.
    pub(super) fn conclude_late(&mut self, rng: &mut (impl RngCore + CryptoRng)) {
        let (Some(head), Some(ran)) = (self.head, &self.ran) else {
            return;
        };
        if ran.statement != head.statement() {
            return;
        }
        self.report_attested(&head);
        let Some(late) = self.late.take() else {
            return;
        };
        if self.is_of_another_epoch(&head.commit) {
            return;
        }
        let Some(ran) = self
            .ran
            .as_ref()
            .filter(|ran| ran.digest == late.proposal.job)
        else {
            return;
        };
        let (stated, trace) = (ran.stated, ran.outcome.trace_root);
        let (seq, view) = (late.proposal.seq, late.proposal.view);
        let mask = SignedVote::mask(self.slot, seq, &trace);
        let vote = self.signed_vote(seq, view, stated.statement(), mask);
        // The commitments are never used: their nonces end here.
        let (_, nonces) = self.fresh_nonces(rng, &vote, Attempt(0));
        self.store_job();
        self.late = Some(Late {
            ready: Some(Box::new(ToCoordinator::Vote {
                vote,
                stated,
                nonces,
            })),
            proposal: late.proposal,
        });
    }

    pub(super) fn on_send_job(&mut self, rank: u16, statement: StatementId) {
        if let Some(ran) = self.ran.as_ref().filter(|ran| ran.statement == statement) {
            let job = ran.job.as_ref().clone();
            return self.tell(rank, ToCoordinator::Job(job));
        }
        // A certificate's voters have its job on disk, locked or not.
        if self.wanted.len() < WANTED_MAX || self.wanted.contains_key(&statement) {
            self.wanted.entry(statement).or_default().insert(rank);
            self.outputs.push_back(Output::LoadJob { statement });
        }
    }

    pub(super) fn on_job_loaded(&mut self, statement: StatementId, job: Option<Box<Job>>) {
        let ranks = self.wanted.remove(&statement).unwrap_or_default();
        if let Some(job) = job {
            for rank in ranks {
                self.tell(rank, ToCoordinator::Job(job.as_ref().clone()));
            }
        }
    }

    /// The deposits that the step took, if its job is known here.
    fn note_taken(&mut self, attestation: &StepAttestation) {
        let statement = attestation.statement();
        let ran = self.ran.as_ref().filter(|ran| ran.statement == statement);
        let working = self.work.as_ref().map(|work| work.job.as_ref());
        let job = ran.map(|ran| ran.job.as_ref()).or(working);
        let job = job.filter(|job| covers(attestation, job));
        self.seen.attested(attestation.commit.seq, job);
    }

    fn report_attested(&mut self, attestation: &StepAttestation) {
        let statement = attestation.statement();
        let ran = self.ran.as_ref().filter(|ran| ran.statement == statement);
        let (job, outcome) = match ran {
            Some(ran) => {
                self.traces
                    .insert(attestation.commit.seq, ran.outcome.trace_root);
                (Some(ran.job.clone()), Some(ran.outcome.clone()))
            }
            None => {
                let work = self
                    .work
                    .as_ref()
                    .filter(|work| covers(attestation, &work.job));
                (work.map(|work| work.job.clone()), None)
            }
        };
        self.outputs.push_back(Output::Attested {
            attestation: Box::new(*attestation),
            job,
            outcome,
        });
    }

    /// Releases the trace root of the step before the one just attested (rule A12).
    fn reveal(&mut self, attested: Seq) {
        self.traces
            .retain(|seq, _| seq.0.saturating_add(2) > attested.0);
        let released = self
            .traces
            .iter()
            .find(|(seq, _)| match planted::is(Bug::TraceEarly) {
                false => seq.next() == Some(attested),
                true => **seq == attested,
            });
        if let Some((seq, trace)) = released.map(|(seq, trace)| (*seq, *trace)) {
            let rank = self.committee.leader(self.view());
            self.tell(rank, ToCoordinator::Reveal { seq, trace });
        }
    }
}

/// Whether the attested commit is over this job's inputs, time and anchor.
fn covers(attestation: &StepAttestation, job: &Job) -> bool {
    let commit = &attestation.commit;
    commit.seq == job.seq
        && commit.time_ms == job.context.time_ms
        && commit.anchor == job.context.anchor
        && commit.inputs == job.inputs_root()
}
