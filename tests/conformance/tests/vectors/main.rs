//! The golden vectors in `attestation/vectors/`: what ports and contracts read.
//!
//! Numbers of 64 bits are decimal strings, bytes are hexadecimal. Each file has `valid` and
//! `invalid` cases; `error` is the name of the refusal.

#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

mod formats;
mod receipts;
mod signatures;
mod trees;

use conformance::bad;
use conformance::golden;
use serde_json::{Value, json};

/// Writes or compares one file of vectors.
fn check(format: &str, about: &str, mut content: Value) {
    content["format"] = json!(format);
    content["about"] = json!(about);
    golden::check_json(&format!("attestation/vectors/{format}.json"), &content);
}

/// The bad inputs of a format.
fn invalid(format: &str) -> Vec<Value> {
    let cases: Vec<Value> = bad::cases()
        .into_iter()
        .filter(|case| case.format == format)
        .map(|case| {
            json!({
                "name": case.reason,
                "bytes": hex::encode(&case.bytes),
                "error": case.error,
            })
        })
        .collect();
    assert!(!cases.is_empty(), "{format} has no bad inputs");
    cases
}
