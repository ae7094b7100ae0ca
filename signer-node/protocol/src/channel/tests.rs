use core::cell::RefCell;

use attestation::ids::{CommitteeId, NetworkId, Slot};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::peer::{KEEPALIVE_MS, REKEY_PACKETS, RETRY_MS_MIN, SILENCE_MS};
use super::*;
use crate::message::MESSAGE_BYTES_MAX;

const A: Endpoint = Endpoint::Signer(Slot(1));
const B: Endpoint = Endpoint::Signer(Slot(2));
const C: Endpoint = Endpoint::Coordinator(0);

fn domain(committee: u8) -> Domain {
    Domain {
        network: NetworkId(1),
        committee: CommitteeId::from_bytes([committee; 32]),
    }
}

fn secret(of: Endpoint) -> ChannelSecret {
    let [role, high, low] = of.to_bytes();
    let mut bytes = [0x55; 32];
    bytes[1..4].copy_from_slice(&[role, high, low]);
    ChannelSecret::from_bytes(&bytes)
}

fn channels_in(committee: u8, me: Endpoint, peers: &[Endpoint]) -> Channels {
    let keys = peers
        .iter()
        .map(|peer| (*peer, secret(*peer).key()))
        .collect();
    Channels::new(domain(committee), me, secret(me), keys).unwrap()
}

fn channels(me: Endpoint, peers: &[Endpoint]) -> Channels {
    channels_in(1, me, peers)
}

/// Endpoints in memory; packets pass through a filter, messages are collected.
struct Net {
    ends: BTreeMap<Endpoint, Channels>,
    rng: ChaCha20Rng,
    now_ms: u64,
    messages: Vec<(Endpoint, Endpoint, Vec<u8>)>,
    connected: Vec<(Endpoint, Endpoint)>,
    errors: Vec<ChannelError>,
    packets: Vec<(Endpoint, Endpoint, Vec<u8>)>,
}

impl Net {
    fn new(ends: &[Endpoint]) -> Self {
        let ends = ends
            .iter()
            .map(|me| {
                let peers: Vec<_> = ends.iter().copied().filter(|end| end != me).collect();
                (*me, channels(*me, &peers))
            })
            .collect();
        Self {
            ends,
            rng: ChaCha20Rng::seed_from_u64(7),
            now_ms: 1_000,
            messages: vec![],
            connected: vec![],
            errors: vec![],
            packets: vec![],
        }
    }

    fn pair() -> Self {
        let mut net = Self::new(&[A, B]);
        net.run();
        assert_eq!(net.errors, []);
        net
    }

    fn end(&mut self, end: Endpoint) -> &mut Channels {
        self.ends.get_mut(&end).unwrap()
    }

    fn send(&mut self, from: Endpoint, to: Endpoint, message: &[u8]) {
        self.end(from).send(to, message).unwrap();
    }

    fn inject(&mut self, from: Endpoint, to: Endpoint, packet: &[u8]) -> Result<(), ChannelError> {
        let (now_ms, end) = (self.now_ms, self.ends.get_mut(&to).unwrap());
        end.handle(now_ms, &mut self.rng, from, packet)
    }

    /// Timeouts that are due, then packets until all is quiet.
    fn run_through(&mut self, filter: &mut dyn FnMut(Endpoint, Endpoint, &[u8]) -> bool) {
        for end in self.ends.values_mut() {
            if end.poll_timeout().is_some_and(|at| at <= self.now_ms) {
                end.handle_timeout(self.now_ms, &mut self.rng);
            }
        }
        loop {
            let mut quiet = true;
            for me in self.ends.keys().copied().collect::<Vec<_>>() {
                while let Some(event) = self.end(me).poll() {
                    quiet = false;
                    match event {
                        Event::Packet { to, payload } => {
                            assert!(payload.len() <= PACKET_BYTES_MAX);
                            self.packets.push((me, to, payload.clone()));
                            if filter(me, to, &payload) {
                                let outcome = self.inject(me, to, &payload);
                                self.errors.extend(outcome.err());
                            }
                        }
                        Event::Message { from, bytes } => self.messages.push((from, me, bytes)),
                        Event::Connected { peer } => self.connected.push((me, peer)),
                    }
                }
            }
            if quiet {
                break;
            }
        }
    }

