//! The state entries that a step touches, with proofs against the previous root.
//!
//! A witness is the state tree in preorder, cut off wherever the step does not look:
//!
//! | kind | node | then |
//! |---|---|---|
//! | 0 | no leaf | |
//! | 1 | a subtree not shown | its hash, 32 bytes |
//! | 2 | two subtrees | left node, right node |
//! | 3 | a leaf without its entry | key hash, value hash |
//! | 4 | an entry | zApp, key, next key (2 bytes length each), value (4 bytes length) |
//!
//! Lengths are big-endian. Opening it against the previous root proves every entry in it, so it
//! needs no signature and no trust in who built it: what it hides can only be missing, and that
//! is [`NeedState`], never another outcome.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use attestation::ids::{StateRoot, ZappId};
use serde::{Deserialize, Serialize};

use crate::entry::{self, Entry};
use crate::limits::{
    DEPTH_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX, WITNESS_BYTES_MAX, WITNESS_NODES_MAX,
};
use crate::state::State;
use crate::tree::{KeyHash, NeedState, Node, PLACEHOLDER, Tree, ValueHash};

/// A pruned copy of the state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// The pruned tree, encoded as the module says.
    #[serde(with = "serde_bytes")]
    pub tree: Vec<u8>,
}

/// Keys that a step looked at or changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    zapps: BTreeMap<ZappId, BTreeMap<Vec<u8>, Touch>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touch {
    Seen,
    Deleted,
}

/// Why a witness cannot be made or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// More than [`WITNESS_BYTES_MAX`] or [`WITNESS_NODES_MAX`].
    #[error("a witness of {0} bytes is more than 8388608 or has more than 262144 nodes")]
    TooLong(usize),
    /// Not the module's layout, or a tree that no set of entries has.
    #[error("not a pruned state tree at byte {offset}")]
    Malformed {
        /// Where reading stopped.
        offset: usize,
    },
    /// The tree has another root: an entry is altered, or it is of another step.
    #[error("witness of root {actual}, not of {expected}")]
    Root {
        /// The previous root.
        expected: StateRoot,
        /// The witness's root.
        actual: StateRoot,
    },
    /// The state from which it should be made is itself pruned.
    #[error(transparent)]
    NeedState(#[from] NeedState),
}

impl Touched {
    /// Records that the step depends on whether and what is at `key`.
    pub fn see(&mut self, zapp: &ZappId, key: &[u8]) {
        let keys = self.zapps.entry(*zapp).or_default();
        if !keys.contains_key(key) {
            keys.insert(key.to_vec(), Touch::Seen);
        }
    }

    /// Records that the entry at `key` goes away: its sibling may move up.
    pub fn delete(&mut self, zapp: &ZappId, key: &[u8]) {
        let keys = self.zapps.entry(*zapp).or_default();
        keys.insert(key.to_vec(), Touch::Deleted);
    }

    /// The keys in order of zApp and key.
    pub fn keys(&self) -> impl Iterator<Item = (&ZappId, &[u8])> {
        self.zapps
            .iter()
            .flat_map(|(zapp, keys)| keys.keys().map(move |key| (zapp, key.as_slice())))
    }
}

impl Witness {
    /// The pruned state, proven to be part of the state with this root.
    ///
    /// # Errors
    /// [`WitnessError`] if the bytes are too long, malformed or of another root.
    pub fn open(&self, root: &StateRoot) -> Result<State, WitnessError> {
        if self.tree.len() > WITNESS_BYTES_MAX {
            return Err(WitnessError::TooLong(self.tree.len()));
        }
        let mut reader = Reader::new(&self.tree);
        let top =
            reader
                .node(0)
                .filter(|_| reader.rest.is_empty())
                .ok_or(WitnessError::Malformed {
                    offset: self.tree.len() - reader.rest.len(),
                })?;
        let tree = Tree { top };
        let actual = tree.root();
        if actual == *root {
            Ok(State::pruned(tree, reader.zapps))
        } else {
            Err(WitnessError::Root {
                expected: *root,
                actual,
            })
        }
    }
}

