//! Encoding into a buffer whose size the type gives.

use super::{Key, Value};
use crate::abi;

/// Where a value writes itself. Writing more than its `BYTES_MAX` aborts the call.
pub struct Writer<'a> {
    rest: &'a mut [u8],
    written: usize,
}

impl<'a> Writer<'a> {
    /// Writes from the start of `buffer`.
    #[must_use]
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self {
            rest: buffer,
            written: 0,
        }
    }

    /// Appends bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        let rest = core::mem::take(&mut self.rest);
        let Some((place, rest)) = rest.split_at_mut_checked(bytes.len()) else {
            abi::abort(b"a value longer than its type's BYTES_MAX")
        };
        place.copy_from_slice(bytes);
        self.rest = rest;
        self.written += bytes.len();
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn written(&self) -> usize {
        self.written
    }
}

/// Hands the encoding of a value to `with`.
pub(crate) fn with_encoded<T: Value, R>(value: &T, with: impl FnOnce(&[u8]) -> R) -> R {
    with_buffer!(T::BYTES_MAX, buffer => {
        let mut writer = Writer::new(&mut buffer);
        value.encode(&mut writer);
        let written = writer.written();
        with(buffer.get(..written).unwrap_or_default())
    })
}

/// Hands a prefix and the ordered encoding of a key to `with`.
pub(crate) fn with_key<K: Key, R>(prefix: &[u8], key: &K, with: impl FnOnce(&[u8]) -> R) -> R {
    with_buffer!(PREFIX_BYTES_MAX + K::KEY_BYTES_MAX, buffer => {
        let mut writer = Writer::new(&mut buffer);
        writer.put(prefix);
        key.encode_key(&mut writer);
        let written = writer.written();
        with(buffer.get(..written).unwrap_or_default())
    })
}

/// Longest state key that an [`Item`](crate::Item), [`Map`](crate::Map) or [`Set`](crate::Set)
/// begins with.
pub(crate) const PREFIX_BYTES_MAX: usize = 16;

/// Longest value that has a type; longer ones go through [`state`](crate::state).
pub(crate) const VALUE_BYTES_MAX: usize = 8192;

/// A zeroed buffer of the smallest of a few sizes that holds `$size` bytes, a constant: Rust cannot
/// size an array by a generic type's constant yet. All but one branch are gone after compiling.
macro_rules! with_buffer {
    ($size:expr, $buffer:ident => $body:block) => {{
        const {
            assert!(
                $size <= crate::typed::VALUE_BYTES_MAX,
                "a typed value takes at most 8192 bytes; use zapp::state for longer ones"
            );
        }
        if $size <= 16 {
            let mut $buffer = [0u8; 16];
            $body
        } else if $size <= 56 {
            let mut $buffer = [0u8; 56];
            $body
        } else if $size <= 128 {
            let mut $buffer = [0u8; 128];
            $body
        } else if $size <= 512 {
            let mut $buffer = [0u8; 512];
            $body
        } else if $size <= 2048 {
            let mut $buffer = [0u8; 2048];
            $body
        } else {
            let mut $buffer = [0u8; 8192];
            $body
        }
    }};
}
pub(crate) use with_buffer;
