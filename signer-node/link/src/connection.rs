//! The connection itself: a writing half in the guest's loop, a reader thread, a bounded queue.

use std::io::{self, Read, Write as _};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use signer_protocol::frame::{Frame, FrameError, FrameReader};
use signer_protocol::message::Endpoint;

use crate::chunk::{Assembly, ChunkError, split};
use crate::local::{LINK_VERSION, LOCAL_BYTES_MAX, Role, ToGuest, ToNode};
use crate::secret::LinkToken;

/// Most frames read ahead of the guest's loop.
const QUEUE_FRAMES_MAX: usize = 256;
/// Bytes asked of the socket at a time.
const READ_BYTES: usize = 64 * 1024;

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
    /// A [`Waker`] was used.
    Woken,
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
    queue: SyncSender<Result<Arrival, LinkError>>,
}

/// Wakes the guest's loop from another of its threads.
#[derive(Clone, Debug)]
pub struct Waker(SyncSender<Result<Arrival, LinkError>>);

impl Waker {
    /// Makes [`Link::receive`] return. A loop that has ended needs no waking.
    pub fn wake(&self) {
        let _ = self.0.send(Ok(Arrival::Woken));
    }
}

impl Link {
    /// Dials the node and says hello.
    ///
    /// # Errors
    /// [`LinkError::Socket`] if the node cannot be reached.
    pub fn dial(node: impl ToSocketAddrs, role: Role, token: LinkToken) -> Result<Self, LinkError> {
        let stream = TcpStream::connect(node)?;
        stream.set_nodelay(true)?;
        let (queue, arrivals) = sync_channel(QUEUE_FRAMES_MAX);
        let reading = stream.try_clone()?;
        let filling = queue.clone();
        thread::Builder::new()
            .name("link-reader".into())
            .spawn(move || read_all(reading, &filling))?;
        let mut link = Self {
            stream,
            arrivals,
            queue,
        };
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
            self.stream.write_all(&Frame::Local(body).to_bytes()?)?;
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
        Ok(self.stream.write_all(&frame.to_bytes()?)?)
    }

    /// Wakes [`Self::receive`] from another thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker(self.queue.clone())
    }

    /// Waits for the next arrival, at most as long as `wait` says; `None` when that has passed.
    /// A ping is answered here: whoever takes arrivals is at work.
    ///
    /// # Errors
    /// [`LinkError`] if the connection has ended.
    pub fn receive(&self, wait: Option<Duration>) -> Result<Option<Arrival>, LinkError> {
        loop {
            let arrival = match wait {
                None => self.arrivals.recv().map_err(|_| LinkError::Closed)?,
                Some(wait) => match self.arrivals.recv_timeout(wait) {
                    Ok(arrival) => arrival,
                    Err(RecvTimeoutError::Timeout) => return Ok(None),
                    Err(RecvTimeoutError::Disconnected) => return Err(LinkError::Closed),
                },
            };
            match arrival? {
                Arrival::Local(message) if *message == ToGuest::Ping => {
                    for body in split(&ToNode::Pong.to_bytes()) {
                        (&self.stream).write_all(&Frame::Local(body).to_bytes()?)?;
                    }
                }
                arrival => return Ok(Some(arrival)),
            }
        }
    }
}

fn read_all(mut stream: TcpStream, queue: &SyncSender<Result<Arrival, LinkError>>) {
    let mut arrivals = Arrivals {
        frames: FrameReader::new(),
        assembly: Assembly::new(LOCAL_BYTES_MAX),
    };
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let taken = match stream.read(&mut buffer) {
            Ok(0) => Err(LinkError::Closed),
            Ok(count) => arrivals.take(buffer.get(..count).unwrap_or_default(), queue),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = taken {
            // Fails only when the guest is ending already.
            let _ = queue.send(Err(error));
            return;
        }
    }
}

struct Arrivals {
    frames: FrameReader,
    assembly: Assembly,
}

impl Arrivals {
    fn take(
        &mut self,
        mut input: &[u8],
        queue: &SyncSender<Result<Arrival, LinkError>>,
    ) -> Result<(), LinkError> {
        while let Some(frame) = self.frames.read(&mut input)? {
            if let Some(arrival) = self.arrival(frame)? {
                queue.send(Ok(arrival)).map_err(|_| LinkError::Closed)?;
            }
        }
        Ok(())
    }

