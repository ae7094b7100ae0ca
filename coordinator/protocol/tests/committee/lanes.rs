//! The committee's NoM account in whole committees: what signers ask of a job's claims about the
//! chain (rules A2, E4), and the lane in which they sign blocks (rule E3).

use std::cell::RefCell;
use std::rc::Rc;

use attestation::codec;
use attestation::ids::{Digest, GroupKey, RequestId, Seq, Signature, Slot, ZappId};
use attestation::leaf::{BlockLeaf, Leaf};
use attestation::step_attestation::StepAttestation;
use coordinator_protocol::lane::{Leader, ROUND_MS};
use coordinator_protocol::lanes::{LaneEvent, LaneLeader, LeadLane, ROUNDS_MAX, WAITING_MAX};
use frost_core::Ciphersuite;
use frost_core::keys::PublicKeyPackage;
use signer_protocol::committee::Committee;
use signer_protocol::identity::{Ed25519Identity, Ed25519Verify};
use signer_protocol::lane::{FromLane, LaneError, NomBlocks, Proof, Signs, ToLane, Warrant};
use signer_protocol::message::{Endpoint, Lane, Message};
use signer_protocol::register::Record;
use signer_protocol::signer::{self, HELD_VIEWS_MAX, Sight};
use state::system::nom::{ANCHOR, DEPOSIT, Deep, Deposit, ISSUE, Issue, OPEN, Open};

use crate::voice::SOON_MS;
use crate::world::World;

const MOMENTUM: Digest = Digest::from_bytes([3; 32]);
const HEIGHT: u64 = 9;

fn system(world: &mut World, method: &str, input: Vec<u8>) -> RequestId {
    world.request(ZappId::SYSTEM, method, input)
}

fn open(world: &mut World, key: GroupKey) -> RequestId {
    system(world, OPEN, codec::encode(&Open { key }))
}

fn issue(world: &mut World, fused_plasma: u64) -> RequestId {
    let issue = Issue {
        momentum: MOMENTUM,
        momentum_height: HEIGHT,
        fused_plasma,
        difficulty: 0,
        nonce: 0,
    };
    system(world, ISSUE, codec::encode(&issue))
}

/// A committee whose account is begun, and that has an anchor to make.
fn with_anchor(seed: u64) -> World {
    begun(World::four_of_five(seed))
}

/// The committee with its account begun, and an anchor to make.
pub fn begun(mut world: World) -> World {
    let key = *world.committee.group_key();
    open(&mut world, key);
    assert!(world.run_until(SOON_MS, World::all_done));
    system(&mut world, ANCHOR, Vec::new());
    assert!(world.run_until(SOON_MS, World::all_done));
    world
}

fn confirm(world: &mut World, slots: impl IntoIterator<Item = u16>) {
    for slot in slots {
        let sight = Sight {
            confirmed: vec![(Deep::Momentum(MOMENTUM), HEIGHT)],
            ..Sight::default()
        };
        world.sign(Slot(slot), signer::Input::Sight(Box::new(sight)));
    }
}

/// Has a block issued; the proof of its leaf.
pub fn issue_block(world: &mut World) -> Proof {
    confirm(world, 1..=5);
    issue(world, 30_000);
    assert!(world.run_until(SOON_MS, World::all_done));
    world.run_for(1_000);
    issued(world)
}

/// The proof of the block that the last step with one issued.
fn issued(world: &World) -> Proof {
    let found = world.attested.values().rev().find_map(|step| {
        let leaves = &world.leaves[&step.statement()];
        let is_block = |leaf: &Vec<u8>| matches!(Leaf::from_bytes(leaf), Ok(Leaf::Block(_)));
        let at = leaves.iter().position(is_block)?;
        Proof::of(step, leaves, at)
    });
    found.expect("a block was issued")
}

#[test]
fn a_claim_of_the_chain_that_operators_have_not_seen_gets_no_vote_and_holds_nothing_up() {
    let mut world = with_anchor(1);
    let zapp = world.deploy();
    let claim = issue(&mut world, 30_000);
    let other = world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, |world| world.done(other)));
    assert!(!world.done(claim));
    // One operator short of a quorum.
    confirm(&mut world, 1..=3);
    world.run_for(SOON_MS);
    assert!(!world.done(claim));
    confirm(&mut world, 4..=4);
    assert!(world.run_until(3 * SOON_MS, |world| world.done(claim)));
    issued(&world);
}

