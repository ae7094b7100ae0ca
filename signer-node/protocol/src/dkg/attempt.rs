//! One attempt: what has arrived, what was sent, and what it waits for.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use attestation::codec;
use attestation::ids::{Boot, Digest, Slot};
use attestation::tags;
use frost_core::keys::dkg::{self, round1, round2};
use frost_core::keys::{SecretShare, VerifiableSecretSharingCommitment};
use frost_core::{Ciphersuite, Error, Identifier};
use rand_core::{CryptoRng, RngCore};
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::canary::{Canary, Nonces, Outcome, Share};
use super::record::{certified, session};
use super::setup::{Setup, canonical, identifier};
use super::{
    ATTEMPT_MS, Act, DkgError, DkgOutput, JUMP_MAX, KeyRecord, KeyShare, RESEND_MS_MAX,
    RESEND_MS_MIN,
};
use crate::identity::SignIdentity;
use crate::message::{Certification, DkgBody, DkgMessage, SecretPackage};

/// Longest encoded envelope that can be evidence: a round-1 package of threshold 150.
pub(super) const ENVELOPE_BYTES_MAX: usize = PACKAGE_BYTES_MAX + 1024;
/// Longest round-1 package, with room for suites with longer elements.
const PACKAGE_BYTES_MAX: usize = 16 * 1024;
/// Longest canary commitments or share.
const CANARY_BYTES_MAX: usize = 256;

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

/// How far a member has shown to be; each means that it has all of the stage before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    Round1,
    Echo,
    Round2,
    Certify,
    Canary,
}

