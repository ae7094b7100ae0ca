//! A changed bit anywhere in a receipt, its leaf or a step attestation is refused.

#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

use attestation::group::TrustedKey;
use attestation::step_attestation::StepAttestation;
use attestation::verify::verify_trusted;
use conformance::frost::Committee;
use conformance::sample::Step;

/// A step signed by FROST, its key and the receipt of a leaf in the middle.
fn sample() -> (TrustedKey, StepAttestation, Vec<u8>, Vec<u8>) {
    let mut committee = Committee::new(2);
    let step = Step::first(4);
    let attestation = committee.attest(step.attestation.commit, &step.leaves);
    let receipt = attestation.receipt(&committee.key(), &step.leaves, 2);
    let key = TrustedKey::new(committee.key()).unwrap();
    (key, attestation, receipt.unwrap(), step.leaves[2].clone())
}

/// Every way to change one bit.
fn flips(good: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..good.len() * 8).map(|bit| {
        let mut bytes = good.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        (bit, bytes)
    })
}

#[test]
fn every_flipped_bit_of_a_receipt_is_refused_with_and_without_its_leaf() {
    let (key, _, receipt, leaf) = sample();
    assert!(verify_trusted(&receipt, Some(&leaf), &key, None).is_ok());
    assert!(verify_trusted(&receipt, None, &key, None).is_ok());
    for (bit, bad) in flips(&receipt) {
        assert!(
            verify_trusted(&bad, Some(&leaf), &key, None).is_err(),
            "bit {bit}"
        );
        assert!(
            verify_trusted(&bad, None, &key, None).is_err(),
            "bit {bit}, no leaf"
        );
    }
}

#[test]
fn every_flipped_bit_of_a_leaf_is_refused() {
    let (key, _, receipt, leaf) = sample();
    for (bit, bad) in flips(&leaf) {
        assert!(
            verify_trusted(&receipt, Some(&bad), &key, None).is_err(),
            "bit {bit}"
        );
    }
}

#[test]
fn every_cut_of_a_receipt_and_its_leaf_is_refused() {
    let (key, _, receipt, leaf) = sample();
    for length in 0..receipt.len() {
        let cut = &receipt[..length];
        assert!(
            verify_trusted(cut, Some(&leaf), &key, None).is_err(),
            "{length} bytes"
        );
    }
    for length in 0..leaf.len() {
        let cut = &leaf[..length];
        assert!(
            verify_trusted(&receipt, Some(cut), &key, None).is_err(),
            "{length} bytes"
        );
    }
}

#[test]
fn every_flipped_bit_of_a_step_attestation_is_refused() {
    let (key, attestation, ..) = sample();
    let good = attestation.to_bytes();
    assert_eq!(attestation.verify_trusted(&key), Ok(()));
    for (bit, bad) in flips(&good) {
        let refused =
            StepAttestation::from_bytes(&bad).map_or(true, |bad| bad.verify_trusted(&key).is_err());
        assert!(refused, "bit {bit}");
    }
}
