//! What a member deals, and what becomes of what it is dealt.
//!
//! In a key generation frost's own parts. In a reshare a dealer i of the set D deals a polynomial
//! of degree t′ − 1 with the constant λᵢ(D)·sᵢ, its old share times its Lagrange coefficient. All
//! can check the commitment to the constant against λᵢ(D)·Yᵢ, which keeps the group key as it is
//! and names whoever would change it; the sums of what members are dealt are the new shares.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use attestation::ids::Slot;
use frost_core::keys::dkg::{self, round1, round2};
use frost_core::keys::{
    self, IdentifierList, KeyPackage, PublicKeyPackage, SigningShare,
    VerifiableSecretSharingCommitment, VerifyingShare,
};
use frost_core::{Ciphersuite, Element, Field, Group, SigningKey};
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::packages::{
    commitment_of, culprit_of, decode_round1, decode_round2, identifier, share_fits,
};
use super::setup::Setup;
use crate::message::{DkgBody, DkgMessage, SecretPackage};

/// A member's secrets from its first message to its share.
pub(super) enum Dealt<C: Ciphersuite> {
    /// Of a key generation, before the others' commitments are agreed upon.
    Part1(Box<round1::SecretPackage<C>>),
    /// Of a key generation, afterwards.
    Part2(Box<round2::SecretPackage<C>>),
    /// Of a reshare: what each new member gets. Empty at a member that does not deal.
    Reshare(BTreeMap<Slot, Zeroizing<SigningShare<C>>>),
}

/// Who is to blame for packages that lead to no share; nobody if it is frost that refuses.
pub(super) type Culprit = Option<Slot>;

type Envelopes = BTreeMap<Slot, DkgMessage>;

impl<C: Ciphersuite> Dealt<C> {
    /// A fresh polynomial, and the round-1 package that commits to it.
    pub(super) fn deal(setup: &Setup<C>, rng: &mut (impl RngCore + CryptoRng)) -> (Self, Vec<u8>) {
        let members = u16::try_from(setup.membership.count()).expect("at most 150 members");
        let threshold = setup.membership.threshold();
        let Some(change) = &setup.change else {
            let own = identifier::<C>(setup.slot);
            let (secret, package) = dkg::part1(own, members, threshold, rng)
                .expect("a record's threshold is 3 to n and the suite has a DKG");
            let package = package.serialize().expect("a fresh package encodes");
            return (Self::Part1(Box::new(secret)), package);
        };
        let Some(constant) = &change.own else {
            return (Self::Reshare(BTreeMap::new()), Vec::new());
        };
        let identifiers: Vec<_> = setup.membership.slots().map(identifier::<C>).collect();
        let list = IdentifierList::Custom(&identifiers);
        let constant = SigningKey::from_scalar(constant.to_scalar())
            .expect("a share of zero is refused when the ceremony is entered");
        let (shares, _) = keys::split(&constant, members, threshold, list, rng)
            .expect("a plan's threshold is 3 to n and its slots are distinct");
        let commitment = shares
            .values()
            .next()
            .map(|share| share.commitment().clone());
        let commitment = commitment.and_then(|commitment| commitment.serialize_whole().ok());
        let shares = setup.membership.slots().filter_map(|slot| {
            let share = shares.get(&identifier(slot))?;
            Some((slot, Zeroizing::new(*share.signing_share())))
        });
        let shares = shares.collect();
        let commitment = commitment.expect("commitments to random coefficients encode");
        (Self::Reshare(shares), commitment)
    }

    /// All round-1 packages are agreed upon: checks them, and gives what each other member is
    /// dealt.
    pub(super) fn shares(
        &self,
        setup: &Setup<C>,
        round1: &Envelopes,
    ) -> Result<(Self, BTreeMap<Slot, SecretPackage>), Culprit> {
        match self {
            Self::Part1(secret) => {
                let (secret, packages) = dkg::part2(*secret.clone(), &others(setup, round1)?)
                    .map_err(|error| culprit_of(setup, &error))?;
                let package = |to| Some((to, packages.get(&identifier(to))?));
                let packages = setup.other_members().filter_map(package);
                let packages = packages.map(|(to, package)| (to, encoded(package)));
                Ok((Self::Part2(Box::new(secret)), packages.collect()))
            }
            Self::Part2(_) => Err(None),
            Self::Reshare(shares) => {
                for (slot, envelope) in round1 {
                    let is_valid = if setup.deals(*slot) {
                        commitment_of(setup, envelope).is_some()
                    } else {
                        matches!(&envelope.body, DkgBody::Round1(package) if package.is_empty())
                    };
                    if !is_valid {
                        return Err(Some(*slot));
                    }
                }
                let package = |share: &SigningShare<C>| encoded(&round2::Package::new(*share));
                let packages = setup
                    .other_members()
                    .filter_map(|to| Some((to, package(shares.get(&to)?))));
                let packages = packages.collect();
                let kept = shares.get(&setup.slot).map(|own| (setup.slot, own.clone()));
                Ok((Self::Reshare(kept.into_iter().collect()), packages))
            }
        }
    }

