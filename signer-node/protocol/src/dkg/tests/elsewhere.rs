//! Messages from elsewhere: of other sessions, senders, starts and attempts, of no shape, and what
//! they may move.

use super::faults::{LIAR, round1_of, secret};
use super::*;

#[test]
fn messages_of_other_sessions_senders_and_shapes_are_dropped() {
    let elsewhere = RefCell::new(vec![]);
    let mut other = Net::tampered(4, |_, message: DkgMessage| {
        elsewhere.borrow_mut().push(message.clone());
        vec![message]
    });
    other.record = record(4, 1);
    for slot in other.record.slots().collect::<Vec<_>>() {
        other.start(slot);
    }
    other.run_until(1_000, "the other committee", Net::all_done);
    drop(other);

    let mut net = Net::new(4, 1);
    net.tick();
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let now_ms = net.now_ms;
    let machine = net
        .members
        .get_mut(&Slot(1))
        .unwrap()
        .machine
        .as_mut()
        .unwrap();
    for message in elsewhere.into_inner() {
        let from = message.slot;
        if from != Slot(1) {
            let outcome = machine.handle(now_ms, rng, from, message);
            assert_eq!(outcome, Err(DkgError::Session));
        }
    }

    let record = record(4, 0);
    let setup = Setup::<Suite>::new(&record, LIAR, Boot(1), &identity(2)).unwrap();
    let body = DkgBody::Round1(ByteBuf::from(round1_of(LIAR, &record, 3)));
    let good = setup.envelope(&identity(2), 1, body);
    let altered = |change: fn(&mut DkgMessage)| {
        let mut message = good.clone();
        change(&mut message);
        message
    };
    let honest = |change: fn(&mut DkgMessage)| resigned(&record, altered(change));
    let oversized = |message: &mut DkgMessage| {
        message.body = DkgBody::Round1(ByteBuf::from(vec![0; 20_000]));
    };
    let cases = [
        ("wrong channel", 3, good.clone(), DkgError::Sender),
        (
            "own name",
            1,
            altered(|message| message.slot = Slot(1)),
            DkgError::Sender,
        ),
        (
            "no member",
            9,
            altered(|message| message.slot = Slot(9)),
            DkgError::Sender,
        ),
        (
            "attempt 0",
            2,
            altered(|message| message.attempt = 0),
            DkgError::Session,
        ),
        (
            "attempt of another session",
            2,
            honest(|message| message.attempt = 2),
            DkgError::Session,
        ),
        (
            "altered start",
            2,
            altered(|message| message.boot = Boot(2)),
            DkgError::Signature,
        ),
        ("altered body", 2, altered(oversized), DkgError::Signature),
        ("oversized", 2, honest(oversized), DkgError::Malformed),
        (
            "short echo",
            2,
            honest(|message| message.body = DkgBody::Echo(vec![])),
            DkgError::Malformed,
        ),
        (
            "round 2 for another",
            2,
            honest(|message| {
                let (to, package) = (Slot(3), secret(vec![1]));
                message.body = DkgBody::Round2 { to, package };
            }),
            DkgError::Malformed,
        ),
        (
            "certificate without certifications",
            2,
            honest(|message| {
                message.body = DkgBody::Certificate {
                    digest: Digest::from_bytes([0; 32]),
                    certifications: vec![],
                };
            }),
            DkgError::Unfounded,
        ),
        (
            "record of garbage",
            2,
            honest(|message| message.body = DkgBody::Finished(ByteBuf::from(vec![0]))),
            DkgError::Malformed,
        ),
        (
            "evidence of garbage",
            2,
            honest(|message| message.body = DkgBody::Evidence(secret(vec![0]))),
            DkgError::Malformed,
        ),
        (
            "canary round beyond reach",
            2,
            honest(|message| {
                message.body = DkgBody::CanaryNonces {
                    round: u64::MAX,
                    commitments: ByteBuf::new(),
                };
            }),
            DkgError::Malformed,
        ),
    ];
    for (what, from, message, expected) in cases {
        let outcome = machine.handle(now_ms, rng, Slot(from), message);
        assert_eq!(outcome, Err(expected), "{what}");
    }
}

