//! What a step has read and written so far, over a state that it does not change.
//!
//! Requests of a step see each other's writes here; a failed one is rolled back to its
//! checkpoint. Reads are recorded, also of what is rolled back: the witness must hold them.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Bound;

use attestation::ids::ZappId;

use crate::entry::{self, EntryWrite};
use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX, WRITES_BYTES_MAX, WRITES_MAX};
use crate::links;
use crate::state::{State, Writes};
use crate::system::{self, ZappRecord};
use crate::tree::NeedState;
use crate::witness::Touched;

/// Reads and writes of a step in progress.
#[derive(Debug)]
pub struct Journal<'a> {
    state: &'a State,
    overlay: Writes,
    /// What each write since [`Journal::begin`] replaced.
    undo: Vec<Undo>,
    touched: Touched,
    /// Where the request's writes begin, once a zApp was called.
    open: Option<Checkpoint>,
    /// The zApps that run, each called by the one before; the last may be written.
    frames: Vec<ZappId>,
}

/// A point to which a journal can be rolled back, within one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint(usize);

/// Change of stored bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Bytes that entries gained.
    pub grown: u64,
    /// Bytes that entries lost.
    pub shrunk: u64,
}

/// Why a zApp may not write this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Not the zApp that was called.
    #[error("write to zApp {0}, which was not called")]
    Elsewhere(ZappId),
    /// The key is empty or longer than 256 bytes.
    #[error("key of {0} bytes, 1 to 256 allowed")]
    Key(usize),
    /// The value is longer than 64 KiB.
    #[error("value of {0} bytes, at most 65536 allowed")]
    Value(usize),
    /// More than 1,024 writes or 1 MiB in one request.
    #[error("more than 1024 writes or 1 MiB in one request")]
    TooMuch,
}

/// The entry that follows a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The smallest greater key, or `None` at the end.
    pub key: Option<Vec<u8>>,
    /// Entries deleted in this step that had to be passed over: work that a host charges.
    pub passed: u64,
}

#[derive(Debug)]
struct Undo {
    zapp: ZappId,
    key: Vec<u8>,
    /// What the overlay held; the outer `None` if it held nothing.
    before: Option<Option<Vec<u8>>>,
    bytes: usize,
}

impl<'a> Journal<'a> {
    /// An empty journal.
    #[must_use]
    pub fn new(state: &'a State) -> Self {
        Self {
            state,
            overlay: Writes::new(),
            undo: Vec::new(),
            touched: Touched::default(),
            open: None,
            frames: Vec::new(),
        }
    }

    /// The value at `key`, writes of this step included.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show the entry.
    pub fn get(&mut self, zapp: &ZappId, key: &[u8]) -> Result<Option<&[u8]>, NeedState> {
        if let Some(value) = self.overlay.get(zapp).and_then(|values| values.get(key)) {
            return Ok(value.as_deref());
        }
        self.touched.see(zapp, key);
        self.state.get(zapp, key)
    }

    /// The key that follows `key` in byte order, writes of this step included.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show the predecessor's link.
    pub fn next(&mut self, zapp: &ZappId, key: &[u8]) -> Result<Next, NeedState> {
        let values = self.overlay.get(zapp);
        let mut passed = 0;
        let mut old = key;
        let old = loop {
            let floor = self.state.floor(zapp, old)?;
            self.touched
                .see(zapp, floor.map_or(entry::HEAD, |(at, _)| at));
            let Some(next) = floor
                .map(|(_, entry)| &entry.next)
                .filter(|next| !next.is_empty())
            else {
                break None;
            };
            if values.and_then(|values| values.get(next)) != Some(&None) {
                break Some(next.as_slice());
            }
            passed += 1;
            old = next;
        };
        let above = (Bound::Excluded(key), Bound::Unbounded);
        let new = values.and_then(|values| {
            values.range::<[u8], _>(above).find_map(|(key, value)| {
                if value.is_none() {
                    passed += 1;
                }
                value.as_ref().map(|_| key.as_slice())
            })
        });
        let next = match (old, new) {
            (Some(old), Some(new)) => Some(old.min(new)),
            (old, new) => old.or(new),
        };
        Ok(Next {
            key: next.map(<[u8]>::to_vec),
            passed,
        })
    }

