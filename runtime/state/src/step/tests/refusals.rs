//! Jobs that have no outcome.

use super::*;
use attestation::request::INPUT_BYTES_MAX;

use crate::limits::{REPORTS_BYTES_MAX, REQUESTS_MAX, STEP_GAS_MAX, VALUE_BYTES_MAX};
use crate::witness::Touched;

#[test]
fn a_request_that_may_not_be_in_the_job_is_named() {
    let (mut chain, zapp) = Chain::with_zapp();
    let last = chain.nonce;
    let mut valid = chain.call(zapp, "get a");
    valid.call.valid_until_ms = chain.previous.time_ms + 10;
    assert!(chain.run(&chain.job(vec![valid.clone()])).is_ok());

    let table: [(Alter<Call>, Violation); 9] = [
        (|call| call.network.0 += 1, Violation::Network),
        (
            |call| call.committee = CommitteeId::from_bytes([0; 32]),
            Violation::Committee,
        ),
        (|call| call.method.clear(), Violation::Length),
        (|call| call.method = "m".repeat(65), Violation::Length),
        (|call| call.input = vec![b'\n'; 65_537], Violation::Length),
        (
            |call| call.valid_until_ms -= 1,
            Violation::Expired {
                valid_until_ms: valid.call.valid_until_ms - 1,
                time_ms: valid.call.valid_until_ms,
            },
        ),
        (
            |call| call.nonce -= 1,
            Violation::Replayed { nonce: last, last },
        ),
        // At most terms its price is nothing.
        (
            |call| call.gas_limit = 0,
            Violation::Gas {
                limit: 0,
                left: STEP_GAS_MAX,
            },
        ),
        (
            |call| call.gas_limit = STEP_GAS_MAX + 1,
            Violation::Gas {
                limit: STEP_GAS_MAX + 1,
                left: STEP_GAS_MAX,
            },
        ),
    ];
    for (alter, violation) in table {
        let mut request = valid.clone();
        alter(&mut request.call);
        let expected = StepError::Request(request.id(), violation);
        assert_eq!(chain.run(&chain.job(vec![request])), Err(expected));
    }
}

#[test]
fn a_request_runs_once() {
    let (mut chain, zapp) = Chain::with_zapp();
    let request = chain.call(zapp, "get a");
    let nonce = request.call.nonce;
    let replayed = StepError::Request(request.id(), Violation::Replayed { nonce, last: nonce });
    let twice = chain.job(vec![request.clone(), request.clone()]);
    assert_eq!(chain.run(&twice), Err(replayed));
    chain.step(vec![request.clone()]);
    assert_eq!(chain.run(&chain.job(vec![request])), Err(replayed));
}

#[test]
fn nonces_of_one_caller_rise_within_a_job() {
    let (mut chain, zapp) = Chain::with_zapp();
    let requests = vec![chain.call(zapp, "get a"), chain.call(zapp, "get b")];
    let mut swapped = requests.clone();
    swapped.swap(0, 1);
    assert!(chain.run(&chain.job(requests)).is_ok());
    let result = chain.run(&chain.job(swapped));
    assert!(matches!(
        result,
        Err(StepError::Request(_, Violation::Replayed { .. }))
    ));
}

#[test]
fn a_job_holds_no_more_gas_than_a_step() {
    let (mut chain, zapp) = Chain::with_zapp();
    let first = chain.call(zapp, "get a");
    let mut second = chain.call(zapp, "get b");
    second.call.gas_limit = STEP_GAS_MAX - script::LINE_GAS;
    assert!(
        chain
            .run(&chain.job(vec![first.clone(), second.clone()]))
            .is_ok()
    );
    second.call.gas_limit += 1;
    let left = STEP_GAS_MAX - script::LINE_GAS;
    let violation = Violation::Gas {
        limit: left + 1,
        left,
    };
    let expected = StepError::Request(second.id(), violation);
    assert_eq!(chain.run(&chain.job(vec![first, second])), Err(expected));
}

#[test]
fn a_job_out_of_place_is_refused() {
    let (mut chain, zapp) = Chain::with_zapp();
    let request = chain.call(zapp, "get a");
    let job = chain.job(vec![request.clone()]);

    let mut again = job.clone();
    again.seq = Seq(1);
    let mut skipped = job.clone();
    skipped.seq = Seq(3);
    for job in [again, skipped] {
        assert!(matches!(chain.run(&job), Err(StepError::Seq { .. })));
    }
    let mut early = job.clone();
    early.context.time_ms = chain.previous.time_ms - 1;
    assert!(matches!(chain.run(&early), Err(StepError::Time { .. })));
    let mut same_time = job.clone();
    same_time.context.time_ms = chain.previous.time_ms;
    assert!(chain.run(&same_time).is_ok());

    let empty = chain.job(Vec::new());
    assert_eq!(chain.run(&empty), Err(StepError::Requests(0)));
    let full = chain.job(vec![request; REQUESTS_MAX + 1]);
    assert_eq!(chain.run(&full), Err(StepError::Requests(REQUESTS_MAX + 1)));

    chain.state = State::default();
    assert!(matches!(chain.run(&job), Err(StepError::State { .. })));
    chain.previous.state = chain.state.root();
    assert_eq!(chain.run(&job), Err(StepError::SystemEntry));
}

