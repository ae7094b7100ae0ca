//! Power cuts on a disk that forgets what was not fsynced, and disks that lie about fsync: each
//! place that must fsync is shown to be needed.

use std::collections::BTreeSet;
use std::fs;

use e2e::{Load, Running, kills, power};

fn committee(test: &str) -> Option<Running> {
    let running = Running::prepare_on(power::disk(test)?, None).expect("members");
    // What an operator copied and wrote by hand has been on disk for long.
    running.disk().expect("one").settle();
    Some(running)
}

fn start(running: &mut Running) {
    running.committee.start().expect("started");
    running
        .committee
        .wait_ready(e2e::DEADLINE)
        .expect("the committee's key");
}

#[test]
fn power_cuts_under_load_lose_nothing_that_was_acknowledged() {
    let Some(mut running) = committee("power cuts under load") else {
        return;
    };
    start(&mut running);
    let counter = running.deploy_counter(1).expect("attested");
    let cuts = kills::how_many(8).expect("a number");
    let outcome = power::at_random(&mut running, counter, cuts).expect("nothing is lost");
    let mut back = outcome.back;
    back.sort_unstable();
    let (median, slowest) = (back[back.len() / 2], back[back.len() - 1]);
    println!(
        "{} calls attested over {cuts} power cuts; from a node's start to its next vote: median \
         {median:.1?}, slowest {slowest:.1?}",
        outcome.attested
    );
}

#[test]
fn a_register_that_is_not_fsynced_is_found_out() {
    let Some(mut running) = committee("a register without fsync") else {
        return;
    };
    start(&mut running);
    let counter = running.deploy_counter(1).expect("attested");
    running.disk().expect("one").lie_about(&["register"]);
    let load = Load::start(&running, counter, &[1, 2]).expect("callers");
    load.wait_for_more(5).expect("votes that are not on disk");
    let error = power::one(&mut running, 3, false).expect_err("its register went back");
    let error = error.to_string();
    assert!(error.contains("register of member 3"), "{error}");
    // The others remember what it signed: it only watches.
    running.committee.start_member(3).expect("started");
    let told = ["register", "DOWN", "older than what this member signed"];
    running.wait_for_status(3, &told).expect("said");
    load.finish().expect("the other four go on");
    assert_eq!(running.metric(3, "zq_votes_total "), Some(0));
}

#[test]
fn a_store_that_is_not_fsynced_is_found_out() {
    let Some(mut running) = committee("a store without fsync") else {
        return;
    };
    start(&mut running);
    let counter = running.deploy_counter(1).expect("attested");
    running.disk().expect("one").lie_about(&["gateway.sqlite"]);
    let load = Load::start(&running, counter, &[1, 2]).expect("callers");
    load.wait_for_more(5).expect("steps that are not on disk");
    let error = power::all(&mut running).expect_err("accepted steps are gone");
    let error = error.to_string();
    assert!(error.contains("had accepted step"), "{error}");
    drop(load);
}

#[test]
fn a_key_share_is_on_disk_before_the_committee_has_its_key() {
    let Some(mut running) = committee("key shares and power cuts") else {
        return;
    };
    start(&mut running);
    let before = key(&running);
    cut_all(&mut running);
    start(&mut running);
    assert_eq!(key(&running), before);
    let counter = running.deploy_counter(1).expect("signed with the shares");
    running.call(2, counter, "add").expect("attested");
}

#[test]
fn a_key_share_that_is_not_fsynced_is_found_out() {
    let Some(mut running) = committee("key shares without fsync") else {
        return;
    };
    let files = ["signer.sealed", "key.record"];
    running.disk().expect("one").lie_about(&files);
    start(&mut running);
    let before = key(&running);
    cut_all(&mut running);
    // Nobody has a share of the key that all had: they make another.
    start(&mut running);
    assert_ne!(key(&running), before);
}

fn cut_all(running: &mut Running) {
    for slot in 1..=5 {
        running.committee.kill_member(slot).expect("killed");
    }
    let disk = running.disk().expect("one");
    disk.cut_power(running.dir()).expect("the root");
}

/// The group key that all nodes name.
fn key(running: &Running) -> String {
    let keys = (1..=5).map(|slot| {
        let http = running.committee.http(slot).expect("a member");
        let committee = http.get("/v1/committee").expect("answers");
        let key = committee.get("group_key").and_then(|key| key.as_str());
        key.expect("a key").to_owned()
    });
    let keys: BTreeSet<String> = keys.collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    keys.into_iter().next().expect("one")
}

#[test]
fn a_member_just_made_survives_a_power_cut() {
    let Some(disk) = power::disk("a member just made") else {
        return;
    };
    let running = Running::prepare_on(disk, None).expect("members");
    let card = |slot: usize| {
        let member = running.committee.members().get(slot).expect("five");
        fs::read_to_string(member.dir.join("card.json"))
    };
    let before = card(2).expect("made");
    let disk = running.disk().expect("one");
    disk.cut_power(running.dir()).expect("the root");
    assert_eq!(card(2).expect("`zq-node init` had ended"), before);
}
