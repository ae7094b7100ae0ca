//! The built `zq` against a node that says what each test wants, signed by a real group key.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;

use attestation::commit::Commit;
use attestation::ids::{
    CommitteeId, Digest, Epoch, GroupKey, NetworkId, RequestId, RuntimeProfile, Seq, Signature,
    StateRoot, StatementId, ZappId,
};
use attestation::leaf::{Leaf, OutputLeaf, SettlementLeaf, Status};
use attestation::merkle;
use attestation::receipt::sig_structure;
use attestation::request::Request;
use attestation::step_attestation::StepAttestation;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What the node does wrong.
#[derive(Clone, Copy, PartialEq)]
enum Lie {
    None,
    Output,
    OtherRequest,
    Signature,
    Pending,
    Reverted,
    NoQuorum,
    OtherLeaf,
    Late,
}

fn group() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn group_key(key: &SigningKey) -> GroupKey {
    GroupKey::from_bytes(key.verifying_key().to_bytes())
}

fn committee() -> Value {
    json!({
        "committee_id": CommitteeId::from_bytes([2; 32]),
        "group_key": group_key(&group()),
        "network": 321,
        "threshold": 4,
        "members": [{ "slot": 1, "identity": "11".repeat(32) }],
    })
}

/// A step as a node shows it.
fn step(seq: u64) -> Value {
    json!({
        "seq": seq,
        "statement": "aa".repeat(32),
        "epoch": 1,
        "leaves": [
            { "leaf": 0, "requests": 1, "gas": 5 },
            { "leaf": 1, "status": "reverted", "gas": 5, "request": "bb".repeat(32) },
        ],
    })
}

fn zapps() -> Value {
    let zapp = json!({
        "zapp": ZappId::from_bytes([3; 32]),
        "owner_address": "z1qrdnztf5yh2ed2kxpqp5mamdr940jplgt2pg6r",
        "seq": 1,
    });
    json!({ "seq": 3, "zapps": [zapp] })
}

fn accepted(request: &Request, lie: Lie) -> Value {
    let output = b"answer".to_vec();
    let id = match lie {
        Lie::OtherRequest => RequestId::from_bytes([9; 32]),
        _ => request.id(),
    };
    let reverted = lie == Lie::Reverted;
    let settlement = Leaf::Settlement(SettlementLeaf {
        seq: Seq(3),
        epoch: Epoch(1),
        requests: 1,
        gas: 5,
        fees: 0,
        requests_total: 3,
        gas_total: 15,
        fees_total: 0,
    });
    let leaf = Leaf::Output(OutputLeaf {
        zapp: request.call.zapp,
        seq: Seq(3),
        request: id,
        status: if reverted {
            Status::Reverted
        } else {
            Status::Ok
        },
        code: if reverted { 7 } else { 0 },
        gas: 5,
        output: Digest::from_bytes(Sha256::digest(&output).into()),
        events: Digest::from_bytes([0; 32]),
    });
    let leaves = [settlement.to_bytes(), leaf.to_bytes()];
    let zeros = [0; 32];
    let commit = Commit {
        network: NetworkId(321),
        committee: CommitteeId::from_bytes([2; 32]),
        epoch: Epoch(1),
        seq: Seq(3),
        tree_size: 2,
        previous_state: StateRoot::from_bytes(zeros),
        state: StateRoot::from_bytes(zeros),
        profile: RuntimeProfile::from_bytes(zeros),
        previous: StatementId::from_bytes(zeros),
        anchor_height: 0,
        anchor: Digest::from_bytes(zeros),
        time_ms: 1,
        gas_used: 5,
        inputs: Digest::from_bytes(zeros),
        trace: Digest::from_bytes(zeros),
    };
    let root = merkle::root(&leaves);
    let signer = match lie {
        Lie::Signature => SigningKey::from_bytes(&[8; 32]),
        _ => group(),
    };
    let key = group_key(&group());
    let signature = signer.sign(&sig_structure(&commit, &root, &key)).to_bytes();
    let step = StepAttestation {
        commit,
        root,
        signature: Signature::from_bytes(signature),
    };
    let receipt = step.receipt(&key, &leaves, 1).expect("two leaves");
    let shown: &[u8] = if lie == Lie::Output { b"lie" } else { &output };
    json!({
        "request": request.id(),
        "state": "accepted",
        "outcome": { "output": hex::encode(shown) },
        "attestation": hex::encode(receipt),
        "leaf_bytes": hex::encode(&leaves[1]),
    })
}

