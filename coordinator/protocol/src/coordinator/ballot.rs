//! Votes (rules A4, A5, A7): the tally, the report of a view that did not agree, and the votes
//! listed in the next job.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use attestation::ids::{Attempt, Boot, Seq, Slot, StatementId, View};
use frost_core::Ciphersuite;
use signer_protocol::blame::{Act, Culprit, Divergence};
use signer_protocol::identity::{SignIdentity, Verify};
use signer_protocol::message::{Certificate, Lane, SignedNonces, SignedProposal, Stated};
use state::job::{Job, SignedVote};

use super::lead::JOB_RESEND_MS;
use super::signing::Signing;
use super::{Coordinator, Lead, Output, Phase};

/// Votes and shares for one job in one view.
pub(super) struct Ballot {
    pub(super) proposal: SignedProposal,
    pub(super) job: Box<Job>,
    pub(super) certificate: Option<Certificate>,
    pub(super) voters: BTreeMap<Slot, Voter>,
    pub(super) signing: Option<Signing>,
    /// Whether the divergence has been reported.
    pub(super) reported: bool,
    pub(super) resend_at: u64,
    pub(super) proposed_ms: u64,
}

/// A member's vote, and the commitments it has left.
pub(super) struct Voter {
    pub(super) vote: SignedVote,
    pub(super) stated: Stated,
    /// Commitments that no package has used yet.
    pub(super) ready: Option<SignedNonces>,
    /// Whether they have been checked, which is done once they are needed.
    pub(super) checked: bool,
    /// From the job to the vote: about what its share will take.
    pub(super) took_ms: u64,
    /// The newest commitments ever offered: older ones are spent or dead.
    pub(super) newest: (Boot, Attempt),
    /// Whether a second vote has been reported: one pair proves it.
    twice: bool,
}

/// Votes for the head, open until the next job is proposed.
#[derive(Default)]
pub(super) struct Listing {
    step: Option<(Seq, View, StatementId)>,
    votes: BTreeMap<Slot, SignedVote>,
    /// Members last seen absent: named once, not at every step.
    absent: BTreeSet<Slot>,
}

impl Ballot {
    pub(super) fn due(&self) -> Option<u64> {
        match &self.signing {
            Some(signing) => Some(signing.wait_until),
            None => Some(self.resend_at),
        }
    }

    /// The statement with most votes, and how many.
    fn leading(&self) -> Option<(StatementId, usize)> {
        let mut tally = BTreeMap::<StatementId, usize>::new();
        for voter in self.voters.values() {
            *tally.entry(voter.vote.statement).or_default() += 1;
        }
        tally.into_iter().max_by_key(|(_, votes)| *votes)
    }

    fn divergence(&self, slots: &[Slot]) -> Output {
        let silent = slots.iter().filter(|slot| !self.voters.contains_key(slot));
        let report = Divergence {
            seq: self.proposal.seq,
            view: self.proposal.view,
            job: self.proposal.job,
            votes: self
                .voters
                .values()
                .map(|voter| voter.vote.clone())
                .collect(),
            silent: silent.copied().collect(),
        };
        Output::Divergence {
            report: Box::new(report),
            job: self.job.clone(),
        }
    }
}

impl Listing {
    pub(super) fn open(&mut self, seq: Seq, view: View, statement: StatementId) {
        self.step = Some((seq, view, statement));
        self.votes.clear();
    }

    pub(super) fn close(&mut self) {
        self.step = None;
        self.votes.clear();
    }

    pub(super) fn add(&mut self, vote: SignedVote) {
        if self.step == Some((vote.seq, vote.view, vote.statement)) {
            self.votes.entry(vote.slot).or_insert(vote);
        }
    }

    pub(super) fn takes(&self, vote: &SignedVote) -> bool {
        self.step
            .is_some_and(|(seq, view, _)| (seq, view) == (vote.seq, vote.view))
    }

    /// Whether a member was not missed when the voting before this one closed.
    pub(super) fn is_present(&self, slot: Slot) -> bool {
        !self.absent.contains(&slot)
    }

    pub(super) fn votes(&self) -> Vec<SignedVote> {
        self.votes.values().cloned().collect()
    }
}

impl<C: Ciphersuite, I: SignIdentity, V: Verify> Coordinator<C, I, V> {
    pub(super) fn on_vote(
        &mut self,
        now_ms: u64,
        from: Slot,
        vote: SignedVote,
        stated: Stated,
        nonces: SignedNonces,
    ) {
        if vote.slot != from || !self.expects(&vote) {
            return;
        }
        let committee = &self.config.committee;
        let signed = stated.statement() == vote.statement
            && bound(&nonces, &vote)
            && committee.voted(&vote, &self.config.verify);
        if !signed {
            return;
        }
        if self.listing.takes(&vote) {
            return self.listing.add(vote);
        }
        if self.record_vote(now_ms, vote, stated, nonces) {
            self.count(now_ms);
        }
    }

    /// Whether a vote is for this view's job, or for the head while its voting is open.
    fn expects(&self, vote: &SignedVote) -> bool {
        let ballot = match &self.lead {
            Some(Lead {
                phase: Phase::Ballot(ballot),
                ..
            }) => (ballot.proposal.seq, ballot.proposal.view) == (vote.seq, vote.view),
            _ => false,
        };
        ballot || self.listing.takes(vote)
    }

