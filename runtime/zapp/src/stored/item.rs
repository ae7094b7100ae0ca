//! One value.

use core::marker::PhantomData;

use super::{checked, read, write};
use crate::{Revert, Value, abi};

/// One value in the zApp's state.
///
/// ```no_run
/// # use zapp::{Item, Revert};
/// static TOTAL: Item<u64> = Item::new(b"total");
///
/// fn add(amount: u64) -> Result<u64, Revert> {
///     let total = TOTAL.or_default()?.checked_add(amount).ok_or(Revert::OVERFLOW)?;
///     TOTAL.set(&total);
///     Ok(total)
/// }
/// ```
pub struct Item<T> {
    key: &'static [u8],
    value: PhantomData<fn() -> T>,
}

impl<T: Value> Item<T> {
    /// The value under `key`, of 1 to 16 bytes.
    #[must_use]
    pub const fn new(key: &'static [u8]) -> Self {
        Self {
            key: checked(key),
            value: PhantomData,
        }
    }

    /// The value, if there is one.
    ///
    /// # Errors
    /// [`Revert::STATE`] if the entry is not of this type.
    pub fn get(&self) -> Result<Option<T>, Revert> {
        read(self.key)
    }

    /// The value, which must be there.
    ///
    /// # Errors
    /// [`Revert::STATE`] if it is not, or not of this type.
    pub fn load(&self) -> Result<T, Revert> {
        self.get()?.ok_or(Revert::STATE)
    }

    /// The value, or its type's default.
    ///
    /// # Errors
    /// [`Revert::STATE`] if the entry is not of this type.
    pub fn or_default(&self) -> Result<T, Revert>
    where
        T: Default,
    {
        Ok(self.get()?.unwrap_or_default())
    }

    /// Sets the value.
    pub fn set(&self, value: &T) {
        write(self.key, value);
    }

    /// Removes the value; there need not be one.
    pub fn clear(&self) {
        abi::delete(self.key);
    }

    /// Whether there is a value.
    #[must_use]
    pub fn is_set(&self) -> bool {
        abi::get(self.key, &mut []).is_some()
    }
}
