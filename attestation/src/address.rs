//! NoM addresses: `z1…`, how a caller and the committee's own account are shown.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use bech32::Hrp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha3::{Digest as _, Sha3_256};

use crate::ids::{GroupKey, IdentityKey};

/// A NoM address: a kind byte (0 for accounts with a key) and 19 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; 20]);

/// The text is not a NoM address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a NoM address (z1…, bech32, 20 bytes)")]
pub struct ParseAddressError;

impl Address {
    /// Length in bytes.
    pub const LEN: usize = 20;

    /// The address of an Ed25519 key: 0x00 ‖ SHA3-256(key)[0..19].
    #[must_use]
    pub fn of_key(key: &[u8; 32]) -> Self {
        let digest: [u8; 32] = Sha3_256::digest(key).into();
        let mut bytes = [0; Self::LEN];
        for (to, from) in bytes.iter_mut().skip(1).zip(digest) {
            *to = from;
        }
        Self(bytes)
    }

    /// Takes the 20 bytes that stand in an account block.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The 20 bytes that stand in an account block.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl From<&IdentityKey> for Address {
    fn from(key: &IdentityKey) -> Self {
        Self::of_key(key.as_bytes())
    }
}

impl From<&GroupKey> for Address {
    fn from(key: &GroupKey) -> Self {
        Self::of_key(key.as_bytes())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = bech32::encode::<bech32::Bech32>(HRP, &self.0)
            .expect("20 bytes are within bech32's length");
        f.write_str(&text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        let parsed = bech32::primitives::decode::CheckedHrpstring::new::<bech32::Bech32>(text)
            .map_err(|_| ParseAddressError)?;
        let mut bytes = [0; Self::LEN];
        let mut rest = parsed.byte_iter();
        for byte in &mut bytes {
            *byte = rest.next().ok_or(ParseAddressError)?;
        }
        let address = Self(bytes);
        // One text per address: bech32 also allows upper case and leaves padding bits open.
        if rest.next().is_some() || alloc::format!("{address}") != text {
            return Err(ParseAddressError);
        }
        Ok(address)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = <alloc::borrow::Cow<'de, str>>::deserialize(deserializer)?;
            text.parse().map_err(D::Error::custom)
        } else {
            serde_bytes::ByteArray::deserialize(deserializer)
                .map(|bytes: serde_bytes::ByteArray<20>| Self(bytes.into_array()))
        }
    }
}

const HRP: Hrp = Hrp::parse_unchecked("z");
