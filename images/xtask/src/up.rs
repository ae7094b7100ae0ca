//! Starts a committee on this machine, deploys the example zApps, sends them requests, and shows
//! each attestation as it comes.

pub mod check;
mod interrupt;
mod output;
mod scenario;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use attestation::ids::GroupKey;
use launch::{Committee, Economy, Http, Machines, Plan, Programs};
use serde_json::Value;
use vm::accelerator::Choice;
use vm::image::Image;

use crate::{command, image, print_line, zapps};

/// Options of `cargo xtask up`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask up                       a committee of five until Ctrl-C\n  \
    cargo xtask up --once --out run      the same, then stop; results in run/\n  \
    cargo xtask up --native              without virtual machines: quicker to build and to run\n\n\
    --out replaces the results of a former run and refuses a directory that holds anything else.")]
pub struct Options {
    /// Stop when every request is attested and accepted; fail if one is not.
    #[arg(long)]
    once: bool,
    /// Where to leave committee.json, attestations, leaves, requests.ndjson and summary.json.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Members n.
    #[arg(long, default_value_t = 5)]
    members: u16,
    /// Threshold t; by default ⌊2n/3⌋ + 1.
    #[arg(long)]
    threshold: Option<u16>,
    /// Ranked coordinators.
    #[arg(long, default_value_t = 2)]
    coordinators: u16,
    /// Run the guests as processes of this machine instead of as unikernels.
    #[arg(long, conflicts_with_all = ["images", "accel", "network"])]
    native: bool,
    /// Use the images in this directory instead of building them.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// What runs the virtual machines.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    accel: Choice,
    /// How guests reach their nodes: QEMU's user network, or tap devices of a bridge (as root).
    #[arg(long, value_enum, default_value_t = Network::User)]
    network: Network,
    /// Cargo profile of the programs.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Use the programs in this directory instead of building them.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Keep the members' data here instead of in a temporary directory.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Network {
    User,
    Tap,
}

/// Key generation of five takes seconds; machines under load take longer, emulated ones too.
const READY_WITHIN: Duration = Duration::from_secs(300);
/// How long the slowest ledger may be behind the first.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(30);

/// Starts the committee and runs the scenario.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let quorum = match options.threshold {
        Some(threshold) => attestation::committee::Quorum::new(options.members, threshold)?,
        None => attestation::committee::Quorum::with_default_threshold(options.members)?,
    };
    if options.coordinators == 0 || options.coordinators > options.members {
        bail!(
            "1 to {} coordinators: each is hosted by a member",
            options.members
        );
    }
    // Before a build of minutes, not after it.
    let out = options.out.as_deref().map(output::Folder::prepare);
    let out = out.transpose()?;
    command::system_packages(root, "build")?;
    // The short build first: it may miss a compiler.
    let wasm = root.join("target/zapps");
    zapps::build(root, &wasm, &mut print_line)?;
    let programs = match &options.programs {
        Some(dir) => Programs::in_dir(dir)?,
        None => build_programs(root, &options.profile)?,
    };
    let machines = match options.native {
        true => None,
        false => Some(machines(root, options)?),
    };

    interrupt::listen()?;
    let data = Data::new(options.data.as_deref())?;
    let plan = Plan {
        members: quorum.members(),
        threshold: quorum.threshold(),
        coordinators: options.coordinators,
        dir: data.path.clone(),
        machines,
        evm: false,
        economy: Economy::default(),
    };
    let done = work(root, &wasm, programs, &plan, out.as_ref(), options.once);
    if done.is_err() && interrupt::seen() {
        bail!("interrupted; every process of the committee is stopped");
    }
    done
}

/// What is done once everything is built, until all requests are answered or, without `once`,
/// until Ctrl-C.
fn work(
    root: &Path,
    wasm: &Path,
    programs: Programs,
    plan: &Plan,
    out: Option<&output::Folder>,
    once: bool,
) -> Result<()> {
    let began = Instant::now();
    println!(
        "making keys of {} members in {}",
        plan.members,
        plan.dir.display()
    );
    let mut committee = Committee::create(programs, plan)?;
    committee.cancel_when(interrupt::seen);
    println!("committee {}", committee.record().id());
    if let Some(machines) = &plan.machines {
        let each = committee.members().len() * 2 + usize::from(plan.coordinators);
        println!(
            "booting {each} virtual machines from {}",
            machines.images.display()
        );
    }
    committee.start()?;
    println!(
        "generating the group key: {} of {}",
        plan.threshold, plan.members
    );
    let mut told = String::new();
    committee.wait_for(1, READY_WITHIN, "the committee's key", |http| {
        if let Some(stage) = generation(http).filter(|stage| *stage != told) {
            println!("  {stage}");
            told = stage;
        }
        http.get("/v1/health").is_ok()
    })?;
    committee.wait_ready(READY_WITHIN)?;
    let published = committee.committee_json(1)?;
    let key = published.get("group_key").and_then(Value::as_str);
    let key: GroupKey = key.unwrap_or_default().parse().context("the group key")?;
    println!(
        "group key {key} after {:.1} s",
        began.elapsed().as_secs_f64()
    );

    let sent = scenario::run(root, wasm, &committee, key)?;
    accepted_everywhere(&mut committee)?;
    if let Some(out) = out {
        out.write(&committee, key, &sent, began.elapsed())?;
        println!("results in {}", out.path().display());
    }
    let attested = sent.iter().filter(|sent| sent.accepted).count();
    println!(
        "{attested} of {} requests attested and accepted",
        sent.len()
    );
    if once {
        return verdict(attested, sent.len());
    }
    let base = committee.http(1)?.base().to_owned();
    println!("\nThe committee is up. HTTP API: {base}");
    println!("Try: export ZQ_NODE={base}");
    println!("     {} status", committee.programs().path("zq").display());
    println!("Ctrl-C stops it.");
    interrupt::wait();
    println!("stopping");
    Ok(())
}

