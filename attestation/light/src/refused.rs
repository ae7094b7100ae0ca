//! Why what a gateway shows is not taken.

use attestation::ids::{CommitteeId, Epoch, NetworkId, RuntimeProfile, Seq, StatementId};
use attestation::verify::VerifyError;
use state::proof::ProofError;

use crate::key_record::KeyRecordError;

/// Why a step, a leaf or an entry is not taken. Nothing changes on a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The commit is of another network.
    #[error("the step is of network {0}")]
    WrongNetwork(NetworkId),
    /// The commit is of another committee.
    #[error("the step is of committee {0}")]
    WrongCommittee(CommitteeId),
    /// The step is the head: a repetition, harmless.
    #[error("step {0} is the head already")]
    Known(Seq),
    /// The step is before the head.
    #[error("step {seq} is before the head, step {head}")]
    Old {
        /// The step.
        seq: Seq,
        /// The head.
        head: Seq,
    },
    /// The group key did not sign the step.
    #[error("the committee's group key did not sign step {0}")]
    Signature(Seq),
    /// The group key signed two histories. No rule can choose between them.
    #[error("the group key signed two histories at step {seq}: {known} and {other}")]
    Fork {
        /// The step where they part.
        seq: Seq,
        /// The statement that was taken.
        known: StatementId,
        /// The other one.
        other: StatementId,
    },
    /// The step is of an epoch that is over, or not of the one that the head's state puts in force.
    #[error("the step is of epoch {actual}; epoch {in_force} is in force after the head")]
    WrongEpoch {
        /// The step's.
        actual: Epoch,
        /// What the head's state says.
        in_force: Epoch,
    },
    /// The step after the head ran under another profile than the head's state names.
    #[error("the step ran under runtime profile {0}, which is not in force after the head")]
    WrongProfile(RuntimeProfile),
    /// What is shown of the state does not belong to it.
    #[error("the state: {0}")]
    State(#[from] ProofError),
    /// The state's entry shown is not the one that says which epoch is in force.
    #[error("the entry shown is not the one that says which epoch is in force")]
    NotTheCommittee,
    /// A change of members proves nothing after the epoch known.
    #[error("a change of members after epoch {known} is not proven: {error}")]
    Change {
        /// The last epoch that is proven.
        known: Epoch,
        /// What is wrong.
        error: KeyRecordError,
    },
    /// The state puts an epoch in force whose change of members was not shown.
    #[error("epoch {in_force} is in force, and the changes shown end with epoch {known}")]
    Withheld {
        /// The last epoch that is proven.
        known: Epoch,
        /// What the step's state says.
        in_force: Epoch,
    },
    /// The changes shown lead to members or a key other than those that the state puts in force.
    #[error("the changes shown lead to another epoch {epoch} than the state puts in force")]
    NotInForce {
        /// Its number.
        epoch: Epoch,
    },
    /// A leaf's receipt does not verify.
    #[error("the leaf: {0}")]
    Leaf(#[from] VerifyError),
}

impl Refused {
    /// A stable name for machines.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::WrongNetwork(_) => "wrong-network",
            Self::WrongCommittee(_) => "wrong-committee",
            Self::Known(_) => "known",
            Self::Old { .. } => "old",
            Self::Signature(_) => "signature",
            Self::Fork { .. } => "fork",
            Self::WrongEpoch { .. } => "wrong-epoch",
            Self::WrongProfile(_) => "wrong-profile",
            Self::State(_) => "state",
            Self::NotTheCommittee => "not-the-committee",
            Self::Change { .. } => "change",
            Self::Withheld { .. } => "withheld",
            Self::NotInForce { .. } => "not-in-force",
            Self::Leaf(error) => error.check().name(),
        }
    }

    /// What whoever relies on the committee should do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::WrongNetwork(_) | Self::WrongCommittee(_) => {
                "this gateway serves another committee: ask one of yours"
            }
            Self::Known(_) => "nothing: there is no newer step yet",
            Self::Old { .. } => {
                "this gateway is behind or hides steps: ask another one, or wait until it catches up"
            }
            Self::Fork { .. } => {
                "stop relying on this committee and keep both attestations: 2t − n members or \
                 more signed both"
            }
            Self::Signature(_)
            | Self::WrongEpoch { .. }
            | Self::WrongProfile(_)
            | Self::NotTheCommittee
            | Self::Leaf(_) => "this gateway lies or is damaged: ask another one",
            Self::State(_) => {
                "ask again, as the proof may be of an older or newer step; if it stays so, this \
                 gateway lies: ask another one"
            }
            Self::Change { .. } | Self::Withheld { .. } | Self::NotInForce { .. } => {
                "this gateway does not prove who the members are: ask another one"
            }
        }
    }
}
