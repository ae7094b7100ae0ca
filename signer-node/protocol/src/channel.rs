//! Noise channels between the endpoints of a committee. The only file that names `snow`.
//!
//! `Noise_KK_25519_ChaChaPoly_SHA256`: the creation record fixes every static key before the first
//! handshake, so both sides know each other and XK's or XX's key transport has nothing to carry.
//! (An executor's key is in no record; its own signer learns it from its node's boot message.) The
//! prologue names network, committee and both endpoints, so that a handshake recorded elsewhere
//! fails. Message 1 of KK is replayable (Noise §7.7, level 1) and therefore carries no payload.
//!
//! The transport is stateless: every packet carries its session and counter, and the receiver
//! takes rising counters only. Loss is tolerated, replay and reordering are not. A responder keeps
//! the session it has until the first packet of the new one decrypts: a replayed message 1 costs
//! it one handshake and changes nothing. Signers initiate towards coordinators and executors,
//! between signers the lower slot; the other side can only ask for a handshake, and the question
//! is not authenticated, hence rate-limited.
//!
//! Delivery is not promised: upper layers resend. snow does not wipe the keys that it holds in its
//! own structures; the static secret outside of them and the ephemeral that is handed in are wiped.

mod fragment;
mod peer;
#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "patterns of bytes")]
mod tests;
#[cfg(test)]
mod vectors;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use attestation::ids::ChannelKey;
use attestation::tags;
use rand_core::{CryptoRng, RngCore};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState, StatelessTransportState};
use state::job::Domain;
use zeroize::Zeroizing;

use self::fragment::{FRAGMENT_BYTES_MAX, message_bytes_max};
use self::peer::Peer;
#[cfg(test)]
pub(crate) use self::{fragment::MEMBER_MESSAGE_BYTES_MAX, peer::QUEUE_MESSAGES_MAX};
use crate::message::Endpoint;

/// Longest packet in bytes.
pub const PACKET_BYTES_MAX: usize = DATA_HEADER_BYTES + FRAGMENT_BYTES_MAX + TAG_BYTES;
/// Most bytes that wait, over all peers, for a session to come up.
pub const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most bytes of half-received messages, over all peers.
pub const PARTIAL_BYTES_MAX: usize = 64 * 1024 * 1024;

const PATTERN: &str = "Noise_KK_25519_ChaChaPoly_SHA256";
const TAG_BYTES: usize = 16;
/// A handshake message without payload: ephemeral key and tag.
const HANDSHAKE_BYTES: usize = 32 + TAG_BYTES;
const SESSION_BYTES: usize = 8;
const DATA_HEADER_BYTES: usize = 1 + SESSION_BYTES + 8;
/// Noise §3: no message is longer.
const NOISE_BYTES_MAX: usize = 65535;

const _: () = assert!(FRAGMENT_BYTES_MAX + TAG_BYTES <= NOISE_BYTES_MAX);
const _: () =
    assert!(PACKET_BYTES_MAX + crate::frame::RELAY_HEADER_BYTES <= crate::frame::FRAME_BYTES_MAX);
const _: () = assert!(crate::message::MESSAGE_BYTES_MAX <= QUEUE_BYTES_MAX);
const _: () = assert!(crate::message::MESSAGE_BYTES_MAX <= PARTIAL_BYTES_MAX);

/// An endpoint's X25519 static secret. Zeroised on drop.
pub struct ChannelSecret(Zeroizing<[u8; 32]>);

impl ChannelSecret {
    /// A fresh key.
    pub fn generate(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        Self(bytes)
    }

    /// The key of 32 bytes as the sealed record keeps them.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The public key.
    #[must_use]
    pub fn key(&self) -> ChannelKey {
        let secret = x25519_dalek::StaticSecret::from(*self.0);
        ChannelKey::from_bytes(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }

    /// Whether `key` is not of small order: with such a key anyone could pose as its owner.
    fn is_contributory(&self, key: &ChannelKey) -> bool {
        x25519_dalek::StaticSecret::from(*self.0)
            .diffie_hellman(&x25519_dalek::PublicKey::from(*key.as_bytes()))
            .was_contributory()
    }
}

impl fmt::Debug for ChannelSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelSecret({}, secret redacted)", self.key())
    }
}

/// What the channels want of their driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Relay these bytes.
    Packet {
        /// Receiver.
        to: Endpoint,
        /// Payload of the relay frame, at most [`PACKET_BYTES_MAX`] bytes.
        payload: Vec<u8>,
    },
    /// A whole message arrived.
    Message {
        /// The authenticated sender.
        from: Endpoint,
        /// The message as the sender gave it to [`Channels::send`].
        bytes: Vec<u8>,
    },
    /// A session with this peer is up, for the first time or anew.
    Connected {
        /// The peer.
        peer: Endpoint,
    },
}

