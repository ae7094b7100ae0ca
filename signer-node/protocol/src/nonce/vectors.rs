//! RFC 9591's test vectors, through the functions that a signer signs with: randomness, commitments,
//! shares and the signature, byte by byte.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use attestation::ids::{GroupKey, Signature, Slot};
use frost_core::keys::{PublicKeyPackage, SigningShare, VerifyingShare};
use frost_core::round2::SignatureShare;
use frost_core::{Identifier, VerifyingKey};
use frost_ed25519::Ed25519Sha512;
use serde_bytes::ByteBuf;

use super::*;
use crate::message::SignedNonces;
use crate::signer::signing_package;

type Suite = Ed25519Sha512;

#[derive(serde::Deserialize)]
struct Vector {
    threshold: u16,
    group_key: String,
    message: String,
    signers: Vec<Signer>,
    signature: String,
}

#[derive(serde::Deserialize)]
struct Signer {
    slot: u16,
    share: String,
    hiding_randomness: String,
    binding_randomness: String,
    hiding_commitment: String,
    binding_commitment: String,
    signature_share: String,
}

/// Hands out the randomness of the vectors, 32 bytes a draw, and nothing else.
struct Fixed(Vec<Vec<u8>>);

impl RngCore for Fixed {
    fn next_u32(&mut self) -> u32 {
        unreachable!("nonces draw bytes")
    }

    fn next_u64(&mut self) -> u64 {
        unreachable!("nonces draw bytes")
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        dest.copy_from_slice(&self.0.remove(0));
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for Fixed {}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

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

fn key(vector: &Vector, signer: &Signer) -> KeyPackage<Suite> {
    let secret = SigningShare::deserialize(&bytes(&signer.share)).unwrap();
    let group = VerifyingKey::deserialize(&bytes(&vector.group_key)).unwrap();
    KeyPackage::new(
        Identifier::try_from(signer.slot).unwrap(),
        secret,
        VerifyingShare::from(secret),
        group,
        vector.threshold,
    )
}

/// The commitments as a member sends them; only their bytes matter here.
fn signed(signer: &Signer, nonces: &OneShotNonces<Suite>) -> SignedNonces {
    let place = binding();
    SignedNonces {
        slot: Slot(signer.slot),
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

#[test]
fn shares_and_signatures_are_those_of_rfc_9591() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("rfc9591.json")).unwrap();
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let (mut nonces, mut offered) = (Vec::new(), Vec::new());
        for signer in &vector.signers {
            let draws = [&signer.hiding_randomness, &signer.binding_randomness];
            let mut rng = Fixed(draws.map(|text| bytes(text)).to_vec());
            let made = OneShotNonces::generate(binding(), &key(&vector, signer), &mut rng);
            let commitments = made.commitments();
            let hiding = commitments.hiding().serialize().unwrap();
            assert_eq!(hiding, bytes(&signer.hiding_commitment));
            let binding = commitments.binding().serialize().unwrap();
            assert_eq!(binding, bytes(&signer.binding_commitment));
            offered.push(signed(signer, &made));
            nonces.push(made);
        }
        let message = bytes(&vector.message);
        let package = signing_package::<Suite>(&offered, &message).unwrap();
        let (mut shares, mut verifying) = (BTreeMap::new(), BTreeMap::new());
        for (signer, nonces) in vector.signers.iter().zip(nonces) {
            let key = key(&vector, signer);
            let share = nonces.sign(&binding(), &package, &key).unwrap();
            assert_eq!(
                share,
                bytes(&signer.signature_share),
                "member {}",
                signer.slot
            );
            let share = SignatureShare::<Suite>::deserialize(&share).unwrap();
            shares.insert(*key.identifier(), share);
            verifying.insert(*key.identifier(), *key.verifying_share());
        }
        let group = VerifyingKey::deserialize(&bytes(&vector.group_key)).unwrap();
        let public = PublicKeyPackage::new(verifying, group, Some(vector.threshold));
        let signature = frost_core::aggregate(&package, &shares, &public).unwrap();
        let signature = signature.serialize().unwrap();
        assert_eq!(signature, bytes(&vector.signature));
        let key = GroupKey::from_bytes(bytes(&vector.group_key).try_into().unwrap());
        let signature = Signature::from_bytes(signature.try_into().unwrap());
        assert!(attestation::identity::verify_group(
            &key, &message, &signature
        ));
    }
}
