//! Accepted steps: what is kept of each, and the receipts made from it.

use std::sync::OnceLock;

use attestation::codec::{self, Malformed};
use attestation::ids::{GroupKey, RequestId, Seq, StatementId};
use attestation::leaf::{self, Leaf};
use attestation::merkle;
use attestation::receipt::{self, Algorithm, InclusionProof, Receipt};
use attestation::step_attestation::StepAttestation;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use state::entry::EntryWrite;
use state::execute::Event;
use state::step::StepOutcome;

use crate::rows::StepRow;

/// Longest encoded body of a step: what executors may report of a step, and as much again for
/// leaves, the system zApp's entries and the encoding.
pub const BODY_BYTES_MAX: usize = 2 * state::limits::REPORTS_BYTES_MAX;

#[allow(clippy::cast_possible_truncation, reason = "65,536")]
const LEAVES_MAX: usize = leaf::LEAVES_MAX as usize;

/// What an attestation commits to by hash: leaves, changed entries, outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepBody {
    /// The leaves' exact bytes, in order.
    #[serde(deserialize_with = "codec::at_most::<LEAVES_MAX, _, _>")]
    pub leaves: Vec<ByteBuf>,
    /// The entries that changed.
    pub writes: Vec<EntryWrite>,
    /// Outputs of the requests, in order. Empty where the node learnt the step from another and
    /// did not run it.
    pub outputs: Vec<Output>,
}

/// What a request put out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Output bytes; the leaf holds their digest.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    /// Events; the leaf holds their digest.
    pub events: Vec<Event>,
    /// Fee paid, 10⁻⁸ QSR; the settlement leaf holds the sum of the step.
    pub fee: u64,
}

impl StepBody {
    /// The body of a step that this node ran.
    #[must_use]
    pub fn of(outcome: &StepOutcome) -> Self {
        let outputs = outcome.outcomes.iter().map(|outcome| Output {
            bytes: outcome.output.clone(),
            events: outcome.events.clone(),
            fee: outcome.fee,
        });
        Self {
            leaves: outcome.leaves.iter().cloned().map(ByteBuf::from).collect(),
            writes: outcome.writes.clone(),
            outputs: outputs.collect(),
        }
    }
}

/// An accepted step.
#[derive(Clone, Debug)]
pub struct StepRecord {
    /// Its attestation.
    pub attestation: StepAttestation,
    /// The attestation's id.
    pub statement: StatementId,
    /// What it commits to.
    pub body: StepBody,
    /// Its requests in order, each with the index of its leaf.
    pub requests: Vec<(RequestId, usize)>,
    /// Inclusion paths of all leaves, once the first receipt is asked for.
    paths: OnceLock<Vec<Vec<[u8; 32]>>>,
}

impl StepRecord {
    /// Puts a step together; the caller has checked that the body is the attestation's.
    ///
    /// # Errors
    /// [`Malformed`] if a leaf is not one.
    pub fn new(attestation: StepAttestation, body: StepBody) -> Result<Self, Malformed> {
        let mut requests = Vec::new();
        for (index, bytes) in body.leaves.iter().enumerate() {
            if let Leaf::Output(leaf) = Leaf::from_bytes(bytes)? {
                requests.push((leaf.request, index));
            }
        }
        Ok(Self {
            statement: attestation.statement(),
            attestation,
            body,
            requests,
            paths: OnceLock::new(),
        })
    }

    /// Reads what [`crate::store`] holds of a step.
    pub(crate) fn from_row(row: &StepRow) -> Result<Self, Malformed> {
        let attestation = StepAttestation::from_bytes(&row.attestation)?;
        Self::new(attestation, codec::decode(&row.body, BODY_BYTES_MAX)?)
    }

    /// Position in the chain.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.attestation.commit.seq
    }

    /// The receipt of the leaf at `index`: COSE bytes that verify without this node.
    #[must_use]
    pub fn receipt(&self, key: &GroupKey, index: usize) -> Option<Vec<u8>> {
        let receipt = Receipt {
            algorithm: Algorithm::EdDsa,
            key_id: receipt::key_id(key),
            commit: self.attestation.commit,
            leaf_hash: merkle::leaf_hash(self.leaf(index)?),
            proof: InclusionProof {
                tree_size: self.attestation.commit.tree_size,
                index: u64::try_from(index).ok()?,
                path: self.path(index)?.to_vec(),
            },
            signature: self.attestation.signature,
        };
        Some(receipt.to_bytes())
    }

    /// The inclusion path of the leaf at `index`, from the leaf up.
    #[must_use]
    pub fn path(&self, index: usize) -> Option<&[[u8; 32]]> {
        let paths = self.paths.get_or_init(|| {
            let leaves: Vec<Vec<u8>> = self.body.leaves.iter().map(|leaf| leaf.to_vec()).collect();
            merkle::paths(&leaves)
        });
        paths.get(index).map(Vec::as_slice)
    }

    /// The exact bytes of the leaf at `index`.
    #[must_use]
    pub fn leaf(&self, index: usize) -> Option<&[u8]> {
        self.body.leaves.get(index).map(|leaf| leaf.as_slice())
    }
}
