//! The zApp's own state: an ordered map from keys of 1 to 256 bytes to values of at most 64 KiB.

use crate::{Revert, abi};

/// A value of exactly `N` bytes, or `None` where there is no entry.
///
/// # Errors
/// [`Revert::STATE`] if the entry has another length.
pub fn array<const N: usize>(key: &[u8]) -> Result<Option<[u8; N]>, Revert> {
    let mut value = [0; N];
    match abi::get(key, &mut value) {
        None => Ok(None),
        Some(length) if length == N => Ok(Some(value)),
        Some(_) => Err(Revert::STATE),
    }
}

/// A value of at most `buffer.len()` bytes, or `None` where there is no entry.
///
/// # Errors
/// [`Revert::STATE`] if the entry is longer.
pub fn bytes<'a>(key: &[u8], buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>, Revert> {
    let Some(length) = abi::get(key, buffer) else {
        return Ok(None);
    };
    buffer.get(..length).map(Some).ok_or(Revert::STATE)
}

/// Whether there is an entry.
#[must_use]
pub fn contains(key: &[u8]) -> bool {
    abi::get(key, &mut []).is_some()
}

/// Sets an entry.
pub fn set(key: &[u8], value: &[u8]) {
    abi::set(key, value);
}

/// Deletes an entry; there need not be one.
pub fn delete(key: &[u8]) {
    abi::delete(key);
}

/// The smallest key above `key`, which may be empty, or `None` at the end.
///
/// # Errors
/// [`Revert::STATE`] if that key is longer than `buffer`.
pub fn next<'a>(key: &[u8], buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>, Revert> {
    let Some(length) = abi::next(key, buffer) else {
        return Ok(None);
    };
    buffer.get(..length).map(Some).ok_or(Revert::STATE)
}