/// What the node sends for leaf 3.1: the leaf, or its receipt.
fn leaf_or_receipt(leaf: bool, lie: Lie) -> Vec<u8> {
    use attestation::ids::IdentityKey;
    use attestation::request::{Call, FeePayer};

    let request = Request {
        call: Call {
            network: NetworkId(321),
            committee: CommitteeId::from_bytes([2; 32]),
            zapp: ZappId::from_bytes([3; 32]),
            method: "inc".to_owned(),
            input: Vec::new(),
            gas_limit: 1,
            fee_payer: FeePayer::Zapp,
            nonce: 1,
            valid_until_ms: 1,
            caller: IdentityKey::from_bytes([4; 32]),
            pull: None,
        },
        signature: Signature::from_bytes([0; 64]),
    };
    let answer = accepted(&request, lie);
    let name = if leaf { "leaf_bytes" } else { "attestation" };
    let digits = answer.get(name).and_then(Value::as_str);
    hex::decode(digits.expect("a member of text")).expect("hexadecimal digits")
}

/// A module that holds nothing but its ABI.
fn module() -> Vec<u8> {
    let abi = json!({
        "zapp": "mock",
        "calls": [{ "name": "inc", "input": [], "output": "bytes6" }, {
            "name": "pay",
            "input": ["to:bytes32", "amount:u16"],
            "output": "none",
        }],
        "views": [{ "name": "echo", "input": ["words:text..8"], "output": "text..8" }],
        "reverts": { "7": "Full: no room is left" },
    });
    let content = [b"\x08zapp.abi", abi.to_string().as_bytes()].concat();
    // LEB128 of two bytes.
    let [high, low] = u16::try_from(content.len()).expect("short").to_be_bytes();
    let length = [low & 0x7f | 0x80, high << 1 | low >> 7];
    [b"\0asm\x01\0\0\0\0", &length[..], &content].concat()
}

/// What a node tells of the zApp and its module, and the answer of its view.
fn zapp(path: &str, body: &[u8]) -> Vec<u8> {
    if path.starts_with("/v1/modules/") {
        return module();
    }
    let answer = match path.ends_with("/view") {
        true => {
            let call: Value = serde_json::from_slice(body).expect("JSON");
            let input = call.get("input");
            json!({ "status": "ok", "code": 0, "gas": 1, "output": input })
        }
        false => json!({ "module": hex::encode(Sha256::digest(module())) }),
    };
    answer.to_string().into_bytes()
}

fn respond(stream: &mut TcpStream, bytes: &[u8]) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", bytes.len());
    stream.write_all(head.as_bytes()).expect("the client reads");
    stream.write_all(bytes).expect("the client reads");
}

/// Answers one connection's requests until it closes.
fn serve(stream: TcpStream, lie: Lie) {
    let mut reader = BufReader::new(stream);
    let mut sent: Option<Request> = None;
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("the whole body");
        let answer = match head.split_whitespace().nth(1).unwrap_or_default() {
            "/v1/committee" => committee(),
            "/v1/status" => json!({
                "quorum": lie != Lie::NoQuorum, "members_up": 5, "members_voting": 3, "threshold": 4, "head": 3,
            }),
            "/v1/steps?limit=1" => json!({ "head": 3, "steps": [step(3)] }),
            "/v1/steps/2" => step(2),
            "/v1/steps/3" => step(3),
            "/v1/zapps" => zapps(),
            path if path.starts_with("/v1/attestations/") => {
                let bytes = leaf_or_receipt(path.ends_with("/leaf"), lie);
                respond(reader.get_mut(), &bytes);
                continue;
            }
            path if path.starts_with("/v1/zapps/") || path.starts_with("/v1/modules/") => {
                let bytes = zapp(path, &body);
                respond(reader.get_mut(), &bytes);
                continue;
            }
            path if path.starts_with("/v1/callers/") => json!({ "nonce_next": 5 }),
            _ if lie == Lie::Pending => json!({ "state": "pending" }),
            // Sent, then asked for: attested after the first answer.
            "/v1/requests?wait=1" if lie == Lie::Late => {
                sent = Some(Request::from_bytes(&body).expect("a signed request"));
                json!({ "state": "pending" })
            }
            path if lie == Lie::Late => {
                let request = sent.as_ref().expect("a request was sent");
                assert_eq!(path, format!("/v1/requests/{}", request.id()));
                accepted(request, lie)
            }
            _ => {
                let request = Request::from_bytes(&body).expect("a signed request");
                if request.call.method == "pay" {
                    // To the key that was named: 04… or the caller's own, out of its file.
                    let own = *request.call.caller.as_bytes();
                    let to = [[4; 32], own].map(|to| [&to[..], &[1, 2]].concat());
                    assert!(to.contains(&request.call.input), "{:?}", request.call.input);
                }
                accepted(&request, lie)
            }
        };
        respond(reader.get_mut(), answer.to_string().as_bytes());
    }
}

