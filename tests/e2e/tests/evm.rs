//! A committee that signs for EVM chains: its second key, and the signatures of its steps.

use std::path::Path;

use attestation::commit::Commit;
use attestation::ids::{EvmKey, LeafRoot, ZappId};
use attestation::leaf::MessageLeaf;
use attestation::merkle;
use conformance::outside;
use e2e::{Running, WAIT_S, check_succeeded, wait_for};
use evm::abi::{Value as Word, encode, number};
use evm::anvil::{Anvil, CHAIN, ETHER};
use evm::compiler::Contracts;
use evm::leaf::padded;
use evm_client::contract::MessageAcceptor;
use evm_client::transaction::Address;
use serde_json::Value;
use signer_protocol::dkg::KeyRecord;
use signer_protocol::suite::{Affine, verify_evm};

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
    let answer = node
        .get(&format!("/v1/attestations/{seq}/{leaf}.evm"))
        .ok()?;
    let commit = Commit::from_bytes(&hex(text(&answer, "commit"))).expect("a commit");
    let root: LeafRoot = text(&answer, "root").parse().expect("a root");
    let signature = text(&answer, "signature").parse().expect("a signature");
    let statement = commit.statement(&root);
    assert!(verify_evm(key, statement.as_bytes(), &signature));
    let path = answer.get("path").and_then(Value::as_array);
    let path: Vec<[u8; 32]> = path
        .expect("a path")
        .iter()
        .map(|hash| {
            hex(hash.as_str().expect("text"))
                .try_into()
                .expect("32 bytes")
        })
        .collect();
    let hash = merkle::leaf_hash(&hex(text(&answer, "leaf_bytes")));
    let included = merkle::root_from_path(hash, leaf, commit.tree_size, &path);
    assert_eq!((commit.seq.0, included), (seq, Some(root)));
    Some(())
}

#[test]
fn steps_are_signed_for_evm_chains_also_when_a_coordinator_dies_and_every_gateway_serves_them() {
    let mut running = Running::prepare_for_evm().expect("programs");
    running
        .start_with(&[], &[])
        .expect("a committee with its key");
    let keys: Vec<Value> = (1..=5)
        .map(|slot| wait_for("the second key", || key(&running, slot)).expect("a key"))
        .collect();
    assert!(
        keys.iter()
            .all(|key| text(key, "key") == text(&keys[0], "key"))
    );
    let evm: EvmKey = text(&keys[0], "key").parse().expect("33 bytes");
    let record = KeyRecord::from_bytes(&hex(text(&keys[0], "record"))).expect("a record");
    assert_eq!(record.check_evm(running.committee.record()), Ok(evm));
    let shown = running.zq(1, &["committee", "show"]).expect("zq runs").0;
    assert!(shown.contains(text(&keys[0], "x")), "{shown}");

    // Its members stay who they are: nobody would pass on shares of the second key.
    let plan = running.dir().join("change.plan");
    let refused = [
        "committee",
        "change",
        "plan",
        "--out",
        plan.to_str().expect("UTF-8"),
    ];
    let (refused, code) = running.zq(1, &refused).expect("zq runs");
    assert_eq!(code, Some(1), "{refused}");
    assert!(!plan.exists());

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

/// Posts what it is called with: a destination with a label of one byte, then the payload.
const POSTER: &str = r#"(module
  (import "zapp0" "input" (func $input (param i32 i32 i32)))
  (import "zapp0" "post" (func $post (param i32 i32 i32 i32)))
  (memory (export "memory") 1 1)
  (func (export "zapp_main") (param $op i32) (param $length i32) (result i32)
    (local $to i32)
    (if (i32.ne (local.get $op) (i32.const 1)) (then (return (i32.const 0))))
    (call $input (i32.const 0) (i32.const 0) (local.get $length))
    (local.set $to (i32.add (i32.load8_u (i32.const 0)) (i32.const 1)))
    (call $post (local.get $to) (i32.const 81)
      (i32.add (local.get $to) (i32.const 81))
      (i32.sub (local.get $length) (i32.add (local.get $to) (i32.const 81))))
    (i32.const 0)))"#;
/// Gas that its messages grant.
const GAS: u64 = 200_000;
/// The only label that it is called with.
const LABEL: &[u8] = b"m";

/// A chain's node, a message acceptor that trusts the committee, and a receiver.
struct Away {
    anvil: Anvil,
    acceptor: Address,
    receiver: Address,
}

