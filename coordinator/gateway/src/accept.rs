//! Accepting attested steps (rule E1): from this committee's coordinator, or in catch-up from
//! another node. Nothing of a step is visible before it is durable.

use std::sync::Arc;

use acceptor::ledger::{Head, Ledger, Refused};
use attestation::codec::{self, Malformed};
use attestation::ids::{Digest, IdentityKey, RequestId, Seq, StateRoot, StatementId};
use attestation::leaf::{Leaf, OutputLeaf};
use attestation::merkle;
use attestation::step_attestation::StepAttestation;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha256};
use signer_protocol::message::MESSAGE_BYTES_MAX;
use state::execute::Event as ZappEvent;
use state::job::Job;
use state::tree::NeedState;

use crate::gateway::{Chain, Event, Gateway};
use crate::ledger::{BODY_BYTES_MAX, StepBody, StepRecord};
use crate::rows::StoreError;
use crate::rows::{Closed, StepWrite, Write};
use crate::submit::RequestState;

/// Longest encoded bundle.
pub const BUNDLE_BYTES_MAX: usize = BODY_BYTES_MAX + MESSAGE_BYTES_MAX + 4096;

/// What became of an attested step.
#[derive(Clone, Debug)]
pub enum Applied {
    /// It is the new head, durable.
    Accepted(Arc<StepRecord>),
    /// It is the head or before it.
    Known,
    /// Steps are missing between the head and it: fetch bundles from `head` + 1 on.
    Behind {
        /// This node's head.
        head: Seq,
    },
    /// It follows the head, but what it did is not at hand: fetch its bundle.
    NeedsBundle,
}