fn zq(lie: Lie, arguments: &[&str]) -> Output {
    run(lie, &[&["--json"], arguments].concat())
}

fn run(lie: Lie, arguments: &[&str]) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let node = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, lie));
        }
    });
    Command::new(env!("CARGO_BIN_EXE_zq"))
        .args(["--node", &node])
        .args(arguments)
        .output()
        .expect("zq starts")
}

fn key_file(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("zq-{name}-{}.key", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let made = Command::new(env!("CARGO_BIN_EXE_zq"))
        .args(["key", "new"])
        .arg(&path)
        .output()
        .expect("zq starts");
    assert!(made.status.success());
    path
}

#[test]
fn a_call_is_believed_only_as_far_as_its_attestation_goes() {
    let key = key_file("calls");
    let zapp = ZappId::from_bytes([3; 32]).to_string();
    let key_text = key.to_str().expect("a path in UTF-8");
    let call = ["zapp", "call", &zapp, "inc", "--key", key_text];
    let table = [
        (Lie::None, 0, None),
        (Lie::Output, 3, Some("output")),
        (Lie::OtherRequest, 3, Some("leaf")),
        (Lie::Signature, 3, Some("signature")),
        (Lie::Pending, 4, None),
        (Lie::Reverted, 1, None),
    ];
    for (lie, code, check) in table {
        // Who only waits need not wait long.
        let wait: &[&str] = if lie == Lie::Pending {
            &["--wait", "1"]
        } else {
            &[]
        };
        let output = zq(lie, &[&call[..], wait].concat());
        let value: Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
        assert_eq!(output.status.code(), Some(code), "{value}");
        assert_eq!(value.get("check").and_then(Value::as_str), check, "{value}");
        if lie == Lie::Reverted {
            assert_eq!(value["revert"], "Full: no room is left");
        }
        if lie == Lie::None {
            assert_eq!(value["output"], hex::encode("answer"));
            assert_eq!(value["value"], hex::encode("answer"));
            assert_eq!(value["verified"], true);
        }
    }
    std::fs::remove_file(key).expect("the key file goes away");
}

#[test]
fn a_pinned_committee_overrules_what_the_node_says_of_itself() {
    let key = key_file("pinned");
    let key_text = key.to_str().expect("a path in UTF-8");
    let zapp = ZappId::from_bytes([3; 32]).to_string();
    let mut pinned = committee();
    pinned["group_key"] = json!(group_key(&SigningKey::from_bytes(&[8; 32])));
    let file = std::env::temp_dir().join(format!("zq-pinned-{}.json", std::process::id()));
    std::fs::write(&file, pinned.to_string()).expect("a temporary file");
    let file_text = file.to_str().expect("a path in UTF-8");
    let call = [
        "zapp",
        "call",
        &zapp,
        "inc",
        "--key",
        key_text,
        "--committee",
        file_text,
    ];
    let output = zq(Lie::None, &call);
    assert_eq!(output.status.code(), Some(3));
    std::fs::remove_file(key).expect("the key file goes away");
    std::fs::remove_file(file).expect("the committee file goes away");
}

#[test]
fn status_ends_with_4_when_too_few_members_are_up() {
    for (lie, code) in [(Lie::None, 0), (Lie::NoQuorum, 4)] {
        let output = zq(lie, &["status"]);
        let value: Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
        assert_eq!(output.status.code(), Some(code), "{value}");
        assert_eq!(value["threshold"], 4);
    }
}

#[test]
fn an_attestation_is_kept_only_if_it_is_the_one_that_was_asked_for() {
    let dir = std::env::temp_dir().join(format!("zq-get-{}", std::process::id()));
    let dir_text = dir.to_str().expect("a path in UTF-8");
    let table = [
        (Lie::Signature, "1", 3, Some("signature")),
        (Lie::OtherLeaf, "0", 3, Some("position")),
        (Lie::None, "1", 0, None),
    ];
    for (lie, leaf, code, check) in table {
        let output = zq(lie, &["attestation", "get", "3", leaf, "--out", dir_text]);
        let value: Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
        assert_eq!(output.status.code(), Some(code), "{value}");
        assert_eq!(value.get("check").and_then(Value::as_str), check, "{value}");
        assert_eq!(dir.join("3.1.cose").exists(), lie == Lie::None, "{value}");
    }
    std::fs::remove_dir_all(dir).expect("the directory goes away");
}

#[test]
fn a_wait_goes_on_after_the_node_s_own_and_says_what_it_waits_for() {
    let key = key_file("late");
    let zapp = ZappId::from_bytes([3; 32]).to_string();
    let key_text = key.to_str().expect("a path in UTF-8");
    let call = ["zapp", "call", &zapp, "inc", "--key", key_text, "--wait"];
    let output = zq(Lie::Late, &[&call[..], &["1"]].concat());
    assert_eq!(output.status.code(), Some(0), "attested at the second look");
    let output = zq(Lie::Pending, &[&call[..], &["3"]].concat());
    assert_eq!(output.status.code(), Some(4));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("waiting up to 3 s"), "{said}");
    std::fs::remove_file(key).expect("the key file goes away");
}

