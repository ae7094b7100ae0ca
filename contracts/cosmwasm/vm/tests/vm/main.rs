//! The contract in the virtual machine that chains run. Without a compiler for WebAssembly a test
//! is a skip, printed as `SKIP: reason`; under `CI=true` a skip fails.

#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

mod chain;
mod differential;
mod gas;
mod inputs;
mod keys;
mod messages;
mod module;
mod outputs;
mod scenarios;
mod signature;
mod step;
