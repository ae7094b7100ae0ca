//! Typed state: one value, a map, a set, each under a key of its own.
//!
//! They are constants: what they stand for is in the zApp's state, and every `get` and `set` is a
//! call of the host with the price of one. A map's or set's key begins the keys of its entries, so
//! no such key may begin another; `#[zapp]` checks that.

mod item;
mod map;
mod set;

pub use item::Item;
pub use map::{Entries, Keys, Map};
pub use set::Set;

use crate::typed::{Key, Value, Writer};
use crate::{Args, Revert, abi, typed};

/// Checks a key of the author's while compiling.
const fn checked(key: &'static [u8]) -> &'static [u8] {
    assert!(!key.is_empty(), "a state key has at least one byte");
    assert!(
        key.len() <= typed::PREFIX_BYTES_MAX,
        "the key of an Item, Map or Set has at most 16 bytes"
    );
    key
}

/// Reads an entry that this type wrote.
fn read<T: Value>(key: &[u8]) -> Result<Option<T>, Revert> {
    typed::with_buffer!(T::BYTES_MAX, buffer => {
        let room = buffer.get_mut(..T::BYTES_MAX).unwrap_or_default();
        let Some(length) = abi::get(key, room) else {
            return Ok(None);
        };
        let bytes = room.get(..length).ok_or(Revert::STATE)?;
        typed::decode(bytes).map(Some).map_err(|_| Revert::STATE)
    })
}

fn write<T: Value>(key: &[u8], value: &T) {
    typed::with_encoded(value, |bytes| abi::set(key, bytes));
}

/// The smallest key of type `K` under `prefix` above `from`, which holds the prefix.
fn next_key<K: Key>(prefix: &[u8], from: &[u8]) -> Result<Option<K>, Revert> {
    typed::with_buffer!(typed::PREFIX_BYTES_MAX + K::KEY_BYTES_MAX, buffer => {
        let room = prefix.len() + K::KEY_BYTES_MAX;
        let room = buffer.get_mut(..room).unwrap_or_default();
        let Some(length) = abi::next(from, room) else {
            return Ok(None);
        };
        // A longer key of somebody else's may follow the last one of ours.
        let copied = room.get(..length.min(room.len())).unwrap_or_default();
        let Some(key) = copied.strip_prefix(prefix) else {
            return Ok(None);
        };
        if length > copied.len() {
            return Err(Revert::STATE);
        }
        decode_key(key).map(Some).map_err(|_| Revert::STATE)
    })
}

fn decode_key<K: Key>(bytes: &[u8]) -> Result<K, Revert> {
    let mut args = Args::new(bytes);
    let key = K::decode_key(&mut args)?;
    args.end()?;
    Ok(key)
}

/// Where an iteration stands.
enum Place<K> {
    /// Before the first key.
    Start,
    /// Past this key.
    After(K),
    /// Past the last key, or stopped by an error.
    End,
}

impl<K: Key> Place<K> {
    /// The next key; moves on to it.
    fn step(&mut self, prefix: &[u8]) -> Option<Result<K, Revert>>
    where
        K: Clone,
    {
        let found = match self {
            // A key's encoding is never empty, so the first entry lies above the prefix itself.
            Self::Start => next_key::<K>(prefix, prefix),
            Self::After(key) => typed::with_key(prefix, key, |from| next_key(prefix, from)),
            Self::End => return None,
        };
        *self = match &found {
            Ok(Some(key)) => Self::After(key.clone()),
            Ok(None) | Err(_) => Self::End,
        };
        found.transpose()
    }
}

/// A key's bytes, for whoever wants to prove an entry: see [`Map::state_key`].
fn key_into<'b, K: Key>(prefix: &[u8], key: &K, buffer: &'b mut [u8]) -> &'b [u8] {
    let mut writer = Writer::new(buffer);
    writer.put(prefix);
    key.encode_key(&mut writer);
    let written = writer.written();
    buffer.get(..written).unwrap_or_default()
}