impl State {
    /// The witness of a step that touched these keys.
    ///
    /// # Errors
    /// [`WitnessError::TooLong`]: the step must be made smaller. [`WitnessError::NeedState`] only
    /// of a pruned state.
    pub fn witness(&self, touched: &Touched) -> Result<Witness, WitnessError> {
        let mut keys: Vec<Key<'_>> = Vec::new();
        for (zapp, touches) in &touched.zapps {
            keys.extend(touches.iter().map(|(key, touch)| Key {
                at: entry::key_hash(zapp, key),
                zapp,
                key,
                deleted: *touch == Touch::Deleted,
            }));
        }
        keys.sort_unstable_by_key(|key| key.at);
        let mut writer = Writer {
            state: self,
            out: Vec::new(),
            nodes: 0,
        };
        writer.node(&self.tree().top, 0, &keys)?;
        if writer.out.len() > WITNESS_BYTES_MAX || writer.nodes > WITNESS_NODES_MAX {
            return Err(WitnessError::TooLong(writer.out.len()));
        }
        Ok(Witness { tree: writer.out })
    }
}

const EMPTY: u8 = 0;
const STUB: u8 = 1;
const INNER: u8 = 2;
const LEAF: u8 = 3;
const ENTRY: u8 = 4;

struct Key<'a> {
    at: KeyHash,
    zapp: &'a ZappId,
    key: &'a [u8],
    deleted: bool,
}

struct Writer<'a> {
    state: &'a State,
    out: Vec<u8>,
    nodes: usize,
}

