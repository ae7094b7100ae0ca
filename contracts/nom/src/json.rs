//! JSON as znnd's RPC prints it (`chain/nom/account_block.go:303-371`).
//!
//! Strict: no unknown or doubled key, hashes in lower-case hex, amounts in plain decimal, base64
//! with padding. What the RPC adds around a block (plasma, token, confirmation) is skipped.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::{Amount, Block, BlockType, Hash, Header, Momentum, MomentumHeader, MomentumRef, Seal};

/// Why JSON is no block or momentum.
#[derive(Debug)]
pub enum JsonError {
    /// Not JSON, or not the keys and kinds of value of the form.
    Structure(serde_json::Error),
    /// A key's value is not in its one spelling.
    Field(&'static str),
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Structure(error) => write!(f, "{error}"),
            Self::Field(name) => write!(f, "the value of {name} is not in znnd's form"),
        }
    }
}

impl core::error::Error for JsonError {}

/// Reads one account block.
///
/// # Errors
/// [`JsonError`] if the text is not a block in znnd's form.
pub fn block_from_json(text: &str) -> Result<Block, JsonError> {
    let raw: RawBlock = serde_json::from_str(text).map_err(JsonError::Structure)?;
    raw.into_block(None)
}

/// Writes an account block in the form that `ledger.publishRawTransaction` takes.
#[must_use]
pub fn block_to_json(block: &Block) -> Value {
    let header = &block.header;
    let base64_or_null = |bytes: Option<&[u8]>| bytes.map(|bytes| STANDARD.encode(bytes));
    let seal = block.seal.as_ref();
    json!({
        "version": header.version,
        "chainIdentifier": header.chain_identifier,
        "blockType": header.block_type.number(),
        "hash": block.hash.to_string(),
        "previousHash": header.previous_hash.to_string(),
        "height": header.height,
        "momentumAcknowledged": {
            "hash": header.momentum_acknowledged.hash.to_string(),
            "height": header.momentum_acknowledged.height,
        },
        "address": header.address.to_string(),
        "toAddress": header.to_address.to_string(),
        "amount": header.amount.to_string(),
        "tokenStandard": header.token_standard.to_string(),
        "fromBlockHash": header.from_block_hash.to_string(),
        "descendantBlocks": block.descendants.iter().map(block_to_json).collect::<Vec<_>>(),
        "data": STANDARD.encode(&block.data),
        "fusedPlasma": header.fused_plasma,
        "difficulty": header.difficulty,
        "nonce": hex::encode(header.nonce),
        "publicKey": base64_or_null(seal.map(|seal| seal.public_key.as_slice())),
        "signature": base64_or_null(seal.map(|seal| seal.signature.as_slice())),
    })
}

