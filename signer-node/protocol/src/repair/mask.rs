//! Masks: random polynomials that vanish at the slot whose share is lost.
//!
//! With F the epoch's polynomial, x the lost slot and Rᵢ the mask of helper i, helper j sends
//! vⱼ = F(j) + Σᵢ Rᵢ(j) to the member that lost F(x). Since all Rᵢ(x) are 0, that member
//! interpolates F(x), and learns nothing else of F.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use attestation::ids::Slot;
use frost_core::keys::{
    CoefficientCommitment, PublicKeyPackage, SigningShare, VerifiableSecretSharingCommitment,
    VerifyingShare,
};
use frost_core::{Ciphersuite, Field, Group, Scalar};
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use crate::dkg::packages::{canonical, identifier};

pub(super) type Commitment<C> = VerifiableSecretSharingCommitment<C>;
type Scalars<C> = <<C as Ciphersuite>::Group as Group>::Field;

/// A fresh mask of `threshold` coefficients: (z − x)·Q(z) with Q random. Its commitments, and its
/// value at each helper.
pub(super) fn deal<C: Ciphersuite>(
    threshold: u16,
    lost: Slot,
    helpers: impl Iterator<Item = Slot>,
    rng: &mut (impl RngCore + CryptoRng),
) -> (Vec<u8>, BTreeMap<Slot, Zeroizing<SigningShare<C>>>) {
    let zero = Scalars::<C>::zero();
    let at = identifier::<C>(lost).to_scalar();
    let mut coefficients: Vec<Scalar<C>> = Vec::with_capacity(usize::from(threshold));
    let mut last = zero;
    for _ in 1..threshold {
        let next = Scalars::<C>::random(rng);
        coefficients.push(last - at * next);
        last = next;
    }
    coefficients.push(last);
    let commit = |coefficient: &Scalar<C>| {
        CoefficientCommitment::<C>::new(C::Group::generator() * *coefficient)
    };
    let commitment = Commitment::new(coefficients.iter().map(commit).collect());
    let commitment = commitment.serialize_whole();
    let value = |slot| {
        let value = SigningShare::from_coefficients(&coefficients, identifier(slot));
        (slot, Zeroizing::new(value))
    };
    let values = helpers.map(value).collect();
    coefficients.fill(zero);
    let commitment = commitment.expect("no coefficient of a random polynomial is zero");
    (commitment, values)
}

/// The commitments to a mask: exactly t coefficients, and zero at the lost slot, or the mask would
/// change the share.
pub(super) fn decode<C: Ciphersuite>(
    bytes: &[u8],
    threshold: u16,
    lost: Slot,
) -> Option<Commitment<C>> {
    let commitment = canonical(
        bytes,
        Commitment::deserialize_whole,
        Commitment::serialize_whole,
    )?;
    let vanishes = VerifyingShare::from_commitment(identifier(lost), &commitment).to_element()
        == C::Group::identity();
    (commitment.coefficients().len() == usize::from(threshold) && vanishes).then_some(commitment)
}

/// A helper's share under all masks.
pub(super) fn masked<C: Ciphersuite>(
    share: &SigningShare<C>,
    parts: impl Iterator<Item = SigningShare<C>>,
) -> SigningShare<C> {
    let add = |sum: SigningShare<C>, part: SigningShare<C>| {
        SigningShare::new(sum.to_scalar() + part.to_scalar())
    };
    parts.fold(*share, add)
}

/// Whether a masked share is what masks and verifying share say.
pub(super) fn fits<C: Ciphersuite>(
    slot: Slot,
    sum: &SigningShare<C>,
    masks: &[Commitment<C>],
    public: &PublicKeyPackage<C>,
) -> bool {
    let identifier = identifier(slot);
    let Some(own) = public.verifying_shares().get(&identifier) else {
        return false;
    };
    let expected = masks.iter().fold(own.to_element(), |sum, mask| {
        sum + VerifyingShare::from_commitment(identifier, mask).to_element()
    });
    C::Group::generator() * sum.to_scalar() == expected
}

/// The value at the lost slot of the polynomial through the helpers' masked shares.
pub(super) fn interpolate<C: Ciphersuite>(
    sums: &BTreeMap<Slot, Zeroizing<SigningShare<C>>>,
    lost: Slot,
) -> Option<Zeroizing<SigningShare<C>>> {
    let set: BTreeSet<_> = sums.keys().copied().map(identifier::<C>).collect();
    let at = Some(identifier::<C>(lost));
    let mut share = Zeroizing::new(SigningShare::new(Scalars::<C>::zero()));
    for (slot, sum) in sums {
        let own = identifier(*slot);
        let lambda = frost_core::compute_lagrange_coefficient(&set, at, own).ok()?;
        *share = SigningShare::new(share.to_scalar() + lambda * sum.to_scalar());
    }
    Some(share)
}
