//! Doing what the plan says: requests into the own gateway, leaves to the own coordinator, blocks to
//! the operator's NoM node. Every act is harmless twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use attestation::codec;
use attestation::ids::{Digest, RequestId, Seq, ZappId};
use attestation::leaf::{BlockLeaf, Leaf};
use attestation::request::{Call, FeePayer, Request};
use gateway::{AccountView, StepRecord, SubmitError};
use link::local::{Role, ToGuest};
use nom::work::Payment;
use nom::{Address, Block, Seal};
use signer_protocol::identity::{Ed25519Identity, SignIdentity as _};
use signer_protocol::lane::{Proof, Signed, digest as message_digest};
use signer_protocol::message::Lane;
use signer_protocol::signer::Sight;
use state::limits::SYSTEM_GAS;
use state::system::nom::{
    ANCHOR, Account, CONFIRM, Confirm, DEPOSIT, DEPOSIT_GAS, ISSUE, Issue, OPEN, Open, Order,
};
use tokio::task::JoinHandle;

use super::plan::{Act, Facts, Trouble, digest};
use super::watch::{Look, Wanted, Watcher};
use super::{ChainSettings, work};
use crate::files;
use crate::node::Node;

/// Until a node whose coordinator does not lead does what is to be done, times its slot.
const TURN: Duration = Duration::from_secs(20);
/// Before the same is asked for again.
const AGAIN: Duration = Duration::from_secs(30);
/// What was seen is relied on for so long without a look that came to something.
const STALE: Duration = Duration::from_secs(180);
/// Trouble that lasts so long is told.
const LASTS: Duration = Duration::from_secs(60);
/// How long a request of the keeper may wait.
const VALID_MS: u64 = 10 * 60 * 1000;
/// Signed blocks that are kept to publish again.
const BLOCKS_MAX: usize = 16;

/// Looks after the committee's account.
pub struct Keeper {
    node: Arc<Node>,
    settings: ChainSettings,
    /// Signs requests for deposits, which come first in jobs.
    deposits: Ed25519Identity,
    /// Signs the other requests.
    others: Ed25519Identity,
    watcher: Option<Watcher>,
    look: Look,
    looked: Option<Instant>,
    failures: u32,
    told: Sight,
    due: BTreeMap<Act, Instant>,
    sent: BTreeMap<Act, (RequestId, Instant)>,
    preparing: Option<(Act, JoinHandle<Result<(Payment, u64)>>)>,
    asked: BTreeMap<Digest, Asked>,
    blocks: VecDeque<Block>,
    publish: BTreeSet<Digest>,
    issued_ms: Option<(Seq, u64)>,
    trouble: Option<(Trouble, Instant)>,
    said: String,
}

/// A block that the group is to sign.
struct Asked {
    at: Instant,
    leaf: BlockLeaf,
    data: Vec<u8>,
}

