//! Runs every test of the workspace and counts what was skipped.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::{command, print_line, zapps};

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Options {
    /// Only tests of this package (may be repeated).
    #[arg(long, short)]
    package: Vec<String>,
    /// Only what runs on the Zenon node: it is built with Go, and not skipped where Go is missing.
    #[arg(long, conflicts_with = "package")]
    nom: bool,
    /// Only tests whose name contains this text.
    filter: Option<String>,
}

/// The package whose tests run the Zenon node.
const NOM: &str = "devnet";

#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    skips: Vec<String>,
}

/// Builds what tests start, runs them, prints `N passed, N failed, N skipped` last.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    command::system_packages(root, "test")?;
    zapps::build(root, &root.join("target/zapps"), &mut print_line)?;
    command::run(
        "building the programs that tests start",
        command::cargo(root).args(["build", "--workspace", "--bins"]),
    )?;
    let tally = run_tests(root, options)?;

    let skipped = tally.ignored + tally.skips.len() as u64;
    for skip in &tally.skips {
        println!("{skip}");
    }
    let summary = format!(
        "{} passed, {} failed, {skipped} skipped",
        tally.passed, tally.failed
    );
    println!("{summary}");
    fs::create_dir_all(root.join("target"))?;
    fs::write(root.join("target/test-summary.txt"), format!("{summary}\n"))?;
    if tally.failed > 0 || tally.passed == 0 {
        bail!("the tests do not pass; the full output is in target/test.log");
    }
    if skipped > 0 && (options.nom || std::env::var_os("CI").is_some()) {
        bail!("{skipped} skipped: under CI, and with --nom, every test must run");
    }
    Ok(())
}

fn run_tests(root: &Path, options: &Options) -> Result<Tally> {
    let mut tests = command::cargo(root);
    tests.args(["test", "--no-fail-fast"]);
    let packages = match options.nom {
        true => &[NOM.to_owned()][..],
        false => &options.package,
    };
    if packages.is_empty() {
        tests.arg("--workspace");
    }
    for package in packages {
        tests.args(["--package", package]);
    }
    tests.arg("--").arg("--show-output").args(&options.filter);
    let mut child = tests
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo test")?;
    let output = child.stdout.take().context("cargo test has no output")?;

    fs::create_dir_all(root.join("target"))?;
    let mut log = fs::File::create(root.join("target/test.log"))?;
    let mut tally = Tally::default();
    let mut in_successes = false;
    for line in BufReader::new(output).lines() {
        let line = line?;
        writeln!(log, "{line}")?;
        match line.as_str() {
            "successes:" => in_successes = true,
            "failures:" => in_successes = false,
            _ => {}
        }
        if line.starts_with("test result:") {
            in_successes = false;
            tally.add_result(&line);
        }
        if line.starts_with("SKIP: ") {
            tally.skips.push(line.clone());
        }
        if !in_successes && !line.trim().is_empty() {
            println!("{line}");
        }
    }
    let status = child.wait()?;
    if !status.success() && tally.failed == 0 {
        bail!("cargo test ended with {status} before its tests ran; see target/test.log");
    }
    Ok(tally)
}

impl Tally {
    /// Adds a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn add_result(&mut self, line: &str) {
        let count = |what: &str| -> u64 {
            line.split([';', '.'])
                .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
                .unwrap_or(0)
        };
        self.passed += count("passed");
        self.failed += count("failed");
        self.ignored += count("ignored");
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn tally_reads_cargo_s_closing_line() {
        let mut tally = Tally::default();
        tally.add_result(
            "test result: FAILED. 31 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; \
             finished in 0.50s",
        );
        assert_eq!((tally.passed, tally.failed, tally.ignored), (31, 2, 1));
    }
}
