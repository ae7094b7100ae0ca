//! A committee in memory: links that delay, lose, repeat and reorder, members that crash, and
//! members that lie.

mod elsewhere;
mod faults;
mod hoard;
mod honest;
mod records;
mod sizes;

use alloc::vec;
use core::cell::RefCell;

use attestation::codec;
use attestation::committee::{Card, Quorum};
use attestation::conditions::Conditions;
use attestation::ids::{Digest, Epoch, NetworkId, RuntimeProfile};
use attestation::terms::Terms;
use frost_ed25519::Ed25519Sha512;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use zeroize::Zeroizing;

use super::packages::ENVELOPE_BYTES_MAX;
use super::*;
use crate::channel::ChannelSecret;
use crate::evidence::History;
use crate::identity::{Ed25519Identity, Ed25519Verify};
use crate::membership::Membership;
use crate::message::{Message, ToMember};
use crate::reshare::ChangePlan;
use crate::sealed::ShareBytes;

pub(crate) type Suite = Ed25519Sha512;
pub(crate) type Machine = Dkg<Suite, Ed25519Identity, Ed25519Verify>;

pub(crate) fn identity(seed: u16) -> Ed25519Identity {
    let mut bytes = [1; 32];
    bytes[..2].copy_from_slice(&seed.to_be_bytes());
    Ed25519Identity::from_seed(&bytes)
}

pub(crate) fn card(seed: u16) -> Card {
    let identity = identity(seed);
    let mut secret = [2; 32];
    secret[..2].copy_from_slice(&seed.to_be_bytes());
    let (key, channel) = (identity.key(), ChannelSecret::from_bytes(&secret).key());
    let image = Digest::from_bytes([0; 32]);
    Card::signed((key, channel), image, Card::NO_PAYOUT, |bytes| {
        identity.sign(bytes)
    })
}

pub(crate) fn record(members: u16, salt: u8) -> CreationRecord {
    let record = CreationRecord {
        network: NetworkId(1),
        threshold: Quorum::with_default_threshold(members).unwrap().threshold(),
        members: (1..=members).map(card).collect(),
        coordinators: vec![card(1000)],
        profile: RuntimeProfile::from_bytes([0; 32]),
        created_ms: 0,
        salt: Digest::from_bytes([salt; 32]),
        terms: Terms::FREE,
        grants: Vec::new(),
        evm: false,
        conditions: Conditions::default(),
    };
    record.check().unwrap();
    record
}

/// A change of members, with all shares of the base epoch.
pub(crate) struct Changing {
    pub(crate) plan: ChangePlan,
    pub(crate) base: Membership,
    pub(crate) key: KeyRecord,
    pub(crate) shares: BTreeMap<Slot, KeyShare<Suite>>,
}

impl Changing {
    pub(crate) fn of(&self, slot: Slot) -> Change<'_, Suite> {
        Change {
            plan: &self.plan,
            base: &self.base,
            key: &self.key,
            share: self.shares.get(&slot),
        }
    }
}

/// One member's process and disk.
pub(crate) struct Member {
    pub(crate) machine: Option<Machine>,
    pub(crate) boot: u64,
    pub(crate) disk: Option<Vec<u8>>,
    pub(crate) done: Option<(KeyRecord, KeyShare<Suite>)>,
    /// The record that ended it for a member that only dealt.
    pub(crate) dealt: Option<KeyRecord>,
    pub(crate) aborted: Option<(Vec<Slot>, Act)>,
    pub(crate) errors: Vec<DkgError>,
}

#[derive(Clone)]
pub(crate) enum Arrival {
    Message(Slot, DkgMessage),
    Persisted,
}

/// An honest machine shows no round-2 package as evidence: that convicts its sender wherever it fits.
fn assert_accuses_of_no_share(message: &DkgMessage) {
    if let DkgBody::Evidence(bytes) = &message.body {
        let envelope: DkgMessage = codec::decode(bytes.bytes(), ENVELOPE_BYTES_MAX).unwrap();
        assert!(
            !matches!(envelope.body, DkgBody::Round2 { .. }),
            "{envelope:?}"
        );
    }
}

