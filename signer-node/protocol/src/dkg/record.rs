//! The public result of a key generation.

use alloc::vec::Vec;

use attestation::committee::CreationRecord;
use attestation::ids::{CommitteeId, Digest, Epoch, GroupKey, Signature};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::message::Certification;

/// The public result of a key generation: verifies offline against the creation record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Committee.
    pub committee: CommitteeId,
    /// The generation of shares: 1.
    pub epoch: Epoch,
    /// The attempt that succeeded.
    pub attempt: u64,
    /// The group key.
    pub group_key: GroupKey,
    /// Threshold t.
    pub threshold: u16,
    /// `PublicKeyPackage::serialize`: group key and every member's verifying share.
    pub public_package: ByteBuf,
    /// Session id of the attempt.
    pub session: Digest,
    /// Hash over all round-1 envelopes of the session.
    pub transcript: Digest,
    /// All members' certifications, in slot order.
    pub certificate: Vec<Certification>,
    /// Signature of the group key by all n members over the canary.
    pub canary: Signature,
}

/// Why a key record is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRecordError {
    /// Another committee's.
    #[error("key record of another committee")]
    Committee,
}

impl KeyRecord {
    /// Checks the record against the committee's creation record.
    ///
    /// # Errors
    /// [`KeyRecordError`] names the first check that failed.
    pub fn check(&self, record: &CreationRecord) -> Result<(), KeyRecordError> {
        if self.committee == record.id() {
            Ok(())
        } else {
            Err(KeyRecordError::Committee)
        }
    }
}