#[test]
fn an_account_is_not_begun_for_another_key_than_the_groups() {
    let mut world = World::four_of_five(2);
    let zapp = world.deploy();
    let foreign = open(&mut world, GroupKey::from_bytes([7; 32]));
    let other = world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, |world| world.done(other)));
    assert!(!world.done(foreign));
    let key = *world.committee.group_key();
    let ours = open(&mut world, key);
    assert!(world.run_until(SOON_MS, |world| world.done(ours)));
    assert!(!world.done(foreign));
}

/// Leads the signings of leaves over the committee's network, one after the other; what came of
/// each.
fn lead(world: &mut World, proofs: &[&Proof], ms: u64) -> Vec<LaneEvent> {
    let lane = nom_lane(world);
    lead_in(world, lane, proofs, ms)
}

/// The lane of the account's blocks.
pub fn nom_lane(world: &World) -> impl LeadLane + use<> {
    let key = *world.committee.group_key();
    let valid = move |message: &[u8], signature: &[u8]| {
        let signature = Signature::from_bytes(signature.try_into().unwrap());
        attestation::identity::verify_group(&key, message, &signature)
    };
    LaneLeader::new(leader(world, world.public.clone()), NomBlocks, valid)
}

/// The first coordinator, for a lane of this suite.
pub fn leader<C: Ciphersuite>(
    world: &World,
    public: PublicKeyPackage<C>,
) -> Leader<C, Ed25519Identity, Ed25519Verify> {
    Leader {
        committee: world.committee.clone(),
        rank: 0,
        identity: world.identity(Endpoint::Coordinator(0)),
        verify: Ed25519Verify,
        public,
    }
}

/// The same in another lane.
pub fn lead_in(
    world: &mut World,
    lane: impl LeadLane,
    proofs: &[&Proof],
    ms: u64,
) -> Vec<LaneEvent> {
    lead_among(world, lane, proofs, ms, |_, answer| answer)
}

/// The same where members' answers are altered.
pub fn lead_among(
    world: &mut World,
    mut lane: impl LeadLane,
    proofs: &[&Proof],
    ms: u64,
    alter: impl Fn(Slot, FromLane) -> FromLane,
) -> Vec<LaneEvent> {
    let answers: Rc<RefCell<Vec<(Slot, FromLane)>>> = Rc::default();
    let log = Rc::clone(&answers);
    world.tamper = Some(Box::new(move |from, to, message| match (from, message) {
        (Endpoint::Signer(slot), Message::FromLane(answer)) => {
            log.borrow_mut().push((slot, *answer));
            Vec::new()
        }
        (_, message) => vec![(to, message)],
    }));
    for proof in proofs {
        lane.lead(world.now, (*proof).clone()).unwrap();
    }
    let mut told = Vec::new();
    let end = world.now + ms;
    while world.now < end && told.len() < proofs.len() {
        while let Some(event) = lane.poll() {
            match event {
                LaneEvent::Send(slot, message) => tell(world, slot, message),
                other => told.push(other),
            }
        }
        world.run_for(10);
        for (slot, answer) in answers.take() {
            lane.handle(world.now, slot, &alter(slot, answer));
        }
        if lane.poll_timeout().is_some_and(|due| due <= world.now) {
            lane.handle_timeout(world.now);
        }
    }
    told
}

/// The signature of one leaf, if a quorum gives it in time.
fn sign(world: &mut World, proof: &Proof, ms: u64) -> Option<Vec<u8>> {
    match lead(world, &[proof], ms).pop() {
        Some(LaneEvent::Signed(signed)) => Some(signed.signature),
        _ => None,
    }
}

fn tell(world: &mut World, slot: Slot, message: ToLane) {
    let from = Endpoint::Coordinator(0);
    let message = Message::ToLane(Box::new(message));
    world.sign(slot, signer::Input::Message { from, message });
}