impl Away {
    /// `None` without compiler or node, which is a skip.
    fn new(running: &Running, key: &EvmKey) -> Option<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let parts = Contracts::compile(folder).and_then(|all| Ok((all, Anvil::start(folder)?)));
        let (contracts, anvil) = match parts {
            Ok(parts) => parts,
            Err(reason) => {
                outside::skip("a committee and contracts on a real EVM node", &reason);
                return None;
            }
        };
        let deployer = evm::anvil::key(1);
        anvil.fund(&deployer.address(), ETHER);
        let record = running.committee.record();
        let Affine { x, y } = Affine::decompress(key.as_bytes()).expect("a point");
        let terms = encode(&[
            number(record.network.0),
            Word::Word(*record.id().as_bytes()),
            Word::Word(x),
            Word::Word(y),
            Word::Word([0; 32]),
            number(86_400),
            number(86_400),
            number(1_000_000),
        ]);
        let acceptor = anvil.deploy(&deployer, &contracts, "MessageAcceptor", &terms);
        let receiver = anvil.deploy(&deployer, &contracts, "Receiver", &[]);
        Some(Self {
            anvil,
            acceptor,
            receiver,
        })
    }

    /// What the poster is called with for a message to the receiver.
    fn post(&self, payload: &[u8]) -> Vec<u8> {
        [
            CHAIN.to_le_bytes().as_slice(),
            &padded(self.acceptor),
            &padded(self.receiver),
            &GAS.to_le_bytes(),
            LABEL,
            payload,
        ]
        .concat()
    }
}

fn call(running: &mut Running, zapp: ZappId, input: Vec<u8>) {
    let request = running
        .caller
        .request(zapp, "post", input)
        .expect("a request");
    let node = running.committee.http(2).expect("a node");
    let answer = running
        .caller
        .submit(&node, &request, WAIT_S)
        .expect("an answer");
    check_succeeded(&answer).expect("attested");
}

/// What `zq relay evm --once` of the node of a member says, and its exit code.
fn relay(running: &Running, away: &Away, slot: u16, more: &[&str]) -> (Value, Option<i32>) {
    let file = running.dir().join("relay.key");
    let acceptor = evm_client::rpc::text(&away.acceptor);
    let mut arguments = vec![
        "--json",
        "relay",
        "evm",
        "--rpc",
        away.anvil.url(),
        "--once",
    ];
    arguments.extend([
        "--messages",
        &acceptor,
        "--key",
        file.to_str().expect("UTF-8"),
    ]);
    arguments.extend(more);
    let (text, code) = running.zq(slot, &arguments).expect("zq runs");
    (serde_json::from_str(&text).expect("one JSON value"), code)
}

#[test]
fn what_a_zapp_posts_reaches_a_contract_on_a_real_evm_node_once_through_a_relay() {
    let mut running = Running::prepare_for_evm().expect("programs");
    running
        .start_with(&[], &[])
        .expect("a committee with its key");
    let generated = wait_for("the second key", || key(&running, 1)).expect("a key");
    let evm_key: EvmKey = text(&generated, "key").parse().expect("33 bytes");
    let Some(away) = Away::new(&running, &evm_key) else {
        return;
    };
    let file = running.dir().join("relay.key");
    let made = Running::offline(&["--json", "key", "new", file.to_str().expect("UTF-8")]);
    assert_eq!(made.expect("zq runs").1, Some(0));
    let wasm = wat::parse_str(POSTER).expect("a module");
    let zapp = running.deploy(1, &wasm).expect("attested");
    for payload in [b"\0first", b"\0later"] {
        call(&mut running, zapp, away.post(payload));
    }
    let head = running.head(2).expect("a head");
    wait_for("signatures", || signed(&running, 3, &evm_key, head, 0)).expect("signed");
    wait_for("signatures", || signed(&running, 3, &evm_key, head - 1, 0)).expect("signed");

    // Neither another chain nor an account without ether.
    let (refused, code) = relay(&running, &away, 3, &["--chain", "1"]);
    assert_eq!(code, Some(1));
    assert!(
        text(&refused, "error").contains("of chain 31337, not 1"),
        "{refused}"
    );
    let chain = CHAIN.to_string();
    let here = ["--chain", chain.as_str()];
    let (refused, code) = relay(&running, &away, 3, &here);
    assert_eq!(code, Some(1));
    assert!(text(&refused, "error").contains("holds 0 wei"), "{refused}");
    let account = text(&refused, "error").get(2..42).expect("its address");
    let account = hex(account).try_into().expect("20 bytes");
    away.anvil.fund(&account, ETHER);

    let (brought, code) = relay(&running, &away, 3, &here);
    assert_eq!(code, Some(0), "{brought}");
    assert_eq!(
        (&brought["leaves_brought"], &brought["skipped"]),
        (&2.into(), &0.into())
    );
    let messages = brought["brought"].as_array().expect("a list");
    assert!(
        messages.iter().all(|one| one["outcome"] == "delivered"),
        "{brought}"
    );
    // Again, by another node's gateway: nothing is left to bring.
    let (again, code) = relay(&running, &away, 5, &here);
    assert_eq!(code, Some(0), "{again}");
    assert_eq!(
        (&again["leaves_brought"], &again["skipped"]),
        (&0.into(), &2.into())
    );
    let destination = (CHAIN, &padded(away.acceptor));
    let committee = running.committee.record().id();
    let channel = MessageLeaf::channel(&committee, &zapp, destination, LABEL);
    let acceptor = MessageAcceptor {
        rpc: away.anvil.rpc(),
        address: away.acceptor,
    };
    assert_eq!(acceptor.consumed(&channel), Ok(2));
    let count = away
        .anvil
        .rpc()
        .view(&away.receiver, &evm::abi::call("count()", &[]));
    assert_eq!(count.expect("a view").last(), Some(&2));
}
