//! Ed25519 signatures on which verifiers differ.

use attestation::identity;
use attestation::ids::{IdentityKey, Signature};
use conformance::edge::{self, Edge};
use serde_json::{Value, json};

use crate::check;

#[test]
fn signatures() {
    let (valid, invalid): (Vec<Edge>, Vec<Edge>) = edge::cases()
        .into_iter()
        .partition(|case| case.error.is_none());
    let list = |cases: Vec<Edge>| -> Vec<Value> { cases.iter().map(signature).collect() };
    check(
        "ed25519",
        "Strict Ed25519. `error` names the first rule that is broken, in this order: key a point, \
         canonical, not of small order; S below the order; R a point, canonical, not of small \
         order; [S]B = R + [k]A, without cofactor.",
        json!({ "valid": list(valid), "invalid": list(invalid) }),
    );
}

fn signature(case: &Edge) -> Value {
    let accepted = identity::verify(
        &IdentityKey::from_bytes(case.key),
        &case.message,
        &Signature::from_bytes(case.signature),
    );
    assert_eq!(accepted, case.error.is_none(), "{}", case.name);
    let mut value = json!({
        "name": case.name,
        "key": hex::encode(case.key),
        "message": hex::encode(&case.message),
        "signature": hex::encode(case.signature),
    });
    if let Some(error) = case.error {
        value["error"] = json!(error);
    }
    value
}
