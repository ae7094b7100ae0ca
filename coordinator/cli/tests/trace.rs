//! `zq zapp trace`, as an author runs it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// A directory that goes away.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("zq-trace-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a temporary directory");
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        let path = self.0.join(name);
        path.to_str().expect("a path in UTF-8").to_owned()
    }

    /// A counter that counts in steps of so much.
    fn counter(&self, step: u8) -> String {
        let wasm = wat::parse_str(format!(
            r#"(module
              (import "zapp0" "get" (func $get (param i32 i32 i32 i32) (result i32)))
              (import "zapp0" "set" (func $set (param i32 i32 i32 i32)))
              (import "zapp0" "output" (func $output (param i32 i32)))
              (memory (export "memory") 1 1)
              (data (i32.const 0) "n")
              (func (export "zapp_main") (param $op i32) (param $len i32) (result i32)
                (if (i32.eqz (local.get $op)) (then (return (i32.const 0))))
                (drop (call $get (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 8)))
                (i32.store8 (i32.const 8)
                  (i32.add (i32.load8_u (i32.const 8)) (i32.const {step})))
                (call $set (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 1))
                (call $output (i32.const 8) (i32.const 1))
                (i32.const 0)))"#
        ));
        let path = self.path(&format!("by-{step}.wasm"));
        fs::write(&path, wasm.expect("it parses")).expect("writable");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Exit code, the JSON value, and what was said beside it.
fn trace(arguments: &[&str]) -> (Option<i32>, Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_zq"))
        .args(["--json", "zapp", "trace"])
        .args(arguments)
        .output()
        .expect("zq starts");
    let value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), value, said)
}

#[test]
fn a_call_is_traced_alike_on_both_engines_host_call_by_host_call() {
    let scratch = Scratch::new("alike");
    let counter = scratch.counter(1);
    let [compiled, interpreted] = ["wasmtime", "wasmi"].map(|engine| {
        let (code, value, said) = trace(&[&counter, "add", "--engine", engine]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(value["engines"], engine);
        value
    });
    for part in ["runs", "trace", "trace_root", "gas", "status"] {
        assert_eq!(compiled[part], interpreted[part], "{part}");
        assert!(!compiled[part].is_null(), "{part}");
    }
    let calls = compiled["runs"][0]["calls"].as_array().expect("calls");
    let names: Vec<_> = calls
        .iter()
        .filter_map(|call| call["call"].as_str())
        .collect();
    assert_eq!(names, ["get", "set", "output"]);
    assert_eq!(calls[0]["result"], -1);
    assert_eq!(calls[1]["data"]["key"], "6e");
    assert_eq!(calls[1]["data"]["value"], "01");
    assert!(calls[0]["gas"].as_u64() < calls[1]["gas"].as_u64());

    let (_, bounded, _) = trace(&[&counter, "add", "--calls", "2"]);
    let run = &bounded["runs"][0];
    assert_eq!(run["calls"].as_array().map(Vec::len), Some(2));
    assert_eq!(run["calls_total"], 3);
}

#[test]
fn a_saved_state_is_gone_on_with_also_by_another_module() {
    let scratch = Scratch::new("saved");
    let (by_1, by_5) = (scratch.counter(1), scratch.counter(5));
    let state = scratch.path("state");
    let (code, _, said) = trace(&[&by_1, "add", "--save", &state]);
    assert_eq!(code, Some(0), "{said}");
    let (_, second, said) = trace(&[&by_5, "add", "--state", &state, "--save", &state]);
    assert_eq!(second["output"], "06", "{said}");
    let (_, third, said) = trace(&[&by_1, "add", "--state", &state]);
    assert_eq!(third["output"], "07", "{said}");
    fs::write(&state, b"no state").expect("writable");
    let (code, refused, _) = trace(&[&by_1, "add", "--state", &state]);
    assert_eq!(code, Some(1));
    assert!(
        refused["error"]
            .as_str()
            .is_some_and(|why| why.contains("no state"))
    );
}

#[test]
fn two_traces_are_compared_and_the_first_host_call_that_differs_is_named() {
    let scratch = Scratch::new("against");
    let (by_1, by_2) = (scratch.counter(1), scratch.counter(2));
    let theirs = scratch.path("theirs.json");
    let (_, value, _) = trace(&[&by_1, "add"]);
    fs::write(&theirs, value.to_string()).expect("writable");
    let (code, same, _) = trace(&[&by_1, "add", "--against", &theirs]);
    assert_eq!((code, &same["difference"]), (Some(0), &Value::Null));
    let (code, other, said) = trace(&[&by_2, "add", "--against", &theirs]);
    assert_eq!(code, Some(1), "{said}");
    let difference = &other["difference"];
    assert_eq!(difference["host_call"], 2, "{difference}");
    assert_eq!(difference["one"]["data"]["value"], "02");
    assert_eq!(difference["other"]["data"]["value"], "01");
    // Less gas: the run ends before the last host call, which is then the first that differs.
    let gas = value["gas"].as_u64().expect("gas") - 200;
    let (_, short, _) = trace(&[
        &by_1,
        "add",
        "--against",
        &theirs,
        "--gas",
        &gas.to_string(),
    ]);
    assert_eq!(short["status"], "out_of_gas", "{short}");
    assert_eq!(short["difference"]["host_call"], 3, "{short}");
    assert_eq!(short["difference"]["one"], Value::Null);
    fs::write(&theirs, b"{}").expect("writable");
    assert_eq!(trace(&[&by_1, "add", "--against", &theirs]).0, Some(1));
}