impl Writer<'_> {
    /// `keys` are sorted and all below `node`.
    fn node(&mut self, node: &Node, depth: u16, keys: &[Key<'_>]) -> Result<(), NeedState> {
        let Some(first) = keys.first() else {
            self.stub(node);
            return Ok(());
        };
        match node {
            Node::Empty => self.out.push(EMPTY),
            Node::Stub(_) => return Err(NeedState { at: first.at }),
            Node::Leaf(leaf) => match keys.iter().find(|key| key.at == leaf.key) {
                Some(key) => self.entry(key)?,
                None => self.expose(node),
            },
            Node::Inner(inner) => {
                let right = keys.partition_point(|key| !key.at.bit(depth));
                let (left, right) = keys.split_at(right);
                self.out.push(INNER);
                self.nodes += 1;
                if left.is_empty() && emptied(&inner.right, depth + 1, right) {
                    self.expose(&inner.left);
                } else {
                    self.node(&inner.left, depth + 1, left)?;
                }
                if right.is_empty() && emptied(&inner.left, depth + 1, left) {
                    self.expose(&inner.right);
                } else {
                    self.node(&inner.right, depth + 1, right)?;
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, key: &Key<'_>) -> Result<(), NeedState> {
        let need = NeedState { at: key.at };
        let entry = self.state.entry(key.zapp, key.key)?.ok_or(need)?;
        self.out.push(ENTRY);
        self.out.extend_from_slice(key.zapp.as_bytes());
        for key in [key.key, &entry.next] {
            let bytes = u16::try_from(key.len()).map_err(|_| need)?;
            self.out.extend_from_slice(&bytes.to_be_bytes());
            self.out.extend_from_slice(key);
        }
        let bytes = u32::try_from(entry.value.len()).map_err(|_| need)?;
        self.out.extend_from_slice(&bytes.to_be_bytes());
        self.out.extend_from_slice(&entry.value);
        Ok(())
    }

    fn stub(&mut self, node: &Node) {
        if matches!(node, Node::Empty) {
            self.out.push(EMPTY);
        } else {
            self.out.push(STUB);
            self.out.extend_from_slice(node.hash());
        }
    }

    /// The preimage of a node, for the case that its sibling goes away.
    fn expose(&mut self, node: &Node) {
        match node {
            Node::Empty | Node::Stub(_) => self.stub(node),
            Node::Leaf(leaf) => {
                self.out.push(LEAF);
                self.out.extend_from_slice(&leaf.key.0);
                self.out.extend_from_slice(&leaf.value.0);
            }
            Node::Inner(inner) => {
                self.out.push(INNER);
                self.nodes += 1;
                self.stub(&inner.left);
                self.stub(&inner.right);
            }
        }
    }
}

/// Whether every leaf below `node` is deleted.
fn emptied(node: &Node, depth: u16, keys: &[Key<'_>]) -> bool {
    match node {
        Node::Empty => true,
        Node::Stub(_) => false,
        Node::Leaf(leaf) => keys.iter().any(|key| key.deleted && key.at == leaf.key),
        _ if keys.is_empty() => false,
        Node::Inner(inner) => {
            let right = keys.partition_point(|key| !key.at.bit(depth));
            let (left, right) = keys.split_at(right);
            // The side without keys first: it answers at once.
            let (short, long) = if left.len() <= right.len() {
                ((&inner.left, left), (&inner.right, right))
            } else {
                ((&inner.right, right), (&inner.left, left))
            };
            emptied(short.0, depth + 1, short.1) && emptied(long.0, depth + 1, long.1)
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    zapps: BTreeMap<ZappId, BTreeMap<Vec<u8>, Entry>>,
    /// Bits of the path to the node that is read; only the first `depth` count.
    path: [u8; 32],
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            zapps: BTreeMap::new(),
            path: [0; 32],
            nodes: 0,
        }
    }

    fn node(&mut self, depth: u16) -> Option<Node> {
        let [kind] = self.array()?;
        match kind {
            EMPTY => Some(Node::Empty),
            STUB => self
                .array()
                .filter(|hash| *hash != PLACEHOLDER)
                .map(Node::Stub),
            INNER => self.inner(depth),
            LEAF => {
                let key = KeyHash(self.array()?);
                let value = ValueHash(self.array()?);
                self.leaf(depth, key, value)
            }
            ENTRY => self.entry(depth),
            _ => None,
        }
    }

    fn inner(&mut self, depth: u16) -> Option<Node> {
        self.nodes += 1;
        if depth >= DEPTH_MAX || self.nodes > WITNESS_NODES_MAX {
            return None;
        }
        self.turn(depth, false);
        let left = self.node(depth + 1)?;
        self.turn(depth, true);
        let right = self.node(depth + 1)?;
        match (&left, &right) {
            (Node::Empty, Node::Empty | Node::Leaf(_)) | (Node::Leaf(_), Node::Empty) => None,
            _ => Some(Node::inner(left, right)),
        }
    }

    fn entry(&mut self, depth: u16) -> Option<Node> {
        let zapp = ZappId::from_bytes(self.array()?);
        let key_bytes = u16::from_be_bytes(self.array()?);
        let key = self.bytes(usize::from(key_bytes), KEY_BYTES_MAX)?;
        let next_bytes = u16::from_be_bytes(self.array()?);
        let next = self.bytes(usize::from(next_bytes), KEY_BYTES_MAX)?;
        let value_bytes = u32::from_be_bytes(self.array()?);
        let value = self.bytes(usize::try_from(value_bytes).ok()?, VALUE_BYTES_MAX)?;
        let hash = entry::value_hash(value, next);
        let node = self.leaf(depth, entry::key_hash(&zapp, key), hash)?;
        let entry = Entry {
            value: value.to_vec(),
            next: next.to_vec(),
        };
        self.zapps
            .entry(zapp)
            .or_default()
            .insert(key.to_vec(), entry);
        Some(node)
    }

    /// A leaf, if it lies where its key hash says.
    fn leaf(&self, depth: u16, key: KeyHash, value: ValueHash) -> Option<Node> {
        key.shares(&KeyHash(self.path), depth)
            .then(|| Node::leaf(key, value))
    }

    fn turn(&mut self, depth: u16, right: bool) {
        if let Some(byte) = self.path.get_mut(usize::from(depth / 8)) {
            let bit = 0x80 >> (depth % 8);
            *byte = if right { *byte | bit } else { *byte & !bit };
        }
    }

    fn bytes(&mut self, len: usize, max: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len).filter(|_| len <= max)?;
        self.rest = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }
}

#[cfg(test)]
mod tests;
