//! A step's bundle in parts: asked for one after another, from one peer at a time.
//!
//! Sans-IO. The receiver asks for what comes next and holds no more than what it has asked for:
//! a peer that sends what nobody asked for is not listened to, one that changes its mind about
//! length or digest, or whose parts do not make up what it announced, is left for another. A lost
//! part is asked for again at the same place.

use attestation::ids::{Digest, Seq, Slot};
use gateway::BUNDLE_BYTES_MAX;
use sha2::{Digest as _, Sha256};

use crate::peer_message::Part;

/// Most bytes in one part: a frame holds it with room to spare.
pub const PART_BYTES_MAX: usize = 480 * 1024;

const _: () = assert!(PART_BYTES_MAX + 1024 < link::chunk::CHUNK_BYTES_MAX);

/// A bundle under way.
#[derive(Debug)]
pub struct Download {
    peer: Slot,
    seq: Seq,
    /// Digest and length of the whole, as the first part announced them.
    whole: Option<(Digest, usize)>,
    bytes: Vec<u8>,
}

/// What a part did.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nobody asked for it, or it is here already: dropped.
    Ignored,
    /// The next one may be asked for, from this byte on.
    More(u64),
    /// The bundle is whole.
    Whole(Vec<u8>),
}

/// The peer does not keep to what it announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongPart {
    /// Longer than any bundle.
    #[error("a bundle of {0} bytes, at most {BUNDLE_BYTES_MAX} allowed")]
    TooLong(u64),
    /// Another digest or length than the part before.
    #[error("a part of another bundle than the part before")]
    Other,
    /// Empty, too long, or reaching beyond the announced end.
    #[error("a part of {0} bytes, which cannot be")]
    Length(usize),
    /// All parts are here and are not what was announced.
    #[error("the parts do not have the announced digest")]
    Digest,
}

impl Download {
    /// The bundle of `seq` from `peer`, from its beginning.
    #[must_use]
    pub const fn new(peer: Slot, seq: Seq) -> Self {
        Self {
            peer,
            seq,
            whole: None,
            bytes: Vec::new(),
        }
    }

    /// Where the next part begins.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Takes a part from a peer.
    ///
    /// # Errors
    /// [`WrongPart`]: the download is of no use any more.
    pub fn take(&mut self, from: Slot, part: &Part) -> Result<Taken, WrongPart> {
        if (from, part.seq) != (self.peer, self.seq) || part.at != self.at() {
            return Ok(Taken::Ignored);
        }
        let length = usize::try_from(part.length).ok();
        let Some(length) = length.filter(|length| *length <= BUNDLE_BYTES_MAX) else {
            return Err(WrongPart::TooLong(part.length));
        };
        let whole = (part.whole, length);
        if *self.whole.get_or_insert(whole) != whole {
            return Err(WrongPart::Other);
        }
        let left = length.saturating_sub(self.bytes.len());
        let bytes = &part.bytes;
        if bytes.is_empty() || bytes.len() > PART_BYTES_MAX.min(left) {
            return Err(WrongPart::Length(bytes.len()));
        }
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() < length {
            return Ok(Taken::More(self.at()));
        }
        if Sha256::digest(&self.bytes).as_slice() != part.whole.as_bytes() {
            return Err(WrongPart::Digest);
        }
        Ok(Taken::Whole(std::mem::take(&mut self.bytes)))
    }
}

/// A bundle that peers ask for: the last one, so that it is read and put together once.
#[derive(Debug, Default)]
pub struct Upload(Option<(Seq, Digest, std::sync::Arc<[u8]>)>);

impl Upload {
    /// The part of `seq` at `at`, if that bundle is the one at hand.
    #[must_use]
    pub fn part(&self, seq: Seq, at: u64) -> Option<Part> {
        let (here, whole, bytes) = self.0.as_ref()?;
        let start = usize::try_from(at).ok()?;
        let end = bytes.len().min(start.saturating_add(PART_BYTES_MAX));
        let part = bytes.get(start..end).filter(|part| !part.is_empty())?;
        (*here == seq).then(|| Part {
            seq,
            whole: *whole,
            length: bytes.len() as u64,
            at,
            bytes: part.to_vec(),
        })
    }

    /// Whether the bundle of `seq` is at hand.
    #[must_use]
    pub fn holds(&self, seq: Seq) -> bool {
        self.0.as_ref().is_some_and(|(here, ..)| *here == seq)
    }

