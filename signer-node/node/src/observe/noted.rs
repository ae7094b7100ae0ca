//! For which requests this member has observed, and in which step last: on disk, so that no restart
//! makes it observe twice for one.

use std::collections::VecDeque;
use std::io;

use attestation::codec;
use attestation::ids::{RequestId, Seq};
use serde::{Deserialize, Serialize};

use crate::disk::Disk;

/// Most requests that are noted; the oldest goes. As many as wait at once, and more.
pub const NOTED_MAX: usize = 4096;
/// How often a member observes for one request at most.
pub const ROUNDS_MAX: u8 = 3;
/// The file.
pub const FILE: &str = "observed.record";
/// Longest file that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What is noted, the oldest first.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted(VecDeque<Note>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    request: RequestId,
    seq: Seq,
    rounds: u8,
}

impl Noted {
    /// What was noted before.
    ///
    /// # Errors
    /// The disk's; [`io::ErrorKind::InvalidData`] if the file is not one.
    pub fn load(disk: &dyn Disk) -> io::Result<Self> {
        let Some(bytes) = disk.load(FILE, FILE_BYTES_MAX)? else {
            return Ok(Self::default());
        };
        let length = usize::try_from(FILE_BYTES_MAX).unwrap_or(usize::MAX);
        codec::decode(&bytes, length)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{FILE}: {error}")))
    }

    /// Whether this member may observe for a request in this step.
    #[must_use]
    pub fn may(&self, request: &RequestId, seq: Seq) -> bool {
        let note = self.0.iter().find(|note| note.request == *request);
        note.is_none_or(|note| note.seq < seq && note.rounds < ROUNDS_MAX)
    }

    /// Notes durably that this member observes for a request in this step.
    ///
    /// # Errors
    /// The disk's, and [`io::ErrorKind::AlreadyExists`] if it has already: nothing may be signed.
    pub fn note(&mut self, disk: &dyn Disk, request: RequestId, seq: Seq) -> io::Result<()> {
        if !self.may(&request, seq) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let place = self.0.iter().position(|note| note.request == request);
        let old = place.and_then(|place| self.0.remove(place));
        self.0.push_back(Note {
            request,
            seq,
            rounds: old.map_or(0, |old| old.rounds) + 1,
        });
        if self.0.len() > NOTED_MAX {
            self.0.pop_front();
        }
        disk.replace(FILE, &codec::encode(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Directory;

    fn id(byte: u8) -> RequestId {
        RequestId::from_bytes([byte; 32])
    }

    #[test]
    fn a_member_observes_once_for_a_request_and_step_also_after_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = Directory::open(dir.path()).expect("it is free");
        let mut noted = Noted::load(&disk).expect("nothing there");
        noted.note(&disk, id(1), Seq(5)).expect("the first time");
        noted.note(&disk, id(2), Seq(5)).expect("another request");
        let mut noted = Noted::load(&disk).expect("as written");
        for (request, seq, may) in [(1, 4, false), (1, 5, false), (1, 6, true), (3, 1, true)] {
            assert_eq!(noted.may(&id(request), Seq(seq)), may, "{request} at {seq}");
        }
        assert!(noted.note(&disk, id(1), Seq(5)).is_err());
        for seq in [6, 7] {
            noted.note(&disk, id(1), Seq(seq)).expect("a later step");
        }
        assert!(!noted.may(&id(1), Seq(8)), "rounds are bounded");
    }

    #[test]
    fn what_is_noted_is_bounded_and_the_newest_stay() {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = Directory::open(dir.path()).expect("it is free");
        let mut noted = Noted::default();
        let note = |at: usize| Note {
            request: RequestId::from_bytes([u8::try_from(at % 251).expect("small"); 32]),
            seq: Seq(1),
            rounds: 1,
        };
        noted.0.extend((0..NOTED_MAX).map(note));
        noted.note(&disk, id(255), Seq(1)).expect("it fits");
        assert_eq!(noted.0.len(), NOTED_MAX);
        assert_eq!(Noted::load(&disk).expect("below the bound"), noted);
    }
}