    fn run(&mut self) {
        self.run_through(&mut |_, _, _| true);
    }

    fn wait(&mut self, ms: u64) {
        for _ in 0..ms / 50 {
            self.now_ms += 50;
            self.run();
        }
    }

    /// The last packet that `from` sent.
    fn last(&self, from: Endpoint) -> Vec<u8> {
        let found = self.packets.iter().rev().find(|packet| packet.0 == from);
        found.unwrap().2.clone()
    }

    /// Packets of `from` that a message makes, not delivered.
    fn capture(&mut self, from: Endpoint, to: Endpoint, message: &[u8]) -> Vec<Vec<u8>> {
        self.send(from, to, message);
        let packets = RefCell::new(vec![]);
        self.run_through(&mut |sender, _, payload| {
            if sender == from {
                packets.borrow_mut().push(payload.to_vec());
            }
            sender != from
        });
        packets.into_inner()
    }

    fn restart(&mut self, end: Endpoint) {
        let peers: Vec<_> = self
            .ends
            .keys()
            .copied()
            .filter(|other| *other != end)
            .collect();
        self.ends.insert(end, channels(end, &peers));
    }

    fn assert_exchange(&mut self, context: &str) {
        self.messages.clear();
        self.send(A, B, b"ping");
        self.send(B, A, b"pong");
        self.run();
        let expected = vec![(A, B, b"ping".to_vec()), (B, A, b"pong".to_vec())];
        self.messages.sort();
        assert_eq!(self.messages, expected, "{context}");
    }
}

#[test]
fn two_endpoints_connect_and_exchange_messages() {
    let mut net = Net::pair();
    assert_eq!(net.connected, [(A, B), (B, A)]);
    assert!(net.end(A).is_connected(B) && net.end(B).is_connected(A));
    net.assert_exchange("connected");
    assert_eq!(net.end(A).poll_timeout().map(|at| at > net.now_ms), None);
}

#[test]
fn messages_sent_before_the_session_is_up_arrive_after_it() {
    let mut net = Net::new(&[A, B]);
    net.send(A, B, b"first");
    net.send(B, A, b"second");
    net.run();
    assert_eq!(net.messages.len(), 2);
}

#[test]
fn the_longest_messages_arrive_whole() {
    let mut net = Net::new(&[A, C]);
    net.run();
    let long: Vec<u8> = (0..MESSAGE_BYTES_MAX).map(|at| (at % 253) as u8).collect();
    for (from, to) in [(A, C), (C, A)] {
        net.messages.clear();
        net.send(from, to, &long);
        net.send(from, to, b"");
        net.run();
        assert_eq!(net.messages.len(), 2);
        assert!(net.messages[0] == (from, to, long.clone()));
        assert!(net.messages[1] == (from, to, vec![]));
    }
}

#[test]
fn too_long_messages_and_unknown_peers_are_refused() {
    let mut net = Net::pair();
    let max = fragment::MEMBER_MESSAGE_BYTES_MAX;
    let actual = max + 1;
    assert_eq!(
        net.end(A).send(B, &vec![0; actual]),
        Err(ChannelError::TooLong { actual, max })
    );
    assert_eq!(net.end(A).send(C, b""), Err(ChannelError::Stranger(C)));
    assert_eq!(net.inject(C, A, &[0]), Err(ChannelError::Stranger(C)));
}

#[test]
fn only_roles_that_talk_have_channels_and_only_sound_keys() {
    let executor = |slot| Endpoint::Executor(Slot(slot));
    let refused = [
        (A, A),
        (A, executor(2)),
        (executor(1), B),
        (executor(1), C),
        (C, Endpoint::Coordinator(1)),
        (A, Endpoint::Node(Slot(1))),
    ];
    for (me, peer) in refused {
        let keys = BTreeMap::from([(peer, secret(B).key())]);
        let refusal = Channels::new(domain(1), me, secret(C), keys).unwrap_err();
        assert_eq!(refusal, ChannelError::Stranger(peer), "{me} to {peer}");
    }
    let own = secret(A).key();
    for key in [own, ChannelKey::from_bytes([0; 32])] {
        let refusal = Channels::new(domain(1), A, secret(A), BTreeMap::from([(B, key)]));
        assert_eq!(refusal.unwrap_err(), ChannelError::Key(B));
    }
}

