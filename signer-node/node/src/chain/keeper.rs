//! Looking after the committee's account: looks at the chain, tells signer and gateway, and does what
//! the plan says when it is this node's turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use attestation::ids::{Digest, RequestId, Seq};
use gateway::AccountView;
use link::local::{Role, ToGuest};
use nom::{Address, Block, Hash};
use signer_protocol::identity::{Ed25519Identity, SignIdentity as _};
use signer_protocol::signer::Sight;
use state::system::nom::Deep;

use super::ChainSettings;
use super::acts::{Asked, Preparing};
use super::plan::{Act, Facts, Trouble, digest, named, waited_for};
use super::watch::{Look, Wanted, Watcher};
use crate::files;
use crate::node::Node;

/// Until a node whose coordinator does not lead does what is to be done, times its slot.
const TURN: Duration = Duration::from_secs(20);
/// What was seen is relied on for so long without a look that came to something.
const STALE: Duration = Duration::from_secs(180);
/// Trouble that lasts so long is told.
const LASTS: Duration = Duration::from_secs(60);

/// Momentums between two notes of where to begin.
const SETTLED_EVERY: u64 = 32;

/// Looks after the committee's account.
pub struct Keeper {
    pub(super) node: Arc<Node>,
    pub(super) settings: ChainSettings,
    /// Signs requests for deposits, which come first in jobs.
    pub(super) deposits: Ed25519Identity,
    /// Signs the other requests.
    pub(super) others: Ed25519Identity,
    pub(super) watcher: Option<Watcher>,
    /// Up to which momentum all deposits were in steps when that was last written down.
    settled: u64,
    pub(super) look: Look,
    looked: Option<Instant>,
    failures: u32,
    told: Sight,
    due: BTreeMap<Act, Instant>,
    pub(super) sent: BTreeMap<Act, (RequestId, Instant)>,
    pub(super) preparing: Option<(Act, Preparing)>,
    pub(super) asked: BTreeMap<Digest, Asked>,
    pub(super) blocks: VecDeque<Block>,
    pub(super) publish: BTreeSet<Digest>,
    issued_ms: Option<(Seq, u64)>,
    trouble: Option<(Trouble, Instant)>,
    said: String,
}

impl Keeper {
    /// The keeper of a node's committee.
    ///
    /// # Errors
    /// If a URL is none, or the keeper's key cannot be read or made.
    pub fn new(node: Arc<Node>, settings: ChainSettings) -> Result<Self> {
        let chain = node.record.network.0;
        let mut watcher = Watcher::new(&settings.urls, chain, settings.confirmations)?;
        let settled = files::settled(&*node.disk).context(files::SETTLED)?;
        if let Some(settled) = settled {
            watcher.resume(settled);
        }
        let seed = files::keeper_seed(&*node.disk).context(files::KEEPER)?;
        let [deposits, others] = files::keeper_keys(&seed);
        node.gateway.set_first(deposits.key());
        Ok(Self {
            node,
            settings,
            deposits,
            others,
            watcher: Some(watcher),
            settled: settled.unwrap_or_default(),
            look: Look::default(),
            looked: None,
            failures: 0,
            told: Sight::default(),
            due: BTreeMap::new(),
            sent: BTreeMap::new(),
            preparing: None,
            asked: BTreeMap::new(),
            blocks: VecDeque::new(),
            publish: BTreeSet::new(),
            issued_ms: None,
            trouble: None,
            said: String::new(),
        })
    }

