//! The public result of a key generation or a reshare.

use alloc::vec::Vec;

use attestation::codec::{self, Layout, Malformed};
use attestation::committee::CreationRecord;
use attestation::ids::{
    Boot, CommitteeId, Digest, Epoch, EvmKey, GroupKey, IdentityKey, Signature, Slot,
};
use attestation::tags;
use frost_core::keys::PublicKeyPackage;
use frost_core::{Ciphersuite, Identifier};
use frost_ed25519::Ed25519Sha512;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use state::job::Domain;

use crate::identity::{Ed25519Verify, VerifyIdentity};
use crate::membership::{FIRST_EPOCH, Membership};
use crate::plan::{ChangePlan, PlanError};
use crate::suite::{self, Evm, GroupPublicKey, GroupSignature};

/// Longest encoded key record in bytes: 150 certifications and verifying shares.
pub const KEY_RECORD_BYTES_MAX: usize = 64 * 1024;

/// The public result of a key generation or a reshare: verifies offline against the creation
/// record, or against the plan and the key of the epoch before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Committee.
    pub committee: CommitteeId,
    /// The generation of shares: 1 after a key generation, that of its plan after a reshare.
    pub epoch: Epoch,
    /// The attempt that succeeded, from 1.
    pub attempt: u64,
    /// The group key.
    pub group_key: GroupPublicKey,
    /// Threshold t.
    pub threshold: u16,
    /// `PublicKeyPackage::serialize`: group key and every member's verifying share.
    pub public_package: ByteBuf,
    /// Session id of the attempt.
    pub session: Digest,
    /// Hash over all round-1 envelopes of the session.
    pub transcript: Digest,
    /// All members' certifications, in slot order.
    pub certificate: Vec<Certification>,
    /// Signature of the group key by all n members over the canary.
    pub canary: GroupSignature,
}

/// A member's signature that its share of a key is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certification {
    /// The member's start count when it signed.
    pub boot: Boot,
    /// Its signature over [`Certification::signed_bytes`].
    pub signature: Signature,
}

