//! From a committee's attestations to contracts on an EVM chain.
//!
//! [`calldata`] is what contracts take, [`transaction`] what a chain takes, [`rpc`] a chain's node,
//! [`relay`] who brings all that a contract has not got yet. A relay is trusted for nothing: the
//! contract checks everything, and whoever relays only pays the gas. What nodes and gateways say is
//! checked or bounded; the worst that they can do is to have the relay pay for transactions that
//! fail, up to the fee that its operator allows.

#![forbid(unsafe_code)]

pub mod abi;
pub mod calldata;
pub mod contract;
pub mod relay;
pub mod rpc;
pub mod transaction;
