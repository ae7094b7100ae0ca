//! Noise channels between the endpoints of a committee. The only file that names `snow`.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::fmt;

use attestation::ids::ChannelKey;
use rand_core::{CryptoRng, RngCore};
use state::job::Domain;
use zeroize::Zeroizing;

use crate::message::Endpoint;

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
        /// Payload of the relay frame.
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

/// Why channels cannot be set up or a packet or message is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// No channel is allowed between these two.
    #[error("{0} is no peer of this endpoint")]
    Stranger(Endpoint),
}

/// All channels of one endpoint.
pub struct Channels {
    events: VecDeque<Event>,
}

impl Channels {
    /// Channels of `me` to `peers` in one committee.
    ///
    /// # Errors
    /// [`ChannelError::Stranger`] if a peer's role has no channel with this one's.
    pub fn new(
        _domain: Domain,
        _me: Endpoint,
        _secret: ChannelSecret,
        _peers: BTreeMap<Endpoint, ChannelKey>,
    ) -> Result<Self, ChannelError> {
        Ok(Self {
            events: VecDeque::new(),
        })
    }

    /// Takes a packet that a relay says is from `from`.
    ///
    /// # Errors
    /// [`ChannelError`] says why the packet was dropped; the reaction is to count it.
    pub fn handle(
        &mut self,
        _now_ms: u64,
        _rng: &mut (impl RngCore + CryptoRng),
        from: Endpoint,
        _payload: &[u8],
    ) -> Result<(), ChannelError> {
        Err(ChannelError::Stranger(from))
    }

    /// Starts and repeats handshakes that are due.
    pub fn handle_timeout(&mut self, _now_ms: u64, _rng: &mut (impl RngCore + CryptoRng)) {}

    /// When [`Self::handle_timeout`] wants to be called, Unix milliseconds.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        None
    }

    /// Sends a message; it waits, within bounds, for a session to come up. A message can be lost
    /// on the way: upper layers resend.
    ///
    /// # Errors
    /// [`ChannelError`] if the peer is unknown or the message too long.
    pub fn send(&mut self, to: Endpoint, _message: &[u8]) -> Result<(), ChannelError> {
        Err(ChannelError::Stranger(to))
    }

    /// The next thing to do, if any.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}
