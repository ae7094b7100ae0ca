//! `till`, with real sends of the Network of Momentum.

use attestation::ids::IdentityKey;
use attestation::leaf::{Leaf, MessageLeaf, Status};
use nom::{Amount, TokenStandard};
use state::step::Outcome;
use state::system::nom::Taken;

use super::{Zapp, join, u128_of};
use crate::harness::{deposits, key};

const DEPOSIT: u32 = 8;
const INSUFFICIENT: u32 = 100;
const ZERO: u32 = 101;

fn token(text: &str) -> TokenStandard {
    text.parse().expect("a token")
}

fn znn() -> TokenStandard {
    token("zts1znnxxxxxxxxxxxxx9z4ulx")
}

/// Somebody with a key on the network: key and address.
fn person(byte: u8) -> (IdentityKey, [u8; 20]) {
    (deposits::identity(byte), deposits::address(byte))
}

fn till() -> Zapp {
    Zapp::deployed(key(9), "till", &[])
}

impl Zapp {
    /// Takes a send: what became of it.
    fn take(&mut self, from: u8, token: TokenStandard, amount: u128, data: &[u8]) -> Taken {
        let sent = (*token.as_bytes(), Amount::from(amount));
        self.chain.deposit(from, self.id, sent, data).0
    }

    fn withdraw(&mut self, from: u8, token: TokenStandard, amount: u128) -> Outcome {
        let input = join(&[token.as_bytes(), &amount.to_be_bytes()]);
        self.chain.call(person(from).0, self.id, "withdraw", &input)
    }

    fn balance(&mut self, of: u8, token: TokenStandard) -> u128 {
        let input = join(&[&person(of).1, token.as_bytes()]);
        u128_of(&self.view("balance", &input))
    }

    /// What the last step sends out.
    fn sent(&self) -> Vec<MessageLeaf> {
        let leaves = self.chain.last().leaves.iter();
        let leaves = leaves.map(|leaf| Leaf::from_bytes(leaf).expect("a leaf"));
        let sent = leaves.filter_map(|leaf| match leaf {
            Leaf::Message(message) => Some(message),
            _ => None,
        });
        sent.collect()
    }
}

#[test]
fn what_is_sent_to_a_till_is_its_senders_who_is_paid_out_as_much() {
    let mut till = till();
    let qsr = token("zts1qsrxxxxxxxxxxxxxmrhjll");
    assert_eq!(till.take(2, znn(), 700, b""), Taken::Accepted);
    assert_eq!(till.take(2, znn(), 300, b""), Taken::Accepted);
    assert_eq!(till.take(3, qsr, 50, b""), Taken::Accepted);
    assert_eq!((till.balance(2, znn()), till.balance(3, qsr)), (1_000, 50));
    assert_eq!((till.balance(2, qsr), till.balance(3, znn())), (0, 0));
    // Part of it to somebody else, by address; then both fetch.
    let give = join(&[&person(3).1, znn().as_bytes(), &400u128.to_be_bytes()]);
    till.ok(person(2).0, "give", &give);
    for (who, amount) in [(2, 600), (3, 400)] {
        let outcome = till.withdraw(who, znn(), amount);
        assert_eq!(outcome.status, Status::Ok, "{outcome:?}");
        assert_eq!(u128_of(&outcome.output), 0);
        let sent = till.sent();
        let [payout] = sent.as_slice() else {
            panic!("{sent:?}");
        };
        assert_eq!(payout.chain, MessageLeaf::NOM);
        assert_eq!(payout.contract[22..], znn().as_bytes()[..]);
        assert_eq!(payout.receiver[12..], person(who).1[..]);
        assert_eq!(u128_of(&payout.payload[16..]), amount);
    }
    assert_eq!((till.balance(2, znn()), till.balance(3, znn())), (0, 0));
}

#[test]
fn a_till_pays_nobody_more_than_they_have_and_believes_no_invented_deposit() {
    let mut till = till();
    assert_eq!(till.take(2, znn(), 700, b""), Taken::Accepted);
    let codes = [(2, 701, INSUFFICIENT), (3, 1, INSUFFICIENT), (2, 0, ZERO)];
    for (who, amount, code) in codes {
        let outcome = till.withdraw(who, znn(), amount);
        assert_eq!((outcome.status, outcome.code), (Status::Reverted, code));
        assert!(till.sent().is_empty());
    }
    // What comes with data it does not book: it is sent back.
    assert_eq!(
        till.take(2, znn(), 5, b"for something else"),
        Taken::Returned
    );
    assert_eq!(till.balance(2, znn()), 700);
    // The bytes of a deposit, from somebody who is not the committee.
    let amount = [[0; 16], 9u128.to_be_bytes()].concat();
    let (from, token) = (person(3).1, znn());
    let parts: [&[u8]; 5] = [&[1; 32], &from, token.as_bytes(), &amount, &[0, 0]];
    let invented = join(&parts);
    assert_eq!(till.revert(person(3).0, "deposit", &invented), DEPOSIT);
    assert_eq!(till.revert(key(9), "deposit", &invented), DEPOSIT);
    assert_eq!(till.balance(3, znn()), 0);
}
