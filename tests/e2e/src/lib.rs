//! Whole committees of processes, with faults.
//!
//! Helpers for the tests beside this file. They wait for what can be observed over HTTP, with
//! deadlines that only a stuck committee misses; nothing sleeps for a fixed time.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use launch::{Caller, Committee, Plan, Programs};

use tempfile::TempDir;

/// Far beyond what anything here takes on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// A running committee in a directory of its own.
pub struct Running {
    /// The processes.
    pub committee: Committee,
    /// Someone who calls.
    pub caller: Caller,
    dir: TempDir,
}

impl Running {
    /// Makes a committee of five members at threshold 4 with two coordinators; starts nothing.
    ///
    /// # Errors
    /// If programs are missing or `zq-node init` fails.
    pub fn prepare() -> Result<Self> {
        let dir = TempDir::new()?;
        let plan = Plan {
            members: 5,
            threshold: 4,
            coordinators: 2,
            dir: dir.path().to_owned(),
        };
        let committee = Committee::create(Programs::beside_current()?, &plan)?;
        let record = committee.record();
        let caller = Caller::new(record.network, record.id())?;
        Ok(Self {
            committee,
            caller,
            dir,
        })
    }

    /// Starts all members and waits for the key.
    ///
    /// # Errors
    /// If the committee does not get its key.
    pub fn start() -> Result<Self> {
        let mut running = Self::prepare()?;
        running.committee.start()?;
        running.committee.wait_ready(DEADLINE)?;
        Ok(running)
    }

    /// The directory of all members.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// Waits until `look` gives a value.
///
/// # Errors
/// If it gives none within [`DEADLINE`].
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return Ok(seen);
        }
        if began.elapsed() > DEADLINE {
            bail!("waited {} s for {what}", DEADLINE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
