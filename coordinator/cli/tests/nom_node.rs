//! The built `zq` against NoM nodes that are down, of another chain, or that show what cannot be.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    dead_code,
    reason = "a panic is a failed test; the server is shared with the client's tests"
)]

#[path = "../../../contracts/nom/tests/client/server.rs"]
mod server;

use std::fs;
use std::path::Path;
use std::process::Command;

use attestation::commit::Commit;
use attestation::ids::{
    CommitteeId, Digest, Epoch, GroupKey, NetworkId, RuntimeProfile, Seq, Signature, StateRoot,
    StatementId,
};
use attestation::leaf::{Leaf, SettlementLeaf};
use attestation::merkle;
use attestation::receipt::sig_structure;
use attestation::step_attestation::StepAttestation;
use attestation::verify::verify_receipt;
use ed25519_dalek::{Signer as _, SigningKey};
use nom::work::{Payment, base_plasma};
use nom::{
    Address, Amount, Block, BlockType, MomentumRef, Place, Seal, TokenStandard, block_to_json,
};
use serde_json::{Value, json};
use server::{CHAIN, Reply, Server};
use state::system::nom::{Anchor, Order};
use tempfile::TempDir;

/// The step that is attested.
const SEQ: u64 = 3;

fn group() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn group_key() -> GroupKey {
    GroupKey::from_bytes(group().verifying_key().to_bytes())
}

fn committee() -> Value {
    json!({
        "committee_id": CommitteeId::from_bytes([2; 32]),
        "group_key": group_key(),
        "network": CHAIN,
    })
}

/// The attestation of step [`SEQ`], and the anchor that it deserves.
fn attested() -> (Vec<u8>, Anchor) {
    let leaf = Leaf::Settlement(SettlementLeaf {
        seq: Seq(SEQ),
        epoch: Epoch(1),
        requests: 1,
        gas: 5,
        fees: 0,
        requests_total: 3,
        gas_total: 15,
        fees_total: 0,
    })
    .to_bytes();
    // A tree of one leaf has no proof.
    let leaves = [leaf.clone(), leaf];
    let zeros = [0; 32];
    let commit = Commit {
        network: NetworkId(CHAIN),
        committee: CommitteeId::from_bytes([2; 32]),
        epoch: Epoch(1),
        seq: Seq(SEQ),
        tree_size: 2,
        previous_state: StateRoot::from_bytes(zeros),
        state: StateRoot::from_bytes([5; 32]),
        profile: RuntimeProfile::from_bytes(zeros),
        previous: StatementId::from_bytes(zeros),
        anchor_height: 0,
        anchor: Digest::from_bytes(zeros),
        time_ms: 1,
        gas_used: 5,
        inputs: Digest::from_bytes(zeros),
        trace: Digest::from_bytes(zeros),
    };
    let (root, key) = (merkle::root(&leaves), group_key());
    let signature = group().sign(&sig_structure(&commit, &root, &key));
    let step = StepAttestation {
        commit,
        root,
        signature: Signature::from_bytes(signature.to_bytes()),
    };
    let receipt = step.receipt(&key, &leaves, 0).unwrap();
    let said = verify_receipt(&receipt, None, &key, None).unwrap();
    let anchor = Anchor {
        committee: said.commit.committee,
        seq: said.commit.seq,
        statement: said.statement,
        state: said.commit.state,
    };
    (receipt, anchor)
}

fn of_step(seq: u64, anchor: Anchor) -> Anchor {
    Anchor {
        seq: Seq(seq),
        ..anchor
    }
}

