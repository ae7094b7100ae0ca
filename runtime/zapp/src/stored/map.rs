//! Values by key, in order.

use core::marker::PhantomData;

use super::{Place, checked, key_into, read, write};
use crate::{Key, Revert, Value, abi, typed};

/// Values by key, in the order of the keys.
///
/// ```no_run
/// # use zapp::{Map, Revert};
/// static BALANCES: Map<[u8; 32], u128> = Map::new(b"b");
///
/// fn sum() -> Result<u128, Revert> {
///     let mut sum: u128 = 0;
///     for entry in BALANCES.iter() {
///         let (_, balance) = entry?;
///         sum = sum.checked_add(balance).ok_or(Revert::OVERFLOW)?;
///     }
///     Ok(sum)
/// }
/// ```
pub struct Map<K, V> {
    prefix: &'static [u8],
    types: PhantomData<fn(K) -> V>,
}

impl<K: Key, V: Value> Map<K, V> {
    /// The entries whose keys begin with `prefix`, of 1 to 16 bytes. Keys that could be longer than
    /// the host takes do not compile:
    ///
    /// ```compile_fail,E0080
    /// # use zapp::{Map, Text};
    /// static NAMES: Map<Text<128>, u8> = Map::new(b"n");
    /// ```
    #[must_use]
    pub const fn new(prefix: &'static [u8]) -> Self {
        assert!(
            prefix.len() + K::KEY_BYTES_MAX <= STATE_KEY_BYTES_MAX,
            "the key of an entry has at most 256 bytes, and texts and bytes count twice in it"
        );
        Self {
            prefix: checked(prefix),
            types: PhantomData,
        }
    }

    /// The value of a key, if there is one.
    ///
    /// # Errors
    /// [`Revert::STATE`] if the entry is not of this type.
    pub fn get(&self, key: &K) -> Result<Option<V>, Revert> {
        typed::with_key(self.prefix, key, read)
    }

    /// The value of a key, or its type's default.
    ///
    /// # Errors
    /// [`Revert::STATE`] if the entry is not of this type.
    pub fn or_default(&self, key: &K) -> Result<V, Revert>
    where
        V: Default,
    {
        Ok(self.get(key)?.unwrap_or_default())
    }

    /// Sets the value of a key.
    pub fn set(&self, key: &K, value: &V) {
        typed::with_key(self.prefix, key, |key| write(key, value));
    }

    /// Removes a key; it need not be there.
    pub fn remove(&self, key: &K) {
        typed::with_key(self.prefix, key, abi::delete);
    }

    /// Whether the key is there.
    #[must_use]
    pub fn contains(&self, key: &K) -> bool {
        typed::with_key(self.prefix, key, |key| abi::get(key, &mut []).is_some())
    }

    /// All entries in order. Each costs a `next` and a `get`: bound how many a call visits.
    #[must_use]
    pub const fn iter(&self) -> Entries<'_, K, V> {
        Entries {
            keys: self.keys(),
            map: self,
        }
    }

    /// The entries whose keys lie above `key`, which need not be there.
    #[must_use]
    pub const fn after(&self, key: K) -> Entries<'_, K, V> {
        Entries {
            keys: self.keys_after(key),
            map: self,
        }
    }

    /// All keys in order.
    #[must_use]
    pub const fn keys(&self) -> Keys<K> {
        Keys {
            prefix: self.prefix,
            place: Place::Start,
        }
    }

    /// The keys above `key`, which need not be there.
    #[must_use]
    pub const fn keys_after(&self, key: K) -> Keys<K> {
        Keys {
            prefix: self.prefix,
            place: Place::After(key),
        }
    }

    /// The key of an entry in the zApp's state: what a node proves. `buffer` must have room.
    pub fn state_key<'b>(&self, key: &K, buffer: &'b mut [u8]) -> &'b [u8] {
        key_into(self.prefix, key, buffer)
    }
}

/// Longest key of an entry that the host takes.
const STATE_KEY_BYTES_MAX: usize = 256;

/// Keys in order. Setting and removing entries on the way is allowed: the next key is the
/// smallest one above the last, as the state is then.
pub struct Keys<K> {
    pub(super) prefix: &'static [u8],
    pub(super) place: Place<K>,
}

impl<K: Key + Clone> Iterator for Keys<K> {
    type Item = Result<K, Revert>;

    fn next(&mut self) -> Option<Self::Item> {
        self.place.step(self.prefix)
    }
}

/// Entries in order, see [`Keys`].
pub struct Entries<'a, K, V> {
    keys: Keys<K>,
    map: &'a Map<K, V>,
}

impl<K: Key + Clone, V: Value> Iterator for Entries<'_, K, V> {
    type Item = Result<(K, V), Revert>;

    fn next(&mut self) -> Option<Self::Item> {
        let key = match self.keys.next()? {
            Ok(key) => key,
            Err(revert) => return Some(Err(revert)),
        };
        // The host named the key just now.
        let value = self
            .map
            .get(&key)
            .and_then(|value| value.ok_or(Revert::STATE));
        Some(value.map(|value| (key, value)))
    }
}
