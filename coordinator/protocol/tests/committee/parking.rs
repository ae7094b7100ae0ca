//! Members that vote and let signings wait: steps are as fast without them, and they come back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use attestation::ids::{Digest, Slot, View, ZappId};
use signer_protocol::blame::Culprit;
use signer_protocol::identity::SignIdentity as _;
use signer_protocol::message::{Endpoint, Message, ToCoordinator};

use crate::voice::{one, signer, spoil_shares};
use crate::world::{Event, Network, World};

/// What a step takes where nobody is late: see `steps`.
const HEALTHY_MS: u64 = 9;

/// A committee that has nothing to do, and its counter.
fn at_work(mut world: World) -> (World, ZappId) {
    let zapp = world.deploy();
    world.run_for(1_000);
    (world, zapp)
}

/// From the request to the attestation of one step; then whatever is on its way arrives.
fn step_ms(world: &mut World, zapp: ZappId) -> u64 {
    let (began, before) = (world.now, world.head());
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(5_000, |world| world.head() > before));
    let took_ms = world.now - began;
    world.run_for(20);
    took_ms
}

fn parked(world: &World) -> Vec<u16> {
    let coordinator = world.ranks[0].coordinator.as_ref().unwrap();
    coordinator.parked().map(|slot| slot.0).collect()
}

/// These members vote and give no share while the cell says so.
fn withhold(world: &mut World, slots: &'static [u16]) -> Rc<Cell<bool>> {
    let lies = Rc::new(Cell::new(true));
    let now = Rc::clone(&lies);
    world.tamper = Some(Box::new(move |from, to, message| match &message {
        Message::ToCoordinator(ToCoordinator::Share(_))
            if now.get() && slots.iter().any(|slot| signer(*slot) == from) =>
        {
            Vec::new()
        }
        _ => one(to, message),
    }));
    lies
}

/// Three steps are slow; then so many are not, one is, twice as many are not, and so on.
fn slow_ever_more_rarely(world: &mut World, zapp: ZappId, liars: &[u16]) {
    for (slow, healthy) in [(3, 8), (1, 16), (1, 32)] {
        for _ in 0..slow {
            let took_ms = step_ms(world, zapp);
            assert!((100..250).contains(&took_ms), "took {took_ms} ms");
        }
        for _ in 0..healthy {
            assert_eq!(parked(world), liars, "and nobody else");
            assert_eq!(step_ms(world, zapp), HEALTHY_MS);
        }
        assert_eq!(parked(world), [0_u16; 0]);
    }
    assert_eq!(world.view(1), View(0), "no view is lost");
}

#[test]
fn after_three_shares_withheld_a_step_takes_no_longer_than_a_healthy_one() {
    let (mut world, zapp) = at_work(World::four_of_five(61));
    assert_eq!(step_ms(&mut world, zapp), HEALTHY_MS);
    withhold(&mut world, &[2]);
    slow_ever_more_rarely(&mut world, zapp, &[2]);
}

#[test]
fn two_of_seven_that_withhold_slow_three_steps_together() {
    let (mut world, zapp) = at_work(World::new(62, 7, 5, 2));
    withhold(&mut world, &[1, 3]);
    slow_ever_more_rarely(&mut world, zapp, &[1, 3]);
}

/// What steps take where member 2 holds each of its shares back for so long.
fn lagging(world: &mut World, zapp: ZappId, lag_ms: u64, steps: usize) -> Vec<u64> {
    let held: Rc<RefCell<Vec<Message>>> = Rc::default();
    let holding = Rc::clone(&held);
    world.tamper = Some(Box::new(move |from, to, message| match &message {
        Message::ToCoordinator(ToCoordinator::Share(_)) if from == signer(2) => {
            holding.borrow_mut().push(message);
            Vec::new()
        }
        _ => one(to, message),
    }));
    let mut took_ms = Vec::new();
    for _ in 0..steps {
        let (began, before) = (world.now, world.head());
        world.request(zapp, "add", Vec::new());
        let done = |world: &World| world.head() > before || !held.borrow().is_empty();
        while world.head() == before {
            assert!(world.run_until(5_000, done));
            for message in held.take() {
                let event = Event::Deliver {
                    from: signer(2),
                    to: Endpoint::Coordinator(0),
                    incarnation: world.ranks[0].incarnation,
                    message: Box::new(message),
                };
                world.schedule(world.now + lag_ms, event);
            }
        }
        took_ms.push(world.now - began);
        world.run_for(20);
    }
    took_ms
}

