//! Builds the kernel: hermit-kernel from the registry's archive, whose checksum the lock file
//! pins, with our patches, as a library whose only symbols are the system calls.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use vm::image::Patch;

use super::toolchain::{Toolchain, cargo_home};
use crate::command;

const TARGET: &str = "x86_64-unknown-none";
const CRATE: &str = "hermit-kernel";
/// What the kernel itself logs at boot: printing costs a guest more time than booting.
const LOG_LEVEL: &str = "warn";

/// What there is to a kernel.
pub struct Kernel {
    /// Folder with `libhermit.a`.
    pub library: PathBuf,
    /// Version of hermit-kernel.
    pub version: String,
    /// Its features.
    pub features: Vec<String>,
    /// Our patches, in order.
    pub patches: Vec<Patch>,
}

/// Builds the kernel into `out`, without the patch that `left_out` names and those that need it.
pub fn build(
    root: &Path,
    toolchain: &Toolchain,
    out: &Path,
    left_out: Option<&str>,
) -> Result<Kernel> {
    let recipe = root.join("images/kernel");
    let manifest = read(&recipe.join("Cargo.toml"))?;
    let lock = read(&recipe.join("Cargo.lock"))?;
    let pinned = Pinned::of(&lock)?;
    let patches = patches(&recipe, left_out)?;

    let work = out.join("build");
    let stamp = stamp(&manifest, &lock, &patches);
    if fs::read_to_string(work.join("stamp")).ok().as_deref() != Some(&stamp) {
        unpack(&recipe, &pinned, &patches, &work)?;
        let patched =
            format!("{manifest}\n[patch.crates-io]\n{CRATE} = {{ path = \"{CRATE}\" }}\n");
        write(&work.join("Cargo.toml"), &patched)?;
        write(&work.join("Cargo.lock"), &pinned.lock_of_path)?;
        fs::create_dir_all(work.join("src"))?;
        fs::copy(recipe.join("src/lib.rs"), work.join("src/lib.rs"))?;
        write(&work.join("stamp"), &stamp)?;
    }
    let target = out.join("target");
    let mut cargo = toolchain.cargo(&work, TARGET, &[])?;
    cargo
        .args(["build", "--locked", "--release", "--target", TARGET])
        .arg("-Zbuild-std=core,alloc")
        // The kernel's own warnings are not ours to mend.
        .args(["-Zwarnings", "--config", "build.warnings=\"allow\""])
        .arg("--target-dir")
        .arg(&target)
        .env("HERMIT_LOG_LEVEL_FILTER", LOG_LEVEL)
        .env("NO_COLOR", "1");
    command::run("building the kernel", &mut cargo)?;

    let built = target.join(TARGET).join("release/libkernel.a");
    let library = out.join("library");
    fs::create_dir_all(&library)?;
    hide_symbols(toolchain, &built, &library)?;
    Ok(Kernel {
        library,
        version: pinned.version,
        features: features(&manifest)?,
        patches: patches.into_iter().map(|patch| patch.patch).collect(),
    })
}

/// What the lock file says about the kernel's source.
struct Pinned {
    version: String,
    checksum: String,
    /// The same lock file for a source that lies in a folder: nothing else may move.
    lock_of_path: String,
}

impl Pinned {
    fn of(lock: &str) -> Result<Self> {
        let name = format!("name = \"{CRATE}\"");
        let entry = lock
            .split("\n\n")
            .find(|entry| entry.lines().any(|line| line == name))
            .with_context(|| format!("images/kernel/Cargo.lock does not name {CRATE}"))?;
        let field = |key: &str| {
            let prefix = format!("{key} = \"");
            entry
                .lines()
                .find_map(|line| line.strip_prefix(&prefix)?.strip_suffix('"'))
                .map(str::to_string)
                .with_context(|| format!("images/kernel/Cargo.lock has no {key} of {CRATE}"))
        };
        let of_path: Vec<&str> = entry
            .lines()
            .filter(|line| !line.starts_with("source = ") && !line.starts_with("checksum = "))
            .collect();
        Ok(Self {
            version: field("version")?,
            checksum: field("checksum")?,
            lock_of_path: lock.replace(entry, &of_path.join("\n")),
        })
    }
}

