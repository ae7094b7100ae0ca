//! A committee that signs for EVM chains: its second key, and the signatures of its steps.

use attestation::commit::Commit;
use attestation::ids::{EvmKey, LeafRoot};
use attestation::merkle;
use e2e::{Running, wait_for};
use serde_json::Value;
use signer_protocol::dkg::KeyRecord;
use signer_protocol::suite::verify_evm;

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).expect("text")
}

fn hex(value: &str) -> Vec<u8> {
    let digits = value.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.map(|pair| byte(pair).expect("digits")).collect()
}

/// The committee's second key, as the node of a member says.
fn key(running: &Running, slot: u16) -> Option<Value> {
    let committee = running.committee.committee_json(slot).ok()?;
    committee.get("evm").filter(|key| key.is_object()).cloned()
}

/// What the node of a member has for contracts of a step's leaf, checked as contracts check it.
fn signed(running: &Running, slot: u16, key: &EvmKey, seq: u64, leaf: u64) -> Option<()> {
    let node = running.committee.http(slot).ok()?;
    let answer = node.get(&format!("/v1/attestations/{seq}/{leaf}.evm")).ok()?;
    let commit = Commit::from_bytes(&hex(text(&answer, "commit"))).expect("a commit");
    let root: LeafRoot = text(&answer, "root").parse().expect("a root");
    let signature = text(&answer, "signature").parse().expect("a signature");
    let statement = commit.statement(&root);
    assert!(verify_evm(key, statement.as_bytes(), &signature));
    let path: Vec<[u8; 32]> = answer["path"]
        .as_array()
        .expect("a path")
        .iter()
        .map(|hash| hex(hash.as_str().expect("text")).try_into().expect("32 bytes"))
        .collect();
    let hash = merkle::leaf_hash(&hex(text(&answer, "leaf_bytes")));
    let included = merkle::root_from_path(hash, leaf, commit.tree_size, &path);
    assert_eq!((commit.seq.0, included), (seq, Some(root)));
    Some(())
}

#[test]
fn steps_are_signed_for_evm_chains_also_when_a_coordinator_dies_and_every_gateway_serves_them() {
    let mut running = Running::prepare_for_evm().expect("programs");
    running.start_with(&[], &[]).expect("a committee with its key");
    let keys: Vec<Value> = (1..=5)
        .map(|slot| wait_for("the second key", || key(&running, slot)).expect("a key"))
        .collect();
    assert!(keys.iter().all(|key| text(key, "key") == text(&keys[0], "key")));
    let evm: EvmKey = text(&keys[0], "key").parse().expect("33 bytes");
    let record = KeyRecord::from_bytes(&hex(text(&keys[0], "record"))).expect("a record");
    assert_eq!(record.check_evm(running.committee.record()), Ok(evm));
    let shown = running.zq(1, &["committee", "show"]).expect("zq runs").0;
    assert!(shown.contains(text(&keys[0], "x")), "{shown}");

    let counter = running.deploy_counter(1).expect("attested");
    running.call(2, counter, "add").expect("attested");
    let head = running.head(2).expect("a head");
    for seq in 1..=head {
        for slot in 1..=5 {
            let seen = wait_for("a signature", || signed(&running, slot, &evm, seq, 0));
            seen.expect("every node has every step's");
        }
    }
    signed(&running, 3, &evm, head, 1).expect("of every leaf");

    // The first coordinator's node is gone: the second leads, and the first learns what it missed.
    running.committee.kill_member(1).expect("killed");
    running.call(2, counter, "add").expect("attested");
    let later = running.head(2).expect("a head");
    assert!(later > head);
    running.committee.start_member(1).expect("started");
    for slot in 1..=5 {
        let seen = wait_for("a signature", || signed(&running, slot, &evm, later, 0));
        seen.expect("every node has it, also the one that was gone");
    }
    assert_eq!(key(&running, 1).as_ref(), keys.first());
}
