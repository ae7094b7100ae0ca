//! Connections between nodes: each dials every other and sends over the connection that it
//! dialled; what it accepted it only reads. Two simplex links need no agreement on which of two
//! simultaneous connections stays.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use attestation::ids::Slot;
use link::chunk::Assembly;
use signer_protocol::frame::Frame;
use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use crate::board::Board;
use crate::peer_message::{PEER_BYTES_MAX, PeerMessage};
use crate::relay::{Relayed, Routes};
use crate::wire::{FrameStream, WireError, peer_bytes};

/// Most connections accepted at a time, those that have not said hello included.
const CONNECTIONS_MAX: usize = 1024;
/// Most connections of one peer; each may hold a half-received message. A peer that lost its power
/// dials anew long before this side notices: the oldest goes.
const CONNECTIONS_PER_PEER_MAX: usize = 2;
/// First and longest pause before dialling again.
const REDIAL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How long a connection may take to come up or to say hello.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a peer may take to accept what is sent to it, and what was sent may go without an
/// acknowledgement: where a network drops packets, TCP tries a quarter of an hour, ever more rarely.
const STALL: Duration = Duration::from_secs(20);

/// Where a peer listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    /// A host and port.
    Host(String),
    /// A file that holds the address, read at every dialling.
    File(PathBuf),
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(address) => formatter.write_str(address),
            Self::File(path) => write!(formatter, "@{}", path.display()),
        }
    }
}

/// A peer as the operator names it: `SLOT=HOST:PORT`, or `SLOT=@FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The member.
    pub slot: Slot,
    /// Where it listens.
    pub address: PeerAddress,
}

/// The text is not a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a peer is SLOT=HOST:PORT or SLOT=@FILE")]
pub struct ParsePeerError;

impl FromStr for Peer {
    type Err = ParsePeerError;

    fn from_str(text: &str) -> Result<Self, ParsePeerError> {
        let (slot, address) = text.split_once('=').ok_or(ParsePeerError)?;
        let slot = slot.parse().map_err(|_| ParsePeerError)?;
        if slot == 0 || address.is_empty() {
            return Err(ParsePeerError);
        }
        let address = match address.strip_prefix('@') {
            Some(file) => PeerAddress::File(file.into()),
            None => PeerAddress::Host(address.into()),
        };
        Ok(Self {
            slot: Slot(slot),
            address,
        })
    }
}

impl PeerAddress {
    fn resolve(&self) -> io::Result<String> {
        match self {
            Self::Host(address) => Ok(address.clone()),
            Self::File(path) => Ok(std::fs::read_to_string(path)?.trim().to_owned()),
        }
    }
}

/// Where what arrives from peers and is not relayed goes, each to who answers that peer.
#[derive(Debug, Default)]
pub struct Inbox(Mutex<BTreeMap<Slot, mpsc::Sender<PeerMessage>>>);

impl Inbox {
    /// Takes in who answers a peer.
    pub fn answer(&self, peer: Slot, queue: mpsc::Sender<PeerMessage>) {
        self.queues().insert(peer, queue);
    }

    fn of(&self, peer: Slot) -> Option<mpsc::Sender<PeerMessage>> {
        self.queues().get(&peer).cloned()
    }