/// Why channels cannot be set up, or why a packet or message is dropped. None of the reasons for
/// dropping a packet is proof against a peer: relays can cause each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// No channel is allowed between these two.
    #[error("{0} is no peer of this endpoint")]
    Stranger(Endpoint),
    /// The peer's static key is of small order, or this endpoint's own.
    #[error("the channel key of {0} is not usable")]
    Key(Endpoint),
    /// Not the shape of a packet.
    #[error("not a packet")]
    Malformed,
    /// A handshake message from the wrong side, or an answer to nothing.
    #[error("handshake message out of turn")]
    OutOfTurn,
    /// More handshakes than the rate limit allows.
    #[error("handshake too soon after the last")]
    TooSoon,
    /// Wrong static key, wrong prologue, or altered.
    #[error("handshake does not authenticate")]
    Handshake,
    /// A packet of no session known here.
    #[error("packet of an unknown session")]
    Session,
    /// A packet or handshake message that was seen before, or comes after a later one.
    #[error("replayed or reordered")]
    Replayed,
    /// Altered, or made by nobody who has the keys.
    #[error("packet does not decrypt")]
    Forged,
    /// A fragment that does not continue what came before; the message is lost.
    #[error("fragment out of order")]
    Fragment,
    /// A message longer than this pair of roles may exchange.
    #[error("message of {actual} bytes, at most {max} allowed")]
    TooLong {
        /// Bytes of the message.
        actual: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Too much waits for sessions to come up.
    #[error("too many bytes wait for peers that are not connected")]
    Busy,
}

/// All channels of one endpoint.
pub struct Channels {
    secret: ChannelSecret,
    peers: BTreeMap<Endpoint, Peer>,
    events: VecDeque<Event>,
    now_ms: u64,
}

impl Channels {
    /// Channels of `me` to `peers` in one committee. [`Self::poll_timeout`] is due at once.
    ///
    /// # Errors
    /// [`ChannelError::Stranger`] if a peer's role has no channel with this one's,
    /// [`ChannelError::Key`] if its key is not usable.
    pub fn new(
        domain: Domain,
        me: Endpoint,
        secret: ChannelSecret,
        peers: BTreeMap<Endpoint, ChannelKey>,
    ) -> Result<Self, ChannelError> {
        let peers = peers
            .into_iter()
            .map(|(peer, key)| {
                let initiates = initiates(me, peer).ok_or(ChannelError::Stranger(peer))?;
                if key == secret.key() || !secret.is_contributory(&key) {
                    return Err(ChannelError::Key(peer));
                }
                let prologue = prologue(&domain, me, peer, initiates);
                let max = message_bytes_max(me, peer);
                Ok((peer, Peer::new(peer, key, initiates, prologue, max)))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            secret,
            peers,
            events: VecDeque::new(),
            now_ms: 0,
        })
    }

    /// Takes a packet that a relay says is from `from`.
    ///
    /// # Errors
    /// [`ChannelError`] says why the packet was dropped; the reaction is to count it.
    pub fn handle(
        &mut self,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
        from: Endpoint,
        payload: &[u8],
    ) -> Result<(), ChannelError> {
        self.now_ms = self.now_ms.max(now_ms);
        let peer = self
            .peers
            .get_mut(&from)
            .ok_or(ChannelError::Stranger(from))?;
        let outcome = peer.handle(self.now_ms, &self.secret, rng, payload, &mut self.events);
        self.bound_partials();
        outcome
    }

    /// Starts and repeats handshakes that are due.
    pub fn handle_timeout(&mut self, now_ms: u64, rng: &mut (impl RngCore + CryptoRng)) {
        self.now_ms = self.now_ms.max(now_ms);
        for peer in self.peers.values_mut() {
            peer.handle_timeout(self.now_ms, &self.secret, rng, &mut self.events);
        }
    }

    /// When [`Self::handle_timeout`] wants to be called, Unix milliseconds.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        self.peers.values().filter_map(Peer::poll_timeout).min()
    }

    /// Sends a message; it waits, within bounds, for a session to come up. A message can be lost
    /// on the way: upper layers resend.
    ///
    /// # Errors
    /// [`ChannelError`] if the peer is unknown, the message too long, or too much waits already.
    pub fn send(&mut self, to: Endpoint, message: &[u8]) -> Result<(), ChannelError> {
        let waiting: usize = self.peers.values().map(Peer::queued_bytes).sum();
        let peer = self.peers.get_mut(&to).ok_or(ChannelError::Stranger(to))?;
        let room = QUEUE_BYTES_MAX.saturating_sub(waiting);
        peer.send(self.now_ms, message, room, &mut self.events)
    }

    /// Whether a session with this peer is up.
    #[must_use]
    pub fn is_connected(&self, peer: Endpoint) -> bool {
        self.peers.get(&peer).is_some_and(Peer::is_connected)
    }

    /// The next thing to do, if any.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Drops the half-received messages that have waited longest while they exceed their bound.
    fn bound_partials(&mut self) {
        while self.peers.values().map(Peer::partial_bytes).sum::<usize>() > PARTIAL_BYTES_MAX {
            let stalest = self
                .peers
                .values_mut()
                .filter(|peer| peer.partial_bytes() > 0)
                .min_by_key(|peer| peer.partial_ms());
            match stalest {
                Some(peer) => peer.drop_partial(),
                None => break,
            }
        }
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channels({} peers)", self.peers.len())
    }
}