#[test]
fn evidence_that_proves_nothing_convicts_nobody() {
    let record = record(4, 0);
    let mut net = Net::new(4, 1);
    // Member 3 forwards member 2's honest envelopes to all as evidence.
    let seen = alloc::rc::Rc::new(RefCell::new(vec![]));
    let all = seen.clone();
    net.tamper = Box::new(move |to, message| {
        let mut messages = vec![message.clone()];
        // Of a share it would be a false accusation.
        let is_share = matches!(message.body, DkgBody::Round2 { .. });
        if message.slot == LIAR && to == Slot(3) {
            all.borrow_mut().extend((!is_share).then_some(message));
        } else if message.slot == Slot(3) {
            for envelope in all.borrow().iter() {
                let mut slander = message.clone();
                let bytes = attestation::codec::encode(envelope);
                slander.body = DkgBody::Evidence(secret(bytes));
                messages.push(resigned(&record, slander));
            }
        }
        messages
    });
    net.run_until(10_000, "despite slander", Net::all_done);
    net.assert_one_key();
    assert!(seen.borrow().len() > 3);
    assert!(net.members[&Slot(1)].errors.contains(&DkgError::Unfounded));
}

#[test]
fn one_message_moves_the_attempt_by_no_more_than_the_bound() {
    let mut net = Net::new(4, 1);
    net.tick();
    let setup = Setup::<Suite>::new(&net.record, LIAR, Boot(1), &identity(2)).unwrap();
    let body = DkgBody::Echo(vec![Digest::from_bytes([0; 32]); 4]);
    let jump = setup.envelope(&identity(2), u64::MAX, body);
    let arrival = Arrival::Message(LIAR, jump);
    let now_ms = net.now_ms;
    net.arrivals.push((now_ms, Slot(1), 1, arrival));
    net.tick();
    assert_eq!(net.number(1), Some(1 + JUMP_MAX));
}

#[test]
fn a_member_that_lost_its_certified_share_says_so() {
    let mut net = Net::tampered(4, |_, message: DkgMessage| match message.body {
        DkgBody::CanaryShare { .. } => vec![],
        _ => vec![message],
    });
    net.run(1_000);
    net.kill(Slot(3));
    net.members.get_mut(&Slot(3)).unwrap().disk = None;
    net.start(Slot(3));
    net.run(5_000);
    assert_eq!(*net.assert_abort(3, &[], "an empty disk"), Act::ShareLost);
    assert_eq!(
        net.number(1),
        Some(1),
        "the others stay with the key they certified"
    );
}

#[test]
fn messages_of_a_former_start_are_dropped() {
    let mut net = Net::new(4, 1);
    net.kill(Slot(4));
    net.run(100);
    let old = RefCell::new(vec![]);
    for arrival in &net.arrivals {
        if let Arrival::Message(from, message) = &arrival.3
            && *from == LIAR
        {
            old.borrow_mut().push(message.clone());
        }
    }
    net.run(300);
    net.kill(LIAR);
    net.start(LIAR);
    net.run(300);
    let setup = Setup::<Suite>::new(&net.record, LIAR, Boot(1), &identity(2)).unwrap();
    let body = DkgBody::Round1(ByteBuf::from(round1_of(LIAR, &net.record, 3)));
    let stale = setup.envelope(&identity(2), 1, body);
    let now_ms = net.now_ms;
    let machine = net
        .members
        .get_mut(&Slot(1))
        .unwrap()
        .machine
        .as_mut()
        .unwrap();
    let outcome = machine.handle(now_ms, &mut net.rng, LIAR, stale);
    assert_eq!(outcome, Err(DkgError::Stale));
}

