//! Ctrl-C and SIGTERM while a committee runs: the first ends it in order, the second at once.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

static SEEN: AtomicBool = AtomicBool::new(false);

/// Exit code of a program that a signal ended, as shells number it.
const EXIT_CODE: i32 = 130;

/// From now on signals are noted instead of ending the process.
pub(super) fn listen() -> Result<()> {
    ctrlc::set_handler(|| {
        if SEEN.swap(true, Ordering::Relaxed) {
            // The nodes notice that our end of their pipes is closed.
            process::exit(EXIT_CODE);
        }
    })
    .context("cannot listen for Ctrl-C")
}

/// Whether there was a signal.
pub(super) fn seen() -> bool {
    SEEN.load(Ordering::Relaxed)
}

/// Fails once there was a signal.
pub(super) fn check() -> Result<()> {
    if seen() {
        bail!("interrupted");
    }
    Ok(())
}

/// Waits for a signal.
pub(super) fn wait() {
    while !seen() {
        thread::sleep(Duration::from_millis(100));
    }
}
