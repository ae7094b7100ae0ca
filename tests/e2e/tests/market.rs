//! A committee that charges: who pays what, who may do what, and where the money ends up.

use attestation::ids::IdentityKey;
use attestation::terms::{Grant, Terms};
use e2e::{COUNTER, Running};
use launch::Economy;
use serde_json::Value;
use tempfile::TempDir;

const TERMS: Terms = Terms {
    gas_price: 10_000,
    request_fee: 1_000,
    byte_deposit: 100,
    work_bits: 10,
    work_gas: 1_000_000,
};
/// One QSR.
const GRANTED: u64 = 100_000_000;

/// A running committee that charges, and the files of three keys.
struct Market {
    running: Running,
    files: TempDir,
    /// Of the file 0.key: deploys and owns. 1.key is a stranger's, who calls and has nothing.
    owner: IdentityKey,
    /// Of 2.key: is paid.
    payout: IdentityKey,
}

impl Market {
    fn open() -> Self {
        let files = TempDir::new().expect("a directory");
        let [owner, _, payout] = ["0.key", "1.key", "2.key"].map(|name| {
            let path = files.path().join(name);
            let made = Running::offline(&["--json", "key", "new", path.to_str().expect("UTF-8")]);
            let (text, code) = made.expect("zq runs");
            assert_eq!(code, Some(0), "{text}");
            let value: Value = serde_json::from_str(&text).expect("JSON");
            let key = value.get("key").and_then(Value::as_str).expect("a key");
            key.parse().expect("64 digits")
        });
        let economy = Economy {
            terms: TERMS,
            grants: vec![Grant {
                account: owner,
                amount: GRANTED,
            }],
            payout: Some(payout),
        };
        let mut running = Running::prepare_charging(economy).expect("programs");
        running
            .start_with(&[], &[])
            .expect("a committee with its key");
        for (name, text) in [("counter", COUNTER), ("other", OTHER)] {
            let wasm = wat::parse_str(text).expect("a module");
            std::fs::write(files.path().join(name), wasm).expect("written");
        }
        Self {
            running,
            files,
            owner,
            payout,
        }
    }

    fn path(&self, name: &str) -> String {
        let path = self.files.path().join(name);
        path.to_str().expect("UTF-8").to_owned()
    }

    /// What `zq --json` says, and its exit code. `FILE:name` stands for a path.
    fn zq(&self, arguments: &[&str]) -> (Value, i32) {
        let arguments: Vec<String> = arguments
            .iter()
            .map(|argument| match argument.strip_prefix("FILE:") {
                Some(name) => self.path(name),
                None => (*argument).to_owned(),
            })
            .collect();
        let mut all = vec!["--json"];
        all.extend(arguments.iter().map(String::as_str));
        let (text, code) = self.running.zq(1, &all).expect("zq runs");
        let value = serde_json::from_str(text.lines().next().unwrap_or_default());
        (value.expect("JSON"), code.expect("an exit code"))
    }

    fn ok(&self, arguments: &[&str]) -> Value {
        let (value, code) = self.zq(arguments);
        assert_eq!(code, 0, "{arguments:?}: {value}");
        value
    }

    /// A request that is attested and refused for the reason with this number.
    fn refused(&self, arguments: &[&str], code: u64) {
        let (value, exit) = self.zq(arguments);
        assert_eq!(exit, 1, "{arguments:?}: {value}");
        assert_eq!(text(&value, "status"), "refused", "{arguments:?}: {value}");
        assert_eq!(number(&value, "code"), code, "{arguments:?}: {value}");
    }

    /// A request that the node does not even queue.
    fn unpaid(&self, arguments: &[&str]) {
        let (value, exit) = self.zq(arguments);
        assert_eq!(exit, 1, "{arguments:?}: {value}");
        let error = text(&value, "error");
        assert!(error.contains("not paid for"), "{arguments:?}: {value}");
    }

    fn balance(&self, key: &IdentityKey) -> u64 {
        let account = self.ok(&["account", "show", &key.to_string()]);
        number(&account, "balance")
    }
}

