//! Key generation, reshare and repair of four members under any list of events. Member 2 is hostile:
//! its messages are changed and signed anew. Whoever else is named, and two keys, are findings.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use attestation::codec;
use attestation::ids::{Boot, Digest, Epoch, Slot};
use frost_ed25519::Ed25519Sha512;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use signer_protocol::blame::Culprit;
use signer_protocol::dkg::{Dkg, DkgOutput, KeyRecord, KeyShare, PendingShares, Start};
use signer_protocol::evidence::{Evidence, History, Kind as Act};
use signer_protocol::identity::{Ed25519Identity, Ed25519Verify, SignIdentity as _};
use signer_protocol::membership::Membership;
use signer_protocol::message::{DkgBody, DkgMessage, RepairMessage, SecretPackage};
use signer_protocol::repair::{Repair, RepairOutput, RepairPlan, Repairing};
use signer_protocol::reshare::{Change, ChangePlan, PlannedMember};
use signer_protocol::sealed::ShareBytes;
use sim::founding::{self, PROFILE, START_MS};
use sim::suite::Real;
use zeroize::Zeroizing;

use crate::input::Input;

type Suite = Ed25519Sha512;
type DkgMachine = Dkg<Suite, Ed25519Identity, Ed25519Verify>;
type RepairMachine = Repair<Suite, Ed25519Identity, Ed25519Verify>;

const LIAR: Slot = Slot(2);
const SLOTS: [Slot; 4] = [Slot(1), Slot(2), Slot(3), Slot(4)];
/// Whose share is repaired.
const LOST: Slot = Slot(4);
/// Most messages on their way: what is beyond is lost.
const FLYING_MAX: usize = 256;
/// Most events of one input.
const EVENTS_MAX: usize = 160;

/// A committee with a key, to change or repair.
pub struct Held {
    pub members: Membership,
    pub key: KeyRecord,
    shares: BTreeMap<Slot, Vec<u8>>,
}

impl Held {
    /// The share of a member.
    pub fn share(&self, slot: Slot) -> Option<KeyShare<Suite>> {
        let bytes = Zeroizing::new(self.shares.get(&slot)?.clone());
        KeyShare::from_bytes(&ShareBytes::new(Epoch(1), bytes)).ok()
    }

    /// A refresh of all shares.
    pub fn plan(&self) -> ChangePlan {
        let domain = self.members.domain();
        let member = |slot| PlannedMember {
            slot,
            card: self.members.member(slot).expect("a member").clone(),
        };
        ChangePlan {
            network: domain.network,
            committee: domain.committee,
            base: self.members.epoch(),
            keys: vec![self.key.package_digest()],
            epoch: Epoch(2),
            dealers: SLOTS[..3].to_vec(),
            members: SLOTS.map(member).to_vec(),
            threshold: 3,
            profile: PROFILE,
        }
    }

    /// A repair of the last member's share by the three others.
    pub fn repair(&self) -> RepairPlan {
        let domain = self.members.domain();
        RepairPlan {
            network: domain.network,
            committee: domain.committee,
            epoch: self.members.epoch(),
            key: self.key.package_digest(),
            helpers: SLOTS[..3].to_vec(),
            lost: LOST,
            attempt: 1,
        }
    }
}

/// The key that a sound generation ends with, made once.
pub fn held() -> &'static Held {
    static HELD: OnceLock<Held> = OnceLock::new();
    HELD.get_or_init(|| {
        let mut net = Net::<DkgMachine>::new(Kind::Generation);
        net.settle();
        let mut shares = BTreeMap::new();
        let mut key = None;
        for (slot, member) in &mut net.members {
            let (record, share) = member.done.take().expect("everybody is sound");
            shares.insert(*slot, share.to_bytes().bytes().to_vec());
            key = Some(record);
        }
        Held {
            members: Membership::of(&founding::record::<Real>(4, 3, 2)),
            key: key.expect("there are members"),
            shares,
        }
    })
}

/// A key generation.
pub fn key_generation(bytes: &[u8]) -> bool {
    let mut net = Net::<DkgMachine>::new(Kind::Generation);
    let given = net.feed(bytes);
    net.check_keys();
    given
}

