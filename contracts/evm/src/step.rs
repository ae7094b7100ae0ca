//! Steps as contracts take them: commit, root and signature, and a leaf with its path.

use attestation::commit::Commit;
use attestation::ids::{LeafRoot, StatementId};
use attestation::leaf::Leaf;
use attestation::merkle;
use conformance::sample;
pub use evm_client::calldata::{Attestation, Inclusion, calldata};

use crate::committee::Committee;

/// Signs a commit over a root.
pub fn attested(committee: &mut Committee, commit: &Commit, root: &LeafRoot) -> Attestation {
    let signature = committee.sign(&commit.statement(root));
    Attestation::new(commit, root, signature)
}

/// The leaf at a position of a step.
///
/// # Panics
/// If there is no such leaf.
#[must_use]
pub fn included(leaves: &[Vec<u8>], index: usize) -> Inclusion {
    Inclusion::of(leaves, index).expect("the step's leaf")
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
    (attested(committee, &commit, &root), leaves)
}
