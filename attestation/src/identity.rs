//! Strict Ed25519 verification: the one place that calls the library.

use ed25519_dalek::{Signature as DalekSignature, VerifyingKey};

use crate::ids::{GroupKey, IdentityKey, Signature};

/// Whether `signature` is a strict Ed25519 signature (RFC 8032, canonical key, R and S, key and R
/// not of small order) by `key` over `message`.
#[must_use]
pub fn verify(key: &IdentityKey, message: &[u8], signature: &Signature) -> bool {
    verify_strict(key.as_bytes(), message, signature)
}

/// [`verify`] under a group key.
#[must_use]
pub fn verify_group(key: &GroupKey, message: &[u8], signature: &Signature) -> bool {
    verify_strict(key.as_bytes(), message, signature)
}

/// Whether the bytes are a key that [`verify`] can accept signatures of: canonical and not of
/// small order.
#[must_use]
pub fn is_key(key: &IdentityKey) -> bool {
    parse(key.as_bytes()).is_some()
}

fn verify_strict(key: &[u8; 32], message: &[u8], signature: &Signature) -> bool {
    let signature = DalekSignature::from_bytes(signature.as_bytes());
    parse(key).is_some_and(|key| key.verify_strict(message, &signature).is_ok())
}

/// The library takes every encoding of a point (ZIP 215); only one of them is the key here.
fn parse(key: &[u8; 32]) -> Option<VerifyingKey> {
    let key = VerifyingKey::from_bytes(key).ok()?;
    let canonical = is_canonical(key.as_bytes());
    (canonical && !key.is_weak()).then_some(key)
}

/// Whether y < p = 2^255 − 19 (little-endian; the top bit is x's sign). The other malleability,
/// a sign for x = 0, exists only at points of small order.
fn is_canonical(key: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = key;
    high & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff) || *low < 0xed
}
