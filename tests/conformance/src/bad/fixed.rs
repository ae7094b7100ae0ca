//! Commit and leaf: fixed offsets.

use attestation::commit::{Commit, offset};
use attestation::leaf::{Leaf, OutputLeaf, SettlementLeaf};

use super::{Bad, and, cut, with};
use crate::sample::{self, Step};

pub(super) fn cases() -> Vec<Bad> {
    let mut cases = commits();
    cases.extend(leaves());
    cases
}

fn commits() -> Vec<Bad> {
    let good = Step::first(1).attestation.commit.to_bytes();
    let case = |reason, error, bytes| Bad {
        format: "commit",
        reason,
        error,
        bytes,
    };
    // The same commit with seq in nine bytes (58 08) instead of one head byte (48).
    let (before, after) = good.split_at(offset::SEQ - 1);
    let wide = [before, &[0x58, 0x08], after.split_at(1).1].concat();
    vec![
        case("empty", "Length { actual: 0, expected: 345 }", Vec::new()),
        case("cut", "Length { actual: 344, expected: 345 }", cut(&good)),
        case(
            "trailing-byte",
            "Length { actual: 346, expected: 345 }",
            and(&good, &[0]),
        ),
        case(
            "string-length-not-minimal",
            "Length { actual: 346, expected: 345 }",
            wide.clone(),
        ),
        case(
            "string-length-not-minimal-same-length",
            "At { offset: 62 }",
            cut(&wide),
        ),
        case("array-of-17", "At { offset: 0 }", with(&good, 0, 0x91)),
        case("indefinite-array", "At { offset: 0 }", with(&good, 0, 0x9f)),
        case("map", "At { offset: 0 }", with(&good, 0, 0xb0)),
        case("magic-as-text", "At { offset: 1 }", with(&good, 1, 0x68)),
        case(
            "magic-of-version-2",
            "At { offset: 2 }",
            with(&good, offset::MAGIC + 6, b'2'),
        ),
        case(
            "network-of-7-bytes",
            "At { offset: 10 }",
            with(&good, offset::NETWORK - 1, 0x47),
        ),
        case(
            "committee-of-31-bytes",
            "At { offset: 19 }",
            with(&good, offset::COMMITTEE - 1, 0x1f),
        ),
        case(
            "trace-as-text",
            "At { offset: 311 }",
            with(&good, offset::TRACE - 2, 0x78),
        ),
    ]
}

fn leaves() -> Vec<Bad> {
    let output = Leaf::Output(sample::output(1, 1)).to_bytes();
    let settlement = Leaf::Settlement(sample::settlement(1, 1)).to_bytes();
    let message = Leaf::Message(sample::message(1, 1)).to_bytes();
    let change = Leaf::KeyChange(sample::key_change(1)).to_bytes();
    let block = Leaf::Block(sample::block(1)).to_bytes();
    assert_eq!(output.len(), OutputLeaf::LEN);
    assert_eq!(settlement.len(), SettlementLeaf::LEN);
    assert_eq!(Commit::LEN, 345);
    let case = |reason, error, bytes| Bad {
        format: "leaf",
        reason,
        error,
        bytes,
    };
    vec![
        case("empty", "At { offset: 0 }", Vec::new()),
        case("version-0", "At { offset: 0 }", with(&output, 0, 0)),
        case("version-2", "At { offset: 0 }", with(&output, 0, 2)),
        case("unknown-kind", "At { offset: 1 }", with(&output, 1, 5)),
        case("version-alone", "At { offset: 1 }", vec![1]),
        case(
            "output-cut",
            "Length { actual: 150, expected: 151 }",
            cut(&output),
        ),
        case(
            "output-trailing-byte",
            "Length { actual: 152, expected: 151 }",
            and(&output, &[0]),
        ),
        case("output-status-6", "At { offset: 74 }", with(&output, 74, 6)),
        case(
            "output-as-settlement",
            "Length { actual: 151, expected: 94 }",
            with(&output, 1, 1),
        ),
        case(
            "settlement-cut",
            "Length { actual: 93, expected: 94 }",
            cut(&settlement),
        ),
        case(
            "settlement-trailing-byte",
            "Length { actual: 95, expected: 94 }",
            and(&settlement, &[0]),
        ),
        case(
            "settlement-of-a-zapp",
            "At { offset: 2 }",
            with(&settlement, 33, 1),
        ),
        case(
            "message-cut",
            "Length { actual: 161, expected: 162 }",
            message[..161].to_vec(),
        ),
        case(
            "message-payload-too-long",
            "Length { actual: 16547, expected: 16546 }",
            and(&message[..162], &[7; 16 * 1024 + 1]),
        ),
        case(
            "message-number-0",
            "At { offset: 146 }",
            and(&and(&message[..146], &[0; 8]), &message[154..]),
        ),
        case(
            "key-change-cut",
            "Length { actual: 116, expected: 117 }",
            cut(&change),
        ),
        case(
            "key-change-of-a-zapp",
            "At { offset: 2 }",
            with(&change, 2, 1),
        ),
        case(
            "key-change-of-suite-3",
            "At { offset: 42 }",
            with(&change, 42, 3),
        ),
        case(
            "block-cut",
            "Length { actual: 347, expected: 348 }",
            cut(&block),
        ),
        case("block-of-a-zapp", "At { offset: 2 }", with(&block, 2, 1)),
        case(
            "block-of-version-2",
            "At { offset: 42 }",
            with(&block, 49, 2),
        ),
        case(
            "block-of-a-contract",
            "At { offset: 58 }",
            with(&block, 65, 4),
        ),
        case("block-height-0", "At { offset: 98 }", with(&block, 105, 0)),
        case(
            "block-with-descendants",
            "At { offset: 260 }",
            with(&block, 291, 0x4b),
        ),
    ]
}
