//! Tags, keys, addresses, commit, leaves, request, committee record, step attestation.

use attestation::address::Address;
use attestation::codec::{decode, encode};
use attestation::commit::{Commit, offset};
use attestation::committee::{CreationRecord, Quorum};
use attestation::conditions::{Engine, Sentinel};
use attestation::group::TrustedKey;
use attestation::ids::{
    CommitteeId, Digest, Epoch, GroupKey, IdentityKey, LeafRoot, NetworkId, RuntimeProfile, Seq,
    StateRoot, StatementId,
};
use attestation::leaf::{Leaf, OutputLeaf, SettlementLeaf, Status};
use attestation::request::Request;
use attestation::step_attestation::StepAttestation;
use attestation::{receipt, tags};
use conformance::bad::Shapes;
use conformance::edge;
use conformance::golden::commit_fields;
use conformance::sample::{self, Step};
use serde_json::{Map, Value, json};

use crate::{check, invalid};

#[test]
fn tags() {
    let named: Map<String, Value> = tags::NAMES
        .iter()
        .zip(tags::ALL)
        .map(|(name, tag)| ((*name).into(), json!(hex::encode(tag.0))))
        .collect();
    check(
        "tags",
        "Domain tags: the first 8 bytes of what they name.",
        json!({ "valid": named }),
    );
}

#[test]
fn codec() {
    let sample = Shapes::sample();
    let bytes = encode(&sample);
    assert_eq!(decode::<Shapes>(&bytes, 64), Ok(sample));
    check(
        "codec",
        "Wire messages: deterministic CBOR of {a: uint, b: [uint], c: text, d: option}, at most \
         64 bytes; any other encoding is refused.",
        json!({
            "valid": [{ "name": "every shape", "bytes": hex::encode(bytes) }],
            "invalid": invalid("codec"),
        }),
    );
}

#[test]
fn group_keys() {
    let rfc8032 = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let keys = [
        ("sample", sample::group_key()),
        ("RFC 8032 test 1", rfc8032.parse().unwrap()),
    ];
    let valid: Vec<Value> = keys
        .iter()
        .map(|(name, key)| {
            let trusted = TrustedKey::new(*key).unwrap();
            json!({
                "name": name,
                "bytes": key,
                "key_id": trusted.id(),
                "address": Address::from(key),
            })
        })
        .collect();
    check(
        "group_key",
        "Group keys: canonical, not of small order, torsion-free. key_id is the RFC 9679 \
         thumbprint.",
        json!({ "valid": valid, "invalid": invalid("group_key") }),
    );
}

/// Keys and addresses from go-zenon `common/types/address_test.go` and from RFC 8032's keys in
/// Zenon's own SDK test data.
#[test]
fn addresses() {
    let outside = [
        (
            "e93a02c39b08022e0d05e2653568754a687a25b879419358f1a3a02829a51d3e",
            "z1qry3r6n4adzwlyqrm6e2s8hz4kff9uzmkqjnqy",
        ),
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "z1qqz57dq697jcfwcv2s8m753jlnhk7ak9whaqdf",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "z1qz60gq63gqpunnn8urp42t3pa077z9lcwmrwaz",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "z1qpyn8f0ac7ampccwz6agmnx5y6hk5qhtdaupas",
        ),
    ];
    let valid: Vec<Value> = outside
        .iter()
        .map(|(key, text)| {
            let key: IdentityKey = key.parse().unwrap();
            let address = Address::from(&key);
            assert_eq!(address.to_string(), *text);
            assert_eq!(text.parse(), Ok(address));
            json!({
                "key": key,
                "address": text,
                "bytes": hex::encode(address.as_bytes()),
            })
        })
        .collect();
    let zero = Address::from_bytes([0; 20]).to_string();
    assert_eq!(zero, "z1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqsggv2f");
    check(
        "address",
        "NoM addresses: bech32 \"z\" of 0x00 and the first 19 bytes of SHA3-256(key). Invalid \
         cases are texts in hexadecimal.",
        json!({ "valid": valid, "invalid": invalid("address") }),
    );
}

