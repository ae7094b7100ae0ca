//! One attempt: the stages, each named for what it waits for.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use attestation::ids::{Digest, Slot};
use frost_core::Ciphersuite;
use frost_core::keys::PublicKeyPackage;
use rand_core::{CryptoRng, RngCore};
use serde_bytes::ByteBuf;

use super::canary::Canary;
use super::dealing::{Dealt, resharing_public};
use super::inbox::{Inbox, Progress};
use super::outbox::Outbox;
use super::setup::Setup;
use super::{
    ATTEMPT_MS, Act, DkgError, DkgOutput, DkgStage, KeyRecord, KeyShare, PendingShares, doubled,
};
use crate::identity::SignIdentity;
use crate::message::{Certification, DkgBody, DkgMessage};
use crate::planted::{self, Bug};
use light_client::key_record::certified;

/// What one attempt waits for.
pub(super) enum Stage<C: Ciphersuite> {
    Round1(Dealt<C>),
    Echoes(Dealt<C>),
    Shares(Dealt<C>),
    /// The share of this number being durable.
    Persisted(u64),
    Certificates,
    /// The bound share of this number being durable.
    Bound(u64),
    Canary(Box<Canary<C>>),
    /// The key record: this member only deals.
    Record,
}

/// What a step did.
pub(super) enum Step {
    Waits,
    Moved,
    Key(Box<KeyRecord>),
    Fault(Vec<Slot>, Act),
}

/// What a step may change outside of its attempt.
pub(super) struct Effects<'a, C: Ciphersuite, I> {
    pub(super) setup: &'a Setup<C>,
    pub(super) identity: &'a I,
    pub(super) shares: &'a mut PendingShares<C>,
    pub(super) persists: &'a mut (u64, u64),
    pub(super) outputs: &'a mut VecDeque<DkgOutput<C>>,
}

impl<C: Ciphersuite, I> Effects<'_, C, I> {
    pub(super) fn send(&mut self, to: Slot, message: DkgMessage) {
        self.outputs.push_back(DkgOutput::Send { to, message });
    }

    pub(super) fn broadcast(&mut self, message: &DkgMessage) {
        for to in self.setup.others() {
            let message = message.clone();
            self.outputs.push_back(DkgOutput::Send { to, message });
        }
    }

    pub(super) fn tell_members(&mut self, message: &DkgMessage) {
        for to in self.setup.other_members() {
            let message = message.clone();
            self.outputs.push_back(DkgOutput::Send { to, message });
        }
    }

    /// Asks for the shares to be made durable; returns the number to wait for.
    pub(super) fn persist(&mut self) -> u64 {
        if let Some(bytes) = self.shares.to_bytes() {
            self.outputs.push_back(DkgOutput::Persist(bytes));
            self.persists.0 = self.persists.0.saturating_add(1);
        }
        self.persists.0
    }
}

/// Machines that are too slow for one attempt have twice the time in the next.
fn attempt_deadline_ms(now_ms: u64, attempt: u64) -> u64 {
    now_ms.saturating_add(doubled(ATTEMPT_MS, attempt))
}

pub(super) struct Attempt<C: Ciphersuite> {
    pub(super) number: u64,
    /// All members have certified: this attempt or none.
    pub(super) bound: bool,
    pub(super) session: Digest,
    /// `None` only while a step has it in hand.
    stage: Option<Stage<C>>,
    pub(super) deadline_ms: Option<u64>,
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    /// Digest that members certify.
    pub(super) digest: Option<Digest>,
}

