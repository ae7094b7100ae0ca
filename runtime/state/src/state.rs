//! The committee's state: entries by zApp and key, the tree over them, and the links between them.
//!
//! One type serves both forms. The whole state knows every entry. A pruned one, opened from a
//! [`Witness`](crate::witness::Witness), knows some, and its tree tells "there is none" from "not
//! shown": every question it cannot answer from proven entries ends in [`NeedState`].

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

use attestation::ids::{StateRoot, ZappId};

use crate::entry::{self, END, Entry, EntryWrite, HEAD};
use crate::links;
use crate::planted::{self, Bug};
use crate::tree::{Changes, NeedState, Tree};

/// New values by zApp and key; none deletes.
pub type Writes = BTreeMap<ZappId, BTreeMap<Vec<u8>, Option<Vec<u8>>>>;

/// The state, whole or pruned.
#[derive(Clone, Debug, Default)]
pub struct State {
    tree: Tree,
    zapps: BTreeMap<ZappId, BTreeMap<Vec<u8>, Entry>>,
}

impl State {
    /// The whole state with these values; links follow from the keys.
    ///
    /// Each zApp's head sentinel is an entry like any other and must be among them.
    ///
    /// # Errors
    /// [`NeedState`] if a zApp lacks its head sentinel.
    pub fn from_entries(
        entries: impl IntoIterator<Item = (ZappId, Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, NeedState> {
        let mut writes = Writes::new();
        for (zapp, key, value) in entries {
            writes.entry(zapp).or_default().insert(key, Some(value));
        }
        let mut state = Self::default();
        state.commit(&writes)?;
        Ok(state)
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> StateRoot {
        self.tree.root()
    }

    /// The value at `key`.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show the entry.
    pub fn get(&self, zapp: &ZappId, key: &[u8]) -> Result<Option<&[u8]>, NeedState> {
        Ok(self.entry(zapp, key)?.map(|entry| entry.value.as_slice()))
    }

    /// The smallest key of the zApp greater than `key`, proven by the predecessor's link.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show the predecessor.
    pub fn next(&self, zapp: &ZappId, key: &[u8]) -> Result<Option<&[u8]>, NeedState> {
        Ok(self
            .floor(zapp, key)?
            .and_then(|(_, entry)| (entry.next != END).then_some(entry.next.as_slice())))
    }

    /// Applies a step's writes, links included, and returns the new root. On an error the state
    /// is unchanged.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state lacks what the writes need; a whole state only if they
    /// write to a zApp without head sentinel.
    pub fn apply(&mut self, writes: &[EntryWrite]) -> Result<StateRoot, NeedState> {
        self.commit(&by_zapp(writes))?;
        Ok(self.root())
    }

    /// The root that [`Self::apply`] would lead to; the state does not change.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn root_after(&self, writes: &[EntryWrite]) -> Result<StateRoot, NeedState> {
        let writes = by_zapp(writes);
        let linked = links::derive(self, &writes)?;
        Ok(self.tree_with(&linked)?.root())
    }

    /// Every entry in order of zApp and key. Of a pruned state, those that it shows.
    pub fn entries(&self) -> impl Iterator<Item = (&ZappId, &[u8], &Entry)> {
        self.zapps.iter().flat_map(|(zapp, entries)| {
            entries
                .iter()
                .map(move |(key, entry)| (zapp, key.as_slice(), entry))
        })
    }

    /// One zApp's entries in order of key.
    pub fn of(&self, zapp: &ZappId) -> impl Iterator<Item = (&[u8], &Entry)> {
        let entries = self.zapps.get(zapp).into_iter().flatten();
        entries.map(|(key, entry)| (key.as_slice(), entry))
    }

    /// The tree over the entries.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// A pruned state whose entries were read together with their leaves.
    pub(crate) fn pruned(tree: Tree, zapps: BTreeMap<ZappId, BTreeMap<Vec<u8>, Entry>>) -> Self {
        Self { tree, zapps }
    }

    /// The entry at `key`.
    pub(crate) fn entry(&self, zapp: &ZappId, key: &[u8]) -> Result<Option<&Entry>, NeedState> {
        if let Some(entry) = self.zapps.get(zapp).and_then(|entries| entries.get(key)) {
            return Ok(Some(entry));
        }
        let at = entry::key_hash(zapp, key);
        match self.tree.find(&at)? {
            None => Ok(None),
            // The leaf is there, but not what it commits to.
            Some(_) => Err(NeedState { at }),
        }
    }

    /// The entry with the greatest key not above `key`; `None` only if the zApp does not exist.
    pub(crate) fn floor(
        &self,
        zapp: &ZappId,
        key: &[u8],
    ) -> Result<Option<(&[u8], &Entry)>, NeedState> {
        self.last_of(zapp, Bound::Included(key), |next| next > key)
    }

    /// The entry with the greatest key below `key`; `None` only if the zApp does not exist.
    pub(crate) fn predecessor(
        &self,
        zapp: &ZappId,
        key: &[u8],
    ) -> Result<Option<(&[u8], &Entry)>, NeedState> {
        self.last_of(zapp, Bound::Excluded(key), |next| next >= key)
    }

    /// The last known entry up to a bound, if its link reaches beyond it: without that check a
    /// witness could leave out an entry between ("a hidden bid").
    fn last_of(
        &self,
        zapp: &ZappId,
        to: Bound<&[u8]>,
        beyond: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<(&[u8], &Entry)>, NeedState> {
        let last = self
            .zapps
            .get(zapp)
            .and_then(|entries| entries.range::<[u8], _>((Bound::Unbounded, to)).next_back());
        match last {
            Some((key, entry))
                if entry.next == END || beyond(&entry.next) || planted::is(Bug::LinkUnchecked) =>
            {
                Ok(Some((key, entry)))
            }
            Some((key, _)) => Err(NeedState {
                at: entry::key_hash(zapp, key),
            }),
            None => match self.entry(zapp, HEAD)? {
                None => Ok(None),
                // The bound lies below the head, which nothing does.
                Some(_) => Err(NeedState {
                    at: entry::key_hash(zapp, HEAD),
                }),
            },
        }
    }

    /// The tree after `linked` changes.
    pub(crate) fn tree_with(&self, linked: &links::Linked<'_>) -> Result<Tree, NeedState> {
        let mut changes = Changes::new();
        for (zapp, entries) in linked {
            for (key, entry) in entries {
                let value = entry.map(|entry| entry::value_hash(entry.value, entry.next));
                changes.insert(entry::key_hash(zapp, key), value);
            }
        }
        self.tree.with(&changes)
    }

    fn commit(&mut self, writes: &Writes) -> Result<(), NeedState> {
        let linked = links::derive(self, writes)?;
        let tree = self.tree_with(&linked)?;
        let owned: Vec<(ZappId, Vec<u8>, Option<Entry>)> = linked
            .into_iter()
            .flat_map(|(zapp, entries)| {
                entries
                    .into_iter()
                    .map(move |(key, entry)| (zapp, key.to_vec(), entry.map(links::Link::to_entry)))
            })
            .collect();
        for (zapp, key, entry) in owned {
            let entries = self.zapps.entry(zapp).or_default();
            match entry {
                Some(entry) => {
                    entries.insert(key, entry);
                }
                None => {
                    entries.remove(&key);
                }
            }
        }
        self.tree = tree;
        Ok(())
    }
}

fn by_zapp(writes: &[EntryWrite]) -> Writes {
    let mut by_zapp = Writes::new();
    for write in writes {
        by_zapp
            .entry(write.zapp)
            .or_default()
            .insert(write.key.clone(), write.value.clone());
    }
    by_zapp
}

#[cfg(test)]
mod tests;