/// A refresh of all shares.
pub fn reshare(bytes: &[u8]) -> bool {
    let mut net = Net::<DkgMachine>::new(Kind::Reshare);
    let given = net.feed(bytes);
    net.check_keys();
    given
}

/// A repair of one share.
pub fn repair(bytes: &[u8]) -> bool {
    let mut net = Net::<RepairMachine>::new(Kind::Repair);
    let given = net.feed(bytes);
    if let Some((record, share)) = net.members[&LOST].done.as_ref() {
        assert!(share.belongs_to(record), "another share than the lost one");
        let old = held().share(LOST).expect("it had one");
        assert_eq!(share.key_package(), old.key_package());
    }
    given
}

/// What honest members hold against a liar, a file for each of four acts.
pub fn evidence() -> BTreeMap<String, Vec<u8>> {
    let acts = [
        Act::BadDealing,
        Act::EchoDeniesOwn,
        Act::EchoTwice,
        Act::Round1Twice,
    ];
    let file = |act: Act| {
        let proof = Net::<DkgMachine>::new(Kind::Generation).convict(act);
        let judged = proof.verify(&founding::record::<Real>(4, 3, 2));
        assert_eq!(judged.expect("it is a proof").kind, act);
        (act.id().to_owned(), proof.to_bytes())
    };
    acts.into_iter().map(file).collect()
}

/// The liar's message as it is in this act, if it is one that changes.
fn lie(act: Act, message: &DkgMessage) -> Option<DkgMessage> {
    let mut message = message.clone();
    match (act, &mut message.body) {
        (Act::BadDealing, DkgBody::Round2 { package, .. }) => {
            let mut bytes = package.bytes().to_vec();
            let share = bytes.len() - 32;
            bytes[share] ^= 1;
            *package = SecretPackage::new(Zeroizing::new(bytes));
        }
        (Act::Round1Twice, DkgBody::Round1(package)) => {
            *package.last_mut().expect("packages have bytes") ^= 1;
        }
        (Act::EchoTwice, DkgBody::Echo(digests)) => digests[0] = Digest::from_bytes([7; 32]),
        (Act::EchoDeniesOwn, DkgBody::Echo(digests)) => digests[1] = Digest::from_bytes([7; 32]),
        _ => return None,
    }
    DkgMachine::sign(&mut message);
    Some(message)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Generation,
    Reshare,
    Repair,
}

/// What a machine does that its network has to know of.
enum Done<M> {
    Send(Slot, M),
    Persist(Vec<u8>),
    Has(Box<(KeyRecord, KeyShare<Suite>)>),
    Names(Vec<Slot>, String),
    Nothing,
}

trait Ceremony: Sized {
    type Message: Clone + Serialize + DeserializeOwned;

    fn start(
        kind: Kind,
        slot: Slot,
        boot: Boot,
        disk: Option<&[u8]>,
        key: Option<&KeyRecord>,
    ) -> Self;
    fn handle(&mut self, now_ms: u64, rng: &mut ChaCha8Rng, from: Slot, message: Self::Message);
    fn due(&mut self, now_ms: u64, rng: &mut ChaCha8Rng);
    fn when(&self) -> Option<u64>;
    fn persisted(&mut self, now_ms: u64, rng: &mut ChaCha8Rng);
    fn next(&mut self) -> Option<Done<Self::Message>>;
    fn sign(message: &mut Self::Message);
}

impl Ceremony for DkgMachine {
    type Message = DkgMessage;