    /// Looks at the chain, publishes what waits for it, and tells signer and gateway what there is.
    /// Returns how many looks in a row came to nothing.
    pub async fn look(&mut self) -> u32 {
        let Some(key) = self.node.gateway.key() else {
            self.node
                .board
                .chain(true, "waits for the committee's key".into());
            return 0;
        };
        let view = self.view().await;
        let taken = view
            .taken
            .iter()
            .map(|hash| Hash::from_bytes(*hash.as_bytes()));
        let taken = taken.collect();
        let height = view.account.map_or(1, |account| account.height);
        let wanted = Wanted {
            address: Address::from_key(key.as_bytes()),
            from_height: height.saturating_sub(1).max(1),
            publish: self.to_publish(),
            taken,
            now_s: crate::run::now_ms() / 1_000,
        };
        // A watcher that panicked is gone, which is a bug: a new one begins afresh.
        let watcher = match self.watcher.take() {
            Some(watcher) => watcher,
            None => match self.new_watcher() {
                Ok(watcher) => watcher,
                Err(()) => return self.failures,
            },
        };
        let looked = tokio::task::spawn_blocking(move || {
            let mut watcher = watcher;
            let looked = watcher.look(&wanted);
            (watcher, looked)
        });
        let Ok((mut watcher, looked)) = looked.await else {
            return self.failed("the look at the chain failed: our bug".to_owned());
        };
        match looked {
            Ok((look, declined)) => {
                self.look = look;
                self.looked = Some(Instant::now());
                self.failures = 0;
                for said in declined {
                    self.say(format!(
                        "the NoM node declines a block of the committee's account: {said}"
                    ));
                }
                let settled = watcher.settled();
                self.watcher = Some(watcher);
                self.settle(settled).await;
            }
            Err(error) => {
                let line = error.to_string();
                watcher.turn();
                self.watcher = Some(watcher);
                self.failed(line);
            }
        }
        self.tell(true).await;
        self.failures
    }

    /// Does what is to be done now.
    pub async fn act(&mut self) {
        self.take_signed();
        if self.node.gateway.key().is_none() || !self.is_fresh() {
            return;
        }
        self.tell(false).await;
        let view = self.view().await;
        let issued_ms = self.issued_ms(&view).await;
        let facts = self.facts(&view, issued_ms);
        let (acts, trouble) = (facts.plan(), facts.trouble());
        self.note(trouble, view.head);
        self.due.retain(|act, _| acts.contains(act));
        self.publish.clear();
        if let Some(Trouble::Lost { block, .. }) = trouble {
            self.publish.insert(block);
        }
        if matches!(trouble, Some(Trouble::Foreign { .. })) {
            return;
        }
        for act in acts {
            if !self.is_my_turn(&act) {
                continue;
            }
            if let Err(error) = self.perform(&act, &view).await {
                self.say(format!("{error:#}"));
            }
        }
    }

    /// Tells signer and gateway what the chain shows, `again` even if it is what they know.
    async fn tell(&mut self, again: bool) {
        let sight = if self.is_fresh() {
            let view = self.view().await;
            self.show(&view);
            self.facts(&view, None).sight()
        } else {
            Sight::default()
        };
        let same = (&sight.confirmed, &sight.overdue) == (&self.told.confirmed, &self.told.overdue);
        if again || !same {
            let confirmed = sight.confirmed.iter().copied().collect();
            self.node.gateway.set_confirmed(confirmed);
            self.node.gateway.set_anchor(self.anchor(&sight));
            let message = ToGuest::Sight(Box::new(sight.clone()));
            self.node.tell(Role::Signer, &message).await;
        }
        self.told = sight;
    }

    /// What steps name as their anchor: the newest momentum that others have seen too, if enough of
    /// them look.
    fn anchor(&self, sight: &Sight) -> Option<(u64, Digest)> {
        let threshold = self.node.gateway.threshold();
        if self.node.board.sighted() < usize::from(threshold) {
            return None;
        }
        let named = named(&self.look, self.settings.confirmations)?;
        let of = (Deep::Momentum(digest(&named.hash)), named.height);
        sight
            .confirmed
            .contains(&of)
            .then(|| (named.height, digest(&named.hash)))
    }

    /// What was seen counts for a while, also when the node does not answer.
    fn is_fresh(&self) -> bool {
        self.looked.is_some_and(|at| at.elapsed() < STALE)
    }

    fn is_my_turn(&mut self, act: &Act) -> bool {
        let since = self.due.entry(act.clone()).or_insert_with(Instant::now);
        let wait = match self.node.leads() {
            true => Duration::ZERO,
            false => TURN * u32::from(self.node.slot.0),
        };
        since.elapsed() >= wait
    }

