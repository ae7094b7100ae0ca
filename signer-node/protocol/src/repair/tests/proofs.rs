//! What a repair's messages prove to whoever took no part, and what they do not.

use super::faults::{liar, slander, spoiled};
use super::*;
use crate::evidence::Fact;

/// One file of each kind, from a party that was there; member 2 lies, or 5 slanders.
fn files(held: &Held) -> Vec<(Kind, Slot, Evidence)> {
    let mut files = Vec::new();
    let mut take = |kind: Kind, culprit: u16, tamper: Box<Tamper>| {
        let mut net = held.net();
        net.tamper = tamper;
        net.run(3_000);
        let proofs = [1, 3, 4].map(|slot| net.proof(slot));
        let proof = proofs.into_iter().find(|proof| proof.kind() == Some(kind));
        files.push((
            kind,
            Slot(culprit),
            proof.unwrap_or_else(|| panic!("{}", kind.id())),
        ));
    };
    let no_mask = |_: Slot, body: &mut RepairBody| {
        if let RepairBody::Mask(mask) = body {
            mask.push(0);
        }
    };
    take(Kind::BadMask, 2, liar(2, no_mask));
    let bad_part = |_: Slot, body: &mut RepairBody| {
        if let RepairBody::Part { package, .. } = body {
            *package = spoiled(package);
        }
    };
    take(Kind::BadPart, 2, liar(2, bad_part));
    let bad_sum = |_: Slot, body: &mut RepairBody| {
        if let RepairBody::Sum(package) = body {
            *package = spoiled(package);
        }
    };
    take(Kind::BadSum, 2, liar(2, bad_sum));
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (second, _) = mask::deal::<Suite>(5, LOST, [].into_iter(), &mut rng);
    let mut first = None;
    let two_masks = move |to: Slot, body: &mut RepairBody| {
        if let RepairBody::Mask(mask) = body {
            let honest: &ByteBuf = first.get_or_insert_with(|| mask.clone());
            *mask = match to == Slot(1) {
                true => ByteBuf::from(second.clone()),
                false => honest.clone(),
            };
        }
    };
    take(Kind::MaskTwice, 2, liar(2, two_masks));
    take(Kind::FalseAlarm, 5, slander(5, 2, None));
    files
}

#[test]
fn a_file_about_a_repair_convicts_whoever_erred_and_nobody_else() {
    let held = Held::new();
    let record = record(6, 0);
    for (kind, culprit, file) in files(&held) {
        let read = Evidence::from_bytes(&file.to_bytes()).expect("what is written is read");
        let conviction = read
            .verify(&record)
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(conviction.kind, kind);
        assert_eq!(conviction.culprit, Culprit::Member(culprit), "{kind}");
        assert_eq!(conviction.identity, identity(culprit.0).key(), "{kind}");
        for slot in (0..=7).map(Slot).filter(|slot| *slot != culprit) {
            let mut other = read.clone();
            other.culprit = Culprit::Member(slot);
            assert_eq!(other.verify(&record), Err(EvidenceError::Unfounded));
        }
        let mut without = read.clone();
        without.history = None;
        let missing = EvidenceError::NoHistory(held.members.epoch());
        assert_eq!(without.verify(&record), Err(missing), "{kind}");
        let elsewhere = crate::dkg::tests::record(6, 1);
        let refused = read.verify(&elsewhere);
        assert_eq!(refused, Err(EvidenceError::Committee), "{kind}");
        // Of another try of the same repair.
        let mut later = read.clone();
        let Fact::Repair { plan, .. } = &mut later.fact else {
            panic!("{kind}");
        };
        plan.attempt += 1;
        let refused = later.verify(&record);
        assert_eq!(refused, Err(EvidenceError::Signature), "{kind}");
    }
}

#[test]
fn one_changed_bit_of_a_file_about_a_repair_convicts_nobody() {
    let held = Held::new();
    let record = record(6, 0);
    for (kind, _, file) in files(&held) {
        let bytes = file.to_bytes();
        for at in (0..bytes.len()).step_by(5) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let judged = Evidence::from_bytes(&changed).and_then(|one| one.verify(&record));
            assert!(judged.is_err(), "{kind}: byte {at}: {judged:?}");
        }
        for cut in (0..bytes.len()).step_by(31) {
            assert!(Evidence::from_bytes(&bytes[..cut]).is_err(), "{kind}");
        }
    }
}

/// Everything that is said in a repair without faults, as it is said first.
fn said(held: &Held) -> Vec<RepairMessage> {
    let log = alloc::rc::Rc::new(core::cell::RefCell::new(Vec::new()));
    let said = alloc::rc::Rc::clone(&log);
    let mut net = held.net();
    net.tamper = Box::new(move |_, message| {
        said.borrow_mut().push(message.clone());
        vec![message]
    });
    net.run(1_000);
    assert!(net.restored.is_some());
    log.borrow().clone()
}