    fn start(
        kind: Kind,
        slot: Slot,
        boot: Boot,
        disk: Option<&[u8]>,
        key: Option<&KeyRecord>,
    ) -> Self {
        let epoch = match kind {
            Kind::Reshare => Epoch(2),
            _ => Epoch(1),
        };
        let start = match (key, disk) {
            (Some(key), _) => Start::Finished(key.clone()),
            (None, Some(disk)) => {
                let bytes = ShareBytes::new(epoch, Zeroizing::new(disk.to_vec()));
                Start::Pending(PendingShares::from_bytes(&bytes).expect("what was written"))
            }
            (None, None) => Start::Fresh,
        };
        let identity = identity(slot);
        let machine = match kind {
            Kind::Reshare => {
                let (plan, share) = (held().plan(), held().share(slot));
                let change = Change {
                    plan: &plan,
                    base: &held().members,
                    key: &held().key,
                    share: share.as_ref().filter(|_| plan.dealers.contains(&slot)),
                };
                Dkg::reshare(&change, slot, boot, identity, Ed25519Verify, start)
            }
            _ => {
                let record = founding::record::<Real>(4, 3, 2);
                Dkg::new(&record, slot, boot, identity, Ed25519Verify, start)
            }
        };
        machine.expect("a member with what it needs")
    }

    fn handle(&mut self, now_ms: u64, rng: &mut ChaCha8Rng, from: Slot, message: DkgMessage) {
        let _ = Self::handle(self, now_ms, rng, from, message);
    }

    fn due(&mut self, now_ms: u64, rng: &mut ChaCha8Rng) {
        self.handle_timeout(now_ms, rng);
    }

    fn when(&self) -> Option<u64> {
        self.poll_timeout()
    }

    fn persisted(&mut self, now_ms: u64, rng: &mut ChaCha8Rng) {
        Self::persisted(self, now_ms, rng);
    }

    fn next(&mut self) -> Option<Done<DkgMessage>> {
        Some(match self.poll()? {
            DkgOutput::Send { to, message } => Done::Send(to, message),
            DkgOutput::Persist(bytes) => Done::Persist(bytes.bytes().to_vec()),
            DkgOutput::Done(key, share) => Done::Has(Box::new((key, share))),
            DkgOutput::Dealt(_) => Done::Nothing,
            DkgOutput::Aborted { culprits, act } => {
                if let Some(proof) = self.proof() {
                    let proof = proof.clone().with_history(&History {
                        key: held().key.clone(),
                        epochs: Vec::new(),
                    });
                    let judged = proof.verify(&founding::record::<Real>(4, 3, 2));
                    let judged = judged.map(|conviction| conviction.culprit);
                    let named = culprits.first().copied().map(Culprit::Member);
                    assert_eq!(judged.ok(), named, "a proof that proves nothing: {act}");
                    let read = Evidence::from_bytes(&proof.to_bytes());
                    assert_eq!(read, Ok(proof));
                }
                Done::Names(culprits, act.to_string())
            }
        })
    }

    fn sign(message: &mut DkgMessage) {
        message.slot = LIAR;
        let signed =
            message.signed_bytes(Membership::of(&founding::record::<Real>(4, 3, 2)).domain());
        message.signature = identity(LIAR).sign(&signed);
    }
}

impl Ceremony for RepairMachine {
    type Message = RepairMessage;

    fn start(_: Kind, slot: Slot, boot: Boot, _: Option<&[u8]>, _: Option<&KeyRecord>) -> Self {
        let share = held().share(slot).filter(|_| slot != LOST);
        let repairing = Repairing {
            plan: &held().repair(),
            members: &held().members,
            key: &held().key,
            share: share.as_ref(),
        };
        Repair::new(&repairing, slot, boot, identity(slot), Ed25519Verify)
            .expect("a member with what it needs")
    }

    fn handle(&mut self, now_ms: u64, _: &mut ChaCha8Rng, from: Slot, message: RepairMessage) {
        let _ = Self::handle(self, now_ms, from, message);
    }

    fn due(&mut self, now_ms: u64, rng: &mut ChaCha8Rng) {
        self.handle_timeout(now_ms, rng);
    }

    fn when(&self) -> Option<u64> {
        self.poll_timeout()
    }

    fn persisted(&mut self, _: u64, _: &mut ChaCha8Rng) {
        Self::persisted(self);
    }

