//! SPECIFICATION.md and the two RULES.md name tests that exist, and a test for each rule.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn rust_files(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory of the repository") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_output = name == "target" || name.starts_with("target-");
        if path.is_dir() && !name.starts_with('.') && !is_output {
            rust_files(&path, files);
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
}

/// Names of all functions that follow a test attribute.
fn tests() -> BTreeSet<String> {
    let mut files = Vec::new();
    rust_files(&root(), &mut files);
    let mut names = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some(rest) = line.split("fn ").nth(1).filter(|_| is_test) {
                names.insert(rest.split('(').next().unwrap_or_default().to_owned());
                is_test = false;
            }
        }
    }
    names
}

/// The last cells of a document's table rows.
fn last_cells(document: &str) -> impl Iterator<Item = &str> {
    document
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|row| row.trim_end_matches('|').rsplit('|').next())
}

#[test]
fn every_test_that_the_specification_names_exists() {
    let document = fs::read_to_string(root().join("SPECIFICATION.md")).expect("SPECIFICATION.md");
    let tests = tests();
    let named: Vec<&str> = last_cells(&document)
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    let missing: Vec<&&str> = named
        .iter()
        .filter(|name| !tests.contains(**name))
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
    assert!(named.len() >= 80, "only {} tests are named", named.len());
}

/// Tables of rules.
const RULES: [&str; 2] = [
    "coordinator/protocol/RULES.md",
    "signer-node/protocol/RULES.md",
];

fn read(document: &str) -> String {
    fs::read_to_string(root().join(document)).expect(document)
}

/// Whether a word is as long as only names of tests are, whole or cut off with "…".
fn is_test_name(word: &str) -> bool {
    let is_snake = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '_');
    word.chars().all(is_snake) && word.matches('_').count() >= 3
}

/// The names of tests in a text, whatever module they follow, and whether each is cut off.
fn names(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let words = text.split(|letter: char| letter.is_whitespace() || ",`()|;[]".contains(letter));
    words.filter_map(|word| {
        let name = word.rsplit("::").next()?.trim_end_matches(['.', ':']);
        let whole = name.trim_end_matches('…');
        is_test_name(whole).then_some((whole, whole != name))
    })
}

#[test]
fn every_test_that_a_document_names_anywhere_exists() {
    let tests = tests();
    for (document, least) in [("SPECIFICATION.md", 600), (RULES[0], 80), (RULES[1], 40)] {
        let text = read(document);
        let named: Vec<(&str, bool)> = names(&text).collect();
        for (name, is_cut) in &named {
            let exists = match is_cut {
                true => tests.iter().any(|test| test.starts_with(name)),
                false => tests.contains(*name),
            };
            assert!(exists, "{document} names {name}, which is no test");
        }
        let count = named.len();
        assert!(count >= least, "only {count} tests are named in {document}");
    }
}

#[test]
fn every_rule_has_a_test_or_says_what_checks_it() {
    for document in RULES {
        let text = read(document);
        let (mut seen, head) = (0, " test ");
        for cell in last_cells(&text).filter(|cell| *cell != head) {
            // A module of tests, or what looks on in every run.
            let checked = ["::", "rules.rs in every test", "the simulator"];
            let is_checked = checked.iter().any(|what| cell.contains(what));
            assert!(
                is_checked || names(cell).next().is_some(),
                "a rule of {document} names no test: {cell}"
            );
            seen += 1;
        }
        assert!(seen >= 20, "only {seen} rules in {document}");
    }
}

#[test]
fn every_test_that_the_rules_of_a_step_name_exists() {
    let path = root().join("coordinator/protocol/RULES.md");
    let document = fs::read_to_string(path).expect("RULES.md");
    let tests = tests();
    let mut seen = 0;
    for cell in last_cells(&document) {
        for (_, name) in cell
            .split([',', ' '])
            .filter_map(|word| word.split_once("::"))
        {
            let name = name.trim_end_matches(['…', ')']);
            if name == "*" || name == "tests" {
                continue;
            }
            assert!(
                tests.iter().any(|test| test.starts_with(name)),
                "no test {name}"
            );
            seen += 1;
        }
    }
    assert!(seen >= 30, "only {seen} tests are named");
}
