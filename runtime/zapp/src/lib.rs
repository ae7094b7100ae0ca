//! What a zApp author writes against: safe functions over the host interface `zapp0`.
//!
//! A zApp is a `cdylib` for `wasm32v1-none`. [`entry!`] names the function that answers requests;
//! it gets a [`Request`] (what is asked, the method, the arguments) and either succeeds, which
//! commits its writes, events and output, or returns a [`Revert`], which undoes them and leaves a
//! code in the attested leaf. Nothing here allocates: every buffer is the author's, with its size
//! in the code, so that the cost of a call can be read off.
//!
//! Its invariant: only `abi.rs` speaks to the host, and only with slices that Rust owns.
//!
//! A crate in `runtime/zapps` is built by `cargo xtask zapps`. Elsewhere: `cargo build --release
//! --target wasm32v1-none` with `-Clink-arg=--max-memory=1048576`, because a module declares how
//! much memory it may use, and without the exported globals that the linker adds (`__data_end`,
//! `__heap_base`), because a module exports functions and its memory only.
//!
//! ```no_run
//! use zapp::{Op, Request, Revert, output, state};
//!
//! zapp::entry!(run, input_bytes_max = 128);
//!
//! fn run(request: Request<'_>) -> Result<(), Revert> {
//!     match (request.op, request.method) {
//!         (Op::Init, _) => request.args.end(),
//!         (Op::View, b"get") => {
//!             request.args.end()?;
//!             output(&state::array::<8>(b"total")?.unwrap_or_default());
//!             Ok(())
//!         }
//!         _ => Err(Revert::UNKNOWN_METHOD),
//!     }
//! }
//! # fn main() {}
//! ```

#![no_std]

mod abi;
mod args;
mod context;
mod crypto;
mod entry;
mod join;
mod revert;
pub mod state;

pub use args::Args;
pub use context::{
    abort, caller, committee, emit, gas_left, height, log, origin, output, request_id, time_ms,
    zapp_id,
};
pub use crypto::{ed25519_verify, keccak256, sha3_256, sha256};
pub use entry::{METHOD_BYTES_MAX, Op, Request, enter};
pub use join::join;
pub use revert::Revert;
