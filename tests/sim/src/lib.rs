//! A simulator of whole committees: one thread, one seeded generator, a virtual clock, network and
//! disk, and the very protocol crates that ship, with FROST and Ed25519 as they
//! ship or with a stand-in for both ([`suite`]).
//!
//! A seed says everything that happens in a run. First faults happen, then they end, and everything
//! must come right. What must hold is checked after every event ([`watch`], [`chain`]); `RULES.md`
//! says which promise of the protocol is which check. What this is not: an executor of WebAssembly,
//! a transport, a file system. Those have tests of their own.
//!
//! Its invariant: the same seed is the same run, to the last byte ([`story::Story::hash`]).

#![forbid(unsafe_code)]

pub mod bugs;
pub mod ceremony;
pub mod chain;
pub mod change;
pub mod counts;
pub mod dice;
pub mod disk;
pub mod effects;
pub mod era;
pub mod faults;
pub mod founding;
pub mod gateway;
pub mod knobs;
pub mod liars;
pub mod machines;
pub mod many;
pub mod measure;
pub mod network;
pub mod run;
pub mod story;
pub mod suite;
pub mod toy;
pub mod watch;
pub mod world;
pub mod zapp;
