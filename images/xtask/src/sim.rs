//! Runs the simulator: the sweeps that are too long for the test suite.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::command;

/// Options of `cargo xtask sim`.
#[derive(clap::Args)]
pub struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Which faults: calm, network, crash, byzantine, swarm, change or excess.
    #[arg(long, default_value = "swarm")]
    profile: String,
    /// Committees of this size only, such as 67-of-100; drawn from small ones by default.
    #[arg(long, value_name = "T-of-N")]
    n: Option<String>,
    /// Plant each bug in turn and hunt it, instead of running the protocol as it is.
    #[arg(long, conflicts_with_all = ["profile", "n", "from"])]
    planted: bool,
}

/// Builds the simulator optimised, with one thread a processor, and runs it. Every hundredth seed is
/// run twice; a violation, a bug that is missed or two runs that differ end with 1.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let mut cargo = command::cargo(root);
    cargo.args(["run", "--release", "--package", "sim"]);
    if options.planted {
        let seeds = options.seeds.to_string();
        cargo.args(["--features", "planted", "--", "bugs", "--seeds", &seeds]);
        return command::run("hunting planted bugs", &mut cargo);
    }
    let end = options.from.checked_add(options.seeds);
    let end = end.context("--from and --seeds go beyond the last seed")?;
    let seeds = format!("{}..{end}", options.from);
    cargo.args(["--", "run", "--twice", "--seeds", &seeds]);
    cargo.args(["--profile", &options.profile]);
    if let Some(size) = &options.n {
        cargo.args(["--n", size]);
    }
    command::run("running the simulator", &mut cargo)
}
