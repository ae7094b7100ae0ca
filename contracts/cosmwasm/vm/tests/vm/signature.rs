//! Signatures: no other is taken than the group's own, and what the chain's rule adds to the
//! strict one only the group's secret can make.

use attestation::ids::{GroupKey, Signature};
use attestation::receipt;
use conformance::edge;
use conformance::sample::{self, Step};
use ed25519_dalek::SigningKey;

use crate::chain::{ANYONE, Answer, Contract};
use crate::inputs::ledger_of_samples;
use crate::step::accept_step;

#[test]
fn a_malleated_signature_is_refused() {
    let Some(mut ledger) = Contract::new(&ledger_of_samples()) else {
        return;
    };
    let step = Step::first(1).attestation;
    let good = *step.signature.as_bytes();
    let with = |change: &dyn Fn(&mut [u8; 64])| {
        let mut bytes = good;
        change(&mut bytes);
        Signature::from_bytes(bytes)
    };
    for (what, signature) in [
        (
            "S plus the group's order",
            edge::plus_order_once(&step.signature),
        ),
        ("no signature", with(&|bytes| bytes.fill(0))),
        ("S of zeros", with(&|bytes| bytes[32..].fill(0))),
        ("R of zeros", with(&|bytes| bytes[..32].fill(0))),
        ("R with another sign", with(&|bytes| bytes[31] ^= 0x80)),
        ("S with its highest bit", with(&|bytes| bytes[63] |= 0x80)),
        ("halves exchanged", with(&|bytes| bytes.rotate_left(32))),
    ] {
        let mut step = step;
        step.signature = signature;
        let answer = ledger.execute(ANYONE, &accept_step(&step));
        assert_eq!(answer.rule(), "signature", "{what}");
    }
    for bit in (0..512).step_by(7) {
        let mut step = step;
        step.signature = with(&|bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        let answer = ledger.execute(ANYONE, &accept_step(&step));
        assert_eq!(answer.rule(), "signature", "bit {bit}");
    }
    ledger.execute(ANYONE, &accept_step(&step)).response();
}

#[test]
fn a_signature_of_another_length_is_refused() {
    let Some(mut ledger) = Contract::new(&ledger_of_samples()) else {
        return;
    };
    let mut call = accept_step(&Step::first(1).attestation);
    let long = call["accept_step"]["signature"]
        .as_str()
        .unwrap()
        .to_owned();
    for signature in ["", "AAAA", &format!("AAAA{long}")] {
        call["accept_step"]["signature"] = signature.into();
        assert_eq!(ledger.execute(ANYONE, &call).rule(), "json", "{signature}");
    }
}

#[test]
fn the_signature_of_another_step_key_or_root_is_refused() {
    let Some(mut ledger) = Contract::new(&ledger_of_samples()) else {
        return;
    };
    let step = Step::first(1).attestation;
    let mut other_root = step;
    other_root.root = Step::first(2).attestation.root;
    let mut other_commit = step;
    other_commit.commit.time_ms += 1;
    let mut other_key = step;
    let secret = SigningKey::from_bytes(&sample::digest("another key"));
    let signed = receipt::sig_structure(&step.commit, &step.root, &sample::group_key());
    other_key.signature = sample::sign(&secret, &signed);
    for step in [other_root, other_commit, other_key] {
        let answer = ledger.execute(ANYONE, &accept_step(&step));
        assert_eq!(answer.rule(), "signature");
    }
    assert!(matches!(
        ledger.execute(ANYONE, &accept_step(&step)),
        Answer::Did(_)
    ));
}

/// The chain's rule is ZIP 215, which leaves parts of small order out of account: the holder of
/// the secret, t members together, can make a signature that the strict rule refuses. It says
/// nothing that they could not say anyway.
#[test]
fn only_the_groups_secret_makes_what_the_strict_rule_refuses() {
    let Some(mut ledger) = Contract::new(&ledger_of_samples()) else {
        return;
    };
    let mut step = Step::first(1).attestation;
    let key: GroupKey = sample::group_key();
    let signed = receipt::sig_structure(&step.commit, &step.root, &key);
    step.signature = edge::sign_with_torsion(&sample::group_secret(), 5, 1, &signed);
    assert!(step.verify(&key).is_err(), "the strict rule refuses it");
    assert!(matches!(
        ledger.execute(ANYONE, &accept_step(&step)),
        Answer::Did(_)
    ));
}
