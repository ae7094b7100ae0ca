//! Merkle trees: roots and paths, with the entries and roots of Certificate Transparency's own
//! test data (RFC 6962 and RFC 9162 hash alike).

use attestation::merkle;
use serde_json::{Value, json};

use crate::check;

const ENTRIES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

#[test]
fn merkle_trees() {
    let entries: Vec<Vec<u8>> = ENTRIES.map(|entry| hex::decode(entry).unwrap()).into();
    let mut valid = Vec::new();
    let mut invalid = Vec::new();
    for (size, root) in ROOTS.iter().enumerate() {
        let entries = &entries[..size];
        assert_eq!(merkle::root(entries).to_string(), *root, "{size} entries");
        let paths: Vec<Value> = (0..size)
            .map(|index| {
                let path = merkle::path(entries, index).unwrap();
                invalid.extend(refused(&entries[index], index, size, &path));
                json!(path.iter().map(hex::encode).collect::<Vec<_>>())
            })
            .collect();
        let entries: Vec<String> = entries.iter().map(hex::encode).collect();
        valid.push(json!({ "entries": entries, "root": root, "paths": paths }));
    }
    check(
        "merkle",
        "RFC 9162 trees over SHA-256. `paths` are the inclusion paths of all entries, from the \
         leaf up. Invalid: the path does not fit index and size.",
        json!({ "valid": valid, "invalid": invalid }),
    );
}

/// Paths that are one hash too short or too long, and an index beyond the end.
fn refused(entry: &[u8], index: usize, size: usize, path: &[[u8; 32]]) -> Vec<Value> {
    let short = path.split_last().map(|(_, short)| short.to_vec());
    let long = [path, &[[0xaa; 32]]].concat();
    let mut cases = vec![
        ("too-long", index, long),
        ("no-such-entry", size, path.to_vec()),
    ];
    cases.extend(short.map(|short| ("too-short", index, short)));
    let hash = merkle::leaf_hash(entry);
    cases
        .into_iter()
        .map(|(name, index, path)| {
            let (at, of) = (index as u64, size as u64);
            assert_eq!(merkle::root_from_path(hash, at, of, &path), None, "{name}");
            json!({
                "name": name,
                "leaf_hash": hex::encode(hash),
                "index": index,
                "size": size,
                "path": path.iter().map(hex::encode).collect::<Vec<_>>(),
            })
        })
        .collect()
}
