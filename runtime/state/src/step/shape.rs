//! What a job must be before any of it runs.

use alloc::collections::BTreeMap;
use attestation::ids::{RequestId, Slot};

use crate::job::{Job, SignedFault};
use crate::limits::{FAULT_SEQS_MAX, INPUTS_BYTES_MAX, REQUESTS_MAX};
use crate::step::{Previous, StepError};
use crate::system::Committee;

/// Position, counts and time.
pub(super) fn check(previous: &Previous, job: &Job) -> Result<(), StepError> {
    if previous.seq.next() != Some(job.seq) {
        return Err(StepError::Seq {
            previous: previous.seq,
            actual: job.seq,
        });
    }
    if !(1..=REQUESTS_MAX).contains(&job.requests.len()) {
        return Err(StepError::Requests(job.requests.len()));
    }
    let inputs = job.requests.iter().map(|request| &request.call);
    let inputs = inputs
        .map(|call| call.method.len() + call.input.len())
        .sum();
    if inputs > INPUTS_BYTES_MAX {
        return Err(StepError::Inputs(inputs));
    }
    if job.context.time_ms < previous.time_ms {
        return Err(StepError::Time {
            previous: previous.time_ms,
            actual: job.context.time_ms,
        });
    }
    Ok(())
}

/// Listed votes are for the step before, at most one per member, in slot order.
pub(super) fn check_votes(
    previous: &Previous,
    job: &Job,
    committee: &Committee,
) -> Result<(), StepError> {
    let mut last = 0;
    for vote in &job.votes {
        let counts = vote.slot.0 > last
            && vote.slot <= committee.slot_max
            && vote.seq == previous.seq
            && vote.epoch == previous.epoch
            && vote.statement == previous.statement;
        if !counts || previous.seq.0 == 0 {
            return Err(StepError::Vote(vote.slot));
        }
        last = vote.slot.0;
    }
    Ok(())
}

/// How many members fault each request. Faults are in order of request id and slot, each names a
/// request of this job, and none is older than [`FAULT_SEQS_MAX`] steps. One of this very step
/// must be for the same previous root.
pub(super) fn count_faults(
    previous: &Previous,
    job: &Job,
    committee: &Committee,
    ids: &[RequestId],
) -> Result<BTreeMap<RequestId, u16>, StepError> {
    let mut counts = BTreeMap::new();
    let mut last: Option<(RequestId, Slot)> = None;
    for fault in &job.faults {
        let at = Some((fault.request, fault.slot));
        let belongs = at > last
            && (Slot(1)..=committee.slot_max).contains(&fault.slot)
            && fault.epoch == committee.epoch
            && is_recent(previous, job, fault)
            && (last.is_some_and(|(request, _)| request == fault.request)
                || ids.contains(&fault.request));
        if !belongs {
            return Err(StepError::Fault {
                slot: fault.slot,
                request: fault.request,
            });
        }
        *counts.entry(fault.request).or_default() += 1;
        last = at;
    }
    Ok(counts)
}

fn is_recent(previous: &Previous, job: &Job, fault: &SignedFault) -> bool {
    if fault.seq == job.seq {
        fault.previous_root == previous.state
    } else {
        fault.seq < job.seq && job.seq.0 - fault.seq.0 <= FAULT_SEQS_MAX
    }
}