/// Which side starts handshakes; `None` where no channel exists.
fn initiates(me: Endpoint, peer: Endpoint) -> Option<bool> {
    use Endpoint::{Coordinator, Executor, Signer};
    match (me, peer) {
        (Signer(mine), Signer(theirs)) if mine != theirs => Some(mine < theirs),
        (Signer(mine), Executor(theirs)) if mine == theirs => Some(true),
        (Executor(mine), Signer(theirs)) if mine == theirs => Some(false),
        (Signer(_), Coordinator(_)) => Some(true),
        (Coordinator(_), Signer(_)) => Some(false),
        _ => None,
    }
}

fn prologue(domain: &Domain, me: Endpoint, peer: Endpoint, initiates: bool) -> Vec<u8> {
    let (initiator, responder) = if initiates { (me, peer) } else { (peer, me) };
    domain
        .layout(tags::CHANNEL)
        .fixed(&initiator.to_bytes())
        .fixed(&responder.to_bytes())
        .into_bytes()
}

/// A handshake under way.
struct Handshake(Box<HandshakeState>);

impl Handshake {
    fn new(
        initiator: bool,
        secret: &ChannelSecret,
        peer: &ChannelKey,
        prologue: &[u8],
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Self {
        let mut ephemeral = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *ephemeral);
        let parameters = PATTERN
            .parse()
            .expect("the pattern is a constant that a test parses");
        let build = || {
            let builder = Builder::with_resolver(parameters, Box::new(Resolver(ephemeral)))
                .local_private_key(&*secret.0)?
                .remote_public_key(peer.as_bytes())?
                .prologue(prologue)?;
            if initiator {
                builder.build_initiator()
            } else {
                builder.build_responder()
            }
        };
        let state = build().expect("each parameter is set once and every primitive is compiled in");
        Self(Box::new(state))
    }

    /// The next handshake message of this side.
    fn write(&mut self, payload: &[u8]) -> Result<Vec<u8>, ChannelError> {
        let mut message = vec![0; HANDSHAKE_BYTES.saturating_add(payload.len())];
        let length = self
            .0
            .write_message(payload, &mut message)
            .map_err(|_| ChannelError::Handshake)?;
        message.truncate(length);
        Ok(message)
    }

    /// Reads the other side's next handshake message; a failure leaves the handshake as it was.
    fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, ChannelError> {
        let mut payload = vec![0; message.len()];
        let length = self
            .0
            .read_message(message, &mut payload)
            .map_err(|_| ChannelError::Handshake)?;
        payload.truncate(length);
        Ok(payload)
    }

    /// The session after both messages.
    fn into_session(self) -> Result<Session, ChannelError> {
        let id = self
            .0
            .get_handshake_hash()
            .first_chunk()
            .copied()
            .ok_or(ChannelError::Handshake)?;
        let transport = self
            .0
            .into_stateless_transport_mode()
            .map_err(|_| ChannelError::Handshake)?;
        Ok(Session {
            id,
            transport,
            sent: 0,
            expected: 0,
        })
    }
}

/// The two keys of a finished handshake and how far each direction has counted.
struct Session {
    /// First bytes of the handshake hash, which is public (Noise §11.2).
    id: [u8; SESSION_BYTES],
    transport: StatelessTransportState,
    sent: u64,
    expected: u64,
}

impl Session {
    /// Session, counter and ciphertext of the next packet.
    fn seal(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, ChannelError> {
        let mut ciphertext = vec![0; plaintext.len().saturating_add(TAG_BYTES)];
        let length = self
            .transport
            .write_message(self.sent, plaintext, &mut ciphertext)
            .map_err(|_| ChannelError::Malformed)?;
        ciphertext.truncate(length);
        let counter = self.sent.to_be_bytes();
        self.sent += 1;
        Ok([&self.id[..], &counter, &ciphertext].concat())
    }

    /// Opens a packet whose counter is above all that were opened before.
    fn open(&mut self, counter: u64, ciphertext: &[u8]) -> Result<Vec<u8>, ChannelError> {
        if counter < self.expected {
            return Err(ChannelError::Replayed);
        }
        let mut plaintext = vec![0; ciphertext.len()];
        let length = self
            .transport
            .read_message(counter, ciphertext, &mut plaintext)
            .map_err(|_| ChannelError::Forged)?;
        plaintext.truncate(length);
        // snow refuses the counter 2^64 − 1 (Noise §5.1).
        self.expected = counter + 1;
        Ok(plaintext)
    }
}

/// snow's pure Rust primitives with the caller's randomness in place of the system's.
struct Resolver(Zeroizing<[u8; 32]>);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Drawn(Some(self.0.clone()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// The one ephemeral key of a handshake, given out once.
struct Drawn(Option<Zeroizing<[u8; 32]>>);

impl Random for Drawn {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        let drawn = self.0.take().ok_or(snow::Error::Rng)?;
        if dest.len() != drawn.len() {
            return Err(snow::Error::Rng);
        }
        dest.copy_from_slice(&*drawn);
        Ok(())
    }
}
