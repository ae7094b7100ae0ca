//! Receipts that are not of our profile, or not in its one encoding.

use attestation::ids::Signature;
use attestation::receipt::RECEIPT_BYTES_MAX;
use coset::cbor::value::Value;
use coset::{Label, TaggedCborSerializable as _, iana};

use super::{Bad, and, cut, swap, with};
use crate::sample::Step;
use crate::tamper::{Opened, remove, set};

const HASH: [u8; 32] = [0xaa; 32];

pub(super) fn cases() -> Vec<Bad> {
    let mut cases = envelopes();
    cases.extend(profiles());
    cases.extend(statements());
    cases.extend(unprotected());
    cases.extend(encodings());
    cases.extend(maps());
    cases
}

fn good() -> Vec<u8> {
    Step::first(1).receipt(1)
}

fn opened() -> Opened {
    Opened::new(&good())
}

fn case(reason: &'static str, error: &'static str, bytes: Vec<u8>) -> Bad {
    Bad {
        format: "receipt",
        reason,
        error,
        bytes,
    }
}

fn envelopes() -> Vec<Bad> {
    let good = good();
    let untagged = good.split_first().expect("a receipt has bytes").1.to_vec();
    let mut attached = opened();
    attached.0.payload = Some(Step::first(1).attestation.root.as_bytes().to_vec());
    let mut short = opened();
    short.0.signature.pop();
    let mut unsigned = opened();
    unsigned.0.signature.clear();
    vec![
        case("empty", "Cose", Vec::new()),
        case("text", "Cose", b"\x66hello!".to_vec()),
        case("untagged", "Cose", untagged),
        case("tag-of-cose-sign", "Cose", with(&good, 0, 0xd1)),
        case("cut", "Cose", cut(&good)),
        case("trailing-byte", "Cose", and(&good, &[0])),
        case("nested-300-deep", "Cose", vec![0x81; 300]),
        case(
            "length-beyond-the-end",
            "Cose",
            b"\xd2\x84\x5b\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        ),
        case(
            "too-long",
            "TooLong { actual: 4097 }",
            vec![0; RECEIPT_BYTES_MAX + 1],
        ),
        case("payload-attached", "Payload", attached.to_bytes()),
        case("signature-of-63-bytes", "Signature", short.to_bytes()),
        case("signature-empty", "Signature", unsigned.to_bytes()),
    ]
}

/// Protected headers that are not the profile's.
fn profiles() -> Vec<Bad> {
    let change = |change: &dyn Fn(&mut coset::Header)| opened().protected(change).to_bytes();
    vec![
        case(
            "algorithm-es256",
            "Algorithm",
            change(&|header| header.alg = Some(coset::Algorithm::Assigned(iana::Algorithm::ES256))),
        ),
        case(
            "algorithm-missing",
            "Algorithm",
            change(&|header| header.alg = None),
        ),
        case(
            "key-id-missing",
            "KeyId",
            change(&|header| header.key_id.clear()),
        ),
        case(
            "key-id-of-31-bytes",
            "KeyId",
            change(&|header| {
                header.key_id.pop();
            }),
        ),
        case(
            "type-missing",
            "ContentType",
            change(&|header| remove(header, 16)),
        ),
        case(
            "type-of-another-profile",
            "ContentType",
            change(&|header| set(header, 16, Value::from("application/nom-qa+cose"))),
        ),
        case(
            "data-structure-missing",
            "DataStructure",
            change(&|header| remove(header, 395)),
        ),
        case(
            "data-structure-ccf",
            "DataStructure",
            change(&|header| set(header, 395, Value::from(2))),
        ),
    ]
}

const SUBJECT: &str = "zq:step:0000000000000001";

fn issuer() -> String {
    format!("zq:{:016x}:{}", 321, crate::sample::committee())
}

fn claims(pairs: &[(i64, &str)]) -> Value {
    let pairs = pairs.iter();
    Value::Map(
        pairs
            .map(|(claim, text)| (Value::from(*claim), Value::from(*text)))
            .collect(),
    )
}

/// The encoded inclusion proof of the good receipt.
fn good_proof() -> Value {
    let opened = opened();
    let headers = &opened.0.unprotected.rest;
    let proofs = headers
        .iter()
        .find(|(label, _)| *label == Label::Int(396))
        .and_then(|(_, kinds)| kinds.as_map()?.first()?.1.as_array());
    let proof = proofs.and_then(|proofs| proofs.first());
    proof.expect("a receipt has a proof").clone()
}

/// Protected headers that do not say one thing about one step, or say more.
fn statements() -> Vec<Bad> {
    let change = |change: &dyn Fn(&mut coset::Header)| opened().protected(change).to_bytes();
    let other = Step::first(1).next(1).attestation.commit;
    vec![
        case(
            "commit-missing",
            "Commit(Structure)",
            change(&|header| remove(header, -70_001)),
        ),
        case(
            "commit-as-array",
            "Commit(Structure)",
            change(&|header| set(header, -70_001, Value::Array(Vec::new()))),
        ),
        case(
            "commit-cut",
            "Commit(Length { actual: 344, expected: 345 })",
            change(&|header| {
                let commit = cut(&Step::first(1).attestation.commit.to_bytes());
                set(header, -70_001, Value::Bytes(commit));
            }),
        ),
        case(
            "commit-of-another-version",
            "Commit(At { offset: 2 })",
            change(&|header| {
                let commit = with(&Step::first(1).attestation.commit.to_bytes(), 8, b'2');
                set(header, -70_001, Value::Bytes(commit));
            }),
        ),
        case(
            "claims-missing",
            "Claims",
            change(&|header| remove(header, 15)),
        ),
        case(
            "claims-of-another-step",
            "Claims",
            change(&|header| {
                set(header, -70_001, Value::Bytes(other.to_bytes().to_vec()));
            }),
        ),
        case(
            "claims-of-another-committee",
            "Claims",
            change(&|header| {
                let issuer = format!("zq:{:016x}:{}", 321, hex::encode([7; 32]));
                set(header, 15, claims(&[(1, &issuer), (2, SUBJECT)]));
            }),
        ),
        case(
            "claims-of-another-network",
            "Claims",
            change(&|header| {
                let issuer = format!("zq:{:016x}:{}", 1, crate::sample::committee());
                set(header, 15, claims(&[(1, &issuer), (2, SUBJECT)]));
            }),
        ),
        case(
            "claims-in-other-order",
            "Claims",
            change(&|header| set(header, 15, claims(&[(2, SUBJECT), (1, &issuer())]))),
        ),
        case(
            "claims-with-one-more",
            "Claims",
            change(&|header| {
                set(
                    header,
                    15,
                    claims(&[(1, &issuer()), (2, SUBJECT), (3, "audience")]),
                );
            }),
        ),
        case(
            "unknown-protected-header",
            "NotCanonical",
            change(&|header| set(header, -65_537, Value::from(1))),
        ),
        case(
            "critical-header",
            "NotCanonical",
            change(&|header| {
                header.crit = vec![coset::RegisteredLabelWithPrivate::PrivateUse(-70_001)];
            }),
        ),
        case(
            "protected-headers-in-other-order",
            "NotCanonical",
            change(&|header| header.rest.reverse()),
        ),
    ]
}

fn unprotected() -> Vec<Bad> {
    let hash = || Value::Bytes(HASH.to_vec());
    let proof = |size: i64, index: i64, path: Vec<Value>| {
        let proof = [Value::from(size), Value::from(index), Value::Array(path)];
        opened().proof(&Value::Array(proof.to_vec())).to_bytes()
    };
    let change = |change: &dyn Fn(&mut coset::Header)| opened().unprotected(change).to_bytes();
    let proofs = |proofs: Value| change(&|header| set(header, 396, proofs.clone()));
    let one =
        |kind: i64, proofs: Vec<Value>| Value::Map(vec![(Value::from(kind), Value::Array(proofs))]);
    vec![
        case(
            "proofs-missing",
            "Proof",
            change(&|header| remove(header, 396)),
        ),
        case("proofs-as-array", "Proof", proofs(Value::Array(Vec::new()))),
        case("no-proof", "Proof", proofs(one(-1, Vec::new()))),
        case("two-proofs", "Proof", proofs(one(-1, vec![hash(), hash()]))),
        case("consistency-proof", "Proof", proofs(one(-2, vec![hash()]))),
        case("proof-not-cbor", "Proof", proofs(one(-1, vec![hash()]))),
        // The good proof twice, beside another, as another kind, with one part more.
        case(
            "proof-twice",
            "Proof",
            proofs(one(-1, vec![good_proof(), good_proof()])),
        ),
        case(
            "proof-of-another-kind",
            "Proof",
            proofs(one(-2, vec![good_proof()])),
        ),
        case("proof-beside-a-consistency-proof", "Proof", {
            proofs(Value::Map(vec![
                (Value::from(-1), Value::Array(vec![good_proof()])),
                (Value::from(-2), Value::Array(vec![hash()])),
            ]))
        }),
        case("proof-of-four-parts", "Proof", {
            let parts = vec![
                Value::from(2),
                Value::from(1),
                Value::Array(vec![hash()]),
                Value::from(0),
            ];
            opened().proof(&Value::Array(parts)).to_bytes()
        }),
        case("path-empty", "Proof", proof(2, 1, Vec::new())),
        case("path-of-17", "Proof", proof(2, 1, vec![hash(); 17])),
        case(
            "path-hash-of-31-bytes",
            "Proof",
            proof(2, 1, vec![Value::Bytes(vec![0xaa; 31])]),
        ),
        case(
            "path-hash-as-text",
            "Proof",
            proof(2, 1, vec![Value::from("a")]),
        ),
        case("tree-size-negative", "Proof", proof(-2, 1, vec![hash()])),
        case("index-negative", "Proof", proof(2, -1, vec![hash()])),
        case(
            "leaf-hash-missing",
            "LeafHash",
            change(&|header| remove(header, -70_002)),
        ),
        case(
            "leaf-hash-of-31-bytes",
            "LeafHash",
            change(&|header| set(header, -70_002, Value::Bytes(vec![0xaa; 31]))),
        ),
        case(
            "unknown-unprotected-header",
            "NotCanonical",
            change(&|header| set(header, -70_009, Value::from(1))),
        ),
        case(
            "unprotected-headers-in-other-order",
            "NotCanonical",
            change(&|header| header.rest.reverse()),
        ),
    ]
}

/// The same values in other bytes.
fn encodings() -> Vec<Bad> {
    let good = good();
    let signature = Step::first(1).attestation.signature;
    let signature: &[u8; Signature::LEN] = signature.as_bytes();
    let string = [&[0x58, 0x40], signature.as_slice()].concat();
    let (half, rest) = signature.split_at(32);
    let chunked = [&[0x5f, 0x58, 0x20], half, &[0x58, 0x20], rest, &[0xff]].concat();
    let wide = [&[0x59, 0, 0x40], signature.as_slice()].concat();
    vec![
        case("array-indefinite", "NotCanonical", {
            let (tag, rest) = good.split_at(1);
            [tag, &[0x9f], rest.split_at(1).1, &[0xff]].concat()
        }),
        case("tag-not-minimal", "NotCanonical", {
            [&[0xd8, 0x12], good.split_at(1).1].concat()
        }),
        case(
            "signature-in-chunks",
            "NotCanonical",
            swap(&good, &string, &chunked),
        ),
        case(
            "signature-length-not-minimal",
            "NotCanonical",
            swap(&good, &string, &wide),
        ),
        case("payload-undefined", "NotCanonical", {
            let end = [&[0xf6], string.as_slice()].concat();
            swap(&good, &end, &[&[0xf7], string.as_slice()].concat())
        }),
    ]
}

/// Maps with a label twice, elsewhere, of another kind, or in other bytes.
fn maps() -> Vec<Bad> {
    let good = good();
    let id = attestation::receipt::key_id(&crate::sample::group_key());
    // The protected header with one part exchanged.
    let exchanged = |old: &[u8], new: &[u8]| {
        let opened = Opened::new(&good);
        let header = opened.0.protected.original_data;
        let header = header.expect("kept by the decoder");
        swap(&good, &bstr(&header), &bstr(&swap(&header, old, new)))
    };
    let minus_8 = (-8f64).to_be_bytes();
    vec![
        case("protected-header-twice", "Cose", {
            exchanged(&[0xa6, 0x01, 0x27], &[0xa7, 0x01, 0x27, 0x01, 0x27])
        }),
        // What is equal to the right number or label in languages that compare loosely.
        case("algorithm-as-float", "Cose", {
            let float = [&[0xa6, 0x01, 0xfb], minus_8.as_slice()].concat();
            exchanged(&[0xa6, 0x01, 0x27], &float)
        }),
        case("algorithm-label-as-true", "Cose", {
            exchanged(&[0xa6, 0x01, 0x27], &[0xa6, 0xf5, 0x27])
        }),
        case("data-structure-as-true", "DataStructure", {
            exchanged(&[0x19, 0x01, 0x8b, 0x01], &[0x19, 0x01, 0x8b, 0xf5])
        }),
        case("type-with-byte-order-mark", "ContentType", {
            let typ = b"application/vnd.zquorum.step+cose";
            let marked = [b"\x78\x24\xef\xbb\xbf", typ.as_slice()].concat();
            exchanged(&[b"\x78\x21", typ.as_slice()].concat(), &marked)
        }),
        case("leaf-hash-label-not-minimal", "NotCanonical", {
            swap(
                &good,
                &[0x3a, 0x00, 0x01, 0x11, 0x71],
                &[0x3b, 0, 0, 0, 0, 0x00, 0x01, 0x11, 0x71],
            )
        }),
        case("proof-size-not-minimal", "NotCanonical", {
            // [2, 1, [...]] in a string of 38 bytes becomes [2 as 18 02, ...] in one of 39.
            swap(
                &good,
                &[0x58, 0x26, 0x83, 0x02],
                &[0x58, 0x27, 0x83, 0x18, 0x02],
            )
        }),
        case("key-id-in-the-unprotected-header", "KeyId", {
            let mut opened = opened().protected(|header| header.key_id.clear());
            opened.0.unprotected.key_id = id.as_bytes().to_vec();
            opened.0.to_tagged_vec().expect("labels are distinct")
        }),
        case("text-label", "NotCanonical", {
            opened()
                .unprotected(|header| {
                    header.rest.push((Label::Text("x".into()), Value::Null));
                })
                .to_bytes()
        }),
    ]
}

/// A byte string of 256 to 65,535 bytes.
fn bstr(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("headers are short");
    [&[0x59], length.to_be_bytes().as_slice(), bytes].concat()
}
