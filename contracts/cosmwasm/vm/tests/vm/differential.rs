//! Random lives and random bytes: contract and crate `acceptor`, which verifies signatures by
//! itself, give the same verdict at every step.

use std::collections::{BTreeMap, BTreeSet};

use acceptor::Terms;
use acceptor::ledger::{Head, Ledger};
use acceptor::messages::{Destination, Messages};
use acceptor::outputs::Outputs;
use attestation::commit::Commit;
use attestation::ids::{
    CommitteeId, Epoch, GroupKey, NetworkId, RuntimeProfile, Seq, Signature, StateRoot, StatementId,
};
use attestation::leaf::{Leaf, MessageLeaf};
use conformance::frost::Committee;
use conformance::sample::{self, Step};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use serde_json::json;

use crate::chain::{ANYONE, Answer, Contract, canonical};
use crate::inputs::ledger_of_samples;
use crate::step::{
    ACCEPTOR, CHAIN_ID, accept_step, bring, message, messages_of, outputs_of, proven_with,
    sample_commit,
};

fn registered(key: GroupKey) -> Terms {
    Terms::register(
        sample::NETWORK,
        sample::committee(),
        Epoch(1),
        sample::profile(),
        key,
        sample::state(0),
    )
    .unwrap()
}

fn below(rng: &mut ChaCha8Rng, most: usize) -> usize {
    rng.next_u32() as usize % most
}

/// Breaks one rule, or none.
fn broken(commit: &mut Commit, what: usize) {
    match what {
        0 => commit.network = NetworkId(1),
        1 => commit.committee = CommitteeId::from_bytes([3; 32]),
        2 => commit.tree_size = [0, 1, 65_537][commit.seq.0 as usize % 3],
        3 => commit.epoch.0 = commit.epoch.0.wrapping_add(2) % 4,
        4 => commit.profile = RuntimeProfile::from_bytes([4; 32]),
        5 => commit.previous = StatementId::from_bytes([5; 32]),
        6 => commit.previous_state = StateRoot::from_bytes([6; 32]),
        7 => commit.seq = Seq(commit.seq.0 + 1),
        8 => commit.gas_used += 1,
        9 => commit.seq = Seq(0),
        _ => {}
    }
}

