//! `counter` and `ledger`, built to WebAssembly, in whole steps.

mod harness;

use attestation::ids::{IdentityKey, ZappId};
use attestation::leaf::Status;
use harness::{Chain, key, module};
use runtime::prepare;

// Codes of the SDK (runtime/zapp/src/revert.rs) and of ledger.
const UNKNOWN_METHOD: u32 = 1;
const ARGUMENTS: u32 = 2;
const NOT_OWNER: u32 = 3;
const OVERFLOW: u32 = 4;
const INPUT_LENGTH: u32 = 6;
const INSUFFICIENT: u32 = 100;
const ZERO_AMOUNT: u32 = 101;

#[test]
fn built_modules_pass_the_gatekeeper_with_their_description() {
    for name in [
        "auction",
        "bridge",
        "counter",
        "ledger",
        "names",
        "nom-mirror",
        "points",
        "till",
        "vault",
    ] {
        let wasm = module(name);
        let prepared = prepare(&wasm).expect("accepted");
        let description = format!("{{\"zapp\":\"{name}\"");
        for bytes in [&wasm, &prepared.metered] {
            let kept = bytes
                .windows(description.len())
                .filter(|part| *part == description.as_bytes());
            // Once: data beside the section would cost each call gas.
            assert_eq!(kept.count(), 1, "{name} keeps zapp.abi");
        }
    }
}

#[test]
fn counter_adds_and_tells_its_total() {
    let mut chain = Chain::new();
    let counter = chain.deploy(key(1), "counter");
    assert_eq!(chain.view(counter, "get", &[]), 0u64.to_be_bytes());
    for (amount, total) in [(5u64, 5u64), (0, 5), (37, 42)] {
        let outcome = chain.call(key(2), counter, "add", &amount.to_be_bytes());
        assert_eq!(outcome.status, Status::Ok);
        assert_eq!(outcome.output, total.to_be_bytes());
        assert_eq!(outcome.events.len(), 1);
        assert_eq!(outcome.events[0].topic, b"added");
        assert_eq!(outcome.events[0].data, amount.to_be_bytes());
    }
    assert_eq!(chain.view(counter, "get", &[]), 42u64.to_be_bytes());
    let code = chain.revert(key(2), counter, "add", &u64::MAX.to_be_bytes());
    assert_eq!(code, OVERFLOW);
}

#[test]
fn requests_that_a_zapp_does_not_know_revert() {
    let mut chain = Chain::new();
    let counter = chain.deploy(key(1), "counter");
    let cases: [(&str, &[u8], u32); 6] = [
        ("sub", &[0; 8], UNKNOWN_METHOD),
        ("get", &[], UNKNOWN_METHOD),
        ("Add", &[0; 8], UNKNOWN_METHOD),
        ("add", &[0; 7], ARGUMENTS),
        ("add", &[0; 9], ARGUMENTS),
        ("add", &[0; 100], INPUT_LENGTH),
    ];
    for (method, input, code) in cases {
        assert_eq!(
            chain.revert(key(2), counter, method, input),
            code,
            "{method}"
        );
    }
    let view = chain.query(counter, "add", &[0; 8]);
    assert_eq!((view.status, view.code), (Status::Reverted, UNKNOWN_METHOD));
}

#[test]
fn ledger_moves_what_its_owner_minted() {
    let (owner, alice, bob) = (key(1), key(2), key(3));
    let mut ledger = Ledger::deployed_by(owner);
    assert_eq!(ledger.chain.view(ledger.id, "owner", &[]), owner.as_bytes());
    ledger.ok(owner, "mint", &alice, 1_000);
    ledger.ok(owner, "mint", &owner, 5);
    ledger.ok(alice, "transfer", &bob, 400);
    ledger.ok(bob, "transfer", &alice, 1);
    ledger.ok(alice, "transfer", &alice, 601);
    assert_eq!(ledger.balances([&owner, &alice, &bob]), [5, 601, 399]);
    assert_eq!(ledger.total(), 1_005);
    ledger.ok(alice, "transfer", &bob, 601);
    assert_eq!(ledger.balances([&owner, &alice, &bob]), [5, 0, 1_000]);
    assert_eq!(ledger.total(), 1_005);
}

#[test]
fn ledger_refuses_what_its_rules_forbid() {
    let (owner, alice) = (key(1), key(2));
    let mut ledger = Ledger::deployed_by(owner);
    ledger.ok(owner, "mint", &alice, u128::MAX - 1);
    let cases = [
        (alice, "mint", alice, 1, NOT_OWNER),
        (owner, "mint", alice, 2, OVERFLOW),
        (owner, "mint", owner, 2, OVERFLOW),
        (owner, "mint", owner, 0, ZERO_AMOUNT),
        (owner, "transfer", alice, 1, INSUFFICIENT),
        (alice, "transfer", owner, u128::MAX, INSUFFICIENT),
        (alice, "transfer", alice, u128::MAX, INSUFFICIENT),
        (alice, "transfer", owner, 0, ZERO_AMOUNT),
    ];
    for (from, method, to, amount, code) in cases {
        let input = to_and_amount(&to, amount);
        let actual = ledger.chain.revert(from, ledger.id, method, &input);
        assert_eq!(actual, code, "{method} {amount}");
    }
    ledger.ok(owner, "mint", &owner, 1);
    assert_eq!(ledger.total(), u128::MAX);
    assert_eq!(ledger.balances([&owner, &alice]), [1, u128::MAX - 1]);
}

struct Ledger {
    chain: Chain,
    id: ZappId,
}

impl Ledger {
    fn deployed_by(owner: IdentityKey) -> Self {
        let mut chain = Chain::new();
        let id = chain.deploy(owner, "ledger");
        Self { chain, id }
    }

    fn ok(&mut self, from: IdentityKey, method: &str, to: &IdentityKey, amount: u128) {
        let input = to_and_amount(to, amount);
        let outcome = self.chain.call(from, self.id, method, &input);
        assert_eq!(outcome.status, Status::Ok, "{method}: {outcome:?}");
    }

    fn balances<const N: usize>(&mut self, holders: [&IdentityKey; N]) -> [u128; N] {
        holders.map(|holder| number(&self.chain.view(self.id, "balance", holder.as_bytes())))
    }

    fn total(&mut self) -> u128 {
        number(&self.chain.view(self.id, "total", &[]))
    }
}

fn to_and_amount(to: &IdentityKey, amount: u128) -> Vec<u8> {
    [to.as_bytes().as_slice(), &amount.to_be_bytes()].concat()
}

fn number(bytes: &[u8]) -> u128 {
    u128::from_be_bytes(bytes.try_into().expect("16 bytes"))
}
