//! What fuzzers call: every decoder of the product, every state machine, the gatekeeper and both
//! engines, each with the rules that must hold whatever the bytes are.
//!
//! A target takes bytes and says whether they were of use: whether its decoder took them, or whether
//! its machines did something. It panics where a rule is broken. `tests/fuzz` gives the targets to
//! libFuzzer; `tests/corpus.rs` replays the committed corpus through the very same functions.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test material: a panic is a finding"
)]

mod ceremonies;
mod channel;
mod executor;
mod files;
mod formats;
mod gatekeeper;
mod input;
mod modules;
mod register;
mod secrets;
pub mod seeds;
mod steps;
mod stream;
mod town;

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of its binary, and of its folder in the corpus.
    pub name: &'static str,
    /// Feeds it; whether the bytes were of use.
    pub run: fn(&[u8]) -> bool,
    /// Longest input worth trying.
    pub bytes_max: usize,
}

/// All targets.
pub const ALL: &[Target] = &[
    target("attestation", formats::attestation, 4_096),
    target("messages", formats::messages, 16_384),
    target("control", formats::control, 8_192),
    target("plans", formats::plans, 16_384),
    target("witness", formats::witness, 8_192),
    target("evidence", files::evidence, 16_384),
    target("checkpoint", files::checkpoint, 16_384),
    target("frames", stream::frames, 4_096),
    target("register_entries", register::entries, 8_192),
    target("register", register::answers, 1_024),
    target("secrets", secrets::sealed, 4_096),
    target("channel", channel::packets, 1_024),
    target("steps", steps::steps, 512),
    target("key_generation", ceremonies::key_generation, 512),
    target("reshare", ceremonies::reshare, 512),
    target("repair", ceremonies::repair, 512),
    target("gatekeeper", gatekeeper::modules, 16_384),
    target("executor", executor::calls, 4_096),
];

const fn target(name: &'static str, run: fn(&[u8]) -> bool, bytes_max: usize) -> Target {
    Target {
        name,
        run,
        bytes_max,
    }
}

/// Feeds the target of this name.
///
/// # Panics
/// If there is none, or if a rule is broken.
pub fn run(name: &str, bytes: &[u8]) -> bool {
    let target = ALL.iter().find(|target| target.name == name);
    (target.expect("a target of this name").run)(bytes)
}
