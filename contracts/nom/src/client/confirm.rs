//! Whether a block stands: confirmed in a momentum, and how deep.

use core::time::Duration;
use std::thread;
use std::time::Instant;
use std::vec::Vec;

use super::ledger::lied;
use super::{Client, ClientError, Held, LIST_MAX, Lie, UNRECEIVED_PAGES_MAX};
use crate::{Address, Block, Momentum, MomentumHeader, MomentumRef};

/// Where a block is on its way into the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The node has no block at this height: it never came, or was dropped.
    Unknown,
    /// The node holds it; no momentum does.
    Pending,
    /// A momentum holds it.
    Confirmed(Confirmed),
}

/// A momentum that holds a block, and the momentums above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The momentum.
    pub momentum: MomentumRef,
    /// How many momentums in a row, linked by their hashes, begin with it: 1 for it alone, at most
    /// as many as were asked for.
    pub depth: u64,
}

/// How often to ask, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Between two questions.
    pub every: Duration,
    /// In all.
    pub limit: Duration,
}

impl Client {
    /// Where a block stands; a confirmation is followed up to `depth` momentums, at most
    /// [`LIST_MAX`].
    ///
    /// # Errors
    /// [`ClientError::Displaced`] if another block stands at its height,
    /// [`ClientError::Reorganised`] if the momentum changes under the question, or another
    /// [`ClientError`].
    pub fn standing(&self, block: &Block, depth: u64) -> Result<Standing, ClientError> {
        let header = &block.header;
        let held = self.blocks(&header.address, header.height, 1)?;
        let Some(held) = held.first() else {
            return Ok(Standing::Unknown);
        };
        if held.block.hash != block.hash {
            return Err(ClientError::Displaced {
                height: header.height,
                ours: block.hash,
                theirs: held.block.hash,
                is_confirmed: held.momentum.is_some(),
            });
        }
        Ok(match self.confirmed(held, depth)? {
            Some(confirmed) => Standing::Confirmed(confirmed),
            None => Standing::Pending,
        })
    }

    /// Publishes a block and waits until it is `depth` momentums deep.
    ///
    /// A block that the node has lost is published again: that is harmless, since a block is its
    /// hash.
    ///
    /// # Errors
    /// [`ClientError::NotConfirmed`] when the time is over, [`ClientError::Reorganised`] if the
    /// momentum that held it is replaced meanwhile, or as [`Client::publish`] and
    /// [`Client::standing`].
    pub fn publish_and_wait(
        &self,
        block: &Block,
        depth: u64,
        patience: Patience,
    ) -> Result<Confirmed, ClientError> {
        let start = Instant::now();
        let mut seen: Option<MomentumRef> = None;
        self.publish(block)?;
        loop {
            match self.standing(block, depth)? {
                Standing::Confirmed(now) => {
                    let before = seen.replace(now.momentum).unwrap_or(now.momentum);
                    if before != now.momentum {
                        return Err(ClientError::Reorganised {
                            ours: before,
                            theirs: now.momentum,
                        });
                    }
                    if now.depth >= depth.min(LIST_MAX) {
                        return Ok(now);
                    }
                }
                Standing::Pending => {}
                Standing::Unknown => self.publish(block)?,
            }
            if start.elapsed() >= patience.limit {
                return Err(ClientError::NotConfirmed {
                    hash: block.hash,
                    height: block.header.height,
                });
            }
            thread::sleep(patience.every);
        }
    }

    /// The sends to an account that it has not received and that are at least `depth` momentums
    /// deep, with where they are confirmed.
    ///
    /// # Errors
    /// As [`Client::unreceived`] and [`Client::standing`].
    pub fn deposits(
        &self,
        address: &Address,
        depth: u64,
    ) -> Result<Vec<(Block, Confirmed)>, ClientError> {
        let mut deposits = Vec::new();
        for page in 0..UNRECEIVED_PAGES_MAX {
            let unreceived = self.unreceived(address, page)?;
            if unreceived.is_empty() {
                break;
            }
            for held in unreceived {
                let confirmed = self.confirmed(&held, depth)?;
                let deep = confirmed.filter(|now| now.depth >= depth.min(LIST_MAX));
                deposits.extend(deep.map(|confirmed| (held.block, confirmed)));
            }
        }
        Ok(deposits)
    }

    /// The newest momentum that is `depth` deep, with those above it linked to it: what an anchor
    /// may name. `None` while the chain is shorter.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn confirmed_momentum(&self, depth: u64) -> Result<Option<Momentum>, ClientError> {
        let depth = depth.clamp(1, LIST_MAX);
        let frontier = self.frontier_momentum()?;
        let Some(height) = (frontier.height + 1)
            .checked_sub(depth)
            .filter(|at| *at > 0)
        else {
            return Ok(None);
        };
        // The chain may have grown since, never shrunk: a full list links the first to the rest.
        let momentums = self.momentums(height, depth)?;
        let is_whole = u64::try_from(momentums.len()).is_ok_and(|len| len == depth);
        Ok(momentums.into_iter().next().filter(|_| is_whole))
    }

    /// Follows what a node says about a block's confirmation into the momentums.
    fn confirmed(&self, held: &Held, depth: u64) -> Result<Option<Confirmed>, ClientError> {
        let method = "ledger.getMomentumsByHeight";
        let Some(claimed) = held.momentum else {
            return Ok(None);
        };
        let momentums = self.momentums(claimed.height, depth.max(1))?;
        let Some(momentum) = momentums.first() else {
            return Err(lied(method)(Lie::NotHeld(claimed.height)));
        };
        let actual = momentum.reference();
        if actual != claimed {
            return Err(ClientError::Reorganised {
                ours: claimed,
                theirs: actual,
            });
        }
        let header = MomentumHeader {
            address: held.block.header.address,
            height: held.block.header.height,
            hash: held.block.hash,
        };
        if !momentum.content.contains(&header) {
            return Err(lied(method)(Lie::NotHeld(claimed.height)));
        }
        Ok(Some(Confirmed {
            momentum: actual,
            depth: u64::try_from(momentums.len()).unwrap_or(u64::MAX),
        }))
    }
}
