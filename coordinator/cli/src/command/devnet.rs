//! `zq devnet`: a committee of processes on this machine, for an author.

mod once;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use attestation::committee::Quorum;
use launch::{Committee, Economy, Plan, Programs};
use serde_json::json;

use crate::arguments::devnet::DevnetArguments;
use crate::failure::Failure;
use crate::print::{Print, plain};

/// Key generation of five takes seconds; machines under load take longer.
const READY_WITHIN: Duration = Duration::from_secs(300);
/// Ranked coordinators, hosted by the first members.
const COORDINATORS: u16 = 2;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

pub(crate) fn run(arguments: &DevnetArguments, print: &Print) -> Result<(), Failure> {
    let quorum = match arguments.threshold {
        Some(threshold) => Quorum::new(arguments.members, threshold),
        None => Quorum::with_default_threshold(arguments.members),
    };
    let quorum = quorum.map_err(|error| Failure::Usage(error.to_string()))?;
    check_slots(arguments, quorum.members())?;
    let programs = Programs::beside_current().map_err(|error| failed(&error))?;
    let data = Data::new(arguments.data.as_ref())?;
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            // The nodes notice that our end of their pipes is closed.
            std::process::exit(130);
        }
    })
    .map_err(|error| Failure::new(format!("no handler of Ctrl-C: {error}"), "try again"))?;
    let plan = Plan {
        members: quorum.members(),
        threshold: quorum.threshold(),
        coordinators: COORDINATORS,
        dir: data.path.clone(),
        machines: None,
        evm: arguments.evm,
        economy: Economy::default(),
    };
    tell(&format!(
        "making keys: {} of {} members sign",
        plan.threshold, plan.members
    ));
    let mut committee = Committee::create(programs, &plan).map_err(|error| failed(&error))?;
    committee.cancel_when(|| INTERRUPTED.load(Ordering::Relaxed));
    start(&mut committee, arguments)?;
    let ready = committee.wait_ready(READY_WITHIN);
    ready.map_err(|error| failed(&error))?;
    let base = committee.http(1).map_err(|error| failed(&error))?;
    let base = base.base().to_owned();
    let value = json!({
        "node": base,
        "committee_id": committee.record().id(),
        "members": plan.members,
        "threshold": plan.threshold,
        "data": data.path.display().to_string(),
    });
    if arguments.once {
        return once::run(&mut committee, arguments, value, print);
    }
    print.result(&value, |value| {
        let part = |name: &str| value.get(name).map(plain).unwrap_or_default();
        format!(
            "The committee {} is up: export ZQ_NODE={}\nCtrl-C stops it.",
            part("committee_id"),
            part("node")
        )
    });
    while !INTERRUPTED.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(100));
    }
    tell("stopping");
    Ok(())
}

/// Starts each member with the guests and the engine that it is to have.
fn start(committee: &mut Committee, arguments: &DevnetArguments) -> Result<(), Failure> {
    for slot in 1..=arguments.members {
        let mut extra = Vec::new();
        for byzantine in arguments.byzantine.iter().filter(|one| one.slot == slot) {
            let (guest, fault) = byzantine.fault.guest();
            let program = committee.programs().path(&format!("zq-faulty-{guest}"));
            let program = program
                .to_str()
                .filter(|path| fs::exists(path).is_ok_and(|is| is));
            let program = program.ok_or_else(|| {
                Failure::new(
                    format!("zq-faulty-{guest} is missing beside zq"),
                    "run `cargo build --workspace --bins`",
                )
            })?;
            extra.extend([format!("--{guest}"), program.to_owned()]);
            extra.extend([format!("--{guest}-argument"), fault.to_owned()]);
        }
        if arguments.wasmi.contains(&slot) {
            extra.extend(["--engine".to_owned(), "wasmi".to_owned()]);
        }
        let extra: Vec<&str> = extra.iter().map(String::as_str).collect();
        committee.extra_arguments(&extra);
        let started = committee.start_member(slot);
        started.map_err(|error| failed(&error))?;
    }
    committee.extra_arguments(&[]);
    Ok(())
}

fn check_slots(arguments: &DevnetArguments, members: u16) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    for byzantine in &arguments.byzantine {
        if !seen.insert(byzantine.slot) {
            let message = format!("--byzantine: member {} is named twice", byzantine.slot);
            return Err(Failure::Usage(message));
        }
    }
    let named = arguments.wasmi.iter().chain(&seen);
    match named
        .into_iter()
        .find(|slot| !(1..=members).contains(*slot))
    {
        Some(slot) => Err(Failure::Usage(format!(
            "member {slot}: slots are 1 to {members}"
        ))),
        None => Ok(()),
    }
}

/// What is going on, beside the result.
fn tell(text: &str) {
    use std::io::Write as _;
    // Whether it can be written changes nothing.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        format!("{error:#}"),
        "each member's node.log in --data DIR says more",
    )
}

/// The members' data: kept where the user says, else removed at the end.
struct Data {
    path: PathBuf,
    temporary: bool,
}

impl Data {
    fn new(kept: Option<&PathBuf>) -> Result<Self, Failure> {
        let (path, temporary) = match kept {
            Some(path) => (path.clone(), false),
            None => {
                let name = format!("zq-devnet-{}", std::process::id());
                (std::env::temp_dir().join(name), true)
            }
        };
        let made = fs::create_dir_all(&path).and_then(|()| fs::read_dir(&path)?.next().transpose());
        match made.map_err(|error| Failure::file(&path, &error))? {
            Some(_) => Err(Failure::new(
                format!("{} is not empty", path.display()),
                "a committee needs a directory of its own: give another --data",
            )),
            None => Ok(Self { path, temporary }),
        }
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if self.temporary {
            // It is among the system's temporary files.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