#[test]
fn wrong_key_or_wrong_prologue_never_connects() {
    let wrong_key = |me: Endpoint, peer: Endpoint| {
        let keys = BTreeMap::from([(peer, secret(C).key())]);
        Channels::new(domain(1), me, secret(me), keys).unwrap()
    };
    let other_slot = {
        let (third, keys) = (Endpoint::Signer(Slot(3)), [(A, secret(A).key())]);
        Channels::new(domain(1), third, secret(B), keys.into()).unwrap()
    };
    let cases = [
        ("initiator expects another key", A, wrong_key(A, B)),
        ("responder expects another key", B, wrong_key(B, A)),
        ("initiator in another committee", A, channels_in(2, A, &[B])),
        ("responder in another committee", B, channels_in(2, B, &[A])),
        ("responder in another slot", B, other_slot),
    ];
    for (name, end, stand_in) in cases {
        let mut net = Net::new(&[A, B]);
        net.ends.insert(end, stand_in);
        net.send(A, B, b"secret");
        net.wait(5_000);
        assert!(net.errors.len() > 2, "{name}");
        assert!(
            net.errors
                .iter()
                .all(|error| *error == ChannelError::Handshake),
            "{name}"
        );
        assert_eq!((net.messages.len(), net.connected.len()), (0, 0), "{name}");
    }
}

#[test]
fn packets_wired_to_the_wrong_member_change_nothing() {
    let third = Endpoint::Signer(Slot(3));
    let mut net = Net::new(&[A, B, third]);
    net.run();
    let packets = net.packets.clone();
    net.now_ms += 10_000;
    for (from, to, payload) in packets {
        for wrong in [A, B, third] {
            if wrong == to || wrong == from {
                continue;
            }
            let outcome = net.inject(from, wrong, &payload);
            // A question for a handshake is not authenticated; everything else fails.
            assert!(
                outcome.is_err() || payload == [0],
                "{from} to {to} at {wrong}"
            );
        }
    }
    net.messages.clear();
    net.wait(1_000);
    net.assert_exchange("after cross-wiring");
}

#[test]
fn a_replayed_message_1_neither_connects_nor_disturbs() {
    let mut net = Net::pair();
    let first = |packet: &&(Endpoint, Endpoint, Vec<u8>)| packet.2[0] == 1;
    let old = net.packets.iter().find(first).unwrap().2.clone();
    assert_eq!(net.inject(A, B, &old), Err(ChannelError::Replayed));
    // After another handshake the responder no longer knows it: it answers, and that is all.
    net.restart(A);
    net.now_ms += 1_000;
    net.run();
    net.connected.clear();
    net.now_ms += 1_000;
    assert_eq!(net.inject(A, B, &old), Ok(()));
    net.run();
    assert_eq!(
        net.errors,
        [ChannelError::OutOfTurn],
        "message 2 answers nothing"
    );
    assert_eq!(net.connected, []);
    net.assert_exchange("after the replay");
}

