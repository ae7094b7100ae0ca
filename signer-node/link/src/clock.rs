//! The guests' clock: Unix milliseconds that never run backwards and never stand still.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock for one driver.
///
/// It follows the wall clock forwards. When the wall clock is set back, it goes on from where it
/// was at the pace of the monotonic clock: a machine's timers must not wait an hour because an
/// operator corrected one.
#[derive(Debug)]
pub struct Clock {
    last_ms: u64,
    last: Instant,
}

impl Clock {
    /// Reads both clocks of the platform.
    #[must_use]
    pub fn start() -> Self {
        Self {
            last_ms: wall_ms(),
            last: Instant::now(),
        }
    }

    /// Unix milliseconds now.
    pub fn now_ms(&mut self) -> u64 {
        self.advance(wall_ms(), Instant::now())
    }

    /// How long to wait until `at_ms`; zero if that is past.
    #[must_use]
    pub fn until(&self, at_ms: u64) -> Duration {
        Duration::from_millis(at_ms.saturating_sub(self.last_ms))
    }

    fn advance(&mut self, wall_ms: u64, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.last);
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        // Whole milliseconds only: the rest stays in `last` and is counted the next time.
        self.last += Duration::from_millis(elapsed_ms);
        self.last_ms = wall_ms.max(self.last_ms.saturating_add(elapsed_ms));
        self.last_ms
    }
}

fn wall_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_follows_the_wall_forwards_and_outlives_a_step_back() {
        let start = Instant::now();
        let mut clock = Clock {
            last_ms: 1_000,
            last: start,
        };
        assert_eq!(clock.advance(5_000, start), 5_000);
        let later = start + Duration::from_millis(250);
        assert_eq!(clock.advance(1, later), 5_250);
        assert_eq!(clock.until(5_300), Duration::from_millis(50));
        assert_eq!(clock.until(0), Duration::ZERO);
    }

    #[test]
    fn parts_of_a_millisecond_add_up() {
        let start = Instant::now();
        let mut clock = Clock {
            last_ms: 0,
            last: start,
        };
        for step in 1..=10u32 {
            clock.advance(0, start + Duration::from_micros(500) * step);
        }
        assert_eq!(clock.last_ms, 5);
    }
}
