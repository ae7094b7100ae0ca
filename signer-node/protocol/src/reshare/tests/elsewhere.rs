//! Messages of other plans, epochs, attempts and senders; dealers that say nothing.

use alloc::boxed::Box;

use attestation::tags;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::faults::Stage;
use super::*;
use crate::dkg::tests::resigned;
use crate::dkg::{ATTEMPT_MS, DkgStage};
use crate::message::{DkgBody, DkgMessage};

#[test]
fn a_silent_dealer_convicts_nobody_and_the_next_plan_does_without_it() {
    let stage = Stage::new();
    let mut net = stage.five.net(&stage.plan, 5);
    net.kill(Slot(2));
    net.run(600_000);
    let nothing = |member: &crate::dkg::tests::Member| {
        member.done.is_none() && member.aborted.is_none() && member.disk.is_none()
    };
    assert!(net.members.values().all(nothing));
    for slot in [1, 3, 4, 5, 6] {
        let machine = net.members[&Slot(slot)].machine.as_ref().unwrap();
        let progress = machine.progress().unwrap();
        assert_eq!(progress.missing, [Slot(2)], "member {slot}");
        assert_eq!(progress.stage, DkgStage::Round1);
    }
    // Member 2 deals no more, and is removed.
    let after = stage.five.change(&[1, 3, 4, 5], &[1, 3, 4, 5, 6], 4);
    assert_eq!(after.key.group_key, stage.five.key.group_key);
}

#[test]
fn a_dealer_that_falls_silent_after_round_1_uses_up_attempts_and_nothing_else() {
    let stage = Stage::new();
    let mut net = stage.five.net(&stage.plan, 5);
    net.tamper = Box::new(move |_, message: DkgMessage| {
        let is_lost = message.slot == Slot(1) && matches!(message.body, DkgBody::Round2 { .. });
        if is_lost { vec![] } else { vec![message] }
    });
    net.run(ATTEMPT_MS * 2);
    assert!(net.number(3) > Some(1));
    assert!(net.members.values().all(|member| member.disk.is_none()));
    assert!(signs(
        &stage.five.set(&[1, 2, 3, 4]),
        &stage.five.key,
        b"old"
    ));
}

/// Every message of a ceremony, as it was sent.
fn heard(held: &Held, plan: &ChangePlan) -> Vec<DkgMessage> {
    let all = alloc::rc::Rc::new(core::cell::RefCell::new(vec![]));
    let mut net = held.net(plan, 5);
    let ears = all.clone();
    net.tamper = Box::new(move |_, message: DkgMessage| {
        ears.borrow_mut().push(message.clone());
        vec![message]
    });
    net.run_until(1_000, "heard", Net::all_done);
    drop(net);
    alloc::rc::Rc::try_unwrap(all).unwrap().into_inner()
}

#[test]
fn messages_of_other_plans_epochs_suites_and_ceremonies_are_dropped() {
    let stage = Stage::new();
    let five = &stage.five;
    let mut another_epoch = stage.plan.clone();
    another_epoch.epoch = Epoch(9);
    let second = five.change(&[1, 2, 3, 4], &[1, 2, 3, 4, 5], 4);
    let mut elsewhere = heard(five, &another_epoch);
    elsewhere.extend(heard(five, &five.plan(&[1, 2, 3, 5], &[2, 3, 4, 5, 6], 4)));
    elsewhere.extend(heard(five, &five.plan(&[1, 2, 3, 4], &[2, 3, 4, 5, 6], 5)));
    elsewhere.extend(heard(
        &second,
        &second.plan(&[1, 2, 3, 4], &[2, 3, 4, 5, 6], 4),
    ));
    // Of the key generation, under the same tags.
    let mut generation = Net::tampered(5, |_, message: DkgMessage| vec![message]);
    generation.run(10);
    for (_, _, _, arrival) in &generation.arrivals {
        if let crate::dkg::tests::Arrival::Message(_, message) = arrival {
            elsewhere.push(message.clone());
        }
    }
    let mut net = five.net(&stage.plan, 5);
    net.tick();
    let (now_ms, rng) = (net.now_ms, &mut ChaCha20Rng::seed_from_u64(1));
    let machine = net
        .members
        .get_mut(&Slot(5))
        .unwrap()
        .machine
        .as_mut()
        .unwrap();
    for message in elsewhere
        .into_iter()
        .filter(|message| message.slot != Slot(5))
    {
        let outcome = machine.handle(now_ms, rng, message.slot, message);
        assert_eq!(outcome, Err(DkgError::Session));
    }
    // One of this very plan, of another suite's session.
    let mut message = heard(five, &stage.plan).swap_remove(0);
    message.session = five
        .base
        .domain()
        .layout(tags::RESHARE_SESSION)
        .bytes(b"FROST-RISTRETTO255-SHA512-v1")
        .fixed(stage.plan.digest().as_bytes())
        .number(1u64)
        .digest();
    let message = resigned(&five.record, message);
    let outcome = machine.handle(now_ms, rng, message.slot, message);
    assert_eq!(outcome, Err(DkgError::Session));
}

