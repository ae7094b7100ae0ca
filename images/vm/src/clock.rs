//! The rate of the time stamp counter, which is a guest's clock.
//!
//! Left alone, the kernel measures it during 30 ms of its boot against a timer of the emulator; on
//! a host that is busy that goes wrong by any factor, and with it every timeout of the guest. The
//! host measures better: both of its readings are its own.

use std::thread;
use std::time::{Duration, Instant};

/// How long the counter is watched.
const WATCHED: Duration = Duration::from_millis(20);
/// Two readings of the clock with the counter between them count only if nobody came between.
const UNDISTURBED: Duration = Duration::from_micros(2);
const TRIES_MAX: u32 = 1_000;

/// Counts per microsecond, rounded up and one more: a guest whose clock is slow is put right by its
/// machine's wall clock, one whose clock is fast stays ahead.
#[must_use]
pub fn counter_mhz() -> u64 {
    let (begun, first) = reading();
    thread::sleep(WATCHED);
    let (ended, last) = reading();
    let nanoseconds = ended.duration_since(begun).as_nanos().max(1);
    let counts = u128::from(last.saturating_sub(first));
    u64::try_from((counts * 1_000).div_ceil(nanoseconds) + 1).unwrap_or(0)
}

fn reading() -> (Instant, u64) {
    let mut tries = 0;
    loop {
        let before = Instant::now();
        let count = counter();
        tries += 1;
        if before.elapsed() < UNDISTURBED || tries == TRIES_MAX {
            return (before, count);
        }
    }
}

#[allow(unsafe_code, reason = "the counter is read by an instruction alone")]
fn counter() -> u64 {
    // SAFETY: every x86-64 processor has the instruction; Linux lets programs use it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_measurements_agree() {
        let (first, second) = (counter_mhz(), counter_mhz());
        assert!(first > 100, "{first} MHz");
        assert!(
            first.abs_diff(second) * 20 < first,
            "{first} and {second} MHz"
        );
    }
}