    fn next(&mut self) -> Option<Done<RepairMessage>> {
        Some(match self.poll()? {
            RepairOutput::Send { to, message } => Done::Send(to, message),
            RepairOutput::Persist(bytes) => Done::Persist(bytes.bytes().to_vec()),
            RepairOutput::Restored(share) => Done::Has(Box::new((held().key.clone(), share))),
            RepairOutput::Helped => Done::Nothing,
            RepairOutput::Aborted { culprits, act } => Done::Names(culprits, act.to_string()),
        })
    }

    fn sign(message: &mut RepairMessage) {
        message.slot = LIAR;
        let signed = message.signed_bytes(held().members.domain());
        message.signature = identity(LIAR).sign(&signed);
    }
}

fn identity(slot: Slot) -> Ed25519Identity {
    Ed25519Identity::from_seed(&founding::member_seed(slot.0))
}

struct Member<M> {
    machine: M,
    boot: u64,
    disk: Option<Vec<u8>>,
    /// Written and not acknowledged.
    written: Vec<Vec<u8>>,
    done: Option<(KeyRecord, KeyShare<Suite>)>,
}

struct Net<M: Ceremony> {
    kind: Kind,
    now_ms: u64,
    rng: ChaCha8Rng,
    members: BTreeMap<Slot, Member<M>>,
    flying: Vec<(Slot, Slot, M::Message)>,
    /// Everything sent, for the liar to learn from.
    heard: Vec<M::Message>,
}

impl<M: Ceremony> Net<M> {
    fn new(kind: Kind) -> Self {
        let member = |slot| {
            let member = Member {
                machine: M::start(kind, slot, Boot(1), None, None),
                boot: 1,
                disk: None,
                written: Vec::new(),
                done: None,
            };
            (slot, member)
        };
        Self {
            kind,
            now_ms: START_MS,
            rng: ChaCha8Rng::seed_from_u64(1),
            members: SLOTS.map(member).into(),
            flying: Vec::new(),
            heard: Vec::new(),
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> bool {
        let mut input = Input::new(bytes);
        let mut given = 0;
        self.due();
        for _ in 0..EVENTS_MAX {
            if input.is_empty() {
                break;
            }
            given += usize::from(self.event(&mut input));
        }
        given > 0
    }

    /// Everything arrives until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            self.due();
            while !self.flying.is_empty() {
                let (from, to, message) = self.flying.remove(0);
                self.give(from, to, message);
            }
            self.acknowledge();
            if self.flying.is_empty() && self.members.values().all(|member| member.done.is_some()) {
                return;
            }
            self.now_ms += 50;
        }
    }

    fn event(&mut self, input: &mut Input<'_>) -> bool {
        match input.byte() % 8 {
            0 => {
                self.now_ms += u64::try_from(input.number()).unwrap_or(0);
                self.due();
            }
            1 => self.acknowledge(),
            2 => {
                if self.kind != Kind::Repair {
                    self.restart(SLOTS[input.below(4)]);
                }
            }
            3 => {
                let at = input.below(self.flying.len());
                if at < self.flying.len() {
                    self.flying.remove(at);
                }
            }
            4 => {
                let at = input.below(self.flying.len());
                if let Some((from, to, message)) = self.flying.get(at).cloned() {
                    self.give(from, to, message);
                }
            }
            5 => return self.lie(input),
            _ => {
                for _ in 0..=input.byte() % 16 {
                    if self.flying.is_empty() {
                        return false;
                    }
                    let at = match input.byte() % 4 {
                        0 => input.below(self.flying.len()),
                        _ => 0,
                    };
                    let (from, to, message) = self.flying.remove(at);
                    self.give(from, to, message);
                }
                return true;
            }
        }
        false
    }

    /// The liar sends what somebody said, changed, under its own name.
    fn lie(&mut self, input: &mut Input<'_>) -> bool {
        let back = 1 + input.below(self.heard.len());
        let at = self.heard.len().checked_sub(back);
        let Some(message) = at.and_then(|at| self.heard.get(at)) else {
            return false;
        };
        let mut bytes = codec::encode(message);
        input.spoil(&mut bytes);
        let Ok(mut message) = codec::decode::<M::Message>(&bytes, 64 * 1024) else {
            return false;
        };
        M::sign(&mut message);
        let to = SLOTS[input.below(4)];
        if to == LIAR {
            return false;
        }
        self.give(LIAR, to, message);
        true
    }

