//! Honest members: every kind of change, bad links, crashes.

use core::cell::RefCell;

use rand_core::RngCore as _;

use super::*;
use crate::dkg::tests::Arrival;
use crate::lineage::{ChangeFile, EpochRecord, Lineage};
use crate::message::{DkgBody, DkgMessage};

#[test]
fn every_kind_of_change_keeps_the_group_key_and_its_new_members_sign() {
    let five = Held::first(5);
    type Case<'a> = (&'a str, &'a [u16], &'a [u16], u16);
    let cases: [Case; 9] = [
        ("refresh by t", &[1, 2, 3, 4], &[1, 2, 3, 4, 5], 4),
        ("refresh by all", &[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5], 4),
        ("enrolment", &[1, 2, 4, 5], &[1, 2, 3, 4, 5, 6], 5),
        ("removal of a dealer", &[1, 2, 3, 4], &[1, 2, 3, 5], 3),
        (
            "removal of one that does not deal",
            &[1, 2, 3, 4],
            &[1, 2, 3, 4],
            3,
        ),
        ("threshold up", &[2, 3, 4, 5], &[1, 2, 3, 4, 5], 5),
        ("threshold down", &[2, 3, 4, 5], &[1, 2, 3, 4, 5, 6], 4),
        ("one replaced", &[1, 2, 3, 4], &[1, 2, 3, 4, 6], 4),
        ("all replaced", &[1, 2, 3, 4], &[6, 7, 8, 9], 3),
    ];
    for (what, dealers, members, threshold) in cases {
        let after = five.change(dealers, members, threshold);
        assert_eq!(after.base.threshold(), threshold, "{what}");
        assert_eq!(after.base.count(), members.len(), "{what}");
        // The old shares still sign too: nothing has happened to them.
        assert!(signs(&five.set(&[2, 3, 4, 5]), &five.key, b"old"), "{what}");
    }
}

#[test]
fn epochs_follow_each_other_and_no_slot_is_used_again() {
    let first = Held::first(5);
    let second = first.change(&[1, 2, 3, 4], &[1, 2, 3, 4, 6], 4);
    let third = second.change(&[1, 2, 3, 6], &[1, 2, 3, 6, 7, 8], 5);
    let fourth = third.change(&[2, 3, 6, 7, 8], &[2, 3, 6, 7, 8], 4);
    assert_eq!(fourth.key.epoch, Epoch(4));
    assert_eq!(fourth.key.group_key, first.key.group_key);
    assert_eq!(fourth.base.slot_max(), Slot(8));
    let again = fourth.plan(&[2, 3, 6, 7], &[2, 3, 4, 6, 7, 8], 5);
    let refused = again.check(&fourth.base, &Ed25519Verify);
    assert_eq!(refused, Err(PlanError::Slot(Slot(4))));
}

/// Whether shares of different epochs make a signature that plain Ed25519 accepts.
fn mix_signs(shares: &[&KeyShare<Suite>], held: &Held) -> bool {
    let mut rng = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::seed_from_u64(4);
    let (nonces, commitments): (Vec<_>, BTreeMap<_, _>) = shares
        .iter()
        .map(|share| {
            let key = share.key_package();
            let (nonces, commitments) = frost_core::round1::commit(key.signing_share(), &mut rng);
            (nonces, (*key.identifier(), commitments))
        })
        .unzip();
    let package = frost_core::SigningPackage::new(commitments, b"mixed");
    let signed = shares.iter().zip(&nonces).map(|(share, nonces)| {
        let key = share.key_package();
        let signed = frost_core::round2::sign(&package, nonces, key);
        (*key.identifier(), signed.unwrap())
    });
    let public = held.key.public_key_package().unwrap();
    frost_core::aggregate(&package, &signed.collect(), &public).is_ok()
}

