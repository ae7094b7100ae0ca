//! Messages longer than a frame: control messages between guest and node, and between nodes.
//!
//! The connection is ordered, so a message is a row of frames of one kind, each beginning with a
//! byte that says whether another follows. One message at a time is under way per direction.

use std::mem;

/// Most bytes of a message in one frame, so that frame header and flag fit into 1 MiB.
pub const CHUNK_BYTES_MAX: usize = 512 * 1024;

/// The chunks of a message, each the body of a frame.
pub fn split(message: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let count = message.len().div_ceil(CHUNK_BYTES_MAX).max(1);
    (0..count).map(move |at| {
        let start = at * CHUNK_BYTES_MAX;
        let end = message.len().min(start + CHUNK_BYTES_MAX);
        let mut body = Vec::with_capacity(1 + end - start);
        body.push(u8::from(at + 1 < count));
        body.extend_from_slice(message.get(start..end).unwrap_or_default());
        body
    })
}

/// Why chunks are not a message: the sender is at fault and the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// A frame without the flag byte, or with another value than 0 or 1.
    #[error("a chunk begins with 0 or 1")]
    Flag,
    /// The message exceeds the receiver's bound.
    #[error("message of more than {0} bytes")]
    TooLong(usize),
}

/// Puts messages together again.
#[derive(Debug)]
pub struct Assembly {
    partial: Vec<u8>,
    bytes_max: usize,
}

impl Assembly {
    /// An empty assembly for messages of at most `bytes_max` bytes.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        Self {
            partial: Vec::new(),
            bytes_max,
        }
    }

    /// Takes the next frame's body; returns the message that it completes.
    ///
    /// # Errors
    /// [`ChunkError`] if the flag is unknown or the message exceeds the bound.
    pub fn push(&mut self, body: &[u8]) -> Result<Option<Vec<u8>>, ChunkError> {
        let (&flag, bytes) = body.split_first().ok_or(ChunkError::Flag)?;
        if flag > 1 {
            return Err(ChunkError::Flag);
        }
        if self.partial.len() + bytes.len() > self.bytes_max {
            return Err(ChunkError::TooLong(self.bytes_max));
        }
        self.partial.extend_from_slice(bytes);
        Ok((flag == 0).then(|| mem::take(&mut self.partial)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_then_push_returns_the_message() {
        for length in [
            0,
            1,
            CHUNK_BYTES_MAX,
            CHUNK_BYTES_MAX + 1,
            3 * CHUNK_BYTES_MAX,
        ] {
            let message: Vec<u8> = (0..length).map(|at| at.to_le_bytes()[0]).collect();
            let mut assembly = Assembly::new(length);
            let bodies: Vec<_> = split(&message).collect();
            let (last, rest) = bodies.split_last().expect("at least one chunk");
            for body in rest {
                assert_eq!(assembly.push(body), Ok(None), "length {length}");
            }
            assert_eq!(assembly.push(last), Ok(Some(message)), "length {length}");
        }
    }

    #[test]
    fn push_refuses_bad_flags_and_long_messages() {
        let cases: [(&[u8], ChunkError); 4] = [
            (&[], ChunkError::Flag),
            (&[2, 1], ChunkError::Flag),
            (&[0, 1, 2, 3, 4], ChunkError::TooLong(3)),
            (&[1, 1, 2, 3, 4], ChunkError::TooLong(3)),
        ];
        for (body, expected) in cases {
            assert_eq!(Assembly::new(3).push(body), Err(expected), "{body:?}");
        }
        let mut assembly = Assembly::new(3);
        assert_eq!(assembly.push(&[1, 1, 2]), Ok(None));
        assert_eq!(assembly.push(&[0, 1, 2]), Err(ChunkError::TooLong(3)));
    }
}
