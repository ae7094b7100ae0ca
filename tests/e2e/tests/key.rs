//! A committee generates its key.

use e2e::Running;

#[test]
fn five_nodes_generate_one_key() {
    let running = Running::start().expect("a committee with its key");
    let keys: Vec<_> = (1..=5)
        .map(|slot| {
            let committee = running.committee.committee_json(slot).expect("answers");
            committee["group_key"].clone()
        })
        .collect();
    assert!(keys[0].is_string(), "{keys:?}");
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}
