//! The disk under a register: what is written, what would survive a power cut, and what a start
//! finds. The file is that of the node: `length ‖ its inverse ‖ entry`, and what follows the last
//! whole entry was never acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use attestation::ids::{Digest, Seq, Slot, StatementId, View};
use signer_protocol::register::{Chain, Entry, Record, Refused, Standing};
use state::job::Domain;

use crate::dice::Dice;

/// A disk that lies: what a check on it is checked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// It acknowledges what is not yet durable.
    AckEarly,
    /// A power cut takes what it acknowledged last.
    FlushLost,
}

/// A register's file.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The node's judge over appends, with what is written and not yet durable.
    pub chain: Chain,
    /// What the durable entries say.
    pub durable: Chain,
    /// All written bytes.
    bytes: Vec<u8>,
    /// Bytes that survive a power cut.
    synced: usize,
    /// Bytes that survive one where the last flush was a lie.
    synced_before: usize,
    /// Ends of entries that are not durable yet, in order.
    pending: Vec<(Entry, usize)>,
    /// Entries below this position were acknowledged.
    pub acknowledged: u64,
    /// Votes and locks that were ever durable: what a twin that is behind may still say.
    pub said: BTreeSet<(Seq, View, StatementId)>,
    /// Hashes of all entries ever durable: what a start must find.
    hashes: BTreeMap<u64, Digest>,
    /// No space is left.
    pub full: bool,
    /// How it lies.
    pub lie: Option<Lie>,
    /// How often the file began anew with a base.
    pub bases: u64,
    /// Durable images of earlier times, for an operator who restores a backup.
    backup: Option<(Vec<u8>, Chain)>,
}

/// What a start found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Bytes behind the last whole entry, cut off.
    pub torn: usize,
}

/// Why a start does not find what was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The entries do not follow from one another.
    Damaged(Refused),
    /// Acknowledged entries are missing.
    Acknowledged {
        /// Entries found.
        found: u64,
        /// Entries acknowledged.
        acknowledged: u64,
    },
    /// An entry is not the one that was written.
    Changed(u64),
}

impl Disk {
    /// The empty disk of a member.
    #[must_use]
    pub fn new(domain: &Domain, slot: Slot) -> Self {
        Self {
            chain: Chain::new(domain, slot),
            durable: Chain::new(domain, slot),
            bytes: Vec::new(),
            synced: 0,
            synced_before: 0,
            pending: Vec::new(),
            acknowledged: 0,
            said: BTreeSet::new(),
            hashes: BTreeMap::new(),
            full: false,
            lie: None,
            bases: 0,
            backup: None,
        }
    }

    /// Writes an entry that the chain allows. It is not durable yet.
    ///
    /// # Errors
    /// [`Refused`] by the chain.
    pub fn write(&mut self, entry: &Entry) -> Result<(), Refused> {
        self.chain.accept(entry)?;
        frame(&mut self.bytes, &entry.to_bytes());
        self.pending.push((entry.clone(), self.bytes.len()));
        Ok(())
    }

    /// Entries up to this position become durable.
    pub fn sync(&mut self, index: u64) {
        while let Some((entry, end)) = self.pending.first().cloned() {
            if entry.index > index {
                break;
            }
            self.pending.remove(0);
            self.synced_before = self.synced;
            self.synced = end;
            self.hashes.insert(entry.index, entry.hash);
            // The chain that judged it before it was written judges the same.
            let accepted = self.durable.accept(&entry);
            debug_assert!(accepted.is_ok(), "{accepted:?}");
            self.note_said(&entry.record);
            if matches!(entry.record, Record::Base(_)) {
                self.compact(&entry);
            }
        }
    }

    /// Entries up to this position are acknowledged.
    pub fn acknowledge(&mut self, index: u64) {
        if self.lie != Some(Lie::AckEarly) {
            self.sync(index);
        }
        self.acknowledged = self.acknowledged.max(index + 1);
    }

    /// The process ends, the machine goes on: what is written becomes durable.
    pub fn settle(&mut self) {
        self.sync(u64::MAX);
    }

    /// The power fails: an unknown part of what was not durable is there, the last bytes torn.
    pub fn cut(&mut self, dice: &mut Dice) {
        let unsynced = self.bytes.len() - self.synced;
        if self.lie == Some(Lie::FlushLost) {
            return self.bytes.truncate(self.synced_before);
        }
        let kept = dice.below(unsynced + 1);
        self.bytes.truncate(self.synced + kept);
        // A file that had grown before its content came reads as zeros.
        if kept > 0 && dice.chance(300) {
            let (_, whole) = entries(&self.bytes);
            self.bytes.truncate(whole);
            let zeros = dice.below(64);
            self.bytes.extend(std::iter::repeat_n(0, zeros));
        }
    }

