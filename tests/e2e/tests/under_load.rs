//! Processes that die or freeze while callers keep the committee busy.

use e2e::{Load, Running, kills};

#[test]
fn processes_killed_at_random_lose_no_accepted_request_and_run_none_twice() {
    let count = kills::how_many(12).expect("a number");
    let mut running = Running::start().expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    let attested = kills::at_random(&mut running, counter, count);
    println!("{} calls attested", attested.expect("nothing is lost"));
}

#[test]
fn a_coordinator_that_freezes_or_is_killed_is_followed_by_the_next() {
    let mut running = Running::start().expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    let load = Load::start(&running, counter, &[1, 3, 5]).expect("callers");
    load.wait_for_more(5).expect("coordinator 0 leads");
    let frozen = running.pause_guest(1, "coordinator").expect("stopped");
    load.wait_for_more(10).expect("coordinator 1 leads");
    assert!(e2e::is_alive(frozen.pid()), "nothing else ended the stall");
    running.kill_guest(2, "coordinator").expect("killed");
    load.wait_for_more(5).expect("coordinator 1 leads again");
    drop(frozen);
    running.kill_guest(2, "coordinator").expect("killed");
    load.wait_for_more(10).expect("either leads");
    load.finish().expect("nothing lost, nothing twice");
    kills::check_agreement(&running).expect("one chain");
}
