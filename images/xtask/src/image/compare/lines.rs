//! Lines of code below the guest program: the sources that the compiler read when it built kernel
//! and loader, as it lists them for cargo.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

const TARGET: &str = "x86_64-unknown-none";
/// Where cargo keeps the sources of crates: an index, a crate with its version, its files.
const REGISTRY: &str = "/registry/src/";
const PATCHES: &str = "images/kernel/patches";

/// What was counted. Of each file all lines count, also those that are compiled for other
/// processors alone: the figures are upper bounds. `core` and `alloc` are not in them.
pub struct Lines {
    /// The kernel's own crate.
    pub kernel: usize,
    /// Lines that our patches add to it, counted in it.
    pub patches: usize,
    /// The loader's own crate.
    pub loader: usize,
    /// The crates that the kernel links.
    pub kernel_crates: Crates,
    /// What the loader compiles of crates and the kernel does not.
    pub loader_crates: Crates,
}

/// Crates of the registry.
pub struct Crates {
    /// How many.
    pub count: usize,
    /// Their lines.
    pub lines: usize,
}

impl Lines {
    /// Counts what was read for the images in `images`.
    pub fn count(root: &Path, images: &Path) -> Result<Self> {
        let deps = format!("{TARGET}/release/deps");
        let kernel = read_for(&images.join("kernel/target").join(&deps))?;
        let loader = read_for(&images.join("loader").join(&deps))?;
        Ok(Self {
            kernel: own(&kernel, &images.join("kernel/build"))?,
            patches: added(&root.join(PATCHES))?,
            loader: own(&loader, &root.join("images/loader"))?,
            kernel_crates: Crates::count(kernel.iter())?,
            loader_crates: Crates::count(loader.difference(&kernel))?,
        })
    }

    /// All of them.
    pub const fn total(&self) -> usize {
        self.kernel + self.loader + self.kernel_crates.lines + self.loader_crates.lines
    }
}

impl Crates {
    fn count<'a>(sources: impl Iterator<Item = &'a PathBuf>) -> Result<Self> {
        let mut names = BTreeSet::new();
        let mut lines = 0;
        for source in sources {
            if let Some(name) = of_registry(source) {
                names.insert(name);
                lines += of_file(source)?;
            }
        }
        Ok(Self {
            count: names.len(),
            lines,
        })
    }
}

/// The sources that are named in a folder of the compiler's lists: `path:`, a line each.
fn read_for(lists: &Path) -> Result<BTreeSet<PathBuf>> {
    let entries = fs::read_dir(lists).with_context(|| {
        format!(
            "no {}: lines are counted where images were built, `cargo xtask image build signer`",
            lists.display()
        )
    })?;
    let mut sources = BTreeSet::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "d") {
            sources.extend(listed(&fs::read_to_string(&path)?));
        }
    }
    Ok(sources)
}

fn listed(list: &str) -> impl Iterator<Item = PathBuf> {
    let sources = list.lines().filter_map(|line| line.strip_suffix(':'));
    sources
        .filter(|source| [".rs", ".s"].iter().any(|end| source.ends_with(end)))
        .map(PathBuf::from)
}

/// The crate that a source of the registry belongs to.
fn of_registry(path: &Path) -> Option<&str> {
    let (_, behind) = path.to_str()?.split_once(REGISTRY)?;
    behind.split('/').nth(1)
}

/// Lines of the sources that are named relative to the folder in which cargo ran.
fn own(sources: &BTreeSet<PathBuf>, folder: &Path) -> Result<usize> {
    let own = sources.iter().filter(|source| source.is_relative());
    own.map(|source| of_file(&folder.join(source))).sum()
}

fn of_file(path: &Path) -> Result<usize> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(of_code(&text))
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
    fn sources_are_taken_from_the_compilers_list() {
        let list = "/out/a.d: src/lib.rs /c/registry/src/index/talc-4.4.3/src/lib.rs\n\n\
            src/lib.rs:\n/c/registry/src/index/talc-4.4.3/src/lib.rs:\n\n# env-dep:NO_COLOR=1\n";
        let sources: Vec<PathBuf> = listed(list).collect();
        assert_eq!(sources.len(), 2);
        let crates: Vec<Option<&str>> = sources.iter().map(|path| of_registry(path)).collect();
        assert_eq!(crates, [None, Some("talc-4.4.3")]);
    }

    #[test]
    fn our_patches_add_lines() {
        let patches = crate::workspace_root().join(PATCHES);
        assert!(added(&patches).expect("readable") > 100);
    }
}