    fn queues(&self) -> MutexGuard<'_, BTreeMap<Slot, mpsc::Sender<PeerMessage>>> {
        // Every change under the lock is one call: a panic leaves a whole map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a connection to a peer and sends it what its queue holds. What waits while the peer is
/// away is dropped: it would be stale.
pub async fn dial(
    peer: Peer,
    hello: PeerMessage,
    mut queue: mpsc::Receiver<Vec<u8>>,
    board: Arc<Board>,
    connected: mpsc::Sender<Slot>,
) {
    let mut pause = REDIAL.0;
    loop {
        if let Ok(mut socket) = connect(&peer.address, &hello).await {
            tracing::info!(peer = peer.slot.0, "peer connected");
            let began = tokio::time::Instant::now();
            while queue.try_recv().is_ok() {}
            board.peer_up(peer.slot, true);
            // The node sends its head and what waits; a closed inbox means that it ends.
            if connected.send(peer.slot).await.is_err() {
                return;
            }
            let ended = pump(&mut socket, &mut queue).await;
            board.peer_up(peer.slot, false);
            match ended {
                Ok(()) => return,
                Err(error) => tracing::info!(peer = peer.slot.0, %error, "peer lost"),
            }
            // Whoever hangs up at once is another service, or a node that refuses this one.
            if began.elapsed() > REDIAL.1 {
                pause = REDIAL.0;
            }
        }
        let until = tokio::time::Instant::now() + pause;
        while let Ok(received) = tokio::time::timeout_at(until, queue.recv()).await {
            if received.is_none() {
                return;
            }
        }
        pause = (pause * 2).min(REDIAL.1);
    }
}

async fn connect(address: &PeerAddress, hello: &PeerMessage) -> io::Result<TcpStream> {
    let address = address.resolve()?;
    let mut socket = timeout(PATIENCE, TcpStream::connect(address)).await??;
    socket.set_nodelay(true)?;
    SockRef::from(&socket).set_tcp_user_timeout(Some(STALL))?;
    socket.write_all(&peer_bytes(&hello.to_bytes())).await?;
    Ok(socket)
}

/// Sends until the queue ends (`Ok`) or the connection does.
async fn pump(socket: &mut TcpStream, queue: &mut mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    let mut nothing = [0; 1];
    let (mut reading, mut writing) = socket.split();
    loop {
        tokio::select! {
            bytes = queue.recv() => match bytes {
                Some(bytes) => timeout(STALL, writing.write_all(&bytes)).await??,
                None => return Ok(()),
            },
            // The other side never writes here: any answer is its end.
            _ = tokio::io::AsyncReadExt::read(&mut reading, &mut nothing) => {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
    }
}

/// Accepts peers' connections and reads them.
pub async fn listen(
    listener: TcpListener,
    hello: PeerMessage,
    routes: Arc<Routes>,
    inbox: Arc<Inbox>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = Arc::new(Connections::default());
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let (socket, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: others will be closed.
                tracing::warn!(%error, "cannot accept a peer");
                tokio::time::sleep(REDIAL.0).await;
                continue;
            }
        };
        let (hello, routes, inbox) = (hello.clone(), Arc::clone(&routes), Arc::clone(&inbox));
        let connections = Arc::clone(&connections);
        tokio::spawn(async move {
            let read = read(socket, address, &hello, &routes, &inbox, &connections);
            if let Err(error) = read.await {
                tracing::info!(%address, %error, "closed a peer's connection");
            }
            drop(place);
        });
    }
}

async fn read(
    socket: TcpStream,
    address: SocketAddr,
    own: &PeerMessage,
    routes: &Routes,
    inbox: &Inbox,
    connections: &Connections,
) -> Result<(), WireError> {
    let mut frames = FrameStream::new(socket);
    let mut assembly = Assembly::new(HELLO_BYTES_MAX);
    let first = timeout(PATIENCE, frames.next()).await;
    let first = first.map_err(|_| WireError::OutOfTurn("no hello"))??;
    let Some(Frame::Peer(body)) = first else {
        return Err(WireError::OutOfTurn("no hello"));
    };
    let hello = assembly
        .push(&body)?
        .ok_or(WireError::OutOfTurn("no hello"))?;
    let peer = introduced(&PeerMessage::from_bytes(&hello)?, own, routes)?;
    tracing::debug!(%address, peer = peer.0, "peer accepted");
    let mut assembly = Assembly::new(PEER_BYTES_MAX);
    let Some(inbox) = inbox.of(peer) else {
        return Ok(());
    };
    let mut replaced = connections.enter(peer);
    loop {
        let frame = tokio::select! {
            frame = frames.next() => frame?,
            _ = &mut replaced => return Err(WireError::OutOfTurn("the peer has dialled anew")),
        };
        let Some(frame) = frame else {
            return Ok(());
        };
        match frame {
            Frame::Relay { .. } => {
                if routes.from_peer(peer, frame) == Relayed::Refused {
                    return Err(WireError::OutOfTurn(
                        "a frame that is not this peer's to send",
                    ));
                }
            }
            Frame::Peer(body) => {
                let Some(message) = assembly.push(&body)? else {
                    continue;
                };
                let message = PeerMessage::from_bytes(&message)?;
                // A peer that asks for more than is answered waits, and nobody else does.
                if inbox.send(message).await.is_err() {
                    return Ok(());
                }
            }
            Frame::Local(_) => return Err(WireError::OutOfTurn("a frame that is for guests")),
        }
    }
}

/// The connections of each peer, oldest first; dropping one's sender ends it.
#[derive(Default)]
struct Connections(Mutex<BTreeMap<Slot, VecDeque<oneshot::Sender<()>>>>);

impl Connections {
    /// Takes a connection in; what is returned is ready once newer ones have taken its place.
    fn enter(&self, peer: Slot) -> oneshot::Receiver<()> {
        let (place, replaced) = oneshot::channel();
        // Every change under the lock leaves a whole map.
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let places = peers.entry(peer).or_default();
        places.retain(|place| !place.is_closed());
        places.push_back(place);
        if places.len() > CONNECTIONS_PER_PEER_MAX {
            places.pop_front();
        }
        replaced
    }
}

fn introduced(hello: &PeerMessage, own: &PeerMessage, routes: &Routes) -> Result<Slot, WireError> {
    match (hello, own) {
        (
            PeerMessage::Hello {
                committee,
                from,
                to,
            },
            PeerMessage::Hello {
                committee: our_committee,
                from: me,
                ..
            },
        ) if committee == our_committee && to == me && routes.peers().contains(from) => Ok(*from),
        _ => Err(WireError::OutOfTurn(
            "a hello of another committee or for another member",
        )),
    }
}

/// A hello is short; what a stranger sends before it must be, too.
const HELLO_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use attestation::ids::CommitteeId;
    use signer_protocol::message::Endpoint;

