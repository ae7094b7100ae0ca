//! `bridge`, with the `ledger` whose tokens it locks.

use attestation::ids::{IdentityKey, ZappId};
use attestation::leaf::{MessageLeaf, Status};
use sha3::{Digest as _, Sha3_256};

use super::{join, u128_of};
use crate::harness::{Chain, key};

const BAD_WATCHERS: u32 = 100;
const NOT_A_WATCHER: u32 = 101;
const ZERO_AMOUNT: u32 = 102;
const KNOWN: u32 = 103;
const TOO_MUCH: u32 = 104;
const NO_SUCH_DEPOSIT: u32 = 105;
const NOTHING_DUE: u32 = 106;
/// Of the ledger, passed on.
const NOT_ALLOWED: u32 = 102;
const INSUFFICIENT: u32 = 100;
/// Of the SDK: what was called gave no result.
const CALL: u32 = 7;

const CHAIN_ID: u64 = 31_337;
const RECIPIENT: [u8; 20] = [0xa1; 20];

struct Bridge {
    chain: Chain,
    ledger: ZappId,
    id: ZappId,
}

fn sides(ledger: ZappId, quorum: u8) -> Vec<u8> {
    join(&[
        ledger.as_bytes(),
        &CHAIN_ID.to_be_bytes(),
        &[0xac; 20],
        &[0xb0; 20],
        &250_000u64.to_be_bytes(),
        &[quorum],
    ])
}

fn watchers(keys: &[u8]) -> Vec<u8> {
    let count = u16::try_from(keys.len()).expect("few").to_be_bytes();
    let keys: Vec<u8> = keys
        .iter()
        .flat_map(|byte| *key(*byte).as_bytes())
        .collect();
    join(&[&count, &keys])
}

/// The NoM address of a key.
fn address(key: IdentityKey) -> [u8; 20] {
    let hash = Sha3_256::digest(key.as_bytes());
    let mut address = [0; 20];
    address[1..].copy_from_slice(&hash[..19]);
    address
}

impl Bridge {
    /// Key 1 holds 1,000 tokens; two of the watchers 11, 12, 13 must agree.
    fn open() -> Self {
        let mut chain = Chain::new();
        let ledger = chain.deploy(key(1), "ledger");
        let init = join(&[&sides(ledger, 2), &watchers(&[11, 12, 13])]);
        let (id, outcome) = chain.try_deploy(key(2), "bridge", &init);
        assert_eq!(outcome.status, Status::Ok, "{outcome:?}");
        let mut bridge = Self { chain, ledger, id };
        let mint = join(&[key(1).as_bytes(), &1_000u128.to_be_bytes()]);
        bridge.on_ledger(1, "mint", &mint);
        bridge
    }

    fn on_ledger(&mut self, from: u8, method: &str, input: &[u8]) -> Vec<u8> {
        let outcome = self.chain.call(key(from), self.ledger, method, input);
        assert_eq!(outcome.status, Status::Ok, "{method}: {outcome:?}");
        outcome.output
    }

    fn approve(&mut self, amount: u128) {
        let input = join(&[self.id.as_bytes(), &amount.to_be_bytes()]);
        self.on_ledger(1, "approve", &input);
    }

    fn ok(&mut self, from: u8, method: &str, input: &[u8]) -> Vec<u8> {
        let outcome = self.chain.call(key(from), self.id, method, input);
        assert_eq!(outcome.status, Status::Ok, "{method}: {outcome:?}");
        outcome.output
    }

    fn revert(&mut self, from: u8, method: &str, input: &[u8]) -> u32 {
        self.chain.revert(key(from), self.id, method, input)
    }

    fn lock(&mut self, amount: u128) -> [u8; 32] {
        let output = self.ok(1, "lock", &lock(amount));
        output.try_into().expect("a deposit")
    }

    fn holds(&mut self, holder: &[u8; 32]) -> u128 {
        u128_of(&self.chain.view(self.ledger, "balance", holder))
    }

    fn locked(&mut self) -> u128 {
        u128_of(&self.chain.view(self.id, "locked", &[]))
    }

    /// What the last step sent.
    fn messages(&self) -> Vec<MessageLeaf> {
        let leaves = &self.chain.last().leaves[2..];
        let read = |leaf: &Vec<u8>| MessageLeaf::from_bytes(leaf).expect("a message");
        leaves.iter().map(read).collect()
    }

    /// Whether key and due of this zApp in the ledger are what it says.
    fn check(&mut self, due: u128) {
        let id = *self.id.as_bytes();
        let held = self.holds(&id);
        assert_eq!(held, self.locked() + due);
    }
}

fn lock(amount: u128) -> Vec<u8> {
    join(&[&amount.to_be_bytes(), &RECIPIENT])
}

fn burned(number: u64, to: IdentityKey, amount: u128) -> Vec<u8> {
    join(&[&number.to_be_bytes(), &address(to), &amount.to_be_bytes()])
}

fn returned(deposit: &[u8; 32], amount: u128) -> Vec<u8> {
    join(&[deposit, &amount.to_be_bytes()])
}

