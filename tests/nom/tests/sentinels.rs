//! A committee that demands an active Sentinel of each member, with the programs that operators use
//! and the Zenon node itself, which says whose Sentinel is active.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use conformance::outside;
use devnet::{Account, CHAIN, Key, Network};
use launch::ports::{self, Port};
use launch::{Http, Programs};
use serde_json::Value;
use tempfile::TempDir;

/// How long a key generation or a registration may take on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(300);

struct Operator {
    slot: usize,
    dir: PathBuf,
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
    // Before the directory that they work in.
    operators: Vec<Operator>,
    dir: TempDir,
}

impl Town {
    /// Operators with keys; the first also has a coordinator's.
    fn new(operators: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("passphrase"), "correct horse").unwrap();
        let operators = (1..=operators).map(|slot| Operator {
            slot,
            dir: dir.path().join(slot.to_string()),
            http: ports::free().unwrap(),
            peers: ports::free().unwrap(),
            node: None,
        });
        let town = Self {
            programs: Programs::beside_current().unwrap(),
            operators: operators.collect(),
            dir,
        };
        for operator in &town.operators {
            let passphrase = town.path("passphrase");
            let init = ["member", "init", "--dir", text(&operator.dir)];
            let more = ["--passphrase-file", &passphrase, "--coordinator"];
            let more = if operator.slot == 1 {
                &more[..]
            } else {
                &more[..2]
            };
            town.must(&[&init, more].concat());
        }
        town
    }

    fn path(&self, name: &str) -> String {
        text(&self.dir.path().join(name)).to_owned()
    }

    fn operator(&self, slot: usize) -> &Operator {
        &self.operators[slot - 1]
    }

    /// What `zq` says, and whether it succeeds.
    fn say(&self, arguments: &[&str]) -> (String, bool) {
        let mut command = self.programs.command("zq");
        let output = command.args(arguments).stdin(Stdio::null()).output();
        let output = output.unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (said, output.status.success())
    }

    fn must(&self, arguments: &[&str]) -> String {
        let (said, done) = self.say(arguments);
        assert!(done, "{arguments:?}: {said}");
        said
    }

    fn refused(&self, arguments: &[&str], why: &[&str]) {
        let (said, done) = self.say(arguments);
        assert!(!done, "{arguments:?}: {said}");
        for part in why {
            assert!(said.contains(part), "{arguments:?}: {said}");
        }
    }

    /// The owner's word for a member, signed with a key file and put on its card.
    fn vouch(&self, slot: usize, owner: u8) {
        let dir = text(&self.operator(slot).dir);
        let chain = CHAIN.to_string();
        let member = [
            "--json",
            "member",
            "sentinel",
            "--dir",
            dir,
            "--network",
            &chain,
        ];
        let told: Value = serde_json::from_str(&self.must(&member)).unwrap();
        let statement = told["statement"].as_str().unwrap();
        // A user's seed is its number, from 1 on, 32 times.
        let file = self.path(&format!("owner-{owner}.key"));
        let mut options = fs::OpenOptions::new();
        let mut key = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&file)
            .unwrap();
        std::io::Write::write_all(&mut key, hex::encode([owner + 1; 32]).as_bytes()).unwrap();
        let signed = self.must(&["--json", "key", "vouch", &file, statement]);
        let signed: Value = serde_json::from_str(&signed).unwrap();
        let of = |name: &str| signed[name].as_str().unwrap().to_owned();
        assert_eq!(of("address"), Key::user(owner).address().to_string());
        let (owner, signature) = (of("owner"), of("signature"));
        let backwards: String = signature.chars().rev().collect();
        let swapped = ["--owner", &owner, "--signature", &backwards];
        self.refused(&[&member, &swapped[..]].concat(), &["to the letter"]);
        let given = ["--owner", &owner, "--signature", &signature];
        let told = self.must(&[&member, &given[..]].concat());
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["owner"], owner.as_str());
    }

    fn start(&mut self, slot: usize, nom_rpc: &str) {
        let passphrase = self.path("passphrase");
        let operator = &self.operators[slot - 1];
        let (http, peers) = (operator.http.address(), operator.peers.address());
        let log = fs::File::create(operator.dir.join("node.log")).unwrap();
        let run = ["member", "run", "--dir", text(&operator.dir)];
        let secret = ["--passphrase-file", &passphrase, "--nom-rpc", nom_rpc];
        let ports = [
            "--http",
            &http,
            "--peers-listen",
            &peers,
            "--until-stdin-ends",
        ];
        let mut command = self.programs.command("zq");
        let command = command.args(run).args(secret).args(ports);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::null());
        let node = command.stderr(log).spawn().unwrap();
        self.operators[slot - 1].node = Some(node);
    }

    fn committee(&self, slot: usize) -> Option<Value> {
        let http = Http::new(&self.operator(slot).http.address());
        http.get("/v1/committee").ok()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn register(network: &Arc<Network>, owners: impl IntoIterator<Item = u8>) {
    let all = owners.into_iter().map(|owner| {
        let network = Arc::clone(network);
        thread::spawn(move || {
            let mut owner = Account::new(&network, Key::user(owner));
            assert!(owner.register_sentinel().unwrap().is_active);
        })
    });
    let all: Vec<_> = all.collect();
    all.into_iter().for_each(|one| one.join().unwrap());
}

#[test]
fn a_committee_that_demands_sentinels_takes_members_whose_sentinels_the_network_shows_and_no_others()
 {
    let znnd = match devnet::build(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(znnd) => znnd,
        Err(reason) => return outside::skip("Sentinels of members on the Zenon node", &reason),
    };
    let network = Arc::new(Network::start(&znnd).unwrap());
    let nom_rpc = network.client().url().to_owned();
    let mut town = Town::new(5);
    (1..=5).for_each(|slot| town.vouch(slot, u8::try_from(slot).unwrap() - 1));

    let cards: Vec<String> = (1..=5)
        .map(|slot| town.path(&format!("{slot}/card.json")))
        .collect();
    let (record, chain) = (town.path("committee.record"), CHAIN.to_string());
    let mut create = vec![
        "committee",
        "create",
        "--network",
        &chain,
        "--sentinels",
        "--out",
        &record,
    ];
    create.extend(cards[..4].iter().map(String::as_str));
    let created = town.must(&create);
    for owner in 0..4 {
        let owner = Key::user(owner).address().to_string();
        assert!(
            created.contains(&format!("Sentinel of {owner}")),
            "{created}"
        );
    }

    // Three of four have one: no operator joins, and none where nobody can tell.
    register(&network, 0..3);
    let addresses: Vec<String> = town
        .operators
        .iter()
        .map(|operator| format!("{}={}", operator.slot, operator.peers.address()))
        .collect();
    let join = |slot: usize, nom_rpc: &[&str]| -> Vec<String> {
        let dir = text(&town.operator(slot).dir);
        let join = ["member", "join", &record, "--dir", dir, "--yes"];
        let peers = addresses[..4].iter().flat_map(|peer| ["--peer", peer]);
        join.iter()
            .copied()
            .chain(peers)
            .chain(nom_rpc.iter().copied())
            .map(str::to_owned)
            .collect()
    };
    fn borrowed(all: &[String]) -> Vec<&str> {
        all.iter().map(String::as_str).collect()
    }
    let asking = ["--nom-rpc", nom_rpc.as_str()];
    town.refused(
        &borrowed(&join(1, &[])),
        &["not joined", "no NoM node to ask"],
    );
    let nowhere = ["--nom-rpc", "http://127.0.0.1:9"];
    town.refused(
        &borrowed(&join(1, &nowhere)),
        &["not joined", "Try again once one answers"],
    );
    let missing = format!(
        "member 4 (owner {} has registered no",
        Key::user(3).address()
    );
    town.refused(&borrowed(&join(1, &asking)), &["not joined", &missing]);
    assert!(!town.operator(1).dir.join("committee.record").exists());

    register(&network, [3]);
    for slot in 1..=4 {
        town.must(&borrowed(&join(slot, &asking)));
    }
    // A node asks again before its member makes a key with the others.
    let (dir, passphrase) = (town.operator(1).dir.clone(), town.path("passphrase"));
    let run = [
        "member",
        "run",
        "--dir",
        text(&dir),
        "--passphrase-file",
        &passphrase,
    ];
    town.refused(&run, &["takes no part", "no NoM node to ask"]);
    (1..=4).for_each(|slot| town.start(slot, &nom_rpc));
    let start = Instant::now();
    let committee = loop {
        let committee = town.committee(1).unwrap_or_default();
        if committee["group_key"].is_string() {
            break committee;
        }
        let log = || fs::read_to_string(dir.join("node.log")).unwrap_or_default();
        assert!(start.elapsed() < DEADLINE, "no key: {}", log());
        thread::sleep(Duration::from_millis(300));
    };
    assert_eq!(committee["conditions"]["sentinels"], true);
    for (at, member) in (0..).zip(committee["members"].as_array().unwrap()) {
        let owner = Key::user(at).address().to_string();
        assert_eq!(member["sentinel"]["address"], owner.as_str(), "{member}");
    }
    let node = format!("http://{}", town.operator(1).http.address());
    // It fails for as long as the others are not ready to vote.
    let (status, _) = town.say(&["--node", &node, "status"]);
    assert!(
        status.contains("an active Sentinel of each member"),
        "{status}"
    );

    // A fifth joins by a change that nobody approves before its Sentinel is active.
    let plan = town.path("change.plan");
    town.must(&[
        "--node",
        &node,
        "committee",
        "change",
        "plan",
        "--join",
        &cards[4],
        "--out",
        &plan,
    ]);
    let approve = |nom_rpc: &[&str]| -> Vec<String> {
        let approve = ["member", "approve", "--dir", text(&dir), &plan, "--yes"];
        approve
            .iter()
            .chain(nom_rpc)
            .map(ToString::to_string)
            .collect()
    };
    town.refused(
        &borrowed(&approve(&[])),
        &["not approved", "no NoM node to ask"],
    );
    let missing = format!(
        "member 5 (owner {} has registered no",
        Key::user(4).address()
    );
    town.refused(&borrowed(&approve(&asking)), &["not approved", &missing]);
    assert!(!dir.join("change.approved").exists());
    register(&network, [4]);
    let approved = town.must(&borrowed(&approve(&asking)));
    assert!(approved.contains("5 ("), "{approved}");
}
