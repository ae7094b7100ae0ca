//! A guest's secrets at rest (rule B6): identity key, channel key, entropy secret, key shares.
//!
//! `tag 8 ‖ owner 32 ‖ check 16 ‖ nonce 24 ‖ XChaCha20-Poly1305 of the secrets`, everything before
//! the ciphertext bound as associated data. The node derives the sealing key from the operator's
//! passphrase with argon2id; the guest never sees the passphrase and the node never the secrets.
//! A second list of shares, of the key for EVM chains, follows the first where there is one.
//! `check` is derived from the sealing key alone: it tells a wrong passphrase from a damaged file,
//! and commits the file to one key. It helps a guesser no more than the Poly1305 tag does.
//!
//! A seal does not show its age: an older sealed record opens like the newest one. The register
//! and its peers are what notices a restored disk (rule C2).

use alloc::vec::Vec;
use core::fmt;

use attestation::ids::{Epoch, IdentityKey};
use attestation::tags;
use chacha20poly1305::aead::{AeadInPlace as _, KeyInit as _};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use rand_core::{CryptoRng, RngCore};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::channel::ChannelSecret;
use crate::identity::{Ed25519Identity, SignIdentity as _};

/// Most key shares in one record.
pub const SHARES_MAX: usize = 16;
/// Longest encoded key share in bytes: a public package of 150 members.
pub const SHARE_BYTES_MAX: usize = 16 * 1024;
/// Longest sealed record in bytes.
pub const SEALED_BYTES_MAX: usize = HEADER_BYTES + FIXED_BYTES + KEYS * LIST_BYTES_MAX + TAG_BYTES;

const TAG_OFFSET: usize = 8;
const CHECK_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const HEADER_BYTES: usize = TAG_OFFSET + IdentityKey::LEN + CHECK_BYTES + NONCE_BYTES;
/// Three secrets.
const FIXED_BYTES: usize = 3 * 32;
/// Number of shares, u16.
const COUNT_BYTES: usize = 2;
/// Epoch u64, length u16.
const SHARE_HEADER_BYTES: usize = 8 + 2;
/// Group keys that a committee may have.
const KEYS: usize = 2;
const LIST_BYTES_MAX: usize = COUNT_BYTES + SHARES_MAX * (SHARE_HEADER_BYTES + SHARE_BYTES_MAX);

const _: () = assert!(SHARE_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(SHARES_MAX <= u16::MAX as usize);

/// The key that the node derives with argon2id and hands to its guest. Zeroised on drop.
pub struct SealingKey(Zeroizing<[u8; 32]>);

impl SealingKey {
    /// Takes 32 derived bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    fn derive<const N: usize>(&self, purpose: &[u8]) -> Zeroizing<[u8; N]> {
        let mut derived = Zeroizing::new([0; N]);
        Hkdf::<Sha256>::new(Some(&tags::SEALED.0), &*self.0)
            .expand(purpose, &mut *derived)
            .expect("32 bytes are fewer than HKDF-SHA-256's limit of 8160");
        derived
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.derive::<32>(b"seal")).into())
    }

    fn check(&self) -> Zeroizing<[u8; CHECK_BYTES]> {
        self.derive(b"check")
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
    /// Takes an encoding of at most [`SHARE_BYTES_MAX`] bytes; a longer one cannot be sealed.
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
    /// Shares of the key that attests.
    shares: Shares,
    /// Shares of the key for EVM chains.
    evm_shares: Shares,
}

/// Shares of one key, one per epoch, epochs rising.
#[derive(Default)]
struct Shares(Vec<ShareBytes>);

/// Why secrets cannot be sealed or a sealed record cannot be opened.
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
    #[error("sealed record is damaged: restore it from a copy")]
    Damaged,
    /// A share longer than [`SHARE_BYTES_MAX`], or more than [`SHARES_MAX`] of them.
    #[error("too many or too long key shares for a sealed record")]
    Shares,
}

/// A member has as many shares of the key that attests as a sealed record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this member holds {SHARES_MAX} shares, of the epoch in force and of plans above it, and has no \
     room for one of epoch {0}: complete one of those plans, whose file is approved again for that, \
     and put it into force, which destroys the shares before it; or begin a new committee"
)]
pub struct NoRoom(pub Epoch);

impl Secrets {
    /// Fresh secrets without shares.
    pub fn generate(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut secrets = Self {
            identity: Zeroizing::new([0; 32]),
            channel: Zeroizing::new([0; 32]),
            entropy: Zeroizing::new([0; 32]),
            shares: Shares::default(),
            evm_shares: Shares::default(),
        };
        rng.fill_bytes(&mut *secrets.identity);
        rng.fill_bytes(&mut *secrets.channel);
        rng.fill_bytes(&mut *secrets.entropy);
        secrets
    }

