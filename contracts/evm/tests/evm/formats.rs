//! `StepCommit.sol` and `LeafTree.sol` against the formats of the crate `attestation`.

use attestation::commit::{Commit, offset};
use attestation::ids::LeafRoot;
use attestation::merkle;
use conformance::sample;
use evm::abi::{Value, call, number, word};
use evm::chain::{Account, Answer, Chain};
use evm::step::{Inclusion, included};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};

use crate::contracts;

fn harness() -> Option<(Chain<'static>, Account)> {
    let mut chain = Chain::new(contracts()?);
    let at = chain.deploy("Harness", &[]).unwrap();
    Some((chain, at))
}

fn commit() -> Commit {
    sample::Step::first(3).attestation.commit
}

fn is_well_formed(chain: &mut Chain, at: Account, commit: &[u8]) -> bool {
    let data = call("isWellFormed(bytes)", &[Value::Bytes(commit.to_vec())]);
    chain.number(at, &data) == 1
}

#[test]
fn commits_are_sliced_where_the_format_has_their_fields() {
    let Some((mut chain, at)) = harness() else {
        return;
    };
    let commit = commit();
    let data = call("fields(bytes)", &[Value::Bytes(commit.to_bytes().to_vec())]);
    let wanted = [
        word(commit.network.0),
        *commit.committee.as_bytes(),
        word(commit.epoch.0),
        word(commit.seq.0),
        word(commit.tree_size),
        *commit.previous_state.as_bytes(),
        *commit.state.as_bytes(),
        *commit.profile.as_bytes(),
        *commit.previous.as_bytes(),
    ];
    let answer = chain.view(at, &data).answer;
    assert_eq!(answer, Answer::Returned(wanted.concat()));
}

#[test]
fn a_commit_is_well_formed_exactly_if_the_format_says_so() {
    let Some((mut chain, at)) = harness() else {
        return;
    };
    let good = commit().to_bytes();
    assert!(is_well_formed(&mut chain, at, &good));
    for at_byte in 0..Commit::LEN {
        for bit in [0, 7] {
            let mut bytes = good;
            bytes[at_byte] ^= 1 << bit;
            let wanted = Commit::from_bytes(&bytes).is_ok();
            let found = is_well_formed(&mut chain, at, &bytes);
            assert_eq!(found, wanted, "byte {at_byte}");
        }
    }
    let longer = [good.as_slice(), &[0]].concat();
    for bytes in [&good[..344], &longer, &[]] {
        assert!(!is_well_formed(&mut chain, at, bytes), "{}", bytes.len());
    }
}

#[test]
fn statements_are_those_of_the_format() {
    let Some((mut chain, at)) = harness() else {
        return;
    };
    let step = sample::Step::first(3).attestation;
    for root in [step.root, LeafRoot::from_bytes([0xff; 32])] {
        let commit = Value::Bytes(step.commit.to_bytes().to_vec());
        let data = call(
            "statement(bytes,bytes32)",
            &[commit, Value::Word(*root.as_bytes())],
        );
        let wanted = step.commit.statement(&root);
        let answer = chain.view(at, &data).answer;
        assert_eq!(answer, Answer::Returned(wanted.as_bytes().to_vec()));
    }
    assert_eq!(offset::TRACE + 32, Commit::LEN);
}

/// Whether the contract says that a path fits, and the root.
fn climb(chain: &mut Chain, at: Account, given: &Inclusion, size: u64) -> Option<LeafRoot> {
    let data = call(
        "include(bytes,uint256,uint256,bytes32[])",
        &[
            Value::Bytes(given.leaf.clone()),
            number(given.index),
            number(size),
            Value::Words(given.path.clone()),
        ],
    );
    let Answer::Returned(bytes) = chain.view(at, &data).answer else {
        panic!("it answers");
    };
    let (fits, root) = bytes.split_first_chunk::<32>().unwrap();
    let root = LeafRoot::from_bytes(root.try_into().unwrap());
    (*fits == word(1)).then_some(root)
}

fn in_rust(given: &Inclusion, size: u64) -> Option<LeafRoot> {
    let hash = merkle::leaf_hash(&given.leaf);
    merkle::root_from_path(hash, given.index, size, &given.path)
}

#[test]
fn every_leaf_of_every_small_tree_is_included_there_and_nowhere_else() {
    let Some((mut chain, at)) = harness() else {
        return;
    };
    for size in 1..=17_usize {
        let leaves: Vec<Vec<u8>> = (0..size).map(|leaf| vec![leaf as u8; leaf + 1]).collect();
        let root = merkle::root(&leaves);
        for index in 0..size {
            let good = included(&leaves, index);
            assert_eq!(climb(&mut chain, at, &good, size as u64), Some(root));
            for (claimed, claimed_size) in [
                (index + 1, size),
                (index ^ 1, size),
                (index, size + 1),
                (index, size - 1),
                (index, 2 * size),
                (index + size, size),
            ] {
                let mut given = good.clone();
                given.index = claimed as u64;
                let found = climb(&mut chain, at, &given, claimed_size as u64);
                assert_eq!(found, in_rust(&given, claimed_size as u64));
                assert!(
                    found != Some(root) || (claimed, claimed_size) == (index, size) || {
                        // A path of the same shape in a larger tree: only the commit tells the size.
                        claimed == index && claimed_size != size
                    }
                );
            }
        }
    }
}

#[test]
fn paths_of_random_shapes_are_judged_as_in_rust() {
    let Some((mut chain, at)) = harness() else {
        return;
    };
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (mut fitting, mut not) = (0, 0);
    for _ in 0..400 {
        let size = u64::from(rng.next_u32()) >> (rng.next_u32() % 32);
        let index = rng.next_u64() % (size + 2);
        let height = 64 - size.leading_zeros();
        let length = (u64::from(height) + 1).saturating_sub(u64::from(rng.next_u32() % 4));
        let given = Inclusion {
            leaf: vec![1; rng.next_u32() as usize % 300],
            index,
            path: (0..length).map(|level| [level as u8; 32]).collect(),
        };
        let wanted = in_rust(&given, size);
        assert_eq!(climb(&mut chain, at, &given, size), wanted, "{given:?}");
        *(if wanted.is_some() {
            &mut fitting
        } else {
            &mut not
        }) += 1;
    }
    assert!(fitting > 50 && not > 50, "{fitting} {not}");
}
