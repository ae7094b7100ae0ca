//! Hashes and signatures, computed by the host: cheaper than in WebAssembly by far.

use crate::abi::{self, Algorithm};

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    abi::hash(Algorithm::Sha256, bytes)
}

/// SHA3-256 (FIPS 202).
#[must_use]
pub fn sha3_256(bytes: &[u8]) -> [u8; 32] {
    abi::hash(Algorithm::Sha3, bytes)
}

/// Keccak-256, as Ethereum uses it.
#[must_use]
pub fn keccak256(bytes: &[u8]) -> [u8; 32] {
    abi::hash(Algorithm::Keccak, bytes)
}

/// Whether `signature` is a strict Ed25519 signature of `message` under `key`.
#[must_use]
pub fn ed25519_verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    abi::ed25519_verify(key, message, signature)
}
