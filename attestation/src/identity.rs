//! Strict Ed25519 verification: the one place that calls the library.

use ed25519_dalek::{Signature as DalekSignature, VerifyingKey};

use crate::ids::{IdentityKey, Signature};

/// Whether `signature` is a strict Ed25519 signature (RFC 8032, canonical R and S, key and R not
/// of small order) by `key` over `message`.
#[must_use]
pub fn verify(key: &IdentityKey, message: &[u8], signature: &Signature) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(key.as_bytes()) else {
        return false;
    };
    key.verify_strict(message, &DalekSignature::from_bytes(signature.as_bytes()))
        .is_ok()
}
