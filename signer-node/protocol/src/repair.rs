//! Repair (rule B3): t helpers restore one member's lost share, in the same epoch, and learn
//! nothing by it; nor does that member learn more than its share.
//!
//! ```text
//! helpers  Mask ─ all ─▶ Echo ─ all equal ─▶ Part to each other ─ all ─▶ Sum to the lost one ─▶
//! lost one        all ─▶ Echo ─ all equal ─▶                      all Sums ─▶ Persist ─▶ Restored
//! ```
//! Each helper adds a random mask that vanishes at the lost slot. Masks are committed to, echoed
//! and checked as in a reshare, so that every false value has a culprit, with the signed envelope
//! as proof; the library's own repair returns a wrong share and names nobody. The result is
//! checked against the member's verifying share, which all have: there is no new key, hence no
//! certificate and no canary.
//!
//! Secrets live in memory, so whoever starts anew ends the attempt; operators begin another, with
//! a higher number, perhaps with other helpers. Each message is repeated until the end. Whoever goes
//! on asking after it, or accuses without end, is heard once in [`RESEND_MS_MIN`]: it cannot make
//! others work as often as it can write.
//!
//! **Limits.** A helper helps under a plan that its own operator has approved: the share goes to
//! whoever holds the identity and channel keys of the slot. A repaired member has a share again
//! and not its register: rule C2 says from when on it takes part in steps.

pub(crate) mod evidence;
mod mask;
pub(crate) mod message;
mod output;
mod plan;
#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "small numbers of members")]
mod tests;
#[cfg(test)]
mod vectors;
mod verdict;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use attestation::ids::{Boot, Digest, IdentityKey, Signature, Slot};
use frost_core::Ciphersuite;
use frost_core::keys::dkg::round2;
use frost_core::keys::{PublicKeyPackage, SigningShare};
use rand_core::{CryptoRng, RngCore};
use serde_bytes::ByteBuf;
use state::job::Domain;
use zeroize::Zeroizing;

use self::mask::Commitment;
pub use self::output::{RepairAct, RepairError, RepairOutput};
pub use self::plan::{REPAIR_PLAN_BYTES_MAX, RepairPlan, RepairPlanError};
use crate::dkg::packages::{decode_round2, identifier, share_fits};
use crate::dkg::{KeyRecord, KeyShare, RESEND_MS_MAX, RESEND_MS_MIN};
use crate::evidence::Evidence;
use crate::identity::{SignIdentity, VerifyIdentity};
use crate::membership::Membership;
use crate::message::{RepairBody, RepairMessage, SecretPackage};

/// What a repair is entered with.
#[derive(Clone, Copy, Debug)]
pub struct Repairing<'a, C: Ciphersuite> {
    /// The plan, approved by this member's operator.
    pub plan: &'a RepairPlan,
    /// Members of the epoch.
    pub members: &'a Membership,
    /// Its key, which the caller has checked.
    pub key: &'a KeyRecord,
    /// A helper's share. It is only looked at.
    pub share: Option<&'a KeyShare<C>>,
}

/// One member's part in a repair.
pub struct Repair<C: Ciphersuite, I, V> {
    identity: I,
    verify: V,
    domain: Domain,
    plan: Box<RepairPlan>,
    session: Digest,
    slot: Slot,
    boot: Boot,
    lost: Slot,
    threshold: u16,
    helpers: Vec<Slot>,
    parties: BTreeMap<Slot, IdentityKey>,
    key: KeyRecord,
    public: PublicKeyPackage<C>,
    /// A helper's share.
    own: Option<Zeroizing<SigningShare<C>>>,
    /// A helper's mask: its value at each helper.
    values: BTreeMap<Slot, Zeroizing<SigningShare<C>>>,
    boots: BTreeMap<Slot, Boot>,
    masks: BTreeMap<Slot, RepairMessage>,
    echoes: BTreeMap<Slot, RepairMessage>,
    parts: BTreeMap<Slot, RepairMessage>,
    sums: BTreeMap<Slot, RepairMessage>,
    stage: Stage<C>,
    /// When each party was last answered, or last showed what it takes the most to judge.
    asked_ms: BTreeMap<Slot, u64>,
    /// What is repeated, with its receiver.
    outbox: Vec<(Slot, RepairMessage)>,
    resend: (u64, u64),
    /// What convicts whoever ended it.
    proof: Option<Box<Evidence>>,
    outputs: VecDeque<RepairOutput<C>>,
}

