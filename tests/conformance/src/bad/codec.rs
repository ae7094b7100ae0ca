//! The wire codec: every known way to write one value in two encodings.

use attestation::codec::encode;
use serde::{Deserialize, Serialize};

use super::{Bad, and, cut};

/// Longest encoding that the cases are decoded with.
pub const BYTES_MAX: usize = 64;

/// A message of every shape that messages are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shapes {
    /// A number.
    pub a: u64,
    /// A sequence.
    pub b: Vec<u64>,
    /// Text.
    pub c: String,
    /// Nothing or something.
    pub d: Option<Kind>,
}

/// A choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Without content.
    Plain,
    /// With content.
    Full {
        /// The content.
        e: u64,
    },
}

impl Shapes {
    /// The message that the cases encode badly.
    #[must_use]
    pub fn sample() -> Self {
        Self {
            a: 7,
            b: vec![1, 2],
            c: "xy".into(),
            d: Some(Kind::Full { e: 5 }),
        }
    }
}

/// The four fields of the sample as [`encode`] writes them: key, then value.
const A: &[u8] = b"\x61a\x07";
const B: &[u8] = b"\x61b\x82\x01\x02";
const C: &[u8] = b"\x61c\x62xy";
const D: &[u8] = b"\x61d\xa1\x64Full\xa1\x61e\x05";

pub(super) fn cases() -> Vec<Bad> {
    let good = encode(&Shapes::sample());
    assert_eq!(good, map(&[A, B, C, D]), "the parts make the sample");
    let mut cases = seven_forms(&good);
    cases.extend(other_forms());
    cases.extend(other_values(&good));
    cases
}

fn case(reason: &'static str, error: &'static str, bytes: Vec<u8>) -> Bad {
    Bad {
        format: "codec",
        reason,
        error,
        bytes,
    }
}

/// A second encoding of the sample.
fn second(reason: &'static str, bytes: Vec<u8>) -> Bad {
    case(reason, "NotCanonical", bytes)
}

/// No encoding of any [`Shapes`].
fn other(reason: &'static str, bytes: Vec<u8>) -> Bad {
    case(reason, "Structure", bytes)
}

fn seven_forms(good: &[u8]) -> Vec<Bad> {
    vec![
        second("int-not-minimal", map(&[b"\x61a\x18\x07", B, C, D])),
        second(
            "int-of-64-bits",
            map(&[b"\x61a\x1b\0\0\0\0\0\0\0\x07", B, C, D]),
        ),
        second("indefinite-map", [b"\xbf", A, B, C, D, b"\xff"].concat()),
        second(
            "indefinite-array",
            map(&[A, b"\x61b\x9f\x01\x02\xff", C, D]),
        ),
        second(
            "indefinite-string",
            map(&[A, B, b"\x61c\x7f\x61x\x61y\xff", D]),
        ),
        second("tag", map(&[b"\x61a\xc1\x07", B, C, D])),
        second("tag-around-all", [b"\xd9\xd9\xf7", good].concat()),
        second(
            "packed-keys",
            map(&[
                b"\0\x07",
                b"\x01\x82\x01\x02",
                b"\x02\x62xy",
                b"\x03\xa1\x64Full\xa1\0\x05",
            ]),
        ),
        second(
            "struct-as-array",
            b"\x84\x07\x82\x01\x02\x62xy\xa1\x64Full\x81\x05".to_vec(),
        ),
        other("trailing-byte", and(good, b"\0")),
    ]
}

fn other_forms() -> Vec<Bad> {
    vec![
        second("keys-in-other-order", map(&[B, A, C, D])),
        second(
            "length-not-minimal",
            map(&[A, b"\x61b\x98\x02\x01\x02", C, D]),
        ),
        second(
            "text-length-not-minimal",
            map(&[A, B, b"\x61c\x78\x02xy", D]),
        ),
        second("unknown-field", {
            let mut bytes = map(&[A, B, C, D, b"\x61z\x01"]);
            bytes[0] = 0xa5;
            bytes
        }),
        second(
            "choice-as-array",
            map(&[A, B, C, b"\x61d\x82\x64Full\xa1\x61e\x05"]),
        ),
        second("missing-option", [b"\xa3", A, B, C].concat()),
    ]
}

fn other_values(good: &[u8]) -> Vec<Bad> {
    vec![
        other("key-twice", [b"\xa5", A, A, B, C, D].concat()),
        other("missing-field", [b"\xa3", A, B, D].concat()),
        other(
            "float-for-int",
            map(&[b"\x61a\xfb\x40\x1c\0\0\0\0\0\0", B, C, D]),
        ),
        // Counts and names that the fields do not have: a reader that trusts its schema alone
        // would not see them.
        other("fewer-fields-than-said", [b"\xa5", A, B, C, D].concat()),
        other("more-fields-than-said", [b"\xa3", A, B, C, D].concat()),
        other("field-of-another-name", map(&[A, B, b"\x61x\x62xy", D])),
        other("true-for-int", map(&[b"\x61a\xf5", B, C, D])),
        other("negative-int", map(&[b"\x61a\x26", B, C, D])),
        other("bignum", map(&[b"\x61a\xc2\x41\x07", B, C, D])),
        other("text-not-utf8", map(&[A, B, b"\x61c\x62\xff\xfe", D])),
        other(
            "length-beyond-the-end",
            map(&[A, b"\x61b\x9b\xff\xff\xff\xff\xff\xff\xff\xff"]),
        ),
        other(
            "string-beyond-the-end",
            map(&[A, B, b"\x61c\x7b\x7f\xff\xff\xff\xff\xff\xff\xff"]),
        ),
        other("unknown-choice", map(&[A, B, C, b"\x61d\x65Other"])),
        other("nested-60-deep", vec![0x81; 60]),
        other("cut", cut(good)),
        other("empty", Vec::new()),
        case(
            "too-long",
            "TooLong { actual: 65, max: 64 }",
            vec![0; BYTES_MAX + 1],
        ),
    ]
}

/// A map of four fields.
fn map(fields: &[&[u8]]) -> Vec<u8> {
    [&[b"\xa4".as_slice()], fields].concat().concat()
}
