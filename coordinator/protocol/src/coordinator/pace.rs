//! How many requests the next job takes: as many as the committee is seen to finish well within
//! the first timer of a view (rule A10).
//!
//! A step that outlasts the timer is lost, and with it the work of all members; under steady load
//! the next one would be as long. Halving after the loss (rule A11) is for requests that do not
//! run, not for a committee that is merely slow.

use signer_protocol::signer::TIMER_FIRST_MS;
use state::limits::REQUESTS_MAX;

/// A full step that took no longer lets the next be twice as large; one that took twice as long
/// makes it smaller. From proposal to signature: the node's own run comes on top.
pub const STEP_MS: u64 = TIMER_FIRST_MS / 3;
/// Requests of the first job, and of the smallest: below, it is not their number that takes long.
const REQUESTS_MIN: usize = 64;

const _: () = assert!(REQUESTS_MIN <= REQUESTS_MAX);

/// The pace of the committee under this coordinator.
pub(super) struct Pace {
    requests_max: usize,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self {
            requests_max: REQUESTS_MIN,
        }
    }

    /// Most requests for the next job.
    pub(super) const fn requests_max(&self) -> usize {
        self.requests_max
    }

    /// A step of so many requests took so long.
    pub(super) fn took(&mut self, requests: usize, ms: u64) {
        let next = if ms > 2 * STEP_MS {
            self.requests_max / 2
        } else if ms <= STEP_MS && requests >= self.requests_max {
            self.requests_max * 2
        } else {
            self.requests_max
        };
        self.requests_max = next.clamp(REQUESTS_MIN, REQUESTS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn the_batch_follows_what_steps_take() {
        let mut pace = Pace::new();
        let seen: Vec<usize> = [
            // Not full: says nothing about larger ones.
            (10, 1),
            (64, 1),
            (128, STEP_MS),
            // As much as fits.
            (256, STEP_MS + 1),
            (256, 2 * STEP_MS),
            (256, 2 * STEP_MS + 1),
            (128, 100 * STEP_MS),
            (64, 100 * STEP_MS),
        ]
        .into_iter()
        .map(|(requests, ms)| {
            pace.took(requests, ms);
            pace.requests_max()
        })
        .collect();
        assert_eq!(seen, [64, 128, 256, 256, 256, 128, 64, 64]);
        for _ in 0..20 {
            pace.took(pace.requests_max(), 1);
        }
        assert_eq!(pace.requests_max(), REQUESTS_MAX, "and comes back");
    }
}
