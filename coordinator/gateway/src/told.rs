//! Requests that other nodes passed on (rule A10), until this node has to care about them.
//!
//! The node that took a request from its caller has checked it and holds it durably, and normally
//! sees it into a step within a fraction of a second. The others only have to notice when it does
//! not. They keep what they are told unchecked and in memory, forget it with its step, and check,
//! queue and store what still waits when steps stall or its time is up. A node whose coordinator
//! leads takes requests up at once: its jobs are made of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use attestation::ids::{RequestId, Signature};
use attestation::request::Request;
use futures_util::future::join_all;

use crate::gateway::Gateway;
use crate::queue::PENDING_MAX;
use crate::rows::Write;

/// Without a step for so long, requests that are as old are taken up: something stalls. Full steps
/// take up to a third of the first view timer, and are no stall.
pub const STALL_MS: u64 = 500;
/// A request that is so old is taken up although steps flow: it may be passed over.
pub const TOLD_MS_MAX: u64 = 2_000;
/// Most bytes of requests that are kept so.
const TOLD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What was told and not taken up.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// By id and signature: an id does not cover the signature, and a forged copy that comes
    /// first must not keep the request out.
    requests: BTreeMap<(RequestId, Signature), Arc<Request>>,
    /// In order of arrival; those that are gone from `requests` are skipped.
    arrivals: VecDeque<(u64, (RequestId, Signature))>,
    bytes: usize,
    step_ms: u64,
}

impl Told {
    /// Keeps a request; gives it back if there is no room.
    fn keep(&mut self, request: Request, now_ms: u64) -> Option<Arc<Request>> {
        let key = (request.id(), request.signature);
        let request = Arc::new(request);
        if self.requests.contains_key(&key) {
            return None;
        }
        let bytes = weight(&request);
        if self.arrivals.len() >= PENDING_MAX || self.bytes.saturating_add(bytes) > TOLD_BYTES_MAX {
            return Some(request);
        }
        self.bytes += bytes;
        self.requests.insert(key, request);
        self.arrivals.push_back((now_ms, key));
        None
    }

    /// A step holds this request.
    fn forget(&mut self, id: RequestId) {
        let all = (id, Signature::from_bytes([0; 64]))..=(id, Signature::from_bytes([0xff; 64]));
        let keys: Vec<_> = self.requests.range(all).map(|(key, _)| *key).collect();
        for key in keys {
            self.remove(&key);
        }
        while let Some((_, key)) = self.arrivals.front()
            && !self.requests.contains_key(key)
        {
            self.arrivals.pop_front();
        }
    }

    /// Takes out what must be taken up now.
    fn due(&mut self, now_ms: u64, all: bool) -> Vec<Arc<Request>> {
        let stalled = self.step_ms.saturating_add(STALL_MS) <= now_ms;
        let patience_ms = if stalled { STALL_MS } else { TOLD_MS_MAX };
        let mut due = Vec::new();
        while let Some((at_ms, key)) = self.arrivals.front().copied()
            && (all || at_ms.saturating_add(patience_ms) <= now_ms)
        {
            self.arrivals.pop_front();
            due.extend(self.remove(&key));
        }
        due
    }

    fn remove(&mut self, key: &(RequestId, Signature)) -> Option<Arc<Request>> {
        let request = self.requests.remove(key)?;
        self.bytes -= weight(&request);
        Some(request)
    }
}

impl Gateway {
    /// Notes requests that another node has passed on; nothing is checked yet.
    pub async fn tell(&self, requests: Vec<Request>) {
        let now_ms = self.now_ms();
        let mut surplus = Vec::new();
        {
            let (queue, mut told) = (self.queue(), self.told());
            for request in requests {
                if queue.request(&request.id()).is_some() {
                    continue;
                }
                // Every node has to observe for it.
                if request.call.pull.is_some() {
                    surplus.push(Arc::new(request));
                } else {
                    surplus.extend(told.keep(request, now_ms));
                }
            }
        }
        self.inner.told_new.notify_one();
        self.take_up(surplus).await;
    }

    /// Takes up what was told and is due, or all of it.
    pub async fn take_up_told(&self, all: bool) {
        let due = self.told().due(self.now_ms(), all);
        self.take_up(due).await;
    }

    /// Whether anything is kept that was told; completes only when something is.
    pub async fn told_something(&self) {
        while self.told().requests.is_empty() {
            self.inner.told_new.notified().await;
        }
    }

    /// A step holds these requests.
    pub(crate) fn forget_told<'a>(&self, requests: impl Iterator<Item = &'a RequestId>) {
        let now_ms = self.now_ms();
        let mut told = self.told();
        told.step_ms = now_ms;
        requests.for_each(|id| told.forget(*id));
    }

    /// Checks and queues requests, then makes them durable: whoever acknowledged them did so
    /// before, so they need not wait for this disk.
    async fn take_up(&self, requests: Vec<Arc<Request>>) {
        if requests.is_empty() {
            return;
        }
        // Signatures take their time, and packets must not wait for it.
        let checked = tokio::task::spawn_blocking(move || {
            let checked = requests.into_iter().filter(|told| told.check().is_ok());
            checked.collect::<Vec<_>>()
        });
        let mut writes = Vec::new();
        for request in checked.await.unwrap_or_default() {
            // One that this node cannot bear out is for those to run who can.
            if !self.bears_out(&request.call) {
                continue;
            }
            let id = request.id();
            let (bytes, received_ms) = (request.to_bytes(), self.now_ms());
            match self.enqueue(id, &request, bytes.len(), received_ms).await {
                Ok(true) => {
                    self.arrive(id, &request, true);
                    let write = Write::Request {
                        id,
                        bytes,
                        received_ms,
                    };
                    writes.push(self.keep_told(id, request, write));
                }
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "a peer's request is not taken"),
            }
        }
        join_all(writes).await;
    }

    async fn keep_told(&self, id: RequestId, request: Arc<Request>, write: Write) {
        let written = match self.inner.store.write(write).await {
            Ok(()) if self.queue().request(&id).is_none() => self.left_early(id, &request).await,
            written => written,
        };
        if let Err(error) = written {
            tracing::warn!(%error, "a peer's request is kept in memory only");
        }
    }
}

/// About what a request takes in memory.
fn weight(request: &Request) -> usize {
    request.call.method.len() + request.call.input.len() + 512
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;
