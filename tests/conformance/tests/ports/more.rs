//! Vectors beside the golden ones: Wycheproof's, those of a FROST committee, and thousands of
//! changed inputs, each with the verdict that Rust gives.

use std::fs;
use std::path::Path;

use attestation::address::Address;
use attestation::group::TrustedKey;
use attestation::ids::{CommitteeId, GroupKey, IdentityKey, Signature};
use attestation::request::INPUT_BYTES_MAX;
use attestation::verify::{self, Check};
use attestation::{identity, step_attestation};
use conformance::bad;
use conformance::edge;
use conformance::frost::Committee;
use conformance::golden;
use conformance::sample::{self, Step};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use serde_json::{Value, json};
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

/// Writes all files.
pub fn write(folder: &Path) {
    let write = |name: &str, format: &str, mut content: Value| {
        content["format"] = json!(format);
        fs::write(folder.join(format!("{name}.json")), content.to_string()).unwrap();
    };
    write("wycheproof", "ed25519", wycheproof());
    write("frost", "receipt", frost());
    write("changed-signatures", "ed25519", signatures());
    write("changed-receipts", "receipt", receipts());
    write("changed-steps", "step_attestation", steps());
    write("random-keys", "group_key", keys());
    write("long-requests", "request", long_requests());
    for (format, good) in good() {
        write(&format!("changed-{format}"), format, changed(format, &good));
    }
}

/// Changes of each good input.
const ROUNDS: usize = 300;

fn wycheproof() -> Value {
    let (mut valid, mut invalid) = (Vec::new(), Vec::new());
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        for test in group.tests {
            let key: [u8; 32] = group.key.pk.as_slice().try_into().unwrap();
            let error = <&[u8; 64]>::try_from(test.sig.as_slice())
                .map_or(Some("Length"), |signature| {
                    edge::flaw(&key, &test.msg, signature)
                });
            assert_eq!(
                error.is_none(),
                test.result == TestResult::Valid,
                "{}",
                test.tc_id
            );
            let case = json!({
                "name": format!("{}: {}", test.tc_id, test.comment),
                "key": hex::encode(key),
                "message": hex::encode(test.msg.as_slice()),
                "signature": hex::encode(test.sig.as_slice()),
                "error": error,
            });
            let list = if error.is_none() {
                &mut valid
            } else {
                &mut invalid
            };
            list.push(case);
        }
    }
    json!({ "valid": valid, "invalid": invalid })
}

/// Receipts that a committee has signed by FROST, whose signatures differ from run to run.
fn frost() -> Value {
    let mut committee = Committee::new(2);
    let (key, id) = (committee.key(), sample::committee());
    let valid: Vec<Value> = [(1, 0), (1, 1), (2, 2), (6, 3), (200, 199)]
        .into_iter()
        .map(|(outputs, index)| {
            let step = Step::first(outputs);
            let step_attestation = committee.attest(step.attestation.commit, &step.leaves);
            let receipt = step_attestation.receipt(&key, &step.leaves, index).unwrap();
            let leaf = &step.leaves[index];
            let verified = verify::verify_receipt(&receipt, Some(leaf), &key, Some(&id)).unwrap();
            let mut case = receipt_case("signed by FROST", &key, leaf, &receipt);
            case["commit"] = golden::commit_fields(&verified.commit);
            case["index"] = json!(verified.index.to_string());
            case["root"] = json!(verified.root);
            case["statement"] = json!(verified.statement);
            case["checks"] = json!(verified.checks().map(Check::name).collect::<Vec<_>>());
            case
        })
        .collect();
    json!({ "valid": valid })
}

fn receipt_case(name: &str, key: &GroupKey, leaf: &[u8], receipt: &[u8]) -> Value {
    let committee: CommitteeId = sample::committee();
    json!({
        "name": name,
        "group_key": key,
        "committee": committee,
        "leaf": hex::encode(leaf),
        "receipt": hex::encode(receipt),
    })
}

/// A receipt with one bit flipped in each byte, and with bytes exchanged, added and taken away.
/// Which of several wrong parts of a receipt is named first is no rule: only the check is told.
fn receipts() -> Value {
    let step = Step::first(4);
    let (key, committee) = (sample::group_key(), sample::committee());
    let (good, leaf) = (step.receipt(2), &step.leaves[2]);
    let flips = (0..good.len()).map(|at| {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        bytes
    });
    let invalid: Vec<Value> = flips
        .chain(changes(&good, 4 * ROUNDS))
        .map(|receipt| {
            let verdict = verify::verify_receipt(&receipt, Some(leaf), &key, Some(&committee));
            let mut case = receipt_case("changed", &key, leaf, &receipt);
            case["check"] = json!(verdict.unwrap_err().check().name());
            case
        })
        .collect();
    json!({ "invalid": invalid })
}

