//! `cargo xtask image compare`: the signer's image, a minimal Linux guest with the same program, a
//! process in namespaces as containers are, and the plain process, measured alternately in one run.

mod archive;
mod lines;
mod linux;
mod linux_lines;
mod report;

use std::fs;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use launch::Bridge;
use vm::accelerator::Accelerator;
use vm::image::Image;
use vm::machine::{Machine, hand_over, not_started};

use super::folder;
use super::waiting::{Idle, Running, Start, Waiting};
use crate::print_line;
use lines::Lines;
use linux::Linux;
use report::{Figures, Report};

/// Options of `cargo xtask image compare`.
#[derive(clap::Args)]
pub struct Options {
    /// Starts of each; medians are shown.
    #[arg(long, default_value_t = 7)]
    boots: usize,
    /// Give both guests this much memory (MiB), not each what it needs.
    #[arg(long)]
    memory: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How long each is watched after it has connected.
const IDLE: Duration = Duration::from_secs(5);
/// Memory is looked for in steps of so many MiB, downwards from here.
const MEMORY_STEP_MIB: u64 = 4;
const MEMORY_MAX_MIB: u64 = 128;
/// What a guest is given is the least that it boots with, rounded up to a multiple of this: the
/// signer's manifest says 64 MiB by the same rule.
const MEMORY_GIVEN_MIB: u64 = 64;
/// The contained process's address on its bridge.
const GUEST: u8 = 2;
/// A token as a node hands it over. Nobody answers the hello that it protects.
const TOKEN: &[u8] = b"5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a\n";

/// Measures and prints.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let folder = folder(root);
    let image = Image::open(&folder.join("signer.img"))
        .context("no image of the signer: `cargo xtask image build signer`")?;
    let linux = Linux::build(root, &folder.join("linux"))?;
    let lines = Lines::count(root, &folder)?;
    let accelerator = Accelerator::probe(&image);
    let bridge = Bridge::make();
    if let Err(error) = &bridge {
        print_line(&format!(
            "compare: without the contained process: {error:#}"
        ));
    }
    let bench = Bench {
        machine: Machine::new(&image, accelerator),
        linux,
        bridge: bridge.ok(),
    };

    let mut subjects: Vec<Measured> = SUBJECTS
        .into_iter()
        .filter(|subject| *subject != Subject::Contained || bench.bridge.is_some())
        .map(Measured::new)
        .collect();
    for measured in &mut subjects {
        measured.least_mib = bench.least_memory(measured.subject)?;
        measured.given_mib = measured.least_mib.map(|least| {
            let enough = least.next_multiple_of(MEMORY_GIVEN_MIB);
            options.memory.unwrap_or(enough)
        });
    }
    for boot in 1..=options.boots.max(1) {
        print_line(&format!("compare: round {boot} of {}", options.boots));
        for measured in &mut subjects {
            let waiting = bench.start(measured.subject, measured.given_mib)?;
            let waiting =
                waiting.with_context(|| format!("{} does not connect", measured.subject.name()))?;
            measured.connected.push(waiting.connected());
            measured.idle.push(waiting.idle(IDLE)?);
        }
    }
    let image_bytes = image.manifest().size_bytes;
    let figures = subjects
        .iter()
        .map(|measured| measured.figures(bench.size(measured.subject, image_bytes)?));
    let report = Report {
        accelerator,
        boots: options.boots,
        emulator_kib: bench.emulator_alone()?,
        figures: figures.collect::<Result<_>>()?,
        kernel_bytes: size(&bench.linux.guest.kernel)?,
        linux: bench.linux,
        lines,
    };
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report.json())?);
    } else {
        report.print();
    }
    Ok(())
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Unikernel,
    Linux,
    Contained,
    Process,
}

const SUBJECTS: [Subject; 4] = [
    Subject::Unikernel,
    Subject::Linux,
    Subject::Contained,
    Subject::Process,
];

impl Subject {
    const fn name(self) -> &'static str {
        match self {
            Self::Unikernel => "signer image",
            Self::Linux => "Linux guest",
            Self::Contained => "contained",
            Self::Process => "plain process",
        }
    }
}

struct Measured {
    subject: Subject,
    least_mib: Option<u64>,
    given_mib: Option<u64>,
    connected: Vec<Duration>,
    idle: Vec<Idle>,
}

impl Measured {
    const fn new(subject: Subject) -> Self {
        Self {
            subject,
            least_mib: None,
            given_mib: None,
            connected: Vec::new(),
            idle: Vec::new(),
        }
    }

