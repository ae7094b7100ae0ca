//! One peer: its sessions, its handshake, and what waits for it.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use attestation::ids::ChannelKey;
use rand_core::{CryptoRng, RngCore};

use super::fragment::{self, Partial};
use super::{
    ChannelError, ChannelSecret, DATA_HEADER_BYTES, Event, HANDSHAKE_BYTES, Handshake,
    PACKET_BYTES_MAX, Session, TAG_BYTES,
};
use crate::message::Endpoint;

/// Messages that wait for one peer; the oldest is dropped for the newest.
pub(crate) const QUEUE_MESSAGES_MAX: usize = 32;
/// Packets of one direction after which a new handshake replaces the keys.
pub(super) const REKEY_PACKETS: u64 = 1 << 20;
/// First wait before a handshake or question is repeated; doubles up to [`RETRY_MS_MAX`].
pub(super) const RETRY_MS_MIN: u64 = 250;
const RETRY_MS_MAX: u64 = 8_000;
/// Shortest time between two message 1s that a responder works on.
const ANSWER_MS_MIN: u64 = 100;
/// A responder that has not shown within so long that it uses a new session may never have.
const CONFIRM_MS: u64 = 1_000;
/// A peer that was sent something and stays silent so long may have lost its session.
pub(super) const SILENCE_MS: u64 = 10_000;
/// A side that only listens shows after so long that it is there.
pub(super) const KEEPALIVE_MS: u64 = 3_000;

const _: () = assert!(KEEPALIVE_MS < SILENCE_MS);

const ASK: u8 = 0;
const FIRST: u8 = 1;
const SECOND: u8 = 2;
const DATA: u8 = 3;

pub(super) struct Peer {
    endpoint: Endpoint,
    key: ChannelKey,
    initiates: bool,
    prologue: Vec<u8>,
    message_bytes_max: usize,
    /// Sends and receives.
    live: Option<Session>,
    /// The other session that may still receive: an initiator's former one, until the first packet
    /// of the live one; a responder's next one, which its first packet makes live.
    other: Option<Session>,
    /// Initiator: message 1 is out.
    handshake: Option<Handshake>,
    /// When to start a handshake or ask for one.
    retry_at_ms: Option<u64>,
    retry_ms: u64,
    /// When the last handshake message 1 left or was worked on.
    tried_ms: Option<u64>,
    /// Responder: ephemeral key of the last message 1 that authenticated.
    answered: Option<[u8; 32]>,
    /// When the first packet left since the last one arrived.
    waiting_since_ms: Option<u64>,
    /// Initiator: whether the responder has shown that it uses the live session.
    confirmed: bool,
    sent_ms: u64,
    queue: VecDeque<Vec<u8>>,
    next_message: u32,
    partial: Option<Partial>,
}

impl Peer {
    pub(super) fn new(
        endpoint: Endpoint,
        key: ChannelKey,
        initiates: bool,
        prologue: Vec<u8>,
        message_bytes_max: usize,
    ) -> Self {
        Self {
            endpoint,
            key,
            initiates,
            prologue,
            message_bytes_max,
            live: None,
            other: None,
            handshake: None,
            retry_at_ms: Some(0),
            retry_ms: RETRY_MS_MIN,
            tried_ms: None,
            answered: None,
            waiting_since_ms: None,
            confirmed: false,
            sent_ms: 0,
            queue: VecDeque::new(),
            next_message: 0,
            partial: None,
        }
    }

    pub(super) const fn is_connected(&self) -> bool {
        self.live.is_some()
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.queue.iter().map(Vec::len).sum()
    }