#[test]
fn members_sign_the_block_of_an_attested_leaf_with_one_down_and_remember_it() {
    let mut world = with_anchor(3);
    let proof = issue_block(&mut world);
    world.kill_member(Slot(2));
    let signature = sign(&mut world, &proof, 20_000).expect("four of five are up");
    let hash = ::nom::sha3_256(&proof.leaf[BlockLeaf::HASHED_FROM..]);
    let key = *world.committee.group_key();
    let signature = Signature::from_bytes(signature.try_into().unwrap());
    assert!(attestation::identity::verify_group(
        &key,
        hash.as_bytes(),
        &signature
    ));
    for slot in [1, 3, 4, 5] {
        let member = &world.members[&Slot(slot)];
        let signed = member.durable.lane(Lane::Nom).signed.expect("on disk");
        assert_eq!(signed.position, 1);
        let entries = member.disk.iter().filter(|entry| {
            let entry = signer_protocol::register::Entry::from_bytes(entry).unwrap();
            matches!(entry.record, Record::Signed(_))
        });
        assert_eq!(entries.count(), 1);
    }
    // The committee goes on, and a member that starts anew has not forgotten.
    world.restart_member_at(Slot(3), world.now + 1);
    world.run_for(1_000);
    let lane = world.members[&Slot(3)].durable.lane(Lane::Nom);
    assert!(lane.signed.is_some());
    let head = world.head();
    issue(&mut world, 31_000);
    confirm(&mut world, [1, 3, 4, 5]);
    assert!(world.run_until(SOON_MS, |world| world.head() > Seq(head.0)));
    world.run_for(1_000);
    let again = issued(&world);
    assert_ne!(again, proof);
    assert!(sign(&mut world, &again, 20_000).is_some());
}

#[test]
fn three_members_sign_nothing_and_a_full_disk_releases_no_share() {
    let mut world = with_anchor(4);
    let proof = issue_block(&mut world);
    world.kill_member(Slot(1));
    world.kill_member(Slot(2));
    assert_eq!(sign(&mut world, &proof, 10_000), None);
    world.start_member(Slot(2));
    world.run_for(1_000);
    world.members.get_mut(&Slot(4)).unwrap().disk_full = true;
    assert_eq!(sign(&mut world, &proof, 10_000), None);
    assert_eq!(world.members[&Slot(4)].durable.lane(Lane::Nom).signed, None);
}

/// Two blocks that were issued for one order.
fn two_issued(seed: u64) -> (World, Proof, Proof) {
    let mut world = with_anchor(seed);
    confirm(&mut world, 1..=5);
    let mut proofs = [30_000, 31_000].map(|plasma| {
        issue(&mut world, plasma);
        assert!(world.run_until(SOON_MS, World::all_done));
        world.run_for(1_000);
        issued(&world)
    });
    proofs.sort_by_key(|proof| proof.leaf.clone());
    let [first, second] = proofs;
    assert_ne!(first, second);
    (world, first, second)
}

#[test]
fn leaves_of_a_lane_are_signed_one_after_the_other_and_each_once() {
    let (mut world, first, second) = two_issued(5);
    let told = lead(&mut world, &[&first, &second, &first], 5_000);
    let signed: Vec<_> = told
        .iter()
        .filter_map(|event| match event {
            LaneEvent::Signed(signed) => Some(signed.signing.message),
            _ => None,
        })
        .collect();
    let named = |proof: &Proof| {
        let warrant = proof.warrant(&world.committee, &Ed25519Verify, &NomBlocks);
        warrant.unwrap().named().message
    };
    assert_eq!(signed, [named(&first), named(&second)]);
}

#[test]
fn a_signing_without_a_quorum_makes_room_for_the_next() {
    let (mut world, first, second) = two_issued(6);
    world.kill_member(Slot(1));
    world.kill_member(Slot(2));
    let long = 3 * u64::from(ROUNDS_MAX) * ROUND_MS;
    let told = lead(&mut world, &[&first, &second], long);
    assert!(
        matches!(
            told.as_slice(),
            [LaneEvent::GivenUp(one), LaneEvent::GivenUp(other)] if one != other
        ),
        "{told:?}"
    );
    world.start_member(Slot(1));
    world.run_for(1_000);
    assert!(sign(&mut world, &second, 20_000).is_some());
}

