//! The canary: one signature of the new key by all n members (not t), which proves that every
//! share works and that every member holds the same key, before anything relies on it.
//!
//! Each round has fresh nonces, which live in memory, are used up by the one signing of their
//! round, and die with the process.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use attestation::codec::Layout;
use attestation::ids::{Digest, Slot};
use attestation::tags;
use frost_core::keys::{KeyPackage, PublicKeyPackage};
use frost_core::round1::{SigningCommitments, SigningNonces};
use frost_core::round2::SignatureShare;
use frost_core::{CheaterDetection, Ciphersuite, SigningPackage};
use light_client::key_record::{canary, certified};
use rand_core::{CryptoRng, RngCore};
use serde_bytes::ByteBuf;

use super::packages::{canonical, identifier};
use super::setup::Setup;
use super::{CANARY_MS, KeyShare, doubled};
use crate::evidence::CanaryDeed;
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

/// What a member's share is over, and the message that it arrived in.
pub(super) struct Share {
    pub(super) round: u64,
    pub(super) package: Digest,
    pub(super) envelope: DkgMessage,
}

/// One round of the canary.
pub(super) struct Canary<C: Ciphersuite> {
    pub(super) round: u64,
    pub(super) deadline_ms: u64,
    /// The key that all have certified.
    certified: Digest,
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
    /// These members' shares are not valid, which the first one's deed proves.
    Faults(Vec<Slot>, Box<CanaryDeed>),
    /// frost refused what had passed every check.
    Refused,
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
            certified: *certified,
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
            Some(_) => self.aggregate(setup, share, (nonces, shares)),
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

    /// All members' commitments of this round, in slot order, this one's among them.
    fn commitments(&self, setup: &Setup<C>, nonces: &BTreeMap<Slot, Nonces>) -> Vec<ByteBuf> {
        let of = |slot| {
            let theirs = nonces.get(&slot).map(|nonces| &nonces.commitments);
            ByteBuf::from(theirs.unwrap_or(&self.commitments).clone())
        };
        setup.membership.slots().map(of).collect()
    }

    /// Signs: all members' commitments of this round are here.
    fn sign(
        &mut self,
        setup: &Setup<C>,
        share: &KeyShare<C>,
        nonces: &BTreeMap<Slot, Nonces>,
    ) -> Outcome {
        let all = self.commitments(setup, nonces);
        let (session, certified) = (&share.session, &self.certified);
        let digest = package_digest(setup, session, self.round, certified, &all);
        let package = signing_package(setup, session, certified, &all);
        let (Some(package), Some(nonces)) = (package, self.nonces.take()) else {
            return Outcome::Refused;
        };
        let Some(signature_share) = nonces.sign(&package, &share.key) else {
            return Outcome::Refused;
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
        (nonces, shares): (&BTreeMap<Slot, Nonces>, &BTreeMap<Slot, Share>),
    ) -> Outcome {
        let Some((_, package, own)) = &self.signed else {
            return Outcome::Waits;
        };
        let mut all = BTreeMap::from([(identifier(setup.slot), *own)]);
        let mut bad = vec![];
        for (slot, theirs) in shares {
            match check(&share.public, package, &theirs.envelope) {
                Some(valid) => {
                    all.insert(identifier(*slot), valid);
                }
                None => bad.push(&theirs.envelope),
            }
        }
        if let Some(first) = bad.first() {
            let public = share.public.serialize().expect("a public package encodes");
            let deed = CanaryDeed {
                share: (*first).clone(),
                transcript: share.transcript,
                public_package: ByteBuf::from(public),
                commitments: self.commitments(setup, nonces),
            };
            let culprits = bad.iter().map(|envelope| envelope.slot).collect();
            return Outcome::Faults(culprits, Box::new(deed));
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
            None => Outcome::Refused,
        }
    }
}

/// What members sign that they give their shares over. It names the key too: whoever holds one
/// share, and nothing else that its sender said, knows all that it is measured by.
fn package_digest<C: Ciphersuite>(
    setup: &Setup<C>,
    session: &Digest,
    round: u64,
    certified: &Digest,
    commitments: &[ByteBuf],
) -> Digest {
    let layout = setup
        .domain
        .layout(tags::DKG_CANARY)
        .number(3u64)
        .fixed(session.as_bytes())
        .number(round)
        .fixed(certified.as_bytes());
    let add = |layout: Layout, bytes: &ByteBuf| layout.bytes(bytes);
    commitments.iter().fold(layout, add).digest()
}

/// The canary and all members' commitments to it, if they are some.
fn signing_package<C: Ciphersuite>(
    setup: &Setup<C>,
    session: &Digest,
    certified: &Digest,
    commitments: &[ByteBuf],
) -> Option<SigningPackage<C>> {
    let all = setup.membership.slots().zip(commitments);
    let decoded = all.map(|(slot, bytes)| Some((identifier(slot), commitments_of(bytes)?)));
    let message = canary(&setup.domain, session, certified);
    Some(SigningPackage::new(
        decoded.collect::<Option<_>>()?,
        &message,
    ))
}

/// Whether a share of the canary fails under its sender's verifying share; `None` if its sender
/// has not signed that it is over this key and these commitments.
pub(super) fn canary_share_fails<C: Ciphersuite>(
    setup: &Setup<C>,
    deed: &CanaryDeed,
) -> Option<bool> {
    let DkgBody::CanaryShare { round, package, .. } = &deed.share.body else {
        return None;
    };
    let (session, commitments) = (&deed.share.session, &deed.commitments);
    let certified = certified(session, &deed.transcript, &deed.public_package);
    let all_here = commitments.len() == setup.membership.count();
    let digest = package_digest(setup, session, *round, &certified, commitments);
    if !all_here || digest != *package || !setup.receives(deed.share.slot) {
        return None;
    }
    let public = canonical(
        &deed.public_package,
        PublicKeyPackage::<C>::deserialize,
        PublicKeyPackage::serialize,
    )?;
    let package = signing_package(setup, session, &certified, commitments)?;
    Some(check(&public, &package, &deed.share).is_none())
}

/// A member's share, if it is canonical and fits its commitments and verifying share.
fn check<C: Ciphersuite>(
    public: &PublicKeyPackage<C>,
    package: &SigningPackage<C>,
    envelope: &DkgMessage,
) -> Option<SignatureShare<C>> {
    let DkgBody::CanaryShare { share, .. } = &envelope.body else {
        return None;
    };
    let identifier = identifier(envelope.slot);
    let theirs = canonical(share, SignatureShare::<C>::deserialize, |share| {
        Ok(share.serialize())
    })?;
    let verifying = public.verifying_shares().get(&identifier)?;
    let key = public.verifying_key();
    frost_core::verify_signature_share(identifier, verifying, &theirs, package, key).ok()?;
    Some(theirs)
}
