//! Boots guests for tests: a peer for each, the console line by line, an end for every wait.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use vm::machine::{Machine, not_started};

/// How long a test's guest may take, on a machine that does other things as well.
const BOOT_TIME_MAX: Duration = Duration::from_secs(300);
/// This host, as a guest in the user network sees it.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// What a guest did.
#[derive(Debug)]
pub struct Boot {
    /// Its console.
    pub console: Vec<String>,
    /// It was still running when its time was up.
    pub hangs: bool,
}

impl Boot {
    /// Whether a line of the console contains this.
    pub fn says(&self, text: &str) -> bool {
        self.console.iter().any(|line| line.contains(text))
    }

    /// Whether the guest's side of the test passed.
    pub fn passed(&self) -> bool {
        self.console.iter().any(|line| line == "passed")
    }

    /// The last lines, for a person.
    pub fn tail(&self) -> String {
        let from = self.console.len().saturating_sub(8);
        let mut tail = self
            .console
            .get(from..)
            .unwrap_or_default()
            .join("\n      ");
        if self.hangs {
            tail.push_str("\n      (it was still running when its time was up)");
        }
        tail
    }
}

/// Boots a guest with these arguments; `more` goes to the emulator. The guest has ended when this
/// returns: by itself, or because its time was up.
pub fn boot(machine: &Machine, arguments: &str, more: &[&str], time_max: Duration) -> Result<Boot> {
    let mut qemu = machine.command(arguments);
    qemu.args(more).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = qemu.spawn().map_err(not_started)?;
    let console = child.stdout.take().context("the emulator has no console")?;
    let lines = lines(console);
    let until = Instant::now() + time_max.min(BOOT_TIME_MAX);
    let mut boot = Boot {
        console: Vec::new(),
        hangs: false,
    };
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => boot.console.push(line),
            Err(error) => {
                boot.hangs = error == std::sync::mpsc::RecvTimeoutError::Timeout;
                break;
            }
        }
    }
    // An error means that it has ended by itself just now.
    let _ = child.kill();
    child.wait()?;
    Ok(boot)
}

fn lines(console: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_string();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A peer on this host that takes every connection, answers its first byte with one, and keeps
/// its side open.
pub struct Peer(SocketAddr);

impl Peer {
    /// Starts one; it lasts as long as this process.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    let mut stream = stream;
                    let mut byte = [0];
                    if stream.read_exact(&mut byte).is_ok() {
                        // A guest that is gone wants no answer.
                        let _ = stream.write_all(&byte);
                    }
                    // Open for as long as this process runs: a peer that never closes.
                    std::mem::forget(stream);
                });
            }
        });
        Ok(Self(address))
    }

    /// Its address as a guest sees it.
    pub fn seen(&self) -> String {
        format!("{HOST}:{}", self.0.port())
    }
}

/// A port of this host on which nobody listens, as a guest sees it.
pub fn closed_port() -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(format!("{HOST}:{}", listener.local_addr()?.port()))
}

/// The sequence number of the first SYN in a capture (libpcap's format, Ethernet, IPv4).
pub fn first_sequence_number(capture: &Path) -> Result<u32> {
    let bytes = std::fs::read(capture)?;
    let mut rest = bytes.get(24..).context("no capture")?;
    while let Some((header, behind)) = rest.split_first_chunk::<16>() {
        let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = *header;
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d]))?;
        let (packet, next) = behind
            .split_at_checked(length)
            .context("a capture is cut off")?;
        if let Some(number) = syn(packet) {
            return Ok(number);
        }
        rest = next;
    }
    anyhow::bail!("no connection in the capture")
}

/// The sequence number of a TCP segment with SYN and without ACK.
fn syn(packet: &[u8]) -> Option<u32> {
    const ETHERNET: usize = 14;
    const TCP: u8 = 6;
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    let ip = packet.get(ETHERNET..)?;
    let version_and_length = *ip.first()?;
    if version_and_length >> 4 != 4 || *ip.get(9)? != TCP {
        return None;
    }
    let tcp = ip.get(usize::from(version_and_length & 0xf) * 4..)?;
    let is_first = *tcp.get(13)? & (SYN | ACK) == SYN;
    let number = tcp.get(4..8)?.try_into().ok()?;
    is_first.then_some(u32::from_be_bytes(number))
}
