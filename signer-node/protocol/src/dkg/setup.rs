//! What stays the same over all attempts of a ceremony.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use attestation::committee::CreationRecord;
use attestation::ids::{Boot, Digest, IdentityKey, Signature, Slot};
use frost_core::keys::SigningShare;
use frost_core::{Ciphersuite, Element, Group, VerifyingKey};
use light_client::key_record::{change_session, session};
use state::job::Domain;
use zeroize::Zeroizing;

use super::dealing::{constants, own_constant};
use super::{DkgError, KeyRecord, KeyRecordError, KeyShare};
use crate::identity::{Ed25519Verify, SignIdentity, VerifyIdentity};
use crate::membership::Membership;
use crate::message::{DkgBody, DkgMessage};
use crate::planted::{self, Bug};
use crate::reshare::{Change, ChangePlan, PlanError};
use crate::suite::GroupPublicKey;

/// Who takes part, for what, and who this member is in it.
pub(super) struct Setup<C: Ciphersuite> {
    /// Those who get shares.
    pub(super) membership: Membership,
    pub(super) domain: Domain,
    pub(super) slot: Slot,
    pub(super) boot: Boot,
    /// Everybody who takes part: those who deal and those who get shares.
    parties: BTreeMap<Slot, IdentityKey>,
    /// `None` in a key generation, where everybody deals.
    pub(super) change: Option<Changing<C>>,
}

/// What a reshare has beyond a key generation.
pub(super) struct Changing<C: Ciphersuite> {
    digest: Digest,
    /// The plan, for evidence.
    pub(super) plan: Box<ChangePlan>,
    pub(super) group_key: VerifyingKey<C>,
    /// What each dealer's constant is in the exponent.
    pub(super) constants: BTreeMap<Slot, Element<C>>,
    /// This member's own constant, if it deals.
    pub(super) own: Option<Zeroizing<SigningShare<C>>>,
}

impl<C: Ciphersuite> Setup<C> {
    pub(super) fn new(
        record: &CreationRecord,
        slot: Slot,
        boot: Boot,
        identity: &impl SignIdentity,
    ) -> Result<Self, DkgError> {
        Self::watching(record).enter(slot, boot, identity)
    }

    /// A key generation as it looks to whoever takes no part: nobody has slot 0.
    pub(super) fn watching(record: &CreationRecord) -> Self {
        let membership = Membership::of(record);
        let parties = membership.cards();
        let parties = parties.map(|(slot, card)| (slot, card.identity)).collect();
        Self::outside(membership, parties, None)
    }

    /// A reshare, as the member in `slot` of old or new membership. One that has finished has
    /// nothing to deal any more, and perhaps no old share.
    pub(super) fn change(
        change: &Change<'_, C>,
        deals: bool,
        (slot, boot): (Slot, Boot),
        identity: &impl SignIdentity,
        verify: &impl VerifyIdentity,
    ) -> Result<Self, DkgError> {
        let mut setup = Self::watching_by(change, verify)?;
        let dealers = &change.plan.dealers;
        let deals = deals && dealers.contains(&slot);
        let own = match change.share.filter(|_| deals) {
            Some(share) if share.slot == slot && share.belongs_to(change.key) => {
                let secret = share.key.signing_share();
                Some(own_constant(dealers, slot, secret).ok_or(DkgError::Foreign)?)
            }
            Some(_) => return Err(DkgError::Foreign),
            None if deals => return Err(DkgError::NoShare),
            None => None,
        };
        if let Some(changing) = &mut setup.change {
            changing.own = own;
        }
        setup.enter(slot, boot, identity)
    }

    /// A reshare as it looks to whoever takes no part: nobody has slot 0.
    pub(super) fn watching_change(change: &Change<'_, C>) -> Result<Self, DkgError> {
        Self::watching_by(change, &Ed25519Verify)
    }

    fn watching_by(change: &Change<'_, C>, verify: &impl VerifyIdentity) -> Result<Self, DkgError> {
        let membership = planned(change, verify)?;
        let public = change
            .key
            .decode_package::<C>(change.base)
            .ok_or(DkgError::Foreign)?;
        if !change.plan.keys.contains(&change.key.package_digest()) {
            return Err(DkgError::Foreign);
        }
        let dealers = &change.plan.dealers;
        let old = dealers
            .iter()
            .filter_map(|slot| Some((*slot, change.base.member(*slot)?)));
        let parties = old.chain(membership.cards());
        let parties = parties.map(|(slot, card)| (slot, card.identity)).collect();
        let changing = Changing {
            digest: change.plan.digest(),
            plan: Box::new(change.plan.clone()),
            group_key: *public.verifying_key(),
            constants: constants(dealers, &public).ok_or(DkgError::Foreign)?,
            own: None,
        };
        Ok(Self::outside(membership, parties, Some(changing)))
    }

    fn outside(
        membership: Membership,
        parties: BTreeMap<Slot, IdentityKey>,
        change: Option<Changing<C>>,
    ) -> Self {
        Self {
            domain: *membership.domain(),
            membership,
            slot: Slot(0),
            boot: Boot(0),
            parties,
            change,
        }
    }

