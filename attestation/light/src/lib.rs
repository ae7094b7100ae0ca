//! A light client: follows a committee from its creation record through epochs with nothing but
//! attestations.
//!
//! Whoever relies on a committee knows its id. The id is the digest of the creation record; the
//! record names the members of the first epoch; they all certify the group key; the key signs each
//! step; a step's state says which epoch is in force; and the change into that epoch names its
//! members. [`LightClient`] checks this chain, link by link, against what a gateway shows, and
//! keeps its end: members and key of the epoch in force, and the newest step.
//!
//! ```text
//! committee id ── creation record ── key record ── group key ── attestation ── state root
//!                  members of epoch 1                                 │
//!                  members of epoch e ── plans, key records ── entry `committee` with its proof
//! ```
//!
//! It trusts no gateway, and no step has to be shown that it does not ask about: steps may be left
//! out, changes of members may not. What it cannot see is that a gateway keeps newer steps to
//! itself ([`client`] says what to do about that), and t members that lie together.
//!
//! This crate has no network, no clock and no disk, and keeps one epoch, whatever the number of
//! those before. The protocol's machines check members, plans and key records with it.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod checkpoint;
pub mod client;
mod generation;
pub mod identity;
pub mod key_record;
pub mod lineage;
pub mod membership;
pub mod plan;
mod refused;
pub mod suite;

pub use checkpoint::{CHECKPOINT_BYTES_MAX, CheckpointError};
pub use client::{Head, LightClient, StartError};
pub use generation::Generation;
pub use refused::Refused;
