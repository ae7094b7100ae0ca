//! What an author in C or AssemblyScript does: a project is made far from this repository, compiled,
//! checked, and called by the names that its description gives.
//!
//! Without a compiler for a language its part is a skip, printed as `SKIP: reason`; under `CI=true` a
//! skip fails.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use conformance::languages::{Compiler, Language};
use conformance::outside;
use serde_json::{Value, json};

fn zq(dir: &Path, arguments: &[&str]) -> Output {
    let mut zq = Command::new(env!("CARGO_BIN_EXE_zq"));
    let zq = zq.arg("--json").args(arguments).current_dir(dir);
    zq.output().expect("zq starts")
}

/// The JSON value of a command that succeeds.
fn value(dir: &Path, arguments: &[&str]) -> Value {
    let output = zq(dir, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).expect("one JSON value")
}

#[test]
fn a_new_project_in_c_or_assemblyscript_compiles_and_is_called_by_names() {
    for (language, name, ending) in [
        (Language::C, "c", "c"),
        (Language::AssemblyScript, "assemblyscript", "ts"),
    ] {
        let compiler = match language.compiler(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
            Ok(compiler) => compiler,
            Err(reason) => {
                outside::skip(&format!("a project in {name}"), &reason);
                continue;
            }
        };
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let made = ["zapp", "new", "my-hello", "--language", name];
        value(scratch.path(), &made);
        let again = zq(scratch.path(), &made);
        assert_eq!(again.status.code(), Some(1), "nothing is written over");

        let project = scratch.path().join("my-hello");
        let module = project.join("my-hello.wasm");
        compiler
            .compile(&project, "my-hello", &module)
            .expect("it compiles");
        let checked = value(&project, &["zapp", "check", "my-hello.wasm"]);
        assert_eq!(checked["valid"], true);
        assert_eq!(checked["zapp"], "my-hello");
        let methods = [
            "call  add(amount: u64) -> u64",
            "        Adds to the total and answers with it.",
            "view  get() -> u64",
            "        The total.",
            "event  added(amount: u64)",
        ];
        assert_eq!(checked["methods"], json!(methods));

        let add = ["zapp", "trace", "my-hello.wasm", "add"];
        let traced = value(&project, &[&add[..], &["amount=5", "--save", "s"]].concat());
        assert_eq!(
            (&traced["status"], &traced["value"]),
            (&json!("ok"), &json!(5))
        );
        assert_eq!(traced["engines"], "wasmtime, wasmi");
        let get = ["zapp", "trace", "my-hello.wasm", "get", "--state", "s"];
        assert_eq!(value(&project, &get)["value"], 5);
        let refused = zq(&project, &[&add[..], &["amount=-1"]].concat());
        assert_ne!(refused.status.code(), Some(0), "an amount is a u64");

        // A description that `zq` cannot read would leave callers without names.
        let description = project.join("my-hello.abi.json");
        let text = fs::read_to_string(&description).expect("a description");
        fs::write(&description, text.replace("amount:u64", "amount:number")).expect("writable");
        compiler
            .compile(&project, "my-hello", &module)
            .unwrap_or_else(|said| panic!("{ending}: {said}"));
        let checked = value(&project, &["zapp", "check", "my-hello.wasm"]);
        assert_eq!(checked["methods"], Value::Null);
        let fault = checked["methods_fault"].as_str().expect("it is told");
        assert!(fault.starts_with("calls: {"), "{fault}");
    }
}

#[test]
fn a_project_in_c_or_assemblyscript_is_built_and_tested_by_one_command() {
    for (language, name, ending) in [
        (Language::C, "c", "c"),
        (Language::AssemblyScript, "assemblyscript", "ts"),
    ] {
        let compiler = match language.compiler(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
            Ok(compiler) => compiler,
            Err(reason) => {
                outside::skip(&format!("tests of a project in {name}"), &reason);
                continue;
            }
        };
        let scratch = tempfile::tempdir().expect("a temporary directory");
        value(
            scratch.path(),
            &["zapp", "new", "hello", "--language", name],
        );
        let project = scratch.path().join("hello");
        if let Compiler::Asc { installed } = &compiler {
            // What npm would install, from where it was.
            let modules = installed.join("node_modules");
            std::os::unix::fs::symlink(modules, project.join("node_modules")).expect("a link");
        }
        let built = value(&project, &["zapp", "build"]);
        let tested = value(&project, &["zapp", "test"]);
        assert_eq!(built["module"], tested["module"]);
        assert!(project.join("hello.wasm").is_file());

        // A test that expects something else fails and says what, and so does a broken zApp.
        let tests = project.join("tests/hello.json");
        let text = fs::read_to_string(&tests).expect("a test");
        for (right, wrong, said) in [
            (
                "\"value\": 42",
                "\"value\": 43",
                "expected 43, it answers 42",
            ),
            ("\"OVERFLOW\"", "\"STATE\"", "expected a revert with STATE"),
            ("\"out_of_gas\"", "\"ok\"", "expected ok, it is out_of_gas"),
            ("[\"added\"]", "[]", "expected the events []"),
            ("\"amount\": 5", "\"sum\": 5", "no argument is named sum"),
            ("\"by\": 2", "\"from\": 2", "unknown field"),
        ] {
            fs::write(&tests, text.replacen(right, wrong, 1)).expect("writable");
            let failed = zq(&project, &["zapp", "test"]);
            assert_eq!(failed.status.code(), Some(1), "{wrong}");
            let told = [failed.stdout, failed.stderr].concat();
            let told = String::from_utf8_lossy(&told).into_owned();
            assert!(told.contains(said), "{wrong}: {told}");
        }
        fs::remove_file(&tests).expect("it is there");
        assert_eq!(zq(&project, &["zapp", "test"]).status.code(), Some(1));
        let source = project.join(format!("hello.{ending}"));
        fs::write(source, "this is no program").expect("writable");
        assert_eq!(zq(&project, &["zapp", "build"]).status.code(), Some(1));
    }
}
