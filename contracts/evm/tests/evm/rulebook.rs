//! Random lives of a ledger and of an acceptor of outputs: the contracts and the crate `acceptor`
//! give the same verdict at every step.

use std::collections::{BTreeMap, BTreeSet};

use acceptor::Terms;
use acceptor::ledger::{Head, Ledger};
use acceptor::outputs::Outputs;
use attestation::commit::Commit;
use attestation::ids::{CommitteeId, Epoch, NetworkId, RuntimeProfile, Seq, Signature};
use attestation::ids::{StateRoot, StatementId};
use conformance::sample::{self, Step};
use evm::abi::encode;
use evm::chain::{ANYONE, Chain};
use evm::committee::Committee;
use evm::step::calldata;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use serde_json::json;

use crate::contracts;
use crate::gas::deploy_ledger;
use crate::scenarios::{attest, head, name, output};
use crate::world::{GUARDIAN, done, terms};

/// Steps of each life.
const STEPS: usize = 150;

fn registered() -> Terms {
    Terms::register(
        sample::NETWORK,
        sample::committee(),
        Epoch(1),
        sample::profile(),
        sample::group_key(),
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

fn unsign(step: &mut Step) {
    let mut bytes = *step.attestation.signature.as_bytes();
    bytes[5] ^= 1;
    step.attestation.signature = Signature::from_bytes(bytes);
}

#[test]
fn a_ledger_agrees_with_the_rulebook_on_random_lives() {
    let Some(contracts) = contracts() else {
        return;
    };
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut chain = Chain::new(contracts);
    let mut committee = Committee::new(1);
    let at = deploy_ledger(&mut chain, &committee);
    let mut ledger = Ledger::new(registered());
    let mut steps: Vec<Step> = Vec::new();
    let mut verdicts = BTreeMap::new();
    for _ in 0..STEPS {
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
            unsign(&mut given);
        }
        let wanted = ledger.accept(&given.attestation);
        let root = given.attestation.root;
        let attestation = attest(&mut committee, &commit, &root, signed);
        let answer = chain.send(ANYONE, at, &attestation.accept()).answer;
        let verdict = match wanted {
            Ok(_) => {
                assert_eq!(answer, done());
                steps.push(given);
                "accepted"
            }
            Err(refused) => {
                assert_eq!(name("E1", &answer), refused.name(), "{refused}");
                refused.name()
            }
        };
        *verdicts.entry(verdict).or_insert(0) += 1;
        let Head {
            seq,
            epoch,
            statement,
            state,
        } = *ledger.head();
        let (seq, epoch) = (seq.to_string(), epoch.0.to_string());
        let wanted = json!({ "seq": seq, "epoch": epoch, "statement": statement, "state": state });
        assert_eq!(head(&mut chain, at), wanted);
    }
    assert_eq!(verdicts.len(), 13, "every verdict: {verdicts:?}");
}

#[test]
fn outputs_agree_with_the_rulebook_on_random_lives() {
    let Some(contracts) = contracts() else {
        return;
    };
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let mut chain = Chain::new(contracts);
    let mut committee = Committee::new(1);
    let arguments = encode(&terms(&committee, GUARDIAN));
    let at = chain.deploy("OutputAcceptor", &arguments).unwrap();
    let mut outputs = Outputs::new(registered(), BTreeSet::new());
    let steps = (0..6).scan(Step::first(3), |step, size| {
        *step = step.next(1 + size);
        Some(step.clone())
    });
    let steps: Vec<Step> = steps.collect();
    let mut verdicts = BTreeMap::new();
    for _ in 0..STEPS {
        let step = &steps[below(&mut rng, steps.len())];
        let index = below(&mut rng, step.leaves.len());
        let mut commit = step.attestation.commit;
        // Of what breaks a ledger's rule, network and committee are this rule's.
        broken(
            &mut commit,
            [0, 1, 3, 4, 5, 6, 8, 99, 99, 99][below(&mut rng, 10)],
        );
        let mut given = Step::sign(commit, step.leaves.clone());
        if below(&mut rng, 8) == 0 {
            unsign(&mut given);
        }
        let (mut receipt, mut leaf) = (given.receipt(index), given.leaves[index].clone());
        match below(&mut rng, 16) {
            0 => leaf[50] ^= 1,
            1 => leaf.truncate(40),
            2 => receipt.push(0),
            3 => receipt.truncate(100),
            _ => {}
        }
        let wanted = outputs.accept(&receipt, &leaf);
        let event = json!({ "receipt": hex::encode(receipt), "leaf": hex::encode(leaf) });
        let (attestation, inclusion) = output(&mut committee, &sample::group_key(), &event);
        let data = calldata("accept", &attestation, &inclusion);
        let answer = chain.send(ANYONE, at, &data).answer;
        let verdict = match wanted {
            Ok(_) => {
                assert_eq!(answer, done());
                "accepted"
            }
            Err(refused) => {
                assert_eq!(name("E2", &answer), refused.name(), "{refused}");
                refused.name()
            }
        };
        *verdicts.entry(verdict).or_insert(0) += 1;
    }
    assert_eq!(verdicts.len(), 8, "every verdict: {verdicts:?}");
}
