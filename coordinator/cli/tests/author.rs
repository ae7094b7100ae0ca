//! What an author does, in a folder far from this repository: a project is made, built and tested,
//! and what is wrong with one is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn zq(dir: &Path, arguments: &[&str]) -> Output {
    let mut zq = Command::new(env!("CARGO_BIN_EXE_zq"));
    zq.args(arguments).current_dir(dir);
    // An author has none of what cargo tells this test, nor our target folder.
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO") && name != "CARGO_HOME" && name != "CARGO" {
            zq.env_remove(name);
        }
    }
    zq.output().expect("zq starts")
}

/// Everything that was said.
fn said(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr];
    texts
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .concat()
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).expect("a file of the project");
    assert!(text.contains(from), "{} holds {from}", file.display());
    fs::write(file, text.replace(from, to)).expect("writable");
}

#[test]
fn a_new_project_builds_and_its_tests_pass_until_one_is_broken() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let made = zq(scratch.path(), &["zapp", "new", "my-poll"]);
    assert_eq!(made.status.code(), Some(0), "{}", said(&made));
    let again = zq(scratch.path(), &["zapp", "new", "my-poll"]);
    assert_eq!(again.status.code(), Some(1), "nothing is written over");
    let project = scratch.path().join("my-poll");

    let tested = zq(&project, &["--json", "zapp", "test"]);
    assert_eq!(tested.status.code(), Some(0), "{}", said(&tested));
    assert!(said(&tested).contains("5 passed"), "{}", said(&tested));
    let value: Value = serde_json::from_slice(&tested.stdout).expect("one JSON value");
    let module = PathBuf::from(value["path"].as_str().expect("a path"));
    assert_eq!(module.file_name(), Some("my-poll.wasm".as_ref()));

    let checked = zq(
        scratch.path(),
        &["--json", "zapp", "check", module.to_str().expect("UTF-8")],
    );
    let verdict: Value = serde_json::from_slice(&checked.stdout).expect("one JSON value");
    assert_eq!(
        (&verdict["valid"], &verdict["module"]),
        (&true.into(), &value["module"])
    );
    assert_eq!(verdict["zapp"], "my-poll");

    // The same sources at another place: the same module.
    let far = ["zapp", "new", "my-poll", "--dir", "far/away/my-poll"];
    assert_eq!(zq(scratch.path(), &far).status.code(), Some(0));
    let built = zq(
        scratch.path(),
        &["zapp", "build", "--dir", "far/away/my-poll", "--print-path"],
    );
    let path = String::from_utf8_lossy(&built.stdout).into_owned();
    let (near, far) = (fs::read(&module), fs::read(path.trim()));
    assert!(near.expect("a module") == far.expect("a module"));

    // A broken zApp, then a broken test: both must be seen.
    let (code, tests) = (project.join("src/lib.rs"), project.join("tests/poll.rs"));
    edit(
        &code,
        "COUNTS.or_default(&choice)? + 1",
        "COUNTS.or_default(&choice)? + 2",
    );
    let tested = zq(&project, &["zapp", "test"]);
    assert_eq!(tested.status.code(), Some(1), "{}", said(&tested));
    edit(
        &code,
        "COUNTS.or_default(&choice)? + 2",
        "COUNTS.or_default(&choice)? + 1",
    );
    edit(&tests, "reverts(\"Closed\")", "reverts(\"Voted\")");
    let tested = zq(&project, &["zapp", "test"]);
    assert_eq!(tested.status.code(), Some(1), "{}", said(&tested));
    let told = "expected a revert with Voted, but `vote` reverted with code 101, Closed: The poll";
    assert!(said(&tested).contains(told), "{}", said(&tested));
}

#[test]
fn what_is_wrong_with_a_project_is_told_at_its_place() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let made = zq(scratch.path(), &["zapp", "new", "wrong"]);
    assert_eq!(made.status.code(), Some(0), "{}", said(&made));
    let project = scratch.path().join("wrong");
    let code = project.join("src/lib.rs");
    let vote = "fn vote(choice: u8)";

    edit(&code, vote, "fn vote(choice: usize)");
    let built = zq(&project, &["zapp", "build"]);
    assert_eq!(built.status.code(), Some(1));
    let text = said(&built);
    assert!(
        text.contains("`usize` differs between machines: write `u32` or `u64`"),
        "{text}"
    );
    assert!(text.contains("--> src/lib.rs:"), "{text}");

    // A type of the author's that is no value: the compiler's error is ours, at that type.
    edit(&code, "fn vote(choice: usize)", "fn vote(choice: Error)");
    let text = said(&zq(&project, &["zapp", "build"]));
    assert!(text.contains("cannot be an argument, a result"), "{text}");
    edit(&code, "fn vote(choice: Error)", vote);

    // A module that no node would take: all its rules, with the function's name.
    edit(
        &code,
        "    /// What a key voted for.\n    #[view]",
        &format!("{BIG}    #[view]"),
    );
    let built = zq(&project, &["zapp", "build"]);
    let text = said(&built);
    assert_eq!(built.status.code(), Some(1), "{text}");
    assert!(text.contains("import: byte"), "{text}");
    assert!(text.contains("breaks a rule of the runtime"), "{text}");

    let nowhere = zq(scratch.path(), &["zapp", "build"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(said(&nowhere).contains("zq zapp new"), "{}", said(&nowhere));
}

/// An import that no host has.
const BIG: &str = r#"
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        safe fn now() -> u64;
    }

    #[view]
    fn time() -> u64 {
        now()
    }

"#;

#[test]
fn a_module_that_no_node_takes_is_refused_with_every_rule() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let file = scratch.path().join("empty.wasm");
    fs::write(&file, b"\0asm\x01\0\0\0").expect("writable");
    let file = file.to_str().expect("a path in UTF-8");
    let checked = zq(scratch.path(), &["--json", "zapp", "check", file]);
    assert_eq!(checked.status.code(), Some(1));
    let value: Value = serde_json::from_slice(&checked.stdout).expect("one JSON value");
    let rules = value["rejections"].as_array().expect("rejections");
    let rules: Vec<&str> = rules
        .iter()
        .filter_map(|one| one["rule"].as_str())
        .collect();
    assert_eq!(rules, ["mem", "export"]);
    for (arguments, code) in [
        (&["zapp", "check", "no-such-file"][..], 1),
        (&["zapp", "new", "Not-a-name"], 2),
        (&["zapp", "new", "fn"], 2),
    ] {
        let output = zq(scratch.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}
