//! Links between entries, derived from a step's net inserts and deletes in key order (rule D2).
//!
//! Executors never write links. Whoever applies a step derives them here from the values alone,
//! so that no executor can hide an entry from an ordered scan.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use attestation::ids::ZappId;

use crate::entry::{self, END, Entry, HEAD};
use crate::state::{State, Writes};
use crate::tree::NeedState;

/// Changed entries with their links, by zApp and key; none where an entry goes away.
pub(crate) type Linked<'a> = BTreeMap<ZappId, Entries<'a>>;

type Entries<'a> = BTreeMap<&'a [u8], Option<Link<'a>>>;

/// An entry whose bytes stand in the state before or in the writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link<'a> {
    pub(crate) value: &'a [u8],
    pub(crate) next: &'a [u8],
}

impl<'a> Link<'a> {
    pub(crate) fn to_entry(self) -> Entry {
        Entry {
            value: self.value.to_vec(),
            next: self.next.to_vec(),
        }
    }

    fn of(entry: &'a Entry) -> Self {
        Self {
            value: &entry.value,
            next: &entry.next,
        }
    }
}

/// Every entry that `writes` change, in value or in link.
///
/// # Errors
/// [`NeedState`] if a pruned state does not show an entry that is written, or the predecessor of
/// one that comes or goes.
pub(crate) fn derive<'a>(state: &'a State, writes: &'a Writes) -> Result<Linked<'a>, NeedState> {
    let mut linked = Linked::new();
    for (zapp, values) in writes {
        let mut list = List {
            state,
            zapp,
            entries: Entries::new(),
            last: None,
        };
        for (key, value) in values {
            list.write(key, value.as_deref())?;
        }
        if !list.entries.is_empty() {
            linked.insert(*zapp, list.entries);
        }
    }
    Ok(linked)
}

/// Keys, beyond those written, whose entries [`derive()`] needs: the predecessor before the step of
/// each entry that comes or goes.
pub(crate) fn predecessors<'a>(
    state: &'a State,
    zapp: &ZappId,
    values: &BTreeMap<Vec<u8>, Option<Vec<u8>>>,
) -> Result<Vec<&'a [u8]>, NeedState> {
    let mut keys = Vec::new();
    for (key, value) in values {
        let there = state.entry(zapp, key)?.is_some();
        if there != value.is_some() && key != HEAD {
            keys.extend(state.predecessor(zapp, key)?.map(|(key, _)| key));
        }
    }
    Ok(keys)
}

/// One zApp's list while its writes pass in key order.
struct List<'a, 'z> {
    state: &'a State,
    zapp: &'z ZappId,
    entries: Entries<'a>,
    /// Greatest surviving key among `entries`.
    last: Option<&'a [u8]>,
}

impl<'a> List<'a, '_> {
    fn write(&mut self, key: &'a [u8], value: Option<&'a [u8]>) -> Result<(), NeedState> {
        match (self.state.entry(self.zapp, key)?, value) {
            (None, None) => {}
            (Some(old), Some(value)) => self.put(
                key,
                Link {
                    value,
                    next: &old.next,
                },
            ),
            (None, Some(value)) if key == HEAD => self.put(key, Link { value, next: END }),
            (None, Some(value)) => {
                let (at, before) = self.before(key)?;
                self.put(
                    at,
                    Link {
                        next: key,
                        ..before
                    },
                );
                self.put(
                    key,
                    Link {
                        value,
                        next: before.next,
                    },
                );
            }
            (Some(old), None) => {
                let (at, before) = self.before(key)?;
                self.put(
                    at,
                    Link {
                        next: &old.next,
                        ..before
                    },
                );
                self.entries.insert(key, None);
            }
        }
        Ok(())
    }

    /// The nearest surviving entry before `key`.
    ///
    /// That is the predecessor in the state before the step, unless this step deleted it or put an
    /// entry behind it. In both cases it is the greatest surviving entry handled so far: deleting
    /// or inserting has put that one's link into `entries`.
    fn before(&self, key: &[u8]) -> Result<(&'a [u8], Link<'a>), NeedState> {
        let old = self.state.predecessor(self.zapp, key)?;
        let old = old.filter(|(at, _)| self.entries.get(at) != Some(&None));
        match (old, self.last) {
            (Some((at, entry)), last) if last.is_none_or(|last| at > last) => {
                Ok((at, Link::of(entry)))
            }
            (_, Some(last)) => match self.entries.get(last) {
                Some(Some(link)) => Ok((last, *link)),
                _ => Err(self.need(key)),
            },
            _ => Err(self.need(key)),
        }
    }

    fn put(&mut self, key: &'a [u8], link: Link<'a>) {
        self.entries.insert(key, Some(link));
        self.last = self.last.max(Some(key));
    }

    fn need(&self, key: &[u8]) -> NeedState {
        NeedState {
            at: entry::key_hash(self.zapp, key),
        }
    }
}
