//! RFC 9591's signings, through the functions that a signer signs with: commitments and shares, byte
//! by byte, and the check of shares that evidence rests on.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use attestation::ids::{Signature, Slot};
use conformance::shipped::Draws;
use conformance::shipped::frost_ed25519::{Signer, Signing, signings};
use frost_core::keys::{PublicKeyPackage, SigningShare, VerifyingShare};
use frost_core::{Identifier, VerifyingKey};
use frost_ed25519::Ed25519Sha512;
use serde_bytes::ByteBuf;

use super::*;
use crate::evidence::share_of_fails;
use crate::message::SignedNonces;
use crate::signer::signing_package;

type Suite = Ed25519Sha512;

fn binding() -> Binding {
    Binding {
        lane: Lane::Steps,
        epoch: Epoch(1),
        seq: Seq(1),
        view: View(0),
        attempt: Attempt(0),
        boot: Boot(1),
    }
}

fn key(signing: &Signing, slot: u16) -> KeyPackage<Suite> {
    let secret = SigningShare::deserialize(&signing.shares[&slot]).unwrap();
    let group = VerifyingKey::deserialize(&signing.group_key).unwrap();
    KeyPackage::new(
        Identifier::try_from(slot).unwrap(),
        secret,
        VerifyingShare::from(secret),
        group,
        signing.threshold,
    )
}

/// The commitments as a member sends them; only their bytes matter here.
fn signed(slot: u16, nonces: &OneShotNonces<Suite>) -> SignedNonces {
    let place = binding();
    SignedNonces {
        slot: Slot(slot),
        lane: place.lane,
        epoch: place.epoch,
        seq: place.seq,
        view: place.view,
        attempt: place.attempt,
        boot: place.boot,
        commitments: ByteBuf::from(nonces.commitments().serialize().unwrap()),
        signature: Signature::from_bytes([0; 64]),
    }
}

fn nonces(signing: &Signing, signer: &Signer) -> OneShotNonces<Suite> {
    let mut rng = Draws::new(signer.randomness.clone());
    let nonces = OneShotNonces::generate(binding(), &key(signing, signer.slot), &mut rng);
    let made = nonces.commitments();
    let made = [made.hiding(), made.binding()].map(|one| one.serialize().unwrap());
    assert_eq!(made, signer.commitments, "member {}", signer.slot);
    nonces
}

#[test]
fn shares_are_those_of_rfc_9591_and_others_are_bad() {
    let (mut signed_with, signings) = (0, signings());
    for signing in &signings {
        let all: Vec<_> = signing
            .signers
            .iter()
            .map(|one| nonces(signing, one))
            .collect();
        let signers = signing.signers.iter().zip(&all);
        let offered: Vec<_> = signers.map(|(one, made)| signed(one.slot, made)).collect();
        let package = signing_package::<Suite>(&offered, &signing.message).unwrap();

        let keys = signing.shares.keys().map(|slot| key(signing, *slot));
        let verifying: BTreeMap<_, _> = keys
            .map(|key| (*key.identifier(), *key.verifying_share()))
            .collect();
        let group = VerifyingKey::deserialize(&signing.group_key).unwrap();
        let public = PublicKeyPackage::new(verifying, group, Some(signing.threshold));
        let fails = |slot, share: &[u8]| {
            share_of_fails(&public, &signing.message, &offered, (Slot(slot), share))
        };
        for (signer, nonces) in signing.signers.iter().zip(all) {
            let key = key(signing, signer.slot);
            let share = nonces.sign(&binding(), &package, &key).unwrap();
            assert_eq!(share, signer.share, "member {}", signer.slot);
            assert!(!fails(signer.slot, &share));
            let mut other = share;
            other[0] ^= 1;
            assert!(fails(signer.slot, &other));
            signed_with += 1;
        }
    }
    assert_eq!((signings.len(), signed_with), (2, 5));
}
