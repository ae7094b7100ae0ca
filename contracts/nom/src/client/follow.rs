//! Following the momentums, so that a reorganisation is noticed and not slept through.

use std::collections::VecDeque;
use std::vec::Vec;

use super::{Client, ClientError, LIST_MAX};
use crate::{Momentum, MomentumRef};

/// The newest momentums that were seen, at most [`Tail::LEN`].
#[derive(Clone, Debug, Default)]
pub struct Tail {
    seen: VecDeque<MomentumRef>,
}

/// A momentum that does not continue what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The height that is to be looked at again.
    pub height: u64,
}

impl Tail {
    /// How many momentums back a reorganisation is noticed by name; a deeper one is noticed too,
    /// and everything is read again.
    pub const LEN: usize = 100;

    /// A tail that begins after `start`.
    #[must_use]
    pub fn after(start: MomentumRef) -> Self {
        Self {
            seen: VecDeque::from([start]),
        }
    }

    /// The newest momentum seen.
    #[must_use]
    pub fn last(&self) -> Option<MomentumRef> {
        self.seen.back().copied()
    }

    /// Takes the next momentum.
    ///
    /// # Errors
    /// [`Fork`] if it is not the one after the last, or does not link to it.
    pub fn push(&mut self, momentum: &Momentum) -> Result<(), Fork> {
        if let Some(last) = self.last() {
            let continues = momentum.height.checked_sub(1) == Some(last.height)
                && momentum.previous_hash == last.hash;
            if !continues {
                return Err(Fork {
                    height: last.height,
                });
            }
        }
        if self.seen.len() == Self::LEN {
            self.seen.pop_front();
        }
        self.seen.push_back(momentum.reference());
        Ok(())
    }

    /// Forgets the newest momentum, which is no longer part of the chain.
    fn pop(&mut self) -> Option<MomentumRef> {
        self.seen.pop_back()
    }
}

impl Client {
    /// The momentums that came after `tail`, at most [`LIST_MAX`] at once; an empty tail begins at
    /// the frontier.
    ///
    /// # Errors
    /// [`ClientError::Reorganised`] with the lowest momentum seen that is no longer part of the
    /// chain: the tail has forgotten it and what followed, and the next call goes on from there.
    pub fn follow(&self, tail: &mut Tail) -> Result<Vec<Momentum>, ClientError> {
        let Some(last) = tail.last() else {
            let frontier = self.frontier_momentum()?;
            // An empty tail takes any momentum.
            let _ = tail.push(&frontier);
            return Ok(std::vec![frontier]);
        };
        let mut momentums = self.momentums(last.height, LIST_MAX)?.into_iter();
        let again = momentums.next();
        if again.as_ref().map(|momentum| momentum.hash) != Some(last.hash) {
            return Err(self.forked(tail, last)?);
        }
        let mut new = Vec::new();
        for momentum in momentums {
            // `momentums` has checked every link, and the first is the tail's last.
            if tail.push(&momentum).is_err() {
                break;
            }
            new.push(momentum);
        }
        Ok(new)
    }

    /// Steps back to where the chain still is as it was seen.
    fn forked(&self, tail: &mut Tail, last: MomentumRef) -> Result<ClientError, ClientError> {
        let mut ours = last;
        let mut theirs = MomentumRef::default();
        while let Some(seen) = tail.last() {
            let now = self.momentums(seen.height, 1)?.into_iter().next();
            let now = now.map(|momentum| momentum.reference());
            if now == Some(seen) {
                break;
            }
            ours = seen;
            theirs = now.unwrap_or(MomentumRef {
                height: seen.height,
                ..MomentumRef::default()
            });
            tail.pop();
        }
        Ok(ClientError::Reorganised { ours, theirs })
    }
}
