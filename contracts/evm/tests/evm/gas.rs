//! What everything costs, to the unit, against `gas.json`. `ZQ_UPDATE_VECTORS=1 cargo test -p evm`
//! writes the file anew.

use attestation::ids::StatementId;
use attestation::merkle;
use conformance::{golden, sample};
use evm::abi::{Value, call, encode, number};
use evm::chain::{ANYONE, Account, Chain};
use evm::committee::Committee;
use evm::leaf::padded;
use evm::step::{attested, calldata, included, step};
use k256::ecdsa::SigningKey;
use serde_json::{Value as Json, json};
use signer_protocol::suite::Affine;

use crate::world::{DELAY, GAS_MAX, GUARDIAN, World, done, ledger_terms, terms};
use crate::{bridge, contracts};

/// The promise: a verification.
const VERIFY_MAX: u64 = 5_000;
/// The promise: a proof in a step of 1,024 leaves.
const PROOF_MAX: u64 = 10_000;

#[test]
fn gas_is_what_the_snapshot_says_and_below_the_promise() {
    let Some(contracts) = contracts() else {
        return;
    };
    let chain = || Chain::new(contracts);
    let verification = verification(&mut chain());
    let [inclusion, largest] = [1_024, 65_536].map(|size| inclusion(&mut chain(), size));
    let snapshot = json!({
        "compiler": evm::compiler::described(),
        "rules": "Osaka",
        "unit": "gas. library: between two readings of gasleft; call: execution of a call that \
                 does only this, with dispatch and ABI; transaction: what the sender pays, with \
                 base fee, calldata (EIP-2028, EIP-7623) and refunds",
        "signature": verification,
        "t ECDSA signatures of guardians, to compare with": guardians(&mut chain()),
        "inclusion of an output among 1024 leaves": inclusion,
        "inclusion of an output among 65536 leaves": largest,
        "deliver": deliveries(),
        "accept an output": outputs(&mut chain()),
        "accept a step": ledger(&mut chain()),
        "change the key": keys(),
        "bridge": bridge::gas(),
        "deploy": deployments(&mut chain()),
    });
    let compared = &snapshot["t ECDSA signatures of guardians, to compare with"];
    for of in ["library", "call", "transaction", "calldata bytes"] {
        // Whatever the size of the committee.
        let one = snapshot["signature"][of].as_u64();
        assert!(one < compared["4 of 5"][of].as_u64(), "{of}");
    }
    for of in ["library", "call"] {
        let gas = |what: &str| snapshot[what][of].as_u64().unwrap();
        assert!(gas("signature") <= VERIFY_MAX);
        assert!(gas("inclusion of an output among 1024 leaves") <= PROOF_MAX);
    }
    golden::check_json("contracts/evm/gas.json", &snapshot);
    readme_agrees(&snapshot);
}

