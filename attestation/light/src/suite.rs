//! The two suites of a committee, and their group keys and signatures as records hold them.
//!
//! Ed25519 attests steps. [`Evm`], FROST(secp256k1, KECCAK-256), signs the same statements for
//! contracts that verify by `ecrecover`. Each has a key generation of its own: one secret never
//! serves two suites (rule B2). Which suite a record is of shows in the length of its key, and no
//! other length is read.

use core::fmt;
use core::str::FromStr;

use attestation::ids::{EvmKey, EvmSignature, GroupKey, ParseIdError, Signature};
use k256::elliptic_curve::PrimeField as _;
use k256::elliptic_curve::sec1::{FromEncodedPoint as _, ToEncodedPoint as _};
use k256::{AffinePoint, EncodedPoint, Scalar};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha3::{Digest as _, Keccak256};

/// The suite whose signatures EVM contracts verify.
pub use frost_secp256k1_evm::Secp256K1Keccak256 as Evm;

const _: () = assert!(same(
    <Evm as frost_core::Ciphersuite>::ID,
    attestation::committee::EVM_SUITE
));

macro_rules! of_either_suite {
    ($(#[$doc:meta])* $name:ident, $ed25519:ident, $evm:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            /// Of the suite that attests steps.
            Ed25519($ed25519),
            /// Of the suite that EVM contracts verify.
            Evm($evm),
        }

        impl $name {
            /// The suite's serialisation; `None` if the length is of neither.
            #[must_use]
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                if let Ok(bytes) = bytes.try_into() {
                    return Some(Self::Ed25519($ed25519::from_bytes(bytes)));
                }
                Some(Self::Evm($evm::from_bytes(bytes.try_into().ok()?)))
            }

            /// The suite's serialisation.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                match self {
                    Self::Ed25519(bytes) => bytes.as_bytes(),
                    Self::Evm(bytes) => bytes.as_bytes(),
                }
            }

            /// If it is of the suite that attests steps.
            #[must_use]
            pub const fn ed25519(&self) -> Option<$ed25519> {
                match self {
                    Self::Ed25519(bytes) => Some(*bytes),
                    Self::Evm(_) => None,
                }
            }

            /// If it is of the suite that EVM contracts verify.
            #[must_use]
            pub const fn evm(&self) -> Option<$evm> {
                match self {
                    Self::Ed25519(_) => None,
                    Self::Evm(bytes) => Some(*bytes),
                }
            }
        }

        impl From<$ed25519> for $name {
            fn from(bytes: $ed25519) -> Self {
                Self::Ed25519(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::Ed25519(bytes) => bytes.fmt(f),
                    Self::Evm(bytes) => bytes.fmt(f),
                }
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let ed25519 = text.parse().map(Self::Ed25519);
                ed25519.or_else(|_| text.parse().map(Self::Evm))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    Self::Ed25519(bytes) => bytes.serialize(serializer),
                    Self::Evm(bytes) => bytes.serialize(serializer),
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Either;
                impl Visitor<'_> for Either {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "{} or {} bytes", $ed25519::LEN, $evm::LEN)
                    }

                    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<$name, E> {
                        let length = E::invalid_length(bytes.len(), &self);
                        $name::from_bytes(bytes).ok_or(length)
                    }
                }
                if deserializer.is_human_readable() {
                    let text = <alloc::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                    text.parse().map_err(D::Error::custom)
                } else {
                    deserializer.deserialize_bytes(Either)
                }
            }
        }
    };
}

of_either_suite!(
    /// A group's public key (RFC 9591 §6).
    GroupPublicKey, GroupKey, EvmKey
);
of_either_suite!(
    /// A group's signature.
    GroupSignature, Signature, EvmSignature
);

/// Both coordinates of a point, as contracts take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affine {
    /// x-coordinate, big-endian.
    pub x: [u8; 32],
    /// y-coordinate, big-endian.
    pub y: [u8; 32],
}

impl Affine {
    /// The point that SEC 1 compresses to these bytes; `None` if there is none.
    #[must_use]
    pub fn decompress(bytes: &[u8; 33]) -> Option<Self> {
        let encoded = EncodedPoint::from_bytes(bytes).ok()?;
        let point = Option::<AffinePoint>::from(AffinePoint::from_encoded_point(&encoded))?;
        let point = point.to_encoded_point(false);
        Some(Self {
            x: (*point.x()?).into(),
            y: (*point.y()?).into(),
        })
    }

    /// The last 20 bytes of Keccak-256 over both coordinates: the EVM account of a key.
    #[must_use]
    pub fn address(&self) -> [u8; 20] {
        let hash: [u8; 32] = Keccak256::new()
            .chain_update(self.x)
            .chain_update(self.y)
            .finalize()
            .into();
        hash.last_chunk().copied().unwrap_or_default()
    }

    /// Whether y is odd: what a compressed point says of it.
    #[must_use]
    pub const fn is_odd(&self) -> bool {
        let [.., last] = self.y;
        last & 1 == 1
    }
}

/// The key's point, if a contract takes it as group key: `ecrecover` knows no point whose
/// x-coordinate is not below the group's order.
#[must_use]
pub fn evm_point(key: &EvmKey) -> Option<Affine> {
    let point = Affine::decompress(key.as_bytes())?;
    let is_below_order = bool::from(Scalar::from_repr(point.x.into()).is_some());
    is_below_order.then_some(point)
}

/// Whether a contract that trusts `key` takes `signature` over `message`.
#[must_use]
pub fn verify_evm(key: &EvmKey, message: &[u8], signature: &EvmSignature) -> bool {
    let verified = || {
        let key = frost_core::VerifyingKey::<Evm>::deserialize(key.as_bytes()).ok()?;
        let decoded = frost_core::Signature::<Evm>::deserialize(signature.as_bytes()).ok()?;
        // One encoding only, and z below the group's order.
        (decoded.serialize().ok()? == signature.as_bytes()).then_some(())?;
        key.verify(message, &decoded).ok()
    };
    evm_point(key).is_some() && verified().is_some()
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        #[allow(clippy::indexing_slicing, reason = "both are as long as the loop runs")]
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests;
