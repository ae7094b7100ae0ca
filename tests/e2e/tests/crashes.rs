//! SIGKILL of every kind of process, and what is left of the committee afterwards.

use attestation::ids::GroupKey;
use attestation::step_attestation::StepAttestation;
use e2e::{Running, wait_for};

#[test]
fn killed_guests_come_back_and_nothing_is_lost() {
    let mut running = Running::start().expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    let mut count = 0;
    for (slot, part) in [
        (2, "signer"),
        (3, "executor"),
        (1, "coordinator"),
        (1, "signer"),
    ] {
        let before = running.guest(slot, part).expect("a process");
        running.kill_guest(slot, part).expect("killed");
        let answer = running.call(4, counter, "add").expect("attested");
        count += 1;
        assert_eq!(
            e2e::count(&answer),
            Some(count),
            "after {part} of {slot}: {answer}"
        );
        let back = wait_for("a new process", || {
            running.guest(slot, part).ok().filter(|pid| *pid != before)
        });
        back.expect("started again");
    }
    for slot in 1..=5 {
        let head = wait_for("the head", || {
            running.head(slot).filter(|head| *head == count + 1)
        });
        head.expect("every node has every step");
    }
}

#[test]
fn a_killed_node_catches_up_and_takes_part_again() {
    let mut running = Running::start().expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    running.committee.kill_member(5).expect("killed");
    for _ in 0..3 {
        running
            .call(2, counter, "add")
            .expect("attested by the other four");
    }
    running.committee.start_member(5).expect("started");
    let head = wait_for("the head", || running.head(5).filter(|head| *head == 4));
    head.expect("caught up");
    // Without it there are only three: it must take part.
    running.committee.kill_member(4).expect("killed");
    let answer = running
        .call(5, counter, "add")
        .expect("attested with its share");
    assert_eq!(e2e::count(&answer), Some(4));
}

#[test]
fn two_of_five_down_stop_the_committee_until_one_is_back() {
    let mut running = Running::start().expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    running.committee.kill_member(4).expect("killed");
    running.committee.kill_member(5).expect("killed");
    let request = running
        .caller
        .request(counter, "add", Vec::new())
        .expect("a clock");
    let http = running.committee.http(1).expect("a member");
    let answer = running.caller.submit(&http, &request, 3).expect("accepted");
    assert_eq!(
        answer["state"], "pending",
        "three of five attest nothing: {answer}"
    );
    let told = wait_for("no quorum", || no_quorum(&running).then_some(()));
    told.expect("zq status says so");
    let key = running.dir().join("other.key");
    let key = key.to_str().expect("a path in UTF-8");
    let (said, made) = Running::offline(&["key", "new", key]).expect("zq starts");
    assert_eq!(made, Some(0), "{said}");
    let counter = counter.to_string();
    let call = ["zapp", "call", &counter, "add", "--key", key, "--wait", "2"];
    let (said, ended) = running.zq(1, &call).expect("zq starts");
    assert_eq!(ended, Some(4), "{said}");
    running.committee.start_member(4).expect("started");
    let path = format!("/v1/requests/{}", request.id());
    let answer = wait_for("the attestation", || {
        let answer = http.get(&path).ok()?;
        (answer["state"] == "accepted").then_some(answer)
    });
    let first = e2e::count(&answer.expect("nothing was lost"));
    assert!(matches!(first, Some(1 | 2)), "either was first: {first:?}");
    let counter = counter.parse().expect("an id");
    let answer = running.call(2, counter, "add").expect("attested");
    assert_eq!(e2e::count(&answer), Some(3), "neither was lost: {answer}");
    let told = wait_for("a quorum", || has_quorum(&running).then_some(()));
    told.expect("zq status says so");
}

/// Whether `zq status` of node 1 says that nothing can be attested.
fn no_quorum(running: &Running) -> bool {
    let (said, ended) = running.zq(1, &["status"]).expect("zq starts");
    assert_eq!(said.contains("NO QUORUM"), ended == Some(4), "{said}");
    ended == Some(4)
}

/// Whether `zq status` of node 1 says that requests are attested.
fn has_quorum(running: &Running) -> bool {
    let (said, ended) = running.zq(1, &["status"]).expect("zq starts");
    ended == Some(0) && said.contains("requests are attested")
}

