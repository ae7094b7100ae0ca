//! Honest members on bad links and with crashes.

use super::*;

fn kind(body: &DkgBody) -> &'static str {
    match body {
        DkgBody::Round1(_) => "round 1",
        DkgBody::Echo(_) => "echo",
        DkgBody::Evidence(_) => "evidence",
        DkgBody::Proof(_) => "proof",
        DkgBody::Round2 { .. } => "round 2",
        DkgBody::Certify(_) => "certify",
        DkgBody::Certificate { .. } => "certificate",
        DkgBody::CanaryNonces { .. } => "canary nonces",
        DkgBody::CanaryShare { .. } => "canary share",
        DkgBody::Finished(_) => "finished",
    }
}

const KINDS: [&str; 6] = [
    "round 1",
    "echo",
    "round 2",
    "certify",
    "canary nonces",
    "canary share",
];

#[test]
fn members_on_good_links_agree_on_a_key_in_one_attempt() {
    for members in [4, 5, 7] {
        let mut net = Net::new(members, 1);
        net.run_until(500, "good links", Net::all_done);
        let key = net.assert_one_key();
        assert_eq!((key.attempt, key.threshold), (1, net.record.threshold));
        let others = u64::from(members) * u64::from(members - 1);
        assert_eq!(net.sent, 6 * others, "each of six messages once per pair");
        for member in net.members.values() {
            assert_eq!(member.errors, []);
        }
    }
}

#[test]
fn members_on_links_that_lose_repeat_and_reorder_agree_on_a_key() {
    for members in [4, 5, 7] {
        for seed in 0..3 {
            let mut net = Net::new(members, seed);
            (net.loss_percent, net.repeat_percent, net.delay_ms_max) = (30, 20, 300);
            net.run_until(120_000, "bad links", Net::all_done);
            net.assert_one_key();
        }
    }
}

#[test]
fn two_committees_of_the_same_members_have_different_keys() {
    let key = |seed| {
        let mut net = Net::new(4, seed);
        net.run_until(500, "good links", Net::all_done);
        net.assert_one_key().group_key
    };
    assert_ne!(key(1), key(2));
    assert_eq!(key(1), key(1), "randomness is an input");
}

#[test]
fn waiting_for_a_member_has_no_limit_and_costs_no_attempt() {
    let mut net = Net::new(4, 1);
    net.kill(Slot(3));
    net.run(3_600_000);
    assert_eq!(net.number(1), Some(1));
    let sent = net.sent;
    assert!(sent < 3 * 3 * 1_000, "{sent} messages in an hour");
    net.start(Slot(3));
    net.run_until(5_000, "late start", Net::all_done);
    assert_eq!(net.assert_one_key().attempt, 1);
}

/// Kills members the moment the first message of a kind leaves one of them.
fn run_with_crash(stage: &'static str, crashing: &[Slot], seed: u64, loss_percent: u32) -> u64 {
    let struck = RefCell::new(false);
    let first = crashing[0];
    let mut net = Net::tampered(5, |_, message: DkgMessage| {
        if message.slot == first && message.boot.0 == 1 && kind(&message.body) == stage {
            *struck.borrow_mut() = true;
        }
        vec![message]
    });
    net.rng = ChaCha20Rng::seed_from_u64(seed);
    (net.loss_percent, net.delay_ms_max) = (loss_percent, 30);
    net.run_until(300_000, stage, |_| *struck.borrow());
    crashing.iter().for_each(|slot| net.kill(*slot));
    net.run(500);
    crashing.iter().for_each(|slot| net.start(*slot));
    net.run_until(300_000, stage, Net::all_done);
    net.assert_one_key().attempt
}

#[test]
fn a_member_that_crashes_at_any_stage_comes_back() {
    for (stage, attempt) in KINDS.into_iter().zip([2, 2, 2, 1, 1, 1]) {
        let reached = run_with_crash(stage, &[Slot(3)], 1, 0);
        assert_eq!(reached, attempt, "{stage}");
    }
}