/// Why an attested step is refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AcceptError {
    /// The bytes are not a bundle.
    #[error("bundle: {0}")]
    Malformed(#[from] Malformed),
    /// The committee has no key yet.
    #[error("the committee has no key yet")]
    NoKey,
    /// A rule of the ledger is broken (rule E1).
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The leaves are not the attested ones.
    #[error("the leaves do not have the attested root")]
    Leaves,
    /// The outputs are not those of the leaves.
    #[error("the outputs do not have the digests in the leaves")]
    Outputs,
    /// The job is not the attested one.
    #[error("the job does not have the attested inputs root")]
    Job,
    /// The writes lead to another state than the attested one.
    #[error("the writes lead to state {actual}, {attested} is attested")]
    State {
        /// Root after the writes.
        actual: StateRoot,
        /// Root in the commit.
        attested: StateRoot,
    },
    /// The writes fit no state: a zApp without head sentinel.
    #[error("the writes fit no state: {0}")]
    Writes(#[from] NeedState),
    /// The store cannot be read or written; the step is not accepted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What another node needs to accept a step without running it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Bundle {
    /// The step attestation.
    attestation: StepAttestation,
    /// What it commits to.
    body: StepBody,
    /// Its encoded job, if the sender has it.
    job: Option<ByteBuf>,
}

/// Where the body of a step comes from.
enum Body {
    /// This node ran the step.
    Own(StepBody),
    /// Somebody said so.
    Told(StepBody),
}

impl Gateway {
    /// Accepts an attested step: rule E1, writes applied, root compared with the attested one,
    /// durable. `job` is what it was made of and `body` what followed, as far as the caller knows
    /// them; what this node built or ran itself it knows already.
    ///
    /// # Errors
    /// [`AcceptError`] if it is refused; nothing changes then.
    pub async fn attested(
        &self,
        attestation: StepAttestation,
        job: Option<Job>,
        body: Option<StepBody>,
    ) -> Result<Applied, AcceptError> {
        let gateway = self.clone();
        self.to_the_end(async move { gateway.take_attested(attestation, job, body).await })
            .await
    }

    async fn take_attested(
        &self,
        attestation: StepAttestation,
        job: Option<Job>,
        body: Option<StepBody>,
    ) -> Result<Applied, AcceptError> {
        let _turn = self.inner.accepting.lock().await;
        if let Some(not_next) = self.check_place(&attestation).await? {
            return Ok(not_next);
        }
        let job = job.map(|job| (codec::encode(&job), Arc::new(job)));
        if let Some(body) = self.foreseen(&attestation.statement()) {
            return self.accept(attestation, Body::Own(body), job).await;
        }
        if let Some(body) = body {
            return self.accept(attestation, Body::Told(body), job).await;
        }
        let known = job.as_ref().map(|(_, job)| job);
        match self.rerun(&attestation, known).await? {
            Some(body) => self.accept(attestation, Body::Own(body), job).await,
            None => Ok(Applied::NeedsBundle),
        }
    }

    /// What another node needs to accept step `seq` without running it.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn step_bundle(&self, seq: Seq) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(row) = self.inner.store.step(seq).await? else {
            return Ok(None);
        };
        let damaged = |_| StoreError::Damaged { table: "steps" };
        let bundle = Bundle {
            attestation: StepAttestation::from_bytes(&row.attestation).map_err(damaged)?,
            body: codec::decode(&row.body, BODY_BYTES_MAX).map_err(damaged)?,
            job: row.job.map(ByteBuf::from),
        };
        Ok(Some(codec::encode(&bundle)))
    }

    /// Accepts a step from a bundle that another node made; it is believed nothing.
    ///
    /// # Errors
    /// [`AcceptError`] if it is refused; nothing changes then.
    pub async fn apply_bundle(&self, bundle: &[u8]) -> Result<Applied, AcceptError> {
        let bundle: Bundle = codec::decode(bundle, BUNDLE_BYTES_MAX)?;
        let job = match bundle.job {
            Some(bytes) => {
                let job: Job = codec::decode(&bytes, MESSAGE_BYTES_MAX)?;
                Some((bytes.into_vec(), Arc::new(job)))
            }
            None => None,
        };
        let gateway = self.clone();
        self.to_the_end(async move {
            gateway
                .take_told(bundle.attestation, bundle.body, job)
                .await
        })
        .await
    }

    async fn take_told(
        &self,
        attestation: StepAttestation,
        body: StepBody,
        job: Option<(Vec<u8>, Arc<Job>)>,
    ) -> Result<Applied, AcceptError> {
        let _turn = self.inner.accepting.lock().await;
        if let Some(not_next) = self.check_place(&attestation).await? {
            return Ok(not_next);
        }
        self.accept(attestation, Body::Told(body), job).await
    }

    /// Keeps the encoding of a job durably before the member votes for its statement (rule A4).
    /// It comes from the member's own signer and is read only when somebody asks for it.
    ///
    /// # Errors
    /// [`StoreError`] if it is not durable; the vote must not leave then.
    pub async fn store_job(
        &self,
        statement: StatementId,
        seq: Seq,
        bytes: Vec<u8>,
    ) -> Result<(), StoreError> {
        let write = Write::Job {
            statement,
            seq,
            bytes,
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
                codec::decode(&bytes, MESSAGE_BYTES_MAX)
                    .map_err(|_| StoreError::Damaged { table: "jobs" })
            })
            .transpose()
    }

    /// Rule E1, signature included. `Some` if the step is not the next one, which is no fault.
    async fn check_place(
        &self,
        attestation: &StepAttestation,
    ) -> Result<Option<Applied>, AcceptError> {
        let terms = self.terms().ok_or(AcceptError::NoKey)?;
        let head = self.inner.chain.read().await.head;
        let head = head.map_or_else(|| Head::genesis(&terms), |head| Head::of(&head));
        match Ledger::resume(terms, head).accept(attestation) {
            Ok(_) => Ok(None),
            Err(Refused::Known(_) | Refused::Old { .. }) => Ok(Some(Applied::Known)),
            Err(Refused::Gap { head, .. }) => Ok(Some(Applied::Behind { head })),
            Err(refused) => Err(refused.into()),
        }
    }

    /// What the attested step did, from running its job; `None` if that is not possible here.
    async fn rerun(
        &self,
        attestation: &StepAttestation,
        job: Option<&Arc<Job>>,
    ) -> Result<Option<StepBody>, AcceptError> {
        let statement = attestation.statement();
        let job = match job {
            Some(job) => Some(Arc::clone(job)),
            None => self.load_job(&statement).await?.map(Arc::new),
        };
        let Some(job) = job else { return Ok(None) };
        match self.run(job).await {
            Ok(outcome) if outcome.statement() == statement => Ok(Some(StepBody::of(&outcome))),
            Ok(outcome) => {
                let (seq, own) = (attestation.commit.seq, outcome.statement());
                tracing::error!(%seq, %own, attested = %statement,
                    "this node's engine disagrees with the committee; check its version");
                Ok(None)
            }
            Err(error) => {
                tracing::warn!(%error, seq = %attestation.commit.seq, "cannot run attested job");
                Ok(None)
            }
        }
    }

    /// The checks that no signature can replace, then the effects.
    async fn accept(
        &self,
        attestation: StepAttestation,
        body: Body,
        job: Option<(Vec<u8>, Arc<Job>)>,
    ) -> Result<Applied, AcceptError> {
        let body = match body {
            // Its statement is the attested one, and it follows from the state at hand.
            Body::Own(body) => body,
            Body::Told(body) => {
                self.check(&attestation, &body).await?;
                body
            }
        };
        if let Some((_, job)) = &job
            && (job.inputs_root() != attestation.commit.inputs || job.seq != attestation.commit.seq)
        {
            return Err(AcceptError::Job);
        }
        let step = Arc::new(StepRecord::new(attestation, body)?);
        let write = StepWrite {
            seq: step.seq(),
            statement: step.statement,
            attestation: attestation.to_bytes(),
            body: codec::encode(&step.body),
            job: job.as_ref().map(|(bytes, _)| bytes.clone()),
            entries: step.body.writes.clone(),
            requests: step.requests.iter().map(|(id, _)| *id).collect(),
        };
        self.inner.store.write(Write::Step(Box::new(write))).await?;
        self.advance(&step).await?;
        self.settle_queue(&step, job.as_ref().map(|(_, job)| job.as_ref()))
            .await;
        Ok(Applied::Accepted(step))
    }

    /// Whether a body is what the attestation commits to.
    async fn check(
        &self,
        attestation: &StepAttestation,
        body: &StepBody,
    ) -> Result<(), AcceptError> {
        check_leaves(attestation, body)?;
        check_outputs(body)?;
        let attested = attestation.commit.state;
        let actual = self
            .inner
            .chain
            .read()
            .await
            .state
            .root_after(&body.writes)?;
        if actual == attested {
            Ok(())
        } else {
            Err(AcceptError::State { actual, attested })
        }
    }

    /// Moves head and state in memory to the step that is durable now.
    async fn advance(&self, step: &Arc<StepRecord>) -> Result<(), AcceptError> {
        let mut chain = self.inner.chain.write().await;
        let root = chain.state.apply(&step.body.writes)?;
        // Both are the same pure function of state and writes; halting beats a wrong state.
        assert_eq!(root, step.attestation.commit.state, "state after step");
        self.observations().reach(step.attestation.commit.seq);
        chain.head = Some(step.attestation);
        drop(chain);
        self.remember(Arc::clone(step));
        self.forget_foreseen(step.seq());
        Ok(())
    }

    /// Takes out of the queue what the step has done or made impossible, and tells who waits.
    async fn settle_queue(&self, step: &Arc<StepRecord>, job: Option<&Job>) {
        let time_ms = step.attestation.commit.time_ms;
        let mut closed = Vec::new();
        {
            let chain = self.inner.chain.read().await;
            let mut queue = self.queue();
            for (id, _) in &step.requests {
                queue.remove(id);
            }
            let mut callers: Vec<IdentityKey> = match job {
                Some(job) => job
                    .requests
                    .iter()
                    .map(|request| request.call.caller)
                    .collect(),
                // Whose nonces the step used is not known: it may be anybody's.
                None => queue.callers().copied().collect(),
            };
            callers.sort_unstable();
            callers.dedup();
            for caller in callers {
                if let Ok(Some(used)) = chain.state.nonce(&caller) {
                    closed.extend(queue.overtaken(&caller, used));
                }
            }
            closed.extend(queue.expired(time_ms));
        }
        self.forget_told(step.requests.iter().map(|(id, _)| id));
        for (id, _) in &step.requests {
            self.observations().forget(id);
        }
        self.emit(Event::StepAccepted(Arc::clone(step)));
        for (place, (id, _)) in step.requests.iter().enumerate() {
            let step = Arc::clone(step);
            let state = RequestState::Accepted { step, place };
            self.inner.watches.tell(id, &state);
        }
        self.close(closed).await;
    }

    /// Makes it known and durable that requests left the queue without a step.
    pub(crate) async fn close(&self, requests: Vec<(RequestId, Closed)>) {
        if requests.is_empty() {
            return;
        }
        for (id, why) in &requests {
            self.observations().forget(id);
            self.inner.watches.tell(id, &RequestState::Closed(*why));
            self.emit(Event::RequestClosed { id: *id, why: *why });
        }
        // Not being able to write this loses nothing: the next start finds the same.
        if let Err(error) = self.inner.store.write(Write::Close { requests }).await {
            tracing::warn!(%error, "cannot record closed requests");
        }
    }
}

