//! RFC 9162 §2.1 Merkle trees over SHA-256: root, inclusion path, and the root a path leads to.
//!
//! Leaf hash = SHA-256(0x00 ‖ entry), node = SHA-256(0x01 ‖ left ‖ right). The root does not
//! commit to the number of leaves: the commit does.

use alloc::vec;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};

use crate::ids::LeafRoot;

/// Root over entries in order; SHA-256 of nothing for no entries.
#[must_use]
pub fn root(entries: &[Vec<u8>]) -> LeafRoot {
    LeafRoot::from_bytes(subtree(&hashes(entries)))
}

/// Inclusion path of entry `index`, from the leaf up; `None` if there is no such entry.
#[must_use]
pub fn path(entries: &[Vec<u8>], index: usize) -> Option<Vec<[u8; 32]>> {
    if index >= entries.len() {
        return None;
    }
    let hashes = hashes(entries);
    let (mut part, mut index, mut path) = (hashes.as_slice(), index, Vec::new());
    while let Some(split) = split(part.len()) {
        let (left, right) = part.split_at(split);
        if index < split {
            path.push(subtree(right));
            part = left;
        } else {
            path.push(subtree(left));
            part = right;
            index -= split;
        }
    }
    path.reverse();
    Some(path)
}

/// Inclusion paths of all entries, as [`path`] gives them, for one pass over the tree.
#[must_use]
pub fn paths(entries: &[Vec<u8>]) -> Vec<Vec<[u8; 32]>> {
    let mut paths = vec![Vec::new(); entries.len()];
    climb(&hashes(entries), &mut paths);
    paths
}

/// The root that `path` leads to from the leaf hash of entry `index` of `size` (RFC 9162
/// §2.1.3.2); `None` if the index or the path's length does not fit the size.
#[must_use]
pub fn root_from_path(
    leaf: [u8; 32],
    index: u64,
    size: u64,
    path: &[[u8; 32]],
) -> Option<LeafRoot> {
    if index >= size {
        return None;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0).then(|| LeafRoot::from_bytes(hash))
}

/// SHA-256(0x00 ‖ entry).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(entry);
    hash.finalize().into()
}

fn node_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

fn hashes(entries: &[Vec<u8>]) -> Vec<[u8; 32]> {
    entries.iter().map(|entry| leaf_hash(entry)).collect()
}

/// Depth of recursion is log2 of the number of hashes.
fn subtree(hashes: &[[u8; 32]]) -> [u8; 32] {
    match (hashes, split(hashes.len())) {
        ([], _) => Sha256::digest([]).into(),
        ([only], _) => *only,
        (_, None) => unreachable!("two or more hashes always split"),
        (_, Some(at)) => {
            let (left, right) = hashes.split_at(at);
            node_hash(&subtree(left), &subtree(right))
        }
    }
}

/// The root over `hashes`; on the way up every path below a node learns the other side's hash.
fn climb(hashes: &[[u8; 32]], paths: &mut [Vec<[u8; 32]>]) -> [u8; 32] {
    let Some(at) = split(hashes.len()) else {
        return subtree(hashes);
    };
    let (left, right) = hashes.split_at(at);
    let (left_paths, right_paths) = paths.split_at_mut(at);
    let (left, right) = (climb(left, left_paths), climb(right, right_paths));
    left_paths.iter_mut().for_each(|path| path.push(right));
    right_paths.iter_mut().for_each(|path| path.push(left));
    node_hash(&left, &right)
}

/// The largest power of two below `len`; `None` for fewer than two.
fn split(len: usize) -> Option<usize> {
    (len >= 2).then(|| 1 << (len - 1).ilog2())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 9162 §2.1.1 word for word.
    fn by_definition(entries: &[Vec<u8>]) -> [u8; 32] {
        match entries {
            [] => Sha256::digest([]).into(),
            [one] => leaf_hash(one),
            _ => {
                let mut k = 1;
                while k * 2 < entries.len() {
                    k *= 2;
                }
                node_hash(&by_definition(&entries[..k]), &by_definition(&entries[k..]))
            }
        }
    }

    fn entries(count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|at| at.to_be_bytes().to_vec()).collect()
    }

    #[test]
    fn all_paths_at_once_are_the_single_paths() {
        for count in 0..=40 {
            let entries = entries(count);
            let single: Vec<_> = (0..count).filter_map(|at| path(&entries, at)).collect();
            assert_eq!(paths(&entries), single);
        }
    }

    #[test]
    fn every_path_of_every_small_tree_leads_to_the_root_and_no_other_does() {
        for count in 1..=40 {
            let entries = entries(count);
            let root = root(&entries);
            assert_eq!(*root.as_bytes(), by_definition(&entries), "{count} entries");
            for index in 0..count {
                let path = path(&entries, index).unwrap();
                for claimed in 0..count {
                    let hash = leaf_hash(&entries[index]);
                    let found = root_from_path(hash, claimed as u64, count as u64, &path);
                    assert_eq!(
                        found == Some(root),
                        claimed == index,
                        "leaf {index} of {count} as {claimed}"
                    );
                }
            }
            assert_eq!(super::path(&entries, count), None);
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let path = vec![[1; 32]; 64];
        let first = root_from_path([0; 32], 0, u64::MAX, &path);
        // 2^64 − 2 has 63 bits set: so many subtrees lie left of the last leaf.
        let last = root_from_path([0; 32], u64::MAX - 1, u64::MAX, &path[1..]);
        assert!(first.is_some() && last.is_some());
        assert_eq!(root_from_path([0; 32], u64::MAX, u64::MAX, &path), None);
        assert_eq!(root_from_path([0; 32], 0, 0, &[]), None);
    }

    proptest! {
        #[test]
        fn paths_of_random_trees_lead_to_the_root(count in 1usize..700, pick in any::<usize>()) {
            let entries = entries(count);
            let index = pick % count;
            let path = path(&entries, index).unwrap();
            let hash = leaf_hash(&entries[index]);
            let found = root_from_path(hash, index as u64, count as u64, &path);
            prop_assert_eq!(found, Some(root(&entries)));
        }

        #[test]
        fn any_path_is_judged_without_panic(
            index in any::<u64>(),
            size in any::<u64>(),
            path in proptest::collection::vec(any::<[u8; 32]>(), 0..70),
        ) {
            let root = root_from_path([0; 32], index, size, &path);
            prop_assert!(root.is_none() || index < size);
        }
    }
}