/// What the contract says must be what the rulebook says.
fn agree(answer: &Answer, wanted: Result<(), &'static str>) -> &'static str {
    match wanted {
        Ok(()) => {
            assert!(matches!(answer, Answer::Did(_)), "{answer:?}");
            "accepted"
        }
        Err(name) => {
            assert_eq!(answer.rule(), name, "{answer:?}");
            name
        }
    }
}

#[test]
fn a_ledger_in_the_machine_agrees_with_the_rulebook_on_random_lives() {
    let Some(mut contract) = Contract::new(&ledger_of_samples()) else {
        return;
    };
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    let mut ledger = Ledger::new(registered(sample::group_key()));
    let mut steps: Vec<Step> = Vec::new();
    let mut verdicts = BTreeMap::new();
    for _ in 0..200 {
        let mut given = match (below(&mut rng, 4), steps.last()) {
            (0, Some(_)) => steps[below(&mut rng, steps.len())].clone(),
            (1, Some(last)) => last.clone(),
            (_, Some(last)) => last.next(1),
            (_, None) => Step::first(1),
        };
        let (what, signed) = (below(&mut rng, 16), below(&mut rng, 8) != 0);
        let mut commit = given.attestation.commit;
        if commit.seq > ledger.head().seq {
            commit.epoch = ledger.head().epoch;
        }
        broken(&mut commit, what);
        given = Step::sign(commit, given.leaves);
        if !signed {
            let mut bytes = *given.attestation.signature.as_bytes();
            bytes[below(&mut rng, 64)] ^= 1;
            given.attestation.signature = Signature::from_bytes(bytes);
        }
        let wanted = ledger.accept(&given.attestation);
        let answer = contract.execute(ANYONE, &accept_step(&given.attestation));
        let wanted = wanted
            .map(|_| steps.push(given))
            .map_err(|refused| refused.name());
        *verdicts.entry(agree(&answer, wanted)).or_insert(0) += 1;
        let Head {
            seq,
            epoch,
            statement,
            state,
        } = *ledger.head();
        let (seq, epoch) = (seq.to_string(), epoch.0.to_string());
        let head = json!({ "seq": seq, "epoch": epoch, "statement": statement, "state": state });
        assert_eq!(contract.query(&json!({ "head": {} })), head);
    }
    assert_eq!(verdicts.len(), 13, "every verdict: {verdicts:?}");
}

/// Changes bytes at random places, cuts, lengthens, or leaves them as they are.
fn mutated(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    match below(rng, 6) {
        0 => bytes.truncate(below(rng, bytes.len())),
        1 => bytes.push(rng.next_u32() as u8),
        2 => {
            let at = below(rng, bytes.len());
            bytes[at] = rng.next_u32() as u8;
        }
        3 => {
            let at = below(rng, bytes.len());
            bytes.remove(at);
        }
        4 => {
            let (from, to) = (below(rng, bytes.len()), below(rng, bytes.len()));
            bytes.swap(from, to);
        }
        _ => {}
    }
}

#[test]
fn outputs_in_the_machine_agree_with_the_rulebook_on_random_bytes() {
    let key = sample::group_key();
    let Some(mut contract) = Contract::new(&outputs_of(&key, None)) else {
        return;
    };
    let mut rng = ChaCha8Rng::seed_from_u64(22);
    let mut outputs = Outputs::new(registered(key), BTreeSet::new());
    let steps = [
        Step::first(3),
        Step::first(3).next(1),
        Step::first(3).next(1).next(9),
    ];
    let mut verdicts = BTreeMap::new();
    for round in 0..400 {
        let mut step = steps[below(&mut rng, 3)].clone();
        if below(&mut rng, 4) == 0 {
            let mut commit = step.attestation.commit;
            broken(&mut commit, below(&mut rng, 10));
            commit.tree_size = step.leaves.len() as u64;
            step = Step::sign(commit, step.leaves);
        }
        let index = below(&mut rng, step.leaves.len());
        let mut receipt = step.receipt(index);
        let other = below(&mut rng, 8) == 0;
        let mut leaf = step.leaves[if other { 0 } else { index }].clone();
        if round % 2 == 0 {
            mutated(&mut rng, &mut receipt);
        } else if round % 5 == 0 {
            mutated(&mut rng, &mut leaf);
        }
        let wanted = outputs.accept(&receipt, &leaf);
        let answer = contract.execute(ANYONE, &bring("accept_output", &(receipt, leaf)));
        let wanted = wanted.map(drop).map_err(|refused| refused.name());
        *verdicts.entry(agree(&answer, wanted)).or_insert(0) += 1;
    }
    let seen = [
        "accepted",
        "consumed",
        "not-an-output",
        "receipt",
        "signature",
        "leaf",
    ];
    let all = seen.iter().all(|verdict| verdicts.contains_key(verdict));
    assert!(all && verdicts.len() >= 8, "{verdicts:?}");
}

#[test]
fn messages_in_the_machine_agree_with_the_rulebook_on_random_lives() {
    let mut committee = Committee::new(1);
    let Some(mut contract) = Contract::new(&messages_of(&committee.key(), None)) else {
        return;
    };
    let mut rng = ChaCha8Rng::seed_from_u64(23);
    let here = Destination {
        chain: MessageLeaf::cosmos(CHAIN_ID),
        contract: canonical(ACCEPTOR),
    };
    let mut messages = Messages::new(registered(committee.key()), here, BTreeMap::new());
    let mut next = [1u64, 1];
    let mut verdicts = BTreeMap::new();
    for _ in 0..200 {
        let channel = below(&mut rng, 2);
        let seq = 1 + below(&mut rng, 50) as u64;
        let skip = [0, 0, 0, 1, u64::MAX][below(&mut rng, 5)];
        let number = next[channel].wrapping_add(skip);
        let mut leaf = message(seq, [b"mint", b"burn"][channel], number);
        match below(&mut rng, 12) {
            0 => leaf.chain ^= 1,
            1 => leaf.contract[31] ^= 1,
            2 => leaf.number = u64::MAX,
            3 => leaf.number = 0,
            _ => {}
        }
        let leaf = match below(&mut rng, 12) {
            0 => Leaf::Output(sample::output(seq, 1)),
            _ => Leaf::Message(leaf),
        };
        let what = below(&mut rng, 16);
        let (mut receipt, leaf) = proven_with(&mut committee, &leaf, &mut |leaves| {
            let mut commit = sample_commit(seq)(leaves);
            if what != 2 {
                broken(&mut commit, what);
            }
            commit
        });
        if below(&mut rng, 12) == 0 {
            mutated(&mut rng, &mut receipt);
        }
        let wanted = messages.accept(&receipt, &leaf);
        let answer = contract.execute(ANYONE, &bring("deliver", &(receipt, leaf)));
        let wanted = wanted
            .map(|_| next[channel] += 1)
            .map_err(|refused| refused.name());
        *verdicts.entry(agree(&answer, wanted)).or_insert(0) += 1;
    }
    let seen = [
        "accepted",
        "out-of-order",
        "wrong-chain",
        "wrong-contract",
        "not-a-message",
        "wrong-network",
        "committee",
        "position",
        "leaf",
    ];
    assert!(
        seen.iter().all(|verdict| verdicts.contains_key(verdict)),
        "{verdicts:?}"
    );
}
