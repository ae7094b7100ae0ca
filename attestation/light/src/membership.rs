//! Who is in a committee in one epoch.
//!
//! A slot belongs to one member while the group key lives, also after that member has left: a
//! share is the value of the epoch's polynomial at the slot, and a copy of it may still exist.

use alloc::collections::BTreeMap;

use attestation::committee::{Card, CreationRecord};
use attestation::conditions::Conditions;
use attestation::ids::{Epoch, Slot};
use state::job::Domain;

/// The epoch of a committee's first shares.
pub const FIRST_EPOCH: Epoch = Epoch(1);

/// Members and threshold of one epoch. Comes from a checked creation record or a checked
/// [`ChangePlan`](crate::plan::ChangePlan), hence satisfies rule A15.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub(crate) domain: Domain,
    pub(crate) epoch: Epoch,
    pub(crate) threshold: u16,
    pub(crate) members: BTreeMap<Slot, Card>,
    /// Highest slot that any epoch has had.
    pub(crate) slot_max: Slot,
    /// What the creation record demands of members, in every epoch.
    pub(crate) conditions: Conditions,
}

impl Membership {
    /// The members of a committee's first epoch; the caller has checked the record.
    #[must_use]
    pub fn of(record: &CreationRecord) -> Self {
        let members: BTreeMap<_, _> = record.slots().zip(record.members.iter().cloned()).collect();
        let slot_max = members.keys().copied().max().unwrap_or(Slot(0));
        Self {
            domain: Domain {
                network: record.network,
                committee: record.id(),
            },
            epoch: FIRST_EPOCH,
            threshold: record.threshold,
            members,
            slot_max,
            conditions: record.conditions,
        }
    }

    /// Members and threshold that the caller has checked against rule A15, of whom nothing is demanded;
    /// `slot_max` is the highest slot that any epoch has had.
    #[must_use]
    pub fn of_epoch(
        domain: Domain,
        epoch: Epoch,
        threshold: u16,
        members: impl IntoIterator<Item = (Slot, Card)>,
        slot_max: Slot,
    ) -> Self {
        Self {
            domain,
            epoch,
            threshold,
            members: members.into_iter().collect(),
            slot_max,
            conditions: Conditions::default(),
        }
    }

    /// The same under these conditions, which the creation record fixes.
    #[must_use]
    pub const fn under(mut self, conditions: Conditions) -> Self {
        self.conditions = conditions;
        self
    }

    /// What the creation record demands of members.
    #[must_use]
    pub const fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Network and committee.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Threshold t.
    #[must_use]
    pub const fn threshold(&self) -> u16 {
        self.threshold
    }

    /// Highest slot that any epoch so far has had: new members get those after it.
    #[must_use]
    pub const fn slot_max(&self) -> Slot {
        self.slot_max
    }

    /// All slots, rising.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.members.keys().copied()
    }

    /// The card of the member in `slot`.
    #[must_use]
    pub fn member(&self, slot: Slot) -> Option<&Card> {
        self.members.get(&slot)
    }

    /// All members, slots rising.
    pub fn cards(&self) -> impl Iterator<Item = (Slot, &Card)> {
        self.members.iter().map(|(slot, card)| (*slot, card))
    }

    /// n.
    #[must_use]
    pub fn count(&self) -> usize {
        self.members.len()
    }
}
