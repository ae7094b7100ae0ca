//! The committee as its protocol sees it: who may say what, and whether they said it.
//!
//! Every signed message that arrives is checked here and nowhere else, against the keys of the
//! creation record and the tag, network, committee, epoch, seq, view and attempt that rule A14
//! names.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use attestation::committee::{Card, CreationRecord, Quorum, QuorumError};
use attestation::ids::{Epoch, GroupKey, IdentityKey, Slot, View};
use state::job::{Domain, SignedFault, SignedVote};
use state::pull::SignedObservation;

use crate::identity::VerifyIdentity;
use crate::membership::Membership;
use crate::message::{SignedNonces, SignedPackage, SignedProposal, SignedShare, SignedStatus};

/// Members, coordinators and group key of one epoch.
#[derive(Clone, Debug)]
pub struct Committee {
    domain: Domain,
    quorum: Quorum,
    epoch: Epoch,
    group_key: GroupKey,
    members: BTreeMap<Slot, IdentityKey>,
    coordinators: Vec<IdentityKey>,
}

impl Committee {
    /// The committee of a checked creation record, in its first epoch, with its group key.
    ///
    /// # Errors
    /// [`QuorumError`] if the record breaks rule A15.
    pub fn new(record: &CreationRecord, group_key: GroupKey) -> Result<Self, QuorumError> {
        Self::in_epoch(record, &Membership::of(record), group_key)
    }

    /// The committee in the epoch of these members. Coordinators stay those of the creation
    /// record: they are trusted for nothing.
    ///
    /// # Errors
    /// [`QuorumError`] if the members break rule A15.
    pub fn in_epoch(
        record: &CreationRecord,
        members: &Membership,
        group_key: GroupKey,
    ) -> Result<Self, QuorumError> {
        let count = u16::try_from(members.count()).unwrap_or(u16::MAX);
        let seat = |(slot, card): (Slot, &Card)| (slot, card.identity);
        Ok(Self {
            domain: *members.domain(),
            quorum: Quorum::new(count, members.threshold())?,
            epoch: members.epoch(),
            group_key,
            members: members.cards().map(seat).collect(),
            coordinators: record
                .coordinators
                .iter()
                .map(|card| card.identity)
                .collect(),
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

    /// All slots, rising.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.members.keys().copied()
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
        self.members.get(&slot)
    }

    /// Whether a current member signed this vote in the epoch in force.
    #[must_use]
    pub fn voted(&self, vote: &SignedVote, verify: &impl VerifyIdentity) -> bool {
        vote.epoch == self.epoch && self.voted_in_any(vote, verify)
    }

    /// Whether a current member signed this vote, in whatever epoch.
    #[must_use]
    pub fn voted_in_any(&self, vote: &SignedVote, verify: &impl VerifyIdentity) -> bool {
        self.member(vote.slot).is_some_and(|key| {
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

    /// Whether a current member signed this observation in the epoch in force.
    #[must_use]
    pub fn observed(&self, observation: &SignedObservation, verify: &impl VerifyIdentity) -> bool {
        observation.epoch == self.epoch
            && self.member(observation.slot).is_some_and(|key| {
                let signed = observation.signed_bytes(&self.domain);
                verify.verify(key, &signed, &observation.signature)
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