/// What a message did.
pub(super) enum Progress {
    Noted,
    /// Its sender has started anew within this attempt, without a share.
    Restarted,
    /// It proves a fault.
    Fault(Slot, Act),
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

pub(super) struct Attempt<C: Ciphersuite> {
    pub(super) number: u64,
    /// All members have certified: this attempt or none.
    pub(super) bound: bool,
    session: Digest,
    /// `None` only while a step has it in hand.
    stage: Option<Stage<C>>,
    deadline_ms: Option<u64>,
    resend_at_ms: u64,
    resend_ms: u64,
    shown: BTreeMap<Slot, Shown>,
    /// Round-1 envelopes, this member's included.
    round1: BTreeMap<Slot, DkgMessage>,
    echoes: BTreeMap<Slot, DkgMessage>,
    round2: BTreeMap<Slot, DkgMessage>,
    certified: BTreeMap<Slot, (Digest, Certification)>,
    nonces: BTreeMap<Slot, Nonces>,
    shares: BTreeMap<Slot, Share>,
    /// What this member has sent, to be repeated.
    sent_echo: Option<DkgMessage>,
    sent_evidence: BTreeMap<Slot, Vec<DkgMessage>>,
    sent_round2: BTreeMap<Slot, DkgMessage>,
    sent_certify: Option<DkgMessage>,
    sent_nonces: Option<DkgMessage>,
    sent_share: Option<DkgMessage>,
    /// Digest that this member certifies.
    digest: Option<Digest>,
    /// Canary round that a restarted member makes necessary.
    round_min: u64,
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
        attempt.round1.insert(setup.slot, envelope);
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
        attempt.deadline_ms = (!share.bound).then(|| now_ms.saturating_add(ATTEMPT_MS));
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
            resend_at_ms: now_ms,
            resend_ms: RESEND_MS_MIN,
            shown: BTreeMap::new(),
            round1: BTreeMap::new(),
            echoes: BTreeMap::new(),
            round2: BTreeMap::new(),
            certified: BTreeMap::new(),
            nonces: BTreeMap::new(),
            shares: BTreeMap::new(),
            sent_echo: None,
            sent_evidence: BTreeMap::new(),
            sent_round2: BTreeMap::new(),
            sent_certify: None,
            sent_nonces: None,
            sent_share: None,
            digest: None,
            round_min: 1,
        }
    }

    pub(super) fn gives_up(&self, now_ms: u64) -> bool {
        !self.bound && self.deadline_ms.is_some_and(|at| at <= now_ms)
    }

    pub(super) fn poll_timeout(&self) -> Option<u64> {
        self.deadline_ms
            .into_iter()
            .chain([self.resend_at_ms])
            .min()
    }

    /// A member has started anew: it may lack everything.
    pub(super) fn forget_shown(&mut self, slot: Slot) {
        self.shown.remove(&slot);
    }

    /// Somebody is behind: repeat soon.
    pub(super) fn repeat_soon(&mut self, now_ms: u64) {
        self.resend_ms = RESEND_MS_MIN;
        self.resend_at_ms = self.resend_at_ms.min(now_ms.saturating_add(RESEND_MS_MIN));
    }

    /// Repeats to each member what it has not shown to have, if it is time to.
    pub(super) fn repeat(
        &mut self,
        now_ms: u64,
        setup: &Setup,
        outputs: &mut VecDeque<DkgOutput<C>>,
    ) {
        if now_ms < self.resend_at_ms {
            return;
        }
        self.resend_at_ms = now_ms.saturating_add(self.resend_ms);
        self.resend_ms = self.resend_ms.saturating_mul(2).min(RESEND_MS_MAX);
        for to in setup.others() {
            for message in self.missing(to, setup.slot) {
                let message = message.clone();
                outputs.push_back(DkgOutput::Send { to, message });
            }
        }
    }

    fn missing(&self, to: Slot, own: Slot) -> impl Iterator<Item = &DkgMessage> {
        let shown = self.shown.get(&to).copied();
        let lacks = |stage| shown < Some(stage);
        let round1 = self.round1.get(&own).filter(|_| lacks(Shown::Echo));
        let echo = self.sent_echo.as_ref().filter(|_| lacks(Shown::Round2));
        let evidence = self.sent_evidence.get(&to).into_iter().flatten();
        let round2 = self.sent_round2.get(&to).filter(|_| lacks(Shown::Certify));
        let certify = self.sent_certify.as_ref().filter(|_| lacks(Shown::Canary));
        round1
            .into_iter()
            .chain(echo)
            .chain(evidence)
            .chain(round2)
            .chain(certify)
            .chain(&self.sent_nonces)
            .chain(&self.sent_share)
    }

    /// All members' certifications, once this member has them.
    pub(super) fn certificate(&self) -> Option<DkgBody> {
        let digest = self
            .digest
            .filter(|_| self.bound && self.sent_nonces.is_some())?;
        Some(DkgBody::Certificate {
            digest,
            certifications: self.certifications(),
        })
    }

    fn certifications(&self) -> Vec<Certification> {
        self.certified
            .values()
            .map(|(_, certification)| *certification)
            .collect()
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
            self.certified = setup.record.slots().zip(certified).collect();
        }
    }

    /// Stores a verified message of this attempt.
    pub(super) fn note(
        &mut self,
        now_ms: u64,
        setup: &Setup,
        message: DkgMessage,
    ) -> Result<Progress, DkgError> {
        let slot = message.slot;
        let shown = match &message.body {
            DkgBody::Round1(package) if package.len() <= PACKAGE_BYTES_MAX => {
                let progress = self.note_round1(message)?;
                self.show(now_ms, slot, Shown::Round1);
                return Ok(progress);
            }
            DkgBody::Echo(digests) if digests.len() == setup.members() => {
                self.echoes.entry(slot).or_insert(message);
                Shown::Echo
            }
            DkgBody::Round2 { to, package }
                if *to == setup.slot && package.bytes().len() <= PACKAGE_BYTES_MAX =>
            {
                self.round2.entry(slot).or_insert(message);
                Shown::Round2
            }
            DkgBody::Certify(digest) => {
                let certification = Certification {
                    boot: message.boot,
                    signature: message.signature,
                };
                self.certified
                    .entry(slot)
                    .or_insert((*digest, certification));
                Shown::Certify
            }
            DkgBody::CanaryNonces { round, commitments }
                if commitments.len() <= CANARY_BYTES_MAX && *round <= self.round_max() =>
            {
                let (round, boot) = (*round, message.boot);
                let progress = self.note_nonces(slot, boot, round, commitments)?;
                self.show(now_ms, slot, Shown::Canary);
                return Ok(progress);
            }
            DkgBody::CanaryShare { round, share, .. }
                if share.len() <= CANARY_BYTES_MAX && *round <= self.round_max() =>
            {
                self.note_share(slot, &message.body);
                Shown::Canary
            }
            _ => return Err(DkgError::Malformed),
        };
        self.show(now_ms, slot, shown);
        Ok(Progress::Noted)
    }

    fn show(&mut self, now_ms: u64, slot: Slot, shown: Shown) {
        let last = self.shown.entry(slot).or_insert(shown);
        if shown < *last {
            // It repeats what lies behind it: something of ours has not arrived.
            self.repeat_soon(now_ms);
        } else {
            *last = shown;
        }
    }

    fn round_max(&self) -> u64 {
        self.round_min.saturating_add(JUMP_MAX)
    }

    fn note_round1(&mut self, message: DkgMessage) -> Result<Progress, DkgError> {
        let slot = message.slot;
        match self.round1.get(&slot) {
            // A resumed attempt is past round 1 and has none of it.
            None if self.digest.is_some() => Ok(Progress::Noted),
            None => {
                self.round1.insert(slot, message);
                Ok(Progress::Noted)
            }
            Some(known) if known.boot < message.boot => Ok(Progress::Restarted),
            Some(known) if known.boot > message.boot => Err(DkgError::Stale),
            Some(known) if known.body == message.body => Ok(Progress::Noted),
            Some(known) => {
                let both = Box::new([known.clone(), message]);
                Ok(Progress::Fault(slot, Act::Equivocation(both)))
            }
        }
    }

    fn note_nonces(
        &mut self,
        slot: Slot,
        boot: Boot,
        round: u64,
        commitments: &[u8],
    ) -> Result<Progress, DkgError> {
        if let Some(known) = self.nonces.get(&slot) {
            if round < known.round {
                return Err(DkgError::Stale);
            }
            if round == known.round && *known.commitments != *commitments {
                if boot <= known.boot {
                    return Ok(Progress::Fault(slot, Act::CanaryNonces));
                }
                // It restarted; what was signed with its former nonces cannot be completed.
                self.round_min = self.round_min.max(round.saturating_add(1));
            }
        }
        let commitments = commitments.to_vec();
        self.round_min = self.round_min.max(round);
        self.nonces.insert(
            slot,
            Nonces {
                boot,
                round,
                commitments,
            },
        );
        Ok(Progress::Noted)
    }

    fn note_share(&mut self, slot: Slot, body: &DkgBody) {
        let DkgBody::CanaryShare {
            round,
            package,
            share,
        } = body
        else {
            return;
        };
        let is_newer = self
            .shares
            .get(&slot)
            .is_none_or(|known| known.round < *round || known.package != *package);
        if is_newer {
            let (round, package, bytes) = (*round, *package, share.to_vec());
            self.shares.insert(
                slot,
                Share {
                    round,
                    package,
                    bytes,
                },
            );
        }
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
        match &envelope.body {
            DkgBody::Round1(_) if self.round1.contains_key(&envelope.slot) => {
                self.note_round1(envelope)
            }
            DkgBody::Round2 { to, package } => {
                let dealer = self.round1.get(&envelope.slot).ok_or(DkgError::Unfounded)?;
                let round1 = decode_round1::<C>(dealer, setup.record.threshold);
                let receiver = setup.record.member(*to).map(|_| *to);
                let (Some(round1), Some(receiver)) = (round1, receiver) else {
                    return Err(DkgError::Unfounded);
                };
                if dealer.boot != envelope.boot
                    || share_fits(identifier(receiver), package, round1.commitment())
                {
                    return Err(DkgError::Unfounded);
                }
                let act = Act::Round2(Box::new(envelope.clone()));
                Ok(Progress::Fault(envelope.slot, act))
            }
            _ => Err(DkgError::Unfounded),
        }
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
                if let Some(certify) = &self.sent_certify {
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
            self.resend_ms = RESEND_MS_MIN;
            self.resend_at_ms = now_ms.saturating_add(RESEND_MS_MIN);
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
        if self.round1.len() < setup.members() {
            return (Stage::Round1(secret), Step::Waits);
        }
        self.deadline_ms = Some(now_ms.saturating_add(ATTEMPT_MS));
        let echo = DkgBody::Echo(self.round1_digests(setup));
        let echo = setup.envelope::<C>(effects.identity, self.number, echo);
        effects.broadcast(&echo);
        self.sent_echo = Some(echo);
        (Stage::Echoes(secret), Step::Moved)
    }

    fn round1_digests(&self, setup: &Setup) -> Vec<Digest> {
        let digest = |message: &DkgMessage| {
            Digest::from_bytes(Sha256::digest(message.signed_bytes(&setup.domain)).into())
        };
        self.round1.values().map(digest).collect()
    }

    fn transcript(&self, setup: &Setup) -> Digest {
        self.round1_digests(setup)
            .iter()
            .fold(
                setup.domain.layout(tags::DKG_ECHO).number(3u64),
                |layout, digest| layout.fixed(digest.as_bytes()),
            )
            .digest()
    }

    /// All echoes are here and equal: shares for all.
    fn leave_echoes<I: SignIdentity>(
        &mut self,
        secret: Box<round1::SecretPackage<C>>,
        effects: &mut Effects<'_, C, I>,
    ) -> (Stage<C>, Step) {
        let setup = effects.setup;
        let mine = self.round1_digests(setup);
        let mut all_equal = true;
        for (slot, echo) in &self.echoes {
            let DkgBody::Echo(theirs) = &echo.body else {
                continue;
            };
            for ((dealer, envelope), (mine, theirs)) in
                self.round1.iter().zip(mine.iter().zip(theirs))
            {
                if mine == theirs {
                    continue;
                }
                all_equal = false;
                if dealer == slot && envelope.boot == echo.boot {
                    let both = Box::new([envelope.clone(), echo.clone()]);
                    return (
                        Stage::Echoes(secret),
                        Step::Fault(vec![*slot], Act::Echo(both)),
                    );
                }
                // One of the two holds a second package of this dealer: compare them.
                let sent = self.sent_evidence.entry(*slot).or_default();
                if !is_sent(sent, envelope) {
                    let body = DkgBody::Evidence(encode(envelope));
                    let message = setup.envelope::<C>(effects.identity, self.number, body);
                    sent.push(message.clone());
                    effects
                        .outputs
                        .push_back(DkgOutput::Send { to: *slot, message });
                }
            }
        }
        if !all_equal || self.echoes.len() + 1 < setup.members() {
            return (Stage::Echoes(secret), Step::Waits);
        }
        let packages = match self.decode_round1_of_others(setup) {
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
            self.sent_round2.insert(to, message.clone());
            effects.send(to, message);
        }
        (Stage::Shares(Box::new(secret)), Step::Moved)
    }

    fn decode_round1_of_others(&self, setup: &Setup) -> Result<Round1Packages<C>, Slot> {
        setup
            .others()
            .map(|slot| {
                let envelope = self.round1.get(&slot).ok_or(slot)?;
                let package = decode_round1(envelope, setup.record.threshold).ok_or(slot)?;
                Ok((identifier(slot), package))
            })
            .collect()
    }

    fn bad_round1(&self, culprit: Slot) -> Step {
        match self.round1.get(&culprit) {
            Some(envelope) => Step::Fault(vec![culprit], Act::Round1(Box::new(envelope.clone()))),
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
        let round1 = &self.round1;
        self.round2.retain(|slot, message| {
            round1
                .get(slot)
                .is_some_and(|first| first.boot == message.boot)
        });
        if self.round2.len() + 1 < setup.members() {
            return (Stage::Shares(secret), Step::Waits);
        }
        let Ok(packages) = self.decode_round1_of_others(setup) else {
            return (Stage::Shares(secret), Step::Fault(vec![], Act::Refused));
        };
        let own = identifier(setup.slot);
        let mut shares = BTreeMap::new();
        for (slot, message) in &self.round2 {
            let DkgBody::Round2 { package, .. } = &message.body else {
                continue;
            };
            let fits = packages
                .get(&identifier(*slot))
                .is_some_and(|first| share_fits(own, package, first.commitment()));
            match decode_round2::<C>(package).filter(|_| fits) {
                Some(share) => shares.insert(identifier(*slot), share),
                None => {
                    let act = Act::Round2(Box::new(message.clone()));
                    return (Stage::Shares(secret), Step::Fault(vec![*slot], act));
                }
            };
        }
        let Ok((key, public)) = dkg::part3(&secret, &packages, &shares) else {
            return (Stage::Shares(secret), Step::Fault(vec![], Act::Refused));
        };
        let share = KeyShare {
            slot: setup.slot,
            attempt: self.number,
            session: self.session,
            transcript: self.transcript(setup),
            bound: false,
            key,
            public,
        };
        if !share.matches() {
            return (Stage::Shares(secret), Step::Fault(vec![], Act::Refused));
        }
        *effects.share = Some(share);
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
        self.certified.insert(setup.slot, (digest, certification));
        self.digest = Some(digest);
        self.sent_certify = Some(message);
    }

    /// All have certified: bound from here on, durably, before the canary.
    fn leave_certificates<I: SignIdentity>(
        &mut self,
        effects: &mut Effects<'_, C, I>,
    ) -> (Stage<C>, Step) {
        let Some(digest) = self.digest else {
            return (Stage::Certificates, Step::Waits);
        };
        let mut others = self.certified.iter();
        if let Some((culprit, _)) = others.find(|(_, (theirs, _))| *theirs != digest) {
            return (
                Stage::Certificates,
                Step::Fault(vec![*culprit], Act::Certify),
            );
        }
        if self.certified.len() < effects.setup.members() {
            return (Stage::Certificates, Step::Waits);
        }
        self.bound = true;
        self.deadline_ms = None;
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
        let round = self.round_min;
        let canary = Canary::new(effects.setup, share, &digest, round, now_ms, rng);
        self.deadline_ms = Some(canary.deadline_ms);
        let setup = effects.setup;
        // A certificate serves the late better than this member's certification alone.
        let certificate = DkgBody::Certificate {
            digest,
            certifications: self.certifications(),
        };
        self.sent_certify = Some(setup.envelope::<C>(effects.identity, self.number, certificate));
        let nonces = setup.envelope::<C>(effects.identity, self.number, canary.nonces_body());
        effects.broadcast(&nonces);
        self.sent_nonces = Some(nonces);
        self.sent_share = None;
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
            self.round_min = self.round_min.max(canary.round.saturating_add(1));
        }
        if self.round_min > canary.round {
            return (self.open_canary(now_ms, rng, effects), Step::Moved);
        }
        let Some(share) = effects.share.as_ref() else {
            return (Stage::Canary(canary), Step::Waits);
        };
        let setup = effects.setup;
        let outcome = canary.step(setup, share, &self.nonces, &self.shares);
        let step = match outcome {
            Outcome::Waits => Step::Waits,
            Outcome::Signed(body) => {
                let message = setup.envelope::<C>(effects.identity, self.number, body);
                effects.broadcast(&message);
                self.sent_share = Some(message);
                Step::Moved
            }
            Outcome::Faults(culprits) => Step::Fault(culprits, Act::CanaryShare),
            Outcome::Signature(signature) => {
                match share.record(&setup.domain, self.certifications(), signature) {
                    Some(record) => Step::Key(Box::new(record)),
                    None => Step::Fault(vec![], Act::Refused),
                }
            }
        };
        (Stage::Canary(canary), step)
    }
}

