//! Frames: what travels over the TCP links guest to own node and node to node.
//!
//! `length u32 big-endian ‖ kind u8 ‖ body`, where the length counts kind and body. A relayed
//! frame carries its sender and receiver, 3 bytes each, and a payload that only they can read
//! ([`crate::channel`]). Links are lossy at reconnects; upper layers resend.

use alloc::vec::Vec;

use attestation::ids::Slot;

use crate::message::Endpoint;

/// Longest frame in bytes, without its length field.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Bytes that a relayed frame spends on kind and endpoints.
pub const RELAY_HEADER_BYTES: usize = 1 + 2 * ENDPOINT_BYTES;
/// Bytes of an encoded [`Endpoint`].
pub const ENDPOINT_BYTES: usize = 3;

const LENGTH_BYTES: usize = 4;
const KIND_RELAY: u8 = 0;
const KIND_LOCAL: u8 = 1;
const KIND_PEER: u8 = 2;

const _: () = assert!(FRAME_BYTES_MAX <= u32::MAX as usize);

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Bytes from one endpoint to another; every node in between passes them on.
    Relay {
        /// Sender.
        from: Endpoint,
        /// Receiver.
        to: Endpoint,
        /// A channel packet.
        payload: Vec<u8>,
    },
    /// Control between a guest and its own node, CBOR.
    Local(Vec<u8>),
    /// Control between nodes, CBOR.
    Peer(Vec<u8>),
}

/// Why bytes are not a frame. The link has lost its place and must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`FRAME_BYTES_MAX`].
    #[error("frame of {0} bytes, at most 1048576 allowed")]
    TooLong(usize),
    /// Too short for its kind.
    #[error("frame of {0} bytes is too short for its kind")]
    TooShort(usize),
    /// Unknown kind.
    #[error("unknown frame kind {0}")]
    Kind(u8),
    /// Unknown role, or slot 0.
    #[error("endpoint bytes name no party")]
    Endpoint,
}

impl Frame {
    /// The frame as it goes over a link, length field included.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] if kind and body exceed [`FRAME_BYTES_MAX`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, FrameError> {
        let (kind, endpoints, body) = match self {
            Self::Relay { from, to, payload } => {
                (KIND_RELAY, Some((from.to_bytes(), to.to_bytes())), payload)
            }
            Self::Local(body) => (KIND_LOCAL, None, body),
            Self::Peer(body) => (KIND_PEER, None, body),
        };
        let header = if endpoints.is_some() {
            RELAY_HEADER_BYTES
        } else {
            1
        };
        let length = header.saturating_add(body.len());
        let field = match u32::try_from(length) {
            Ok(field) if length <= FRAME_BYTES_MAX => field,
            _ => return Err(FrameError::TooLong(length)),
        };
        let mut bytes = Vec::with_capacity(LENGTH_BYTES + length);
        bytes.extend_from_slice(&field.to_be_bytes());
        bytes.push(kind);
        if let Some((from, to)) = endpoints {
            bytes.extend_from_slice(&from);
            bytes.extend_from_slice(&to);
        }
        bytes.extend_from_slice(body);
        Ok(bytes)
    }

    /// Parses kind and body.
    fn parse(bytes: &[u8]) -> Result<Self, FrameError> {
        let (kind, body) = bytes.split_first().ok_or(FrameError::TooShort(0))?;
        match *kind {
            KIND_RELAY => {
                let short = FrameError::TooShort(bytes.len());
                let (from, rest) = body.split_first_chunk().ok_or(short)?;
                let (to, payload) = rest.split_first_chunk().ok_or(short)?;
                Ok(Self::Relay {
                    from: Endpoint::from_bytes(*from)?,
                    to: Endpoint::from_bytes(*to)?,
                    payload: payload.to_vec(),
                })
            }
            KIND_LOCAL => Ok(Self::Local(body.to_vec())),
            KIND_PEER => Ok(Self::Peer(body.to_vec())),
            other => Err(FrameError::Kind(other)),
        }
    }
}

impl Endpoint {
    /// Role, then slot or rank big-endian.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; ENDPOINT_BYTES] {
        let (role, index) = match self {
            Self::Signer(slot) => (1, slot.0),
            Self::Executor(slot) => (2, slot.0),
            Self::Coordinator(rank) => (3, rank),
            Self::Node(slot) => (4, slot.0),
        };
        let [high, low] = index.to_be_bytes();
        [role, high, low]
    }

    /// Parses what [`Self::to_bytes`] writes.
    ///
    /// # Errors
    /// [`FrameError::Endpoint`] if the role is unknown or the slot is 0.
    pub const fn from_bytes(bytes: [u8; ENDPOINT_BYTES]) -> Result<Self, FrameError> {
        let [role, high, low] = bytes;
        let index = u16::from_be_bytes([high, low]);
        match (role, index) {
            (3, rank) => Ok(Self::Coordinator(rank)),
            (1, 1..) => Ok(Self::Signer(Slot(index))),
            (2, 1..) => Ok(Self::Executor(Slot(index))),
            (4, 1..) => Ok(Self::Node(Slot(index))),
            _ => Err(FrameError::Endpoint),
        }
    }
}

