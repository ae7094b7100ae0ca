//! What a member keeps on disk: full, in use by another, written to by a twin.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use e2e::{Load, Paused, Running, is_alive, power, wait_for};
use rustix::process::Signal;
use serde_json::Value;

#[test]
fn a_full_disk_under_the_register_stops_the_signer_which_says_so_and_the_others_go_on() {
    let mut running = Running::prepare().expect("members");
    for slot in 1..=4 {
        running.committee.start_member(slot).expect("started");
    }
    let faulty = running.committee.programs().path("zq-faulty-node");
    running.committee.node_program(faulty);
    running.committee.start_member(5).expect("started");
    running
        .committee
        .wait_ready(e2e::DEADLINE)
        .expect("the committee's key");
    let full = running.committee.members()[4].dir.join("disk-full");
    full_and_not(
        &mut running,
        |_| fs::write(&full, "").expect("writable"),
        |_| fs::remove_file(&full).expect("there"),
    );
}

/// The same on a disk that the system itself calls full, in the middle of an entry.
#[test]
fn a_member_whose_disk_has_no_room_left_signs_nothing_and_goes_on_when_it_has() {
    let Some(disk) = power::disk("a disk without room") else {
        return;
    };
    let mut running = Running::prepare_on(disk, None).expect("members");
    running.committee.start().expect("started");
    running
        .committee
        .wait_ready(e2e::DEADLINE)
        .expect("the committee's key");
    let dir = running.committee.members()[4].dir.clone();
    full_and_not(
        &mut running,
        |running| {
            let disk = running.disk().expect("one");
            // A node whose store has no room does not vote either, but says it of the store.
            disk.fill(&dir.join("register"), 20).expect("a register");
        },
        |running| running.disk().expect("one").make_room(),
    );
}

/// What a committee does while member 5's disk is full, and when it is not any more.
fn full_and_not(running: &mut Running, fill: impl Fn(&Running), make_room: impl Fn(&Running)) {
    let counter = running.deploy_counter(1).expect("attested");
    running.wait_for_head(5, 1).expect("all five take part");
    fill(running);
    running
        .call(1, counter, "add")
        .expect("attested by the other four");
    running
        .wait_for_status(5, &["register", "DOWN", "cannot be written"])
        .expect("said");
    running
        .wait_for_status(5, &["signer", "DOWN", "free or replace"])
        .expect("stopped");
    running
        .call(1, counter, "add")
        .expect("the other four go on");
    running
        .wait_for_status(1, &["member 5 did not vote"])
        .expect("named");
    // Its share would be the fourth.
    running.committee.kill_member(4).expect("killed");
    let request = running
        .caller
        .request(counter, "add", Vec::new())
        .expect("a clock");
    let http = running.committee.http(1).expect("a member");
    let answer = running.caller.submit(&http, &request, 2).expect("accepted");
    assert_eq!(
        answer.get("state").and_then(Value::as_str),
        Some("pending"),
        "nothing is signed that is not durable: {answer}"
    );
    make_room(running);
    let path = format!("/v1/requests/{}", request.id());
    let answer = wait_for("the attestation", || {
        let answer = http.get(&path).ok()?;
        e2e::check_attested(&answer).ok().map(|()| answer)
    });
    assert_eq!(
        e2e::count(&answer.expect("its share counts again")),
        Some(3)
    );
}

/// A signer that outlives what its node takes for it: when the script is killed, the node starts
/// another, and there are two on one register.
fn detached(running: &Running) -> String {
    let script = running.dir().join("detached-signer");
    let text = format!(
        "#!/bin/sh\nexec 3<&0\n{} \"$@\" <&3 &\necho $! > {}\nwait\n",
        running.program("zq-signer").expect("UTF-8"),
        running.dir().join("signer.pid").display()
    );
    fs::write(&script, text).expect("writable");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).expect("ours");
    script.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_paused_signer_that_wakes_beside_its_successor_is_refused_and_stops() {
    let mut running = Running::prepare().expect("members");
    let script = detached(&running);
    running
        .start_with(&[5], &["--signer", &script])
        .expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    running.wait_for_head(5, 1).expect("all five take part");
    let pid_file = running.dir().join("signer.pid");
    let pid = || -> Option<i32> { fs::read_to_string(&pid_file).ok()?.trim().parse().ok() };
    let first = pid().expect("a signer");

    let load = Load::start(&running, counter, &[1, 2]).expect("callers");
    let paused = Paused::new(first).expect("stopped");
    // What it would have voted for waits in its socket.
    load.wait_for_more(5).expect("the other four go on");
    let wrapper = running.guest(5, "signer").expect("a process");
    e2e::signal(wrapper, Signal::KILL).expect("killed");
    let second = wait_for("the second signer", || pid().filter(|pid| *pid != first));
    let second = second.expect("started");
    let own_head = || {
        let status = running.status(5)?;
        let head = status.pointer("/node/members/4/head")?.as_u64();
        head.filter(|_| running.guest(5, "signer").is_ok())
    };
    let before = wait_for("the second signer's head", own_head).expect("connected");
    wait_for("its next steps", || {
        own_head().filter(|head| *head > before + 2)
    })
    .expect("it takes part");
    assert!(is_alive(first), "only paused");

    drop(paused);
    running
        .wait_for_status(5, &["register", "refused an entry"])
        .expect("said");
    wait_for("its end", || (!is_alive(first)).then_some(())).expect("the first stops");
    load.wait_for_more(3).expect("the committee goes on");
    load.finish().expect("nothing lost, nothing twice");
    assert!(is_alive(second), "the second stays");
    running.guest(5, "signer").expect("and is shown as up");
    running.committee.kill_member(4).expect("killed");
    running
        .call(1, counter, "add")
        .expect("attested with the second's share");
}

#[test]
fn a_second_node_on_the_same_data_is_refused() {
    let running = Running::start().expect("a committee with its key");
    let member = &running.committee.members()[4];
    let pid = member.pid().and_then(|pid| i32::try_from(pid).ok());
    // Paused, as a virtual machine would be that somebody copies.
    let _paused = Paused::new(pid.expect("it runs")).expect("stopped");
    let mut second = running.committee.programs().command("zq-node");
    second.arg("run").arg("--dir").arg(&member.dir);
    second
        .arg("--record")
        .arg(running.dir().join("committee.record"));
    let output = second.output().expect("started");
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("in use by another zq-node"), "{error}");
}

#[test]
fn a_member_declared_restored_only_watches_also_after_a_restart() {
    let mut running = Running::start().expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    running.committee.kill_member(5).expect("killed");
    for arguments in [["--restored"].as_slice(), &[]] {
        running.committee.extra_arguments(arguments);
        running.committee.start_member(5).expect("started");
        running.committee.extra_arguments(&[]);
        let told = ["register", "DOWN", "takes no part in epoch"];
        running.wait_for_status(5, &told).expect("said");
        running.call(1, counter, "add").expect("attested by four");
        let head = running.head(1).expect("a head");
        running.wait_for_head(5, head).expect("it follows");
        assert_eq!(running.metric(5, "zq_votes_total "), Some(0));
        running.committee.kill_member(5).expect("killed");
    }
}
