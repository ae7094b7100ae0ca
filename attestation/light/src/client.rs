//! The client: what it starts from, what it takes, and what it can say then.
//!
//! **What it cannot know.** A gateway that shows an old step and nothing newer lies by silence. The
//! head's time ([`Head::time_ms`]) is signed: compare it with a clock, and ask several gateways. A
//! checkpoint is trusted for what it says; one that is older than a member's copies of its shares
//! (rule B5) should come from somebody who was there.

use attestation::codec;
use attestation::commit::Commit;
use attestation::committee::{CreationRecord, RecordError};
use attestation::group::TrustedKey;
use attestation::ids::{CommitteeId, Digest, Epoch, GroupKey, Seq, StateRoot, StatementId, ZappId};
use attestation::step_attestation::StepAttestation;
use attestation::verify::{self, Verified};
use state::State;
use state::limits::VALUE_BYTES_MAX;
use state::proof::EntryProof;
use state::system::{COMMITTEE, Committee};

use crate::generation::Generation;
use crate::key_record::{KeyRecord, KeyRecordError};
use crate::lineage::EpochRecord;
use crate::membership::{FIRST_EPOCH, Membership};
use crate::refused::Refused;

/// The newest step that a client has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its position; 0 before the first step.
    pub seq: Seq,
    /// Its statement; the committee id's bytes before the first step.
    pub statement: StatementId,
    /// State root after it.
    pub state: StateRoot,
    /// Its time, Unix milliseconds: when the committee was created before the first step.
    pub time_ms: u64,
}

/// What a client has come to: all that it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LightClient {
    /// Members and key of the epoch in force after the head.
    pub(crate) generation: Generation,
    pub(crate) key: TrustedKey,
    pub(crate) head: Head,
    /// The head's attestation; none before the first step.
    pub(crate) attestation: Option<StepAttestation>,
    /// The entry that says which epoch is in force, with its proof against the head's state.
    pub(crate) proof: EntryProof,
    /// What that entry says.
    pub(crate) committee: Committee,
}

/// Why a client does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The creation record breaks a rule.
    #[error("creation record: {0}")]
    Record(#[from] RecordError),
    /// The creation record is another committee's.
    #[error("the creation record is of committee {0}")]
    OtherCommittee(CommitteeId),
    /// The key record is not that of the committee's key generation.
    #[error("{0}")]
    Key(#[from] KeyRecordError),
}

impl LightClient {
    /// A client that knows the committee's id and nothing else. Record and key record may come from
    /// anyone.
    ///
    /// # Errors
    /// [`StartError`] if they are not this committee's.
    pub fn new(
        committee: &CommitteeId,
        record: &CreationRecord,
        key: &KeyRecord,
    ) -> Result<Self, StartError> {
        record.check()?;
        if record.id() != *committee {
            return Err(StartError::OtherCommittee(record.id()));
        }
        let generation = Generation::first(record, key)?;
        let state = State::genesis(record);
        let proof = state.proof(&ZappId::SYSTEM, COMMITTEE);
        let proof = proof.expect("a whole state shows every entry");
        let head = Head::genesis(committee, state.root(), record.created_ms);
        let in_force = in_force(&proof, &head.state);
        Ok(Self {
            key: trusted(&generation)?,
            generation,
            head,
            attestation: None,
            committee: in_force.expect("the first state has the entry"),
            proof,
        })
    }

    /// Takes a newer step. `proof` is that of the system zApp's entry
    /// [`COMMITTEE`] against the step's state; `changes` are the changes
    /// of members since the epoch known, in order: those that are known already are passed over.
    ///
    /// # Errors
    /// [`Refused`] by the first rule that is broken; nothing changes.
    pub fn advance<'a>(
        &mut self,
        attestation: &StepAttestation,
        proof: &EntryProof,
        changes: impl IntoIterator<Item = &'a EpochRecord>,
    ) -> Result<Head, Refused> {
        self.check_place(attestation)?;
        self.check_link(attestation)?;
        let committee = in_force(proof, &attestation.commit.state)?;
        if committee.epoch < attestation.commit.epoch {
            return Err(Refused::NotTheCommittee);
        }
        let (generation, plan) = self.follow(changes)?;
        check_in_force(&generation, &plan, &committee)?;
        self.generation = generation;
        self.head = Head::of(attestation);
        self.attestation = Some(*attestation);
        self.committee = committee;
        self.proof = proof.clone();
        Ok(self.head)
    }

    /// Verifies the receipt of a leaf, of the head or of any other step.
    ///
    /// # Errors
    /// [`Refused::Leaf`] if it does not verify, [`Refused::WrongNetwork`], and [`Refused::Fork`]
    /// if it is of another step at the head's place.
    pub fn verify_leaf(&self, receipt: &[u8], leaf: &[u8]) -> Result<Verified, Refused> {
        let domain = self.members().domain();
        let verified =
            verify::verify_trusted(receipt, Some(leaf), &self.key, Some(&domain.committee))?;
        if verified.commit.network != domain.network {
            return Err(Refused::WrongNetwork(verified.commit.network));
        }
        self.check_fork(verified.commit.seq, verified.statement)?;
        Ok(verified)
    }

    /// The value of the proof's entry in the head's state, or `None` if there is none.
    ///
    /// # Errors
    /// [`Refused::State`] if the proof is not one against the head's state.
    pub fn verify_entry<'a>(&self, proof: &'a EntryProof) -> Result<Option<&'a [u8]>, Refused> {
        Ok(proof.verify(&self.head.state)?)
    }

    /// The newest step taken.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// Its attestation; none before the first step.
    #[must_use]
    pub const fn attestation(&self) -> Option<&StepAttestation> {
        self.attestation.as_ref()
    }

    /// The epoch in force after the head.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.generation.epoch()
    }

    /// Members and threshold of the epoch in force.
    #[must_use]
    pub const fn members(&self) -> &Membership {
        self.generation.members()
    }

    /// The group key: one through all epochs.
    #[must_use]
    pub const fn group_key(&self) -> &GroupKey {
        self.key.key()
    }

    /// What the head's state says of the committee.
    #[must_use]
    pub const fn committee(&self) -> &Committee {
        &self.committee
    }

    /// Network, committee, place and signature.
    fn check_place(&self, attestation: &StepAttestation) -> Result<(), Refused> {
        let (commit, head) = (&attestation.commit, self.head.seq);
        let domain = self.members().domain();
        if commit.network != domain.network {
            return Err(Refused::WrongNetwork(commit.network));
        }
        if commit.committee != domain.committee {
            return Err(Refused::WrongCommittee(commit.committee));
        }
        let seq = commit.seq;
        if seq < head || seq == Seq(0) {
            return Err(Refused::Old { seq, head });
        }
        // Anybody can invent a rival that nobody signed: the signature comes first.
        if attestation.verify_trusted(&self.key).is_err() {
            return Err(Refused::Signature(seq));
        }
        self.check_fork(seq, attestation.statement())?;
        if seq == head {
            return Err(Refused::Known(seq));
        }
        Ok(())
    }

    /// A signed step against the head: what follows it at once must name it.
    fn check_link(&self, attestation: &StepAttestation) -> Result<(), Refused> {
        let commit = &attestation.commit;
        let in_force = self.committee.epoch;
        let is_next = self.head.seq.next() == Some(commit.seq);
        if commit.epoch < in_force || (is_next && commit.epoch != in_force) {
            return Err(Refused::WrongEpoch {
                actual: commit.epoch,
                in_force,
            });
        }
        if !is_next {
            return Ok(());
        }
        if commit.previous != self.head.statement || commit.previous_state != self.head.state {
            return Err(Refused::Fork {
                seq: self.head.seq,
                known: self.head.statement,
                other: commit.previous,
            });
        }
        if commit.profile != self.committee.profile {
            return Err(Refused::WrongProfile(commit.profile));
        }
        Ok(())
    }

    /// A signed statement at the head's place must be the head.
    fn check_fork(&self, seq: Seq, other: StatementId) -> Result<(), Refused> {
        if seq == self.head.seq && other != self.head.statement {
            return Err(Refused::Fork {
                seq,
                known: self.head.statement,
                other,
            });
        }
        Ok(())
    }

    /// The epoch that the changes lead to, and the digest of its plan.
    fn follow<'a>(
        &self,
        changes: impl IntoIterator<Item = &'a EpochRecord>,
    ) -> Result<(Generation, Digest), Refused> {
        let (mut last, mut plan) = (self.generation.clone(), self.committee.plan);
        for change in changes {
            let known = last.epoch();
            if change.plan.epoch <= known {
                continue;
            }
            let after = last.after(change);
            last = after.map_err(|error| Refused::Change { known, error })?;
            plan = change.plan.digest();
        }
        Ok((last, plan))
    }
}

