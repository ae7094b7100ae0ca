//! Bytes and texts of varying length up to a bound.

use core::cmp::Ordering;
use core::fmt;
use core::ops::Deref;

use super::{Key, Value, Writer, key};
use crate::{Args, Revert, Type};

/// At most `N` bytes.
#[derive(Clone, Copy)]
pub struct Bytes<const N: usize> {
    length: u16,
    bytes: [u8; N],
}

impl<const N: usize> Bytes<N> {
    /// No bytes.
    pub const EMPTY: Self = Self {
        length: 0,
        bytes: [0; N],
    };

    /// These bytes.
    ///
    /// # Errors
    /// [`Revert::ARGUMENTS`] if there are more than `N`.
    pub fn new(bytes: &[u8]) -> Result<Self, Revert> {
        const { assert!(N <= u16::MAX as usize, "a length has two bytes") };
        let mut all = Self::EMPTY;
        let place = all.bytes.get_mut(..bytes.len());
        place.ok_or(Revert::ARGUMENTS)?.copy_from_slice(bytes);
        all.length = u16::try_from(bytes.len()).map_err(|_| Revert::ARGUMENTS)?;
        Ok(all)
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length.into()).unwrap_or_default()
    }
}

impl<const N: usize> Value for Bytes<N> {
    const BYTES_MAX: usize = 2 + N;
    const TYPE: Type = Type::Bytes(N);

    fn encode(&self, writer: &mut Writer<'_>) {
        self.length.encode(writer);
        writer.put(self);
    }

    fn decode(args: &mut Args<'_>) -> Result<Self, Revert> {
        let length = u16::decode(args)?;
        Self::new(args.take(length.into())?)
    }
}

impl<const N: usize> Key for Bytes<N> {
    const KEY_BYTES_MAX: usize = key::key_bytes_max(N);

    fn encode_key(&self, writer: &mut Writer<'_>) {
        key::encode_bytes(self, writer);
    }

    fn decode_key(args: &mut Args<'_>) -> Result<Self, Revert> {
        let mut all = Self::EMPTY;
        let length = key::decode_bytes(args, &mut all.bytes)?;
        all.length = u16::try_from(length).map_err(|_| Revert::ARGUMENTS)?;
        Ok(all)
    }
}

impl<const N: usize> Deref for Bytes<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl<const N: usize> Default for Bytes<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> PartialEq for Bytes<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<const N: usize> Eq for Bytes<N> {}

impl<const N: usize> PartialOrd for Bytes<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const N: usize> Ord for Bytes<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_slice(), f)
    }
}

/// A text of at most `N` bytes of UTF-8.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<const N: usize>(Bytes<N>);

impl<const N: usize> Text<N> {
    /// This text.
    ///
    /// # Errors
    /// [`Revert::ARGUMENTS`] if it has more than `N` bytes.
    pub fn new(text: &str) -> Result<Self, Revert> {
        Bytes::new(text.as_bytes()).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Every way in checks it.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    fn of(bytes: Bytes<N>) -> Result<Self, Revert> {
        core::str::from_utf8(&bytes).map_err(|_| Revert::ARGUMENTS)?;
        Ok(Self(bytes))
    }
}

impl<const N: usize> Value for Text<N> {
    const BYTES_MAX: usize = Bytes::<N>::BYTES_MAX;
    const TYPE: Type = Type::Text(N);

    fn encode(&self, writer: &mut Writer<'_>) {
        self.0.encode(writer);
    }

    fn decode(args: &mut Args<'_>) -> Result<Self, Revert> {
        Bytes::decode(args).and_then(Self::of)
    }
}

impl<const N: usize> Key for Text<N> {
    const KEY_BYTES_MAX: usize = Bytes::<N>::KEY_BYTES_MAX;

    fn encode_key(&self, writer: &mut Writer<'_>) {
        self.0.encode_key(writer);
    }

    fn decode_key(args: &mut Args<'_>) -> Result<Self, Revert> {
        Bytes::decode_key(args).and_then(Self::of)
    }
}

impl<const N: usize> Deref for Text<N> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
