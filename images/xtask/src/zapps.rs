//! Compiles the zApps of `runtime/zapps` to WebAssembly: the examples, and whatever crate lies
//! beside them.
//!
//! How a module is made so that its bytes depend on its sources alone: crate `zapp-build`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use zapp_build::{Install, TARGET, Toolchain, module};

/// Builds every zApp of `root` into `out`; returns the paths of the modules.
///
/// # Errors
/// No toolchain that makes WebAssembly and none could be installed; a zApp that does not compile.
pub fn build(root: &Path, out: &Path, log: &mut dyn FnMut(&str)) -> Result<Vec<PathBuf>> {
    let toolchain = Toolchain::find(Install::Packages, log)?;
    log(&format!("zApps: compiling with {}", toolchain.name()));
    let target = root.join("target/zapps-build");
    let names = names(root)?;
    compile(&toolchain, root, &target, &names)?;
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    names
        .iter()
        .map(|name| install(name, &target, out))
        .collect()
}

/// Folders of `runtime/zapps` that are zApps, in order; package and folder have one name.
fn names(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("runtime/zapps");
    let entries = fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() && entry.file_name() != SDK {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn compile(toolchain: &Toolchain, root: &Path, target: &Path, names: &[String]) -> Result<()> {
    let sources = root.canonicalize().context("the workspace has no path")?;
    let mut cargo = toolchain.cargo();
    cargo
        .current_dir(root.join("runtime/zapps"))
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--target",
            TARGET,
        ])
        .arg("--target-dir")
        .arg(target)
        // Flags of the caller would change the modules.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_BUILD_RUSTFLAGS")
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            zapp_build::flags(toolchain, &[(sources, "/zquorum")]),
        );
    for name in names {
        cargo.args(["--package", name]);
    }
    let status = cargo.status().context("cargo did not start")?;
    if !status.success() {
        bail!("the zApps do not compile ({status})");
    }
    Ok(())
}

fn install(name: &str, target: &Path, out: &Path) -> Result<PathBuf> {
    let file = format!("{}.wasm", name.replace('-', "_"));
    let built = target.join(TARGET).join("release").join(file);
    let bytes = fs::read(&built).with_context(|| format!("no module {}", built.display()))?;
    let stripped = module::strip(&bytes).with_context(|| format!("{name} is no module"))?;
    // Written beside and renamed, so that nobody reads half a module.
    let path = out.join(format!("{name}.wasm"));
    let draft = out.join(format!(".{name}.{}", std::process::id()));
    fs::write(&draft, stripped).with_context(|| format!("cannot write {}", draft.display()))?;
    fs::rename(&draft, &path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The SDK, beside its users.
const SDK: &str = "sdk";

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest as _, Sha256};

    /// What a build of the zApps reads.
    const SOURCES: &[&str] = &["Cargo.toml", "contracts/nom", "runtime/zapps"];

    fn copy(from: &Path, to: &Path) {
        if from.is_file() {
            fs::create_dir_all(to.parent().expect("a parent")).expect("writable");
            fs::copy(from, to).expect("readable");
            return;
        }
        for entry in fs::read_dir(from).expect("a folder") {
            let name = entry.expect("readable").file_name();
            if name != "target" {
                copy(&from.join(&name), &to.join(&name));
            }
        }
    }

    fn modules_built_in(root: &Path) -> Vec<Vec<u8>> {
        for source in SOURCES {
            copy(&crate::workspace_root().join(source), &root.join(source));
        }
        let paths = build(root, &root.join("out"), &mut |_| ()).expect("the zApps compile");
        paths
            .iter()
            .map(|path| fs::read(path).expect("written"))
            .collect()
    }

    #[test]
    fn modules_do_not_depend_on_where_they_are_built() {
        let scratch = tempfile::tempdir().expect("writable");
        let near = modules_built_in(&scratch.path().join("a"));
        let far = modules_built_in(&scratch.path().join("another/and/longer/path"));
        assert!(near.len() >= 3, "three examples");
        let digests = |modules: &[Vec<u8>]| -> Vec<String> {
            let digest = |module: &Vec<u8>| hex::encode(Sha256::digest(module));
            modules.iter().map(digest).collect()
        };
        assert_eq!(digests(&near), digests(&far));
        let place = scratch.path().to_str().expect("text").as_bytes();
        for module in near {
            assert!(!module.windows(place.len()).any(|window| window == place));
        }
    }

    /// The zApps are no members of the workspace, so that its `test` and `fmt` pass them by.
    fn cargo_in_zapps(arguments: &[&str]) {
        let root = crate::workspace_root();
        // Captured: whoever counts our tests must not count these as well.
        let output = crate::command::cargo(&root)
            .current_dir(root.join("runtime/zapps"))
            .env("CARGO_TARGET_DIR", root.join("target/zapps-build"))
            .args(arguments)
            .output()
            .expect("cargo starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        let lines = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{arguments:?}
{lines}
{errors}"
        );
    }

    #[test]
    fn the_sdk_passes_its_own_tests() {
        for package in ["zapp", "zapp-macro", "zapp-test"] {
            cargo_in_zapps(&["test", "--quiet", "--locked", "--package", package]);
        }
    }

    #[test]
    fn the_readme_shows_the_counter_as_it_is() {
        let root = crate::workspace_root();
        let read = |path: &str| fs::read_to_string(root.join(path)).expect(path);
        let source = read("runtime/zapps/counter/src/lib.rs");
        let code = source.lines().filter(|line| !line.starts_with("//!"));
        let code = code.collect::<Vec<_>>().join("\n");
        assert!(read("README.md").contains(&format!("```rust\n{}\n```", code.trim())));
    }

    #[test]
    fn the_zapps_are_formatted() {
        cargo_in_zapps(&["fmt", "--all", "--check"]);
    }
}
