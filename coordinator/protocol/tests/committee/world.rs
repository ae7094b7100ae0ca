//! A committee of machines, its clock and its event queue.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use attestation::committee::{Card, CreationRecord};
use attestation::conditions::Conditions;
use attestation::ids::{
    ChannelKey, Digest, Epoch, GroupKey, ModuleDigest, NetworkId, RequestId, RuntimeProfile, Seq,
    Slot, StatementId, View, ZappId,
};
use attestation::request::{Call, FeePayer, Request};
use attestation::step_attestation::StepAttestation;
use attestation::terms::Terms;
use coordinator_protocol::coordinator::{self, Coordinator};
use frost_core::Identifier;
use frost_core::keys::{self, IdentifierList, KeyPackage, PublicKeyPackage};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use signer_protocol::blame::{Act, Culprit, Divergence};
use signer_protocol::committee::Committee;
use signer_protocol::identity::{Ed25519Identity, SignIdentity};
use signer_protocol::message::{Endpoint, Message};
use signer_protocol::register::{Chain, Refused};
use signer_protocol::signer::{self, Halt, PackageError, Signer};
use signer_protocol::statement::StepParams;
use state::State;
use state::entry::EntryWrite;
use state::job::{BuildJob, Domain};
use state::pull::SignedObservation;
use state::step::{Params, Previous};
use state::system::Deploy;

use crate::engine::Engine;
use crate::member::Member;
use crate::suite::{Ed25519, Suite};

pub const START_MS: u64 = 1_700_000_000_000;

pub type TestCoordinator<S> =
    Coordinator<<S as Suite>::Cipher, Ed25519Identity, <S as Suite>::Verify>;
/// Changes what a party sends: (from, to, message) becomes any number of messages.
pub type Tamper = Box<dyn FnMut(Endpoint, Endpoint, Message) -> Vec<(Endpoint, Message)>>;

/// What the network does to messages between machines.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    pub loss_percent: u64,
    pub double_percent: u64,
    pub delay_ms: (u64, u64),
}

pub const QUIET: Network = Network {
    loss_percent: 0,
    double_percent: 0,
    delay_ms: (1, 1),
};

pub struct Rank<S: Suite> {
    pub coordinator: Option<TestCoordinator<S>>,
    pub incarnation: u64,
}

pub enum Event {
    Deliver {
        from: Endpoint,
        to: Endpoint,
        incarnation: u64,
        message: Box<Message>,
    },
    Persisted {
        slot: Slot,
        incarnation: u64,
        index: u64,
    },
    Stored {
        slot: Slot,
        incarnation: u64,
        digest: Digest,
    },
    Loaded {
        slot: Slot,
        incarnation: u64,
        statement: StatementId,
    },
    Built {
        rank: u16,
        incarnation: u64,
        build: Box<BuildJob>,
    },
    StartMember(Slot),
    StartCoordinator(u16),
}

/// What happened, for tests to look at.
#[derive(Clone, Debug)]
pub enum Seen {
    Blame(Culprit, Act),
    Divergence(Divergence),
    Refused(Slot, Refused),
    PackageRefused(Slot, PackageError),
    Dissent(Slot),
    Halt(Slot, Halt),
    Behind(Slot),
    Observed(SignedObservation),
}

/// A committee under the suite of its protocol.
pub type World = WorldOf<Ed25519>;

pub struct WorldOf<S: Suite> {
    pub now: u64,
    pub rng: ChaCha8Rng,
    pub record: CreationRecord,
    pub committee: Committee,
    pub domain: Domain,
    pub params: Params,
    pub genesis: Previous,
    pub keys: BTreeMap<Slot, KeyPackage<S::Cipher>>,
    pub public: PublicKeyPackage<S::Cipher>,
    pub identity_seeds: Vec<[u8; 32]>,
    pub members: BTreeMap<Slot, Member<S>>,
    pub ranks: Vec<Rank<S>>,
    pub network: Network,
    pub persist_ms: (u64, u64),
    pub cut: BTreeSet<Endpoint>,
    /// Members whose operators say that their disks are restored.
    pub restored: BTreeSet<Slot>,
    /// Members hold shares up to this epoch.
    pub last_share: Option<Epoch>,
    pub tamper: Option<Tamper>,
    pub requests: Vec<Request>,
    pub history: BTreeMap<StatementId, Vec<EntryWrite>>,
    pub attested: BTreeMap<Seq, StepAttestation>,
    pub leaves: BTreeMap<StatementId, Vec<Vec<u8>>>,
    pub seen: Vec<Seen>,
    pub sent: BTreeMap<&'static str, u64>,
    /// Jobs that coordinators asked their nodes for: when, and which rank.
    pub ordered: Vec<(u64, u16, BuildJob)>,
    /// Timers that fired.
    pub fired: u64,
    pub queue: BTreeMap<(u64, u64), Event>,
    pub counter: u64,
    pub callers: u64,
}

