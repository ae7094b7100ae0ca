//! Arguments: fixed-width fields one after another, integers big-endian.

use crate::Revert;

/// What is left of a request's arguments. Reading past the end is [`Revert::ARGUMENTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args<'a>(pub(crate) &'a [u8]);

impl<'a> Args<'a> {
    /// Arguments from bytes, for parts of a larger field.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`Revert::ARGUMENTS`] if fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Revert> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Revert::ARGUMENTS)?;
        self.0 = rest;
        Ok(*head)
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// [`Revert::ARGUMENTS`] if fewer are left.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Revert> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(Revert::ARGUMENTS)?;
        self.0 = rest;
        Ok(head)
    }

    /// A number of 8 bytes.
    ///
    /// # Errors
    /// [`Revert::ARGUMENTS`] if fewer are left.
    pub fn u64(&mut self) -> Result<u64, Revert> {
        self.array().map(u64::from_be_bytes)
    }

    /// A number of 16 bytes.
    ///
    /// # Errors
    /// [`Revert::ARGUMENTS`] if fewer are left.
    pub fn u128(&mut self) -> Result<u128, Revert> {
        self.array().map(u128::from_be_bytes)
    }

    /// Everything that is left.
    #[must_use]
    pub const fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// [`Revert::ARGUMENTS`] if something is: arguments have one form.
    pub const fn end(self) -> Result<(), Revert> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Revert::ARGUMENTS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_order_and_never_past_the_end() {
        let mut bytes = [0; 27];
        bytes[7] = 5;
        bytes[23] = 6;
        let mut args = Args(&bytes);
        assert_eq!(args.u64(), Ok(5));
        assert_eq!(args.end(), Err(Revert::ARGUMENTS));
        assert_eq!(args.u128(), Ok(6));
        assert_eq!(args.u64(), Err(Revert::ARGUMENTS));
        assert_eq!(args.array(), Ok([0; 3]));
        assert_eq!(args.end(), Ok(()));
        assert_eq!(args.array::<1>(), Err(Revert::ARGUMENTS));
        let mut args = Args(b"abc");
        assert_eq!(args.take(2), Ok(&b"ab"[..]));
        assert_eq!(args.take(2), Err(Revert::ARGUMENTS));
        assert_eq!(args.take(1), Ok(&b"c"[..]));
    }
}