#[test]
fn old_and_new_shares_do_not_mix() {
    let old = Held::first(5);
    let new = old.change(&[1, 2, 3, 4], &[1, 2, 3, 4, 5], 4);
    assert!(mix_signs(&new.set(&[1, 2, 3, 4]), &new));
    for held in [&old, &new] {
        let mixed = [new.set(&[1, 2, 3]), old.set(&[4])].concat();
        assert!(!mix_signs(&mixed, held));
        let mixed = [new.set(&[1]), old.set(&[2, 3, 4])].concat();
        assert!(!mix_signs(&mixed, held));
    }
}

#[test]
fn a_removed_member_signs_with_old_shares_only() {
    let old = Held::first(5);
    let new = old.change(&[1, 2, 3, 4], &[1, 2, 3, 4], 3);
    for held in [&old, &new] {
        let mixed = [new.set(&[1, 2, 3]), old.set(&[5])].concat();
        assert!(!mix_signs(&mixed, held));
    }
    // Copies of old shares are what a reshare does not undo (rule B5).
    assert!(mix_signs(&old.set(&[1, 2, 3, 5]), &old));
}

#[test]
fn a_change_on_links_that_lose_repeat_and_reorder_ends_with_one_key() {
    let five = Held::first(5);
    for seed in 0..4 {
        for members in [&[1, 2, 3, 4, 5][..], &[3, 4, 5, 6, 7], &[6, 7, 8, 9, 10]] {
            let plan = five.plan(&[1, 2, 3, 5], members, 4);
            let mut net = five.net(&plan, seed);
            (net.loss_percent, net.repeat_percent, net.delay_ms_max) = (30, 20, 300);
            net.run_until(200_000, "bad links", Net::all_done);
            five.after(net);
        }
    }
}

fn kind(body: &DkgBody) -> &'static str {
    match body {
        DkgBody::Round1(_) => "round 1",
        DkgBody::Echo(_) => "echo",
        DkgBody::Round2 { .. } => "round 2",
        DkgBody::Certify(_) => "certify",
        DkgBody::Certificate { .. } => "certificate",
        DkgBody::CanaryNonces { .. } => "canary nonces",
        DkgBody::CanaryShare { .. } => "canary share",
        DkgBody::Evidence(_) => "evidence",
        DkgBody::Proof(_) => "proof",
        DkgBody::Finished(_) => "finished",
    }
}

#[test]
fn whoever_crashes_at_any_stage_comes_back() {
    let five = Held::first(5);
    // 1 only deals, 3 deals and stays, 6 is new.
    let plan = five.plan(&[1, 2, 3, 4], &[2, 3, 4, 5, 6], 4);
    let stages = [
        "round 1",
        "echo",
        "round 2",
        "certify",
        "canary nonces",
        "canary share",
    ];
    for crashing in [Slot(1), Slot(3), Slot(6)] {
        for stage in stages {
            let struck = RefCell::new(false);
            let mut net = five.net(&plan, 5);
            let seen = &struck;
            net.tamper = alloc::boxed::Box::new(move |_, message: DkgMessage| {
                if kind(&message.body) == stage {
                    *seen.borrow_mut() = true;
                }
                vec![message]
            });
            (net.loss_percent, net.delay_ms_max) = (10, 30);
            net.run_until(300_000, stage, |_| *struck.borrow());
            net.kill(crashing);
            net.run(500);
            net.start(crashing);
            net.run_until(300_000, stage, Net::all_done);
            five.after(net);
        }
    }
}

#[test]
fn whoever_crashes_again_and_again_ends_with_the_others() {
    let five = Held::first(5);
    let plan = five.plan(&[1, 2, 3, 4], &[2, 3, 4, 5, 6], 4);
    for seed in 0..4 {
        let mut net = five.net(&plan, seed);
        (net.loss_percent, net.delay_ms_max) = (10, 50);
        for _ in 0..30 {
            let slot = Slot(1 + (net.rng.next_u32() % 6) as u16);
            net.kill(slot);
            net.run(100);
            net.start(slot);
            let pause = u64::from(net.rng.next_u32() % 700);
            net.run(pause);
        }
        // Restarts have brought the attempt so high that giving one up takes 16 minutes.
        net.run_until(3_000_000, "after the crashes", Net::all_done);
        five.after(net);
    }
}