#[test]
fn members_whose_signers_are_stopped_or_dead_are_no_quorum() {
    let mut running = Running::start().expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    let told = |what: &str, running: &Running, look: fn(&Running) -> bool| {
        let told = wait_for(what, || look(running).then_some(()));
        told.expect("zq status says so");
    };
    told("a quorum", &running, has_quorum);
    let paused = [4, 5].map(|slot| running.pause_guest(slot, "signer").expect("stopped"));
    told("two silent signers", &running, no_quorum);
    let status = running.status(1).expect("answers");
    assert_eq!(status["members_up"], 5, "every node is there: {status}");
    assert_eq!(status["members_voting"], 3, "{status}");
    let said = running.wait_for_status(1, &["member 4", "CANNOT VOTE"]);
    said.expect("it is named");
    drop(paused);
    told("both answer again", &running, has_quorum);
    running.call(2, counter, "add").expect("attested");
    for slot in [4, 5] {
        running.committee.kill_member(slot).expect("killed");
        // A signer that ends as often as it is started.
        running
            .committee
            .extra_arguments(&["--signer", "/bin/false"]);
        running.committee.start_member(slot).expect("started");
    }
    running.committee.extra_arguments(&[]);
    let nodes = wait_for("both nodes", || {
        let status = running.status(1)?;
        (status["members_up"] == 5).then_some(())
    });
    nodes.expect("they are back without their signers");
    told("two dead signers", &running, no_quorum);
    running.committee.kill_member(5).expect("killed");
    running.committee.start_member(5).expect("started");
    told("one signs again", &running, has_quorum);
    let answer = running.call(2, counter, "add").expect("attested");
    assert_eq!(e2e::count(&answer), Some(2));
}

#[test]
fn another_node_goes_on_when_the_first_is_gone_with_its_disk() {
    let mut running = Running::start().expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    let key = running.committee.committee_json(1).expect("answers");
    let key: GroupKey = key["group_key"]
        .as_str()
        .expect("a key")
        .parse()
        .expect("a key");
    let attestation = |running: &Running, slot: u16, seq: u64| {
        let http = running.committee.http(slot).expect("a member");
        let bytes = http.get_bytes(&format!("/v1/steps/{seq}/attestation"));
        StepAttestation::from_bytes(&bytes.expect("no step is lost")).expect("an attestation")
    };
    running.wait_for_head(3, 1).expect("it hears of step 1");
    let first = attestation(&running, 1, 1);
    let answered = running.call(1, counter, "add").expect("attested");
    // Nothing is waited for: what a caller was answered must not depend on the node that did.
    running.committee.kill_member(1).expect("killed");
    let dir = running.committee.members()[0].dir.clone();
    std::fs::remove_dir_all(dir).expect("deleted");
    let answer = running
        .call(2, counter, "add")
        .expect("attested under the next coordinator");
    assert_eq!(e2e::count(&answer), Some(2), "the state went on: {answer}");
    // The caller was answered by node 2; node 3 hears of the step a moment later.
    running.wait_for_head(3, 3).expect("it hears of it");
    assert_eq!(attestation(&running, 3, 1), first, "byte for byte");
    // If the others heard nothing of step 2 but its certificate, they signed it once more: the
    // same statement, under the same key.
    let second = attestation(&running, 3, 2);
    second.verify(&key).expect("attested");
    assert_eq!(answered["statement"], second.statement().to_string());
    let third = attestation(&running, 3, 3);
    third.verify(&key).expect("attested");
    assert_eq!(third.commit.previous_state, second.commit.state);
    assert_eq!(second.commit.previous_state, first.commit.state);
}

#[test]
fn a_committee_killed_whole_loses_no_accepted_request() {
    let mut running = Running::start().expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    running.committee.kill_member(1).expect("killed");
    running.committee.kill_member(2).expect("killed");
    // Three of five attest nothing: what they accept now only waits, on disk.
    let http = running.committee.http(3).expect("a member");
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let request = running
            .caller
            .request(counter, "add", Vec::new())
            .expect("a clock");
        running.caller.submit(&http, &request, 0).expect("accepted");
        waiting.push(request.id());
    }
    for slot in 3..=5 {
        running.committee.kill_member(slot).expect("killed");
    }
    running.committee.start().expect("started");
    for (at, id) in (1..).zip(&waiting) {
        let path = format!("/v1/requests/{id}");
        let answer = wait_for("the attestation", || {
            let answer = http.get(&path).ok()?;
            (answer["state"] == "accepted").then_some(answer)
        });
        assert_eq!(e2e::count(&answer.expect("nothing was lost")), Some(at));
    }
}