#[test]
fn a_lane_keeps_no_more_leaves_waiting_than_it_says() {
    let (world, first, second) = two_issued(7);
    let leader = Leader {
        committee: world.committee.clone(),
        rank: 0,
        identity: world.identity(Endpoint::Coordinator(0)),
        verify: Ed25519Verify,
        public: world.public.clone(),
    };
    let mut lane = LaneLeader::new(leader, Numbered(Default::default()), |_, _| true);
    assert_eq!(lane.lead(0, first), Ok(()));
    for _ in 0..WAITING_MAX {
        assert_eq!(lane.lead(0, second.clone()), Ok(()));
    }
    assert_eq!(lane.lead(0, second), Err(LaneError::Busy));
}

/// A lane of which every leaf orders something else, each time that it is looked at.
struct Numbered(std::cell::Cell<u64>);

impl Signs for Numbered {
    fn warrant(
        &self,
        committee: &Committee,
        step: &StepAttestation,
        leaf: &Leaf,
    ) -> Option<Warrant> {
        self.0.set(self.0.get() + 1);
        let position = self.0.get();
        let warrant = NomBlocks.warrant(committee, step, leaf)?;
        Some(Warrant {
            position,
            ..warrant
        })
    }
}

/// Every member's node says that these deposits are old and were taken by no step.
fn overdue(world: &mut World, deposits: &[Digest]) {
    let deep = deposits.iter().map(|hash| Deep::Block(*hash));
    let all = deep.chain([Deep::Momentum(MOMENTUM)]);
    let seen: Vec<_> = all.map(|deep| (deep, HEIGHT)).collect();
    for slot in 1..=5 {
        let head = world.members[&Slot(slot)].signer.as_ref().unwrap();
        let head = head.head().map_or(Seq(0), |head| head.commit.seq);
        let sight = Sight {
            confirmed: seen.clone(),
            head,
            overdue: deposits.to_vec(),
        };
        world.sign(Slot(slot), signer::Input::Sight(Box::new(sight)));
    }
}

/// A request that brings a deposit, and the deposit's hash.
fn bring(world: &mut World) -> (RequestId, Digest) {
    let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let public = key.verifying_key().to_bytes();
    let place = ::nom::Place::first(
        321,
        ::nom::Address::from_key(&public),
        ::nom::MomentumRef::default(),
    );
    let draft = place.receive(::nom::Hash::from_bytes([8; 32]));
    let signature = ed25519_dalek::Signer::sign(&key, draft.hash().as_bytes()).to_bytes();
    let seal = ::nom::Seal {
        public_key: public,
        signature,
    };
    let block = draft.sealed(seal).unwrap();
    let deposit = Deposit {
        block: block.to_bytes().unwrap(),
        data: Vec::new(),
        momentum_height: HEIGHT,
    };
    let hash = Digest::from_bytes(*block.hash.as_bytes());
    (system(world, DEPOSIT, codec::encode(&deposit)), hash)
}

#[test]
fn a_step_that_skips_an_old_deposit_gets_no_vote_until_one_carries_it() {
    let mut world = with_anchor(8);
    let zapp = world.deploy();
    let (carrier, deposit) = bring(&mut world);
    // The leader knows nothing of the request that brings it.
    let hidden = world.requests.pop().unwrap();
    overdue(&mut world, &[deposit]);
    let other = world.request(zapp, "add", Vec::new());
    world.run_for(SOON_MS);
    assert!(!world.done(other));
    world.requests.push(hidden);
    assert!(world.run_until(3 * SOON_MS, |world| world.done(other)));
    // It is refused, and that is the step's to say; nobody asks for it again.
    assert!(world.done(carrier));
    let next = world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, |world| world.done(next)));
}

