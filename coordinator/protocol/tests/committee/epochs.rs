//! A new epoch comes into force (rule B4): by a step of the old one, that t members are ready for.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use attestation::ids::{Digest, Epoch, IdentityKey, Seq, Slot, StatementId, ZappId};
use frost_core::Identifier;
use frost_core::keys::refresh::{compute_refreshing_shares, refresh_share};
use frost_ed25519::Ed25519Sha512;
use serde_bytes::ByteBuf;
use signer_protocol::committee::Committee;
use signer_protocol::identity::Ed25519Verify;
use signer_protocol::membership::Membership;
use signer_protocol::message::{Endpoint, Lane, Message, ToCoordinator, ToSigner};
use signer_protocol::reshare::{ChangePlan, PlannedMember};
use signer_protocol::signer;
use state::step::{Previous, run};
use state::system::{Cutover, Seat};

use crate::engine::Engine;
use crate::world::World;
use crate::{jobs, voice};

const SOON_MS: u64 = 20_000;
const PACKAGE: Digest = Digest::from_bytes([9; 32]);

/// A refresh: the same five members, new shares.
fn plan(world: &World) -> ChangePlan {
    let members = world.record.slots().zip(&world.record.members);
    ChangePlan {
        network: world.record.network,
        committee: world.record.id(),
        base: Epoch(1),
        keys: vec![PACKAGE],
        epoch: Epoch(2),
        dealers: world.record.slots().collect(),
        members: members
            .map(|(slot, card)| PlannedMember {
                slot,
                card: card.clone(),
            })
            .collect(),
        threshold: 4,
        profile: world.record.profile,
    }
}

fn cutover(plan: &ChangePlan) -> Cutover {
    let seats = plan.members.iter().map(|member| Seat {
        slot: member.slot,
        payout: IdentityKey::from_bytes([0; 32]),
    });
    Cutover {
        base: Epoch(1),
        epoch: Epoch(2),
        plan: plan.digest(),
        package: PACKAGE,
        threshold: 4,
        profile: plan.profile,
        members: seats.collect(),
    }
}

fn approve(world: &mut World, slots: &[u16], input: &[u8]) {
    for slot in slots {
        let member = world.members.get_mut(&Slot(*slot)).unwrap();
        let signer = member.signer.as_mut().unwrap();
        signer.approve_cutover(input.to_vec());
    }
}

/// Every process starts anew, in the new epoch, with refreshed shares of the same key.
fn move_on(world: &mut World, plan: &ChangePlan) {
    let slots: Vec<Slot> = world.record.slots().collect();
    let id = |slot: &Slot| Identifier::<Ed25519Sha512>::try_from(slot.0).unwrap();
    let ids: Vec<_> = slots.iter().map(id).collect();
    let (shares, public) =
        compute_refreshing_shares(world.public.clone(), &ids, &mut world.rng).unwrap();
    for (slot, share) in slots.iter().zip(shares) {
        let fresh = refresh_share(share, &world.keys[slot]).unwrap();
        world.keys.insert(*slot, fresh);
    }
    assert_eq!(public.verifying_key(), world.public.verifying_key());
    world.public = public;
    let base = Membership::of(&world.record);
    let members = plan.check(&base, &Ed25519Verify).unwrap();
    let key = *world.committee.group_key();
    world.committee = Committee::in_epoch(&world.record, &members, key).unwrap();
    for slot in &slots {
        world.kill_member(*slot);
    }
    for slot in slots {
        world.start_member(slot);
    }
    for rank in [0, 1] {
        world.kill_coordinator(rank);
        world.start_coordinator(rank);
    }
}

fn epoch_of_head(world: &World) -> Epoch {
    world.attested[&world.head()].commit.epoch
}

fn all_applied(world: &World) -> bool {
    let mut members = world.members.values();
    members.all(|member| member.applied.map(|head| head.commit.seq) == Some(world.head()))
}

#[test]
fn no_epoch_begins_before_t_members_are_ready_and_none_is_skipped() {
    let mut world = World::four_of_five(91);
    let zapp = world.deploy();
    let plan = plan(&world);
    let change = cutover(&plan);
    let input = change.to_bytes();
    let id = world.request(ZappId::SYSTEM, "cutover", input.clone());

    // Three of five are ready, which is one too few; other requests go on.
    approve(&mut world, &[1, 2, 3], &input);
    let call = world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, |world| world.done(call)));
    world.run_for(SOON_MS);
    assert!(!world.done(id), "two members are not ready");

    // Ready for another change is not ready for this one.
    let other = Cutover {
        package: Digest::from_bytes([1; 32]),
        ..change
    };
    approve(&mut world, &[4, 5], &other.to_bytes());
    world.run_for(SOON_MS);
    assert!(!world.done(id), "two members approved another change");

    approve(&mut world, &[5], &input);
    assert!(world.run_until(120_000, |world| world.done(id)));
    assert_eq!(
        epoch_of_head(&world),
        Epoch(1),
        "the step is the old epoch's"
    );
    assert!(world.run_until(SOON_MS, all_applied));
    let committee = world.members[&Slot(1)].state.committee().unwrap().unwrap();
    assert_eq!((committee.epoch, committee.plan), (Epoch(2), plan.digest()));
}

