//! A signed request through every process to an attestation.

use e2e::Running;

#[test]
fn a_counter_is_deployed_and_counts() {
    let mut running = Running::start().expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    for slot in 1..=5 {
        let answer = running.call(slot, counter, "add").expect("attested");
        assert_eq!(answer["outcome"]["status"], "ok", "{answer}");
        assert_eq!(e2e::count(&answer), Some(slot.into()), "{answer}");
    }
}
