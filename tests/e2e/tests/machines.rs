//! Guests as unikernels: the same committees, each guest in a virtual machine of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use attestation::ids::ZappId;
use e2e::{Load, Running, check_attested, check_succeeded, kills, wait_for};
use launch::Machines;
use serde_json::Value;

/// The images; says that the test is skipped where there are none.
fn images(test: &str) -> Option<Machines> {
    let images = e2e::images().expect("programs");
    if images.is_none() {
        e2e::skip(test);
    }
    images
}

/// What the node of `slot` says of its guest `part`.
fn part(running: &Running, slot: u16, part: &str) -> Option<Value> {
    let status = running.status(slot)?;
    let parts = status.pointer("/node/parts")?.as_array()?.clone();
    parts.into_iter().find(|found| found["name"] == part)
}

fn digest(images: &Machines, guest: &str) -> String {
    let manifest = fs::read(images.images.join(guest).with_extension("json")).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    let digest = manifest.get("digest").and_then(Value::as_str);
    digest.expect("text").to_owned()
}

#[test]
fn a_committee_of_unikernels_attests_and_every_machine_that_dies_comes_back() {
    let Some(images) = images("a committee of unikernels") else {
        return;
    };
    let mut running = Running::start_in(images.clone()).expect("a committee with its key");
    let record = running.committee.record();
    for card in record.members.iter().chain(&record.coordinators) {
        assert_ne!(card.image, attestation::committee::Card::NO_IMAGE);
    }
    let counter = running.deploy_counter(1).expect("attested");
    let mut count = 0;
    for (slot, guest) in [(2, "signer"), (3, "executor"), (1, "coordinator")] {
        let shown = part(&running, slot, guest).expect("a part");
        let machine = &shown["machine"];
        assert_eq!(machine["image"], digest(&images, guest), "{shown}");
        assert!(machine["memory_mib"].as_u64() >= Some(64), "{shown}");
        assert!(["kvm", "tcg"].contains(&machine["accelerator"].as_str().expect("text")));
        assert!(
            shown["boot_ms"].is_u64() && shown["uptime_s"].is_u64(),
            "{shown}"
        );

        let before = running.guest(slot, guest).expect("a machine");
        running.kill_guest(slot, guest).expect("killed");
        let killed = Instant::now();
        let answer = running.call(4, counter, "add").expect("attested meanwhile");
        count += 1;
        assert_eq!(e2e::count(&answer), Some(count), "{answer}");
        let back = wait_for("a new machine", || {
            running.guest(slot, guest).ok().filter(|pid| *pid != before)
        });
        back.expect("started again");
        if guest != "coordinator" {
            // What it votes for from now on it has run and signed after it came back.
            let votes = running.metric(slot, "zq_votes_total ").expect("a metric");
            while running.metric(slot, "zq_votes_total ") <= Some(votes) {
                running.call(4, counter, "add").expect("attested");
                count += 1;
            }
        }
        println!("{guest}: back after {} ms", killed.elapsed().as_millis());
    }
    // Without the two that were killed there are three: they must take part.
    running.committee.kill_member(5).expect("killed");
    let answer = running
        .call(4, counter, "add")
        .expect("attested with their shares");
    assert_eq!(e2e::count(&answer), Some(count + 1));
}

#[test]
fn machines_killed_at_random_lose_no_accepted_request_and_run_none_twice() {
    let Some(images) = images("machines killed at random") else {
        return;
    };
    let count = kills::how_many(4).expect("a number");
    let mut running = Running::start_in(images).expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    let attested = kills::at_random(&mut running, counter, count);
    println!("{} calls attested", attested.expect("nothing is lost"));
}

#[test]
fn a_machine_that_is_stopped_and_goes_on_takes_part_again() {
    let Some(images) = images("a machine that is stopped") else {
        return;
    };
    let mut running = Running::start_in(images).expect("a committee with its key");
    let counter = running.deploy_counter(1).expect("attested");
    let load = Load::start(&running, counter, &[1, 2]).expect("callers");
    // Its clock jumps by as long as this takes.
    let stopped = running.pause_guest(5, "signer").expect("stopped");
    load.wait_for_more(20).expect("the other four go on");
    drop(stopped);
    running.committee.kill_member(4).expect("killed");
    load.wait_for_more(3).expect("attested with its share");
    load.finish().expect("nothing lost, nothing twice");
}

