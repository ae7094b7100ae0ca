//! Links, proofs, and the pruned run against the whole one.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::journal::Journal;
use crate::proof::{EntryProof, PathEnd, ProofError};

const ZAPPS: [ZappId; 2] = [ZappId::from_bytes([1; 32]), ZappId::from_bytes([2; 32])];

type Model = BTreeMap<ZappId, BTreeMap<Vec<u8>, Vec<u8>>>;

#[derive(Clone, Debug)]
enum Act {
    Get(Vec<u8>),
    Next(Vec<u8>),
    Set(Vec<u8>, u8),
    Delete(Vec<u8>),
    Revert,
}

fn act() -> impl Strategy<Value = (usize, Act)> {
    let key = || prop::collection::vec(0u8..4, 1..4);
    let act = prop_oneof![
        key().prop_map(Act::Get),
        key().prop_map(Act::Next),
        (key(), 0u8..3).prop_map(|(key, value)| Act::Set(key, value)),
        (key(), 0u8..3).prop_map(|(key, value)| Act::Set(key, value)),
        key().prop_map(Act::Delete),
        key().prop_map(Act::Delete),
        Just(Act::Revert),
    ];
    (0..2usize, act)
}

/// What the acts read.
fn perform(
    journal: &mut Journal<'_>,
    acts: &[(usize, Act)],
) -> Result<Vec<Option<Vec<u8>>>, NeedState> {
    let mut seen = Vec::new();
    journal.begin();
    for (zapp, act) in acts {
        let zapp = &ZAPPS[*zapp];
        journal.open(zapp);
        match act {
            Act::Get(key) => seen.push(journal.get(zapp, key)?.map(<[u8]>::to_vec)),
            Act::Next(key) => seen.push(journal.next(zapp, key)?.key),
            Act::Set(key, value) => journal.write(zapp, key, Some(&[*value])).expect("open"),
            Act::Delete(key) => journal.write(zapp, key, None).expect("open"),
            Act::Revert => journal.revert(Journal::new(&State::default()).checkpoint()),
        }
    }
    Ok(seen)
}

/// The same on sorted maps.
fn model(model: &mut Model, acts: &[(usize, Act)]) -> Vec<Option<Vec<u8>>> {
    let before = model.clone();
    let mut seen = Vec::new();
    for (zapp, act) in acts {
        let entries = model.entry(ZAPPS[*zapp]).or_default();
        match act {
            Act::Get(key) => seen.push(entries.get(key).cloned()),
            Act::Next(key) => {
                let above = (Bound::Excluded(key.clone()), Bound::Unbounded);
                seen.push(entries.range(above).next().map(|(key, _)| key.clone()));
            }
            Act::Set(key, value) => {
                entries.insert(key.clone(), vec![*value]);
            }
            Act::Delete(key) => {
                entries.remove(key);
            }
            Act::Revert => *model = before.clone(),
        }
    }
    seen
}

fn rows(model: &Model) -> Vec<(ZappId, Vec<u8>, Vec<u8>)> {
    let rows = model.iter().flat_map(|(zapp, entries)| {
        entries
            .iter()
            .map(|(key, value)| (*zapp, key.clone(), value.clone()))
    });
    rows.collect()
}

fn genesis() -> Model {
    ZAPPS
        .iter()
        .map(|zapp| (*zapp, BTreeMap::from([(HEAD.to_vec(), Vec::new())])))
        .collect()
}