#[test]
fn packages_of_an_earlier_attempt_are_refused_whatever_attempt_they_claim() {
    let stage = Stage::new();
    let old = alloc::rc::Rc::new(core::cell::RefCell::new(vec![]));
    let mut net = stage.five.net(&stage.plan, 5);
    let ears = old.clone();
    net.tamper = Box::new(move |to, message: DkgMessage| {
        if message.slot == Slot(2) && to == Slot(5) && message.attempt == 1 {
            ears.borrow_mut().push(message.clone());
        }
        let is_lost = message.attempt == 1 && matches!(message.body, DkgBody::Certify(_));
        if is_lost { vec![] } else { vec![message] }
    });
    net.run_until(ATTEMPT_MS + 1_000, "attempt 2", |net| {
        net.number(5) == Some(2)
    });
    let second = |number| {
        let plan = stage.plan.digest();
        let layout = stage.five.base.domain().layout(tags::RESHARE_SESSION);
        let layout = layout
            .bytes(b"FROST-ED25519-SHA512-v1")
            .fixed(plan.as_bytes());
        layout.number(number).digest()
    };
    let (now_ms, old) = (net.now_ms, core::mem::take(&mut *old.borrow_mut()));
    assert!(
        old.iter()
            .any(|message| matches!(message.body, DkgBody::Round2 { .. }))
    );
    for message in old {
        assert_eq!(message.session, second(1u64));
        let claims = |attempt, session| DkgMessage {
            attempt,
            session,
            ..message.clone()
        };
        let cases = [
            (message.clone(), DkgError::Stale),
            (claims(2, message.session), DkgError::Session),
            (claims(1, second(2)), DkgError::Session),
            (claims(2, second(2)), DkgError::Signature),
        ];
        let machine = net
            .members
            .get_mut(&Slot(5))
            .unwrap()
            .machine
            .as_mut()
            .unwrap();
        for (replayed, expected) in cases {
            let outcome = machine.handle(now_ms, &mut net.rng, Slot(2), replayed);
            assert_eq!(outcome, Err(expected), "{:?}", message.body);
        }
    }
    net.run_until(5_000, "attempt 2 despite replays", Net::all_done);
    stage.five.after(net);
}

#[test]
fn who_has_no_part_in_a_message_is_not_heard() {
    let five = Held::first(5);
    // 1 leaves, 5 has no part at all, 6 is new and does not deal.
    let plan = five.plan(&[1, 2, 3, 4], &[2, 3, 4, 6], 3);
    let all = heard(&five, &plan);
    let of = |slot: u16, is: fn(&DkgBody) -> bool| {
        let mut found = all.iter().filter(|one| one.slot.0 == slot && is(&one.body));
        found.next().unwrap().clone()
    };
    let as_sender = |mut message: DkgMessage, slot: u16| {
        message.slot = Slot(slot);
        resigned(&five.record, message)
    };
    let share = of(
        2,
        |body| matches!(body, DkgBody::Round2 { to, .. } if to.0 == 3),
    );
    let certify = of(2, |body| matches!(body, DkgBody::Certify(_)));
    let nonces = of(2, |body| matches!(body, DkgBody::CanaryNonces { .. }));
    let signature = of(2, |body| matches!(body, DkgBody::CanaryShare { .. }));
    let round1 = of(2, |body| matches!(body, DkgBody::Round1(_)));
    let (sender, malformed) = (DkgError::Sender, DkgError::Malformed);
    let cases = [
        (
            "a dealer outside the plan",
            as_sender(round1.clone(), 5),
            sender,
        ),
        (
            "a dealer outside the committee",
            as_sender(round1, 77),
            sender,
        ),
        (
            "a share by one that does not deal",
            as_sender(share, 6),
            malformed,
        ),
        (
            "a certification by one that leaves",
            as_sender(certify, 1),
            malformed,
        ),
        (
            "canary commitments by one that leaves",
            as_sender(nonces, 1),
            malformed,
        ),
        (
            "a canary share by one that leaves",
            as_sender(signature, 1),
            malformed,
        ),
    ];
    let mut net = five.net(&plan, 5);
    net.tick();
    let (now_ms, rng) = (net.now_ms, &mut ChaCha20Rng::seed_from_u64(1));
    let machine = net
        .members
        .get_mut(&Slot(3))
        .unwrap()
        .machine
        .as_mut()
        .unwrap();
    for (what, message, expected) in cases {
        let outcome = machine.handle(now_ms, rng, message.slot, message);
        assert_eq!(outcome, Err(expected), "{what}");
    }
}
