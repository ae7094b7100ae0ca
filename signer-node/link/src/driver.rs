//! What every guest's loop has in common: link, clock, channels, entropy.
//!
//! [`Driver::next`] waits for the next thing that the guest's own machine must see and does on the
//! way what is mechanical: packets into channels, packets out of channels, handshakes that are
//! due.

use attestation::ids::ChannelKey;
use signer_protocol::channel::{ChannelError, ChannelSecret, Channels, Event};
use signer_protocol::entropy::{Entropy, EntropyError, Generator};
use signer_protocol::message::{Endpoint, Message};
use state::job::Domain;

use crate::birth;
use crate::clock::Clock;
use crate::connection::{Arrival, Link, LinkError};
use crate::local::{ToGuest, ToNode};
use crate::platform::Platform;

/// What a guest's machine must see.
#[derive(Debug)]
pub enum Incoming {
    /// A message from a party whose channel it came through.
    Message {
        /// The authenticated sender.
        from: Endpoint,
        /// The message.
        message: Box<Message>,
    },
    /// A channel is up, for the first time or anew.
    Connected(Endpoint),
    /// A control message of the node.
    Local(Box<ToGuest>),
    /// The time that the machine asked for has come.
    Due,
    /// Another thread of the guest has something.
    Woken,
}

/// Why a guest's loop ends.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The connection to the node.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The channels as the boot message describes them.
    #[error("channels: {0}")]
    Channels(#[from] ChannelError),
}

/// A guest's driver.
pub struct Driver {
    link: Link,
    clock: Clock,
    me: Endpoint,
    entropy: Entropy<Platform>,
    channels: Channels,
    /// The channel between a signer and its executor has a key of its own life: it is replaced
    /// with every start of the executor, while the committee's channels stay up.
    beside: Option<(Endpoint, Channels)>,
}

impl Driver {
    /// The driver of `me`.
    #[must_use]
    pub fn new(link: Link, me: Endpoint, entropy: Entropy<Platform>, channels: Channels) -> Self {
        Self {
            link,
            clock: Clock::start(),
            me,
            entropy,
            channels,
            beside: None,
        }
    }

    /// Opens the channel to the member's other guest, or opens it anew under another key.
    ///
    /// # Errors
    /// [`DriverError::Channels`] if the two may not have a channel.
    pub fn beside(
        &mut self,
        domain: Domain,
        secret: ChannelSecret,
        peer: Endpoint,
        key: ChannelKey,
    ) -> Result<(), DriverError> {
        let channels = Channels::new(domain, self.me, secret, [(peer, key)].into())?;
        self.beside = Some((peer, channels));
        Ok(())
    }

    /// Unix milliseconds now.
    pub fn now_ms(&mut self) -> u64 {
        self.clock.now_ms()
    }

    /// Time and a fresh generator, for one call of a machine.
    ///
    /// # Errors
    /// [`DriverError::Entropy`]: final, the guest stops.
    pub fn moment(&mut self) -> Result<(u64, Generator), DriverError> {
        Ok((self.clock.now_ms(), self.entropy.generator()?))
    }

    /// Sends a control message to the node.
    ///
    /// # Errors
    /// [`DriverError::Link`] if the connection is gone.
    pub fn tell(&mut self, message: &ToNode) -> Result<(), DriverError> {
        Ok(self.link.send(message)?)
    }

    /// Tells the node why this process ends and waits until the node has taken it, so that
    /// nothing sent before is lost with the socket.
    pub fn halt(&mut self, reason: &impl core::fmt::Display) {
        birth::halt(&mut self.link, reason);
    }

    /// Sends a message to another party. A message that its channel does not take is lost, as it
    /// might have been on the way: machines send again.
    pub fn send(&mut self, to: Endpoint, message: &Message) {
        // Strangers and over-long messages are the only errors; machines make neither.
        let _ = self.channels_of(to).send(to, &message.to_bytes());
    }

    /// Gives all packets that wait to the node, before the process ends.
    ///
    /// # Errors
    /// [`DriverError::Link`] if the connection is gone.
    pub fn flush(&mut self) -> Result<(), DriverError> {
        while self.pump()?.is_some() {}
        Ok(())
    }

    /// The next thing that the machine must see, or [`Incoming::Due`] at `due`.
    ///
    /// # Errors
    /// [`DriverError`] if the guest cannot go on.
    pub fn next(&mut self, due: Option<u64>) -> Result<Incoming, DriverError> {
        loop {
            if let Some(incoming) = self.pump()? {
                return Ok(incoming);
            }
            let now_ms = self.clock.now_ms();
            if due.is_some_and(|due| due <= now_ms) {
                return Ok(Incoming::Due);
            }
            let waits = [due, self.channels_due()];
            let wake = waits.into_iter().flatten().min();
            let wait = wake.map(|wake| self.clock.until(wake));
            match self.link.receive(wait)? {
                Some(Arrival::Local(message)) => return Ok(Incoming::Local(message)),
                Some(Arrival::Woken) => return Ok(Incoming::Woken),
                Some(Arrival::Packet { from, payload }) => self.packet(from, &payload)?,
                None => self.channels_timeout()?,
            }
        }
    }

    fn pump(&mut self) -> Result<Option<Incoming>, DriverError> {
        loop {
            let beside = self.beside.as_mut().map(|(_, channels)| channels);
            let event = [Some(&mut self.channels), beside]
                .into_iter()
                .flatten()
                .find_map(Channels::poll);
            match event {
                None => return Ok(None),
                Some(Event::Packet { to, payload }) => self.link.relay(self.me, to, payload)?,
                Some(Event::Connected { peer }) => return Ok(Some(Incoming::Connected(peer))),
                // Bytes that are no message come from a peer that errs or lies: dropped.
                Some(Event::Message { from, bytes }) => {
                    if let Ok(message) = Message::from_bytes(&bytes).map(Box::new) {
                        return Ok(Some(Incoming::Message { from, message }));
                    }
                }
            }
        }
    }

    fn packet(&mut self, from: Endpoint, payload: &[u8]) -> Result<(), DriverError> {
        let (now_ms, mut rng) = self.moment()?;
        // A packet that no session takes was altered, replayed, or meant for an earlier process.
        let _ = self
            .channels_of(from)
            .handle(now_ms, &mut rng, from, payload);
        Ok(())
    }

    fn channels_timeout(&mut self) -> Result<(), DriverError> {
        let (now_ms, mut rng) = self.moment()?;
        self.channels.handle_timeout(now_ms, &mut rng);
        if let Some((_, channels)) = &mut self.beside {
            channels.handle_timeout(now_ms, &mut rng);
        }
        Ok(())
    }

    fn channels_due(&self) -> Option<u64> {
        let beside = self
            .beside
            .as_ref()
            .and_then(|(_, beside)| beside.poll_timeout());
        [self.channels.poll_timeout(), beside]
            .into_iter()
            .flatten()
            .min()
    }

    fn channels_of(&mut self, peer: Endpoint) -> &mut Channels {
        match &mut self.beside {
            Some((beside, channels)) if *beside == peer => channels,
            _ => &mut self.channels,
        }
    }
}
