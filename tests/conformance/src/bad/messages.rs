//! Messages and records that are well encoded and yet wrong, or wrong in their fields' encoding.

use attestation::codec::encode;
use attestation::committee::CreationRecord;
use attestation::conditions::Engine;
use attestation::ids::{IdentityKey, NetworkId, Signature};
use attestation::request::Request;

use super::{Bad, and, cut, swap, with};
use crate::sample::{self, Step};

pub(super) fn cases() -> Vec<Bad> {
    let mut cases = step_attestations();
    cases.extend(requests());
    cases.extend(records());
    cases.extend(cards());
    cases.extend(conditions());
    cases
}

fn step_attestations() -> Vec<Bad> {
    let step = Step::first(1).attestation;
    let good = step.to_bytes();
    let root = [b"\x58\x20", step.root.as_bytes().as_slice()].concat();
    let signature = [b"\x58\x40", step.signature.as_bytes().as_slice()].concat();
    let commit = [b"\x59\x01\x59", step.commit.to_bytes().as_slice()].concat();
    let numbers = [&[0x98, 0x20], [0u8; 32].as_slice()].concat();
    let case = |reason, error, bytes| Bad {
        format: "step_attestation",
        reason,
        error,
        bytes,
    };
    let commit_cut = [b"\x59\x01\x58", cut(&step.commit.to_bytes()).as_slice()].concat();
    let commit_as_array = step.commit.to_bytes().to_vec();
    vec![
        case("cut", "Structure", cut(&good)),
        case("trailing-byte", "Structure", and(&good, &[0])),
        case("root-of-31-bytes", "Structure", {
            swap(
                &good,
                &root,
                &[&[0x58, 0x1f], [0u8; 31].as_slice()].concat(),
            )
        }),
        // One byte more follows than the length says: the fields behind it do not move.
        case("root-length-one-short", "Structure", {
            let short = [b"\x58\x1f", step.root.as_bytes().as_slice()].concat();
            swap(&good, &root, &short)
        }),
        case("fewer-fields-than-said", "Structure", with(&good, 0, 0xa4)),
        case("root-as-numbers", "Structure", swap(&good, &root, &numbers)),
        case("signature-of-63-bytes", "Structure", {
            let short = [&[0x58, 0x3f], [0u8; 63].as_slice()].concat();
            swap(&good, &signature, &short)
        }),
        case("commit-cut", "Structure", swap(&good, &commit, &commit_cut)),
        case(
            "commit-not-wrapped",
            "Structure",
            swap(&good, &commit, &commit_as_array),
        ),
        case(
            "length-not-minimal",
            "NotCanonical",
            swap(&good, &[0x58, 0x40], &[0x59, 0x00, 0x40]),
        ),
        case(
            "too-long",
            "TooLong { actual: 1025, max: 1024 }",
            vec![0; 1025],
        ),
    ]
}

fn requests() -> Vec<Bad> {
    let good = sample::request();
    let bytes = encode(&good);
    let case = |reason, error, bytes| Bad {
        format: "request",
        reason,
        error,
        bytes,
    };
    let change = |change: &dyn Fn(&mut Request)| {
        let mut request = good.clone();
        change(&mut request);
        encode(&request)
    };
    vec![
        case("cut", "Malformed(Structure)", cut(&bytes)),
        case("trailing-byte", "Malformed(Structure)", and(&bytes, &[0])),
        case(
            "method-empty",
            "Method(0)",
            change(&|request| request.call.method.clear()),
        ),
        case(
            "method-of-65-bytes",
            "Method(65)",
            change(&|request| request.call.method = "m".repeat(65)),
        ),
        case("fee-payer-3", "Malformed(Structure)", {
            swap(&bytes, b"\x69fee_payer\x00", b"\x69fee_payer\x03")
        }),
        case(
            "caller-of-small-order",
            "CallerKey",
            change(&|request| {
                let mut key = [0; 32];
                key[0] = 1;
                request.call.caller = IdentityKey::from_bytes(key);
            }),
        ),
        case(
            "caller-not-canonical",
            "CallerKey",
            // y = p + 3: a point, and a second encoding of it.
            change(&|request| {
                let mut key = [0xff; 32];
                (key[0], key[31]) = (0xf0, 0x7f);
                request.call.caller = IdentityKey::from_bytes(key);
            }),
        ),
        case(
            "signature-of-another-nonce",
            "Signature",
            change(&|request| request.call.nonce += 1),
        ),
        case(
            "signature-of-another-committee",
            "Signature",
            change(&|request| {
                request.call.committee = attestation::ids::CommitteeId::from_bytes([0; 32]);
            }),
        ),
        case(
            "signature-zeros",
            "Signature",
            change(&|request| request.signature = Signature::from_bytes([0; 64])),
        ),
    ]
}

