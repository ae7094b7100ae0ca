//! `cargo xtask image measure`: what a guest costs from its boot to its first word to its node,
//! and while it waits.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use vm::accelerator::Accelerator;
use vm::image::Image;
use vm::machine::{Machine, hand_over};

use super::build::{Which, mebibytes};
use super::folder;
use super::waiting::{Start, Waiting};

/// Options of `cargo xtask image measure`.
#[derive(clap::Args)]
pub struct Options {
    /// Which image.
    #[arg(value_enum, default_value_t = Which::All)]
    which: Which,
    /// Boots whose median is shown.
    #[arg(long, default_value_t = 5)]
    boots: usize,
    /// Also look for the least memory that an image boots with.
    #[arg(long)]
    memory: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How long an idle guest is watched.
const IDLE: Duration = Duration::from_secs(5);
/// Memory is looked for in steps of so many MiB.
const MEMORY_STEP_MIB: u64 = 4;
const SMALLEST_MIB: u64 = 8;

struct Figures {
    name: String,
    size_bytes: u64,
    connected_ms: u128,
    resident_kib: u64,
    idle_percent: f64,
    memory_mib: Option<u64>,
}

/// Boots the images and prints what was measured.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let mut all = Vec::new();
    let mut with = None;
    for program in options.which.programs() {
        let path = folder(root).join(format!("{}.img", program.package));
        let image = Image::open(&path)?;
        let accelerator = *with.get_or_insert_with(|| Accelerator::probe(&image));
        all.push(measure(&image, accelerator, options)?);
    }
    let accelerator = with.context("no image was named")?;
    if options.json {
        let figures: Vec<_> = all.iter().map(Figures::json).collect();
        let printed = json!({ "accelerator": accelerator.name(), "images": figures });
        println!("{}", serde_json::to_string_pretty(&printed)?);
        return Ok(());
    }
    println!(
        "under {}, median of {} boots:",
        accelerator.describe(),
        options.boots
    );
    println!("image          size   connected  resident   idle CPU   least memory");
    for figures in &all {
        println!("{}", figures.line());
    }
    Ok(())
}

impl Figures {
    fn json(&self) -> serde_json::Value {
        json!({
            "name": self.name,
            "size_bytes": self.size_bytes,
            "boot_to_connected_ms": u64::try_from(self.connected_ms).unwrap_or(u64::MAX),
            "resident_kib": self.resident_kib,
            "idle_percent": self.idle_percent,
            "least_memory_mib": self.memory_mib,
        })
    }

    fn line(&self) -> String {
        let memory = self
            .memory_mib
            .map_or("–".into(), |mib| format!("{mib} MiB"));
        format!(
            "{:<12} {:>4.1} MiB {:>7} ms {:>5.0} MiB {:>8.1} % {memory:>12}",
            self.name,
            mebibytes(self.size_bytes),
            self.connected_ms,
            mebibytes(self.resident_kib * 1024),
            self.idle_percent,
        )
    }
}

fn measure(image: &Image, accelerator: Accelerator, options: &Options) -> Result<Figures> {
    let machine = Machine::new(image, accelerator);
    let mut connected = Vec::new();
    let mut last = None;
    for _ in 0..options.boots.max(1) {
        let guest = boot(&machine)?;
        let guest = guest.context("the guest does not connect; `image run` shows why")?;
        connected.push(guest.connected().as_millis());
        last = Some(guest);
    }
    connected.sort_unstable();
    let guest = last.context("one boot at least")?;
    let idle = guest.idle(IDLE)?;
    drop(guest);
    let memory_mib = options.memory.then(|| least_memory(image, accelerator));
    Ok(Figures {
        name: image.manifest().name.clone(),
        size_bytes: image.manifest().size_bytes,
        connected_ms: *connected
            .get(connected.len() / 2)
            .context("one boot at least")?,
        resident_kib: idle.resident_kib,
        idle_percent: idle.cpu.as_secs_f64() / IDLE.as_secs_f64() * 100.0,
        memory_mib: memory_mib.transpose()?,
    })
}

/// Goes down from what the manifest says until the guest does not connect.
fn least_memory(image: &Image, accelerator: Accelerator) -> Result<u64> {
    let mut least = image.manifest().memory_mib_min;
    while least - MEMORY_STEP_MIB >= SMALLEST_MIB {
        let machine =
            Machine::new(image, accelerator).unchecked_memory_mib(least - MEMORY_STEP_MIB);
        if boot(&machine)?.is_none() {
            break;
        }
        least -= MEMORY_STEP_MIB;
    }
    Ok(least)
}

fn boot(machine: &Machine) -> Result<Option<Waiting>> {
    Waiting::start(Ipv4Addr::LOCALHOST, |node| {
        let mut command = machine.dialling(node)?;
        let open = Some(hand_over(b"", &mut command)?);
        Ok(Start { command, open })
    })
}
