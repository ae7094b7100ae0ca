//! One epoch's members and key, proven.

use attestation::committee::CreationRecord;
use attestation::ids::{Digest, Epoch};

use crate::identity::Ed25519Verify;
use crate::key_record::{KeyRecord, KeyRecordError};
use crate::lineage::EpochRecord;
use crate::membership::Membership;
use crate::plan::{ChangePlan, PlanError};

/// A committee's members and key in one epoch, proven by the epoch before or by the creation
/// record. All that has to be kept to prove the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    members: Membership,
    key: KeyRecord,
}

impl Generation {
    /// The first epoch of a committee whose creation record the caller has checked.
    ///
    /// # Errors
    /// [`KeyRecordError`] if the key record is not that of this committee's key generation.
    pub fn first(record: &CreationRecord, key: &KeyRecord) -> Result<Self, KeyRecordError> {
        key.check(record)?;
        Ok(Self {
            members: Membership::of(record),
            key: key.clone(),
        })
    }

    /// An epoch that was proven before, and kept: whoever kept it is trusted for its members. That
    /// members and key belong together is checked; `plan` is the digest of the change that the
    /// epoch comes from.
    ///
    /// # Errors
    /// [`KeyRecordError`] if the key record is not one that these members made.
    pub(crate) fn kept(
        members: Membership,
        key: KeyRecord,
        plan: &Digest,
    ) -> Result<Self, KeyRecordError> {
        key.check_kept(&members, plan)?;
        Ok(Self { members, key })
    }

    /// The epoch after this one.
    ///
    /// # Errors
    /// [`KeyRecordError`] if the change proves nothing here.
    pub fn after(&self, change: &EpochRecord) -> Result<Self, KeyRecordError> {
        let members = change
            .key
            .check_change(&change.plan, &self.members, &self.key)?;
        Ok(Self {
            members,
            key: change.key.clone(),
        })
    }

    /// What the members of a planned epoch would be.
    ///
    /// # Errors
    /// [`PlanError`] if the plan breaks a rule, or changes another epoch or key than this.
    pub fn planned(&self, plan: &ChangePlan) -> Result<Membership, PlanError> {
        if plan.keys != [self.key.package_digest()] {
            return Err(PlanError::Keys);
        }
        plan.check(&self.members, &Ed25519Verify)
    }

    /// The members.
    #[must_use]
    pub const fn members(&self) -> &Membership {
        &self.members
    }

    /// The key, and whose shares of it there are.
    #[must_use]
    pub const fn key(&self) -> &KeyRecord {
        &self.key
    }

    /// The epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.members.epoch()
    }
}
