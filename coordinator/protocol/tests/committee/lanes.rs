//! Lanes in whole committees: the NoM account, what signers ask of a job's claims about the chain
//! (rules A2, E4) and how they sign blocks (rule E3); and steps under the second key, for EVM chains.

use std::cell::RefCell;
use std::rc::Rc;

use attestation::codec;
use attestation::ids::{
    Digest, EvmKey, EvmSignature, GroupKey, RequestId, Seq, Signature, Slot, ZappId,
};
use attestation::leaf::{BlockLeaf, Leaf};
use attestation::step_attestation::StepAttestation;
use coordinator_protocol::lane::{Leader, ROUND_MS};
use coordinator_protocol::lanes::{LaneEvent, LaneLeader, LeadLane, ROUNDS_MAX, WAITING_MAX};
use frost_core::Ciphersuite;
use frost_core::keys::PublicKeyPackage;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use signer_protocol::committee::Committee;
use signer_protocol::identity::{Ed25519Identity, Ed25519Verify};
use signer_protocol::lane::{
    EvmStatements, FromLane, LaneError, NomBlocks, Proof, Signs, ToLane, Warrant,
};
use signer_protocol::message::{Endpoint, Lane, Message};
use signer_protocol::register::Record;
use signer_protocol::signer::{self, Sight};
use signer_protocol::suite::{Evm, verify_evm};
use state::system::nom::{ANCHOR, ISSUE, Issue, OPEN, Open};

use crate::suite::{ForEvm, generate};
use crate::voice::SOON_MS;
use crate::world::{Founding, World};

const MOMENTUM: Digest = Digest::from_bytes([3; 32]);

fn system(world: &mut World, method: &str, input: Vec<u8>) -> RequestId {
    world.request(ZappId::SYSTEM, method, input)
}

fn open(world: &mut World, key: GroupKey) -> RequestId {
    system(world, OPEN, codec::encode(&Open { key }))
}

fn issue(world: &mut World, fused_plasma: u64) -> RequestId {
    let issue = Issue {
        momentum: MOMENTUM,
        momentum_height: 9,
        fused_plasma,
        difficulty: 0,
        nonce: 0,
    };
    system(world, ISSUE, codec::encode(&issue))
}

/// A committee whose account is begun, and that has an anchor to make.
fn with_anchor(seed: u64) -> World {
    let mut world = World::four_of_five(seed);
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
            confirmed: vec![MOMENTUM],
            ..Sight::default()
        };
        world.sign(Slot(slot), signer::Input::Sight(Box::new(sight)));
    }
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
    let key = *world.committee.group_key();
    let valid = move |message: &[u8], signature: &[u8]| {
        let signature = Signature::from_bytes(signature.try_into().unwrap());
        attestation::identity::verify_group(&key, message, &signature)
    };
    let leader = leader(world, world.public.clone());
    lead_in(world, LaneLeader::new(leader, NomBlocks, valid), proofs, ms)
}

