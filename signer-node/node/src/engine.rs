//! Engine processes: `zq-node engine` runs zApps, and holds nothing else.
//!
//! The node holds the keys that unseal its guests' secrets. A zApp that breaks out of the engine
//! owns the process that it runs in; so it runs in one that was started afresh, has one socket, an
//! empty environment, capped memory and no right to open anything ([`crate::confine`]).

use std::io::{self, Read, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use attestation::ids::RequestId;
use gateway::Socket;
use runtime::apart::{PipeError, Server, Start, Wire};
use runtime::engine::THREAD_STACK_BYTES;

use crate::confine;

/// Address space of an engine process in bytes.
const MEMORY_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Exit code of a process that cannot confine itself.
const UNCONFINED: i32 = 4;

/// Starts the running program anew as `zq-node engine`.
#[derive(Debug)]
pub struct Engines {
    program: PathBuf,
}

impl Engines {
    /// Engines in children of the running program.
    ///
    /// # Errors
    /// If the system does not tell which program runs.
    pub fn new() -> io::Result<Self> {
        Ok(Self::of(std::env::current_exe()?))
    }

    /// Engines in children of this program.
    #[must_use]
    pub const fn of(program: PathBuf) -> Self {
        Self { program }
    }

    /// Starts one.
    ///
    /// # Errors
    /// If the system does not start it.
    pub fn spawn(&self) -> io::Result<Engine> {
        let (ours, theirs) = UnixStream::pair()?;
        let process = Command::new(&self.program)
            .arg("engine")
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Engine {
            socket: Socket::new(ours),
            process,
        })
    }
}

impl Start for Engines {
    fn start(&self) -> io::Result<Box<dyn Wire>> {
        match self.spawn() {
            Ok(engine) => Ok(Box::new(engine)),
            Err(error) => {
                tracing::error!(%error, "no engine process");
                Err(error)
            }
        }
    }

    fn broke(&self, request: &RequestId, why: &PipeError) {
        tracing::warn!(%request, %why, "an engine process broke off within a call");
    }
}

/// An engine process and the stream to it. Dropped, both end.
#[derive(Debug)]
pub struct Engine {
    socket: Socket,
    process: Child,
}

impl Engine {
    /// The process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Read for Engine {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }
}

impl Write for Engine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl Wire for Engine {
    fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        self.socket.set_patience(patience)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Fails only for a process that has ended; waiting then tells how.
        let _ = self.process.kill();
        match self.process.wait() {
            Ok(status) if status.code() == Some(UNCONFINED) => {
                tracing::error!("no engine process: this kernel has no seccomp, which zApps need");
            }
            Ok(status) => tracing::warn!(%status, "an engine process is replaced"),
            Err(error) => tracing::error!(%error, "an engine process is lost"),
        }
    }
}

/// The child: calls over the socket that is its standard input.
///
/// # Errors
/// If it cannot be limited, or the node makes no sense. Ends the process with [`UNCONFINED`] if it
/// cannot be confined.
pub fn child() -> Result<()> {
    confine::limit(MEMORY_BYTES_MAX, None)?;
    let stream = io::stdin().as_fd().try_clone_to_owned()?;
    let server = Server::new(UnixStream::from(stream));
    let confined = || {
        if confine::confine().is_err() {
            std::process::exit(UNCONFINED);
        }
    };
    let serving = thread::Builder::new()
        .stack_size(THREAD_STACK_BYTES)
        .spawn(move || server.serve(confined))
        .context("engine thread")?;
    match serving.join() {
        Ok(served) => Ok(served?),
        Err(_) => bail!("the engine brought its thread down"),
    }
}
