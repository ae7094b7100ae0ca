//! What members saw at the sources of waiting requests (rule A13): gathered until a job can carry
//! those of enough members.
//!
//! A request with sources may run once t members' observations are here and either every source has
//! t values, or all members have answered, or nothing more came for a while. Past its deadline it
//! runs without: the step refuses it, and its caller gets a receipt.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use attestation::ids::{Epoch, RequestId, Seq, Slot};
use attestation::request::Request;
use attestation::source::{Observed, Pull};
use signer_protocol::blame::Act;
use signer_protocol::committee::Committee;
use signer_protocol::identity::Ed25519Verify;
use state::limits::{OBSERVATION_MS_MAX, OBSERVATIONS_BYTES_MAX, OBSERVATIONS_MAX};
use state::pull::SignedObservation;

use crate::gateway::{Event, Gateway};

/// Most observations that are kept of one member, and most bytes of them; the oldest go first. A
/// member that lies fills its own share and no other.
const KEPT_MAX: usize = 512;
const KEPT_BYTES_MAX: usize = 256 * 1024;
/// How many steps beyond the next one an observation may be of: this node may be behind its member.
const SEQS_AHEAD_MAX: u64 = 64;
/// How long those that are slower than the first t are waited for.
const SLOW_MS: u64 = 1_000;
/// Observations are not used when they are about to be too old for members whose clocks differ.
const MARGIN_MS: u64 = 5_000;

/// What was gathered.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    requests: BTreeMap<RequestId, Gathered>,
    kept: BTreeMap<Slot, Kept>,
    /// The last accepted step.
    head: Seq,
}

/// Of one request.
#[derive(Debug, Default)]
struct Gathered {
    seen: BTreeMap<Slot, SignedObservation>,
    /// Who has observed, also where it is not kept any more.
    came: BTreeSet<Slot>,
    /// When a member's first one came last: with what it says later nobody holds a request up.
    last_ms: u64,
}

/// Of one member.
#[derive(Debug, Default)]
struct Kept {
    order: VecDeque<RequestId>,
    bytes: usize,
}

/// What became of an observation.
#[derive(Debug, PartialEq, Eq)]
pub enum Gathering {
    /// It is new.
    New,
    /// It was here, or a newer one of the same member is.
    Known,
    /// No member of the epoch in force has signed it, or it is of a step far ahead.
    Refused,
    /// The member has signed another one for the same request and step.
    Twice(Box<Act>),
}

/// When observations may be used: the step, and who is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) seq: Seq,
    pub(crate) epoch: Epoch,
    pub(crate) time_ms: u64,
    pub(crate) threshold: usize,
    pub(crate) members: usize,
}

impl Observations {
    /// A step is accepted.
    pub(crate) fn reach(&mut self, head: Seq) {
        self.head = head;
    }

    fn take(&mut self, observation: SignedObservation, now_ms: u64) -> Gathering {
        let last = self.head.0.saturating_add(1).saturating_add(SEQS_AHEAD_MAX);
        if observation.seq.0 > last {
            return Gathering::Refused;
        }
        let (request, slot) = (observation.request, observation.slot);
        let gathered = self.requests.entry(request).or_default();
        let weight = observation.weight();
        if let Some(known) = gathered.seen.get(&slot) {
            let place = |one: &SignedObservation| (one.epoch, one.seq);
            if place(known) == place(&observation) && *known != observation {
                let both = [known.clone(), observation];
                return Gathering::Twice(Box::new(Act::ObservedTwice(Box::new(both))));
            }
            if place(known) >= place(&observation) {
                return Gathering::Known;
            }
        }
        if gathered.came.insert(slot) {
            gathered.last_ms = now_ms;
        }
        let old = gathered.seen.insert(slot, observation);
        let kept = self.kept.entry(slot).or_default();
        match old {
            Some(old) => kept.bytes = kept.bytes.saturating_sub(old.weight()),
            None => kept.order.push_back(request),
        }
        kept.bytes += weight;
        while let Some(kept) = self.kept.get_mut(&slot)
            && (kept.order.len() > KEPT_MAX || kept.bytes > KEPT_BYTES_MAX)
            && let Some(oldest) = kept.order.pop_front()
        {
            self.drop_one(&oldest, slot);
        }
        Gathering::New
    }

    fn drop_one(&mut self, request: &RequestId, slot: Slot) {
        let Some(gathered) = self.requests.get_mut(request) else {
            return;
        };
        if let Some(gone) = gathered.seen.remove(&slot)
            && let Some(kept) = self.kept.get_mut(&slot)
        {
            kept.bytes = kept.bytes.saturating_sub(gone.weight());
        }
        if gathered.seen.is_empty() {
            self.requests.remove(request);
        }
    }

    /// A request waits no longer.
    pub(crate) fn forget(&mut self, request: &RequestId) {
        let Some(gathered) = self.requests.remove(request) else {
            return;
        };
        for (slot, gone) in gathered.seen {
            if let Some(kept) = self.kept.get_mut(&slot) {
                kept.bytes = kept.bytes.saturating_sub(gone.weight());
                kept.order.retain(|other| other != request);
            }
        }
    }