fn leader<C: Ciphersuite>(
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

fn lead_in(
    world: &mut World,
    mut lane: impl LeadLane,
    proofs: &[&Proof],
    ms: u64,
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
            lane.handle(world.now, slot, &answer);
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
    confirm(&mut world, 1..=5);
    issue(&mut world, 30_000);
    assert!(world.run_until(SOON_MS, World::all_done));
    world.run_for(1_000);
    let proof = issued(&world);
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
    confirm(&mut world, 1..=5);
    issue(&mut world, 30_000);
    assert!(world.run_until(SOON_MS, World::all_done));
    world.run_for(1_000);
    let proof = issued(&world);
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

/// A committee all of whose members have a share of a second key, and that key's public package.
fn with_evm_key(seed: u64) -> (World, PublicKeyPackage<Evm>, EvmKey) {
    let mut world = World::four_of_five(seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let keys = generate::<ForEvm>(&Founding::new(5, 4, 2), &mut rng);
    for (slot, (_, share)) in &keys {
        let member = world.members.get_mut(slot).unwrap();
        let signer = member.signer.as_mut().unwrap();
        signer.sign_for_evm(share.key_package().clone());
    }
    let (record, share) = &keys[&Slot(1)];
    let key = record.group_key.evm().unwrap();
    (world, share.public_package().clone(), key)
}

#[test]
fn members_sign_attested_steps_under_the_second_key_in_any_order_and_no_other_step() {
    let (mut world, public, key) = with_evm_key(11);
    let zapp = world.deploy();
    for _ in 0..2 {
        world.request(zapp, "add", Vec::new());
        assert!(world.run_until(SOON_MS, World::all_done));
    }
    world.run_for(1_000);
    let settled = |world: &World, seq: u64| {
        let step = world.attested[&Seq(seq)];
        Proof::of(&step, &world.leaves[&step.statement()], 0).unwrap()
    };
    world.kill_member(Slot(2));
    let valid = move |message: &[u8], signature: &[u8]| {
        let signature = EvmSignature::from_bytes(signature.try_into().unwrap());
        verify_evm(&key, message, &signature)
    };
    let lane = |world: &World| LaneLeader::new(leader(world, public.clone()), EvmStatements, valid);
    // The newest first, then older ones, then one again: the register has no say.
    let head = world.head().0;
    for seq in [head, 1, head] {
        let proof = settled(&world, seq);
        let signer = lane(&world);
        let signed = match lead_in(&mut world, signer, &[&proof], 20_000).pop() {
            Some(LaneEvent::Signed(signed)) => signed,
            other => panic!("step {seq}: {other:?}"),
        };
        assert_eq!(
            (signed.signing.lane, signed.signing.seq),
            (Lane::Evm, Seq(seq))
        );
        let statement = world.attested[&Seq(seq)].statement();
        assert!(valid(statement.as_bytes(), &signed.signature));
    }
    let standing = world.members[&Slot(1)].durable.lane(Lane::Evm);
    assert_eq!(standing.signed, None);

    // Whatever is not attested is no warrant: for the coordinator's machine nor for a signer.
    let mut forged = settled(&world, head);
    let mut step = StepAttestation::from_bytes(&forged.attestation).unwrap();
    step.commit.gas_used += 1;
    forged.attestation = step.to_bytes().into();
    assert_eq!(
        lane(&world).lead(world.now, forged.clone()),
        Err(LaneError::Proof)
    );
    let committee = world.committee.clone();
    let refused = forged.warrant(&committee, &Ed25519Verify, &EvmStatements);
    assert_eq!(refused, Err(LaneError::Proof));
    // Another leaf than the settlement orders nothing here, and the settlement no block.
    let step = world.attested[&Seq(head)];
    let output = Proof::of(&step, &world.leaves[&step.statement()], 1).unwrap();
    let refused = output.warrant(&committee, &Ed25519Verify, &EvmStatements);
    assert_eq!(refused, Err(LaneError::Proof));
    let settlement = settled(&world, head);
    let refused = settlement.warrant(&committee, &Ed25519Verify, &NomBlocks);
    assert_eq!(refused, Err(LaneError::Proof));
}

#[test]
fn without_a_quorum_nothing_is_signed_under_the_second_key() {
    let (mut world, public, _) = with_evm_key(12);
    world.deploy();
    world.run_for(1_000);
    let step = world.attested[&Seq(1)];
    let proof = Proof::of(&step, &world.leaves[&step.statement()], 0).unwrap();
    world.kill_member(Slot(1));
    world.kill_member(Slot(2));
    let lane = LaneLeader::new(
        leader(&world, public),
        EvmStatements,
        |_: &[u8], _: &[u8]| true,
    );
    let told = lead_in(&mut world, lane, &[&proof], 10_000);
    assert_eq!(told, []);
}
