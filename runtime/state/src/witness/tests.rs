//! A witness can hide, but not lie.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::entry::HEAD;
use crate::journal::Journal;

const AUCTION: ZappId = ZappId::from_bytes([7; 32]);

/// Bids in order of key; the highest wins.
fn auction() -> State {
    let bids = [HEAD, b"bid/1", b"bid/2", b"bid/3", b"bid/4", b"zzz"];
    let other = (0u8..40).map(|byte| (ZappId::SYSTEM, vec![byte; usize::from(byte)], vec![byte]));
    let entries = bids
        .iter()
        .map(|key| (AUCTION, key.to_vec(), b"bid".to_vec()))
        .chain(other);
    State::from_entries(entries).expect("heads are there")
}

fn scan(state: &State) -> Result<(Vec<Vec<u8>>, Touched), NeedState> {
    let mut journal = Journal::new(state);
    let mut keys = Vec::new();
    let mut last = b"bid/".to_vec();
    while let Some(next) = journal.next(&AUCTION, &last)?.key {
        keys.push(next.clone());
        last = next;
    }
    Ok((keys, journal.finish()?.1))
}

fn remove(state: &State, keys: &[&[u8]]) -> Result<(State, Touched), NeedState> {
    let mut journal = Journal::new(state);
    journal.open(&AUCTION);
    for key in keys {
        journal.write(&AUCTION, key, None).expect("open");
    }
    let (writes, touched) = journal.finish()?;
    let mut after = state.clone();
    after.apply(&crate::entry::EntryWrite::list(writes))?;
    Ok((after, touched))
}

fn without(touched: &Touched, hidden: &[u8]) -> Touched {
    let mut rest = Touched::default();
    for (zapp, key) in touched.keys().filter(|(_, key)| *key != hidden) {
        rest.see(zapp, key);
    }
    rest
}

#[test]
fn a_hidden_bid_stops_the_scan() {
    let state = auction();
    let (keys, touched) = scan(&state).expect("whole");
    assert_eq!(keys.len(), 5);
    let witness = state.witness(&touched).expect("whole");
    let opened = witness.open(&state.root()).expect("this root");
    assert_eq!(scan(&opened).map(|(keys, _)| keys), Ok(keys));
    for hidden in [HEAD, b"bid/1", b"bid/2", b"bid/3", b"bid/4", b"zzz"] {
        let witness = state.witness(&without(&touched, hidden)).expect("whole");
        let opened = witness.open(&state.root()).expect("hiding keeps the root");
        assert!(scan(&opened).is_err(), "{hidden:?} hidden");
    }
}

#[test]
fn a_hidden_entry_stops_the_deletion() {
    let state = auction();
    let gone: [&[u8]; 2] = [b"bid/2", b"bid/3"];
    let (after, touched) = remove(&state, &gone).expect("whole");
    let opened = state
        .witness(&touched)
        .expect("whole")
        .open(&state.root())
        .expect("this root");
    let (pruned, _) = remove(&opened, &gone).expect("the witness is whole");
    assert_eq!(pruned.root(), after.root());
    for hidden in [b"bid/1", b"bid/2", b"bid/3"] {
        let witness = state.witness(&without(&touched, hidden)).expect("whole");
        let opened = witness.open(&state.root()).expect("hiding keeps the root");
        assert!(remove(&opened, &gone).is_err(), "{hidden:?} hidden");
    }
}

#[test]
fn a_deletion_needs_the_siblings_preimage() {
    // All leaves of one zApp's half go: whatever stands beside them moves up.
    let state = auction();
    let keys: Vec<Vec<u8>> = state
        .of(&AUCTION)
        .skip(1)
        .map(|(key, _)| key.to_vec())
        .collect();
    let mut refused = 0;
    for key in &keys {
        let (after, touched) = remove(&state, &[key]).expect("whole");
        let witness = state.witness(&touched).expect("whole");
        let opened = witness.open(&state.root()).expect("this root");
        let (pruned, _) = remove(&opened, &[key]).expect("the witness is whole");
        assert_eq!(pruned.root(), after.root());
        // `without` forgets that the entry goes away, and with it the preimage.
        let bare = state.witness(&without(&touched, b"none")).expect("whole");
        let opened = bare.open(&state.root()).expect("this root");
        refused += usize::from(remove(&opened, &[key]).is_err());
    }
    assert!(refused > 0, "no sibling was ever needed");
}

