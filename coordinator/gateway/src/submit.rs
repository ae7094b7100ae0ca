//! How a request gets in: checked, queued, durable, then acknowledged.

use std::sync::Arc;

use attestation::ids::{CommitteeId, NetworkId, RequestId, Seq};
use attestation::request::{Request, RequestError};

use crate::gateway::{Event, Gateway};
use crate::ledger::StepRecord;
use crate::queue::QueueError;
use crate::store::{Closed, RequestRow, StoreError, Write};

/// Where a request stands.
#[derive(Clone, Debug)]
pub enum RequestState {
    /// Durable and waiting.
    Pending,
    /// Part of an accepted step.
    Accepted {
        /// The step.
        step: Arc<StepRecord>,
        /// Its position among the step's requests, from 0.
        place: usize,
    },
    /// It left the queue without a step.
    Closed(Closed),
}

/// Why a request is not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// It is not a request, or not signed by its caller (rule A1).
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It is for another network.
    #[error("the request is for network {actual}, this committee is on {expected}")]
    Network {
        /// Network of the request.
        actual: NetworkId,
        /// Network of the committee.
        expected: NetworkId,
    },
    /// It is for another committee.
    #[error("the request is for committee {actual}, this one is {expected}")]
    Committee {
        /// Committee of the request.
        actual: CommitteeId,
        /// This committee.
        expected: CommitteeId,
    },
    /// Its last time has passed.
    #[error("the request was valid until {valid_until_ms}, now it is {now_ms}")]
    Expired {
        /// Last time at which it may run, Unix milliseconds.
        valid_until_ms: u64,
        /// Now.
        now_ms: u64,
    },
    /// It is part of an accepted step already.
    #[error("the request was accepted in step {seq}")]
    Replayed {
        /// The step.
        seq: Seq,
    },
    /// Its caller has used this nonce or a greater one.
    #[error("nonce {nonce} is not greater than {used}, the last one this caller used")]
    NonceUsed {
        /// Nonce of the request.
        nonce: u64,
        /// The caller's last nonce in the state.
        used: u64,
    },
    /// The queue does not take it.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The committee has no key yet, so nothing could be attested.
    #[error("the committee has no key yet")]
    NoKey,
    /// It could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Gateway {
    /// Takes a request. When this returns `Ok`, the request is durable and will be part of a
    /// step, expire, or be overtaken by a later nonce of its caller; sending it again is harmless.
    ///
    /// # Errors
    /// [`SubmitError`] if it is not taken; nothing of it remains then.
    pub async fn submit(&self, request: Request) -> Result<RequestId, SubmitError> {
        request.check()?;
        self.admit(&request).await?;
        let id = request.id();
        let bytes = request.to_bytes();
        let request = Arc::new(request);
        let new = self.queue().insert(id, Arc::clone(&request), bytes.len())?;
        let write = Write::Request {
            id,
            bytes,
            received_ms: self.now_ms(),
        };
        // Sent twice at once, both wait for the disk: nobody is answered before it is durable.
        if let Err(error) = self.inner.store.write(write).await {
            if new {
                self.queue().remove(&id);
            }
            return Err(error.into());
        }
        if new {
            self.queue().release(&id);
            self.emit(Event::RequestPending { id, request });
        }
        Ok(id)
    }

    /// Where a request stands; `None` if this node never saw it.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn request_state(&self, id: &RequestId) -> Result<Option<RequestState>, StoreError> {
        if self.queue().request(id).is_some() {
            return Ok(Some(RequestState::Pending));
        }
        match self.inner.store.request(id).await? {
            None => Ok(None),
            Some(RequestRow::Pending) => Ok(Some(RequestState::Pending)),
            Some(RequestRow::Closed(why)) => Ok(Some(RequestState::Closed(why))),
            Some(RequestRow::Accepted { seq, place }) => {
                let step = self.step(seq).await?;
                let step = step.ok_or(StoreError::Damaged { table: "steps" })?;
                Ok(Some(RequestState::Accepted { step, place }))
            }
        }
    }

    /// A waiting request.
    #[must_use]
    pub fn pending_request(&self, id: &RequestId) -> Option<Arc<Request>> {
        self.queue().request(id)
    }

    /// Every waiting request, for a peer that has just connected.
    #[must_use]
    pub fn pending_requests(&self) -> Vec<Arc<Request>> {
        self.queue()
            .iter()
            .map(|(_, request)| Arc::clone(request))
            .collect()
    }

    /// Whether a request waits that could run at the head (rule A10).
    #[must_use]
    pub fn executable(&self) -> bool {
        self.queue().has_ready()
    }

    /// Takes up what was waiting when the process ended.
    pub(crate) async fn reload_queue(&self) -> Result<(), StoreError> {
        for (_, bytes) in self.inner.store.pending().await? {
            let request = Request::from_bytes(&bytes)
                .map_err(|_| StoreError::Damaged { table: "requests" })?;
            let (id, request) = (request.id(), Arc::new(request));
            let mut queue = self.queue();
            // A bound lowered by a newer version leaves the surplus on disk for the next start.
            if queue.insert(id, request, bytes.len()).is_ok() {
                queue.release(&id);
            }
        }
        Ok(())
    }

    /// What depends on committee, time and state (rule A1).
    async fn admit(&self, request: &Request) -> Result<(), SubmitError> {
        let call = &request.call;
        let (network, committee) = (self.inner.record.network, self.inner.committee);
        if call.network != network {
            return Err(SubmitError::Network {
                actual: call.network,
                expected: network,
            });
        }
        if call.committee != committee {
            return Err(SubmitError::Committee {
                actual: call.committee,
                expected: committee,
            });
        }
        if self.key().is_none() {
            return Err(SubmitError::NoKey);
        }
        let (valid_until_ms, now_ms) = (call.valid_until_ms, self.now_ms());
        if valid_until_ms < now_ms {
            return Err(SubmitError::Expired {
                valid_until_ms,
                now_ms,
            });
        }
        Ok(())
    }
}