    fn record_vote(
        &mut self,
        now_ms: u64,
        vote: SignedVote,
        stated: Stated,
        nonces: SignedNonces,
    ) -> bool {
        let Some(Lead {
            phase: Phase::Ballot(ballot),
            ..
        }) = &mut self.lead
        else {
            return false;
        };
        let offered = (nonces.boot, nonces.attempt);
        let slot = vote.slot;
        let Some(voter) = ballot.voters.get_mut(&slot) else {
            let voter = Voter {
                vote,
                stated,
                ready: Some(nonces),
                checked: false,
                took_ms: now_ms.saturating_sub(ballot.proposed_ms),
                newest: offered,
                twice: false,
            };
            ballot.voters.insert(slot, voter);
            return true;
        };
        if (voter.vote.statement, voter.vote.mask) != (vote.statement, vote.mask) {
            if core::mem::replace(&mut voter.twice, true) {
                return false;
            }
            let both = Box::new([voter.vote.clone(), vote]);
            self.blame(Culprit::Member(slot), Act::VotedTwice(both));
            return false;
        }
        // A member that started anew votes the same and offers new commitments.
        if offered > voter.newest {
            voter.newest = offered;
            voter.ready = Some(nonces);
            voter.checked = false;
        }
        false
    }

    /// t equal votes become a package at once; without them, the view may be lost.
    fn count(&mut self, now_ms: u64) {
        let (threshold, slots) = (self.threshold(), self.slots());
        let Some(Lead {
            phase: Phase::Ballot(ballot),
            ..
        }) = &mut self.lead
        else {
            return;
        };
        if ballot.signing.is_some() {
            return self.sign_again(now_ms, false);
        }
        match ballot.leading() {
            Some((statement, votes)) if votes >= threshold => {
                self.certified = Some((statement, ballot.job.clone()));
                self.start_signing(now_ms, statement);
            }
            _ if ballot.voters.len() == slots.len() && !ballot.reported => {
                ballot.reported = true;
                let report = ballot.divergence(&slots);
                self.outputs.push_back(report);
            }
            _ => {}
        }
    }

    pub(super) fn ballot_timeout(&mut self, now_ms: u64) {
        let slots = self.slots();
        let Some(Lead {
            phase: Phase::Ballot(ballot),
            ..
        }) = &mut self.lead
        else {
            return;
        };
        if ballot.signing.is_some() {
            return self.sign_again(now_ms, true);
        }
        ballot.resend_at = now_ms.saturating_add(JOB_RESEND_MS);
        let missing = slots
            .iter()
            .filter(|slot| !ballot.voters.contains_key(slot));
        for slot in missing.copied().collect::<Vec<_>>() {
            self.send_job(slot);
        }
    }

    /// The view is over: who disagreed is reported, and the next job is smaller.
    pub(super) fn close_view(&mut self, now_ms: u64) {
        let Some(lead) = self.lead.take() else {
            return;
        };
        let Phase::Ballot(ballot) = lead.phase else {
            return;
        };
        if let Some(signing) = &ballot.signing {
            self.name_silent(now_ms, &ballot, signing);
            self.park(now_ms, &ballot, signing);
            return;
        }
        if !ballot.reported {
            let report = ballot.divergence(&self.slots());
            self.outputs.push_back(report);
        }
        if ballot.certificate.is_none() {
            let quorum = self.config.committee.quorum();
            let stood_ms = now_ms.saturating_sub(ballot.proposed_ms);
            self.hard.failed(now_ms, stood_ms, &ballot.job, quorum);
        }
    }

    /// Names members whose vote was for something else than what is attested.
    pub(super) fn name_dissent(&mut self, ballot: &Ballot, certificate: &Certificate) {
        let certified = certificate.claim().map(|claim| claim.statement);
        for voter in ballot.voters.values() {
            if Some(voter.vote.statement) != certified {
                let act = Act::VotedOtherwise {
                    vote: Box::new(voter.vote.clone()),
                    certificate: certificate.clone(),
                };
                self.blame(Culprit::Member(voter.vote.slot), act);
            }
        }
    }

    /// The head's voting ends: members that turn absent are named, once.
    pub(super) fn close_listing(&mut self) {
        let slots = self.slots();
        let Some((seq, view, _)) = self.listing.step.take() else {
            return;
        };
        let votes = core::mem::take(&mut self.listing.votes);
        for slot in slots {
            if votes.contains_key(&slot) {
                self.listing.absent.remove(&slot);
            } else if self.listing.absent.insert(slot) {
                self.blame(Culprit::Member(slot), Act::Absent { seq, view });
            }
        }
    }

    pub(super) fn blame(&mut self, culprit: Culprit, act: Act) {
        self.outputs.push_back(Output::Blame { culprit, act });
    }
}

/// Whether commitments are for the signing of this vote.
pub(super) fn bound(nonces: &SignedNonces, vote: &SignedVote) -> bool {
    nonces.lane == Lane::Steps
        && (nonces.slot, nonces.epoch, nonces.seq, nonces.view)
            == (vote.slot, vote.epoch, vote.seq, vote.view)
}
