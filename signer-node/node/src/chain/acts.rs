//! The acts of the plan, one by one. Each is harmless twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use attestation::codec;
use attestation::ids::{Digest, Seq, ZappId};
use attestation::leaf::{BlockLeaf, Leaf};
use attestation::request::{Call, FeePayer, Request};
use gateway::{AccountView, StepRecord, SubmitError};
use link::local::{Role, ToGuest};
use nom::work::Payment;
use nom::{Block, Seal};
use signer_protocol::identity::SignIdentity as _;
use signer_protocol::lane::{Proof, Signed, digest as message_digest};
use signer_protocol::message::Lane;
use state::limits::SYSTEM_GAS;
use state::system::nom::{
    ANCHOR, Account, CONFIRM, Confirm, DEPOSIT, DEPOSIT_GAS, ISSUE, Issue, OPEN, Open, Order,
};
use tokio::task::JoinHandle;

use super::keeper::Keeper;
use super::plan::{Act, digest};
use super::work;

/// Payment and nonce of the next block, in the making.
pub(super) type Preparing = JoinHandle<Result<(Payment, u64)>>;

/// A block that the group is to sign.
pub(super) struct Asked {
    at: Instant,
    leaf: BlockLeaf,
    data: Vec<u8>,
}

impl Keeper {
    pub(super) async fn perform(&mut self, act: &Act, view: &AccountView) -> Result<()> {
        match act {
            Act::Open => {
                let key = self.node.gateway.key().context("no key")?;
                self.send(act, OPEN, codec::encode(&Open { key })).await
            }
            Act::Deposit(hash) => {
                let mut deposits = self.look.deposits.iter();
                let found = deposits.find(|one| digest(&one.block.hash) == *hash);
                let found = found.context("the deposit is gone")?;
                let block = &found.block;
                let deposit = state::system::nom::Deposit {
                    block: block.to_bytes()?,
                    data: block.data.clone(),
                    momentum_height: found.momentum.height,
                };
                self.send(act, DEPOSIT, codec::encode(&deposit)).await
            }
            Act::Anchor => self.send(act, ANCHOR, Vec::new()).await,
            Act::Confirm(block) => {
                let mut own = self.look.own.iter();
                let own = own.find(|own| digest(&own.hash) == *block);
                let issue = own.context("the block is gone")?.issue;
                let input = codec::encode(&Confirm {
                    block: *block,
                    issue,
                });
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

    fn prepare(&self, account: Account, order: Order) -> Preparing {
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
    pub(super) fn take_signed(&mut self) {
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

/// Before the same is asked for again.
const AGAIN: Duration = Duration::from_secs(30);
/// How long a request of the keeper may wait.
const VALID_MS: u64 = 10 * 60 * 1000;
/// Signed blocks that are kept to publish again.
const BLOCKS_MAX: usize = 16;
