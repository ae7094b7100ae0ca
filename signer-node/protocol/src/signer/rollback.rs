//! Whether this member's register went back in time (rule C2).
//!
//! A signer cannot tell a restored disk from its own: everything on it fits together. Others can:
//! they remember the newest words that the member signed. A signer that starts says nothing until
//! t − 1 others have told what they remember of it. One word that its register would not have let
//! it say now proves that the register lost entries: the signer notes so, and takes no part until
//! an epoch whose ceremony it joined afterwards.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use attestation::ids::{Boot, Seq, Slot, View};
use frost_core::Ciphersuite;
use state::job::SignedVote;

use super::pacemaker::RESEND_MS;
use super::{Halt, Output, Signer};
use crate::identity::{SignIdentity, Verify};
use crate::message::{
    Certificate, Endpoint, LockClaim, Message, Remembered, SignedStatus, ToMember,
};
use crate::register::{Chain, LaneStanding, Record};

/// A signer that has started and does not know yet whether its register is whole.
#[derive(Debug)]
pub(super) struct Asking {
    /// Where the register stood when this start began.
    boot: Boot,
    view: View,
    head: Seq,
    vote: Option<(Seq, View)>,
    lock: Option<(Seq, View)>,
    answered: BTreeSet<Slot>,
    /// Asked again out of turn since the last round: two that wait for each other, and cannot use
    /// each other's answers, would else ask for ever.
    asked: BTreeSet<Slot>,
    due_ms: u64,
}

impl Asking {
    /// `lane` and `view` are the register's, `boot` the number of the start that begins.
    pub(super) fn new(chain: &Chain, lane: &LaneStanding, boot: Boot) -> Self {
        let place = |claim: LockClaim| (claim.seq, claim.view);
        Self {
            boot,
            view: chain.standing().view,
            head: lane.attested.as_ref().map_or(Seq(0), |step| step.seq),
            vote: lane.vote.as_ref().map(|vote| (vote.seq, vote.view)),
            lock: lane.lock.as_ref().and_then(Certificate::claim).map(place),
            answered: BTreeSet::new(),
            asked: BTreeSet::new(),
            due_ms: 0,
        }
    }

    pub(super) const fn due(&self) -> u64 {
        self.due_ms
    }

    /// Whether the member signed something after the last entry of its register.
    fn is_behind(&self, remembered: &Remembered) -> bool {
        let newer = |said: (Seq, View), known: Option<(Seq, View)>| {
            said.0 > self.head && known.is_none_or(|known| said > known)
        };
        let status = remembered.status.as_ref().is_some_and(|status| {
            let lock = status.lock.map(|lock| (lock.seq, lock.view));
            // No word of this start has left yet.
            status.boot >= self.boot
                || status.view > self.view
                || lock.is_some_and(|lock| newer(lock, self.lock))
        });
        let vote = remembered.vote.as_ref();
        status || vote.is_some_and(|vote| newer((vote.seq, vote.view), self.vote))
    }
}

impl<C: Ciphersuite, I: SignIdentity, V: Verify> Signer<C, I, V> {
    /// Whether this member may say and sign anything.
    pub(super) fn takes_part(&self) -> bool {
        self.asking.is_none() && !self.is_behind()
    }

    /// Whether the register lost entries in this epoch.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        let behind = self.chain.standing().behind;
        behind.is_some_and(|epoch| epoch >= self.committee.epoch())
    }

    /// The member's operator says that its disk is new or was restored.
    pub(super) fn declare_restored(&mut self) {
        self.fall_behind(None);
    }

    /// Asks those that have not answered yet.
    pub(super) fn ask_when_due(&mut self, now_ms: u64) {
        let own = self.slot;
        let Some(asking) = self
            .asking
            .as_mut()
            .filter(|asking| now_ms >= asking.due_ms)
        else {
            return;
        };
        asking.asked.clear();
        asking.due_ms = now_ms.saturating_add(RESEND_MS);
        let missing: Vec<Slot> = self
            .committee
            .slots()
            .filter(|slot| *slot != own && !asking.answered.contains(slot))
            .collect();
        for slot in missing {
            self.ask(slot);
        }
    }

    /// Asks one other member, unless enough have answered.
    pub(super) fn ask(&mut self, slot: Slot) {
        if self.asking.is_some() {
            let question = Message::ToMember(ToMember::SendRemembered);
            self.send(Endpoint::Signer(slot), question);
        }
    }

    pub(super) fn answer_remembered(&mut self, from: Slot) {
        if from != self.slot && self.committee.member(from).is_some() {
            let remembered = self.memory.get(&from).cloned().unwrap_or_default();
            let answer = ToMember::Remembered(Box::new(remembered));
            self.send(Endpoint::Signer(from), Message::ToMember(answer));
            // It has just come up: a question sent to it before may have found nobody.
            let again = self.asking.as_mut().is_some_and(|asking| {
                !asking.answered.contains(&from) && asking.asked.insert(from)
            });
            if again {
                self.ask(from);
            }
        }
    }

    /// Another member's answer. What this member did not sign is no answer.
    pub(super) fn on_remembered(&mut self, from: Slot, remembered: Remembered) {
        let Some(asking) = &self.asking else {
            return;
        };
        let status = remembered.status.as_ref();
        let vote = remembered.vote.as_ref();
        let is_own = from != self.slot
            && self.committee.member(from).is_some()
            && status.is_none_or(|status| {
                status.slot == self.slot && self.committee.stands(status, &self.verify)
            })
            && vote.is_none_or(|vote| {
                vote.slot == self.slot && self.committee.voted(vote, &self.verify)
            });
        if !is_own {
            return;
        }
        if asking.is_behind(&remembered) {
            return self.fall_behind(Some(Box::new(remembered)));
        }
        let needed = usize::from(self.committee.quorum().threshold()).saturating_sub(1);
        if let Some(asking) = &mut self.asking {
            asking.answered.insert(from);
            if asking.answered.len() >= needed {
                self.asking = None;
                self.status_to_all();
            }
        }
    }

    /// Notes for good that the register lost entries, and takes no part any more.
    fn fall_behind(&mut self, proof: Option<Box<Remembered>>) {
        self.asking = None;
        self.cast = None;
        self.late = None;
        // A share of a later epoch may have signed there already.
        let epoch = self.committee.epoch().max(self.last_share);
        match self.append(Record::Behind(epoch)) {
            Ok(_) => self.outputs.push_back(Output::Behind {
                epoch,
                remembered: proof,
            }),
            Err(refused) => self.halt(Halt::Register(refused)),
        }
    }

    /// Keeps the newest status of another member.
    pub(super) fn remember_status(&mut self, status: &SignedStatus) {
        let known = &mut self.memory.entry(status.slot).or_default().status;
        let place = |status: &SignedStatus| (status.boot, status.view, status.lock.is_some());
        if known
            .as_ref()
            .is_none_or(|known| place(status) >= place(known))
        {
            *known = Some(status.clone());
        }
    }

    /// Keeps the newest votes of other members.
    pub(super) fn remember_votes(&mut self, votes: &[SignedVote]) {
        // Of an earlier epoch nobody could check them.
        let (own, epoch) = (self.slot, self.committee.epoch());
        let others = |vote: &&SignedVote| vote.slot != own && vote.epoch == epoch;
        for vote in votes.iter().filter(others) {
            let known = &mut self.memory.entry(vote.slot).or_default().vote;
            let place = |vote: &SignedVote| (vote.seq, vote.view);
            if known
                .as_ref()
                .is_none_or(|known| place(vote) > place(known))
            {
                *known = Some(vote.clone());
            }
        }
    }
}