/// Reads one momentum.
///
/// # Errors
/// [`JsonError`] if the text is not a momentum in znnd's form.
pub fn momentum_from_json(text: &str) -> Result<Momentum, JsonError> {
    let raw: RawMomentum = serde_json::from_str(text).map_err(JsonError::Structure)?;
    raw.into_momentum()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RawBlock {
    version: u64,
    chain_identifier: u64,
    block_type: u64,
    pub(crate) hash: String,
    previous_hash: String,
    height: u64,
    momentum_acknowledged: RawMomentumRef,
    address: String,
    to_address: String,
    amount: String,
    token_standard: String,
    from_block_hash: String,
    descendant_blocks: Vec<RawBlock>,
    data: Option<String>,
    fused_plasma: u64,
    difficulty: u64,
    nonce: String,
    public_key: Option<String>,
    signature: Option<String>,
    pub(crate) confirmation_detail: Option<RawConfirmation>,
    #[serde(rename = "basePlasma")]
    _base_plasma: Option<u64>,
    #[serde(rename = "usedPlasma")]
    _used_plasma: Option<u64>,
    #[serde(rename = "changesHash")]
    _changes_hash: Option<String>,
    #[serde(rename = "token")]
    _token: Option<IgnoredAny>,
    #[serde(rename = "pairedAccountBlock")]
    _paired_account_block: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMomentumRef {
    hash: String,
    height: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RawConfirmation {
    pub(crate) momentum_height: u64,
    momentum_hash: String,
    #[serde(rename = "numConfirmations")]
    _num_confirmations: u64,
    #[serde(rename = "momentumTimestamp")]
    _momentum_timestamp: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RawMomentum {
    version: u64,
    chain_identifier: u64,
    hash: String,
    previous_hash: String,
    height: u64,
    timestamp: u64,
    data: Option<String>,
    content: Vec<RawMomentumHeader>,
    changes_hash: String,
    public_key: Option<String>,
    signature: Option<String>,
    producer: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMomentumHeader {
    address: String,
    hash: String,
    height: u64,
}

impl RawBlock {
    /// The block, with `data` in place of its own where a dump dropped it.
    pub(crate) fn into_block(self, data: Option<Vec<u8>>) -> Result<Block, JsonError> {
        let block_type = BlockType::from_number(self.block_type);
        let amount = Amount::from_decimal(&self.amount);
        let descendants = self.descendant_blocks.into_iter();
        let data = match data {
            Some(data) => data,
            None => base64("data", self.data.as_deref())?,
        };
        Ok(Block {
            hash: hash("hash", &self.hash)?,
            header: Header {
                version: self.version,
                chain_identifier: self.chain_identifier,
                block_type: block_type.map_err(|_| JsonError::Field("blockType"))?,
                previous_hash: hash("previousHash", &self.previous_hash)?,
                height: self.height,
                momentum_acknowledged: MomentumRef {
                    hash: hash("momentumAcknowledged", &self.momentum_acknowledged.hash)?,
                    height: self.momentum_acknowledged.height,
                },
                address: parse("address", &self.address)?,
                to_address: parse("toAddress", &self.to_address)?,
                amount: amount.ok_or(JsonError::Field("amount"))?,
                token_standard: parse("tokenStandard", &self.token_standard)?,
                from_block_hash: hash("fromBlockHash", &self.from_block_hash)?,
                fused_plasma: self.fused_plasma,
                difficulty: self.difficulty,
                nonce: fixed_hex("nonce", &self.nonce)?,
            },
            seal: seal(self.public_key, self.signature)?,
            data,
            descendants: descendants
                .map(|raw| raw.into_block(None))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl RawConfirmation {
    /// The momentum that the node says confirmed the block.
    #[cfg(feature = "client")]
    pub(crate) fn momentum(&self) -> Result<MomentumRef, JsonError> {
        Ok(MomentumRef {
            hash: hash("confirmationDetail.momentumHash", &self.momentum_hash)?,
            height: self.momentum_height,
        })
    }
}

impl RawMomentum {
    pub(crate) fn into_momentum(self) -> Result<Momentum, JsonError> {
        let content = self.content.iter().map(|header| {
            Ok(MomentumHeader {
                address: parse("content.address", &header.address)?,
                height: header.height,
                hash: hash("content.hash", &header.hash)?,
            })
        });
        Ok(Momentum {
            hash: hash("hash", &self.hash)?,
            version: self.version,
            chain_identifier: self.chain_identifier,
            previous_hash: hash("previousHash", &self.previous_hash)?,
            height: self.height,
            timestamp: self.timestamp,
            data: base64("data", self.data.as_deref())?,
            content: content.collect::<Result<_, JsonError>>()?,
            changes_hash: hash("changesHash", &self.changes_hash)?,
            seal: seal(self.public_key, self.signature)?,
            producer: parse("producer", &self.producer)?,
        })
    }
}

pub(crate) fn parse<T: core::str::FromStr>(name: &'static str, text: &str) -> Result<T, JsonError> {
    text.parse().map_err(|_| JsonError::Field(name))
}

pub(crate) fn hash(name: &'static str, text: &str) -> Result<Hash, JsonError> {
    fixed_hex(name, text).map(Hash::from_bytes)
}

fn fixed_hex<const N: usize>(name: &'static str, text: &str) -> Result<[u8; N], JsonError> {
    let mut bytes = [0; N];
    let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    hex::decode_to_slice(text, &mut bytes)
        .ok()
        .filter(|()| is_lower)
        .ok_or(JsonError::Field(name))?;
    Ok(bytes)
}

fn base64(name: &'static str, text: Option<&str>) -> Result<Vec<u8>, JsonError> {
    let decoded = STANDARD.decode(text.unwrap_or_default());
    decoded.map_err(|_| JsonError::Field(name))
}

/// Key and signature: both, or neither (`null` or empty).
fn seal(key: Option<String>, signature: Option<String>) -> Result<Option<Seal>, JsonError> {
    let key = base64("publicKey", key.as_deref())?;
    let signature = base64("signature", signature.as_deref())?;
    if key.is_empty() && signature.is_empty() {
        return Ok(None);
    }
    Ok(Some(Seal {
        public_key: key.try_into().map_err(|_| JsonError::Field("publicKey"))?,
        signature: signature
            .try_into()
            .map_err(|_| JsonError::Field("signature"))?,
    }))
}
