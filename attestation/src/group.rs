//! The committee's group key: the checks made once when it is registered.

use curve25519_dalek::edwards::CompressedEdwardsY;

use crate::ids::{Digest, GroupKey};
use crate::receipt;

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

/// A group key that passed [`GroupKey::check`]: what a consumer keeps after registration, so that
/// the check is made once and cannot be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    key: GroupKey,
    id: Digest,
}

impl TrustedKey {
    /// Registers a key.
    ///
    /// # Errors
    /// [`GroupKeyError`] names the first check that failed.
    pub fn new(key: GroupKey) -> Result<Self, GroupKeyError> {
        key.check()?;
        Ok(Self {
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
}

impl GroupKey {
    /// Checks that the key is canonical, not of small order and torsion-free, so that every
    /// Ed25519 verifier agrees on its signatures. Made once, where the key is registered.
    ///
    /// # Errors
    /// [`GroupKeyError`] names the first check that failed.
    pub fn check(&self) -> Result<(), GroupKeyError> {
        let point = CompressedEdwardsY(*self.as_bytes())
            .decompress()
            .ok_or(GroupKeyError::NotAPoint)?;
        if point.compress().as_bytes() != self.as_bytes() {
            return Err(GroupKeyError::NotCanonical);
        }
        if point.is_small_order() {
            return Err(GroupKeyError::SmallOrder);
        }
        if !point.is_torsion_free() {
            return Err(GroupKeyError::Torsion);
        }
        Ok(())
    }
}