    fn arrival(&mut self, frame: Frame) -> Result<Option<Arrival>, LinkError> {
        match frame {
            Frame::Relay { from, payload, .. } => Ok(Some(Arrival::Packet { from, payload })),
            Frame::Local(body) => {
                let Some(message) = self.assembly.push(&body)? else {
                    return Ok(None);
                };
                let message = ToGuest::from_bytes(&message)?;
                Ok(Some(Arrival::Local(Box::new(message))))
            }
            Frame::Peer(_) => Err(LinkError::OutOfTurn),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use attestation::ids::Slot;

    use super::*;

    /// A guest's link and the node's end of it, after the hello.
    fn pair() -> (Link, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        let token = LinkToken::from_bytes([7; 32]);
        let link = Link::dial(address, Role::Signer, token.clone()).expect("listening");
        let (mut node, _) = listener.accept().expect("dialled");
        let hello = ToNode::Hello {
            version: LINK_VERSION,
            role: Role::Signer,
            token,
        };
        let body = split(&hello.to_bytes()).next().expect("one chunk");
        let expected = Frame::Local(body).to_bytes().expect("short");
        let mut bytes = vec![0; expected.len()];
        node.read_exact(&mut bytes).expect("the hello");
        assert_eq!(bytes, expected);
        (link, node)
    }

    fn local(message: &ToGuest) -> Vec<u8> {
        let message = message.to_bytes();
        let bodies = split(&message).map(|body| Frame::Local(body).to_bytes());
        bodies.flat_map(|bytes| bytes.expect("short")).collect()
    }

    #[test]
    fn packets_and_messages_arrive_in_order() {
        let (link, mut node) = pair();
        let packet = Frame::Relay {
            from: Endpoint::Coordinator(0),
            to: Endpoint::Signer(Slot(1)),
            payload: vec![1, 2, 3],
        };
        node.write_all(&packet.to_bytes().expect("short"))
            .expect("open");
        let refused = ToGuest::Executable(true);
        node.write_all(&local(&refused)).expect("open");
        let first = link.receive(None).expect("open");
        assert_eq!(
            first,
            Some(Arrival::Packet {
                from: Endpoint::Coordinator(0),
                payload: vec![1, 2, 3],
            })
        );
        let second = link.receive(None).expect("open");
        assert_eq!(second, Some(Arrival::Local(Box::new(refused))));
        assert_eq!(link.receive(Some(Duration::ZERO)).expect("open"), None);
    }

    #[test]
    fn a_ping_is_answered_by_whoever_waits_for_something_else() {
        let (link, mut node) = pair();
        let told = ToGuest::Executable(true);
        for message in [&ToGuest::Ping, &told] {
            node.write_all(&local(message)).expect("open");
        }
        let arrived = link.receive(None).expect("open");
        assert_eq!(arrived, Some(Arrival::Local(Box::new(told))));
        let mut body = vec![0];
        body.extend(ToNode::Pong.to_bytes());
        let pong = Frame::Local(body).to_bytes().expect("short");
        let mut answer = vec![0; pong.len()];
        node.read_exact(&mut answer).expect("open");
        assert_eq!(answer, pong);
    }

    #[test]
    fn bad_frames_end_the_connection_with_their_reason() {
        let over = ToGuest::Executable(true).to_bytes();
        let cases: [(Vec<u8>, &str); 5] = [
            (vec![0xff; 4], "frame of 4294967295 bytes"),
            (vec![0, 0, 0, 1, 9], "unknown frame kind 9"),
            (vec![0, 0, 0, 2, 2, 0], "a frame that is for nodes"),
            (vec![0, 0, 0, 2, 1, 5], "a chunk begins with 0 or 1"),
            (
                Frame::Local([&[0], &over[..], &[0]].concat())
                    .to_bytes()
                    .expect("short"),
                "not the expected structure",
            ),
        ];
        for (bytes, reason) in cases {
            let (link, mut node) = pair();
            node.write_all(&bytes).expect("open");
            let error = link.receive(None).expect_err("refused").to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn the_end_of_the_node_ends_the_guest() {
        let (link, node) = pair();
        drop(node);
        assert!(matches!(link.receive(None), Err(LinkError::Closed)));
    }
}