/// Why a key record is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRecordError {
    /// The bytes are not a record.
    #[error("key record bytes: {0}")]
    Malformed(#[from] Malformed),
    /// Another committee's, or of another epoch, threshold or session.
    #[error("key record of another committee, epoch, threshold or session")]
    Committee,
    /// The public package is not canonical or not that of these members, threshold and group key.
    #[error("public key package does not fit members, threshold and group key")]
    PublicPackage,
    /// The group key is of another suite, not a canonical key of prime order that consumers take,
    /// or not that of the epoch before.
    #[error("group key is not sound, of another suite, or not that of the epoch before")]
    GroupKey,
    /// The plan that the record is checked against is none for its base.
    #[error("plan of the record: {0}")]
    Plan(#[from] PlanError),
    /// A certification is missing or does not verify.
    #[error("certification of member {0} is missing or does not verify")]
    Certification(Slot),
    /// The canary signature does not verify.
    #[error("canary signature does not verify")]
    Canary,
}

impl KeyRecord {
    /// Decodes a record. [`Self::check`] it before use.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are not a record.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        codec::decode(bytes, KEY_RECORD_BYTES_MAX)
    }

    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Checks the record against the committee's creation record, which the caller has checked.
    ///
    /// # Errors
    /// [`KeyRecordError`] names the first check that failed.
    pub fn check(&self, record: &CreationRecord) -> Result<(), KeyRecordError> {
        let members = Membership::of(record);
        let session = session::<Ed25519Sha512>(&members.domain, self.attempt);
        self.check_ed25519(&members, &session)
    }

    /// Checks the record of the second key, for EVM chains, against the committee's creation
    /// record, which the caller has checked; the key.
    ///
    /// # Errors
    /// [`KeyRecordError`] names the first check that failed; [`KeyRecordError::Committee`] also if
    /// the committee has no such key.
    pub fn check_evm(&self, record: &CreationRecord) -> Result<EvmKey, KeyRecordError> {
        if !record.evm {
            return Err(KeyRecordError::Committee);
        }
        let key = self.group_key.evm().ok_or(KeyRecordError::GroupKey)?;
        suite::evm_point(&key).ok_or(KeyRecordError::GroupKey)?;
        let members = Membership::of(record);
        let session = session::<Evm>(&members.domain, self.attempt);
        self.check_suite::<Evm>(&members, &session, &Ed25519Verify)?;
        Ok(key)
    }

    /// Checks the record of a later epoch against the plan that it comes from, the membership that
    /// the plan is made for, and the key of that epoch, which the caller has checked.
    ///
    /// # Errors
    /// [`KeyRecordError`] names the first check that failed.
    pub fn check_change(
        &self,
        plan: &ChangePlan,
        base: &Membership,
        key: &Self,
    ) -> Result<Membership, KeyRecordError> {
        let members = plan.check(base, &Ed25519Verify)?;
        if self.group_key != key.group_key {
            return Err(KeyRecordError::GroupKey);
        }
        if !plan.keys.contains(&key.package_digest()) {
            return Err(KeyRecordError::Committee);
        }
        let plan = plan.digest();
        let session = change_session::<Ed25519Sha512>(&members.domain, &plan, self.attempt);
        self.check_ed25519(&members, &session)?;
        Ok(members)
    }

    /// Checks a record that was checked before and kept, with the members it was checked against
    /// and the digest of the plan that it comes from, which the first epoch has none of.
    ///
    /// # Errors
    /// [`KeyRecordError`] names the first check that failed.
    pub(crate) fn check_kept(
        &self,
        members: &Membership,
        plan: &Digest,
    ) -> Result<(), KeyRecordError> {
        let session = if members.epoch == FIRST_EPOCH {
            session::<Ed25519Sha512>(&members.domain, self.attempt)
        } else {
            change_session::<Ed25519Sha512>(&members.domain, plan, self.attempt)
        };
        self.check_ed25519(members, &session)
    }

    fn check_ed25519(&self, members: &Membership, session: &Digest) -> Result<(), KeyRecordError> {
        let key = self.ed25519_key()?;
        key.check().map_err(|_| KeyRecordError::GroupKey)?;
        self.check_suite::<Ed25519Sha512>(members, session, &Ed25519Verify)?;
        let canary = canary(&members.domain, &self.session, &self.digest());
        let signature = self.canary.ed25519().ok_or(KeyRecordError::Canary)?;
        if attestation::identity::verify_group(&key, &canary, &signature) {
            Ok(())
        } else {
            Err(KeyRecordError::Canary)
        }
    }

    /// Checks everything that does not depend on the suite being Ed25519; the public package.
    ///
    /// # Errors
    /// [`KeyRecordError`] names the first check that failed.
    pub fn check_suite<C: Ciphersuite>(
        &self,
        members: &Membership,
        session: &Digest,
        verify: &impl VerifyIdentity,
    ) -> Result<PublicKeyPackage<C>, KeyRecordError> {
        if self.committee != members.domain.committee
            || self.epoch != members.epoch
            || self.threshold != members.threshold
            || self.attempt == 0
            || self.session != *session
        {
            return Err(KeyRecordError::Committee);
        }
        let public = self
            .decode_package::<C>(members)
            .ok_or(KeyRecordError::PublicPackage)?;
        let digest = self.digest();
        check_certificate(members, &self.session, &digest, &self.certificate, verify)?;
        let canary = canary(&members.domain, &self.session, &digest);
        frost_core::Signature::<C>::deserialize(self.canary.as_bytes())
            .and_then(|signature| public.verifying_key().verify(&canary, &signature))
            .map_err(|_| KeyRecordError::Canary)?;
        Ok(public)
    }

    /// The public package, canonical and of exactly the members, threshold and key of the record.
    #[must_use]
    pub fn decode_package<C: Ciphersuite>(
        &self,
        members: &Membership,
    ) -> Option<PublicKeyPackage<C>> {
        let public = PublicKeyPackage::<C>::deserialize(&self.public_package).ok()?;
        let fits = public.serialize().ok()? == *self.public_package
            && public.min_signers() == Some(self.threshold)
            && public.verifying_key().serialize().ok()? == self.group_key.as_bytes()
            && public.verifying_shares().len() == members.count()
            && members.slots().all(|slot| {
                Identifier::try_from(slot.0)
                    .is_ok_and(|identifier| public.verifying_shares().contains_key(&identifier))
            });
        fits.then_some(public)
    }

    /// The public package of the Ed25519 suite.
    ///
    /// # Errors
    /// [`KeyRecordError::PublicPackage`] if the bytes are not one.
    pub fn public_key_package(&self) -> Result<PublicKeyPackage<Ed25519Sha512>, KeyRecordError> {
        PublicKeyPackage::deserialize(&self.public_package)
            .map_err(|_| KeyRecordError::PublicPackage)
    }

    /// The group key of a record of the suite that attests steps.
    ///
    /// # Errors
    /// [`KeyRecordError::GroupKey`] if the record is of another suite.
    pub fn ed25519_key(&self) -> Result<GroupKey, KeyRecordError> {
        self.group_key.ed25519().ok_or(KeyRecordError::GroupKey)
    }

    /// Digest of the public key package: what a [`ChangePlan`] names the key that it changes by,
    /// and what the cutover names the new one by (rule B4).
    #[must_use]
    pub fn package_digest(&self) -> Digest {
        Layout::new(tags::PUBLIC_PACKAGE)
            .fixed(self.committee.as_bytes())
            .number(self.epoch.0)
            .bytes(&self.public_package)
            .digest()
    }

    fn digest(&self) -> Digest {
        certified(&self.session, &self.transcript, &self.public_package)
    }
}