type Round1Packages<C> = BTreeMap<Identifier<C>, round1::Package<C>>;

fn is_sent(sent: &[DkgMessage], envelope: &DkgMessage) -> bool {
    let body = DkgBody::Evidence(encode(envelope));
    sent.iter().any(|message| message.body == body)
}

fn encode(envelope: &DkgMessage) -> SecretPackage {
    SecretPackage::new(Zeroizing::new(codec::encode(envelope)))
}

/// The envelopes that convict, for all others.
pub(super) fn evidence(act: &Act) -> Vec<DkgBody> {
    let envelopes: &[DkgMessage] = match act {
        Act::Equivocation(both) => &both[..],
        // Whoever holds another round-1 package than this one has a pair of them.
        Act::Echo(both) => both.get(..1).unwrap_or_default(),
        Act::Round2(envelope) => core::slice::from_ref(envelope),
        // The others hold these themselves, or there is nothing to show.
        Act::Round1(_)
        | Act::Certify
        | Act::CanaryNonces
        | Act::CanaryShare
        | Act::ShareLost
        | Act::Refused => &[],
    };
    let body = |envelope| DkgBody::Evidence(encode(envelope));
    envelopes.iter().map(body).collect()
}

fn decode_round1<C: Ciphersuite>(
    envelope: &DkgMessage,
    threshold: u16,
) -> Option<round1::Package<C>> {
    let DkgBody::Round1(bytes) = &envelope.body else {
        return None;
    };
    canonical(
        bytes,
        round1::Package::deserialize,
        round1::Package::serialize,
    )
    .filter(|package| package.commitment().coefficients().len() == usize::from(threshold))
}

fn decode_round2<C: Ciphersuite>(package: &SecretPackage) -> Option<round2::Package<C>> {
    canonical(
        package.bytes(),
        round2::Package::deserialize,
        round2::Package::serialize,
    )
}

/// Feldman's check: the share is the commitment's value at the receiver.
fn share_fits<C: Ciphersuite>(
    receiver: Identifier<C>,
    package: &SecretPackage,
    commitment: &VerifiableSecretSharingCommitment<C>,
) -> bool {
    decode_round2(package).is_some_and(|package| {
        SecretShare::new(receiver, *package.signing_share(), commitment.clone())
            .verify()
            .is_ok()
    })
}

fn culprit_of<C: Ciphersuite>(setup: &Setup, error: &Error<C>) -> Option<Slot> {
    let culprits = error.culprits();
    setup
        .others()
        .find(|slot| culprits.contains(&identifier(*slot)))
}
