//! The canary: one signature of the new key by all n members (not t), which proves that every
//! share works and that every member holds the same key, before anything relies on it.
//!
//! Each round has fresh nonces, which live in memory, are used up by the one signing of their
//! round, and die with the process.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use attestation::ids::{Digest, Slot};
use attestation::tags;
use frost_core::keys::KeyPackage;
use frost_core::round1::{SigningCommitments, SigningNonces};
use frost_core::round2::SignatureShare;
use frost_core::{CheaterDetection, Ciphersuite, SigningPackage};
use light_client::key_record::canary;
use rand_core::{CryptoRng, RngCore};
use serde_bytes::ByteBuf;

use super::packages::{canonical, identifier};
use super::setup::Setup;
use super::{CANARY_MS, KeyShare, doubled};
use crate::message::{DkgBody, DkgMessage};
use crate::suite::GroupSignature;

/// A member's commitments as they arrived, and the message that they arrived in.
pub(super) struct Nonces {
    pub(super) round: u64,
    pub(super) commitments: Vec<u8>,
    pub(super) envelope: DkgMessage,
}

/// Longest canary commitments or share.
pub(super) const CANARY_BYTES_MAX: usize = 256;

/// The commitments that these bytes are, if any.
pub(super) fn commitments_of<C: Ciphersuite>(bytes: &[u8]) -> Option<SigningCommitments<C>> {
    canonical(
        bytes,
        SigningCommitments::<C>::deserialize,
        SigningCommitments::serialize,
    )
}

/// A member's share as it arrived.
pub(super) struct Share {
    pub(super) round: u64,
    pub(super) package: Digest,
    pub(super) bytes: Vec<u8>,
}

/// One round of the canary.
pub(super) struct Canary<C: Ciphersuite> {
    pub(super) round: u64,
    pub(super) deadline_ms: u64,
    message: Vec<u8>,
    nonces: Option<OneShot<C>>,
    commitments: Vec<u8>,
    signed: Option<(Digest, SigningPackage<C>, SignatureShare<C>)>,
    /// Who was shown what this member signed over.
    shown: BTreeSet<Slot>,
}

/// What a step of the canary came to.
pub(super) enum Outcome {
    Waits,
    /// This member's share is ready.
    Signed(DkgBody),
    /// These members' commitments or shares are not valid.
    Faults(Vec<Slot>),
    Signature(GroupSignature),
}

/// Nonces that sign once.
struct OneShot<C: Ciphersuite>(SigningNonces<C>);

impl<C: Ciphersuite> OneShot<C> {
    fn sign(self, package: &SigningPackage<C>, key: &KeyPackage<C>) -> Option<SignatureShare<C>> {
        frost_core::round2::sign(package, &self.0, key).ok()
    }
}

