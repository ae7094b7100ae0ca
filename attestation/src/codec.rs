//! The one way bytes become values: size cap, decode, encode again, compare.
//!
//! CBOR is malleable (at least seven encodings of one value decode alike), so a decoder that
//! accepts only what its encoder would write is the rule for every message. What is signed or hashed
//! is written field by field by [`Layout`]; a list that is part of it (a package's votes, a job's
//! requests) is one field, its canonical encoding, which is that of no other list.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
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

/// Decodes a list of at most `N` items, for `#[serde(deserialize_with)]`: of items that are one byte
/// each on the wire and many in memory, the size cap alone lets too many through.
///
/// # Errors
/// The deserializer's, also if there are more items.
pub fn at_most<'de, const N: usize, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Bounded<T, const N: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Bounded<T, N> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {N} items")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = items.next_element()? {
                if list.len() == N {
                    return Err(A::Error::custom("too many items"));
                }
                list.push(item);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(Bounded::<T, N>(PhantomData))
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
    fn a_bounded_list_has_no_more_items_than_its_bound() {
        #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
        struct List {
            #[serde(deserialize_with = "at_most::<2, _, _>")]
            items: Vec<u64>,
        }
        let of = |count| {
            encode(&List {
                items: alloc::vec![7; count],
            })
        };
        for count in 0..=2 {
            assert_eq!(decode::<List>(&of(count), 100).unwrap().items.len(), count);
        }
        assert_eq!(decode::<List>(&of(3), 100), Err(Malformed::Structure));
    }

    /// {"a": 7, "b": h'0102'}, its parts exchanged for other encodings of the same value.
    #[test]
    fn decode_refuses_the_seven_forms_that_decode_alike() {
        let good: &[u8] = b"\xa2\x61a\x07\x61b\x42\x01\x02";
        assert!(decode::<Pair>(good, 100).is_ok());
        for (form, bytes) in [
            (
                "int not minimal",
                b"\xa2\x61a\x18\x07\x61b\x42\x01\x02".as_slice(),
            ),
            (
                "int of 64 bits",
                b"\xa2\x61a\x1b\0\0\0\0\0\0\0\x07\x61b\x42\x01\x02",
            ),
            ("indefinite map", b"\xbf\x61a\x07\x61b\x42\x01\x02\xff"),
            (
                "indefinite string",
                b"\xa2\x61a\x07\x61b\x5f\x42\x01\x02\xff",
            ),
            ("tag", b"\xa2\x61a\xc1\x07\x61b\x42\x01\x02"),
            ("packed keys", b"\xa2\0\x07\x01\x42\x01\x02"),
            ("struct as array", b"\x82\x07\x42\x01\x02"),
            ("trailing byte", b"\xa2\x61a\x07\x61b\x42\x01\x02\0"),
        ] {
            assert!(decode::<Pair>(bytes, 100).is_err(), "{form}");
        }
        assert!(decode::<Vec<u64>>(b"\x82\x01\x02", 100).is_ok());
        assert!(decode::<Vec<u64>>(b"\x9f\x01\x02\xff", 100).is_err());
    }

    #[test]
    fn decode_names_what_is_wrong() {
        assert_eq!(
            decode::<u64>(&[0x18, 0x07], 100),
            Err(Malformed::NotCanonical)
        );
        assert_eq!(decode::<u64>(&[0x61, b'a'], 100), Err(Malformed::Structure));
        assert_eq!(
            decode::<u64>(&[7], 0),
            Err(Malformed::TooLong { actual: 1, max: 0 })
        );
    }

    /// A length that the bytes do not hold, and nesting that a stack would not.
    #[test]
    fn decode_is_bounded_by_the_bytes_it_is_given() {
        let lengths: [&[u8]; 3] = [
            b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
            b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
            b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff",
        ];
        for bytes in lengths {
            assert_eq!(decode::<Vec<u64>>(bytes, 100), Err(Malformed::Structure));
            assert_eq!(decode::<Pair>(bytes, 100), Err(Malformed::Structure));
        }
        let deep = [b"\xa3\x61z".as_slice(), &[0x81; 500_000]].concat();
        assert_eq!(decode::<Pair>(&deep, 1 << 20), Err(Malformed::Structure));
    }

    #[test]
    fn a_layout_is_tag_and_fields_without_anything_between() {
        let layout = Layout::new(crate::tags::VOTE)
            .number(1u16)
            .fixed(&[2; 3])
            .bytes(b"ab");
        let expected = b"ZQVOTE1\0\0\0\0\0\0\0\0\x01\x02\x02\x02\0\0\0\0\0\0\0\x02ab";
        assert_eq!(layout.clone().into_bytes(), expected);
        let digest: [u8; 32] = Sha256::digest(expected).into();
        assert_eq!(*layout.digest().as_bytes(), digest);
    }
}
