//! Members whose executor errs: the step is attested by the others, the member is named.

use e2e::{Running, wait_for};

#[test]
fn a_lying_executor_is_outvoted_and_named() {
    let mut running = Running::prepare().expect("members");
    running
        .start_with_faulty(&[5], "lie")
        .expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    let answer = running
        .call(1, counter, "add")
        .expect("attested by the other four");
    assert_eq!(e2e::count(&answer), Some(1));
    let named = wait_for("the blame", || {
        running
            .alerts(1)
            .into_iter()
            .find(|alert| alert.contains("member 5"))
    });
    named.expect("the liar is named");
    let answer = running
        .call(5, counter, "add")
        .expect("its node takes the others' word");
    assert_eq!(e2e::count(&answer), Some(2));
}

#[test]
fn a_request_that_hangs_four_executors_is_refused_and_the_rest_goes_on() {
    let mut running = Running::prepare().expect("members");
    running
        .start_with_faulty(&[2, 3, 4, 5], "hang:hang")
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
