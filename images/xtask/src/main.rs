//! Build automation, run as `cargo xtask`: starts a committee, runs every test, builds zApps and
//! the contract for CosmWasm.

mod command;
mod contract;
mod image;
mod lock;
mod no_std;
mod sim;
mod test;
mod up;
mod zapps;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Build, test and run zquorum.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start a committee on this machine, deploy the example zApps and send them requests.
    Up(up::Options),
    /// Check what `up --once --out DIR` has left in DIR.
    CheckOutput(up::check::Options),
    /// Run every test; skips are counted and printed last.
    Test(test::Options),
    /// Compile the example zApps to WebAssembly, into target/zapps.
    Zapps,
    /// Compile the contract for CosmWasm chains to WebAssembly, into target/contracts.
    Contract(contract::Options),
    /// Build, boot and look into the images of the guests.
    #[command(subcommand)]
    Image(image::Task),
    /// Run whole committees under faults, in one thread each, for many seeds.
    Sim(sim::Options),
    /// Compile the no_std crates for a target without an operating system.
    NoStd,
}

fn main() -> ExitCode {
    let root = workspace_root();
    let done = match Arguments::parse().task {
        Task::Up(options) => up::run(&root, &options),
        Task::CheckOutput(options) => up::check::run(&root, &options),
        Task::Test(options) => test::run(&root, &options),
        Task::Zapps => zapps::build(&root, &root.join("target/zapps"), &mut print_line)
            .map(|files| files.iter().for_each(|file| println!("{}", file.display()))),
        Task::Contract(options) => contract::run(&root, &options),
        Task::Image(task) => image::run(&root, &task),
        Task::Sim(options) => sim::run(&root, &options),
        Task::NoStd => no_std::run(&root),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print_line(line: &str) {
    eprintln!("{line}");
}

fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("."))
        .to_path_buf()
}
