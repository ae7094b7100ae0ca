//! Looking at the chain through the operator's own NoM node: blocking calls, every answer checked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use nom::client::{
    Client, ClientError, Confirmed, LIST_MAX, Limits, Standing, Sync, Tail, UNRECEIVED_PAGES_MAX,
};
use nom::{Address, Block, Hash, Momentum, MomentumRef};
use state::system::nom::Issue;

/// How long one call may take; a node of one's own answers in milliseconds.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(3),
    answer: Duration::from_secs(8),
    body_bytes_max: 8 << 20,
};
/// How long one look may take in all: a slow node must not keep the others from being asked.
const LOOK_MAX: Duration = Duration::from_secs(40);
/// Age of the newest momentum from which on a node stands still: 18 in a row are missing.
pub const STILL_S_MAX: u64 = 180;
/// Momentums that are kept to name in blocks; they also say how deep everything else is.
const RECENT_MAX: usize = 128;
/// New deposits that one look follows into their momentums.
const DEPOSITS_NEW_MAX: usize = 32;
/// Deposits that are kept; while there are so many, no more are looked for.
const DEPOSITS_MAX: usize = 512;
/// Momentums whose sends are asked for at once.
const SCANNED_AT_ONCE: u64 = 16;
/// How long one look may take over them.
const SCAN_MAX: Duration = Duration::from_secs(15);

/// Why a look came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The node's answers, or that there are none.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It answers, but takes too long over it.
    #[error("the NoM node at {url} is too slow: no whole look within {} s", LOOK_MAX.as_secs())]
    Slow {
        /// The node.
        url: String,
    },
    /// It is behind its peers: what it has not seen yet it cannot bear out.
    #[error("the NoM node at {url} is at momentum {height} of {target}: wait until it is in sync")]
    Syncing {
        /// The node.
        url: String,
        /// Where it is.
        height: u64,
        /// Where its peers are.
        target: u64,
    },
    /// It answers, and no momentum comes: it lost its peers, the network halted, or this machine's
    /// clock is wrong.
    #[error(
        "the NoM node at {url} stands still at momentum {height}, which is {age_s} s old: nothing new \
         is borne out until momentums come; see whether it has peers, and this machine's clock"
    )]
    Still {
        /// The node.
        url: String,
        /// Its newest momentum.
        height: u64,
        /// How old that is by this machine's clock.
        age_s: u64,
    },
}

/// A send to the committee's account that is deep enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// The send.
    pub block: Block,
    /// The momentum that confirmed it.
    pub momentum: MomentumRef,
}

/// A block of the committee's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: Hash,
    /// What it was issued with.
    pub issue: Issue,
    /// How many momentums hold and follow it; 0 while none does.
    pub depth: u64,
}

/// What the chain shows now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The newest momentum.
    pub frontier: MomentumRef,
    /// Momentums that are deep enough, oldest first.
    pub momentums: Vec<MomentumRef>,
    /// Deposits that are deep enough and not received, oldest first.
    pub deposits: Vec<Deposit>,
    /// The account's blocks at the heights asked for.
    pub own: Vec<Own>,
}

impl Look {
    /// How many momentums, from this one on, are in the chain.
    #[must_use]
    pub fn depth(&self, momentum: &MomentumRef) -> u64 {
        (self.frontier.height + 1).saturating_sub(momentum.height)
    }
}

/// What a look is for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The committee's account.
    pub address: Address,
    /// The first of the two heights whose blocks matter; 0 for none.
    pub from_height: u64,
    /// Blocks to publish before looking.
    pub publish: Vec<Block>,
    /// Deposits that steps took.
    pub taken: BTreeSet<Hash>,
    /// The time, in Unix seconds: momentums must keep up with it.
    pub now_s: u64,
}

/// Follows the chain.
#[derive(Debug)]
pub struct Watcher {
    clients: Vec<Client>,
    /// Which of them is asked.
    at: usize,
    depth: u64,
    tail: Tail,
    recent: VecDeque<MomentumRef>,
    /// When the newest momentum was made, in Unix seconds.
    newest_s: u64,
    deposits: BTreeMap<Hash, Deposit>,
    /// Height of the last momentum whose sends are known; `None` before the first look.
    scanned: Option<u64>,
}

impl Watcher {
    /// Follows `chain` through the nodes at `urls`, the first that works. What is at least `depth`
    /// momentums deep counts.
    ///
    /// # Errors
    /// [`ClientError::Address`] if a URL is none.
    pub fn new(urls: &[String], chain: u64, depth: u64) -> Result<Self, ClientError> {
        let clients = urls.iter().map(|url| Client::new(url, chain, LIMITS));
        Ok(Self {
            clients: clients.collect::<Result<_, _>>()?,
            at: 0,
            depth: depth.clamp(1, LIST_MAX / 2),
            tail: Tail::default(),
            recent: VecDeque::new(),
            newest_s: 0,
            deposits: BTreeMap::new(),
            scanned: None,
        })
    }

