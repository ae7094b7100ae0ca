//! A member's key share.

use core::fmt;

use attestation::ids::{Epoch, Slot};
use frost_core::Ciphersuite;
use frost_core::keys::{KeyPackage, PublicKeyPackage};

use crate::sealed::ShareBytes;

/// A member's secret share of the group key, with the public package it belongs to.
pub struct KeyShare<C: Ciphersuite> {
    slot: Slot,
    epoch: Epoch,
    key: KeyPackage<C>,
    public: PublicKeyPackage<C>,
}

/// Why bytes are not a key share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// Not the expected structure.
    #[error("not a key share")]
    Structure,
}

impl<C: Ciphersuite> KeyShare<C> {
    /// Opens the content of a sealed record.
    ///
    /// # Errors
    /// [`ShareError`] if the bytes are not a share of this suite.
    pub fn from_bytes(_bytes: &ShareBytes) -> Result<Self, ShareError> {
        Err(ShareError::Structure)
    }

    /// The member.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// The generation of shares.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What FROST signs with.
    #[must_use]
    pub const fn key_package(&self) -> &KeyPackage<C> {
        &self.key
    }

    /// What FROST aggregates and checks shares with.
    #[must_use]
    pub const fn public_package(&self) -> &PublicKeyPackage<C> {
        &self.public
    }
}

impl<C: Ciphersuite> fmt::Debug for KeyShare<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "KeyShare(slot {}, epoch {}, redacted)",
            self.slot, self.epoch
        )
    }
}
