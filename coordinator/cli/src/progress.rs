//! Says on standard error what is waited for, once it takes more than a second.

use std::io::{IsTerminal as _, Write as _};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A line that is there while something takes its time; dropping it takes the line away.
pub(crate) struct Progress {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// From now on `what` is waited for.
    pub(crate) fn start(what: impl Into<String>) -> Self {
        let what = what.into();
        let (stop, stopped) = channel();
        let began = Instant::now();
        let thread = thread::spawn(move || {
            let mut error = std::io::stderr();
            let terminal = error.is_terminal();
            let mut shown = false;
            while stopped.recv_timeout(SECOND) == Err(RecvTimeoutError::Timeout) {
                // A line that cannot be shown is no reason to stop.
                if terminal {
                    let _ = write!(error, "\r{what}: {} s", began.elapsed().as_secs());
                    let _ = error.flush();
                } else if !shown {
                    let _ = writeln!(error, "{what} …");
                }
                shown = true;
            }
            if terminal && shown {
                let _ = write!(error, "\r\x1b[K");
            }
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It writes to standard error and cannot panic.
            let _ = thread.join();
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
