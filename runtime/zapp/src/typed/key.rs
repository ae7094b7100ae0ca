//! Keys: values whose encoding sorts as they do.

use super::{Value, Writer};
use crate::{Args, Revert};

/// A value that can be the key of a [`Map`](crate::Map) or [`Set`](crate::Set).
///
/// State entries are kept in the order of their bytes. `encode_key` is such that this is the order
/// of the values: signed numbers have their sign turned around, texts and bytes end in a mark that
/// sorts before any further byte.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a `Map` or `Set`",
    label = "no encoding that sorts as `{Self}` does",
    note = "possible are: u8 to u128, i8 to i128, bool, [u8; N], Text<N>, Bytes<N> and tuples of \
            these"
)]
pub trait Key: Value {
    /// Most bytes of its encoding as a key.
    const KEY_BYTES_MAX: usize;

    /// Writes it, in bytes that sort as it does.
    fn encode_key(&self, writer: &mut Writer<'_>);

    /// Reads it.
    ///
    /// # Errors
    /// [`Revert::ARGUMENTS`] if the bytes are not those of a key.
    fn decode_key(args: &mut Args<'_>) -> Result<Self, Revert>;
}

/// Writes bytes of any length so that they sort as slices do, and so that nothing which follows
/// takes part: a zero becomes 0 255, the end is 0 1.
pub(super) fn encode_bytes(bytes: &[u8], writer: &mut Writer<'_>) {
    for byte in bytes {
        writer.put(&[*byte]);
        if *byte == 0 {
            writer.put(&[ESCAPED]);
        }
    }
    writer.put(&[0, END]);
}

/// Reads what [`encode_bytes`] wrote into `buffer`; returns the length.
pub(super) fn decode_bytes(args: &mut Args<'_>, buffer: &mut [u8]) -> Result<usize, Revert> {
    let mut length = 0;
    loop {
        let [byte] = args.array()?;
        if byte == 0 {
            match args.array()? {
                [END] => return Ok(length),
                [ESCAPED] => {}
                _ => return Err(Revert::ARGUMENTS),
            }
        }
        *buffer.get_mut(length).ok_or(Revert::ARGUMENTS)? = byte;
        length += 1;
    }
}

/// Bytes of the longest key of `length` bytes: all of them zeros.
pub(super) const fn key_bytes_max(length: usize) -> usize {
    2 * length + 2
}

const ESCAPED: u8 = 255;
const END: u8 = 1;