/// Changes what a member sends; what it returns is sent instead.
pub(crate) type Tamper<'a> = dyn FnMut(Slot, DkgMessage) -> Vec<DkgMessage> + 'a;

pub(crate) struct Net<'a> {
    /// What the members are about; a key generation if there is nothing to change.
    pub(crate) changing: Option<Changing>,
    pub(crate) record: CreationRecord,
    pub(crate) members: BTreeMap<Slot, Member>,
    pub(crate) now_ms: u64,
    pub(crate) rng: ChaCha20Rng,
    /// When, for whom, the receiver's start, what.
    pub(crate) arrivals: Vec<(u64, Slot, u64, Arrival)>,
    pub(crate) loss_percent: u32,
    pub(crate) repeat_percent: u32,
    pub(crate) delay_ms_max: u32,
    pub(crate) sent: u64,
    pub(crate) tamper: Box<Tamper<'a>>,
}

impl<'a> Net<'a> {
    pub(crate) fn new(members: u16, seed: u64) -> Self {
        let record = record(members, 0);
        let slots = record.slots().collect::<Vec<_>>();
        Self::of(record, None, &slots, seed)
    }

    /// The parties in `slots`, each started.
    pub(crate) fn of(
        record: CreationRecord,
        changing: Option<Changing>,
        slots: &[Slot],
        seed: u64,
    ) -> Self {
        let mut net = Self {
            changing,
            members: BTreeMap::new(),
            now_ms: 1_000_000,
            rng: ChaCha20Rng::seed_from_u64(seed),
            arrivals: vec![],
            loss_percent: 0,
            repeat_percent: 0,
            delay_ms_max: 0,
            sent: 0,
            tamper: Box::new(|_, message| vec![message]),
            record,
        };
        for slot in slots {
            let slot = *slot;
            net.members.insert(
                slot,
                Member {
                    machine: None,
                    boot: 0,
                    disk: None,
                    done: None,
                    dealt: None,
                    aborted: None,
                    errors: vec![],
                },
            );
            net.start(slot);
        }
        net
    }

    pub(crate) fn tampered(
        members: u16,
        tamper: impl FnMut(Slot, DkgMessage) -> Vec<DkgMessage> + 'a,
    ) -> Self {
        let mut net = Self::new(members, 1);
        net.tamper = Box::new(tamper);
        net
    }

    /// Starts a member's process on whatever its disk holds.
    pub(crate) fn start(&mut self, slot: Slot) {
        let member = self.members.get_mut(&slot).unwrap();
        member.boot += 1;
        let epoch = self
            .changing
            .as_ref()
            .map_or(Epoch(1), |all| all.plan.epoch);
        let key = member
            .done
            .as_ref()
            .map(|(key, _)| key)
            .or(member.dealt.as_ref());
        let start = match (key, &member.disk) {
            (Some(key), _) => Start::Finished(key.clone()),
            (None, Some(disk)) => {
                let bytes = ShareBytes::new(epoch, Zeroizing::new(disk.clone()));
                Start::Pending(PendingShares::from_bytes(&bytes).unwrap())
            }
            (None, None) => Start::Fresh,
        };
        let (boot, identity) = (Boot(member.boot), identity(slot.0));
        let machine = match &self.changing {
            None => Dkg::new(&self.record, slot, boot, identity, Ed25519Verify, start),
            Some(all) => Dkg::reshare(&all.of(slot), slot, boot, identity, Ed25519Verify, start),
        };
        member.machine = Some(machine.unwrap());
    }

    pub(crate) fn kill(&mut self, slot: Slot) {
        self.members.get_mut(&slot).unwrap().machine = None;
    }

    fn roll(&mut self, percent: u32) -> bool {
        self.rng.next_u32() % 100 < percent
    }

