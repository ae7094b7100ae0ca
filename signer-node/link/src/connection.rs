//! The connection itself: a writing half in the guest's loop, a reader thread, a bounded queue.

use std::io::{self, Read, Write as _};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::frame::{FRAME_BYTES_MAX, Frame, FrameError};
use signer_protocol::message::Endpoint;

use crate::chunk::{Assembly, ChunkError, split};
use crate::local::{LINK_VERSION, LOCAL_BYTES_MAX, Role, ToGuest, ToNode};
use crate::secret::LinkToken;

/// Most frames read ahead of the guest's loop.
const QUEUE_FRAMES_MAX: usize = 256;

/// What arrives over the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A packet of another guest, as the relays say; only a channel can tell who sent it.
    Packet {
        /// The sender, claimed.
        from: Endpoint,
        /// The packet.
        payload: Vec<u8>,
    },
    /// A control message of the node.
    Local(Box<ToGuest>),
}

/// Why the connection ended. A guest has one reaction: it exits, and its node starts another.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The socket failed.
    #[error("connection to the node: {0}")]
    Socket(#[from] io::Error),
    /// The node closed the connection.
    #[error("the node closed the connection")]
    Closed,
    /// A frame is not one.
    #[error("frame from the node: {0}")]
    Frame(#[from] FrameError),
    /// Frames do not make up a message.
    #[error("message from the node: {0}")]
    Chunk(#[from] ChunkError),
    /// A message does not decode.
    #[error("message from the node: {0}")]
    Malformed(#[from] attestation::codec::Malformed),
    /// A frame of a kind that guests do not get.
    #[error("the node sent a frame that is for nodes")]
    OutOfTurn,
}

/// A guest's connection to its node.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    arrivals: Receiver<Result<Arrival, LinkError>>,
}

impl Link {
    /// Dials the node and says hello.
    ///
    /// # Errors
    /// [`LinkError::Socket`] if the node cannot be reached.
    pub fn dial(
        node: impl ToSocketAddrs,
        role: Role,
        token: LinkToken,
    ) -> Result<Self, LinkError> {
        let stream = TcpStream::connect(node)?;
        stream.set_nodelay(true)?;
        let (queue, arrivals) = sync_channel(QUEUE_FRAMES_MAX);
        let reading = stream.try_clone()?;
        thread::Builder::new()
            .name("link-reader".into())
            .spawn(move || read_all(reading, &queue))?;
        let mut link = Self { stream, arrivals };
        link.send(&ToNode::Hello {
            version: LINK_VERSION,
            role,
            token,
        })?;
        Ok(link)
    }

    /// Sends a control message to the node.
    ///
    /// # Errors
    /// [`LinkError::Socket`] if the connection is gone.
    pub fn send(&mut self, message: &ToNode) -> Result<(), LinkError> {
        for body in split(&message.to_bytes()) {
            self.stream.write_all(&Frame::Local(body).to_bytes())?;
        }
        Ok(())
    }

    /// Gives a packet to the node, to be relayed.
    ///
    /// # Errors
    /// [`LinkError::Socket`] if the connection is gone.
    pub fn relay(
        &mut self,
        from: Endpoint,
        to: Endpoint,
        payload: Vec<u8>,
    ) -> Result<(), LinkError> {
        let frame = Frame::Relay { from, to, payload };
        Ok(self.stream.write_all(&frame.to_bytes())?)
    }

    /// Waits for the next arrival, at most as long as `wait` says; `None` when that has passed.
    ///
    /// # Errors
    /// [`LinkError`] if the connection has ended.
    pub fn receive(&self, wait: Option<Duration>) -> Result<Option<Arrival>, LinkError> {
        let arrival = match wait {
            None => self.arrivals.recv().map_err(|_| LinkError::Closed)?,
            Some(wait) => match self.arrivals.recv_timeout(wait) {
                Ok(arrival) => arrival,
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => return Err(LinkError::Closed),
            },
        };
        arrival.map(Some)
    }
}

/// Reads one frame: `None` at the end of the stream between frames.
///
/// # Errors
/// [`LinkError::Frame`] if the length exceeds the bound or the bytes are no frame.
pub fn read_frame(stream: &mut impl Read) -> Result<Option<Frame>, LinkError> {
    let mut header = [0; 4];
    match stream.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = Frame::length(header)?;
    let mut rest = vec![0; length.min(FRAME_BYTES_MAX)];
    stream.read_exact(&mut rest)?;
    Ok(Some(Frame::from_bytes(rest)?))
}

fn read_all(mut stream: TcpStream, queue: &SyncSender<Result<Arrival, LinkError>>) {
    let mut assembly = Assembly::new(LOCAL_BYTES_MAX);
    loop {
        let arrival = match next(&mut stream, &mut assembly) {
            Ok(None) => continue,
            Ok(Some(arrival)) => Ok(arrival),
            Err(error) => Err(error),
        };
        let last = arrival.is_err();
        if queue.send(arrival).is_err() || last {
            return;
        }
    }
}

fn next(stream: &mut TcpStream, assembly: &mut Assembly) -> Result<Option<Arrival>, LinkError> {
    match read_frame(stream)?.ok_or(LinkError::Closed)? {
        Frame::Relay { from, payload, .. } => Ok(Some(Arrival::Packet { from, payload })),
        Frame::Local(body) => {
            let Some(message) = assembly.push(&body)? else {
                return Ok(None);
            };
            let message = Box::new(ToGuest::from_bytes(&message)?);
            Ok(Some(Arrival::Local(message)))
        }
        Frame::Peer(_) => Err(LinkError::OutOfTurn),
    }
}
