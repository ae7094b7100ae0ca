//! Builds the guest programs for Hermit, and lists what they link.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use vm::image::Crate;

use super::kernel::Kernel;
use super::toolchain::Toolchain;
use crate::command;

/// Hermit: threads, sockets and `std`, no processes and no files.
pub const TARGET: &str = "x86_64-unknown-hermit";

/// A guest program.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The image's name, and the package's.
    pub package: &'static str,
    /// The binary.
    pub binary: &'static str,
    /// Least memory that it boots and works with.
    pub memory_mib_min: u64,
}

/// Compiles the program against the kernel; returns the path of its ELF file.
pub fn build(
    root: &Path,
    toolchain: &Toolchain,
    kernel: &Kernel,
    target_dir: &Path,
    program: Program,
) -> Result<PathBuf> {
    let mut cargo = toolchain.cargo(root, TARGET, &FLAGS)?;
    cargo
        .args([
            "build",
            "--locked",
            "--profile",
            PROFILE,
            "--target",
            TARGET,
        ])
        .args(["--package", program.package, "--bin", program.binary])
        .args([
            "-Zbuild-std=std,panic_abort",
            "-Zbuild-std-features=compiler-builtins-mem",
        ])
        .arg("--target-dir")
        .arg(target_dir)
        .env("ZQ_KERNEL", &kernel.library);
    command::run(&format!("building {}", program.binary), &mut cargo)?;
    Ok(target_dir.join(TARGET).join(PROFILE).join(program.binary))
}

/// Every crate that the program links for a target, in order, as this cargo resolves them.
pub fn crates(mut cargo: Command, target: &str, program: Program) -> Result<Vec<Crate>> {
    let output = cargo
        .args([
            "tree",
            "--locked",
            "--quiet",
            "--target",
            target,
            "--package",
            program.package,
        ])
        .args([
            "--edges",
            "normal,no-proc-macro",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .output()
        .context("cargo does not start")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    }
    let mut crates: Vec<Crate> = String::from_utf8(output.stdout)?
        .lines()
        .filter_map(crate_of)
        .collect();
    crates.sort();
    crates.dedup();
    Ok(crates)
}

/// `name vVERSION`, perhaps with a path behind it.
fn crate_of(line: &str) -> Option<Crate> {
    let mut words = line.split_whitespace();
    let name = words.next()?.to_string();
    let version = words.next()?.strip_prefix('v')?.to_string();
    Some(Crate { name, version })
}

const PROFILE: &str = "image";

/// Where LLVM merges a block that more than 16 others lead to, it takes those in the order of their
/// addresses, which differs from run to run, and with it the image. Loops of 32 rounds over the
/// bytes of a key, unrolled, are where guests have such blocks.
const FLAGS: [&str; 1] = ["-Cllvm-args=-unroll-full-max-count=16"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::build::PROGRAMS;

    /// Where guests run as processes of their node.
    const PROCESSES: &str = "x86_64-unknown-linux-gnu";

    fn linked(package: &str) -> Vec<String> {
        linked_on(TARGET, package)
    }

    fn linked_on(target: &str, package: &str) -> Vec<String> {
        let root = crate::workspace_root();
        let program = PROGRAMS
            .into_iter()
            .find(|program| program.package == package);
        let crates = crates(command::cargo(&root), target, program.expect("an image"));
        let crates = crates.expect("cargo knows it");
        crates.into_iter().map(|linked| linked.name).collect()
    }

    #[test]
    fn no_key_and_no_engine_share_an_image() {
        let both =
            [TARGET, PROCESSES].map(|target| ["signer", "coordinator"].map(|it| (target, it)));
        for (target, package) in both.into_iter().flatten() {
            let crates = linked_on(target, package);
            assert!(
                crates.iter().any(|name| name == "link"),
                "{package}: the list is real"
            );
            let engines = [
                "runtime",
                "wasmtime",
                "wasmparser",
                "wasmi",
                "wasm-encoder",
                "pulley",
                "cranelift",
            ];
            for engine in engines {
                let found = crates.iter().find(|name| name.starts_with(engine));
                assert_eq!(found, None, "{package} links {engine} for {target}");
            }
        }
        assert!(!linked("executor").iter().any(|name| name == "signer"));
    }

    /// In a machine of its own and as a process: guests have threads and blocking sockets.
    #[test]
    fn no_guest_links_an_asynchronous_runtime() {
        for program in PROGRAMS {
            for target in [TARGET, PROCESSES] {
                let crates = linked_on(target, program.package);
                let said = format!("{} for {target}", program.package);
                assert!(crates.iter().any(|name| name == "link"), "{said}");
                for runtime in ["tokio", "mio", "hyper", "async-io", "smol", "futures"] {
                    let found = crates.iter().find(|name| name.starts_with(runtime));
                    assert_eq!(found, None, "{said}");
                }
            }
        }
    }

    /// The executor's messages are those of the signer's protocol, which brings its suites along.
    #[test]
    fn the_executor_links_the_suites_of_the_protocol_and_no_other_frost() {
        for target in [TARGET, PROCESSES] {
            let crates = linked_on(target, "executor");
            let mut frost: Vec<&str> = crates.iter().map(String::as_str).collect();
            frost.retain(|name| name.contains("frost"));
            let protocol = [
                "frost-core",
                "frost-ed25519",
                "frost-rerandomized",
                "frost-secp256k1-evm",
            ];
            assert_eq!(frost, protocol, "{target}");
        }
    }

    #[test]
    fn the_executor_holds_an_engine_and_no_compiler() {
        let crates = linked("executor");
        assert!(crates.iter().any(|name| name == "wasmtime"));
        let compiler = crates
            .iter()
            .find(|name| name.starts_with("cranelift-codegen"));
        assert_eq!(compiler, None);
    }
}
