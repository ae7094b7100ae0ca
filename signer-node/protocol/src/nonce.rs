//! Nonces (rule B1): used once, by the one function that consumes them.
//!
//! `frost_core`'s nonces can be cloned and serialised; [`OneShotNonces`] can do neither. They live
//! in RAM, are bound to what they were made for, and are gone after [`OneShotNonces::sign`], after
//! a higher view, after the step's attestation and with the process.

use alloc::vec::Vec;
use core::fmt;

use attestation::ids::{Attempt, Boot, Epoch, Seq, View};
use frost_core::keys::KeyPackage;
use frost_core::round1::{SigningCommitments, SigningNonces};
use frost_core::{Ciphersuite, SigningPackage};
use rand_core::{CryptoRng, RngCore};

use crate::message::Lane;

/// What nonces are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// What is signed.
    pub lane: Lane,
    /// Epoch of the seq.
    pub epoch: Epoch,
    /// Step.
    pub seq: Seq,
    /// View.
    pub view: View,
    /// How many of this member's nonces the view has used before.
    pub attempt: Attempt,
    /// The signer's start count.
    pub boot: Boot,
}

/// Nonces for one signature share. Not `Clone`, not serialisable, zeroised on drop.
pub struct OneShotNonces<C: Ciphersuite> {
    binding: Binding,
    nonces: SigningNonces<C>,
}

/// Why nonces made no share. They are gone in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NonceError {
    /// Made for another lane, epoch, seq, view, attempt or start.
    #[error("nonces bound to another signing")]
    Binding,
    /// The package does not hold these commitments, or its points do not decode.
    #[error("the package is not one for these nonces")]
    Package,
}

impl<C: Ciphersuite> OneShotNonces<C> {
    /// Makes nonces for one signing.
    pub fn generate(
        binding: Binding,
        key: &KeyPackage<C>,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Self {
        Self {
            binding,
            nonces: SigningNonces::new(key.signing_share(), rng),
        }
    }

    /// What the nonces are made for.
    #[must_use]
    pub const fn binding(&self) -> &Binding {
        &self.binding
    }

    /// The public commitments.
    #[must_use]
    pub fn commitments(&self) -> SigningCommitments<C> {
        *self.nonces.commitments()
    }

    /// Makes the one signature share that these nonces are for, as the suite serialises it.
    ///
    /// # Errors
    /// [`NonceError`] if they were made for something else; the nonces are gone all the same.
    pub fn sign(
        self,
        binding: &Binding,
        package: &SigningPackage<C>,
        key: &KeyPackage<C>,
    ) -> Result<Vec<u8>, NonceError> {
        if self.binding != *binding {
            return Err(NonceError::Binding);
        }
        frost_core::round2::sign(package, &self.nonces, key)
            .map(|share| share.serialize())
            .map_err(|_| NonceError::Package)
    }
}

impl<C: Ciphersuite> fmt::Debug for OneShotNonces<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneShotNonces")
            .field("binding", &self.binding)
            .finish_non_exhaustive()
    }
}
