//! Lines of code below the guest program: the crates that the kernel and the loader link.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::command;

const TARGET: &str = "x86_64-unknown-none";
const KERNEL: &str = "hermit-kernel";

/// What was counted. All sources of a crate count, also those for other processors and for its
/// tests: the figures are upper bounds.
pub struct Lines {
    /// The kernel's own crate, without our patches.
    pub kernel: usize,
    /// Lines that our patches add to it.
    pub patches: usize,
    /// The crates that it links.
    pub dependencies: Counted,
    /// The loader with the crates that it links and the kernel does not.
    pub loader: Counted,
}

/// Crates and their lines.
#[derive(Default)]
pub struct Counted {
    /// How many crates.
    pub crates: usize,
    /// Their lines.
    pub lines: usize,
}

impl Counted {
    fn add(&mut self, lines: usize) {
        self.crates += 1;
        self.lines += lines;
    }
}

impl Lines {
    /// Counts them.
    pub fn count(root: &Path) -> Result<Self> {
        let mut counted = Self {
            kernel: 0,
            patches: added(&root.join("images/kernel/patches"))?,
            dependencies: Counted::default(),
            loader: Counted::default(),
        };
        let mut seen = BTreeSet::new();
        for linked in linked(&root.join("images/kernel"))? {
            let lines = of_folder(&linked.source)?;
            if linked.name == KERNEL {
                counted.kernel = lines;
            } else {
                counted.dependencies.add(lines);
            }
            seen.insert(linked);
        }
        for linked in linked(&root.join("images/loader"))? {
            if seen.insert(linked.clone()) {
                counted.loader.add(of_folder(&linked.source)?);
            }
        }
        Ok(counted)
    }

    /// All of them.
    pub const fn total(&self) -> usize {
        self.kernel + self.patches + self.dependencies.lines + self.loader.lines
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Linked {
    name: String,
    version: String,
    /// The folder of its library's first file.
    source: PathBuf,
}

/// The crates that the crate in `folder` links, itself among them.
fn linked(folder: &Path) -> Result<Vec<Linked>> {
    let tree = cargo(
        folder,
        &[
            "tree",
            "--target",
            TARGET,
            "--edges",
            "normal,no-proc-macro",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ],
    )?;
    let metadata = cargo(
        folder,
        &[
            "metadata",
            "--format-version",
            "1",
            "--filter-platform",
            TARGET,
        ],
    )?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let named: BTreeSet<(&str, &str)> = tree.lines().filter_map(name_and_version).collect();
    named
        .into_iter()
        .map(|(name, version)| {
            let package = packages
                .iter()
                .find(|package| package["name"] == name && package["version"] == version);
            Ok(Linked {
                name: name.to_string(),
                version: version.to_string(),
                source: package
                    .and_then(source)
                    .with_context(|| format!("no source of {name} {version}"))?,
            })
        })
        .collect()
}

/// Of a line `name vVERSION`, perhaps with more behind it.
fn name_and_version(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    Some((words.next()?, words.next()?.strip_prefix('v')?))
}

fn source(package: &Value) -> Option<PathBuf> {
    let targets = package["targets"].as_array()?;
    let linked = targets.iter().find(|target| {
        let kinds = target["kind"].as_array().map_or(&[][..], Vec::as_slice);
        kinds
            .iter()
            .any(|kind| kind == "lib" || kind == "staticlib" || kind == "bin")
    })?;
    Path::new(linked["src_path"].as_str()?)
        .parent()
        .map(Path::to_path_buf)
}

fn cargo(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = command::cargo(folder)
        .args(arguments)
        .args(["--locked", "--quiet"])
        .output()
        .context("cargo does not start")?;
    if !output.status.success() {
        bail!(
            "cargo in {}: {}",
            folder.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Lines of the Rust files below a folder that hold code.
fn of_folder(folder: &Path) -> Result<usize> {
    let mut lines = 0;
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            lines += of_folder(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            lines += of_code(&text);
        }
    }
    Ok(lines)
}

/// Lines that are neither empty nor a comment alone.
fn of_code(text: &str) -> usize {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

/// Lines that patches add.
fn added(folder: &Path) -> Result<usize> {
    let mut lines = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "patch")
        {
            let text = fs::read_to_string(&path)?;
            let new = text.lines().filter(|line| !line.starts_with("+++"));
            let new: Vec<&str> = new.filter_map(|line| line.strip_prefix('+')).collect();
            lines += of_code(&new.join("\n"));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_and_comments_are_no_code() {
        assert_eq!(of_code("//! Doc\n\nfn a() {\n    // why\n} // end\n"), 2);
    }

    #[test]
    fn a_crate_is_named_with_its_version_whatever_follows() {
        let named = name_and_version("smoltcp v0.12.0 (*)");
        assert_eq!(named, Some(("smoltcp", "0.12.0")));
        assert_eq!(name_and_version(""), None);
    }

    #[test]
    fn our_patches_add_lines() {
        let root = crate::workspace_root();
        assert!(added(&root.join("images/kernel/patches")).expect("readable") > 100);
    }
}
