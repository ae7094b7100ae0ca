//! Files that tests compare with, or write if asked to.

use std::fs;
use std::path::{Path, PathBuf};

use attestation::commit::Commit;
use serde_json::{Value, json};

/// The environment variable that turns comparing into writing.
pub const UPDATE: &str = "ZQ_UPDATE_VECTORS";

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Compares a JSON file with what the code makes, or writes it in update mode.
///
/// # Panics
/// If the file differs or cannot be read.
pub fn check_json(path: &str, value: &Value) {
    let text = serde_json::to_string_pretty(value).expect("JSON values always print") + "\n";
    check_text(path, &text);
}

/// Compares a text file with what the code makes, or writes it in update mode.
///
/// # Panics
/// If the file differs or cannot be read.
pub fn check_text(path: &str, text: &str) {
    let file = repository().join(path);
    if updating() {
        let folder = file.parent().expect("every vector lies in a folder");
        fs::create_dir_all(folder).expect("the folder can be made");
        fs::write(&file, text).expect("the file can be written");
        return;
    }
    let found = fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{path}: {error}; {UPDATE}=1 writes it"));
    assert!(
        found == text,
        "{path} is not what the code makes. If the format changed on purpose, {UPDATE}=1 writes \
         it anew"
    );
}

/// Whether files are written instead of compared.
#[must_use]
pub fn updating() -> bool {
    std::env::var_os(UPDATE).is_some_and(|value| value == "1")
}

/// A commit as the vectors write it: numbers of 64 bits are decimal strings.
#[must_use]
pub fn commit_fields(commit: &Commit) -> Value {
    json!({
        "network": commit.network.to_string(),
        "committee": commit.committee,
        "epoch": commit.epoch.to_string(),
        "seq": commit.seq.to_string(),
        "tree_size": commit.tree_size.to_string(),
        "previous_state": commit.previous_state,
        "state": commit.state,
        "profile": commit.profile,
        "previous": commit.previous,
        "anchor_height": commit.anchor_height.to_string(),
        "anchor": commit.anchor,
        "time_ms": commit.time_ms.to_string(),
        "gas_used": commit.gas_used.to_string(),
        "inputs": commit.inputs,
        "trace": commit.trace,
    })
}