#[test]
fn a_member_that_delays_its_shares_is_parked_although_they_come_before_others_take_its_place() {
    const LAG_MS: u64 = 60;
    let (mut world, zapp) = at_work(World::four_of_five(63));
    let took_ms = lagging(&mut world, zapp, LAG_MS, 11);
    // A share takes a millisecond on its way where nobody holds it.
    let slow = HEALTHY_MS - 1 + LAG_MS;
    let expected = [[slow; 3].as_slice(), [HEALTHY_MS; 8].as_slice()].concat();
    assert_eq!(took_ms, expected);
}

/// A member that takes care never to be late costs every step what that leaves it, and no more: where
/// votes are quick, 40 ms from the package to its share.
#[test]
fn a_member_that_keeps_within_its_time_costs_a_step_that_time_and_one_more_millisecond_parks_it() {
    // A package takes a millisecond on its way, and its lock one to the disk.
    const IN_TIME_MS: u64 = 40 - 2;
    for (lag_ms, is_late) in [(IN_TIME_MS, false), (IN_TIME_MS + 1, true)] {
        let (mut world, zapp) = at_work(World::four_of_five(70));
        let took_ms = lagging(&mut world, zapp, lag_ms, 10);
        let slow_ms = HEALTHY_MS - 1 + lag_ms;
        let slow = if is_late { 3 } else { 10 };
        let expected = [vec![slow_ms; slow], vec![HEALTHY_MS; 10 - slow]].concat();
        assert_eq!(took_ms, expected, "{lag_ms} ms later");
        assert_eq!(parked(&world).is_empty(), !is_late);
    }
}

#[test]
fn a_member_that_votes_late_to_have_more_time_for_its_share_is_not_asked_for_one() {
    let (mut world, zapp) = at_work(World::four_of_five(71));
    world.members.get_mut(&Slot(2)).unwrap().engine.takes_ms += 200;
    assert_eq!(lagging(&mut world, zapp, 200, 11), [HEALTHY_MS; 11]);
    assert_eq!(parked(&world), [0_u16; 0]);
}

#[test]
fn words_forged_in_a_members_name_and_its_own_of_before_park_nobody_and_slow_no_step() {
    let (mut world, zapp) = at_work(World::four_of_five(72));
    let (domain, forger) = (world.domain, world.identity(signer(1)));
    let heard: RefCell<Vec<Message>> = RefCell::default();
    let forged: Rc<Cell<u32>> = Rc::default();
    let told = Rc::clone(&forged);
    // Member 1 says over its own channel what member 3 said before, and worse in its name.
    world.tamper = Some(Box::new(move |from, to, message| {
        if from == signer(3) && matches!(to, Endpoint::Coordinator(_)) {
            heard.borrow_mut().push(message.clone());
        }
        let mut lie = message.clone();
        match (&mut lie, from == signer(1)) {
            (Message::ToCoordinator(ToCoordinator::Vote { vote, nonces, .. }), true) => {
                (vote.slot, nonces.slot) = (Slot(3), Slot(3));
                vote.mask = Digest::from_bytes([7; 32]);
                vote.signature = forger.sign(&vote.signed_bytes(&domain));
                nonces.signature = forger.sign(&nonces.signed_bytes(&domain));
            }
            (Message::ToCoordinator(ToCoordinator::Share(share)), true) => {
                (share.slot, share.next.slot) = (Slot(3), Slot(3));
                share.share[0] ^= 1;
                share.signature = forger.sign(&share.signed_bytes(&domain));
            }
            _ => return one(to, message),
        }
        told.set(told.get() + 1);
        let heard = heard.borrow();
        let before = heard.iter().rev().take(8).map(|old| (to, old.clone()));
        before.chain([(to, lie), (to, message)]).collect()
    }));
    for _ in 0..20 {
        assert_eq!(step_ms(&mut world, zapp), HEALTHY_MS);
        assert_eq!(parked(&world), [0_u16; 0]);
    }
    assert!(forged.get() >= 40, "votes and shares");
    assert!(world.blamed(Culprit::Member(Slot(3))).is_empty());
}

