//! Observations (rule A13): what this member's node saw at the sources of a request, signed.
//!
//! The identity key signs, and the signer holds it: membership binds that key and no other to the
//! slot, so consumers and evidence need to know nothing else. The node is believed in what it saw;
//! it speaks for this member alone.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use attestation::ids::{RequestId, Seq, Signature};
use attestation::source::{OBSERVED_BYTES_MAX, Observed, SOURCES_MAX};
use frost_core::Ciphersuite;
use serde::{Deserialize, Serialize};
use state::pull::SignedObservation;

use super::{Output, Signer};
use crate::identity::{SignIdentity, Verify};

/// Most requests whose observations a signer remembers.
pub const OBSERVATIONS_KEPT_MAX: usize = 4096;

/// What a node saw for a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The request.
    pub request: RequestId,
    /// The step that was next.
    pub seq: Seq,
    /// When it looked, Unix milliseconds.
    pub time_ms: u64,
    /// What it saw at each source, in the request's order.
    pub values: Vec<Observed>,
}

/// The last observation of each request, the newest requests.
#[derive(Debug, Default)]
pub(super) struct Observations {
    last: BTreeMap<RequestId, SignedObservation>,
    order: VecDeque<RequestId>,
}

impl Observations {
    fn keep(&mut self, observation: SignedObservation) {
        let request = observation.request;
        if self.last.insert(request, observation).is_some() {
            return;
        }
        self.order.push_back(request);
        if self.order.len() > OBSERVATIONS_KEPT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.last.remove(&oldest);
        }
    }
}

impl<C: Ciphersuite, I: SignIdentity, V: Verify> Signer<C, I, V> {
    /// Signs what the node saw, once for each request and seq: asked again it gives the same
    /// answer, whatever it is told then. *Stops: a member that is led to say two things.*
    pub(super) fn observe(&mut self, seen: Sighting) {
        let fits = |value: &Observed| value.bytes() <= OBSERVED_BYTES_MAX;
        if seen.values.len() > SOURCES_MAX || !seen.values.iter().all(fits) {
            return;
        }
        let epoch = self.committee.epoch();
        let last = self.observations.last.get(&seen.request);
        if let Some(last) = last.filter(|last| last.epoch == epoch && seen.seq <= last.seq) {
            let same = last.clone();
            return self.outputs.push_back(Output::Observed(same));
        }
        let mut observation = SignedObservation {
            slot: self.slot,
            epoch,
            seq: seen.seq,
            request: seen.request,
            time_ms: seen.time_ms,
            values: seen.values,
            signature: Signature::from_bytes([0; 64]),
        };
        let bytes = observation.signed_bytes(self.committee.domain());
        observation.signature = self.identity.sign(&bytes);
        self.observations.keep(observation.clone());
        self.outputs.push_back(Output::Observed(observation));
    }
}
