//! What frost-ed25519 publishes of repairs and of shares, through the arithmetic of masks.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use attestation::ids::Slot;
use conformance::shipped::frost_ed25519::{generation, repair, signings};
use frost_core::keys::{PublicKeyPackage, SigningShare, VerifyingShare};
use frost_core::{Field, Group, Scalar, VerifyingKey};
use frost_ed25519::Ed25519Sha512 as Suite;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use zeroize::Zeroizing;

use super::mask::{deal, decode, fits, interpolate, masked};
use crate::dkg::packages::identifier;

type Scalars = <<Suite as frost_core::Ciphersuite>::Group as Group>::Field;
type Share = SigningShare<Suite>;

fn share(bytes: &[u8]) -> Share {
    Share::deserialize(bytes).unwrap()
}

/// The weight at `lost` of what `slot` says, worked out by itself.
fn weight(helpers: &BTreeSet<u16>, lost: u16, slot: u16) -> Scalar<Suite> {
    let number = |slot| identifier::<Suite>(Slot(slot)).to_scalar();
    let others = helpers.iter().filter(|other| **other != slot);
    others.fold(Scalars::one(), |product, other| {
        let inverse = Scalars::invert(&(number(slot) - number(*other))).unwrap();
        product * (number(lost) - number(*other)) * inverse
    })
}

/// The library's helpers weigh what they send, ours leave that to whoever lost its share: each sum
/// is taken by its weight first.
#[test]
fn published_sums_of_a_repair_are_the_masked_share_and_the_restored_one() {
    let published = repair();
    assert_eq!((published.parts.len(), published.sums.len()), (3, 4));
    let parts: Vec<_> = published.parts.iter().map(|part| share(part)).collect();
    let sum = masked(&parts[0], parts[1..].iter().copied());
    assert_eq!(sum.serialize(), published.parts_sum);

    let (lost, helpers) = (2, BTreeSet::from([1, 3, 4, 5]));
    let sums = helpers.iter().zip(&published.sums).map(|(slot, sum)| {
        let inverse = Scalars::invert(&weight(&helpers, lost, *slot)).unwrap();
        let sum = Share::new(share(sum).to_scalar() * inverse);
        (Slot(*slot), Zeroizing::new(sum))
    });
    let restored = interpolate::<Suite>(&sums.collect(), Slot(lost)).unwrap();
    assert_eq!(restored.serialize(), published.share);
}

/// All shares of one key.
struct Shares {
    threshold: u16,
    public: PublicKeyPackage<Suite>,
    shares: BTreeMap<u16, Share>,
}

impl Shares {
    fn new(threshold: u16, group_key: &[u8], shares: &BTreeMap<u16, Vec<u8>>) -> Self {
        let shares: BTreeMap<_, _> = shares
            .iter()
            .map(|(slot, one)| (*slot, share(one)))
            .collect();
        let verifying = shares
            .iter()
            .map(|(slot, share)| (identifier(Slot(*slot)), VerifyingShare::from(*share)));
        let group = VerifyingKey::deserialize(group_key).unwrap();
        let public = PublicKeyPackage::new(verifying.collect(), group, Some(threshold));
        Self {
            threshold,
            public,
            shares,
        }
    }

    /// What t others restore, each under the masks of all.
    fn restore(&self, lost: u16, rng: &mut ChaCha20Rng) -> Share {
        let after = self.shares.range(lost + 1..).chain(&self.shares);
        let helpers = after.map(|(slot, _)| *slot).filter(|slot| *slot != lost);
        let helpers: BTreeSet<_> = helpers.take(usize::from(self.threshold)).collect();
        let (mut masks, mut parts) = (Vec::new(), Vec::new());
        for _ in &helpers {
            let slots = helpers.iter().map(|slot| Slot(*slot));
            let (mask, values) = deal::<Suite>(self.threshold, Slot(lost), slots, rng);
            masks.push(decode(&mask, self.threshold, Slot(lost)).unwrap());
            parts.push(values);
        }
        let sums = helpers.iter().map(|slot| {
            let parts = parts.iter().map(|values| *values[&Slot(*slot)]);
            let sum = Zeroizing::new(masked(&self.shares[slot], parts));
            assert!(fits(Slot(*slot), &sum, &masks, &self.public));
            (Slot(*slot), sum)
        });
        *interpolate(&sums.collect(), Slot(lost)).unwrap()
    }
}

#[test]
fn every_published_share_is_restored_by_others_of_its_key() {
    let mut keys: Vec<_> = signings()
        .iter()
        .map(|signing| Shares::new(signing.threshold, &signing.group_key, &signing.shares))
        .collect();
    let generated = generation();
    let shares = generated.members.iter();
    let shares = shares.map(|(slot, member)| (*slot, member.share.clone()));
    keys.push(Shares::new(
        generated.threshold,
        &generated.group_key,
        &shares.collect(),
    ));
    let (mut rng, mut restored) = (ChaCha20Rng::seed_from_u64(1), 0);
    for key in &keys {
        for (lost, share) in &key.shares {
            assert_eq!(key.restore(*lost, &mut rng), *share, "member {lost}");
            restored += 1;
        }
    }
    assert_eq!(restored, 3 + 257 + 3);
}
