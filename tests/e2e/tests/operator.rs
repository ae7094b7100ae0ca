//! What an operator sees of a node: metrics, orderly stops.

use std::collections::BTreeSet;
use std::path::Path;

use e2e::{DEADLINE, Running};
use serde_json::Value;

/// Series that the alert rules ask for.
fn asked_for() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operators/alerts.yml");
    let rules = std::fs::read_to_string(path).expect("the alert rules");
    rules
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("zq_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn metrics_have_every_series_of_the_alert_rules_and_a_stopped_node_takes_its_guests_along() {
    let mut running = Running::start().expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    running.call(1, counter, "add").expect("attested");
    let http = running.committee.http(1).expect("a member");
    // Every node's ledger counts by its own: a vote is in the register once it is asked for.
    let metrics = http.get_bytes("/metrics").expect("answers");
    let metrics = String::from_utf8(metrics).expect("text");
    let series: BTreeSet<&str> = metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let asked_for = asked_for();
    assert!(asked_for.len() > 10, "{asked_for:?}");
    for name in &asked_for {
        assert!(series.contains(name.as_str()), "{name}\n{metrics}");
    }
    assert!(metrics.contains("zq_attestations_total{status=\"ok\"} 2"));

    // A guest that was started twice did not get along with how its node started it.
    for slot in 1..=5 {
        let http = running.committee.http(slot).expect("a member");
        let metrics = http.get_bytes("/metrics").expect("answers");
        let metrics = String::from_utf8(metrics).expect("text");
        let starts = metrics.lines().filter_map(|line| {
            let (name, count) = line.rsplit_once(' ')?;
            name.starts_with("zq_guest_starts_total{").then_some(count)
        });
        let starts: Vec<&str> = starts.collect();
        assert!(starts.len() >= 2, "{metrics}");
        assert!(
            starts.iter().all(|count| *count == "1"),
            "node {slot}: {metrics}"
        );
    }

    let guests = guests(&running);
    assert_eq!(guests.len(), 3, "signer, executor, coordinator");
    let status = running.committee.stop_member(1).expect("it was running");
    assert!(status.success(), "{status}");
    let began = std::time::Instant::now();
    while guests.iter().any(|guest| guest.exists()) {
        assert!(began.elapsed() < DEADLINE, "{guests:?}");
        std::thread::yield_now();
    }
}

/// Directories in /proc of the first node's guests.
fn guests(running: &Running) -> Vec<std::path::PathBuf> {
    let http = running.committee.http(1).expect("a member");
    let status = http.get("/v1/status").expect("answers");
    let parts = status
        .pointer("/node/parts")
        .and_then(Value::as_array)
        .expect("parts");
    parts
        .iter()
        .filter_map(|part| {
            let detail = part.get("detail")?.as_str()?.strip_prefix("pid ")?;
            let pid = detail.split(',').next()?;
            Some(Path::new("/proc").join(pid))
        })
        .collect()
}
