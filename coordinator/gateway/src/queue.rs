//! Pending requests in memory: per caller in nonce order, bounded, without clock or disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use attestation::ids::{IdentityKey, RequestId};
use attestation::request::Request;
use state::system::nom;

use crate::rows::Closed;

/// Most requests pending in total.
pub const PENDING_MAX: usize = 16 * 1024;
/// Most requests pending of one caller.
pub const PENDING_PER_CALLER_MAX: usize = 4 * 1024;
/// Most bytes pending in total.
pub const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most requests pending that name sources: members look after each of them.
pub const PULLS_MAX: usize = 1024;
/// Most of them of one caller.
pub const PULLS_PER_CALLER_MAX: usize = 64;
/// A caller may take one place of so many that are free: the last ones are for those who have fewer.
const PULLS_FREE_PER_OWN: usize = 4;

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The queue is full.
    #[error("the queue is full")]
    Full,
    /// Too many requests that name sources wait.
    #[error(
        "{PULLS_MAX} requests that name sources wait, {PULLS_PER_CALLER_MAX} of this caller, or so \
         many that the free places are for callers who have fewer"
    )]
    PullsFull,
    /// This caller has too many requests waiting.
    #[error("this caller has {PENDING_PER_CALLER_MAX} requests waiting, the most allowed")]
    CallerFull,
    /// Another waiting request of this caller has the same nonce.
    #[error("nonce {nonce} is taken by the waiting request {by}")]
    NonceTaken {
        /// The nonce.
        nonce: u64,
        /// The request that has it.
        by: RequestId,
    },
}

/// The queue.
#[derive(Debug, Default)]
pub struct Queue {
    callers: BTreeMap<IdentityKey, BTreeMap<u64, Pending>>,
    places: BTreeMap<RequestId, (IdentityKey, u64)>,
    arrivals: u64,
    bytes: usize,
    /// How many name sources.
    pulls: usize,
}

#[derive(Debug)]
struct Pending {
    id: RequestId,
    request: Arc<Request>,
    bytes: usize,
    arrival: u64,
    received_ms: u64,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Not durable yet.
    Arriving,
    /// May run next.
    Ready,
    /// Claims of the chain what this node has not seen there, or not any more.
    Unconfirmed,
    /// Held back until released: its module is not at hand.
    Held,
    /// Members have to observe its sources first (rule A13).
    Observing,
}

impl Pending {
    /// Where it stands when nothing holds it back.
    fn rested(&self) -> Standing {
        match self.request.call.pull {
            None => Standing::Ready,
            Some(_) => Standing::Observing,
        }
    }
}

impl Queue {
    /// Takes a request whose signature was checked; `false` if it waits already.
    ///
    /// # Errors
    /// [`QueueError`] if a bound is reached or its nonce is taken.
    pub fn insert(
        &mut self,
        id: RequestId,
        request: Arc<Request>,
        bytes: usize,
        received_ms: u64,
    ) -> Result<bool, QueueError> {
        self.check(&id, &request, bytes)?;
        if self.places.contains_key(&id) {
            return Ok(false);
        }
        let (caller, nonce) = (request.call.caller, request.call.nonce);
        let pending = Pending {
            id,
            request,
            bytes,
            arrival: self.arrivals,
            received_ms,
            standing: Standing::Arriving,
        };
        self.arrivals += 1;
        self.bytes += bytes;
        self.pulls += usize::from(pending.request.call.pull.is_some());
        self.places.insert(id, (caller, nonce));
        self.callers
            .entry(caller)
            .or_default()
            .insert(nonce, pending);
        Ok(true)
    }

