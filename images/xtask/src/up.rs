//! Starts a committee on this machine and lets it work.

use std::path::Path;

/// Options of `cargo xtask up`.
#[derive(clap::Args)]
pub struct Options {}

/// Starts the committee.
pub fn run(_root: &Path, _options: &Options) -> anyhow::Result<()> {
    anyhow::bail!("no node yet")
}
