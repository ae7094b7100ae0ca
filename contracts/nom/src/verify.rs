//! SHA3-256 and Ed25519 in this process.

use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use sha3::{Digest as _, Sha3_256};

use crate::rules::Crypto;
use crate::{Address, Block, BlockView, DATA_BYTES_MAX, Hash, Refusal};

/// SHA3-256 as the network uses it.
#[must_use]
pub fn sha3_256(bytes: &[u8]) -> Hash {
    Hash::from_bytes(Sha3_256::digest(bytes).into())
}

/// Whether `signature` is Go's `ed25519.Verify` of `message` under `key`.
///
/// `dalek`'s `verify` recomputes R and compares bytes, and refuses S ≥ L: the same equation.
pub(crate) fn ed25519(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| {
        key.verify(message, &Signature::from_bytes(signature))
            .is_ok()
    })
}

impl Address {
    /// The address of an Ed25519 key (`common/types/address.go:110-118`).
    #[must_use]
    pub fn from_key(key: &[u8]) -> Self {
        Self::from_key_digest(&sha3_256(key))
    }
}

impl BlockView<'_> {
    /// [`BlockView::check`] with this process's own primitives.
    ///
    /// # Errors
    /// The first rule that the block breaks.
    pub fn verify(&self, chain_identifier: u64) -> Result<(), Refusal> {
        self.check(chain_identifier, &mut Native)
    }
}

impl Block {
    /// Checks everything that needs no state, with this process's own primitives.
    ///
    /// # Errors
    /// The first rule that the block breaks ([`BlockView::check`]).
    pub fn check(&self, chain_identifier: u64) -> Result<(), Refusal> {
        if self.header.block_type.is_send() && self.data.len() > DATA_BYTES_MAX {
            return Err(Refusal::DataLength);
        }
        BlockView::parse(&self.to_bytes()?)?.check(chain_identifier, &mut Native)
    }

    /// The hash of the block's fields, whatever hash it claims.
    #[must_use]
    pub fn recomputed_hash(&self) -> Hash {
        let mut descendants = Sha3_256::new();
        for descendant in &self.descendants {
            descendants.update(descendant.hash.as_bytes());
        }
        let descendants = Hash::from_bytes(descendants.finalize().into());
        sha3_256(&self.header.preimage(&descendants, &sha3_256(&self.data)))
    }
}

/// This process's own primitives.
pub(crate) struct Native;

impl Crypto for Native {
    fn sha3_256(&mut self, bytes: &[u8]) -> Hash {
        sha3_256(bytes)
    }

    fn ed25519(&mut self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        ed25519(key, message, signature)
    }
}
