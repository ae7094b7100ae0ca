//! A program that was started, has dialled its node and said hello, and waits for the answer: what
//! is measured.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::param::clock_ticks_per_second;
use vm::machine::not_started;

/// How long it may take to connect.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_micros(500);

/// How a program is started.
pub struct Start {
    /// The program.
    pub command: Command,
    /// What it reads while it starts: kept open until it has said hello.
    pub open: Option<OwnedFd>,
}

/// A program that has connected and said hello; it ends when it is dropped.
pub struct Waiting {
    program: Running,
    connected: Duration,
    _stream: TcpStream,
}

/// What a program cost while it waited.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// Processor time, of the kernel for it as well.
    pub cpu: Duration,
    /// Resident memory at the end, shared pages counted in full.
    pub resident_kib: u64,
    /// Resident memory at the end, shared pages divided among those that share them.
    pub proportional_kib: u64,
}

impl Waiting {
    /// Starts what `start` says for a node's address, a port of `host`. `None` if it ends, or time
    /// does, before it has said hello.
    pub fn start(
        host: Ipv4Addr,
        start: impl FnOnce(SocketAddr) -> Result<Start>,
    ) -> Result<Option<Self>> {
        let listener = TcpListener::bind((host, 0))?;
        listener.set_nonblocking(true)?;
        let Start { mut command, open } = start(listener.local_addr()?)?;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let mut program = Running(command.spawn().map_err(not_started)?);
        let stream = loop {
            if let Some(stream) = hello(&listener)? {
                break stream;
            }
            if program.0.try_wait()?.is_some() || began.elapsed() > CONNECT_TIME_MAX {
                return Ok(None);
            }
            thread::sleep(POLL);
        };
        let connected = began.elapsed();
        drop(open);
        Ok(Some(Self {
            program,
            connected,
            _stream: stream,
        }))
    }

    /// From the start to the first byte of the hello.
    pub const fn connected(&self) -> Duration {
        self.connected
    }

    /// Watches it for a time in which nobody answers.
    pub fn idle(&self, time: Duration) -> Result<Idle> {
        let before = self.program.cpu()?;
        thread::sleep(time);
        Ok(Idle {
            cpu: self.program.cpu()?.saturating_sub(before),
            resident_kib: self.program.kib("status", "VmRSS:")?,
            proportional_kib: self.program.kib("smaps_rollup", "Pss:")?,
        })
    }
}

/// The connection, once somebody has connected and said something.
fn hello(listener: &TcpListener) -> Result<Option<TcpStream>> {
    let mut stream = match listener.accept() {
        Ok((stream, _)) => stream,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(CONNECT_TIME_MAX))?;
    Ok(stream.read_exact(&mut [0]).is_ok().then_some(stream))
}

/// A process that ends when it is dropped.
pub struct Running(pub Child);

impl Running {
    /// A figure of one of its files in /proc, in KiB, with those of the processes that it started.
    pub fn kib(&self, file: &str, field: &str) -> Result<u64> {
        let each = self.processes()?.into_iter().map(|process| {
            let text = fs::read_to_string(format!("/proc/{process}/{file}"))?;
            let line = text.lines().find_map(|line| line.strip_prefix(field));
            let figure = line.and_then(|line| line.split_whitespace().next());
            Ok(figure
                .with_context(|| format!("no {field} in /proc: has it ended?"))?
                .parse::<u64>()?)
        });
        each.sum()
    }

    fn cpu(&self) -> Result<Duration> {
        self.processes()?.into_iter().map(cpu).sum()
    }

    /// It and its children; what those start is not looked for.
    fn processes(&self) -> Result<Vec<u32>> {
        let id = self.0.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        let children = children.split_whitespace().map(str::parse);
        let all: Result<Vec<u32>, _> = [Ok(id)].into_iter().chain(children).collect();
        Ok(all?)
    }
}

/// Processor time of a process.
fn cpu(process: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in parentheses may contain spaces; fields 14 and 15 are the times.
    let (_, fields) = stat.rsplit_once(')').context("no fields")?;
    let times: Vec<&str> = fields.split_whitespace().skip(11).take(2).collect();
    let [user, system] = times.as_slice() else {
        bail!("no times in /proc")
    };
    let ticks = user.parse::<u64>()? + system.parse::<u64>()?;
    Ok(Duration::from_millis(
        ticks * 1000 / clock_ticks_per_second(),
    ))
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