/// The README's table of costs repeats numbers of the snapshot.
fn readme_agrees(snapshot: &Json) {
    let readme = golden::repository().join("contracts/evm/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let table = readme.split("## What it costs").nth(1).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let snapshot = snapshot.to_string();
    let mut numbers = 0;
    for row in rows.skip(1) {
        let cell = row.trim_end_matches('|').rsplit('|').next().unwrap();
        for number in cell.split('/') {
            let number = number.trim().replace(',', "");
            let found = [",", "}"].map(|after| snapshot.contains(&format!(":{number}{after}")));
            assert!(found.contains(&true), "{number} is in README.md alone");
            numbers += 1;
        }
    }
    assert!(numbers >= 8, "{numbers}");
}

/// Inside the harness, and of a call of it.
fn measured(chain: &mut Chain, at: Account, signature: &str, arguments: &[Value]) -> u64 {
    let data = call(signature, arguments);
    let receipt = chain.send(ANYONE, at, &data);
    assert!(matches!(receipt.answer, evm::chain::Answer::Returned(_)));
    receipt.execution
}

fn verification(chain: &mut Chain) -> Json {
    let at = chain.deploy("Harness", &[]).unwrap();
    let mut committee = Committee::new(1);
    let statement = StatementId::from_bytes(sample::digest("statement"));
    let (key, signature) = (committee.key(), committee.sign(&statement));
    let arguments = [
        Value::Word(key.x),
        number(u64::from(key.y[31] & 1)),
        Value::Word(*statement.as_bytes()),
        Value::Word(signature.rx),
        Value::Word(signature.ry),
        Value::Word(signature.z),
    ];
    let types = "(uint256,bool,bytes32,uint256,uint256,uint256)";
    let library = chain.number(at, &call(&format!("flawGas{types}"), &arguments));
    let data = call(&format!("flaw{types}"), &arguments);
    let receipt = chain.send(ANYONE, at, &data);
    assert!(matches!(receipt.answer, evm::chain::Answer::Returned(_)));
    json!({
        "library": library,
        "call": receipt.execution,
        "transaction": receipt.gas,
        "calldata bytes": data.len(),
    })
}

/// What a set of guardians costs per verification, in the same run: the usual design of bridges.
fn guardians(chain: &mut Chain) -> Json {
    let digest = sample::digest("statement");
    let mut of = |threshold: u8, members: u8| {
        let keys: Vec<SigningKey> = (1..=members)
            .map(|byte| SigningKey::from_slice(&sample::digest(&format!("guardian {byte}"))))
            .map(Result::unwrap)
            .collect();
        let set = keys.iter().map(|key| {
            let point = key.verifying_key().to_encoded_point(true);
            let point = Affine::decompress(point.as_bytes().try_into().unwrap());
            padded(point.unwrap().address())
        });
        let arguments = encode(&[number(threshold.into()), Value::Words(set.collect())]);
        let at = chain.deploy("Guardians", &arguments).unwrap();
        let mut signatures = Vec::new();
        for (index, key) in (0u8..threshold).zip(&keys) {
            let (signature, odd) = key.sign_prehash_recoverable(&digest).unwrap();
            signatures.push(index);
            signatures.extend(signature.to_bytes());
            signatures.push(27 + u8::from(odd.is_y_odd()));
        }
        let arguments = [Value::Word(digest), Value::Bytes(signatures.clone())];
        let data = call("check(bytes32,bytes)", &arguments);
        let receipt = chain.send(ANYONE, at, &data);
        assert_eq!(receipt.answer, done());
        let library = chain.number(at, &call("checkGas(bytes32,bytes)", &arguments));
        // It would not take one signature less, nor one of somebody else.
        for broken in [
            signatures[66..].to_vec(),
            [&[1][..], &signatures[1..]].concat(),
        ] {
            let broken = call(
                "check(bytes32,bytes)",
                &[Value::Word(digest), Value::Bytes(broken)],
            );
            let answer = chain.send(ANYONE, at, &broken).answer;
            assert!(
                matches!(answer, evm::chain::Answer::Refused(_)),
                "{answer:?}"
            );
        }
        json!({
            "library": library,
            "call": receipt.execution,
            "transaction": receipt.gas,
            "calldata bytes": data.len(),
        })
    };
    json!({ "4 of 5": of(4, 5), "13 of 19": of(13, 19) })
}

/// The leaf that costs most of 33 that are spread over the step.
fn inclusion(chain: &mut Chain, size: usize) -> Json {
    let at = chain.deploy("Harness", &[]).unwrap();
    let leaf = sample::leaves(1, 1).remove(1);
    let leaves = vec![leaf.clone(); size];
    let (root, paths) = (merkle::root(&leaves), merkle::paths(&leaves));
    let mut most = (0, 0, 0);
    for index in (0..size).step_by(size / 32).chain([size - 1]) {
        let mut arguments = vec![
            Value::Bytes(leaf.clone()),
            number(index as u64),
            number(size as u64),
            Value::Words(paths[index].clone()),
        ];
        let types = "(bytes,uint256,uint256,bytes32[])";
        let whole = measured(chain, at, &format!("include{types}"), &arguments);
        arguments.push(Value::Word(*root.as_bytes()));
        let types = "(bytes,uint256,uint256,bytes32[],bytes32)";
        let library = chain.number(at, &call(&format!("includeGas{types}"), &arguments));
        most = most.max((library, whole, paths[index].len()));
    }
    let (library, whole, hashes) = most;
    json!({ "library": library, "call": whole, "hashes": hashes })
}

/// Deliveries to a receiver that does nothing, with 32 bytes of payload.
fn deliveries() -> Json {
    let mut world = World::new().unwrap();
    world.receiver = world.chain.deploy("Sink", &[]).unwrap();
    let mut number = 0;
    let mut transaction = |world: &mut World, leaves: usize, receiver: Account| {
        number += 1;
        let mut message = world.message(number, number, &[1; 32]);
        message.receiver = padded(receiver);
        let mut all = vec![sample::leaves(number, 1).remove(1); leaves - 1];
        let index = leaves / 3;
        all[index] = message.to_bytes();
        let (attestation, leaves) = step(&mut world.committee, number, all);
        let inclusion = included(&leaves, index + 1);
        let data = calldata("deliver", &attestation, &inclusion);
        let receipt = world.chain.send(ANYONE, world.acceptor, &data);
        assert_eq!(receipt.answer, done());
        json!({
            "transaction": receipt.gas,
            "execution": receipt.execution,
            "calldata bytes": data.len(),
        })
    };
    let sink = world.receiver;
    json!({
        "first of a channel, 2 leaves": transaction(&mut world, 2, sink),
        "next, 2 leaves": transaction(&mut world, 2, sink),
        "next, 1024 leaves": transaction(&mut world, 1_024, sink),
        "next, nobody at the receiver, 2 leaves": transaction(&mut world, 2, [7; 20]),
    })
}

fn paid(chain: &mut Chain, to: Account, data: &[u8]) -> Json {
    let receipt = chain.send(ANYONE, to, data);
    assert_eq!(receipt.answer, done());
    json!({
        "transaction": receipt.gas,
        "execution": receipt.execution,
        "calldata bytes": data.len(),
    })
}

fn outputs(chain: &mut Chain) -> Json {
    let mut committee = Committee::new(1);
    let arguments = encode(&terms(&committee, GUARDIAN));
    let acceptor = chain.deploy("OutputAcceptor", &arguments).unwrap();
    let (attestation, leaves) = step(&mut committee, 1, sample::leaves(1, 1_023)[1..].to_vec());
    let mut transaction = |index| {
        let data = calldata("accept", &attestation, &included(&leaves, index));
        paid(chain, acceptor, &data)
    };
    json!({
        "first of 256 of a step, 1024 leaves": transaction(300),
        "next of 256 of a step, 1024 leaves": transaction(301),
    })
}

/// A ledger at genesis.
pub fn deploy_ledger(chain: &mut Chain, committee: &Committee) -> Account {
    let arguments = encode(&ledger_terms(committee));
    chain.deploy("LedgerAcceptor", &arguments).unwrap()
}

fn ledger(chain: &mut Chain) -> Json {
    let mut committee = Committee::new(1);
    let ledger = deploy_ledger(chain, &committee);
    let first = sample::Step::first(1);
    let mut transaction = |step: &sample::Step| {
        let (commit, root) = (step.attestation.commit, step.attestation.root);
        let data = attested(&mut committee, &commit, &root).accept();
        paid(chain, ledger, &data)
    };
    json!({ "first": transaction(&first), "next": transaction(&first.next(1)) })
}

fn keys() -> Json {
    let mut world = World::new().unwrap();
    let leaf = world.key_change(1, 1, &Committee::new(2)).to_bytes();
    let (attestation, inclusion) = world.attest(1, leaf);
    let data = calldata("changeKey", &attestation, &inclusion);
    let change = paid(&mut world.chain, world.acceptor, &data);
    world.chain.pass(DELAY);
    let activate = paid(
        &mut world.chain,
        world.acceptor,
        &call("activateKey()", &[]),
    );
    json!({ "changeKey, 2 leaves": change, "activateKey": activate })
}

fn deployments(chain: &mut Chain) -> Json {
    let committee = Committee::new(1);
    let terms = terms(&committee, GUARDIAN);
    let with_gas = [terms.clone(), vec![number(GAS_MAX)]].concat();
    json!({
        "MessageAcceptor": chain.deployment_gas("MessageAcceptor", &encode(&with_gas)),
        "OutputAcceptor": chain.deployment_gas("OutputAcceptor", &encode(&terms)),
    })
}