/// Cuts a byte stream into frames. Holds at most one frame, and of it only bytes that arrived.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
    failed: Option<FrameError>,
}

impl FrameReader {
    /// A reader at the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            buffer: Vec::new(),
            failed: None,
        }
    }

    /// Takes bytes from the front of `input` until a frame is whole or `input` is empty.
    ///
    /// # Errors
    /// [`FrameError`]; every later call returns the same, since a stream has no second start.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.advance(input)
            .inspect_err(|error| self.failed = Some(*error))
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        if !self.fill(LENGTH_BYTES, input) {
            return Ok(None);
        }
        let field = self.buffer.first_chunk().copied().unwrap_or_default();
        let length = usize::try_from(u32::from_be_bytes(field)).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong(length));
        }
        if !self.fill(LENGTH_BYTES + length, input) {
            return Ok(None);
        }
        let frame = Frame::parse(self.buffer.get(LENGTH_BYTES..).unwrap_or_default());
        self.buffer.clear();
        frame.map(Some)
    }

    /// Grows the buffer to `target` bytes if the input has them.
    fn fill(&mut self, target: usize, input: &mut &[u8]) -> bool {
        let missing = target.saturating_sub(self.buffer.len());
        let (now, later) = input.split_at(missing.min(input.len()));
        self.buffer.extend_from_slice(now);
        *input = later;
        self.buffer.len() >= target
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn frames() -> Vec<Frame> {
        vec![
            Frame::Relay {
                from: Endpoint::Signer(Slot(1)),
                to: Endpoint::Coordinator(0),
                payload: vec![7; 300],
            },
            Frame::Local(vec![]),
            Frame::Peer(vec![1, 2, 3]),
        ]
    }

    #[test]
    fn frames_survive_any_cut_of_the_stream() {
        let stream: Vec<u8> = frames()
            .iter()
            .flat_map(|frame| frame.to_bytes().unwrap())
            .collect();
        for chunk_bytes in [1, 2, 3, 5, 64, stream.len()] {
            let (mut reader, mut read) = (FrameReader::new(), vec![]);
            for mut chunk in stream.chunks(chunk_bytes) {
                while let Some(frame) = reader.read(&mut chunk).unwrap() {
                    read.push(frame);
                }
                assert!(chunk.is_empty());
            }
            assert_eq!(read, frames(), "chunks of {chunk_bytes}");
        }
    }

    #[test]
    fn bad_streams_fail_for_good_and_without_allocating() {
        let relay = |endpoint: [u8; 3]| [&[0, 0, 0, 7, 0][..], &endpoint, &endpoint].concat();
        let cases: [(&str, Vec<u8>, FrameError); 7] = [
            (
                "length",
                vec![0, 0x10, 0, 1],
                FrameError::TooLong(FRAME_BYTES_MAX + 1),
            ),
            (
                "largest length",
                vec![0xff; 4],
                FrameError::TooLong(u32::MAX as usize),
            ),
            ("no kind", vec![0; 4], FrameError::TooShort(0)),
            ("kind", vec![0, 0, 0, 1, 9], FrameError::Kind(9)),
            ("cut relay", vec![0, 0, 0, 2, 0, 1], FrameError::TooShort(2)),
            ("role", relay([5, 0, 1]), FrameError::Endpoint),
            ("slot 0", relay([1, 0, 0]), FrameError::Endpoint),
        ];
        for (name, bytes, expected) in cases {
            let mut reader = FrameReader::new();
            assert_eq!(reader.read(&mut &bytes[..]), Err(expected), "{name}");
            assert_eq!(
                reader.read(&mut &[0, 0, 0, 1, 1][..]),
                Err(expected),
                "{name}"
            );
            assert!(reader.buffer.capacity() < 64, "{name}");
        }
    }

    #[test]
    fn the_longest_frame_passes_and_a_longer_one_is_not_written() {
        let longest = Frame::Local(vec![1; FRAME_BYTES_MAX - 1]);
        let bytes = longest.to_bytes().unwrap();
        assert_eq!(FrameReader::new().read(&mut &bytes[..]), Ok(Some(longest)));
        assert_eq!(
            Frame::Local(vec![1; FRAME_BYTES_MAX]).to_bytes(),
            Err(FrameError::TooLong(FRAME_BYTES_MAX + 1))
        );
    }

    #[test]
    fn endpoints_survive_their_encoding() {
        for endpoint in [
            Endpoint::Signer(Slot(1)),
            Endpoint::Executor(Slot(150)),
            Endpoint::Coordinator(0),
            Endpoint::Node(Slot(u16::MAX)),
        ] {
            assert_eq!(Endpoint::from_bytes(endpoint.to_bytes()), Ok(endpoint));
        }
    }
}
