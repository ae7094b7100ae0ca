//! Leading a view (rules A9, A10): statuses, the highest lock or a new job, the proposal.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use attestation::ids::{Signature, Slot, View};
use frost_core::Ciphersuite;
use signer_protocol::identity::{SignIdentity, Verify};
use signer_protocol::message::{Certificate, SignedProposal, ToSigner};
use state::job::{BuildJob, Job};

use super::ballot::Ballot;
use super::{Coordinator, Lead, Output, Phase};

/// How long a new leader waits for the statuses of members beyond t.
pub const GATHER_MS: u64 = 200;
/// How often a job is sent again to members that have not voted while t votes are missing.
pub const JOB_RESEND_MS: u64 = 300;
/// How long to wait for a job before asking again: of the node, and of the next lock holder.
const BUILD_RETRY_MS: u64 = 2_000;
const LOCKED_JOB_RETRY_MS: u64 = 150;
/// How often the node is asked for a job that it said it would have.
const REQUEST_RETRY_MS: u64 = 100;
/// How often a coordinator that knows no view asks for statuses.
const ASK_MS: u64 = 500;

impl Phase {
    /// When this phase needs attention.
    pub(super) fn due(&self) -> Option<u64> {
        match self {
            Self::Statuses { until } => Some(*until),
            Self::Request { retry_at } => *retry_at,
            Self::Job { retry_at } | Self::LockedJob { retry_at, .. } => Some(*retry_at),
            Self::Ballot(ballot) => ballot.due(),
        }
    }
}

impl<C: Ciphersuite, I: SignIdentity, V: Verify> Coordinator<C, I, V> {
    /// Leads the view that t members have reached, if it is this coordinator's.
    pub(super) fn follow_view(&mut self, now_ms: u64) {
        let Some(view) = self.committee_view() else {
            return;
        };
        self.ask_at = None;
        if self.lead.as_ref().is_some_and(|lead| lead.view < view) {
            self.close_view(now_ms);
        }
        let born = match self.born {
            Some(born) => born,
            None => {
                self.head_view = view;
                let born = self.may_have_led().max(view);
                *self.born.insert(born)
            }
        };
        let mine = self.config.committee.leader(view) == self.config.rank;
        // This coordinator keeps nothing: it may have proposed in the view in which it starts,
        // and two proposals are evidence against it. Before the first step there is no view to
        // wait for.
        let clean = view > born || (view.0 == 0 && self.head.is_none());
        if self.lead.is_none() && mine && clean {
            let until = now_ms.saturating_add(GATHER_MS);
            let phase = Phase::Statuses { until };
            self.lead = Some(Lead { view, phase });
        }
        let all = self
            .members
            .values()
            .filter(|member| member.view >= view)
            .count();
        let complete = all == usize::from(self.config.committee.quorum().members());
        if complete && self.in_statuses() {
            self.begin(now_ms);
        }
    }

    /// The highest view that an earlier start of this coordinator may have led. It led with t
    /// members in that view or beyond; of any t, 2t − n are among those, and views never fall.
    fn may_have_led(&self) -> View {
        let mut views: Vec<View> = self.members.values().map(|member| member.view).collect();
        views.sort_unstable_by(|a, b| b.cmp(a));
        let members = usize::from(self.config.committee.quorum().members());
        let common = (2 * self.threshold()).saturating_sub(members);
        let at = views.get(common.saturating_sub(1));
        at.copied().unwrap_or(View(0))
    }

    /// Asks the node for a job as soon as there may be one.
    pub(super) fn look_for_work(&mut self, now_ms: u64) {
        let waits = self
            .lead
            .as_ref()
            .is_some_and(|lead| matches!(lead.phase, Phase::Request { .. }));
        if waits && self.lock.is_some() {
            self.begin(now_ms);
        } else if waits && self.executable {
            self.build(now_ms);
        }
    }

    pub(super) fn lead_timeout(&mut self, now_ms: u64) {
        let Some(lead) = &mut self.lead else {
            return;
        };
        if lead.phase.due().is_none_or(|at| now_ms < at) {
            return;
        }
        match &mut lead.phase {
            Phase::Statuses { .. } => self.begin(now_ms),
            Phase::Request { retry_at } => {
                *retry_at = None;
                self.look_for_work(now_ms);
            }
            Phase::Job { .. } => self.build(now_ms),
            Phase::LockedJob { .. } => self.ask_locked_job(now_ms),
            Phase::Ballot(_) => self.ballot_timeout(now_ms),
        }
    }

    pub(super) fn on_job_built(&mut self, now_ms: u64, job: Option<Box<Job>>) {
        let next = self.next_seq();
        let executable = self.executable;
        let Some(lead) = &mut self.lead else {
            return;
        };
        if !matches!(lead.phase, Phase::Job { .. }) {
            return;
        }
        match job {
            Some(job) if Some(job.seq) == next => self.propose(now_ms, job, None),
            _ => {
                let retry_at = executable.then(|| now_ms.saturating_add(REQUEST_RETRY_MS));
                lead.phase = Phase::Request { retry_at };
            }
        }
    }

    /// The job behind a lock; members vote for it only if it leads to the lock's statement. Taken
    /// from the holder asked last alone: a liar that was not asked would spoil every view.
    pub(super) fn on_locked_job(&mut self, now_ms: u64, from: Slot, job: Job) {
        let next = self.next_seq();
        if let Some(lead) = &self.lead
            && let Phase::LockedJob {
                certificate,
                holder,
                ..
            } = &lead.phase
            && *holder == Some(from)
            && Some(job.seq) == next
        {
            let certificate = certificate.clone();
            self.propose(now_ms, Box::new(job), Some(certificate));
        }
    }

