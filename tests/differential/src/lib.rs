//! Modules that no author of ours wrote, on both engines: generated ones, and those of the
//! WebAssembly specification's own tests.
//!
//! Each is made a zApp first ([`dress()`]), so that it goes the whole way that a zApp goes:
//! gatekeeper, metering, artifact, executor, host. [`Pair`] runs it on both engines and demands
//! one outcome. What the gatekeeper refuses is refused by a rule, and counted.

mod dress;
mod pair;

pub use dress::{Action, Call, Expected, Result, Value, dress, functions};
pub use pair::{Done, Pair};
