//! A liar that keeps all certifications of an attempt to itself, and shows them later.

use super::faults::LIAR;
use super::*;

#[test]
fn a_certificate_that_was_held_back_parts_nobody_from_the_others() {
    let record = record(4, 0);
    let shown = RefCell::new(None);
    let others = RefCell::new(false);
    let mut net = Net::tampered(4, |to, message: DkgMessage| {
        if message.slot != LIAR || *others.borrow() {
            return vec![message];
        }
        match (message.attempt, &message.body) {
            (1, DkgBody::Certificate { .. }) => {
                *shown.borrow_mut() = Some(message);
                vec![]
            }
            (1, DkgBody::Certify(_) | DkgBody::CanaryNonces { .. }) => vec![],
            // In the second attempt member 4 gets no share.
            (2, DkgBody::Round2 { .. }) if to == Slot(4) => vec![],
            _ => vec![message],
        }
    });
    net.run_until(5_000, "all certified", |_| shown.borrow().is_some());
    let kept = net.members[&LIAR].disk.clone();
    net.kill(LIAR);
    net.members.get_mut(&LIAR).unwrap().disk = None;
    net.start(LIAR);
    let shares = |net: &Net<'_>, slot: u16| {
        let disk = net.members[&Slot(slot)].disk.clone().unwrap();
        let bytes = ShareBytes::new(Epoch(1), Zeroizing::new(disk));
        PendingShares::<Suite>::from_bytes(&bytes).unwrap()
    };
    let second = |net: &Net<'_>, slot| shares(net, slot).last().unwrap().attempt == 2;
    net.run_until(10_000, "two have two shares", |net| {
        second(net, 1) && second(net, 3)
    });
    assert!(!second(&net, 4));

    let mut certificate = shown.borrow_mut().take().unwrap();
    certificate.boot = Boot(net.members[&LIAR].boot);
    let arrival = Arrival::Message(LIAR, resigned(&record, certificate));
    let at = net.now_ms;
    net.arrivals.push((at, Slot(4), 1, arrival));
    net.run(5_000);
    for slot in [1, 3, 4] {
        assert_eq!(net.number(slot), Some(1), "member {slot}");
        assert!(shares(&net, slot).last().unwrap().is_bound());
        let machine = net.members[&Slot(slot)].machine.as_ref().unwrap();
        assert_eq!(machine.progress().unwrap().missing, [LIAR], "member {slot}");
    }
    // All that it can still do is to take part.
    *others.borrow_mut() = true;
    net.kill(LIAR);
    net.members.get_mut(&LIAR).unwrap().disk = kept;
    net.start(LIAR);
    net.run_until(30_000, "the first attempt", Net::all_done);
    assert_eq!(net.assert_one_key().attempt, 1);
}

#[test]
fn several_pending_shares_survive_their_bytes_and_no_others() {
    let mut net = Net::new(4, 1);
    net.run_until(500, "good links", Net::all_done);
    let (_, one) = net.members.remove(&Slot(2)).unwrap().done.unwrap();
    let share = |attempt: u8| {
        let again = KeyShare::<Suite>::from_bytes(&one.to_bytes()).unwrap();
        KeyShare {
            attempt: u64::from(attempt),
            session: Digest::from_bytes([attempt; 32]),
            bound: false,
            ..again
        }
    };
    let mut pending = PendingShares::from(share(1));
    pending.put(share(3));
    let bytes = pending.to_bytes().unwrap();
    let open = |bytes: &[u8]| {
        let bytes = ShareBytes::new(Epoch(1), Zeroizing::new(bytes.to_vec()));
        PendingShares::<Suite>::from_bytes(&bytes)
    };
    let good = bytes.bytes();
    let again = open(good).unwrap();
    assert_eq!(
        again.iter().map(|one| one.attempt).collect::<Vec<_>>(),
        [1, 3]
    );
    assert_eq!(again.to_bytes().unwrap().bytes(), good);
    for cut in 0..good.len() {
        assert!(open(&good[..cut]).is_err(), "cut to {cut}");
    }
    assert!(open(&[good, &[0]].concat()).is_err());
    let (header, both) = good.split_at(1);
    let (first, second) = both.split_at(both.len() / 2);
    for wrong in [
        [header, second, first].concat(),
        [header, first, first].concat(),
        [header, first].concat(),
        header.to_vec(),
    ] {
        assert!(open(&wrong).is_err());
    }
    // As many as a sealed record holds, without the oldest.
    for attempt in 4..=100 {
        pending.put(share(attempt));
    }
    let bytes = pending.to_bytes().unwrap();
    assert!(bytes.bytes().len() <= crate::sealed::SHARE_BYTES_MAX);
    let attempts: Vec<u64> = open(bytes.bytes())
        .unwrap()
        .iter()
        .map(|one| one.attempt)
        .collect();
    assert_eq!(attempts.last(), Some(&100));
    assert!(attempts.len() > 5 && attempts.windows(2).all(|two| two[1] == two[0] + 1));

    let session = pending.iter().next().unwrap().session;
    assert!(!pending.bind(&session) && pending.bind(&session));
    assert!(
        pending
            .iter()
            .all(|share| share.bound && share.session == session)
    );
}
