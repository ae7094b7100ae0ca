//! What a lying member does to its own messages.

use std::collections::BTreeSet;

use attestation::ids::{Digest, RequestId, Seq, Slot, StateRoot, TraceRoot, View};
use serde_bytes::ByteBuf;
use signer_protocol::identity::SignIdentity as _;
use signer_protocol::message::{
    Endpoint, Message, SignedNonces, SignedShare, Status, ToCoordinator, ToMember,
};
use state::job::{SignedFault, SignedVote};

use super::{KEPT_MAX, Lied};
use crate::dice::Dice;
use crate::suite::Suite;
use crate::world::{Machine, World};

/// What a member does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberLie {
    /// Runs two signers and shows each honest party one of them.
    TwoFaces,
    /// Its executor counts wrongly.
    WrongOutcome,
    /// Gives shares that do not verify, or are no scalars.
    BadShare,
    /// Votes and gives no share.
    Withhold,
    /// Says nothing at all for a while.
    Mute,
    /// Offers commitments that are no points.
    BadPoints,
    /// Offers commitments of an earlier signing.
    OldPoints,
    /// Claims views that nobody is in.
    HighView,
    /// Answers a request for a lock's job with another job.
    WrongJob,
    /// Claims a lock on what was never certified.
    ForgedLock,
    /// Releases trace roots that are none.
    WrongReveal,
    /// Tells of faults of sound requests.
    FalseFault,
    /// Votes twice, with two masks.
    TwoMasks,
    /// Says everything late.
    Late,
    /// Says everything many times.
    Flood,
    /// Gives a bad share where it is the first liar of a signing set: never drawn, for
    /// measurements.
    SpoilInTurn,
    /// The same without a share.
    SilentInTurn,
}

const ALL: [MemberLie; 15] = [
    MemberLie::TwoFaces,
    MemberLie::WrongOutcome,
    MemberLie::BadShare,
    MemberLie::Withhold,
    MemberLie::Mute,
    MemberLie::BadPoints,
    MemberLie::OldPoints,
    MemberLie::HighView,
    MemberLie::WrongJob,
    MemberLie::ForgedLock,
    MemberLie::WrongReveal,
    MemberLie::FalseFault,
    MemberLie::TwoMasks,
    MemberLie::Late,
    MemberLie::Flood,
];

impl MemberLie {
    /// One to four of them.
    pub fn draw(dice: &mut Dice) -> BTreeSet<Self> {
        let count = 1 + dice.below(4);
        dice.some(&ALL, count).into_iter().collect()
    }
}

impl<S: Suite> World<S> {
    /// What a lying member sends in place of a message.
    pub fn member_lies(&mut self, from: Machine, to: Endpoint, message: Message) -> Vec<Lied> {
        let lies = self.members.get(&from).map(|member| member.lies.clone());
        let lies = lies.unwrap_or_default();
        if lies.is_empty() || !self.lies_now() {
            return vec![(to, message, 0)];
        }
        let Endpoint::Signer(slot) = from.party else {
            return vec![(to, message, 0)];
        };
        let mut sent = Vec::new();
        if lies.contains(&MemberLie::FalseFault)
            && let Some(fault) = self.false_fault(slot)
        {
            sent.push((to, Message::ToCoordinator(ToCoordinator::Fault(fault)), 0));
        }
        let changed = match message {
            _ if lies.contains(&MemberLie::Mute) => None,
            Message::ToCoordinator(ToCoordinator::Share(_))
                if lies.contains(&MemberLie::Withhold) =>
            {
                None
            }
            Message::ToCoordinator(ToCoordinator::Share(share))
                if lies.contains(&MemberLie::SilentInTurn)
                    && self.is_its_turn(slot, self.watch.set(&share)) =>
            {
                None
            }
            Message::ToCoordinator(message) => {
                let message = self.changed(slot, &lies, message, (to, &mut sent));
                Some(Message::ToCoordinator(message))
            }
            Message::ToMember(ToMember::Status(mut status)) => {
                self.false_status(slot, &lies, &mut status);
                Some(Message::ToMember(ToMember::Status(status)))
            }
            message => Some(message),
        };
        let late = match lies.contains(&MemberLie::Late) {
            true => self.dice.within((100, 4_000)),
            false => 0,
        };
        let copies = if lies.contains(&MemberLie::Flood) {
            4
        } else {
            1
        };
        if let Some(message) = changed {
            sent.extend((0..copies).map(|_| (to, message.clone(), late)));
        }
        sent
    }

