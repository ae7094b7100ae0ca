//! What an author sees when members differ: a committee on this machine with one that lies, and a
//! report's job run again without any of it.

use std::path::Path;

use e2e::{Running, wait_for};
use serde_json::Value;

fn zq(arguments: &[&str]) -> (Option<i32>, Value) {
    let programs = launch::Programs::beside_current().expect("programs");
    let mut command = programs.command("zq");
    // A node that nobody asks: what is offline stays so.
    command.env("ZQ_NODE", "http://127.0.0.1:9");
    let output = command.arg("--json").args(arguments).output();
    let output = output.expect("zq starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let value = serde_json::from_slice(&output.stdout);
    let value = value.unwrap_or_else(|_| panic!("{arguments:?}: {said}"));
    (output.status.code(), value)
}

#[test]
fn a_devnet_with_a_liar_and_a_second_engine_attests_and_names_the_liar() {
    let lying = ["devnet", "--once", "--byzantine", "2=flip", "--wasmi", "5"];
    let (code, value) = zq(&lying);
    assert_eq!(code, Some(0), "{value}");
    let attested = value["attested"].as_array().expect("answers");
    let outputs: Vec<&str> = attested
        .iter()
        .filter_map(|answer| answer["outcome"]["output"].as_str())
        .collect();
    let counted = ["0100000000000000", "0200000000000000", "0300000000000000"];
    assert_eq!(outputs.get(1..), Some(counted.as_slice()), "{value}");
    let reports = value["reports"].as_array().expect("reports");
    let otherwise: Vec<Option<u64>> = reports
        .iter()
        .filter(|report| report["kind"] == "voted-otherwise")
        .map(|report| report["member"].as_u64())
        .collect();
    assert!(!otherwise.is_empty(), "{value}");
    assert!(otherwise.iter().all(|slot| *slot == Some(2)), "{value}");
    // The interpreter's member votes as the others do.
    let credited = value["credited"].as_array().expect("credits");
    let has = |slot: u64| credited.iter().any(|member| member["slot"] == slot);
    assert!(has(5) && !has(2), "{value}");
}

#[test]
fn a_report_is_replayed_offline_and_tells_whose_statement_is_reproduced() {
    let mut running = Running::prepare().expect("members");
    running
        .start_with_faulty("executor", &[2], "lie")
        .expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    running.call(1, counter, "add").expect("attested");
    let report = wait_for("the report", || {
        let (text, _) = running.zq(1, &["--json", "report", "list"]).ok()?;
        let value: Value = serde_json::from_str(&text).ok()?;
        let reports = value["reports"].as_array()?.iter();
        let mut of_call = reports
            .filter(|report| report["kind"] == "voted-otherwise" && report["seq"] == 2)
            .filter_map(|report| Some(report["id"].as_str()?.to_owned()));
        of_call.next()
    });
    let report = report.expect("the liar is reported");
    let dir = tempfile::tempdir().expect("writable");
    let out = dir.path().to_str().expect("UTF-8");
    let (_, code) = running
        .zq(1, &["report", "show", &report, "--out", out])
        .expect("zq starts");
    assert_eq!(code, Some(0));
    drop(running);

    let file = format!("{out}/{report}.report.cbor");
    let (code, replayed) = zq(&["report", "replay", &file]);
    assert_eq!(code, Some(0), "{replayed}");
    let stated = replayed["stated"].as_array().expect("statements");
    assert!(stated.len() >= 5, "{replayed}");
    for one in stated {
        let honest = one["who"] != "member 2";
        assert_eq!(one["reproduced"], honest, "{one}");
        // The lie came after the run.
        assert_eq!(one["same_trace"], true, "{one}");
    }
    let engines = replayed["engines"].as_array().expect("engines");
    let states = |at: usize| engines.get(at).map(|engine| &engine["statement"]);
    assert_eq!(states(0), states(1));
    assert_eq!(engines.len(), 2);

    // What another machine printed: the same, and then with one host call changed.
    let theirs = dir.path().join("theirs.json");
    let against = |value: &Value, theirs: &Path| {
        std::fs::write(theirs, value.to_string()).expect("writable");
        let theirs = theirs.to_str().expect("UTF-8");
        zq(&["report", "replay", &file, "--against", theirs])
    };
    let (code, _) = against(&replayed, &theirs);
    assert_eq!(code, Some(0));
    let mut altered = replayed.clone();
    altered["runs"][0]["calls"][1]["data"]["value"] = "0700000000000000".into();
    let (code, value) = against(&altered, &theirs);
    assert_eq!(code, Some(1), "{value}");
    assert_eq!(value["difference"]["host_call"], 2, "{value}");
    assert_eq!(value["difference"]["one"]["call"], "set", "{value}");

    // Without the module nothing can be run, and that is what is said.
    let modules = std::fs::read_dir(dir.path()).expect("a directory");
    let modules: Vec<_> = modules
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "wasm"))
        .collect();
    let [module] = modules.as_slice() else {
        panic!("one module in the bundle: {modules:?}");
    };
    let given = dir.path().join("given");
    std::fs::rename(module, &given).expect("a file");
    let (code, value) = zq(&["report", "replay", &file]);
    assert_eq!(code, Some(1), "{value}");
    let said = value["error"].as_str().unwrap_or_default();
    assert!(
        said.contains("neither given, nor beside the report"),
        "{value}"
    );
    let given = given.to_str().expect("UTF-8");
    let (code, value) = zq(&["report", "replay", &file, "--module", given]);
    assert_eq!(
        (code, &value["statement"]),
        (Some(0), &replayed["statement"])
    );
}