    /// What a job can carry for a request at this moment, in order of slot; `None` while there is
    /// not enough.
    fn enough(
        &self,
        id: &RequestId,
        pull: &Pull,
        now_ms: u64,
        moment: &Moment,
    ) -> Option<Vec<&SignedObservation>> {
        let gathered = self.requests.get(id)?;
        let usable = |one: &&SignedObservation| {
            one.epoch == moment.epoch
                && one.is_recent(moment.seq, moment.time_ms, OBSERVATION_MS_MAX - MARGIN_MS)
                && one.answers(pull)
        };
        let seen: Vec<_> = gathered.seen.values().filter(usable).collect();
        let has_values = |index: usize| {
            let value = |one: &&&SignedObservation| {
                !matches!(one.values.get(index), None | Some(Observed::Absent(_)))
            };
            seen.iter().filter(value).count() >= moment.threshold
        };
        let all_there = (0..pull.sources.len()).all(has_values)
            || seen.len() >= moment.members
            || gathered.last_ms.saturating_add(SLOW_MS) <= now_ms;
        (seen.len() >= moment.threshold && all_there).then_some(seen)
    }
}

impl Gateway {
    /// Takes a member's observation.
    pub fn observe(&self, observation: SignedObservation) -> Gathering {
        let signed = |committee: Committee| committee.observed(&observation, &Ed25519Verify);
        if !self.committee_in_force().is_some_and(signed) {
            return Gathering::Refused;
        }
        let gathering = self.observations().take(observation, self.now_ms());
        self.inner.pulls_new.notify_one();
        gathering
    }

    /// What a member has observed for a request.
    #[must_use]
    pub fn observation_of(&self, slot: Slot, request: &RequestId) -> Option<SignedObservation> {
        let observations = self.observations();
        observations.requests.get(request)?.seen.get(&slot).cloned()
    }

    /// All that a member has observed for requests that wait, as far as it is kept.
    #[must_use]
    pub fn observations_by(&self, slot: Slot) -> Vec<SignedObservation> {
        let observations = self.observations();
        let requests = observations.requests.values();
        requests
            .filter_map(|gathered| gathered.seen.get(&slot).cloned())
            .collect()
    }

    /// Waiting requests that name sources.
    #[must_use]
    pub fn pulls(&self) -> Vec<(RequestId, Arc<Request>)> {
        let queue = self.queue();
        let pulls = queue
            .iter()
            .filter(|(_, request)| request.call.pull.is_some());
        pulls
            .map(|(id, request)| (*id, Arc::clone(request)))
            .collect()
    }

    /// Completes when a request with sources has come, or an observation.
    pub async fn pulls_change(&self) {
        self.inner.pulls_new.notified().await;
    }

    /// Lets requests run that enough members have observed for, or whose deadline has passed, and
    /// holds back those whose observations have become too old; whether anything has changed.
    pub async fn settle_pulls(&self) -> bool {
        let Some(mut moment) = self.moment().await else {
            return false;
        };
        let now_ms = self.now_ms();
        moment.time_ms = now_ms;
        let mut changed = false;
        for (id, request) in self.pulls() {
            let Some(pull) = &request.call.pull else {
                continue;
            };
            let late = now_ms > pull.deadline_ms;
            let enough = || {
                let observations = self.observations();
                observations.enough(&id, pull, now_ms, &moment).is_some()
            };
            let ready = late || enough();
            if self.queue().observed(&id, ready) {
                changed = true;
                if ready {
                    self.emit(Event::Observed { id, request });
                }
            }
        }
        changed
    }

    /// Observations for a job, in order of request and slot; and the requests that must wait for
    /// another one.
    pub(crate) async fn gather(
        &self,
        requests: &[(RequestId, Arc<Request>)],
        seq: Seq,
        time_ms: u64,
    ) -> (Vec<SignedObservation>, Vec<RequestId>) {
        let (mut gathered, mut waiting) = (Vec::new(), Vec::new());
        if requests
            .iter()
            .all(|(_, request)| request.call.pull.is_none())
        {
            return (gathered, waiting);
        }
        let Some(mut moment) = self.moment().await else {
            return (gathered, requests.iter().map(|(id, _)| *id).collect());
        };
        (moment.seq, moment.time_ms) = (seq, time_ms);
        let observations = self.observations();
        let mut bytes = 0;
        for (id, request) in requests {
            let Some(pull) = &request.call.pull else {
                continue;
            };
            if time_ms > pull.deadline_ms {
                continue;
            }
            let enough = observations.enough(id, pull, self.now_ms(), &moment);
            let seen = enough.unwrap_or_default();
            let weight: usize = seen.iter().map(|one| one.weight()).sum();
            let fits = gathered.len() + seen.len() <= OBSERVATIONS_MAX
                && bytes + weight <= OBSERVATIONS_BYTES_MAX;
            if seen.is_empty() || !fits {
                waiting.push(*id);
                continue;
            }
            bytes += weight;
            gathered.extend(seen.into_iter().cloned());
        }
        gathered.sort_by_key(|one| (one.request, one.slot));
        (gathered, waiting)
    }

    async fn moment(&self) -> Option<Moment> {
        let committee = self.committee().await?;
        let head = self.head().await.map_or(Seq(0), |head| head.commit.seq);
        Some(Moment {
            seq: head.next()?,
            epoch: committee.epoch,
            time_ms: 0,
            threshold: committee.threshold.into(),
            members: committee.members.into(),
        })
    }
}

#[cfg(test)]
#[path = "observations_tests.rs"]
mod tests;
