//! One attempt: the stages, each named for what it waits for.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use attestation::ids::{Digest, Slot};
use frost_core::Ciphersuite;
use frost_core::keys::dkg::{self, round1, round2};
use rand_core::{CryptoRng, RngCore};
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use super::canary::{Canary, Outcome, Share};
use super::inbox::{Inbox, Progress};
use super::outbox::Outbox;
use super::packages::{culprit_of, decode_round2, identifier};
use super::record::{certified, session};
use super::setup::Setup;
use super::{ATTEMPT_MS, Act, DkgError, DkgOutput, DkgStage, KeyRecord, KeyShare, doubled};
use crate::identity::SignIdentity;
use crate::message::{Certification, DkgBody, DkgMessage, SecretPackage};

/// What one attempt waits for.
enum Stage<C: Ciphersuite> {
    Round1(Box<round1::SecretPackage<C>>),
    Echoes(Box<round1::SecretPackage<C>>),
    Shares(Box<round2::SecretPackage<C>>),
    /// The share of this number being durable.
    Persisted(u64),
    Certificates,
    /// The bound share of this number being durable.
    Bound(u64),
    Canary(Box<Canary<C>>),
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
    pub(super) setup: &'a Setup,
    pub(super) identity: &'a I,
    pub(super) share: &'a mut Option<KeyShare<C>>,
    pub(super) persists: &'a mut (u64, u64),
    pub(super) outputs: &'a mut VecDeque<DkgOutput<C>>,
}