    pub(super) fn facts<'a>(&'a self, view: &'a AccountView, issued_ms: Option<u64>) -> Facts<'a> {
        Facts {
            view,
            look: &self.look,
            depth: self.settings.confirmations,
            anchor_every: self.settings.anchor_every,
            issued_ms,
            now_ms: crate::run::now_ms(),
        }
    }

    async fn view(&self) -> AccountView {
        let deposits = self.look.deposits.iter();
        let deposits: Vec<Digest> = deposits.map(|one| digest(&one.block.hash)).collect();
        // A whole state shows every entry.
        let view = self.node.gateway.account_view(&deposits).await;
        view.unwrap_or_default()
    }

    async fn issued_ms(&mut self, view: &AccountView) -> Option<u64> {
        let seq = waited_for(view.account.as_ref()?)?.seq;
        if let Some((of, at)) = self.issued_ms
            && of == seq
        {
            return Some(at);
        }
        let step = self.node.gateway.step(seq).await.ok()??;
        let at = step.attestation.commit.time_ms;
        self.issued_ms = Some((seq, at));
        Some(at)
    }

    fn to_publish(&self) -> Vec<Block> {
        let wanted = |block: &&Block| self.publish.contains(&digest(&block.hash));
        self.blocks.iter().filter(wanted).cloned().collect()
    }

    /// Writes down now and then from where a watcher that begins afresh has to look for deposits.
    async fn settle(&mut self, settled: u64) {
        if settled.abs_diff(self.settled) < SETTLED_EVERY {
            return;
        }
        let disk = Arc::clone(&self.node.disk);
        let written = tokio::task::spawn_blocking(move || files::settle(&*disk, settled)).await;
        match written {
            Ok(Ok(())) => self.settled = settled,
            Ok(Err(error)) => self.say(format!("{}: {error}", files::SETTLED)),
            // The runtime is ending.
            Err(_) => {}
        }
    }

    fn new_watcher(&mut self) -> Result<Watcher, ()> {
        let (chain, depth) = (self.node.record.network.0, self.settings.confirmations);
        let made = Watcher::new(&self.settings.urls, chain, depth);
        let mut watcher = made.map_err(|error| {
            self.failed(error.to_string());
        })?;
        if self.settled > 0 {
            watcher.resume(self.settled);
        }
        Ok(watcher)
    }

    fn failed(&mut self, line: String) -> u32 {
        self.failures = self.failures.saturating_add(1);
        self.node.board.chain_failed();
        self.node.board.chain(false, line.clone());
        self.say(line);
        self.failures
    }

    /// Tells of trouble that lasts: a node that is behind the others takes their blocks for a
    /// stranger's.
    fn note(&mut self, trouble: Option<Trouble>, head: Seq) {
        let Some(now) = trouble else {
            self.trouble = None;
            return;
        };
        match self.trouble {
            Some((before, since)) if before == now => {
                if since.elapsed() >= LASTS && self.node.board.ahead_of(head).is_empty() {
                    self.say(now.to_string());
                }
            }
            _ => self.trouble = Some((now, Instant::now())),
        }
    }

    /// Something for the operator, once in a row.
    pub(super) fn say(&mut self, line: String) {
        if line != self.said {
            tracing::warn!("{line}");
            self.node.board.alert(line.clone());
            self.said = line;
        }
    }

    fn show(&self, view: &AccountView) {
        let waiting = self.look.deposits.len().saturating_sub(view.taken.len());
        let account = view.account.as_ref();
        let orders = account.map_or(0, |account| account.end.saturating_sub(account.first));
        self.node
            .board
            .chain_seen(self.look.frontier.height, waiting, orders);
        if self.failures > 0 {
            return;
        }
        let detail = match account {
            None => format!("momentum {}; no account yet", self.look.frontier.height),
            Some(account) => format!(
                "momentum {}; {} at height {}, {orders} orders and {waiting} deposits wait; step {} anchored",
                self.look.frontier.height,
                Address::from_bytes(account.address),
                account.height.saturating_sub(1),
                account.anchored_seq,
            ),
        };
        self.node.board.chain(true, detail);
    }
}