#[test]
fn deposits_that_nobody_brings_hold_steps_up_for_so_many_views_and_no_longer() {
    let mut world = with_anchor(9);
    let zapp = world.deploy();
    let before = world.view(1);
    // As many as there are: they hold no more up together than one.
    let deposits: Vec<Digest> = (0..16).map(|byte| Digest::from_bytes([byte; 32])).collect();
    overdue(&mut world, &deposits);
    let other = world.request(zapp, "add", Vec::new());
    assert!(world.run_until(600_000, |world| world.done(other)));
    let views = world.view(1).0 - before.0;
    assert!(views >= u64::from(HELD_VIEWS_MAX), "{views}");
    assert!(views <= 2 * u64::from(HELD_VIEWS_MAX), "{views}");
    // Then they are let go, also when the node names them again.
    overdue(&mut world, &deposits);
    let next = world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, |world| world.done(next)));
}

/// The nodes of the coordinators would have steps name this height.
fn anchor(world: &mut World, height: u64) {
    for slot in [1, 2] {
        let member = world.members.get_mut(&Slot(slot)).unwrap();
        member.anchor = Some((height, MOMENTUM));
    }
}

fn anchored(world: &World) -> (u64, Digest) {
    let head = &world.attested[&world.head()].commit;
    (head.anchor_height, head.anchor)
}

#[test]
fn steps_name_a_momentum_that_t_operators_have_seen_and_keep_it() {
    let mut world = World::four_of_five(11);
    let zapp = world.deploy();
    let step = |world: &mut World| {
        let before = world.view(1);
        let call = world.request(zapp, "add", Vec::new());
        assert!(world.run_until(3 * SOON_MS, |world| world.done(call)));
        (anchored(world), world.view(1).0 - before.0)
    };
    assert_eq!(step(&mut world), ((0, Digest::from_bytes([0; 32])), 0));
    confirm(&mut world, 1..=4);
    anchor(&mut world, HEIGHT);
    assert_eq!(step(&mut world), ((HEIGHT, MOMENTUM), 0));
    // What no operator has seen costs a view, and then no more: the last one is kept.
    anchor(&mut world, HEIGHT + 1);
    let (kept, views) = step(&mut world);
    assert_eq!(kept, (HEIGHT, MOMENTUM));
    assert!((1..=2).contains(&views), "{views}");
    for _ in 0..3 {
        let (kept, _) = step(&mut world);
        assert_eq!(kept, (HEIGHT, MOMENTUM));
    }
    assert_eq!(step(&mut world), ((HEIGHT, MOMENTUM), 0));
}

#[test]
fn a_lower_anchor_than_the_last_gets_no_vote() {
    let mut world = World::four_of_five(12);
    let zapp = world.deploy();
    for slot in 1..=5 {
        let heights = [HEIGHT - 1, HEIGHT];
        let sight = Sight {
            confirmed: heights.map(|height| (momentum(height), height)).to_vec(),
            ..Sight::default()
        };
        world.sign(Slot(slot), signer::Input::Sight(Box::new(sight)));
    }
    let step = |world: &mut World, height| {
        let Deep::Momentum(hash) = momentum(height) else {
            panic!("a momentum");
        };
        for slot in [1, 2] {
            world.members.get_mut(&Slot(slot)).unwrap().anchor = Some((height, hash));
        }
        let call = world.request(zapp, "add", Vec::new());
        assert!(world.run_until(3 * SOON_MS, |world| world.done(call)));
        anchored(world).0
    };
    assert_eq!(step(&mut world, HEIGHT), HEIGHT);
    assert_eq!(step(&mut world, HEIGHT - 1), HEIGHT);
}

/// A momentum of this height.
fn momentum(height: u64) -> Deep {
    Deep::Momentum(Digest::from_bytes([u8::try_from(height).unwrap(); 32]))
}

#[test]
fn what_a_node_says_of_an_older_step_holds_nothing_up() {
    let mut world = with_anchor(10);
    let zapp = world.deploy();
    for slot in 1..=5 {
        let sight = Sight {
            head: Seq(1),
            overdue: vec![Digest::from_bytes([5; 32])],
            ..Sight::default()
        };
        world.sign(Slot(slot), signer::Input::Sight(Box::new(sight)));
    }
    let other = world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, |world| world.done(other)));
}
