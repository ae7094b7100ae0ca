//! Each planted bug is caught within the seeds of the long mode, mostly by the first few.
//! `cargo test --release --package sim --features planted`.

#![cfg(feature = "planted")]

use sim::bugs::{ALL, Hunt, hunt};
use sim::suite::Crypto;

/// Most seeds for each.
const SEEDS: u64 = 10_000;

#[test]
fn each_planted_bug_is_caught_by_the_promise_that_its_rule_makes() {
    let mut caught = 0;
    for planted in ALL {
        match hunt(planted, SEEDS, Crypto::Stub) {
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
        for crypto in [Crypto::Real, Crypto::Stub] {
            let mut plan = sim::run::Plan::of(planted.profile);
            plan.crypto = crypto;
            let outcome = sim::run::run(0, &plan);
            assert_eq!(outcome.violation, None, "{} {crypto}", planted.profile);
        }
    }
}
