//! Typed values: what arguments, results, events and state entries are made of.
//!
//! A [`Value`] has one encoding, whose greatest length is known when the zApp is compiled, so that
//! no buffer is allocated. The encoding is the one that [`Args`](crate::Args) reads: fields one
//! after another, numbers big-endian at full width, `[u8; N]` as it is, and before a value of
//! varying length ([`Text`], [`Bytes`], [`List`]) its length as a `u16`.

mod bytes;
mod key;
mod list;
mod numbers;
mod tuples;
mod writer;

pub use bytes::{Bytes, Text};
pub use key::Key;
pub use list::List;
pub use writer::Writer;

pub(crate) use writer::{PREFIX_BYTES_MAX, VALUE_BYTES_MAX, with_buffer, with_encoded, with_key};

use crate::{Args, Revert, Type};

/// Something that an argument, a result, an event or a state entry can be.
///
/// Numbers, `bool`, `[u8; N]`, [`Text`], [`Bytes`], [`List`], `Option` and tuples of these are;
/// a struct with named fields is with `#[derive(Value)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument, a result, an event's field or a state value",
    label = "no encoding of bounded length is known for `{Self}`",
    note = "possible are: u8 to u128, i8 to i128, bool, [u8; N], Text<N>, Bytes<N>, List<T, N>, \
            Option<T>, tuples of these, and structs with #[derive(Value)]"
)]
pub trait Value: Sized {
    /// Most bytes of its encoding.
    const BYTES_MAX: usize;
    /// How the ABI names it.
    const TYPE: Type;

    /// Writes it.
    fn encode(&self, writer: &mut Writer<'_>);

    /// Reads it.
    ///
    /// # Errors
    /// [`Revert::ARGUMENTS`] if the bytes are not the encoding of one.
    fn decode(args: &mut Args<'_>) -> Result<Self, Revert>;
}

/// Reads a value that takes all of `bytes`.
///
/// # Errors
/// [`Revert::ARGUMENTS`] if they are not the encoding of one value.
pub fn decode<T: Value>(bytes: &[u8]) -> Result<T, Revert> {
    let mut args = Args::new(bytes);
    let value = T::decode(&mut args)?;
    args.end()?;
    Ok(value)
}

#[cfg(test)]
mod tests;
