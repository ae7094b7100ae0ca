//! A member that lost nothing but its key share gets it back from the others.

use std::fs;

use e2e::town::{Town, text};
use serde_json::Value;

#[test]
fn a_member_whose_share_is_lost_has_it_repaired_and_signs_again() {
    let mut town = Town::open();
    let sealed = town.dir(5).join("signer.sealed");
    let before = fs::read(&sealed).expect("sealed secrets");
    let change = town.plan(1, "change", &[]);
    town.approve(1..=5, &change);
    town.activate(&[1, 2, 3, 4, 5]);
    town.wait_epoch(&[1, 2, 3, 4, 5], 2);
    assert_eq!(town.call(1), 2);

    // Its register is whole, its secrets are those of the epoch before.
    town.running.committee.stop_member(5).expect("stopped");
    fs::write(&sealed, before).expect("written");
    town.running.committee.start_member(5).expect("started");
    let told = ["register", "DOWN", "without the key share"];
    town.running
        .wait_for_status(5, &told)
        .expect("it says what it lacks");
    town.running.committee.kill_member(4).expect("killed");
    let no_quorum = |town: &Town| town.zq(1, &["status"]).1 == Some(4);
    let told = e2e::wait_for("no quorum", || no_quorum(&town).then_some(()));
    told.expect("four members, three that sign");
    town.running.committee.start_member(4).expect("started");
    assert_eq!(town.call(1), 2);

    let plan = text(&town.path("repair.plan"));
    let ask = |town: &Town, lost: &str, helpers: &str| {
        let mut ask = vec!["committee", "repair", lost, "--out", &plan];
        if !helpers.is_empty() {
            ask.extend(["--helpers", helpers]);
        }
        town.zq(1, &ask)
    };
    for (lost, helpers) in [
        ("6", ""),
        ("5", "1,2,3"),
        ("5", "1,2,3,5"),
        ("5", "1,2,3,9"),
    ] {
        let (said, code) = ask(&town, lost, helpers);
        assert_eq!(code, Some(2), "{lost} by {helpers}: {said}");
    }
    let (said, code) = ask(&town, "5", "");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.get("helpers"), Some(&Value::from(vec![1, 2, 3, 4])));

    approve(&town, 1, "cut", |bytes| _ = bytes.pop(), "not a repair");
    let epoch_one = |bytes: &mut Vec<u8>| {
        let mut plan = signer_protocol::repair::RepairPlan::from_bytes(bytes).expect("a plan");
        plan.epoch.0 = 1;
        *bytes = plan.to_bytes();
    };
    approve(&town, 1, "old", epoch_one, "not to be approved");
    // A try that its helper's signer, and then its node, does not see the end of.
    approve(&town, 1, "same", |_| (), "");
    let under_way = ["repair", "up", "the share of member 5", "under way"];
    let given_up = ["repair", "DOWN", "the share of member 5", "given up"];
    let shown = |town: &Town, parts| town.running.wait_for_status(1, parts).expect("shown");
    shown(&town, &under_way);
    town.running.kill_guest(1, "signer").expect("killed");
    shown(&town, &given_up);
    town.running.committee.kill_member(1).expect("killed");
    town.running.committee.start_member(1).expect("started");
    shown(&town, &given_up);

    for slot in 1..=5 {
        approve(&town, slot, "same", |_| (), "");
    }
    let mended = e2e::wait_for("its register is well", || {
        let status = town.running.status(5)?;
        let parts = status.pointer("/node/parts")?.as_array()?;
        let register = parts.iter().find(|part| part["name"] == "register")?;
        (register["up"] == true).then_some(())
    });
    mended.expect("its share is back");
    for slot in 1..=5 {
        let over = e2e::wait_for("no repair under way", || {
            let status = town.running.status(slot)?;
            let parts = status.pointer("/node/parts")?.as_array()?;
            let tried = parts.iter().any(|part| part["name"] == "repair");
            (!tried).then_some(())
        });
        over.unwrap_or_else(|error| panic!("node {slot}: {error:#}"));
    }
    town.running.committee.kill_member(4).expect("killed");
    assert_eq!(town.call(1), 2, "the fifth signs");

    // Once more: nothing is lost.
    approve(&town, 5, "again", |_| (), "");
    let said = e2e::wait_for("the try is over", || {
        let alerts = town.running.alerts(5);
        alerts
            .iter()
            .any(|alert| alert.contains("is not lost"))
            .then_some(())
    });
    said.expect("an alert");
}

/// Lets the operator of `slot` approve the plan, altered; `refused` is what is said to it then.
fn approve(town: &Town, slot: usize, name: &str, alter: impl Fn(&mut Vec<u8>), refused: &str) {
    let mut bytes = fs::read(town.path("repair.plan")).expect("planned");
    alter(&mut bytes);
    let file = town.path(name);
    fs::write(&file, bytes).expect("written");
    let (dir, file) = (text(&town.dir(slot)), text(&file));
    let (said, done) = town.node(&["repair", "--yes", "--dir", &dir, &file]);
    assert_eq!(done, refused.is_empty(), "{said}");
    assert!(said.contains(refused), "{said}");
}
