//! Ed25519 cases that others published because verifiers differ on them.

use curve25519_dalek::edwards::CompressedEdwardsY;
use serde::Deserialize;

use crate::edge::{self, Edge};

/// The cases of ed25519-speccheck, and ZIP 215's table of every encoding of a small-order key with
/// every encoding of a small-order R.
#[must_use]
pub fn cases() -> Vec<Edge> {
    let mut cases = speccheck();
    cases.extend(zip215());
    cases
}

#[derive(Deserialize)]
struct Speccheck {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    message: String,
    key: String,
    signature: String,
    error: Option<String>,
}

fn speccheck() -> Vec<Edge> {
    let file: Speccheck =
        serde_json::from_str(include_str!("speccheck.json")).expect("the cases are JSON");
    let edge = |(at, case): (usize, Case)| Edge {
        name: format!("speccheck {at}"),
        error: case.error.as_deref().map(rule),
        key: array(&case.key),
        message: hex::decode(&case.message).expect("a message is hexadecimal"),
        signature: array(&case.signature),
    };
    file.cases.into_iter().enumerate().map(edge).collect()
}

/// The rule's name as the vectors have it.
fn rule(name: &str) -> &'static str {
    const RULES: [&str; 5] = [
        "KeySmallOrder",
        "ScalarNotReduced",
        "RNotCanonical",
        "RSmallOrder",
        "Equation",
    ];
    let known = RULES.into_iter().find(|rule| *rule == name);
    known.expect("speccheck.json names rules")
}

/// S = 0 over "Zcash": the cofactored equation holds for all of them, and none is a signature.
fn zip215() -> Vec<Edge> {
    let encodings = small_order_encodings();
    let mut cases = Vec::new();
    for (at, (key, canonical)) in encodings.iter().enumerate() {
        for (r_at, (r, _)) in encodings.iter().enumerate() {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(r);
            let error = match canonical {
                true => "KeySmallOrder",
                false => "KeyNotCanonical",
            };
            cases.push(Edge {
                name: format!("ZIP 215, key {at}, R {r_at}"),
                error: Some(error),
                key: *key,
                message: b"Zcash".to_vec(),
                signature,
            });
        }
    }
    cases
}

/// Every encoding of a point of small order, and whether it is the canonical one.
fn small_order_encodings() -> Vec<([u8; 32], bool)> {
    let canonical = edge::small_order().map(|(_, bytes)| (bytes, true));
    let is_small = |bytes: &[u8; 32]| {
        let point = CompressedEdwardsY(*bytes).decompress();
        point.is_some_and(|point| point.is_small_order())
    };
    let second = edge::second_encodings().filter(|(_, bytes)| is_small(bytes));
    canonical
        .chain(second.map(|(_, bytes)| (bytes, false)))
        .collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    let bytes = hex::decode(text).expect("cases are hexadecimal");
    bytes
        .try_into()
        .expect("keys and signatures have one length")
}

#[cfg(test)]
mod tests {
    use attestation::group::TrustedKey;

    use super::*;

    #[test]
    fn cases_that_others_published_break_the_rule_that_is_named() {
        let cases = cases();
        assert_eq!(cases.len(), 10 + 14 * 14);
        for case in &cases {
            let flaw = edge::flaw(&case.key, &case.message, &case.signature);
            assert_eq!(flaw, case.error, "{}", case.name);
        }
        let cofactored = |case: &&Edge| {
            let equations = edge::equations(&case.key, &case.message, &case.signature);
            equations.is_some_and(|equations| equations.cofactored)
        };
        let zip215 = cases.iter().filter(|case| case.name.starts_with("ZIP"));
        assert_eq!(zip215.filter(cofactored).count(), 196, "what ZIP 215 takes");
    }

    #[test]
    fn the_one_speccheck_case_that_we_take_has_a_key_that_no_committee_can_have() {
        let cases = cases();
        let taken: Vec<&Edge> = cases.iter().filter(|case| case.error.is_none()).collect();
        let [case] = taken[..] else {
            panic!("{} are taken", taken.len());
        };
        assert_eq!(case.name, "speccheck 3");
        let key = attestation::ids::GroupKey::from_bytes(case.key);
        assert!(TrustedKey::new(key).is_err());
    }
}