#[test]
fn a_locked_cutover_is_attested_and_its_epoch_begins_once_also_where_nobody_is_ready_any_more() {
    let mut world = World::four_of_five(95);
    let zapp = world.deploy();
    let next = Seq(world.head().0 + 1);
    let plan = plan(&world);
    let input = cutover(&plan).to_bytes();
    approve(&mut world, &[1, 2, 3, 4], &input);

    // Four vote for it and one locks: the package reaches no other member, and no share the leader.
    world.tamper = Some(Box::new(|_, to, message| match &message {
        Message::ToSigner(ToSigner::Package(_)) if to != Endpoint::Signer(Slot(1)) => Vec::new(),
        Message::ToCoordinator(ToCoordinator::Share(_)) => Vec::new(),
        _ => vec![(to, message)],
    }));
    let id = world.request(ZappId::SYSTEM, "cutover", input);
    let lock = |world: &World, slot| {
        let lane = world.members[&Slot(slot)].durable.lane(Lane::Steps);
        let claim = lane.lock.and_then(|certificate| certificate.claim());
        let claim = claim.filter(|claim| claim.seq == next);
        claim.map(|claim| claim.statement)
    };
    assert!(world.run_until(SOON_MS, |world| lock(world, 1).is_some()));
    let locked = lock(&world, 1).unwrap();
    assert!((2..=5).all(|slot| lock(&world, slot).is_none()));

    // Its leader dies, and nobody is ready any more: operators have given the change up.
    world.kill_coordinator(0);
    for slot in 1..=5 {
        world.kill_member(Slot(slot));
        world.start_member(Slot(slot));
    }
    let votes: Rc<RefCell<BTreeSet<Slot>>> = Rc::default();
    let heard = Rc::clone(&votes);
    world.tamper = Some(Box::new(move |_, to, message| {
        if let Message::ToCoordinator(ToCoordinator::Vote { vote, .. }) = &message
            && vote.statement == locked
        {
            heard.borrow_mut().insert(vote.slot);
        }
        vec![(to, message)]
    }));
    assert!(world.run_until(SOON_MS, |world| world.done(id)));
    assert!(votes.borrow().len() >= 4, "{votes:?}");
    assert_eq!(world.head(), next);
    assert_eq!(world.attested[&world.head()].statement(), locked);
    assert_eq!(
        epoch_of_head(&world),
        Epoch(1),
        "the step is the old epoch's"
    );
    assert!(world.run_until(SOON_MS, all_applied));

    // The epoch begins there and nowhere else.
    move_on(&mut world, &plan);
    for _ in 0..3 {
        let call = world.request(zapp, "add", Vec::new());
        assert!(world.run_until(SOON_MS, |world| world.done(call)));
    }
    let epochs = world.attested.values().map(|step| step.commit.epoch);
    assert!(epochs.clone().is_sorted());
    assert_eq!(epochs.filter(|epoch| *epoch == Epoch(2)).count(), 3);
    let committee = world.members[&Slot(1)].state.committee().unwrap().unwrap();
    assert_eq!((committee.epoch, committee.plan), (Epoch(2), plan.digest()));
}

#[test]
fn after_it_old_shares_sign_nothing_and_the_new_ones_go_on() {
    let mut world = World::four_of_five(92);
    let zapp = world.deploy();
    let plan = plan(&world);
    let input = cutover(&plan).to_bytes();
    let again = input.clone();
    approve(&mut world, &[1, 2, 3, 4, 5], &input);
    let id = world.request(ZappId::SYSTEM, "cutover", input);
    assert!(world.run_until(SOON_MS, |world| world.done(id)));
    let last = world.head();

    // Nobody has moved on: the next step would be the new epoch's, and nobody votes for it.
    let votes = Rc::new(Cell::new(0));
    let heard = Rc::clone(&votes);
    world.tamper = Some(Box::new(move |_, to, message| {
        if let Message::ToCoordinator(ToCoordinator::Vote { vote, .. }) = &message
            && vote.seq > last
            && vote.statement != StatementId::from_bytes([0; 32])
        {
            heard.set(heard.get() + 1);
        }
        vec![(to, message)]
    }));
    let call = world.request(zapp, "add", Vec::new());
    world.run_for(3 * SOON_MS);
    assert!(!world.done(call) && world.head() == last);
    assert_eq!(votes.get(), 0);
    let view = world.view(1);

    move_on(&mut world, &plan);
    assert!(world.view(1) >= view, "views rise over epochs");
    assert!(world.run_until(SOON_MS, |world| world.done(call)));
    assert!(votes.get() >= 4);
    assert_eq!(epoch_of_head(&world), Epoch(2));
    // Asked again it stops nobody: the step refuses it, and says so.
    let again = world.request(ZappId::SYSTEM, "cutover", again);
    let call = world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, |world| world.done(again) && world.done(call)));
    assert_eq!(epoch_of_head(&world), Epoch(2));
}

