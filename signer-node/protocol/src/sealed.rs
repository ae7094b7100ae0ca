//! A guest's secrets at rest (rule B6).

use alloc::vec::Vec;
use core::fmt;

use attestation::ids::{Epoch, IdentityKey};
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

/// The key that the node derives with argon2id and hands to its guest. Zeroised on drop.
pub struct SealingKey(
    #[expect(dead_code, reason = "used with the next commit")] Zeroizing<[u8; 32]>,
);

impl SealingKey {
    /// Takes 32 derived bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(redacted)")
    }
}

/// An encoded key share. Zeroised on drop.
pub struct ShareBytes {
    epoch: Epoch,
    bytes: Zeroizing<Vec<u8>>,
}

impl ShareBytes {
    /// Takes an encoding.
    #[must_use]
    pub fn new(epoch: Epoch, bytes: Zeroizing<Vec<u8>>) -> Self {
        Self { epoch, bytes }
    }

    /// The generation of shares.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The encoding.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for ShareBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShareBytes(epoch {}, redacted)", self.epoch)
    }
}

/// Everything a guest must not lose and nobody else may see.
pub struct Secrets {
    /// Seed of the identity key.
    pub identity: Zeroizing<[u8; 32]>,
    /// X25519 static secret.
    pub channel: Zeroizing<[u8; 32]>,
    /// Secret that is mixed into every draw of entropy.
    pub entropy: Zeroizing<[u8; 32]>,
    /// Key shares, oldest epoch first.
    pub shares: Vec<ShareBytes>,
}

/// Why a sealed record cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    /// Too short or too long.
    #[error("sealed record has {0} bytes")]
    Length(usize),
    /// Not a sealed record of this version.
    #[error("not a sealed record of this version")]
    Header,
    /// Sealed under another key, i.e. another passphrase.
    #[error("wrong sealing key: is the passphrase right?")]
    WrongKey,
    /// The right key, but damaged or altered bytes.
    #[error("sealed record is damaged")]
    Damaged,
}

impl Secrets {
    /// Fresh secrets without shares.
    pub fn generate(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut secrets = Self {
            identity: Zeroizing::new([0; 32]),
            channel: Zeroizing::new([0; 32]),
            entropy: Zeroizing::new([0; 32]),
            shares: Vec::new(),
        };
        rng.fill_bytes(&mut *secrets.identity);
        rng.fill_bytes(&mut *secrets.channel);
        rng.fill_bytes(&mut *secrets.entropy);
        secrets
    }

    /// Seals the secrets.
    #[must_use]
    pub fn seal(&self, _key: &SealingKey, _rng: &mut (impl RngCore + CryptoRng)) -> Vec<u8> {
        Vec::new()
    }

    /// Opens a sealed record.
    ///
    /// # Errors
    /// [`SealedError`] says what is wrong with key or bytes.
    pub fn open(sealed: &[u8], _key: &SealingKey) -> Result<Self, SealedError> {
        Err(SealedError::Length(sealed.len()))
    }
}

/// Whose secrets a sealed record holds, without opening it.
///
/// # Errors
/// [`SealedError`] if the bytes are no sealed record.
pub fn owner(sealed: &[u8]) -> Result<IdentityKey, SealedError> {
    Err(SealedError::Length(sealed.len()))
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} shares, redacted)", self.shares.len())
    }
}