fn records() -> Vec<Bad> {
    let bytes = sample::record().to_bytes();
    vec![
        record("cut", "Malformed(Structure)", cut(&bytes)),
        record("trailing-byte", "Malformed(Structure)", and(&bytes, &[0])),
        record(
            "three-members",
            "Quorum(Members(3))",
            changed(|record| record.members.truncate(3)),
        ),
        record(
            "threshold-above-members",
            "Quorum(Unreachable { members: 5, threshold: 6 })",
            changed(|record| record.threshold = 6),
        ),
        record("threshold-above-16-bits", "Malformed(Structure)", {
            swap(
                &bytes,
                b"\x69threshold\x04",
                b"\x69threshold\x1a\x00\x01\x00\x04",
            )
        }),
        record(
            "threshold-lets-a-third-sign-twice",
            "Quorum(Unsafe { members: 5, threshold: 3 })",
            changed(|record| record.threshold = 3),
        ),
        record(
            "no-coordinator",
            "Coordinators(0)",
            changed(|record| record.coordinators.clear()),
        ),
        record(
            "seventeen-coordinators",
            "Coordinators(17)",
            changed(|record| {
                let one = record.coordinators[0].clone();
                record.coordinators = vec![one; 17];
            }),
        ),
    ]
}

/// Cards that stand twice, share a key or are not signed.
fn cards() -> Vec<Bad> {
    vec![
        record(
            "member-twice",
            "DuplicateKey",
            changed(|record| record.members[1] = record.members[0].clone()),
        ),
        record(
            "price-above-10-qsr",
            "Terms(Price(1000000001))",
            changed(|record| record.terms.byte_deposit = 1_000_000_001),
        ),
        record(
            "more-work-than-anybody-does",
            "Terms(Work(49))",
            changed(|record| record.terms.work_bits = 49),
        ),
        record(
            "65-grants",
            "Terms(Grants(65))",
            changed(|record| record.grants = vec![record.grants[0]; 65]),
        ),
        record(
            "grants-out-of-order",
            "Terms(Grant(1))",
            changed(|record| record.grants.reverse()),
        ),
        record(
            "grant-of-nothing",
            "Terms(Grant(0))",
            changed(|record| record.grants[0].amount = 0),
        ),
        record(
            "grants-above-the-supply",
            "Terms(Supply)",
            changed(|record| {
                record.grants[0].amount = u64::MAX;
                record.grants[1].amount = u64::MAX;
            }),
        ),
        record(
            "member-is-coordinator",
            "DuplicateKey",
            changed(|record| record.coordinators[1] = record.members[0].clone()),
        ),
        record(
            "channel-key-shared",
            "DuplicateKey",
            changed(|record| record.members[1].channel = record.members[0].channel),
        ),
        record(
            "card-not-signed",
            "Card(2)",
            changed(|record| record.members[2].signature = Signature::from_bytes([0; 64])),
        ),
        record(
            "card-signed-by-another",
            "Card(5)",
            changed(|record| {
                record.coordinators[0].signature = record.coordinators[1].signature;
            }),
        ),
        record("evm-false-written-out", "Malformed(NotCanonical)", {
            let mut bytes = changed(|record| record.evm = true);
            // The last byte is the field's: false in place of true.
            bytes.pop();
            bytes.push(0xf4);
            bytes
        }),
    ]
}

