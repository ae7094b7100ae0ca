//! Receipts signed by a real FROST committee, before verifiers that are not ours: pycose,
//! scitt-cose and a stock CBOR library, all in Python.
//!
//! Needs python3 and the package index. Without them the test is a skip, printed as
//! `SKIP: reason`; under `CI=true` a skip fails.

#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use attestation::verify;
use conformance::frost::Committee;
use conformance::sample::{self, Step};
use conformance::{golden, outside};
use serde_json::{Value, json};

/// A receipt and whether it is good.
struct Case {
    name: String,
    receipt: Vec<u8>,
    leaf: Vec<u8>,
    key: [u8; 32],
    good: bool,
}

#[test]
fn third_parties_accept_what_we_sign_and_refuse_what_we_refuse() {
    let python = match outside::python(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(python) => python,
        Err(reason) => return outside::skip("third-party verification", &reason),
    };
    let cases = cases();
    let verdicts = ask(&python, &cases);
    assert_eq!(verdicts.len(), cases.len());
    for (case, verdict) in cases.iter().zip(&verdicts) {
        assert_eq!(verdict["name"], case.name);
        let key = attestation::ids::GroupKey::from_bytes(case.key);
        let ours = verify::verify_receipt(&case.receipt, Some(&case.leaf), &key, None);
        assert_eq!(ours.is_ok(), case.good, "{}: {ours:?}", case.name);
        for verifier in ["pycose", "scitt_cose"] {
            assert_eq!(verdict[verifier], case.good, "{verifier}: {}", case.name);
        }
        if case.good {
            assert_eq!(verdict["stock_cbor"], true, "{}", case.name);
        }
    }
}

#[test]
fn the_readmes_python_judges_as_we_do() {
    let python = match outside::python(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(python) => python,
        Err(reason) => return outside::skip("the README's Python", &reason),
    };
    let readme = std::fs::read_to_string(golden::repository().join("README.md")).unwrap();
    let (_, snippet) = readme.split_once("```python\n").unwrap();
    let (snippet, _) = snippet.split_once("```").unwrap();
    for case in cases() {
        // The files that it opens, as `up --out run` leaves them.
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        for (name, bytes) in [
            ("attestations/7.1.cose", &case.receipt[..]),
            ("leaves/7.1.bin", &case.leaf),
            (
                "committee.json",
                json!({ "group_key": hex::encode(case.key) })
                    .to_string()
                    .as_bytes(),
            ),
        ] {
            let path = run.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let judged = Command::new(&python)
            .args(["-c", snippet])
            .current_dir(folder.path())
            .stderr(Stdio::null())
            .status();
        assert_eq!(judged.unwrap().success(), case.good, "{}", case.name);
    }
}

fn cases() -> Vec<Case> {
    let mut committee = Committee::new(1);
    let key = *committee.key().as_bytes();
    let mut cases = Vec::new();
    for (outputs, index) in [(1, 0), (1, 1), (6, 3), (6, 6), (1_023, 700)] {
        let step = Step::first(outputs);
        let attestation = committee.attest(step.attestation.commit, &step.leaves);
        let receipt = attestation.receipt(&committee.key(), &step.leaves, index);
        cases.push(Case {
            name: format!("leaf {index} of {}", step.leaves.len()),
            receipt: receipt.unwrap(),
            leaf: step.leaves[index].clone(),
            key,
            good: true,
        });
    }
    let tampered: Vec<Case> = cases.iter().flat_map(tamper).collect();
    cases.extend(tampered);
    cases
}

/// One change each in commit, path, signature, leaf and key: what a third party checks too.
fn tamper(good: &Case) -> Vec<Case> {
    let change = |what: &str, change: &dyn Fn(&mut Case)| {
        let mut case = Case {
            name: format!("{}, {what} changed", good.name),
            receipt: good.receipt.clone(),
            leaf: good.leaf.clone(),
            key: good.key,
            good: false,
        };
        change(&mut case);
        case
    };
    let commit = position(&good.receipt, b"ZQSTEP1\0");
    let key_id = position(&good.receipt, b"\x04\x58\x20");
    // The last hash of the path ends where the leaf hash's label begins.
    let path = position(&good.receipt, b"\x3a\x00\x01\x11\x71") - 1;
    let signature = good.receipt.len() - 64;
    vec![
        change("commit", &|case| case.receipt[commit + 300] ^= 1),
        change("key id", &|case| case.receipt[key_id + 3] ^= 1),
        change("path", &|case| case.receipt[path] ^= 1),
        change("R", &|case| case.receipt[signature] ^= 1),
        change("S", &|case| case.receipt[signature + 32] ^= 1),
        change("leaf", &|case| case.leaf[90] ^= 1),
        change("leaf's length", &|case| case.leaf.push(0)),
        change("key", &|case| {
            case.key = *sample::group_key().as_bytes();
        }),
    ]
}

fn position(bytes: &[u8], part: &[u8]) -> usize {
    bytes
        .windows(part.len())
        .position(|window| window == part)
        .unwrap()
}

fn ask(python: &Path, cases: &[Case]) -> Vec<Value> {
    let question: Vec<Value> = cases
        .iter()
        .map(|case| {
            json!({
                "name": case.name,
                "receipt": hex::encode(&case.receipt),
                "leaf": hex::encode(&case.leaf),
                "key": hex::encode(case.key),
            })
        })
        .collect();
    let mut child = Command::new(python)
        .arg(golden::repository().join("tests/conformance/python/verify.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(json!(question).to_string().as_bytes())
        .unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "verify.py failed");
    serde_json::from_slice(&output.stdout).unwrap()
}
