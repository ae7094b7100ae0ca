//! The scenarios of `contracts/acceptor`, run against the contracts.
//!
//! The files carry a committee's Ed25519 signatures, which no EVM checks. What an event says of
//! its signature is taken over: where the file's signature verifies over commit and root, another
//! committee signs the same statement with FROST(secp256k1, KECCAK-256); where not, the contract
//! is given a signature with the same bit changed. Bytes that are no receipt are given as the
//! commit. Verdicts must be the file's.

use std::fs;

use attestation::commit::Commit;
use attestation::ids::{GroupKey, LeafRoot};
use attestation::merkle;
use attestation::receipt::Receipt;
use attestation::step_attestation::StepAttestation;
use conformance::{golden, sample};
use evm::abi::{Value, call, encode, number, word};
use evm::chain::{ANYONE, Account, Answer, Chain};
use evm::committee::{Committee, Key};
use evm::step::{Attestation, Inclusion, attested, calldata};
use serde_json::{Value as Json, json};

use crate::contracts;

#[test]
fn every_scenario_of_the_rulebook_ends_as_it_says() {
    let Some(contracts) = contracts() else {
        return;
    };
    let folder = golden::repository().join("contracts/acceptor/scenarios");
    let mut committee = Committee::new(1);
    let mut events = [0, 0];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let scenario: Json = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let mut chain = Chain::new(contracts);
        match scenario["rule"].as_str() {
            Some("E1") => events[0] += run_ledger(&mut chain, &mut committee, &scenario),
            Some("E2") => events[1] += run_outputs(&mut chain, &mut committee, &scenario),
            rule => panic!("{}: rule {rule:?}", path.display()),
        }
    }
    assert!(events[0] >= 37 && events[1] >= 22, "{events:?} events");
}

fn run_ledger(chain: &mut Chain, committee: &mut Committee, scenario: &Json) -> usize {
    let terms = &scenario["terms"];
    let key: GroupKey = parse(&terms["group_key"]);
    let ledger = deploy_ledger(chain, committee, scenario);
    let events = scenario["events"].as_array().unwrap();
    for event in events {
        let given = &event["attestation"];
        let step = StepAttestation {
            commit: Commit::from_bytes(&bytes(&given["commit"])).unwrap(),
            root: parse(&given["root"]),
            signature: parse(&given["signature"]),
        };
        let signed = step.verify(&key).is_ok();
        let attestation = attest(committee, &step.commit, &step.root, signed);
        let before = head(chain, ledger);
        let answer = chain.send(ANYONE, ledger, &attestation.accept()).answer;
        if event["accepted"] == Json::Null {
            assert_eq!(name("E1", &answer), event["refused"], "{}", event["name"]);
            assert_eq!(head(chain, ledger), before, "a refusal changes nothing");
        } else {
            assert_eq!(answer, Answer::Returned(Vec::new()), "{}", event["name"]);
            assert_eq!(head(chain, ledger), event["accepted"], "{}", event["name"]);
        }
    }
    events.len()
}

fn deploy_ledger(chain: &mut Chain, committee: &Committee, scenario: &Json) -> Account {
    let (terms, Key { x, y }) = (&scenario["terms"], committee.key());
    let head = match &scenario["head"] {
        Json::Null => [
            number(0),
            number(decimal(&terms["epoch"])),
            Value::Word(digest(&terms["committee"])),
            Value::Word(digest(&terms["genesis_state"])),
        ],
        head => [
            number(decimal(&head["seq"])),
            number(decimal(&head["epoch"])),
            Value::Word(digest(&head["statement"])),
            Value::Word(digest(&head["state"])),
        ],
    };
    let [seq, epoch, statement, state] = head;
    let arguments = encode(&[
        number(decimal(&terms["network"])),
        Value::Word(digest(&terms["committee"])),
        Value::Word(digest(&terms["profile"])),
        Value::Word(x),
        Value::Word(y),
        seq,
        epoch,
        statement,
        state,
    ]);
    chain.deploy("LedgerAcceptor", &arguments).unwrap()
}

pub fn head(chain: &mut Chain, ledger: Account) -> Json {
    let Answer::Returned(bytes) = chain.view(ledger, &call("head()", &[])).answer else {
        panic!("a view answers");
    };
    json!({
        "seq": u64::from_be_bytes(bytes[24..32].try_into().unwrap()).to_string(),
        "epoch": u64::from_be_bytes(bytes[56..64].try_into().unwrap()).to_string(),
        "statement": hex::encode(&bytes[64..96]),
        "state": hex::encode(&bytes[96..]),
    })
}