impl<C: Ciphersuite> Canary<C> {
    pub(super) fn new(
        setup: &Setup<C>,
        share: &KeyShare<C>,
        certified: &Digest,
        round: u64,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Self {
        let (nonces, commitments) = frost_core::round1::commit(share.key.signing_share(), rng);
        Self {
            round,
            deadline_ms: now_ms.saturating_add(doubled(CANARY_MS, round)),
            message: canary(&setup.domain, &share.session, certified),
            nonces: Some(OneShot(nonces)),
            commitments: commitments.serialize().expect("fresh commitments encode"),
            signed: None,
            shown: BTreeSet::new(),
        }
    }

    pub(super) fn nonces_body(&self) -> DkgBody {
        DkgBody::CanaryNonces {
            round: self.round,
            commitments: ByteBuf::from(self.commitments.clone()),
        }
    }

    pub(super) fn step(
        &mut self,
        setup: &Setup<C>,
        share: &KeyShare<C>,
        nonces: &BTreeMap<Slot, Nonces>,
        shares: &BTreeMap<Slot, Share>,
    ) -> Outcome {
        let mut others = setup.other_members();
        if !others.all(|slot| self.is_here(slot, nonces, shares)) {
            return Outcome::Waits;
        }
        match self.signed {
            None => self.sign(setup, share, nonces),
            Some(_) => self.aggregate(setup, share, shares),
        }
    }

    /// Those who signed over other commitments than this member, and were not shown its own yet.
    pub(super) fn differing(&mut self, shares: &BTreeMap<Slot, Share>) -> Vec<Slot> {
        let Some((digest, ..)) = &self.signed else {
            return vec![];
        };
        let differs = |share: &Share| share.round == self.round && share.package != *digest;
        let all = shares.iter().filter(|(_, share)| differs(share));
        let new = all.filter(|(slot, _)| self.shown.insert(**slot));
        new.map(|(slot, _)| *slot).collect()
    }

    /// Whether what this member waits for is here of another: its commitments, then its share.
    pub(super) fn is_here(
        &self,
        slot: Slot,
        nonces: &BTreeMap<Slot, Nonces>,
        shares: &BTreeMap<Slot, Share>,
    ) -> bool {
        match &self.signed {
            None => nonces
                .get(&slot)
                .is_some_and(|nonces| nonces.round == self.round),
            Some((digest, ..)) => shares
                .get(&slot)
                .is_some_and(|share| share.round == self.round && share.package == *digest),
        }
    }

    /// Signs: all members' commitments of this round are here.
    fn sign(
        &mut self,
        setup: &Setup<C>,
        share: &KeyShare<C>,
        nonces: &BTreeMap<Slot, Nonces>,
    ) -> Outcome {
        let mut commitments = BTreeMap::new();
        let mut layout = setup
            .domain
            .layout(tags::DKG_CANARY)
            .number(3u64)
            .fixed(share.session.as_bytes())
            .number(self.round);
        for slot in setup.membership.slots() {
            let bytes = nonces
                .get(&slot)
                .map_or(&self.commitments, |nonces| &nonces.commitments);
            match commitments_of(bytes) {
                Some(decoded) => commitments.insert(identifier(slot), decoded),
                None => return Outcome::Faults(vec![slot]),
            };
            layout = layout.bytes(bytes);
        }
        let digest = layout.digest();
        let package = SigningPackage::new(commitments, &self.message);
        let Some(nonces) = self.nonces.take() else {
            return Outcome::Waits;
        };
        let Some(signature_share) = nonces.sign(&package, &share.key) else {
            return Outcome::Faults(vec![]);
        };
        self.signed = Some((digest, package, signature_share));
        Outcome::Signed(DkgBody::CanaryShare {
            round: self.round,
            package: digest,
            share: ByteBuf::from(signature_share.serialize()),
        })
    }

    /// Aggregates: all members' shares over the same commitments are here. Every share is
    /// checked: two colluding members can shift theirs so that only the sum is right.
    fn aggregate(
        &self,
        setup: &Setup<C>,
        share: &KeyShare<C>,
        shares: &BTreeMap<Slot, Share>,
    ) -> Outcome {
        let Some((_, package, own)) = &self.signed else {
            return Outcome::Waits;
        };
        let mut all = BTreeMap::from([(identifier(setup.slot), *own)]);
        let mut culprits = vec![];
        for slot in setup.other_members() {
            let theirs = shares.get(&slot).map_or(&[][..], |theirs| &theirs.bytes);
            match check(share, package, slot, theirs) {
                Some(valid) => {
                    all.insert(identifier(slot), valid);
                }
                None => culprits.push(slot),
            }
        }
        if !culprits.is_empty() {
            return Outcome::Faults(culprits);
        }
        let signature = frost_core::aggregate_custom(
            package,
            &all,
            &share.public,
            CheaterDetection::AllCheaters,
        );
        let bytes = signature.and_then(|signature| signature.serialize());
        match bytes
            .ok()
            .and_then(|bytes| GroupSignature::from_bytes(&bytes))
        {
            Some(signature) => Outcome::Signature(signature),
            None => Outcome::Faults(vec![]),
        }
    }
}

/// A member's share, if it is canonical and fits its commitments and verifying share.
fn check<C: Ciphersuite>(
    share: &KeyShare<C>,
    package: &SigningPackage<C>,
    slot: Slot,
    bytes: &[u8],
) -> Option<SignatureShare<C>> {
    let identifier = identifier(slot);
    let theirs = canonical(bytes, SignatureShare::<C>::deserialize, |share| {
        Ok(share.serialize())
    })?;
    let verifying = share.public.verifying_shares().get(&identifier)?;
    let key = share.public.verifying_key();
    frost_core::verify_signature_share(identifier, verifying, &theirs, package, key).ok()?;
    Some(theirs)
}
