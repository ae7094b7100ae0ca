//! Noise channels over a network that does anything.

use std::collections::BTreeMap;

use attestation::ids::Slot;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use signer_protocol::channel::{ChannelSecret, Channels, Event};
use signer_protocol::message::Endpoint;

use crate::input::Input;
use crate::register::DOMAIN;

/// Most packets that are on their way: what is beyond is lost.
const FLYING_MAX: usize = 64;

/// Two signers and a coordinator, whose packets the input delivers, doubles, changes and sends to the
/// wrong party. What arrives was sent by whom it says, to whom it was sent, in order, and once.
pub fn packets(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    let mut net = Net::new();
    while !input.is_empty() {
        match input.byte() % 16 {
            0 | 1 => net.send(&mut input),
            2 => {
                net.now_ms += u64::try_from(input.number()).unwrap_or(0);
                net.timeouts();
            }
            3 => {
                let at = input.below(net.flying.len());
                net.lose(at);
            }
            4 => {
                let at = input.below(net.flying.len());
                let Some((from, to, mut payload)) = net.flying.get(at).cloned() else {
                    continue;
                };
                input.spoil(&mut payload);
                net.give(from, to, &payload);
            }
            5 => {
                let at = input.below(net.flying.len());
                let Some((from, _, payload)) = net.flying.get(at).cloned() else {
                    continue;
                };
                let to = PARTIES[input.below(PARTIES.len())];
                net.give(from, to, &payload);
            }
            6 => {
                let at = input.below(net.flying.len());
                if let Some((from, to, payload)) = net.flying.get(at).cloned() {
                    net.give(from, to, &payload);
                }
            }
            7 => {
                let at = input.below(PARTIES.len());
                net.restart(PARTIES[at]);
            }
            _ => {
                for _ in 0..=input.byte() % 8 {
                    if net.flying.is_empty() {
                        break;
                    }
                    let (from, to, payload) = net.flying.remove(0);
                    net.give(from, to, &payload);
                }
            }
        }
    }
    net.arrived > 0
}

const PARTIES: [Endpoint; 3] = [
    Endpoint::Signer(Slot(1)),
    Endpoint::Signer(Slot(2)),
    Endpoint::Coordinator(0),
];

struct Net {
    now_ms: u64,
    rng: ChaCha8Rng,
    channels: BTreeMap<Endpoint, Channels>,
    flying: Vec<(Endpoint, Endpoint, Vec<u8>)>,
    /// Number of the next message of each direction, and of the one that may arrive next.
    sent: BTreeMap<(Endpoint, Endpoint), u32>,
    expected: BTreeMap<(Endpoint, Endpoint), u32>,
    arrived: u32,
}

fn secret(of: Endpoint) -> ChannelSecret {
    ChannelSecret::from_bytes(&match of {
        Endpoint::Coordinator(_) => [11; 32],
        Endpoint::Signer(Slot(1)) => [12; 32],
        _ => [13; 32],
    })
}

fn channels(me: Endpoint) -> Channels {
    let others = PARTIES.into_iter().filter(|party| *party != me);
    let peers = others.map(|party| (party, secret(party).key())).collect();
    Channels::new(DOMAIN, me, secret(me), peers).expect("the parties may have channels")
}

impl Net {
    fn new() -> Self {
        let mut net = Self {
            now_ms: 1_000_000,
            rng: ChaCha8Rng::seed_from_u64(1),
            channels: PARTIES.map(|party| (party, channels(party))).into(),
            flying: Vec::new(),
            sent: BTreeMap::new(),
            expected: BTreeMap::new(),
            arrived: 0,
        };
        net.timeouts();
        net
    }

    fn send(&mut self, input: &mut Input<'_>) {
        let (from, to) = (PARTIES[input.below(3)], PARTIES[input.below(3)]);
        let length = 4 + 16 * usize::from(input.byte());
        let number = self.sent.entry((from, to)).or_default();
        let mut message = vec![0x5a; length];
        message[..4].copy_from_slice(&number.to_be_bytes());
        *number += 1;
        if let Some(channels) = self.channels.get_mut(&from) {
            // To itself there is no channel; and too much may wait already.
            let _ = channels.send(to, &message);
        }
        self.drain(from);
    }

    fn restart(&mut self, party: Endpoint) {
        self.channels.insert(party, channels(party));
        self.timeouts();
    }

    fn timeouts(&mut self) {
        let now_ms = self.now_ms;
        for party in PARTIES {
            if let Some(channels) = self.channels.get_mut(&party) {
                channels.handle_timeout(now_ms, &mut self.rng);
                let due = channels.poll_timeout();
                assert!(
                    due.is_none_or(|due| due > now_ms),
                    "a timer does not advance"
                );
            }
            self.drain(party);
        }
    }

    fn lose(&mut self, at: usize) {
        if at < self.flying.len() {
            self.flying.remove(at);
        }
    }

    fn give(&mut self, from: Endpoint, to: Endpoint, payload: &[u8]) {
        if let Some(channels) = self.channels.get_mut(&to) {
            let _ = channels.handle(self.now_ms, &mut self.rng, from, payload);
        }
        self.drain(to);
    }

    fn drain(&mut self, at: Endpoint) {
        while let Some(event) = self.channels.get_mut(&at).and_then(Channels::poll) {
            match event {
                Event::Packet { to, payload } => {
                    if self.flying.len() < FLYING_MAX {
                        self.flying.push((at, to, payload));
                    }
                }
                Event::Message { from, bytes } => {
                    let number = bytes
                        .first_chunk::<4>()
                        .expect("every message has a number");
                    let number = u32::from_be_bytes(*number);
                    assert!(
                        bytes[4..].iter().all(|byte| *byte == 0x5a),
                        "another message"
                    );
                    let sent = self.sent.get(&(from, at)).copied().unwrap_or(0);
                    assert!(number < sent, "a message that was not sent");
                    let expected = self.expected.entry((from, at)).or_default();
                    assert!(number >= *expected, "a message again, or out of order");
                    *expected = number + 1;
                    self.arrived += 1;
                }
                _ => {}
            }
        }
    }
}