#[test]
fn one_that_only_deals_is_told_the_end_by_a_finished_member() {
    let five = Held::first(5);
    let plan = five.plan(&[1, 2, 3, 4], &[2, 3, 4, 5], 3);
    let mut net = five.net(&plan, 5);
    net.tamper = alloc::boxed::Box::new(|_, message: DkgMessage| {
        let is_last = message.slot == Slot(1) && kind(&message.body) == "certificate";
        if is_last { vec![] } else { vec![message] }
    });
    net.run(10_000);
    assert!(net.members[&Slot(1)].dealt.is_none());
    for slot in [2, 3, 4, 5].map(Slot) {
        net.kill(slot);
        net.start(slot);
    }
    net.tamper = alloc::boxed::Box::new(|_, message| vec![message]);
    net.run_until(10_000, "told", Net::all_done);
    five.after(net);
}

#[test]
fn one_that_only_deals_and_starts_anew_follows_the_certificate_to_its_attempt() {
    let five = Held::first(5);
    let plan = five.plan(&[1, 2, 3, 4], &[2, 3, 4, 5], 3);
    // Its own first attempt, or one that it does not know.
    for attempt in [1, 2] {
        let mut net = five.net(&plan, 5);
        net.tamper = alloc::boxed::Box::new(move |_, message: DkgMessage| {
            let is_earlier = message.attempt < attempt && kind(&message.body) == "certify";
            let is_lost = is_earlier || kind(&message.body) == "canary share";
            if is_lost { vec![] } else { vec![message] }
        });
        net.run((attempt - 1) * crate::dkg::ATTEMPT_MS + 3_000);
        let standing = |net: &Net<'_>| {
            let progress = net.members[&Slot(1)].machine.as_ref().unwrap().progress();
            progress.map(|progress| (progress.attempt, progress.stage))
        };
        let bound = Some((attempt, crate::dkg::DkgStage::Canary));
        assert_eq!(standing(&net), bound);
        net.kill(Slot(1));
        net.start(Slot(1));
        net.run(9_000);
        assert_eq!(standing(&net), bound);
        net.tamper = alloc::boxed::Box::new(|_, message| vec![message]);
        net.run_until(30_000, "told the end", Net::all_done);
    }
}

#[test]
fn what_a_restart_has_lost_is_not_waited_for_until_the_attempt_ends() {
    let five = Held::first(5);
    let plan = five.plan(&[1, 2, 3, 4], &[1, 2, 3, 4, 6], 4);
    // Member 6 lacks a part of member 2's, and its own echo and certification is lost or not.
    for (lost, restarts) in [
        ("round 2", &[2][..]),
        ("echo", &[2]),
        ("round 2", &[1, 2, 3, 4, 6]),
    ] {
        let mut net = five.net(&plan, 7);
        net.tamper = alloc::boxed::Box::new(move |to, message: DkgMessage| {
            let is_lost = (message.slot, to) == (Slot(2), Slot(6)) && kind(&message.body) == lost;
            if is_lost { vec![] } else { vec![message] }
        });
        net.run(2_000);
        assert!(net.members[&Slot(2)].disk.is_some(), "{lost}");
        assert!(net.members[&Slot(6)].disk.is_none(), "{lost}");
        net.tamper = alloc::boxed::Box::new(|_, message| vec![message]);
        for slot in restarts {
            net.kill(Slot(*slot));
            net.start(Slot(*slot));
        }
        let ms = crate::dkg::ATTEMPT_MS / 2;
        net.run_until(ms, lost, Net::all_done);
        five.after(net);
    }
}