    /// One tick of 10 ms: timeouts, arrivals in random order, outputs.
    pub(crate) fn tick(&mut self) {
        self.now_ms += 10;
        let now_ms = self.now_ms;
        let (due, later) = self
            .arrivals
            .drain(..)
            .partition(|arrival| arrival.0 <= now_ms);
        self.arrivals = later;
        let mut due: Vec<_> = due;
        while !due.is_empty() {
            let at = match self.delay_ms_max {
                0 => 0,
                _ => self.rng.next_u32() as usize % due.len(),
            };
            let (_, to, boot, arrival) = due.remove(at);
            let member = self.members.get_mut(&to).unwrap();
            let Some(machine) = member.machine.as_mut().filter(|_| member.boot == boot) else {
                continue;
            };
            match arrival {
                Arrival::Message(from, message) => {
                    let outcome = machine.handle(now_ms, &mut self.rng, from, message);
                    member.errors.extend(outcome.err());
                }
                Arrival::Persisted => machine.persisted(now_ms, &mut self.rng),
            }
        }
        for slot in self.members.keys().copied().collect::<Vec<_>>() {
            if let Some(machine) = &mut self.members.get_mut(&slot).unwrap().machine
                && machine.poll_timeout().is_some_and(|at| at <= now_ms)
            {
                machine.handle_timeout(now_ms, &mut self.rng);
            }
            self.drain(slot);
        }
    }

    fn drain(&mut self, slot: Slot) {
        loop {
            let member = self.members.get_mut(&slot).unwrap();
            let boot = member.boot;
            let Some(output) = member.machine.as_mut().and_then(Dkg::poll) else {
                return;
            };
            match output {
                DkgOutput::Send { to, message } => {
                    assert_accuses_of_no_share(&message);
                    for message in (self.tamper)(to, message) {
                        self.post(slot, to, message);
                    }
                }
                DkgOutput::Persist(bytes) => {
                    member.disk = Some(bytes.bytes().to_vec());
                    self.arrivals
                        .push((self.now_ms, slot, boot, Arrival::Persisted));
                }
                DkgOutput::Done(key, share) => member.done = Some((key, share)),
                DkgOutput::Dealt(key) => member.dealt = Some(key),
                DkgOutput::Aborted { culprits, act } => member.aborted = Some((culprits, act)),
            }
        }
    }

    fn post(&mut self, from: Slot, to: Slot, message: DkgMessage) {
        self.sent += 1;
        // As it travels.
        let body = match &self.changing {
            None => ToMember::Dkg(message.clone()),
            Some(_) => ToMember::Reshare(message.clone()),
        };
        let travels = Message::ToMember(body);
        assert_eq!(Message::from_bytes(&travels.to_bytes()), Ok(travels));
        let copies = 1 + u32::from(self.roll(self.repeat_percent));
        for _ in 0..copies {
            if self.roll(self.loss_percent) {
                continue;
            }
            let delay = u64::from(self.rng.next_u32() % (self.delay_ms_max + 1));
            let boot = self.members[&to].boot;
            let arrival = Arrival::Message(from, message.clone());
            self.arrivals.push((self.now_ms + delay, to, boot, arrival));
        }
    }

