//! The committee as its protocol sees it: who may say what, and whether they said it.
//!
//! Every signed message that arrives is checked here and nowhere else, against the keys of the
//! creation record and the tag, network, committee, epoch, seq, view and attempt that rule A14
//! names.

use alloc::vec::Vec;

use attestation::committee::{CreationRecord, Quorum, QuorumError};
use attestation::ids::{Epoch, GroupKey, IdentityKey, Slot, View};
use state::job::{Domain, SignedFault, SignedVote};

use crate::identity::VerifyIdentity;
use crate::message::{SignedNonces, SignedPackage, SignedProposal, SignedShare, SignedStatus};

/// Members, coordinators and group key of one epoch.
#[derive(Clone, Debug)]
pub struct Committee {
    domain: Domain,
    quorum: Quorum,
    epoch: Epoch,
    group_key: GroupKey,
    members: Vec<IdentityKey>,
    coordinators: Vec<IdentityKey>,
}

impl Committee {
    /// The committee of a checked creation record, in its first epoch, with its group key.
    ///
    /// # Errors
    /// [`QuorumError`] if the record breaks rule A15.
    pub fn new(record: &CreationRecord, group_key: GroupKey) -> Result<Self, QuorumError> {
        let key = |card: &attestation::committee::Card| card.identity;
        Ok(Self {
            domain: Domain {
                network: record.network,
                committee: record.id(),
            },
            quorum: record.quorum()?,
            epoch: Epoch(1),
            group_key,
            members: record.members.iter().map(key).collect(),
            coordinators: record.coordinators.iter().map(key).collect(),
        })
    }

    /// Network and committee.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// n and t.
    #[must_use]
    pub const fn quorum(&self) -> Quorum {
        self.quorum
    }

    /// The epoch in force.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The key that attests.
    #[must_use]
    pub const fn group_key(&self) -> &GroupKey {
        &self.group_key
    }

    /// All slots, from 1.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        (1u16..).zip(&self.members).map(|(slot, _)| Slot(slot))
    }

    /// All ranks, from 0.
    pub fn ranks(&self) -> impl Iterator<Item = u16> + '_ {
        (0u16..).zip(&self.coordinators).map(|(rank, _)| rank)
    }

    /// The rank that leads a view: entry `v mod k` of the ranked list (rule A10).
    #[must_use]
    pub fn leader(&self, view: View) -> u16 {
        let count = self.coordinators.len().max(1) as u64;
        u16::try_from(view.0 % count).unwrap_or(0)
    }

    /// A member's identity key.
    #[must_use]
    pub fn member(&self, slot: Slot) -> Option<&IdentityKey> {
        self.members.get(usize::from(slot.0.checked_sub(1)?))
    }

    /// Whether a current member signed this vote in the epoch in force.
    #[must_use]
    pub fn voted(&self, vote: &SignedVote, verify: &impl VerifyIdentity) -> bool {
        vote.epoch == self.epoch
            && self.member(vote.slot).is_some_and(|key| {
                verify.verify(key, &vote.signed_bytes(&self.domain), &vote.signature)
            })
    }

    /// Whether a current member signed this fault in the epoch in force.
    #[must_use]
    pub fn faulted(&self, fault: &SignedFault, verify: &impl VerifyIdentity) -> bool {
        fault.epoch == self.epoch
            && self.member(fault.slot).is_some_and(|key| {
                verify.verify(key, &fault.signed_bytes(&self.domain), &fault.signature)
            })
    }

    /// Whether a current member signed these commitments in the epoch in force.
    #[must_use]
    pub fn committed(&self, nonces: &SignedNonces, verify: &impl VerifyIdentity) -> bool {
        nonces.epoch == self.epoch
            && self.member(nonces.slot).is_some_and(|key| {
                verify.verify(key, &nonces.signed_bytes(&self.domain), &nonces.signature)
            })
    }

    /// Whether a current member signed this share in the epoch in force.
    #[must_use]
    pub fn shared(&self, share: &SignedShare, verify: &impl VerifyIdentity) -> bool {
        share.epoch == self.epoch
            && self.member(share.slot).is_some_and(|key| {
                verify.verify(key, &share.signed_bytes(&self.domain), &share.signature)
            })
    }

    /// Whether a current member signed this status in the epoch in force.
    #[must_use]
    pub fn stands(&self, status: &SignedStatus, verify: &impl VerifyIdentity) -> bool {
        status.epoch == self.epoch
            && self.member(status.slot).is_some_and(|key| {
                verify.verify(key, &status.signed_bytes(&self.domain), &status.signature)
            })
    }

    /// Whether the leader of the proposal's view signed it in the epoch in force.
    #[must_use]
    pub fn proposed(&self, proposal: &SignedProposal, verify: &impl VerifyIdentity) -> bool {
        proposal.epoch == self.epoch
            && proposal.rank == self.leader(proposal.view)
            && self.coordinator(proposal.rank).is_some_and(|key| {
                verify.verify(
                    key,
                    &proposal.signed_bytes(&self.domain),
                    &proposal.signature,
                )
            })
    }

    /// Whether the coordinator that the package names signed it.
    #[must_use]
    pub fn packaged(&self, package: &SignedPackage, verify: &impl VerifyIdentity) -> bool {
        self.coordinator(package.rank).is_some_and(|key| {
            verify.verify(key, &package.signed_bytes(&self.domain), &package.signature)
        })
    }

    /// A coordinator's identity key.
    #[must_use]
    pub fn coordinator(&self, rank: u16) -> Option<&IdentityKey> {
        self.coordinators.get(usize::from(rank))
    }
}