#[test]
fn sound_words_of_a_repair_convict_nobody_whoever_puts_them_together() {
    let held = Held::new();
    let record = record(6, 0);
    let said = said(&held);
    let by = |slot: u16, is: &dyn Fn(&RepairBody) -> bool| {
        let mut all = said.iter().filter(|one| one.slot == Slot(slot));
        all.find(|one| is(&one.body)).expect("it was said").clone()
    };
    let mask = |slot| by(slot, &|body| matches!(body, RepairBody::Mask(_)));
    let echo = |slot| by(slot, &|body| matches!(body, RepairBody::Echo(_)));
    let part = |slot| by(slot, &|body| matches!(body, RepairBody::Part { .. }));
    let sum = |slot| by(slot, &|body| matches!(body, RepairBody::Sum(_)));
    let masks = || [1, 2, 4, 5, 6].map(mask).to_vec();
    let after = |rest: [RepairMessage; 2]| [masks(), rest.to_vec()].concat();
    let accusation = |accuser: u16, of: &RepairMessage, boot: u64| {
        let given = Zeroizing::new(attestation::codec::encode(of));
        let mut message = echo(accuser);
        message.boot = Boot(boot);
        message.body = RepairBody::Evidence(SecretPackage::new(given));
        resigned(message)
    };
    let mut fewer = after([echo(2), sum(2)]);
    fewer.remove(0);
    let mut others = after([echo(2), sum(2)]);
    let domain = *held.members.domain();
    let (other, _) =
        mask::deal::<Suite>(5, LOST, [].into_iter(), &mut ChaCha20Rng::seed_from_u64(1));
    others[0].body = RepairBody::Mask(ByteBuf::from(other));
    others[0] = resigned(others[0].clone());
    // A party that starts anew may be shown other masks than those it echoed before.
    let anew = after([echo(5), accusation(5, &part(2), 2)]);
    let both = |a, b| Box::new([a, b]);
    let unfounded = [
        RepairDeed::MaskTwice(both(mask(2), mask(2))),
        RepairDeed::MaskTwice(both(mask(2), mask(4))),
        RepairDeed::MaskTwice(both(mask(2), echo(2))),
        RepairDeed::EchoTwice(both(echo(2), echo(2))),
        RepairDeed::EchoTwice(both(echo(2), echo(4))),
        RepairDeed::BadMask(Box::new(mask(2))),
        RepairDeed::BadMask(Box::new(echo(2))),
        RepairDeed::BadPart(both(mask(2), part(2))),
        RepairDeed::BadPart(both(mask(4), part(2))),
        RepairDeed::BadSum(after([echo(2), sum(2)])),
        RepairDeed::BadSum(after([echo(4), sum(2)])),
        RepairDeed::BadSum(after([sum(2), echo(2)])),
        RepairDeed::BadSum(fewer),
        RepairDeed::BadSum(others),
        RepairDeed::BadSum(vec![]),
        RepairDeed::FalseAccusation(after([echo(4), accusation(5, &part(2), 1)])),
        RepairDeed::FalseAccusation(after([echo(2), accusation(2, &part(2), 1)])),
        RepairDeed::FalseAccusation(after([echo(5), accusation(5, &mask(2), 1)])),
        RepairDeed::FalseAccusation(anew),
    ];
    let file = |act: &RepairDeed, slot: u16| {
        let plan = Box::new(held.plan(&[1, 2, 4, 5, 6]));
        let act = act.clone();
        let culprit = Culprit::Member(Slot(slot));
        let evidence = Evidence::new(domain.committee, culprit, Fact::Repair { act, plan });
        evidence.with_history(&History {
            key: held.key.clone(),
            epochs: vec![],
        })
    };
    for (number, act) in unfounded.iter().enumerate() {
        for slot in 1..=6 {
            let judged = file(act, slot).verify(&record);
            assert_eq!(judged, Err(EvidenceError::Unfounded), "deed {number}");
        }
    }
    // Accused by one that echoed the masks it fits, the accuser alone is convicted.
    for given in [part(2), sum(2)] {
        let act = RepairDeed::FalseAccusation(after([echo(5), accusation(5, &given, 1)]));
        for slot in 1..=6 {
            let judged = file(&act, slot).verify(&record).map(|guilt| guilt.kind);
            let expected = match slot {
                5 => Ok(Kind::FalseAlarm),
                _ => Err(EvidenceError::Unfounded),
            };
            assert_eq!(judged, expected, "member {slot}");
        }
    }
}
