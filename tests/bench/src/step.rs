//! A step without network, signatures and disk: the counter zApp run and replayed in a loop.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use attestation::codec::encode;
use attestation::committee::CreationRecord;
use attestation::ids::{Digest, IdentityKey, ModuleDigest, Seq, Signature, ZappId};
use attestation::leaf::Status;
use attestation::request::{Call, FeePayer, Request};
use attestation::step_attestation::StepAttestation;
use launch::GAS_LIMIT;
use runtime::Executor;
use runtime::engine::Artifact;
use sha2::Digest as _;
use state::State;
use state::job::{Context, Job};
use state::step::{Params, Previous, StepOutcome, replay, report, run};
use state::system::{DEPLOY, Deploy};
use state::witness::Witness;

/// Requests of the step that is measured.
const REQUESTS: u64 = 128;
const RUNS: usize = 15;

/// Microseconds and bytes per request, for a step of many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepCosts {
    /// The engine runs the request on a witness: an executor's part.
    pub(crate) execute_us: f64,
    /// The request is replayed to leaves, writes and root: a signer's part.
    pub(crate) replay_us: f64,
    /// Encoded job.
    pub(crate) job_bytes: f64,
    /// Encoded reports.
    pub(crate) report_bytes: f64,
}

/// Measures on this machine, for this committee.
pub(crate) fn measure(record: &CreationRecord, wasm: &[u8]) -> Result<StepCosts> {
    let mut bench = Bench::deploy(record, wasm)?;
    let job = bench.calls(1);
    let first = bench.run(&job)?;
    bench.advance(&first)?;
    let mut job = bench.calls(2);
    let outcome = bench.run(&job)?;
    if outcome
        .outcomes
        .iter()
        .any(|call| call.status != Status::Ok)
    {
        bail!("the counter refuses a call");
    }
    job.witness = bench.state.witness(&outcome.touched)?;
    let state = job.witness.open(&bench.previous.state)?;
    let Bench {
        params,
        previous,
        executor,
        ..
    } = &mut bench;
    let execute_us = per_request(|| report(params, previous, &job, &state, executor).is_ok());
    let replay_us = per_request(|| {
        let opened = job.witness.open(&previous.state);
        opened.is_ok_and(|state| replay(params, previous, &job, &state, &outcome.reports).is_ok())
    });
    let each = |bytes: usize| bytes as f64 / REQUESTS as f64;
    Ok(StepCosts {
        execute_us,
        replay_us,
        job_bytes: each(encode(&job).len()),
        report_bytes: each(encode(&outcome.reports).len()),
    })
}

/// Median over some runs.
fn per_request(mut step: impl FnMut() -> bool) -> f64 {
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let began = Instant::now();
            assert!(black_box(step()), "the step has run before");
            began.elapsed().as_secs_f64() * 1e6 / REQUESTS as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.get(RUNS / 2).copied().unwrap_or_default()
}

struct Bench {
    params: Params,
    previous: Previous,
    state: State,
    executor: Executor<One>,
    counter: ZappId,
}

impl Bench {
    /// A committee's first step, which deploys the counter.
    fn deploy(record: &CreationRecord, wasm: &[u8]) -> Result<Self> {
        let prepared = runtime::prepare(wasm)?;
        let artifact = runtime::engine::compile(&prepared.metered)?;
        let module = prepared.original;
        let one = One {
            wasm: wasm.to_vec(),
            artifact,
        };
        let owner = caller(u64::MAX);
        let deploy = Deploy {
            module,
            salt: Digest::from_bytes([1; 32]),
            escrow: 0,
            init: Vec::new(),
        };
        let mut bench = Self {
            params: Params::of(record),
            previous: Previous::genesis(record),
            state: State::genesis(record),
            executor: Executor::new(one)?,
            counter: deploy.zapp(&owner),
        };
        let request = bench.request(owner, ZappId::SYSTEM, DEPLOY, deploy.to_bytes(), 1);
        let job = bench.job(vec![request]);
        let outcome = bench.run(&job)?;
        bench.advance(&outcome)?;
        Ok(bench)
    }

    /// One call by each of many callers.
    fn calls(&self, nonce: u64) -> Job {
        let amount = 1u64.to_be_bytes().to_vec();
        let calls = (0..REQUESTS)
            .map(|number| self.request(caller(number), self.counter, "add", amount.clone(), nonce));
        self.job(calls.collect())
    }

    fn request(
        &self,
        caller: IdentityKey,
        zapp: ZappId,
        method: &str,
        input: Vec<u8>,
        nonce: u64,
    ) -> Request {
        let call = Call {
            network: self.params.network,
            committee: self.params.committee,
            zapp,
            method: method.to_owned(),
            input,
            gas_limit: 20 * GAS_LIMIT,
            fee_payer: FeePayer::Zapp,
            nonce,
            valid_until_ms: u64::MAX,
            caller,
            pull: None,
        };
        // Steps leave signatures to whoever runs them.
        let signature = Signature::from_bytes([0; 64]);
        Request { call, signature }
    }

    fn job(&self, requests: Vec<Request>) -> Job {
        Job {
            seq: self.previous.seq.next().unwrap_or(Seq(u64::MAX)),
            previous: Vec::new(),
            context: Context {
                time_ms: self.previous.time_ms,
                anchor_height: 0,
                anchor: Digest::from_bytes([0; 32]),
            },
            requests,
            votes: Vec::new(),
            reveal: None,
            faults: Vec::new(),
            observations: Vec::new(),
            witness: Witness::default(),
        }
    }

    fn run(&mut self, job: &Job) -> Result<StepOutcome> {
        let outcome = run(
            &self.params,
            &self.previous,
            job,
            &self.state,
            &mut self.executor,
        );
        outcome.context("the counter does not run")
    }

    fn advance(&mut self, outcome: &StepOutcome) -> Result<()> {
        self.state.apply(&outcome.writes)?;
        self.previous = Previous::of(&StepAttestation {
            commit: outcome.commit,
            root: outcome.root,
            signature: Signature::from_bytes([0; 64]),
        });
        Ok(())
    }
}

/// A key that nothing was signed with.
fn caller(number: u64) -> IdentityKey {
    let digest = sha2::Sha256::digest(number.to_be_bytes());
    IdentityKey::from_bytes(digest.into())
}

/// The one module there is.
struct One {
    wasm: Vec<u8>,
    artifact: Artifact,
}

impl runtime::Modules for One {
    fn module(&mut self, _module: &ModuleDigest) -> Option<Vec<u8>> {
        Some(self.wasm.clone())
    }

    fn artifact(&mut self, _module: &ModuleDigest) -> Option<Artifact> {
        Some(self.artifact.clone())
    }
}