fn card(identity: &Ed25519Identity, channel: u8) -> Card {
    let (key, channel) = (identity.key(), ChannelKey::from_bytes([channel; 32]));
    let image = Digest::from_bytes([0; 32]);
    Card::signed((key, channel), image, Card::NO_PAYOUT, |bytes| {
        identity.sign(bytes)
    })
}

/// Who is in a committee, before it has a key.
pub struct Founding {
    pub record: CreationRecord,
    /// Members first, then coordinators.
    pub identity_seeds: Vec<[u8; 32]>,
}

impl Founding {
    pub fn new(members: u16, threshold: u16, coordinators: u16) -> Self {
        let mut identity_seeds = Vec::new();
        for at in 0..members + coordinators {
            identity_seeds.push([u8::try_from(at + 1).unwrap(); 32]);
        }
        let cards: Vec<Card> = identity_seeds
            .iter()
            .map(|seed| card(&Ed25519Identity::from_seed(seed), seed[0]))
            .collect();
        let (member_cards, coordinator_cards) = cards.split_at(usize::from(members));
        let record = CreationRecord {
            network: NetworkId(3),
            threshold,
            members: member_cards.to_vec(),
            coordinators: coordinator_cards.to_vec(),
            profile: RuntimeProfile::from_bytes([5; 32]),
            created_ms: START_MS - 1_000,
            salt: Digest::from_bytes([1; 32]),
            terms: Terms::FREE,
            grants: Vec::new(),
            evm: false,
            conditions: Conditions::default(),
        };
        record.check().unwrap();
        Self {
            record,
            identity_seeds,
        }
    }
}

