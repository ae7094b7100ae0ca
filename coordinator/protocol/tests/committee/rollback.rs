//! A register that went back in time (rule C2).

use attestation::ids::{Seq, Slot, View};
use signer_protocol::message::{Endpoint, Message, Remembered, Status, ToMember};
use signer_protocol::register::Chain;

use crate::voice;
use crate::world::{Seen, World};

const SOON_MS: u64 = 20_000;

/// A copy of a member's disk.
struct Copy(Vec<Vec<u8>>, Chain);

fn copy(world: &World, slot: u16) -> Copy {
    let member = &world.members[&Slot(slot)];
    Copy(member.disk.clone(), member.durable.clone())
}

/// Kills a member, puts the copy in the place of its disk, and starts it.
fn restore(world: &mut World, slot: u16, copy: Copy) {
    world.kill_member(Slot(slot));
    let member = world.members.get_mut(&Slot(slot)).unwrap();
    (member.disk, member.durable) = (copy.0, copy.1);
    world.start_member(Slot(slot));
}

fn steps(world: &mut World, zapp: attestation::ids::ZappId, count: u64) {
    for _ in 0..count {
        world.request(zapp, "add", Vec::new());
        assert!(world.run_until(SOON_MS, World::all_done));
    }
}

fn is_behind(world: &World, slot: u16) -> bool {
    let behind = |seen: &Seen| matches!(seen, Seen::Behind(who) if *who == Slot(slot));
    world.seen.iter().any(behind)
}

/// Whether the member has voted or told a status since `sent` was cleared.
fn watch(world: &mut World, slot: u16) -> std::rc::Rc<std::cell::Cell<u64>> {
    let words = std::rc::Rc::new(std::cell::Cell::new(0));
    let heard = std::rc::Rc::clone(&words);
    world.tamper = Some(Box::new(move |from, to, message| {
        let is_word = matches!(
            &message,
            Message::ToMember(ToMember::Status(_)) | Message::ToCoordinator(_)
        );
        if from == Endpoint::Signer(Slot(slot)) && is_word {
            heard.set(heard.get() + 1);
        }
        vec![(to, message)]
    }));
    words
}

#[test]
fn a_member_on_an_old_copy_of_its_disk_is_told_by_the_others_and_only_watches() {
    let mut world = World::four_of_five(60);
    let zapp = world.deploy();
    let old = copy(&world, 2);
    steps(&mut world, zapp, 3);
    let words = watch(&mut world, 2);
    restore(&mut world, 2, old);
    steps(&mut world, zapp, 3);
    assert!(is_behind(&world, 2), "it knows");
    assert_eq!(words.get(), 0, "it says and signs nothing");
    // It still follows what the others attest.
    world.run_for(5_000);
    assert_eq!(world.members[&Slot(2)].applied_seq(), world.head());
}

#[test]
fn a_member_that_knows_does_not_forget_when_the_others_do() {
    let mut world = World::four_of_five(61);
    let zapp = world.deploy();
    let old = copy(&world, 2);
    steps(&mut world, zapp, 2);
    restore(&mut world, 2, old);
    world.run_for(1_000);
    assert!(is_behind(&world, 2));
    for slot in 1..=5 {
        world.kill_member(Slot(slot));
    }
    for slot in 1..=5 {
        world.start_member(Slot(slot));
    }
    let words = watch(&mut world, 2);
    steps(&mut world, zapp, 2);
    assert_eq!(words.get(), 0);
}

#[test]
fn a_member_on_a_new_disk_is_told_by_the_others() {
    let mut world = World::four_of_five(62);
    let zapp = world.deploy();
    steps(&mut world, zapp, 2);
    let words = watch(&mut world, 3);
    let new = Copy(Vec::new(), Chain::new(&world.domain, Slot(3)));
    restore(&mut world, 3, new);
    steps(&mut world, zapp, 2);
    assert!(is_behind(&world, 3));
    assert_eq!(words.get(), 0);
}

