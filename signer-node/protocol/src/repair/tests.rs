//! Helpers and a member without a share, in memory; liars are honest machines whose messages are
//! changed and signed again on the way out.

mod faults;
mod limits;
mod proofs;

use alloc::vec;

use frost_core::keys::repairable;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::blame::Culprit;
use crate::dkg::tests::{Net as Generation, Suite, identity, record};
use crate::evidence::{EvidenceError, History, Kind, RepairDeed};
use crate::identity::{Ed25519Identity, Ed25519Verify};
use crate::message::{Message, ToMember};

type Machine = Repair<Suite, Ed25519Identity, Ed25519Verify>;
type Tamper = dyn FnMut(Slot, RepairMessage) -> Vec<RepairMessage>;

/// A committee of six with t = 5, which has a key.
struct Held {
    members: Membership,
    key: KeyRecord,
    shares: BTreeMap<Slot, KeyShare<Suite>>,
}

const LOST: Slot = Slot(3);

impl Held {
    fn new() -> Self {
        let mut net = Generation::new(6, 7);
        net.run_until(500, "key generation", Generation::all_done);
        let mut shares = BTreeMap::new();
        let mut key = None;
        for (slot, member) in &mut net.members {
            let (record, share) = member.done.take().unwrap();
            shares.insert(*slot, share);
            key = Some(record);
        }
        Self {
            members: Membership::of(&net.record),
            key: key.unwrap(),
            shares,
        }
    }

    fn plan(&self, helpers: &[u16]) -> RepairPlan {
        RepairPlan {
            network: self.members.domain().network,
            committee: self.members.domain().committee,
            epoch: self.members.epoch(),
            key: self.key.package_digest(),
            helpers: helpers.iter().copied().map(Slot).collect(),
            lost: LOST,
            attempt: 1,
        }
    }

    fn enter(&self, plan: &RepairPlan, slot: u16, boot: u64) -> Result<Machine, RepairError> {
        let repairing = Repairing {
            plan,
            members: &self.members,
            key: &self.key,
            share: self.shares.get(&Slot(slot)).filter(|_| Slot(slot) != LOST),
        };
        let identity = identity(slot);
        Repair::new(&repairing, Slot(slot), Boot(boot), identity, Ed25519Verify)
    }

    fn net(&self) -> Net {
        let plan = self.plan(&[1, 2, 4, 5, 6]);
        let slots = [1, 2, 3, 4, 5, 6];
        let machine = |slot| (Slot(slot), self.enter(&plan, slot, 1).unwrap());
        Net {
            machines: slots.map(machine).into(),
            now_ms: 0,
            rng: ChaCha20Rng::seed_from_u64(3),
            arrivals: vec![],
            loss_percent: 0,
            delay_ms_max: 0,
            restored: None,
            helped: 0,
            aborted: BTreeMap::new(),
            tamper: Box::new(|_, message| vec![message]),
        }
    }
}

struct Net {
    machines: BTreeMap<Slot, Machine>,
    now_ms: u64,
    rng: ChaCha20Rng,
    arrivals: Vec<(u64, Slot, RepairMessage)>,
    loss_percent: u32,
    delay_ms_max: u32,
    restored: Option<KeyShare<Suite>>,
    helped: usize,
    aborted: BTreeMap<Slot, (Vec<Slot>, RepairAct)>,
    tamper: Box<Tamper>,
}

