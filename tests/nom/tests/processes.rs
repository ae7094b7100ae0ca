//! Committees of processes with an account on the Zenon node itself: every member asks the node, the
//! programs are the real ones, and the node judges what they sign.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use attestation::ids::{Digest, ModuleDigest, StateRoot, StatementId, ZappId};
use attestation::leaf::MessageLeaf;
use conformance::outside;
use devnet::{Account, Key, Network, ZNN, token};
use launch::{Caller, Committee, Economy, Plan, Programs};
use nom::{Address, Amount};
use serde_json::Value;
use state::system::Deploy;
use tempfile::TempDir;

/// A block of the account takes three momentums of ten seconds each from order to confirmation; the
/// longest wait is for five of them.
const DEADLINE: Duration = Duration::from_secs(300);

/// A committee of five whose members all follow the chain.
struct Running {
    committee: Committee,
    caller: Caller,
    dir: TempDir,
}

impl Running {
    fn start(network: &Network) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan {
            members: 5,
            threshold: 4,
            coordinators: 2,
            dir: dir.path().to_owned(),
            machines: None,
            economy: Economy::default(),
            evm: false,
        };
        let mut committee = Committee::create(Programs::beside_current().unwrap(), &plan).unwrap();
        let url = network.client().url();
        let every = ["--nom-confirmations", "1", "--nom-anchor-every", "8"];
        committee.extra_arguments(&[["--nom-rpc", url].as_slice(), &every].concat());
        committee.start().unwrap();
        committee.wait_ready(DEADLINE).unwrap();
        let record = committee.record();
        let caller = Caller::new(record.network, record.id()).unwrap();
        Self {
            committee,
            caller,
            dir,
        }
    }

    fn get(&self, path: &str) -> Value {
        self.committee.http(1).unwrap().get(path).unwrap()
    }

    /// What `zq --json` prints, and its exit code, asking node 1 in the committee's directory.
    fn zq(&self, arguments: &[&str]) -> (i32, Value) {
        let mut command = self.committee.programs().command("zq");
        command.args(["--json", "--node", self.committee.http(1).unwrap().base()]);
        let command = command.args(arguments).current_dir(self.dir.path());
        let output = command.output().unwrap();
        let said = serde_json::from_slice(&output.stdout);
        let said = said.unwrap_or_else(|_| panic!("{arguments:?}: {output:?}"));
        (output.status.code().unwrap(), said)
    }

    /// What `zq --json` prints for what must succeed.
    fn ok(&self, arguments: &[&str]) -> Value {
        let (code, said) = self.zq(arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}");
        said
    }

    /// Writes a file that only its owner reads.
    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Waits until the account, as node 1 shows it, is as wished.
    fn wait(&mut self, what: &str, reached: impl Fn(&Value) -> bool) -> Value {
        let account = |http: &launch::Http| http.get("/v1/nom").unwrap_or_default();
        self.committee
            .wait_for(1, DEADLINE, what, |http| reached(&account(http)["account"]))
            .unwrap();
        self.get("/v1/nom")["account"].clone()
    }

    fn deploy(&mut self, wat: &str) -> ZappId {
        let http = self.committee.http(1).unwrap();
        let wasm = wat::parse_str(wat).unwrap();
        let stored = http.put("/v1/modules", "application/wasm", &wasm).unwrap();
        let module: ModuleDigest = stored["module"].as_str().unwrap().parse().unwrap();
        let deploy = Deploy {
            module,
            salt: Digest::from_bytes([5; 32]),
            escrow: 0,
            init: Vec::new(),
        };
        self.call(ZappId::SYSTEM, "deploy", deploy.to_bytes());
        deploy.zapp(&self.caller.identity())
    }

    fn call(&mut self, zapp: ZappId, method: &str, input: Vec<u8>) {
        let http = self.committee.http(1).unwrap();
        let request = self.caller.request(zapp, method, input).unwrap();
        let answer = self.caller.submit(&http, &request, 30).unwrap();
        assert_eq!(answer["outcome"]["status"], "ok", "{answer}");
    }
}

