//! The signer in several forms, everything else being the same: what a guest costs alone, as
//! `cargo xtask image compare` measures it, and what a committee does whose signers have it.

mod form;
mod report;
mod round;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use launch::Bridge;
use serde_json::Value;
use vm::accelerator::Accelerator;
use vm::image::Image;

use crate::committee::Cleanup;
use form::{Form, Guests};
use report::Report;
use round::{Bench, Measured};

/// Compares the signer as image, as Linux guest, as contained process and as plain process, and
/// all guests as images. Run by tests/bench/forms.sh, which builds what it needs.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tests/bench/forms.sh                                  all of it, most of an hour on two cores\n  \
    tests/bench/forms.sh --json > forms.json              for a program; progress on standard error\n  \
    tests/bench/forms.sh --rounds 1 --seconds 3 --boots 1 a look\n  \
    tests/bench/forms.sh --only image --only process      some of the committees")]
pub(crate) struct Options {
    /// Rounds; in each, the committee of every form is started, called, loaded, and loses each of
    /// its five signers once.
    #[arg(long, default_value_t = 6)]
    rounds: u32,
    /// Starts of each guest alone.
    #[arg(long, default_value_t = 7)]
    boots: u32,
    /// Calls one at a time, in each round.
    #[arg(long, default_value_t = 20)]
    calls: u32,
    /// Seconds of full load, in each round.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Callers at once under full load.
    #[arg(long, default_value_t = 64)]
    callers: u16,
    /// Only committees of this form (may be repeated).
    #[arg(long, value_enum)]
    only: Vec<Form>,
    /// Take what guests cost alone from this output of `cargo xtask image compare --json`.
    #[arg(long, value_name = "FILE")]
    compared: Option<PathBuf>,
    /// Directory of the compiled example zApps (`cargo xtask zapps`).
    #[arg(long, default_value = "target/zapps")]
    zapps: PathBuf,
    /// Directory of the images (`cargo xtask image build`).
    #[arg(long, default_value = "target/images")]
    images: PathBuf,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(
        options.rounds > 0 && options.boots > 0,
        "nothing is asked for"
    );
    let compared = match &options.compared {
        Some(path) => fs::read(path).with_context(|| path.display().to_string())?,
        None => compare(options.boots)?,
    };
    let compared: Value = serde_json::from_slice(&compared).context("what was compared")?;
    let mut forms = options.only.clone();
    if forms.is_empty() {
        forms.extend(form::ALL);
    }
    let bridge = match forms.contains(&Form::Contained).then(Bridge::make) {
        Some(Err(error)) => {
            eprintln!("forms: without contained processes: {error:#}");
            forms.retain(|form| *form != Form::Contained);
            None
        }
        made => made.and_then(Result::ok),
    };
    let images = options.images.canonicalize();
    let images = images.with_context(|| options.images.display().to_string())?;
    let accelerator = Accelerator::probe(&Image::open(&images.join("signer.img"))?);
    let guests = Guests::new(&compared, images, accelerator, bridge)?;
    let wasm = wasm(&options.zapps)?;
    let dir = std::env::temp_dir().join(format!("zquorum-forms-{}", std::process::id()));
    let _cleanup = Cleanup(dir.clone());
    let bench = Bench {
        guests: &guests,
        wasm: &wasm,
        dir: &dir,
        calls: options.calls,
        callers: options.callers,
        load: Duration::from_secs(options.seconds),
    };

    let mut measured: Vec<Measured> = Vec::new();
    for form in forms {
        eprintln!("forms: {}: generating the committee's key", form.name());
        let made = Measured::prepare(&bench, form);
        measured.push(made.with_context(|| form.name())?);
    }
    for round in 1..=options.rounds {
        for measured in &mut measured {
            let form = measured.form;
            eprintln!(
                "forms: round {round} of {}: {}",
                options.rounds,
                form.name()
            );
            measured.round(&bench).with_context(|| form.name())?;
        }
    }
    let report = Report {
        compared: &compared,
        callers: options.callers,
        measured: &measured,
    };
    if options.json {
        println!("{:#}", report.json());
    } else {
        report.print();
    }
    Ok(())
}

/// What the guests cost alone.
fn compare(boots: u32) -> Result<Vec<u8>> {
    let mut xtask = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    xtask.args(["xtask", "image", "compare", "--json", "--boots"]);
    let output = xtask
        .arg(boots.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo does not start")?;
    ensure!(
        output.status.success(),
        "cargo xtask image compare ended with {}",
        output.status
    );
    Ok(output.stdout)
}

fn wasm(zapps: &Path) -> Result<Vec<u8>> {
    let path = zapps.join("counter.wasm");
    fs::read(&path).with_context(|| format!("no {}: run `cargo xtask zapps`", path.display()))
}
