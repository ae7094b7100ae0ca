//! The built `zq`, as a user runs it, without a node.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn zq(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_zq"))
        .args(arguments)
        .env_remove("ZQ_NODE")
        .output()
        .expect("zq starts")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("zq ends by itself")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("one JSON value on standard output")
}

fn vectors() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../attestation/vectors/receipt.json");
    serde_json::from_str(&fs::read_to_string(path).expect("vectors")).expect("vectors are JSON")
}

/// A directory that goes away.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("zq-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a temporary directory");
        Self(dir)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        fs::write(&path, bytes).expect("a temporary file");
        path.to_str().expect("a path in UTF-8").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn bytes(vector: &Value, name: &str) -> Vec<u8> {
    hex::decode(text(vector, name)).expect("vectors hold hexadecimal digits")
}

#[test]
fn verify_accepts_every_valid_vector_and_prints_its_checks() {
    let scratch = Scratch::new("valid");
    let vectors = vectors();
    let valid = vectors["valid"].as_array().expect("valid vectors");
    for vector in valid {
        let receipt = scratch.file("a.cose", &bytes(vector, "receipt"));
        let mut arguments = vec![
            "--json",
            "attestation",
            "verify",
            &receipt,
            "--key",
            text(vector, "group_key"),
        ];
        let leaf = scratch.file("a.bin", &bytes(vector, "leaf"));
        if !text(vector, "leaf").is_empty() {
            arguments.extend(["--leaf", &leaf]);
        }
        if !text(vector, "committee").is_empty() {
            arguments.extend(["--committee-id", text(vector, "committee")]);
        }
        let output = zq(&arguments);
        assert_eq!(code(&output), 0, "{}", text(vector, "name"));
        let answer = json(&output);
        let made: Vec<&Value> = answer["checks"]
            .as_array()
            .expect("checks")
            .iter()
            .map(|c| &c["check"])
            .collect();
        let expected: Vec<&Value> = vector["checks"]
            .as_array()
            .expect("checks")
            .iter()
            .collect();
        assert_eq!(made, expected, "{}", text(vector, "name"));
    }
    assert!(valid.len() >= 2);
}

#[test]
fn verify_refuses_every_invalid_vector_with_3_and_names_the_check() {
    let scratch = Scratch::new("invalid");
    let vectors = vectors();
    let invalid = vectors["invalid"].as_array().expect("invalid vectors");
    for vector in invalid {
        let receipt = scratch.file("a.cose", &bytes(vector, "receipt"));
        let mut arguments = vec![
            "--json",
            "attestation",
            "verify",
            &receipt,
            "--key",
            text(vector, "group_key"),
        ];
        let leaf = scratch.file("a.bin", &bytes(vector, "leaf"));
        if vector.get("leaf").is_some_and(Value::is_string) {
            arguments.extend(["--leaf", &leaf]);
        }
        if !text(vector, "committee").is_empty() {
            arguments.extend(["--committee-id", text(vector, "committee")]);
        }
        let output = zq(&arguments);
        let name = text(vector, "name");
        assert_eq!(code(&output), 3, "{name}");
        let answer = json(&output);
        assert_eq!(answer["valid"], Value::Bool(false), "{name}");
        assert_eq!(answer["check"], vector["check"], "{name}");
    }
    assert!(invalid.len() >= 10);
}

#[test]
fn verify_reads_the_key_from_a_committee_file() {
    let scratch = Scratch::new("committee");
    let vectors = vectors();
    let vector = &vectors["valid"][0];
    let receipt = scratch.file("a.cose", &bytes(vector, "receipt"));
    let of = |committee: &Value| {
        let file = serde_json::json!({
            "committee_id": committee,
            "group_key": vector["group_key"],
            "threshold": 4,
            "members": [],
        });
        scratch.file("committee.json", file.to_string().as_bytes())
    };
    let committee = of(&vector["commit"]["committee"]);
    let output = zq(&["attestation", "verify", &receipt, "--committee", &committee]);
    assert_eq!(code(&output), 0);
    let other = of(&Value::String("00".repeat(32)));
    let output = zq(&["attestation", "verify", &receipt, "--committee", &other]);
    assert_eq!(code(&output), 3);
    assert!(String::from_utf8_lossy(&output.stderr).contains("committee"));
}