    /// The identity key.
    #[must_use]
    pub fn identity(&self) -> Ed25519Identity {
        Ed25519Identity::from_seed(&self.identity)
    }

    /// The channel key.
    #[must_use]
    pub fn channel(&self) -> ChannelSecret {
        ChannelSecret::from_bytes(&self.channel)
    }

    /// All shares of the key that attests, oldest epoch first.
    #[must_use]
    pub fn shares(&self) -> &[ShareBytes] {
        &self.shares.0
    }

    /// All shares of the key for EVM chains, oldest epoch first.
    #[must_use]
    pub fn evm_shares(&self) -> &[ShareBytes] {
        &self.evm_shares.0
    }

    /// The share of an epoch of the key that attests.
    #[must_use]
    pub fn share(&self, epoch: Epoch) -> Option<&ShareBytes> {
        self.shares().iter().find(|share| share.epoch == epoch)
    }

    /// The share of an epoch of the key for EVM chains.
    #[must_use]
    pub fn evm_share(&self, epoch: Epoch) -> Option<&ShareBytes> {
        self.evm_shares().iter().find(|share| share.epoch == epoch)
    }

    /// Adds a share of the key that attests in place of the one of its epoch, if any.
    ///
    /// # Errors
    /// [`SealedError::Shares`] if it does not fit; nothing changes then.
    pub fn put_share(&mut self, share: ShareBytes) -> Result<(), SealedError> {
        self.shares.put(share)
    }

    /// Whether there is room for a share of this epoch.
    ///
    /// # Errors
    /// [`NoRoom`] if there is none.
    pub fn room_for(&self, epoch: Epoch) -> Result<(), NoRoom> {
        match self.shares.has_room(epoch) {
            true => Ok(()),
            false => Err(NoRoom(epoch)),
        }
    }

    /// Adds a share of the key for EVM chains in place of the one of its epoch, if any.
    ///
    /// # Errors
    /// [`SealedError::Shares`] if it does not fit; nothing changes then.
    pub fn put_evm_share(&mut self, share: ShareBytes) -> Result<(), SealedError> {
        self.evm_shares.put(share)
    }

    /// Destroys the shares of epochs before `epoch` (rule B4).
    pub fn drop_shares_before(&mut self, epoch: Epoch) {
        for shares in [&mut self.shares, &mut self.evm_shares] {
            shares.0.retain(|share| share.epoch >= epoch);
        }
    }

    /// Seals the secrets under a fresh nonce.
    #[must_use]
    pub fn seal(&self, key: &SealingKey, rng: &mut (impl RngCore + CryptoRng)) -> Vec<u8> {
        let mut nonce = XNonce::default();
        rng.fill_bytes(&mut nonce);
        let mut secrets = self.encode();
        let mut sealed = Vec::with_capacity(HEADER_BYTES + secrets.len() + TAG_BYTES);
        sealed.extend_from_slice(&tags::SEALED.0);
        sealed.extend_from_slice(self.identity().key().as_bytes());
        sealed.extend_from_slice(&*key.check());
        sealed.extend_from_slice(&nonce);
        let tag = key
            .cipher()
            .encrypt_in_place_detached(&nonce, &sealed, &mut secrets)
            .expect("a record is far shorter than the cipher's limit of 256 GiB");
        sealed.extend_from_slice(&secrets);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens a sealed record.
    ///
    /// # Errors
    /// [`SealedError`] says what is wrong with key or bytes.
    pub fn open(sealed: &[u8], key: &SealingKey) -> Result<Self, SealedError> {
        let claimed = owner(sealed)?;
        let length = SealedError::Length(sealed.len());
        let (header, body) = sealed.split_at_checked(HEADER_BYTES).ok_or(length)?;
        let (secrets, tag) = body.split_last_chunk::<TAG_BYTES>().ok_or(length)?;
        let check_at = TAG_OFFSET + IdentityKey::LEN;
        let (_, check_and_nonce) = header.split_at_checked(check_at).ok_or(length)?;
        let (check, nonce) = check_and_nonce
            .split_at_checked(CHECK_BYTES)
            .ok_or(length)?;
        if !bool::from(check.ct_eq(&*key.check())) {
            return Err(SealedError::WrongKey);
        }
        let mut secrets = Zeroizing::new(secrets.to_vec());
        key.cipher()
            .decrypt_in_place_detached(
                XNonce::from_slice(nonce),
                header,
                &mut secrets,
                Tag::from_slice(tag),
            )
            .map_err(|_| SealedError::Damaged)?;
        let opened = Self::decode(&secrets).ok_or(SealedError::Damaged)?;
        if opened.identity().key() == claimed {
            Ok(opened)
        } else {
            Err(SealedError::Damaged)
        }
    }

    /// Capacity first, so that no reallocation leaves a copy behind.
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let lists = self.shares.bytes_len() + self.evm_shares.bytes_len();
        let mut bytes = Zeroizing::new(Vec::with_capacity(FIXED_BYTES + lists));
        bytes.extend_from_slice(&*self.identity);
        bytes.extend_from_slice(&*self.channel);
        bytes.extend_from_slice(&*self.entropy);
        self.shares.encode(&mut bytes);
        if !self.evm_shares.0.is_empty() {
            self.evm_shares.encode(&mut bytes);
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (identity, rest) = bytes.split_first_chunk()?;
        let (channel, rest) = rest.split_first_chunk()?;
        let (entropy, rest) = rest.split_first_chunk()?;
        let (shares, rest) = Shares::decode(rest)?;
        let (evm_shares, rest) = match rest {
            [] => (Shares::default(), rest),
            _ => Shares::decode(rest).filter(|(shares, _)| !shares.0.is_empty())?,
        };
        rest.is_empty().then(|| Self {
            identity: Zeroizing::new(*identity),
            channel: Zeroizing::new(*channel),
            entropy: Zeroizing::new(*entropy),
            shares,
            evm_shares,
        })
    }
}

impl Shares {
    fn has_room(&self, epoch: Epoch) -> bool {
        let others = self.0.iter().filter(|old| old.epoch != epoch);
        others.count() < SHARES_MAX
    }

