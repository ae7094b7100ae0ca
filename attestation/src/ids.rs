//! Identifiers and digests. Each is a type of its own, so that no two can be exchanged.

use core::fmt;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Takes bytes that a decoder or a hash produced.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes as they enter hashes and signed layouts.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl core::str::FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let mut bytes = [0; $len];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseIdError)?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(&self.0)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Bytes;
                impl Visitor<'_> for Bytes {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "{} bytes", $len)
                    }

                    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<$name, E> {
                        bytes
                            .try_into()
                            .map($name)
                            .map_err(|_| E::invalid_length(bytes.len(), &self))
                    }
                }
                if deserializer.is_human_readable() {
                    let text = <alloc::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                    text.parse().map_err(D::Error::custom)
                } else {
                    deserializer.deserialize_bytes(Bytes)
                }
            }
        }
    };
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $int:ty) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

/// The text is not the expected number of hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the expected number of hexadecimal digits")]
pub struct ParseIdError;

bytes_id!(
    /// Digest of a committee's creation record; outlives epochs.
    CommitteeId, 32
);
bytes_id!(
    /// A zApp: SHA-256 over tag, owner key and salt. [`ZappId::SYSTEM`] is the system zApp.
    ZappId, 32
);
bytes_id!(
    /// SHA-256 over a request's signed layout, without the signature.
    RequestId, 32
);
bytes_id!(
    /// Root of the committee's state tree.
    StateRoot, 32
);
bytes_id!(
    /// RFC 9162 root over the leaves of a step.
    LeafRoot, 32
);
bytes_id!(
    /// SHA-256(commit ‖ root): what members vote for and the id of an attestation.
    StatementId, 32
);
bytes_id!(
    /// SHA-256 of a zApp's original WebAssembly module.
    ModuleDigest, 32
);
bytes_id!(
    /// Hash over host calls, results, gas and outputs of every request of a step, in order.
    TraceRoot, 32
);
bytes_id!(
    /// Digest of engine, gas schedule, host ABI and limits.
    RuntimeProfile, 32
);
bytes_id!(
    /// Any other SHA-256 digest.
    Digest, 32
);
bytes_id!(
    /// Canonical Ed25519 verifying key of a member, coordinator or caller.
    IdentityKey, 32
);
bytes_id!(
    /// X25519 static key (Noise).
    ChannelKey, 32
);
bytes_id!(
    /// Address of an account or contract on an EVM chain.
    EvmAddress, 20
);
bytes_id!(
    /// The committee's FROST group verifying key for Ed25519.
    GroupKey, 32
);
bytes_id!(
    /// Ed25519 signature R ‖ S.
    Signature, 64
);
bytes_id!(
    /// The committee's second group key, FROST(secp256k1, KECCAK-256): a compressed point of SEC 1.
    EvmKey, 33
);
bytes_id!(
    /// A signature under an [`EvmKey`]: R as a compressed point, then the scalar z.
    EvmSignature, 65
);

number_id!(
    /// The network a committee belongs to (NoM's chain identifier).
    NetworkId, u64
);
number_id!(
    /// One generation of key shares, from 1.
    Epoch, u64
);
number_id!(
    /// Position of a step in the committee's chain, from 1.
    Seq, u64
);
number_id!(
    /// One try at leading; never reset, only rises.
    View, u64
);
number_id!(
    /// A member's place, from 1; never reused while the group key lives.
    Slot, u16
);
number_id!(
    /// A signing attempt within one (seq, view), from 0.
    Attempt, u16
);
number_id!(
    /// How often a signer has started on its register, from 1.
    Boot, u64
);

impl ZappId {
    /// The system zApp: registry, nonces, votes, credits.
    pub const SYSTEM: Self = Self([0; 32]);
}

impl Seq {
    /// The seq that follows, or `None` at the end of the counter.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(next) => Some(Self(next)),
            None => None,
        }
    }
}
