//! Random changes of good bytes: no decoder panics, and what one still accepts is the one
//! encoding of what it read.

#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

use attestation::codec::{decode, encode};
use attestation::commit::Commit;
use attestation::committee::CreationRecord;
use attestation::leaf::Leaf;
use attestation::receipt::Receipt;
use attestation::request::Request;
use attestation::step_attestation::StepAttestation;
use conformance::bad::Shapes;
use conformance::sample::{self, Step};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};

const ROUNDS: u64 = 20_000;

/// A format: a good input, and decoding to what encodes again.
type Format = (&'static str, Vec<u8>, fn(&[u8]) -> Option<Vec<u8>>);

fn formats() -> Vec<Format> {
    let step = Step::first(4);
    vec![
        ("receipt", step.receipt(2), |bytes| {
            Receipt::from_bytes(bytes)
                .ok()
                .map(|value| value.to_bytes())
        }),
        ("step attestation", step.attestation.to_bytes(), |bytes| {
            StepAttestation::from_bytes(bytes)
                .ok()
                .map(|value| value.to_bytes())
        }),
        (
            "commit",
            step.attestation.commit.to_bytes().to_vec(),
            |bytes| {
                Commit::from_bytes(bytes)
                    .ok()
                    .map(|value| value.to_bytes().to_vec())
            },
        ),
        ("output leaf", step.leaves[1].clone(), |bytes| {
            Leaf::from_bytes(bytes).ok().map(|value| value.to_bytes())
        }),
        ("settlement leaf", step.leaves[0].clone(), |bytes| {
            Leaf::from_bytes(bytes).ok().map(|value| value.to_bytes())
        }),
        ("request", sample::request().to_bytes(), |bytes| {
            decode::<Request>(bytes, 4096)
                .ok()
                .map(|value| value.to_bytes())
        }),
        ("creation record", sample::record().to_bytes(), |bytes| {
            decode::<CreationRecord>(bytes, 4096)
                .ok()
                .map(|value| value.to_bytes())
        }),
        ("every shape", encode(&Shapes::sample()), |bytes| {
            decode::<Shapes>(bytes, 4096)
                .ok()
                .map(|value| encode(&value))
        }),
    ]
}

#[test]
fn what_decodes_after_a_change_is_its_own_encoding() {
    for (name, good, read) in formats() {
        assert_eq!(read(&good).as_deref(), Some(good.as_slice()), "{name}");
        for seed in 0..ROUNDS {
            let bytes = change(&good, &mut ChaCha8Rng::seed_from_u64(seed));
            if let Some(again) = read(&bytes) {
                assert_eq!(again, bytes, "{name}, seed {seed}");
            }
        }
    }
}

/// One to four changes: a byte set, removed, inserted, a run doubled, or a CBOR head put in.
fn change(good: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    const HEADS: [u8; 12] = [
        0x18, 0x1b, 0x5b, 0x5f, 0x7f, 0x9b, 0x9f, 0xbf, 0xc2, 0xf6, 0xf7, 0xff,
    ];
    let mut bytes = good.to_vec();
    for _ in 0..=rng.next_u32() % 4 {
        let at = rng.next_u32() as usize % bytes.len();
        let byte = rng.next_u32() as u8;
        match rng.next_u32() % 5 {
            0 => bytes[at] = byte,
            1 if bytes.len() > 1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, byte),
            3 => bytes[at] = HEADS[usize::from(byte) % HEADS.len()],
            _ => {
                let end = bytes.len().min(at + usize::from(byte));
                let run = bytes[at..end].to_vec();
                bytes.splice(at..at, run);
            }
        }
    }
    bytes
}
