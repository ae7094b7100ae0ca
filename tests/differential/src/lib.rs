//! Modules that no author of ours wrote, on both engines: generated ones, and those of the
//! WebAssembly specification's own tests. [`Generated`] makes the first from a seed and bytes, for
//! the test that draws them and for the fuzzer that looks for them.
//!
//! Each is made a zApp first ([`dress()`]), so that it goes the whole way that a zApp goes:
//! gatekeeper, metering, artifact, executor, host. [`Pair`] runs it on both engines and demands
//! one outcome. What the gatekeeper refuses is refused by a rule, and counted.

mod dress;
mod generated;
mod pair;

pub use dress::{Action, Call, Expected, Result, Value, dress, functions};
pub use generated::{Generated, Trial};
pub use pair::{Done, Pair};
