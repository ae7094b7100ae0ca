//! A node whose records are on a disk that can be full, for tests: as long as there is a file
//! `disk-full` in the data directory, half of what is appended to a log is written, and no file is
//! replaced. A program of the tests; everything but the disk is the real node.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use node::arguments::Run;
use node::disk::{Directory, Disk, Log};

#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Run(Box<Run>),
    Compile { target: String },
    Engine,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .init();
    let ended = match Command::parse().action {
        Action::Compile { target } => node::compile::child(&target),
        Action::Engine => node::engine::child(),
        Action::Run(run) => start(*run),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zq-faulty-node: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(run: Run) -> anyhow::Result<()> {
    let settings = run.settings()?;
    let full = settings.dir.join("disk-full");
    let inner = Directory::open(&settings.dir)?;
    let disk = Arc::new(Small { inner, full });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(node::run::run(settings, disk, std::future::pending()))
}

struct Small {
    inner: Directory,
    full: PathBuf,
}

impl Disk for Small {
    fn load(&self, name: &str, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        self.inner.load(name, bytes_max)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if self.full.exists() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.replace(name, bytes)
    }

    fn log(&self, name: &str) -> io::Result<Box<dyn Log>> {
        Ok(Box::new(SmallLog {
            inner: self.inner.log(name)?,
            full: self.full.clone(),
        }))
    }
}

struct SmallLog {
    inner: Box<dyn Log>,
    full: PathBuf,
}

impl Log for SmallLog {
    fn read(&mut self, bytes_max: u64) -> io::Result<Vec<u8>> {
        self.inner.read(bytes_max)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.full.exists() {
            let (half, _) = bytes.split_at(bytes.len() / 2);
            self.inner.append(half)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.append(bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.inner.truncate(length)
    }
}
