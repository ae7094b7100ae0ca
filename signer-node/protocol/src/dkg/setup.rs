//! What stays the same over all attempts of a key generation.

use attestation::committee::CreationRecord;
use attestation::ids::{Boot, Signature, Slot};
use frost_core::{Ciphersuite, Group};
use state::job::Domain;

use super::record::{domain, session};
use super::{DkgError, KeyShare};
use crate::identity::{SignIdentity, VerifyIdentity};
use crate::message::{DkgBody, DkgMessage};

/// Bytes of a group key in a key record.
const GROUP_KEY_BYTES: usize = 32;

/// The committee, and who this member is in it.
pub(super) struct Setup {
    pub(super) record: CreationRecord,
    pub(super) domain: Domain,
    pub(super) slot: Slot,
    pub(super) boot: Boot,
}

impl Setup {
    pub(super) fn new<C: Ciphersuite>(
        record: &CreationRecord,
        slot: Slot,
        boot: Boot,
        identity: &impl SignIdentity,
    ) -> Result<Self, DkgError> {
        let generator = C::Group::serialize(&C::Group::generator());
        if generator.is_ok_and(|bytes| bytes.as_ref().len() != GROUP_KEY_BYTES) {
            return Err(DkgError::Suite);
        }
        match record.member(slot) {
            Some(card) if card.identity == identity.key() => Ok(Self {
                record: record.clone(),
                domain: domain(record),
                slot,
                boot,
            }),
            _ => Err(DkgError::NotMember),
        }
    }

    /// n.
    pub(super) fn members(&self) -> usize {
        self.record.members.len()
    }

    /// All other members.
    pub(super) fn others(&self) -> impl Iterator<Item = Slot> + use<'_> {
        self.record.slots().filter(|slot| *slot != self.slot)
    }

    /// Whether a durable share is this member's, of this committee and suite.
    pub(super) fn owns<C: Ciphersuite>(&self, share: &KeyShare<C>) -> bool {
        share.slot == self.slot
            && share.attempt > 0
            && share.session == session::<C>(&self.domain, share.attempt)
            && share.public.min_signers() == Some(self.record.threshold)
            && share.public.verifying_shares().len() == self.members()
            && share.matches()
    }

    /// Checks session and signature of a message.
    pub(super) fn verify<C: Ciphersuite>(
        &self,
        message: &DkgMessage,
        verify: &impl VerifyIdentity,
    ) -> Result<(), DkgError> {
        let card = self.record.member(message.slot).ok_or(DkgError::Sender)?;
        let expected = session::<C>(&self.domain, message.attempt);
        if message.attempt == 0 || message.session != expected {
            return Err(DkgError::Session);
        }
        let signed = message.signed_bytes(&self.domain);
        if verify.verify(&card.identity, &signed, &message.signature) {
            Ok(())
        } else {
            Err(DkgError::Signature)
        }
    }

    /// A signed message of this member.
    pub(super) fn envelope<C: Ciphersuite>(
        &self,
        identity: &impl SignIdentity,
        attempt: u64,
        body: DkgBody,
    ) -> DkgMessage {
        let mut message = DkgMessage {
            session: session::<C>(&self.domain, attempt),
            attempt,
            slot: self.slot,
            boot: self.boot,
            body,
            signature: Signature::from_bytes([0; Signature::LEN]),
        };
        message.signature = identity.sign(&message.signed_bytes(&self.domain));
        message
    }
}