    pub(super) fn ask_statuses(&mut self, now_ms: u64) {
        self.ask_at = None;
        if self.committee_view().is_none() {
            for slot in self.slots() {
                self.send(slot, ToSigner::SendStatus);
            }
            self.ask_at = Some(now_ms.saturating_add(ASK_MS));
        }
    }

    /// Sends the view's job to one member.
    pub(super) fn send_job(&mut self, slot: Slot) {
        if let Some(Lead {
            phase: Phase::Ballot(ballot),
            ..
        }) = &self.lead
        {
            let message = ToSigner::Job {
                proposal: ballot.proposal.clone(),
                job: ballot.job.as_ref().clone(),
                certificate: ballot.certificate.clone(),
            };
            self.send(slot, message);
        }
    }

    fn in_statuses(&self) -> bool {
        let phase = self.lead.as_ref().map(|lead| &lead.phase);
        matches!(phase, Some(Phase::Statuses { .. }))
    }

    /// Statuses are in: the highest lock is proposed again, or else a new job.
    fn begin(&mut self, now_ms: u64) {
        let Some(certificate) = self.lock.clone() else {
            if let Some(lead) = &mut self.lead {
                lead.phase = Phase::Request { retry_at: None };
            }
            return self.look_for_work(now_ms);
        };
        let statement = certificate.claim().map(|claim| claim.statement);
        if let Some((_, job)) = self.certified.take_if(|(kept, _)| Some(*kept) == statement) {
            return self.propose(now_ms, job, Some(certificate));
        }
        if let Some(lead) = &mut self.lead {
            lead.phase = Phase::LockedJob {
                certificate,
                asked: 0,
                holder: None,
                retry_at: now_ms,
            };
        }
        self.ask_locked_job(now_ms);
    }

    /// Asks one holder of the lock after the other. Where to begin follows the view, so that a
    /// holder that answers with another job spoils one view at most.
    fn ask_locked_job(&mut self, now_ms: u64) {
        let Some(lead) = &mut self.lead else {
            return;
        };
        let view = lead.view;
        let ranks = (self.config.committee.ranks().count() as u64).max(1);
        let Phase::LockedJob {
            certificate,
            asked,
            holder: answers,
            retry_at,
        } = &mut lead.phase
        else {
            return;
        };
        let Some(claim) = certificate.claim() else {
            return;
        };
        let locked = |(slot, member): (&Slot, &super::Member)| {
            let same = member
                .lock
                .is_some_and(|lock| lock.statement == claim.statement);
            same.then_some(*slot)
        };
        let mut holders: Vec<Slot> = self.members.iter().filter_map(locked).collect();
        // Whoever voted for the statement has its job on disk, locked or not.
        holders.extend(certificate.votes.iter().map(|vote| vote.slot));
        let turn = usize::try_from(view.0 / ranks)
            .unwrap_or(0)
            .wrapping_add(*asked);
        *asked = asked.wrapping_add(1);
        *retry_at = now_ms.saturating_add(LOCKED_JOB_RETRY_MS);
        if let Some(holder) = holders.get(turn % holders.len().max(1)).copied() {
            *answers = Some(holder);
            let statement = claim.statement;
            self.send(holder, ToSigner::SendJob { statement });
        }
    }

    fn build(&mut self, now_ms: u64) {
        let (Some(seq), Some(lead)) = (self.next_seq(), &mut self.lead) else {
            return;
        };
        let retry_at = now_ms.saturating_add(BUILD_RETRY_MS);
        lead.phase = Phase::Job { retry_at };
        let view = lead.view;
        let previous = self.head;
        let passed = view.0.saturating_sub(self.head_view.0);
        let quorum = self.config.committee.quorum();
        self.hard.give_up(now_ms, seq, passed, quorum);
        let build = BuildJob {
            seq,
            view,
            previous,
            votes: self.listing.votes(),
            reveal: self.reveal,
            faults: self.hard.faults(self.threshold()),
            requests_max: self.hard.requests_max(self.pace.requests_max(), passed),
            first: self.hard.first(),
            set_aside: self.hard.set_aside(now_ms),
            anchor: self.hard.may_anchor(seq),
        };
        self.outputs.push_back(Output::BuildJob(build));
    }

    fn propose(&mut self, now_ms: u64, job: Box<Job>, certificate: Option<Certificate>) {
        let Some(lead) = &mut self.lead else {
            return;
        };
        let mut proposal = SignedProposal {
            rank: self.config.rank,
            epoch: self.config.committee.epoch(),
            seq: job.seq,
            view: lead.view,
            job: job.digest(),
            signature: Signature::from_bytes([0; 64]),
        };
        let domain = self.config.committee.domain();
        proposal.signature = self.config.identity.sign(&proposal.signed_bytes(domain));
        lead.phase = Phase::Ballot(Box::new(Ballot {
            proposal,
            proposed_ms: now_ms,
            job,
            certificate,
            voters: BTreeMap::new(),
            signing: None,
            reported: false,
            resend_at: now_ms.saturating_add(JOB_RESEND_MS),
        }));
        self.close_listing();
        for slot in self.slots() {
            self.send_job(slot);
        }
    }
}