enum Stage<C: Ciphersuite> {
    Idle,
    Masks,
    Echoes,
    Parts(Vec<Commitment<C>>),
    Sums(Vec<Commitment<C>>),
    /// The share being durable.
    Persisted(Box<KeyShare<C>>),
    /// The lost member's word.
    Restored,
    Done,
    Aborted,
}

impl<C: Ciphersuite, I: SignIdentity, V: VerifyIdentity> Repair<C, I, V> {
    /// The part of the member in `slot`, a helper or the one that lost its share; `boot` is how
    /// often its signer has started. [`Self::poll_timeout`] is due at once.
    ///
    /// # Errors
    /// [`RepairError`] if plan, identity, slot or share do not fit.
    pub fn new(
        repairing: &Repairing<'_, C>,
        slot: Slot,
        boot: Boot,
        identity: I,
        verify: V,
    ) -> Result<Self, RepairError> {
        let (plan, members) = (repairing.plan, repairing.members);
        plan.check(members)?;
        let public = repairing.key.decode_package::<C>(members);
        let public = public.ok_or(RepairError::Foreign)?;
        if plan.key != repairing.key.package_digest() {
            return Err(RepairError::Foreign);
        }
        let is_helper = plan.helpers.contains(&slot);
        let own = match repairing.share {
            Some(share) if is_helper => {
                if share.slot() != slot || !share.belongs_to(repairing.key) {
                    return Err(RepairError::Foreign);
                }
                Some(Zeroizing::new(*share.key_package().signing_share()))
            }
            None if is_helper => return Err(RepairError::Foreign),
            _ => None,
        };
        let slots = plan.helpers.iter().chain([&plan.lost]);
        let parties = slots.filter_map(|slot| Some((*slot, members.member(*slot)?.identity)));
        let parties: BTreeMap<_, _> = parties.collect();
        if parties.get(&slot) != Some(&identity.key()) {
            return Err(RepairError::NotMember);
        }
        Ok(Self {
            identity,
            verify,
            domain: *members.domain(),
            plan: Box::new(plan.clone()),
            session: plan.session::<C>(),
            slot,
            boot,
            lost: plan.lost,
            threshold: members.threshold(),
            helpers: plan.helpers.clone(),
            parties,
            key: repairing.key.clone(),
            public,
            own,
            values: BTreeMap::new(),
            boots: BTreeMap::new(),
            masks: BTreeMap::new(),
            echoes: BTreeMap::new(),
            parts: BTreeMap::new(),
            sums: BTreeMap::new(),
            stage: Stage::Idle,
            asked_ms: BTreeMap::new(),
            outbox: Vec::new(),
            resend: (0, RESEND_MS_MIN),
            proof: None,
            outputs: VecDeque::new(),
        })
    }

    /// Takes a message that arrived through the channel of the signer of `from`.
    ///
    /// # Errors
    /// [`RepairError`] says why the message was dropped; the reaction is to count it.
    pub fn handle(
        &mut self,
        now_ms: u64,
        from: Slot,
        message: RepairMessage,
    ) -> Result<(), RepairError> {
        if message.slot != from || from == self.slot {
            return Err(RepairError::Sender);
        }
        self.check(&message)?;
        if matches!(self.stage, Stage::Aborted | Stage::Done) {
            return self.answer(now_ms, from, &message.body);
        }
        let known = *self.boots.entry(from).or_insert(message.boot);
        if message.boot < known {
            return Err(RepairError::Stale);
        }
        if message.boot > known {
            self.abort(Vec::new(), RepairAct::Restarted(from));
            return Ok(());
        }
        self.note(now_ms, message)?;
        self.advance();
        Ok(())
    }

    /// Starts at the first call; later repeats messages.
    pub fn handle_timeout(&mut self, now_ms: u64, rng: &mut (impl RngCore + CryptoRng)) {
        if matches!(self.stage, Stage::Idle) {
            self.stage = Stage::Masks;
            if self.own.is_some() {
                let helpers = self.helpers.iter().copied();
                let (commitment, values) = mask::deal(self.threshold, self.lost, helpers, rng);
                self.values = values;
                let mask = self.tell_all(RepairBody::Mask(ByteBuf::from(commitment)));
                self.masks.insert(self.slot, mask);
            }
            self.resend = (now_ms.saturating_add(RESEND_MS_MIN), RESEND_MS_MIN);
            self.advance();
        } else if self.resend.0 <= now_ms && !matches!(self.stage, Stage::Done | Stage::Aborted) {
            for (to, message) in &self.outbox {
                let (to, message) = (*to, message.clone());
                self.outputs.push_back(RepairOutput::Send { to, message });
            }
            let wait_ms = self.resend.1.saturating_mul(2).min(RESEND_MS_MAX);
            self.resend = (now_ms.saturating_add(wait_ms), wait_ms);
        }
    }

