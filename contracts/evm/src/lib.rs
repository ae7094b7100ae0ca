//! The Solidity contracts of `solidity/`, compiled and run in an EVM.
//!
//! The library is what tests need: the compiler, a chain in memory, calldata, a committee whose
//! key generation and signatures are FROST's, the leaves that outbound messages and key changes
//! are, and [`rule`], the message acceptor's rule in Rust. The tests hold the contracts against
//! that rule, against the scenarios of `contracts/acceptor`, and against frost's own verifier.

#![forbid(unsafe_code)]
#![allow(
    clippy::indexing_slicing,
    reason = "test material: a panic is a failed test"
)]

pub use evm_client::abi;

pub mod anvil;
pub mod chain;
pub mod committee;
pub mod compiler;
pub mod leaf;
pub mod rule;
pub mod step;
