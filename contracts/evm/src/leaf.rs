//! Leaves that contracts act on, and what `solidity/Leaf.sol` knows of them.

pub use attestation::leaf::{KeyChangeLeaf as KeyChange, MessageLeaf as Message};

use crate::chain::Account;

/// Kind of a message leaf.
pub const MESSAGE: u8 = 2;
/// Kind of a key-change leaf.
pub const KEY_CHANGE: u8 = 3;
/// Suite FROST(secp256k1, KECCAK-256).
pub const SECP256K1: u8 = KeyChange::SECP256K1;
/// Length of a message leaf without its payload.
pub const MESSAGE_LEN: usize = Message::LEN;
/// Length of a key-change leaf.
pub const KEY_CHANGE_LEN: usize = KeyChange::LEN;

/// An account as 32 bytes.
#[must_use]
pub fn padded(account: Account) -> [u8; 32] {
    let mut out = [0; 32];
    out[12..].copy_from_slice(&account);
    out
}