impl Net {
    fn run(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            self.now_ms += 10;
            let now_ms = self.now_ms;
            for slot in self.machines.keys().copied().collect::<Vec<_>>() {
                let machine = self.machines.get_mut(&slot).unwrap();
                if machine.poll_timeout().is_some_and(|at| at <= now_ms) {
                    machine.handle_timeout(now_ms, &mut self.rng);
                }
                self.drain(slot);
            }
            let all = core::mem::take(&mut self.arrivals);
            let (due, later): (Vec<_>, _) = all.into_iter().partition(|one| one.0 <= now_ms);
            self.arrivals = later;
            for (_, to, message) in due {
                let machine = self.machines.get_mut(&to).unwrap();
                let _ = machine.handle(now_ms, message.slot, message);
                self.drain(to);
            }
        }
    }

    fn drain(&mut self, slot: Slot) {
        while let Some(output) = self.machines.get_mut(&slot).unwrap().poll() {
            match output {
                RepairOutput::Send { to, message } => {
                    for message in (self.tamper)(to, message) {
                        self.post(to, message);
                    }
                }
                RepairOutput::Persist(_) => self.machines.get_mut(&slot).unwrap().persisted(),
                RepairOutput::Restored(share) => self.restored = Some(share),
                RepairOutput::Helped => self.helped += 1,
                RepairOutput::Aborted { culprits, act } => {
                    self.aborted.insert(slot, (culprits, act));
                }
            }
        }
    }

    fn post(&mut self, to: Slot, message: RepairMessage) {
        let travels = Message::ToMember(ToMember::Repair(message.clone()));
        assert_eq!(Message::from_bytes(&travels.to_bytes()), Ok(travels));
        // One in four arrives twice.
        let copies = 1 + u32::from(self.rng.next_u32().is_multiple_of(4));
        for _ in 0..copies {
            if self.rng.next_u32() % 100 >= self.loss_percent {
                let delay = u64::from(self.rng.next_u32() % (self.delay_ms_max + 1));
                self.arrivals
                    .push((self.now_ms + delay, to, message.clone()));
            }
        }
    }

    fn assert_named(&self, liar: u16, what: &str, is: impl Fn(&RepairAct) -> bool) {
        for slot in (1..=6).filter(|slot| *slot != liar) {
            let ended = self.aborted.get(&Slot(slot));
            let (named, act) = ended.unwrap_or_else(|| panic!("{what}: member {slot} goes on"));
            assert_eq!(*named, [Slot(liar)], "{what}: member {slot}: {act}");
            assert!(is(act), "{what}: member {slot}: {act}");
            self.assert_proof(slot, liar, what);
        }
        assert!(self.restored.is_none());
    }
}

impl Net {
    /// What a party holds against the liar, with the history that it needs.
    fn proof(&self, slot: u16) -> Evidence {
        let machine = &self.machines[&Slot(slot)];
        let proof = machine.proof().expect("a proof").clone();
        proof.with_history(&History {
            key: machine.key.clone(),
            epochs: vec![],
        })
    }

    /// It convicts the liar before whoever took no part.
    fn assert_proof(&self, slot: u16, liar: u16, what: &str) {
        let proof = self.proof(slot);
        let judged = proof.verify(&record(6, 0)).map(|guilt| guilt.culprit);
        assert_eq!(judged, Ok(Culprit::Member(Slot(liar))), "{what}: {proof:?}");
    }
}

fn resigned(mut message: RepairMessage) -> RepairMessage {
    let domain = *Membership::of(&record(6, 0)).domain();
    message.signature = identity(message.slot.0).sign(&message.signed_bytes(&domain));
    message
}

#[test]
fn a_lost_share_is_restored_to_the_byte_as_the_library_restores_it() {
    let held = Held::new();
    for (loss_percent, delay_ms_max) in [(0, 0), (30, 300)] {
        let mut net = held.net();
        (net.loss_percent, net.delay_ms_max) = (loss_percent, delay_ms_max);
        net.run(60_000);
        assert_eq!((net.helped, net.aborted.len()), (5, 0));
        let share = net.restored.unwrap();
        assert!(share.belongs_to(&held.key));
        let old = held.shares[&LOST].key_package();
        assert_eq!(share.key_package(), old);

        let id = identifier::<Suite>;
        let helpers = [1, 2, 4, 5, 6].map(|slot| id(Slot(slot)));
        let mut deltas: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for slot in [1, 2, 4, 5, 6] {
            let key = held.shares[&Slot(slot)].key_package();
            let rng = &mut net.rng;
            let sent = repairable::repair_share_part1::<Suite, _>(&helpers, key, rng, id(LOST));
            for (to, delta) in sent.unwrap() {
                deltas.entry(to).or_default().push(delta);
            }
        }
        let sums = deltas
            .values()
            .map(|all| repairable::repair_share_part2(all));
        let public = held.key.public_key_package().unwrap();
        let theirs =
            repairable::repair_share_part3(&sums.collect::<Vec<_>>(), id(LOST), &public).unwrap();
        assert_eq!(*share.key_package(), theirs);
    }
}