impl<S: Suite> WorldOf<S> {
    pub fn new(seed: u64, members: u16, threshold: u16, coordinators: u16) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (shares, public) =
            keys::generate_with_dealer(members, threshold, IdentifierList::Default, &mut rng)
                .unwrap();
        let slot_of = |slot: u16| Identifier::<S::Cipher>::try_from(slot).unwrap();
        let keys = (1..=members)
            .map(|slot| {
                let share = shares[&slot_of(slot)].clone();
                (Slot(slot), KeyPackage::try_from(share).unwrap())
            })
            .collect();
        let founding = Founding::new(members, threshold, coordinators);
        Self::with_key(rng, founding, keys, public)
    }

    /// A committee at work with a key that it has.
    pub fn with_key(
        rng: ChaCha8Rng,
        founding: Founding,
        keys: BTreeMap<Slot, KeyPackage<S::Cipher>>,
        public: PublicKeyPackage<S::Cipher>,
    ) -> Self {
        let Founding {
            record,
            identity_seeds,
        } = founding;
        let slots: Vec<Slot> = record.slots().collect();
        let ranks = 0..u16::try_from(record.coordinators.len()).unwrap();
        let group = public.verifying_key().serialize().unwrap();
        let group_key = GroupKey::from_bytes(group.try_into().unwrap());
        let committee = Committee::new(&record, group_key).unwrap();
        let domain = *committee.domain();
        let mut world = Self {
            now: START_MS,
            rng,
            params: Params::of(&record),
            genesis: Previous::genesis(&record),
            record,
            committee,
            domain,
            keys,
            public,
            identity_seeds,
            members: BTreeMap::new(),
            ranks: Vec::new(),
            network: QUIET,
            persist_ms: (1, 1),
            cut: BTreeSet::new(),
            restored: BTreeSet::new(),
            last_share: None,
            tamper: None,
            requests: Vec::new(),
            history: BTreeMap::new(),
            attested: BTreeMap::new(),
            leaves: BTreeMap::new(),
            seen: Vec::new(),
            sent: BTreeMap::new(),
            ordered: Vec::new(),
            fired: 0,
            queue: BTreeMap::new(),
            counter: 0,
            callers: 0,
        };
        for slot in slots {
            world.add_member(slot);
        }
        for rank in ranks {
            world.ranks.push(Rank {
                coordinator: None,
                incarnation: 0,
            });
            world.start_coordinator(rank);
        }
        world
    }

    /// A 4-of-5 committee with two coordinators.
    pub fn four_of_five(seed: u64) -> Self {
        Self::new(seed, 5, 4, 2)
    }

    pub fn add_member(&mut self, slot: Slot) {
        let member = Member {
            slot,
            signer: None,
            incarnation: 0,
            chain: Chain::new(&self.domain, slot),
            disk: Vec::new(),
            durable: Chain::new(&self.domain, slot),
            bases: 0,
            flying: VecDeque::new(),
            jobs: BTreeMap::new(),
            stored: BTreeSet::new(),
            state: State::genesis(&self.record),
            applied: None,
            waiting: BTreeMap::new(),
            executable: false,
            engine: Engine {
                takes_ms: 1,
                ..Engine::default()
            },
            anchor: None,
            disk_full: false,
        };
        self.members.insert(slot, member);
        self.start_member(slot);
    }

    pub fn identity(&self, party: Endpoint) -> Ed25519Identity {
        let at = match party {
            Endpoint::Signer(slot) => usize::from(slot.0) - 1,
            Endpoint::Coordinator(rank) => self.members.len() + usize::from(rank),
            Endpoint::Executor(_) | Endpoint::Node(_) => unreachable!("no identity"),
        };
        Ed25519Identity::from_seed(&self.identity_seeds[at])
    }

    pub fn start_member(&mut self, slot: Slot) {
        let identity = self.identity(Endpoint::Signer(slot));
        let (committee, step) = (self.committee.clone(), StepParams::new(&self.record));
        let key = self.keys[&slot].clone();
        let domain = self.domain;
        let member = self.members.get_mut(&slot).unwrap();
        member.chain = member.reopen(&domain);
        member.flying.clear();
        member.incarnation += 1;
        let signer = Signer::new(signer::Config {
            committee,
            step,
            slot,
            key,
            identity,
            verify: S::VERIFY,
            chain: member.chain.clone(),
            head: member.applied,
            restored: self.restored.contains(&slot),
            cutover: None,
            last_share: self.last_share.unwrap_or(self.committee.epoch()),
        });
        member.signer = Some(signer.unwrap());
        member.executable = false;
        self.drain_signer(slot);
        self.connected(Endpoint::Signer(slot));
        self.refresh(slot);
    }

    /// The process dies: what was on its way to it, and to disk, may be lost.
    pub fn kill_member(&mut self, slot: Slot) {
        let kept = self.rng.next_u64();
        let member = self.members.get_mut(&slot).unwrap();
        member.signer = None;
        member.incarnation += 1;
        let flying = member.flying.len() as u64;
        for _ in 0..(kept % (flying + 1)) {
            member.sync();
        }
        member.flying.clear();
    }

    pub fn start_coordinator(&mut self, rank: u16) {
        let identity = self.identity(Endpoint::Coordinator(rank));
        let config = coordinator::Config {
            committee: self.committee.clone(),
            step: StepParams::new(&self.record),
            rank,
            public: self.public.clone(),
            identity,
            verify: S::VERIFY,
        };
        let host = self.members.get(&Slot(rank + 1)).unwrap();
        let (executable, applied) = (host.executable, host.applied);
        let entry = &mut self.ranks[usize::from(rank)];
        entry.incarnation += 1;
        entry.coordinator = Some(Coordinator::new(config));
        if let Some(head) = applied {
            self.coordinate(rank, coordinator::Input::Head(Box::new(head)));
        }
        self.coordinate(rank, coordinator::Input::Executable(executable));
        self.connected(Endpoint::Coordinator(rank));
    }

    pub fn kill_coordinator(&mut self, rank: u16) {
        let entry = &mut self.ranks[usize::from(rank)];
        entry.coordinator = None;
        entry.incarnation += 1;
    }

    pub fn restart_member_at(&mut self, slot: Slot, at: u64) {
        self.schedule(at, Event::StartMember(slot));
    }

    pub fn restart_coordinator_at(&mut self, rank: u16, at: u64) {
        self.schedule(at, Event::StartCoordinator(rank));
    }

    /// A channel comes up: its signer ends know.
    pub fn connected(&mut self, party: Endpoint) {
        for slot in self.members.keys().copied().collect::<Vec<_>>() {
            if party != Endpoint::Signer(slot) && !self.cut.contains(&party) {
                self.sign(slot, signer::Input::Connected(party));
            }
        }
    }

    /// A signed call; every request has a caller of its own.
    pub fn request(&mut self, zapp: ZappId, method: &str, input: Vec<u8>) -> RequestId {
        self.callers += 1;
        let mut seed = [0xca; 32];
        seed[..8].copy_from_slice(&self.callers.to_be_bytes());
        let caller = Ed25519Identity::from_seed(&seed);
        let call = Call {
            network: self.record.network,
            committee: self.record.id(),
            zapp,
            method: method.into(),
            input,
            gas_limit: 50_000_000,
            fee_payer: FeePayer::Zapp,
            nonce: 1,
            valid_until_ms: self.now + 86_400_000,
            caller: caller.key(),
            pull: None,
        };
        let signature = caller.sign(&call.signed_bytes());
        let request = Request { call, signature };
        let id = request.id();
        self.requests.push(request);
        self.refresh_all();
        id
    }

    /// Deploys the counter and returns its id once that is attested.
    pub fn deploy(&mut self) -> ZappId {
        let deploy = Deploy {
            module: ModuleDigest::from_bytes([8; 32]),
            salt: Digest::from_bytes([2; 32]),
            escrow: 0,
            init: Vec::new(),
        };
        let id = self.request(ZappId::SYSTEM, "deploy", deploy.to_bytes());
        let caller = self.requests.last().unwrap().call.caller;
        assert!(
            self.run_until(60_000, |world| world.done(id)),
            "deployment is attested"
        );
        deploy.zapp(&caller)
    }

    /// Whether some node has applied the request's step.
    pub fn done(&self, id: RequestId) -> bool {
        self.members.values().any(|member| {
            member
                .pending(&self.requests)
                .all(|request| request.id() != id)
        })
    }

    pub fn all_done(&self) -> bool {
        self.members
            .values()
            .any(|member| member.pending(&self.requests).next().is_none())
    }

    pub fn head(&self) -> Seq {
        self.attested.keys().next_back().copied().unwrap_or(Seq(0))
    }

    pub fn view(&self, slot: u16) -> View {
        self.members[&Slot(slot)].signer.as_ref().unwrap().view()
    }

    pub fn run_for(&mut self, ms: u64) {
        let end = self.now + ms;
        self.run_until(ms, |_| false);
        self.now = end;
    }

    /// Runs until `done`, at most `ms` milliseconds of virtual time.
    pub fn run_until(&mut self, ms: u64, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + ms;
        while !done(self) {
            if !self.step(end) {
                return done(self);
            }
        }
        true
    }

    pub fn step(&mut self, end: u64) -> bool {
        let timer = self.next_timer();
        let event = self.queue.keys().next().map(|(at, _)| *at);
        let Some(next) = [timer.map(|(at, _)| at), event].into_iter().flatten().min() else {
            return false;
        };
        if next > end {
            return false;
        }
        self.now = self.now.max(next);
        if event.is_some_and(|at| at <= next) {
            let (_, event) = self.queue.pop_first().unwrap();
            self.happen(event);
        } else if let Some((_, party)) = timer {
            self.fire(party);
        }
        true
    }

    pub fn next_timer(&self) -> Option<(u64, Endpoint)> {
        let signers = self.members.iter().filter_map(|(slot, member)| {
            let at = member.signer.as_ref()?.poll_timeout()?;
            Some((at, Endpoint::Signer(*slot)))
        });
        let coordinators = (0u16..).zip(&self.ranks).filter_map(|(rank, entry)| {
            let at = entry.coordinator.as_ref()?.poll_timeout()?;
            Some((at, Endpoint::Coordinator(rank)))
        });
        signers.chain(coordinators).min()
    }

    pub fn fire(&mut self, party: Endpoint) {
        let now = self.now;
        self.fired += 1;
        match party {
            Endpoint::Signer(slot) => {
                let member = self.members.get_mut(&slot).unwrap();
                let signer = member.signer.as_mut().unwrap();
                signer.handle_timeout(now, &mut self.rng);
                let next = signer.poll_timeout();
                assert!(
                    next.is_none_or(|at| at > now),
                    "signer {slot}'s timer does not advance"
                );
                self.drain_signer(slot);
            }
            Endpoint::Coordinator(rank) => {
                let entry = &mut self.ranks[usize::from(rank)];
                let machine = entry.coordinator.as_mut().unwrap();
                machine.handle_timeout(now);
                let next = machine.poll_timeout();
                assert!(
                    next.is_none_or(|at| at > now),
                    "timer of {rank} does not advance"
                );
                self.drain_coordinator(rank);
            }
            Endpoint::Executor(_) | Endpoint::Node(_) => {}
        }
    }
}
