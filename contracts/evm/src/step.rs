//! Steps as contracts take them: commit, root and signature, and a leaf with its path.

use attestation::commit::Commit;
use attestation::ids::{LeafRoot, StatementId};
use attestation::leaf::Leaf;
use attestation::merkle;
use conformance::sample;

use crate::abi::{Value, call, number};
use crate::committee::{Committee, Signature};

/// A step's statement and the group's signature over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// The commit's bytes.
    pub commit: Vec<u8>,
    /// Root over the leaves.
    pub root: [u8; 32],
    /// The group's signature.
    pub signature: Signature,
}

/// A leaf and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// The leaf's bytes.
    pub leaf: Vec<u8>,
    /// Its position.
    pub index: u64,
    /// Sibling hashes from the leaf up.
    pub path: Vec<[u8; 32]>,
}

impl Attestation {
    /// Signs a commit over a root.
    pub fn sign(committee: &mut Committee, commit: &Commit, root: &LeafRoot) -> Self {
        Self {
            commit: commit.to_bytes().to_vec(),
            root: *root.as_bytes(),
            signature: committee.sign(&commit.statement(root)),
        }
    }

    /// Calldata of [`LedgerAcceptor`](../solidity/LedgerAcceptor.sol)'s `accept`.
    #[must_use]
    pub fn accept(&self) -> Vec<u8> {
        call(
            "accept(bytes,bytes32,uint256,uint256,uint256)",
            &self.members(),
        )
    }

    fn members(&self) -> Vec<Value> {
        let Signature { rx, ry, z } = self.signature;
        vec![
            Value::Bytes(self.commit.clone()),
            Value::Word(self.root),
            Value::Word(rx),
            Value::Word(ry),
            Value::Word(z),
        ]
    }
}

impl Inclusion {
    /// The leaf at a position of a step.
    ///
    /// # Panics
    /// If there is no such leaf.
    #[must_use]
    pub fn of(leaves: &[Vec<u8>], index: usize) -> Self {
        Self {
            leaf: leaves[index].clone(),
            index: index as u64,
            path: merkle::path(leaves, index).expect("the step's leaf"),
        }
    }
}

/// Calldata of a function that takes an attestation and a leaf: `deliver`, `accept`, `changeKey`.
#[must_use]
pub fn calldata(function: &str, attestation: &Attestation, inclusion: &Inclusion) -> Vec<u8> {
    call(
        &format!("{function}((bytes,bytes32,uint256,uint256,uint256),(bytes,uint256,bytes32[]))"),
        &[
            Value::Struct(attestation.members()),
            Value::Struct(vec![
                Value::Bytes(inclusion.leaf.clone()),
                number(inclusion.index),
                Value::Words(inclusion.path.clone()),
            ]),
        ],
    )
}

/// A signed step at `seq` whose leaves are a settlement and these.
pub fn step(
    committee: &mut Committee,
    seq: u64,
    leaves: Vec<Vec<u8>>,
) -> (Attestation, Vec<Vec<u8>>) {
    step_with(committee, seq, leaves, |_| ())
}

/// [`step`] with another commit.
pub fn step_with(
    committee: &mut Committee,
    seq: u64,
    mut leaves: Vec<Vec<u8>>,
    change: impl FnOnce(&mut Commit),
) -> (Attestation, Vec<Vec<u8>>) {
    let settlement = Leaf::Settlement(sample::settlement(seq, 1)).to_bytes();
    leaves.insert(0, settlement);
    let previous = StatementId::from_bytes(sample::digest("previous"));
    let mut commit = sample::commit(seq, &leaves, previous);
    change(&mut commit);
    let root = merkle::root(&leaves);
    (Attestation::sign(committee, &commit, &root), leaves)
}
