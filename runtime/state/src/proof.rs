//! The proof that an entry is, or is not, in the state with a given root.

use alloc::vec::Vec;

use attestation::codec::{self, Malformed};
use attestation::ids::{Digest, StateRoot, ZappId};
use serde::{Deserialize, Serialize};

use crate::entry;
use crate::limits::{DEPTH_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::state::State;
use crate::tree::{
    KeyHash, NeedState, Node, NodeHash, PLACEHOLDER, ValueHash, inner_hash, leaf_hash,
};

/// Longest encoded proof in bytes.
pub const PROOF_BYTES_MAX: usize = VALUE_BYTES_MAX + 2 * KEY_BYTES_MAX + 32 * 256 + 1024;

/// Inclusion or exclusion of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryProof {
    /// Whose entry it is.
    pub zapp: ZappId,
    /// The key asked for.
    #[serde(with = "serde_bytes")]
    pub key: Vec<u8>,
    /// What stands where the key's path ends.
    pub end: PathEnd,
    /// Hashes beside the path, 32 bytes each, from the root down.
    #[serde(with = "serde_bytes")]
    pub siblings: Vec<u8>,
}

/// What stands at the end of a key's path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathEnd {
    /// The entry.
    Entry {
        /// Its value.
        #[serde(with = "serde_bytes")]
        value: Vec<u8>,
        /// The next key of the zApp; empty at the end.
        #[serde(with = "serde_bytes")]
        next: Vec<u8>,
    },
    /// The leaf of another entry: there is none at the key.
    Other {
        /// Its key hash.
        key: Digest,
        /// Its value hash.
        value: Digest,
    },
    /// No leaf: there is none at the key.
    Empty,
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The bytes are not a proof.
    #[error("proof bytes: {0}")]
    Malformed(#[from] Malformed),
    /// Siblings are not whole hashes, or more than 256.
    #[error("{0} bytes of siblings")]
    Siblings(usize),
    /// A key or value longer than the state holds.
    #[error("key or value longer than the state holds")]
    Length,
    /// The other leaf does not lie on the key's path, or is the key's own.
    #[error("the leaf shown does not exclude the key")]
    Elsewhere,
    /// The path leads to another root.
    #[error("the proof is of root {0}")]
    Root(StateRoot),
}

impl State {
    /// The proof for `key`.
    ///
    /// # Errors
    /// [`NeedState`] only of a pruned state.
    pub fn proof(&self, zapp: &ZappId, key: &[u8]) -> Result<EntryProof, NeedState> {
        let at = entry::key_hash(zapp, key);
        let mut siblings = Vec::new();
        let mut node = &self.tree().top;
        let mut depth = 0;
        while let Node::Inner(inner) = node {
            let right = at.bit(depth);
            siblings.extend_from_slice(inner.child(!right).hash());
            node = inner.child(right);
            depth += 1;
        }
        let end = match node {
            Node::Empty => PathEnd::Empty,
            Node::Leaf(leaf) if leaf.key != at => PathEnd::Other {
                key: Digest::from_bytes(leaf.key.0),
                value: Digest::from_bytes(leaf.value.0),
            },
            _ => {
                let entry = self.entry(zapp, key)?.ok_or(NeedState { at })?;
                PathEnd::Entry {
                    value: entry.value.clone(),
                    next: entry.next.clone(),
                }
            }
        };
        Ok(EntryProof {
            zapp: *zapp,
            key: key.to_vec(),
            end,
            siblings,
        })
    }
}

impl EntryProof {
    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a proof; nothing is verified.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are too long or not what [`Self::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        codec::decode(bytes, PROOF_BYTES_MAX)
    }

    /// The value at `key` in the state with this root, or `None` if there is none.
    ///
    /// # Errors
    /// [`ProofError`] says why nothing is proven.
    pub fn verify(&self, root: &StateRoot) -> Result<Option<&[u8]>, ProofError> {
        let (siblings, []) = self.siblings.as_chunks::<32>() else {
            return Err(ProofError::Siblings(self.siblings.len()));
        };
        let depth = u16::try_from(siblings.len())
            .ok()
            .filter(|depth| *depth <= DEPTH_MAX)
            .ok_or(ProofError::Siblings(self.siblings.len()))?;
        let at = entry::key_hash(&self.zapp, &self.key);
        let (bottom, value) = self.bottom(&at, depth)?;
        let mut hash = bottom;
        for (depth, sibling) in (0..depth).zip(siblings).rev() {
            hash = if at.bit(depth) {
                inner_hash(sibling, &hash)
            } else {
                inner_hash(&hash, sibling)
            };
        }
        let actual = StateRoot::from_bytes(hash);
        if actual == *root {
            Ok(value)
        } else {
            Err(ProofError::Root(actual))
        }
    }

    fn bottom(&self, at: &KeyHash, depth: u16) -> Result<(NodeHash, Option<&[u8]>), ProofError> {
        match &self.end {
            PathEnd::Entry { value, next } => {
                if next.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
                    return Err(ProofError::Length);
                }
                Ok((leaf_hash(at, &entry::value_hash(value, next)), Some(value)))
            }
            PathEnd::Other { key, value } => {
                let (key, value) = (KeyHash(*key.as_bytes()), ValueHash(*value.as_bytes()));
                if key == *at || !key.shares(at, depth) {
                    return Err(ProofError::Elsewhere);
                }
                Ok((leaf_hash(&key, &value), None))
            }
            PathEnd::Empty => Ok((PLACEHOLDER, None)),
        }
    }
}
