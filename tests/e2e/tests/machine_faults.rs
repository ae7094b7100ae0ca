//! Faults of members whose guests are virtual machines: power cuts, a guest that panics, a second
//! node on one directory; and machines on tap devices.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use e2e::namespaces::Namespaces;
use e2e::{DEADLINE, Paused, Running, kills, power};
use launch::Machines;

/// The images, for the guests of these members; those of the others are processes. Says that the test
/// is skipped where there are no images.
fn images(test: &str, slots: &[u16]) -> Option<Machines> {
    let mut images = e2e::images().expect("programs");
    match &mut images {
        Some(images) => images.slots = Some(slots.to_vec()),
        None => e2e::skip(test),
    }
    images
}

/// A member's node, its register and its machines go at once, and of its data remains what was
/// fsynced.
#[test]
fn power_cuts_of_members_with_machines_lose_nothing_that_was_acknowledged() {
    let test = "power cuts of members with machines";
    let (Some(images), Some(disk)) = (images(test, &[1, 2, 3, 4, 5]), power::disk(test)) else {
        return;
    };
    let mut running = Running::prepare_on(disk, Some(images)).expect("members");
    running.disk().expect("one").settle();
    running.committee.start().expect("started");
    running.committee.wait_ready(DEADLINE).expect("its key");
    let counter = running.deploy_counter(1).expect("attested");
    let cuts = kills::how_many(3).expect("a number");
    let outcome = power::at_random(&mut running, counter, cuts).expect("nothing is lost");
    println!("{} calls attested over {cuts} power cuts", outcome.attested);
}

#[test]
fn machines_on_tap_devices_attest_and_come_back() {
    let test = "machines on tap devices";
    let Some(mut images) = images(test, &[4, 5]) else {
        return;
    };
    let Some(spaces) = Namespaces::make(test, 0) else {
        return;
    };
    images.taps = true;
    let answer = spaces.in_hub(|| {
        let mut running = Running::start_in(images)?;
        let counter = running.deploy_counter(1)?;
        // Four are needed, and so one of the two.
        running.committee.kill_member(3)?;
        running.call(1, counter, "add")?;
        running.kill_guest(4, "signer")?;
        running.kill_guest(5, "executor")?;
        running.call(1, counter, "add")
    });
    assert_eq!(e2e::count(&answer.expect("attested")), Some(2));
}

#[test]
fn a_guest_that_panics_is_told_with_its_last_words_and_the_others_go_on() {
    let test = "a guest that panics";
    let Some(mut images) = images(test, &[5]) else {
        return;
    };
    if !images.images.join("guest-tests.img").is_file() {
        println!("SKIP: {test}: no guest for tests; `cargo xtask image test` makes it");
        return;
    }
    let folder = tempfile::tempdir().expect("a directory");
    for (image, role) in [("signer", "signer"), ("guest-tests", "executor")] {
        for extension in ["img", "json"] {
            let from = images.images.join(image).with_extension(extension);
            let to = folder.path().join(role).with_extension(extension);
            fs::copy(from, to).expect("writable");
        }
    }
    images.images = folder.path().to_owned();
    let mut running = Running::start_in(images).expect("that executor has no part in the key");
    let counter = running.deploy_counter(1).expect("attested by four");
    running.call(2, counter, "add").expect("attested by four");
    // As the kernel prints it: where, and what the program said of it.
    let told = [
        "executor",
        "DOWN",
        "its last words",
        "panicked",
        "a guest that panics",
    ];
    running.wait_for_status(5, &told).expect("told");
}

#[test]
fn a_second_node_on_the_data_of_paused_machines_is_refused() {
    let Some(images) = images("a second node beside machines", &[5]) else {
        return;
    };
    let mut running = Running::start_in(images).expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    let member = running.committee.members().get(4).expect("a member");
    let dir: PathBuf = member.dir.clone();
    let pid = member.pid().and_then(|pid| i32::try_from(pid).ok());
    let stopped = [
        running.pause_guest(5, "signer").expect("stopped"),
        Paused::new(pid.expect("it runs")).expect("stopped"),
    ];
    let mut second = running.committee.programs().command("zq-node");
    second.arg("run").arg("--dir").arg(&dir).arg("--record");
    second.arg(running.dir().join("committee.record"));
    let output = second.output().expect("started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("in use by another zq-node"), "{said}");
    drop(stopped);
    running.committee.kill_member(4).expect("killed");
    let answer = running.call(1, counter, "add");
    let answer = answer.context("with the share of the member that was paused");
    assert_eq!(e2e::count(&answer.expect("attested")), Some(1));
}
