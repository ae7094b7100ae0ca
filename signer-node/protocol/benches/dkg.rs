//! Whole key generations over Noise channels, all members in one thread: time, bytes and queues by
//! committee size. `cargo bench --package signer-protocol [-- MEMBERS…]`; without arguments the
//! sizes up to 20, since 150 members take minutes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement stops where it is not as it should be"
)]

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use attestation::committee::{Card, CreationRecord, Quorum};
use attestation::conditions::Conditions;
use attestation::ids::{Boot, Digest, NetworkId, RuntimeProfile, Slot};
use attestation::terms::Terms;
use frost_ed25519::Ed25519Sha512;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use signer_protocol::channel::{ChannelSecret, Channels, Event};
use signer_protocol::dkg::{Dkg, DkgOutput, KeyRecord, Start};
use signer_protocol::identity::{Ed25519Identity, Ed25519Verify, SignIdentity as _};
use signer_protocol::message::{Endpoint, Message, ToMember};
use state::job::Domain;

const SIZES: [u16; 3] = [4, 5, 20];

fn main() {
    let asked: Vec<u16> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    let sizes = if asked.is_empty() { &SIZES[..] } else { &asked };
    println!("   n    t  all members  one member  packets     bytes  longest  queued");
    for members in sizes {
        let figures = Net::new(*members).run();
        println!("{figures}");
    }
}

struct Seeds {
    identity: [u8; 32],
    channel: [u8; 32],
}

fn seeds(slot: u16) -> Seeds {
    let (mut identity, mut channel) = ([1; 32], [2; 32]);
    identity[..2].copy_from_slice(&slot.to_be_bytes());
    channel[..2].copy_from_slice(&slot.to_be_bytes());
    Seeds { identity, channel }
}

fn card(slot: u16) -> Card {
    let seeds = seeds(slot);
    let identity = Ed25519Identity::from_seed(&seeds.identity);
    let channel = ChannelSecret::from_bytes(&seeds.channel).key();
    let image = Digest::from_bytes([0; 32]);
    let keys = (identity.key(), channel);
    Card::signed(keys, image, Card::NO_PAYOUT, |bytes| identity.sign(bytes))
}

struct Member {
    dkg: Dkg<Ed25519Sha512, Ed25519Identity, Ed25519Verify>,
    channels: Channels,
    key: Option<KeyRecord>,
    took: Duration,
}

struct Net {
    record: CreationRecord,
    members: BTreeMap<Slot, Member>,
    wire: VecDeque<(Slot, Slot, Vec<u8>)>,
    now_ms: u64,
    rng: ChaCha20Rng,
    packets: u64,
    bytes: u64,
    longest: usize,
    queued: usize,
}

impl Net {
    fn new(members: u16) -> Self {
        let record = CreationRecord {
            network: NetworkId(1),
            threshold: Quorum::with_default_threshold(members).unwrap().threshold(),
            members: (1..=members).map(card).collect(),
            coordinators: vec![card(1000)],
            profile: RuntimeProfile::from_bytes([0; 32]),
            created_ms: 0,
            salt: Digest::from_bytes([0; 32]),
            terms: Terms::FREE,
            grants: Vec::new(),
            evm: false,
            conditions: Conditions::default(),
        };
        let started = record.slots().map(|slot| (slot, member(&record, slot)));
        Self {
            members: started.collect(),
            record,
            wire: VecDeque::new(),
            now_ms: 1_000_000,
            rng: ChaCha20Rng::seed_from_u64(1),
            packets: 0,
            bytes: 0,
            longest: 0,
            queued: 0,
        }
    }

