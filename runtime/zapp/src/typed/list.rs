//! Lists of up to a number of values.

use super::{Value, Writer};
use crate::{Args, Revert, Type};

/// At most `N` values, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List<T, const N: usize> {
    length: u16,
    values: [Option<T>; N],
}

impl<T, const N: usize> List<T, N> {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        const { assert!(N <= u16::MAX as usize, "a length has two bytes") };
        Self {
            length: 0,
            values: core::array::from_fn(|_| None),
        }
    }

    /// Adds a value at the end.
    ///
    /// # Errors
    /// [`Revert::OVERFLOW`] if the list is full.
    pub fn push(&mut self, value: T) -> Result<(), Revert> {
        let place = self.values.get_mut(usize::from(self.length));
        *place.ok_or(Revert::OVERFLOW)? = Some(value);
        self.length += 1;
        Ok(())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length.into()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether no more fit.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() == N
    }

    /// The values.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.values.iter().flatten()
    }
}

impl<T, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Value, const N: usize> Value for List<T, N> {
    const BYTES_MAX: usize = 2 + N * T::BYTES_MAX;
    const TYPE: Type = Type::List(&T::TYPE, N);

    fn encode(&self, writer: &mut Writer<'_>) {
        self.length.encode(writer);
        for value in self.iter() {
            value.encode(writer);
        }
    }

    fn decode(args: &mut Args<'_>) -> Result<Self, Revert> {
        let mut list = Self::new();
        for _ in 0..u16::decode(args)? {
            let value = T::decode(args)?;
            list.push(value).map_err(|_| Revert::ARGUMENTS)?;
        }
        Ok(list)
    }
}