#[test]
fn a_witness_without_one_entry_gives_no_outcome() {
    let (mut chain, zapp) = Chain::with_zapp();
    let filled = chain.call(zapp, "set a 1\nset b 2\nset c 3\nset d 4");
    chain.step(vec![filled]);
    let request = chain.call(zapp, "scan a\ndel b\nset bb 5\nget c");
    let (mut job, outcome) = chain.agree(chain.job(vec![request]));
    let keys: Vec<_> = outcome.touched.keys().collect();
    for (hidden_zapp, hidden) in &keys {
        let mut touched = Touched::default();
        for (zapp, key) in &keys {
            if (zapp, key) != (hidden_zapp, hidden) {
                touched.see(zapp, key);
            }
        }
        job.witness = chain.state.witness(&touched).expect("whole");
        let pruned = job
            .witness
            .open(&chain.previous.state)
            .expect("hiding keeps the root");
        let executor = run(&chain.params, &chain.previous, &job, &pruned, &mut Script);
        if chain
            .state
            .get(hidden_zapp, hidden)
            .expect("whole")
            .is_some()
        {
            let error = executor.clone().err();
            assert!(
                matches!(error, Some(StepError::NeedState(_))),
                "{hidden:?}: {error:?}"
            );
        }
        // What is not there may be excluded by what else is shown, and a signer does not read
        // what its executor reads. An outcome is the same in any case.
        for result in [executor, chain.replay(&job, &outcome.reports)] {
            match result {
                Ok(same) => assert_eq!(same.statement(), outcome.statement()),
                Err(error) => assert!(matches!(error, StepError::NeedState(_)), "{error}"),
            }
        }
    }
}

#[test]
fn an_engine_without_an_outcome_stops_the_job() {
    let (mut chain, zapp) = Chain::with_zapp();
    let hang = chain.call(zapp, "set a 1\nhang");
    let id = hang.id();
    assert_eq!(chain.run(&chain.job(vec![hang])), Err(StepError::Hung(id)));
    let unknown = ModuleDigest::from_bytes([7; 32]);
    let deploy = chain.deploy(BOB, unknown, "");
    assert_eq!(
        chain.run(&chain.job(vec![deploy])),
        Err(StepError::Module(unknown))
    );
}

#[test]
fn inputs_and_reports_of_a_step_are_bounded() {
    struct Writer;
    impl Execute for Writer {
        fn prepare(&mut self, _: &RequestId, _: &ModuleDigest) -> Result<Verdict, ExecuteError> {
            unreachable!("nothing is deployed")
        }

        fn execute(
            &mut self,
            call: &Executable<'_>,
            journal: &mut Journal<'_>,
        ) -> Result<Execution, ExecuteError> {
            for key in 0..15u8 {
                let value = vec![key; VALUE_BYTES_MAX];
                journal
                    .write(&call.zapp, &[key], Some(&value))
                    .expect("within limits");
            }
            Script.execute(
                &Executable {
                    input: b"get a",
                    ..*call
                },
                journal,
            )
        }
    }

    let (mut chain, zapp) = Chain::with_zapp();
    let requests: Vec<_> = (0..13).map(|_| chain.call(zapp, "get a")).collect();
    let last = requests[12].id();
    let run = |requests: &[Request]| {
        let job = chain.job(requests.to_vec());
        run(
            &chain.params,
            &chain.previous,
            &job,
            &chain.state,
            &mut Writer,
        )
    };
    let outcome = run(&requests[..12]).expect("twelve fit");
    let encoded = attestation::codec::encode(&outcome.reports).len();
    let weight: usize = outcome.reports.iter().map(Report::weight).sum();
    assert!(
        encoded <= weight && weight <= REPORTS_BYTES_MAX,
        "{encoded} {weight}"
    );
    assert_eq!(
        run(&requests),
        Err(StepError::Request(last, Violation::Space))
    );

    let long = chain.request(ALICE, zapp, "run", &[b'\n'; INPUT_BYTES_MAX]);
    let job = chain.job(vec![long; 64]);
    let bytes = 64 * (INPUT_BYTES_MAX + 3);
    assert_eq!(chain.run(&job), Err(StepError::Inputs(bytes)));
}
