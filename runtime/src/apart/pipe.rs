//! Frames over a stream: `length u32 big-endian ‖ canonical CBOR`.

use std::io::{self, Read, Write};

use attestation::codec::{self, Malformed};
use serde::Serialize;
use serde::de::DeserializeOwned;

const LENGTH_BYTES: usize = 4;
/// What one read takes at most.
const READ_BYTES: usize = 16 * 1024;

/// The conversation is over.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    /// The other side has closed the stream, between two messages.
    #[error("the other process has closed the connection")]
    Closed,
    /// The stream failed, ended within a message, or was silent too long.
    #[error("connection: {0}")]
    Stream(#[from] io::Error),
    /// A longer message than this side takes.
    #[error("message of {actual} bytes, at most {max} allowed")]
    TooLong {
        /// Announced or to be sent.
        actual: usize,
        /// Allowed.
        max: usize,
    },
    /// Not a message.
    #[error("message: {0}")]
    Malformed(#[from] Malformed),
    /// A message at the wrong time.
    #[error("a message out of turn")]
    OutOfTurn,
}

/// A stream of messages. Holds at most one message that has not been asked for.
pub(super) struct Pipe<S> {
    pub(super) stream: S,
    /// Bytes of the next message.
    received: Vec<u8>,
    buffer: Vec<u8>,
    receive_bytes_max: usize,
    send_bytes_max: usize,
}

impl<S: Read + Write> Pipe<S> {
    pub(super) fn new(stream: S, receive_bytes_max: usize, send_bytes_max: usize) -> Self {
        Self {
            stream,
            received: Vec::new(),
            buffer: vec![0; READ_BYTES],
            receive_bytes_max,
            send_bytes_max,
        }
    }

    pub(super) fn send(&mut self, message: &impl Serialize) -> Result<(), PipeError> {
        let body = codec::encode(message);
        let length = match u32::try_from(body.len()) {
            Ok(length) if body.len() <= self.send_bytes_max => length,
            _ => {
                return Err(PipeError::TooLong {
                    actual: body.len(),
                    max: self.send_bytes_max,
                });
            }
        };
        let frame = [&length.to_be_bytes()[..], &body].concat();
        self.stream.write_all(&frame)?;
        Ok(self.stream.flush()?)
    }

    pub(super) fn receive<T: Serialize + DeserializeOwned>(&mut self) -> Result<T, PipeError> {
        let length = loop {
            if let Some(field) = self.received.first_chunk::<LENGTH_BYTES>() {
                break usize::try_from(u32::from_be_bytes(*field)).unwrap_or(usize::MAX);
            }
            self.fill(self.received.is_empty())?;
        };
        if length > self.receive_bytes_max {
            return Err(PipeError::TooLong {
                actual: length,
                max: self.receive_bytes_max,
            });
        }
        let end = LENGTH_BYTES + length;
        while self.received.len() < end {
            self.fill(false)?;
        }
        let message = codec::decode(
            self.received.get(LENGTH_BYTES..end).unwrap_or_default(),
            self.receive_bytes_max,
        );
        self.received.drain(..end);
        Ok(message?)
    }

    /// One read.
    fn fill(&mut self, may_end: bool) -> Result<(), PipeError> {
        let read = loop {
            match self.stream.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        match self.buffer.get(..read) {
            None | Some([]) if may_end => Err(PipeError::Closed),
            None | Some([]) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Some(bytes) => {
                self.received.extend_from_slice(bytes);
                Ok(())
            }
        }
    }
}