#[test]
fn a_bare_leaf_is_not_an_absent_entry() {
    let entries = [(AUCTION, HEAD.to_vec(), b"bid".to_vec())];
    let state = State::from_entries(entries).expect("the head is there");
    let at = entry::key_hash(&AUCTION, HEAD);
    let value = state.tree().find(&at).expect("whole").expect("there");
    let tree = [[LEAF; 1].as_slice(), &at.0, &value.0].concat();
    let opened = Witness { tree }.open(&state.root()).expect("this root");
    assert_eq!(opened.get(&AUCTION, HEAD), Err(NeedState { at }));
    assert_eq!(opened.next(&AUCTION, b"bid/1"), Err(NeedState { at }));
    assert_eq!(
        opened.get(&AUCTION, b"bid/1"),
        Ok(None),
        "the leaf excludes other keys"
    );
}

#[test]
fn no_altered_byte_opens() {
    let state = auction();
    let (_, touched) = scan(&state).expect("whole");
    let witness = state.witness(&touched).expect("whole");
    let root = state.root();
    for at in 0..witness.tree.len() {
        for flip in [1, 0x80] {
            let mut altered = witness.clone();
            altered.tree[at] ^= flip;
            assert!(altered.open(&root).is_err(), "byte {at} altered");
        }
        let mut short = witness.clone();
        short.tree.truncate(at);
        assert!(short.open(&root).is_err(), "cut to {at} bytes");
    }
    let mut long = witness.clone();
    long.tree.push(EMPTY);
    let offset = witness.tree.len();
    assert_eq!(
        long.open(&root).err(),
        Some(WitnessError::Malformed { offset })
    );
}

#[test]
fn trees_that_no_entries_have_are_malformed() {
    let leaf = [[LEAF; 1].as_slice(), &[0; 64]].concat();
    let stub = [[STUB; 1].as_slice(), &[1; 32]].concat();
    let placeholder = [[STUB; 1].as_slice(), &PLACEHOLDER].concat();
    let left_of_right = [[INNER; 1].as_slice(), &stub, &leaf].concat();
    let deep = [vec![INNER; 257], stub.repeat(258)].concat();
    let table: [(&str, Vec<u8>); 9] = [
        ("nothing", vec![]),
        ("unknown kind", vec![9]),
        ("two empty halves", vec![INNER, EMPTY, EMPTY]),
        (
            "a lone leaf below a node",
            [vec![INNER, EMPTY], leaf.clone()].concat(),
        ),
        ("a leaf off its path", left_of_right),
        (
            "a placeholder as stub",
            [vec![INNER], placeholder, stub.clone()].concat(),
        ),
        ("more levels than bits", deep),
        (
            "a key longer than keys are",
            [vec![ENTRY], vec![0; 32], vec![1, 1], vec![0; 400]].concat(),
        ),
        ("a missing half", [vec![INNER], stub].concat()),
    ];
    for (name, tree) in table {
        let opened = Witness { tree }.open(&StateRoot::from_bytes([0; 32]));
        assert!(
            matches!(opened, Err(WitnessError::Malformed { .. })),
            "{name}"
        );
    }
}

#[test]
fn size_is_bounded_before_reading() {
    let tree = vec![INNER; WITNESS_BYTES_MAX + 1];
    let opened = Witness { tree }.open(&StateRoot::from_bytes([0; 32]));
    assert_eq!(
        opened.err(),
        Some(WitnessError::TooLong(WITNESS_BYTES_MAX + 1))
    );
}

#[test]
fn the_empty_state_has_a_witness() {
    let state = State::default();
    let mut touched = Touched::default();
    touched.see(&AUCTION, b"x");
    let witness = state.witness(&touched).expect("whole");
    assert_eq!(witness.tree, [EMPTY]);
    let opened = witness.open(&state.root()).expect("this root");
    assert_eq!(opened.get(&AUCTION, b"x"), Ok(None));
}