/// Session id of an attempt: network, committee (and with it members and threshold), suite,
/// attempt.
#[must_use]
pub fn session<C: Ciphersuite>(domain: &Domain, attempt: u64) -> Digest {
    domain
        .layout(tags::DKG_SESSION)
        .bytes(C::ID.as_bytes())
        .number(attempt)
        .digest()
}

/// Session id of an attempt of a reshare, whose plan has this digest.
#[must_use]
pub fn change_session<C: Ciphersuite>(domain: &Domain, plan: &Digest, attempt: u64) -> Digest {
    domain
        .layout(tags::RESHARE_SESSION)
        .bytes(C::ID.as_bytes())
        .fixed(plan.as_bytes())
        .number(attempt)
        .digest()
}

/// What members certify: one key out of one round 1.
#[must_use]
pub fn certified(session: &Digest, transcript: &Digest, public_package: &[u8]) -> Digest {
    Layout::new(tags::DKG_CERTIFY)
        .fixed(session.as_bytes())
        .fixed(transcript.as_bytes())
        .bytes(public_package)
        .digest()
}

/// What all members sign together before the key is usable.
#[must_use]
pub fn canary(domain: &Domain, session: &Digest, certified: &Digest) -> Vec<u8> {
    domain
        .layout(tags::CANARY)
        .fixed(session.as_bytes())
        .fixed(certified.as_bytes())
        .into_bytes()
}

impl Certification {
    /// The bytes that a member signs once its share is durable: `digest` is what it certifies.
    #[must_use]
    pub fn signed_bytes(
        domain: &Domain,
        session: &Digest,
        (slot, boot): (Slot, Boot),
        digest: &Digest,
    ) -> Vec<u8> {
        domain
            .layout(tags::DKG_CERTIFY)
            .fixed(session.as_bytes())
            .number(slot.0)
            .number(boot.0)
            .number(1u64)
            .fixed(digest.as_bytes())
            .into_bytes()
    }

    fn verifies(
        &self,
        domain: &Domain,
        (slot, key): (Slot, &IdentityKey),
        (session, digest): (&Digest, &Digest),
        verify: &impl VerifyIdentity,
    ) -> bool {
        let signed = Self::signed_bytes(domain, session, (slot, self.boot), digest);
        verify.verify(key, &signed, &self.signature)
    }
}

/// Checks that all members certified `digest`, each with its identity key.
///
/// # Errors
/// [`KeyRecordError::Certification`] names the first that did not.
pub fn check_certificate(
    members: &Membership,
    session: &Digest,
    digest: &Digest,
    certificate: &[Certification],
    verify: &impl VerifyIdentity,
) -> Result<(), KeyRecordError> {
    let mut certifications = certificate.iter();
    for (slot, card) in members.cards() {
        let error = KeyRecordError::Certification(slot);
        let certification = certifications.next().ok_or(error)?;
        let (key, what) = ((slot, &card.identity), (session, digest));
        if !certification.verifies(members.domain(), key, what, verify) {
            return Err(error);
        }
    }
    match certifications.next() {
        None => Ok(()),
        Some(_) => Err(KeyRecordError::Committee),
    }
}