#[test]
fn a_lost_vote_is_told_by_whoever_holds_its_certificate() {
    let mut world = World::four_of_five(63);
    let zapp = world.deploy();
    steps(&mut world, zapp, 1);
    // Shares go nowhere: the others lock on a certificate with this member's vote.
    world.tamper = Some(Box::new(|_, to, message| match &message {
        Message::ToCoordinator(signer_protocol::message::ToCoordinator::Share(_)) => Vec::new(),
        _ => vec![(to, message)],
    }));
    let before: Vec<Copy> = (1..=5).map(|slot| copy(&world, slot)).collect();
    world.request(zapp, "add", Vec::new());
    world.run_for(500);
    let voter = (1..=5u16)
        .find(|slot| {
            world.members[&Slot(*slot)]
                .chain
                .standing()
                .lanes
                .values()
                .any(|lane| lane.lock.is_some())
        })
        .expect("somebody is locked");
    // All the rest of its disk is there: only the vote and what follows it is gone.
    let old = before.into_iter().nth(usize::from(voter) - 1).unwrap();
    let words = watch(&mut world, voter);
    restore(&mut world, voter, old);
    world.run_for(200);
    assert!(is_behind(&world, voter));
    assert_eq!(words.get(), 0);
}

#[test]
fn a_member_that_starts_says_nothing_until_t_minus_1_others_have_answered() {
    let mut world = World::four_of_five(64);
    let zapp = world.deploy();
    steps(&mut world, zapp, 1);
    for slot in 3..=5 {
        world.kill_member(Slot(slot));
    }
    let words = watch(&mut world, 1);
    world.kill_member(Slot(1));
    world.start_member(Slot(1));
    world.run_for(10_000);
    assert_eq!(words.get(), 0, "one of three has answered");
    world.start_member(Slot(3));
    world.run_for(10_000);
    assert_eq!(words.get(), 0, "two of three have");
    world.start_member(Slot(4));
    steps(&mut world, zapp, 1);
    assert!(words.get() > 0);
    assert!(!is_behind(&world, 1), "its register is whole");
}

#[test]
fn what_a_member_did_not_sign_does_not_silence_it() {
    let mut world = World::four_of_five(65);
    let zapp = world.deploy();
    steps(&mut world, zapp, 1);
    // Two liars tell everybody of a start and a view that never were, in their own hand.
    let forged = |world: &World, slot: u16| {
        let (_, message) = voice::in_view(world, slot, View(1_000));
        let Message::ToMember(ToMember::Status(Status { mut signed, .. })) = message else {
            unreachable!("a status");
        };
        signed.slot = Slot(1);
        signed
    };
    let lies = [forged(&world, 4), forged(&world, 5)];
    world.tamper = Some(Box::new(move |from, to, message| {
        let lie = match from {
            Endpoint::Signer(Slot(4)) => Some(&lies[0]),
            Endpoint::Signer(Slot(5)) => Some(&lies[1]),
            _ => None,
        };
        match (&message, lie) {
            (Message::ToMember(ToMember::Remembered(_)), Some(lie)) => {
                let remembered = Remembered {
                    status: Some(lie.clone()),
                    vote: None,
                };
                let lie = ToMember::Remembered(Box::new(remembered));
                vec![(to, Message::ToMember(lie))]
            }
            _ => vec![(to, message)],
        }
    }));
    world.kill_member(Slot(1));
    world.start_member(Slot(1));
    world.run_for(2_000);
    assert!(!is_behind(&world, 1));
    // Lies are no answers: with the two honest ones it waits, as it would without any.
    assert_eq!(world.members[&Slot(1)].applied_seq(), world.head());
    world.tamper = None;
    steps(&mut world, zapp, 1);
    assert!(world.head() > Seq(2));
    let signer = world.members[&Slot(1)].signer.as_ref().unwrap();
    assert!(!signer.is_behind());
}
