//! A ciphersuite without hard problems: integers modulo the prime 2^61 − 1, added. Every equation
//! of FROST holds in it as in any group of prime order, so that a share that is wrong is found
//! wrong, and a discrete logarithm is a division.

use std::ops::{Add, Mul, Sub};

use frost_core::{Ciphersuite, Field, FieldError, Group, GroupError};
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest as _, Sha256};

/// 2^61 − 1, a prime.
const P: u64 = (1 << 61) - 1;
/// Not 1: a share must not look like its verifying share where the wire is searched for secrets.
const GENERATOR: u64 = 0x0abc_def0_1234_5678;

/// A number modulo the prime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalar(u64);

impl Scalar {
    fn reduced(number: u128) -> Self {
        let reduced = u64::try_from(number % u128::from(P));
        Self(reduced.expect("a remainder is below 2^61"))
    }

    fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let (number, _) = bytes.split_at_mut(8);
        number.copy_from_slice(&self.0.to_le_bytes());
        bytes
    }

    /// Canonical bytes only: below the prime, zeros after it.
    fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let (number, zeros) = bytes.split_first_chunk::<8>()?;
        let number = u64::from_le_bytes(*number);
        let canonical = number < P && zeros.iter().all(|byte| *byte == 0);
        canonical.then_some(Self(number))
    }

    fn hashed(tag: &[u8], message: &[u8]) -> Self {
        let hash = digest(tag, message);
        let (wide, _) = hash.split_first_chunk::<16>().expect("32 bytes have 16");
        Self::reduced(u128::from_le_bytes(*wide))
    }

    fn power(self, mut exponent: u64) -> Self {
        let (mut base, mut power) = (self, Self(1));
        while exponent > 0 {
            if exponent & 1 == 1 {
                power = power * base;
            }
            base = base * base;
            exponent >>= 1;
        }
        power
    }
}

impl Add for Scalar {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::reduced(u128::from(self.0) + u128::from(other.0))
    }
}

impl Sub for Scalar {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self::reduced(u128::from(self.0) + u128::from(P - other.0))
    }
}

impl Mul for Scalar {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self::reduced(u128::from(self.0) * u128::from(other.0))
    }
}

/// An element of the group: a multiple of the generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element(Scalar);

impl Add for Element {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Element {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Mul<Scalar> for Element {
    type Output = Self;

    fn mul(self, times: Scalar) -> Self {
        Self(self.0 * times)
    }
}

/// The field of the scalars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToyField;

impl Field for ToyField {
    type Scalar = Scalar;
    type Serialization = [u8; 32];

    fn zero() -> Scalar {
        Scalar(0)
    }

    fn one() -> Scalar {
        Scalar(1)
    }

    /// By Fermat: a^(p − 2).
    fn invert(scalar: &Scalar) -> Result<Scalar, FieldError> {
        match scalar.0 {
            0 => Err(FieldError::InvalidZeroScalar),
            _ => Ok(scalar.power(P - 2)),
        }
    }

    fn random<R: RngCore + CryptoRng>(rng: &mut R) -> Scalar {
        let mut wide = [0; 16];
        rng.fill_bytes(&mut wide);
        Scalar::reduced(u128::from_le_bytes(wide))
    }

    fn serialize(scalar: &Scalar) -> [u8; 32] {
        scalar.to_bytes()
    }

    fn little_endian_serialize(scalar: &Scalar) -> [u8; 32] {
        scalar.to_bytes()
    }

    fn deserialize(bytes: &[u8; 32]) -> Result<Scalar, FieldError> {
        Scalar::from_bytes(bytes).ok_or(FieldError::MalformedScalar)
    }
}

/// The group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToyGroup;

impl Group for ToyGroup {
    type Field = ToyField;
    type Element = Element;
    type Serialization = [u8; 32];

    fn cofactor() -> Scalar {
        Scalar(1)
    }

    fn identity() -> Element {
        Element(Scalar(0))
    }

    fn generator() -> Element {
        Element(Scalar(GENERATOR))
    }

    fn serialize(element: &Element) -> Result<[u8; 32], GroupError> {
        match element.0.0 {
            0 => Err(GroupError::InvalidIdentityElement),
            _ => Ok(element.0.to_bytes()),
        }
    }

    fn deserialize(bytes: &[u8; 32]) -> Result<Element, GroupError> {
        let number = Scalar::from_bytes(bytes).ok_or(GroupError::MalformedElement)?;
        match number.0 {
            0 => Err(GroupError::InvalidIdentityElement),
            _ => Ok(Element(number)),
        }
    }
}

/// FROST over the group, with SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Toy;

impl Ciphersuite for Toy {
    const ID: &'static str = "FROST-SIMULATED-SHA256-v1";

    type Group = ToyGroup;
    type HashOutput = [u8; 32];
    type SignatureSerialization = [u8; 64];