#[test]
fn no_message_shows_a_helpers_share_or_the_lost_one() {
    let held = Held::new();
    let mut net = held.net();
    let secrets: Vec<_> = held
        .shares
        .values()
        .map(|share| share.key_package().signing_share().serialize())
        .collect();
    net.tamper = Box::new(move |_, message| {
        let bytes = attestation::codec::encode(&message);
        let shows = |secret: &Vec<u8>| bytes.windows(32).any(|window| window == secret);
        assert!(!secrets.iter().any(shows), "{message:?}");
        vec![message]
    });
    net.run(1_000);
    assert!(net.restored.is_some());
}

#[test]
fn who_starts_anew_ends_the_attempt_without_blame_and_the_next_succeeds() {
    let held = Held::new();
    let mut plan = held.plan(&[1, 2, 4, 5, 6]);
    for anew in [2, 3] {
        let mut net = held.net();
        net.tamper = Box::new(|_, message: RepairMessage| match message.body {
            RepairBody::Sum(_) => vec![],
            _ => vec![message],
        });
        net.run(1_000);
        net.machines
            .insert(Slot(anew), held.enter(&plan, anew, 2).unwrap());
        net.run(10_000);
        for slot in (1..=6).filter(|slot| *slot != anew) {
            let (culprits, act) = &net.aborted[&Slot(slot)];
            let expected = RepairAct::Restarted(Slot(anew));
            assert_eq!((culprits.len(), act), (0, &expected));
        }
    }
    plan.attempt = 2;
    let mut net = held.net();
    let machine = |slot| (Slot(slot), held.enter(&plan, slot, 3).unwrap());
    net.machines = [1, 2, 3, 4, 5, 6].map(machine).into();
    net.run(1_000);
    assert!(net.restored.is_some());
}

#[test]
fn a_plan_that_breaks_a_rule_is_refused_and_so_is_who_has_no_part() {
    let held = Held::new();
    type Spoil = fn(&mut RepairPlan);
    let (helper, epoch) = (RepairPlanError::Helper, RepairPlanError::Epoch);
    let few = RepairPlanError::TooFewHelpers {
        helpers: 4,
        threshold: 5,
    };
    let cases: [(&str, RepairPlanError, Spoil); 8] = [
        ("epoch", epoch, |plan| plan.epoch.0 = 2),
        ("attempt 0", epoch, |plan| plan.attempt = 0),
        ("nobody's slot", RepairPlanError::Lost(Slot(9)), |plan| {
            plan.lost = Slot(9)
        }),
        ("helps itself", helper(Slot(2)), |plan| plan.lost = Slot(2)),
        ("outsider", helper(Slot(7)), |plan| {
            plan.helpers.push(Slot(7))
        }),
        ("twice", helper(Slot(6)), |plan| plan.helpers.push(Slot(6))),
        ("out of order", helper(Slot(1)), |plan| {
            plan.helpers.swap(0, 1)
        }),
        ("t − 1", few, |plan| plan.helpers.truncate(4)),
    ];
    let good = held.plan(&[1, 2, 4, 5, 6]);
    for (what, expected, spoil) in cases {
        let mut plan = good.clone();
        spoil(&mut plan);
        assert_eq!(plan.check(&held.members), Err(expected), "{what}");
        let entered = held.enter(&plan, 4, 1).err();
        assert_eq!(entered, Some(RepairError::Plan(expected)), "{what}");
    }
    assert_eq!(RepairPlan::from_bytes(&good.to_bytes()).as_ref(), Ok(&good));
    let mut other = good.clone();
    other.key = Digest::from_bytes([0; 32]);
    assert_eq!(held.enter(&other, 4, 1).err(), Some(RepairError::Foreign));
    let without = Repairing::<Suite> {
        plan: &good,
        members: &held.members,
        key: &held.key,
        share: None,
    };
    let enter = |repairing: &Repairing<'_, Suite>, slot, of| {
        Repair::new(repairing, Slot(slot), Boot(1), identity(of), Ed25519Verify).err()
    };
    assert_eq!(enter(&without, 4, 4), Some(RepairError::Foreign));
    assert_eq!(enter(&without, 3, 3), None);
    assert_eq!(enter(&without, 3, 4), Some(RepairError::NotMember));
    assert_eq!(enter(&without, 9, 9), Some(RepairError::NotMember));
    let others = Repairing {
        share: held.shares.get(&Slot(5)),
        ..without
    };
    assert_eq!(enter(&others, 4, 4), Some(RepairError::Foreign));
}

