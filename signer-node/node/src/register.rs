//! The signer's register on disk (rule C1): append-only, judged by the same
//! [`Chain`] that the signer runs, fsynced before it is acknowledged.
//!
//! File: a row of `length u32 big-endian ‖ the same, inverted ‖ entry`. An entry carries its own
//! checksum and its predecessor's hash. What follows the last whole entry was never acknowledged
//! and is cut off at the next start; a damaged entry before that is not repaired but refused, since
//! a register that forgets may sign twice (rule C2). The length is there twice so that a damaged
//! one is not taken for a tail, with all that follows it.

use std::io;
use std::sync::Arc;

use attestation::ids::Slot;
use signer_protocol::register::{Chain, ENTRY_BYTES_MAX, Entry, Record, Refused};
use state::job::Domain;

use crate::disk::{Disk, Log};

/// Name of the register's file.
pub(crate) const FILE: &str = "register";
/// Largest register that is read: far beyond what is left between two bases.
pub(crate) const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// The length and its inverse.
const HEADER_BYTES: usize = 8;

/// Why a register does not open. The node does not start its signer then.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The disk fails.
    #[error("register: {0}")]
    Disk(#[from] io::Error),
    /// An entry does not follow from those before it.
    #[error(
        "register: damaged at entry {at}: {refused}; restore no old copy of it: a register that \
         forgets lets a signer sign twice. Remove the member and enrol it anew"
    )]
    Damaged {
        /// Entry number in the file, from 0.
        at: usize,
        /// What is wrong.
        refused: Refused,
    },
}

/// Why an entry is not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The register's rules do not allow it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The disk does not take it.
    #[error("the register cannot be written: {0}")]
    Disk(#[from] io::Error),
}

/// The open register.
pub struct Register {
    disk: Arc<dyn Disk>,
    log: Box<dyn Log>,
    chain: Chain,
    /// From the last base on, as they stand in the file.
    entries: Vec<Vec<u8>>,
    /// Length of the file up to the last acknowledged entry.
    length: u64,
    /// Bytes may stand beyond `length`.
    torn: bool,
    /// Votes appended since the register was opened.
    votes: u64,
}

impl Register {
    /// Opens a member's register, cutting off what a crash left half written.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn open(disk: Arc<dyn Disk>, domain: &Domain, slot: Slot) -> Result<Self, RegisterError> {
        let mut log = disk.log(FILE)?;
        let bytes = log.read(FILE_BYTES_MAX)?;
        let whole = whole_entries(&bytes);
        let (mut entries, length) = whole.map_err(|at| RegisterError::Damaged {
            at,
            refused: Refused::Malformed,
        })?;
        if length < bytes.len() {
            tracing::warn!(
                bytes = bytes.len() - length,
                "register: cut off a tail that was never acknowledged"
            );
            log.truncate(to_u64(length))?;
        }
        let base = entries
            .iter()
            .rposition(|bytes| is_base(bytes))
            .unwrap_or(0);
        let entries = entries.split_off(base);
        let chain = Chain::replay(domain, slot, entries.iter().map(Vec::as_slice));
        let chain = chain.map_err(|refused| RegisterError::Damaged { at: base, refused })?;
        let mut register = Self {
            disk,
            log,
            chain,
            entries,
            length: to_u64(length),
            torn: false,
            votes: 0,
        };
        if base > 0 {
            register.forget();
        }
        Ok(register)
    }

    /// The entries that a signer starts from, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Vec<u8>] {
        &self.entries
    }

    /// What the register says.
    #[must_use]
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// How many votes were made durable since the register was opened.
    #[must_use]
    pub const fn votes(&self) -> u64 {
        self.votes
    }

    /// Appends entries with one fsync. Returns the position of the last one taken, and why the
    /// first one that was not taken was refused.
    pub fn append(&mut self, entries: &[Vec<u8>]) -> (Option<u64>, Option<AppendError>) {
        let mut chain = self.chain.clone();
        let (mut bytes, mut taken, mut last, mut refusal) = (Vec::new(), 0, None, None);
        let mut votes = 0;
        for entry_bytes in entries {
            let accepted = Entry::from_bytes(entry_bytes)
                .and_then(|entry| chain.accept(&entry).map(|()| entry));
            match accepted {
                Ok(entry) => {
                    last = Some(entry.index);
                    votes += u64::from(matches!(entry.record, Record::Vote(_)));
                }
                Err(refused) => {
                    refusal = Some(refused.into());
                    break;
                }
            }
            taken += 1;
            frame(&mut bytes, entry_bytes);
        }
        if taken > 0
            && let Err(error) = self.write(&bytes)
        {
            return (None, Some(error.into()));
        }
        self.chain = chain;
        self.votes += votes;
        for entry in entries.iter().take(taken) {
            if is_base(entry) {
                self.entries.clear();
            }
            self.entries.push(entry.clone());
        }
        if entries.iter().take(taken).any(|entry| is_base(entry)) {
            self.forget();
        }
        (last, refusal)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.torn {
            self.log.truncate(self.length)?;
        }
        // Until the append has succeeded, part of it may stand at the end.
        self.torn = true;
        self.log.append(bytes)?;
        self.torn = false;
        self.length += to_u64(bytes.len());
        Ok(())
    }

    /// Drops from the file what precedes the last base. If that fails, the old file goes on.
    fn forget(&mut self) {
        let mut bytes = Vec::new();
        for entry in &self.entries {
            frame(&mut bytes, entry);
        }
        if let Err(error) = self.disk.replace(FILE, &bytes) {
            tracing::warn!(%error, "register: could not be compacted");
        }
        // Whether or not the name stands for a new file now: read what a restart would read.
        match self.reopen() {
            Ok((log, length)) => {
                self.log = log;
                self.length = length;
            }
            Err(error) => {
                tracing::error!(%error, "register: unusable until the node restarts");
                self.log = Box::new(Unusable);
            }
        }
    }

    fn reopen(&self) -> io::Result<(Box<dyn Log>, u64)> {
        let mut log = self.disk.log(FILE)?;
        let bytes = log.read(FILE_BYTES_MAX)?;
        let whole = whole_entries(&bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        let (entries, length) = whole;
        if length != bytes.len() || entries.last() != self.entries.last() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok((log, to_u64(length)))
    }
}

