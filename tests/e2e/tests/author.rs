//! From a module to an attested result with `zq` alone, as an author does it.

use std::path::Path;
use std::process::{Command, Output};

use e2e::Running;
use serde_json::Value;

/// `zq` against the first member's node.
struct Zq {
    program: std::path::PathBuf,
    node: String,
    dir: tempfile::TempDir,
}

impl Zq {
    fn new(running: &Running) -> Self {
        let http = running.committee.http(1).expect("a member");
        Self {
            program: running.committee.programs().path("zq"),
            node: http.base().to_owned(),
            dir: tempfile::tempdir().expect("writable"),
        }
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let output: Output = Command::new(&self.program)
            .args(["--json", "--node", &self.node])
            .args(arguments)
            .current_dir(self.dir.path())
            .output()
            .expect("zq starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let value = serde_json::from_slice(&output.stdout);
        (
            output.status.code(),
            value.unwrap_or_else(|_| panic!("{arguments:?}: {said}")),
        )
    }

    fn ok(&self, arguments: &[&str]) -> Value {
        let (code, value) = self.run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {value}");
        value
    }
}

#[test]
fn a_zapp_is_deployed_called_and_viewed_by_names_alone() {
    let running = Running::start().expect("a committee with its key");
    let zq = Zq::new(&running);
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/zapps/vault.wasm");
    let module = module.to_str().expect("a path in UTF-8");
    let alice = zq.ok(&["key", "new", "alice.key"]);
    let alice = alice["key"].as_str().expect("a key");
    zq.ok(&["key", "new", "bob.key"]);

    let owners = format!("owners=[\"{alice}\"]");
    let rules = [
        "threshold=1",
        "limit=100",
        "period_ms=1000000000000",
        "supply=150",
    ];
    let deploy = ["zapp", "deploy", module, "--key", "bob.key", &owners];
    let deployed = zq.ok(&[&deploy[..], &rules].concat());
    let zapp = deployed["zapp"].as_str().expect("an id");
    assert!(
        deployed["gas"].as_u64().is_some_and(|gas| gas > 20_000_000),
        "{deployed}"
    );

    let call = |key: &str, arguments: &[&str]| {
        zq.run(&[&["zapp", "call", zapp, "--key", key][..], arguments].concat())
    };
    let (code, proposed) = call("alice.key", &["propose", "to=@bob.key", "amount=60"]);
    assert_eq!(
        (code, &proposed["value"]),
        (Some(0), &1.into()),
        "{proposed}"
    );
    let (code, refused) = call("bob.key", &["execute", "payment=1"]);
    assert_eq!(code, Some(1), "{refused}");
    assert_eq!(
        refused["revert"],
        "NotAnOwner: The caller is none of the owners."
    );
    let (code, executed) = call("alice.key", &["execute", "--json-args", "{\"payment\":1}"]);
    assert_eq!(
        (code, &executed["value"]),
        (Some(0), &"90".into()),
        "{executed}"
    );
    assert_eq!(executed["verified"], true);

    let shown = zq.ok(&["zapp", "view", zapp, "payment", "number=1"]);
    assert_eq!(shown["value"]["executed"], true, "{shown}");
    assert_eq!(shown["value"]["amount"], "60");
    let paid = zq.ok(&["zapp", "view", zapp, "balance", "holder=@bob.key"]);
    assert_eq!(paid["value"], "60");
}