#[test]
fn packages_of_an_earlier_attempt_are_refused_whatever_attempt_they_claim() {
    let old = alloc::rc::Rc::new(RefCell::new(vec![]));
    let heard = old.clone();
    let mut net = Net::tampered(4, move |to, message: DkgMessage| {
        if message.slot == LIAR && to == Slot(1) && message.attempt == 1 {
            heard.borrow_mut().push(message.clone());
        }
        // Nobody's share arrives in attempt 1: all give it up.
        let lost = message.attempt == 1 && matches!(message.body, DkgBody::Certify(_));
        if lost { vec![] } else { vec![message] }
    });
    net.run_until(ATTEMPT_MS + 1_000, "attempt 2", |net| {
        net.number(1) == Some(2)
    });
    let (record, now_ms) = (net.record.clone(), net.now_ms);
    let second = light_client::key_record::session::<Suite>(&domain(&record), 2);
    let old = core::mem::take(&mut *old.borrow_mut());
    assert!(
        old.iter()
            .any(|message| matches!(message.body, DkgBody::Round1(_)))
    );
    assert!(
        old.iter()
            .any(|message| matches!(message.body, DkgBody::Round2 { .. }))
    );
    for message in old {
        let claims = |attempt, session| DkgMessage {
            attempt,
            session,
            ..message.clone()
        };
        let cases = [
            (message.clone(), DkgError::Stale),
            (claims(2, message.session), DkgError::Session),
            (claims(1, second), DkgError::Session),
            (claims(2, second), DkgError::Signature),
        ];
        let member = net.members.get_mut(&Slot(1)).unwrap();
        let machine = member.machine.as_mut().unwrap();
        for (replayed, expected) in cases {
            let outcome = machine.handle(now_ms, &mut net.rng, LIAR, replayed);
            assert_eq!(outcome, Err(expected), "{:?}", message.body);
        }
    }
    net.run_until(5_000, "attempt 2 despite replays", Net::all_done);
    assert_eq!(net.assert_one_key().attempt, 2);
}

#[test]
fn each_attempt_has_twice_the_time_of_the_one_before() {
    let mut net = Net::tampered(4, |_, message: DkgMessage| {
        let lost = matches!(message.body, DkgBody::Certify(_));
        if lost { vec![] } else { vec![message] }
    });
    let mut began_ms = net.now_ms;
    for attempt in 2..=8 {
        net.run_until(ATTEMPT_MS * 64, "the next attempt", |net| {
            net.number(1) == Some(attempt)
        });
        let took_ms = net.now_ms - began_ms;
        let doublings = (attempt - 2).min(DOUBLINGS_MAX);
        let expected_ms = ATTEMPT_MS << doublings;
        assert!(
            (expected_ms..expected_ms + 1_000).contains(&took_ms),
            "attempt {}: {took_ms} ms",
            attempt - 1
        );
        began_ms = net.now_ms;
    }
}

#[test]
fn progress_names_what_is_waited_for_and_rises() {
    let mut net = Net::new(4, 1);
    (net.delay_ms_max, net.loss_percent) = (100, 10);
    let mut seen: Vec<DkgProgress> = vec![];
    let machine = |net: &Net| net.members[&Slot(1)].machine.as_ref().unwrap().progress();
    assert_eq!(machine(&net), None);
    while !net.all_done() {
        net.tick();
        seen.extend(machine(&net));
    }
    assert_eq!(machine(&net), None);
    assert!(seen.is_sorted_by_key(|progress| progress.stage));
    let fits = |progress: &DkgProgress| {
        let missing = progress.missing.iter();
        usize::from(progress.here) + missing.len() <= 4
            && missing.is_sorted()
            && !progress.missing.contains(&Slot(1))
    };
    assert!(seen.iter().all(fits), "{seen:?}");
    seen.dedup_by_key(|progress| progress.stage);
    let stages: Vec<DkgStage> = seen.iter().map(|progress| progress.stage).collect();
    use DkgStage::{Canary, Certificates, Echoes, Round1, Shares};
    assert_eq!(stages, [Round1, Echoes, Shares, Certificates, Canary]);
    assert!(
        seen.iter()
            .all(|progress| progress.attempt == 1 && progress.here <= 4)
    );
}
