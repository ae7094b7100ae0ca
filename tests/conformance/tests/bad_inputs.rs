//! Every bad input is refused with the error written in its file.

#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

use std::collections::BTreeSet;
use std::fs;

use conformance::bad::{self, Bad};
use conformance::golden;

const FOLDER: &str = "tests/conformance/bad";
const DIGITS_PER_LINE: usize = 96;

#[test]
fn every_bad_input_is_refused_as_expected() {
    for case in bad::cases() {
        let name = format!("{}/{}", case.format, case.reason);
        let refusal = bad::refusal(case.format, &case.bytes);
        assert_eq!(refusal.as_deref(), Some(case.error), "{name}");
    }
}

#[test]
fn the_files_are_the_cases() {
    let mut paths = BTreeSet::new();
    for case in bad::cases() {
        let path = format!("{FOLDER}/{}/{}.hex", case.format, case.reason);
        golden::check_text(&path, &text(&case));
        assert!(paths.insert(path.clone()), "{path} twice");
    }
    for format in names(FOLDER) {
        let folder = format!("{FOLDER}/{format}");
        for file in names(&folder) {
            let path = format!("{folder}/{file}");
            assert!(paths.contains(&path), "{path} belongs to no case");
        }
    }
}

fn names(folder: &str) -> Vec<String> {
    fs::read_dir(golden::repository().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn text(case: &Bad) -> String {
    let digits = hex::encode(&case.bytes);
    let mut text = format!("refused: {}\n", case.error);
    for line in digits.as_bytes().chunks(DIGITS_PER_LINE) {
        text.push_str(std::str::from_utf8(line).unwrap());
        text.push('\n');
    }
    text
}
