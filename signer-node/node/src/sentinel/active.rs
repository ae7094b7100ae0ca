//! Whether members' Sentinels are active, asked of the operator's own NoM node.
//!
//! A record shows that an owner vouches for each member; that the owner has an active Sentinel only
//! the network shows. Nobody takes another's word for it: each operator's node asks before its member
//! takes part, and where it cannot ask, the member does not take part.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use attestation::committee::Card;
use attestation::ids::{NetworkId, Slot};
use nom::Address;
use nom::client::{Client, Limits, Sync};
use tokio::time::sleep;

use crate::node::Node;
use crate::run::now_ms;

/// A newest momentum that is older is no news: one comes every ten seconds.
const MOMENTUM_AGE_MAX_S: u64 = 600;
/// How often a running node looks again.
const LOOK: Duration = Duration::from_secs(600);

/// A member, and who registered the Sentinel that stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backed {
    /// The member.
    pub slot: Slot,
    /// The owner's account.
    pub owner: Address,
}

impl Backed {
    /// Those of these members that name a Sentinel.
    pub fn of<'a>(members: impl IntoIterator<Item = (Slot, &'a Card)>) -> Vec<Self> {
        let members = members.into_iter().filter_map(|(slot, card)| {
            let sentinel = card.sentinel.as_ref()?;
            let owner = Address::from_key(sentinel.owner.as_bytes());
            Some(Self { slot, owner })
        });
        members.collect()
    }
}

/// A member whose Sentinel does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// The member and the owner.
    pub backed: Backed,
    /// Whether the owner has registered a Sentinel at all.
    pub is_registered: bool,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Backed { slot, owner } = self.backed;
        let why = match self.is_registered {
            true => "its Sentinel is revoked or lacks collateral",
            false => "has registered no Sentinel",
        };
        write!(f, "member {slot} (owner {owner} {why})")
    }
}

/// Asks the first NoM node that can tell which of these Sentinels are not active.
///
/// # Errors
/// If there is none to ask, or none that answers, is of this network, in sync and up to date by
/// the clock, in Unix seconds: then nobody knows.
pub fn missing(
    urls: &[String],
    network: NetworkId,
    members: &[Backed],
    now_s: u64,
) -> Result<Vec<Missing>> {
    ensure!(
        !urls.is_empty(),
        "each member of this committee must have an active Sentinel, and there is no NoM node to ask: \
         name yours with --nom-rpc http://host:port, or as rpc of [nom] in node.toml"
    );
    let mut failures = Vec::new();
    for url in urls {
        match ask(url, network, members, now_s) {
            Ok(missing) => return Ok(missing),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    bail!(
        "whether the members' Sentinels are active, no NoM node of yours tells: {}. Try again once one \
         answers and is in sync",
        failures.join("; ")
    )
}

fn ask(url: &str, network: NetworkId, members: &[Backed], now_s: u64) -> Result<Vec<Missing>> {
    let client = Client::new(url, network.0, Limits::default())?;
    // It also says which chain it is of.
    let frontier = client.frontier_momentum()?;
    match client.sync()? {
        Sync::Syncing { height, target } => {
            bail!("the NoM node at {url} is at momentum {height} of {target}")
        }
        Sync::NotEnoughPeers { .. } => bail!("the NoM node at {url} has too few peers to know"),
        Sync::Unknown | Sync::Done { .. } => {}
    }
    let age_s = now_s.saturating_sub(frontier.timestamp);
    ensure!(
        age_s <= MOMENTUM_AGE_MAX_S,
        "the newest momentum of the NoM node at {url} is {age_s} s old: it is cut off, or this \
         machine's clock is wrong"
    );
    let mut missing = Vec::new();
    for backed in members {
        let sentinel = client.sentinel(&backed.owner)?;
        if !sentinel.is_some_and(|sentinel| sentinel.is_active) {
            missing.push(Missing {
                backed: *backed,
                is_registered: sentinel.is_some(),
            });
        }
    }
    Ok(missing)
}

/// Refuses what would bring a member in whose Sentinel is not active.
///
/// # Errors
/// Who has none; or that nobody can tell.
pub(crate) fn require(urls: &[String], network: NetworkId, members: &[Backed]) -> Result<()> {
    let missing = missing(urls, network, members, now_ms() / 1_000)?;
    let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
    ensure!(
        names.is_empty(),
        "each member of this committee must have an active Sentinel: {}",
        names.join(", ")
    );
    Ok(())
}

/// Tells the operator of members whose Sentinels are not active any more, for as long as the node
/// runs. They go on: who leaves is the operators' decision.
pub(crate) async fn watch(node: Arc<Node>, urls: Vec<String>) {
    let mut told = BTreeSet::new();
    loop {
        let (members, network) = (node.backed(), node.record.network);
        let asked = urls.clone();
        let look = move || missing(&asked, network, &members, now_ms() / 1_000);
        // A node that does not answer is told of by the chain adapter.
        if let Ok(Ok(missing)) = tokio::task::spawn_blocking(look).await {
            let missing: BTreeSet<Missing> = missing.into_iter().collect();
            for one in missing.difference(&told) {
                node.board.alert(format!(
                    "each member of this committee must have an active Sentinel: {one}; a change of \
                     members can replace it"
                ));
            }
            told = missing;
        }
        sleep(LOOK).await;
    }
}
