//! How operators put a committee together: each makes its keys, one collects the cards, and
//! everybody looks at the record and joins.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use e2e::wait_for;
use launch::ports::{self, Port};
use launch::{Http, Programs};
use serde_json::{Value, json};

/// An operator with a machine.
struct Operator {
    http: Port,
    peers: Port,
    node: Option<Child>,
}

impl Drop for Operator {
    fn drop(&mut self) {
        if let Some(node) = &mut self.node {
            // It stops when its standard input ends.
            drop(node.stdin.take());
            let _ = node.wait();
        }
    }
}

struct Town {
    programs: Programs,
    dir: tempfile::TempDir,
    operators: BTreeMap<usize, Operator>,
}

impl Town {
    fn new(operators: usize) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let operators = (1..=operators).map(|slot| {
            let operator = Operator {
                http: ports::free().expect("a port"),
                peers: ports::free().expect("a port"),
                node: None,
            };
            (slot, operator)
        });
        let operators = operators.collect();
        fs::write(dir.path().join("passphrase"), "correct horse").expect("written");
        Self {
            programs: Programs::beside_current().expect("built programs"),
            operators,
            dir,
        }
    }

    fn operator(&self, slot: usize) -> &Operator {
        self.operators.get(&slot).expect("an operator")
    }

    fn passphrase(&self) -> String {
        self.path("passphrase")
    }

    fn path(&self, name: &str) -> String {
        let path = self.dir.path().join(name);
        path.to_str().expect("a path in UTF-8").to_owned()
    }

    fn zq(&self, arguments: &[&str]) -> Command {
        let mut command = self.programs.command("zq");
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// What `zq` says, and whether it succeeds.
    fn say(&self, arguments: &[&str]) -> (String, bool) {
        let output = self.zq(arguments).output().expect("zq runs");
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text += &String::from_utf8_lossy(&output.stderr);
        (text, output.status.success())
    }

    fn init(&self, slot: usize, more: &[&str]) {
        let (dir, passphrase) = (self.member(slot), self.passphrase());
        let arguments = [
            "member",
            "init",
            "--dir",
            &dir,
            "--passphrase-file",
            &passphrase,
        ];
        let (said, done) = self.say(&[&arguments, more].concat());
        assert!(done, "{said}");
    }

    fn member(&self, slot: usize) -> String {
        self.path(&slot.to_string())
    }

    /// Makes a record of the members in `slots` and their addresses.
    fn invite(&self, name: &str, slots: &[usize]) -> String {
        let mut text = "network = 73\n".to_owned();
        for slot in slots {
            let address = self.operator(*slot).peers.address();
            writeln!(
                text,
                "[[members]]\ncard = \"{slot}/card.json\"\naddress = \"{address}\""
            )
            .expect("a string");
        }
        let file = self.path(&format!("{name}.toml"));
        fs::write(&file, text).expect("written");
        let out = self.path(&format!("{name}.record"));
        let create = ["committee", "create", "--invitations", &file, "--out", &out];
        let (said, done) = self.say(&create);
        assert!(done, "{said}");
        out
    }

    fn start(&mut self, slot: usize) {
        let (dir, passphrase) = (self.member(slot), self.passphrase());
        let (http, peers) = {
            let operator = self.operator(slot);
            (operator.http.address(), operator.peers.address())
        };
        let log = fs::File::create(Path::new(&dir).join("node.log")).expect("a log");
        let node = self
            .zq(&[
                "node",
                "run",
                "--dir",
                &dir,
                "--passphrase-file",
                &passphrase,
            ])
            .args([
                "--http",
                &http,
                "--peers-listen",
                &peers,
                "--until-stdin-ends",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("zq runs");
        self.operators.get_mut(&slot).expect("an operator").node = Some(node);
    }

    /// What the members say of their ceremonies, as the node of `slot` tells its operator.
    fn ceremonies(&self, slot: usize) -> Option<Value> {
        let node = format!("http://{}", self.operator(slot).http.address());
        let output = self.zq(&["--node", &node, "--json", "status"]).output();
        let status: Value = serde_json::from_slice(&output.ok()?.stdout).ok()?;
        status.pointer("/node/ceremonies").cloned()
    }

    /// The committee as the node of `slot` shows it.
    fn committee(&self, slot: usize) -> Option<Value> {
        let http = Http::new(&self.operator(slot).http.address());
        http.get("/v1/committee").ok()
    }
}

#[test]
fn operators_join_by_invitation_and_their_members_make_the_key() {
    let mut town = Town::new(5);
    town.init(1, &["--coordinator"]);
    (2..=5).for_each(|slot| town.init(slot, &[]));
    let record = town.invite("committee", &[1, 2, 3, 4]);
    let peers = town.path("committee.peers");

    // What cannot be joined is told, and nothing is written.
    let refused = |slot: usize, arguments: &[&str], why: &str| {
        let dir = town.member(slot);
        let join = [&["member", "join", "--dir", &dir], arguments].concat();
        let (said, done) = town.say(&join);
        assert!(!done && said.contains(why), "{join:?}: {said}");
        assert!(!Path::new(&dir).join("committee.record").exists());
        assert!(!Path::new(&dir).join("peers.json").exists());
    };
    refused(5, &[&record, "--yes"], "not in the committee");
    refused(2, &[&record], "no terminal");
    refused(2, &[&record, "--json"], "--yes");
    refused(2, &[&peers, "--yes"], "committee.peers");
    refused(
        2,
        &[&record, "--yes", "--peers", &record],
        "committee.record",
    );
    refused(
        2,
        &[&record, "--yes", "--peer", "9=host:1"],
        "has 4 members",
    );
    refused(6, &[&record, "--yes"], "zq-node init");
    let older = town.invite("older", &[1, 2, 3, 5]);
    fs::remove_dir_all(town.member(3)).expect("removed");
    // New keys are another member.
    town.init(3, &[]);
    refused(3, &[&record, "--yes"], "not in the committee");
    let record = town.invite("again", &[1, 2, 3, 4]);
    let peers = town.path("again.peers");

    let mut ids = Vec::new();
    for slot in 1..=4 {
        let dir = town.member(slot);
        let join = ["member", "join", &record, "--dir", &dir, "--peers", &peers];
        let (said, done) = town.say(&[&join[..], &["--yes", "--json"]].concat());
        assert!(done, "{said}");
        let joined: Value = serde_json::from_str(&said).expect("one JSON value");
        assert_eq!(joined["own_slot"], slot);
        assert_eq!(joined["peers"].as_object().expect("peers").len(), 3);
        ids.push(joined["committee"].clone());
        // Once more is the same; another committee is not.
        assert!(town.say(&[&join[..], &["--yes"]].concat()).1);
        if slot < 3 {
            let other = ["member", "join", &older, "--dir", &dir, "--yes"];
            let (said, done) = town.say(&other);
            assert!(!done && said.contains("one data directory"), "{said}");
        }
    }
    // As long as one is not started, each of the others says that it waits for it, and hears that
    // the others say so.
    (1..=3).for_each(|slot| town.start(slot));
    let waits = |slot: usize| json!({ "slot": slot, "stage": "commitments", "attempt": 1, "here": 3, "missing": [4] });
    let expected = json!([{
        "ceremony": "key",
        "members_say": (1..=3).map(waits).collect::<Vec<_>>(),
        "waited_for": [{ "slot": 4, "by": [1, 2, 3] }],
    }]);
    for slot in 1..=3 {
        let same = || (town.ceremonies(slot)? == expected).then_some(());
        wait_for(&format!("what all say at node {slot}"), same).expect("told");
    }
    town.start(4);
    let keys: Vec<Value> = (1..=4)
        .map(|slot| {
            wait_for(&format!("the group key at node {slot}"), || {
                let committee = town.committee(slot)?;
                assert_eq!(committee["committee_id"], ids[0]);
                let key = committee.get("group_key")?;
                key.is_string().then(|| key.clone())
            })
            .expect("a key")
        })
        .collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    for slot in 1..=4 {
        let over = || (town.ceremonies(slot)? == json!([])).then_some(());
        wait_for(&format!("nothing to wait for at node {slot}"), over).expect("told");
    }
}
