//! The sparse Merkle tree, whole or pruned, with the hashing rules of the `jmt` crate.
//!
//! A subtree without leaves hashes to a placeholder, one with a single leaf to that leaf, any
//! other to SHA-256(tag ‖ left ‖ right), split by the next bit of the key hash. The root is hence
//! a function of the set of entries alone, never of the order in which they came.
//!
//! Nodes are immutable and shared: [`Tree::with`] returns the tree after a batch of changes and
//! leaves the old one as it was; each node that the batch alters is hashed once. In a pruned tree
//! a subtree may be a stub of which only the hash is known; whatever would have to look inside
//! ends in [`NeedState`].

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use attestation::ids::StateRoot;
use sha2::{Digest as _, Sha256};

/// SHA-256 over a node.
pub(crate) type NodeHash = [u8; 32];

/// Position of an entry: its bits, first to last, are the path from the root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyHash(pub [u8; 32]);

/// What a leaf commits to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ValueHash(pub [u8; 32]);

/// The pruned state lacks what is needed at this key hash: the witness has a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the witness lacks what the step needs at {at:?}")]
pub struct NeedState {
    /// Key hash of the entry that was asked for or changed.
    pub at: KeyHash,
}

/// Changes by key hash: a new value hash, or none for deletion.
pub type Changes = BTreeMap<KeyHash, Option<ValueHash>>;

/// The tree.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub(crate) top: Node,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum Node {
    #[default]
    Empty,
    /// A subtree with at least one leaf, of which only the hash is known.
    Stub(NodeHash),
    Leaf(Arc<Leaf>),
    Inner(Arc<Inner>),
}

#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) key: KeyHash,
    pub(crate) value: ValueHash,
    hash: NodeHash,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) left: Node,
    pub(crate) right: Node,
    hash: NodeHash,
}

impl Tree {
    /// The root.
    #[must_use]
    pub fn root(&self) -> StateRoot {
        StateRoot::from_bytes(*self.top.hash())
    }

    /// The value hash at `key`, or `None` if the tree proves that there is none.
    ///
    /// # Errors
    /// [`NeedState`] if the path ends in a stub.
    pub fn find(&self, key: &KeyHash) -> Result<Option<&ValueHash>, NeedState> {
        let mut node = &self.top;
        let mut depth = 0;
        loop {
            match node {
                Node::Empty => return Ok(None),
                Node::Stub(_) => return Err(NeedState { at: *key }),
                Node::Leaf(leaf) => return Ok((leaf.key == *key).then_some(&leaf.value)),
                Node::Inner(inner) => {
                    node = inner.child(key.bit(depth));
                    depth += 1;
                }
            }
        }
    }

    /// The tree after all `changes`.
    ///
    /// # Errors
    /// [`NeedState`] if a change leads into a stub, or a deletion leaves a stub without sibling:
    /// whether that collapses into its parent depends on its preimage.
    pub fn with(&self, changes: &Changes) -> Result<Self, NeedState> {
        let changes: Vec<Change> = changes
            .iter()
            .map(|(key, value)| Change {
                key: *key,
                value: *value,
            })
            .collect();
        Ok(Self {
            top: update(&self.top, 0, &changes)?,
        })
    }
}

impl Node {
    pub(crate) fn leaf(key: KeyHash, value: ValueHash) -> Self {
        let hash = leaf_hash(&key, &value);
        Self::Leaf(Arc::new(Leaf { key, value, hash }))
    }

    pub(crate) fn inner(left: Self, right: Self) -> Self {
        let hash = inner_hash(left.hash(), right.hash());
        Self::Inner(Arc::new(Inner { left, right, hash }))
    }

    pub(crate) fn hash(&self) -> &NodeHash {
        match self {
            Self::Empty => &PLACEHOLDER,
            Self::Stub(hash) => hash,
            Self::Leaf(leaf) => &leaf.hash,
            Self::Inner(inner) => &inner.hash,
        }
    }
}

impl Inner {
    pub(crate) fn child(&self, right: bool) -> &Node {
        if right { &self.right } else { &self.left }
    }
}

