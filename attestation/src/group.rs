//! The committee's group key: the checks made once when it is registered.

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;

use crate::identity::{self, StrictKey};
use crate::ids::{Digest, GroupKey, Signature};
use crate::receipt;

/// A group key that passed [`GroupKey::check`]: what a consumer keeps after registration, so that
/// the check is made once and cannot be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    strict: StrictKey,
    key: GroupKey,
    id: Digest,
}

/// A registered group key that can be asked whether a signature is its group's: [`TrustedKey`]
/// verifies by itself, a contract asks its chain.
pub trait VerifyGroup {
    /// The key.
    fn key(&self) -> &GroupKey;

    /// Its RFC 9679 thumbprint, the `kid` of receipts.
    fn id(&self) -> &Digest;

    /// Whether `signature` is the group's Ed25519 signature over `message`.
    fn verify(&self, message: &[u8], signature: &Signature) -> bool;
}

/// Why a group key must not be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupKeyError {
    /// The bytes are no point of the curve.
    #[error("group key is not a point of the curve")]
    NotAPoint,
    /// The bytes are a second encoding of a point: verifiers differ on it.
    #[error("group key is not the canonical encoding of its point")]
    NotCanonical,
    /// Signatures under a key of small order prove nothing.
    #[error("group key is of small order")]
    SmallOrder,
    /// Cofactored and cofactorless verifiers differ on a key with a torsion part.
    #[error("group key is not torsion-free")]
    Torsion,
}

impl TrustedKey {
    /// Registers a key.
    ///
    /// # Errors
    /// [`GroupKeyError`] names the first check that failed.
    pub fn new(key: GroupKey) -> Result<Self, GroupKeyError> {
        let strict = StrictKey::parse(key.as_bytes()).ok_or_else(|| reason(&key))?;
        if !is_torsion_free(&strict.point()) {
            return Err(GroupKeyError::Torsion);
        }
        Ok(Self {
            strict,
            key,
            id: receipt::key_id(&key),
        })
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &GroupKey {
        &self.key
    }

    /// Its RFC 9679 thumbprint, the `kid` of receipts.
    #[must_use]
    pub const fn id(&self) -> &Digest {
        &self.id
    }

    /// Whether `signature` is the group's strict signature over `message`.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        self.strict.verify(message, signature)
    }
}

impl VerifyGroup for TrustedKey {
    fn key(&self) -> &GroupKey {
        self.key()
    }

    fn id(&self) -> &Digest {
        self.id()
    }

    fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        self.verify(message, signature)
    }
}

impl GroupKey {
    /// Checks that the key is canonical, not of small order and torsion-free, so that every
    /// Ed25519 verifier agrees on its signatures. [`TrustedKey::new`] keeps the result.
    ///
    /// # Errors
    /// [`GroupKeyError`] names the first check that failed.
    pub fn check(&self) -> Result<(), GroupKeyError> {
        TrustedKey::new(*self).map(|_| ())
    }
}

/// Why [`StrictKey::parse`] refused a key.
fn reason(key: &GroupKey) -> GroupKeyError {
    let Some(point) = CompressedEdwardsY(*key.as_bytes()).decompress() else {
        return GroupKeyError::NotAPoint;
    };
    if !identity::is_reduced(key.as_bytes()) || point.compress().as_bytes() != key.as_bytes() {
        return GroupKeyError::NotCanonical;
    }
    GroupKeyError::SmallOrder
}

/// ℓP = 0, as (ℓ − 1)P = −P: the key is public, so the variable-time product will do, at two
/// thirds of the time of the library's own check.
fn is_torsion_free(point: &EdwardsPoint) -> bool {
    let product =
        EdwardsPoint::vartime_double_scalar_mul_basepoint(&-Scalar::ONE, point, &Scalar::ZERO);
    product == -point
}