impl Keeper {
    /// The keeper of a node's committee.
    ///
    /// # Errors
    /// If a URL is none, or the keeper's key cannot be read or made.
    pub fn new(node: Arc<Node>, settings: ChainSettings) -> Result<Self> {
        let chain = node.record.network.0;
        let watcher = Watcher::new(&settings.urls, chain, settings.confirmations)?;
        let seed = files::keeper_seed(&*node.disk).context(files::KEEPER)?;
        let [deposits, others] = files::keeper_keys(&seed);
        node.gateway.set_first(deposits.key());
        Ok(Self {
            node,
            settings,
            deposits,
            others,
            watcher: Some(watcher),
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
        let height = view.account.map_or(1, |account| account.height);
        let wanted = Wanted {
            address: Address::from_key(key.as_bytes()),
            from_height: height.saturating_sub(1).max(1),
            publish: self.to_publish(),
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
                self.watcher = Some(watcher);
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

    async fn perform(&mut self, act: &Act, view: &AccountView) -> Result<()> {
        match act {
            Act::Open => {
                let key = self.node.gateway.key().context("no key")?;
                self.send(act, OPEN, codec::encode(&Open { key })).await
            }
            Act::Deposit(hash) => {
                let mut deposits = self.look.deposits.iter();
                let found = deposits.find(|one| digest(&one.block.hash) == *hash);
                let block = &found.context("the deposit is gone")?.block;
                let deposit = state::system::nom::Deposit {
                    block: block.to_bytes()?,
                    data: block.data.clone(),
                };
                self.send(act, DEPOSIT, codec::encode(&deposit)).await
            }
            Act::Anchor => self.send(act, ANCHOR, Vec::new()).await,
            Act::Confirm(block) => {
                let input = codec::encode(&Confirm { block: *block });
                self.send(act, CONFIRM, input).await
            }
            Act::Issue(..) => self.issue(act, view).await,
            Act::Publish(block, seq) => self.publish(block, *seq, view).await,
        }
    }

    /// Signs a request and gives it to the own gateway, unless it waits there or did a moment ago.
    async fn send(&mut self, act: &Act, method: &str, input: Vec<u8>) -> Result<()> {
        let gateway = &self.node.gateway;
        if let Some((id, at)) = self.sent.get(act)
            && (gateway.pending_request(id).is_some() || at.elapsed() < AGAIN)
        {
            return Ok(());
        }
        let (identity, gas_limit) = match act {
            Act::Deposit(_) => (&self.deposits, SYSTEM_GAS + DEPOSIT_GAS),
            _ => (&self.others, SYSTEM_GAS),
        };
        let caller = identity.key();
        let call = Call {
            network: self.node.record.network,
            committee: self.node.record.id(),
            zapp: ZappId::SYSTEM,
            method: method.to_owned(),
            input,
            gas_limit,
            fee_payer: FeePayer::Caller,
            nonce: gateway.nonce_next(&caller).await,
            valid_until_ms: crate::run::now_ms().saturating_add(VALID_MS),
            caller,
            pull: None,
        };
        let signature = identity.sign(&call.signed_bytes());
        let id = match gateway.submit(Request { call, signature }).await {
            Ok(id) => id,
            Err(SubmitError::Unpaid(refusal)) => anyhow::bail!(
                "{method} is not paid for ({refusal}): transfer QSR to this node's account {caller} \
                 (zq account transfer)"
            ),
            Err(error) => return Err(error).context(method.to_owned()),
        };
        tracing::info!(method, request = %id, "for the committee's account");
        self.sent.retain(|_, (_, at)| at.elapsed() < 4 * AGAIN);
        self.sent.insert(act.clone(), (id, Instant::now()));
        Ok(())
    }

    /// Prepares the payment of the next block beside everything else, then asks for the block.
    async fn issue(&mut self, act: &Act, view: &AccountView) -> Result<()> {
        let (Some(account), Some(order)) = (&view.account, &view.next) else {
            return Ok(());
        };
        if let Some((_, at)) = self.sent.get(act)
            && at.elapsed() < AGAIN
        {
            return Ok(());
        }
        match self.preparing.take() {
            Some((of, preparing)) if of == *act && preparing.is_finished() => {
                let (payment, nonce) = preparing.await.context("preparing a block")??;
                let issued_ms = None;
                let named = self.facts(view, issued_ms).named();
                let named = named.context("no momentum is deep enough")?;
                let input = codec::encode(&Issue {
                    momentum: digest(&named.hash),
                    momentum_height: named.height,
                    fused_plasma: payment.fused_plasma,
                    difficulty: payment.difficulty,
                    nonce,
                });
                self.send(act, ISSUE, input).await
            }
            Some((of, preparing)) if of == *act => {
                self.preparing = Some((of, preparing));
                Ok(())
            }
            // One for an order that is done by now ends unheard.
            _ => {
                let preparing = self.prepare(account.clone(), order.clone());
                self.preparing = Some((act.clone(), preparing));
                Ok(())
            }
        }
    }

    fn prepare(&self, account: Account, order: Order) -> JoinHandle<Result<(Payment, u64)>> {
        let url = self
            .watcher
            .as_ref()
            .map(|watcher| watcher.url().to_owned());
        let chain = self.node.record.network.0;
        let node = Arc::clone(&self.node);
        tokio::task::spawn_blocking(move || {
            let prepared = work::prepare(&url.unwrap_or_default(), chain, &account, &order);
            node.chain_woken();
            prepared
        })
    }

    /// Has a block signed, then publishes it with every look until the chain shows it.
    async fn publish(&mut self, block: &Digest, seq: Seq, view: &AccountView) -> Result<()> {
        if self.blocks.iter().any(|kept| digest(&kept.hash) == *block) {
            self.publish.insert(*block);
            return Ok(());
        }
        if self.node.rank.is_none() {
            return Ok(());
        }
        let message = message_digest(block.as_bytes());
        if let Some(asked) = self.asked.get(&message)
            && asked.at.elapsed() < AGAIN
        {
            return Ok(());
        }
        let step = self.node.gateway.step(seq).await?;
        let step = step.with_context(|| format!("step {seq} is not at hand"))?;
        let (index, leaf) = leaf_of(&step, block).context("the step has no such block")?;
        let leaves: Vec<Vec<u8>> = step.body.leaves.iter().map(|leaf| leaf.to_vec()).collect();
        let proof = Proof::of(&step.attestation, &leaves, index).context("no proof of a leaf")?;
        let data = match &view.next {
            Some(Order::Send { data, .. }) => data.clone(),
            _ => Vec::new(),
        };
        let at = Instant::now();
        self.asked.retain(|_, asked| asked.at.elapsed() < 4 * AGAIN);
        self.asked.insert(message, Asked { at, leaf, data });
        let message = ToGuest::SignLeaf(Box::new(proof));
        self.node.tell(Role::Coordinator, &message).await;
        Ok(())
    }

    /// Signatures become blocks.
    fn take_signed(&mut self) {
        for signed in self.node.take_signed() {
            if signed.signing.lane == Lane::Nom
                && let Some(block) = self.sealed(&signed)
            {
                tracing::info!(block = %block.hash, height = block.header.height, "signed");
                self.publish.insert(digest(&block.hash));
                if self.blocks.len() == BLOCKS_MAX {
                    self.blocks.pop_front();
                }
                self.blocks.push_back(block);
            }
        }
    }

    fn sealed(&mut self, signed: &Signed) -> Option<Block> {
        let asked = self.asked.remove(&signed.signing.message)?;
        let seal = Seal {
            public_key: *self.node.gateway.key()?.as_bytes(),
            signature: signed.signature.as_slice().try_into().ok()?,
        };
        match state::system::nom::published(&asked.leaf, asked.data, seal) {
            Ok(block) => Some(block),
            Err(refusal) => {
                self.say(format!("a signed block breaks a rule: {refusal}"));
                None
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
            let message = ToGuest::Sight(Box::new(sight.clone()));
            self.node.tell(Role::Signer, &message).await;
        }
        self.told = sight;
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

    fn facts<'a>(&'a self, view: &'a AccountView, issued_ms: Option<u64>) -> Facts<'a> {
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
        let seq = view.account.as_ref()?.issued.last()?.seq;
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

    fn new_watcher(&mut self) -> Result<Watcher, ()> {
        let (chain, depth) = (self.node.record.network.0, self.settings.confirmations);
        Watcher::new(&self.settings.urls, chain, depth).map_err(|error| {
            self.failed(error.to_string());
        })
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
    fn say(&mut self, line: String) {
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

/// A step's leaf for a block, and its position.
fn leaf_of(step: &StepRecord, block: &Digest) -> Option<(usize, BlockLeaf)> {
    step.body
        .leaves
        .iter()
        .enumerate()
        .find_map(|(index, bytes)| {
            let hashed = bytes.get(BlockLeaf::HASHED_FROM..)?;
            match Leaf::from_bytes(bytes) {
                Ok(Leaf::Block(leaf)) if digest(&nom::sha3_256(hashed)) == *block => {
                    Some((index, leaf))
                }
                _ => None,
            }
        })
}
