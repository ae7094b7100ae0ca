//! The committee's state and the step that changes it.
//!
//! One sparse Merkle tree holds the entries of all zApps ([`State`]), whole in a node, pruned to a
//! [`witness::Witness`] in signers and executors. [`step::run`] turns a job into commit, leaves
//! and writes; the system zApp is part of it. There is no engine here ([`execute::Execute`] stands
//! for one), no clock, no disk and no signature check.
//!
//! Invariant: a step on a pruned state has the same outcome as on the whole one, or none
//! ([`tree::NeedState`]).

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod entry;
pub mod execute;
pub mod job;
pub mod journal;
pub mod limits;
mod links;
pub mod planted;
pub mod proof;
pub mod pull;
pub mod state;
pub mod step;
pub mod system;
pub mod tree;
pub mod witness;

pub use state::State;
