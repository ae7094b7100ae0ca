//! The methods of a node that a committee's account needs, each with its answer checked.

use std::collections::{BTreeMap, BTreeSet};
use std::string::{String, ToString as _};
use std::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use super::{Client, ClientError, LIST_MAX, Lie, UNRECEIVED_PAGE_MAX, UNRECEIVED_PAGES_MAX};
use crate::json::{RawBlock, RawMomentum, hash, parse};
use crate::work::base_plasma;
use crate::{
    Address, Amount, Block, BlockType, Hash, JsonError, Momentum, MomentumRef, TokenStandard,
    block_to_json,
};

/// A block as a node holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The block; its hash, signature and work have been checked.
    pub block: Block,
    /// The momentum that the node says confirmed it; [`Client::standing`] checks that.
    pub momentum: Option<MomentumRef>,
}

/// Sends to an account that one momentum confirms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sends {
    /// The momentum.
    pub momentum: MomentumRef,
    /// The sends; their hashes, signatures and work have been checked.
    pub blocks: Vec<Block>,
}

/// An account's height and balances, unconfirmed blocks included, as the node says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Height of its last block; 0 before its first.
    pub height: u64,
    /// What it has of each token.
    pub balances: BTreeMap<TokenStandard, Amount>,
}

/// What fused QSR gives an account, as the node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plasma {
    /// What blocks can take now.
    pub current: u64,
    /// What they can take when all earlier ones are confirmed.
    pub max: u64,
    /// The QSR fused for it, 10⁻⁸ QSR.
    pub qsr: Amount,
}

/// What a block would cost now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requirement {
    /// Plasma that the account has from fused QSR.
    pub available_plasma: u64,
    /// Plasma that the block costs.
    pub base_plasma: u64,
    /// Difficulty of the work that would pay what is missing.
    pub required_difficulty: u64,
}

/// A Sentinel's registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sentinel {
    /// Unix seconds.
    pub registered_at_s: i64,
    /// Whether it counts: not revoked, with all of its collateral.
    pub is_active: bool,
}

/// How far a node has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It does not know yet.
    Unknown,
    /// It is behind.
    Syncing {
        /// Its frontier.
        height: u64,
        /// Where its peers are.
        target: u64,
    },
    /// It is at its peers' frontier.
    Done {
        /// Its frontier.
        height: u64,
    },
    /// It has too few peers to know.
    NotEnoughPeers {
        /// Its frontier.
        height: u64,
    },
}

