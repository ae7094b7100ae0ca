//! Who asks or accuses without end costs no more than who does so once.

use alloc::rc::Rc;
use core::cell::RefCell;

use super::*;

/// What a machine has to say, in messages to one party.
fn said_to(machine: &mut Machine, party: Slot) -> usize {
    let said = core::iter::from_fn(|| machine.poll());
    said.filter(|output| matches!(output, RepairOutput::Send { to, .. } if *to == party))
        .count()
}

#[test]
fn who_asks_over_and_over_is_answered_once_in_a_while_and_others_are_all_the_same() {
    let held = Held::new();
    // One helper's sum is bad, so that all hold evidence for whoever still asks; or all is well.
    for spoilt in [false, true] {
        let mut net = held.net();
        let asks: Rc<RefCell<Vec<RepairMessage>>> = Rc::default();
        let heard = Rc::clone(&asks);
        net.tamper = Box::new(move |to, mut message: RepairMessage| {
            let body = &mut message.body;
            if let (true, Slot(2), RepairBody::Sum(_)) = (spoilt, message.slot, &body) {
                *body = RepairBody::Sum(SecretPackage::new(Zeroizing::new(vec![1; 36])));
                message = resigned(message);
            }
            if to == Slot(4) && matches!(message.body, RepairBody::Mask(_)) {
                heard.borrow_mut().push(message.clone());
            }
            vec![message]
        });
        net.run(1_000);
        assert_eq!(
            (net.restored.is_some(), net.aborted.len()),
            (!spoilt, 5 * usize::from(spoilt))
        );
        // The helper has ended; nobody's repetition is on its way any more.
        let mut helper = net.machines.remove(&Slot(4)).unwrap();
        let now = net.now_ms;
        let ask = |slot: u16| {
            let mut asks = asks.borrow().clone();
            asks.retain(|message| message.slot == Slot(slot));
            asks.pop().unwrap()
        };
        let per_answer = usize::from(spoilt);
        for (asker, began) in [(1, now), (5, now), (1, now + RESEND_MS_MIN)] {
            for again in 0..100 {
                let outcome = helper.handle(began + again, Slot(asker), ask(asker));
                let expected = match again {
                    0 => RepairError::Over,
                    _ => RepairError::TooSoon,
                };
                assert_eq!(outcome, Err(expected), "{asker}, ask {again}");
            }
            assert_eq!(said_to(&mut helper, Slot(asker)), per_answer, "{asker}");
        }
    }
}

#[test]
fn accusations_that_prove_nothing_are_weighed_once_in_a_while() {
    let held = Held::new();
    let mut net = held.net();
    // Member 4 keeps its echo from member 1, which therefore cannot convict it.
    let dealt: Rc<RefCell<Option<RepairMessage>>> = Rc::default();
    let heard = Rc::clone(&dealt);
    net.tamper = Box::new(move |to, message: RepairMessage| {
        if (message.slot, to) == (Slot(2), Slot(4))
            && matches!(message.body, RepairBody::Part { .. })
        {
            *heard.borrow_mut() = Some(message.clone());
        }
        let kept = (message.slot, to) == (Slot(4), Slot(1));
        match message.body {
            RepairBody::Echo(_) if kept => vec![],
            _ => vec![message],
        }
    });
    net.run(1_000);
    let mut part = dealt.take().expect("member 2 dealt to member 4");
    let bytes = Zeroizing::new(attestation::codec::encode(&part));
    part.slot = Slot(4);
    part.body = RepairBody::Evidence(SecretPackage::new(bytes));
    let accusation = resigned(part);
    let judge = net.machines.get_mut(&Slot(1)).unwrap();
    let now = net.now_ms;
    for began in [now, now + RESEND_MS_MIN] {
        for again in 0..10 {
            let outcome = judge.handle(began + again, Slot(4), accusation.clone());
            let expected = match again {
                0 => RepairError::Unfounded,
                _ => RepairError::TooSoon,
            };
            assert_eq!(outcome, Err(expected), "accusation {again}");
        }
    }
    assert!(net.aborted.is_empty());
}
