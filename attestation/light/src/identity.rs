//! Verification of identity signatures: the long-lived Ed25519 key that signs a party's envelopes.

use attestation::ids::{IdentityKey, Signature};

/// Verifies identity signatures. A trait, so that a simulator can put a cheap stand-in in its
/// place, of which nobody but its holder can sign for a key either.
pub trait VerifyIdentity {
    /// Whether `signature` is `key`'s over `message`.
    fn verify(&self, key: &IdentityKey, message: &[u8], signature: &Signature) -> bool;
}

/// Strict Ed25519 verification (RFC 8032 with canonical R and S, no small-order key or R).
#[derive(Clone, Copy, Debug, Default)]
pub struct Ed25519Verify;

impl VerifyIdentity for Ed25519Verify {
    fn verify(&self, key: &IdentityKey, message: &[u8], signature: &Signature) -> bool {
        attestation::identity::verify(key, message, signature)
    }
}