/// The account's blocks, signed by the group's key: one sent to nobody for each of these.
fn blocks(data: &[Vec<u8>]) -> Vec<Value> {
    let nobody = Address::from_bytes(Order::NOBODY);
    let account = Address::from_key(group_key().as_bytes());
    let momentum = MomentumRef {
        hash: nom::Hash::from_bytes([1; 32]),
        height: 1,
    };
    let mut blocks: Vec<Block> = Vec::new();
    for data in data {
        let place = match blocks.last() {
            Some(last) => Place::after(last, momentum).unwrap(),
            None => Place::first(CHAIN, account, momentum),
        };
        let payment = Payment {
            fused_plasma: base_plasma(BlockType::UserSend, &nobody, data.len()).unwrap(),
            difficulty: 0,
        };
        let none = TokenStandard::from_bytes([0; 10]);
        let draft = place.send(nobody, none, Amount::ZERO, data.clone());
        let draft = draft.paid(payment, [0; 8]);
        let seal = Seal {
            public_key: *group_key().as_bytes(),
            signature: group().sign(draft.hash().as_bytes()).to_bytes(),
        };
        blocks.push(draft.sealed(seal).unwrap());
    }
    blocks.iter().map(block_to_json).collect()
}

/// A node with these blocks, and nothing else.
fn node(blocks: Vec<Value>) -> Server {
    Server::start(move |method, params| {
        assert_eq!(method, "ledger.getAccountBlocksByHeight");
        let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
        let from = number(&params[1]) - 1;
        let list = blocks.iter().skip(from).take(number(&params[2]));
        let list: Vec<&Value> = list.collect();
        Reply::Result(json!({ "list": list, "count": list.len() }))
    })
}

fn zq(dir: &Path, arguments: &[&str]) -> (i32, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_zq"))
        .current_dir(dir)
        .args(["--json", "--node", "http://127.0.0.1:1"])
        .args(arguments)
        .output()
        .unwrap();
    let said = serde_json::from_slice(&output.stdout);
    let said = said.unwrap_or_else(|_| panic!("{arguments:?}: {output:?}"));
    (output.status.code().unwrap(), said)
}

fn dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    write("committee.json", committee().to_string().as_bytes());
    write("3.0.cose", &attested().0);
    dir
}

fn verify(dir: &Path, url: &str, more: &[&str]) -> (i32, Value) {
    let verify = ["nom", "anchor", "verify", "--committee", "committee.json"];
    zq(
        dir,
        &[verify.as_slice(), &["--nom-rpc", url], more].concat(),
    )
}

#[test]
fn an_anchor_that_contradicts_the_attestation_ends_with_3_and_its_reason() {
    let dir = dir();
    let (_, right) = attested();
    let other = [9; 32];
    let state = StateRoot::from_bytes(other);
    let statement = StatementId::from_bytes(other);
    let committee = CommitteeId::from_bytes(other);
    let older = of_step(2, right).to_bytes();
    for (held, check) in [
        (Anchor { state, ..right }.to_bytes(), "state"),
        (Anchor { statement, ..right }.to_bytes(), "statement"),
        (Anchor { committee, ..right }.to_bytes(), "committee"),
        (of_step(1, right).to_bytes(), "order"),
        (of_step(2, right).to_bytes(), "order"),
        (b"hello".to_vec(), "form"),
        ([right.to_bytes(), vec![0]].concat(), "form"),
    ] {
        let server = node(blocks(&[older.clone(), held]));
        let (code, said) = verify(dir.path(), &server.url(), &["3.0.cose"]);
        assert_eq!((code, &said["check"]), (3, &json!(check)), "{said}");
        assert_eq!(said["valid"], false, "{said}");
    }
}

#[test]
fn blocks_that_are_not_what_they_claim_are_no_proof_and_end_with_3() {
    let dir = dir();
    let (_, right) = attested();
    let honest = blocks(&[of_step(2, right).to_bytes(), right.to_bytes()]);
    let lies: [fn(&mut Vec<Value>); 5] = [
        |blocks| blocks[1]["amount"] = json!("1"),
        |blocks| blocks[1]["data"] = blocks[0]["data"].clone(),
        |blocks| blocks[1]["signature"] = blocks[0]["signature"].clone(),
        |blocks| blocks.swap(0, 1),
        |blocks| drop(blocks.remove(0)),
    ];
    for lie in lies {
        let mut blocks = honest.clone();
        lie(&mut blocks);
        let (code, said) = verify(dir.path(), &node(blocks).url(), &["3.0.cose"]);
        assert_eq!((code, &said["check"]), (3, &json!("block")), "{said}");
    }
}