fn text(value: &Value, name: &str) -> String {
    let text = value.get(name).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn number(value: &Value, name: &str) -> u64 {
    let number = value.get(name).and_then(Value::as_u64);
    number.unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[test]
fn zapps_pay_their_hosts_and_only_owners_decide_over_them() {
    let market = Market::open();
    // Whoever has nothing deploys nothing.
    let deploy = ["zapp", "deploy", "FILE:counter", "--salt", SALT, "--key"];
    market.unpaid(&[&deploy[..], &["FILE:1.key"]].concat());
    let deployed = market.ok(&[&deploy[..], &["FILE:0.key", "--escrow", "0.05"]].concat());
    let zapp = text(&deployed, "zapp");
    let paid = GRANTED - market.balance(&market.owner);
    assert_eq!(paid, 5_000_000 + number(&deployed, "fee"));

    // The zApp pays for a caller who has nothing, as much as was quoted.
    let quote = market.ok(&["lease", "quote", &zapp, "add"]);
    let gas = number(&quote, "gas").to_string();
    let call = ["zapp", "call", &zapp, "add", "--key", "FILE:1.key"];
    let called = market.ok(&[&call[..], &["--gas", &gas]].concat());
    assert_eq!(number(&called, "fee"), number(&quote, "fee"));
    assert_eq!(number(&called, "gas"), number(&quote, "gas"));
    let lease = market.ok(&["lease", "show", &zapp]);
    let deposit = number(&lease, "stored") * TERMS.byte_deposit;
    assert!(deposit > 0);
    let fee = number(&called, "fee");
    assert_eq!(number(&lease, "escrow"), 5_000_000 - fee - deposit);
    // By himself he can pay with work only.
    market.unpaid(&[&call[..], &["--payer", "caller"]].concat());
    let worked = market.ok(&[&call[..], &["--payer", "work", "--gas", "900000"]].concat());
    assert_eq!(number(&worked, "fee"), 0);
    let (greedy, code) = market.zq(&[&call[..], &["--payer", "work"]].concat());
    assert_eq!(code, 1, "{greedy}");

    // Bounds, and the end of an escrow.
    let set = ["lease", "set", &zapp, "--call-gas-max", "2000000", "--key"];
    market.unpaid(&[&set[..], &["FILE:1.key"]].concat());
    market.ok(&[&set[..], &["FILE:0.key"]].concat());
    market.unpaid(&[&call[..], &["--gas", "2000001"]].concat());
    market.ok(&[&call[..], &["--gas", "2000000"]].concat());
    let reserve = [
        "lease",
        "set",
        &zapp,
        "--reserve",
        "0.05",
        "--key",
        "FILE:0.key",
    ];
    market.ok(&reserve);
    market.unpaid(&[&call[..], &["--gas", "2000000"]].concat());
}

#[test]
fn what_members_earn_is_paid_to_the_account_on_their_card() {
    let market = Market::open();
    let deploy = [
        "zapp",
        "deploy",
        "FILE:counter",
        "--escrow",
        "0.1",
        "--key",
        "FILE:0.key",
    ];
    let zapp = text(&market.ok(&deploy), "zapp");
    let call = ["zapp", "call", &zapp, "add", "--key", "FILE:1.key"];
    for _ in 0..4 {
        market.ok(&call);
    }
    let funds = market.ok(&["lease", "funds"]);
    let parts = [
        "accounts",
        "escrows",
        "held",
        "earned",
        "pending",
        "unassigned",
    ];
    let sum: u64 = parts.iter().map(|part| number(&funds, part)).sum();
    assert_eq!(
        (sum, number(&funds, "deposits")),
        (GRANTED, GRANTED),
        "{funds}"
    );
    let members = funds
        .get("members")
        .and_then(Value::as_array)
        .expect("a list");
    let earned: Vec<u64> = members.iter().map(|one| number(one, "earned")).collect();
    assert_eq!(earned.iter().sum::<u64>(), number(&funds, "earned"));
    let slot = members
        .iter()
        .find(|one| number(one, "earned") > 0)
        .map(|one| number(one, "slot").to_string())
        .expect("somebody earned something");

    assert_eq!(market.balance(&market.payout), 0);
    let claim = ["account", "claim", &slot, "--key", "FILE:0.key"];
    let claimed = market.ok(&claim);
    assert!(number(&claimed, "amount") > 0, "{claimed}");
    assert_eq!(market.balance(&market.payout), number(&claimed, "amount"));

    // Out of the escrow: by its owner only, and then nobody is served at its expense.
    let lease = market.ok(&["lease", "show", &zapp]);
    let rest = number(&lease, "escrow");
    let rest = format!("{}.{:08}", rest / GRANTED, rest % GRANTED);
    let withdraw = ["lease", "withdraw", &zapp, &rest, "--key", "FILE:0.key"];
    market.ok(&withdraw);
    market.unpaid(&call);
    let fund = ["lease", "fund", &zapp, "0.02", "--key", "FILE:0.key"];
    market.ok(&fund);
    market.ok(&call);

    // Another module, for ever; then the end.
    let upgrade = [
        "zapp",
        "upgrade",
        &zapp,
        "FILE:other",
        "--key",
        "FILE:0.key",
    ];
    market.ok(&upgrade);
    let view = market.ok(&["zapp", "view", &zapp, "get"]);
    assert_eq!(text(&view, "output"), "07", "the new module answers");
    market.ok(&["zapp", "freeze", &zapp, "--key", "FILE:0.key"]);
    let back = [
        "zapp",
        "upgrade",
        &zapp,
        "FILE:counter",
        "--key",
        "FILE:0.key",
    ];
    market.refused(&back, 11);
    let shown = market.ok(&["zapp", "show", &zapp]);
    assert_eq!(number(&shown, "version"), 1);
    let before = market.balance(&market.owner);
    let abort = ["zapp", "abort", &zapp, "--key", "FILE:0.key"];
    let aborted = market.ok(&abort);
    let escrow = number(shown.get("lease").expect("a lease"), "escrow");
    assert_eq!(
        market.balance(&market.owner),
        before + escrow - number(&aborted, "fee")
    );
    let owned = [
        "zapp",
        "call",
        &zapp,
        "add",
        "--payer",
        "caller",
        "--key",
        "FILE:0.key",
    ];
    market.refused(&owned, 12);
}

const SALT: &str = "1111111111111111111111111111111111111111111111111111111111111111";

/// Answers everything with 7.
const OTHER: &str = r#"(module
  (import "zapp0" "output" (func $output (param i32 i32)))
  (memory (export "memory") 1 1)
  (data (i32.const 0) "\07")
  (func (export "zapp_main") (param i32 i32) (result i32)
    (call $output (i32.const 0) (i32.const 1))
    (i32.const 0)))"#;