/// Conditions that do nothing, and members that do not meet them.
fn conditions() -> Vec<Bad> {
    let demanding = |change: fn(&mut CreationRecord)| {
        let mut record = sample::record_with_conditions();
        change(&mut record);
        record.to_bytes()
    };
    vec![
        record(
            "too-few-on-each-engine-demanded",
            "Conditions(EngineDemandTooLow { demanded: 1, blocking: 2 })",
            demanding(|record| record.conditions.engine_members_min = 1),
        ),
        record(
            "more-on-each-engine-demanded-than-there-are",
            "Conditions(EngineDemandTooHigh { demanded: 3, members: 5 })",
            demanding(|record| record.conditions.engine_members_min = 3),
        ),
        record(
            "member-without-engine",
            "Conditions(EngineUnsaid(Slot(3)))",
            demanding(|record| {
                let sentinel = record.members[2].sentinel.take();
                record.members[2] = sample::record().members[2].clone();
                record.members[2].sentinel = sentinel;
            }),
        ),
        record(
            "too-few-on-one-engine",
            "Conditions(TooFewOnEngine { engine: Wasmi, members: 1, demanded: 2 })",
            demanding(|record| {
                let sentinel = record.members[1].sentinel.take();
                record.members[1] = sample::on_engine(2, Engine::Wasmtime);
                record.members[1].sentinel = sentinel;
            }),
        ),
        record(
            "engine-that-was-not-signed",
            "Card(1)",
            demanding(|record| record.members[1].engine = Some(Engine::Wasmtime)),
        ),
        record(
            "engine-that-nobody-knows",
            "Malformed(Structure)",
            renamed(&demanding(|_| ()), b"ewasmi", b"ewasmo"),
        ),
        record(
            "member-without-sentinel",
            "Conditions(SentinelMissing(Slot(5)))",
            demanding(|record| record.members[4].sentinel = None),
        ),
        record(
            "sentinel-of-two-members",
            "Conditions(SentinelTwice(Slot(4)))",
            demanding(|record| {
                record.members[3].sentinel = Some(sample::sentinel(1, &record.members[3]));
            }),
        ),
        record(
            "sentinel-that-vouches-for-another",
            "Conditions(SentinelProof(Slot(2)))",
            demanding(|record| {
                let other = record.members[2].sentinel.clone();
                record.members[1].sentinel = other;
            }),
        ),
        record(
            "sentinel-that-vouches-on-another-network",
            "Conditions(SentinelProof(Slot(1)))",
            demanding(|record| record.network = NetworkId(322)),
        ),
        record(
            "sentinel-that-is-not-demanded-and-did-not-sign",
            "Conditions(SentinelProof(Slot(1)))",
            demanding(|record| {
                record.conditions.sentinels = false;
                if let Some(sentinel) = &mut record.members[0].sentinel {
                    sentinel.proof = Signature::from_bytes([0; 64]);
                }
            }),
        ),
        record(
            "coordinator-with-sentinel",
            "Coordinator(5)",
            demanding(|record| {
                let card = &mut record.coordinators[0];
                card.sentinel = Some(sample::sentinel(9, card));
            }),
        ),
        record(
            "conditions-written-out-without-any",
            "Malformed(NotCanonical)",
            demanding(|record| record.conditions.sentinels = false)
                .split_last_chunk::<21>()
                .map(|(head, _)| [head, b"\xa0".as_slice()].concat())
                .expect("longer"),
        ),
        record("sentinels-false-written-out", "Malformed(NotCanonical)", {
            let mut bytes = demanding(|_| ());
            bytes.pop();
            bytes.push(0xf4);
            bytes
        }),
        record(
            "none-on-each-engine-written-out",
            "Malformed(NotCanonical)",
            {
                let mut bytes = demanding(|record| record.conditions.sentinels = false);
                bytes.pop();
                bytes.push(0);
                bytes
            },
        ),
    ]
}

/// The bytes with the first `from` in place of which `to` stands.
fn renamed(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|part| part == from);
    let (head, tail) = bytes.split_at(at.expect("it is there"));
    [head, to, &tail[from.len()..]].concat()
}

fn record(reason: &'static str, error: &'static str, bytes: Vec<u8>) -> Bad {
    Bad {
        format: "committee",
        reason,
        error,
        bytes,
    }
}

fn changed(change: impl FnOnce(&mut CreationRecord)) -> Vec<u8> {
    let mut record = sample::record();
    change(&mut record);
    record.to_bytes()
}