impl<C: Ciphersuite> Attempt<C> {
    /// A new attempt with a fresh polynomial.
    pub(super) fn start(
        setup: &Setup<C>,
        identity: &impl SignIdentity,
        number: u64,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Self {
        let (dealt, package) = Dealt::deal(setup, rng);
        let body = DkgBody::Round1(ByteBuf::from(package));
        let mut attempt = Self::empty(setup, number, now_ms);
        let envelope = setup.envelope(identity, number, body);
        attempt.outbox.round1 = Some(envelope.clone());
        attempt.inbox.round1.insert(setup.slot, envelope);
        attempt.stage = Some(Stage::Round1(dealt));
        attempt
    }

    /// The attempt of a durable share, from certification on.
    pub(super) fn resume(
        setup: &Setup<C>,
        identity: &impl SignIdentity,
        share: &KeyShare<C>,
        now_ms: u64,
    ) -> Self {
        let mut attempt = Self::empty(setup, share.attempt, now_ms);
        attempt.bound = share.bound;
        attempt.deadline_ms = (!share.bound).then(|| attempt_deadline_ms(now_ms, share.attempt));
        attempt.certify(setup, identity, share);
        attempt
    }

    /// An attempt that all members have certified, as a member sees it that only deals and has
    /// started anew since.
    pub(super) fn watch(setup: &Setup<C>, number: u64, digest: Digest, now_ms: u64) -> Self {
        let mut attempt = Self::empty(setup, number, now_ms);
        attempt.digest = Some(digest);
        attempt
    }

    fn empty(setup: &Setup<C>, number: u64, now_ms: u64) -> Self {
        Self {
            number,
            bound: false,
            session: setup.session(number),
            stage: Some(Stage::Certificates),
            deadline_ms: None,
            inbox: Inbox {
                round_min: 1,
                ..Inbox::default()
            },
            outbox: Outbox::new(now_ms),
            digest: None,
        }
    }

    /// The stage, and how many members' part of it is here, this member's included.
    pub(super) fn progress(&self, setup: &Setup<C>) -> (DkgStage, usize) {
        let inbox = &self.inbox;
        match &self.stage {
            None | Some(Stage::Round1(_)) => (DkgStage::Round1, inbox.round1.len()),
            Some(Stage::Echoes(_)) => (DkgStage::Echoes, inbox.echoes.len() + 1),
            Some(Stage::Shares(_)) => {
                let own = usize::from(setup.deals(setup.slot));
                (DkgStage::Shares, inbox.round2.len() + own)
            }
            Some(Stage::Persisted(_)) => (DkgStage::Certificates, 0),
            Some(Stage::Certificates) => (DkgStage::Certificates, inbox.certified.len()),
            Some(Stage::Bound(_)) => (DkgStage::Canary, 0),
            Some(Stage::Canary(canary)) => {
                let here = |slot: &Slot| canary.is_here(*slot, &inbox.nonces, &inbox.shares);
                (
                    DkgStage::Canary,
                    setup.other_members().filter(here).count() + 1,
                )
            }
            Some(Stage::Record) => (DkgStage::Canary, 0),
        }
    }

    /// Those whose part in the present stage is not here yet.
    pub(super) fn missing(&self, setup: &Setup<C>) -> Vec<Slot> {
        let inbox = &self.inbox;
        let lacks = |slot: &Slot| match &self.stage {
            Some(Stage::Round1(_)) => !inbox.round1.contains_key(slot),
            Some(Stage::Echoes(_)) => !inbox.echoes.contains_key(slot),
            Some(Stage::Shares(_)) => setup.deals(*slot) && !inbox.round2.contains_key(slot),
            Some(Stage::Certificates) => {
                setup.receives(*slot) && !inbox.certified.contains_key(slot)
            }
            Some(Stage::Canary(canary)) => {
                setup.receives(*slot) && !canary.is_here(*slot, &inbox.nonces, &inbox.shares)
            }
            None | Some(Stage::Persisted(_) | Stage::Bound(_) | Stage::Record) => false,
        };
        setup.others().filter(lacks).collect()
    }

    /// What this member has told to all, to be said again when it has ended.
    pub(super) fn question(&self, setup: &Setup<C>) -> Option<DkgMessage> {
        let round1 = self.inbox.round1.get(&setup.slot);
        round1.or(self.outbox.certify.as_ref()).cloned()
    }

    pub(super) fn gives_up(&self, now_ms: u64) -> bool {
        !self.bound && self.deadline_ms.is_some_and(|at| at <= now_ms)
    }

    pub(super) fn poll_timeout(&self) -> Option<u64> {
        self.deadline_ms
            .into_iter()
            .chain([self.outbox.resend_at_ms])
            .min()
    }

    /// All members' certifications, once this member has them and is bound to them durably.
    pub(super) fn certificate(&self) -> Option<DkgBody> {
        let shown = &self.outbox.certify.as_ref()?.body;
        matches!(shown, DkgBody::Certificate { .. }).then(|| shown.clone())
    }

    /// Whether it is this attempt, and waits for certifications of `digest`.
    pub(super) fn expects(&self, number: u64, digest: &Digest) -> bool {
        self.number == number && self.digest == Some(*digest)
    }

    /// Takes all members' certifications of `digest`, which the caller has verified.
    pub(super) fn accept_certificate(
        &mut self,
        setup: &Setup<C>,
        digest: &Digest,
        certifications: Vec<Certification>,
    ) {
        if self.digest == Some(*digest) {
            let certified = certifications.into_iter().map(|one| (*digest, one));
            self.inbox.certified = setup.membership.slots().zip(certified).collect();
        }
    }

    /// Takes a verified message of this attempt.
    pub(super) fn note(
        &mut self,
        now_ms: u64,
        setup: &Setup<C>,
        message: DkgMessage,
    ) -> Result<Progress, DkgError> {
        if self.inbox.is_behind(&message) {
            self.outbox.repeat_soon(now_ms);
        }
        // A resumed attempt is past round 1 and has none of it to compare with.
        if matches!(message.body, DkgBody::Round1(_)) && self.outbox.round1.is_none() {
            return Ok(Progress::Noted);
        }
        if matches!(message.body, DkgBody::Certify(_)) && self.waits_in_vain(setup, &message) {
            return Ok(Progress::Restarted);
        }
        self.inbox.note(setup, message)
    }

    /// Whether what this member waits for from the sender of a certification can never come: the
    /// sender has started anew since, from its durable share, and has nothing of before.
    fn waits_in_vain(&self, setup: &Setup<C>, certify: &DkgMessage) -> bool {
        let slot = certify.slot;
        if !setup.receives(slot) {
            return false;
        }
        let Some(round1) = self.inbox.round1.get(&slot) else {
            // Nobody certifies without this member's echo, which needs that package: it is this
            // member that has started anew.
            return matches!(self.stage, Some(Stage::Round1(_)));
        };
        let has = |held: &BTreeMap<Slot, DkgMessage>| {
            let message = held.get(&slot);
            message.is_some_and(|message| message.boot == round1.boot)
        };
        let lacks = match &self.stage {
            Some(Stage::Echoes(_)) => !has(&self.inbox.echoes),
            Some(Stage::Shares(_)) => setup.deals(slot) && !has(&self.inbox.round2),
            _ => false,
        };
        lacks && certify.boot > round1.boot
    }

    /// Looks at a verified envelope that another member forwards; both are of this
    /// attempt, or whoever has not seen them could not judge the two together.
    pub(super) fn judge(
        &mut self,
        setup: &Setup<C>,
        accusation: DkgMessage,
        envelope: DkgMessage,
    ) -> Result<Progress, DkgError> {
        if (envelope.attempt, accusation.attempt) != (self.number, self.number) {
            return Err(DkgError::Unfounded);
        }
        self.inbox.judge(setup, accusation, envelope)
    }

    /// Repeats to each member what it has not shown to have, if it is time to.
    pub(super) fn repeat(
        &mut self,
        now_ms: u64,
        setup: &Setup<C>,
        outputs: &mut VecDeque<DkgOutput<C>>,
    ) {
        self.outbox
            .repeat(now_ms, setup, &self.inbox.shown, outputs);
    }

    /// Goes one stage further if everything for it is here.
    pub(super) fn step<I: SignIdentity>(
        &mut self,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
        effects: &mut Effects<'_, C, I>,
    ) -> Step {
        let Some(stage) = self.stage.take() else {
            return Step::Waits;
        };
        let before = mem::discriminant(&stage);
        let (stage, step) = match stage {
            Stage::Round1(dealt) => self.leave_round1(now_ms, dealt, effects),
            Stage::Echoes(dealt) => self.leave_echoes(dealt, effects),
            Stage::Shares(dealt) => self.leave_shares(dealt, effects),
            Stage::Persisted(number)
                if effects.persists.1 >= number || planted::is(Bug::CertifiedEarly) =>
            {
                if let Some(share) = effects.shares.of(&self.session) {
                    self.certify(effects.setup, effects.identity, share);
                }
                if let Some(certify) = &self.outbox.certify {
                    effects.broadcast(certify);
                }
                (Stage::Certificates, Step::Moved)
            }
            Stage::Certificates => self.leave_certificates(effects),
            Stage::Bound(number) if effects.persists.1 >= number => {
                (self.open_canary(now_ms, rng, effects), Step::Moved)
            }
            Stage::Canary(canary) => self.step_canary(now_ms, rng, canary, effects),
            waits => (waits, Step::Waits),
        };
        if before != mem::discriminant(&stage) {
            self.outbox.restart(now_ms);
        }
        self.stage = Some(stage);
        step
    }

    /// All round-1 packages are here: tell all which.
    fn leave_round1<I: SignIdentity>(
        &mut self,
        now_ms: u64,
        dealt: Dealt<C>,
        effects: &mut Effects<'_, C, I>,
    ) -> (Stage<C>, Step) {
        let setup = effects.setup;
        if self.inbox.round1.len() < setup.parties() {
            return (Stage::Round1(dealt), Step::Waits);
        }
        self.deadline_ms = Some(attempt_deadline_ms(now_ms, self.number));
        let echo = DkgBody::Echo(self.inbox.round1_digests(setup));
        let echo = setup.envelope(effects.identity, self.number, echo);
        effects.broadcast(&echo);
        self.outbox.echo = Some(echo);
        (Stage::Echoes(dealt), Step::Moved)
    }

    /// All echoes are here and equal: shares for all.
    fn leave_echoes<I: SignIdentity>(
        &mut self,
        dealt: Dealt<C>,
        effects: &mut Effects<'_, C, I>,
    ) -> (Stage<C>, Step) {
        let setup = effects.setup;
        let all_equal = match self.compare_echoes(effects) {
            Ok(all_equal) => all_equal,
            Err(step) => return (Stage::Echoes(dealt), step),
        };
        if !all_equal || self.inbox.echoes.len() + 1 < setup.parties() {
            return (Stage::Echoes(dealt), Step::Waits);
        }
        let (kept, packages) = match dealt.shares(setup, &self.inbox.round1) {
            Ok(parts) => parts,
            Err(culprit) => return (Stage::Echoes(dealt), self.bad_round1(culprit)),
        };
        for (to, package) in packages {
            let body = DkgBody::Round2 { to, package };
            let message = setup.envelope(effects.identity, self.number, body);
            self.outbox.round2.insert(to, message.clone());
            effects.send(to, message);
        }
        if setup.receives(setup.slot) {
            return (Stage::Shares(kept), Step::Moved);
        }
        let Some(public) = resharing_public(setup, &self.inbox.round1) else {
            return (Stage::Shares(kept), Step::Fault(vec![], Act::Refused));
        };
        self.digest = Some(self.certified(setup, &public));
        (Stage::Certificates, Step::Moved)
    }

    /// What members certify of this attempt.
    fn certified(&self, setup: &Setup<C>, public: &PublicKeyPackage<C>) -> Digest {
        let public = public.serialize().expect("a public package encodes");
        certified(&self.session, &self.inbox.transcript(setup), &public)
    }

    /// Whether all echoes at hand are this member's own; sends evidence where they are not.
    fn compare_echoes<I: SignIdentity>(
        &mut self,
        effects: &mut Effects<'_, C, I>,
    ) -> Result<bool, Step> {
        let (setup, number) = (effects.setup, self.number);
        let digests = self.inbox.round1_digests(setup);
        let mut all_equal = true;
        for (slot, echo) in &self.inbox.echoes {
            let DkgBody::Echo(theirs) = &echo.body else {
                continue;
            };
            let envelopes = self.inbox.round1.iter().zip(digests.iter().zip(theirs));
            for ((dealer, envelope), (mine, theirs)) in envelopes {
                if mine == theirs {
                    continue;
                }
                all_equal = false;
                if dealer == slot && envelope.boot == echo.boot {
                    let both = Box::new([envelope.clone(), echo.clone()]);
                    return Err(Step::Fault(vec![*slot], Act::Echo(both)));
                }
                // One of the two holds a second package of this dealer: compare them.
                let sign = |body| setup.envelope(effects.identity, number, body);
                if let Some(message) = self.outbox.add_evidence(*slot, envelope, sign) {
                    let to = *slot;
                    effects.outputs.push_back(DkgOutput::Send { to, message });
                }
            }
        }
        Ok(all_equal)
    }

    fn bad_round1(&self, culprit: Option<Slot>) -> Step {
        let envelope = culprit.and_then(|culprit| self.inbox.round1.get(&culprit));
        fault(envelope, Act::Round1)
    }

    fn bad_round2(&self, culprit: Option<Slot>) -> Step {
        let envelope = culprit.and_then(|culprit| self.inbox.round2.get(&culprit));
        fault(envelope, Act::Round2)
    }

    /// All shares are here: check each, then make the sum durable.
    fn leave_shares<I: SignIdentity>(
        &mut self,
        dealt: Dealt<C>,
        effects: &mut Effects<'_, C, I>,
    ) -> (Stage<C>, Step) {
        let setup = effects.setup;
        // A dealer that restarted in between has shares of another polynomial only.
        let round1 = &self.inbox.round1;
        self.inbox.round2.retain(|slot, message| {
            round1
                .get(slot)
                .is_some_and(|first| first.boot == message.boot)
        });
        if self.inbox.round2.len() < setup.other_dealers().count() {
            return (Stage::Shares(dealt), Step::Waits);
        }
        let (key, public) = match dealt.sum(setup, round1, &self.inbox.round2) {
            Ok(parts) => parts,
            Err(culprit) => return (Stage::Shares(dealt), self.bad_round2(culprit)),
        };
        let share = KeyShare {
            slot: setup.slot,
            epoch: setup.membership.epoch(),
            attempt: self.number,
            session: self.session,
            transcript: self.inbox.transcript(setup),
            bound: false,
            key,
            public,
        };
        if !share.matches() {
            return (Stage::Shares(dealt), Step::Fault(vec![], Act::Refused));
        }
        effects.shares.put(share);
        self.inbox.round2.clear();
        (Stage::Persisted(effects.persist()), Step::Moved)
    }
}

/// A fault of the envelope's sender; of nobody if there is none.
fn fault(envelope: Option<&DkgMessage>, act: fn(Box<DkgMessage>) -> Act) -> Step {
    match envelope {
        Some(envelope) => Step::Fault(vec![envelope.slot], act(Box::new(envelope.clone()))),
        None => Step::Fault(vec![], Act::Refused),
    }
}
