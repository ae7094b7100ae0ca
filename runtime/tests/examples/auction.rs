//! `auction`.

use attestation::ids::ZappId;
use sha2::{Digest as _, Sha256};

use super::{Zapp, join};
use crate::harness::key;

const BAD_TERMS: u32 = 100;
const BIDDING_OVER: u32 = 101;
const NOT_REVEALING: u32 = 102;
const NOT_OVER: u32 = 103;
const NO_COMMIT: u32 = 104;
const REVEALED: u32 = 105;
const WRONG_REVEAL: u32 = 106;
const BELOW_RESERVE: u32 = 107;
const SETTLED: u32 = 108;

/// The step of the deployment has this time.
const OPENED_MS: u64 = 1_000_000;
const BIDDING_UNTIL_MS: u64 = OPENED_MS + 100_000;
const REVEAL_UNTIL_MS: u64 = BIDDING_UNTIL_MS + 50_000;
const RESERVE: u128 = 10;

fn terms(lots: u16, bidding_ms: u64, reveal_ms: u64) -> Vec<u8> {
    join(&[
        &lots.to_be_bytes(),
        &RESERVE.to_be_bytes(),
        &bidding_ms.to_be_bytes(),
        &reveal_ms.to_be_bytes(),
    ])
}

fn auction(lots: u16) -> Zapp {
    let mut chain = crate::harness::Chain::new();
    chain.set_time(OPENED_MS);
    let (id, outcome) = chain.try_deploy(key(99), "auction", &terms(lots, 100_000, 50_000));
    assert_eq!(outcome.code, 0, "{outcome:?}");
    Zapp { chain, id }
}

fn salt(bidder: u8) -> [u8; 32] {
    [bidder ^ 0x5a; 32]
}

fn sealed(auction: &ZappId, bidder: u8, amount: u128) -> [u8; 32] {
    let bytes = join(&[
        auction.as_bytes(),
        key(bidder).as_bytes(),
        &opening(bidder, amount),
    ]);
    Sha256::digest(bytes).into()
}

fn opening(bidder: u8, amount: u128) -> Vec<u8> {
    join(&[&amount.to_be_bytes(), &salt(bidder)])
}

impl Zapp {
    fn commit(&mut self, bidder: u8, amount: u128) {
        let hash = sealed(&self.id, bidder, amount);
        self.ok(key(bidder), "commit", &hash);
    }

    fn reveal(&mut self, bidder: u8, amount: u128) {
        let (_, events) = self.ok(key(bidder), "reveal", &opening(bidder, amount));
        assert_eq!(events, ["revealed"]);
    }

    /// Lots, winners and amounts of one call of `settle`.
    fn settle(&mut self) -> Vec<(u8, u8, u128)> {
        let outcome = self.chain.call(key(50), self.id, "settle", &[]);
        assert_eq!(outcome.code, 0, "{outcome:?}");
        let won = |data: &[u8]| {
            let amount = data[34..].try_into().expect("16 bytes");
            (data[1], data[2], u128::from_be_bytes(amount))
        };
        outcome
            .events
            .iter()
            .map(|event| won(&event.data))
            .collect()
    }
}

#[test]
fn lots_go_to_the_highest_bids_and_between_equal_ones_to_the_first() {
    let mut auction = auction(3);
    for (bidder, amount) in [(1, 20), (2, 50), (3, 40), (4, 50), (5, 40), (6, 99)] {
        auction.commit(bidder, amount);
    }
    auction.chain.set_time(BIDDING_UNTIL_MS);
    // In another order than they were committed in; 6 stays silent.
    for (bidder, amount) in [(5, 40), (4, 50), (3, 40), (2, 50), (1, 20)] {
        auction.reveal(bidder, amount);
    }
    let best = auction.view("bids", &[]);
    let first = join(&[
        &[0, 5],
        key(2).as_bytes(),
        &50u128.to_be_bytes(),
        key(4).as_bytes(),
    ]);
    assert!(best.starts_with(&first), "{best:?}");
    assert_eq!(auction.revert(key(1), "settle", &[]), NOT_OVER);
    auction.chain.set_time(REVEAL_UNTIL_MS);
    assert_eq!(auction.settle(), [(1, 2, 50), (2, 4, 50), (3, 3, 40)]);
    assert_eq!(auction.revert(key(1), "settle", &[]), SETTLED);
}

#[test]
fn many_lots_are_settled_by_several_calls() {
    let mut auction = auction(100);
    for bidder in 1..=20 {
        auction.commit(bidder, 1_000 - u128::from(bidder));
    }
    auction.chain.set_time(BIDDING_UNTIL_MS);
    for bidder in (1..=20).rev() {
        auction.reveal(bidder, 1_000 - u128::from(bidder));
    }
    auction.chain.set_time(REVEAL_UNTIL_MS);
    let first: Vec<u8> = auction.settle().iter().map(|won| won.1).collect();
    assert_eq!(first, (1..=16).collect::<Vec<u8>>());
    let second = auction.settle();
    assert_eq!(second.first(), Some(&(17, 17, 983)));
    assert_eq!(second.len(), 4);
    assert_eq!(auction.revert(key(1), "settle", &[]), SETTLED);
}

#[test]
fn a_bid_counts_only_as_it_was_committed_to_and_in_time() {
    let mut auction = auction(1);
    auction.commit(1, 20);
    auction.commit(2, 30);
    auction.commit(3, RESERVE - 1);
    let stolen = sealed(&auction.id, 2, 30);
    auction.ok(key(4), "commit", &stolen);
    // A second commitment is the one that counts.
    auction.commit(1, 25);
    assert_eq!(
        auction.revert(key(1), "reveal", &opening(1, 25)),
        NOT_REVEALING
    );

    auction.chain.set_time(BIDDING_UNTIL_MS);
    assert_eq!(auction.revert(key(5), "commit", &[0; 32]), BIDDING_OVER);
    let cases = [
        (1, opening(1, 20), WRONG_REVEAL),
        (2, opening(2, 31), WRONG_REVEAL),
        (2, opening(1, 30), WRONG_REVEAL),
        (4, opening(2, 30), WRONG_REVEAL),
        (3, opening(3, RESERVE - 1), BELOW_RESERVE),
        (5, opening(5, 20), NO_COMMIT),
    ];
    for (bidder, input, code) in cases {
        assert_eq!(
            auction.revert(key(bidder), "reveal", &input),
            code,
            "{bidder}"
        );
    }
    auction.reveal(1, 25);
    assert_eq!(auction.revert(key(1), "reveal", &opening(1, 25)), REVEALED);
    auction.chain.set_time(REVEAL_UNTIL_MS);
    assert_eq!(
        auction.revert(key(2), "reveal", &opening(2, 30)),
        NOT_REVEALING
    );
    assert_eq!(auction.settle(), [(1, 1, 25)]);
}

#[test]
fn terms_that_let_nobody_bid_are_refused() {
    for terms in [terms(0, 1, 1), terms(1, 0, 1), terms(1, 1, 0)] {
        assert_eq!(Zapp::refused(key(9), "auction", &terms), BAD_TERMS);
    }
    let overflow = terms(1, u64::MAX, 1);
    assert_eq!(Zapp::refused(key(9), "auction", &overflow), 4);
}
