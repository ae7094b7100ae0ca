//! The Zenon node itself (`znnd`), as a network of one on loopback, and committees with accounts
//! on it.
//!
//! `znnd/` is a Go module that requires one version of the node and nothing else; its `go.sum`
//! pins the hash of every source that is built. The node runs as a program of its own, in a folder
//! that ends with the test, with a genesis that gives each test accounts of its own, so that tests
//! share one network and never an account.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "a panic is a failed test"
)]

mod account;
mod genesis;
mod network;
mod quorum;
mod znnd;

pub use account::{Account, Key};
pub use genesis::{CHAIN, COMMITTEES, QSR, USERS, ZNN, token};
pub use network::Network;
pub use quorum::{Chain, Check, Leading, Member, Quorum, Steps};
pub use znnd::build;
