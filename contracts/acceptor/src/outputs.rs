//! Rule E2: an acceptor of single outputs, in any order, each once.

use alloc::collections::BTreeSet;

use attestation::group::{TrustedKey, VerifyGroup};
use attestation::ids::{CommitteeId, Seq};
use attestation::leaf::{Leaf, OutputLeaf};

use crate::Terms;
use crate::proof::{self, Proven, Unproven};

/// An output's place in the world. A committee has one step per seq, so no two outputs share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputId {
    /// The committee.
    pub committee: CommitteeId,
    /// The step.
    pub seq: Seq,
    /// Position among the step's leaves.
    pub index: u64,
}

/// Where consumed outputs are remembered, for as long as the acceptor lives: a contract's
/// storage, a table, a set.
pub trait Consumed {
    /// Remembers an output; false if it was remembered before. Durable, and one with the effects
    /// of the output, before [`Outputs::accept`] returns to a caller.
    fn consume(&mut self, id: OutputId) -> bool;
}

impl Consumed for BTreeSet<OutputId> {
    fn consume(&mut self, id: OutputId) -> bool {
        self.insert(id)
    }
}

/// An acceptor of one committee's outputs.
#[derive(Clone, Debug)]
pub struct Outputs<C, K = TrustedKey> {
    terms: Terms<K>,
    last: Option<Seq>,
    consumed: C,
}

/// Why an output is not accepted. Nothing changes on a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The leaf is not proven.
    #[error(transparent)]
    Unproven(#[from] Unproven),
    /// The leaf is not an output.
    #[error("leaf {0} is not an output")]
    NotAnOutput(u64),
    /// The output was consumed before.
    #[error("output {index} of step {seq} is consumed already")]
    Consumed {
        /// The step.
        seq: Seq,
        /// Position of the leaf.
        index: u64,
    },
}

impl Refused {
    /// The refusal's name in the rulebook and in scenario files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unproven(error) => error.name(),
            Self::NotAnOutput(_) => "not-an-output",
            Self::Consumed { .. } => "consumed",
        }
    }
}

impl<C: Consumed, K: VerifyGroup> Outputs<C, K> {
    /// An acceptor over what was consumed before.
    #[must_use]
    pub const fn new(terms: Terms<K>, consumed: C) -> Self {
        Self {
            terms,
            last: None,
            consumed,
        }
    }

    /// The same while a change of the key is pending: steps after the key's last are refused.
    #[must_use]
    pub fn until(self, last: Option<Seq>) -> Self {
        Self { last, ..self }
    }

    /// Accepts an output once. Steps may be skipped and come in any order: the receipt proves the
    /// output, whatever happened around it. What the output's status means is the caller's to
    /// decide.
    ///
    /// # Errors
    /// [`Refused`] by the first rule that is broken.
    pub fn accept(
        &mut self,
        receipt: &[u8],
        leaf: &[u8],
    ) -> Result<(OutputId, OutputLeaf), Refused> {
        let committee = self.terms.committee;
        let proven = proof::prove(&self.terms, self.last, receipt, leaf)?;
        let Proven { seq, index, .. } = proven;
        let Leaf::Output(output) = proven.leaf else {
            return Err(Refused::NotAnOutput(index));
        };
        let id = OutputId {
            committee,
            seq,
            index,
        };
        if !self.consumed.consume(id) {
            return Err(Refused::Consumed { seq, index });
        }
        Ok((id, output))
    }
}
