//! `cargo xtask image compare`: the signer's image, a minimal Linux guest with the same program and
//! the plain process, measured alternately in one run.

mod archive;
mod lines;
mod linux;
mod report;

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
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
    let bench = Bench {
        machine: Machine::new(&image, accelerator),
        linux,
    };

    let mut subjects = [Subject::Unikernel, Subject::Linux, Subject::Process].map(Measured::new);
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
    let [unikernel, guest, process] = &subjects;
    let report = Report {
        accelerator: accelerator.describe(),
        boots: options.boots,
        emulator_kib: bench.emulator_alone()?,
        figures: [
            unikernel.figures(image.manifest().size_bytes)?,
            guest.figures(size(&bench.linux.kernel)? + size(&bench.linux.initramfs)?)?,
            process.figures(size(&bench.linux.signer)?)?,
        ],
        kernel_bytes: size(&bench.linux.kernel)?,
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
    Process,
}

impl Subject {
    const fn name(self) -> &'static str {
        match self {
            Self::Unikernel => "signer image",
            Self::Linux => "Linux guest",
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
}

impl Bench {
    /// Starts one of them; `None` if it ends without having said hello.
    fn start(&self, subject: Subject, memory_mib: Option<u64>) -> Result<Option<Waiting>> {
        let mut machine = self.machine.clone();
        if let Some(memory_mib) = memory_mib {
            machine = machine.unchecked_memory_mib(memory_mib);
        }
        Waiting::start(|node| {
            let mut command = match subject {
                Subject::Unikernel => machine.dialling(node)?,
                Subject::Linux => self.linux.dialling(&machine, node.port()),
                Subject::Process => {
                    let mut command = Command::new(&self.linux.signer);
                    let (reader, mut writer) = io::pipe()?;
                    writer.write_all(TOKEN)?;
                    command.arg(node.to_string()).stdin(reader);
                    return Ok(Start {
                        command,
                        open: None,
                    });
                }
            };
            let open = Some(hand_over(TOKEN, &mut command)?);
            Ok(Start { command, open })
        })
    }

    /// Goes down until the guest does not connect, twice in a row: a guest that a busy host held
    /// up is no guest without memory. A process has no memory of its own to give.
    fn least_memory(&self, subject: Subject) -> Result<Option<u64>> {
        if subject == Subject::Process {
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