struct PatchFile {
    path: PathBuf,
    patch: Patch,
}

fn patches(recipe: &Path, left_out: Option<&str>) -> Result<Vec<PatchFile>> {
    let folder = recipe.join("patches");
    let series = read(&folder.join("series"))?;
    if let Some(name) = left_out
        && !series.lines().any(|line| line == name)
    {
        bail!("there is no patch {name}; images/kernel/patches/series lists them");
    }
    let mut patches = Vec::new();
    for name in series.lines() {
        let path = folder.join(format!("{name}.patch"));
        let text = read(&path)?;
        let needs = text.lines().find_map(|line| line.strip_prefix("Needs: "));
        if left_out.is_some() && (left_out == Some(name) || left_out == needs) {
            continue;
        }
        let patch = Patch {
            name: name.to_string(),
            sha256: hex::encode(Sha256::digest(&text)),
        };
        patches.push(PatchFile { path, patch });
    }
    Ok(patches)
}

fn stamp(manifest: &str, lock: &str, patches: &[PatchFile]) -> String {
    let mut hash = Sha256::new();
    hash.update(manifest);
    hash.update(lock);
    for patch in patches {
        hash.update(&patch.patch.sha256);
    }
    hex::encode(hash.finalize())
}

/// Fetches the crate through cargo, checks the archive, unpacks and patches it.
fn unpack(recipe: &Path, pinned: &Pinned, patches: &[PatchFile], work: &Path) -> Result<()> {
    let mut fetch = Command::new("cargo");
    fetch
        .args(["fetch", "--locked", "--manifest-path"])
        .arg(recipe.join("Cargo.toml"));
    command::run("fetching the kernel's source", &mut fetch)?;
    let archive = archive(&format!("{CRATE}-{}.crate", pinned.version))?;
    let bytes = fs::read(&archive)?;
    let actual = hex::encode(Sha256::digest(&bytes));
    if actual != pinned.checksum {
        bail!(
            "{} has the checksum {actual}, images/kernel/Cargo.lock pins {}: delete the file, so \
             that cargo fetches it again",
            archive.display(),
            pinned.checksum
        );
    }
    if work.exists() {
        fs::remove_dir_all(work)?;
    }
    let source = work.join(CRATE);
    fs::create_dir_all(&source)?;
    let mut tar = Command::new("tar");
    tar.args(["-xz", "--strip-components=1", "-f"])
        .arg(&archive)
        .arg("-C")
        .arg(&source);
    command::run("unpacking the kernel's source", &mut tar)?;
    for patch in patches {
        let mut apply = Command::new("patch");
        apply
            .args([
                "--strip=1",
                "--fuzz=0",
                "--batch",
                "--silent",
                "--directory",
            ])
            .arg(&source)
            .arg("--input")
            .arg(&patch.path);
        command::run(&format!("patch {}", patch.patch.name), &mut apply)?;
    }
    Ok(())
}

