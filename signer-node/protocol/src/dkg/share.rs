//! A member's key share.

use alloc::vec::Vec;
use core::fmt;

use attestation::ids::{Digest, Epoch, Slot};
use frost_core::keys::{KeyPackage, PublicKeyPackage, SigningShare, VerifyingShare};
use frost_core::{Ciphersuite, Identifier};
use serde_bytes::ByteBuf;
use state::job::Domain;
use zeroize::{Zeroize as _, Zeroizing};

use super::{KeyRecord, PendingShares};
use crate::membership::FIRST_EPOCH;
use crate::message::Certification;
use crate::sealed::ShareBytes;
use crate::suite::{GroupPublicKey, GroupSignature};

/// A share of the first epoch, which it does not write down.
const VERSION_FIRST: u8 = 1;
/// A share of a later epoch, which stands after the slot.
const VERSION_LATER: u8 = 2;

/// A member's secret share of the group key, with the public package it belongs to. It is usable
/// once a [`KeyRecord`] that it [belongs to](Self::belongs_to) exists, and pending before.
///
/// Zeroised on drop, shown redacted, encoded only for a sealed record.
pub struct KeyShare<C: Ciphersuite> {
    pub(super) slot: Slot,
    pub(super) epoch: Epoch,
    pub(super) attempt: u64,
    pub(super) session: Digest,
    pub(super) transcript: Digest,
    /// Whether the holder saw all members' certifications: it joins no other attempt any more.
    pub(super) bound: bool,
    pub(super) key: KeyPackage<C>,
    pub(super) public: PublicKeyPackage<C>,
}

/// Why bytes are not a key share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// Not the expected structure, version, suite or encoding.
    #[error("not a key share of this version and suite")]
    Structure,
    /// The secret share and the public package do not belong together.
    #[error("key share and public package do not match")]
    Mismatch,
    /// A share of another key: signed with, it would convict its member of bad shares.
    #[error("key share of another key than the committee's: the sealed secrets are an older copy")]
    OtherKey,
}

impl<C: Ciphersuite> KeyShare<C> {
    /// The share that helpers have restored to the member in `slot`; `None` if it is not that
    /// member's share of the record's key.
    pub(crate) fn restored(
        slot: Slot,
        record: &KeyRecord,
        secret: SigningShare<C>,
        public: PublicKeyPackage<C>,
    ) -> Option<Self> {
        let key = KeyPackage::new(
            Identifier::try_from(slot.0).ok()?,
            secret,
            VerifyingShare::from(secret),
            *public.verifying_key(),
            public.min_signers()?,
        );
        let share = Self {
            slot,
            epoch: record.epoch,
            attempt: record.attempt,
            session: record.session,
            transcript: record.transcript,
            bound: true,
            key,
            public,
        };
        (share.matches() && share.belongs_to(record)).then_some(share)
    }

    /// Opens the content of a sealed record.
    ///
    /// # Errors
    /// [`ShareError`] if the bytes are not a share of this suite, or its parts do not match.
    pub fn from_bytes(bytes: &ShareBytes) -> Result<Self, ShareError> {
        let share = Self::decode(bytes.bytes()).ok_or(ShareError::Structure)?;
        // frost's decoders ignore trailing bytes.
        if share.epoch != bytes.epoch() || share.to_bytes().bytes() != bytes.bytes() {
            return Err(ShareError::Structure);
        }
        if share.matches() {
            Ok(share)
        } else {
            Err(ShareError::Mismatch)
        }
    }

    /// Opens the content of a sealed record as the share of the committee's key.
    ///
    /// # Errors
    /// As [`Self::from_bytes`], and [`ShareError::OtherKey`].
    pub fn of_key(bytes: &ShareBytes, key: &KeyRecord) -> Result<Self, ShareError> {
        let shares = PendingShares::from_bytes(bytes)?;
        shares.take(key).ok_or(ShareError::OtherKey)
    }

