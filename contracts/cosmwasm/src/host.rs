//! What the chain does for a contract.

use alloc::string::String;
use alloc::vec::Vec;

use attestation::group::VerifyGroup;
use attestation::ids::{Digest, GroupKey, Signature};
use attestation::receipt;

/// The chain, as one call sees it. What is written is dropped if the call fails.
pub trait Host {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// Sets the value of a key.
    fn set(&self, key: &[u8], value: &[u8]);

    /// Whether an Ed25519 signature verifies, by the rule of ZIP 215.
    fn ed25519_verify(&self, message: &[u8], signature: &[u8; 64], key: &[u8; 32]) -> bool;

    /// Whether a text is an address of this chain, in its normal form.
    fn is_address(&self, human: &str) -> bool;

    /// The bytes of an address.
    fn canonical(&self, human: &str) -> Option<Vec<u8>>;

    /// An address from its bytes.
    fn human(&self, canonical: &[u8]) -> Option<String>;
}

/// A checked group key, whose signatures the chain verifies.
///
/// The chain's rule takes more signatures than the strict one: those whose R has a part of small
/// order, or a second encoding. Only the holder of the key can make one, that is t members
/// together, and what is accepted is named by commit and root, never by the signature.
pub struct HostKey<'a, H> {
    key: GroupKey,
    id: Digest,
    host: &'a H,
}

impl<'a, H: Host> HostKey<'a, H> {
    /// A key that passed [`GroupKey::check`] when it was registered.
    pub fn new(key: GroupKey, host: &'a H) -> Self {
        Self {
            id: receipt::key_id(&key),
            key,
            host,
        }
    }
}

impl<H: Host> VerifyGroup for HostKey<'_, H> {
    fn key(&self) -> &GroupKey {
        &self.key
    }

    fn id(&self) -> &Digest {
        &self.id
    }

    fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        self.host
            .ed25519_verify(message, signature.as_bytes(), self.key.as_bytes())
    }
}
