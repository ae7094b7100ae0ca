//! Steps under the second key, for EVM chains, in whole committees.

use attestation::ids::{EvmKey, EvmSignature, Seq, Slot};
use attestation::step_attestation::StepAttestation;
use coordinator_protocol::lane::ROUND_MS;
use coordinator_protocol::lanes::{LaneEvent, LaneLeader, LeadLane};
use frost_core::keys::PublicKeyPackage;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use signer_protocol::identity::Ed25519Verify;
use signer_protocol::lane::{EvmStatements, FromLane, LaneError, NomBlocks, Proof};
use signer_protocol::message::Lane;
use signer_protocol::suite::{Evm, verify_evm};

use crate::lanes::{lead_in, leader};
use crate::suite::{ForEvm, generate};
use crate::voice::SOON_MS;
use crate::world::{Founding, World};

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

/// A lane in which the second member offers commitments and its shares do not come.
struct Withheld<'a, L>(&'a mut L);

impl<L: LeadLane> LeadLane for Withheld<'_, L> {
    fn lead(&mut self, now_ms: u64, proof: Proof) -> Result<(), LaneError> {
        self.0.lead(now_ms, proof)
    }

    fn handle(&mut self, now_ms: u64, from: Slot, answer: &FromLane) {
        if from != Slot(2) || matches!(answer, FromLane::Nonces(_)) {
            self.0.handle(now_ms, from, answer);
        }
    }

    fn handle_timeout(&mut self, now_ms: u64) {
        self.0.handle_timeout(now_ms);
    }

    fn poll_timeout(&self) -> Option<u64> {
        self.0.poll_timeout()
    }

    fn poll(&mut self) -> Option<LaneEvent> {
        self.0.poll()
    }
}

#[test]
fn after_three_shares_withheld_in_a_lane_its_signings_take_no_longer_than_healthy_ones() {
    let (mut world, public, _) = with_evm_key(13);
    world.deploy();
    world.run_for(1_000);
    let step = world.attested[&Seq(1)];
    let proof = Proof::of(&step, &world.leaves[&step.statement()], 0).unwrap();
    let valid = |_: &[u8], _: &[u8]| true;
    let mut lane = LaneLeader::new(leader(&world, public), EvmStatements, valid);
    let mut took_ms = |world: &mut World| {
        let began = world.now;
        let told = lead_in(world, Withheld(&mut lane), &[&proof], 20_000);
        assert!(matches!(told[..], [LaneEvent::Signed(_)]), "{told:?}");
        world.now - began
    };
    // The rest of the third is the first of eight in which others are asked before it.
    for slow in (0..12).map(|signing| matches!(signing, 0..3 | 10)) {
        assert_eq!(took_ms(&mut world) >= ROUND_MS, slow);
    }
    world.kill_member(Slot(5));
    let mut told = lead_in(&mut world, lane, &[&proof], 20_000);
    assert!(
        matches!(told.pop(), Some(LaneEvent::Signed(_))),
        "it is asked where t others are not"
    );
}
