//! Network of Momentum (Zenon): account blocks, momentums, addresses, token standards.
//!
//! The core is `no_std`, does not allocate and has no dependency: the layout of a block's hash, the
//! rules that one block obeys by itself, and a compact binary form read in place. A zApp hashes and
//! verifies through its host; the feature `verify` does both in this process and adds owned blocks
//! (`alloc`), `text` adds `z1…` and `zts1…`, `json` the RPC form of znnd and the replay of a dump.
//!
//! The feature `client` speaks to a node over HTTP and believes none of its answers unchecked.
//!
//! The core follows no chain: whether a block links to the one before it and whether a balance
//! covers it is decided by whoever keeps the state (the zApp `nom-mirror`). Its invariant: two
//! blocks that differ in any hashed field have different hashes, and a block has one binary form.
//!
//! Source of every rule: go-zenon v0.0.8, `chain/nom/account_block.go`, `chain/nom/momentum.go`,
//! `common/types`, `verifier/account_block.go`.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "verify")]
extern crate alloc;
#[cfg(any(test, feature = "client"))]
extern crate std;

mod amount;
mod binary;
mod block;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "verify")]
mod draft;
mod ids;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "verify")]
mod momentum;
mod refusal;
#[cfg(feature = "json")]
mod replay;
mod rules;
#[cfg(feature = "text")]
mod text;
#[cfg(feature = "verify")]
mod verify;
pub mod work;

pub use amount::Amount;
#[cfg(feature = "verify")]
pub use binary::genesis_bytes;
pub use binary::{BLOCK_BYTES_MAX, BLOCK_FORM, BlockView, DESCENDANTS_MAX, Genesis};
#[cfg(feature = "verify")]
pub use block::Block;
pub use block::{
    BlockType, DATA_BYTES_MAX, DIFFICULTY_MAX, Header, MomentumRef, PREIMAGE_BYTES, Seal, VERSION,
};
#[cfg(feature = "verify")]
pub use draft::{Draft, Place};
pub use ids::{Address, Hash, TokenStandard};
#[cfg(feature = "json")]
pub use json::{JsonError, block_from_json, block_to_json, momentum_from_json};
#[cfg(feature = "verify")]
pub use momentum::{Momentum, MomentumHeader};
pub use refusal::Refusal;
#[cfg(feature = "json")]
pub use replay::{ReplayError, mirror_calls};
pub use rules::Crypto;
#[cfg(feature = "text")]
pub use text::TextError;
#[cfg(feature = "verify")]
pub use verify::sha3_256;