    /// Begins after the momentum of this height, whose [`Self::settled`] an earlier watcher was.
    pub fn resume(&mut self, settled: u64) {
        self.scanned = Some(settled);
    }

    /// The height up to which all deposits are in steps; 0 before the first look.
    #[must_use]
    pub fn settled(&self) -> u64 {
        let heights = self.deposits.values().map(|one| one.momentum.height);
        let below = heights
            .min()
            .map_or(u64::MAX, |height| height.saturating_sub(1));
        below.min(self.scanned.unwrap_or_default())
    }

    /// The node that is asked.
    #[must_use]
    pub fn url(&self) -> &str {
        self.client().map_or("", Client::url)
    }

    /// Asks the next node from now on.
    pub fn turn(&mut self) {
        self.at = (self.at + 1) % self.clients.len().max(1);
    }

    /// A client of the node that is asked.
    #[must_use]
    pub fn client(&self) -> Option<&Client> {
        self.clients.get(self.at)
    }

    /// Looks, after publishing what is to be published. What a node says of a publication proves
    /// nothing; why one was declined is told beside.
    ///
    /// # Errors
    /// [`WatchError`]; what was seen before stands.
    pub fn look(&mut self, wanted: &Wanted) -> Result<(Look, Vec<String>), WatchError> {
        let until = Instant::now() + LOOK_MAX;
        self.check_sync()?;
        let mut declined = Vec::new();
        for block in &wanted.publish {
            match self.asked()?.publish(block) {
                Ok(()) => {}
                Err(ClientError::Declined { said, .. }) => declined.push(said),
                Err(error) => return Err(error.into()),
            }
        }
        self.follow(until)?;
        self.check_moving(wanted.now_s)?;
        self.scan(&wanted.address)?;
        self.find_deposits(wanted, until)?;
        let own = self.own(wanted, until)?;
        Ok((self.seen(own), declined))
    }

    fn asked(&self) -> Result<&Client, ClientError> {
        self.client()
            .ok_or(ClientError::Address { url: String::new() })
    }

    fn in_time(&self, until: Instant) -> Result<(), WatchError> {
        if Instant::now() < until {
            return Ok(());
        }
        let url = self.url().to_owned();
        Err(WatchError::Slow { url })
    }

    fn check_sync(&self) -> Result<(), WatchError> {
        match self.asked()?.sync()? {
            Sync::Syncing { height, target } => Err(WatchError::Syncing {
                url: self.url().to_owned(),
                height,
                target,
            }),
            Sync::Unknown | Sync::Done { .. } | Sync::NotEnoughPeers { .. } => Ok(()),
        }
    }

    /// Whether momentums still come. One that is ahead of the clock is none of this.
    fn check_moving(&self, now_s: u64) -> Result<(), WatchError> {
        let age_s = now_s.saturating_sub(self.newest_s);
        if age_s <= STILL_S_MAX {
            return Ok(());
        }
        Err(WatchError::Still {
            url: self.url().to_owned(),
            height: self.tail.last().map_or(0, |last| last.height),
            age_s,
        })
    }