/// The archive that cargo has downloaded.
fn archive(name: &str) -> Result<PathBuf> {
    let cache = cargo_home().join("registry/cache");
    let registries = fs::read_dir(&cache).with_context(|| format!("no {}", cache.display()))?;
    for registry in registries {
        let path = registry?.path().join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    bail!(
        "cargo has fetched {name}, but it is not in {}",
        cache.display()
    )
}

fn features(manifest: &str) -> Result<Vec<String>> {
    let line = manifest
        .lines()
        .find(|line| line.starts_with(CRATE))
        .context("images/kernel/Cargo.toml does not name the kernel")?;
    let list = line
        .split_once("features = [")
        .and_then(|(_, rest)| rest.split_once(']'));
    let (list, _) = list.context("images/kernel/Cargo.toml lists no features")?;
    Ok(list
        .split(',')
        .map(|feature| feature.trim().trim_matches('"').to_string())
        .collect())
}

/// Kernel and guest program each have a `core`, a `memcpy` and so on: everything but the system
/// calls gets a name of the kernel's own.
fn hide_symbols(toolchain: &Toolchain, built: &Path, library: &Path) -> Result<()> {
    let listed = toolchain
        .binutil("nm")
        .args(["--defined-only", "--extern-only", "--format=just-symbols"])
        .arg(built)
        .output()
        .context("llvm-nm does not start")?;
    if !listed.status.success() {
        bail!("llvm-nm cannot read {}", built.display());
    }
    let listed = String::from_utf8(listed.stdout)?;
    let is_visible = |symbol: &str| {
        let call = symbol.starts_with("sys_") && !HIDDEN.contains(&symbol);
        call || VISIBLE.contains(&symbol)
    };
    let mut symbols: Vec<&str> = listed
        .lines()
        .filter(|line| !line.is_empty() && !line.ends_with(':') && !is_visible(line))
        .collect();
    symbols.sort_unstable();
    symbols.dedup();
    let renamed: String = symbols
        .iter()
        .map(|symbol| format!("{symbol} kernel_{symbol}\n"))
        .collect();
    let names = library.join("renamed");
    write(&names, &renamed)?;
    let fresh = library.join("libhermit.a.new");
    let mut objcopy = toolchain.binutil("objcopy");
    objcopy
        .arg(format!("--redefine-syms={}", names.display()))
        .arg(built)
        .arg(&fresh);
    command::run("naming the kernel's symbols", &mut objcopy)?;
    // Guests are linked anew when this file is newer than they are.
    let path = library.join("libhermit.a");
    if fs::read(&path).ok() != Some(fs::read(&fresh)?) {
        fs::rename(&fresh, &path)?;
    }
    Ok(())
}

/// System calls that no guest program may link: the kernel's generator that anybody can foretell, and
/// ways to randomness other than the one that is patched.
const HIDDEN: [&str; 4] = [
    "sys_rand",
    "sys_srand",
    "sys_secure_rand32",
    "sys_secure_rand64",
];

/// What guest programs see of the kernel besides its system calls.
const VISIBLE: [&str; 4] = ["_start", "__bss_start", "mcount", "runtime_entry"];

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_for_a_folder_differs_in_source_and_checksum_alone() {
        let lock = read(&crate::workspace_root().join("images/kernel/Cargo.lock")).expect("there");
        let pinned = Pinned::of(&lock).expect("names the kernel");
        assert_eq!(pinned.version, "0.11.0");
        let kept: Vec<&str> = pinned.lock_of_path.lines().collect();
        let gone: Vec<&str> = lock
            .lines()
            .filter(|line| line.contains(&pinned.checksum))
            .collect();
        assert_eq!(gone.len(), 1, "one checksum");
        assert_eq!(kept.len() + 2, lock.lines().count());
    }

    #[test]
    fn every_patch_is_in_the_series_once_and_says_what_and_why() {
        let recipe = crate::workspace_root().join("images/kernel");
        let patches = patches(&recipe, None).expect("readable");
        let mut listed: Vec<PathBuf> = patches.into_iter().map(|patch| patch.path).collect();
        for path in &listed {
            let text = read(path).expect("readable");
            let (header, _) = text.split_once("\n--- ").expect("a patch");
            assert!(header.contains("Matters:"), "{}", path.display());
        }
        listed.sort();
        let entries = fs::read_dir(recipe.join("patches")).expect("a folder");
        let mut there: Vec<PathBuf> = entries
            .map(|entry| entry.expect("readable").path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "patch")
            })
            .collect();
        there.sort();
        assert_eq!(listed, there);
    }
}
