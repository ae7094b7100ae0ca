//! SIGKILL of every kind of process, and what is left of the committee afterwards.

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
    running.committee.start_member(4).expect("started");
    let path = format!("/v1/requests/{}", request.id());
    let answer = wait_for("the attestation", || {
        let answer = http.get(&path).ok()?;
        (answer["state"] == "accepted").then_some(answer)
    });
    let answer = answer.expect("nothing was lost");
    assert_eq!(e2e::count(&answer), Some(1));
}

#[test]
fn another_node_goes_on_when_the_first_is_gone_with_its_disk() {
    let mut running = Running::start().expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    running.call(1, counter, "add").expect("attested");
    wait_for("step 2", || running.head(2).filter(|head| *head == 2)).expect("attested");
    let root = running.state(2).expect("a root");
    running.committee.kill_member(1).expect("killed");
    let dir = running.committee.members()[0].dir.clone();
    std::fs::remove_dir_all(dir).expect("deleted");
    assert_eq!(
        running.state(2),
        Some(root),
        "the others stand where they stood"
    );
    let answer = running
        .call(2, counter, "add")
        .expect("attested under the next coordinator");
    assert_eq!(e2e::count(&answer), Some(2), "the state went on: {answer}");
    // The caller was answered by node 2; node 3 hears of the step a moment later.
    running.wait_for_head(3, 3).expect("it hears of it");
    for seq in 1..=3 {
        let http = running.committee.http(3).expect("a member");
        http.get(&format!("/v1/steps/{seq}"))
            .expect("no step is lost");
    }
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
