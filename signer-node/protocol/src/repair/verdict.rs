//! Who is to blame when a repair does not come out, judged by each party for itself.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use attestation::codec;
use attestation::ids::Slot;
use frost_core::Ciphersuite;
use zeroize::Zeroizing;

use super::{
    Commitment, MASK_BYTES_MAX, Repair, RepairAct, RepairError, RepairOutput, Stage, identifier,
    share_fits,
};
use crate::blame::Culprit;
use crate::dkg::RESEND_MS_MIN;
use crate::evidence::{Evidence, Fact};
use crate::identity::{SignIdentity, VerifyIdentity};
use crate::message::{RepairBody, RepairMessage, SecretPackage};

/// Longest encoded envelope that can be evidence.
pub(super) const ENVELOPE_BYTES_MAX: usize = MASK_BYTES_MAX + 1024;

impl<C: Ciphersuite, I: SignIdentity, V: VerifyIdentity> Repair<C, I, V> {
    pub(super) fn note_mask(&mut self, message: RepairMessage) {
        match self.masks.get(&message.slot) {
            None => drop(self.masks.insert(message.slot, message)),
            Some(known) if known.boot != message.boot => {
                self.abort(Vec::new(), RepairAct::Restarted(message.slot));
            }
            Some(known) if known.body == message.body => {}
            Some(known) => {
                let slot = message.slot;
                let both = Box::new([known.clone(), message]);
                self.abort(vec![slot], RepairAct::Equivocation(both));
            }
        }
    }

    pub(super) fn note_echo(&mut self, message: RepairMessage) {
        let slot = message.slot;
        let known = self.echoes.entry(slot).or_insert_with(|| message.clone());
        if known.boot == message.boot && known.body != message.body {
            let both = Box::new([known.clone(), message]);
            self.abort(vec![slot], RepairAct::Equivocation(both));
        }
    }

    /// Whether all echoes at hand are this party's own. Where they are not, the masks go to and
    /// fro until somebody has two of one helper.
    pub(super) fn echoes_are_equal(&mut self) -> bool {
        let digests = self.digests();
        let mut evidence = Vec::new();
        for (slot, echo) in &self.echoes {
            let RepairBody::Echo(theirs) = &echo.body else {
                continue;
            };
            let masks = self.masks.values().zip(digests.iter().zip(theirs));
            let other = masks.filter(|(_, (mine, theirs))| mine != theirs);
            evidence.extend(other.map(|(mask, _)| (*slot, RepairBody::Evidence(encode(mask)))));
        }
        let is_equal = evidence.is_empty();
        for (to, body) in evidence {
            let is_new = !self
                .outbox
                .iter()
                .any(|(kept, message)| *kept == to && message.body == body);
            if is_new {
                self.tell(to, body);
            }
        }
        is_equal
    }

    /// Another party's envelope, forwarded as proof of a fault; or an accusation, forwarded as
    /// proof that it is false.
    pub(super) fn judge(
        &mut self,
        now_ms: u64,
        evidence: RepairMessage,
    ) -> Result<(), RepairError> {
        let from = evidence.slot;
        let envelope = self.open(&evidence)?;
        let (accusation, envelope) = match &envelope.body {
            RepairBody::Evidence(_) => {
                let inner = self.open(&envelope)?;
                (envelope, inner)
            }
            _ => (evidence, envelope),
        };
        if accusation.slot == self.slot {
            return Err(RepairError::Unfounded);
        }
        // These take commitments of up to all masks, and what proves nothing can be shown again.
        let is_dear = matches!(envelope.body, RepairBody::Part { .. } | RepairBody::Sum(_));
        if is_dear && !self.may_ask(now_ms, from) {
            return Err(RepairError::TooSoon);
        }
        let culprit = envelope.slot;
        let is_own = culprit == self.slot;
        let act = match &envelope.body {
            RepairBody::Mask(_) if !is_own && self.helpers.contains(&culprit) => {
                self.note_mask(envelope);
                return Ok(());
            }
            // Kept from this party alone, so that it could not judge its sender's accusation.
            RepairBody::Echo(digests) if !is_own && digests.len() == self.helpers.len() => {
                self.note_echo(envelope);
                return Ok(());
            }
            RepairBody::Part { to, package } => {
                let mask = self.mask(culprit, &envelope)?;
                let is_helper = self.helpers.contains(to);
                match is_helper && !share_fits(identifier(*to), package, &mask) {
                    true => Some(RepairAct::Part(Box::new(envelope.clone()))),
                    false => None,
                }
            }
            RepairBody::Sum(_) => {
                self.mask(culprit, &envelope)?;
                let masks: Option<Vec<Commitment<C>>> = self
                    .masks
                    .values()
                    .map(|mask| self.commitment(mask))
                    .collect();
                let masks = masks.ok_or(RepairError::Unfounded)?;
                match self.masks.len() == self.helpers.len() {
                    true if self.sum(&envelope, &masks).is_some() => None,
                    true => Some(RepairAct::Sum(Box::new(envelope.clone()))),
                    false => return Err(RepairError::Unfounded),
                }
            }
            _ => return Err(RepairError::Unfounded),
        };
        match act {
            Some(act) if !is_own => self.abort(vec![culprit], act),
            None => {
                let echo = self.equal_echo(accusation.slot);
                let echo = echo.ok_or(RepairError::Unfounded)?;
                let accuser = accusation.slot;
                let act = RepairAct::Accusation(Box::new([echo, accusation]));
                self.abort(vec![accuser], act);
            }
            Some(_) => return Err(RepairError::Unfounded),
        }
        Ok(())
    }

