//! Each planted bug is caught within the seeds of the long mode, mostly by the first few.
//! `cargo test --release --package sim --features planted`.

#![cfg(feature = "planted")]

use sim::bugs::{ALL, Hunt, hunt};

/// Most seeds for each.
const SEEDS: u64 = 10_000;

#[test]
fn each_planted_bug_is_caught_by_the_promise_that_its_rule_makes() {
    let mut caught = 0;
    for planted in ALL {
        match hunt(planted, SEEDS) {
            Hunt::Caught { .. } => caught += 1,
            other => panic!("{:?} ({}): {other:?}", planted.bug, planted.rule),
        }
    }
    assert_eq!(caught, ALL.len());
}

#[test]
fn without_a_bug_the_same_machines_break_nothing() {
    signer_protocol::planted::plant(None);
    for planted in ALL {
        let plan = sim::run::Plan::of(planted.profile);
        let outcome = sim::run::run(0, &plan);
        assert_eq!(outcome.violation, None, "{}", planted.profile);
    }
}
