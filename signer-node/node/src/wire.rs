//! Frames over tokio sockets: the node's end of every link.

use std::io;

use link::chunk::{ChunkError, split};
use signer_protocol::frame::{Frame, FrameError, FrameReader};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes asked of a socket at a time.
const READ_BYTES: usize = 64 * 1024;

/// Why a link is closed by its reader.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The socket failed.
    #[error("socket: {0}")]
    Socket(#[from] io::Error),
    /// A frame is not one.
    #[error("frame: {0}")]
    Frame(#[from] FrameError),
    /// Frames do not make up a message.
    #[error("message: {0}")]
    Chunk(#[from] ChunkError),
    /// A message does not decode.
    #[error("message: {0}")]
    Malformed(#[from] attestation::codec::Malformed),
    /// Right bytes, wrong time or sender.
    #[error("{0}")]
    OutOfTurn(&'static str),
}

/// Cuts what a socket gives into frames.
#[derive(Debug)]
pub struct FrameStream<R> {
    socket: R,
    frames: FrameReader,
    buffer: Vec<u8>,
    taken: usize,
    filled: usize,
}

impl<R: AsyncRead + Unpin> FrameStream<R> {
    /// Reads from `socket`.
    #[must_use]
    pub fn new(socket: R) -> Self {
        Self {
            socket,
            frames: FrameReader::new(),
            buffer: vec![0; READ_BYTES],
            taken: 0,
            filled: 0,
        }
    }

    /// The next frame; `None` at the end of the stream. Cancel safe.
    ///
    /// # Errors
    /// [`WireError::Socket`] or [`WireError::Frame`]; the stream is of no use then.
    pub async fn next(&mut self) -> Result<Option<Frame>, WireError> {
        loop {
            let mut rest = self.buffer.get(self.taken..self.filled).unwrap_or_default();
            let frame = self.frames.read(&mut rest)?;
            self.taken = self.filled - rest.len();
            if frame.is_some() {
                return Ok(frame);
            }
            self.taken = 0;
            self.filled = 0;
            self.filled = self.socket.read(&mut self.buffer).await?;
            if self.filled == 0 {
                return Ok(None);
            }
        }
    }
}

/// A control message to a guest, as it goes over the link.
#[must_use]
pub fn local_bytes(message: &[u8]) -> Vec<u8> {
    chunked(message, Frame::Local)
}

/// A message to a node, as it goes over the link.
#[must_use]
pub fn peer_bytes(message: &[u8]) -> Vec<u8> {
    chunked(message, Frame::Peer)
}

fn chunked(message: &[u8], frame: impl Fn(Vec<u8>) -> Frame) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len() + 64);
    for body in split(message) {
        let framed = frame(body).to_bytes();
        bytes.extend_from_slice(&framed.expect("a chunk is shorter than a frame"));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use link::chunk::{Assembly, CHUNK_BYTES_MAX};

    use super::*;

    #[tokio::test]
    async fn messages_come_back_whole_through_a_socket() {
        let message = vec![7; CHUNK_BYTES_MAX * 2 + 5];
        let bytes = local_bytes(&message);
        let mut stream = FrameStream::new(bytes.as_slice());
        let mut assembly = Assembly::new(message.len());
        let mut read = None;
        while let Some(frame) = stream.next().await.expect("whole frames") {
            let Frame::Local(body) = frame else {
                panic!("another kind")
            };
            read = assembly.push(&body).expect("chunks");
        }
        assert_eq!(read, Some(message));
    }

    #[tokio::test]
    async fn garbage_ends_the_stream() {
        for bytes in [&[0xff; 16][..], &[0, 0, 0, 1, 3], &[0, 0, 0, 0]] {
            let mut stream = FrameStream::new(bytes);
            assert!(matches!(stream.next().await, Err(WireError::Frame(_))));
        }
    }
}
