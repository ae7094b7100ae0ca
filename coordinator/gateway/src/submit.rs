//! How a request gets in: checked, queued, durable, then acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;

use attestation::ids::{CommitteeId, IdentityKey, NetworkId, RequestId, Seq, ZappId};
use attestation::request::{Request, RequestError};
use state::limits::{STEP_GAS_MAX, SYSTEM_GAS};
use state::step::payable;
use state::system::Refusal;
use state::system::methods::CANCEL;

use crate::gateway::{Event, Gateway};
use crate::ledger::StepRecord;
use crate::queue::QueueError;
use crate::rows::StoreError;
use crate::rows::{Closed, RequestRow, Write};

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
    /// It asks for more gas than a step has, or for none.
    #[error("gas limit {gas_limit} is none of 1 to {STEP_GAS_MAX}, the gas of a whole step")]
    GasLimit {
        /// Its gas limit.
        gas_limit: u64,
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
    /// Whoever should pay for it cannot, as the state stands.
    #[error("not paid for: {0}")]
    Unpaid(Refusal),
    /// It would put an epoch into force that is not ready at this member.
    #[error(
        "no change of members with this input is complete at this member: ask a member that took \
         part in it, once its ceremony is over"
    )]
    Cutover,
    /// It claims something of the Network of Momentum that this member cannot bear out.
    #[error(
        "it says of the Network of Momentum what this member's node has not seen confirmed there, or \
         names another key than the committee's"
    )]
    Unconfirmed,
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
        if self.key().is_some() && !self.bears_out(&request.call) {
            return Err(SubmitError::Unconfirmed);
        }
        self.check_payable(&request).await?;
        let gateway = self.clone();
        self.to_the_end(async move {
            let call = &request.call;
            // Only one that will count: it may still come after what it takes back.
            let cancels = call.zapp == ZappId::SYSTEM
                && call.method == CANCEL
                && call.input.is_empty()
                && call.gas_limit >= SYSTEM_GAS;
            let (caller, nonce) = (call.caller, call.nonce);
            let id = gateway.take(request).await?;
            if cancels {
                // Where it has been proposed already, either may win; never both.
                let cancelled = gateway.queue().cancelled(&caller, nonce);
                gateway.close(cancelled).await;
            }
            Ok(id)
        })
        .await
    }

    /// What would be refused for want of money is not even queued. Others may spend the same
    /// escrow first; then the step refuses it.
    ///
    /// # Errors
    /// [`SubmitError::Unpaid`].
    pub async fn check_payable(&self, request: &Request) -> Result<(), SubmitError> {
        let chain = self.inner.chain.read().await;
        match payable(&chain.state, &request.call, self.now_ms()) {
            Ok(Err(refusal)) => Err(SubmitError::Unpaid(refusal)),
            // A state that does not show it runs no step either.
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    /// [`Self::submit`] that stops half-way when nobody waits for it.
    pub(crate) async fn take(&self, request: Request) -> Result<RequestId, SubmitError> {
        let (id, bytes) = (request.id(), request.to_bytes());
        let request = Arc::new(request);
        let received_ms = self.now_ms();
        let new = self.enqueue(id, &request, bytes.len(), received_ms).await?;
        let write = Write::Request {
            id,
            bytes,
            received_ms,
        };
        // Sent twice at once, both wait for the disk: nobody is answered before it is durable.
        if let Err(error) = self.inner.store.write(write).await {
            if new {
                self.queue().remove(&id);
            }
            return Err(error.into());
        }
        if new && !self.arrive(id, &request, false) {
            self.left_early(id, &request).await?;
        }
        Ok(id)
    }

    /// Where a request stands; `None` if this node never saw it.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn request_state(&self, id: &RequestId) -> Result<Option<RequestState>, StoreError> {
        let waiting = self.queue().request(id);
        if let Some(request) = waiting {
            // While no steps flow nothing else notices that it is too late.
            if request.call.valid_until_ms.saturating_add(CLOCKS_APART_MS) >= self.now_ms() {
                return Ok(Some(RequestState::Pending));
            }
            self.queue().remove(id);
            self.close(vec![(*id, Closed::Expired)]).await;
            return Ok(Some(RequestState::Closed(Closed::Expired)));
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

    /// Requests that could run next, each the first of its caller (rule A10).
    #[must_use]
    pub fn first_ready(&self) -> BTreeSet<RequestId> {
        self.queue().first_ready()
    }

    /// Whether a request waits that could run at the head (rule A10).
    #[must_use]
    pub fn executable(&self) -> bool {
        self.queue().has_ready(self.now_ms())
    }

    /// Takes up what was waiting when the process ended.
    pub(crate) async fn reload_queue(&self) -> Result<(), StoreError> {
        let mut closed = Vec::new();
        for (received_ms, bytes) in self.inner.store.pending().await? {
            let request = Request::from_bytes(&bytes)
                .map_err(|_| StoreError::Damaged { table: "requests" })?;
            let (id, request) = (request.id(), Arc::new(request));
            match self.enqueue(id, &request, bytes.len(), received_ms).await {
                Ok(_) => {
                    self.queue().release(&id);
                }
                // The process ended before it could write down that a step had overtaken it.
                Err(SubmitError::NonceUsed { .. } | SubmitError::Replayed { .. }) => {
                    closed.push((id, Closed::Overtaken));
                }
                Err(SubmitError::Expired { .. }) => closed.push((id, Closed::Expired)),
                Err(SubmitError::Store(error)) => return Err(error),
                // A bound lowered by a newer version leaves the surplus on disk for the next start.
                Err(_) => {}
            }
        }
        // What was confirmed before is seen again, or waits.
        self.review_claims();
        self.close(closed).await;
        Ok(())
    }

    /// Puts a checked request into the queue, not to run before it is durable; `false` if it is
    /// there.
    ///
    /// State and queue are looked at together: whichever step makes the request impossible after
    /// this finds it in the queue.
    pub(crate) async fn enqueue(
        &self,
        id: RequestId,
        request: &Arc<Request>,
        bytes: usize,
        received_ms: u64,
    ) -> Result<bool, SubmitError> {
        self.admit(request)?;
        let call = &request.call;
        let used = {
            let chain = self.inner.chain.read().await;
            // A whole state shows every entry.
            match chain.state.nonce(&call.caller).ok().flatten() {
                Some(used) if call.nonce <= used => used,
                _ => {
                    let mut queue = self.queue();
                    return Ok(queue.insert(id, Arc::clone(request), bytes, received_ms)?);
                }
            }
        };
        Err(self.replay_of(id, call.nonce, used).await?)
    }

    /// A request that is durable, here or at the node that took it, may run, unless a step has
    /// taken it out of the queue meanwhile; false then.
    pub(crate) fn arrive(&self, id: RequestId, request: &Arc<Request>, from_peer: bool) -> bool {
        let mut queue = self.queue();
        let waits = queue.release(&id);
        if waits {
            if request.call.pull.is_some() {
                self.inner.pulls_new.notify_one();
            }
            // Under the queue's lock: that it waits is told before any step that it is part of.
            let request = Arc::clone(request);
            self.emit(Event::RequestPending {
                id,
                request,
                from_peer,
            });
        }
        waits
    }

    /// What left the queue before it was on disk must not wait on disk either.
    pub(crate) async fn left_early(
        &self,
        id: RequestId,
        request: &Request,
    ) -> Result<(), StoreError> {
        let why = match request.call.valid_until_ms < self.now_ms() {
            true => Closed::Expired,
            false => Closed::Overtaken,
        };
        // For a request that is part of a step this changes nothing.
        let requests = vec![(id, why)];
        self.inner.store.write(Write::Close { requests }).await
    }

    /// What depends on committee and time (rule A1).
    fn admit(&self, request: &Request) -> Result<(), SubmitError> {
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
        if !self.is_ready(call) {
            return Err(SubmitError::Cutover);
        }
        let (valid_until_ms, now_ms) = (call.valid_until_ms, self.now_ms());
        if valid_until_ms < now_ms {
            return Err(SubmitError::Expired {
                valid_until_ms,
                now_ms,
            });
        }
        if !(1..=STEP_GAS_MAX).contains(&call.gas_limit) {
            let gas_limit = call.gas_limit;
            return Err(SubmitError::GasLimit { gas_limit });
        }
        Ok(())
    }

    /// Whether a used nonce means the same request or another one.
    async fn replay_of(
        &self,
        id: RequestId,
        nonce: u64,
        used: u64,
    ) -> Result<SubmitError, StoreError> {
        Ok(match self.inner.store.request(&id).await? {
            Some(RequestRow::Accepted { seq, .. }) => SubmitError::Replayed { seq },
            _ => SubmitError::NonceUsed { nonce, used },
        })
    }

    /// The last nonce that a caller has used in an accepted step.
    pub async fn nonce_used(&self, caller: &IdentityKey) -> Option<u64> {
        let chain = self.inner.chain.read().await;
        // A whole state shows every entry.
        chain.state.nonce(caller).ok().flatten()
    }

    /// An account's balance at the head, 10⁻⁸ QSR.
    pub async fn balance(&self, account: &IdentityKey) -> u64 {
        let chain = self.inner.chain.read().await;
        // A whole state shows every entry.
        chain.state.balance(account).unwrap_or_default()
    }

    /// The smallest nonce that this node would take from a caller now.
    pub async fn nonce_next(&self, caller: &IdentityKey) -> u64 {
        let used = self.nonce_used(caller).await;
        let waiting = self.queue().last_nonce(caller);
        used.max(waiting).map_or(1, |last| last.saturating_add(1))
    }

    /// Closes what can no longer run at `time_ms`.
    pub(crate) async fn expire(&self, time_ms: u64) {
        let expired = self.queue().expired(time_ms);
        self.close(expired).await;
    }

    /// How many requests wait, and for how long the oldest.
    pub(crate) fn waiting(&self) -> (usize, Option<u64>) {
        let queue = self.queue();
        let oldest = queue.oldest_ms();
        let age = oldest.map(|received_ms| self.now_ms().saturating_sub(received_ms));
        (queue.count(), age)
    }
}

/// A step's time may differ so much from a node's clock (rule A2).
const CLOCKS_APART_MS: u64 = 30_000;