    fn changed(
        &mut self,
        slot: Slot,
        lies: &BTreeSet<MemberLie>,
        message: ToCoordinator,
        (to, sent): (Endpoint, &mut Vec<Lied>),
    ) -> ToCoordinator {
        match message {
            ToCoordinator::Vote {
                vote,
                stated,
                mut nonces,
            } => {
                self.false_points(slot, lies, &mut nonces);
                if lies.contains(&MemberLie::TwoMasks) {
                    let vote = self.other_mask(slot, &vote);
                    let nonces = nonces.clone();
                    let twice = ToCoordinator::Vote {
                        vote,
                        stated,
                        nonces,
                    };
                    sent.push((to, Message::ToCoordinator(twice), 0));
                }
                ToCoordinator::Vote {
                    vote,
                    stated,
                    nonces,
                }
            }
            ToCoordinator::Share(mut share) => {
                let in_turn = lies.contains(&MemberLie::SpoilInTurn);
                let in_turn = in_turn && self.is_its_turn(slot, self.watch.set(&share));
                if in_turn || lies.contains(&MemberLie::BadShare) {
                    self.false_share(slot, &mut share);
                }
                ToCoordinator::Share(share)
            }
            ToCoordinator::Status(mut status) => {
                self.false_status(slot, lies, &mut status);
                ToCoordinator::Status(status)
            }
            ToCoordinator::Job(mut job) if lies.contains(&MemberLie::WrongJob) => {
                job.context.time_ms += 1;
                ToCoordinator::Job(job)
            }
            ToCoordinator::Reveal { seq, .. } if lies.contains(&MemberLie::WrongReveal) => {
                let trace = TraceRoot::from_bytes([9; 32]);
                ToCoordinator::Reveal { seq, trace }
            }
            message => message,
        }
    }

    fn false_points(&mut self, slot: Slot, lies: &BTreeSet<MemberLie>, nonces: &mut SignedNonces) {
        if lies.contains(&MemberLie::BadPoints) {
            let byte = if self.dice.chance(500) { 0xff } else { 0 };
            let length = nonces.commitments.len();
            nonces.commitments = ByteBuf::from(vec![byte; length]);
        } else if lies.contains(&MemberLie::OldPoints) {
            let old = self.dice.pick(&self.liars.nonces).cloned();
            self.liars.nonces.push(nonces.clone());
            if self.liars.nonces.len() > KEPT_MAX {
                self.liars.nonces.remove(0);
            }
            if let Some(old) = old {
                nonces.commitments = old.commitments;
            }
        }
        let identity = self.founding.identity(Endpoint::Signer(slot));
        nonces.signature = identity.sign(&nonces.signed_bytes(self.founding.committee.domain()));
    }

    fn false_share(&mut self, slot: Slot, share: &mut SignedShare) {
        if self.dice.chance(300) {
            share.share = ByteBuf::from(vec![0xff; share.share.len()]);
        } else if let Some(byte) = share.share.first_mut() {
            *byte ^= 1;
        }
        let identity = self.founding.identity(Endpoint::Signer(slot));
        share.signature = identity.sign(&share.signed_bytes(self.founding.committee.domain()));
    }

    fn other_mask(&self, slot: Slot, vote: &SignedVote) -> SignedVote {
        let mut vote = vote.clone();
        vote.mask = Digest::from_bytes([0xee; 32]);
        let identity = self.founding.identity(Endpoint::Signer(slot));
        vote.signature = identity.sign(&vote.signed_bytes(self.founding.committee.domain()));
        vote
    }

    fn false_status(&mut self, slot: Slot, lies: &BTreeSet<MemberLie>, status: &mut Status) {
        if lies.contains(&MemberLie::HighView) {
            let far = [1, 2, 40, 2_000, u64::MAX / 2];
            let far = self.dice.pick(&far).copied().unwrap_or(1);
            status.signed.view = View(status.signed.view.0.saturating_add(far));
        }
        if lies.contains(&MemberLie::ForgedLock) {
            let next = Seq(status.signed.head.0 + 1);
            let stitched = self.liars.stitched(next);
            status.signed.lock = stitched.as_ref().and_then(|lock| lock.claim());
            status.certificate = stitched;
        }
        let identity = self.founding.identity(Endpoint::Signer(slot));
        let signed = &mut status.signed;
        signed.signature = identity.sign(&signed.signed_bytes(self.founding.committee.domain()));
    }

    fn false_fault(&mut self, slot: Slot) -> Option<SignedFault> {
        let waiting: Vec<RequestId> = self
            .requests
            .iter()
            .map(|(id, _)| *id)
            .filter(|id| self.chain.done(id).is_none())
            .collect();
        let request = self.dice.pick(&waiting).copied()?;
        let head = self.chain.head();
        let mut fault = SignedFault {
            slot,
            epoch: self.founding.committee.epoch(),
            seq: Seq(head.0 + 1),
            request,
            previous_root: StateRoot::from_bytes([0; 32]),
            inputs: Digest::from_bytes([0; 32]),
            signature: attestation::ids::Signature::from_bytes([0; 64]),
        };
        let identity = self.founding.identity(Endpoint::Signer(slot));
        fault.signature = identity.sign(&fault.signed_bytes(self.founding.committee.domain()));
        Some(fault)
    }
}