    fn figures(&self, size_bytes: u64) -> Result<Figures> {
        let cpu: f64 = self.idle.iter().map(|idle| idle.cpu.as_secs_f64()).sum();
        let boots = u32::try_from(self.idle.len())?;
        Ok(Figures {
            name: self.subject.name(),
            size_bytes,
            connected: median(self.connected.iter().copied())?,
            fastest: *self.connected.iter().min().context("no boot")?,
            slowest: *self.connected.iter().max().context("no boot")?,
            resident_kib: median(self.idle.iter().map(|idle| idle.resident_kib))?,
            proportional_kib: median(self.idle.iter().map(|idle| idle.proportional_kib))?,
            // The mean: the clock of one watch is coarse.
            idle_percent: cpu / f64::from(boots) / IDLE.as_secs_f64() * 100.0,
            least_memory_mib: self.least_mib,
            given_memory_mib: self.given_mib,
        })
    }
}

struct Bench {
    machine: Machine,
    linux: Linux,
    /// None without the rights to make one.
    bridge: Option<Bridge>,
}

impl Bench {
    /// Starts one of them; `None` if it ends without having said hello.
    fn start(&self, subject: Subject, memory_mib: Option<u64>) -> Result<Option<Waiting>> {
        let mut machine = self.machine.clone();
        if let Some(memory_mib) = memory_mib {
            machine = machine.unchecked_memory_mib(memory_mib);
        }
        let bridge = self.bridge.as_ref();
        let bridge = bridge.filter(|_| subject == Subject::Contained);
        let host = bridge.map_or(Ipv4Addr::LOCALHOST, Bridge::host);
        Waiting::start(host, |node| {
            let mut command = match (subject, bridge) {
                (Subject::Unikernel, _) => machine.dialling(node)?,
                (Subject::Linux, _) => self.linux.guest.dialling(&machine, node.port()),
                (Subject::Contained, Some(bridge)) => {
                    let mut command = Command::new(&self.linux.contained);
                    let address = bridge.address(GUEST).to_string();
                    command.args([&node.to_string(), bridge.name(), &address]);
                    command.arg(&self.linux.signer);
                    return with_token(command);
                }
                (Subject::Process | Subject::Contained, _) => {
                    let mut command = Command::new(&self.linux.signer);
                    command.arg(node.to_string());
                    return with_token(command);
                }
            };
            let open = Some(hand_over(TOKEN, &mut command)?);
            Ok(Start { command, open })
        })
    }

    /// Bytes of what is started.
    fn size(&self, subject: Subject, image_bytes: u64) -> Result<u64> {
        Ok(match subject {
            Subject::Unikernel => image_bytes,
            Subject::Linux => size(&self.linux.guest.kernel)? + size(&self.linux.guest.initramfs)?,
            Subject::Contained | Subject::Process => size(&self.linux.signer)?,
        })
    }

    /// Goes down until the guest does not connect, twice in a row: a guest that a busy host held
    /// up is no guest without memory. A process has no memory of its own to give.
    fn least_memory(&self, subject: Subject) -> Result<Option<u64>> {
        if matches!(subject, Subject::Process | Subject::Contained) {
            return Ok(None);
        }
        print_line(&format!("compare: least memory, {}", subject.name()));
        let mut least = MEMORY_MAX_MIB;
        while least > MEMORY_STEP_MIB {
            let less = Some(least - MEMORY_STEP_MIB);
            if self.start(subject, less)?.is_none() && self.start(subject, less)?.is_none() {
                break;
            }
            least -= MEMORY_STEP_MIB;
        }
        Ok(Some(least))
    }

    /// Resident memory of an emulator that has started nothing: what every guest pays for it.
    fn emulator_alone(&self) -> Result<u64> {
        let mut qemu = self.machine.hardware();
        qemu.arg("-S").stdout(Stdio::null()).stderr(Stdio::null());
        let qemu = Running(qemu.spawn().map_err(not_started)?);
        thread::sleep(IDLE);
        qemu.kib("status", "VmRSS:")
    }
}

/// A program that finds the token on its standard input.
fn with_token(mut command: Command) -> Result<Start> {
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(TOKEN)?;
    command.stdin(reader);
    Ok(Start {
        command,
        open: None,
    })
}

fn median<T: Ord + Copy>(figures: impl Iterator<Item = T>) -> Result<T> {
    let mut figures: Vec<T> = figures.collect();
    figures.sort_unstable();
    figures
        .get(figures.len() / 2)
        .copied()
        .context("nothing was measured")
}

fn size(path: &Path) -> Result<u64> {
    let metadata = fs::metadata(path).with_context(|| path.display().to_string())?;
    Ok(metadata.len())
}