    /// Sets or, with `None`, deletes the entry at `key` of the open zApp.
    ///
    /// # Errors
    /// [`WriteError`] if the zApp is not open or a bound is exceeded; nothing is written.
    pub fn write(
        &mut self,
        zapp: &ZappId,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), WriteError> {
        let running = self.frames.last() == Some(zapp);
        let Some(from) = self.open.filter(|_| running) else {
            return Err(WriteError::Elsewhere(*zapp));
        };
        if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
            return Err(WriteError::Key(key.len()));
        }
        let value_bytes = value.map_or(0, <[u8]>::len);
        if value_bytes > VALUE_BYTES_MAX {
            return Err(WriteError::Value(value_bytes));
        }
        let before = self.undo.last().map_or(0, |undo| undo.bytes);
        let writes = self.undo.len().saturating_sub(from.0);
        if writes >= WRITES_MAX || before + key.len() + value_bytes > WRITES_BYTES_MAX {
            return Err(WriteError::TooMuch);
        }
        self.put(zapp, key, value.map(<[u8]>::to_vec));
        Ok(())
    }

    /// Where the journal stands.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint(self.undo.len())
    }

    /// Takes back every write since `to`.
    pub fn revert(&mut self, to: Checkpoint) {
        while self.undo.len() > to.0 {
            let Some(undo) = self.undo.pop() else { return };
            let values = self.overlay.entry(undo.zapp).or_default();
            match undo.before {
                Some(value) => {
                    values.insert(undo.key, value);
                }
                None => {
                    values.remove(&undo.key);
                }
            }
        }
    }

    /// Begins a request: what came before can no longer be rolled back, and no zApp is open.
    pub fn begin(&mut self) {
        self.undo.clear();
        self.open = None;
        self.frames.clear();
    }

    /// Lets the called zApp write, up to one request's limits.
    pub fn open(&mut self, zapp: &ZappId) -> Checkpoint {
        let checkpoint = self.checkpoint();
        self.open = Some(checkpoint);
        self.frames.clear();
        self.frames.push(*zapp);
        checkpoint
    }

    /// Lets a zApp write that the running one calls, within the limits of the same request.
    pub fn enter(&mut self, zapp: &ZappId) -> Checkpoint {
        self.frames.push(*zapp);
        self.checkpoint()
    }

    /// Ends the last [`Self::enter`]: its caller runs on.
    pub fn leave(&mut self) {
        if self.frames.len() > 1 {
            self.frames.pop();
        }
    }

    /// The record of a zApp that takes calls: deployed and not aborted.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show it.
    pub fn callee(&mut self, zapp: &ZappId) -> Result<Option<ZappRecord>, NeedState> {
        if *zapp == ZappId::SYSTEM {
            return Ok(None);
        }
        let value = self.get(&ZappId::SYSTEM, &system::zapp_key(zapp))?;
        let record: Option<ZappRecord> = value.and_then(system::read);
        Ok(record.filter(|record| !record.aborted))
    }

    /// What the entries written since `from` hold now, in order of zApp and key.
    #[must_use]
    pub fn writes_since(&self, from: Checkpoint) -> Vec<EntryWrite> {
        let undone = self.undo.get(from.0..).unwrap_or_default();
        let keys: BTreeSet<_> = undone.iter().map(|undo| (&undo.zapp, &undo.key)).collect();
        keys.into_iter()
            .map(|(zapp, key)| EntryWrite {
                zapp: *zapp,
                key: key.clone(),
                value: self
                    .overlay
                    .get(zapp)
                    .and_then(|values| values.get(key))
                    .cloned()
                    .flatten(),
            })
            .collect()
    }

    /// By how many bytes, keys and values, the entries written since `from` grew and shrank, by
    /// zApp.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show an entry's old value.
    pub fn stored_since(
        &mut self,
        from: Checkpoint,
    ) -> Result<BTreeMap<ZappId, Stored>, NeedState> {
        let mut first = BTreeMap::new();
        for undo in self.undo.get(from.0..).unwrap_or_default() {
            // What the overlay held before the first write of a key is what it had then.
            first.entry((&undo.zapp, &undo.key)).or_insert(&undo.before);
        }
        let mut changes: BTreeMap<ZappId, Stored> = BTreeMap::new();
        for ((zapp, key), before) in first {
            let bytes = |value: Option<&[u8]>| {
                value.map_or(0, |value| key.len() as u64 + value.len() as u64)
            };
            let old = match before {
                Some(before) => bytes(before.as_deref()),
                None => {
                    self.touched.see(zapp, key);
                    bytes(self.state.get(zapp, key)?)
                }
            };
            let written = self.overlay.get(zapp).and_then(|values| values.get(key));
            let new = bytes(written.and_then(Option::as_deref));
            let stored = changes.entry(*zapp).or_default();
            stored.grown += new.saturating_sub(old);
            stored.shrunk += old.saturating_sub(new);
        }
        Ok(changes)
    }

    /// A write by the system zApp, which the limits of requests do not bind.
    pub(crate) fn put(&mut self, zapp: &ZappId, key: &[u8], value: Option<Vec<u8>>) {
        let bytes = key.len() + value.as_ref().map_or(0, Vec::len);
        let bytes = bytes + self.undo.last().map_or(0, |undo| undo.bytes);
        let values = self.overlay.entry(*zapp).or_default();
        let before = values.insert(key.to_vec(), value);
        self.undo.push(Undo {
            zapp: *zapp,
            key: key.to_vec(),
            before,
            bytes,
        });
    }

    /// The step's net writes and every key that its witness needs.
    pub(crate) fn finish(mut self) -> Result<(Writes, Touched), NeedState> {
        let mut writes = Writes::new();
        for (zapp, values) in core::mem::take(&mut self.overlay) {
            let mut net = BTreeMap::new();
            for (key, value) in values {
                self.touched.see(&zapp, &key);
                if self.state.get(&zapp, &key)? == value.as_deref() {
                    continue;
                }
                if value.is_none() {
                    self.touched.delete(&zapp, &key);
                }
                net.insert(key, value);
            }
            for key in links::predecessors(self.state, &zapp, &net)? {
                self.touched.see(&zapp, key);
            }
            if !net.is_empty() {
                writes.insert(zapp, net);
            }
        }
        Ok((writes, self.touched))
    }
}