    use super::*;
    use crate::relay::Session;

    #[test]
    fn peers_are_read_as_the_operator_writes_them() {
        let host = |slot, address: &str| Peer {
            slot: Slot(slot),
            address: PeerAddress::Host(address.into()),
        };
        assert_eq!("2=127.0.0.1:7000".parse(), Ok(host(2, "127.0.0.1:7000")));
        assert_eq!("3=[::1]:7".parse(), Ok(host(3, "[::1]:7")));
        let file = PeerAddress::File("/run/a=b".into());
        let parsed: Peer = "4=@/run/a=b".parse().expect("a file");
        assert_eq!(parsed.address, file);
        for text in ["", "2", "0=a:1", "x=a:1", "2=", "70000=a:1"] {
            assert_eq!(text.parse::<Peer>(), Err(ParsePeerError), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_ends_when_what_was_sent_goes_unacknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound").to_string();
        let hello = PeerMessage::Head(attestation::ids::Seq(0));
        let socket = connect(&PeerAddress::Host(address), &hello).await;
        let socket = socket.expect("connected");
        let patience = SockRef::from(&socket).tcp_user_timeout().expect("Linux");
        assert_eq!(patience, Some(STALL));
    }

    /// A node of slot 2 with the signer connected, listening to its peers.
    async fn node() -> (
        SocketAddr,
        mpsc::Receiver<Vec<u8>>,
        mpsc::Receiver<PeerMessage>,
    ) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let (to_peer, _) = mpsc::channel(1);
        let routes = Routes::new(Slot(2), None);
        routes.meet(Slot(1), to_peer);
        let (to_signer, signer) = mpsc::channel(8);
        routes.connect(link::local::Role::Signer, Session::new(1, to_signer));
        let (sender, inbox) = mpsc::channel(8);
        let inboxes = Arc::new(Inbox::default());
        inboxes.answer(Slot(1), sender);
        tokio::spawn(listen(listener, hello(1, 2, 2), Arc::new(routes), inboxes));
        (address, signer, inbox)
    }

    fn hello(committee: u8, from: u16, to: u16) -> PeerMessage {
        PeerMessage::Hello {
            committee: CommitteeId::from_bytes([committee; 32]),
            from: Slot(from),
            to: Slot(to),
        }
    }

    fn bytes(message: &PeerMessage) -> Vec<u8> {
        peer_bytes(&message.to_bytes())
    }

    fn relayed(from: Endpoint) -> Vec<u8> {
        let frame = Frame::Relay {
            from,
            to: Endpoint::Signer(Slot(2)),
            payload: vec![7],
        };
        frame.to_bytes().expect("short")
    }

    #[tokio::test]
    async fn a_peer_that_hangs_up_at_once_is_dialled_ever_more_rarely() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound").to_string();
        let peer = Peer {
            slot: Slot(1),
            address: PeerAddress::Host(address),
        };
        let board = Arc::new(Board::new(Slot(2), &[], [Slot(1)]));
        let (_queue, drain) = mpsc::channel(1);
        let (connected, mut connections) = mpsc::channel(64);
        tokio::spawn(dial(peer, hello(1, 2, 1), drain, board, connected));
        let mut last = tokio::time::Instant::now();
        let mut longest = Duration::ZERO;
        for _ in 0..6 {
            drop(listener.accept().await.expect("dialled"));
            connections.recv().await.expect("connected");
            longest = longest.max(last.elapsed());
            last = tokio::time::Instant::now();
        }
        assert!(longest > REDIAL.0 * 10, "{longest:?}");
    }

