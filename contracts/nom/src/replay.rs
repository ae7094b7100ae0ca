//! A dump of a network as calls to the zApp `nom-mirror`.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::json::{JsonError, RawBlock, parse};
use crate::{Address, Amount, Refusal, TokenStandard, genesis_bytes};

/// Why a dump cannot be replayed.
#[derive(Debug)]
pub enum ReplayError {
    /// Not the form of a dump, or a block in it is not in znnd's form.
    Json(JsonError),
    /// A block or the genesis is beyond the limits of the binary form.
    Form(Refusal),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "dump: {error}"),
            Self::Form(refusal) => write!(f, "dump: {refusal}"),
        }
    }
}

impl core::error::Error for ReplayError {}

impl From<JsonError> for ReplayError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

/// The calls that replay a dump, as (method, input): `genesis` once, then `block` for every
/// confirmed block, in an order in which each finds what it links to.
///
/// Confirmation gives that order: a receive acknowledges a momentum that already holds its send,
/// so it is confirmed later; blocks of one account within a momentum follow their heights.
/// Unconfirmed blocks are left out. The calls must come from the zApp's owner.
///
/// `dropped` restores data that a dump left out for its size: an object from block hash to
/// `{"byte": …, "length": …}`, the byte repeated (`tests/data/nom-devnet-dropped.json`). The
/// block's hash and signature still decide whether that was the data.
///
/// # Errors
/// [`ReplayError`] if the text is not a dump in the form of `tests/data/nom-devnet.json`.
pub fn mirror_calls(
    dump: &str,
    dropped: &str,
) -> Result<Vec<(&'static str, Vec<u8>)>, ReplayError> {
    let dump: Dump = serde_json::from_str(dump).map_err(JsonError::Structure)?;
    let dropped: BTreeMap<String, Dropped> =
        serde_json::from_str(dropped).map_err(JsonError::Structure)?;
    let mut calls = Vec::new();
    calls.push(("genesis", dump.genesis.to_bytes(dump.chain_identifier)?));
    let mut blocks = Vec::new();
    for raw in dump
        .accounts
        .into_values()
        .flat_map(|account| account.blocks)
    {
        let Some(confirmation) = &raw.confirmation_detail else {
            continue;
        };
        let momentum_height = confirmation.momentum_height;
        let data = dropped.get(&raw.hash).map(Dropped::restore).transpose()?;
        blocks.push((momentum_height, raw.into_block(data)?));
    }
    blocks.sort_by_key(|(momentum, block)| (*momentum, block.header.address, block.header.height));
    for (_, block) in blocks {
        calls.push(("block", block.to_bytes().map_err(ReplayError::Form)?));
    }
    Ok(calls)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dump {
    chain_identifier: u64,
    genesis: RawGenesis,
    accounts: BTreeMap<String, RawAccount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawGenesis {
    genesis_blocks: RawGenesisBlocks,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawGenesisBlocks {
    blocks: Vec<RawGenesisBlock>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawGenesisBlock {
    address: String,
    balance_list: BTreeMap<String, u64>,
}

/// Data that a dump left out: one byte, repeated.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dropped {
    byte: u8,
    length: usize,
}

impl Dropped {
    fn restore(&self) -> Result<Vec<u8>, ReplayError> {
        if self.length > DROPPED_BYTES_MAX {
            return Err(ReplayError::Json(JsonError::Field("length")));
        }
        Ok(vec![self.byte; self.length])
    }
}

/// Most data restored for one block.
const DROPPED_BYTES_MAX: usize = 1 << 20;

#[derive(Deserialize)]
struct RawAccount {
    #[serde(rename = "address")]
    _address: IgnoredAny,
    blocks: Vec<RawBlock>,
}

impl RawGenesis {
    fn to_bytes(&self, chain_identifier: u64) -> Result<Vec<u8>, ReplayError> {
        let mut accounts: Vec<(Address, Vec<(TokenStandard, Amount)>)> = Vec::new();
        for block in &self.genesis_blocks.blocks {
            let mut balances = Vec::new();
            for (token, amount) in &block.balance_list {
                let token = parse("BalanceList", token)?;
                balances.push((token, Amount::from(u128::from(*amount))));
            }
            balances.sort_unstable();
            accounts.push((parse("Address", &block.address)?, balances));
        }
        accounts.sort_unstable();
        genesis_bytes(chain_identifier, &accounts).map_err(ReplayError::Form)
    }
}