impl Client {
    /// How far the node has come.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn sync(&self) -> Result<Sync, ClientError> {
        let method = "stats.syncInfo";
        let raw: RawSync = self.transport.call(method, &json!([]))?;
        let height = raw.current_height;
        Ok(match raw.state {
            0 => Sync::Unknown,
            1 => Sync::Syncing {
                height,
                target: raw.target_height,
            },
            2 => Sync::Done { height },
            3 => Sync::NotEnoughPeers { height },
            _ => return Err(form(method)(JsonError::Field("state"))),
        })
    }

    /// The newest momentum.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn frontier_momentum(&self) -> Result<Momentum, ClientError> {
        let method = "ledger.getFrontierMomentum";
        let raw: RawMomentum = self.transport.call(method, &json!([]))?;
        self.momentum(method, raw)
    }

    /// Up to `count` momentums from `height` on, in order, each linked to the one before it; fewer
    /// where the chain ends.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn momentums(&self, height: u64, count: u64) -> Result<Vec<Momentum>, ClientError> {
        let method = "ledger.getMomentumsByHeight";
        let count = count.min(LIST_MAX);
        let raw: RawList<RawMomentum> = self.transport.call(method, &json!([height, count]))?;
        let list = raw.list.unwrap_or_default();
        let mut momentums: Vec<Momentum> = Vec::new();
        for (raw, expected) in checked_count(method, list, count)?
            .into_iter()
            .zip(height..)
        {
            let momentum = self.momentum(method, raw)?;
            if momentum.height != expected {
                let actual = momentum.height;
                return Err(lied(method)(Lie::Height { expected, actual }));
            }
            let links = |last: &Momentum| last.hash == momentum.previous_hash;
            if !momentums.last().is_none_or(links) {
                return Err(lied(method)(Lie::Link(expected.saturating_sub(1))));
            }
            momentums.push(momentum);
        }
        Ok(momentums)
    }

    /// What each of up to `count` momentums from `height` on confirms of sends to an account, in order;
    /// fewer where the chain ends. Nothing that they confirm is left out, and no two that follow each
    /// other come without a link.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn sends_to(
        &self,
        address: &Address,
        height: u64,
        count: u64,
    ) -> Result<Vec<Sends>, ClientError> {
        let method = "ledger.getDetailedMomentumsByHeight";
        let count = count.min(LIST_MAX);
        let raw: RawList<RawDetailed> = self.transport.call(method, &json!([height, count]))?;
        let list = raw.list.unwrap_or_default();
        let mut all: Vec<Sends> = Vec::new();
        let mut last: Option<Hash> = None;
        for (raw, expected) in checked_count(method, list, count)?
            .into_iter()
            .zip(height..)
        {
            let momentum = self.momentum(method, raw.momentum)?;
            if momentum.height != expected {
                let actual = momentum.height;
                return Err(lied(method)(Lie::Height { expected, actual }));
            }
            if last.is_some_and(|last| last != momentum.previous_hash) {
                return Err(lied(method)(Lie::Link(expected.saturating_sub(1))));
            }
            last = Some(momentum.hash);
            let mut missing: BTreeSet<Hash> =
                momentum.content.iter().map(|header| header.hash).collect();
            let mut blocks = Vec::new();
            for raw in raw.blocks.unwrap_or_default() {
                let form = form(method);
                let named = RawNamed::deserialize(&raw);
                let named = named.map_err(|_| form(JsonError::Field("blocks")))?;
                missing.remove(&hash("hash", &named.hash).map_err(form)?);
                // Of others' blocks nothing is believed and nothing needed.
                if named.to_address != address.to_string() {
                    continue;
                }
                let raw = RawBlock::deserialize(raw);
                let raw = raw.map_err(|_| form(JsonError::Field("blocks")))?;
                let held = self.held(method, raw)?;
                if held.block.header.block_type.is_send() {
                    blocks.push(held.block);
                }
            }
            if !missing.is_empty() {
                return Err(lied(method)(Lie::LeftOut(expected)));
            }
            blocks.retain(|block| {
                let mut content = momentum.content.iter();
                content.any(|header| header.hash == block.hash)
            });
            all.push(Sends {
                momentum: momentum.reference(),
                blocks,
            });
        }
        Ok(all)
    }

    /// The account's last block, confirmed or not.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn frontier_block(&self, address: &Address) -> Result<Option<Held>, ClientError> {
        let method = "ledger.getFrontierAccountBlock";
        let params = json!([address.to_string()]);
        let Some(raw) = self.transport.ask::<RawBlock>(method, &params)? else {
            return Ok(None);
        };
        let held = self.held(method, raw)?;
        if held.block.header.address != *address {
            return Err(lied(method)(Lie::Account));
        }
        Ok(Some(held))
    }

    /// Up to `count` blocks of the account from `height` on, confirmed or not, in order, each linked
    /// to the one before it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn blocks(
        &self,
        address: &Address,
        height: u64,
        count: u64,
    ) -> Result<Vec<Held>, ClientError> {
        let method = "ledger.getAccountBlocksByHeight";
        let count = count.min(LIST_MAX);
        let params = json!([address.to_string(), height, count]);
        let raw: RawList<RawBlock> = self.transport.call(method, &params)?;
        let list = raw.list.unwrap_or_default();
        let mut blocks: Vec<Held> = Vec::new();
        for (raw, expected) in checked_count(method, list, count)?
            .into_iter()
            .zip(height..)
        {
            let held = self.held(method, raw)?;
            let header = &held.block.header;
            if header.address != *address {
                return Err(lied(method)(Lie::Account));
            }
            if header.height != expected {
                let actual = header.height;
                return Err(lied(method)(Lie::Height { expected, actual }));
            }
            let links = |last: &Held| last.block.hash == header.previous_hash;
            if !blocks.last().is_none_or(links) {
                return Err(lied(method)(Lie::Link(expected.saturating_sub(1))));
            }
            blocks.push(held);
        }
        Ok(blocks)
    }

    /// A confirmed block.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn block(&self, hash: &Hash) -> Result<Option<Held>, ClientError> {
        let method = "ledger.getAccountBlockByHash";
        let params = json!([hash.to_string()]);
        let Some(raw) = self.transport.ask::<RawBlock>(method, &params)? else {
            return Ok(None);
        };
        let held = self.held(method, raw)?;
        if held.block.hash != *hash {
            return Err(lied(method)(Lie::Hash));
        }
        Ok(Some(held))
    }

    /// A page of the sends to an account that it has not received. There are at most
    /// [`UNRECEIVED_PAGES_MAX`] pages of [`UNRECEIVED_PAGE_MAX`]; later ones show when these are
    /// received.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn unreceived(&self, address: &Address, page: u32) -> Result<Vec<Held>, ClientError> {
        let method = "ledger.getUnreceivedBlocksByAddress";
        if page >= UNRECEIVED_PAGES_MAX {
            return Ok(Vec::new());
        }
        let params = json!([address.to_string(), page, UNRECEIVED_PAGE_MAX]);
        let raw: RawList<RawBlock> = self.transport.call(method, &params)?;
        let list = raw.list.unwrap_or_default();
        let list = checked_count(method, list, u64::from(UNRECEIVED_PAGE_MAX))?;
        let held = list.into_iter().map(|raw| {
            let held = self.held(method, raw)?;
            let header = &held.block.header;
            if header.to_address != *address || !header.block_type.is_send() {
                return Err(lied(method)(Lie::Recipient));
            }
            Ok(held)
        });
        held.collect()
    }

    /// Height and balances of an account.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn account(&self, address: &Address) -> Result<Account, ClientError> {
        let method = "ledger.getAccountInfoByAddress";
        let raw: RawAccount = self.transport.call(method, &json!([address.to_string()]))?;
        if raw.address != address.to_string() {
            return Err(lied(method)(Lie::Account));
        }
        let balances = raw.balance_info_map.unwrap_or_default().into_iter();
        let balances = balances.map(|(token, raw)| {
            let token = parse("balanceInfoMap", &token)?;
            let amount = Amount::from_decimal(&raw.balance).ok_or(JsonError::Field("balance"))?;
            Ok((token, amount))
        });
        Ok(Account {
            height: raw.account_height,
            balances: balances
                .collect::<Result<_, JsonError>>()
                .map_err(form(method))?,
        })
    }

    /// What fused QSR gives an account.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn plasma(&self, address: &Address) -> Result<Plasma, ClientError> {
        let method = "embedded.plasma.get";
        let raw: RawPlasma = self.transport.call(method, &json!([address.to_string()]))?;
        let qsr = Amount::from_decimal(&raw.qsr_amount).ok_or(JsonError::Field("qsrAmount"));
        Ok(Plasma {
            current: raw.current_plasma,
            max: raw.max_plasma,
            qsr: qsr.map_err(form(method))?,
        })
    }

    /// What a block would cost now, and how much of it work would have to pay.
    ///
    /// # Errors
    /// [`ClientError`]; [`Lie::Plasma`] for another price than the network's.
    pub fn requirement(
        &self,
        address: &Address,
        block_type: BlockType,
        to: &Address,
        data: &[u8],
    ) -> Result<Requirement, ClientError> {
        let method = "embedded.plasma.getRequiredPoWForAccountBlock";
        let params = json!([{
            "address": address.to_string(),
            "blockType": block_type.number(),
            "toAddress": to.to_string(),
            "data": STANDARD.encode(data),
        }]);
        let requirement: Requirement = self.transport.call(method, &params)?;
        let price = base_plasma(block_type, to, data.len());
        if price.is_some_and(|price| price != requirement.base_plasma) {
            return Err(lied(method)(Lie::Plasma));
        }
        Ok(requirement)
    }

    /// The Sentinel that an account has registered.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn sentinel(&self, owner: &Address) -> Result<Option<Sentinel>, ClientError> {
        let method = "embedded.sentinel.getByOwner";
        let params = json!([owner.to_string()]);
        let Some(raw) = self.transport.ask::<RawSentinel>(method, &params)? else {
            return Ok(None);
        };
        if raw.owner != owner.to_string() {
            return Err(lied(method)(Lie::Account));
        }
        Ok(Some(Sentinel {
            registered_at_s: raw.registration_timestamp,
            is_active: raw.active,
        }))
    }

    /// Hands a block to the network. That the node takes it proves nothing: another block may hold
    /// its height ([`Client::standing`]).
    ///
    /// # Errors
    /// [`ClientError::Refused`] for a block that breaks a rule, which is not sent;
    /// [`ClientError::Declined`] in the node's words.
    pub fn publish(&self, block: &Block) -> Result<(), ClientError> {
        block.check(self.chain_identifier)?;
        let method = "ledger.publishRawTransaction";
        let params = json!([block_to_json(block)]);
        match self.transport.ask::<IgnoredAny>(method, &params)? {
            None => Ok(()),
            Some(_) => Err(form(method)(JsonError::Field("result"))),
        }
    }

    fn momentum(&self, method: &'static str, raw: RawMomentum) -> Result<Momentum, ClientError> {
        let momentum = raw.into_momentum().map_err(form(method))?;
        self.of_chain(momentum.chain_identifier)?;
        let checked = momentum.check();
        checked.map_err(|refusal| lied(method)(Lie::Momentum(refusal)))?;
        Ok(momentum)
    }

    fn held(&self, method: &'static str, raw: RawBlock) -> Result<Held, ClientError> {
        let confirmation = raw.confirmation_detail.as_ref();
        let momentum = confirmation.map(super::super::json::RawConfirmation::momentum);
        let momentum = momentum.transpose().map_err(form(method))?;
        let block = raw.into_block(None).map_err(form(method))?;
        self.of_chain(block.header.chain_identifier)?;
        let checked = block.check(self.chain_identifier);
        checked.map_err(|refusal| lied(method)(Lie::Block(refusal)))?;
        Ok(Held { block, momentum })
    }

    const fn of_chain(&self, actual: u64) -> Result<(), ClientError> {
        let expected = self.chain_identifier;
        if actual == expected {
            Ok(())
        } else {
            Err(ClientError::OtherChain { expected, actual })
        }
    }
}

