//! Runs the simulator: the sweeps that are too long for the test suite, and its figures.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command;

/// Options of `cargo xtask sim`.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    figures: Option<Figures>,
    /// How many seeds.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Which faults.
    #[arg(long, default_value = "swarm", value_parser = PROFILES)]
    profile: String,
    /// What is signed with: FROST and Ed25519, or a stand-in without curve arithmetic. Real by
    /// default, stub for planted bugs.
    #[arg(long, value_parser = ["real", "stub"])]
    crypto: Option<String>,
    /// Committees of this size only, such as 67-of-100; drawn from small ones by default.
    #[arg(long, value_name = "T-of-N")]
    n: Option<String>,
    /// Plant each bug in turn and hunt it, instead of running the protocol as it is.
    #[arg(long, conflicts_with_all = ["profile", "n", "from"])]
    planted: bool,
}

#[derive(clap::Subcommand)]
enum Figures {
    /// Measure how long a step takes under liars and dead coordinators, in simulated time.
    #[command(disable_help_flag = true)]
    Measure(Passed),
    /// Measure key generations and refreshes: work, bytes, simulated time.
    #[command(disable_help_flag = true)]
    Ceremonies(Passed),
}

#[derive(clap::Args)]
struct Passed {
    /// Options of the simulator's command of this name; --help lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<OsString>,
}

/// Builds the simulator optimised, with one thread a processor, and runs it. Every hundredth seed is
/// run twice; a violation, a bug that is missed or two runs that differ end with 1.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let mut cargo = command::cargo(root);
    cargo.args(["run", "--release", "--package", "sim"]);
    let purpose = match &options.figures {
        Some(figures) => measures(&mut cargo, figures),
        None if options.planted => hunts(&mut cargo, options),
        None => sweeps(&mut cargo, options)?,
    };
    command::run(purpose, &mut cargo)
}

fn measures(cargo: &mut Command, figures: &Figures) -> &'static str {
    let (name, passed) = match figures {
        Figures::Measure(passed) => ("measure", passed),
        Figures::Ceremonies(passed) => ("ceremonies", passed),
    };
    cargo.args(["--", name]).args(&passed.options);
    "measuring in the simulator"
}

fn hunts(cargo: &mut Command, options: &Options) -> &'static str {
    let seeds = options.seeds.to_string();
    cargo.args(["--features", "planted", "--", "bugs", "--seeds", &seeds]);
    signs(cargo, options);
    "hunting planted bugs"
}

fn sweeps(cargo: &mut Command, options: &Options) -> Result<&'static str> {
    let end = options.from.checked_add(options.seeds);
    let end = end.context("--from and --seeds go beyond the last seed")?;
    let seeds = format!("{}..{end}", options.from);
    cargo.args(["--", "run", "--twice", "--seeds", &seeds]);
    cargo.args(["--profile", &options.profile]);
    signs(cargo, options);
    if let Some(size) = &options.n {
        cargo.args(["--n", size]);
    }
    Ok("running the simulator")
}

fn signs(cargo: &mut Command, options: &Options) {
    if let Some(crypto) = &options.crypto {
        cargo.args(["--crypto", crypto]);
    }
}

/// Families of runs that the simulator knows.
const PROFILES: [&str; 8] = [
    "calm",
    "network",
    "crash",
    "byzantine",
    "swarm",
    "change",
    "epochs",
    "excess",
];
