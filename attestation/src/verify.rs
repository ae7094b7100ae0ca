//! Verification of a receipt, check by check. Each check has a name, and every failure says which
//! check it is, so that a person sees what was made and what was wrong.

use core::fmt;

use crate::codec::Malformed;
use crate::commit::Commit;
use crate::group::{GroupKeyError, TrustedKey, VerifyGroup};
use crate::ids::{CommitteeId, GroupKey, LeafRoot, Seq, StatementId};
use crate::leaf::{LEAVES_MAX, Leaf};
use crate::merkle;
use crate::receipt::{Receipt, ReceiptError};

/// One check of [`verify_receipt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// The group key is canonical, not of small order and torsion-free.
    GroupKey,
    /// The bytes are the canonical encoding of a receipt of this profile.
    Receipt,
    /// The receipt names the group key (RFC 9679 thumbprint).
    KeyId,
    /// The commit is the expected committee's.
    Committee,
    /// Proof and commit agree on the number of leaves.
    TreeSize,
    /// The leaf is the one that the receipt was made for.
    Leaf,
    /// The leaf belongs to the commit's step, and a settlement to position 0.
    Position,
    /// The inclusion path fits position and number of leaves.
    Inclusion,
    /// The group's signature covers commit and the root that leaf and path lead to.
    Signature,
}

impl Check {
    /// All checks in the order in which they are made.
    pub const ALL: [Self; 9] = [
        Self::GroupKey,
        Self::Receipt,
        Self::KeyId,
        Self::Committee,
        Self::TreeSize,
        Self::Leaf,
        Self::Position,
        Self::Inclusion,
        Self::Signature,
    ];

    /// A stable name for machines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GroupKey => "group-key",
            Self::Receipt => "receipt",
            Self::KeyId => "key-id",
            Self::Committee => "committee",
            Self::TreeSize => "tree-size",
            Self::Leaf => "leaf",
            Self::Position => "position",
            Self::Inclusion => "inclusion",
            Self::Signature => "signature",
        }
    }

    /// What the check says when it passes.
    #[must_use]
    pub const fn claim(self) -> &'static str {
        match self {
            Self::GroupKey => "group key is canonical, not of small order and torsion-free",
            Self::Receipt => "bytes are a canonical receipt of this profile",
            Self::KeyId => "receipt names the group key",
            Self::Committee => "commit is the expected committee's",
            Self::TreeSize => "proof and commit agree on the number of leaves",
            Self::Leaf => "leaf is the one that the receipt is for",
            Self::Position => "leaf belongs to the commit's step and stands where its kind may",
            Self::Inclusion => "inclusion path fits position and number of leaves",
            Self::Signature => "group signature covers the commit and the root of leaf and path",
        }
    }

    /// The checks that are made, in order, if a leaf is given and a committee is expected or not.
    pub fn made(leaf_given: bool, committee_expected: bool) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |check| match check {
            Self::Committee => committee_expected,
            Self::Leaf | Self::Position => leaf_given,
            _ => true,
        })
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a receipt is refused; [`VerifyError::check`] says by which check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The group key must not be trusted.
    #[error(transparent)]
    GroupKey(#[from] GroupKeyError),
    /// The bytes are not a receipt.
    #[error("receipt: {0}")]
    Receipt(#[from] ReceiptError),
    /// The receipt is signed by another key.
    #[error("receipt names another group key")]
    KeyId,
    /// The commit is another committee's.
    #[error("commit is of committee {actual}")]
    Committee {
        /// Committee in the commit.
        actual: CommitteeId,
    },
    /// Proof and commit differ on the number of leaves, or it is out of range.
    #[error("proof says {proof} leaves, commit says {commit}; 2 to 65536 allowed")]
    TreeSize {
        /// Leaves according to the proof.
        proof: u64,
        /// Leaves according to the commit.
        commit: u64,
    },
    /// The leaf is not a leaf.
    #[error("leaf: {0}")]
    LeafMalformed(Malformed),
    /// The leaf is another than the receipt's.
    #[error("leaf is not the one that the receipt is for")]
    OtherLeaf,
    /// The leaf names another step than the commit.
    #[error("leaf is of step {leaf}, commit of step {commit}")]
    Step {
        /// Step in the leaf.
        leaf: Seq,
        /// Step in the commit.
        commit: Seq,
    },
    /// Leaf 0 is not a settlement, or another leaf is.
    #[error("leaf {index} is of a kind that may not stand there")]
    Kind {
        /// Position of the leaf.
        index: u64,
    },
    /// The path does not fit position and number of leaves.
    #[error("inclusion path does not fit leaf {index} of {tree_size}")]
    Inclusion {
        /// Position of the leaf.
        index: u64,
        /// Number of leaves.
        tree_size: u64,
    },
    /// The signature does not verify.
    #[error("signature does not verify over the commit and the root of leaf and path")]
    Signature,
}

impl VerifyError {
    /// The check that failed.
    #[must_use]
    pub const fn check(&self) -> Check {
        match self {
            Self::GroupKey(_) => Check::GroupKey,
            Self::Receipt(_) => Check::Receipt,
            Self::KeyId => Check::KeyId,
            Self::Committee { .. } => Check::Committee,
            Self::TreeSize { .. } => Check::TreeSize,
            Self::LeafMalformed(_) | Self::OtherLeaf => Check::Leaf,
            Self::Step { .. } | Self::Kind { .. } => Check::Position,
            Self::Inclusion { .. } => Check::Inclusion,
            Self::Signature => Check::Signature,
        }
    }
}

/// What a verified receipt proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// What the step did.
    pub commit: Commit,
    /// Root over its leaves.
    pub root: LeafRoot,
    /// The attestation's id.
    pub statement: StatementId,
    /// Position of the leaf.
    pub index: u64,
    /// SHA-256(0x00 ‖ leaf).
    pub leaf_hash: [u8; 32],
    /// The leaf, if it was given; without it only its hash is proven.
    pub leaf: Option<Leaf>,
    /// Whether the committee was compared with an expected one.
    pub committee_expected: bool,
}