    fn put(&mut self, share: ShareBytes) -> Result<(), SealedError> {
        if share.bytes.len() > SHARE_BYTES_MAX || !self.has_room(share.epoch) {
            return Err(SealedError::Shares);
        }
        self.0.retain(|old| old.epoch != share.epoch);
        self.0.push(share);
        self.0.sort_by_key(|share| share.epoch);
        Ok(())
    }

    fn bytes_len(&self) -> usize {
        let shares = self.0.iter();
        let shares = shares.map(|share| SHARE_HEADER_BYTES + share.bytes.len());
        COUNT_BYTES + shares.sum::<usize>()
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let length = |length: usize| u16::try_from(length).expect("put bounds both");
        bytes.extend_from_slice(&length(self.0.len()).to_be_bytes());
        for share in &self.0 {
            bytes.extend_from_slice(&share.epoch.0.to_be_bytes());
            bytes.extend_from_slice(&length(share.bytes.len()).to_be_bytes());
            bytes.extend_from_slice(&share.bytes);
        }
    }

    /// The list at the beginning of these bytes, and what follows it.
    fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (count, mut rest) = bytes.split_first_chunk()?;
        let mut shares = Self::default();
        for _ in 0..u16::from_be_bytes(*count) {
            let (epoch, after) = rest.split_first_chunk()?;
            let (length, after) = after.split_first_chunk()?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (share, after) = after.split_at_checked(length)?;
            let epoch = Epoch(u64::from_be_bytes(*epoch));
            if shares.0.last().is_some_and(|last| last.epoch >= epoch) {
                return None;
            }
            let share = ShareBytes::new(epoch, Zeroizing::new(share.to_vec()));
            shares.put(share).ok()?;
            rest = after;
        }
        Some((shares, rest))
    }
}

/// Whose secrets a sealed record says it holds, without opening it.
///
/// # Errors
/// [`SealedError`] if the bytes are no sealed record.
pub fn owner(sealed: &[u8]) -> Result<IdentityKey, SealedError> {
    let length = SealedError::Length(sealed.len());
    if sealed.len() < HEADER_BYTES + FIXED_BYTES + COUNT_BYTES + TAG_BYTES
        || sealed.len() > SEALED_BYTES_MAX
    {
        return Err(length);
    }
    let (tag, rest) = sealed.split_first_chunk().ok_or(length)?;
    if *tag != tags::SEALED.0 {
        return Err(SealedError::Header);
    }
    let owner = rest.first_chunk().ok_or(length)?;
    Ok(IdentityKey::from_bytes(*owner))
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shares = self.shares.0.len() + self.evm_shares.0.len();
        write!(f, "Secrets({shares} shares, redacted)")
    }
}

#[cfg(test)]
mod tests;