#[test]
fn commits() {
    let first = Step::first(1).attestation;
    let second = Step::first(1).next(3).attestation;
    let extreme = StepAttestation {
        commit: Commit {
            network: NetworkId(u64::MAX),
            committee: CommitteeId::from_bytes([0xff; 32]),
            epoch: Epoch(u64::MAX),
            seq: Seq(u64::MAX),
            tree_size: u64::MAX,
            previous_state: StateRoot::from_bytes([0xff; 32]),
            state: StateRoot::from_bytes([0xff; 32]),
            profile: RuntimeProfile::from_bytes([0xff; 32]),
            previous: StatementId::from_bytes([0xff; 32]),
            anchor_height: u64::MAX,
            anchor: Digest::from_bytes([0xff; 32]),
            time_ms: u64::MAX,
            gas_used: u64::MAX,
            inputs: Digest::from_bytes([0xff; 32]),
            trace: Digest::from_bytes([0xff; 32]),
        },
        root: LeafRoot::from_bytes([0xff; 32]),
        ..first
    };
    let valid: Vec<Value> = [
        ("first step", first),
        ("second step", second),
        ("extremes", extreme),
    ]
    .iter()
    .map(|(name, step)| {
        let bytes = step.commit.to_bytes();
        assert_eq!(Commit::from_bytes(&bytes), Ok(step.commit));
        json!({
            "name": name,
            "fields": commit_fields(&step.commit),
            "bytes": hex::encode(bytes),
            "root": step.root,
            "statement": step.statement(),
        })
    })
    .collect();
    check(
        "commit",
        "Commits: a CBOR array of 16 byte strings; `offsets` says where each one's data begins. \
         statement = SHA-256(bytes || root).",
        json!({
            "length": Commit::LEN,
            "offsets": offset::ALL,
            "valid": valid,
            "invalid": invalid("commit"),
        }),
    );
}

#[test]
fn leaves() {
    let statuses = [
        Status::Ok,
        Status::Reverted,
        Status::Trapped,
        Status::OutOfGas,
        Status::Refused,
        Status::Faulted,
    ];
    let outputs = statuses.into_iter().map(|status| {
        let leaf = OutputLeaf {
            status,
            code: if status == Status::Reverted {
                0xdead_beef
            } else {
                0
            },
            ..sample::output(7, 1)
        };
        let fields = json!({
            "kind": "output",
            "zapp": leaf.zapp,
            "seq": leaf.seq.to_string(),
            "request": leaf.request,
            "status": u8::from(leaf.status),
            "code": leaf.code,
            "gas": leaf.gas.to_string(),
            "output": leaf.output,
            "events": leaf.events,
        });
        (Leaf::Output(leaf), fields)
    });
    let settlement = SettlementLeaf {
        fees: 12,
        fees_total: u64::MAX,
        ..sample::settlement(7, 3)
    };
    let fields = json!({
        "kind": "settlement",
        "seq": settlement.seq.to_string(),
        "epoch": settlement.epoch.to_string(),
        "requests": settlement.requests,
        "gas": settlement.gas.to_string(),
        "fees": settlement.fees.to_string(),
        "requests_total": settlement.requests_total.to_string(),
        "gas_total": settlement.gas_total.to_string(),
        "fees_total": settlement.fees_total.to_string(),
    });
    let message = sample::message(7, 3);
    let message_fields = json!({
        "kind": "message",
        "zapp": message.zapp,
        "seq": message.seq.to_string(),
        "chain": message.chain.to_string(),
        "contract": hex::encode(message.contract),
        "receiver": hex::encode(message.receiver),
        "channel": message.channel,
        "number": message.number.to_string(),
        "gas": message.gas.to_string(),
        "payload": hex::encode(&message.payload),
    });
    let changes = [sample::key_change(7), sample::key_change_ed25519(7)].map(|change| {
        let fields = json!({
            "kind": "key_change",
            "seq": change.seq.to_string(),
            "suite": change.suite,
            "last_seq": change.last_seq.to_string(),
            "old": hex::encode(change.old),
            "new": hex::encode(change.new),
        });
        (Leaf::KeyChange(change), fields)
    });
    let block = sample::block(7);
    let block_fields = json!({
        "kind": "block",
        "seq": block.seq.to_string(),
        "chain": block.chain.to_string(),
        "block_type": block.block_type.to_string(),
        "previous": hex::encode(block.previous),
        "height": block.height.to_string(),
        "momentum": hex::encode(block.momentum),
        "momentum_height": block.momentum_height.to_string(),
        "account": hex::encode(block.account),
        "to": hex::encode(block.to),
        "amount": hex::encode(block.amount),
        "token": hex::encode(block.token),
        "source": hex::encode(block.source),
        "data": hex::encode(block.data),
        "fused_plasma": block.fused_plasma.to_string(),
        "difficulty": block.difficulty.to_string(),
        "nonce": hex::encode(block.nonce),
    });
    let valid: Vec<Value> = outputs
        .chain([
            (Leaf::Settlement(settlement), fields),
            (Leaf::Message(message), message_fields),
            (Leaf::Block(block), block_fields),
        ])
        .chain(changes)
        .map(|(leaf, fields)| {
            let bytes = leaf.to_bytes();
            assert_eq!(Leaf::from_bytes(&bytes), Ok(leaf));
            json!({
                "fields": fields,
                "bytes": hex::encode(&bytes),
                "hash": hex::encode(attestation::merkle::leaf_hash(&bytes)),
            })
        })
        .collect();
    check(
        "leaf",
        "Leaves: fixed-offset records. hash = SHA-256(0x00 || bytes).",
        json!({ "valid": valid, "invalid": invalid("leaf") }),
    );
}

