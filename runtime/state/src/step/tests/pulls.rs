//! Requests that name sources, and what members saw there (rule A13).

use alloc::borrow::ToOwned as _;

use attestation::ids::Slot;
use attestation::source::{Absence, Observed, Place, Pull, Reducer, Source};

use super::*;
use crate::limits::{
    OBSERVATION_MS_MAX, OBSERVATION_SEQS_MAX, OBSERVATIONS_MAX, PULL_GAS, PULL_SOURCE_GAS,
};
use crate::pull::SignedObservation;
use crate::system::Refusal;

fn source(url: &str) -> Source {
    Source {
        at: Place::HttpJson {
            url: url.to_owned(),
        },
        pointer: "/price".to_owned(),
        scale: Some(2),
        reducer: Reducer::Median,
    }
}

/// A chain, and a request of two sources that its zApp writes down.
fn pulling() -> (Chain, ZappId, Request) {
    let (mut chain, zapp) = Chain::with_zapp();
    let mut request = chain.call(zapp, "pull 0 first\npull 1 second\npull 2 third");
    request.call.pull = Some(Pull {
        sources: vec![source("http://a"), source("http://b")],
        deadline_ms: chain.previous.time_ms + 1_000,
    });
    (chain, zapp, request)
}

fn seen(
    chain: &Chain,
    request: &Request,
    slot: u16,
    values: [Option<i64>; 2],
) -> SignedObservation {
    let value =
        |value: Option<i64>| value.map_or(Observed::Absent(Absence::Status), Observed::Integer);
    SignedObservation {
        slot: Slot(slot),
        epoch: Epoch(1),
        seq: chain.previous.seq.next().expect("few steps"),
        request: request.id(),
        time_ms: chain.previous.time_ms,
        values: values.map(value).to_vec(),
        signature: Signature::from_bytes([0; 64]),
    }
}

/// What members 1 to 4 saw.
fn four(chain: &Chain, request: &Request) -> Vec<SignedObservation> {
    let slots = 1..=4;
    slots
        .map(|slot| {
            let second = (slot != 2).then_some(7);
            seen(chain, request, slot, [Some(i64::from(slot)), second])
        })
        .collect()
}

fn observed(chain: &Chain, request: &Request) -> Job {
    let mut job = chain.job(vec![request.clone()]);
    job.observations = four(chain, request);
    job
}

#[test]
fn a_zapp_reads_what_t_members_saw_and_nothing_that_fewer_did() {
    let (mut chain, zapp, request) = pulling();
    let job = observed(&chain, &request);
    let (_, outcome) = chain.agree(job);
    chain.accept(&outcome);
    assert_eq!(outcome.outcomes[0].status, Status::Ok);
    assert_eq!(chain.value(&zapp, "first"), Some(b"2".as_slice()));
    assert_eq!(chain.value(&zapp, "second"), Some(b"none".as_slice()));
    assert_eq!(chain.value(&zapp, "third"), Some(b"out".as_slice()));
    let gas = PULL_GAS + 2 * PULL_SOURCE_GAS + 3 * script::LINE_GAS;
    assert_eq!(outcome.outcomes[0].gas, gas);
}

#[test]
fn one_liar_does_not_move_a_median_beyond_what_the_others_saw() {
    let (chain, _, request) = pulling();
    for lie in [i64::MIN, i64::MAX] {
        let mut job = chain.job(vec![request.clone()]);
        let values = [101, 102, lie, 103, 104];
        job.observations = (1..)
            .zip(values)
            .map(|(slot, value)| seen(&chain, &request, slot, [Some(value), None]))
            .collect();
        let (_, outcome) = chain.agree(job);
        let first = outcome.writes.iter().find(|write| write.key == b"first");
        let median = first.and_then(|write| write.value.as_deref());
        let expected = if lie < 0 { "102" } else { "103" };
        assert_eq!(median, Some(expected.as_bytes()));
    }
}

#[test]
fn observations_and_their_signatures_are_in_the_inputs_root() {
    let (chain, _, request) = pulling();
    let job = observed(&chain, &request);
    let changes: [Alter<Job>; 5] = [
        |job| job.observations[0].values[0] = Observed::Integer(9),
        |job| job.observations[0].time_ms += 1,
        |job| job.observations[0].slot.0 = 0,
        |job| job.observations[0].signature = Signature::from_bytes([1; 64]),
        |job| {
            job.observations.pop();
        },
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut other = job.clone();
        change(&mut other);
        assert_ne!(other.inputs_root(), job.inputs_root(), "change {at}");
        assert_ne!(other.digest(), job.digest(), "change {at}");
    }
}

