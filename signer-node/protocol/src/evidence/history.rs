//! From the creation record to the epoch by which signed words are measured.

use alloc::vec::Vec;

use attestation::committee::CreationRecord;
use attestation::ids::Epoch;
use light_client::Generation;
use serde::{Deserialize, Serialize};

use super::EvidenceError;
use crate::dkg::KeyRecord;
use crate::lineage::EpochRecord;

/// The committee's key, and the changes of members up to one epoch.
///
/// Each link is proven by the one before, the first by the creation record: all members of an epoch
/// certified its shares, and t of the epoch before dealt them. So nobody is measured by a key that
/// it has not itself certified, or under a plan that it has not itself signed. That an epoch came
/// into force is in no file: it takes the same t members to attest that as to deal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The key record of the key generation.
    pub key: KeyRecord,
    /// The changes after the first epoch, in order.
    pub epochs: Vec<EpochRecord>,
}

impl History {
    /// The part that ends with this epoch; `None` if no change here leads to it.
    #[must_use]
    pub fn up_to(&self, epoch: Epoch) -> Option<Self> {
        let mut part = Self {
            key: self.key.clone(),
            epochs: Vec::new(),
        };
        if epoch == self.key.epoch {
            return Some(part);
        }
        let count = self
            .epochs
            .iter()
            .position(|change| change.plan.epoch == epoch)?;
        part.epochs = self
            .epochs
            .iter()
            .take(count.saturating_add(1))
            .cloned()
            .collect();
        Some(part)
    }

    /// Members and key of its last epoch, which is to be this one.
    pub(super) fn check(
        &self,
        record: &CreationRecord,
        epoch: Epoch,
    ) -> Result<Generation, EvidenceError> {
        let last = self.epochs.last().map(|change| change.plan.epoch);
        if last.unwrap_or(self.key.epoch) != epoch {
            return Err(EvidenceError::Epoch(epoch));
        }
        let mut generation = Generation::first(record, &self.key).map_err(EvidenceError::Key)?;
        for change in &self.epochs {
            generation = generation.after(change).map_err(EvidenceError::Key)?;
        }
        Ok(generation)
    }
}
