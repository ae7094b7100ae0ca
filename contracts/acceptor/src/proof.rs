//! What rule E2's acceptors have in common: a leaf is proven before it is read.

use attestation::group::VerifyGroup;
use attestation::ids::{NetworkId, Seq};
use attestation::leaf::Leaf;
use attestation::verify::{self, VerifyError};

use crate::Terms;

/// A leaf of the committee's, proven by a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The step.
    pub seq: Seq,
    /// Position among the step's leaves.
    pub index: u64,
    /// SHA-256(0x00 ‖ leaf).
    pub leaf_hash: [u8; 32],
    /// The leaf.
    pub leaf: Leaf,
}

/// Why a leaf is not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// Receipt or leaf does not verify.
    #[error(transparent)]
    Invalid(#[from] VerifyError),
    /// The commit is of another network.
    #[error("commit is of network {0}")]
    WrongNetwork(NetworkId),
    /// The step comes after the key's last one.
    #[error("step {seq} is after step {last}, the last of the trusted key")]
    AfterLastSeq {
        /// The step.
        seq: Seq,
        /// The last step, as the pending key change has it.
        last: Seq,
    },
}

impl Unproven {
    /// The refusal's name in the rulebook and in scenario files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Invalid(error) => error.check().name(),
            Self::WrongNetwork(_) => "wrong-network",
            Self::AfterLastSeq { .. } => "after-last-seq",
        }
    }
}

/// Verifies a receipt and its leaf under the registered terms; `last` is the key's last step where
/// a change of the key is pending.
///
/// # Errors
/// [`Unproven`] by the first rule that is broken.
pub fn prove<K: VerifyGroup>(
    terms: &Terms<K>,
    last: Option<Seq>,
    receipt: &[u8],
    leaf: &[u8],
) -> Result<Proven, Unproven> {
    let committee = Some(&terms.committee);
    let verified = verify::verify_trusted(receipt, Some(leaf), &terms.key, committee)?;
    if verified.commit.network != terms.network {
        return Err(Unproven::WrongNetwork(verified.commit.network));
    }
    let seq = verified.commit.seq;
    if let Some(last) = last.filter(|last| seq > *last) {
        return Err(Unproven::AfterLastSeq { seq, last });
    }
    Ok(Proven {
        seq,
        index: verified.index,
        leaf_hash: verified.leaf_hash,
        leaf: verified
            .leaf
            .expect("a leaf that is given is read and returned"),
    })
}
