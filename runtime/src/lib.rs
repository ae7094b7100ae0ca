//! Deterministic WebAssembly: gatekeeper, metering, engine, host interface, execution.

pub mod abi;
pub mod engine;
pub mod execute;
pub mod gatekeeper;
mod host;
pub mod limits;
pub mod metering;
mod profile;
pub mod rejection;
pub mod schedule;

pub use execute::{Executor, Modules, Ran};
pub use metering::{PreparedModule, prepare};
pub use profile::profile;
pub use rejection::{Rejection, Rule};