#[test]
fn bridge_locks_what_was_approved_and_orders_its_mint() {
    let mut bridge = Bridge::open();
    assert_eq!(bridge.revert(1, "lock", &lock(300)), NOT_ALLOWED);
    bridge.approve(2_000);
    assert_eq!(bridge.revert(1, "lock", &lock(1_001)), INSUFFICIENT);
    assert_eq!(bridge.revert(1, "lock", &lock(0)), ZERO_AMOUNT);

    let deposit = bridge.lock(300);
    let sent = bridge.messages();
    assert_eq!(sent.len(), 1);
    let sent = &sent[0];
    assert_eq!((sent.zapp, sent.number), (bridge.id, 1));
    assert_eq!((sent.chain, sent.gas), (CHAIN_ID, 250_000));
    assert_eq!(
        sent.contract,
        [[0; 12].as_slice(), &[0xac; 20]].concat()[..]
    );
    assert_eq!(
        sent.receiver,
        [[0; 12].as_slice(), &[0xb0; 20]].concat()[..]
    );
    let time_ms = bridge.chain.last().commit.time_ms;
    let expected = join(&[
        &[1],
        &RECIPIENT,
        &[0; 16],
        &300u128.to_be_bytes(),
        &((time_ms + 24 * 60 * 60 * 1000) / 1000).to_be_bytes(),
        &deposit,
    ]);
    assert_eq!((sent.payload.len(), &sent.payload), (93, &expected));
    bridge.lock(200);
    assert_eq!(bridge.messages()[0].number, 2);
    assert_eq!(bridge.locked(), 500);
    assert_eq!(bridge.holds(key(1).as_bytes()), 500);
    bridge.check(0);
}

#[test]
fn bridge_releases_what_enough_watchers_saw_burned_and_only_once() {
    let mut bridge = Bridge::open();
    bridge.approve(1_000);
    bridge.lock(500);
    let seen = burned(1, key(7), 120);
    assert_eq!(bridge.revert(1, "burned", &seen), NOT_A_WATCHER);
    assert_eq!(bridge.ok(11, "burned", &seen), [0]);
    assert_eq!(bridge.ok(11, "burned", &seen), [0], "twice is once");
    // Another amount is another report.
    assert_eq!(bridge.ok(12, "burned", &burned(1, key(7), 121)), [0]);
    assert_eq!(bridge.revert(7, "fetch", &[]), NOTHING_DUE);
    assert_eq!(bridge.ok(13, "burned", &seen), [1]);
    bridge.check(120);
    assert_eq!(bridge.revert(12, "burned", &seen), KNOWN);
    assert_eq!(bridge.revert(12, "burned", &burned(1, key(7), 121)), KNOWN);

    assert_eq!(bridge.revert(8, "fetch", &[]), NOTHING_DUE);
    assert_eq!(u128_of(&bridge.ok(7, "fetch", &[])), 120);
    assert_eq!(bridge.holds(key(7).as_bytes()), 120);
    assert_eq!(bridge.revert(7, "fetch", &[]), NOTHING_DUE);
    assert_eq!(bridge.locked(), 380);
    bridge.check(0);

    // No more than is locked, however many agree.
    let much = burned(2, key(7), 381);
    bridge.ok(11, "burned", &much);
    assert_eq!(bridge.revert(12, "burned", &much), TOO_MUCH);
    assert_eq!(
        bridge.revert(12, "burned", &burned(3, key(7), 0)),
        ZERO_AMOUNT
    );
}

#[test]
fn bridge_gives_a_deposit_back_to_whoever_made_it() {
    let mut bridge = Bridge::open();
    bridge.approve(1_000);
    let deposit = bridge.lock(400);
    let unknown = returned(&[9; 32], 400);
    bridge.ok(11, "returned", &unknown);
    assert_eq!(bridge.revert(12, "returned", &unknown), NO_SUCH_DEPOSIT);
    let other = returned(&deposit, 399);
    bridge.ok(11, "returned", &other);
    assert_eq!(bridge.revert(12, "returned", &other), NO_SUCH_DEPOSIT);
    let back = returned(&deposit, 400);
    bridge.ok(11, "returned", &back);
    assert_eq!(bridge.ok(12, "returned", &back), [1]);
    assert_eq!(bridge.holds(key(1).as_bytes()), 1_000);
    assert_eq!(bridge.locked(), 0);
    bridge.check(0);
    assert_eq!(bridge.revert(13, "returned", &back), KNOWN);
}

#[test]
fn bridge_refuses_watchers_that_can_never_agree_or_count_twice() {
    for (quorum, keys) in [(0, &[11][..]), (2, &[11]), (1, &[]), (2, &[11, 12, 11])] {
        let mut chain = Chain::new();
        let ledger = chain.deploy(key(1), "ledger");
        let init = join(&[&sides(ledger, quorum), &watchers(keys)]);
        let (_, outcome) = chain.try_deploy(key(2), "bridge", &init);
        assert_eq!(
            (outcome.status, outcome.code),
            (Status::Reverted, BAD_WATCHERS)
        );
    }
}

#[test]
fn bridge_with_a_ledger_that_is_none_locks_nothing() {
    let mut chain = Chain::new();
    let nowhere = ZappId::from_bytes([0x77; 32]);
    let init = join(&[&sides(nowhere, 1), &watchers(&[11])]);
    let (id, _) = chain.try_deploy(key(2), "bridge", &init);
    assert_eq!(chain.revert(key(1), id, "lock", &lock(5)), CALL);
}
