//! `bridge`: a token of the Network of Momentum here, a contract on an EVM chain there.

use attestation::ids::{EvmAddress, ZappId};
use attestation::leaf::{MessageLeaf, Status};
use attestation::source::{Absence, Observed, Place, Reducer, Source};
use nom::Amount;
use serde_bytes::ByteBuf;
use sha3::{Digest as _, Keccak256};
use state::system::nom::Taken;

use super::{join, u128_of};
use crate::harness::deposits::address;
use crate::harness::{Chain, key};

const OTHER_SOURCE: u32 = 103;
const NOT_SEEN: u32 = 104;
const NOT_BURNED: u32 = 105;
const NOT_RETURNED: u32 = 106;
const KNOWN: u32 = 107;
const TOO_MUCH: u32 = 108;
const NO_SUCH_DEPOSIT: u32 = 109;

const CHAIN_ID: u64 = 31_337;
const CONTRACT: [u8; 20] = [0xb0; 20];
const RECIPIENT: [u8; 20] = [0xa1; 20];
const TOKEN: [u8; 10] = [7; 10];
/// Whoever deposits.
const USER: u8 = 9;

struct Bridge {
    chain: Chain,
    id: ZappId,
}

/// What the contract says, as members see it.
fn source(signature: &str, argument: &[u8]) -> Source {
    call_of(CHAIN_ID, CONTRACT, signature, argument)
}

fn call_of(chain: u64, contract: [u8; 20], signature: &str, argument: &[u8]) -> Source {
    let selector = Keccak256::digest(signature.as_bytes());
    let mut word = [0; 32];
    word[32 - argument.len()..].copy_from_slice(argument);
    Source {
        at: Place::EvmCall {
            chain,
            contract: EvmAddress::from_bytes(contract),
            data: hex::encode([&selector[..4], &word].concat()),
        },
        pointer: String::new(),
        scale: None,
        reducer: Reducer::Identical,
    }
}

fn burn_of(number: u64) -> Source {
    source("burnOf(uint64)", &number.to_be_bytes())
}

fn state_of(deposit: &[u8; 32]) -> Source {
    source("stateOf(bytes32)", deposit)
}

fn word(value: u128) -> [u8; 32] {
    let mut word = [0; 32];
    word[16..].copy_from_slice(&value.to_be_bytes());
    word
}

/// What `burnOf` returns.
fn burn(to: [u8; 20], amount: u128) -> Vec<u8> {
    join(&[&to, &[0; 12], &word(amount)])
}

impl Bridge {
    fn open() -> Self {
        let mut chain = Chain::new();
        let init = join(&[
            &TOKEN,
            &CHAIN_ID.to_be_bytes(),
            &[0xac; 20],
            &CONTRACT,
            &250_000u64.to_be_bytes(),
        ]);
        let (id, outcome) = chain.try_deploy(key(2), "bridge", &init);
        assert_eq!(outcome.status, Status::Ok, "{outcome:?}");
        Self { chain, id }
    }

    fn deposit(&mut self, token: [u8; 10], amount: u128, data: &[u8]) -> (Taken, [u8; 32]) {
        let sent = (token, Amount::from(amount));
        let done = self.chain.deposit(USER, self.id, sent, data);
        self.check();
        done
    }

    fn lock(&mut self, amount: u128) -> [u8; 32] {
        let (taken, deposit) = self.deposit(TOKEN, amount, &RECIPIENT);
        assert_eq!(taken, Taken::Accepted);
        deposit
    }

    /// The next request names this source, and all members see these bytes.
    fn see(&mut self, source: Source, bytes: &[u8]) {
        let seen = Observed::Bytes(ByteBuf::from(bytes.to_vec()));
        self.chain.pull(vec![source], vec![vec![seen]; 4]);
    }

    fn ok(&mut self, method: &str, input: &[u8]) -> u128 {
        let outcome = self.chain.call(key(50), self.id, method, input);
        assert_eq!(outcome.status, Status::Ok, "{method}: {outcome:?}");
        self.check();
        u128_of(&outcome.output)
    }

