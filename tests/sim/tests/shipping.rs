//! Planted bugs stay where they belong.

use std::fs;
use std::path::{Path, PathBuf};

/// Manifests that may name the feature.
const MAY: [&str; 4] = [
    "coordinator/protocol/Cargo.toml",
    "runtime/state/Cargo.toml",
    "signer-node/protocol/Cargo.toml",
    "tests/sim/Cargo.toml",
];
/// Programs that ship, which assert that they were built without it.
const SHIPS: [&str; 4] = [
    "coordinator/coordinator/src/main.rs",
    "runtime/executor/src/main.rs",
    "signer-node/node/src/main.rs",
    "signer-node/signer/src/main.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn manifests(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the workspace is readable") {
        let entry = entry.expect("the workspace is readable");
        let name = entry.file_name();
        let (path, name) = (entry.path(), name.to_string_lossy());
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            manifests(&path, found);
        } else if name == "Cargo.toml" {
            found.push(path);
        }
    }
}

#[test]
fn no_manifest_but_the_simulators_switches_planted_bugs_on() {
    let root = root();
    let mut found = Vec::new();
    manifests(&root, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for path in found {
        let text = fs::read_to_string(&path).expect("a manifest is text");
        let name = path.strip_prefix(&root).expect("it is in the workspace");
        let names = text.lines().filter(|line| line.contains("planted"));
        let may = MAY.iter().any(|may| Path::new(may) == name);
        for line in names {
            assert!(may, "{}: {line}", name.display());
            let own = line.starts_with("planted = [");
            assert!(own || line.starts_with('#'), "{}: {line}", name.display());
        }
        let default = text.lines().find(|line| line.starts_with("default ="));
        assert!(!default.is_some_and(|line| line.contains("planted")));
    }
}

#[test]
fn programs_that_ship_do_not_compile_with_planted_bugs() {
    for program in SHIPS {
        let text = fs::read_to_string(root().join(program)).expect("the program is here");
        let asserts = "const _: () = assert!(!signer_protocol::planted::POSSIBLE);";
        assert!(text.contains(asserts), "{program}");
    }
}

#[test]
fn this_build_can_plant_bugs_only_if_it_was_asked_to() {
    assert_eq!(
        signer_protocol::planted::POSSIBLE,
        cfg!(feature = "planted")
    );
}
