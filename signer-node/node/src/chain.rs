//! The chain adapter: this operator's own view of the Network of Momentum, and what the committee's
//! account needs there (rules A2, E3, E4).
//!
//! Every member's node asks the operator's own NoM node, and tells its signer what is deep enough:
//! a member votes for no step that claims anything else of the chain, and for none that skips an old
//! deposit. A member without an NoM node takes part in all other steps. The adapter also does what
//! is to be done for the account: it brings deposits into steps, orders anchors, makes orders blocks,
//! has them signed, publishes them, and says when the chain has them. It decides nothing that members
//! do not check: what is done is [`plan`]'s, a function of state and chain.

mod acts;
pub mod keeper;
pub mod plan;
pub mod watch;
mod work;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use nom::Momentum;
use nom::client::{Client, ClientError, Limits, Sync};
use tokio::time::{Instant, sleep, timeout};

use crate::node::Node;
use keeper::Keeper;

/// How often the chain is looked at: a momentum comes every ten seconds.
const LOOK: Duration = Duration::from_secs(3);
/// Longest pause after looks that failed.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// How often the account is looked after between two looks, at most.
const ACT: Duration = Duration::from_millis(100);
/// Momentums that follow on a block before it counts, by default: one minute.
pub const CONFIRMATIONS: u64 = 6;
/// Most that can be waited for: a reorganisation is followed so far.
pub const CONFIRMATIONS_MAX: u64 = 40;
/// Steps from one anchor to the next, by default.
pub const ANCHOR_EVERY: u64 = 1_000;
/// Fewest: an anchor takes steps of its own, which must not call for the next.
pub const ANCHOR_EVERY_MIN: u64 = 8;

/// What an operator says of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSettings {
    /// RPCs of the operator's own NoM nodes; the next is asked when one fails.
    pub urls: Vec<String>,
    /// How many momentums deep a block counts, from 1.
    pub confirmations: u64,
    /// Steps from one anchor to the next; 0 for none of this node's asking.
    pub anchor_every: u64,
}

impl ChainSettings {
    /// Settings within their bounds.
    ///
    /// # Errors
    /// Which bound is broken, and what it is for.
    pub fn new(urls: Vec<String>, confirmations: u64, anchor_every: u64) -> Result<Self> {
        ensure!(
            (1..=CONFIRMATIONS_MAX).contains(&confirmations),
            "{confirmations} confirmations: from 1 to {CONFIRMATIONS_MAX} momentums can be waited for"
        );
        ensure!(
            anchor_every == 0 || anchor_every >= ANCHOR_EVERY_MIN,
            "an anchor every {anchor_every} steps: at least {ANCHOR_EVERY_MIN}, since an anchor takes \
             steps of its own; 0 for none"
        );
        Ok(Self {
            urls,
            confirmations,
            anchor_every,
        })
    }
}

/// Follows the chain for as long as the node runs.
pub async fn follow(node: Arc<Node>, settings: ChainSettings) {
    let mut keeper = match Keeper::new(Arc::clone(&node), settings) {
        Ok(keeper) => keeper,
        Err(error) => {
            tracing::error!(%error, "the chain is not followed");
            node.board.chain(false, format!("{error:#}"));
            return;
        }
    };
    loop {
        let next = Instant::now() + pause(keeper.look().await);
        loop {
            keeper.act().await;
            sleep(ACT).await;
            let now = Instant::now();
            if now >= next {
                break;
            }
            // A step, a signature or an issue that is ready; or it is time to look again.
            let _ = timeout(next - now, node.chain_news()).await;
        }
    }
}

/// How long to wait after so many failed looks in a row.
fn pause(failures: u32) -> Duration {
    let doubled = LOOK.saturating_mul(1_u32.checked_shl(failures.min(8)).unwrap_or(1));
    doubled.min(LOOK_MAX)
}

/// What an NoM node says of itself, for `zq-node doctor`: its newest momentum, and its peers.
///
/// # Errors
/// That it does not answer, or is of another chain.
pub fn probe(url: &str, chain: u64) -> Result<(Momentum, Sync), ClientError> {
    let client = Client::new(url, chain, Limits::default())?;
    Ok((client.frontier_momentum()?, client.sync()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stay_within_bounds_that_say_what_they_are_for() {
        for (confirmations, every, part) in [
            (0, 0, "0 confirmations"),
            (CONFIRMATIONS_MAX + 1, 0, "momentums"),
            (6, 1, "steps of its own"),
            (6, ANCHOR_EVERY_MIN - 1, "0 for none"),
        ] {
            let refused = ChainSettings::new(Vec::new(), confirmations, every);
            let refused = refused.expect_err(part).to_string();
            assert!(refused.contains(part), "{refused}");
        }
        for (confirmations, every) in [(1, 0), (CONFIRMATIONS_MAX, ANCHOR_EVERY_MIN)] {
            assert!(ChainSettings::new(Vec::new(), confirmations, every).is_ok());
        }
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pauses = [0, 1, 2, 3, 4, 5, u32::MAX].map(|failures| pause(failures).as_secs());
        assert_eq!(pauses, [3, 6, 12, 24, 48, 60, 60]);
    }
}