    fn run(mut self) -> String {
        let began = Instant::now();
        let slots: Vec<Slot> = self.members.keys().copied().collect();
        while self.members.values().any(|member| member.key.is_none()) {
            self.now_ms += 10;
            for slot in &slots {
                self.turn(*slot, |member, now_ms, rng| {
                    let due = |at: Option<u64>| at.is_some_and(|at| at <= now_ms);
                    if due(member.channels.poll_timeout()) {
                        member.channels.handle_timeout(now_ms, rng);
                    }
                    if due(member.dkg.poll_timeout()) {
                        member.dkg.handle_timeout(now_ms, rng);
                    }
                });
            }
            while let Some((from, to, payload)) = self.wire.pop_front() {
                self.turn(to, |member, now_ms, rng| {
                    let from = Endpoint::Signer(from);
                    member.channels.handle(now_ms, rng, from, &payload).unwrap();
                });
            }
        }
        let elapsed = began.elapsed().as_secs_f64();
        let mut keys = self
            .members
            .values()
            .map(|member| member.key.as_ref().unwrap());
        let first = keys.next().unwrap();
        first.check(&self.record).unwrap();
        assert!(keys.all(|key| key.group_key == first.group_key));
        let slowest = self
            .members
            .values()
            .map(|member| member.took)
            .max()
            .unwrap();
        format!(
            "{:4} {:4} {elapsed:10.2} s {:9.2} s {:8} {:9} {:8} {:7}",
            self.record.members.len(),
            self.record.threshold,
            slowest.as_secs_f64(),
            self.packets,
            self.bytes,
            self.longest,
            self.queued,
        )
    }

    /// One member's turn: an event, and all that follows from it inside the member.
    fn turn(&mut self, slot: Slot, event: impl FnOnce(&mut Member, u64, &mut ChaCha20Rng)) {
        let (now_ms, rng) = (self.now_ms, &mut self.rng);
        let member = self.members.get_mut(&slot).unwrap();
        let began = Instant::now();
        event(member, now_ms, rng);
        loop {
            if let Some(output) = member.dkg.poll() {
                match output {
                    DkgOutput::Send { to, message } => {
                        let message = Message::ToMember(ToMember::Dkg(message)).to_bytes();
                        self.longest = self.longest.max(message.len());
                        member
                            .channels
                            .send(Endpoint::Signer(to), &message)
                            .unwrap();
                    }
                    DkgOutput::Persist(_) => member.dkg.persisted(now_ms, rng),
                    DkgOutput::Done(key, _) => member.key = Some(key),
                    DkgOutput::Dealt(_) => panic!("all members get shares"),
                    DkgOutput::Aborted { act, .. } => panic!("{act}"),
                }
            } else if let Some(event) = member.channels.poll() {
                match event {
                    Event::Packet { to, payload } => {
                        let Endpoint::Signer(to) = to else {
                            unreachable!("signers only");
                        };
                        self.packets += 1;
                        self.bytes += payload.len() as u64;
                        self.wire.push_back((slot, to, payload));
                        self.queued = self.queued.max(self.wire.len());
                    }
                    Event::Message { from, bytes } => {
                        let (Endpoint::Signer(from), Ok(message)) =
                            (from, Message::from_bytes(&bytes))
                        else {
                            unreachable!("signers send messages");
                        };
                        let Message::ToMember(ToMember::Dkg(message)) = message else {
                            unreachable!("of key generation");
                        };
                        // Members that are done say so to what still arrives.
                        let _ = member.dkg.handle(now_ms, rng, from, message);
                    }
                    Event::Connected { .. } => {}
                }
            } else {
                break;
            }
        }
        member.took += began.elapsed();
    }
}

fn member(record: &CreationRecord, slot: Slot) -> Member {
    let seeds = seeds(slot.0);
    let identity = Ed25519Identity::from_seed(&seeds.identity);
    let secret = ChannelSecret::from_bytes(&seeds.channel);
    let peers = record.slots().zip(&record.members);
    let peers = peers.filter(|(peer, _)| *peer != slot);
    let peers = peers.map(|(peer, card)| (Endpoint::Signer(peer), card.channel));
    let domain = Domain {
        network: record.network,
        committee: record.id(),
    };
    let channels = Channels::new(domain, Endpoint::Signer(slot), secret, peers.collect());
    let dkg = Dkg::new(record, slot, Boot(1), identity, Ed25519Verify, Start::Fresh);
    Member {
        dkg: dkg.unwrap(),
        channels: channels.unwrap(),
        key: None,
        took: Duration::ZERO,
    }
}
