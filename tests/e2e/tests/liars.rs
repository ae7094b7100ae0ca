//! Members whose executor errs: the step is attested by the others, the member is named.

use e2e::{Running, wait_for};

#[test]
fn a_lying_executor_is_outvoted_and_named() {
    let mut running = Running::prepare().expect("members");
    running
        .start_with_faulty("executor", &[5], "lie")
        .expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    let answer = running
        .call(1, counter, "add")
        .expect("attested by the other four");
    assert_eq!(e2e::count(&answer), Some(1));
    call_until_named(
        &mut running,
        counter,
        "voted for another statement than t members",
    );
    let before = running.call(1, counter, "add").expect("attested");
    let before = e2e::count(&before).expect("a count");
    let answer = running
        .call(5, counter, "add")
        .expect("its node takes the others' word");
    assert_eq!(e2e::count(&answer), Some(before + 1));
}

#[test]
fn a_request_that_hangs_four_executors_is_refused_and_the_rest_goes_on() {
    let mut running = Running::prepare().expect("members");
    running
        .start_with_faulty("executor", &[2, 3, 4, 5], "hang:hang")
        .expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    let request = running
        .caller
        .request(counter, "hang", Vec::new())
        .expect("a clock");
    let http = running.committee.http(1).expect("a member");
    running.caller.submit(&http, &request, 0).expect("accepted");
    let path = format!("/v1/requests/{}", request.id());
    let answer = wait_for("the receipt", || {
        let answer = http.get(&path).ok()?;
        (answer["state"] == "accepted").then_some(answer)
    });
    let answer = answer.expect("refused with a receipt");
    assert_eq!(answer["outcome"]["status"], "faulted", "{answer}");
    let answer = running.call(1, counter, "add").expect("the rest goes on");
    assert_eq!(e2e::count(&answer), Some(1));
}

/// Calls until `zq status` at the leading coordinator's node names member 5 for `act`.
fn call_until_named(running: &mut Running, counter: attestation::ids::ZappId, act: &str) {
    let named = wait_for("the blame", || {
        running
            .call(2, counter, "add")
            .expect("attested by the others");
        let (status, _) = running.zq(1, &["status"]).ok()?;
        let line = format!("member 5 {act}");
        status.contains(&line).then_some(())
    });
    named.expect("named");
}

#[test]
fn a_member_that_gives_bad_shares_is_named_and_every_step_attested() {
    let mut running = Running::prepare().expect("members");
    running
        .start_with_faulty("signer", &[5], "bad-share")
        .expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    call_until_named(&mut running, counter, "gave a bad signature share");
}

#[test]
fn a_member_that_withholds_its_shares_is_named_and_every_step_attested() {
    let mut running = Running::prepare().expect("members");
    running
        .start_with_faulty("signer", &[5], "no-share")
        .expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    call_until_named(&mut running, counter, "voted and gave no signature share");
}

#[test]
fn a_member_that_does_not_answer_is_named_and_takes_part_again_when_it_does() {
    let mut running = Running::start().expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    running.wait_for_head(5, 1).expect("all five take part");
    let paused = running.pause_guest(5, "signer").expect("stopped");
    call_until_named(&mut running, counter, "did not vote");
    drop(paused);
    running.committee.kill_member(4).expect("killed");
    running
        .call(2, counter, "add")
        .expect("attested with the share of the one that was late");
}

#[test]
fn a_request_that_hangs_one_executor_is_attested_by_the_others() {
    let mut running = Running::prepare().expect("members");
    running
        .start_with_faulty("executor", &[5], "hang:hang")
        .expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    let answer = running
        .call(1, counter, "hang")
        .expect("attested by the other four");
    assert_eq!(answer["outcome"]["status"], "ok", "{answer}");
    assert_eq!(e2e::count(&answer), Some(1), "{answer}");
    running
        .wait_for_status(5, &["executor stopped", "longer than 3 s"])
        .expect("said");
    let answer = running.call(5, counter, "add").expect("the rest goes on");
    assert_eq!(e2e::count(&answer), Some(2), "{answer}");
}

#[test]
fn a_request_that_hangs_two_executors_is_set_aside_and_the_rest_goes_on() {
    let mut running = Running::prepare().expect("members");
    running
        .start_with_faulty("executor", &[4, 5], "hang:hang")
        .expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    let hang = running
        .caller
        .request(counter, "hang", Vec::new())
        .expect("a clock");
    let http = running.committee.http(1).expect("a member");
    running.caller.submit(&http, &hang, 0).expect("accepted");
    // Another caller: nothing of the first may overtake its own request.
    let record = running.committee.record();
    running.caller = launch::Caller::new(record.network, record.id()).expect("randomness");
    for expected in 1..=3 {
        let answer = running.call(2, counter, "add").expect("the rest goes on");
        assert_eq!(e2e::count(&answer), Some(expected));
    }
    let answer = http.get(&format!("/v1/requests/{}", hang.id()));
    let answer = answer.expect("a node that answers");
    assert_eq!(answer["state"], "pending", "until it expires: {answer}");
}