    /// Runs until `until` holds; fails after that much time of the committee.
    pub(crate) fn run_until(&mut self, ms_max: u64, what: &str, until: impl Fn(&Self) -> bool) {
        let end = self.now_ms + ms_max;
        while !until(self) {
            assert!(self.now_ms < end, "{what}: not within {ms_max} ms");
            self.tick();
        }
    }

    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            self.tick();
        }
    }

    pub(crate) fn all_done(&self) -> bool {
        let ended = |member: &Member| member.done.is_some() || member.dealt.is_some();
        self.members.values().all(ended)
    }

    pub(crate) fn number(&self, slot: u16) -> Option<u64> {
        match &self.members[&Slot(slot)].machine.as_ref()?.state {
            State::Running(attempt) => Some(attempt.number),
            _ => None,
        }
    }

    /// All members hold shares of one key that signs, and the record verifies offline.
    pub(crate) fn assert_one_key(&self) -> KeyRecord {
        let (key, _) = self.members[&Slot(1)].done.as_ref().unwrap();
        key.check(&self.record).unwrap();
        assert_eq!(KeyRecord::from_bytes(&key.to_bytes()).as_ref(), Ok(key));
        let mut shares = vec![];
        for (slot, member) in &self.members {
            let (theirs, share) = member.done.as_ref().unwrap();
            theirs.check(&self.record).unwrap();
            assert_eq!(theirs.group_key, key.group_key, "member {slot}");
            assert!(share.belongs_to(theirs) && share.slot() == *slot);
            shares.push(share);
        }
        // The last t members sign.
        let threshold = usize::from(self.record.threshold);
        let set = &shares[shares.len() - threshold..];
        assert!(signs(set, key, b"message"));
        key.clone()
    }

    pub(crate) fn assert_abort(&self, slot: u16, culprits: &[u16], what: &str) -> &Act {
        let member = &self.members[&Slot(slot)];
        let (named, act) = member
            .aborted
            .as_ref()
            .unwrap_or_else(|| panic!("member {slot} did not abort at {what}"));
        let culprits: Vec<_> = culprits.iter().copied().map(Slot).collect();
        assert_eq!(*named, culprits, "member {slot}: {what}: {}", act);
        self.assert_proof(slot, act, &culprits, what);
        act
    }

    /// What a member holds against the culprit convicts it before whoever took no part.
    fn assert_proof(&self, slot: u16, act: &Act, culprits: &[Slot], what: &str) {
        let is_signed = matches!(
            act,
            Act::Equivocation(_)
                | Act::Round1(_)
                | Act::Echo(_)
                | Act::Round2(_)
                | Act::Accusation(_)
                | Act::CertifiedTwice(_)
                | Act::CanaryNonces(_)
                | Act::BadNonces(_)
                | Act::CanaryShare(_)
        );
        let machine = self.members[&Slot(slot)].machine.as_ref();
        let (Some(machine), [culprit]) = (machine, culprits) else {
            return;
        };
        let proof = machine.proof().filter(|_| is_signed);
        assert_eq!(proof.is_some(), is_signed, "member {slot}: {what}: {act}");
        if let Some(proof) = proof {
            let mut proof = proof.clone();
            if let Some(changing) = &self.changing {
                proof = proof.with_history(&History {
                    key: changing.key.clone(),
                    epochs: vec![],
                });
            }
            let judged = proof.verify(&self.record);
            let judged = judged.map(|conviction| conviction.culprit);
            let expected = Ok(crate::blame::Culprit::Member(*culprit));
            assert_eq!(judged, expected, "member {slot}: {what}: {act}");
        }
    }
}

/// Whether these shares make a signature that plain Ed25519 accepts.
pub(crate) fn signs(shares: &[&KeyShare<Suite>], key: &KeyRecord, message: &[u8]) -> bool {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let (nonces, commitments): (Vec<_>, BTreeMap<_, _>) = shares
        .iter()
        .map(|share| {
            let package = share.key_package();
            let (nonces, commitments) =
                frost_core::round1::commit(package.signing_share(), &mut rng);
            (nonces, (*package.identifier(), commitments))
        })
        .unzip();
    let package = frost_core::SigningPackage::new(commitments, message);
    let signature_shares = shares
        .iter()
        .zip(&nonces)
        .map(|(share, nonces)| {
            let key = share.key_package();
            let signed = frost_core::round2::sign(&package, nonces, key).unwrap();
            (*key.identifier(), signed)
        })
        .collect();
    let public = key.public_key_package().unwrap();
    let signature = frost_core::aggregate(&package, &signature_shares, &public).unwrap();
    let bytes = signature.serialize().unwrap().try_into().unwrap();
    let signature = attestation::ids::Signature::from_bytes(bytes);
    let key = key.ed25519_key().unwrap();
    attestation::identity::verify_group(&key, message, &signature)
}

/// Signs a changed message again as its sender would.
pub(crate) fn resigned(record: &CreationRecord, mut message: DkgMessage) -> DkgMessage {
    let signed = message.signed_bytes(&domain(record));
    message.signature = identity(message.slot.0).sign(&signed);
    message
}

pub(crate) fn domain(record: &CreationRecord) -> state::job::Domain {
    *Membership::of(record).domain()
}