impl Chain {
    /// Position of the last accepted step; 0 before the first.
    pub(crate) fn seq(&self) -> Seq {
        self.head.map_or(Seq(0), |head| head.commit.seq)
    }
}

fn check_leaves(attestation: &StepAttestation, body: &StepBody) -> Result<(), AcceptError> {
    let leaves: Vec<Vec<u8>> = body.leaves.iter().map(|leaf| leaf.to_vec()).collect();
    let counted = u64::try_from(leaves.len()) == Ok(attestation.commit.tree_size);
    if counted && merkle::root(&leaves) == attestation.root {
        Ok(())
    } else {
        Err(AcceptError::Leaves)
    }
}

/// Outputs may be absent, but not others than the attested ones.
fn check_outputs(body: &StepBody) -> Result<(), AcceptError> {
    if body.outputs.is_empty() {
        return Ok(());
    }
    let mut outputs = body.outputs.iter();
    for leaf in &body.leaves {
        let Leaf::Output(leaf) = Leaf::from_bytes(leaf)? else {
            continue;
        };
        let output = outputs.next().ok_or(AcceptError::Outputs)?;
        if !is_output_of(&leaf, &output.bytes, &output.events) {
            return Err(AcceptError::Outputs);
        }
    }
    match outputs.next() {
        None => Ok(()),
        Some(_) => Err(AcceptError::Outputs),
    }
}

fn is_output_of(leaf: &OutputLeaf, output: &[u8], events: &[ZappEvent]) -> bool {
    leaf.output == Digest::from_bytes(Sha256::digest(output).into())
        && leaf.events == ZappEvent::digest(events)
}

#[cfg(test)]
#[path = "accept_tests.rs"]
mod tests;
