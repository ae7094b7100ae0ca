//! From a committee's creation record to its epoch in force, with proof of every change between.
//!
//! A change is proven by its plan and the key record of its ceremony: all new members certified
//! their shares, and signed the canary together under the same group key, which takes t dealers of
//! the epoch before. That a change is in force is another matter: a step carries it (rule B4).

use alloc::vec::Vec;

use attestation::codec::{self, Malformed};
use attestation::committee::{CreationRecord, RecordError};
use attestation::ids::{Epoch, GroupKey, RuntimeProfile};
use serde::{Deserialize, Serialize};
use state::system::{Cutover, Seat};

use crate::generation::Generation;
use crate::key_record::{KeyRecord, KeyRecordError};
use crate::membership::Membership;
use crate::plan::{ChangePlan, PlanError};

/// Longest encoded [`ChangeFile`] in bytes.
pub const CHANGE_FILE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A change of members that its ceremony has completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// What was planned.
    pub plan: ChangePlan,
    /// The new epoch's shares of the group key, as far as they are public.
    pub key: KeyRecord,
}

/// A committee's epochs from the first one to that in force, proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    past: Vec<Membership>,
    last: Generation,
    group_key: GroupKey,
    profile: RuntimeProfile,
    /// Whether the committee has a second key, for EVM chains.
    evm: bool,
}

impl Lineage {
    /// The first epoch of a committee whose creation record the caller has checked.
    ///
    /// # Errors
    /// [`KeyRecordError`] if the key record is not that of this committee's key generation.
    pub fn new(record: &CreationRecord, key: &KeyRecord) -> Result<Self, KeyRecordError> {
        Ok(Self {
            past: Vec::new(),
            last: Generation::first(record, key)?,
            group_key: key.ed25519_key()?,
            profile: record.profile,
            evm: record.evm,
        })
    }

    /// The epoch that all these changes lead to, one after the other.
    ///
    /// # Errors
    /// [`KeyRecordError`] of the first that proves nothing.
    pub fn through<'a>(
        mut self,
        changes: impl IntoIterator<Item = &'a EpochRecord>,
    ) -> Result<Self, KeyRecordError> {
        for change in changes {
            self = self.after(change)?;
        }
        Ok(self)
    }

    /// The epoch after this one.
    ///
    /// # Errors
    /// [`KeyRecordError`] if the change proves nothing here.
    pub fn after(&self, change: &EpochRecord) -> Result<Self, KeyRecordError> {
        Ok(Self {
            past: self.all().cloned().collect(),
            last: self.last.after(change)?,
            group_key: self.group_key,
            profile: change.plan.profile,
            evm: self.evm,
        })
    }

    /// What the members of a planned epoch would be.
    ///
    /// # Errors
    /// [`PlanError`] if the plan breaks a rule, or changes another epoch or key than this.
    pub fn planned(&self, plan: &ChangePlan) -> Result<Membership, PlanError> {
        if self.evm {
            return Err(PlanError::SecondKey);
        }
        self.last.planned(plan)
    }

    /// The members of every epoch so far, that in force last.
    pub fn all(&self) -> impl Iterator<Item = &Membership> {
        self.past.iter().chain([self.last.members()])
    }

    /// The members.
    #[must_use]
    pub const fn members(&self) -> &Membership {
        self.last.members()
    }

    /// The key, and whose shares of it there are.
    #[must_use]
    pub const fn key(&self) -> &KeyRecord {
        self.last.key()
    }

    /// The key that attests, the same in every epoch.
    #[must_use]
    pub const fn group_key(&self) -> GroupKey {
        self.group_key
    }

    /// Engine, gas schedule, host ABI and limits of the epoch's steps.
    #[must_use]
    pub const fn profile(&self) -> RuntimeProfile {
        self.profile
    }

    /// The epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.last.epoch()
    }
}

impl EpochRecord {
    /// The one request that puts this change into force (rule B4).
    #[must_use]
    pub fn cutover(&self) -> Cutover {
        let seats = self.plan.members.iter();
        let seats = seats.map(|member| Seat {
            slot: member.slot,
            payout: member.card.payout,
        });
        Cutover {
            base: self.plan.base,
            epoch: self.plan.epoch,
            plan: self.plan.digest(),
            package: self.key.package_digest(),
            threshold: self.plan.threshold,
            profile: self.plan.profile,
            members: seats.collect(),
        }
    }
}

/// All that an operator needs to judge a change, and a new member to join: what the committee is,
/// how it came to its epoch in force, and what is to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeFile {
    /// The creation record.
    pub record: CreationRecord,
    /// The key record of its key generation.
    pub key: KeyRecord,
    /// Changes that are in force, in order.
    pub epochs: Vec<EpochRecord>,
    /// What is to change.
    pub plan: ChangePlan,
}

/// Why a file is no change to approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeFileError {
    /// The bytes are not a change file.
    #[error("change file: {0}")]
    Malformed(#[from] Malformed),
    /// The creation record breaks a rule.
    #[error("creation record: {0}")]
    Record(#[from] RecordError),
    /// A change that is said to be in force is not proven.
    #[error("{0}")]
    Key(#[from] KeyRecordError),
    /// The plan breaks a rule.
    #[error("plan: {0}")]
    Plan(#[from] PlanError),
    /// So many changes are in force that no file can prove them all.
    #[error(
        "the committee has changed its members {epochs} times, and what proves that takes {bytes} \
         bytes, while a change file has at most {CHANGE_FILE_BYTES_MAX}: no operator could read it"
    )]
    TooLong {
        /// Changes in force.
        epochs: usize,
        /// Length of the file.
        bytes: usize,
    },
}

impl ChangeFile {
    /// Decodes a file. [`Self::check`] it before use.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are not a change file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        codec::decode(bytes, CHANGE_FILE_BYTES_MAX)
    }

    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Checks everything in the file; the epoch in force, and the members that are planned.
    ///
    /// # Errors
    /// [`ChangeFileError`] names the first thing that is wrong.
    pub fn check(&self) -> Result<(Lineage, Membership), ChangeFileError> {
        let (epochs, bytes) = (self.epochs.len(), self.to_bytes().len());
        if bytes > CHANGE_FILE_BYTES_MAX {
            return Err(ChangeFileError::TooLong { epochs, bytes });
        }
        self.record.check()?;
        let base = Lineage::new(&self.record, &self.key)?.through(&self.epochs)?;
        let planned = base.planned(&self.plan)?;
        Ok((base, planned))
    }
}