/// How a run ends that stops by itself: well only if every request was attested and accepted.
fn verdict(attested: usize, sent: usize) -> Result<()> {
    match sent.saturating_sub(attested) {
        _ if sent == 0 => bail!("nothing was sent"),
        0 => Ok(()),
        missing => bail!("{missing} requests were not attested"),
    }
}

/// Waits until the ledger of every node holds the newest statement of the first.
fn accepted_everywhere(committee: &mut Committee) -> Result<()> {
    let statement = |http: &Http| {
        let status = http.get("/v1/status").ok()?;
        Some(status.get("statement")?.as_str()?.to_owned())
    };
    let newest = statement(&committee.http(1)?).context("the newest statement")?;
    let slots: Vec<u16> = committee
        .members()
        .iter()
        .map(|member| member.slot)
        .collect();
    for slot in slots {
        committee.wait_for(slot, ACCEPTED_WITHIN, "the newest statement", |http| {
            statement(http).as_ref() == Some(&newest)
        })?;
    }
    Ok(())
}

/// How far a node's signer says that key generation is.
fn generation(http: &Http) -> Option<String> {
    let status = http.get("/v1/status").ok()?;
    let parts = status.pointer("/node/parts")?.as_array()?;
    let part = parts
        .iter()
        .find(|part| part.get("name").and_then(|name| name.as_str()) == Some("key generation"))?;
    Some(part.get("detail")?.as_str()?.to_owned())
}

/// The images, built or given, and what runs them.
fn machines(root: &Path, options: &Options) -> Result<Machines> {
    let images = match &options.images {
        Some(images) => images.clone(),
        None => image::build_all(root)?,
    };
    vm::machine::emulator()?;
    let accelerator = options
        .accel
        .resolve(&Image::open(&images.join("signer.img"))?);
    println!("virtual machines run under {}", accelerator.describe());
    Ok(Machines {
        images,
        accelerator: accelerator.name().into(),
        taps: options.network == Network::Tap,
        slots: None,
    })
}

fn build_programs(root: &Path, profile: &str) -> Result<Programs> {
    let dir = programs_dir(root, profile);
    if !dir.join("zq-node").is_file() {
        println!("building the programs: the first build takes about 10 minutes on two cores");
    }
    // All of them, as the tests do: another choice of packages has other features, and builds anew.
    command::run(
        "building the programs",
        command::cargo(root).args(["build", "--profile", profile, "--workspace", "--bins"]),
    )?;
    Programs::in_dir(dir)
}

/// Where cargo puts the programs of a profile.
fn programs_dir(root: &Path, profile: &str) -> PathBuf {
    let target: PathBuf =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    target.join(if profile == "dev" { "debug" } else { profile })
}

/// The members' data: kept where the user says, else removed at the end.
struct Data {
    path: PathBuf,
    temporary: bool,
}

impl Data {
    fn new(kept: Option<&Path>) -> Result<Self> {
        let (path, temporary) = match kept {
            Some(path) => (path.to_path_buf(), false),
            None => {
                let name = format!("zquorum-{}", std::process::id());
                (std::env::temp_dir().join(name), true)
            }
        };
        fs::create_dir_all(&path).with_context(|| format!("cannot write {}", path.display()))?;
        if fs::read_dir(&path)?.next().is_some() {
            bail!(
                "{} is not empty: a committee needs a directory of its own",
                path.display()
            );
        }
        Ok(Self { path, temporary })
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if self.temporary {
            // Best effort: the directory is in the system's temporary files.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::verdict;

    #[test]
    fn a_run_ends_well_only_if_every_request_was_attested() {
        for (attested, sent, well) in [(3, 3, true), (2, 3, false), (0, 3, false), (0, 0, false)] {
            assert_eq!(
                verdict(attested, sent).is_ok(),
                well,
                "{attested} of {sent}"
            );
        }
        let error = verdict(1, 3).expect_err("two are missing").to_string();
        assert!(error.starts_with("2 requests"), "{error}");
    }
}