#[test]
fn usage_errors_end_with_2_and_an_absent_node_with_5() {
    let scratch = Scratch::new("usage");
    let receipt = scratch.file("a.cose", b"x");
    let key = "00".repeat(32);
    for arguments in [
        &["attestation", "verify", receipt.as_str()][..],
        &["attestation", "verify", &receipt, "--key", "zz"],
        &["zapp", "view", "not-an-id", "get"],
        &["zapp", "view", &key, "get", "--arg", "u64:x"],
        &["--node", "ftp://x", "status"],
        &["nom", "address", "abc"],
        &["no-such-noun"],
    ] {
        assert_eq!(code(&zq(arguments)), 2, "{arguments:?}");
    }
    // Port 1 of the loopback: nobody listens there.
    for verb in [
        &["status"][..],
        &["committee", "show"],
        &["zapp", "list"],
        &["step", "show"],
    ] {
        let output = zq(&[&["--node", "http://127.0.0.1:1"], verb].concat());
        assert_eq!(code(&output), 5, "{verb:?}");
    }
}

#[test]
fn key_new_makes_a_private_file_and_never_prints_the_secret() {
    use std::os::unix::fs::PermissionsExt as _;

    let scratch = Scratch::new("key");
    let path = scratch.0.join("me.key");
    let path = path.to_str().expect("a path in UTF-8");
    let made = zq(&["--json", "key", "new", path]);
    assert_eq!(code(&made), 0);
    let secret = fs::read_to_string(path).expect("the key file");
    let printed = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(!printed.contains(secret.trim()));
    let mode = fs::metadata(path)
        .expect("the key file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(json(&zq(&["--json", "key", "show", path])), json(&made));
    assert_eq!(
        code(&zq(&["key", "new", path])),
        1,
        "an existing key is not overwritten"
    );
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("chmod");
    assert_eq!(
        code(&zq(&["key", "show", path])),
        1,
        "a key that others can read is refused"
    );
}

#[test]
fn nom_block_hash_recomputes_a_real_block_and_refuses_a_flipped_amount() {
    let scratch = Scratch::new("nom");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/nom-devnet.json");
    let dump: Value =
        serde_json::from_str(&fs::read_to_string(path).expect("devnet")).expect("devnet is JSON");
    let mut block = dump["accounts"]["frost_committee_2_pow"]["blocks"][0].clone();
    let file = scratch.file("block.json", block.to_string().as_bytes());
    let output = zq(&["--json", "nom", "block-hash", &file]);
    assert_eq!(code(&output), 0);
    assert_eq!(json(&output)["hash"], block["hash"]);
    block["height"] = Value::from(2);
    let file = scratch.file("block.json", block.to_string().as_bytes());
    let output = zq(&["--json", "nom", "block-hash", &file]);
    assert_eq!(code(&output), 1);
}

/// Keys whose addresses the Zenon node itself printed, in the devnet's dump.
#[test]
fn nom_address_is_the_one_that_the_network_gives_a_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/nom-devnet.json");
    let dump: Value =
        serde_json::from_str(&fs::read_to_string(path).expect("devnet")).expect("devnet is JSON");
    for (account, key) in [
        (
            "frost_committee_1",
            "c9953c71e768587b4a8d830118cf68be52bd2d359776c0efbb3983dcad159bc3",
        ),
        (
            "dev_key_1",
            "c1c26e1e4136cea727d5bf4554a790cc7237d8145cb3cacc07619479c89134cb",
        ),
        (
            "frost_committee_2_pow",
            "be10937f18d3ebe4799671a4f13325b7fce2b0468d27718a5dcc3250b95a4fc2",
        ),
    ] {
        let output = zq(&["--json", "nom", "address", key]);
        assert_eq!(code(&output), 0, "{account}");
        let address = &dump["accounts"][account]["address"];
        assert!(address.is_string(), "{account}");
        assert_eq!(&json(&output)["address"], address, "{account}");
    }
    let output = zq(&["nom", "address", &"g".repeat(64)]);
    assert_eq!(code(&output), 2, "no hexadecimal digits");
}