#[test]
fn a_change_that_dies_half_way_leaves_the_old_shares_and_another_can_follow() {
    let five = Held::first(5);
    let plan = five.plan(&[1, 2, 3, 4], &[1, 2, 3, 4, 6], 4);
    // The new member dies for good once all are bound to their new shares.
    let mut net = five.net(&plan, 5);
    net.tamper = alloc::boxed::Box::new(|_, message: DkgMessage| {
        let dead = message.slot == Slot(6) && kind(&message.body) == "canary nonces";
        if dead { vec![] } else { vec![message] }
    });
    net.run(60_000);
    assert!(net.members.values().all(|member| member.done.is_none()));
    let pending = |net: &Net<'_>, slot: u16| {
        let disk = net.members[&Slot(slot)].disk.clone().unwrap();
        let bytes = crate::sealed::ShareBytes::new(plan.epoch, zeroize::Zeroizing::new(disk));
        KeyShare::<Suite>::from_bytes(&bytes).unwrap()
    };
    assert!(pending(&net, 1).is_bound());
    assert!(signs(&five.set(&[1, 2, 3, 5]), &five.key, b"goes on"));
    // A share of that plan does not enter another; another epoch number keeps the two apart.
    let other = five.plan(&[1, 2, 3, 4], &[1, 2, 3, 4], 3);
    let refused = enter(&five, &other, 1, Some(pending(&net, 1))).err();
    assert_eq!(refused, Some(DkgError::Foreign));
    let mut other = five.plan(&[1, 2, 3, 4], &[1, 2, 3, 4], 3);
    other.epoch = Epoch(3);
    let mut net = five.net(&other, 6);
    net.run_until(5_000, "another", Net::all_done);
    assert_eq!(five.after(net).key.epoch, Epoch(3));
}

fn enter(
    held: &Held,
    plan: &ChangePlan,
    slot: u16,
    pending: Option<KeyShare<Suite>>,
) -> Result<crate::dkg::tests::Machine, DkgError> {
    let (changing, slot) = (held.changing(plan.clone()), Slot(slot));
    let boot = attestation::ids::Boot(9);
    let (identity, change) = (identity(slot.0), changing.of(slot));
    Dkg::reshare(&change, slot, boot, identity, Ed25519Verify, pending)
}

#[test]
fn a_share_that_is_not_durable_yet_is_not_certified_and_no_leaver_believes_it() {
    let five = Held::first(5);
    let plan = five.plan(&[1, 2, 3, 4], &[2, 3, 4, 5], 3);
    let mut net = five.net(&plan, 5);
    for _ in 0..300 {
        let slow = |arrival: &(u64, Slot, u64, Arrival)| {
            arrival.1 == Slot(5) && matches!(arrival.3, Arrival::Persisted)
        };
        net.arrivals.retain(|arrival| !slow(arrival));
        net.tick();
    }
    assert!(net.members[&Slot(5)].disk.is_some());
    assert!(
        net.members
            .values()
            .all(|member| member.done.is_none() && member.dealt.is_none())
    );
    let progress = net.members[&Slot(1)].machine.as_ref().unwrap().progress();
    assert_eq!(progress.unwrap().missing, [Slot(5)]);
}

#[test]
fn the_secret_of_a_destroyed_share_is_gone() {
    let five = Held::first(5);
    let mut shares = five.shares();
    let share = shares.remove(&Slot(1)).unwrap();
    let mut secrets = crate::sealed::Secrets::generate(&mut rng(1));
    secrets.put_share(share.to_bytes()).unwrap();
    let new = five.change(&[1, 2, 3, 4], &[1, 2, 3, 4, 5], 4);
    secrets.put_share(new.shares[&Slot(1)].to_bytes()).unwrap();
    assert_eq!(secrets.shares().len(), 2);
    share.destroy();
    secrets.drop_shares_before(new.key.epoch);
    assert_eq!(secrets.shares().len(), 1);
    assert!(KeyShare::<Suite>::of_key(&secrets.shares()[0], &new.key).is_ok());
}

fn rng(seed: u64) -> rand_chacha::ChaCha20Rng {
    rand_core::SeedableRng::seed_from_u64(seed)
}

