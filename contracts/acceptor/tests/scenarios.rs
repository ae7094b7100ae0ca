//! The scenarios that every port runs: written from the cases here, then read back and run.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

use std::collections::BTreeSet;

use acceptor::Terms;
use acceptor::ledger::{Head, Ledger};
use acceptor::outputs::Outputs;
use attestation::commit::Commit;
use attestation::ids::{
    CommitteeId, Epoch, NetworkId, RuntimeProfile, Seq, Signature, StateRoot, StatementId,
};
use attestation::receipt::{self, Receipt};
use attestation::step_attestation::StepAttestation;
use conformance::sample::{self, Step};
use conformance::{edge, golden};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

/// Writes or compares a scenario, then runs it as it stands in the file.
fn scenario(name: &str, about: &str, rule: &str, head: Option<&Step>, events: Vec<Value>) {
    let path = format!("contracts/acceptor/scenarios/{name}.json");
    let scenario = json!({
        "about": about,
        "rule": rule,
        "terms": {
            "network": sample::NETWORK.to_string(),
            "committee": sample::committee(),
            "epoch": "1",
            "profile": sample::profile(),
            "group_key": sample::group_key(),
            "genesis_state": sample::state(0),
        },
        "head": head.map(|step| head_json(&Head::of(&step.attestation))),
        "events": events,
    });
    golden::check_json(&path, &scenario);
    let text = std::fs::read_to_string(golden::repository().join(&path)).unwrap();
    let scenario: Value = serde_json::from_str(&text).unwrap();
    match rule {
        "E1" => run_ledger(&scenario),
        _ => run_outputs(&scenario),
    }
}

fn run_ledger(scenario: &Value) {
    let terms = terms(&scenario["terms"]);
    let head = &scenario["head"];
    let mut ledger = match head {
        Value::Null => Ledger::new(terms),
        head => Ledger::resume(
            terms,
            Head {
                seq: Seq(number(&head["seq"])),
                epoch: Epoch(number(&head["epoch"])),
                statement: parse(&head["statement"]),
                state: parse(&head["state"]),
            },
        ),
    };
    for event in scenario["events"].as_array().unwrap() {
        let before = *ledger.head();
        let given = &event["attestation"];
        let attestation = StepAttestation {
            commit: Commit::from_bytes(&bytes(&given["commit"])).unwrap(),
            root: parse(&given["root"]),
            signature: parse(&given["signature"]),
        };
        match ledger.accept(&attestation) {
            Ok(head) => {
                assert_eq!(head_json(&head), event["accepted"], "{}", event["name"]);
                assert_eq!(head, *ledger.head());
            }
            Err(refused) => {
                assert_eq!(refused.name(), event["refused"], "{}", event["name"]);
                assert_eq!(before, *ledger.head(), "a refusal changes nothing");
            }
        }
    }
}

fn run_outputs(scenario: &Value) {
    let mut outputs = Outputs::new(terms(&scenario["terms"]), BTreeSet::new());
    for event in scenario["events"].as_array().unwrap() {
        match outputs.accept(&bytes(&event["receipt"]), &bytes(&event["leaf"])) {
            Ok((id, output)) => {
                let accepted = json!({
                    "seq": id.seq.to_string(),
                    "index": id.index.to_string(),
                    "request": output.request,
                    "status": u8::from(output.status),
                });
                assert_eq!(accepted, event["accepted"], "{}", event["name"]);
            }
            Err(refused) => {
                assert_eq!(refused.name(), event["refused"], "{}", event["name"]);
            }
        }
    }
}

