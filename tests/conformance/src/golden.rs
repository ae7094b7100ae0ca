//! Files that tests compare with, or write if asked to.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

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