    /// An operator copies the file.
    pub fn back_up(&mut self) {
        let durable = self.bytes.get(..self.synced).unwrap_or_default().to_vec();
        self.backup = Some((durable, self.durable.clone()));
    }

    /// An operator puts the copy back. Whether there was one that is older than the file.
    pub fn restore(&mut self) -> bool {
        let Some((bytes, durable)) = self.backup.take() else {
            return false;
        };
        if durable.next_index() >= self.durable.next_index() {
            return false;
        }
        self.acknowledged = durable.next_index();
        self.hashes.retain(|index, _| *index < durable.next_index());
        (self.bytes, self.durable) = (bytes, durable);
        true
    }

    /// An operator moves the register to another disk, which holds the copy of it, or nothing. What
    /// it said before.
    ///
    /// # Errors
    /// [`Refused`] if it does not join what is there.
    pub fn relocate(&mut self, domain: &Domain, slot: Slot) -> Result<Standing, Refused> {
        self.settle();
        let before = self.durable.standing().clone();
        let exported = Entry::from_bytes(&self.durable.exported().to_bytes())?;
        let there = self.backup.take().map(|(_, there)| there);
        let there = there.unwrap_or_else(|| Chain::new(domain, slot));
        let joined = there.joined(&exported)?;
        self.durable = Chain::replay(domain, slot, [joined.to_bytes().as_slice()])?;
        self.chain = self.durable.clone();
        self.bytes.clear();
        frame(&mut self.bytes, &joined.to_bytes());
        (self.synced, self.synced_before) = (self.bytes.len(), self.bytes.len());
        self.acknowledged = self.durable.next_index();
        self.hashes = BTreeMap::from([(joined.index, joined.hash)]);
        Ok(before)
    }

    /// A start reads the file, cuts off its torn end, and replays it.
    ///
    /// # Errors
    /// [`Lost`] if that is less, or other, than was acknowledged.
    pub fn open(&mut self, domain: &Domain, slot: Slot) -> Result<Opened, Lost> {
        let (_, whole) = entries(&self.bytes);
        let torn = self.bytes.len() - whole;
        self.bytes.truncate(whole);
        self.synced = whole;
        self.pending.clear();
        let bytes = self.bytes.clone();
        let (entries, _) = entries(&bytes);
        let chain = Chain::replay(domain, slot, entries.iter().copied()).map_err(Lost::Damaged)?;
        if chain.next_index() < self.acknowledged {
            return Err(Lost::Acknowledged {
                found: chain.next_index(),
                acknowledged: self.acknowledged,
            });
        }
        for bytes in entries {
            let entry = Entry::from_bytes(bytes).map_err(Lost::Damaged)?;
            self.note_said(&entry.record);
            let before = self.hashes.insert(entry.index, entry.hash);
            if before.is_some_and(|before| before != entry.hash) {
                return Err(Lost::Changed(entry.index));
            }
        }
        self.durable = chain.clone();
        self.chain = chain;
        Ok(Opened { torn })
    }

    fn note_said(&mut self, record: &Record) {
        match record {
            Record::Vote(vote) => {
                self.said.insert((vote.seq, vote.view, vote.statement));
            }
            Record::Lock(lock) => {
                let claim = lock.certificate.claim();
                self.said
                    .extend(claim.map(|claim| (claim.seq, claim.view, claim.statement)));
            }
            _ => {}
        }
    }

    /// The file begins anew with a base: what precedes it is forgotten.
    fn compact(&mut self, base: &Entry) {
        let rest = self.bytes.split_off(self.synced);
        let before = self.synced;
        self.bytes.clear();
        frame(&mut self.bytes, &base.to_bytes());
        self.synced = self.bytes.len();
        self.synced_before = self.synced;
        self.bytes.extend(rest);
        for (_, end) in &mut self.pending {
            *end = *end - before + self.synced;
        }
        self.bases += 1;
    }
}

const HEADER: usize = 8;

fn frame(bytes: &mut Vec<u8>, entry: &[u8]) {
    let length = u32::try_from(entry.len()).expect("entries are bounded");
    bytes.extend(length.to_be_bytes());
    bytes.extend((!length).to_be_bytes());
    bytes.extend(entry);
}

/// The whole entries at the front, and where they end.
fn entries(bytes: &[u8]) -> (Vec<&[u8]>, usize) {
    let (mut entries, mut at) = (Vec::new(), 0);
    while let Some(entry) = entry_at(bytes, at) {
        entries.push(entry);
        at += HEADER + entry.len();
    }
    (entries, at)
}

fn entry_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let word = |from: usize| -> Option<u32> {
        let word = bytes.get(from..from + 4)?;
        word.try_into().ok().map(u32::from_be_bytes)
    };
    let (length, inverse) = (word(at)?, word(at + 4)?);
    if inverse != !length {
        return None;
    }
    let length = usize::try_from(length).ok()?;
    bytes.get(at + HEADER..at + HEADER + length)
}