impl<C: Ciphersuite, I> Effects<'_, C, I> {
    fn send(&mut self, to: Slot, message: DkgMessage) {
        self.outputs.push_back(DkgOutput::Send { to, message });
    }

    fn broadcast(&mut self, message: &DkgMessage) {
        for to in self.setup.others() {
            let message = message.clone();
            self.outputs.push_back(DkgOutput::Send { to, message });
        }
    }

    /// Asks for the share to be made durable; returns the number to wait for.
    fn persist(&mut self) -> u64 {
        if let Some(share) = self.share.as_ref() {
            self.outputs.push_back(DkgOutput::Persist(share.to_bytes()));
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
    session: Digest,
    /// `None` only while a step has it in hand.
    stage: Option<Stage<C>>,
    deadline_ms: Option<u64>,
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    /// Digest that this member certifies.
    digest: Option<Digest>,
}

impl<C: Ciphersuite> Attempt<C> {
    /// A new attempt with a fresh polynomial.
    pub(super) fn start(
        setup: &Setup,
        identity: &impl SignIdentity,
        number: u64,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Self {
        let members = u16::try_from(setup.members()).expect("a record has at most 150 members");
        let own = identifier::<C>(setup.slot);
        let (secret, package) = dkg::part1(own, members, setup.record.threshold, rng)
            .expect("a record's threshold is 3 to n and the suite has a DKG");
        let package = package.serialize().expect("a fresh package encodes");
        let body = DkgBody::Round1(ByteBuf::from(package));
        let mut attempt = Self::empty(setup, number, now_ms);
        let envelope = setup.envelope::<C>(identity, number, body);
        attempt.outbox.round1 = Some(envelope.clone());
        attempt.inbox.round1.insert(setup.slot, envelope);
        attempt.stage = Some(Stage::Round1(Box::new(secret)));
        attempt
    }

    /// The attempt of a durable share, from certification on.
    pub(super) fn resume(
        setup: &Setup,
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

    fn empty(setup: &Setup, number: u64, now_ms: u64) -> Self {
        Self {
            number,
            bound: false,
            session: session::<C>(&setup.domain, number),
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
    pub(super) fn progress(&self, setup: &Setup) -> (DkgStage, usize) {
        let inbox = &self.inbox;
        match &self.stage {
            None | Some(Stage::Round1(_)) => (DkgStage::Round1, inbox.round1.len()),
            Some(Stage::Echoes(_)) => (DkgStage::Echoes, inbox.echoes.len() + 1),
            Some(Stage::Shares(_)) => (DkgStage::Shares, inbox.round2.len() + 1),
            Some(Stage::Persisted(_)) => (DkgStage::Certificates, 0),
            Some(Stage::Certificates) => (DkgStage::Certificates, inbox.certified.len()),
            Some(Stage::Bound(_)) => (DkgStage::Canary, 0),
            Some(Stage::Canary(canary)) => {
                let here = |share: &&Share| share.round == canary.round;
                let shares = inbox.shares.values().filter(here).count();
                (DkgStage::Canary, (shares + 1).min(setup.members()))
            }
        }
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

    /// All members' certifications, once this member has them.
    pub(super) fn certificate(&self) -> Option<DkgBody> {
        let digest = self
            .digest
            .filter(|_| self.bound && self.outbox.nonces.is_some())?;
        Some(DkgBody::Certificate {
            digest,
            certifications: self.inbox.certifications(),
        })
    }

    /// Takes all members' certifications of `digest`, which the caller has verified.
    pub(super) fn accept_certificate(
        &mut self,
        setup: &Setup,
        digest: &Digest,
        certifications: Vec<Certification>,
    ) {
        if self.digest == Some(*digest) {
            let certified = certifications.into_iter().map(|one| (*digest, one));
            self.inbox.certified = setup.record.slots().zip(certified).collect();
        }
    }

    /// Takes a verified message of this attempt.
    pub(super) fn note(
        &mut self,
        now_ms: u64,
        setup: &Setup,
        message: DkgMessage,
    ) -> Result<Progress, DkgError> {
        if self.inbox.is_behind(&message) {
            self.outbox.repeat_soon(now_ms);
        }
        // A resumed attempt is past round 1 and has none of it to compare with.
        if matches!(message.body, DkgBody::Round1(_)) && self.outbox.round1.is_none() {
            return Ok(Progress::Noted);
        }
        self.inbox.note(setup, message)
    }

    /// Looks at a verified envelope that another member forwards as evidence.
    pub(super) fn judge(
        &mut self,
        setup: &Setup,
        envelope: DkgMessage,
    ) -> Result<Progress, DkgError> {
        if envelope.attempt != self.number || envelope.slot == setup.slot {
            return Err(DkgError::Unfounded);
        }
        self.inbox.judge::<C>(setup, envelope)
    }

    /// Repeats to each member what it has not shown to have, if it is time to.
    pub(super) fn repeat(
        &mut self,
        now_ms: u64,
        setup: &Setup,
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
            Stage::Round1(secret) => self.leave_round1(now_ms, secret, effects),
            Stage::Echoes(secret) => self.leave_echoes(secret, effects),
            Stage::Shares(secret) => self.leave_shares(secret, effects),
            Stage::Persisted(number) if effects.persists.1 >= number => {
                if let Some(share) = effects.share.as_ref() {
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
        secret: Box<round1::SecretPackage<C>>,
        effects: &mut Effects<'_, C, I>,
    ) -> (Stage<C>, Step) {
        let setup = effects.setup;
        if self.inbox.round1.len() < setup.members() {
            return (Stage::Round1(secret), Step::Waits);
        }
        self.deadline_ms = Some(attempt_deadline_ms(now_ms, self.number));
        let echo = DkgBody::Echo(self.inbox.round1_digests(setup));
        let echo = setup.envelope::<C>(effects.identity, self.number, echo);
        effects.broadcast(&echo);
        self.outbox.echo = Some(echo);
        (Stage::Echoes(secret), Step::Moved)
    }

    /// All echoes are here and equal: shares for all.
    fn leave_echoes<I: SignIdentity>(
        &mut self,
        secret: Box<round1::SecretPackage<C>>,
        effects: &mut Effects<'_, C, I>,
    ) -> (Stage<C>, Step) {
        let setup = effects.setup;
        let all_equal = match self.compare_echoes(effects) {
            Ok(all_equal) => all_equal,
            Err(step) => return (Stage::Echoes(secret), step),
        };
        if !all_equal || self.inbox.echoes.len() + 1 < setup.members() {
            return (Stage::Echoes(secret), Step::Waits);
        }
        let packages = match self.inbox.decode_round1(setup) {
            Ok(packages) => packages,
            Err(culprit) => return (Stage::Echoes(secret), self.bad_round1(culprit)),
        };
        let (secret, outgoing) = match dkg::part2(*secret.clone(), &packages) {
            Ok(parts) => parts,
            Err(error) => {
                let culprit = culprit_of(setup, &error);
                let step = culprit.map_or(Step::Fault(vec![], Act::Refused), |culprit| {
                    self.bad_round1(culprit)
                });
                return (Stage::Echoes(secret), step);
            }
        };
        for to in setup.others() {
            let Some(package) = outgoing.get(&identifier(to)) else {
                continue;
            };
            let package = package.serialize().expect("a fresh package encodes");
            let package = SecretPackage::new(Zeroizing::new(package));
            let body = DkgBody::Round2 { to, package };
            let message = setup.envelope::<C>(effects.identity, self.number, body);
            self.outbox.round2.insert(to, message.clone());
            effects.send(to, message);
        }
        (Stage::Shares(Box::new(secret)), Step::Moved)
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
                let sign = |body| setup.envelope::<C>(effects.identity, number, body);
                if let Some(message) = self.outbox.add_evidence(*slot, envelope, sign) {
                    let to = *slot;
                    effects.outputs.push_back(DkgOutput::Send { to, message });
                }
            }
        }
        Ok(all_equal)
    }

    fn bad_round1(&self, culprit: Slot) -> Step {
        match self.inbox.round1.get(&culprit) {
            Some(envelope) => Step::Fault(vec![culprit], Act::Round1(Box::new(envelope.clone()))),
            None => Step::Fault(vec![], Act::Refused),
        }
    }

    fn bad_round2(&self, culprit: Slot) -> Step {
        match self.inbox.round2.get(&culprit) {
            Some(envelope) => Step::Fault(vec![culprit], Act::Round2(Box::new(envelope.clone()))),
            None => Step::Fault(vec![], Act::Refused),
        }
    }

    /// All shares are here: check each, then make the sum durable.
    fn leave_shares<I: SignIdentity>(
        &mut self,
        secret: Box<round2::SecretPackage<C>>,
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
        if self.inbox.round2.len() + 1 < setup.members() {
            return (Stage::Shares(secret), Step::Waits);
        }
        let Ok(packages) = self.inbox.decode_round1(setup) else {
            return (Stage::Shares(secret), Step::Fault(vec![], Act::Refused));
        };
        let mut shares = BTreeMap::new();
        for (slot, message) in &self.inbox.round2 {
            let DkgBody::Round2 { package, .. } = &message.body else {
                continue;
            };
            match decode_round2::<C>(package) {
                Some(share) => shares.insert(identifier(*slot), share),
                None => return (Stage::Shares(secret), self.bad_round2(*slot)),
            };
        }
        // Checks each share against its dealer's commitments: t multiplications each, the dearest
        // part of a generation, hence done once.
        let (key, public) = match dkg::part3(&secret, &packages, &shares) {
            Ok(parts) => parts,
            Err(error) => {
                let culprit = culprit_of(setup, &error);
                let step = culprit.map_or(Step::Fault(vec![], Act::Refused), |culprit| {
                    self.bad_round2(culprit)
                });
                return (Stage::Shares(secret), step);
            }
        };
        let share = KeyShare {
            slot: setup.slot,
            attempt: self.number,
            session: self.session,
            transcript: self.inbox.transcript(setup),
            bound: false,
            key,
            public,
        };
        if !share.matches() {
            return (Stage::Shares(secret), Step::Fault(vec![], Act::Refused));
        }
        *effects.share = Some(share);
        self.inbox.round2.clear();
        (Stage::Persisted(effects.persist()), Step::Moved)
    }

    /// Signs that the share is durable.
    fn certify(&mut self, setup: &Setup, identity: &impl SignIdentity, share: &KeyShare<C>) {
        let public = share.public.serialize().expect("a public package encodes");
        let digest = certified(&share.session, &share.transcript, &public);
        let body = DkgBody::Certify(digest);
        let message = setup.envelope::<C>(identity, self.number, body);
        let certification = Certification {
            boot: message.boot,
            signature: message.signature,
        };
        self.inbox
            .certified
            .insert(setup.slot, (digest, certification));
        self.digest = Some(digest);
        self.outbox.certify = Some(message);
    }

    /// All have certified: bound from here on, durably, before the canary.
    fn leave_certificates<I: SignIdentity>(
        &mut self,
        effects: &mut Effects<'_, C, I>,
    ) -> (Stage<C>, Step) {
        let Some(digest) = self.digest else {
            return (Stage::Certificates, Step::Waits);
        };
        let mut others = self.inbox.certified.iter();
        if let Some((culprit, _)) = others.find(|(_, (theirs, _))| *theirs != digest) {
            return (
                Stage::Certificates,
                Step::Fault(vec![*culprit], Act::Certify),
            );
        }
        if self.inbox.certified.len() < effects.setup.members() {
            return (Stage::Certificates, Step::Waits);
        }
        self.bound = true;
        self.deadline_ms = None;
        self.outbox.round2.clear();
        let was_bound = effects
            .share
            .as_mut()
            .is_some_and(|share| mem::replace(&mut share.bound, true));
        let number = if was_bound {
            effects.persists.1
        } else {
            effects.persist()
        };
        (Stage::Bound(number), Step::Moved)
    }

    fn open_canary<I: SignIdentity>(
        &mut self,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
        effects: &mut Effects<'_, C, I>,
    ) -> Stage<C> {
        let (Some(share), Some(digest)) = (effects.share.as_ref(), self.digest) else {
            return Stage::Certificates;
        };
        let round = self.inbox.round_min;
        let canary = Canary::new(effects.setup, share, &digest, round, now_ms, rng);
        self.deadline_ms = Some(canary.deadline_ms);
        let setup = effects.setup;
        // A certificate serves the late better than this member's certification alone.
        let certificate = DkgBody::Certificate {
            digest,
            certifications: self.inbox.certifications(),
        };
        self.outbox.certify = Some(setup.envelope::<C>(effects.identity, self.number, certificate));
        let nonces = setup.envelope::<C>(effects.identity, self.number, canary.nonces_body());
        effects.broadcast(&nonces);
        self.outbox.nonces = Some(nonces);
        self.outbox.share = None;
        Stage::Canary(Box::new(canary))
    }

    fn step_canary<I: SignIdentity>(
        &mut self,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
        mut canary: Box<Canary<C>>,
        effects: &mut Effects<'_, C, I>,
    ) -> (Stage<C>, Step) {
        if canary.deadline_ms <= now_ms {
            self.inbox.round_min = self.inbox.round_min.max(canary.round.saturating_add(1));
        }
        if self.inbox.round_min > canary.round {
            return (self.open_canary(now_ms, rng, effects), Step::Moved);
        }
        let Some(share) = effects.share.as_ref() else {
            return (Stage::Canary(canary), Step::Waits);
        };
        let setup = effects.setup;
        let outcome = canary.step(setup, share, &self.inbox.nonces, &self.inbox.shares);
        let step = match outcome {
            Outcome::Waits => Step::Waits,
            Outcome::Signed(body) => {
                let message = setup.envelope::<C>(effects.identity, self.number, body);
                effects.broadcast(&message);
                self.outbox.share = Some(message);
                Step::Moved
            }
            Outcome::Faults(culprits) => Step::Fault(culprits, Act::CanaryShare),
            Outcome::Signature(signature) => {
                match share.record(&setup.domain, self.inbox.certifications(), signature) {
                    Some(record) => Step::Key(Box::new(record)),
                    None => Step::Fault(vec![], Act::Refused),
                }
            }
        };
        (Stage::Canary(canary), step)
    }
}
