//! The one source of chance: everything that is not decided by the machines is drawn here.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};

/// A seeded generator.
#[derive(Clone, Debug)]
pub struct Dice {
    /// What machines draw their nonces from.
    pub rng: ChaCha8Rng,
}

impl Dice {
    /// The generator of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// A number from `low` to `high`, both included.
    pub fn within(&mut self, (low, high): (u64, u64)) -> u64 {
        low + self.rng.next_u64() % (high - low + 1)
    }

    /// A number below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.rng.next_u64() % count.max(1) as u64).unwrap_or(0)
    }

    /// True in this many cases of a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        per_mille > 0 && self.rng.next_u64() % 1_000 < per_mille
    }

    /// True as often as something that happens so many times a minute happens in `tick_ms`.
    pub fn rate(&mut self, per_minute: u64, tick_ms: u64) -> bool {
        per_minute > 0 && self.rng.next_u64() % 60_000 < per_minute * tick_ms
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let at = self.below(of.len());
        of.get(at)
    }

    /// As many of them as asked for, in their order.
    pub fn some<T: Clone>(&mut self, of: &[T], count: usize) -> Vec<T> {
        let mut left = of.to_vec();
        while left.len() > count {
            let at = self.below(left.len());
            left.remove(at);
        }
        left
    }

    /// Nothing in a quarter of all cases, else a number of the range: not every fault in every
    /// run, or each would hide behind the others.
    pub fn swarm(&mut self, range: (u64, u64)) -> u64 {
        if self.chance(250) {
            0
        } else {
            self.within(range)
        }
    }
}