    #[tokio::test]
    async fn a_peer_is_heard_and_its_frames_are_relayed() {
        let (address, mut signer, mut inbox) = node().await;
        let mut socket = TcpStream::connect(address).await.expect("listening");
        let head = PeerMessage::Head(attestation::ids::Seq(3));
        let frame = relayed(Endpoint::Signer(Slot(1)));
        let said = [bytes(&hello(1, 1, 2)), bytes(&head), frame.clone()].concat();
        socket.write_all(&said).await.expect("open");
        assert_eq!(inbox.recv().await, Some(head));
        assert_eq!(signer.recv().await, Some(frame));
    }

    #[tokio::test]
    async fn a_peer_has_few_connections_at_a_time_and_the_newest_stay() {
        let (address, mut signer, _inbox) = node().await;
        let frame = relayed(Endpoint::Signer(Slot(1)));
        let said = [bytes(&hello(1, 1, 2)), frame.clone()].concat();
        let mut sockets = VecDeque::new();
        for _ in 0..=CONNECTIONS_PER_PEER_MAX {
            let mut socket = TcpStream::connect(address).await.expect("listening");
            socket.write_all(&said).await.expect("open");
            assert_eq!(signer.recv().await.as_ref(), Some(&frame));
            sockets.push_back(socket);
        }
        let mut oldest = sockets.pop_front().expect("the first");
        let mut rest = Vec::new();
        let end = tokio::io::AsyncReadExt::read_to_end(&mut oldest, &mut rest);
        let _ = timeout(PATIENCE, end).await.expect("closed");
        for socket in &mut sockets {
            socket.write_all(&frame).await.expect("open");
            assert_eq!(signer.recv().await.as_ref(), Some(&frame));
        }
    }

    #[tokio::test]
    async fn strangers_and_garbage_lose_their_connection_and_nothing_else() {
        let (address, mut signer, _inbox) = node().await;
        let greeted = bytes(&hello(1, 1, 2));
        let cases: [(&str, Vec<u8>); 9] = [
            ("another committee", bytes(&hello(9, 1, 2))),
            ("for another member", bytes(&hello(1, 1, 3))),
            ("of nobody", bytes(&hello(1, 7, 2))),
            (
                "no hello",
                bytes(&PeerMessage::WantStep {
                    seq: attestation::ids::Seq(1),
                    at: 0,
                }),
            ),
            (
                "a frame before the hello",
                relayed(Endpoint::Signer(Slot(1))),
            ),
            ("garbage", vec![0xff; 100]),
            ("a long hello", peer_bytes(&[0; 1000])),
            (
                "another member's frame",
                [greeted.clone(), relayed(Endpoint::Signer(Slot(3)))].concat(),
            ),
            (
                "a guest's frame",
                [greeted, vec![0, 0, 0, 2, 1, 0]].concat(),
            ),
        ];
        for (name, said) in cases {
            let mut socket = TcpStream::connect(address).await.expect("listening");
            socket.write_all(&said).await.expect("open");
            let mut rest = Vec::new();
            // A reset says the same as an orderly end.
            let end = tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut rest);
            let _ = timeout(PATIENCE * 4, end).await.expect(name);
            assert!(rest.is_empty() && signer.try_recv().is_err(), "{name}");
        }
        let mut socket = TcpStream::connect(address).await.expect("still listening");
        let frame = relayed(Endpoint::Signer(Slot(1)));
        let said = [bytes(&hello(1, 1, 2)), frame.clone()].concat();
        socket.write_all(&said).await.expect("open");
        assert_eq!(signer.recv().await, Some(frame));
    }
}