#[test]
fn members_that_crash_together_at_any_stage_on_bad_links_come_back() {
    let all: Vec<_> = (1..=5).map(Slot).collect();
    for crashing in [&all[1..3], &all[..]] {
        for stage in KINDS {
            for seed in 0..2 {
                run_with_crash(stage, crashing, seed, 20);
            }
        }
    }
}

#[test]
fn members_that_crash_again_and_again_agree_in_the_end() {
    for seed in 0..6 {
        let mut net = Net::new(4, seed);
        (net.loss_percent, net.delay_ms_max) = (10, 50);
        for _ in 0..40 {
            let slot = Slot(1 + (net.rng.next_u32() % 4) as u16);
            net.kill(slot);
            net.run(100);
            net.start(slot);
            let pause = u64::from(net.rng.next_u32() % 700);
            net.run(pause);
        }
        net.run_until(300_000, "after the crashes", Net::all_done);
        net.assert_one_key();
    }
}

#[test]
fn a_member_that_missed_the_end_is_told_by_a_finished_one() {
    let late = RefCell::new(true);
    let mut net = Net::tampered(4, |to, message: DkgMessage| {
        let lost = to == Slot(4) && kind(&message.body) == "canary share" && *late.borrow();
        if lost { vec![] } else { vec![message] }
    });
    let others_done = |net: &Net| {
        net.members
            .iter()
            .all(|(slot, member)| *slot == Slot(4) || member.done.is_some())
    };
    net.run_until(1_000, "others", others_done);
    assert!(net.members[&Slot(4)].done.is_none());
    // The finished ones forget everything but the record, and still answer.
    for slot in [1, 2, 3].map(Slot) {
        net.kill(slot);
        net.start(slot);
    }
    *late.borrow_mut() = false;
    net.run_until(10_000, "the late one", Net::all_done);
    net.assert_one_key();
}

#[test]
fn a_member_that_left_the_attempt_follows_its_certificate() {
    // Member 4 hears no certification and gives the attempt up; the others are bound to it.
    let deaf = RefCell::new(true);
    let mut net = Net::tampered(4, |to, message: DkgMessage| {
        let lost = to == Slot(4)
            && !matches!(kind(&message.body), "round 1" | "echo" | "round 2")
            && *deaf.borrow();
        let mute = message.slot == Slot(4)
            && matches!(kind(&message.body), "canary nonces" | "canary share")
            && *deaf.borrow();
        if lost || mute { vec![] } else { vec![message] }
    });
    net.run_until(60_000, "gives up", |net| net.number(4) == Some(2));
    assert_eq!(net.number(1), Some(1), "bound members stay");
    *deaf.borrow_mut() = false;
    net.run_until(30_000, "follows", Net::all_done);
    assert_eq!(net.assert_one_key().attempt, 1);
}

#[test]
fn a_share_that_is_not_durable_yet_is_not_certified() {
    let certified = RefCell::new(false);
    let mut net = Net::tampered(4, |_, message: DkgMessage| {
        if message.slot == Slot(2) && kind(&message.body) == "certify" {
            *certified.borrow_mut() = true;
        }
        vec![message]
    });
    for _ in 0..100 {
        let slow = |arrival: &(u64, Slot, u64, Arrival)| {
            arrival.1 == Slot(2) && matches!(arrival.3, Arrival::Persisted)
        };
        net.arrivals.retain(|arrival| !slow(arrival));
        net.tick();
    }
    assert!(net.members[&Slot(2)].disk.is_some() && !*certified.borrow());
    assert!(net.members[&Slot(1)].done.is_none());
    let now_ms = net.now_ms;
    net.arrivals.push((now_ms, Slot(2), 1, Arrival::Persisted));
    net.run_until(5_000, "durable", |_| *certified.borrow());
}