    fn enter(
        mut self,
        slot: Slot,
        boot: Boot,
        identity: &impl SignIdentity,
    ) -> Result<Self, DkgError> {
        let generator = C::Group::serialize(&C::Group::generator());
        if generator.is_ok_and(|bytes| GroupPublicKey::from_bytes(bytes.as_ref()).is_none()) {
            return Err(DkgError::Suite);
        }
        if self.parties.get(&slot) != Some(&identity.key()) {
            return Err(DkgError::NotMember);
        }
        (self.slot, self.boot) = (slot, boot);
        Ok(self)
    }

    /// Destroys what this member deals from, when nothing will be dealt any more.
    pub(super) fn forget(&mut self) {
        if let Some(change) = &mut self.change {
            change.own = None;
        }
    }

    /// How many take part.
    pub(super) fn parties(&self) -> usize {
        self.parties.len()
    }

    /// The key that a party signs with.
    pub(super) fn identity(&self, slot: Slot) -> Option<&IdentityKey> {
        self.parties.get(&slot)
    }

    /// All that take part, in slot order.
    pub(super) fn all(&self) -> impl Iterator<Item = Slot> + use<'_, C> {
        self.parties.keys().copied()
    }

    /// All others that take part.
    pub(super) fn others(&self) -> impl Iterator<Item = Slot> + use<'_, C> {
        let slots = self.parties.keys().copied();
        slots.filter(|slot| *slot != self.slot)
    }

    /// All others that get shares.
    pub(super) fn other_members(&self) -> impl Iterator<Item = Slot> + use<'_, C> {
        self.membership.slots().filter(|slot| *slot != self.slot)
    }

    /// Whether the party deals.
    pub(super) fn deals(&self, slot: Slot) -> bool {
        match &self.change {
            None => self.parties.contains_key(&slot),
            Some(change) => change.constants.contains_key(&slot),
        }
    }

    /// Whether the party gets a share.
    pub(super) fn receives(&self, slot: Slot) -> bool {
        self.membership.member(slot).is_some()
    }

    /// All others that deal.
    pub(super) fn other_dealers(&self) -> impl Iterator<Item = Slot> + use<'_, C> {
        self.others().filter(|slot| self.deals(*slot))
    }

    /// Session id of an attempt. A key generation's covers network, committee (and with it members
    /// and threshold), suite and attempt; a reshare's also its plan, and with it base epoch, old
    /// public key packages, dealers, new epoch, members and threshold.
    pub(super) fn session(&self, attempt: u64) -> Digest {
        match &self.change {
            None => session::<C>(&self.domain, attempt),
            Some(change) => change_session::<C>(&self.domain, &change.digest, attempt),
        }
    }

    /// Checks the ceremony's result.
    pub(super) fn check(
        &self,
        record: &KeyRecord,
        verify: &impl VerifyIdentity,
    ) -> Result<(), KeyRecordError> {
        let session = self.session(record.attempt);
        let public = record.check_suite::<C>(&self.membership, &session, verify)?;
        match &self.change {
            Some(change) if change.group_key != *public.verifying_key() => {
                Err(KeyRecordError::GroupKey)
            }
            _ => Ok(()),
        }
    }

    /// Whether a durable share is this member's, of this ceremony and suite.
    pub(super) fn owns(&self, share: &KeyShare<C>) -> bool {
        share.slot == self.slot
            && share.epoch == self.membership.epoch()
            && share.attempt > 0
            && share.session == self.session(share.attempt)
            && share.public.min_signers() == Some(self.membership.threshold())
            && share.public.verifying_shares().len() == self.membership.count()
            && share.matches()
    }

    /// Checks session and signature of a message.
    pub(super) fn verify(
        &self,
        message: &DkgMessage,
        verify: &impl VerifyIdentity,
    ) -> Result<(), DkgError> {
        let key = self.parties.get(&message.slot).ok_or(DkgError::Sender)?;
        if message.attempt == 0 || message.session != self.session(message.attempt) {
            return Err(DkgError::Session);
        }
        let signed = message.signed_bytes(&self.domain);
        if verify.verify(key, &signed, &message.signature) {
            Ok(())
        } else {
            Err(DkgError::Signature)
        }
    }

    /// A signed message of this member.
    pub(super) fn envelope(
        &self,
        identity: &impl SignIdentity,
        attempt: u64,
        body: DkgBody,
    ) -> DkgMessage {
        let mut message = DkgMessage {
            session: self.session(attempt),
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

/// The members of the new epoch, if the plan is one.
fn planned<C: Ciphersuite>(
    change: &Change<'_, C>,
    verify: &impl VerifyIdentity,
) -> Result<Membership, PlanError> {
    match change.plan.check(change.base, verify) {
        Err(PlanError::Quorum(_)) if planted::is(Bug::ThresholdUnchecked) => {
            let mut lax = change.plan.clone();
            lax.threshold = u16::try_from(lax.members.len()).unwrap_or(u16::MAX);
            lax.check(change.base, verify)
        }
        checked => checked,
    }
}