/// A module whose only method does this and then answers with the 16 bytes at 0.
fn module(body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
          (import "zapp0" "get" (func $get (param i32 i32 i32 i32) (result i32)))
          (import "zapp0" "set" (func $set (param i32 i32 i32 i32)))
          (import "zapp0" "output" (func $output (param i32 i32)))
          (type $two (func (param i32 i32) (result i32)))
          (type $none (func))
          (memory (export "memory") 1 64)
          (table 4 4 funcref)
          (elem (i32.const 1) $deep)
          (func $deep (param i32) (result i32)
            (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
          (func (export "zapp_main") (param i32 i32) (result i32)
            (local $a i32) (local $f f64) (local $g f32)
            (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
            {body}
            (call $set (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 16))
            (call $output (i32.const 0) (i32.const 16)) (i32.const 0)))"#
    );
    wat::parse_str(text).expect("WebAssembly text")
}

const ROOTS: &str = "(local.set $f (f64.const 2)) (local.set $g (f32.const 3))
  (loop (local.set $f (f64.sqrt (f64.add (local.get $f) (f64.const 0.1))))
    (local.set $g (f32.div (f32.const 1) (f32.nearest (f32.mul (local.get $g) (f32.const 1.7)))))
    (local.set $f (f64.add (f64.mul (local.get $f) (f64.promote_f32 (local.get $g)))
      (f64.trunc (local.get $f))))
    (br_if 0 (i32.lt_u (local.tee $a (i32.add (local.get $a) (i32.const 1))) (i32.const 1000))))
  (f64.store (i32.const 0) (local.get $f)) (f32.store (i32.const 8) (local.get $g))";

/// What modules do, and how it ends.
const CORPUS: &[(&str, &str, &str)] = &[
    ("nothing", "", "ok"),
    ("floating point", ROOTS, "ok"),
    (
        "the bits of what is no number",
        "(f64.store (i32.const 0) (f64.div (f64.const 0) (f64.const 0)))
         (f32.store (i32.const 8) (f32.sqrt (f32.const -1)))",
        "ok",
    ),
    (
        "more memory",
        "(i32.store (i32.const 0) (memory.grow (i32.const 40)))
         (i32.store (i32.const 4) (memory.grow (i32.const 40)))
         (i32.store (i32.const 2686972) (i32.const 7))",
        "ok",
    ),
    ("unreachable", "(unreachable)", "trapped"),
    (
        "a division by zero",
        "(drop (i32.div_u (i32.const 1) (local.get $a)))",
        "trapped",
    ),
    (
        "a division that overflows",
        "(drop (i64.div_s (i64.const -9223372036854775808) (i64.sub (i64.const 0) (i64.const 1))))",
        "trapped",
    ),
    (
        "a conversion out of range",
        "(drop (i32.trunc_f64_s (f64.const 1e300)))",
        "trapped",
    ),
    (
        "a load out of bounds",
        "(drop (i32.load (i32.const 65533)))",
        "trapped",
    ),
    (
        "a store far out of bounds",
        "(i64.store offset=4294967295 (i32.const -1) (i64.const 1))",
        "trapped",
    ),
    (
        "a call of nothing",
        "(drop (call_indirect (type $two) (i32.const 0) (i32.const 0) (i32.const 3)))",
        "trapped",
    ),
    (
        "a call of another type",
        "(call_indirect (type $none) (i32.const 1))",
        "trapped",
    ),
    (
        "a recursion without end",
        "(drop (call $deep (i32.const 0)))",
        "trapped",
    ),
    ("a loop without end", "(loop (br 0))", "out_of_gas"),
    (
        "a trap after a write",
        "(call $set (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 16)) (unreachable)",
        "trapped",
    ),
    (
        "an answer out of bounds",
        "(call $output (i32.const -1) (i32.const 9))",
        "trapped",
    ),
];

/// Calls of the example zApps, which are deployed here: what they do with storage, with host
/// functions, and with the blocks of a real devnet.
fn examples(running: &mut Running) -> Vec<(&'static str, ZappId, &'static str, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let deploy = |running: &mut Running, name: &str| {
        let path = root.join("target/zapps").join(name).with_extension("wasm");
        let module = fs::read(path).expect("run `cargo xtask zapps` first");
        running.deploy(1, &module).expect(name)
    };
    let mut calls = Vec::new();
    let counter = deploy(running, "counter");
    for amount in 1..=3_u64 {
        calls.push(("counter", counter, "add", amount.to_be_bytes().to_vec()));
    }
    let ledger = deploy(running, "ledger");
    let me = *running.caller.identity().as_bytes();
    for (method, to, amount) in [("mint", me, 1_000_u128), ("transfer", [7; 32], 250)] {
        let input = [&to[..], &amount.to_be_bytes()].concat();
        calls.push(("ledger", ledger, method, input));
    }
    let mirror = deploy(running, "nom-mirror");
    let data = |name: &str| fs::read_to_string(root.join("tests/data").join(name)).expect(name);
    let blocks = nom::mirror_calls(&data("nom-devnet.json"), &data("nom-devnet-dropped.json"));
    let blocks = blocks.expect("the devnet").into_iter();
    calls.extend(blocks.map(|(method, input)| ("nom-mirror", mirror, method, input)));
    calls
}

/// Outcome, gas and trace root are in what a member signs: where three processes and two machines
/// of one committee attest at threshold 4, and nobody dissents, they are the same on both.
#[test]
fn unikernels_and_processes_agree_on_every_outcome_its_gas_and_its_trace() {
    let Some(mut images) = images("unikernels and processes agree") else {
        return;
    };
    images.slots = Some(vec![4, 5]);
    let mut running = Running::start_in(images).expect("a committee with its key");
    assert!(part(&running, 4, "executor").expect("a part")["machine"].is_object());
    assert!(part(&running, 3, "executor").expect("a part")["machine"].is_null());
    for (name, body, status) in CORPUS {
        let zapp = running.deploy(1, &module(body)).expect(name);
        for _ in 0..2 {
            let request = running.caller.request(zapp, "go", Vec::new());
            let http = running.committee.http(2).expect("a member");
            let answer = running
                .caller
                .submit(&http, &request.expect("a clock"), e2e::WAIT_S)
                .expect(name);
            check_attested(&answer).expect(name);
            assert_eq!(answer["outcome"]["status"], *status, "{name}: {answer}");
        }
    }
    for (what, zapp, method, input) in examples(&mut running) {
        let request = running.caller.request(zapp, method, input);
        let http = running.committee.http(2).expect("a member");
        let request = request.expect("a clock");
        let answer = running.caller.submit(&http, &request, e2e::WAIT_S);
        let answer = answer.expect(what);
        check_succeeded(&answer).unwrap_or_else(|error| panic!("{what} {method}: {error}"));
    }
    let head = running.head(1).expect("a head");
    for slot in 1..=5 {
        running.wait_for_head(slot, head).expect("caught up");
        // Who votes for nothing agrees with nobody.
        let votes = running.metric(slot, "zq_votes_total ").expect("a metric");
        assert!(
            votes > head / 2,
            "member {slot}: {votes} votes in {head} steps"
        );
        let reports = running
            .committee
            .http(slot)
            .expect("a member")
            .get("/v1/reports");
        let reports = reports.expect("reports");
        let kinds = reports["reports"].as_array().expect("a list").iter();
        let dissent: Vec<_> = kinds.filter(|report| differ(report)).collect();
        assert!(dissent.is_empty(), "{dissent:?}");
    }
    for slot in [4, 5] {
        for guest in ["signer", "executor"] {
            let shown = part(&running, slot, guest).expect("a part");
            let detail = shown["detail"].as_str().expect("text");
            assert!(
                detail.ends_with("start 1"),
                "no module took it down: {shown}"
            );
        }
    }
}

/// Whether members computed different things, as a report has it. On a busy machine some are late, and
/// then silent, or absent.
fn differ(report: &Value) -> bool {
    let what = report["what"].as_str().expect("text");
    let digests = what
        .split(" for ")
        .skip(1)
        .filter_map(|rest| rest.get(..64));
    let digests: BTreeSet<&str> = digests.collect();
    match report["kind"].as_str().expect("text") {
        "absent" => false,
        "divergence" => digests.len() > 1,
        _ => true,
    }
}

/// Runs a program that must refuse; returns what it says.
fn refusal(command: &mut Command) -> String {
    let output = command.output().expect("a program");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    said
}

fn run_node(running: &Running, slot: u16, images: Option<&Path>) -> Command {
    let mut members = running.committee.members().iter();
    let member = members
        .find(|member| member.slot == slot)
        .expect("a member");
    let mut command = running.committee.programs().command("zq-node");
    command
        .arg("run")
        .arg("--dir")
        .arg(&member.dir)
        .arg("--passphrase-file")
        .arg(member.dir.join("passphrase"))
        .arg("--record")
        .arg(running.dir().join("committee.record"))
        .args(["--http", "127.0.0.1:0", "--peers-listen", "127.0.0.1:0"]);
    if let Some(images) = images {
        command.arg("--images").arg(images).args(["--accel", "tcg"]);
    }
    command
}

#[test]
fn what_is_wrong_with_a_machine_is_said_before_it_boots() {
    let Some(images) = images("what is wrong with a machine") else {
        return;
    };
    let mut one = images.clone();
    one.slots = Some(vec![5]);
    let running = Running::prepare_in(Some(one)).expect("members");
    let copies = running.dir().join("images");
    let copy = || {
        fs::create_dir_all(&copies).expect("writable");
        for entry in fs::read_dir(&images.images).expect("a folder") {
            let path = entry.expect("readable").path();
            let name = path.file_name().expect("a name").to_owned();
            if path.is_file() {
                fs::copy(&path, copies.join(name)).expect("writable");
            }
        }
        copies.join("signer.img")
    };

    let image = copy();
    let bytes = fs::read(&image).expect("readable");
    fs::write(&image, &bytes[..bytes.len() / 2]).expect("writable");
    let said = refusal(&mut run_node(&running, 5, Some(&copies)));
    assert!(said.contains("cut off"), "{said}");

    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    fs::write(&image, &damaged).expect("writable");
    let said = refusal(&mut run_node(&running, 5, Some(&copies)));
    assert!(said.contains("damaged or was changed"), "{said}");

    // A sound image, but another one than the member's card names.
    for extension in ["img", "json"] {
        let from = copies.join("coordinator").with_extension(extension);
        fs::copy(from, image.with_extension(extension)).expect("writable");
    }
    let said = refusal(&mut run_node(&running, 5, Some(&copies)));
    assert!(
        said.contains("the committee says that this member's signer runs the image"),
        "{said}"
    );
    let said = refusal(&mut run_node(&running, 5, None));
    assert!(said.contains("--images"), "a process in its place: {said}");

    fs::remove_file(&image).expect("there");
    let said = refusal(&mut run_node(&running, 5, Some(&copies)));
    assert!(said.contains("cargo xtask image build"), "{said}");

    copy();
    let mut command = run_node(&running, 5, Some(&copies));
    let said = refusal(command.args(["--memory", "executor=8"]));
    assert!(said.contains("8 MiB of memory are too little"), "{said}");

    let mut command = run_node(&running, 5, Some(&copies));
    let said = refusal(command.env("PATH", "/nowhere"));
    assert!(said.contains("apt-get install qemu-system-x86"), "{said}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = taken.local_addr().expect("bound").to_string();
    let mut command = run_node(&running, 5, Some(&copies));
    let said = refusal(command.args(["--guests-listen", &address]));
    assert!(
        said.contains(&format!("cannot listen on {address}")),
        "{said}"
    );
}
