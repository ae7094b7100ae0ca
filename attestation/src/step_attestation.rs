//! The attestation of a whole step: what members, coordinators and nodes exchange. Consumers get
//! a [`Receipt`] per leaf, made from it.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec::{self, Malformed};
use crate::commit::Commit;
use crate::group::VerifyGroup;
use crate::ids::{GroupKey, LeafRoot, Signature, StatementId};
use crate::merkle;
use crate::receipt::{self, Algorithm, InclusionProof, Receipt};
use crate::verify::VerifyError;

/// Longest encoded step attestation in bytes.
pub const STEP_ATTESTATION_BYTES_MAX: usize = 1024;

/// Commit, leaf root and the group's signature over both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepAttestation {
    /// What the step did.
    pub commit: Commit,
    /// Root over its leaves.
    pub root: LeafRoot,
    /// The group's signature over [`receipt::sig_structure`].
    pub signature: Signature,
}

impl StepAttestation {
    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a step attestation; nothing is verified.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are too long or not what [`Self::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        codec::decode(bytes, STEP_ATTESTATION_BYTES_MAX)
    }

    /// SHA-256(commit ‖ root): the id. Never a hash of the signature, which FROST randomises.
    #[must_use]
    pub fn statement(&self) -> StatementId {
        self.commit.statement(&self.root)
    }

    /// Verifies the signature under a key that passed [`GroupKey::check`] when it was registered.
    ///
    /// # Errors
    /// [`VerifyError::Signature`].
    pub fn verify(&self, key: &GroupKey) -> Result<(), VerifyError> {
        let signed = receipt::sig_structure(&self.commit, &self.root, key);
        if crate::identity::verify_group(key, &signed, &self.signature) {
            Ok(())
        } else {
            Err(VerifyError::Signature)
        }
    }

    /// [`Self::verify`] under a key that was checked when it was registered, by its own way to verify.
    ///
    /// # Errors
    /// [`VerifyError::Signature`].
    pub fn verify_trusted(&self, key: &impl VerifyGroup) -> Result<(), VerifyError> {
        if key.verify(
            &receipt::sig_structure(&self.commit, &self.root, key.key()),
            &self.signature,
        ) {
            Ok(())
        } else {
            Err(VerifyError::Signature)
        }
    }

    /// The receipt of the leaf at `index`, or `None` if there is no such leaf, or the leaves are
    /// not those of this step.
    #[must_use]
    pub fn receipt(&self, key: &GroupKey, leaves: &[Vec<u8>], index: usize) -> Option<Vec<u8>> {
        let leaf_hash = merkle::leaf_hash(leaves.get(index)?);
        let path = merkle::path(leaves, index)?;
        let (tree_size, index) = (leaves.len() as u64, index as u64);
        let root = merkle::root_from_path(leaf_hash, index, tree_size, &path)?;
        if root != self.root || tree_size != self.commit.tree_size {
            return None;
        }
        let receipt = Receipt {
            algorithm: Algorithm::EdDsa,
            key_id: receipt::key_id(key),
            commit: self.commit,
            leaf_hash,
            proof: InclusionProof {
                tree_size,
                index,
                path,
            },
            signature: self.signature,
        };
        Some(receipt.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::verify::Check;

    /// A step over these leaves; nobody signed it.
    fn step(leaves: &[Vec<u8>]) -> StepAttestation {
        let mut bytes = crate::commit::tests::sample().to_bytes();
        let size = (leaves.len() as u64).to_be_bytes();
        let at = crate::commit::offset::TREE_SIZE;
        bytes[at..at + 8].copy_from_slice(&size);
        StepAttestation {
            commit: Commit::from_bytes(&bytes).unwrap(),
            root: merkle::root(leaves),
            signature: Signature::from_bytes([0; 64]),
        }
    }

    #[test]
    fn a_receipt_is_made_only_of_the_steps_own_leaves() {
        let key = GroupKey::from_bytes([1; 32]);
        let leaves = vec![vec![1], vec![2], vec![3]];
        let step = step(&leaves);
        assert!(step.receipt(&key, &leaves, 2).is_some());
        assert!(step.receipt(&key, &leaves, 3).is_none(), "no such leaf");
        assert!(
            step.receipt(&key, &leaves[..2], 1).is_none(),
            "a leaf missing"
        );
        let other = vec![vec![1], vec![2], vec![4]];
        assert!(step.receipt(&key, &other, 0).is_none(), "another leaf");
        let mut miscounted = step;
        miscounted.commit.tree_size = 4;
        assert!(miscounted.receipt(&key, &leaves, 2).is_none(), "miscounted");
    }

    #[test]
    fn a_step_that_nobody_signed_does_not_verify() {
        let step = step(&[vec![1], vec![2]]);
        let error = step.verify(&GroupKey::from_bytes([1; 32])).unwrap_err();
        assert_eq!(error.check(), Check::Signature);
    }

    #[test]
    fn the_encoding_fits_its_bound() {
        let step = step(&[vec![1], vec![2]]);
        let bytes = step.to_bytes();
        assert!(bytes.len() <= STEP_ATTESTATION_BYTES_MAX);
        assert_eq!(StepAttestation::from_bytes(&bytes), Ok(step));
    }
}
