//! What a virtual machine says on its console: passed on to the log, the last lines kept for
//! whoever asks why it ended. A guest may be anyone's: its lines are cut, escaped, and so many.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::Instant;

/// Longest line that is kept, in bytes; what follows is dropped.
const LINE_BYTES_MAX: usize = 512;
/// Lines kept.
const LINES_KEPT: usize = 6;
/// Most lines passed on in each [`PERIOD`].
const LINES_MAX: u32 = 100;
const PERIOD: Duration = Duration::from_secs(10);

/// Reads a console until it ends; returns its last lines, one after the other.
pub async fn follow(mut console: impl AsyncRead + Unpin, guest: &'static str) -> String {
    let mut last = VecDeque::with_capacity(LINES_KEPT);
    let mut line = Vec::new();
    let mut bytes = [0; 4096];
    let mut limit = Limit::new();
    while let Ok(length @ 1..) = console.read(&mut bytes).await {
        for byte in bytes.iter().take(length) {
            match byte {
                b'\n' => say(&mut line, &mut last, &mut limit, guest),
                b'\r' => {}
                _ if line.len() < LINE_BYTES_MAX => line.push(*byte),
                _ => {}
            }
        }
    }
    say(&mut line, &mut last, &mut limit, guest);
    Vec::from(last).join(" | ")
}

fn say(line: &mut Vec<u8>, last: &mut VecDeque<String>, limit: &mut Limit, guest: &'static str) {
    // Nothing that a terminal would obey.
    let text = String::from_utf8_lossy(line).escape_debug().to_string();
    line.clear();
    if text.trim().is_empty() {
        return;
    }
    if limit.allows(guest) {
        tracing::info!(guest, console = text);
    }
    if last.len() == LINES_KEPT {
        last.pop_front();
    }
    last.push_back(text);
}

struct Limit {
    since: Instant,
    said: u32,
}

impl Limit {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            said: 0,
        }
    }

    fn allows(&mut self, guest: &'static str) -> bool {
        if self.since.elapsed() > PERIOD {
            if self.said > LINES_MAX {
                let dropped = self.said - LINES_MAX;
                tracing::warn!(guest, dropped, "lines of its console were not passed on");
            }
            *self = Self::new();
        }
        self.said = self.said.saturating_add(1);
        self.said <= LINES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_lines_are_kept_short_and_harmless() {
        let mut said = String::new();
        for line in 0..200 {
            said.push_str(&format!("line {line}\r\n"));
        }
        said.push_str("\u{1b}[2Jpanicked at src/main.rs\n");
        said.push_str(&"x".repeat(3 * LINE_BYTES_MAX));
        let last = follow(said.as_bytes(), "signer").await;
        let lines: Vec<&str> = last.split(" | ").collect();
        assert_eq!(lines.len(), LINES_KEPT);
        assert_eq!(lines.first(), Some(&"line 196"));
        assert_eq!(lines.get(4), Some(&"\\u{1b}[2Jpanicked at src/main.rs"));
        assert_eq!(lines.get(5).map(|line| line.len()), Some(LINE_BYTES_MAX));
    }

    #[test]
    fn a_guest_that_shouts_is_not_passed_on_for_ever() {
        let mut limit = Limit::new();
        let passed = (0..1000).filter(|_| limit.allows("signer")).count();
        assert_eq!(passed, 100);
    }
}
