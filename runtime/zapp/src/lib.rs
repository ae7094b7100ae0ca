//! What a zApp author writes against: a macro, typed state, and safe functions over the host
//! interface `zapp0`.
//!
//! A zApp is a module of functions under [`#[zapp]`](macro@zapp), in a `cdylib` for
//! `wasm32v1-none`. A call either succeeds, which commits its writes, events and output, or returns
//! a [`Revert`], which undoes them and leaves a code in the attested leaf. Nothing here allocates:
//! every buffer has a size that follows from the types, so that the cost of a call can be read off.
//!
//! ```no_run
//! #[zapp::zapp]
//! mod counter {
//!     use zapp::prelude::*;
//!
//!     static TOTAL: Item<u64> = Item::new(b"total");
//!
//!     #[call]
//!     fn add(amount: u64) -> Result<u64> {
//!         let total = TOTAL.or_default()?.checked_add(amount).ok_or(Revert::OVERFLOW)?;
//!         TOTAL.set(&total);
//!         Ok(total)
//!     }
//!
//!     #[view]
//!     fn get() -> Result<u64> {
//!         TOTAL.or_default()
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! State is kept in an [`Item`], a [`Map`] or a [`Set`]; what can be in them, in arguments, results
//! and events is a [`Value`]. Below that, and what the macro itself uses, is [`entry!`] with
//! [`Request`] and [`Args`], and [`state`]: for zApps that read their bytes themselves.
//!
//! Its invariant: only `abi.rs` speaks to the host, and only with slices that Rust owns.
//!
//! A crate in `runtime/zapps` is built by `cargo xtask zapps`, one elsewhere by `zq zapp build`,
//! which sets what the runtime asks for: a declared maximum of memory, and no exports but the
//! memory and `zapp_main`.

#![no_std]

mod abi;
mod args;
mod calls;
mod context;
mod crypto;
pub mod description;
mod entry;
mod event;
mod join;
pub mod nom;
pub mod prelude;
mod pulled;
mod revert;
pub mod state;
mod stored;
mod typed;

pub use args::Args;
pub use calls::{Call, CallFailed, Destination};
pub use context::{
    abort, caller, committee, emit, gas_left, height, log, origin, output, request_id, time_ms,
    zapp_id,
};
pub use crypto::{ed25519_verify, keccak256, sha3_256, sha256};
pub use description::Type;
pub use entry::{METHOD_BYTES_MAX, Op, Request, enter};
pub use event::Event;
pub use join::join;
pub use pulled::{PULLED_BYTES_MAX, Pulled, evm_source, pull};
pub use revert::{Revert, ensure};
pub use stored::{Entries, Item, Keys, Map, Set};
pub use typed::{Bytes, Key, List, Text, Value, Writer, decode};
pub use zapp_macro::{Value, zapp};

/// What a method returns: a value, or the revert that undoes the call.
pub type Result<T, E = Revert> = core::result::Result<T, E>;

/// What the code of [`macro@zapp`] calls; nothing for authors.
#[doc(hidden)]
pub mod __private {
    pub use crate::entry::{Answer, finish, finish_silent, longest};
}