    /// The restored share is durable.
    pub fn persisted(&mut self) {
        match core::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Persisted(share) => {
                self.tell_all(RepairBody::Restored);
                self.outputs.push_back(RepairOutput::Restored(*share));
            }
            other => self.stage = other,
        }
    }

    /// When [`Self::handle_timeout`] wants to be called, Unix milliseconds.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        match self.stage {
            Stage::Done | Stage::Aborted => None,
            _ => Some(self.resend.0),
        }
    }

    /// The next thing to do, if any.
    pub fn poll(&mut self) -> Option<RepairOutput<C>> {
        self.outputs.pop_front()
    }

    /// After [`RepairOutput::Aborted`]: what convicts the culprit before whoever took no part, if
    /// its signed words do, and once it is given the history up to the repair's epoch. Of a repair
    /// of the key that attests; others' files have no verifier.
    #[must_use]
    pub fn proof(&self) -> Option<&Evidence> {
        self.proof.as_deref()
    }

    fn check(&self, message: &RepairMessage) -> Result<(), RepairError> {
        let key = self.parties.get(&message.slot).ok_or(RepairError::Sender)?;
        if message.session != self.session {
            return Err(RepairError::Session);
        }
        let signed = message.signed_bytes(&self.domain);
        match self.verify.verify(key, &signed, &message.signature) {
            true => Ok(()),
            false => Err(RepairError::Signature),
        }
    }

    fn note(&mut self, now_ms: u64, message: RepairMessage) -> Result<(), RepairError> {
        let slot = message.slot;
        let is_helper = self.helpers.contains(&slot);
        match &message.body {
            RepairBody::Mask(bytes) if is_helper && bytes.len() <= MASK_BYTES_MAX => {
                self.note_mask(message);
            }
            RepairBody::Echo(digests) if digests.len() == self.helpers.len() => {
                self.note_echo(message);
            }
            RepairBody::Part { to, package }
                if is_helper && *to == self.slot && fits_size(package) && self.own.is_some() =>
            {
                self.parts.entry(slot).or_insert(message);
            }
            RepairBody::Sum(package)
                if is_helper && self.slot == self.lost && fits_size(package) =>
            {
                self.sums.entry(slot).or_insert(message);
            }
            RepairBody::Evidence(_) => return self.judge(now_ms, message),
            RepairBody::Restored if slot == self.lost => self.end(Stage::Done),
            _ => return Err(RepairError::Malformed),
        }
        Ok(())
    }

    /// Goes on as far as the messages at hand allow.
    fn advance(&mut self) {
        if matches!(self.stage, Stage::Masks) && self.masks.len() == self.helpers.len() {
            let digests = self.digests();
            self.tell_all(RepairBody::Echo(digests));
            self.stage = Stage::Echoes;
        }
        if matches!(self.stage, Stage::Echoes) {
            self.leave_echoes();
        }
        match core::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Parts(masks) if self.parts.len() + 1 == self.helpers.len() => {
                self.stage = Stage::Restored;
                self.leave_parts(&masks);
            }
            Stage::Sums(masks) if self.sums.len() == self.helpers.len() => {
                self.leave_sums(&masks);
            }
            other => self.stage = other,
        }
    }

    /// All hold the same masks: each is checked, and each helper gets its value of this one's.
    fn leave_echoes(&mut self) {
        if !self.echoes_are_equal() || self.echoes.len() + 1 < self.parties.len() {
            return;
        }
        let mut masks = Vec::new();
        for message in self.masks.values() {
            match self.commitment(message) {
                Some(mask) => masks.push(mask),
                None => {
                    let act = RepairAct::Mask(Box::new(message.clone()));
                    return self.abort(alloc::vec![message.slot], act);
                }
            }
        }
        for to in self.helpers.clone() {
            if let Some(value) = self.values.get(&to).filter(|_| to != self.slot) {
                let package = package(value);
                self.tell(to, RepairBody::Part { to, package });
            }
        }
        self.stage = match self.own {
            Some(_) => Stage::Parts(masks),
            None => Stage::Sums(masks),
        };
    }

    /// All parts are here: this helper's share under all masks.
    fn leave_parts(&mut self, masks: &[Commitment<C>]) {
        let mut values = Vec::new();
        for (slot, mask) in self.helpers.clone().into_iter().zip(masks) {
            let Some(message) = self.parts.get(&slot) else {
                continue;
            };
            let value = match &message.body {
                RepairBody::Part { package, .. }
                    if share_fits(identifier(self.slot), package, mask) =>
                {
                    decode_round2::<C>(package)
                }
                _ => None,
            };
            match value {
                Some(value) => values.push(Zeroizing::new(*value.signing_share())),
                None => {
                    let act = RepairAct::Part(Box::new(message.clone()));
                    return self.abort(alloc::vec![slot], act);
                }
            }
        }
        let own = self.values.get(&self.slot).map(|own| **own);
        if let Some(share) = self.own.take() {
            let parts = values.iter().map(|value| **value).chain(own);
            let sum = Zeroizing::new(mask::masked(&share, parts));
            self.tell(self.lost, RepairBody::Sum(package(&sum)));
        }
        self.values.clear();
        self.parts.clear();
    }

    /// All sums are here: each is checked, and the share is where they meet.
    fn leave_sums(&mut self, masks: &[Commitment<C>]) {
        let mut sums = BTreeMap::new();
        for (slot, message) in &self.sums {
            match self.sum(message, masks) {
                Some(sum) => sums.insert(*slot, sum),
                None => {
                    let (slot, act) = (*slot, RepairAct::Sum(Box::new(message.clone())));
                    return self.abort(alloc::vec![slot], act);
                }
            };
        }
        let share = mask::interpolate(&sums, self.lost).and_then(|secret| {
            KeyShare::restored(self.slot, &self.key, *secret, self.public.clone())
        });
        self.sums.clear();
        match share {
            Some(share) => {
                let bytes = share.to_bytes();
                self.outputs.push_back(RepairOutput::Persist(bytes));
                self.stage = Stage::Persisted(Box::new(share));
            }
            None => self.abort(Vec::new(), RepairAct::Refused),
        }
    }

    /// The commitments in a helper's mask, if they are valid.
    fn commitment(&self, message: &RepairMessage) -> Option<Commitment<C>> {
        match &message.body {
            RepairBody::Mask(bytes) => mask::decode(bytes, self.threshold, self.lost),
            _ => None,
        }
    }

    /// The masked share in a helper's message, if it fits.
    fn sum(
        &self,
        message: &RepairMessage,
        masks: &[Commitment<C>],
    ) -> Option<Zeroizing<SigningShare<C>>> {
        let RepairBody::Sum(package) = &message.body else {
            return None;
        };
        let sum = Zeroizing::new(*decode_round2::<C>(package)?.signing_share());
        mask::fits(message.slot, &sum, masks, &self.public).then_some(sum)
    }

    /// Digests of all masks, in slot order. Signatures are not part of them.
    fn digests(&self) -> Vec<Digest> {
        let masks = self.masks.values();
        masks
            .map(|mask| evidence::digest(&self.domain, mask))
            .collect()
    }

    /// Forgets all secrets.
    fn end(&mut self, stage: Stage<C>) {
        if matches!(stage, Stage::Done) {
            self.outputs.push_back(RepairOutput::Helped);
        }
        self.own = None;
        self.values.clear();
        self.parts.clear();
        self.sums.clear();
        self.outbox.clear();
        self.stage = stage;
    }

    fn envelope(&self, body: RepairBody) -> RepairMessage {
        let mut message = RepairMessage {
            session: self.session,
            slot: self.slot,
            boot: self.boot,
            body,
            signature: Signature::from_bytes([0; Signature::LEN]),
        };
        message.signature = self.identity.sign(&message.signed_bytes(&self.domain));
        message
    }

    /// Sends now and again until the end.
    fn tell(&mut self, to: Slot, body: RepairBody) {
        let message = self.envelope(body);
        self.outbox.push((to, message.clone()));
        self.outputs.push_back(RepairOutput::Send { to, message });
    }

    fn tell_all(&mut self, body: RepairBody) -> RepairMessage {
        let message = self.envelope(body);
        let others = self
            .parties
            .keys()
            .copied()
            .filter(|slot| *slot != self.slot);
        for to in others {
            let message = message.clone();
            self.outbox.push((to, message.clone()));
            self.outputs.push_back(RepairOutput::Send { to, message });
        }
        message
    }
}

/// Longest commitments: threshold 150, with room for suites with longer elements.
const MASK_BYTES_MAX: usize = 16 * 1024;
/// Longest value or masked share.
const VALUE_BYTES_MAX: usize = 256;

fn fits_size(package: &SecretPackage) -> bool {
    package.bytes().len() <= VALUE_BYTES_MAX
}

fn package<C: Ciphersuite>(value: &SigningShare<C>) -> SecretPackage {
    let bytes = round2::Package::new(*value).serialize();
    SecretPackage::new(Zeroizing::new(bytes.expect("a fresh package encodes")))
}
