//! Figures, not verdicts: what a committee of processes does on this machine, beside the same raw
//! operations in a loop. Machines differ and are noisy; compare figures of one run only.

mod committee;
mod forms;
mod processes;
mod raw;
mod report;
mod step;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures an attested call: latency, calls per second, CPU, and the raw operations behind it.
#[derive(Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  target/release/bench --callers 32,512 --seconds 10\n  \
                  target/release/bench --json > figures.json\n  \
                  tests/bench/forms.sh --help"
)]
struct Options {
    #[command(subcommand)]
    other: Option<Other>,
    /// Sequential calls for the latency figures.
    #[arg(long, default_value_t = 300)]
    calls: u32,
    /// Seconds of full load, for each number of callers.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Callers at once under full load; several numbers are measured one after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [32, 64, 256, 512])]
    callers: Vec<u16>,
    /// Members n.
    #[arg(long, default_value_t = 5)]
    members: u16,
    /// Threshold t.
    #[arg(long, default_value_t = 4)]
    threshold: u16,
    /// Directory of the compiled example zApps (`cargo xtask zapps`).
    #[arg(long, default_value = "target/zapps")]
    zapps: PathBuf,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// Other benchmarks.
#[derive(Subcommand)]
enum Other {
    Forms(forms::Options),
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.other {
        Some(Other::Forms(options)) => forms::run(options),
        None => run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let raw = raw::measure(options.members, options.threshold)?;
    let figures = committee::measure(options)?;
    let report = report::Report {
        options,
        raw: &raw,
        figures: &figures,
    };
    if options.json {
        println!("{:#}", report.json());
    } else {
        report.print();
    }
    Ok(())
}
