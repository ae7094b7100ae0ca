//! Evidence of members that lie: kept and listed by the nodes of those who saw it, made into a file with
//! what a node shows of the committee's history, and verified by who has the creation record alone.

use std::fs;
use std::path::PathBuf;

use e2e::town::{Town, text};
use e2e::{Running, wait_for};
use serde_json::Value;
use tempfile::TempDir;

/// What stands there in JSON, or null.
fn field(json: &Value, pointer: &str) -> Value {
    json.pointer(pointer).cloned().unwrap_or_default()
}

/// What the node of `slot` lists of what `member` is proven to have done: report and kind.
fn listed(running: &Running, slot: u16, member: u16) -> Vec<(String, String)> {
    let listed = running.zq(slot, &["--json", "evidence", "list"]);
    let (said, code) = listed.expect("zq runs");
    assert_eq!(code, Some(0), "{said}");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let reports = said.get("reports").and_then(Value::as_array);
    let reports = reports.expect("a list").clone();
    let of_member = reports
        .into_iter()
        .filter(|one| field(one, "/member") == member);
    let word = |one: &Value, name: &str| field(one, name).as_str().expect("text").to_owned();
    of_member
        .map(|one| (word(&one, "/id"), word(&one, "/kind")))
        .collect()
}

/// Waits until the node of `slot` lists something of one of these kinds; its report.
fn wait_listed(running: &Running, slot: u16, member: u16, kinds: &[&str]) -> String {
    let found = wait_for(&format!("evidence at node {slot}"), || {
        let all = listed(running, slot, member);
        let mut of_kind = all
            .into_iter()
            .filter(|(_, kind)| kinds.contains(&kind.as_str()));
        of_kind.next().map(|(report, _)| report)
    });
    found.expect("listed")
}

/// Files of evidence, and the creation record by which they are judged.
struct Files {
    dir: TempDir,
    record: String,
}

impl Files {
    fn of(running: &Running) -> Self {
        Self {
            dir: TempDir::new().expect("a directory"),
            record: text(&running.dir().join("committee.record")),
        }
    }

    /// A file of a report of the node of `slot`, with the history that this node shows.
    fn make(&self, running: &Running, slot: u16, report: &str) -> PathBuf {
        let file = self.dir.path().join(format!("{slot}.evidence"));
        let out = text(&file);
        let make = ["evidence", "make", report, "--committee", &self.record];
        let made = running.zq(slot, &[&make[..], &["--out", &out]].concat());
        let (said, code) = made.expect("zq runs");
        assert_eq!(code, Some(0), "{said}");
        file
    }

    /// What `zq evidence verify` says without a node, and its exit code.
    fn verify(&self, file: &std::path::Path) -> (Value, Option<i32>) {
        let file = text(file);
        let verify = ["--json", "evidence", "verify", &file];
        let arguments = [&verify[..], &["--committee", &self.record]].concat();
        let (said, code) = Running::offline(&arguments).expect("zq runs");
        (serde_json::from_str(&said).expect("JSON"), code)
    }

    /// The file convicts `member` of something in this epoch; with one bit changed, nobody.
    fn convicts(&self, file: &std::path::Path, member: u16, epoch: u64) -> String {
        let (said, code) = self.verify(file);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(field(&said, "/says/culprit/member"), member, "{said}");
        assert_eq!(field(&said, "/says/epoch"), epoch, "{said}");
        let bytes = fs::read(file).expect("made");
        let changed = self.dir.path().join("changed");
        for at in (0..bytes.len()).step_by(bytes.len() / 16) {
            let mut other = bytes.clone();
            *other.get_mut(at).expect("inside") ^= 1;
            fs::write(&changed, other).expect("written");
            let (other, code) = self.verify(&changed);
            assert_eq!(code, Some(3), "byte {at}: {other}");
            assert_eq!(field(&other, "/valid"), false, "byte {at}: {other}");
        }
        let kind = field(&said, "/says/kind");
        kind.as_str().expect("text").to_owned()
    }
}

#[test]
fn a_member_that_deals_twice_is_listed_by_every_other_node_and_convicted_without_one() {
    let mut town = Town::with_faulty(5, "two-dealings");
    let change = town.plan(1, "second", &["--dealers", "1,2,3,4"]);
    town.approve(1..=5, &change);
    town.activate(&[1, 2, 3, 4, 5]);
    town.wait_epoch(&[1, 2, 3, 4, 5], 2);
    for slot in 1..=4 {
        assert_eq!(listed(&town.running, slot, 5), [], "it has not dealt yet");
    }

    // It deals, and is measured by the change before.
    let change = town.plan(1, "third", &["--dealers", "1,2,3,5"]);
    town.approve(1..=5, &change);
    let kinds = ["round-1-twice", "bad-round-1", "echo-denies-own"];
    let files = Files::of(&town.running);
    for slot in 1..=4 {
        let report = wait_listed(&town.running, slot, 5, &kinds);
        let file = files.make(&town.running, slot, &report);
        let kind = files.convicts(&file, 5, 3);
        assert!(kinds.contains(&kind.as_str()), "{kind}");
    }
    assert_eq!(town.call(2), 2, "the epoch in force goes on");
}

#[test]
fn a_bad_share_for_a_step_is_listed_by_the_leading_node_and_convicts_by_the_key_of_its_epoch() {
    let mut town = Town::with_faulty(5, "bad-share");
    let files = Files::of(&town.running);
    let report = bad_share(&mut town, "bad-share");
    let file = files.make(&town.running, 1, &report);
    assert_eq!(files.convicts(&file, 5, 1), "bad-share");
}

#[test]
fn a_bad_share_for_a_step_of_an_evm_chain_convicts_by_the_second_key() {
    let mut running = Running::prepare_for_evm().expect("programs");
    let started = running.start_with_faulty("signer", &[5], "bad-share");
    started.expect("a committee with its keys");
    let mut town = Town::with(running);
    let files = Files::of(&town.running);
    let report = bad_share(&mut town, "bad-leaf-share");
    let file = files.make(&town.running, 1, &report);
    assert_eq!(files.convicts(&file, 5, 1), "bad-leaf-share");
}

/// Calls until the node of the coordinator that leads lists a bad share of member 5; the report.
fn bad_share(town: &mut Town, kind: &str) -> String {
    let found = wait_for("a bad share", || {
        town.call(2);
        let all = listed(&town.running, 1, 5);
        let mut of_kind = all.into_iter().filter(|(_, of)| of == kind);
        of_kind.next().map(|(report, _)| report)
    });
    found.expect("listed")
}
