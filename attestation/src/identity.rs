//! Strict Ed25519 verification: the one place that calls the library.

use curve25519_dalek::edwards::EdwardsPoint;
use ed25519_dalek::{Signature as DalekSignature, VerifyingKey};

use crate::ids::{GroupKey, IdentityKey, Signature};

/// A key whose bytes are the canonical encoding of a point that is not of small order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrictKey(VerifyingKey);

/// Whether `signature` is a strict Ed25519 signature (RFC 8032, canonical key, R and S, key and R
/// not of small order) by `key` over `message`.
#[must_use]
pub fn verify(key: &IdentityKey, message: &[u8], signature: &Signature) -> bool {
    StrictKey::parse(key.as_bytes()).is_some_and(|key| key.verify(message, signature))
}

/// [`verify`] under a group key.
#[must_use]
pub fn verify_group(key: &GroupKey, message: &[u8], signature: &Signature) -> bool {
    StrictKey::parse(key.as_bytes()).is_some_and(|key| key.verify(message, signature))
}

/// Whether the bytes are a key that [`verify`] can accept signatures of: canonical and not of
/// small order.
#[must_use]
pub fn is_key(key: &IdentityKey) -> bool {
    StrictKey::parse(key.as_bytes()).is_some()
}

impl StrictKey {
    /// Takes the one encoding of a point that is not of small order; the library alone takes
    /// every encoding (ZIP 215).
    #[must_use]
    pub fn parse(key: &[u8; 32]) -> Option<Self> {
        if !is_reduced(key) {
            return None;
        }
        let key = VerifyingKey::from_bytes(key).ok()?;
        (!key.is_weak()).then_some(Self(key))
    }

    /// Whether `signature` is this key's strict signature over `message`.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        let signature = DalekSignature::from_bytes(signature.as_bytes());
        self.0.verify_strict(message, &signature).is_ok()
    }

    /// The point.
    #[must_use]
    pub fn point(&self) -> EdwardsPoint {
        self.0.to_edwards()
    }
}

/// Whether y < p = 2^255 − 19 (little-endian; the top bit is x's sign). The other malleability,
/// a sign for x = 0, exists only at points of small order.
pub(crate) fn is_reduced(key: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = key;
    high & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff) || *low < 0xed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// y in little-endian with the given lowest and highest byte, 0xff between.
    const fn y(low: u8, high: u8) -> [u8; 32] {
        let mut key = [0xff; 32];
        (key[0], key[31]) = (low, high);
        key
    }

    #[test]
    fn y_is_reduced_below_p_whatever_the_sign() {
        for (key, reduced) in [
            ([0; 32], true),
            (y(0xec, 0x7f), true),
            (y(0xec, 0xff), true),
            (y(0xed, 0x7f), false),
            (y(0xff, 0x7f), false),
            (y(0xed, 0xff), false),
            (y(0xff, 0x7e), true),
        ] {
            assert_eq!(is_reduced(&key), reduced, "{key:02x?}");
        }
    }

    /// The library takes this key; a second encoding of a key is another key to whoever compares.
    #[test]
    fn a_second_encoding_of_a_point_is_no_key() {
        let twice = y(0xf0, 0x7f);
        assert!(VerifyingKey::from_bytes(&twice).is_ok());
        assert!(StrictKey::parse(&twice).is_none());
    }

    /// r = 0: only the key's holder can make it, the plain equation holds, and verifiers differ.
    #[test]
    fn a_signature_with_r_of_small_order_is_refused() {
        use curve25519_dalek::scalar::Scalar;
        use curve25519_dalek::traits::Identity as _;
        use ed25519_dalek::Verifier as _;
        use sha2::{Digest as _, Sha512};

        let secret = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let r = EdwardsPoint::identity().compress();
        let hash = Sha512::new()
            .chain_update(r.as_bytes())
            .chain_update(secret.verifying_key().as_bytes())
            .chain_update(b"message");
        let s = Scalar::from_hash(hash) * secret.to_scalar();
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(r.as_bytes());
        bytes[32..].copy_from_slice(s.as_bytes());

        let library = DalekSignature::from_bytes(&bytes);
        assert!(secret.verifying_key().verify(b"message", &library).is_ok());
        let key = IdentityKey::from_bytes(secret.verifying_key().to_bytes());
        assert!(!verify(&key, b"message", &Signature::from_bytes(bytes)));
    }
}
