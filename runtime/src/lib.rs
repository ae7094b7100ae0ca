//! Deterministic WebAssembly: what a module may be, what it costs, and running it.
//!
//! A module goes through [`prepare`] once, at deploy: the gatekeeper decides on it and metering
//! writes gas and stack height into it, so that both are the same on every engine. A node makes an
//! artifact of the metered module ([`engine::compile_for`], feature `compiler`): machine code for
//! wasmtime, or the module itself for the interpreter wasmi. An executor loads it by digest, on the
//! engine that it is for, and runs calls ([`Executor`]), reading and writing through the journal of
//! a step.
//!
//! Invariant: status, code, gas, output, events, writes and trace of a call are a function of
//! module, call and state. What could make them differ between members is either forbidden at
//! deploy, fixed by [`profile()`], or no outcome at all ([`state::execute::ExecuteError`]).
//!
//! This crate holds no key, opens no file and no socket, and reads no clock. A zApp reaches other
//! zApps (`call`), sends messages (`post`) and reads what members saw outside (`pull`): all that comes
//! in stands in the call before it runs.

pub mod abi;
pub mod apart;
pub mod engine;
pub mod execute;
pub mod gatekeeper;
mod host;
pub mod inspect;
pub mod limits;
pub mod metering;
mod profile;
pub mod rejection;
pub mod schedule;
pub mod trace;

pub use execute::{Executor, Modules, Ran};
pub use metering::{PreparedModule, prepare};
pub use profile::profile;
pub use rejection::{Rejection, Rule};