/// A zApp that pays `amount` of ZNN to a recipient for every call.
fn cashier(recipient: &Address, amount: u64) -> String {
    let mut to = MessageLeaf::NOM.to_le_bytes().to_vec();
    to.extend([0; 22]);
    to.extend(token(ZNN).as_bytes());
    to.extend([0; 12]);
    to.extend(recipient.as_bytes());
    to.extend([0; 8]);
    let amount = Amount::from(u128::from(amount));
    let payload = [amount.as_bytes().as_slice(), b"your change"].concat();
    let text = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("\\{byte:02x}"))
            .collect::<String>()
    };
    format!(
        r#"(module
  (import "zapp0" "post" (func $post (param i32 i32 i32 i32)))
  (memory (export "memory") 1 1)
  (data (i32.const 0) "{}")
  (data (i32.const 256) "{}")
  (func (export "zapp_main") (param $op i32) (param i32) (result i32)
    (if (i32.eq (local.get $op) (i32.const 1))
      (then (call $post (i32.const 0) (i32.const {}) (i32.const 256) (i32.const {}))))
    (i32.const 0)))"#,
        text(&to),
        text(&payload),
        to.len(),
        payload.len(),
    )
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "{what}");
        thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn a_deposit_is_taken_its_payout_is_confirmed_and_steps_are_anchored() {
    let znnd = match devnet::build(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(znnd) => znnd,
        Err(reason) => return outside::skip("a committee of processes on the Zenon node", &reason),
    };
    let network = std::sync::Arc::new(Network::start(&znnd).unwrap());
    let client = network.client();
    let mut running = Running::start(&network);

    // The account begins by itself, at the address of the group's key.
    let begun = running.wait("an account", |account| account["address"].is_string());
    let address: Address = begun["address"].as_str().unwrap().parse().unwrap();
    let key: attestation::ids::GroupKey = running.get("/v1/committee")["group_key"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(address, Address::from_key(key.as_bytes()));
    let mut user = Account::new(&network, Key::user(0));
    user.fuse(&address, 500 * 100_000_000).unwrap();
    let recipient = Address::from_key(&[0x77; 32]);
    let zapp = running.deploy(&cashier(&recipient, 600));

    // A user sends, and does nothing else.
    let url = client.url();
    let file = running.ok(&["committee", "show"]).to_string();
    running.write("committee.json", &file);
    running.write("user.key", &hex::encode([1; 32]));
    let text = zapp.to_string();
    let deposit = ["nom", "deposit", &text, "--amount", "900", "--data", "32"];
    let to = ["--key", "user.key", "--committee", "committee.json"];
    let sent = running.ok(&[deposit.as_slice(), &to, &["--nom-rpc", url]].concat());
    assert_eq!(sent["from"], user.address().to_string(), "{sent}");
    assert_eq!(sent["to"], address.to_string(), "{sent}");
    assert!(sent["momentum"].as_u64() > Some(1), "{sent}");

    // The zApp was called: it has a third, and the rest is on its way.
    running.wait("the deposit in a step", |account| {
        account["orders"]
            .as_array()
            .is_some_and(|orders| orders.iter().any(|order| order["kind"] == "payout"))
    });
    let path = format!("/v1/nom/balances/{zapp}/{ZNN}");
    assert_eq!(running.get(&path)["balance"], "300");

    // In the chain: the deposit received, then the payout, confirmed.
    let payout = until("the payout in a momentum", || {
        let waiting = client.unreceived(&recipient, 0).unwrap();
        waiting.into_iter().find(|held| held.momentum.is_some())
    });
    assert_eq!(payout.block.header.address, address);
    assert_eq!(payout.block.header.amount, Amount::from(600));
    assert_eq!(payout.block.data, b"your change");
    assert_eq!(payout.block.header.height, 2);
    let balances = client.account(&address).unwrap().balances;
    assert_eq!(balances.get(&token(ZNN)), Some(&Amount::from(300)));
    assert_eq!(client.deposits(&address, 1).unwrap(), []);

    // Its way, from the attested leaf into a momentum.
    let head = running.get("/v1/steps/head")["seq"].as_u64().unwrap();
    let traced = (1..=head).find_map(|seq| {
        let seq = seq.to_string();
        let (code, said) = running.zq(&["nom", "payout", &seq, "--nom-rpc", url]);
        (code == 0 && said["kind"] == "payout").then_some(said)
    });
    let traced = traced.expect("a step that issued the payout");
    assert_eq!(traced["block"], payout.block.hash.to_string(), "{traced}");
    assert_eq!(traced["to"], recipient.to_string(), "{traced}");
    assert_eq!(traced["amount"], "600", "{traced}");
    assert_eq!(traced["standing"], "confirmed", "{traced}");
    let held = payout.momentum.unwrap().height;
    assert_eq!(traced["momentum"], held, "{traced}");

    // Steps go on, and one of them is anchored: its statement and state are in the chain.
    for _ in 0..4 {
        let grant = Deploy {
            module: ModuleDigest::from_bytes([1; 32]),
            salt: Digest::from_bytes([6; 32]),
            escrow: 0,
            init: Vec::new(),
        };
        // Refused, and a step all the same.
        let http = running.committee.http(1).unwrap();
        let request = running
            .caller
            .request(ZappId::SYSTEM, "none", grant.to_bytes())
            .unwrap();
        running.caller.submit(&http, &request, 30).unwrap();
    }
    let account = running.wait("an anchor that is confirmed", |account| {
        account["anchored"].as_u64() > Some(0)
            && account["waiting"] == 0
            && account["height"].as_u64() >= Some(3)
    });
    let height = account["height"].as_u64().unwrap();
    let blocks = client.blocks(&address, 1, height).unwrap();
    let mut anchors = blocks
        .iter()
        .filter(|held| held.block.header.to_address == Address::from_bytes([0; 20]));
    let anchor = anchors.next_back().expect("an anchor");
    let seq = account["anchored"].as_u64().unwrap();
    let step = running.get(&format!("/v1/steps/{seq}"));
    let statement: StatementId = step["statement"].as_str().unwrap().parse().unwrap();
    let state: StateRoot = step["state"].as_str().unwrap().parse().unwrap();
    let data = &anchor.block.data;
    assert!(
        data.windows(32).any(|part| part == statement.as_bytes()),
        "{step}"
    );
    assert!(
        data.windows(32).any(|part| part == state.as_bytes()),
        "{step}"
    );
    assert!(anchor.momentum.is_some());
    // Whoever has the step's attestation finds it there, without asking the committee.
    let seq = seq.to_string();
    running.ok(&["attestation", "get", &seq, "0"]);
    let verify = ["nom", "anchor", "verify", "--committee", "committee.json"];
    let at = ["--nom-rpc", url, "--confirmations", "1"];
    let attested = format!("{seq}.0.cose");
    let found = running.ok(&[verify.as_slice(), &at, &[&attested]].concat());
    assert_eq!(found["block"], anchor.block.hash.to_string(), "{found}");
    let held = anchor.momentum.unwrap();
    assert_eq!(found["momentum"], held.height, "{found}");
    assert_eq!(found["momentum_hash"], held.hash.to_string(), "{found}");
    assert_eq!(found["state"], state.to_string(), "{found}");
    let shown = running.ok(&["nom", "anchor", "show"]);
    assert_eq!(shown["account"]["address"], found["account"], "{shown}");
    // A step that no anchor names is not in the chain, and no other committee's is.
    running.ok(&["attestation", "get", "1", "0"]);
    let (code, said) = running.zq(&[verify.as_slice(), &at, &["1.0.cose"]].concat());
    assert_eq!(code, 1, "{said}");
    let mut other: Value = serde_json::from_str(&file).unwrap();
    other["committee_id"] = "11".repeat(32).into();
    running.write("committee.json", &other.to_string());
    let (code, said) = running.zq(&[verify.as_slice(), &at, &[&attested]].concat());
    assert_eq!(code, 3, "{said}");
    // No anchor waits for the account among the deposits.
    assert_eq!(client.unreceived(&address, 0).unwrap(), []);
    // And steps name a momentum that the members have seen.
    let head = running.get("/v1/steps/head");
    let named = head["anchor_height"].as_u64().unwrap();
    let momentum = client.momentums(named, 1).unwrap()[0].reference();
    assert_eq!(head["anchor"], momentum.hash.to_string(), "{head}");
    // All members say so, and none sees anything wrong.
    for slot in 1..=5 {
        let status = running
            .committee
            .http(slot)
            .unwrap()
            .get("/v1/status")
            .unwrap();
        let parts = status["node"]["parts"].as_array().unwrap();
        let part = parts
            .iter()
            .find(|part| part["name"] == "nom node")
            .unwrap();
        assert_eq!(part["up"], true, "{part}");
    }
}