fn terms(terms: &Value) -> Terms {
    Terms::register(
        NetworkId(number(&terms["network"])),
        parse(&terms["committee"]),
        Epoch(number(&terms["epoch"])),
        parse(&terms["profile"]),
        parse(&terms["group_key"]),
        parse(&terms["genesis_state"]),
    )
    .unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn head_json(head: &Head) -> Value {
    json!({
        "seq": head.seq.to_string(),
        "epoch": head.epoch.0.to_string(),
        "statement": head.statement,
        "state": head.state,
    })
}

fn step(name: &str, step: &Step) -> Value {
    let attestation = &step.attestation;
    json!({
        "name": name,
        "attestation": {
            "commit": hex::encode(attestation.commit.to_bytes()),
            "root": attestation.root,
            "signature": attestation.signature,
        },
    })
}

fn accepted(name: &str, given: &Step) -> Value {
    let mut event = step(name, given);
    event["accepted"] = head_json(&Head::of(&given.attestation));
    event
}

fn refused(name: &str, given: &Step, rule: &str) -> Value {
    let mut event = step(name, given);
    event["refused"] = json!(rule);
    event
}

/// A step with another commit, signed all the same.
fn other(given: &Step, change: impl FnOnce(&mut Commit)) -> Step {
    let mut commit = given.attestation.commit;
    change(&mut commit);
    Step::sign(commit, given.leaves.clone())
}

/// The same step with another signature.
fn signed_by(given: &Step, signature: Signature) -> Step {
    let mut step = given.clone();
    step.attestation.signature = signature;
    step
}

/// The same step with one bit of the signature changed.
fn unsigned(given: &Step) -> Step {
    let mut bytes = *given.attestation.signature.as_bytes();
    bytes[5] ^= 1;
    signed_by(given, Signature::from_bytes(bytes))
}

/// The same step, signed by another group's secret.
fn of_another_group(given: &Step) -> Step {
    let (commit, root) = (&given.attestation.commit, &given.attestation.root);
    let signed = receipt::sig_structure(commit, root, &sample::group_key());
    let secret = SigningKey::from_bytes(&sample::digest("another group"));
    signed_by(given, sample::sign(&secret, &signed))
}

/// The same step with a second form of its signature, for which the equation holds.
fn malleated(given: &Step) -> Step {
    signed_by(given, edge::plus_order_once(&given.attestation.signature))
}

#[test]
fn ledger_takes_steps_in_order_and_once() {
    let first = Step::first(1);
    let second = first.next(3);
    let third = second.next(1);
    let fourth = third.next(2);
    scenario(
        "ledger-in-order",
        "Steps are taken in order, each once; repetitions and leaps change nothing.",
        "E1",
        None,
        vec![
            refused("the second step first", &second, "gap"),
            accepted("the first step", &first),
            refused("the first step again", &first, "known"),
            refused("the third step before the second", &third, "gap"),
            accepted("the second step", &second),
            accepted("the third step", &third),
            refused("the first step, long past", &first, "old"),
            refused("the second step, long past", &second, "old"),
            accepted("the fourth step", &fourth),
        ],
    );
}

#[test]
fn ledger_starts_at_genesis() {
    let first = Step::first(1);
    scenario(
        "ledger-first-step",
        "Step 1 follows the committee id and the genesis state root; there is no step 0.",
        "E1",
        None,
        vec![
            refused(
                "step 0",
                &other(&first, |commit| commit.seq = Seq(0)),
                "old",
            ),
            refused(
                "the last seq there is",
                &other(&first, |commit| commit.seq = Seq(u64::MAX)),
                "gap",
            ),
            refused(
                "previous statement of zeros",
                &other(&first, |commit| {
                    commit.previous = StatementId::from_bytes([0; 32])
                }),
                "previous-statement",
            ),
            refused(
                "another genesis state",
                &other(&first, |commit| {
                    commit.previous_state = StateRoot::from_bytes([0; 32])
                }),
                "previous-state",
            ),
            accepted("the first step", &first),
        ],
    );
}

#[test]
fn ledger_goes_on_where_it_stopped() {
    let second = Step::first(1).next(1);
    let third = second.next(1);
    scenario(
        "ledger-resume",
        "A ledger that was restarted goes on from its stored head.",
        "E1",
        Some(&second),
        vec![
            refused("the head again", &second, "known"),
            refused("the first step", &Step::first(1), "old"),
            accepted("the third step", &third),
        ],
    );
}

#[test]
fn ledger_refuses_what_breaks_a_rule() {
    let first = Step::first(1);
    let next = first.next(2);
    let bad = |name: &str, rule: &str, change: &dyn Fn(&mut Commit)| {
        refused(name, &other(&next, change), rule)
    };
    let mut events = vec![accepted("the first step", &first)];
    events.extend([
        bad("another network", "wrong-network", &|commit| {
            commit.network = NetworkId(1)
        }),
        bad("another committee", "wrong-committee", &|commit| {
            commit.committee = CommitteeId::from_bytes([3; 32]);
        }),
        bad("a tree of one leaf", "tree-size", &|commit| {
            commit.tree_size = 1
        }),
        bad("a tree of no leaf", "tree-size", &|commit| {
            commit.tree_size = 0
        }),
        bad("a tree of 65537 leaves", "tree-size", &|commit| {
            commit.tree_size = 65_537
        }),
        bad("an earlier epoch", "old-epoch", &|commit| {
            commit.epoch = Epoch(0)
        }),
        bad("another profile", "unknown-profile", &|commit| {
            commit.profile = RuntimeProfile::from_bytes([4; 32]);
        }),
        bad("another previous step", "previous-statement", &|commit| {
            commit.previous = StatementId::from_bytes([5; 32]);
        }),
        bad("another previous state", "previous-state", &|commit| {
            commit.previous_state = sample::state(7);
        }),
        refused("a changed signature", &unsigned(&next), "signature"),
        refused(
            "another group's signature",
            &of_another_group(&next),
            "signature",
        ),
        refused("S plus the group's order", &malleated(&next), "signature"),
        refused("a changed root", &changed_root(&next), "signature"),
        refused("a changed commit", &changed_commit(&next), "signature"),
        accepted("the second step", &next),
    ]);
    scenario(
        "ledger-refusals",
        "Each rule is broken once, signed by the group key; the ledger stays where it is.",
        "E1",
        None,
        events,
    );
}

#[test]
fn ledger_follows_epochs_that_only_rise() {
    let first = Step::first(1);
    let in_epoch = |step: &Step, epoch| other(step, |commit| commit.epoch = Epoch(epoch));
    let second = in_epoch(&first.next(1), 2);
    let third = in_epoch(&second.next(1), 2);
    let fourth = in_epoch(&third.next(1), 7);
    scenario(
        "ledger-epochs",
        "A later epoch has the same group key, and the state says which one follows. An earlier \
         one is over.",
        "E1",
        None,
        vec![
            accepted("the first step", &first),
            accepted("the first step of epoch 2", &second),
            refused("epoch 1 again", &in_epoch(&third, 1), "old-epoch"),
            accepted("the next of epoch 2", &third),
            accepted("epoch 7: numbers may be left out", &fourth),
            refused("epoch 2 again", &in_epoch(&fourth.next(1), 2), "old-epoch"),
        ],
    );
}

fn changed_root(given: &Step) -> Step {
    let mut step = given.clone();
    step.attestation.root = Step::first(1).attestation.root;
    step
}

fn changed_commit(given: &Step) -> Step {
    let mut step = given.clone();
    step.attestation.commit.gas_used += 1;
    step
}

#[test]
fn ledger_names_a_fork() {
    let first = Step::first(1);
    let second = first.next(2);
    let rival = other(&second, |commit| commit.gas_used += 1);
    let after_rival = rival.next(1);
    scenario(
        "ledger-fork",
        "A second statement for the head's seq is a fork if the group key signed it, and nothing \
         if not. The ledger keeps the first.",
        "E1",
        Some(&first),
        vec![
            accepted("the second step", &second),
            refused("a rival that nobody signed", &unsigned(&rival), "signature"),
            refused("a rival that the group signed", &rival, "fork"),
            refused("a step after the rival", &after_rival, "previous-statement"),
            accepted("the third step", &second.next(1)),
        ],
    );
}

fn output(name: &str, step: &Step, index: usize) -> Value {
    json!({
        "name": name,
        "receipt": hex::encode(step.receipt(index)),
        "leaf": hex::encode(&step.leaves[index]),
    })
}

fn output_accepted(name: &str, step: &Step, index: u32) -> Value {
    let seq = step.attestation.commit.seq;
    let leaf = sample::output(seq.0, index);
    let mut event = output(name, step, index as usize);
    event["accepted"] = json!({
        "seq": seq.to_string(),
        "index": index.to_string(),
        "request": leaf.request,
        "status": u8::from(leaf.status),
    });
    event
}

fn output_refused(name: &str, step: &Step, index: usize, rule: &str) -> Value {
    let mut event = output(name, step, index);
    event["refused"] = json!(rule);
    event
}

#[test]
fn outputs_come_in_any_order_and_once() {
    let first = Step::first(3);
    let second = first.next(1);
    let tenth = (3..=10).fold(second.clone(), |step, _| step.next(2));
    scenario(
        "outputs-any-order",
        "Outputs of any step are taken in any order, each once.",
        "E2",
        None,
        vec![
            output_accepted("an output of step 10", &tenth, 2),
            output_accepted("the last output of step 1", &first, 3),
            output_accepted("the first output of step 1", &first, 1),
            output_refused("the last output of step 1 again", &first, 3, "consumed"),
            output_accepted("the output of step 2", &second, 1),
            output_refused("the output of step 10 again", &tenth, 2, "consumed"),
            output_accepted("the other output of step 10", &tenth, 1),
        ],
    );
}

#[test]
fn outputs_that_break_a_rule_are_refused() {
    let step = Step::first(3);
    let elsewhere = other(&step, |commit| commit.network = NetworkId(1));
    let committee = other(&step, |commit| {
        commit.committee = CommitteeId::from_bytes([3; 32])
    });
    let epoch = other(&step, |commit| commit.epoch = Epoch(2));
    let with = |name: &str, rule: &str, part: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut event = output_refused(name, &step, 2, rule);
        let mut bytes = bytes(&event[part]);
        change(&mut bytes);
        event[part] = json!(hex::encode(bytes));
        event
    };
    scenario(
        "outputs-refusals",
        "Receipts and leaves that break a rule are refused and consume nothing. An acceptor of \
         outputs trusts the key, whatever the epoch.",
        "E2",
        None,
        vec![
            with(
                "a receipt with a byte more",
                "receipt",
                "receipt",
                &|bytes| bytes.push(0),
            ),
            with("no receipt", "receipt", "receipt", &Vec::clear),
            with("a changed signature", "signature", "receipt", &|bytes| {
                *bytes.last_mut().unwrap() ^= 1;
            }),
            output_refused(
                "another group's signature",
                &of_another_group(&step),
                2,
                "signature",
            ),
            output_refused(
                "S plus the group's order",
                &malleated(&step),
                2,
                "signature",
            ),
            with(
                "a proof for another tree size",
                "tree-size",
                "receipt",
                &|bytes| {
                    let mut read = Receipt::from_bytes(bytes).unwrap();
                    let resized = other(&step, |commit| commit.tree_size += 1).attestation;
                    (read.commit, read.signature) = (resized.commit, resized.signature);
                    *bytes = read.to_bytes();
                },
            ),
            with("the leaf beside the proven one", "leaf", "leaf", &|bytes| {
                bytes.clone_from(&step.leaves[3]);
            }),
            with("the same leaf of another step", "leaf", "leaf", &|bytes| {
                bytes.clone_from(&step.next(3).leaves[2]);
            }),
            with("a changed leaf", "leaf", "leaf", &|bytes| bytes[100] ^= 1),
            with("no leaf", "leaf", "leaf", &Vec::clear),
            output_refused("the settlement", &step, 0, "not-an-output"),
            output_refused("another network", &elsewhere, 2, "wrong-network"),
            output_refused("another committee", &committee, 2, "committee"),
            output_accepted("the output itself", &step, 2),
            output_accepted("an output of a later epoch", &epoch, 1),
        ],
    );
}
