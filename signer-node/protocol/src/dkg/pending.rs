//! Shares of a ceremony that has not come to its key yet.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::mem;

use attestation::ids::Digest;
use frost_core::Ciphersuite;
use light_client::key_record::certified;
use zeroize::Zeroizing;

use super::{KeyRecord, KeyShare, ShareError};
use crate::sealed::{SHARE_BYTES_MAX, ShareBytes};

/// Several shares, each with its length (u16) before it. One alone stands as it is.
const VERSION_MANY: u8 = 3;

/// A member's shares of one ceremony: one of each attempt that it may have certified, oldest first.
/// Until it is bound to an attempt, whoever holds all certifications of an earlier one can still
/// bind others to that; a member that had dropped its share would part itself from them.
pub struct PendingShares<C: Ciphersuite>(Vec<KeyShare<C>>);

impl<C: Ciphersuite> PendingShares<C> {
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// Opens the content of a sealed record.
    ///
    /// # Errors
    /// [`ShareError`] if the bytes are not shares of this suite, or parts of one do not match.
    pub fn from_bytes(bytes: &ShareBytes) -> Result<Self, ShareError> {
        let Some((&VERSION_MANY, mut rest)) = bytes.bytes().split_first() else {
            return Ok(Self(vec![KeyShare::from_bytes(bytes)?]));
        };
        let mut shares = Vec::<KeyShare<C>>::new();
        while !rest.is_empty() {
            let (length, after) = rest.split_first_chunk().ok_or(ShareError::Structure)?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (share, after) = after
                .split_at_checked(length)
                .ok_or(ShareError::Structure)?;
            let share = ShareBytes::new(bytes.epoch(), Zeroizing::new(share.to_vec()));
            let share = KeyShare::from_bytes(&share)?;
            let follows = |last: &KeyShare<C>| last.attempt < share.attempt;
            if share.bound || shares.last().is_some_and(|last| !follows(last)) {
                return Err(ShareError::Structure);
            }
            shares.push(share);
            rest = after;
        }
        match shares.len() {
            0 | 1 => Err(ShareError::Structure),
            _ => Ok(Self(shares)),
        }
    }

    /// The content for a sealed record; `None` if there is no share.
    #[must_use]
    pub fn to_bytes(&self) -> Option<ShareBytes> {
        let last = self.last()?;
        if self.0.len() == 1 {
            return Some(last.to_bytes());
        }
        let all: Vec<ShareBytes> = self.0.iter().map(KeyShare::to_bytes).collect();
        let mut bytes = Zeroizing::new(Vec::with_capacity(encoded_len(&all)));
        bytes.push(VERSION_MANY);
        for share in &all {
            let length = u16::try_from(share.bytes().len()).expect("a share is within its bound");
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(share.bytes());
        }
        Some(ShareBytes::new(last.epoch, bytes))
    }

    /// The share of the latest attempt.
    #[must_use]
    pub fn last(&self) -> Option<&KeyShare<C>> {
        self.0.last()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &KeyShare<C>> {
        self.0.iter()
    }

    /// The share of an attempt.
    pub(super) fn of(&self, session: &Digest) -> Option<&KeyShare<C>> {
        self.0.iter().find(|share| share.session == *session)
    }

    /// What this member certifies of an attempt.
    pub(super) fn digest(&self, session: &Digest) -> Option<Digest> {
        self.of(session).map(KeyShare::certified)
    }

    /// Adds the share of a later attempt. Of more than a sealed record holds the oldest goes.
    pub(super) fn put(&mut self, share: KeyShare<C>) {
        self.0.push(share);
        let too_long = |shares: &[KeyShare<C>]| {
            let all: Vec<ShareBytes> = shares.iter().map(KeyShare::to_bytes).collect();
            encoded_len(&all) > SHARE_BYTES_MAX
        };
        while self.0.len() > 1 && too_long(&self.0) {
            self.0.remove(0);
        }
    }

    /// Keeps the share of this attempt alone, bound; says whether it was so before.
    pub(super) fn bind(&mut self, session: &Digest) -> bool {
        self.0.retain(|share| share.session == *session);
        let share = self.0.first_mut();
        share.is_some_and(|share| mem::replace(&mut share.bound, true))
    }

    /// The member's share of the record's key.
    #[must_use]
    pub fn take(self, record: &KeyRecord) -> Option<KeyShare<C>> {
        self.0.into_iter().find(|share| share.belongs_to(record))
    }
}

impl<C: Ciphersuite> From<KeyShare<C>> for PendingShares<C> {
    fn from(share: KeyShare<C>) -> Self {
        Self(vec![share])
    }
}

impl<C: Ciphersuite> fmt::Debug for PendingShares<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

/// Length of several shares together.
fn encoded_len(shares: &[ShareBytes]) -> usize {
    let each = shares.iter().map(|share| 2 + share.bytes().len());
    1 + each.sum::<usize>()
}

impl<C: Ciphersuite> KeyShare<C> {
    /// What its holder certifies.
    pub(super) fn certified(&self) -> Digest {
        let public = self.public.serialize().expect("a public package encodes");
        certified(&self.session, &self.transcript, &public)
    }
}
