//! The golden vectors read as a port reads them: from the files alone. `tests/conformance` writes
//! them.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

use std::path::Path;

use attestation::address::Address;
use attestation::commit::Commit;
use attestation::committee::{CreationRecord, Quorum};
use attestation::group::TrustedKey;
use attestation::ids::{GroupKey, IdentityKey, LeafRoot};
use attestation::leaf::Leaf;
use attestation::request::Request;
use attestation::step_attestation::StepAttestation;
use attestation::verify::{Check, verify_receipt};
use attestation::{codec, identity, merkle, receipt, tags};
use serde_json::Value;

fn read(format: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("vectors/{format}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn cases(list: &Value) -> &[Value] {
    let cases = list.as_array().unwrap();
    assert!(!cases.is_empty());
    cases
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

/// Every invalid case of a format is refused with its error.
fn refused<T, E: std::fmt::Debug>(list: &Value, read: impl Fn(&[u8]) -> Result<T, E>) {
    for case in cases(list) {
        let error = read(&bytes(&case["bytes"])).err();
        let error = error.map(|error| format!("{error:?}"));
        assert_eq!(error.as_deref(), case["error"].as_str(), "{}", case["name"]);
    }
}

#[test]
fn commits_slice_at_their_offsets() {
    let file = read("commit");
    let offsets = cases(&file["offsets"]);
    assert_eq!(file["length"], Commit::LEN);
    for case in cases(&file["valid"]) {
        let raw = bytes(&case["bytes"]);
        let commit = Commit::from_bytes(&raw).unwrap();
        assert_eq!(commit.to_bytes().as_slice(), raw);
        let root: LeafRoot = parse(&case["root"]);
        assert_eq!(commit.statement(&root).to_string(), case["statement"]);
        // A contract's view: no parser, only offsets. Sixteen of them, the magic first.
        assert_eq!(&raw[2..10], b"ZQSTEP1\0");
        assert_eq!(offsets.len(), FIELDS.len() + 1);
        for (name, offset) in FIELDS.iter().zip(&offsets[1..]) {
            let at = usize::try_from(offset.as_u64().unwrap()).unwrap();
            let field = case["fields"][name].as_str().unwrap();
            match raw[at - 1] {
                0x48 => assert_eq!(raw[at..at + 8], number(field).to_be_bytes(), "{name}"),
                _ => assert_eq!(hex::encode(&raw[at..at + 32]), field, "{name}"),
            }
        }
    }
    refused(&file["invalid"], Commit::from_bytes);
}

const FIELDS: [&str; 15] = [
    "network",
    "committee",
    "epoch",
    "seq",
    "tree_size",
    "previous_state",
    "state",
    "profile",
    "previous",
    "anchor_height",
    "anchor",
    "time_ms",
    "gas_used",
    "inputs",
    "trace",
];

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}

#[test]
fn leaves_read_back() {
    let file = read("leaf");
    for case in cases(&file["valid"]) {
        let raw = bytes(&case["bytes"]);
        let leaf = Leaf::from_bytes(&raw).unwrap();
        assert_eq!(leaf.to_bytes(), raw);
        assert_eq!(hex::encode(merkle::leaf_hash(&raw)), case["hash"]);
        assert_eq!(leaf.seq().to_string(), case["fields"]["seq"]);
    }
    refused(&file["invalid"], Leaf::from_bytes);
}

#[test]
fn trees_have_their_roots_and_paths() {
    let path = |list: &Value| -> Vec<[u8; 32]> {
        let hashes = list.as_array().unwrap().iter();
        hashes.map(|hash| bytes(hash).try_into().unwrap()).collect()
    };
    let file = read("merkle");
    for case in cases(&file["valid"]) {
        let entries: Vec<_> = case["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(bytes)
            .collect();
        assert_eq!(merkle::root(&entries).to_string(), case["root"]);
        for (index, wanted) in case["paths"].as_array().unwrap().iter().enumerate() {
            let found = path(wanted);
            assert_eq!(merkle::path(&entries, index).unwrap(), found);
            let hash = merkle::leaf_hash(&entries[index]);
            let (index, size) = (index as u64, entries.len() as u64);
            let root = merkle::root_from_path(hash, index, size, &found).unwrap();
            assert_eq!(root.to_string(), case["root"]);
        }
    }
    for case in cases(&file["invalid"]) {
        let hash = bytes(&case["leaf_hash"]).try_into().unwrap();
        let number = |name: &str| case[name].as_u64().unwrap();
        let (index, size) = (number("index"), number("size"));
        let root = merkle::root_from_path(hash, index, size, &path(&case["path"]));
        assert_eq!(root, None, "{}", case["name"]);
    }
}

#[test]
fn receipts_verify_or_fail_at_the_named_check() {
    let file = read("receipt");
    let ask = |case: &Value| {
        let leaf = case["leaf"].as_str().map(|leaf| hex::decode(leaf).unwrap());
        let committee = case["committee"].as_str().map(|id| id.parse().unwrap());
        let key: GroupKey = parse(&case["group_key"]);
        let receipt = bytes(&case["receipt"]);
        verify_receipt(&receipt, leaf.as_deref(), &key, committee.as_ref())
    };
    for case in cases(&file["valid"]) {
        let verified = ask(case).unwrap();
        assert_eq!(verified.root.to_string(), case["root"]);
        assert_eq!(verified.statement.to_string(), case["statement"]);
        assert_eq!(verified.index.to_string(), case["index"]);
        let checks: Vec<&str> = verified.checks().map(Check::name).collect();
        assert_eq!(Value::from(checks), case["checks"]);
    }
    for case in cases(&file["invalid"]) {
        let error = ask(case).unwrap_err();
        assert_eq!(error.check().name(), case["check"], "{}", case["name"]);
        assert_eq!(format!("{error:?}"), case["error"], "{}", case["name"]);
    }
    refused(&file["malformed"], receipt::Receipt::from_bytes);
}

#[test]
fn keys_addresses_and_tags_are_as_written() {
    let file = read("group_key");
    for case in cases(&file["valid"]) {
        let key: GroupKey = parse(&case["bytes"]);
        let trusted = TrustedKey::new(key).unwrap();
        assert_eq!(trusted.id().to_string(), case["key_id"]);
        assert_eq!(Address::from(&key).to_string(), case["address"]);
    }
    refused(&file["invalid"], |bytes| {
        TrustedKey::new(GroupKey::from_bytes(bytes.try_into().unwrap()))
    });
    let file = read("address");
    for case in cases(&file["valid"]) {
        let key: IdentityKey = parse(&case["key"]);
        assert_eq!(Address::from(&key), parse(&case["address"]));
    }
    refused(&file["invalid"], |text| {
        String::from_utf8_lossy(text).parse::<Address>()
    });
    let named = read("tags");
    for (name, tag) in tags::NAMES.iter().zip(tags::ALL) {
        assert_eq!(named["valid"][name], hex::encode(tag.0));
    }
}

#[test]
fn messages_decode_to_what_they_say() {
    let file = read("request");
    for case in cases(&file["valid"]) {
        let request = Request::from_bytes(&bytes(&case["bytes"])).unwrap();
        assert_eq!(request.id().to_string(), case["id"]);
        assert_eq!(hex::encode(request.call.signed_bytes()), case["signed"]);
        let json: Request = serde_json::from_value(case["request"].clone()).unwrap();
        assert_eq!(json, request);
    }
    refused(&file["invalid"], Request::from_bytes);
    let file = read("committee");
    for case in cases(&file["valid"]) {
        let record = CreationRecord::from_bytes(&bytes(&case["bytes"])).unwrap();
        assert_eq!(record.id().to_string(), case["id"]);
        let json: CreationRecord = serde_json::from_value(case["record"].clone()).unwrap();
        assert_eq!(json, record);
    }
    refused(&file["invalid"], CreationRecord::from_bytes);
    for case in cases(&file["quorums"]) {
        let count = |name: &str| u16::try_from(case[name].as_u64().unwrap()).unwrap();
        let error = Quorum::new(count("members"), count("threshold")).err();
        let error = error.map(|error| format!("{error:?}"));
        assert_eq!(error.as_deref(), case["error"].as_str(), "{case}");
    }
    let file = read("step_attestation");
    for case in cases(&file["valid"]) {
        let step = StepAttestation::from_bytes(&bytes(&case["bytes"])).unwrap();
        let key: GroupKey = parse(&case["group_key"]);
        assert_eq!(step.verify(&key), Ok(()));
        assert_eq!(step.statement().to_string(), case["statement"]);
        let signed = receipt::sig_structure(&step.commit, &step.root, &key);
        assert_eq!(hex::encode(signed), case["signed"]);
    }
    refused(&file["invalid"], StepAttestation::from_bytes);
    for case in cases(&file["forged"]) {
        let step = StepAttestation::from_bytes(&bytes(&case["bytes"])).unwrap();
        let trusted = TrustedKey::new(parse(&case["group_key"])).unwrap();
        let error = step.verify_trusted(&trusted).unwrap_err();
        assert_eq!(format!("{error:?}"), case["error"], "{}", case["name"]);
    }
}

#[test]
fn signatures_are_strict() {
    let file = read("ed25519");
    for (list, accepted) in [("valid", true), ("invalid", false)] {
        for case in cases(&file[list]) {
            let signature = parse(&case["signature"]);
            let message = bytes(&case["message"]);
            let member = identity::verify(&parse(&case["key"]), &message, &signature);
            let group = identity::verify_group(&parse(&case["key"]), &message, &signature);
            assert_eq!((member, group), (accepted, accepted), "{}", case["name"]);
        }
    }
}

/// The message of `codec.json`.
#[derive(serde::Serialize, serde::Deserialize)]
struct Shapes {
    a: u64,
    b: Vec<u64>,
    c: String,
    d: Option<Kind>,
}

#[derive(serde::Serialize, serde::Deserialize)]
enum Kind {
    Plain,
    Full { e: u64 },
}

#[test]
fn every_second_encoding_of_a_message_is_refused() {
    let file = read("codec");
    for case in cases(&file["valid"]) {
        let raw = bytes(&case["bytes"]);
        let shapes: Shapes = codec::decode(&raw, 64).unwrap();
        assert_eq!(codec::encode(&shapes), raw);
    }
    refused(&file["invalid"], |bytes| codec::decode::<Shapes>(bytes, 64));
}

#[test]
fn every_file_of_vectors_is_read_here() {
    let source = include_str!("vectors.rs");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if let Some(format) = name.strip_suffix(".json") {
            assert!(source.contains(&format!("read(\"{format}\")")), "{name}");
        }
    }
}