impl KeyHash {
    /// Bit `depth` from the first; bits beyond the last are 0.
    pub(crate) fn bit(&self, depth: u16) -> bool {
        self.0
            .get(usize::from(depth / 8))
            .is_some_and(|byte| byte & (0x80 >> (depth % 8)) != 0)
    }

    /// Whether the first `depth` bits are the same.
    pub(crate) fn shares(&self, other: &Self, depth: u16) -> bool {
        let first = self.0.iter().zip(&other.0).position(|(a, b)| a != b);
        first.is_none_or(|at| {
            let differ = self
                .0
                .get(at)
                .zip(other.0.get(at))
                .map_or(0, |(a, b)| a ^ b);
            at * 8 + differ.leading_zeros() as usize >= usize::from(depth)
        })
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ValueHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

pub(crate) fn leaf_hash(key: &KeyHash, value: &ValueHash) -> NodeHash {
    let mut hash = Sha256::new();
    hash.update(b"JMT::LeafNode");
    hash.update(key.0);
    hash.update(value.0);
    hash.finalize().into()
}

pub(crate) fn inner_hash(left: &NodeHash, right: &NodeHash) -> NodeHash {
    let mut hash = Sha256::new();
    hash.update(b"JMT::IntrnalNode");
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

/// Hash of a subtree without leaves.
pub(crate) const PLACEHOLDER: NodeHash = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";

struct Change {
    key: KeyHash,
    value: Option<ValueHash>,
}

/// `changes` are sorted, distinct and all below `node`.
fn update(node: &Node, depth: u16, changes: &[Change]) -> Result<Node, NeedState> {
    let Some(first) = changes.first() else {
        return Ok(node.clone());
    };
    match node {
        Node::Empty => Ok(build(None, depth, changes)),
        Node::Leaf(leaf) => {
            let replaced = changes
                .binary_search_by_key(&leaf.key, |change| change.key)
                .is_ok();
            Ok(build((!replaced).then_some(node), depth, changes))
        }
        Node::Stub(_) => Err(NeedState { at: first.key }),
        Node::Inner(inner) => {
            let (left, right) = split(changes, depth);
            let left = update(&inner.left, depth + 1, left)?;
            let right = update(&inner.right, depth + 1, right)?;
            if left.hash() == inner.left.hash() && right.hash() == inner.right.hash() {
                return Ok(node.clone());
            }
            join(left, right).ok_or(NeedState { at: first.key })
        }
    }
}

/// The subtree of one unchanged leaf, if any, and the changes' new leaves. Distinct key hashes
/// below one node differ in a bit not yet used, so that the recursion ends.
fn build(kept: Option<&Node>, depth: u16, changes: &[Change]) -> Node {
    let mut live = changes
        .iter()
        .filter_map(|change| Some((change.key, change.value?)));
    match (kept, live.next(), live.next()) {
        (None, None, _) => Node::Empty,
        (Some(node), None, _) => node.clone(),
        (None, Some((key, value)), None) => Node::leaf(key, value),
        _ => {
            let (left, right) = split(changes, depth);
            let goes_right = matches!(kept, Some(Node::Leaf(leaf)) if leaf.key.bit(depth));
            let (kept_left, kept_right) = if goes_right {
                (None, kept)
            } else {
                (kept, None)
            };
            let left = build(kept_left, depth + 1, left);
            let right = build(kept_right, depth + 1, right);
            Node::inner(left, right)
        }
    }
}

/// Two halves as one node; `None` if that depends on what a stub hides.
fn join(left: Node, right: Node) -> Option<Node> {
    match (left, right) {
        (Node::Empty, Node::Empty) => Some(Node::Empty),
        (Node::Empty, Node::Stub(_)) | (Node::Stub(_), Node::Empty) => None,
        (Node::Empty, leaf @ Node::Leaf(_)) | (leaf @ Node::Leaf(_), Node::Empty) => Some(leaf),
        (left, right) => Some(Node::inner(left, right)),
    }
}

fn split(changes: &[Change], depth: u16) -> (&[Change], &[Change]) {
    changes.split_at(changes.partition_point(|change| !change.key.bit(depth)))
}

#[cfg(test)]
mod tests;
