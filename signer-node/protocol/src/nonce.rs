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

    /// What must never happen (rule B1), for [`crate::planted::Bug::NonceKept`].
    #[cfg(feature = "planted")]
    pub(crate) fn duplicate(&self, binding: Binding) -> Self {
        Self {
            binding,
            nonces: self.nonces.clone(),
        }
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

#[cfg(test)]
mod vectors;

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::format;

    use frost_ed25519::keys::{IdentifierList, KeyPackage, generate_with_dealer};
    use frost_ed25519::{Ed25519Sha512, SigningPackage};
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng as _;

    use super::*;

    type Nonces = OneShotNonces<Ed25519Sha512>;

    const BINDING: Binding = Binding {
        lane: Lane::Steps,
        epoch: Epoch(1),
        seq: Seq(2),
        view: View(3),
        attempt: Attempt(0),
        boot: Boot(4),
    };

    fn keys(rng: &mut ChaCha8Rng) -> Vec<KeyPackage> {
        let (shares, _) = generate_with_dealer(3, 2, IdentifierList::Default, rng).unwrap();
        shares
            .into_values()
            .map(|share| KeyPackage::try_from(share).unwrap())
            .collect()
    }

    fn package(of: &[(&KeyPackage, &Nonces)]) -> SigningPackage {
        let commitments: BTreeMap<_, _> = of
            .iter()
            .map(|(key, nonces)| (*key.identifier(), nonces.commitments()))
            .collect();
        SigningPackage::new(commitments, b"statement")
    }

    #[test]
    fn nonces_sign_what_they_are_bound_to_and_nothing_else() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let keys = keys(&mut rng);
        let bindings = [
            Binding {
                epoch: Epoch(2),
                ..BINDING
            },
            Binding {
                seq: Seq(1),
                ..BINDING
            },
            Binding {
                view: View(4),
                ..BINDING
            },
            Binding {
                attempt: Attempt(1),
                ..BINDING
            },
            Binding {
                boot: Boot(5),
                ..BINDING
            },
        ];
        for asked in bindings {
            let nonces = [
                Nonces::generate(BINDING, &keys[0], &mut rng),
                Nonces::generate(BINDING, &keys[1], &mut rng),
            ];
            let package = package(&[(&keys[0], &nonces[0]), (&keys[1], &nonces[1])]);
            let [first, second] = nonces;
            assert_eq!(
                first.sign(&asked, &package, &keys[0]),
                Err(NonceError::Binding)
            );
            assert!(second.sign(&BINDING, &package, &keys[1]).is_ok());
        }
    }

    #[test]
    fn a_package_without_the_own_commitments_gets_no_share() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let keys = keys(&mut rng);
        let make = |rng: &mut ChaCha8Rng, key| Nonces::generate(BINDING, key, rng);
        let (own, swapped) = (make(&mut rng, &keys[0]), make(&mut rng, &keys[0]));
        let other = make(&mut rng, &keys[1]);
        let package = package(&[(&keys[0], &swapped), (&keys[1], &other)]);
        assert_eq!(
            own.sign(&BINDING, &package, &keys[0]),
            Err(NonceError::Package)
        );
    }

    #[test]
    fn no_two_nonces_are_alike_and_debug_shows_none() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let keys = keys(&mut rng);
        let (a, b) = (
            Nonces::generate(BINDING, &keys[0], &mut rng),
            Nonces::generate(BINDING, &keys[0], &mut rng),
        );
        assert_ne!(a.commitments(), b.commitments());
        let shown = format!("{a:?}");
        assert!(
            shown.contains("binding: Binding") && !shown.contains("hiding"),
            "{shown}"
        );
    }
}