impl Head {
    pub(crate) const fn genesis(committee: &CommitteeId, state: StateRoot, time_ms: u64) -> Self {
        Self {
            seq: Seq(0),
            statement: Commit::genesis_statement(committee),
            state,
            time_ms,
        }
    }

    pub(crate) fn of(attestation: &StepAttestation) -> Self {
        Self {
            seq: attestation.commit.seq,
            statement: attestation.statement(),
            state: attestation.commit.state,
            time_ms: attestation.commit.time_ms,
        }
    }
}

/// What the state with this root says of the committee.
pub(crate) fn in_force(proof: &EntryProof, root: &StateRoot) -> Result<Committee, Refused> {
    if proof.zapp != ZappId::SYSTEM || proof.key != COMMITTEE {
        return Err(Refused::NotTheCommittee);
    }
    let value = proof.verify(root)?.ok_or(Refused::NotTheCommittee)?;
    codec::decode(value, VALUE_BYTES_MAX).map_err(|_| Refused::NotTheCommittee)
}

/// That the members and key are those that the state puts in force. The state names the last
/// change, and each change the key of the epoch before: so the last one pins all of them.
pub(crate) fn check_in_force(
    generation: &Generation,
    plan: &Digest,
    committee: &Committee,
) -> Result<(), Refused> {
    let (members, epoch) = (generation.members(), generation.epoch());
    if epoch < committee.epoch {
        return Err(Refused::Withheld {
            known: epoch,
            in_force: committee.epoch,
        });
    }
    // The state begins before there is a key: in the first epoch it names none.
    let is_named = epoch == FIRST_EPOCH
        || (*plan == committee.plan && generation.key().package_digest() == committee.package);
    if epoch != committee.epoch
        || !is_named
        || members.threshold() != committee.threshold
        || members.count() != usize::from(committee.members)
        || members.slot_max() != committee.slot_max
    {
        return Err(Refused::NotInForce { epoch });
    }
    Ok(())
}

pub(crate) fn trusted(generation: &Generation) -> Result<TrustedKey, KeyRecordError> {
    TrustedKey::new(generation.key().ed25519_key()?).map_err(|_| KeyRecordError::GroupKey)
}