    fn H1(message: &[u8]) -> Scalar {
        Scalar::hashed(b"rho", message)
    }

    fn H2(message: &[u8]) -> Scalar {
        Scalar::hashed(b"chal", message)
    }

    fn H3(message: &[u8]) -> Scalar {
        Scalar::hashed(b"nonce", message)
    }

    fn H4(message: &[u8]) -> [u8; 32] {
        digest(b"msg", message)
    }

    fn H5(message: &[u8]) -> [u8; 32] {
        digest(b"com", message)
    }

    fn HDKG(message: &[u8]) -> Option<Scalar> {
        Some(Scalar::hashed(b"dkg", message))
    }

    fn HID(message: &[u8]) -> Option<Scalar> {
        Some(Scalar::hashed(b"id", message))
    }
}

fn digest(tag: &[u8], message: &[u8]) -> [u8; 32] {
    let hash = Sha256::new_with_prefix(Toy::ID);
    hash.chain_update(tag)
        .chain_update(message)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use frost_core::keys::{IdentifierList, KeyPackage, generate_with_dealer};
    use frost_core::{SigningPackage, aggregate, round1, round2};

    use super::*;
    use crate::dice::Dice;

    #[test]
    fn numbers_form_a_field() {
        let mut dice = Dice::new(1);
        for _ in 0..1_000 {
            let [a, b, c] = [(); 3].map(|()| ToyField::random(&mut dice.rng));
            assert_eq!(a * (b + c), a * b + a * c);
            assert_eq!(a - b + b, a);
            assert_eq!(a * ToyField::invert(&a).unwrap(), ToyField::one());
            let bytes = ToyField::serialize(&a);
            assert_eq!(ToyField::deserialize(&bytes), Ok(a));
        }
        assert_eq!(Scalar(P - 1) + Scalar(1), Scalar(0));
        assert_eq!(Scalar(0) - Scalar(1), Scalar(P - 1));
        assert_eq!(Scalar(P - 1) * Scalar(P - 1), Scalar(1));
        assert!(ToyField::invert(&Scalar(0)).is_err());
    }

    #[test]
    fn only_canonical_bytes_and_no_identity_are_read() {
        let with = |number: u64, at: usize, byte: u8| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            bytes[at] |= byte;
            bytes
        };
        let max = with(P - 1, 0, 0);
        assert!(ToyField::deserialize(&max).is_ok() && ToyGroup::deserialize(&max).is_ok());
        for bad in [
            with(P, 0, 0),
            with(u64::MAX, 0, 0),
            with(5, 8, 1),
            with(5, 31, 0x80),
        ] {
            let malformed = FieldError::MalformedScalar;
            assert_eq!(ToyField::deserialize(&bad), Err(malformed));
            assert_eq!(
                ToyGroup::deserialize(&bad),
                Err(GroupError::MalformedElement)
            );
        }
        let zero = [0; 32];
        assert_eq!(ToyField::deserialize(&zero), Ok(Scalar(0)));
        let identity = Err(GroupError::InvalidIdentityElement);
        assert_eq!(ToyGroup::deserialize(&zero), identity);
        assert!(ToyGroup::serialize(&ToyGroup::identity()).is_err());
    }

    #[test]
    fn t_shares_sign_and_a_wrong_one_is_named() {
        let mut dice = Dice::new(2);
        let list = IdentifierList::<Toy>::Default;
        let (shares, public) = generate_with_dealer(5, 4, list, &mut dice.rng).unwrap();
        let (mut nonces, mut commitments) = (BTreeMap::new(), BTreeMap::new());
        let mut keys = BTreeMap::new();
        for (id, share) in shares.into_iter().take(4) {
            let key = KeyPackage::try_from(share).unwrap();
            let (nonce, commitment) = round1::commit(key.signing_share(), &mut dice.rng);
            nonces.insert(id, nonce);
            commitments.insert(id, commitment);
            keys.insert(id, key);
        }
        let package = SigningPackage::new(commitments, b"message");
        let sign = |id| round2::sign(&package, &nonces[id], &keys[id]).unwrap();
        let mut made: BTreeMap<_, _> = keys.keys().map(|id| (*id, sign(id))).collect();
        let signature = aggregate(&package, &made, &public).unwrap();
        assert!(
            public
                .verifying_key()
                .verify(b"message", &signature)
                .is_ok()
        );
        assert!(
            public
                .verifying_key()
                .verify(b"massage", &signature)
                .is_err()
        );
        let liar = *keys.keys().nth(1).unwrap();
        let mut bytes = made[&liar].serialize();
        bytes[0] ^= 1;
        let wrong = round2::SignatureShare::deserialize(&bytes).unwrap();
        made.insert(liar, wrong);
        let error = aggregate(&package, &made, &public).unwrap_err();
        assert_eq!(error.culprits(), vec![liar]);
    }
}