#[test]
fn messages_of_other_sessions_senders_and_shapes_are_dropped() {
    let held = Held::new();
    let plan = held.plan(&[1, 2, 4, 5, 6]);
    let mut machine = held.enter(&plan, 4, 1).unwrap();
    machine.handle_timeout(0, &mut ChaCha20Rng::seed_from_u64(1));
    let digest = Digest::from_bytes([0; 32]);
    let message = |slot: u16, body| {
        resigned(RepairMessage {
            session: plan.session::<Suite>(),
            slot: Slot(slot),
            boot: Boot(1),
            body,
            signature: Signature::from_bytes([0; 64]),
        })
    };
    let bytes = |count| SecretPackage::new(Zeroizing::new(vec![1; count]));
    let good = message(2, RepairBody::Echo(vec![digest; 5]));
    let mut unsigned = good.clone();
    unsigned.signature = Signature::from_bytes([0; 64]);
    let mut elsewhere = good.clone();
    for change in [
        |plan: &mut RepairPlan| plan.attempt = 2,
        |plan: &mut RepairPlan| {
            plan.lost = Slot(9);
        },
    ] {
        let mut other = plan.clone();
        change(&mut other);
        elsewhere.session = other.session::<Suite>();
        let outcome = machine.handle(1, Slot(2), resigned(elsewhere.clone()));
        assert_eq!(outcome, Err(RepairError::Session));
    }
    let part = |to: u16, count| RepairBody::Part {
        to: Slot(to),
        package: bytes(count),
    };
    let (malformed, unfounded) = (RepairError::Malformed, RepairError::Unfounded);
    let cases = [
        ("another channel", 5, good.clone(), RepairError::Sender),
        (
            "outsider",
            7,
            message(7, RepairBody::Echo(vec![])),
            RepairError::Sender,
        ),
        ("unsigned", 2, unsigned, RepairError::Signature),
        (
            "short echo",
            2,
            message(2, RepairBody::Echo(vec![digest; 4])),
            malformed,
        ),
        (
            "mask of the lost one",
            3,
            message(3, RepairBody::Mask(ByteBuf::new())),
            malformed,
        ),
        (
            "long mask",
            2,
            message(2, RepairBody::Mask(ByteBuf::from(vec![0; 20_000]))),
            malformed,
        ),
        ("part for another", 2, message(2, part(5, 1)), malformed),
        ("long part", 2, message(2, part(4, 300)), malformed),
        ("part of the lost one", 3, message(3, part(4, 1)), malformed),
        (
            "sum to a helper",
            2,
            message(2, RepairBody::Sum(bytes(1))),
            malformed,
        ),
        (
            "a helper says restored",
            2,
            message(2, RepairBody::Restored),
            malformed,
        ),
        (
            "garbage as evidence",
            2,
            message(2, RepairBody::Evidence(bytes(1))),
            malformed,
        ),
        (
            "nothing as evidence",
            2,
            message(
                2,
                RepairBody::Evidence(SecretPackage::new(Zeroizing::new(
                    attestation::codec::encode(&message(3, RepairBody::Restored)),
                ))),
            ),
            unfounded,
        ),
    ];
    for (what, from, message, expected) in cases {
        assert_eq!(
            machine.handle(1, Slot(from), message),
            Err(expected),
            "{what}"
        );
    }
    assert_eq!(machine.handle(1, Slot(2), good), Ok(()));
}