#[test]
fn an_anchor_that_is_missing_or_not_deep_ends_with_1_and_what_to_do() {
    let dir = dir();
    let (_, right) = attested();
    for (held, told) in [
        (vec![], "no anchor of this committee yet"),
        (vec![of_step(2, right)], "no anchor names step 3"),
        (vec![of_step(4, right)], "no anchor names step 3"),
        (vec![of_step(2, right), right], "in no momentum yet"),
    ] {
        let data: Vec<Vec<u8>> = held.iter().map(Anchor::to_bytes).collect();
        let (code, said) = verify(dir.path(), &node(blocks(&data)).url(), &["3.0.cose"]);
        let error = said["error"].as_str().unwrap();
        assert_eq!((code, error.contains(told)), (1, true), "{said}");
        assert!(!said["what_to_do"].as_str().unwrap().is_empty(), "{said}");
    }
}

#[test]
fn a_nom_node_that_is_down_or_of_another_chain_proves_nothing() {
    let dir = dir();
    let (code, said) = verify(dir.path(), &server::nobody(), &[]);
    let error = said["error"].as_str().unwrap();
    assert_eq!((code, error.contains("no answer")), (1, true), "{said}");

    let other = json!({
        "committee_id": CommitteeId::from_bytes([2; 32]),
        "group_key": group_key(),
        "network": CHAIN + 1,
    });
    fs::write(dir.path().join("committee.json"), other.to_string()).unwrap();
    let server = node(blocks(&[attested().1.to_bytes()]));
    let (code, said) = verify(dir.path(), &server.url(), &[]);
    let error = said["error"].as_str().unwrap();
    let told = error.contains("of chain 321, not 322");
    assert_eq!((code, told), (1, true), "{said}");
    // The attestation, which is of the chain before, is told apart without asking anybody.
    let (code, said) = verify(dir.path(), &server::nobody(), &["3.0.cose"]);
    assert_eq!((code, &said["check"]), (3, &json!("network")), "{said}");
}

#[test]
fn a_deposit_that_no_block_can_carry_is_a_misuse_and_asks_nobody() {
    let dir = dir();
    let (code, made) = zq(dir.path(), &["key", "new", "me.key"]);
    assert_eq!(code, 0, "{made}");
    let zapp = "11".repeat(32);
    let nobody = server::nobody();
    let deposit = |more: &[&str]| {
        let sure = [
            "nom",
            "deposit",
            &zapp,
            "--key",
            "me.key",
            "--nom-rpc",
            &nobody,
        ];
        let trust = ["--committee", "committee.json"];
        zq(dir.path(), &[sure.as_slice(), &trust, more].concat())
    };
    let too_much = format!("1{}", "0".repeat(77));
    // One more than 255 bits hold.
    let above = "57896044618658097711785492504343953926634992332820282019728792003956564819968";
    let too_long = "00".repeat(16_353);
    for (more, told) in [
        (&["--amount", "0"][..], "255"),
        (&["--amount", "-1"], "-1"),
        (&["--amount", &too_much], "255"),
        (&["--amount", above], "255"),
        (&["--amount", "1", "--token", "BTC"], "--token"),
        (
            &["--amount", "1", "--token", "zts1znnxxxxxxxxxxxxx9z4ulq"],
            "--token",
        ),
        (&["--amount", "1", "--data", "xyz"], "hexadecimal"),
        (&["--amount", "1", "--data", &too_long], "16352 bytes"),
    ] {
        let (code, said) = deposit(more);
        let error = said["error"].as_str().unwrap();
        let is_told = error.contains(told);
        assert_eq!((code, is_told), (2, true), "{more:?}: {said}");
    }
    // As much as fits is no misuse: then the committee's node is asked, which is down.
    let most = "00".repeat(16_352);
    let (code, said) = deposit(&["--amount", "1", "--data", &most]);
    assert_eq!(code, 5, "{said}");
}