    /// Whether [`Self::insert`] would take it.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn check(&self, id: &RequestId, request: &Request, bytes: usize) -> Result<(), QueueError> {
        if self.places.contains_key(id) {
            return Ok(());
        }
        let waiting = self.callers.get(&request.call.caller);
        let nonce = request.call.nonce;
        if let Some(holder) = waiting.and_then(|nonces| nonces.get(&nonce)) {
            return Err(QueueError::NonceTaken {
                nonce,
                by: holder.id,
            });
        }
        if waiting.is_some_and(|nonces| nonces.len() >= PENDING_PER_CALLER_MAX) {
            return Err(QueueError::CallerFull);
        }
        if self.places.len() >= PENDING_MAX || self.bytes.saturating_add(bytes) > PENDING_BYTES_MAX
        {
            return Err(QueueError::Full);
        }
        if request.call.pull.is_some() {
            let own = waiting.into_iter().flat_map(BTreeMap::values);
            let own = own.filter(|pending| pending.request.call.pull.is_some());
            let free = PULLS_MAX.saturating_sub(self.pulls);
            let most = PULLS_PER_CALLER_MAX.min(free.div_ceil(PULLS_FREE_PER_OWN));
            if own.count() >= most {
                return Err(QueueError::PullsFull);
            }
        }
        Ok(())
    }

    /// At most `max` requests to run next: callers take turns in order of arrival, each caller's
    /// own requests come in nonce order.
    #[must_use]
    pub fn select(&self, max: usize) -> Vec<(RequestId, Arc<Request>)> {
        // A request that is not ready also holds its caller's later ones, which would overtake it.
        let mut turns: Vec<_> = self
            .callers
            .values()
            .filter_map(|nonces| {
                let mut ready = nonces
                    .values()
                    .take_while(|pending| pending.standing == Standing::Ready)
                    .peekable();
                let arrival = ready.peek()?.arrival;
                Some((arrival, ready))
            })
            .collect();
        turns.sort_by_key(|(arrival, _)| *arrival);
        let mut selected = Vec::new();
        loop {
            let before = selected.len();
            for (_, ready) in &mut turns {
                if selected.len() == max {
                    return selected;
                }
                if let Some(pending) = ready.next() {
                    selected.push((pending.id, Arc::clone(&pending.request)));
                }
            }
            if selected.len() == before {
                return selected;
            }
        }
    }

    /// Whether a request waits that could run next at `time_ms`.
    #[must_use]
    pub fn has_ready(&self, time_ms: u64) -> bool {
        self.callers.values().any(|nonces| {
            let mut alive = nonces
                .values()
                .filter(|pending| pending.request.call.valid_until_ms >= time_ms);
            alive
                .next()
                .is_some_and(|first| first.standing == Standing::Ready)
        })
    }

    /// Requests that could run next, and behind nothing: each caller's first, if it is ready.
    #[must_use]
    pub fn first_ready(&self) -> BTreeSet<RequestId> {
        let firsts = self.callers.values().filter_map(|nonces| {
            let first = nonces.values().next()?;
            (first.standing == Standing::Ready).then_some(first.id)
        });
        firsts.collect()
    }

    /// When the oldest waiting request arrived, Unix milliseconds.
    #[must_use]
    pub fn oldest_ms(&self) -> Option<u64> {
        let pending = self.callers.values().flat_map(BTreeMap::values);
        pending.map(|pending| pending.received_ms).min()
    }

    /// Lets a request be proposed: it is durable, or what it waited for has come; `false` if it
    /// is not in the queue any more.
    pub fn release(&mut self, id: &RequestId) -> bool {
        match self.pending_mut(id) {
            Some(pending) => {
                pending.standing = pending.rested();
                true
            }
            None => false,
        }
    }

    /// Lets a request with sources run, or has it wait for observations; whether that is new.
    pub fn observed(&mut self, id: &RequestId, ready: bool) -> bool {
        let Some(pending) = self.pending_mut(id) else {
            return false;
        };
        let (from, to) = match ready {
            true => (Standing::Observing, Standing::Ready),
            false => (Standing::Ready, Standing::Observing),
        };
        let changes = pending.standing == from;
        if changes {
            pending.standing = to;
        }
        changes
    }

    /// Holds a request back until [`Self::release`].
    pub fn hold(&mut self, id: &RequestId) {
        if let Some(pending) = self.pending_mut(id) {
            pending.standing = Standing::Held;
        }
    }

    /// Releases all that [`Self::hold`] holds back.
    pub fn release_held(&mut self) {
        for pending in self.callers.values_mut().flat_map(BTreeMap::values_mut) {
            if pending.standing == Standing::Held {
                pending.standing = pending.rested();
            }
        }
    }

    /// Lets requests run that claim something of the chain, if `bears_out` says that it is so; the
    /// others wait.
    pub fn review(&mut self, bears_out: impl Fn(&Request) -> bool) {
        for pending in self.callers.values_mut().flat_map(BTreeMap::values_mut) {
            let claims = nom::observed(&pending.request.call).is_some();
            pending.standing = match pending.standing {
                Standing::Ready if claims && !bears_out(&pending.request) => Standing::Unconfirmed,
                Standing::Unconfirmed if bears_out(&pending.request) => Standing::Ready,
                standing => standing,
            };
        }
    }

    /// A caller's requests that can run next, in nonce order, at most `max`.
    #[must_use]
    pub fn of_caller(&self, caller: &IdentityKey, max: usize) -> Vec<(RequestId, Arc<Request>)> {
        let nonces = self.callers.get(caller).into_iter();
        nonces
            .flat_map(BTreeMap::values)
            .take_while(|pending| pending.standing == Standing::Ready)
            .take(max)
            .map(|pending| (pending.id, Arc::clone(&pending.request)))
            .collect()
    }

    /// Removes a request.
    pub fn remove(&mut self, id: &RequestId) -> Option<Arc<Request>> {
        let (caller, nonce) = self.places.remove(id)?;
        let nonces = self.callers.get_mut(&caller)?;
        let pending = nonces.remove(&nonce)?;
        if nonces.is_empty() {
            self.callers.remove(&caller);
        }
        self.bytes -= pending.bytes;
        self.pulls -= usize::from(pending.request.call.pull.is_some());
        Some(pending.request)
    }

    /// Removes what a caller's use of nonce `used` makes impossible: every nonce up to it.
    pub fn overtaken(&mut self, caller: &IdentityKey, used: u64) -> Vec<(RequestId, Closed)> {
        let ids: Vec<_> = self
            .callers
            .get(caller)
            .into_iter()
            .flat_map(|nonces| nonces.range(..=used))
            .map(|(_, pending)| pending.id)
            .collect();
        self.close(ids, Closed::Overtaken)
    }

    /// Removes what a caller takes back: every nonce below `before`.
    pub fn cancelled(&mut self, caller: &IdentityKey, before: u64) -> Vec<(RequestId, Closed)> {
        let ids: Vec<_> = self
            .callers
            .get(caller)
            .into_iter()
            .flat_map(|nonces| nonces.range(..before))
            .map(|(_, pending)| pending.id)
            .collect();
        self.close(ids, Closed::Cancelled)
    }

    /// Removes what can no longer run at `time_ms`.
    pub fn expired(&mut self, time_ms: u64) -> Vec<(RequestId, Closed)> {
        let ids: Vec<_> = self
            .callers
            .values()
            .flat_map(BTreeMap::values)
            .filter(|pending| pending.request.call.valid_until_ms < time_ms)
            .map(|pending| pending.id)
            .collect();
        self.close(ids, Closed::Expired)
    }

    /// Everybody who has a request waiting.
    pub fn callers(&self) -> impl Iterator<Item = &IdentityKey> {
        self.callers.keys()
    }

    /// Every waiting request, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&RequestId, &Arc<Request>)> {
        self.callers
            .values()
            .flat_map(BTreeMap::values)
            .map(|pending| (&pending.id, &pending.request))
    }

    /// A waiting request.
    #[must_use]
    pub fn request(&self, id: &RequestId) -> Option<Arc<Request>> {
        let (caller, nonce) = self.places.get(id)?;
        let pending = self.callers.get(caller)?.get(nonce)?;
        Some(Arc::clone(&pending.request))
    }

    /// The greatest nonce that waits of `caller`.
    #[must_use]
    pub fn last_nonce(&self, caller: &IdentityKey) -> Option<u64> {
        self.callers.get(caller)?.keys().next_back().copied()
    }

    /// How many requests wait.
    #[must_use]
    pub fn count(&self) -> usize {
        self.places.len()
    }

    fn close(&mut self, ids: Vec<RequestId>, why: Closed) -> Vec<(RequestId, Closed)> {
        ids.into_iter()
            .filter(|id| self.remove(id).is_some())
            .map(|id| (id, why))
            .collect()
    }

    fn pending_mut(&mut self, id: &RequestId) -> Option<&mut Pending> {
        let (caller, nonce) = self.places.get(id)?;
        self.callers.get_mut(caller)?.get_mut(nonce)
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
