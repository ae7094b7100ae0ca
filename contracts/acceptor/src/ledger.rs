//! Rule E1: a ledger follows a committee's chain of steps, each once and in order.

use attestation::commit::Commit;
use attestation::group::{TrustedKey, VerifyGroup};
use attestation::ids::{
    CommitteeId, Epoch, NetworkId, RuntimeProfile, Seq, StateRoot, StatementId,
};
use attestation::leaf::LEAVES_MAX;
use attestation::step_attestation::StepAttestation;

use crate::Terms;

/// The last accepted step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its position; 0 before the first step.
    pub seq: Seq,
    /// Its epoch; the first one before the first step.
    pub epoch: Epoch,
    /// Its statement; the committee id's bytes before the first step.
    pub statement: StatementId,
    /// State root after it.
    pub state: StateRoot,
}

/// The chain of one committee, as a consumer knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger<K = TrustedKey> {
    terms: Terms<K>,
    head: Head,
}

/// Why a step is not accepted. Nothing changes on a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The commit is of another network.
    #[error("commit is of network {0}")]
    WrongNetwork(NetworkId),
    /// The commit is of another committee.
    #[error("commit is of committee {0}")]
    WrongCommittee(CommitteeId),
    /// A step has a settlement and at least one output.
    #[error("commit counts {0} leaves; 2 to 65536 allowed")]
    TreeSize(u64),
    /// The step is the head: a repetition, harmless.
    #[error("step {0} is accepted already")]
    Known(Seq),
    /// The step is before the head.
    #[error("step {seq} is before the head, step {head}")]
    Old {
        /// The step.
        seq: Seq,
        /// The head.
        head: Seq,
    },
    /// Steps between the head and this one are missing.
    #[error("step {seq} does not follow the head, step {head}")]
    Gap {
        /// The step.
        seq: Seq,
        /// The head.
        head: Seq,
    },
    /// The epoch is one that the head's has followed.
    #[error("epoch {actual} is over: the head's is {head}")]
    OldEpoch {
        /// The commit's.
        actual: Epoch,
        /// The head's.
        head: Epoch,
    },
    /// The runtime profile is not the registered one.
    #[error("runtime profile {0} is not in force")]
    UnknownProfile(RuntimeProfile),
    /// The commit follows another step than the head.
    #[error("previous statement is {actual}, the head's is {head}")]
    PreviousStatement {
        /// Statement that the commit names.
        actual: StatementId,
        /// The head's.
        head: StatementId,
    },
    /// The step ran on another state than the head's.
    #[error("previous state root is {actual}, the head's is {head}")]
    PreviousState {
        /// Root that the commit names.
        actual: StateRoot,
        /// The head's.
        head: StateRoot,
    },
    /// The signature does not verify under the trusted key.
    #[error("signature does not verify under the committee's group key")]
    Signature,
    /// The group key signed two steps for the head's seq. Stop: no rule can choose.
    #[error("the group key signed step {seq} twice: {accepted} and {other}")]
    Fork {
        /// The seq.
        seq: Seq,
        /// The statement accepted first.
        accepted: StatementId,
        /// The other one.
        other: StatementId,
    },
}

impl Refused {
    /// The refusal's name in the rulebook and in scenario files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::WrongNetwork(_) => "wrong-network",
            Self::WrongCommittee(_) => "wrong-committee",
            Self::TreeSize(_) => "tree-size",
            Self::Known(_) => "known",
            Self::Old { .. } => "old",
            Self::Gap { .. } => "gap",
            Self::OldEpoch { .. } => "old-epoch",
            Self::UnknownProfile(_) => "unknown-profile",
            Self::PreviousStatement { .. } => "previous-statement",
            Self::PreviousState { .. } => "previous-state",
            Self::Signature => "signature",
            Self::Fork { .. } => "fork",
        }
    }
}

impl Head {
    /// Before the first step.
    #[must_use]
    pub const fn genesis<K>(terms: &Terms<K>) -> Self {
        Self {
            seq: Seq(0),
            epoch: terms.epoch,
            statement: Commit::genesis_statement(&terms.committee),
            state: terms.genesis_state,
        }
    }

    /// After an accepted step.
    #[must_use]
    pub fn of(attestation: &StepAttestation) -> Self {
        Self {
            seq: attestation.commit.seq,
            epoch: attestation.commit.epoch,
            statement: attestation.statement(),
            state: attestation.commit.state,
        }
    }
}

impl<K: VerifyGroup> Ledger<K> {
    /// A ledger that has accepted nothing.
    #[must_use]
    pub const fn new(terms: Terms<K>) -> Self {
        Self {
            head: Head::genesis(&terms),
            terms,
        }
    }

    /// A ledger that accepted up to `head` before.
    #[must_use]
    pub const fn resume(terms: Terms<K>, head: Head) -> Self {
        Self { terms, head }
    }

    /// The last accepted step.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// What was registered.
    #[must_use]
    pub const fn terms(&self) -> &Terms<K> {
        &self.terms
    }

    /// Accepts the step that follows the head.
    ///
    /// # Errors
    /// [`Refused`] by the first rule that is broken; the head stays.
    pub fn accept(&mut self, attestation: &StepAttestation) -> Result<Head, Refused> {
        self.check_terms(&attestation.commit)?;
        self.check_place(attestation)?;
        self.check_link(&attestation.commit)?;
        self.check_signature(attestation)?;
        self.head = Head::of(attestation);
        Ok(self.head)
    }

    fn check_terms(&self, commit: &Commit) -> Result<(), Refused> {
        if commit.network != self.terms.network {
            return Err(Refused::WrongNetwork(commit.network));
        }
        if commit.committee != self.terms.committee {
            return Err(Refused::WrongCommittee(commit.committee));
        }
        if !(2..=LEAVES_MAX).contains(&commit.tree_size) {
            return Err(Refused::TreeSize(commit.tree_size));
        }
        Ok(())
    }

    /// Seq against head. A second statement for the head's seq is a fork only if it is signed:
    /// anyone can invent an unsigned one.
    fn check_place(&self, attestation: &StepAttestation) -> Result<(), Refused> {
        let (seq, head) = (attestation.commit.seq, self.head.seq);
        if seq == head && seq != Seq(0) {
            let other = attestation.statement();
            if other == self.head.statement {
                return Err(Refused::Known(seq));
            }
            self.check_signature(attestation)?;
            return Err(Refused::Fork {
                seq,
                accepted: self.head.statement,
                other,
            });
        }
        if seq <= head {
            return Err(Refused::Old { seq, head });
        }
        if head.next() != Some(seq) {
            return Err(Refused::Gap { seq, head });
        }
        Ok(())
    }

    fn check_link(&self, commit: &Commit) -> Result<(), Refused> {
        if commit.epoch < self.head.epoch {
            return Err(Refused::OldEpoch {
                actual: commit.epoch,
                head: self.head.epoch,
            });
        }
        if commit.profile != self.terms.profile {
            return Err(Refused::UnknownProfile(commit.profile));
        }
        if commit.previous != self.head.statement {
            return Err(Refused::PreviousStatement {
                actual: commit.previous,
                head: self.head.statement,
            });
        }
        if commit.previous_state != self.head.state {
            return Err(Refused::PreviousState {
                actual: commit.previous_state,
                head: self.head.state,
            });
        }
        Ok(())
    }

    fn check_signature(&self, attestation: &StepAttestation) -> Result<(), Refused> {
        attestation
            .verify_trusted(&self.terms.key)
            .map_err(|_| Refused::Signature)
    }
}