#[test]
fn observations_that_do_not_belong_make_a_job_invalid() {
    let (mut chain, zapp, request) = pulling();
    let plain = chain.call(zapp, "get first");
    let mut good = observed(&chain, &request);
    good.requests.push(plain);
    assert!(chain.run(&good).is_ok());
    let changes: [(&str, Alter<Job>); 16] = [
        ("twice", |job| {
            job.observations[1] = job.observations[0].clone()
        }),
        ("out of order", |job| job.observations.swap(0, 1)),
        ("no slot", |job| job.observations[0].slot = Slot(0)),
        ("no member", |job| job.observations[3].slot = Slot(6)),
        ("epoch", |job| job.observations[0].epoch = Epoch(2)),
        ("seq 0", |job| job.observations[0].seq = Seq(0)),
        ("later seq", |job| job.observations[0].seq.0 += 1),
        ("another request", |job| {
            job.observations[0].request = RequestId::from_bytes([0; 32]);
        }),
        ("a request without sources", |job| {
            let id = job.requests[1].id();
            job.observations
                .iter_mut()
                .for_each(|seen| seen.request = id);
        }),
        ("fewer values", |job| {
            job.observations[0].values.pop();
        }),
        ("more values", |job| {
            job.observations[0].values.push(Observed::Integer(1));
        }),
        ("another kind", |job| {
            job.observations[0].values[0] = Observed::Bytes(vec![1].into());
        }),
        ("too old", |job| {
            job.context.time_ms += 500;
            job.observations[0].time_ms = job.context.time_ms + OBSERVATION_MS_MAX + 1;
        }),
        ("fewer than t", |job| {
            job.observations.pop();
        }),
        ("none", |job| job.observations.clear()),
        ("past the deadline", |job| job.context.time_ms += 1_001),
    ];
    for (name, change) in changes {
        let mut job = good.clone();
        change(&mut job);
        let refused = chain.run(&job);
        let expected = match name {
            "fewer than t" | "none" => Err(StepError::Unobserved(request.id())),
            _ => Err(StepError::Observation {
                slot: job.observations[0].slot,
                request: job.observations[0].request,
            }),
        };
        match (refused, expected) {
            (Err(StepError::Observation { .. }), Err(StepError::Observation { .. })) => {}
            (refused, expected) => {
                assert_eq!(refused.map(|_| ()), expected.map(|_: ()| ()), "{name}");
            }
        }
    }
}

#[test]
fn an_observation_counts_for_a_bounded_number_of_steps() {
    let (mut chain, _, request) = pulling();
    let at = |chain: &mut Chain, seq: u64| {
        chain.previous.seq = Seq(seq);
        let mut job = observed(chain, &request);
        job.observations
            .iter_mut()
            .for_each(|seen| seen.seq = Seq(1));
        chain.run(&job).map(|_| ())
    };
    assert_eq!(at(&mut chain, OBSERVATION_SEQS_MAX), Ok(()));
    assert!(matches!(
        at(&mut chain, OBSERVATION_SEQS_MAX + 1),
        Err(StepError::Observation { .. })
    ));
}

#[test]
fn more_or_longer_observations_than_a_job_may_carry_are_refused_first() {
    let (chain, _, request) = pulling();
    let mut job = observed(&chain, &request);
    job.observations = vec![job.observations[0].clone(); OBSERVATIONS_MAX + 1];
    let count = job.observations.len();
    assert_eq!(chain.run(&job), Err(StepError::Observations(count)));
    let mut job = observed(&chain, &request);
    job.observations[0].values = vec![Observed::Bytes(vec![0; 1 << 20].into())];
    assert_eq!(chain.run(&job), Err(StepError::Observations(4)));
}

#[test]
fn past_its_deadline_a_request_is_refused_with_a_receipt_and_the_rest_goes_on() {
    let (mut chain, zapp, request) = pulling();
    let plain = chain.call(zapp, "set other 1");
    let mut job = chain.job(vec![request, plain]);
    job.context.time_ms = chain.previous.time_ms + 1_001;
    let (_, outcome) = chain.agree(job);
    chain.accept(&outcome);
    let [refused, ran] = &outcome.outcomes[..] else {
        panic!("two requests");
    };
    assert_eq!(refused.status, Status::Refused);
    assert_eq!(refused.code, Refusal::Unobserved.code());
    assert_eq!(ran.status, Status::Ok);
    assert_eq!(chain.value(&zapp, "first"), None);
}

#[test]
fn observing_is_paid_before_the_zapp_runs() {
    let (chain, _, mut request) = pulling();
    request.call.gas_limit = PULL_GAS + 2 * PULL_SOURCE_GAS - 1;
    let (_, outcome) = chain.agree(observed(&chain, &request));
    assert_eq!(outcome.outcomes[0].status, Status::OutOfGas);
    assert_eq!(outcome.outcomes[0].gas, request.call.gas_limit);
    assert_eq!(outcome.reports[0].execution, None);
}

#[test]
fn sources_that_no_request_has_make_a_job_invalid() {
    let (chain, _, mut request) = pulling();
    let pull = request.call.pull.as_mut().expect("sources");
    pull.sources[1] = pull.sources[0].clone();
    assert_eq!(
        chain.run(&observed(&chain, &request)),
        Err(StepError::Request(request.id(), Violation::Sources))
    );
}
