//! The SDK against the host: every function of it, through the zApp `probe`.

mod harness;

use attestation::ids::ZappId;
use attestation::leaf::Status;
use ed25519_dalek::{Signer as _, SigningKey};
use harness::{Chain, key};
use sha2::{Digest as _, Sha256};
use sha3::{Keccak256, Sha3_256};

const STATE: u32 = 5;

fn probe() -> (Chain, ZappId) {
    let mut chain = Chain::new();
    let id = chain.deploy(key(1), "probe");
    (chain, id)
}

#[test]
fn the_context_is_that_of_the_request_and_the_step() {
    let (mut chain, id) = probe();
    let outcome = chain.call(key(2), id, "context", &[]);
    let (caller, committee) = (key(2), chain.committee());
    let expected = [
        caller.as_bytes().as_slice(),
        caller.as_bytes(),
        id.as_bytes(),
        outcome.request.as_bytes(),
        committee.as_bytes(),
        &harness::ANCHOR_HEIGHT.to_be_bytes(),
        // The genesis is of second 1; each step here takes one more.
        &3_000u64.to_be_bytes(),
    ];
    assert_eq!(outcome.output, expected.concat());
}

#[test]
fn requests_and_views_are_told_apart() {
    let (mut chain, id) = probe();
    assert_eq!(chain.call(key(2), id, "op", &[]).output, [1]);
    assert_eq!(chain.view(id, "op", &[]), [2]);
}

#[test]
fn hashes_and_signatures_are_those_of_the_libraries() {
    let (mut chain, id) = probe();
    for input in [b"".as_slice(), b"abc", &[7; 900]] {
        let expected = [
            Sha256::digest(input).to_vec(),
            Sha3_256::digest(input).to_vec(),
            Keccak256::digest(input).to_vec(),
        ];
        assert_eq!(chain.view(id, "hash", input), expected.concat());
    }
    let signing = SigningKey::from_bytes(&[5; 32]);
    let signature = signing.sign(b"message").to_bytes();
    let public = signing.verifying_key().to_bytes();
    let input = [&public[..], &signature, b"message"].concat();
    assert_eq!(chain.view(id, "verify", &input), [1]);
    for at in [0, 32, 64, 96] {
        let mut forged = input.clone();
        forged[at] ^= 1;
        assert_eq!(chain.view(id, "verify", &forged), [0], "byte {at}");
    }
}

#[test]
fn entries_are_read_listed_in_order_and_deleted() {
    let (mut chain, id) = probe();
    assert!(chain.view(id, "list", &[]).is_empty());
    for entry in [b"bbbbxyz".as_slice(), b"aaaa", b"cccclong value"] {
        assert_eq!(chain.call(key(2), id, "put", entry).status, Status::Ok);
    }
    assert_eq!(chain.view(id, "list", &[]), b"aaaabbbbcccc");
    assert_eq!(chain.view(id, "list", b"aaaa"), b"bbbbcccc");
    assert_eq!(chain.view(id, "list", b"b"), b"bbbbcccc");
    assert_eq!(chain.view(id, "short", b"bbbb"), b"\x01xyz");
    assert_eq!(chain.view(id, "short", b"aaaa"), b"\x01");
    assert_eq!(chain.view(id, "short", b"none"), b"\x00");
    assert_eq!(chain.revert(key(2), id, "short", b"cccc"), STATE);
    assert_eq!(chain.call(key(2), id, "delete", b"bbbb").status, Status::Ok);
    assert_eq!(chain.view(id, "list", &[]), b"aaaacccc");
}

#[test]
fn events_are_kept_in_order_and_logs_are_not_part_of_them() {
    let (mut chain, id) = probe();
    let events = chain.call(key(2), id, "events", b"data").events;
    let events: Vec<_> = events
        .iter()
        .map(|event| (&event.topic[..], &event.data[..]))
        .collect();
    assert_eq!(events, [(&b"first"[..], &b"data"[..]), (b"", b"")]);
    assert_eq!(chain.view(id, "gas", b"work"), [1]);
}

#[test]
fn calls_end_without_effect_where_they_must() {
    let (mut chain, id) = probe();
    let aborted = chain.attempt(key(2), id, "abort", b"because");
    assert_eq!((aborted.status, aborted.code), (Status::Reverted, u32::MAX));
    assert_eq!(aborted.output, b"because");
    let panicked = chain.attempt(key(2), id, "panic", &[]);
    assert_eq!(
        (panicked.status, panicked.code),
        (Status::Reverted, u32::MAX)
    );
    assert_eq!(panicked.output, b"panic");
    // A part that does not fill its bytes is the author's mistake.
    assert_eq!(chain.view(id, "join", b"four"), b"four");
    for parts in [b"one".as_slice(), b"seven"] {
        assert_eq!(chain.attempt(key(2), id, "join", parts).output, b"panic");
    }
    assert_eq!(chain.query(id, "put", b"aaaax").status, Status::Trapped);
    // A key is never empty.
    assert_eq!(
        chain.attempt(key(2), id, "delete", b"").status,
        Status::Trapped
    );
}