    /// Takes the bundle of `seq` in place of the one at hand.
    pub fn put(&mut self, seq: Seq, bundle: Vec<u8>) {
        let whole = Digest::from_bytes(Sha256::digest(&bundle).into());
        self.0 = Some((seq, whole, bundle.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEQ: Seq = Seq(5);
    const PEER: Slot = Slot(2);

    fn bundle(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| at.to_le_bytes()[0]).collect()
    }

    fn upload(bundle: &[u8]) -> Upload {
        let mut upload = Upload::default();
        upload.put(SEQ, bundle.to_vec());
        upload
    }

    #[test]
    fn a_bundle_of_many_frames_arrives_whole_whatever_is_lost_or_doubled() {
        for bytes in [
            1,
            PART_BYTES_MAX,
            PART_BYTES_MAX + 1,
            5 * PART_BYTES_MAX + 7,
        ] {
            let bundle = bundle(bytes);
            let (upload, mut download) = (upload(&bundle), Download::new(PEER, SEQ));
            let mut asked = 0;
            let whole = loop {
                let part = upload.part(SEQ, download.at()).expect("within the bundle");
                asked += 1;
                if asked % 3 == 0 {
                    continue; // lost on the way
                }
                match download.take(PEER, &part) {
                    Ok(Taken::More(_)) => {
                        assert_eq!(download.take(PEER, &part), Ok(Taken::Ignored), "doubled");
                    }
                    Ok(Taken::Whole(whole)) => break whole,
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(whole, bundle);
        }
    }

    #[test]
    fn what_nobody_asked_for_is_not_held() {
        let upload = upload(&bundle(3 * PART_BYTES_MAX));
        let first = upload.part(SEQ, 0).expect("the first");
        let second = upload
            .part(SEQ, first.bytes.len() as u64)
            .expect("the second");
        let mut download = Download::new(PEER, SEQ);
        let other = Part {
            seq: Seq(6),
            ..first.clone()
        };
        for (from, part) in [(PEER, &second), (Slot(3), &first), (PEER, &other)] {
            assert_eq!(download.take(from, part), Ok(Taken::Ignored));
            assert_eq!(download.bytes.capacity(), 0);
        }
    }

    #[test]
    fn a_peer_that_does_not_keep_its_word_is_found_out_within_one_part() {
        let upload = upload(&bundle(2 * PART_BYTES_MAX));
        let [first, second] =
            [0, PART_BYTES_MAX as u64].map(|at| upload.part(SEQ, at).expect("a part"));
        let changed = |part: &Part, change: fn(&mut Part)| {
            let mut part = part.clone();
            change(&mut part);
            part
        };
        let endless = |part: &mut Part| part.length = u64::MAX;
        let cases: [(&str, Part, WrongPart); 4] = [
            (
                "endless",
                changed(&first, endless),
                WrongPart::TooLong(u64::MAX),
            ),
            (
                "empty",
                changed(&first, |part| part.bytes.clear()),
                WrongPart::Length(0),
            ),
            (
                "long part",
                changed(&first, |part| part.bytes.push(0)),
                WrongPart::Length(PART_BYTES_MAX + 1),
            ),
            (
                "beyond its end",
                changed(&first, |part| part.length = 10),
                WrongPart::Length(PART_BYTES_MAX),
            ),
        ];
        for (what, part, expected) in cases {
            let mut download = Download::new(PEER, SEQ);
            assert_eq!(download.take(PEER, &part), Err(expected), "{what}");
        }
        let later: [(&str, Part, WrongPart); 3] = [
            (
                "grows",
                changed(&second, |part| part.length += 1),
                WrongPart::Other,
            ),
            (
                "another digest",
                changed(&second, |part| part.whole = Digest::from_bytes([0; 32])),
                WrongPart::Other,
            ),
            (
                "another byte",
                changed(&second, |part| part.bytes[7] ^= 1),
                WrongPart::Digest,
            ),
        ];
        for (what, part, expected) in later {
            let mut download = Download::new(PEER, SEQ);
            assert!(matches!(download.take(PEER, &first), Ok(Taken::More(_))));
            assert_eq!(download.take(PEER, &part), Err(expected), "{what}");
        }
    }

    #[test]
    fn there_is_no_part_outside_of_the_bundle_at_hand() {
        let upload = upload(&bundle(10));
        assert!(upload.holds(SEQ) && !upload.holds(Seq(4)));
        for (seq, at) in [(SEQ, 10), (SEQ, u64::MAX), (Seq(4), 0)] {
            assert_eq!(upload.part(seq, at), None, "{seq} at {at}");
        }
        assert_eq!(Upload::default().part(SEQ, 0), None);
    }
}
