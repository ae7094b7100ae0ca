//! Group keys that must not be trusted, and texts that are not addresses.

use super::Bad;
use crate::sample;

pub(super) fn cases() -> Vec<Bad> {
    let mut cases: Vec<Bad> = GROUP_KEYS
        .iter()
        .map(|&(reason, error, key)| Bad {
            format: "group_key",
            reason,
            error,
            bytes: hex::decode(key).expect("hexadecimal"),
        })
        .collect();
    cases.extend(ADDRESSES.iter().map(|&(reason, text)| Bad {
        format: "address",
        reason,
        error: "ParseAddressError",
        bytes: text.as_bytes().to_vec(),
    }));
    let parts = [
        ("torsion", 1),
        ("torsion-of-order-4", 2),
        ("torsion-of-order-2", 4),
    ];
    cases.extend(parts.map(|(reason, part)| Bad {
        format: "group_key",
        reason,
        error: "Torsion",
        bytes: sample::key_with_torsion(part).to_vec(),
    }));
    cases
}

/// The eight points of small order, their other encodings, and no point.
const GROUP_KEYS: [(&str, &str, &str); 15] = [
    (
        "identity",
        "SmallOrder",
        "0100000000000000000000000000000000000000000000000000000000000000",
    ),
    (
        "order-2",
        "SmallOrder",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ),
    (
        "order-4",
        "SmallOrder",
        "0000000000000000000000000000000000000000000000000000000000000000",
    ),
    (
        "order-4-negative",
        "SmallOrder",
        "0000000000000000000000000000000000000000000000000000000000000080",
    ),
    (
        "order-8-a",
        "SmallOrder",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    ),
    (
        "order-8-a-negative",
        "SmallOrder",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    ),
    (
        "order-8-b",
        "SmallOrder",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ),
    (
        "order-8-b-negative",
        "SmallOrder",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ),
    (
        "identity-with-sign",
        "NotCanonical",
        "0100000000000000000000000000000000000000000000000000000000000080",
    ),
    (
        "order-2-with-sign",
        "NotCanonical",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ),
    (
        "order-4-plus-p",
        "NotCanonical",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ),
    (
        "identity-plus-p",
        "NotCanonical",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ),
    (
        "y-3-plus-p",
        "NotCanonical",
        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ),
    (
        "not-a-point",
        "NotAPoint",
        "0200000000000000000000000000000000000000000000000000000000000000",
    ),
    (
        "not-a-point-plus-p",
        "NotAPoint",
        "efffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ),
];

/// The zero address is `z1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqsggv2f`.
const ADDRESSES: [(&str, &str); 10] = [
    ("empty", ""),
    ("prefix-alone", "z1"),
    ("checksum", "z1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqsggv2g"),
    ("upper-case", "Z1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQSGGV2F"),
    ("mixed-case", "z1Qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqsggv2f"),
    ("space", " z1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqsggv2f"),
    ("token-standard", "zts1qqqqqqqqqqqqqqqqtq587y"),
    ("bitcoin", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
    ("cut", "z1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqsggv2"),
    ("not-bech32", "z1qqqqqqqqqqqqqqqqqqqqqqqqqqqqbiooooo"),
];