/// The changes that led from the first epoch to each of these, in order.
fn changes(epochs: &[(&Held, ChangePlan)]) -> Vec<EpochRecord> {
    let change = |(held, plan): &(&Held, ChangePlan)| EpochRecord {
        plan: plan.clone(),
        key: held.key.clone(),
    };
    epochs.iter().map(change).collect()
}

#[test]
fn a_lineage_proves_every_epoch_from_the_creation_record_on_and_nothing_out_of_order() {
    let first = Held::first(5);
    let to_second = first.plan(&[1, 2, 3, 4], &[1, 2, 3, 4, 6], 4);
    let second = first.change(&[1, 2, 3, 4], &[1, 2, 3, 4, 6], 4);
    let to_third = second.plan(&[1, 2, 3, 6], &[2, 3, 4, 6], 3);
    let third = second.change(&[1, 2, 3, 6], &[2, 3, 4, 6], 3);
    let all = changes(&[(&second, to_second), (&third, to_third)]);
    let start = || Lineage::new(&first.record, &first.key).unwrap();

    let lineage = start().through(&all).unwrap();
    assert_eq!(lineage.epoch(), Epoch(3));
    assert_eq!(
        lineage.members().slots().collect::<Vec<_>>(),
        [2, 3, 4, 6].map(Slot)
    );
    assert_eq!(lineage.key(), &third.key);
    // What a step is asked to put into force follows from plan and key record.
    let cutover = all[1].cutover();
    assert_eq!((cutover.base, cutover.epoch), (Epoch(2), Epoch(3)));
    assert_eq!(cutover.package, third.key.package_digest());
    assert_eq!(cutover.count(), Some(4));

    for wrong in [
        &all[1..],
        &[all[1].clone(), all[0].clone()],
        &[all[0].clone(), all[0].clone()],
    ] {
        assert!(start().through(wrong).is_err());
    }
    // Another plan than the ceremony's, though of the same members, and another ceremony's key.
    let mut other = all[0].clone();
    other.plan.dealers = [1, 2, 3, 5].map(Slot).to_vec();
    assert!(start().after(&other).is_err());
    let mut other = all[0].clone();
    other.key = third.key.clone();
    assert!(start().after(&other).is_err());
    assert!(Lineage::new(&first.record, &second.key).is_err());
}

#[test]
fn a_change_file_is_judged_as_a_whole() {
    let first = Held::first(5);
    let to_second = first.plan(&[1, 2, 3, 4], &[1, 2, 3, 4, 6], 4);
    let second = first.change(&[1, 2, 3, 4], &[1, 2, 3, 4, 6], 4);
    let file = ChangeFile {
        record: first.record.clone(),
        key: first.key.clone(),
        epochs: changes(&[(&second, to_second)]),
        plan: second.plan(&[1, 2, 3, 6], &[2, 3, 4, 6], 3),
    };
    let (base, planned) = ChangeFile::from_bytes(&file.to_bytes())
        .unwrap()
        .check()
        .unwrap();
    assert_eq!((base.epoch(), planned.epoch()), (Epoch(2), Epoch(3)));

    type Alter = fn(&mut ChangeFile);
    let cases: [(&str, Alter); 8] = [
        ("record", |file| file.record.threshold = 3),
        ("key", |file| file.key.threshold = 3),
        ("a change left out", |file| file.epochs.clear()),
        ("base", |file| file.plan.base = Epoch(1)),
        ("threshold", |file| file.plan.threshold = 2),
        ("another key", |file| file.plan.keys[0] = file.plan.digest()),
        ("two keys", |file| file.plan.keys.push(file.plan.digest())),
        ("a slot again", |file| file.plan.members[2].slot = Slot(5)),
    ];
    for (name, alter) in cases {
        let mut wrong = file.clone();
        alter(&mut wrong);
        assert!(wrong.check().is_err(), "{name}");
    }
    let bytes = file.to_bytes();
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        assert!(ChangeFile::from_bytes(&bytes[..cut]).is_err());
    }
}