#[test]
fn arguments_by_name_are_put_in_order_and_checked_before_anything_is_sent() {
    let key = key_file("named");
    let zapp = ZappId::from_bytes([3; 32]).to_string();
    let key_text = key.to_str().expect("a path in UTF-8");
    let pay = |arguments: &[&str]| {
        let call = ["zapp", "call", &zapp, "pay", "--key", key_text];
        zq(Lie::None, &[&call[..], arguments].concat())
    };
    let to = format!("to={}", "04".repeat(32));
    let json = format!("{{\"amount\":258,\"to\":\"{}\"}}", "04".repeat(32));
    for arguments in [
        &["amount=258", &to][..],
        &[&to, "amount=258"],
        &["--json-args", &json],
    ] {
        let output = pay(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    }
    for (arguments, words) in [
        (
            &["amount=258"][..],
            "to is missing; it takes to: bytes32, amount: u16",
        ),
        (&["amount=65536", &to], "amount: "),
        (&["amount=258", &to, "note=x"], "no argument is named note"),
        (&["258"], "NAME=VALUE"),
        (&["--json-args", "[258]"], "JSON object"),
    ] {
        let output = pay(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let (mine, other) = (key.with_extension("wasm"), key.with_extension("none"));
    std::fs::write(&mine, module()).expect("a temporary file");
    std::fs::write(&other, b"\0asm").expect("a temporary file");
    for (file, code) in [(&mine, 0), (&other, 1)] {
        let abi = file.to_str().expect("a path in UTF-8");
        let output = pay(&["amount=258", &to, "--abi", abi]);
        assert_eq!(output.status.code(), Some(code), "{abi}");
        std::fs::remove_file(file).expect("the file goes away");
    }
    let own = format!("to=@{key_text}");
    let output = pay(&["amount=258", &own]);
    assert_eq!(output.status.code(), Some(0), "the key of a file is one");

    let view = zq(Lie::None, &["zapp", "view", &zapp, "echo", "words=hi"]);
    let value: Value = serde_json::from_slice(&view.stdout).expect("one JSON value");
    assert_eq!(
        (&value["output"], &value["value"]),
        (&json!("00026869"), &json!("hi"))
    );
    let view = zq(Lie::None, &["zapp", "view", &zapp, "pay"]);
    assert_eq!(view.status.code(), Some(2), "a call is no view");
    let shown = zq(Lie::None, &["zapp", "show", &zapp]);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("one JSON value");
    assert_eq!(shown["methods"][0], "call  inc() -> bytes6");
    std::fs::remove_file(key).expect("the key file goes away");
}

#[test]
fn what_a_node_tells_of_committee_steps_and_zapps_is_shown_whole_to_programs_and_in_words() {
    let zapp = ZappId::from_bytes([3; 32]).to_string();
    let (key, request) = (group_key(&group()).to_string(), "bb".repeat(32));
    let (owner, member) = (&zapps()["zapps"][0]["owner_address"], "11".repeat(32));
    let owner = owner.as_str().expect("text");
    // What is asked, the node's answer, and words of one line each that a person sees.
    let table = [
        (
            &["committee", "show"][..],
            committee(),
            vec![
                vec!["group_key", &key],
                vec!["threshold", "4"],
                vec!["member 1", &member],
            ],
        ),
        (
            &["step", "show"],
            step(3),
            vec![
                vec!["seq", "3"],
                vec!["leaf", "0", "settles 1 requests, gas 5"],
                vec!["leaf", "1", "reverted gas 5 request", &request],
            ],
        ),
        (&["step", "show", "2"], step(2), vec![vec!["seq", "2"]]),
        (
            &["zapp", "list"],
            zapps(),
            vec![vec![&zapp, "owner", owner, "since step 1"]],
        ),
    ];
    for (arguments, answer, lines) in table {
        let output = zq(Lie::None, arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        let value: Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
        assert_eq!(value, answer, "{arguments:?}");
        let output = run(Lie::None, arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        for words in lines {
            let shown = |line: &str| words.iter().all(|word| line.contains(word));
            assert!(said.lines().any(shown), "{arguments:?}: {words:?}: {said}");
        }
    }
}