#[test]
fn bad_packets_are_dropped_with_a_reason_and_the_session_goes_on() {
    let mut net = Net::pair();
    net.now_ms += 1_000;
    let [one] = <[_; 1]>::try_from(net.capture(A, B, b"one")).unwrap();
    let [two] = <[_; 1]>::try_from(net.capture(A, B, b"two")).unwrap();
    let flipped = |at: usize| {
        let mut packet = two.clone();
        packet[at] ^= 1;
        packet
    };
    let end = two.len() - 1;
    let cases = [
        ("empty", vec![], ChannelError::Malformed),
        ("unknown kind", vec![9, 1], ChannelError::Malformed),
        (
            "oversized",
            vec![3; PACKET_BYTES_MAX + 1],
            ChannelError::Malformed,
        ),
        (
            "cut to the header",
            two[..DATA_HEADER_BYTES].to_vec(),
            ChannelError::Malformed,
        ),
        ("cut by one byte", two[..end].to_vec(), ChannelError::Forged),
        ("flipped session", flipped(1), ChannelError::Session),
        ("flipped counter", flipped(16), ChannelError::Forged),
        ("flipped ciphertext", flipped(17), ChannelError::Forged),
        ("flipped tag", flipped(end), ChannelError::Forged),
        (
            "last counter",
            [&two[..9], &[255; 8], &two[17..]].concat(),
            ChannelError::Forged,
        ),
        ("message 1 cut", vec![1; 48], ChannelError::Malformed),
        ("garbage message 1", vec![1; 49], ChannelError::Handshake),
        (
            "message 1 again at once",
            vec![1; 49],
            ChannelError::TooSoon,
        ),
        (
            "message 2 at the responder",
            vec![2; 49],
            ChannelError::OutOfTurn,
        ),
        (
            "question at the responder",
            vec![0],
            ChannelError::OutOfTurn,
        ),
    ];
    for (name, packet, expected) in cases {
        assert_eq!(net.inject(A, B, &packet), Err(expected), "{name}");
    }
    assert_eq!(net.inject(A, B, &two), Ok(()));
    assert_eq!(
        net.inject(A, B, &two),
        Err(ChannelError::Replayed),
        "replayed"
    );
    assert_eq!(
        net.inject(A, B, &one),
        Err(ChannelError::Replayed),
        "reordered"
    );
    assert_eq!(
        net.inject(B, A, &two),
        Err(ChannelError::Forged),
        "reflected"
    );
    net.run();
    assert_eq!(net.messages, [(A, B, b"two".to_vec())]);
    net.wait(500);
    net.assert_exchange("after bad packets");
}

#[test]
fn garbage_in_place_of_message_2_does_not_stop_the_handshake() {
    let mut net = Net::new(&[A, B]);
    net.run_through(&mut |from, _, _| from == A);
    let second = net.last(B);
    assert_eq!(net.inject(B, A, &[2; 49]), Err(ChannelError::Handshake));
    assert_eq!(net.inject(B, A, &second), Ok(()));
    assert_eq!(net.inject(B, A, &second), Err(ChannelError::OutOfTurn));
    net.run();
    net.assert_exchange("after garbage");
}

#[test]
fn a_lost_fragment_loses_its_message_only() {
    let mut net = Net::pair();
    let long = vec![5; 3 * fragment::CHUNK_BYTES];
    let packets = net.capture(A, B, &long);
    assert_eq!(packets.len(), 3);
    assert_eq!(net.inject(A, B, &packets[0]), Ok(()));
    assert_eq!(net.inject(A, B, &packets[2]), Err(ChannelError::Fragment));
    net.assert_exchange("after a lost fragment");
}

#[test]
fn every_restart_reconnects_within_a_second() {
    for (name, ends) in [
        ("initiator", &[A][..]),
        ("responder", &[B]),
        ("both", &[A, B]),
    ] {
        let mut net = Net::pair();
        net.now_ms += 60_000;
        ends.iter().for_each(|end| net.restart(*end));
        net.wait(1_000);
        net.errors.clear();
        net.assert_exchange(name);
        assert_eq!(net.errors, [], "{name}");
    }
}

#[test]
fn a_restart_whose_handshake_is_lost_is_noticed_by_the_next_packet() {
    let mut net = Net::pair();
    net.now_ms += 60_000;
    net.restart(B);
    net.run_through(&mut |from, _, _| from == A);
    net.send(A, B, b"lost");
    net.run();
    assert_eq!(net.errors, [ChannelError::Session]);
    net.wait(1_000);
    net.assert_exchange("after the loss");
}

#[test]
fn sessions_come_up_through_heavy_loss() {
    for seed in 0..20 {
        let mut net = Net::new(&[A, B]);
        let mut dice = ChaCha20Rng::seed_from_u64(seed);
        for _ in 0..2_000 {
            net.now_ms += 50;
            net.run_through(&mut |_, _, _| dice.next_u32() % 10 >= 4);
        }
        assert!(
            net.end(A).is_connected(B) && net.end(B).is_connected(A),
            "seed {seed}"
        );
        net.wait(20_000);
        net.assert_exchange("after loss");
    }
}

