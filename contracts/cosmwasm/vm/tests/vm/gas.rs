//! What acceptance costs, as a snapshot: `gas.json`.

use std::fs;

use attestation::ids::StatementId;
use attestation::leaf::Leaf;
use conformance::frost::Committee;
use conformance::golden;
use conformance::sample::{self, Step};
use serde_json::{Value as Json, json};

use crate::chain::{ANYONE, Contract, GAS_MULTIPLIER, wasm};
use crate::inputs::ledger_of_samples;
use crate::step::{
    CHANGE_DELAY, accept_step, bring, key_change, message, messages_of, outputs_of, proven,
};

#[test]
fn costs_are_those_of_the_snapshot() {
    let Some(wasm) = wasm() else {
        return;
    };
    let snapshot = json!({
        "unit": "gas of the chain as wasmd counts it, one for 140,000 of the machine's: a fresh \
                 instance, execution and ed25519_verify; what the chain adds for storage, calldata \
                 and loading the module is its own",
        "machine": "cosmwasm-vm 3.0.10",
        "module bytes": wasm.len(),
        "instantiate": instantiations(),
        "accept a step": steps(),
        "accept an output": outputs(),
        "deliver": deliveries(),
        "change the key": key_changes(),
    });
    if golden::updating() {
        golden::check_json(SNAPSHOT, &snapshot);
    }
    let kept = fs::read_to_string(golden::repository().join(SNAPSHOT)).unwrap();
    compare("costs", &snapshot, &serde_json::from_str(&kept).unwrap());
}

/// Another compiler makes a slightly other module: numbers may differ by a twentieth.
fn compare(name: &str, actual: &Json, kept: &Json) {
    match (actual, kept) {
        (Json::Object(members), Json::Object(others)) => {
            assert!(members.keys().eq(others.keys()), "{name}: other members");
            for (member, value) in members {
                compare(&format!("{name}, {member}"), value, &others[member]);
            }
        }
        (Json::Number(_), Json::Number(_)) => {
            let (actual, kept) = (actual.as_u64().unwrap(), kept.as_u64().unwrap());
            assert!(
                actual.abs_diff(kept) * 20 <= kept,
                "{name}: {actual}, snapshot {kept}"
            );
        }
        _ => assert_eq!(actual, kept, "{name}"),
    }
}

const SNAPSHOT: &str = "contracts/cosmwasm/gas.json";

/// Calls, which must not be refused; gas and bytes of the call.
fn cost(contract: &mut Contract, message: &Json) -> Json {
    contract.execute(ANYONE, message).response();
    json!({ "gas": gas(contract), "message bytes": message.to_string().len() })
}

/// Gas of the last call, as wasmd counts it.
fn gas(contract: &Contract) -> u64 {
    contract.gas.div_ceil(GAS_MULTIPLIER)
}

fn instantiations() -> Json {
    let key = sample::group_key();
    let cost = |register: &Json| gas(&Contract::try_new(register).unwrap().0);
    json!({
        "ledger": cost(&ledger_of_samples()),
        "outputs": cost(&outputs_of(&key, None)),
        "messages": cost(&messages_of(&key, None)),
    })
}

fn steps() -> Json {
    let mut ledger = Contract::new(&ledger_of_samples()).unwrap();
    let first = Step::first(1);
    let next = first.next(1);
    // The rulebook looks at the signature last.
    ledger
        .execute(ANYONE, &accept_step(&next.attestation))
        .rule();
    let refused = gas(&ledger);
    json!({
        "a gap, refused before its signature is verified": { "gas": refused },
        "first": cost(&mut ledger, &accept_step(&first.attestation)),
        "next": cost(&mut ledger, &accept_step(&next.attestation)),
    })
}

fn outputs() -> Json {
    let mut committee = Committee::new(1);
    let mut acceptor = Contract::new(&outputs_of(&committee.key(), None)).unwrap();
    let mut of = |count: u32, index: usize| {
        let leaves = sample::leaves(u64::from(count), count);
        let previous = StatementId::from_bytes([9; 32]);
        let commit = sample::commit(u64::from(count), &leaves, previous);
        let attestation = committee.attest(commit, &leaves);
        let receipt = attestation
            .receipt(&committee.key(), &leaves, index)
            .unwrap();
        cost(
            &mut acceptor,
            &bring("accept_output", &(receipt, leaves[index].clone())),
        )
    };
    let (short, deep) = (of(1, 1), of(65_535, 30_000));
    // Paths of 1 and 16 hashes.
    let hash = |what: &str| (deep[what].as_u64().unwrap() - short[what].as_u64().unwrap()) / 15;
    json!({
        "2 leaves": short,
        "1024 leaves": of(1_023, 500),
        "65536 leaves": deep,
        "a hash of an inclusion path": {
            "gas": hash("gas"),
            "message bytes": hash("message bytes"),
        },
    })
}

fn deliveries() -> Json {
    let mut committee = Committee::new(1);
    let mut acceptor = Contract::new(&messages_of(&committee.key(), None)).unwrap();
    let mut of = |number, payload: usize| {
        let mut leaf = message(5, b"mint", number);
        leaf.payload = vec![7; payload];
        let given = proven(&mut committee, 5, &Leaf::Message(leaf));
        cost(&mut acceptor, &bring("deliver", &given))
    };
    json!({
        "first of a channel, 32 bytes of payload": of(1, 32),
        "next, 32 bytes of payload": of(2, 32),
        "next, 16384 bytes of payload": of(3, 16_384),
    })
}

fn key_changes() -> Json {
    let (mut old, new) = (Committee::new(1), Committee::new(2));
    let mut acceptor = Contract::new(&messages_of(&old.key(), None)).unwrap();
    let leaf = Leaf::KeyChange(key_change(5, 9, &old.key(), &new.key()));
    let change = bring("change_key", &proven(&mut old, 5, &leaf));
    let change = cost(&mut acceptor, &change);
    acceptor.pass(CHANGE_DELAY);
    json!({
        "change_key": change,
        "activate_key": cost(&mut acceptor, &json!({ "activate_key": {} })),
    })
}