    /// The valid mask of the start that an envelope is of.
    fn mask(&self, slot: Slot, envelope: &RepairMessage) -> Result<Commitment<C>, RepairError> {
        let mask = self.masks.get(&slot).ok_or(RepairError::Unfounded)?;
        if mask.boot != envelope.boot {
            return Err(RepairError::Unfounded);
        }
        self.commitment(mask).ok_or(RepairError::Unfounded)
    }

    /// The echo in which a party has signed that it measures by the masks that this one holds.
    fn equal_echo(&self, slot: Slot) -> Option<RepairMessage> {
        let echo = self.echoes.get(&slot)?;
        let is_equal = matches!(&echo.body, RepairBody::Echo(theirs) if *theirs == self.digests());
        is_equal.then(|| echo.clone())
    }

    fn open(&self, evidence: &RepairMessage) -> Result<RepairMessage, RepairError> {
        let RepairBody::Evidence(bytes) = &evidence.body else {
            return Err(RepairError::Unfounded);
        };
        let envelope: RepairMessage =
            codec::decode(bytes.bytes(), ENVELOPE_BYTES_MAX).map_err(|_| RepairError::Malformed)?;
        self.check(&envelope)?;
        Ok(envelope)
    }

    /// Ends the attempt; the evidence goes to all, and again to whoever still writes.
    pub(super) fn abort(&mut self, culprits: Vec<Slot>, act: RepairAct) {
        let envelopes: &[RepairMessage] = match &act {
            RepairAct::Equivocation(both) | RepairAct::Accusation(both) => &both[..],
            RepairAct::Part(one) | RepairAct::Sum(one) => core::slice::from_ref(one),
            // All hold the mask themselves, or there is nothing to show.
            RepairAct::Mask(_) | RepairAct::Restarted(_) | RepairAct::Refused => &[],
        };
        let bodies: Vec<_> = envelopes
            .iter()
            .map(encode)
            .map(RepairBody::Evidence)
            .collect();
        if let [culprit] = culprits.as_slice() {
            let echo = self.echoes.get(culprit);
            let deed = super::evidence::of(&act, self.masks.values(), echo);
            self.proof = deed.map(|act| {
                let (committee, plan) = (self.domain.committee, self.plan.clone());
                let fact = Fact::Repair { act, plan };
                Box::new(Evidence::new(committee, Culprit::Member(*culprit), fact))
            });
        }
        self.end(Stage::Aborted);
        for body in bodies {
            self.tell_all(body);
        }
        self.outputs
            .push_back(RepairOutput::Aborted { culprits, act });
    }

    /// What the finished and the aborted say to whoever still writes.
    pub(super) fn answer(
        &mut self,
        now_ms: u64,
        to: Slot,
        body: &RepairBody,
    ) -> Result<(), RepairError> {
        if !matches!(body, RepairBody::Restored | RepairBody::Evidence(_)) {
            if !self.may_ask(now_ms, to) {
                return Err(RepairError::TooSoon);
            }
            let mine = self.outbox.iter().filter(|(receiver, _)| *receiver == to);
            for (to, message) in mine {
                let (to, message) = (*to, message.clone());
                self.outputs.push_back(RepairOutput::Send { to, message });
            }
        }
        Err(RepairError::Over)
    }

    /// Whether a party has not asked for anything in the last [`RESEND_MS_MIN`]. It has now.
    fn may_ask(&mut self, now_ms: u64, from: Slot) -> bool {
        let last = self.asked_ms.get(&from);
        let may = last.is_none_or(|last| now_ms >= last.saturating_add(RESEND_MS_MIN));
        if may {
            self.asked_ms.insert(from, now_ms);
        }
        may
    }
}

fn encode(envelope: &RepairMessage) -> SecretPackage {
    SecretPackage::new(Zeroizing::new(codec::encode(envelope)))
}
