//! Committees of processes with an account on the Zenon node itself: every member asks the node, the
//! programs are the real ones, and the node judges what they sign.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

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
    _dir: TempDir,
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
            _dir: dir,
        }
    }

    fn get(&self, path: &str) -> Value {
        self.committee.http(1).unwrap().get(path).unwrap()
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
    let data = [zapp.as_bytes().as_slice(), b"two coffees"].concat();
    let draft = user.place().unwrap();
    let draft = draft.send(address, token(ZNN), Amount::from(900), data);
    let sent = user.sign(draft).unwrap();
    user.publish(&sent, 1).unwrap();

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
