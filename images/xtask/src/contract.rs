//! Builds the contract for CosmWasm chains, `contracts/cosmwasm`.
//!
//! How its bytes come to depend on its sources alone: crate `zapp-build`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use zapp_build::{Install, Toolchain, contract};

use crate::{command, print_line};

/// Options of `cargo xtask contract`.
#[derive(clap::Args)]
pub struct Options {
    /// Run it in the virtual machine of CosmWasm chains, against the rules in Rust.
    #[arg(long)]
    test: bool,
}

/// Builds the contract; tests it if asked to.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let file = build(root, &root.join("target/contracts"), &mut print_line)?;
    println!("{}", file.display());
    if options.test {
        for arguments in [
            ["fmt", "--check"].as_slice(),
            &[
                "clippy",
                "--locked",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
            &["test", "--locked"],
        ] {
            in_the_machines_workspace(root, arguments)?;
        }
    }
    Ok(())
}

/// The tests are no members of the workspace: `contracts/cosmwasm/vm/Cargo.toml` says why.
fn in_the_machines_workspace(root: &Path, arguments: &[&str]) -> Result<()> {
    let mut cargo = command::cargo(&root.join("contracts/cosmwasm/vm"));
    cargo
        .env("CARGO_TARGET_DIR", root.join("target/cosmwasm-vm"))
        .args(arguments);
    command::run("the contract in its virtual machine", &mut cargo)
}

/// Builds the contract into `out`; returns the module's path.
///
/// # Errors
/// No toolchain that makes WebAssembly and none could be installed; a contract that does not
/// compile.
pub fn build(root: &Path, out: &Path, log: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let toolchain = Toolchain::find(Install::Packages, log)?;
    log(&format!("contract: compiling with {}", toolchain.name()));
    let target = root.join("target/contract-build");
    let status = contract::command(&toolchain, root, &target).status();
    let status = status.context("cargo did not start")?;
    if !status.success() {
        bail!("the contract does not compile ({status})");
    }
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let (built, path) = (contract::module(&target), out.join("cosmwasm.wasm"));
    fs::copy(&built, &path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
