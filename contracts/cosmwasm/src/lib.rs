//! The contract that accepts a committee's attestations on a CosmWasm chain.
//!
//! Every rule is that of the crate [`acceptor`], compiled in; signatures are checked by the
//! chain's `ed25519_verify`. What is added here is what a contract needs: JSON messages
//! ([`message`]), where state lies ([`store`]), and the dispatch of a message to its receiver
//! ([`contract`]). One code, three kinds of contract, chosen when it is instantiated: a ledger, an
//! acceptor of outputs, an acceptor of messages.
//!
//! The interface to the virtual machine is the module `abi`, of this crate's own: cosmwasm-std
//! needs the standard library, and the one that compilers bring for `wasm32-unknown-unknown` has
//! instructions that cosmwasm-vm refuses. `wasm32v1-none` has neither.
//!
//! Invariant: a refusal changes nothing (the chain drops what a failed call wrote), and what is
//! consumed is written before anybody else's code runs.

#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

#[cfg(target_arch = "wasm32")]
mod abi;
pub mod contract;
pub mod error;
pub mod host;
pub mod message;
pub mod response;
pub mod store;
