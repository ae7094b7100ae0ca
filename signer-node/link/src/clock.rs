//! The guests' clock: Unix milliseconds that never run backwards and never stand still.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock for one driver.
///
/// It follows the wall clock forwards. When the wall clock is set back, it goes on from where it
/// was at the pace of the monotonic clock: a machine's timers must not wait an hour because an
/// operator corrected one.
///
/// A guest in a virtual machine counts from its boot at a rate that is a little too slow, and is
/// put right by the machine's wall clock every ten seconds.
#[derive(Debug)]
pub struct Clock {
    last_ms: u64,
    last: Instant,
    #[cfg(target_os = "hermit")]
    put_right: Instant,
}

impl Clock {
    /// Reads both clocks of the platform.
    #[must_use]
    pub fn start() -> Self {
        Self::at(wall_ms(), Instant::now())
    }

    const fn at(last_ms: u64, last: Instant) -> Self {
        Self {
            last_ms,
            last,
            #[cfg(target_os = "hermit")]
            put_right: last,
        }
    }

    /// Unix milliseconds now.
    pub fn now_ms(&mut self) -> u64 {
        let now = Instant::now();
        let wall_ms = wall_ms();
        #[cfg(target_os = "hermit")]
        let wall_ms = wall_ms.max(self.machine_ms(now));
        self.advance(wall_ms, now)
    }

    /// The machine's wall clock, when it is time to look; it shows whole seconds.
    #[cfg(target_os = "hermit")]
    fn machine_ms(&mut self, now: Instant) -> u64 {
        if now.saturating_duration_since(self.put_right) < PUT_RIGHT_EVERY {
            return 0;
        }
        self.put_right = now;
        let seconds = machine::wall_clock::unix_seconds(&mut machine::wall_clock::Clock);
        seconds.unwrap_or(0).saturating_mul(1_000)
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

/// Reading a machine's wall clock stops the machine for some microseconds.
#[cfg(target_os = "hermit")]
const PUT_RIGHT_EVERY: Duration = Duration::from_secs(10);

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
        let mut clock = Clock::at(1_000, start);
        assert_eq!(clock.advance(5_000, start), 5_000);
        let later = start + Duration::from_millis(250);
        assert_eq!(clock.advance(1, later), 5_250);
        assert_eq!(clock.until(5_300), Duration::from_millis(50));
        assert_eq!(clock.until(0), Duration::ZERO);
    }

    #[test]
    fn parts_of_a_millisecond_add_up() {
        let start = Instant::now();
        let mut clock = Clock::at(0, start);
        for step in 1..=10u32 {
            clock.advance(0, start + Duration::from_micros(500) * step);
        }
        assert_eq!(clock.last_ms, 5);
    }
}