pub(super) const fn lied(method: &'static str) -> impl Fn(Lie) -> ClientError {
    move |lie| ClientError::Lied { method, lie }
}

const fn form(method: &'static str) -> impl Fn(JsonError) -> ClientError + Copy {
    move |error| ClientError::Form { method, error }
}

fn checked_count<T>(method: &'static str, list: Vec<T>, count: u64) -> Result<Vec<T>, ClientError> {
    if u64::try_from(list.len()).is_ok_and(|len| len <= count) {
        Ok(list)
    } else {
        Err(lied(method)(Lie::TooMany))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "T: DeserializeOwned")]
struct RawList<T> {
    list: Option<Vec<T>>,
    #[serde(rename = "count")]
    _count: u64,
    #[serde(rename = "more")]
    _more: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDetailed {
    momentum: RawMomentum,
    blocks: Option<Vec<Value>>,
}

/// What is read of a block that may be anybody's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawNamed {
    hash: String,
    to_address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawSync {
    state: u64,
    current_height: u64,
    target_height: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawAccount {
    address: String,
    account_height: u64,
    balance_info_map: Option<BTreeMap<String, RawBalance>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBalance {
    balance: String,
    #[serde(rename = "token")]
    _token: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawPlasma {
    current_plasma: u64,
    max_plasma: u64,
    qsr_amount: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawSentinel {
    owner: String,
    registration_timestamp: i64,
    active: bool,
    #[serde(rename = "isRevocable")]
    _is_revocable: bool,
    #[serde(rename = "revokeCooldown")]
    _revoke_cooldown: i64,
}