    /// Takes the momentums that came since, and forgets what a reorganisation undid.
    fn follow(&mut self, until: Instant) -> Result<(), WatchError> {
        if self.tail.last().is_none() {
            self.begin()?;
        }
        loop {
            self.in_time(until)?;
            let mut tail = self.tail.clone();
            let followed = self.asked()?.follow(&mut tail);
            self.tail = tail;
            match followed {
                Ok(new) => {
                    let full = u64::try_from(new.len()).is_ok_and(|len| len + 1 >= LIST_MAX);
                    for momentum in new {
                        self.keep(&momentum);
                    }
                    if !full {
                        return Ok(());
                    }
                }
                Err(ClientError::Reorganised { ours, .. }) => {
                    self.undo(ours.height);
                    if self.tail.last().is_none() {
                        self.begin()?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Begins far enough back that something is deep enough at once.
    fn begin(&mut self) -> Result<(), WatchError> {
        let frontier = self.asked()?.frontier_momentum()?;
        let back = u64::try_from(RECENT_MAX).unwrap_or(1).min(LIST_MAX) - 1;
        let height = frontier.height.saturating_sub(back).max(1);
        let first = self.asked()?.momentums(height, 1)?.into_iter().next();
        let first = first.unwrap_or(frontier);
        let scanned = match self.scanned {
            Some(_) => self.settled().min(first.height),
            None => first.height,
        };
        self.undo(0);
        self.scanned = Some(scanned);
        self.tail = Tail::after(first.reference());
        self.keep(&first);
        Ok(())
    }

    fn keep(&mut self, momentum: &Momentum) {
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(momentum.reference());
        self.newest_s = momentum.timestamp;
    }

    /// Nothing from this height on is as it was seen.
    fn undo(&mut self, height: u64) {
        self.recent.retain(|seen| seen.height < height);
        self.deposits
            .retain(|_, deposit| deposit.momentum.height < height);
        let below = height.saturating_sub(1);
        self.scanned = self.scanned.map(|scanned| scanned.min(below));
    }

    /// Reads what momentums that count confirm of sends to the account. A node's list of what an
    /// account has not received ends somewhere, and whoever sends it enough of nothing would hide what
    /// comes after.
    fn scan(&mut self, address: &Address) -> Result<(), WatchError> {
        let until = Instant::now() + SCAN_MAX;
        let frontier = self.tail.last().map_or(0, |last| last.height);
        let deep = (frontier + 1).saturating_sub(self.depth);
        while let Some(scanned) = self.scanned
            && scanned < deep
            && self.deposits.len() < DEPOSITS_MAX
            && Instant::now() < until
        {
            let count = SCANNED_AT_ONCE.min(deep - scanned);
            let found = self.asked()?.sends_to(address, scanned + 1, count)?;
            if found.is_empty() {
                break;
            }
            for sends in found {
                let same = |seen: &MomentumRef| {
                    seen.height != sends.momentum.height || seen.hash == sends.momentum.hash
                };
                if !self.recent.iter().all(same) {
                    // It changed under the question: the next look sees what it is.
                    return Ok(());
                }
                for block in sends.blocks.into_iter().filter(moves) {
                    let momentum = sends.momentum;
                    self.deposits
                        .insert(block.hash, Deposit { block, momentum });
                }
                self.scanned = Some(sends.momentum.height);
            }
        }
        Ok(())
    }

    /// Follows deposits of before the scan into their momentums, and forgets those that steps took and
    /// that were received.
    fn find_deposits(&mut self, wanted: &Wanted, until: Instant) -> Result<(), WatchError> {
        let mut listed: BTreeMap<Hash, Block> = BTreeMap::new();
        for page in 0..UNRECEIVED_PAGES_MAX {
            self.in_time(until)?;
            let page = self.asked()?.unreceived(&wanted.address, page)?;
            if page.is_empty() {
                break;
            }
            let moving = page
                .into_iter()
                .filter(|held| held.momentum.is_some() && moves(&held.block));
            listed.extend(moving.map(|held| (held.block.hash, held.block)));
        }
        self.deposits
            .retain(|hash, _| listed.contains_key(hash) || !wanted.taken.contains(hash));
        let mut new = 0;
        for (hash, block) in listed {
            if self.deposits.contains_key(&hash) || self.deposits.len() >= DEPOSITS_MAX {
                continue;
            }
            new += 1;
            if new > DEPOSITS_NEW_MAX {
                break;
            }
            self.in_time(until)?;
            if let Some(confirmed) = self.deep(&block)? {
                let momentum = confirmed.momentum;
                self.deposits.insert(hash, Deposit { block, momentum });
            }
        }
        Ok(())
    }

    /// Where a block is confirmed, if that is deep enough and part of what this follows.
    fn deep(&self, block: &Block) -> Result<Option<Confirmed>, ClientError> {
        match self.asked()?.standing(block, self.depth) {
            Ok(Standing::Confirmed(now)) => {
                let same = |seen: &MomentumRef| {
                    seen.height != now.momentum.height || seen.hash == now.momentum.hash
                };
                let deep = now.depth >= self.depth && self.recent.iter().all(same);
                Ok(deep.then_some(now))
            }
            // It changed under the question: the next look sees what it is.
            Ok(_) | Err(ClientError::Reorganised { .. } | ClientError::Displaced { .. }) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn own(&self, wanted: &Wanted, until: Instant) -> Result<Vec<Own>, WatchError> {
        let mut own = Vec::new();
        if wanted.from_height == 0 {
            return Ok(own);
        }
        let blocks = self
            .asked()?
            .blocks(&wanted.address, wanted.from_height, 2)?;
        for held in blocks {
            self.in_time(until)?;
            let depth = match self.asked()?.standing(&held.block, self.depth + 1) {
                Ok(Standing::Confirmed(now)) => now.depth,
                Ok(_) | Err(ClientError::Reorganised { .. } | ClientError::Displaced { .. }) => 0,
                Err(error) => return Err(error.into()),
            };
            own.push(Own {
                height: held.block.header.height,
                hash: held.block.hash,
                issue: Issue::of(&held.block.header),
                depth,
            });
        }
        Ok(own)
    }

    fn seen(&self, own: Vec<Own>) -> Look {
        let frontier = self.recent.back().copied().unwrap_or_default();
        let mut look = Look {
            frontier,
            own,
            ..Look::default()
        };
        let deep = |momentum: &MomentumRef| look.depth(momentum) >= self.depth;
        let momentums = self.recent.iter().copied().filter(deep).collect();
        let mut deposits: Vec<Deposit> = self
            .deposits
            .values()
            .filter(|deposit| deep(&deposit.momentum))
            .cloned()
            .collect();
        deposits.sort_by_key(|deposit| (deposit.momentum.height, deposit.block.hash));
        look.momentums = momentums;
        look.deposits = deposits;
        look
    }
}

/// Whether a send brings anything: else no zApp can be credited, and there is nothing to send back.
fn moves(block: &Block) -> bool {
    !block.header.amount.is_zero()
}
