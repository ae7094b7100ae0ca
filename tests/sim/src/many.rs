//! Many seeds at once, a thread each: a seed is the same run whoever runs beside it.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use crate::run::{Outcome, Plan, run};

thread_local! {
    static RUNNING: Cell<u64> = const { Cell::new(0) };
}

/// The seed that this thread runs, for whoever must name it.
#[must_use]
pub fn running() -> u64 {
    RUNNING.get()
}

/// As many threads as this machine runs at a time.
#[must_use]
pub fn jobs() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Runs seeds and shows each outcome as it comes, in any order, until it is told to stop.
///
/// # Panics
/// If a machine under test does.
pub fn each(
    seeds: impl IntoIterator<Item = u64, IntoIter: Send>,
    plan: &Plan,
    jobs: NonZeroUsize,
    mut goes_on: impl FnMut(Outcome) -> bool,
) {
    let seeds = Mutex::new(seeds.into_iter());
    let (sender, outcomes) = mpsc::sync_channel(jobs.get());
    thread::scope(|scope| {
        for _ in 0..jobs.get() {
            let (sender, seeds) = (sender.clone(), &seeds);
            scope.spawn(move || {
                loop {
                    let next = seeds.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(seed) = next else {
                        return;
                    };
                    RUNNING.set(seed);
                    if sender.send(run(seed, plan)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        while let Ok(outcome) = outcomes.recv() {
            if !goes_on(outcome) {
                break;
            }
        }
        // Whoever still runs a seed finds nobody to tell.
        drop(outcomes);
    });
}
