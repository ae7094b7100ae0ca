//! Compiles the crates that promise `no_std` for a target that has no standard library, so that
//! clock, sockets, threads and `HashMap` are unavailable rather than banned.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::command;

const TARGET: &str = "x86_64-unknown-none";
const PACKAGES: &[&str] = &[
    "attestation",
    "state",
    "light-client",
    "signer-protocol",
    "coordinator-protocol",
    "acceptor",
    "cosmwasm",
    "nom",
];

/// Builds every no_std crate for [`TARGET`].
pub fn run(root: &Path) -> Result<()> {
    let mut build = if has_rustup_target() {
        command::cargo(root)
    } else {
        packaged_cargo(root)
    };
    build.args([
        "build",
        "--quiet",
        "--no-default-features",
        "--target",
        TARGET,
    ]);
    // Nothing of it runs. Without any optimisation the target has no code for vectors.
    for setting in [
        "profile.dev.opt-level=0",
        "profile.dev.debug=false",
        "profile.dev.package.\"*\".opt-level=1",
    ] {
        build.args(["--config", setting]);
    }
    build.arg("--target-dir").arg(root.join("target/no-std"));
    for package in PACKAGES {
        build.args(["--package", package]);
    }
    if !has_rustup_target() {
        build.arg("-Zbuild-std=core,alloc");
    }
    command::run("no_std build", &mut build)?;
    println!("no_std: {} build for {TARGET}", PACKAGES.join(", "));
    Ok(())
}

fn has_rustup_target() -> bool {
    Command::new("rustup")
        .args(["target", "list", "--installed"])
        .output()
        .is_ok_and(|out| {
            String::from_utf8_lossy(&out.stdout)
                .lines()
                .any(|line| line == TARGET)
        })
}

/// Debian's packaged toolchain has the standard library's source beside it.
fn packaged_cargo(root: &Path) -> Command {
    let mut command = Command::new("/usr/bin/cargo");
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .current_dir(root)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("PATH", format!("/usr/bin:{path}"))
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO")
        .env_remove("RUSTC");
    command
}