    fn revert(&mut self, method: &str, input: &[u8]) -> u32 {
        self.chain.revert(key(50), self.id, method, input)
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

    /// Its invariant.
    fn check(&mut self) {
        let held = self.chain.nom_balance(self.id, &TOKEN);
        assert_eq!(held, Amount::from(self.locked()));
    }
}

#[test]
fn bridge_keeps_a_deposit_and_orders_its_mint() {
    let mut bridge = Bridge::open();
    let deposit = bridge.lock(300);
    let sent = bridge.messages();
    assert_eq!(sent.len(), 1);
    let sent = &sent[0];
    assert_eq!((sent.zapp, sent.number), (bridge.id, 1));
    assert_eq!((sent.chain, sent.gas), (CHAIN_ID, 250_000));
    let padded = |address: [u8; 20]| [[0; 12].as_slice(), &address].concat();
    assert_eq!(sent.contract[..], padded([0xac; 20]));
    assert_eq!(sent.receiver[..], padded(CONTRACT));
    let time_ms = bridge.chain.last().commit.time_ms;
    let expected = join(&[
        &[1],
        &RECIPIENT,
        &word(300),
        &((time_ms + 24 * 60 * 60 * 1000) / 1000).to_be_bytes(),
        &deposit,
    ]);
    assert_eq!((sent.payload.len(), &sent.payload), (93, &expected));
    bridge.lock(200);
    assert_eq!(bridge.messages()[0].number, 2);
    assert_eq!(bridge.locked(), 500);
    assert_eq!(bridge.chain.sends(), []);
}

#[test]
fn bridge_sends_back_what_it_cannot_keep() {
    let mut bridge = Bridge::open();
    let other = [8; 10];
    for (token, data) in [
        (other, RECIPIENT.as_slice()),
        (TOKEN, &[]),
        (TOKEN, &RECIPIENT[..19]),
        (TOKEN, &[0xa1; 21]),
        (TOKEN, &[0; 20]),
    ] {
        let (taken, _) = bridge.deposit(token, 70, data);
        assert_eq!(taken, Taken::Returned, "{data:?}");
        let sent = bridge.chain.sends();
        let back = (ZappId::SYSTEM, address(USER), token, Amount::from(70));
        assert_eq!(sent.last(), Some(&back));
        assert_eq!(bridge.messages(), []);
    }
    // More than 128 bits.
    let mut vast = [0; 32];
    vast[15] = 1;
    let sent = (TOKEN, Amount::from_bytes(vast));
    let (taken, _) = bridge.chain.deposit(USER, bridge.id, sent, &RECIPIENT);
    assert_eq!(taken, Taken::Returned);
    assert_eq!(bridge.locked(), 0);
}

#[test]
fn bridge_pays_out_what_members_see_burned_and_only_once() {
    let mut bridge = Bridge::open();
    bridge.lock(500);
    let release = |bridge: &mut Bridge, number: u64, seen: &[u8]| {
        bridge.see(burn_of(number), seen);
        bridge.ok("release", &number.to_be_bytes())
    };
    let to = address(7);
    assert_eq!(release(&mut bridge, 1, &burn(to, 120)), 120);
    let paid = (bridge.id, to, TOKEN, Amount::from(120));
    assert_eq!(bridge.chain.sends(), [paid]);
    assert_eq!(bridge.locked(), 380);
    assert_eq!(
        bridge
            .chain
            .view(bridge.id, "released", &1u64.to_be_bytes()),
        [1]
    );
    assert_eq!(
        bridge
            .chain
            .view(bridge.id, "released", &2u64.to_be_bytes()),
        [0]
    );
    // In any order.
    release(&mut bridge, 3, &burn(to, 1));

    for (number, seen, code) in [
        (1, burn(to, 120), KNOWN),
        (2, burn([0; 20], 0), NOT_BURNED),
        (2, burn(to, 380), TOO_MUCH),
        (2, burn(to, u128::MAX), TOO_MUCH),
        (2, join(&[&to, &[0; 12], &[0xff; 32]]), TOO_MUCH),
        (2, burn(to, 5)[..63].to_vec(), NOT_SEEN),
        (2, Vec::new(), NOT_SEEN),
    ] {
        bridge.see(burn_of(number), &seen);
        let input = number.to_be_bytes();
        assert_eq!(bridge.revert("release", &input), code, "{number}: {seen:?}");
    }
    release(&mut bridge, 2, &burn(to, 379));
    assert_eq!(bridge.locked(), 0);
}

#[test]
fn bridge_takes_no_source_but_its_contract() {
    let mut bridge = Bridge::open();
    let deposit = bridge.lock(500);
    let number = 1u64.to_be_bytes();
    let to = address(7);
    assert_eq!(bridge.revert("release", &number), OTHER_SOURCE, "none");
    for other in [
        burn_of(2),
        call_of(1, CONTRACT, "burnOf(uint64)", &number),
        call_of(CHAIN_ID, [0xb1; 20], "burnOf(uint64)", &number),
        source("waiting(bytes32)", &number),
        Source {
            reducer: Reducer::Mode,
            ..burn_of(1)
        },
        Source {
            at: Place::HttpJson {
                url: "https://example.org/".into(),
            },
            ..burn_of(1)
        },
    ] {
        bridge.see(other.clone(), &burn(to, 5));
        assert_eq!(bridge.revert("release", &number), OTHER_SOURCE, "{other:?}");
    }
    bridge.see(burn_of(1), &word(3));
    assert_eq!(bridge.revert("give_back", &deposit), OTHER_SOURCE);

    // Two of four members see something else: nobody knows.
    let bytes = |amount| Observed::Bytes(ByteBuf::from(burn(to, amount)));
    let seen = [
        bytes(5),
        bytes(5),
        bytes(6),
        Observed::Absent(Absence::Status),
    ];
    let seen = seen.map(|seen| vec![seen]).to_vec();
    bridge.chain.pull(vec![burn_of(1)], seen);
    assert_eq!(bridge.revert("release", &number), NOT_SEEN);
}

#[test]
fn bridge_gives_a_deposit_back_to_whoever_made_it() {
    let mut bridge = Bridge::open();
    let deposit = bridge.lock(400);
    bridge.lock(50);
    for state in [0, 1, 2, 4, 3 << 8] {
        bridge.see(state_of(&deposit), &word(state));
        assert_eq!(
            bridge.revert("give_back", &deposit),
            NOT_RETURNED,
            "{state}"
        );
    }
    bridge.see(state_of(&[9; 32]), &word(3));
    assert_eq!(bridge.revert("give_back", &[9; 32]), NO_SUCH_DEPOSIT);
    bridge.see(state_of(&deposit), &word(3));
    assert_eq!(bridge.ok("give_back", &deposit), 400);
    let back = (bridge.id, address(USER), TOKEN, Amount::from(400));
    assert_eq!(bridge.chain.sends(), [back]);
    assert_eq!(bridge.locked(), 50);
    bridge.see(state_of(&deposit), &word(3));
    assert_eq!(bridge.revert("give_back", &deposit), NO_SUCH_DEPOSIT);
}
