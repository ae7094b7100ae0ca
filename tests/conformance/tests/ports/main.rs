//! The verifiers in other languages, `attestation/js`, `attestation/go` and `attestation/python`:
//! each judges every golden vector as Rust does, and the more that are made here.
//!
//! A port prints how many cases of which file it has judged; a file or a case that it did not read
//! is a failure, as is a verdict of its own. Without Node, Go or Python a test is a skip, printed as
//! `SKIP: reason`; under `CI=true` a skip fails.

#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

mod more;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use conformance::{golden, outside};
use serde_json::Value;

#[test]
fn javascript_agrees_with_rust_on_every_vector() {
    if let Err(reason) = at_least("node", &["--version"], "v", 18) {
        return outside::skip("the verifier in JavaScript", &reason);
    }
    let folder = golden::repository().join("attestation/js");
    let mut node = Command::new("node");
    node.arg("--test")
        .args(named(&folder.join("test"), ".test.js"));
    agrees(&mut node);
}

#[test]
fn go_agrees_with_rust_on_every_vector() {
    if let Err(reason) = at_least("go", &["version"], "go version go1.", 19) {
        return outside::skip("the verifier in Go", &reason);
    }
    let mut go = Command::new("go");
    go.args(["test", "-v", "-count=1", "./..."])
        .current_dir(golden::repository().join("attestation/go"))
        // Neither a C compiler nor a network nor another version of Go has a part in it.
        .envs([
            ("CGO_ENABLED", "0"),
            ("GOPROXY", "off"),
            ("GOTOOLCHAIN", "local"),
        ])
        .env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go"));
    agrees(&mut go);
}

#[test]
fn python_agrees_with_rust_on_every_vector() {
    let python = match outside::python(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(python) => python,
        Err(reason) => return outside::skip("the verifier in Python", &reason),
    };
    let script = golden::repository().join("attestation/python/vectors.py");
    agrees(Command::new(python).arg("-B").arg(script));
}

/// The verdicts are those of the versions that the verifier in Python asks for.
#[test]
fn python_is_tested_with_the_packages_that_it_asks_for() {
    let asked = golden::repository().join("attestation/python/requirements.txt");
    let asked = fs::read_to_string(asked).unwrap();
    let tested = fs::read_to_string(outside::python_packages()).unwrap();
    let tested: Vec<&str> = tested.lines().collect();
    assert!(asked.lines().count() >= 3);
    for package in asked.lines() {
        assert!(tested.contains(&package), "{package} is not tested");
    }
}

/// Runs a port over all vectors and compares what it has judged with what there is.
fn agrees(port: &mut Command) {
    let more = tempfile::tempdir().unwrap();
    more::write(more.path());
    let output = port.env("ZQ_VECTORS_MORE", more.path()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{port:?}:\n{stdout}\n{stderr}");
    let golden = golden::repository().join("attestation/vectors");
    let wanted: BTreeMap<String, usize> = [golden.as_path(), more.path()]
        .iter()
        .flat_map(|folder| named(folder, ".json"))
        .map(|path| {
            let path = Path::new(&path);
            let name = path.file_name().unwrap().to_string_lossy();
            (name.into_owned(), cases(path))
        })
        .collect();
    assert!(wanted.len() >= 20, "{} files of vectors", wanted.len());
    assert_eq!(judged(&stdout), wanted, "{port:?}");
    println!("{} cases judged", wanted.values().sum::<usize>());
}

/// The lines `vectors FILE COUNT`, whatever a test runner puts before them.
fn judged(stdout: &str) -> BTreeMap<String, usize> {
    stdout
        .lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once("vectors ")?;
            let (name, count) = rest.trim().split_once(' ')?;
            Some((name.to_owned(), count.parse().ok()?))
        })
        .collect()
}

/// The cases of a file: the members of every list that holds objects, and named tags.
fn cases(path: &Path) -> usize {
    let file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let lists = ["valid", "invalid", "malformed", "forged", "quorums"];
    let known = [
        "about",
        "format",
        "length",
        "offsets",
        "checks",
        "signed_bytes",
        "content_type",
    ];
    let mut count = 0;
    for (name, value) in file.as_object().unwrap() {
        if lists.contains(&name.as_str()) {
            count += value
                .as_array()
                .map_or_else(|| value.as_object().unwrap().len(), Vec::len);
        } else {
            assert!(known.contains(&name.as_str()), "{}: {name}", path.display());
        }
    }
    count
}

/// Paths of a folder's files whose names have this end.
fn named(folder: &Path, end: &str) -> Vec<String> {
    let mut paths: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .filter(|path| path.ends_with(end))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no {end}", folder.display());
    paths
}

/// Whether a program is there and says a version that is high enough after `prefix`.
fn at_least(program: &str, arguments: &[&str], prefix: &str, least: u32) -> Result<(), String> {
    let said = outside::printed(Command::new(program).args(arguments))?;
    let version = said.strip_prefix(prefix).unwrap_or_default();
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    match digits.parse::<u32>() {
        Ok(found) if found >= least => Ok(()),
        _ => Err(format!(
            "{program} is too old, or of another kind: {}",
            said.trim()
        )),
    }
}
