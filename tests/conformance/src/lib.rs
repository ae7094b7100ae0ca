//! Golden vectors, outside vectors and bad inputs, through our own entry points.
//!
//! The library makes samples: a committee with keys from fixed seeds, steps, leaves, receipts and
//! what an adversary makes of them. The tests compare them with `attestation/vectors/*.json`,
//! with `bad/<format>/<reason>.hex`, and with implementations that are not ours. What others publish
//! is [read from their packages](shipped) where these ship it, for the tests of any crate.
//!
//! `ZQ_UPDATE_VECTORS=1 cargo test -p conformance` writes the files instead of comparing.

#![allow(
    clippy::indexing_slicing,
    reason = "test material: a panic is a failed test"
)]

pub mod bad;
pub mod edge;
pub mod frost;
pub mod golden;
pub mod http;
pub mod languages;
pub mod outside;
pub mod published;
pub mod sample;
pub mod shipped;
pub mod tamper;
