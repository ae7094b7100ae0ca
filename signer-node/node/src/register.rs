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
const FILE: &str = "register";
/// Largest register that is read: far beyond what is left between two bases.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
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
mod tests {
    use std::sync::{Mutex, MutexGuard};

    use attestation::ids::{Boot, CommitteeId, NetworkId, View};

    use super::*;

    const SLOT: Slot = Slot(1);

    fn domain() -> Domain {
        Domain {
            network: NetworkId(1),
            committee: CommitteeId::from_bytes([9; 32]),
        }
    }

    /// A disk in memory that takes at most `room` bytes in its one file.
    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<(Vec<u8>, Option<usize>)>>);

    impl Memory {
        fn file(&self) -> MutexGuard<'_, (Vec<u8>, Option<usize>)> {
            self.0.lock().expect("no panic under the lock")
        }

        fn room(&self, room: Option<usize>) {
            self.file().1 = room;
        }

        fn open(&self) -> Result<Register, RegisterError> {
            Register::open(Arc::new(self.clone()), &domain(), SLOT)
        }
    }

    impl Disk for Memory {
        fn load(&self, _name: &str, _bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
            Ok(Some(self.file().0.clone()))
        }

        fn replace(&self, _name: &str, bytes: &[u8]) -> io::Result<()> {
            self.file().0 = bytes.to_vec();
            Ok(())
        }

        fn log(&self, _name: &str) -> io::Result<Box<dyn Log>> {
            Ok(Box::new(self.clone()))
        }
    }

    impl Log for Memory {
        fn read(&mut self, _bytes_max: u64) -> io::Result<Vec<u8>> {
            Ok(self.file().0.clone())
        }

        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            let mut file = self.file();
            let room = file.1.unwrap_or(usize::MAX);
            let taken = bytes.len().min(room.saturating_sub(file.0.len()));
            file.0.extend_from_slice(&bytes[..taken]);
            if taken < bytes.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        }

        fn truncate(&mut self, length: u64) -> io::Result<()> {
            let length = usize::try_from(length).expect("short");
            self.file().0.truncate(length);
            Ok(())
        }
    }

    /// The signer's side: entries of one start and `views` views.
    fn entries(chain: &mut Chain, views: u64) -> Vec<Vec<u8>> {
        let boot = chain.next_boot().expect("far from the end");
        let first = chain.standing().view.0 + 1;
        let views = (first..first + views).map(|view| Record::View(View(view)));
        std::iter::once(Record::Boot(boot))
            .chain(views)
            .map(|record| {
                let appended = chain.append(record).expect("the rules allow it");
                appended.entry.expect("new").to_bytes()
            })
            .collect()
    }

    #[test]
    fn acknowledged_entries_are_there_after_a_restart() {
        let disk = Memory::default();
        let mut signer = Chain::new(&domain(), SLOT);
        let entries = entries(&mut signer, 3);
        let (last, error) = disk.open().expect("empty").append(&entries);
        assert_eq!((last, error.is_none()), (Some(3), true));
        let reopened = disk.open().expect("whole");
        assert_eq!(reopened.entries(), entries);
        assert_eq!(reopened.chain().standing(), signer.standing());
    }

    #[test]
    fn a_torn_tail_is_cut_off_and_appending_goes_on() {
        let mut signer = Chain::new(&domain(), SLOT);
        let entries = entries(&mut signer, 2);
        let tails: [&[u8]; 5] = [
            &[0],
            &[0, 0, 0, 9, 0xff, 0xff, 0xff, 0xf6, 1, 2],
            // The file had grown, and the first of its sectors had been written.
            &[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0; 64],
            &[0xff; 7],
        ];
        for tail in tails {
            let disk = Memory::default();
            let (kept, torn) = entries.split_at(2);
            assert!(disk.open().expect("empty").append(kept).1.is_none());
            disk.file().0.extend_from_slice(tail);
            let mut register = disk.open().expect("repaired");
            assert_eq!(register.entries(), kept, "{tail:?}");
            assert_eq!(register.append(torn).0, Some(2), "{tail:?}");
            assert_eq!(disk.open().expect("whole").entries(), entries, "{tail:?}");
        }
    }

    #[test]
    fn a_damaged_entry_before_the_tail_is_refused_and_not_repaired() {
        let disk = Memory::default();
        let entries = entries(&mut Chain::new(&domain(), SLOT), 3);
        assert!(disk.open().expect("empty").append(&entries).1.is_none());
        for at in [10, entries[0].len() + 20] {
            let good = disk.file().0.clone();
            disk.file().0[at] ^= 1;
            assert!(disk.open().is_err(), "byte {at}");
            disk.file().0 = good;
        }
        assert!(disk.open().is_ok());
    }

    #[test]
    fn no_damaged_bit_before_the_tail_makes_the_register_forget() {
        let disk = Memory::default();
        let entries = entries(&mut Chain::new(&domain(), SLOT), 3);
        assert!(disk.open().expect("empty").append(&entries).1.is_none());
        let good = disk.file().0.clone();
        for bit in 0..good.len() * 8 {
            disk.file().0[bit / 8] ^= 0x80 >> (bit % 8);
            assert!(disk.open().is_err(), "bit {bit}");
            let (damaged, whole) = (disk.file().0.len(), good.len());
            assert_eq!(damaged, whole, "bit {bit}: nothing is thrown away");
            disk.file().0.clone_from(&good);
        }
    }

    #[test]
    fn a_paused_twin_is_refused_and_the_other_goes_on() {
        let disk = Memory::default();
        let mut register = disk.open().expect("empty");
        let mut paused = Chain::new(&domain(), SLOT);
        assert!(register.append(&entries(&mut paused, 1)).1.is_none());
        let mut awake = paused.clone();
        assert!(register.append(&entries(&mut awake, 1)).1.is_none());
        // The one that slept wakes: wrong predecessor, and an earlier start.
        let late = paused
            .append(Record::View(View(7)))
            .expect("its own copy allows it");
        let late = late.entry.expect("new").to_bytes();
        let (last, error) = register.append(&[late]);
        assert_eq!(last, None);
        assert!(matches!(
            error,
            Some(AppendError::Refused(Refused::Predecessor { .. }))
        ));
        let next = awake
            .append(Record::View(View(8)))
            .expect("the rules allow it");
        let next = next.entry.expect("new").to_bytes();
        assert!(register.append(&[next]).1.is_none());
    }

    #[test]
    fn an_entry_of_an_earlier_start_is_refused_even_in_its_place() {
        let disk = Memory::default();
        let mut register = disk.open().expect("empty");
        let mut signer = Chain::new(&domain(), SLOT);
        assert!(register.append(&entries(&mut signer, 1)).1.is_none());
        assert!(register.append(&entries(&mut signer, 0)).1.is_none());
        let appended = signer
            .append(Record::View(View(5)))
            .expect("the rules allow it");
        let mut entry = appended.entry.expect("new");
        entry.boot = Boot(1);
        let forged = register.append(&[entry.to_bytes()]).1;
        assert!(
            matches!(forged, Some(AppendError::Refused(_))),
            "its hash covers the start"
        );
    }

    #[test]
    fn a_full_disk_refuses_and_forgets_nothing_once_there_is_room() {
        let disk = Memory::default();
        let mut register = disk.open().expect("empty");
        let mut signer = Chain::new(&domain(), SLOT);
        let first = entries(&mut signer, 1);
        assert!(register.append(&first).1.is_none());
        let full = disk.file().0.len() + 10;
        disk.room(Some(full));
        let second = entries(&mut signer, 1);
        let (last, error) = register.append(&second);
        assert_eq!(last, None);
        assert!(matches!(error, Some(AppendError::Disk(_))));
        assert!(
            disk.file().0.len() == full,
            "half an entry stands at the end"
        );
        disk.room(None);
        assert_eq!(
            register.append(&second).0,
            Some(3),
            "the half-written tail is cut off"
        );
        let reopened = disk.open().expect("whole");
        assert_eq!(reopened.entries(), [first, second].concat());
    }

    #[test]
    fn a_base_lets_the_file_forget_what_precedes_it() {
        let disk = Memory::default();
        let mut register = disk.open().expect("empty");
        let mut signer = Chain::new(&domain(), SLOT);
        assert!(register.append(&entries(&mut signer, 200)).1.is_none());
        let long = disk.file().0.len();
        let base = Record::Base(Box::new(signer.standing().clone()));
        let base = signer
            .append(base)
            .expect("the rules allow it")
            .entry
            .expect("new");
        assert!(register.append(&[base.to_bytes()]).1.is_none());
        assert!(disk.file().0.len() < long / 10);
        assert!(register.append(&entries(&mut signer, 1)).1.is_none());
        let reopened = disk.open().expect("whole");
        assert_eq!(reopened.chain().standing(), signer.standing());
        assert_eq!(reopened.entries().len(), 3);
    }
}
