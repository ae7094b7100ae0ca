//! How a call fails.

/// Ends a call without effect; the code stands in the attested leaf.
///
/// Codes below 100 are this SDK's, so that they mean the same in every zApp. An author's own begin
/// at 100: the variants of the `#[error] enum`, or [`Revert::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revert(u32);

impl Revert {
    /// The zApp has no such method for this kind of request.
    pub const UNKNOWN_METHOD: Self = Self(1);
    /// The arguments are not those of the method.
    pub const ARGUMENTS: Self = Self(2);
    /// The method is for the zApp's owner.
    pub const NOT_OWNER: Self = Self(3);
    /// A number would pass its range.
    pub const OVERFLOW: Self = Self(4);
    /// A state entry has not the length the zApp writes.
    pub const STATE: Self = Self(5);
    /// The input is longer than the zApp's buffer.
    pub const INPUT_LENGTH: Self = Self(6);

    /// Another zApp that was called gave no result.
    pub const CALL: Self = Self(7);
    /// Only the committee calls `#[deposit]`.
    pub const DEPOSIT: Self = Self(8);

    /// The revert of a zApp that was called, as one's own.
    pub(crate) const fn passed_on(code: u32) -> Self {
        if code == 0 || code > i32::MAX as u32 {
            return Self::CALL;
        }
        Self(code)
    }

    /// An author's own code, from 100 to 2^31 − 1.
    ///
    /// # Panics
    /// At compile time where `code` is a constant; otherwise the call aborts.
    #[must_use]
    pub const fn new(code: u32) -> Self {
        assert!(
            code >= 100 && code <= i32::MAX as u32,
            "codes below 100 are the SDK's"
        );
        Self(code)
    }

    /// The code in the leaf.
    #[must_use]
    pub const fn code(self) -> u32 {
        self.0
    }
}

/// Reverts with `error` unless the condition holds: `ensure(amount > 0, Error::Zero)?`.
///
/// # Errors
/// `error`, if it does not.
pub fn ensure(holds: bool, error: impl Into<Revert>) -> Result<(), Revert> {
    if holds { Ok(()) } else { Err(error.into()) }
}
