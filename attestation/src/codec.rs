//! The one way bytes become values: size cap, decode, encode again, compare.
//!
//! CBOR is malleable (at least seven encodings of one value decode alike), so a decoder that
//! accepts only what its encoder would write is the rule for every message. Nothing that is
//! signed or hashed goes through here: signed layouts are written field by field by [`Layout`].

use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::ids::Digest;
use crate::tags::Tag;

/// Why bytes are not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More bytes than the format allows.
    #[error("{actual} bytes, at most {max} allowed")]
    TooLong {
        /// Bytes received.
        actual: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A fixed-width format has one length.
    #[error("{actual} bytes, exactly {expected} expected")]
    Length {
        /// Bytes received.
        actual: usize,
        /// Bytes the format has.
        expected: usize,
    },
    /// A fixed-offset format has other bytes here than it allows.
    #[error("bytes at offset {offset} are not what the format allows there")]
    At {
        /// Offset of the field.
        offset: usize,
    },
    /// Not the expected structure.
    #[error("not the expected structure")]
    Structure,
    /// A valid value in another encoding than the canonical one.
    #[error("not the canonical encoding of its value")]
    NotCanonical,
}

/// Encodes a message.
///
/// Types that go through here contain only integers, byte strings, text, options, sequences and
/// structs of these; such values always encode.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_cbor::to_vec(value).expect("plain data always encodes")
}

/// Decodes a message of at most `bytes_max` bytes.
///
/// # Errors
/// [`Malformed`] if the bytes are too long, of another shape, or not what [`encode`] writes.
pub fn decode<T: Serialize + DeserializeOwned>(
    bytes: &[u8],
    bytes_max: usize,
) -> Result<T, Malformed> {
    if bytes.len() > bytes_max {
        return Err(Malformed::TooLong {
            actual: bytes.len(),
            max: bytes_max,
        });
    }
    let value: T = serde_cbor::from_slice(bytes).map_err(|_| Malformed::Structure)?;
    if encode(&value) == bytes {
        Ok(value)
    } else {
        Err(Malformed::NotCanonical)
    }
}

/// A signed or hashed layout: tag, then fixed-width fields, variable fields with their length.
#[derive(Clone, Debug)]
pub struct Layout(Vec<u8>);

impl Layout {
    /// Begins a layout with its domain tag.
    #[must_use]
    pub fn new(tag: Tag) -> Self {
        Self(tag.0.to_vec())
    }

    /// Appends a number, 8 bytes big-endian.
    #[must_use]
    pub fn number(mut self, value: impl Into<u64>) -> Self {
        self.0.extend_from_slice(&value.into().to_be_bytes());
        self
    }

    /// Appends a field whose width the format fixes.
    #[must_use]
    pub fn fixed<const N: usize>(mut self, bytes: &[u8; N]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends a field of variable width: 8 bytes length, then the bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0
            .extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// The layout, to be signed.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// SHA-256 of the layout.
    #[must_use]
    pub fn digest(self) -> Digest {
        Digest::from_bytes(Sha256::digest(&self.0).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    struct Pair {
        a: u64,
        #[serde(with = "serde_bytes")]
        b: Vec<u8>,
    }

    #[test]
    fn decode_returns_what_encode_wrote() {
        let pair = Pair {
            a: 7,
            b: alloc::vec![1, 2],
        };
        assert_eq!(decode::<Pair>(&encode(&pair), 100), Ok(pair));
    }

    #[test]
    fn decode_refuses_trailing_bytes_and_non_minimal_numbers() {
        let mut long = encode(&7u64);
        long.push(0);
        assert!(decode::<u64>(&long, 100).is_err());
        assert_eq!(
            decode::<u64>(&[0x18, 0x07], 100),
            Err(Malformed::NotCanonical)
        );
        assert_eq!(
            decode::<u64>(&[7], 0),
            Err(Malformed::TooLong { actual: 1, max: 0 })
        );
    }
}
