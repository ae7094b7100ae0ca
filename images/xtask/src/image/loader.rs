//! Builds the loader around a guest program: the image.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::toolchain::Toolchain;
use crate::command;

const TARGET: &str = "x86_64-unknown-none";

/// Puts the guest program into a loader; returns the path of the image.
pub fn build(
    root: &Path,
    toolchain: &Toolchain,
    target_dir: &Path,
    guest: &Path,
) -> Result<PathBuf> {
    let flags = ["-Crelocation-model=static", "-Ccode-model=small"];
    let mut cargo = toolchain.cargo(root, TARGET, &flags)?;
    cargo
        .current_dir(root.join("images/loader"))
        .args(["build", "--locked", "--release", "--target", TARGET])
        .args([
            "-Zbuild-std=core,alloc",
            "-Zbuild-std-features=compiler-builtins-mem",
        ])
        .arg("--target-dir")
        .arg(target_dir)
        .env("ZQ_GUEST", guest);
    command::run("building the loader", &mut cargo)?;
    Ok(target_dir.join(TARGET).join("release/loader"))
}
