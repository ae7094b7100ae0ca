//! Observations of sources outside (rule A13): what members sign of them, and how a step makes one
//! value of theirs.
//!
//! All of it is a function of the job: an executor, a signer and a gateway come to the same values.
//! That members signed what they are said to have signed is the caller's to check, as with votes.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use attestation::codec::Layout;
use attestation::ids::{Epoch, RequestId, Seq, Signature, Slot};
use attestation::source::{Observed, Pull, Reducer, Source, SourceId};
use attestation::tags;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::job::Domain;
use crate::limits::{OBSERVATION_FRAMING_BYTES, OBSERVATION_SEQS_MAX};

/// What one member's node saw for one request: one signature for all of its sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedObservation {
    /// The member.
    pub slot: Slot,
    /// Epoch of the seq.
    pub epoch: Epoch,
    /// The step that was next when the member looked.
    pub seq: Seq,
    /// The request that names the sources.
    pub request: RequestId,
    /// When the member looked, Unix milliseconds by its clock.
    pub time_ms: u64,
    /// What it saw at each source, in the request's order.
    pub values: Vec<Observed>,
    /// Signature by the member's identity key over [`SignedObservation::signed_bytes`].
    pub signature: Signature,
}

/// What a zApp gets of one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulled {
    /// Which source: a caller names it, and the zApp says whether it trusts it.
    pub source: SourceId,
    /// The value, if enough members have one.
    pub value: Option<PulledValue>,
}

/// A value that members' observations came to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PulledValue {
    /// An integer: the source's number times 10^scale.
    Integer(i64),
    /// Text, as its bytes.
    Bytes(ByteBuf),
}

impl SignedObservation {
    /// The bytes that the member signs.
    #[must_use]
    pub fn signed_bytes(&self, domain: &Domain) -> Vec<u8> {
        self.append(domain.layout(tags::OBSERVATION)).into_bytes()
    }

    /// Appends all that the member signs besides tag, network and committee.
    pub(crate) fn append(&self, layout: Layout) -> Layout {
        let layout = layout
            .number(self.epoch.0)
            .number(self.seq.0)
            .number(self.slot.0)
            .fixed(self.request.as_bytes())
            .number(self.time_ms)
            .number(self.values.len() as u64);
        let values = self.values.iter();
        values.fold(layout, |layout, observed| observed.append(layout))
    }

    /// About the length of its encoding in bytes, and never less.
    #[must_use]
    pub fn weight(&self) -> usize {
        let values = self.values.iter().map(|value| 32 + value.bytes());
        OBSERVATION_FRAMING_BYTES + values.sum::<usize>()
    }

    /// Whether it counts in the step of this seq and time: not older than
    /// [`OBSERVATION_SEQS_MAX`] steps, and at most so many milliseconds apart.
    #[must_use]
    pub fn is_recent(&self, seq: Seq, time_ms: u64, apart_ms_max: u64) -> bool {
        self.seq.0 > 0
            && self.seq <= seq
            && seq.0 - self.seq.0 <= OBSERVATION_SEQS_MAX
            && time_ms.abs_diff(self.time_ms) <= apart_ms_max
    }

    /// Whether these can be observations of these sources.
    #[must_use]
    pub fn answers(&self, pull: &Pull) -> bool {
        self.values.len() == pull.sources.len()
            && pull
                .sources
                .iter()
                .zip(&self.values)
                .all(|(source, value)| source.allows(value))
    }
}

/// What these observations of one request come to: a value for each of its sources, in order.
/// `threshold` is t.
#[must_use]
pub fn reduce(pull: &Pull, observations: &[&SignedObservation], threshold: u16) -> Vec<Pulled> {
    let sources = pull.sources.iter().enumerate();
    sources
        .map(|(index, source)| {
            let seen = observations.iter();
            let values = seen.filter_map(|seen| PulledValue::of(seen.values.get(index)?));
            Pulled {
                source: source.id(),
                value: reduce_one(source, values.collect(), threshold),
            }
        })
        .collect()
}

/// Fewer than t values are none: f members could have made them all.
fn reduce_one(
    source: &Source,
    mut values: Vec<PulledValue>,
    threshold: u16,
) -> Option<PulledValue> {
    if values.is_empty() || values.len() < usize::from(threshold) {
        return None;
    }
    values.sort_unstable();
    if source.reducer == Reducer::Median {
        let middle = (values.len() - 1) / 2;
        return values.into_iter().nth(middle);
    }
    let mut counts: BTreeMap<PulledValue, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let most = counts.values().copied().max()?;
    if source.reducer == Reducer::Identical && most < usize::from(threshold) {
        return None;
    }
    // In rising order: the smallest of those that equally many saw.
    let mut counts = counts.into_iter();
    counts.find_map(|(value, count)| (count == most).then_some(value))
}

impl PulledValue {
    fn of(observed: &Observed) -> Option<Self> {
        match observed {
            Observed::Integer(value) => Some(Self::Integer(*value)),
            Observed::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            Observed::Absent(_) => None,
        }
    }
}

#[cfg(test)]
#[path = "pull_tests.rs"]
mod tests;
