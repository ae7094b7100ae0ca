//! Keys, in order.

use super::{Keys, Map};
use crate::{Key, Revert};

/// A set of keys, in their order.
pub struct Set<K>(Map<K, ()>);

impl<K: Key> Set<K> {
    /// The entries whose keys begin with `prefix`, of 1 to 16 bytes.
    #[must_use]
    pub const fn new(prefix: &'static [u8]) -> Self {
        Self(Map::new(prefix))
    }

    /// Adds a key; whether it was absent.
    pub fn insert(&self, key: &K) -> bool {
        let absent = !self.contains(key);
        if absent {
            self.0.set(key, &());
        }
        absent
    }

    /// Removes a key; whether it was there.
    pub fn remove(&self, key: &K) -> bool {
        let present = self.contains(key);
        if present {
            self.0.remove(key);
        }
        present
    }

    /// Whether the key is there.
    #[must_use]
    pub fn contains(&self, key: &K) -> bool {
        self.0.contains(key)
    }

    /// All keys in order.
    #[must_use]
    pub const fn iter(&self) -> Keys<K> {
        self.0.keys()
    }

    /// The keys above `key`, which need not be there.
    #[must_use]
    pub const fn after(&self, key: K) -> Keys<K> {
        self.0.keys_after(key)
    }

    /// How many there are; each costs a `next`.
    ///
    /// # Errors
    /// [`Revert::STATE`] if a key is not of this type.
    pub fn count(&self) -> Result<usize, Revert>
    where
        K: Clone,
    {
        self.iter().try_fold(0, |count, key| key.map(|_| count + 1))
    }
}