    pub(super) fn partial_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, Partial::len)
    }

    pub(super) fn partial_ms(&self) -> u64 {
        self.partial
            .as_ref()
            .map_or(u64::MAX, |partial| partial.at_ms)
    }

    pub(super) fn drop_partial(&mut self) {
        self.partial = None;
    }

    pub(super) fn poll_timeout(&self) -> Option<u64> {
        let silence = self.silent_at_ms();
        self.retry_at_ms.into_iter().chain(silence).min()
    }

    fn silent_at_ms(&self) -> Option<u64> {
        let patience = if self.confirmed {
            SILENCE_MS
        } else {
            CONFIRM_MS
        };
        Some(self.waiting_since_ms?.saturating_add(patience))
    }

    pub(super) fn handle_timeout(
        &mut self,
        now_ms: u64,
        secret: &ChannelSecret,
        rng: &mut (impl RngCore + CryptoRng),
        events: &mut VecDeque<Event>,
    ) {
        if self.silent_at_ms().is_some_and(|at| at <= now_ms) {
            self.waiting_since_ms = None;
            self.retry_by(now_ms);
        }
        if self.retry_at_ms.is_none_or(|at| at > now_ms) {
            return;
        }
        self.retry_at_ms = Some(now_ms.saturating_add(self.retry_ms));
        self.retry_ms = self.retry_ms.saturating_mul(2).min(RETRY_MS_MAX);
        if !self.initiates {
            self.emit(vec![ASK], events);
            return;
        }
        self.tried_ms = Some(now_ms);
        let mut handshake = Handshake::new(true, secret, &self.key, &self.prologue, rng);
        // Fails for no key that `Channels::new` lets in; the retry stands either way.
        if let Ok(message) = handshake.write(&[]) {
            self.emit([&[FIRST], &message[..]].concat(), events);
            self.handshake = Some(handshake);
        }
    }

    /// Makes a handshake, or a question for one, due as soon as the rate limit allows.
    fn retry_by(&mut self, now_ms: u64) {
        let allowed = self.tried_ms.map_or(now_ms, |tried| {
            tried.saturating_add(RETRY_MS_MIN).max(now_ms)
        });
        self.retry_ms = RETRY_MS_MIN;
        self.retry_at_ms = Some(self.retry_at_ms.map_or(allowed, |at| at.min(allowed)));
    }

    pub(super) fn handle(
        &mut self,
        now_ms: u64,
        secret: &ChannelSecret,
        rng: &mut (impl RngCore + CryptoRng),
        payload: &[u8],
        events: &mut VecDeque<Event>,
    ) -> Result<(), ChannelError> {
        if payload.len() > PACKET_BYTES_MAX {
            return Err(ChannelError::Malformed);
        }
        match payload.split_first().ok_or(ChannelError::Malformed)? {
            (&ASK, []) if self.initiates => {
                self.retry_by(now_ms);
                Ok(())
            }
            (&FIRST, message) if message.len() == HANDSHAKE_BYTES && !self.initiates => {
                self.answer(now_ms, secret, rng, message, events)
            }
            (&SECOND, message) if message.len() == HANDSHAKE_BYTES && self.initiates => {
                self.finish(now_ms, message, events)
            }
            (&ASK, []) => Err(ChannelError::OutOfTurn),
            (&FIRST | &SECOND, message) if message.len() == HANDSHAKE_BYTES => {
                Err(ChannelError::OutOfTurn)
            }
            (&DATA, packet) => self.receive(now_ms, packet, events),
            _ => Err(ChannelError::Malformed),
        }
    }

    /// Responder: message 1 in, message 2 out.
    fn answer(
        &mut self,
        now_ms: u64,
        secret: &ChannelSecret,
        rng: &mut (impl RngCore + CryptoRng),
        message: &[u8],
        events: &mut VecDeque<Event>,
    ) -> Result<(), ChannelError> {
        let ephemeral = message.first_chunk().copied();
        if ephemeral.is_some() && ephemeral == self.answered {
            return Err(ChannelError::Replayed);
        }
        if self
            .tried_ms
            .is_some_and(|tried| now_ms < tried.saturating_add(ANSWER_MS_MIN))
        {
            return Err(ChannelError::TooSoon);
        }
        self.tried_ms = Some(now_ms);
        let mut handshake = Handshake::new(false, secret, &self.key, &self.prologue, rng);
        handshake.read(message)?;
        let answer = handshake.write(&[])?;
        self.other = Some(handshake.into_session()?);
        self.answered = ephemeral;
        self.emit([&[SECOND], &answer[..]].concat(), events);
        Ok(())
    }

    /// Initiator: message 2 in, first packet out.
    fn finish(
        &mut self,
        now_ms: u64,
        message: &[u8],
        events: &mut VecDeque<Event>,
    ) -> Result<(), ChannelError> {
        let mut handshake = self.handshake.take().ok_or(ChannelError::OutOfTurn)?;
        if let Err(error) = handshake.read(message) {
            self.handshake = Some(handshake);
            return Err(error);
        }
        let session = handshake.into_session()?;
        self.other = self.live.replace(session);
        self.confirmed = false;
        self.connected(now_ms, events);
        // An empty packet or the first that waited: the responder goes over with it.
        self.waiting_since_ms = Some(now_ms);
        Ok(())
    }

    /// A packet of a session.
    fn receive(
        &mut self,
        now_ms: u64,
        packet: &[u8],
        events: &mut VecDeque<Event>,
    ) -> Result<(), ChannelError> {
        if packet.len() + 1 < DATA_HEADER_BYTES + TAG_BYTES {
            return Err(ChannelError::Malformed);
        }
        let (id, rest) = packet.split_first_chunk().ok_or(ChannelError::Malformed)?;
        let (counter, ciphertext) = rest.split_first_chunk().ok_or(ChannelError::Malformed)?;
        let counter = u64::from_be_bytes(*counter);
        let plaintext = if let Some(live) = self.live.as_mut().filter(|live| live.id == *id) {
            let plaintext = live.open(counter, ciphertext)?;
            if self.initiates {
                self.confirmed = true;
                self.other = None;
            }
            plaintext
        } else if let Some(other) = self.other.as_mut().filter(|other| other.id == *id) {
            let plaintext = other.open(counter, ciphertext)?;
            if !self.initiates {
                self.live = self.other.take();
                self.confirmed = true;
                self.connected(now_ms, events);
            }
            plaintext
        } else {
            // Either side has lost its session, or the packet is old; only a handshake can tell.
            self.retry_by(now_ms);
            return Err(ChannelError::Session);
        };
        self.waiting_since_ms = None;
        if plaintext.is_empty() {
            return Ok(());
        }
        if now_ms >= self.sent_ms.saturating_add(KEEPALIVE_MS) {
            self.transmit(now_ms, &[], events);
        }
        let max = self.message_bytes_max;
        if let Some(bytes) = fragment::join(&mut self.partial, now_ms, &plaintext, max)? {
            let from = self.endpoint;
            events.push_back(Event::Message { from, bytes });
        }
        Ok(())
    }

    /// The live session is new: send what waits, or at least an empty packet.
    fn connected(&mut self, now_ms: u64, events: &mut VecDeque<Event>) {
        self.retry_at_ms = None;
        self.retry_ms = RETRY_MS_MIN;
        self.partial = None;
        let peer = self.endpoint;
        events.push_back(Event::Connected { peer });
        if self.queue.is_empty() {
            self.transmit(now_ms, &[], events);
        }
        while let Some(message) = self.queue.pop_front() {
            self.send_now(now_ms, &message, events);
        }
    }

    pub(super) fn send(
        &mut self,
        now_ms: u64,
        message: &[u8],
        room: usize,
        events: &mut VecDeque<Event>,
    ) -> Result<(), ChannelError> {
        if message.len() > self.message_bytes_max {
            return Err(ChannelError::TooLong {
                actual: message.len(),
                max: self.message_bytes_max,
            });
        }
        if self.live.is_some() {
            self.send_now(now_ms, message, events);
            return Ok(());
        }
        if message.len() > room.saturating_add(self.queued_bytes()) {
            return Err(ChannelError::Busy);
        }
        let mut room = room;
        while self.queue.len() >= QUEUE_MESSAGES_MAX || room < message.len() {
            let oldest = self.queue.pop_front().ok_or(ChannelError::Busy)?;
            room = room.saturating_add(oldest.len());
        }
        self.queue.push_back(message.to_vec());
        Ok(())
    }

    fn send_now(&mut self, now_ms: u64, message: &[u8], events: &mut VecDeque<Event>) {
        let id = self.next_message;
        self.next_message = id.wrapping_add(1);
        for fragment in fragment::cut(id, message) {
            self.transmit(now_ms, &fragment, events);
        }
        self.waiting_since_ms.get_or_insert(now_ms);
    }

    /// One packet on the live session; does nothing without one.
    fn transmit(&mut self, now_ms: u64, plaintext: &[u8], events: &mut VecDeque<Event>) {
        let Some(live) = self.live.as_mut() else {
            return;
        };
        let Ok(packet) = live.seal(plaintext) else {
            return;
        };
        let rekey = live.sent >= REKEY_PACKETS;
        self.sent_ms = now_ms;
        self.emit([&[DATA], &packet[..]].concat(), events);
        if rekey && self.retry_at_ms.is_none() {
            self.retry_by(now_ms);
        }
    }

    fn emit(&self, payload: Vec<u8>, events: &mut VecDeque<Event>) {
        let to = self.endpoint;
        events.push_back(Event::Packet { to, payload });
    }

    /// Lets a test reach the rekey bound.
    #[cfg(test)]
    pub(super) fn set_sent(&mut self, sent: u64) {
        self.live.as_mut().expect("connected").sent = sent;
    }
}