#[test]
fn a_member_that_has_not_moved_on_has_no_late_vote_for_a_step_of_the_next_epoch() {
    // Whether the step before the one that it votes for late puts the next epoch into force.
    for changes in [false, true] {
        let mut world = World::four_of_five(97);
        let zapp = world.deploy();
        if changes {
            let input = cutover(&plan(&world)).to_bytes();
            approve(&mut world, &[1, 2, 3, 4, 5], &input);
            let id = world.request(ZappId::SYSTEM, "cutover", input);
            assert!(world.run_until(SOON_MS, |world| world.done(id)));
        }
        assert!(world.run_until(SOON_MS, all_applied));
        world.run_for(500);
        let last = world.head();

        // The fifth is given the next job, and is still at it when the step is attested.
        world.members.get_mut(&Slot(5)).unwrap().engine.takes_ms = 100;
        world.request(zapp, "add", Vec::new());
        let job = voice::seized(&mut world);
        assert!(job.seq > last);
        let heard = voice::listen(&mut world);
        let view = world.view(5);
        voice::give_job(&mut world, 5, &job, view, None);
        let previous = Previous::of(&world.attested[&last]);
        let mut engine = Engine::default();
        let state = &world.members[&Slot(1)].state;
        let outcome = run(&world.params, &previous, &job, state, &mut engine).unwrap();
        let epoch = outcome.commit.epoch;
        assert_eq!(epoch, if changes { Epoch(2) } else { Epoch(1) });
        let step = jobs::attest(&mut world, outcome.commit, outcome.root);
        let message = Message::ToSigner(ToSigner::Attested(ByteBuf::from(step.to_bytes())));
        let from = Endpoint::Coordinator(0);
        world.sign(Slot(5), signer::Input::Message { from, message });
        world.run_for(500);
        let heard = heard.borrow();
        let late = heard.votes.iter().filter(|(vote, _)| vote.seq == job.seq);
        assert_eq!(late.count(), usize::from(!changes), "{epoch}");
    }
}

#[test]
fn a_restored_member_that_held_a_share_of_the_next_epoch_sits_that_one_out_too() {
    for (last_share, sits_out) in [(Epoch(1), false), (Epoch(2), true)] {
        let mut world = World::four_of_five(94);
        let zapp = world.deploy();
        let plan = plan(&world);
        let input = cutover(&plan).to_bytes();
        // Its copy was made after the ceremony: it may have signed in the new epoch already.
        world.last_share = Some(last_share);
        world.restored.insert(Slot(5));
        world.kill_member(Slot(5));
        world.start_member(Slot(5));
        world.restored.clear();
        approve(&mut world, &[1, 2, 3, 4, 5], &input);
        let id = world.request(ZappId::SYSTEM, "cutover", input);
        assert!(world.run_until(SOON_MS, |world| world.done(id)));
        assert!(world.run_until(SOON_MS, all_applied));
        world.last_share = None;
        move_on(&mut world, &plan);
        let call = world.request(zapp, "add", Vec::new());
        assert!(world.run_until(SOON_MS, |world| world.done(call)));
        let signer = world.members[&Slot(5)].signer.as_ref().unwrap();
        assert_eq!(signer.is_behind(), sits_out);
    }
}

#[test]
fn members_that_have_not_moved_on_are_no_part_of_the_new_epoch_and_stop_nobody() {
    let mut world = World::four_of_five(93);
    let zapp = world.deploy();
    let plan = plan(&world);
    let input = cutover(&plan).to_bytes();
    approve(&mut world, &[1, 2, 3, 4, 5], &input);
    let id = world.request(ZappId::SYSTEM, "cutover", input);
    assert!(world.run_until(SOON_MS, |world| world.done(id)));
    assert!(world.run_until(SOON_MS, all_applied));
    let (old_committee, old_key) = (world.committee.clone(), world.keys[&Slot(5)].clone());
    move_on(&mut world, &plan);
    // The fifth comes up with its old share, as if its node had not heard.
    let (new_committee, new_key) = (world.committee.clone(), world.keys[&Slot(5)].clone());
    world.kill_member(Slot(5));
    world.committee = old_committee;
    world.keys.insert(Slot(5), old_key);
    world.start_member(Slot(5));
    world.committee = new_committee;
    world.keys.insert(Slot(5), new_key);
    for _ in 0..3 {
        let call = world.request(zapp, "add", Vec::new());
        assert!(world.run_until(SOON_MS, |world| world.done(call)));
    }
    assert_eq!(epoch_of_head(&world), Epoch(2));
}
