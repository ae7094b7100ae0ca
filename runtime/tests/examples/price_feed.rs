//! `price-feed`.

use attestation::source::{Absence, Observed, Place, Reducer, Source};

use super::Zapp;
use crate::harness::key;

const BAD_MINIMUM: u32 = 100;
const UNTRUSTED: u32 = 101;
const TOO_FEW_SOURCES: u32 = 102;
const NO_PRICE: u32 = 103;
const STALE: u32 = 104;
const NOT_OWNER: u32 = 3;

fn source(host: &str) -> Source {
    Source {
        at: Place::HttpJson {
            url: format!("https://{host}/price"),
        },
        pointer: "/usd".to_owned(),
        scale: Some(8),
        reducer: Reducer::Median,
    }
}

/// A feed that needs `min` sources and trusts these.
fn feed(min: u8, trusted: &[&str]) -> Zapp {
    let mut feed = Zapp::deployed(key(9), "price-feed", &[min]);
    for host in trusted {
        feed.ok(key(9), "trust", source(host).id().as_bytes());
    }
    feed
}

fn all(values: [i64; 4]) -> Vec<Vec<Observed>> {
    let seen = values.into_iter();
    seen.map(|value| vec![Observed::Integer(value)]).collect()
}

fn i64_of(bytes: &[u8]) -> i64 {
    i64::from_be_bytes(bytes.try_into().expect("8 bytes"))
}

#[test]
fn the_price_is_the_median_of_what_members_saw_whatever_one_of_them_says() {
    let mut feed = feed(1, &["a"]);
    for (seen, price) in [
        ([100, 101, 102, 103], 101),
        ([100, i64::MAX, 102, 103], 102),
        ([i64::MIN, 101, 102, 103], 101),
    ] {
        feed.chain.pull(vec![source("a")], all(seen));
        let (output, events) = feed.ok(key(1), "update", &[]);
        assert_eq!(i64_of(&output), price);
        assert_eq!(events, ["updated"]);
        assert_eq!(i64_of(&feed.view("price", &5_000u64.to_be_bytes())), price);
    }
}

#[test]
fn a_source_without_a_value_counts_for_nothing() {
    let mut feed = feed(2, &["a", "b", "c"]);
    let absent = Observed::Absent(Absence::Unreachable);
    let sources = || vec![source("a"), source("b"), source("c")];
    // At `b` one member of four sees something: that is no value.
    let row = |a: i64, b: Option<i64>, c: i64| {
        vec![
            Observed::Integer(a),
            b.map_or(absent.clone(), Observed::Integer),
            Observed::Integer(c),
        ]
    };
    let seen = (0..4).map(|at| row(10 + at, (at == 0).then_some(99), 20 + at));
    feed.chain.pull(sources(), seen.collect());
    let (output, _) = feed.ok(key(1), "update", &[]);
    assert_eq!(i64_of(&output), 11);
    let latest = feed.view("latest", &[]);
    assert_eq!(latest.last(), Some(&2), "sources");

    let none = vec![Observed::Integer(1), absent.clone(), absent.clone()];
    feed.chain.pull(sources(), vec![none; 4]);
    assert_eq!(feed.revert(key(1), "update", &[]), TOO_FEW_SOURCES);
    assert_eq!(feed.revert(key(1), "update", &[]), TOO_FEW_SOURCES);
}

#[test]
fn a_source_that_the_owner_did_not_list_moves_nothing() {
    let mut feed = feed(1, &["a"]);
    let mut other = source("a");
    other.reducer = Reducer::Mode;
    for untrusted in [source("b"), other] {
        feed.chain.pull(vec![untrusted], all([1, 1, 1, 1]));
        assert_eq!(feed.revert(key(9), "update", &[]), UNTRUSTED);
    }
    let id = source("a").id();
    assert_eq!(feed.view("trusted", id.as_bytes()), [1]);
    feed.ok(key(9), "distrust", id.as_bytes());
    feed.chain.pull(vec![source("a")], all([1, 1, 1, 1]));
    assert_eq!(feed.revert(key(9), "update", &[]), UNTRUSTED);
}

#[test]
fn the_owner_alone_lists_sources() {
    let mut feed = feed(1, &[]);
    let id = source("a").id();
    for method in ["trust", "distrust", "give"] {
        assert_eq!(feed.revert(key(1), method, id.as_bytes()), NOT_OWNER);
    }
    feed.ok(key(9), "give", key(1).as_bytes());
    assert_eq!(feed.revert(key(9), "trust", id.as_bytes()), NOT_OWNER);
    feed.ok(key(1), "trust", id.as_bytes());
}

#[test]
fn an_old_price_is_not_given_to_who_wants_a_new_one() {
    let mut feed = feed(1, &["a"]);
    let price = |feed: &mut Zapp, age_ms: u64| {
        let zapp = feed.id;
        feed.chain.query(zapp, "price", &age_ms.to_be_bytes())
    };
    assert_eq!(price(&mut feed, 1).code, NO_PRICE);
    feed.chain.set_time(100_000);
    feed.chain.pull(vec![source("a")], all([5, 5, 5, 5]));
    feed.ok(key(1), "update", &[]);
    feed.chain.set_time(101_000);
    assert_eq!(i64_of(&price(&mut feed, 1_000).output), 5);
    assert_eq!(price(&mut feed, 999).code, STALE);
}

#[test]
fn a_feed_needs_a_source_and_not_more_than_a_request_may_name() {
    for min in [0, 17] {
        assert_eq!(Zapp::refused(key(9), "price-feed", &[min]), BAD_MINIMUM);
    }
}