fn assert_linked(state: &State) {
    for zapp in &ZAPPS {
        let keys: Vec<_> = state.of(zapp).map(|(key, _)| key.to_vec()).collect();
        let links: Vec<_> = state
            .of(zapp)
            .map(|(_, entry)| entry.next.clone())
            .collect();
        let mut sorted = keys.clone();
        sorted.sort();
        assert_eq!(keys, sorted);
        assert_eq!(keys[1..], links[..links.len() - 1]);
        assert_eq!(links.last().map(Vec::as_slice), Some(END));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn pruned_run_is_the_whole_run(
        steps in prop::collection::vec(prop::collection::vec(act(), 1..40), 1..6),
    ) {
        let mut expected = genesis();
        let mut state = State::from_entries(rows(&expected)).expect("heads are there");
        for acts in &steps {
            let mut journal = Journal::new(&state);
            let seen = perform(&mut journal, acts).expect("nothing is pruned");
            prop_assert_eq!(&seen, &model(&mut expected, acts));
            let (writes, touched) = journal.finish().expect("nothing is pruned");

            let witness = state.witness(&touched).expect("nothing is pruned");
            let mut pruned = witness.open(&state.root()).expect("made for this root");
            let mut journal = Journal::new(&pruned);
            prop_assert_eq!(perform(&mut journal, acts), Ok(seen));
            let (pruned_writes, _) = journal.finish().expect("the witness is whole");
            prop_assert_eq!(&pruned_writes, &writes);
            pruned.commit(&writes).expect("the witness is whole");

            state.commit(&writes).expect("nothing is pruned");
            prop_assert_eq!(pruned.root(), state.root());
            let rebuilt = State::from_entries(rows(&expected)).expect("heads are there");
            prop_assert_eq!(state.root(), rebuilt.root());
            assert_linked(&state);
            for key in [b"\0".as_slice(), b"\x01\x02", b"\x03\x03\x03", HEAD] {
                let proof = state.proof(&ZAPPS[0], key).expect("nothing is pruned");
                let bytes = proof.to_bytes();
                let decoded = EntryProof::from_bytes(&bytes);
                prop_assert_eq!(decoded.as_ref(), Ok(&proof));
                let value = expected[&ZAPPS[0]].get(key).map(Vec::as_slice);
                prop_assert_eq!(proof.verify(&state.root()), Ok(value));
            }
        }
    }
}

fn letters() -> State {
    let mut model = genesis();
    for key in [b"a", b"c", b"e"] {
        model
            .entry(ZAPPS[0])
            .or_default()
            .insert(key.to_vec(), vec![key[0]]);
    }
    State::from_entries(rows(&model)).expect("heads are there")
}

#[test]
fn writes_to_a_zapp_without_head_are_refused() {
    let write = |key: &[u8]| EntryWrite {
        zapp: ZappId::from_bytes([9; 32]),
        key: key.to_vec(),
        value: Some(vec![]),
    };
    let mut state = letters();
    let root = state.root();
    assert!(state.apply(&[write(b"x")]).is_err());
    assert_eq!(state.root(), root);
    assert!(state.apply(&[write(b"x"), write(HEAD)]).is_ok());
}

#[test]
fn next_is_told_by_the_predecessor() {
    let state = letters();
    let table: [(&[u8], Option<&[u8]>); 6] = [
        (HEAD, Some(b"a")),
        (b"a", Some(b"c")),
        (b"b", Some(b"c")),
        (b"c\0", Some(b"e")),
        (b"e", None),
        (b"zz", None),
    ];
    for (key, next) in table {
        assert_eq!(state.next(&ZAPPS[0], key), Ok(next), "after {key:?}");
    }
    assert_eq!(state.next(&ZappId::from_bytes([9; 32]), b"a"), Ok(None));
}

#[test]
fn altered_proofs_prove_nothing() {
    let state = letters();
    let root = state.root();
    let proof = state.proof(&ZAPPS[0], b"c").expect("whole");
    assert_eq!(proof.verify(&root), Ok(Some(b"c".as_slice())));

    let mut value = proof.clone();
    value.end = PathEnd::Entry {
        value: vec![b'x'],
        next: b"e".to_vec(),
    };
    let mut link = proof.clone();
    link.end = PathEnd::Entry {
        value: vec![b'c'],
        next: END.to_vec(),
    };
    let mut absent = proof.clone();
    absent.end = PathEnd::Empty;
    let mut other_key = proof.clone();
    other_key.key = b"d".to_vec();
    let mut sibling = proof.clone();
    sibling.siblings[0] ^= 1;
    let mut shorter = proof.clone();
    shorter.siblings.truncate(shorter.siblings.len() - 32);
    for altered in [value, link, absent, other_key, sibling, shorter] {
        assert!(
            matches!(altered.verify(&root), Err(ProofError::Root(_))),
            "{altered:?}"
        );
    }
    let mut ragged = proof.clone();
    ragged.siblings.pop();
    assert!(matches!(ragged.verify(&root), Err(ProofError::Siblings(_))));
    let mut deep = proof.clone();
    deep.siblings = vec![0; 32 * 257];
    assert!(matches!(deep.verify(&root), Err(ProofError::Siblings(_))));
}

#[test]
fn a_leaf_elsewhere_excludes_nothing() {
    let state = letters();
    let root = state.root();
    for key in [b"a", b"c", b"e"] {
        let at = entry::key_hash(&ZAPPS[0], key);
        let value = state.tree().find(&at).expect("whole").expect("there");
        let mut own = state.proof(&ZAPPS[0], key).expect("whole");
        own.end = PathEnd::Other {
            key: attestation::ids::Digest::from_bytes(at.0),
            value: attestation::ids::Digest::from_bytes(value.0),
        };
        assert_eq!(own.verify(&root), Err(ProofError::Elsewhere));
        // Another key's absence cannot be shown with a leaf off its path.
        let other = (0u8..=255)
            .map(|byte| vec![byte, 0])
            .find(|other| !entry::key_hash(&ZAPPS[0], other).shares(&at, 1))
            .expect("half of all keys");
        own.key = other;
        assert_eq!(own.verify(&root), Err(ProofError::Elsewhere));
    }
}
