//! Secrets that cross the link. They are redacted when printed and wiped when dropped; bytes in
//! a socket's buffers are the operator's own machine's concern.

use core::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteArray;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes bytes that a generator or a key derivation produced.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes, for the one function that uses them.
            #[must_use]
            pub const fn expose(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                self.0.zeroize();
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0).into()
            }
        }

        impl Eq for $name {}

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let bytes = ByteArray::<32>::deserialize(deserializer).map_err(D::Error::custom)?;
                Ok(Self(bytes.into_array()))
            }
        }
    };
}

secret!(
    /// Opens and seals a guest's secrets: derived in the node from the operator's passphrase
    /// (argon2id), given to the guest over its link and nowhere else (rule B6).
    SealingKey
);
secret!(
    /// Randomness of the operator's machine for one start of a guest, mixed into all that the guest
    /// draws (rule B1): whoever knows what the guest's own source gave still knows nothing.
    BootSeed
);
secret!(
    /// Shows that a connection comes from the process that the node started.
    LinkToken
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_print_redacted_and_survive_the_codec() {
        let key = SealingKey::from_bytes([0xab; 32]);
        assert_eq!(format!("{key:?}"), "SealingKey(…)");
        let bytes = attestation::codec::encode(&key);
        assert_eq!(
            attestation::codec::decode::<SealingKey>(&bytes, 64),
            Ok(key)
        );
    }
}
