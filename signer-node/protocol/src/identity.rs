//! Identity signatures: the long-lived Ed25519 key that signs a party's envelopes.
//!
//! The state machines name only the traits, so that the simulator can put a cheap stand-in in
//! their place. A stand-in must keep one property: nobody signs for a key that is not theirs.
//! What a group signed is verified behind a trait too: the machines are generic over the suite.

use core::fmt;

use attestation::ids::{GroupKey, IdentityKey, Signature};
use attestation::step_attestation::StepAttestation;
use ed25519_dalek::{Signer as _, SigningKey};
pub use light_client::identity::{Ed25519Verify, VerifyIdentity};
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

/// Signs in the name of one identity key.
pub trait SignIdentity {
    /// The public key.
    fn key(&self) -> IdentityKey;

    /// Signs a tagged layout (`attestation::codec::Layout`), never bytes that a peer chose.
    fn sign(&self, message: &[u8]) -> Signature;
}

/// Verifies what a group signed, under the suite of its key.
pub trait VerifyGroup {
    /// Whether the attestation carries the signature of `key`'s group over its commit and root.
    fn attests(&self, key: &GroupKey, step: &StepAttestation) -> bool;
}

/// Verifies everything that a step machine is shown.
pub trait Verify: VerifyIdentity + VerifyGroup {}

impl<V: VerifyIdentity + VerifyGroup> Verify for V {}

/// An Ed25519 identity key. The secret is zeroised on drop.
pub struct Ed25519Identity(SigningKey);

impl Ed25519Identity {
    /// A fresh key.
    pub fn generate(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *seed);
        Self::from_seed(&seed)
    }

    /// The key of an RFC 8032 seed, as the sealed record keeps it.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }
}

impl SignIdentity for Ed25519Identity {
    fn key(&self) -> IdentityKey {
        IdentityKey::from_bytes(self.0.verifying_key().to_bytes())
    }

    fn sign(&self, message: &[u8]) -> Signature {
        Signature::from_bytes(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for Ed25519Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519Identity({}, secret redacted)", self.key())
    }
}

/// The equation that every consumer checks.
impl VerifyGroup for Ed25519Verify {
    fn attests(&self, key: &GroupKey, step: &StepAttestation) -> bool {
        step.verify(key).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use rand_core::SeedableRng as _;

    use super::*;

    fn identity(seed: u64) -> Ed25519Identity {
        Ed25519Identity::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(seed))
    }

    #[test]
    fn a_signature_verifies_under_its_key_and_message_only() {
        let (a, b) = (identity(1), identity(2));
        let signature = a.sign(b"message");
        assert!(Ed25519Verify.verify(&a.key(), b"message", &signature));
        assert!(!Ed25519Verify.verify(&b.key(), b"message", &signature));
        assert!(!Ed25519Verify.verify(&a.key(), b"massage", &signature));
    }

    #[test]
    fn small_order_key_is_refused_although_the_plain_equation_holds() {
        // The identity point as key and R, S = 0: S·B = R + k·A for every message.
        let mut one = [0; 32];
        one[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let key = IdentityKey::from_bytes(one);
        assert!(!Ed25519Verify.verify(&key, b"any", &Signature::from_bytes(signature)));
    }

    #[test]
    fn debug_shows_the_public_key_only() {
        let seed = [0x5a; 32];
        let shown = format!("{:?}", Ed25519Identity::from_seed(&seed));
        assert!(shown.contains("redacted"));
        assert!(!shown.contains("5a5a") && !shown.contains("90, 90"));
    }
}