#[test]
fn a_silent_peer_is_dialled_again_and_a_listening_one_is_not() {
    let mut net = Net::pair();
    net.connected.clear();
    for _ in 0..10 {
        net.send(A, B, b"status");
        net.wait(KEEPALIVE_MS);
    }
    assert_eq!(net.connected, [], "the listener shows that it is there");
    net.send(A, B, b"lost");
    net.run_through(&mut |_, _, _| false);
    net.wait(SILENCE_MS + RETRY_MS_MIN);
    assert_eq!(net.connected, [(A, B), (B, A)]);
}

#[test]
fn keys_are_replaced_after_their_packets_from_either_side() {
    for (from, to) in [(A, B), (B, A)] {
        let mut net = Net::pair();
        net.connected.clear();
        net.now_ms += 1_000;
        net.end(from)
            .peers
            .get_mut(&to)
            .unwrap()
            .set_sent(REKEY_PACKETS - 1);
        net.send(from, to, b"last");
        net.wait(500);
        assert_eq!(net.messages.len(), 1, "nothing is lost at a rekey");
        assert_eq!(net.connected, [(A, B), (B, A)], "{from}");
        net.assert_exchange("after the rekey");
    }
}

#[test]
fn questions_cannot_cause_more_handshakes_than_the_rate_limit() {
    let mut net = Net::pair();
    net.packets.clear();
    for _ in 0..1_000 {
        net.now_ms += 1;
        let _ = net.inject(B, A, &[0]);
        net.run();
    }
    let handshakes = net.packets.iter().filter(|packet| packet.2[0] == 1).count();
    assert!(handshakes <= 5, "{handshakes} handshakes in a second");
    net.wait(1_000);
    net.assert_exchange("after questions");
}

#[test]
fn what_waits_is_bounded_and_the_newest_stays() {
    let mut end = channels(A, &[B, C]);
    for number in 0..100u8 {
        end.send(B, &[number]).unwrap();
    }
    assert_eq!(end.peers[&B].queued_bytes(), 32);
    let half = vec![0; MESSAGE_BYTES_MAX];
    end.send(C, &half).unwrap();
    end.send(C, &half).unwrap();
    assert_eq!(end.peers[&C].queued_bytes(), MESSAGE_BYTES_MAX);
    end.send(C, &half[..MESSAGE_BYTES_MAX - 32]).unwrap();
    assert_eq!(end.send(B, &[0; 33]), Err(ChannelError::Busy));
    assert_eq!(
        end.send(B, &[0; 32]),
        Ok(()),
        "own older messages make room"
    );
}

#[test]
fn half_received_messages_are_bounded_over_all_peers() {
    let signers: Vec<_> = (1..=6).map(|slot| Endpoint::Signer(Slot(slot))).collect();
    let mut net = Net::new(&[&[C], &signers[..]].concat());
    net.run();
    let long = vec![0; MESSAGE_BYTES_MAX];
    for signer in &signers {
        net.now_ms += 1;
        net.send(*signer, C, &long);
        let sent = RefCell::new(0);
        net.run_through(&mut |from, _, _| {
            *sent.borrow_mut() += usize::from(from == *signer);
            from != *signer || *sent.borrow() < MESSAGE_BYTES_MAX.div_ceil(60 * 1024)
        });
    }
    let held: Vec<_> = net.ends[&C]
        .peers
        .values()
        .map(Peer::partial_bytes)
        .collect();
    assert!(held.iter().sum::<usize>() <= PARTIAL_BYTES_MAX);
    assert_eq!(
        held.iter().filter(|bytes| **bytes == 0).count(),
        2,
        "the two stalest went"
    );
    assert_eq!(net.messages.len(), 0);
}

#[test]
fn one_seed_gives_the_same_packets() {
    assert_eq!(Net::pair().packets, Net::pair().packets);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_panic_or_deliver(packets in prop::collection::vec(
        (0u8..5, prop::collection::vec(any::<u8>(), 0..120)), 1..20,
    )) {
        let mut net = Net::pair();
        for (kind, body) in packets {
            let packet = [&[kind][..], &body].concat();
            for (from, to) in [(A, B), (B, A)] {
                let _ = net.inject(from, to, &packet);
            }
        }
        net.wait(500);
        prop_assert_eq!(net.messages.len(), 0);
        net.assert_exchange("after noise");
    }
}
