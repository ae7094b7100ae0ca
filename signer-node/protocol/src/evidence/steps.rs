//! What parties do in steps.

use attestation::committee::CreationRecord;
use attestation::ids::{GroupKey, Slot};
use attestation::receipt;
use frost_core::keys::PublicKeyPackage;
use frost_core::round2::SignatureShare;
use frost_core::{Ciphersuite, Identifier};
use light_client::Generation;

use super::{EvidenceError, Guilt, Place, leaves};
use crate::blame::{Act, Culprit};
use crate::committee::Committee;
use crate::identity::Ed25519Verify;
use crate::message::{SignedNonces, SignedPackage, SignedShare, Stated};
use crate::signer::signing_package;

pub(super) fn judge(
    record: &CreationRecord,
    culprit: Culprit,
    act: &Act,
    generation: Option<&Generation>,
) -> Result<Guilt, EvidenceError> {
    // Votes, proposals and packages are signed without the group key.
    let group_key = generation.and_then(|generation| generation.key().group_key.ed25519());
    let group_key = group_key.unwrap_or(GroupKey::from_bytes([0; 32]));
    let committee = match generation {
        Some(generation) => Committee::in_epoch(record, generation.members(), group_key),
        None => Committee::new(record, group_key),
    };
    let committee = committee.map_err(|_| EvidenceError::Record)?;
    if !is_signed(act, &committee) {
        return Err(EvidenceError::Signature);
    }
    if !act.proves(culprit, &committee, &Ed25519Verify) {
        return Err(EvidenceError::Unfounded);
    }
    let is_founded = match act {
        Act::BadShare {
            share,
            package,
            stated,
        } => {
            let generation = generation.ok_or(EvidenceError::NoHistory(share.epoch))?;
            let public = generation.key().public_key_package();
            let public = public.map_err(EvidenceError::Key)?;
            made_with(share, package) == Some(&share.next)
                && share_fails(&committee, &public, share, package, stated)
        }
        Act::BadLeafShare(leaf) => leaves::fails(record, leaf, generation)?,
        _ => true,
    };
    if !is_founded {
        return Err(EvidenceError::Unfounded);
    }
    let identity = match culprit {
        Culprit::Member(slot) => committee.member(slot),
        Culprit::Coordinator(rank) => committee.coordinator(rank),
    };
    let place = act.place();
    match (place, act.epoch(), identity.copied()) {
        (Some((seq, view)), Some(epoch), Some(identity)) => Ok(Guilt {
            culprit,
            identity,
            epoch,
            place: Place::Step(seq, view),
        }),
        _ => Err(EvidenceError::Unfounded),
    }
}

/// The act as a file has it. What a share offers for the next attempt is not signed with it and proves
/// nothing: in a file the commitments stand there that the share was made with.
pub(super) fn in_one_form(act: &Act) -> Act {
    let mut act = act.clone();
    if let Act::BadShare { share, package, .. } = &mut act
        && let Some(own) = made_with(share, package).cloned()
    {
        share.next = own;
    }
    act
}

/// The commitments that a share was made with.
fn made_with<'a>(share: &SignedShare, package: &'a SignedPackage) -> Option<&'a SignedNonces> {
    let mut nonces = package.nonces.iter();
    nonces.find(|nonces| nonces.slot == share.slot)
}

/// Whether each message is signed by the party that it names.
fn is_signed(act: &Act, committee: &Committee) -> bool {
    let verify = &Ed25519Verify;
    match act {
        Act::ProposedTwice(both) => both.iter().all(|one| committee.proposed(one, verify)),
        Act::PackagedTwice(both) => both.iter().all(|one| committee.packaged(one, verify)),
        Act::VotedTwice(both) => {
            let [first, second] = both.as_ref();
            committee.voted(first, verify) && committee.voted_in_any(second, verify)
        }
        Act::ObservedTwice(both) => both.iter().all(|one| committee.observed(one, verify)),
        Act::BadShare { share, package, .. } => {
            committee.shared(share, verify) && committee.packaged(package, verify)
        }
        Act::BadLeafShare(leaf) => leaf.is_signed(committee, verify),
        Act::VotedOtherwise { .. } | Act::Absent { .. } | Act::Withheld { .. } => false,
    }
}

/// Whether a signed share fails under its member's verifying share: the part of
/// [`Act::BadShare`] that signatures alone do not show.
///
/// An honest member answers a package only after it has checked all of it (rule A6), so a share of
/// its own never fails for what others put there.
#[must_use]
pub fn share_fails<C: Ciphersuite>(
    committee: &Committee,
    public: &PublicKeyPackage<C>,
    share: &SignedShare,
    package: &SignedPackage,
    stated: &Stated,
) -> bool {
    let message = receipt::sig_structure(&stated.commit, &stated.root, committee.group_key());
    share_of_fails(
        public,
        &message,
        &package.nonces,
        (share.slot, &share.share),
    )
}

/// Whether a member's share over `message` fails under its verifying share, with these commitments.
#[must_use]
pub fn share_of_fails<C: Ciphersuite>(
    public: &PublicKeyPackage<C>,
    message: &[u8],
    nonces: &[SignedNonces],
    (slot, share): (Slot, &[u8]),
) -> bool {
    let Some(signing) = signing_package::<C>(nonces, message) else {
        return false;
    };
    let Ok(id) = Identifier::<C>::try_from(slot.0) else {
        return false;
    };
    let Some(verifying) = public.verifying_shares().get(&id) else {
        return false;
    };
    let Ok(share) = SignatureShare::<C>::deserialize(share) else {
        return true;
    };
    let group = public.verifying_key();
    frost_core::verify_signature_share(id, verifying, &share, &signing, group).is_err()
}