#[test]
fn requests() {
    let request = sample::request();
    let bytes = request.to_bytes();
    assert_eq!(Request::from_bytes(&bytes), Ok(request.clone()));
    check(
        "request",
        "Requests: `signed` is what the caller's key signs, id = SHA-256(signed), `bytes` the \
         wire encoding.",
        json!({
            "valid": [{
                "request": request,
                "signed": hex::encode(request.call.signed_bytes()),
                "id": request.id(),
                "bytes": hex::encode(bytes),
            }],
            "invalid": invalid("request"),
        }),
    );
}

#[test]
fn committees() {
    let valid = |record: CreationRecord| {
        let bytes = record.to_bytes();
        assert_eq!(CreationRecord::from_bytes(&bytes), Ok(record.clone()));
        json!({
            "card_signed": hex::encode(record.members[0].signed_bytes()),
            "sentinel_signed": Sentinel::statement(record.network, &record.members[0]),
            "id": record.id(),
            "bytes": hex::encode(bytes),
            "record": record,
        })
    };
    let mut for_evm = sample::record();
    for_evm.evm = true;
    let mut named = sample::record();
    named.members[0] = sample::on_engine(1, Engine::Wasmi);
    named.members[2].sentinel = Some(sample::sentinel(3, &named.members[2]));
    let mut on_engines = sample::record_with_conditions();
    on_engines.conditions.sentinels = false;
    let mut with_sentinels = sample::record_with_conditions();
    with_sentinels.conditions.engine_members_min = 0;
    let mut with_both_for_evm = sample::record_with_conditions();
    with_both_for_evm.evm = true;
    check(
        "committee",
        "Creation records: id is the committee id; `card_signed` is what member 1's identity key \
         signs, `sentinel_signed` what the owner of a Sentinel would for it. `quorums` are counts of members and thresholds, and whether rule A15 allows them.",
        json!({
            "valid": [
                valid(sample::record()),
                valid(for_evm),
                valid(named),
                valid(on_engines),
                valid(with_sentinels),
                valid(sample::record_with_conditions()),
                valid(with_both_for_evm),
            ],
            "invalid": invalid("committee"),
            "quorums": quorums(),
        }),
    );
}

#[test]
fn step_attestations() {
    let step = Step::first(1).attestation;
    let key: GroupKey = sample::group_key();
    let bytes = step.to_bytes();
    assert_eq!(StepAttestation::from_bytes(&bytes), Ok(step));
    assert_eq!(step.verify(&key), Ok(()));
    let signed = receipt::sig_structure(&step.commit, &step.root, &key);
    check(
        "step_attestation",
        "Step attestations: `signed` is the COSE Sig_structure that the group key signs. `forged` \
         decode, and their signature does not verify.",
        json!({
            "valid": [{
                "commit": hex::encode(step.commit.to_bytes()),
                "root": step.root,
                "signature": step.signature,
                "group_key": key,
                "signed": hex::encode(signed),
                "statement": step.statement(),
                "bytes": hex::encode(bytes),
            }],
            "invalid": invalid("step_attestation"),
            "forged": forged(&step),
        }),
    );
}

/// Step attestations that nobody signed.
fn forged(good: &StepAttestation) -> Vec<Value> {
    let case = |name: &str, key: GroupKey, change: &dyn Fn(&mut StepAttestation)| {
        let mut step = *good;
        change(&mut step);
        let error = step.verify(&key).expect_err(name);
        json!({
            "name": name,
            "group_key": key,
            "bytes": hex::encode(step.to_bytes()),
            "error": format!("{error:?}"),
        })
    };
    let (key, secret) = (sample::group_key(), sample::group_secret());
    let signed = receipt::sig_structure(&good.commit, &good.root, &key);
    let other = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    vec![
        case("another group key", other.parse().unwrap(), &|_| {}),
        case("another root", key, &|step| {
            step.root = LeafRoot::from_bytes([1; 32]);
        }),
        case("another time", key, &|step| step.commit.time_ms += 1),
        case("S plus the group order", key, &|step| {
            step.signature = edge::plus_order_once(&step.signature);
        }),
        case("R of small order", key, &|step| {
            step.signature = edge::sign_with_torsion(&secret, 0, 0, &signed);
        }),
        case("R with a torsion part", key, &|step| {
            step.signature = edge::sign_with_torsion(&secret, 9, 1, &signed);
        }),
    ]
}

/// Thresholds on both sides of each bound.
fn quorums() -> Vec<Value> {
    let mut pairs = vec![(0, 0), (3, 3), (151, 120), (65_535, 65_535)];
    for members in [4, 5, 6, 7, 10, 100, 150] {
        let lowest = (members + (members - 1) / 3) / 2 + 1;
        pairs.extend([0, lowest - 1, lowest, members, members + 1].map(|t| (members, t)));
    }
    pairs
        .into_iter()
        .map(|(members, threshold)| {
            let error = Quorum::new(members, threshold).err();
            json!({
                "members": members,
                "threshold": threshold,
                "error": error.map(|error| format!("{error:?}")),
            })
        })
        .collect()
}