/// A log that refuses everything: it is unknown what a restart would read.
struct Unusable;

impl Log for Unusable {
    fn read(&mut self, _bytes_max: u64) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::InvalidData.into())
    }

    fn append(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::InvalidData.into())
    }

    fn truncate(&mut self, _length: u64) -> io::Result<()> {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// What a register's bytes say, and how many at their end were never acknowledged; nothing is
/// changed.
///
/// # Errors
/// [`RegisterError::Damaged`].
pub(crate) fn judged(
    bytes: &[u8],
    domain: &Domain,
    slot: Slot,
) -> Result<(Chain, usize), RegisterError> {
    let (entries, length) = whole_entries(bytes).map_err(|at| RegisterError::Damaged {
        at,
        refused: Refused::Malformed,
    })?;
    let base = entries.iter().rposition(|bytes| is_base(bytes));
    let base = base.unwrap_or(0);
    let last = entries.iter().skip(base).map(Vec::as_slice);
    match Chain::replay(domain, slot, last) {
        Ok(chain) => Ok((chain, bytes.len() - length)),
        Err(refused) => Err(RegisterError::Damaged { at: base, refused }),
    }
}

/// The file of a register that is this one entry.
pub(crate) fn of_one(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(&mut bytes, &entry.to_bytes());
    bytes
}

fn frame(bytes: &mut Vec<u8>, entry: &[u8]) {
    // Entries are at most ENTRY_BYTES_MAX long.
    let length = u32::try_from(entry.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&(!length).to_be_bytes());
    bytes.extend_from_slice(entry);
}

/// The whole entries at the front and the bytes that they take, or the number of the entry whose
/// length is damaged.
fn whole_entries(bytes: &[u8]) -> Result<(Vec<Vec<u8>>, usize), usize> {
    let (mut entries, mut rest) = (Vec::new(), bytes);
    while let Some((header, after)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let Some(length) = length_of(*header) else {
            // A file system that had grown the file before a crash leaves zeros.
            if after.iter().all(|byte| *byte == 0) {
                break;
            }
            return Err(entries.len());
        };
        match after.split_at_checked(length) {
            Some((entry, after)) => {
                entries.push(entry.to_vec());
                rest = after;
            }
            None => break,
        }
    }
    Ok((entries, bytes.len() - rest.len()))
}

fn length_of(header: [u8; HEADER_BYTES]) -> Option<usize> {
    let (length, inverse) = header.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length);
    let sound = (!length).to_be_bytes() == *inverse;
    let length = usize::try_from(length).ok().filter(|_| sound)?;
    (length <= ENTRY_BYTES_MAX).then_some(length)
}

fn is_base(entry: &[u8]) -> bool {
    Entry::from_bytes(entry).is_ok_and(|entry| matches!(entry.record, Record::Base(_)))
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

const _: () = assert!(ENTRY_BYTES_MAX < u32::MAX as usize);

#[cfg(test)]
mod tests;
