//! Entries of the state: what a leaf of the tree commits to.
//!
//! A key hash is SHA-256(tag ‖ zApp ‖ key). A value hash is SHA-256(tag ‖ length of the next key,
//! 8 bytes big-endian ‖ next key ‖ value): it covers the link to the zApp's next key in byte
//! order, so that an ordered scan is as provable as a lookup (rule D2). The empty key is each
//! zApp's permanent head sentinel, and an empty next key is the end of the list.

use alloc::vec::Vec;

use attestation::ids::ZappId;
use attestation::tags;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::state::Writes;
use crate::tree::{KeyHash, ValueHash};

/// Key of each zApp's permanent first entry: shorter than any key that a zApp can write.
pub const HEAD: &[u8] = b"";
/// Next key of the last entry.
pub const END: &[u8] = b"";

/// A value and the next key of its zApp.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The zApp's bytes.
    pub value: Vec<u8>,
    /// The next key in byte order, or [`END`].
    pub next: Vec<u8>,
}

/// One change of a step: the key of an entry and its new value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryWrite {
    /// Whose entry it is.
    pub zapp: ZappId,
    /// The key; [`HEAD`] where a zApp comes into being.
    #[serde(with = "serde_bytes")]
    pub key: Vec<u8>,
    /// The new value; none deletes the entry.
    #[serde(with = "serde_bytes")]
    pub value: Option<Vec<u8>>,
}

impl EntryWrite {
    pub(crate) fn list(writes: Writes) -> Vec<Self> {
        writes
            .into_iter()
            .flat_map(|(zapp, values)| {
                values
                    .into_iter()
                    .map(move |(key, value)| Self { zapp, key, value })
            })
            .collect()
    }
}

impl Entry {
    /// Hash of the entry as its leaf holds it.
    #[must_use]
    pub fn value_hash(&self) -> ValueHash {
        value_hash(&self.value, &self.next)
    }
}

/// Where the entry stands in the tree.
#[must_use]
pub fn key_hash(zapp: &ZappId, key: &[u8]) -> KeyHash {
    let mut hash = Sha256::new();
    hash.update(tags::STATE_KEY.0);
    hash.update(zapp.as_bytes());
    hash.update(key);
    KeyHash(hash.finalize().into())
}

/// Hash of a value and the key that follows its own.
#[must_use]
pub fn value_hash(value: &[u8], next: &[u8]) -> ValueHash {
    let mut hash = Sha256::new();
    hash.update(tags::STATE_VALUE.0);
    hash.update((next.len() as u64).to_be_bytes());
    hash.update(next);
    hash.update(value);
    ValueHash(hash.finalize().into())
}
