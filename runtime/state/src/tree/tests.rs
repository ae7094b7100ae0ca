//! The `jmt` crate is the oracle: same entries, same root.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use jmt::mock::MockTreeStore;
use jmt::{JellyfishMerkleTree, KeyHash as JmtKey, RootHash};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;

/// Key hashes that share prefixes of any length: `share` bits of `stem`, then another bit, then
/// noise.
fn key(stem: bool, share: u8, noise: u8) -> KeyHash {
    let mut bytes = [if stem { 0xff } else { 0 }; 32];
    let at = usize::from(share / 8);
    bytes[at] ^= 0x80 >> (share % 8);
    bytes[31] ^= noise & 3;
    KeyHash(bytes)
}

fn any_key() -> impl Strategy<Value = KeyHash> {
    let deep = (any::<bool>(), any::<u8>(), any::<u8>()).prop_map(|(a, b, c)| key(a, b, c));
    let flat = (0u8..64).prop_map(|byte| KeyHash(Sha256::digest([byte]).into()));
    prop_oneof![deep, flat]
}

fn batches() -> impl Strategy<Value = Vec<BTreeMap<KeyHash, Option<u8>>>> {
    let batch = prop::collection::btree_map(any_key(), any::<Option<u8>>(), 1..24);
    prop::collection::vec(batch, 1..12)
}

fn hash(value: u8) -> ValueHash {
    ValueHash(Sha256::digest([value]).into())
}

fn changes(batch: &BTreeMap<KeyHash, Option<u8>>) -> Changes {
    batch
        .iter()
        .map(|(key, value)| (*key, value.map(hash)))
        .collect()
}

proptest! {
    #[test]
    fn roots_and_proofs_are_those_of_jmt(batches in batches()) {
        let store = MockTreeStore::new(true);
        let oracle = JellyfishMerkleTree::<_, Sha256>::new(&store);
        let mut tree = Tree::default();
        let mut live = BTreeMap::new();
        for (version, batch) in (0u64..).zip(&batches) {
            let set = batch.iter().map(|(key, value)| (JmtKey(key.0), value.map(|v| [v].to_vec())));
            let (root, update) = oracle.put_value_set(set, version).expect("the oracle takes it");
            store.write_tree_update_batch(update).expect("in memory");
            tree = tree.with(&changes(batch)).expect("nothing is pruned");
            prop_assert_eq!(*tree.root().as_bytes(), root.0);
            for (key, value) in batch {
                match value {
                    Some(value) => live.insert(*key, *value),
                    None => live.remove(key),
                };
            }
            for key in batch.keys() {
                let (value, proof) = oracle.get_with_proof(JmtKey(key.0), version).expect("there");
                let root = RootHash(*tree.root().as_bytes());
                prop_assert!(proof.verify(root, JmtKey(key.0), value).is_ok());
                let found = tree.find(key).map(Option::<&ValueHash>::copied);
                prop_assert_eq!(found, Ok(live.get(key).copied().map(hash)));
            }
        }
    }

    #[test]
    fn root_depends_on_entries_alone(batches in batches()) {
        let mut tree = Tree::default();
        let mut live = Changes::new();
        for batch in &batches {
            tree = tree.with(&changes(batch)).expect("nothing is pruned");
            live.extend(changes(batch));
        }
        let at_once = Tree::default().with(&live).expect("nothing is pruned");
        prop_assert_eq!(tree.root(), at_once.root());
        let none = live.into_keys().map(|key| (key, None)).collect();
        let emptied = tree.with(&none).expect("nothing is pruned");
        prop_assert_eq!(emptied.root(), Tree::default().root());
    }
}

#[test]
fn deletion_beside_a_stub_needs_its_preimage() {
    let [a, b] = [KeyHash([0x00; 32]), KeyHash([0x80; 32])];
    let leaf = Node::leaf(a, hash(1));
    let stub = Tree {
        top: Node::inner(leaf.clone(), Node::Stub(*Node::leaf(b, hash(2)).hash())),
    };
    let delete = Changes::from([(a, None)]);
    assert_eq!(
        stub.with(&delete).map(|tree| tree.root()),
        Err(NeedState { at: a })
    );
    let shown = Tree {
        top: Node::inner(leaf, Node::leaf(b, hash(2))),
    };
    assert_eq!(shown.root(), stub.root());
    let left = Tree {
        top: Node::leaf(b, hash(2)),
    };
    assert_eq!(shown.with(&delete).map(|tree| tree.root()), Ok(left.root()));
}

#[test]
fn a_stub_answers_nothing() {
    let at = KeyHash([7; 32]);
    let tree = Tree {
        top: Node::Stub([1; 32]),
    };
    assert_eq!(tree.find(&at), Err(NeedState { at }));
    let insert = Changes::from([(at, Some(hash(1)))]);
    assert_eq!(
        tree.with(&insert).map(|tree| tree.root()),
        Err(NeedState { at })
    );
    assert_eq!(
        tree.with(&Changes::new()).map(|tree| tree.root()),
        Ok(tree.root())
    );
}

#[test]
fn shares_counts_bits() {
    let a = KeyHash([0; 32]);
    for bit in 0..256u16 {
        let mut b = a;
        b.0[usize::from(bit / 8)] |= 0x80 >> (bit % 8);
        assert!(a.shares(&b, bit) && !a.shares(&b, bit + 1), "bit {bit}");
        assert!(b.bit(bit) && !a.bit(bit));
    }
    assert!(a.shares(&a, 256));
}
