//! `cargo xtask image measure`: what a guest costs from its boot to its first word to its node,
//! and while it waits.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::param::clock_ticks_per_second;
use serde_json::json;
use vm::accelerator::Accelerator;
use vm::image::Image;
use vm::machine::{Machine, hand_over, not_started};

use super::build::{Which, mebibytes};
use super::folder;

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

/// How long a guest may take to connect.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(60);
/// How long an idle guest is watched.
const IDLE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(2);
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
        let guest = Guest::boot(&machine)?;
        let guest = guest.context("the guest does not connect; `image run` shows why")?;
        connected.push(guest.connected.as_millis());
        last = Some(guest);
    }
    connected.sort_unstable();
    let guest = last.context("one boot at least")?;
    let resident_kib = guest.resident_kib()?;
    let before = guest.cpu_ticks()?;
    thread::sleep(IDLE);
    let ticks = guest.cpu_ticks()? - before;
    drop(guest);
    #[allow(clippy::cast_precision_loss, reason = "for a person")]
    let idle_percent = ticks as f64 / clock_ticks_per_second() as f64 / IDLE.as_secs_f64() * 100.0;
    let memory_mib = options.memory.then(|| least_memory(image, accelerator));
    Ok(Figures {
        name: image.manifest().name.clone(),
        size_bytes: image.manifest().size_bytes,
        connected_ms: *connected
            .get(connected.len() / 2)
            .context("one boot at least")?,
        resident_kib,
        idle_percent,
        memory_mib: memory_mib.transpose()?,
    })
}

/// Goes down from what the manifest says until the guest does not connect.
fn least_memory(image: &Image, accelerator: Accelerator) -> Result<u64> {
    let mut least = image.manifest().memory_mib_min;
    while least - MEMORY_STEP_MIB >= SMALLEST_MIB {
        let machine =
            Machine::new(image, accelerator).unchecked_memory_mib(least - MEMORY_STEP_MIB);
        if Guest::boot(&machine)?.is_none() {
            break;
        }
        least -= MEMORY_STEP_MIB;
    }
    Ok(least)
}

/// A guest that has connected and said hello; it ends when it is dropped.
struct Guest {
    emulator: Child,
    connected: Duration,
    _stream: TcpStream,
}

impl Guest {
    /// `None` if the guest ends without having said hello.
    fn boot(machine: &Machine) -> Result<Option<Self>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let mut qemu = machine.dialling(listener.local_addr()?)?;
        qemu.stdout(Stdio::null()).stderr(Stdio::null());
        let _token = hand_over(b"", &mut qemu)?;
        let began = Instant::now();
        let mut emulator = qemu.spawn().map_err(not_started)?;
        let stream = loop {
            match listener.accept() {
                Ok((mut stream, _)) => {
                    stream.set_nonblocking(false)?;
                    stream.set_read_timeout(Some(CONNECT_TIME_MAX))?;
                    if stream.read_exact(&mut [0]).is_ok() {
                        break Some(stream);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(POLL),
                Err(error) => return Err(error.into()),
            }
            if emulator.try_wait()?.is_some() {
                break None;
            }
            if began.elapsed() > CONNECT_TIME_MAX {
                emulator.kill()?;
                emulator.wait()?;
                break None;
            }
        };
        Ok(stream.map(|stream| Self {
            emulator,
            connected: began.elapsed(),
            _stream: stream,
        }))
    }

    fn resident_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.emulator.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let figure = line.and_then(|line| line.split_whitespace().next());
        Ok(figure.context("no VmRSS")?.parse()?)
    }

    /// Processor time so far, of the kernel for it as well.
    fn cpu_ticks(&self) -> Result<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.emulator.id()))?;
        // The name in parentheses may contain spaces; fields 14 and 15 are the times.
        let (_, fields) = stat.rsplit_once(')').context("no fields")?;
        let times: Vec<&str> = fields.split_whitespace().skip(11).take(2).collect();
        let [user, system] = times.as_slice() else {
            bail!("no times in /proc")
        };
        Ok(user.parse::<u64>()? + system.parse::<u64>()?)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}
