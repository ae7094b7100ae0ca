//! The contracts in an EVM. Without npm a test is a skip, printed as `SKIP: reason`; under
//! `CI=true` a skip fails.

#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

mod bed;
mod bridge;
mod circle;
mod differential;
mod formats;
mod gas;
#[path = "../../../../runtime/tests/harness/mod.rs"]
mod harness;
mod keys;
mod messages;
mod money;
mod nodes;
mod outputs;
mod relayed;
mod reorganised;
mod rulebook;
mod scenarios;
mod scripted;
mod signature;
mod steps;
mod world;

use std::path::Path;
use std::sync::OnceLock;

use conformance::outside;
use evm::compiler::Contracts;

/// The compiled contracts, once per run; `None` if there is no compiler, which is a skip.
fn contracts() -> Option<&'static Contracts> {
    static CONTRACTS: OnceLock<Result<Contracts, String>> = OnceLock::new();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    match CONTRACTS.get_or_init(|| Contracts::compile(folder)) {
        Ok(contracts) => Some(contracts),
        Err(reason) => {
            outside::skip("the contracts in Solidity", reason);
            None
        }
    }
}