    /// All round-2 packages are here: checks each against its dealer's commitments, t
    /// multiplications each, the dearest part of a ceremony; then adds them up.
    pub(super) fn sum(
        &self,
        setup: &Setup<C>,
        round1: &Envelopes,
        round2: &Envelopes,
    ) -> Result<(KeyPackage<C>, PublicKeyPackage<C>), Culprit> {
        match self {
            Self::Part1(_) => Err(None),
            Self::Part2(secret) => {
                let mut packages = BTreeMap::new();
                for (slot, message) in round2 {
                    let package = match &message.body {
                        DkgBody::Round2 { package, .. } => decode_round2(package),
                        _ => None,
                    };
                    packages.insert(identifier(*slot), package.ok_or(Some(*slot))?);
                }
                dkg::part3(secret, &others(setup, round1)?, &packages)
                    .map_err(|error| culprit_of(setup, &error))
            }
            Self::Reshare(own) => {
                let own = own.get(&setup.slot).map(|share| share.to_scalar());
                let zero = <<C::Group as Group>::Field>::zero();
                let mut sum = Zeroizing::new(SigningShare::new(own.unwrap_or(zero)));
                for (slot, message) in round2 {
                    let DkgBody::Round2 { package, .. } = &message.body else {
                        return Err(Some(*slot));
                    };
                    let envelope = round1.get(slot).ok_or(None)?;
                    let commitment = commitment_of(setup, envelope).ok_or(None)?;
                    let fits = share_fits(identifier(setup.slot), package, &commitment);
                    let theirs = decode_round2::<C>(package).filter(|_| fits);
                    let theirs = theirs.ok_or(Some(*slot))?;
                    let next = sum.to_scalar() + theirs.signing_share().to_scalar();
                    *sum = SigningShare::new(next);
                }
                let public = resharing_public(setup, round1).ok_or(None)?;
                let key = KeyPackage::new(
                    identifier(setup.slot),
                    *sum,
                    VerifyingShare::from(*sum),
                    *public.verifying_key(),
                    setup.membership.threshold(),
                );
                Ok((key, public))
            }
        }
    }
}

/// The public package of the new epoch, which follows from the dealers' commitments alone.
pub(super) fn resharing_public<C: Ciphersuite>(
    setup: &Setup<C>,
    round1: &BTreeMap<Slot, DkgMessage>,
) -> Option<PublicKeyPackage<C>> {
    let change = setup.change.as_ref()?;
    let dealers = change.constants.keys();
    let commitments: Option<Vec<VerifiableSecretSharingCommitment<C>>> = dealers
        .map(|slot| commitment_of(setup, round1.get(slot)?))
        .collect();
    let commitments = commitments?;
    let sum = keys::sum_commitments(&commitments.iter().collect::<Vec<_>>()).ok()?;
    let members: BTreeSet<_> = setup.membership.slots().map(identifier).collect();
    let public = PublicKeyPackage::from_commitment(&members, &sum).ok()?;
    (*public.verifying_key() == change.group_key).then_some(public)
}

/// What a dealer's constant must be in the exponent, λᵢ(D)·Yᵢ, for each dealer.
pub(super) fn constants<C: Ciphersuite>(
    dealers: &[Slot],
    public: &PublicKeyPackage<C>,
) -> Option<BTreeMap<Slot, Element<C>>> {
    let set: BTreeSet<_> = dealers.iter().copied().map(identifier::<C>).collect();
    let constant = |slot: &Slot| {
        let identifier = identifier::<C>(*slot);
        let share = public.verifying_shares().get(&identifier)?;
        let lambda = frost_core::compute_lagrange_coefficient(&set, None, identifier).ok()?;
        Some((*slot, share.to_element() * lambda))
    };
    dealers.iter().map(constant).collect()
}

/// A dealer's own constant, λᵢ(D)·sᵢ; `None` if it is zero or the dealer not in the set.
pub(super) fn own_constant<C: Ciphersuite>(
    dealers: &[Slot],
    slot: Slot,
    share: &SigningShare<C>,
) -> Option<Zeroizing<SigningShare<C>>> {
    let set: BTreeSet<_> = dealers.iter().copied().map(identifier::<C>).collect();
    let lambda = frost_core::compute_lagrange_coefficient(&set, None, identifier(slot)).ok()?;
    let constant = Zeroizing::new(SigningShare::new(share.to_scalar() * lambda));
    let is_zero = constant.to_scalar() == <<C::Group as Group>::Field>::zero();
    (!is_zero).then_some(constant)
}

/// The others' round-1 packages of a key generation, or the first member whose is not one.
fn others<C: Ciphersuite>(
    setup: &Setup<C>,
    round1: &BTreeMap<Slot, DkgMessage>,
) -> Result<BTreeMap<frost_core::Identifier<C>, round1::Package<C>>, Culprit> {
    setup
        .others()
        .map(|slot| {
            let envelope = round1.get(&slot).ok_or(Some(slot))?;
            let threshold = setup.membership.threshold();
            let package = decode_round1(envelope, threshold).ok_or(Some(slot))?;
            Ok((identifier(slot), package))
        })
        .collect()
}

fn encoded<C: Ciphersuite>(package: &round2::Package<C>) -> SecretPackage {
    let bytes = package.serialize().expect("a fresh package encodes");
    SecretPackage::new(Zeroizing::new(bytes))
}
