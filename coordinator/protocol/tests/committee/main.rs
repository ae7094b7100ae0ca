//! Whole committees in memory: n signers and their nodes, ranked coordinators, a network that
//! loses, doubles and reorders, processes that crash between `Persist` and `Persisted`, a virtual
//! clock and one seeded generator. FROST keys are real.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its world is not as it should be"
)]

mod auditor;
mod coordinators;
mod engine;
mod epochs;
mod events;
mod evidence;
mod evm;
mod faults;
mod jobs;
mod lanes;
mod leaf_evidence;
mod member;
mod members;
mod observations;
mod parking;
mod rollback;
mod rules;
mod steps;
mod suite;
mod voice;
mod world;