    fn restart(&mut self, slot: Slot) {
        let kind = self.kind;
        if let Some(member) = self.members.get_mut(&slot) {
            member.written.clear();
            member.boot += 1;
            let key = member.done.as_ref().map(|(key, _)| key);
            let disk = member.disk.as_deref();
            member.machine = M::start(kind, slot, Boot(member.boot), disk, key);
        }
        self.due();
    }

    fn due(&mut self) {
        for slot in SLOTS {
            if let Some(member) = self.members.get_mut(&slot)
                && member.machine.when().is_some_and(|at| at <= self.now_ms)
            {
                member.machine.due(self.now_ms, &mut self.rng);
                let due = member.machine.when();
                assert!(
                    due.is_none_or(|due| due > self.now_ms),
                    "a timer does not advance"
                );
            }
            self.drain(slot);
        }
    }

    fn acknowledge(&mut self) {
        for slot in SLOTS {
            if let Some(member) = self.members.get_mut(&slot)
                && !member.written.is_empty()
            {
                member.disk = Some(member.written.remove(0));
                member.machine.persisted(self.now_ms, &mut self.rng);
            }
            self.drain(slot);
        }
    }

    fn give(&mut self, from: Slot, to: Slot, message: M::Message) {
        if let Some(member) = self.members.get_mut(&to) {
            member
                .machine
                .handle(self.now_ms, &mut self.rng, from, message);
        }
        self.drain(to);
    }

    fn drain(&mut self, slot: Slot) {
        while let Some(member) = self.members.get_mut(&slot)
            && let Some(done) = member.machine.next()
        {
            match done {
                Done::Send(to, message) => {
                    self.heard.push(message.clone());
                    if self.flying.len() < FLYING_MAX {
                        self.flying.push((slot, to, message));
                    }
                }
                Done::Persist(bytes) => member.written.push(bytes),
                Done::Has(both) => member.done = Some(*both),
                Done::Names(culprits, act) => {
                    let honest = culprits.iter().any(|culprit| *culprit != LIAR);
                    assert!(slot == LIAR || !honest, "{slot} names {culprits:?}: {act}");
                }
                Done::Nothing => {}
            }
        }
    }
}

impl Net<DkgMachine> {
    /// Everything arrives, with what the liar does, until an honest member has a proof.
    fn convict(mut self, act: Act) -> Evidence {
        for _ in 0..1_000 {
            self.due();
            while !self.flying.is_empty() {
                let (from, to, message) = self.flying.remove(0);
                let own = from == LIAR && message.slot == LIAR;
                let lie = own.then(|| lie(act, &message)).flatten();
                let twice = matches!(act, Act::Round1Twice | Act::EchoTwice);
                if lie.is_none() || twice {
                    self.give(from, to, message);
                }
                if let Some(lie) = lie {
                    self.give(from, to, lie);
                }
                let honest = self.members.iter().filter(|(slot, _)| **slot != LIAR);
                if let Some(proof) = honest.filter_map(|(_, one)| one.machine.proof()).next() {
                    return proof.clone();
                }
            }
            self.acknowledge();
            self.now_ms += 50;
        }
        panic!("nobody is convicted");
    }

    /// Whoever has a key has the same, and it signs.
    fn check_keys(&self) {
        let done = self
            .members
            .values()
            .filter_map(|member| member.done.as_ref());
        let mut first: Option<&KeyRecord> = None;
        for (record, share) in done {
            assert!(share.belongs_to(record), "a share of another key");
            let known = first.get_or_insert(record);
            assert_eq!(known.group_key, record.group_key, "two keys");
            assert_eq!(known.public_package, record.public_package, "two keys");
            match self.kind {
                Kind::Reshare => assert_eq!(record.group_key, held().key.group_key),
                _ => record
                    .check(&founding::record::<Real>(4, 3, 2))
                    .expect("a sound record"),
            }
        }
    }
}
