//! Processes that die or freeze while callers keep the committee busy.

use e2e::{Load, Running};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

/// How many processes are killed; `ZQ_KILLS` takes its place for longer runs.
const KILLS: u64 = 12;

/// All nodes reach the same head by the same statements.
fn check_agreement(running: &Running) {
    let heads = (1..=5).filter_map(|slot| running.head(slot));
    let head = heads.max().expect("a node that answers");
    for slot in 1..=5 {
        running.wait_for_head(slot, head).expect("caught up");
    }
    for seq in 1..=head {
        let statement = |slot: u16| {
            let http = running.committee.http(slot).expect("a member");
            let step = http.get(&format!("/v1/steps/{seq}"));
            let step = step.expect("no step is lost");
            step.get("statement").cloned().expect("a step has one")
        };
        let first = statement(1);
        assert!(first.is_string());
        for slot in 2..=5 {
            assert_eq!(statement(slot), first, "step {seq} at node {slot}");
        }
    }
}

#[test]
fn processes_killed_at_random_lose_no_accepted_request_and_run_none_twice() {
    let kills = std::env::var("ZQ_KILLS").ok();
    let kills = kills.map_or(KILLS, |kills| kills.parse().expect("a number"));
    let mut running = Running::start().expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    let load = Load::start(&running, counter, &[1, 2, 4]).expect("callers");
    let mut random = ChaCha8Rng::seed_from_u64(kills);
    for kill in 0..kills {
        load.wait_for_more(random.next_u64() % 8)
            .expect("the committee goes on");
        let slot = 1 + u16::try_from(random.next_u64() % 5).expect("small");
        let part = ["signer", "executor", "coordinator", "node"];
        let part = part[usize::try_from(random.next_u64() % 4).expect("small")];
        println!("kill {kill}: {part} of member {slot}");
        if part == "node" {
            running.committee.kill_member(slot).expect("killed");
            running.committee.start_member(slot).expect("started");
        } else {
            // One that is down already, or a coordinator where there is none, cannot be killed.
            let _ = running.kill_guest(slot, part);
        }
    }
    load.wait_for_more(5).expect("the committee goes on");
    let attested = load.finish().expect("nothing lost, nothing twice");
    println!("{attested} calls attested");
    check_agreement(&running);
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
    check_agreement(&running);
}
