//! RFC 9591's signings, through what a coordinator makes of members' commitments and shares.

use alloc::vec;

use attestation::identity::verify_group;
use attestation::ids::{Attempt, Boot, Epoch, GroupKey, Seq, View};
use conformance::shipped::frost_ed25519::{Signer, Signing, signings};
use frost_core::VerifyingKey;
use frost_core::keys::{SigningShare, VerifyingShare};
use frost_core::round1::NonceCommitment;
use frost_ed25519::Ed25519Sha512;
use serde_bytes::ByteBuf;
use signer_protocol::message::Lane;

use super::*;

type Suite = Ed25519Sha512;

const NONE: Signature = Signature::from_bytes([0; 64]);

/// All that is public about the vector's key.
fn public(signing: &Signing) -> PublicKeyPackage<Suite> {
    let verifying = signing.shares.iter().map(|(slot, share)| {
        let share = SigningShare::deserialize(share).unwrap();
        (
            Identifier::try_from(*slot).unwrap(),
            VerifyingShare::from(share),
        )
    });
    let group = VerifyingKey::deserialize(&signing.group_key).unwrap();
    PublicKeyPackage::new(verifying.collect(), group, Some(signing.threshold))
}

fn nonces(signer: &Signer) -> SignedNonces {
    let points = signer.commitments.each_ref();
    let [hiding, binding] = points.map(|point| NonceCommitment::deserialize(point).unwrap());
    let commitments = SigningCommitments::<Suite>::new(hiding, binding).serialize();
    SignedNonces {
        slot: Slot(signer.slot),
        lane: Lane::Nom,
        epoch: Epoch(1),
        seq: Seq(1),
        view: View(0),
        attempt: Attempt(0),
        boot: Boot(1),
        commitments: ByteBuf::from(commitments.unwrap()),
        signature: NONE,
    }
}

fn session(signing: &Signing) -> Session {
    let digest = Digest::from_bytes([0; 32]);
    let share = |signer: &Signer| LaneShare {
        slot: Slot(signer.slot),
        package: digest,
        share: ByteBuf::from(signer.share.clone()),
        signature: NONE,
    };
    let shares = signing.signers.iter().map(share);
    Session {
        package: LanePackage {
            rank: 0,
            message: super::digest(&signing.message),
            nonces: signing.signers.iter().map(nonces).collect(),
            signature: NONE,
        },
        digest,
        shares: shares.map(|share| (share.slot, share)).collect(),
        late: BTreeSet::new(),
        opened_ms: 0,
    }
}

#[test]
fn signatures_are_those_of_rfc_9591_and_another_share_names_its_member() {
    let signings = signings();
    assert_eq!(signings.len(), 2);
    for signing in signings {
        let (public, mut session) = (public(&signing), session(&signing));
        let warrant = Warrant {
            lane: Lane::Nom,
            seq: Seq(1),
            position: 1,
            message: signing.message.clone(),
            fixed: None,
        };
        let signature = aggregate(&public, &warrant, &session).unwrap();
        assert_eq!(signature, signing.signature);
        let key = GroupKey::from_bytes(signing.group_key.try_into().unwrap());
        let signature = Signature::from_bytes(signature.try_into().unwrap());
        assert!(verify_group(&key, &signing.message, &signature));

        let spoilt = Slot(signing.signers[1].slot);
        session.shares.get_mut(&spoilt).unwrap().share[0] ^= 1;
        assert_eq!(aggregate(&public, &warrant, &session), Err(vec![spoilt]));
    }
}