#[test]
fn inspect_shows_what_a_receipt_says_without_checking_it() {
    let scratch = Scratch::new("inspect");
    let vectors = vectors();
    for vector in vectors["valid"].as_array().expect("valid vectors") {
        let receipt = scratch.file("a.cose", &bytes(vector, "receipt"));
        let output = zq(&["--json", "attestation", "inspect", &receipt]);
        let (said, name) = (json(&output), text(vector, "name"));
        assert_eq!(code(&output), 0, "{name}");
        assert_eq!(said["checked"], false, "{name}");
        for field in ["committee", "seq", "epoch", "state", "time_ms", "previous"] {
            let shown = said[field].as_str().map(str::to_owned);
            let shown = shown.unwrap_or_else(|| said[field].to_string());
            assert_eq!(shown, text(&vector["commit"], field), "{name}: {field}");
        }
        let plain = zq(&["attestation", "inspect", &receipt]);
        let plain = String::from_utf8_lossy(&plain.stdout).into_owned();
        let committee = text(&vector["commit"], "committee");
        let shown = plain.lines().any(|line| {
            let mut words = line.split_whitespace();
            (words.next(), words.next()) == (Some("committee"), Some(committee))
        });
        assert!(shown, "{name}: {plain}");
    }
}

#[test]
fn a_misuse_is_json_for_whoever_asks_for_json_and_help_is_none() {
    for arguments in [
        &["--json", "no-such-noun"][..],
        &["attestation", "verify", "a.cose", "--json"],
        &["--json", "zapp", "view", "not-an-id", "get"],
        &["--json", "nom", "address", "abc"],
    ] {
        let output = zq(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        let error = json(&output)["error"].as_str().map(str::to_owned);
        assert!(
            error.is_some_and(|error| !error.is_empty()),
            "{arguments:?}"
        );
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    let help = zq(&["zapp", "call", "--help"]);
    assert_eq!((code(&help), help.stderr.len()), (0, 0));
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure_and_a_reader_that_left_is_none() {
    use std::process::Stdio;

    let key = "00".repeat(32);
    let mut command = Command::new(env!("CARGO_BIN_EXE_zq"));
    command.args(["nom", "address", &key]);
    let full = fs::File::create("/dev/full").expect("a device");
    let output = command.stdout(full).output().expect("zq starts");
    assert_eq!(code(&output), 1, "a full disk");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = command.stdout(Stdio::from(writer)).output();
    assert_eq!(code(&output.expect("zq starts")), 0, "a reader that left");
}

#[test]
fn endless_and_foreign_files_are_refused_with_the_path() {
    let scratch = Scratch::new("files");
    let (zero, key) = ("/dev/zero", "00".repeat(32));
    let dir = scratch.0.to_str().expect("a path in UTF-8").to_owned();
    let binary = scratch.file("binary", &[0xff; 64]);
    let foreign = scratch.file("foreign.json", b"{\"group_key\": 7}");
    for (arguments, named) in [
        (
            &["attestation", "verify", &dir, "--key", &key][..],
            dir.as_str(),
        ),
        (
            &["attestation", "verify", zero, "--committee", &binary],
            &binary,
        ),
        (
            &["attestation", "verify", zero, "--committee", &foreign],
            &foreign,
        ),
        (&["nom", "block-hash", zero], zero),
        (&["nom", "block-hash", &binary], &binary),
        (&["committee", "inspect", zero], zero),
        (
            &["committee", "create", &foreign, "--network", "1"],
            &foreign,
        ),
    ] {
        let output = zq(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(code(&output), 1, "{arguments:?}: {error}");
        assert!(error.contains(named), "{arguments:?}: {error}");
    }
}

#[test]
fn an_attestation_or_leaf_that_is_too_long_is_invalid_and_ends_with_3() {
    let scratch = Scratch::new("long");
    let vectors = vectors();
    let vector = &vectors["valid"][0];
    let receipt = scratch.file("a.cose", &bytes(vector, "receipt"));
    let endless = "/dev/zero";
    let long = scratch.file("long.cose", &vec![0; 1024 * 1024 + 1]);
    let key = text(vector, "group_key");
    let verify = ["--json", "attestation", "verify"];
    for (arguments, check, file) in [
        (&[endless, "--key", key][..], "receipt", endless),
        (&[&long, "--key", key], "receipt", &long),
        (
            &[&receipt, "--key", key, "--leaf", endless],
            "leaf",
            endless,
        ),
        (&[&receipt, "--key", key, "--leaf", &long], "leaf", &long),
    ] {
        let output = zq(&[&verify, arguments].concat());
        let answer = json(&output);
        assert_eq!(code(&output), 3, "{arguments:?}: {answer}");
        assert_eq!(answer["valid"], false, "{arguments:?}: {answer}");
        assert_eq!(answer["check"], check, "{arguments:?}: {answer}");
        let reason = format!("{file}: more than 1048576 bytes");
        assert_eq!(answer["error"], reason, "{arguments:?}");
    }
    let output = zq(&["--json", "attestation", "inspect", endless]);
    assert_eq!(
        (code(&output), &json(&output)["check"]),
        (3, &"receipt".into())
    );
}

/// What `zq-node init` writes, for keys made from `seed`.
fn card(seed: u8, coordinator: bool) -> String {
    use attestation::committee::Card;
    use attestation::ids::{ChannelKey, Digest, IdentityKey, RuntimeProfile, Signature};
    use ed25519_dalek::{Signer as _, SigningKey};

    let card = |seed: u8| {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let identity = IdentityKey::from_bytes(key.verifying_key().to_bytes());
        let channel = ChannelKey::from_bytes([seed; 32]);
        let image = Digest::from_bytes([0; 32]);
        Card::signed((identity, channel), image, Card::NO_PAYOUT, |bytes| {
            Signature::from_bytes(key.sign(bytes).to_bytes())
        })
    };
    serde_json::json!({
        "member": card(seed),
        "coordinator": coordinator.then(|| card(seed + 100)),
        "profile": RuntimeProfile::from_bytes([7; 32]),
    })
    .to_string()
}

#[test]
fn a_committee_is_created_from_cards_once_and_everybody_sees_the_same() {
    let scratch = Scratch::new("create");
    let cards: Vec<String> = (1..=5)
        .map(|seed| scratch.file(&format!("{seed}.json"), card(seed, seed <= 2).as_bytes()))
        .collect();
    let record = scratch.0.join("committee.record");
    let record = record.to_str().expect("a path in UTF-8");
    let create = |cards: &[&str], more: &[&str]| {
        let begin = [
            "--json",
            "committee",
            "create",
            "--network",
            "1",
            "--out",
            record,
        ];
        zq(&[&begin, cards, more].concat())
    };
    let in_order: Vec<&str> = cards.iter().map(String::as_str).collect();
    let mut out_of_order = in_order.clone();
    out_of_order.rotate_left(1);

    assert_eq!(code(&create(&in_order, &["--threshold", "3"])), 2, "unsafe");
    assert_eq!(code(&create(&out_of_order, &[])), 2, "a gap in the ranks");
    let twice = [&in_order[..], &in_order[..1]].concat();
    assert_eq!(code(&create(&twice, &[])), 2, "a card twice");
    assert!(!Path::new(record).exists());

    let created = create(&in_order, &[]);
    assert_eq!(code(&created), 0);
    let created = json(&created);
    assert_eq!(created["threshold"], 4);
    let ranks = created["coordinators"].as_array().map(Vec::len);
    assert_eq!(ranks, Some(2));
    let seen = zq(&["--json", "committee", "inspect", record]);
    assert_eq!((code(&seen), json(&seen)), (0, created));
    assert_eq!(code(&create(&in_order, &[])), 1, "no record is overwritten");
}

#[test]
fn a_key_vouches_for_a_member_and_signs_nothing_else() {
    use attestation::conditions::Sentinel;
    use attestation::ids::{IdentityKey, NetworkId, Signature};

    let scratch = Scratch::new("vouch");
    let file = scratch.0.join("owner.key");
    let file = file.to_str().expect("a path in UTF-8");
    assert_eq!(code(&zq(&["key", "new", file])), 0);
    let member: serde_json::Value = serde_json::from_str(&card(1, false)).expect("JSON");
    let member: attestation::committee::Card =
        serde_json::from_value(member["member"].clone()).expect("a card");
    let statement = Sentinel::statement(NetworkId(1), &member);
    let vouched = zq(&["--json", "key", "vouch", file, &statement]);
    assert_eq!(code(&vouched), 0);
    let vouched = json(&vouched);
    let of = |name: &str| vouched[name].as_str().expect("text").to_owned();
    let sentinel = Sentinel {
        owner: of("owner").parse::<IdentityKey>().expect("a key"),
        proof: of("signature").parse::<Signature>().expect("a signature"),
    };
    let verify = attestation::identity::verify;
    assert!(sentinel.vouches_for(NetworkId(1), &member, verify));
    assert!(!sentinel.vouches_for(NetworkId(2), &member, verify));
    assert_eq!(of("address"), sentinel.address().to_string());
    // A block's hash, a statement with more behind it, other text.
    let block = "0".repeat(64);
    let longer = format!("{statement}00");
    for other in [block.as_str(), &longer, "ZQSNTL1:", "pay to z1"] {
        let refused = zq(&["--json", "key", "vouch", file, other]);
        assert_eq!(code(&refused), 1, "{other}");
        assert!(json(&refused).get("signature").is_none());
    }
}
