//! Whose share is repaired, and by whom.

use alloc::vec::Vec;

use attestation::codec::{self, Malformed};
use attestation::ids::{CommitteeId, Digest, Epoch, NetworkId, Slot};
use attestation::tags;
use frost_core::Ciphersuite;
use serde::{Deserialize, Serialize};
use state::job::Domain;

use crate::membership::Membership;

/// Longest encoded plan in bytes.
pub const REPAIR_PLAN_BYTES_MAX: usize = 4 * 1024;

/// A repair of one member's share of one group key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairPlan {
    /// Network.
    pub network: NetworkId,
    /// Committee.
    pub committee: CommitteeId,
    /// The epoch of the lost share.
    pub epoch: Epoch,
    /// Digest of its public key package
    /// ([`KeyRecord::package_digest`](crate::dkg::KeyRecord::package_digest)).
    pub key: Digest,
    /// Members that help, at least t, rising.
    pub helpers: Vec<Slot>,
    /// The member that lost its share.
    pub lost: Slot,
    /// Tells the tries of one repair apart, from 1.
    pub attempt: u64,
}

/// Why a plan of a repair is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepairPlanError {
    /// Made for another network, committee or epoch, or attempt 0.
    #[error("plan of another network, committee or epoch, or of attempt 0")]
    Epoch,
    /// The slot is no member's.
    #[error("slot {0} is no member's")]
    Lost(Slot),
    /// A helper is no other member, or out of order.
    #[error("helper {0} is no other member, or out of order")]
    Helper(Slot),
    /// Fewer helpers than the threshold.
    #[error("{helpers} helpers, the threshold is {threshold}")]
    TooFewHelpers {
        /// Helpers.
        helpers: usize,
        /// Threshold.
        threshold: u16,
    },
}

impl RepairPlan {
    /// Decodes a plan. [`Self::check`] it before use.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are not a plan.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        codec::decode(bytes, REPAIR_PLAN_BYTES_MAX)
    }

    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Checks the plan against the members of its epoch.
    ///
    /// # Errors
    /// [`RepairPlanError`] names the first check that failed.
    pub fn check(&self, members: &Membership) -> Result<(), RepairPlanError> {
        if self.network != members.domain().network
            || self.committee != members.domain().committee
            || self.epoch != members.epoch()
            || self.attempt == 0
        {
            return Err(RepairPlanError::Epoch);
        }
        if members.member(self.lost).is_none() {
            return Err(RepairPlanError::Lost(self.lost));
        }
        let mut last = Slot(0);
        for helper in &self.helpers {
            if *helper <= last || *helper == self.lost || members.member(*helper).is_none() {
                return Err(RepairPlanError::Helper(*helper));
            }
            last = *helper;
        }
        if self.helpers.len() < usize::from(members.threshold()) {
            return Err(RepairPlanError::TooFewHelpers {
                helpers: self.helpers.len(),
                threshold: members.threshold(),
            });
        }
        Ok(())
    }

    /// Session id: every field, and the suite.
    #[must_use]
    pub fn session<C: Ciphersuite>(&self) -> Digest {
        let domain = Domain {
            network: self.network,
            committee: self.committee,
        };
        let layout = domain
            .layout(tags::REPAIR_SESSION)
            .bytes(C::ID.as_bytes())
            .number(self.epoch.0)
            .fixed(self.key.as_bytes())
            .number(self.lost.0)
            .number(self.attempt)
            .number(self.helpers.len() as u64);
        let add = |layout: codec::Layout, helper: &Slot| layout.number(helper.0);
        self.helpers.iter().fold(layout, add).digest()
    }
}
