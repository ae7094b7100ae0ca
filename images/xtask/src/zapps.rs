//! Compiles the example zApps to WebAssembly.

use std::path::{Path, PathBuf};

/// Builds every example zApp into `out`.
pub fn build(
    _root: &Path,
    _out: &Path,
    _log: &mut dyn FnMut(&str),
) -> anyhow::Result<Vec<PathBuf>> {
    anyhow::bail!("no zApps yet")
}
