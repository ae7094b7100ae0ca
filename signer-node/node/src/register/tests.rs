//! A register on disks that tear, fill up and lie.

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