#[test]
fn a_member_whose_shares_are_wrong_costs_three_steps_another_attempt() {
    let (mut world, zapp) = at_work(World::four_of_five(64));
    spoil_shares(&mut world, &[2]);
    for _ in 0..3 {
        assert!(step_ms(&mut world, zapp) > HEALTHY_MS);
    }
    for _ in 0..8 {
        assert_eq!(step_ms(&mut world, zapp), HEALTHY_MS);
    }
}

#[test]
fn a_parked_member_that_behaves_is_asked_again_when_its_steps_are_over() {
    let (mut world, zapp) = at_work(World::four_of_five(65));
    let lies = withhold(&mut world, &[2]);
    for _ in 0..3 {
        step_ms(&mut world, zapp);
    }
    lies.set(false);
    let shares: Rc<Cell<u32>> = Rc::default();
    let given = Rc::clone(&shares);
    world.tamper = Some(Box::new(move |from, to, message| {
        if matches!(&message, Message::ToCoordinator(ToCoordinator::Share(_))) && from == signer(2)
        {
            given.set(given.get() + 1);
        }
        one(to, message)
    }));
    for steps in 0..30 {
        assert_eq!(shares.get(), u32::max(steps, 8) - 8, "after {steps}");
        assert_eq!(step_ms(&mut world, zapp), HEALTHY_MS);
    }
}

#[test]
fn with_exactly_t_voters_a_parked_one_is_asked_and_its_share_ends_its_parking() {
    let (mut world, zapp) = at_work(World::four_of_five(66));
    let lies = withhold(&mut world, &[2]);
    for _ in 0..3 {
        step_ms(&mut world, zapp);
    }
    lies.set(false);
    world.kill_member(Slot(5));
    assert_eq!(parked(&world), [2]);
    let took_ms = step_ms(&mut world, zapp);
    assert!(took_ms <= HEALTHY_MS + 100, "took {took_ms} ms");
    assert_eq!(parked(&world), [0_u16; 0]);
    assert_eq!(step_ms(&mut world, zapp), HEALTHY_MS);
    assert_eq!(world.view(1), View(0));
}

#[test]
fn a_parked_member_waits_for_a_vote_that_comes_a_little_later_and_no_longer() {
    for (later_ms, took_ms, still_parked) in [(30, 39, true), (99, 108, true), (150, 109, false)] {
        let (mut world, zapp) = at_work(World::four_of_five(67));
        let lies = withhold(&mut world, &[2]);
        for _ in 0..3 {
            step_ms(&mut world, zapp);
        }
        lies.set(false);
        world.members.get_mut(&Slot(5)).unwrap().engine.takes_ms += later_ms;
        assert_eq!(step_ms(&mut world, zapp), took_ms);
        assert_eq!(parked(&world) == [2], still_parked);
    }
}

#[test]
fn members_that_are_all_far_away_are_not_parked() {
    let (mut world, zapp) = at_work(World::four_of_five(68));
    world.network = Network {
        delay_ms: (200, 200),
        ..world.network
    };
    for _ in 0..5 {
        step_ms(&mut world, zapp);
        assert_eq!(parked(&world), [0_u16; 0]);
    }
    assert_eq!(world.view(1), View(0), "no view is lost");
}
