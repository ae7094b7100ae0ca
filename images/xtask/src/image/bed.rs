//! Boots guests for tests: a peer for each, the console line by line, an end for every wait.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
pub struct Peer {
    address: SocketAddr,
    heard: Arc<AtomicBool>,
}

impl Peer {
    /// Starts one; it lasts as long as this process.
    pub fn start() -> Result<Self> {
        Self::answering_after(Duration::ZERO)
    }

    /// One that takes its time.
    pub fn answering_after(pause: Duration) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let heard = Arc::<AtomicBool>::default();
        let hears = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let heard = Arc::clone(&hears);
                thread::spawn(move || {
                    let mut stream = stream;
                    let mut byte = [0];
                    if stream.read_exact(&mut byte).is_ok() {
                        heard.store(true, Ordering::Relaxed);
                        thread::sleep(pause);
                        // A guest that is gone wants no answer.
                        let _ = stream.write_all(&byte);
                    }
                    // Open for as long as this process runs: a peer that never closes.
                    std::mem::forget(stream);
                });
            }
        });
        Ok(Self { address, heard })
    }

    /// Its address as a guest sees it.
    pub fn seen(&self) -> String {
        format!("{HOST}:{}", self.address.port())
    }
}

/// Somebody on the guest's network who sends to everybody, until a peer has heard of the guest.
pub struct Nuisance {
    port: u16,
    ended: Arc<AtomicBool>,
}

impl Nuisance {
    /// Starts sending, to an emulator that may yet have to start.
    pub fn start(until: &Peer) -> Result<Self> {
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = port.local_addr()?.port();
        let (ended, heard) = (Arc::<AtomicBool>::default(), Arc::clone(&until.heard));
        let end = Arc::clone(&ended);
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        thread::spawn(move || {
            while !end.load(Ordering::Relaxed) && !heard.load(Ordering::Relaxed) {
                // Nobody is there before the emulator is.
                let _ = sender.send_to(&FRAME, (Ipv4Addr::LOCALHOST, port));
                thread::sleep(Duration::from_micros(50));
            }
        });
        Ok(Self { port, ended })
    }

    /// The emulator's arguments that put the guest's card, its user network and this on one hub.
    pub fn arguments(&self) -> Vec<String> {
        let socket = "type=inet,local.host=127.0.0.1,remote.type=inet,remote.host=127.0.0.1";
        let sender = format!(
            "dgram,id=nuisance,local.{socket},local.port={},remote.port=1",
            self.port
        );
        let mut arguments = Vec::new();
        for device in [
            "hubport,id=port-0,hubid=0,netdev=net",
            &sender,
            "hubport,id=port-1,hubid=0,netdev=nuisance",
            "hubport,id=port-2,hubid=0",
        ] {
            arguments.extend(["-netdev".to_owned(), device.to_owned()]);
        }
        let card = "device.card.netdev=port-2".to_owned();
        arguments.extend(["-set".to_owned(), card]);
        arguments
    }
}

impl Drop for Nuisance {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// An Ethernet frame to everybody, of a type for experiments.
const FRAME: [u8; 64] = *b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\0\x88\xb5\
    nobody minds what stands here, it only has to come";

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