    /// The content for a sealed record.
    #[must_use]
    pub fn to_bytes(&self) -> ShareBytes {
        let key = Zeroizing::new(self.key.serialize().expect("a key package encodes"));
        let public = self.public.serialize().expect("a public package encodes");
        let key_bytes = u16::try_from(key.len()).expect("a key package is a few hundred bytes");
        let mut bytes = Zeroizing::new(Vec::with_capacity(
            1 + 2 + 8 + 8 + 2 * Digest::LEN + 1 + 2 + key.len() + public.len(),
        ));
        let is_first = self.epoch == FIRST_EPOCH;
        bytes.push(if is_first {
            VERSION_FIRST
        } else {
            VERSION_LATER
        });
        bytes.extend_from_slice(&self.slot.0.to_be_bytes());
        if !is_first {
            bytes.extend_from_slice(&self.epoch.0.to_be_bytes());
        }
        bytes.extend_from_slice(&self.attempt.to_be_bytes());
        bytes.extend_from_slice(self.session.as_bytes());
        bytes.extend_from_slice(self.transcript.as_bytes());
        bytes.push(u8::from(self.bound));
        bytes.extend_from_slice(&key_bytes.to_be_bytes());
        bytes.extend_from_slice(&key);
        bytes.extend_from_slice(&public);
        ShareBytes::new(self.epoch, bytes)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (slot, rest) = rest.split_first_chunk()?;
        let (epoch, rest) = match *version {
            VERSION_FIRST => (FIRST_EPOCH, rest),
            VERSION_LATER => {
                let (epoch, rest) = rest.split_first_chunk()?;
                (Epoch(u64::from_be_bytes(*epoch)), rest)
            }
            _ => return None,
        };
        let (attempt, rest) = rest.split_first_chunk()?;
        let (session, rest) = rest.split_first_chunk()?;
        let (transcript, rest) = rest.split_first_chunk()?;
        let (bound, rest) = rest.split_first()?;
        let (key_bytes, rest) = rest.split_first_chunk()?;
        let key_bytes = usize::from(u16::from_be_bytes(*key_bytes));
        let (key, public) = rest.split_at_checked(key_bytes)?;
        if *bound > 1 {
            return None;
        }
        Some(Self {
            slot: Slot(u16::from_be_bytes(*slot)),
            epoch,
            attempt: u64::from_be_bytes(*attempt),
            session: Digest::from_bytes(*session),
            transcript: Digest::from_bytes(*transcript),
            bound: *bound == 1,
            key: KeyPackage::deserialize(key).ok()?,
            public: PublicKeyPackage::deserialize(public).ok()?,
        })
    }

    /// Whether secret and public parts are of one key and one member.
    pub(super) fn matches(&self) -> bool {
        let Ok(identifier) = Identifier::try_from(self.slot.0) else {
            return false;
        };
        let own = VerifyingShare::from(*self.key.signing_share());
        *self.key.identifier() == identifier
            && *self.key.verifying_share() == own
            && self.public.verifying_shares().get(&identifier) == Some(&own)
            && self.public.verifying_key() == self.key.verifying_key()
            && self.public.min_signers() == Some(*self.key.min_signers())
    }

    /// Whether this is the member's share of the record's key.
    #[must_use]
    pub fn belongs_to(&self, record: &KeyRecord) -> bool {
        self.epoch == record.epoch
            && self.session == record.session
            && self.transcript == record.transcript
            && self
                .public
                .serialize()
                .is_ok_and(|public| record.public_package == public)
    }

    /// The public record of this share's key.
    pub(super) fn record(
        &self,
        domain: &Domain,
        certificate: Vec<Certification>,
        canary: GroupSignature,
    ) -> Option<KeyRecord> {
        let group_key = self.public.verifying_key().serialize().ok()?;
        Some(KeyRecord {
            committee: domain.committee,
            epoch: self.epoch,
            attempt: self.attempt,
            group_key: GroupPublicKey::from_bytes(&group_key)?,
            threshold: self.public.min_signers()?,
            public_package: ByteBuf::from(self.public.serialize().ok()?),
            session: self.session,
            transcript: self.transcript,
            certificate,
            canary,
        })
    }

    /// The member.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// The generation of shares.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether the holder saw all members' certifications of it. Such a share is replaced by no
    /// other of its epoch: a key record of it may exist.
    #[must_use]
    pub const fn is_bound(&self) -> bool {
        self.bound
    }

    /// Destroys the secret: what is left of a share once a step under the epoch after it is
    /// attested (rule B4). Its copy at rest goes with
    /// [`Secrets::drop_shares_before`](crate::sealed::Secrets::drop_shares_before).
    pub fn destroy(mut self) {
        self.key.zeroize();
    }

    /// What FROST signs with.
    #[must_use]
    pub const fn key_package(&self) -> &KeyPackage<C> {
        &self.key
    }

    /// What FROST aggregates and checks shares with.
    #[must_use]
    pub const fn public_package(&self) -> &PublicKeyPackage<C> {
        &self.public
    }
}

impl<C: Ciphersuite> fmt::Debug for KeyShare<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "KeyShare(slot {}, epoch {}, attempt {}, redacted)",
            self.slot, self.epoch, self.attempt
        )
    }
}
