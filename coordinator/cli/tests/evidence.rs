//! `zq evidence`, as a user runs it: files that convict, files that do not, no node anywhere.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use attestation::codec;
use attestation::committee::{Card, CreationRecord};
use attestation::conditions::Conditions;
use attestation::ids::{
    Boot, ChannelKey, Digest, Epoch, NetworkId, RuntimeProfile, Seq, Signature, Slot, StatementId,
    View,
};
use attestation::terms::Terms;
use light_client::key_record::session;
use light_client::suite::Evm;
use serde::Serialize;
use serde_json::Value;
use signer_protocol::blame::{Act, Culprit};
use signer_protocol::evidence::{CeremonyAct, EVIDENCE_VERSION, Evidence, Fact};
use signer_protocol::identity::{Ed25519Identity, SignIdentity as _};
use signer_protocol::message::{DkgBody, DkgMessage};
use state::job::{Domain, SignedVote};

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

/// A directory that goes away.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("zq-evidence-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a temporary directory");
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        let path = self.0.join(name);
        path.to_str().expect("a path in UTF-8").to_owned()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.0.join(name), bytes).expect("a temporary file");
        self.path(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn identity(slot: u8) -> Ed25519Identity {
    Ed25519Identity::from_seed(&[slot; 32])
}

fn record() -> CreationRecord {
    let card = |slot: u8| {
        let identity = identity(slot);
        let keys = (identity.key(), ChannelKey::from_bytes([slot; 32]));
        let image = Digest::from_bytes([0; 32]);
        Card::signed(keys, image, Card::NO_PAYOUT, |bytes| identity.sign(bytes))
    };
    CreationRecord {
        network: NetworkId(3),
        threshold: 3,
        members: (1..=4).map(card).collect(),
        coordinators: vec![card(9)],
        profile: RuntimeProfile::from_bytes([5; 32]),
        created_ms: 1,
        salt: Digest::from_bytes([1; 32]),
        terms: Terms::FREE,
        grants: Vec::new(),
        evm: false,
        conditions: Conditions::default(),
    }
}

/// A member's vote, signed by it.
fn vote(record: &CreationRecord, view: u64, of: u8) -> SignedVote {
    let mut vote = SignedVote {
        slot: Slot(2),
        epoch: Epoch(1),
        seq: Seq(7),
        view: View(view),
        statement: StatementId::from_bytes([of; 32]),
        mask: Digest::from_bytes([0; 32]),
        signature: Signature::from_bytes([0; 64]),
    };
    let domain = Domain {
        network: record.network,
        committee: record.id(),
    };
    vote.signature = identity(2).sign(&vote.signed_bytes(&domain));
    vote
}

/// A report as a node keeps it.
#[derive(Serialize)]
enum Report {
    Blame { culprit: Culprit, act: Box<Act> },
}

fn report(act: Act) -> Vec<u8> {
    codec::encode(&Report::Blame {
        culprit: Culprit::Member(Slot(2)),
        act: Box::new(act),
    })
}

#[test]
fn a_report_becomes_a_file_that_convicts_and_a_changed_file_does_not() {
    let scratch = Scratch::new("convicts");
    let record = record();
    let committee = scratch.file("committee.record", &record.to_bytes());
    let twice = Act::VotedTwice(Box::new([vote(&record, 3, 1), vote(&record, 3, 2)]));
    let kept = scratch.file("a.report.cbor", &report(twice));
    let out = scratch.path("a.evidence");
    let made = zq(&[
        "--json",
        "evidence",
        "make",
        &kept,
        "--committee",
        &committee,
        "--out",
        &out,
    ]);
    assert_eq!(code(&made), 0, "{}", String::from_utf8_lossy(&made.stderr));
    assert_eq!(json(&made)["kind"], "voted-twice");

    let verified = zq(&[
        "--json",
        "evidence",
        "verify",
        &out,
        "--committee",
        &committee,
    ]);
    assert_eq!(code(&verified), 0);
    let said = json(&verified);
    assert_eq!(said["valid"], true);
    assert_eq!(said["says"]["culprit"]["member"], 2);
    assert_eq!(said["says"]["place"]["seq"], 7);
    let text = zq(&["evidence", "verify", &out, "--committee", &committee]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    let expected =
        "proven: member 2 voted for two statements in one view (epoch 1, step 7, view 3)";
    assert_eq!(text.trim(), expected);
    let shown = zq(&["--json", "evidence", "show", &out]);
    assert_eq!(
        (code(&shown), &json(&shown)["checked"]),
        (0, &Value::Bool(false))
    );

    let bytes = fs::read(&out).expect("the evidence");
    for at in (0..bytes.len()).step_by(bytes.len() / 12) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let changed = scratch.file("changed.evidence", &changed);
        let refused = zq(&[
            "--json",
            "evidence",
            "verify",
            &changed,
            "--committee",
            &committee,
        ]);
        assert_eq!(code(&refused), 3, "byte {at}");
        assert_eq!(json(&refused)["valid"], false, "byte {at}");
    }
    let mut other = record;
    other.salt = Digest::from_bytes([2; 32]);
    let other = scratch.file("other.record", &other.to_bytes());
    let refused = zq(&["--json", "evidence", "verify", &out, "--committee", &other]);
    assert_eq!(
        (code(&refused), &json(&refused)["check"]),
        (3, &Value::from("committee"))
    );
}

#[test]
fn what_is_no_proof_or_no_evidence_is_refused_with_what_is_wrong() {
    let scratch = Scratch::new("refused");
    let record = record();
    let committee = scratch.file("committee.record", &record.to_bytes());
    let out = scratch.path("a.evidence");
    let make = |act: Act| {
        let kept = scratch.file("a.report.cbor", &report(act));
        zq(&[
            "--json",
            "evidence",
            "make",
            &kept,
            "--committee",
            &committee,
            "--out",
            &out,
        ])
    };
    let absent = make(Act::Absent {
        seq: Seq(7),
        view: View(3),
    });
    assert_eq!(
        (code(&absent), &json(&absent)["check"]),
        (3, &Value::from("proof"))
    );
    let sound = [vote(&record, 3, 1), vote(&record, 4, 2)];
    let sound = make(Act::VotedTwice(Box::new(sound)));
    assert_eq!(
        (code(&sound), &json(&sound)["check"]),
        (3, &Value::from("contradiction"))
    );
    let mut forged = [vote(&record, 3, 1), vote(&record, 3, 2)];
    forged[1].signature = Signature::from_bytes([1; 64]);
    let forged = make(Act::VotedTwice(Box::new(forged)));
    assert_eq!(
        (code(&forged), &json(&forged)["check"]),
        (3, &Value::from("signatures"))
    );
    assert!(
        !fs::exists(&out).expect("a directory of ours"),
        "no file is left"
    );

    let garbage = scratch.file("garbage.evidence", b"evidence");
    for file in [garbage.as_str(), "/dev/zero"] {
        let refused = zq(&[
            "--json",
            "evidence",
            "verify",
            file,
            "--committee",
            &committee,
        ]);
        assert_eq!(
            (code(&refused), &json(&refused)["check"]),
            (3, &Value::from("format")),
            "{file}"
        );
    }
    let absent = zq(&["evidence", "verify", "/nowhere", "--committee", &committee]);
    assert_eq!(code(&absent), 1);
    let no_record = zq(&["evidence", "verify", &garbage, "--committee", &garbage]);
    assert_eq!(code(&no_record), 1);
    assert_eq!(code(&zq(&["evidence", "verify", &garbage])), 2);
}

/// A member's two echoes in the generation of the second key, as its accuser's node keeps them.
fn ceremony(record: &CreationRecord) -> Vec<u8> {
    let domain = Domain {
        network: record.network,
        committee: record.id(),
    };
    let echo = |of: u8| {
        let mut message = DkgMessage {
            session: session::<Evm>(&domain, 1),
            attempt: 1,
            slot: Slot(2),
            boot: Boot(1),
            body: DkgBody::Echo(vec![Digest::from_bytes([of; 32]); 4]),
            signature: Signature::from_bytes([0; 64]),
        };
        message.signature = identity(2).sign(&message.signed_bytes(&domain));
        message
    };
    let fact = Fact::Ceremony {
        act: CeremonyAct::EchoTwice(Box::new([echo(1), echo(2)])),
        plan: None,
    };
    let evidence = Evidence {
        version: EVIDENCE_VERSION,
        committee: record.id(),
        culprit: Culprit::Member(Slot(2)),
        fact,
        history: None,
    };
    signer_protocol::report::Report::Ceremony(Box::new(evidence)).to_bytes()
}

#[test]
fn a_report_of_a_ceremony_becomes_a_file_that_convicts_without_a_node() {
    let scratch = Scratch::new("ceremony");
    let mut record = record();
    record.evm = true;
    let committee = scratch.file("committee.record", &record.to_bytes());
    let kept = scratch.file("a.report.cbor", &ceremony(&record));
    let out = scratch.path("a.evidence");
    let make = |kept: &str, committee: &str| {
        let arguments = ["--json", "evidence", "make", kept, "--committee", committee];
        zq(&[&arguments[..], &["--out", &out]].concat())
    };
    let made = make(&kept, &committee);
    assert_eq!(code(&made), 0, "{}", String::from_utf8_lossy(&made.stderr));
    let verify = |file: &str| {
        let output = zq(&[
            "--json",
            "evidence",
            "verify",
            file,
            "--committee",
            &committee,
        ]);
        (code(&output), json(&output))
    };
    let (ended, said) = verify(&out);
    assert_eq!(
        (ended, &said["says"]["kind"]),
        (0, &Value::from("echo-twice"))
    );
    assert_eq!(said["says"]["place"]["attempt"], 1);
    assert_eq!(said["says"]["epoch"], 1);
    let bytes = fs::read(&out).expect("the evidence");
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        let short = scratch.file("short.evidence", &bytes[..cut]);
        let (ended, said) = verify(&short);
        assert_eq!(
            (ended, &said["check"]),
            (3, &Value::from("format")),
            "{cut}"
        );
    }
    // Of a committee without such a key nothing is kept.
    fs::remove_file(&out).expect("a file of ours");
    record.evm = false;
    let other = scratch.file("other.record", &record.to_bytes());
    let refused = make(&kept, &other);
    assert_eq!(
        (code(&refused), &json(&refused)["check"]),
        (3, &Value::from("committee"))
    );
    assert!(!fs::exists(&out).expect("a directory of ours"));
}