impl Verified {
    /// The checks that were made, in order.
    pub fn checks(&self) -> impl Iterator<Item = Check> + use<> {
        Check::made(self.leaf.is_some(), self.committee_expected)
    }
}

/// Verifies a receipt, offline: `leaf` are the leaf's exact bytes, `key` the committee's group
/// key, `committee` the committee whose output it should be.
///
/// # Errors
/// [`VerifyError`] of the first check that fails.
pub fn verify_receipt(
    receipt: &[u8],
    leaf: Option<&[u8]>,
    key: &GroupKey,
    committee: Option<&CommitteeId>,
) -> Result<Verified, VerifyError> {
    verify_trusted(receipt, leaf, &TrustedKey::new(*key)?, committee)
}

/// [`verify_receipt`] under a key that was checked when it was registered.
///
/// # Errors
/// [`VerifyError`] of the first check that fails.
pub fn verify_trusted(
    receipt: &[u8],
    leaf: Option<&[u8]>,
    key: &impl VerifyGroup,
    committee: Option<&CommitteeId>,
) -> Result<Verified, VerifyError> {
    let receipt = Receipt::from_bytes(receipt)?;
    let (commit, proof) = (receipt.commit, &receipt.proof);
    if receipt.key_id != *key.id() {
        return Err(VerifyError::KeyId);
    }
    if committee.is_some_and(|expected| *expected != commit.committee) {
        return Err(VerifyError::Committee {
            actual: commit.committee,
        });
    }
    if proof.tree_size != commit.tree_size || !(2..=LEAVES_MAX).contains(&proof.tree_size) {
        return Err(VerifyError::TreeSize {
            proof: proof.tree_size,
            commit: commit.tree_size,
        });
    }
    let leaf = leaf.map(|leaf| check_leaf(leaf, &receipt)).transpose()?;
    let root = merkle::root_from_path(receipt.leaf_hash, proof.index, proof.tree_size, &proof.path)
        .ok_or(VerifyError::Inclusion {
            index: proof.index,
            tree_size: proof.tree_size,
        })?;
    if !key.verify(&receipt.signed_bytes(&root), &receipt.signature) {
        return Err(VerifyError::Signature);
    }
    Ok(Verified {
        commit,
        root,
        statement: commit.statement(&root),
        index: proof.index,
        leaf_hash: receipt.leaf_hash,
        leaf,
        committee_expected: committee.is_some(),
    })
}

fn check_leaf(bytes: &[u8], receipt: &Receipt) -> Result<Leaf, VerifyError> {
    if merkle::leaf_hash(bytes) != receipt.leaf_hash {
        return Err(VerifyError::OtherLeaf);
    }
    let leaf = Leaf::from_bytes(bytes).map_err(VerifyError::LeafMalformed)?;
    if leaf.seq() != receipt.commit.seq {
        return Err(VerifyError::Step {
            leaf: leaf.seq(),
            commit: receipt.commit.seq,
        });
    }
    let index = receipt.proof.index;
    if (index == 0) != matches!(leaf, Leaf::Settlement(_)) {
        return Err(VerifyError::Kind { index });
    }
    Ok(leaf)
}
