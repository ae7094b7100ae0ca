//! Figures, not verdicts: what a committee of processes does on this machine, beside the same raw
//! operations in a loop. Machines differ and are noisy; compare figures of one run only.

mod committee;
mod processes;
mod raw;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Measures an attested call: latency, calls per second, CPU, and the raw operations behind it.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example: cargo run --release --package bench -- --seconds 10"
)]
struct Options {
    /// Sequential calls for the latency figures.
    #[arg(long, default_value_t = 300)]
    calls: u32,
    /// Seconds of full load.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Callers at once under full load.
    #[arg(long, default_value_t = 64)]
    callers: u16,
    /// Members n.
    #[arg(long, default_value_t = 5)]
    members: u16,
    /// Threshold t.
    #[arg(long, default_value_t = 4)]
    threshold: u16,
    /// Directory of the compiled example zApps (`cargo xtask zapps`).
    #[arg(long, default_value = "target/zapps")]
    zapps: PathBuf,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let raw = raw::measure(options.members, options.threshold)?;
    raw.print();
    let figures = committee::measure(options)?;
    figures.print(&raw, options);
    Ok(())
}
