//! A client as bytes: where it goes on after a restart, and what somebody who has followed a
//! committee can give to somebody who has not.

use alloc::boxed::Box;
use alloc::vec::Vec;

use attestation::codec::{self, Malformed};
use attestation::committee::{Quorum, QuorumError};
use attestation::conditions::Conditions;
use attestation::ids::{CommitteeId, Epoch, NetworkId, Slot, StateRoot};
use attestation::step_attestation::StepAttestation;
use serde::{Deserialize, Serialize};
use state::job::Domain;
use state::proof::EntryProof;

use crate::client::{Head, LightClient, check_in_force, in_force, trusted};
use crate::generation::Generation;
use crate::identity::{Ed25519Verify, VerifyIdentity as _};
use crate::key_record::{KeyRecord, KeyRecordError};
use crate::membership::Membership;
use crate::plan::PlannedMember;
use crate::refused::Refused;

/// Longest encoded checkpoint in bytes: members, key record and proof of 150 members, twice over.
pub const CHECKPOINT_BYTES_MAX: usize = 512 * 1024;

/// Why bytes are no checkpoint to go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The bytes are not a checkpoint.
    #[error("not a checkpoint: {0}")]
    Malformed(#[from] Malformed),
    /// It is of another committee.
    #[error("the checkpoint is of committee {0}")]
    OtherCommittee(CommitteeId),
    /// Members and threshold break rule A15.
    #[error("members of the checkpoint: {0}")]
    Quorum(#[from] QuorumError),
    /// Slots are out of order, or above the highest that there was.
    #[error("members of the checkpoint are out of order")]
    Slots,
    /// A card is not signed by its identity key.
    #[error("card of member {0} of the checkpoint is not signed by its identity key")]
    Card(Slot),
    /// Members and key do not belong together.
    #[error("key of the checkpoint: {0}")]
    Key(#[from] KeyRecordError),
    /// The head is not the committee's, or not of the epoch kept.
    #[error("head of the checkpoint: {0}")]
    Head(#[from] Refused),
}

/// What is written down.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    network: NetworkId,
    committee: CommitteeId,
    epoch: Epoch,
    threshold: u16,
    members: Vec<PlannedMember>,
    slot_max: Slot,
    key: KeyRecord,
    start: Start,
    proof: EntryProof,
    /// What the creation record demands, of the members that a next change brings. Written only where
    /// something is demanded.
    #[serde(default, skip_serializing_if = "Conditions::is_none")]
    conditions: Conditions,
}

#[derive(Serialize, Deserialize)]
enum Start {
    Created { state: StateRoot, time_ms: u64 },
    Step(Box<StepAttestation>),
}

impl LightClient {
    /// The canonical encoding of a checkpoint.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let members = self.members();
        let member = |(slot, card): (Slot, &attestation::committee::Card)| PlannedMember {
            slot,
            card: card.clone(),
        };
        codec::encode(&Checkpoint {
            network: members.domain().network,
            committee: members.domain().committee,
            epoch: members.epoch(),
            threshold: members.threshold(),
            members: members.cards().map(member).collect(),
            slot_max: members.slot_max(),
            key: self.generation.key().clone(),
            start: self.attestation.map_or(
                Start::Created {
                    state: self.head.state,
                    time_ms: self.head.time_ms,
                },
                |step| Start::Step(Box::new(step)),
            ),
            proof: self.proof.clone(),
            conditions: *members.conditions(),
        })
    }

    /// Goes on from a checkpoint of this committee. Members, key, head and state are checked
    /// against each other; that they are the committee's, whoever wrote them is trusted for.
    ///
    /// # Errors
    /// [`CheckpointError`] names the first thing that is wrong.
    pub fn from_bytes(committee: &CommitteeId, bytes: &[u8]) -> Result<Self, CheckpointError> {
        let kept: Checkpoint = codec::decode(bytes, CHECKPOINT_BYTES_MAX)?;
        if kept.committee != *committee {
            return Err(CheckpointError::OtherCommittee(kept.committee));
        }
        let members = kept.members()?;
        let (head, attestation) = match kept.start {
            Start::Created { state, time_ms } => (Head::genesis(committee, state, time_ms), None),
            Start::Step(step) => (Head::of(&step), Some(*step)),
        };
        let says = in_force(&kept.proof, &head.state)?;
        let generation = Generation::kept(members, kept.key, &says.plan)?;
        check_in_force(&generation, &says.plan, &says)?;
        let client = Self {
            key: trusted(&generation)?,
            generation,
            head,
            attestation,
            committee: says,
            proof: kept.proof,
        };
        client.check_own_head()?;
        Ok(client)
    }

    /// That the group key signed the head, in an epoch that is not above that in force.
    fn check_own_head(&self) -> Result<(), Refused> {
        let Some(step) = &self.attestation else {
            return Ok(());
        };
        let (commit, domain) = (&step.commit, self.members().domain());
        if commit.network != domain.network {
            return Err(Refused::WrongNetwork(commit.network));
        }
        if commit.committee != domain.committee {
            return Err(Refused::WrongCommittee(commit.committee));
        }
        if commit.epoch > self.committee.epoch {
            return Err(Refused::NotTheCommittee);
        }
        let verified = step.verify_trusted(&self.key);
        verified.map_err(|_| Refused::Signature(commit.seq))
    }
}

impl Checkpoint {
    fn members(&self) -> Result<Membership, CheckpointError> {
        let count = u16::try_from(self.members.len()).unwrap_or(u16::MAX);
        Quorum::new(count, self.threshold)?;
        let slots = self.members.iter().map(|member| member.slot);
        let last = slots.clone().next_back().unwrap_or(Slot(0));
        let first = self.members.first().map_or(Slot(0), |member| member.slot);
        let rises = slots.clone().zip(slots.skip(1)).all(|(a, b)| a < b);
        if !rises || first == Slot(0) || last > self.slot_max {
            return Err(CheckpointError::Slots);
        }
        let forged = self.members.iter().find(|member| {
            let card = &member.card;
            !Ed25519Verify.verify(&card.identity, &card.signed_bytes(), &card.signature)
        });
        if let Some(member) = forged {
            return Err(CheckpointError::Card(member.slot));
        }
        let member = |member: &PlannedMember| (member.slot, member.card.clone());
        let domain = Domain {
            network: self.network,
            committee: self.committee,
        };
        let members = self.members.iter().map(member);
        let (epoch, threshold) = (self.epoch, self.threshold);
        Ok(
            Membership::of_epoch(domain, epoch, threshold, members, self.slot_max)
                .under(self.conditions),
        )
    }
}