fn run_outputs(chain: &mut Chain, committee: &mut Committee, scenario: &Json) -> usize {
    let (terms, Key { x, y }) = (&scenario["terms"], committee.key());
    let arguments = encode(&[
        number(decimal(&terms["network"])),
        Value::Word(digest(&terms["committee"])),
        Value::Word(x),
        Value::Word(y),
        number(0),
        number(0),
        number(0),
    ]);
    let acceptor = chain.deploy("OutputAcceptor", &arguments).unwrap();
    let key: GroupKey = parse(&terms["group_key"]);
    let events = scenario["events"].as_array().unwrap();
    for event in events {
        let (attestation, inclusion) = output(committee, &key, event);
        let data = calldata("accept", &attestation, &inclusion);
        let receipt = chain.send(ANYONE, acceptor, &data);
        let accepted = &event["accepted"];
        if *accepted == Json::Null {
            assert_eq!(
                name("E2", &receipt.answer),
                event["refused"],
                "{}",
                event["name"]
            );
            continue;
        }
        assert_eq!(
            receipt.answer,
            Answer::Returned(Vec::new()),
            "{}",
            event["name"]
        );
        let [_, seq, index, request] = receipt.events[0].topics[..] else {
            panic!("three indexed members");
        };
        assert_eq!(seq, word(decimal(&accepted["seq"])), "{}", event["name"]);
        assert_eq!(index, word(decimal(&accepted["index"])));
        assert_eq!(request, digest(&accepted["request"]));
        let status = word(accepted["status"].as_u64().unwrap());
        assert_eq!(receipt.events[0].data, status);
        let place = [Value::Word(seq), Value::Word(index)];
        let consumed = call("isConsumed(uint64,uint256)", &place);
        assert_eq!(chain.number(acceptor, &consumed), 1);
    }
    events.len()
}

/// What a relayer makes of a receipt and its leaf, with the other committee's signature.
pub fn output(committee: &mut Committee, key: &GroupKey, event: &Json) -> (Attestation, Inclusion) {
    let (receipt, leaf) = (bytes(&event["receipt"]), bytes(&event["leaf"]));
    let Ok(read) = Receipt::from_bytes(&receipt) else {
        let step = sample::Step::first(1).attestation;
        let mut attestation = attest(committee, &step.commit, &step.root, true);
        attestation.commit = receipt;
        let inclusion = Inclusion {
            leaf,
            index: 1,
            path: Vec::new(),
        };
        return (attestation, inclusion);
    };
    let root = merkle::root_from_path(
        read.leaf_hash,
        read.proof.index,
        read.proof.tree_size,
        &read.proof.path,
    )
    .unwrap();
    let step = StepAttestation {
        commit: read.commit,
        root,
        signature: read.signature,
    };
    let attestation = attest(committee, &read.commit, &root, step.verify(key).is_ok());
    let inclusion = Inclusion {
        leaf,
        index: read.proof.index,
        path: read.proof.path,
    };
    (attestation, inclusion)
}

pub fn attest(
    committee: &mut Committee,
    commit: &Commit,
    root: &LeafRoot,
    signed: bool,
) -> Attestation {
    let mut attestation = attested(committee, commit, root);
    if !signed {
        attestation.signature.z[31] ^= 1;
    }
    attestation
}

/// The rulebook's name of an error.
pub fn name(rule: &str, answer: &Answer) -> &'static str {
    match answer.error() {
        "WrongCommittee" if rule == "E1" => "wrong-committee",
        "WrongCommittee" => "committee",
        "MalformedCommit" => "receipt",
        "WrongNetwork" => "wrong-network",
        // A contract is given no size of the tree but the commit's, which the path must fit.
        "TreeSize" | "PathDoesNotFit" => "tree-size",
        "Known" => "known",
        "Old" => "old",
        "Gap" => "gap",
        "OldEpoch" => "old-epoch",
        "UnknownProfile" => "unknown-profile",
        "PreviousStatement" => "previous-statement",
        "PreviousState" => "previous-state",
        "BadSignature" => "signature",
        "Fork" => "fork",
        "MalformedLeaf" | "WrongStep" | "NotIncluded" => "leaf",
        "NotAnOutput" => "not-an-output",
        "Consumed" => "consumed",
        error => panic!("{error:?} is no rule: {answer:?}"),
    }
}

fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Json) -> T {
    value.as_str().unwrap().parse().unwrap()
}

fn decimal(value: &Json) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

fn digest(value: &Json) -> [u8; 32] {
    bytes(value).try_into().unwrap()
}

fn bytes(value: &Json) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}
