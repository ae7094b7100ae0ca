//! The observations of a job: for whom they are, and what they come to.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use attestation::ids::{RequestId, Slot};
use attestation::request::Call;
use attestation::source::Pull;

use crate::job::Job;
use crate::limits::{OBSERVATION_MS_MAX, OBSERVATIONS_BYTES_MAX, OBSERVATIONS_MAX};
use crate::pull::{Pulled, SignedObservation, reduce};
use crate::step::StepError;
use crate::system::Committee;

/// What each request with sources gets of them. Observations are in order of request id and slot,
/// at most one per member; each is of this epoch, recent, and answers a request of this job that
/// still waits for some. Such a request has those of at least t members.
pub(super) fn pulled(
    job: &Job,
    committee: &Committee,
    ids: &[RequestId],
) -> Result<BTreeMap<RequestId, Vec<Pulled>>, StepError> {
    let weight: usize = job.observations.iter().map(SignedObservation::weight).sum();
    if job.observations.len() > OBSERVATIONS_MAX || weight > OBSERVATIONS_BYTES_MAX {
        return Err(StepError::Observations(job.observations.len()));
    }
    let time_ms = job.context.time_ms;
    let requests = ids.iter().zip(&job.requests);
    let waiting: BTreeMap<RequestId, &Pull> = requests
        .filter_map(|(id, request)| Some((*id, awaited(&request.call, time_ms)?)))
        .collect();
    let mut seen: BTreeMap<RequestId, Vec<&SignedObservation>> = BTreeMap::new();
    let mut last: Option<(RequestId, Slot)> = None;
    for observation in &job.observations {
        let (request, slot) = (observation.request, observation.slot);
        let at = Some((request, slot));
        let belongs = at > last
            && (Slot(1)..=committee.slot_max).contains(&slot)
            && observation.epoch == committee.epoch
            && observation.is_recent(job.seq, time_ms, OBSERVATION_MS_MAX)
            && waiting
                .get(&request)
                .is_some_and(|pull| observation.answers(pull));
        if !belongs {
            return Err(StepError::Observation { slot, request });
        }
        seen.entry(request).or_default().push(observation);
        last = at;
    }
    waiting
        .into_iter()
        .map(|(id, pull)| {
            let seen = seen.get(&id).map(Vec::as_slice).unwrap_or_default();
            if seen.len() < usize::from(committee.threshold) {
                return Err(StepError::Unobserved(id));
            }
            Ok((id, reduce(pull, seen, committee.threshold)))
        })
        .collect()
}

/// The sources that a request waits for at this time: past their deadline it is refused.
pub(super) fn awaited(call: &Call, time_ms: u64) -> Option<&Pull> {
    let pull = call.pull.as_ref();
    pull.filter(|pull| time_ms <= pull.deadline_ms)
}
