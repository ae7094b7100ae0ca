//! `#[zapp]`: from a module of functions to a WebAssembly module that a committee runs.
//!
//! It reads the module once into a `Zapp`, collecting every mistake with its place,
//! and only then writes code: the dispatch, the entry point, the section `zapp.abi`. It never looks
//! into a function's body.
//!
//! Its invariant: what it accepts and what the compiler then refuses, the compiler refuses at the
//! author's code, not at ours.

mod derive;
mod emit;
mod errors;
mod events;
mod methods;
mod model;
mod state;
mod text;

use proc_macro::TokenStream;

/// Makes a zApp of a module.
///
/// Functions marked `#[call]` (signed requests, whose writes are kept) and `#[view]` (queries) are
/// its methods; `#[init]` runs once when it is deployed, `#[migrate]` when its module is exchanged,
/// `#[deposit]` when something was sent to it on the Network of Momentum.
/// Arguments and results have types that are `zapp::Value`; a result may be wrapped in
/// `Result<_, Revert>`. `#[error] enum` lists its own reverts, with codes from 100;
/// `#[event] struct`s get an `emit`. The zApp's name is the module's, with `-` for `_`, or
/// `#[zapp(name = "other")]`.
///
/// ```text
/// #[zapp::zapp]
/// mod counter {
///     use zapp::prelude::*;
///
///     static TOTAL: Item<u64> = Item::new(b"total");
///
///     #[call]
///     fn add(amount: u64) -> Result<u64> {
///         let total = TOTAL.or_default()?.checked_add(amount).ok_or(Revert::OVERFLOW)?;
///         TOTAL.set(&total);
///         Ok(total)
///     }
/// }
/// ```
#[proc_macro_attribute]
pub fn zapp(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(arguments.into(), item.into())
        .unwrap_or_else(|error| error.into_compile_error())
        .into()
}

/// Makes a `zapp::Value` of a struct with named fields: their values one after another.
#[proc_macro_derive(Value)]
pub fn value(item: TokenStream) -> TokenStream {
    derive::expand(item.into())
        .unwrap_or_else(|error| error.into_compile_error())
        .into()
}

fn expand(
    arguments: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> syn::Result<proc_macro2::TokenStream> {
    model::Zapp::read(arguments, item).map(emit::zapp)
}

#[cfg(test)]
mod tests;
