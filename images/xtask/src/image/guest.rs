//! Builds the guest programs for Hermit, and lists what they link.

use std::path::{Path, PathBuf};

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
    let mut cargo = toolchain.cargo(root, TARGET, &[])?;
    cargo
        .args(["build", "--locked", "--profile", PROFILE, "--target", TARGET])
        .args(["--package", program.package, "--bin", program.binary])
        .args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=compiler-builtins-mem"])
        .arg("--target-dir")
        .arg(target_dir)
        .env("ZQ_KERNEL", &kernel.library);
    command::run(&format!("building {}", program.binary), &mut cargo)?;
    Ok(target_dir.join(TARGET).join(PROFILE).join(program.binary))
}

/// Every crate that the program links, in order.
pub fn crates(root: &Path, toolchain: &Toolchain, program: Program) -> Result<Vec<Crate>> {
    let output = toolchain
        .cargo(root, TARGET, &[])?
        .args(["tree", "--locked", "--quiet", "--target", TARGET, "--package", program.package])
        .args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"])
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