/// A step's attestation, changed: no step, or one that nobody signed.
fn steps() -> Value {
    let key = sample::group_key();
    let good = Step::first(4).attestation.to_bytes();
    let (mut invalid, mut forged) = (Vec::new(), Vec::new());
    for bytes in changes(&good, 2 * ROUNDS) {
        let text = hex::encode(&bytes);
        match step_attestation::StepAttestation::from_bytes(&bytes) {
            Err(error) => invalid.push(json!({ "bytes": text, "error": format!("{error:?}") })),
            Ok(step) => {
                let error = format!("{:?}", step.verify(&key).unwrap_err());
                forged.push(json!({ "bytes": text, "group_key": key, "error": error }));
            }
        }
    }
    json!({ "invalid": invalid, "forged": forged })
}

fn signatures() -> Value {
    let good = edge::cases()
        .into_iter()
        .find(|case| case.error.is_none())
        .unwrap();
    let whole = [good.key.as_slice(), &good.signature, b"message"].concat();
    let mut invalid = Vec::new();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let (key, rest) = bytes.split_first_chunk::<32>().unwrap();
        let (signature, message) = rest.split_first_chunk::<64>().unwrap();
        let accepted = identity::verify(
            &IdentityKey::from_bytes(*key),
            message,
            &Signature::from_bytes(*signature),
        );
        let error = edge::flaw(key, message, signature);
        assert!(!accepted && error.is_some());
        invalid.push(json!({
            "key": hex::encode(key),
            "message": hex::encode(message),
            "signature": hex::encode(signature),
            "error": error,
        }));
    }
    json!({ "invalid": invalid })
}

/// Random 32 bytes: half are no point, and of the rest one in eight is a group key.
fn keys() -> Value {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (mut valid, mut invalid) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        let key = GroupKey::from_bytes(bytes);
        match TrustedKey::new(key) {
            Ok(trusted) => valid.push(json!({
                "bytes": key,
                "key_id": trusted.id(),
                "address": Address::from(&key),
            })),
            Err(error) => invalid.push(json!({ "bytes": key, "error": format!("{error:?}") })),
        }
    }
    assert!(valid.len() > 5);
    json!({ "valid": valid, "invalid": invalid })
}

/// Requests whose input is as long as it may be, and one byte longer.
fn long_requests() -> Value {
    let caller = ed25519_dalek::SigningKey::from_bytes(&sample::digest("caller"));
    let with_input = |length: usize| {
        let mut request = sample::request();
        request.call.input = vec![0xab; length];
        request.signature = sample::sign(&caller, &request.call.signed_bytes());
        request
    };
    let (longest, longer) = (with_input(INPUT_BYTES_MAX), with_input(INPUT_BYTES_MAX + 1));
    let error = bad::refusal("request", &longer.to_bytes()).unwrap();
    assert_eq!(error, "Input(65537)");
    json!({
        "valid": [{
            "request": longest,
            "signed": hex::encode(longest.call.signed_bytes()),
            "id": longest.id(),
            "bytes": hex::encode(longest.to_bytes()),
        }],
        "invalid": [{ "bytes": hex::encode(longer.to_bytes()), "error": error }],
    })
}

/// Good inputs of the formats that are refused by name alone.
fn good() -> Vec<(&'static str, Vec<u8>)> {
    let address = Address::from(&sample::group_key()).to_string();
    vec![
        ("codec", attestation::codec::encode(&bad::Shapes::sample())),
        (
            "commit",
            Step::first(1).attestation.commit.to_bytes().to_vec(),
        ),
        ("leaf", sample::leaves(1, 1).remove(1)),
        ("request", sample::request().to_bytes()),
        ("committee", sample::record().to_bytes()),
        ("address", address.into_bytes()),
    ]
}

/// Changes of a good input that are refused; the others say something else, validly.
fn changed(format: &str, good: &[u8]) -> Value {
    let cases: Vec<Value> = changes(good, ROUNDS)
        .into_iter()
        .filter(|bytes| format != "address" || std::str::from_utf8(bytes).is_ok())
        .filter_map(|bytes| {
            let error = bad::refusal(format, &bytes)?;
            Some(json!({ "bytes": hex::encode(bytes), "error": error }))
        })
        .collect();
    assert!(cases.len() > 20, "{format}: {} refused", cases.len());
    json!({ "invalid": cases })
}

/// Bytes with one to four of them exchanged, added or taken away.
fn changes(good: &[u8], count: usize) -> Vec<Vec<u8>> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut below = |most: usize| (rng.next_u64() % most as u64) as usize;
    let mut changed = Vec::new();
    while changed.len() < count {
        let mut bytes = good.to_vec();
        let (width, at) = (1 + below(4), below(good.len() - 4));
        let new: Vec<u8> = (0..width).map(|_| below(256) as u8).collect();
        match below(4) {
            0 => drop(bytes.splice(at..at, new)),
            1 => drop(bytes.drain(at..at + width)),
            _ => bytes[at..at + width].copy_from_slice(&new),
        }
        if bytes != good {
            changed.push(bytes);
        }
    }
    changed
}
