//! The contract of `contracts/cosmwasm`, as cosmwasm-vm takes it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{TARGET, Toolchain, flags_with};

/// The call of cargo that builds the contract of the repository `root` in the folder `target`;
/// the module is [`module`]. Its bytes depend on sources and compiler alone.
#[must_use]
pub fn command(toolchain: &Toolchain, root: &Path, target: &Path) -> Command {
    let sources = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let remap = [(sources, "/zquorum"), (cargo_home(), "/cargo")];
    let mut cargo = toolchain.cargo_with_alloc();
    cargo
        .current_dir(root)
        .args(["rustc", "--quiet", "--locked", "--profile", PROFILE])
        .args(["--package", PACKAGE, "--lib", "--crate-type", "cdylib"])
        .args(["--target", TARGET])
        .arg("--target-dir")
        .arg(target)
        // Flags of the caller would change the module.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_BUILD_RUSTFLAGS")
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            flags_with(toolchain, &remap, &[STACK]),
        );
    cargo
}

/// Where [`command`] leaves the module.
#[must_use]
pub fn module(target: &Path) -> PathBuf {
    target
        .join(TARGET)
        .join(PROFILE)
        .join(PACKAGE)
        .with_extension("wasm")
}

/// Where sources from the registry lie.
fn cargo_home() -> PathBuf {
    let home = || Some(Path::new(&std::env::var_os("HOME")?).join(".cargo"));
    std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .unwrap_or_default()
}

const PACKAGE: &str = "cosmwasm";
const PROFILE: &str = "contract";
/// No declared maximum of memory: the machine sets its own, and refuses another.
const STACK: &str = "-zstack-size=131072";
