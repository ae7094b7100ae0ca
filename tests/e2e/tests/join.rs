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
        let (said, done, out) = self.try_to_invite(name, slots, &[]);
        assert!(done, "{said}");
        out
    }

    /// The same with more arguments; what is said, whether it is done, and the record's path.
    fn try_to_invite(&self, name: &str, slots: &[usize], more: &[&str]) -> (String, bool, String) {
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
        let (said, done) = self.say(&[&create, more].concat());
        (said, done, out)
    }

    /// Starts a member's node and waits for it to end by itself; what it says.
    fn run(&self, slot: usize, more: &[&str]) -> String {
        let (dir, passphrase) = (self.member(slot), self.passphrase());
        let run = [
            "node",
            "run",
            "--dir",
            &dir,
            "--passphrase-file",
            &passphrase,
        ];
        let (said, done) = self.say(&[&run, more].concat());
        assert!(!done, "{said}");
        said
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

/// Members 2 and 4 say on their cards that they run the second engine, and their nodes do so untold.
#[test]
fn a_committee_that_demands_both_engines_has_members_that_run_what_their_cards_say() {
    let mut town = Town::new(4);
    town.init(1, &["--coordinator", "--engine", "wasmtime"]);
    town.init(2, &["--engine", "wasmi"]);
    town.init(3, &["--engine", "wasmtime"]);
    town.init(4, &[]);
    let all = [1, 2, 3, 4];
    let demand = ["--members-per-engine", "2"];

    // What does not do what it is for, or what members do not meet, is no record.
    for (more, why) in [
        (["--members-per-engine", "1"], "fewer than n − t + 1 = 2"),
        (["--members-per-engine", "3"], "never met"),
        (demand, "member 4 does not say which engine"),
        (["--sentinels", "--evm"], "member 1 names no Sentinel"),
    ] {
        let (said, done, out) = town.try_to_invite("refused", &all, &more);
        assert!(!done && said.contains(why), "{more:?}: {said}");
        assert!(!Path::new(&out).exists());
    }
    fs::remove_dir_all(town.member(4)).expect("removed");
    town.init(4, &["--engine", "wasmi"]);
    let (said, done, record) = town.try_to_invite("mixed", &all, &demand);
    assert!(
        done && said.contains("at least 2 members on each engine"),
        "{said}"
    );

    let peers = town.path("mixed.peers");
    for slot in all {
        let dir = town.member(slot);
        let join = ["member", "join", &record, "--dir", &dir, "--peers", &peers];
        let (said, done) = town.say(&[&join[..], &["--yes", "--json"]].concat());
        assert!(done, "{said}");
        let joined: Value = serde_json::from_str(&said).expect("one JSON value");
        assert_eq!(joined["demands"], json!({ "engine_members_min": 2 }));
        let engines = json!({ "1": "wasmtime", "2": "wasmi", "3": "wasmtime", "4": "wasmi" });
        assert_eq!(joined["engines"], engines);
    }
    // A node does not run another engine than its member's word.
    let said = town.run(2, &["--engine", "wasmtime"]);
    assert!(
        said.contains("this member's card says that it runs wasmi"),
        "{said}"
    );
    fs::write(
        Path::new(&town.member(1)).join("node.toml"),
        "engine = \"wasmi\"",
    )
    .expect("written");
    let said = town.run(1, &[]);
    assert!(said.contains("zq-node card --engine wasmi"), "{said}");
    fs::remove_file(Path::new(&town.member(1)).join("node.toml")).expect("removed");

    all.into_iter().for_each(|slot| town.start(slot));
    wait_for("the group key", || {
        town.committee(1)?
            .get("group_key")?
            .is_string()
            .then_some(())
    })
    .expect("a key");
    let node = format!("http://{}", town.operator(1).http.address());
    for (show, what) in [
        (
            &["committee", "show"][..],
            "at least 2 members on each engine",
        ),
        (&["committee", "show"][..], "  wasmi"),
        (&["status"][..], "at least 2 members on each engine"),
    ] {
        // Status fails for as long as the others are not ready to vote.
        let (said, _) = town.say(&[&["--node", node.as_str()], show].concat());
        assert!(said.contains(what), "{said}");
    }
    for (slot, engine) in (1..).zip(["Wasmtime", "Wasmi", "Wasmtime", "Wasmi"]) {
        let log = Path::new(&town.member(slot)).join("node.log");
        let log = fs::read_to_string(log).expect("a log");
        assert!(log.contains(&format!("engine={engine}")), "{slot}: {log}");
    }
}
