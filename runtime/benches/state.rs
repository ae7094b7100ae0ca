//! What a step costs on states of different sizes, and how large its witness is.
//!
//! `cargo bench -p runtime --bench state --profile dev -- 1000 10000 100000 1000000` prints a row for each
//! number of entries. A step is one call that reads two entries and writes both, at keys that change
//! from step to step; each entry has a key of 4 bytes and a value of 16.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use attestation::codec;
use attestation::committee::{Card, CreationRecord};
use attestation::conditions::Conditions;
use attestation::ids::{
    ChannelKey, Digest, IdentityKey, ModuleDigest, NetworkId, Seq, Signature, ZappId,
};
use attestation::leaf::Status;
use attestation::request::{Call, FeePayer, Request};
use attestation::terms::Terms;
use runtime::engine::{Artifact, Target, compile_for};
use runtime::{Executor, Modules, PreparedModule, prepare, profile};
use state::State;
use state::job::{Context, Job};
use state::step::{self, Params, Previous};
use state::system::{ZappRecord, zapp_key};
use state::witness::Witness;

const ZAPP: ZappId = ZappId::from_bytes([7; 32]);
const OWNER: IdentityKey = IdentityKey::from_bytes([5; 32]);
const VALUE: [u8; 16] = [1; 16];
const STEPS: u32 = 200;
const SIZES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// Its input is two keys; the entry of each is read, and written with the other's value.
const MODULE: &str = r#"(module
  (import "zapp0" "input" (func $input (param i32 i32 i32)))
  (import "zapp0" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "zapp0" "set" (func $set (param i32 i32 i32 i32)))
  (memory (export "memory") 1 1)
  (func (export "zapp_main") (param i32 i32) (result i32)
    (call $input (i32.const 0) (i32.const 2) (i32.const 8))
    (drop (call $get (i32.const 0) (i32.const 4) (i32.const 16) (i32.const 16)))
    (drop (call $get (i32.const 4) (i32.const 4) (i32.const 32) (i32.const 16)))
    (i64.store (i32.const 16) (i64.add (i64.load (i32.const 16)) (i64.const 1)))
    (call $set (i32.const 0) (i32.const 4) (i32.const 32) (i32.const 16))
    (call $set (i32.const 4) (i32.const 4) (i32.const 16) (i32.const 16))
    (i32.const 0)))"#;

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let given: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let sizes: Result<Vec<u32>, _> = given.iter().map(|size| size.parse()).collect();
    let sizes = match sizes {
        Ok(sizes) if sizes.iter().any(|size| *size < 2) => {
            eprintln!("two entries at least");
            return ExitCode::from(2);
        }
        Ok(sizes) if sizes.is_empty() => SIZES.to_vec(),
        Ok(sizes) => sizes,
        Err(error) => {
            eprintln!("{error}: give numbers of entries, such as 1000 10000");
            return ExitCode::from(2);
        }
    };
    println!(
        "{:>10}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}",
        "entries", "run us", "witness us", "witness B", "open us", "sign us", "apply us"
    );
    for entries in sizes {
        let costs = Bed::of(entries).costs(entries);
        println!("{entries:>10}{costs}");
    }
    ExitCode::SUCCESS
}

struct One(Artifact);

impl Modules for One {
    fn module(&mut self, _: &ModuleDigest) -> Option<Vec<u8>> {
        None
    }

    fn artifact(&mut self, _: &ModuleDigest) -> Option<Artifact> {
        Some(self.0.clone())
    }
}

/// A committee's state with one zApp and its entries.
struct Bed {
    params: Params,
    previous: Previous,
    state: State,
    executor: Executor<One>,
    nonce: u64,
}

/// Sums over the steps.
#[derive(Default)]
struct Costs {
    /// The step on the whole state, as a node runs it.
    run: Duration,
    /// Making the witness.
    witness: Duration,
    witness_bytes: usize,
    /// Opening it, as executor and signer do.
    open: Duration,
    /// The signer's replay on what it shows.
    sign: Duration,
    /// Taking the writes over.
    apply: Duration,
}

impl Bed {
    fn of(entries: u32) -> Self {
        let wasm = wat::parse_str(MODULE).expect("parses");
        let prepared = prepare(&wasm).expect("accepted");
        let artifact = compile_for(&prepared.metered, Target::HERE).expect("compiles");
        let record = record();
        let system = State::genesis(&record);
        let system = system.entries().map(|(zapp, key, entry)| {
            let value = entry.value.clone();
            (*zapp, key.to_vec(), value)
        });
        let own = (0..entries).map(|key| (ZAPP, key.to_be_bytes().to_vec(), VALUE.to_vec()));
        let zapp = (ZappId::SYSTEM, zapp_key(&ZAPP), zapp_record(&prepared));
        let head = (ZAPP, Vec::new(), Vec::new());
        let state = State::from_entries(system.chain([zapp, head]).chain(own));
        let state = state.expect("heads are there");
        let previous = Previous {
            state: state.root(),
            ..Previous::genesis(&record)
        };
        Self {
            params: Params::of(&record),
            previous,
            state,
            executor: Executor::new(One(artifact)).expect("starts"),
            nonce: 0,
        }
    }

    fn costs(&mut self, entries: u32) -> Costs {
        let mut costs = Costs::default();
        for step in 0..STEPS {
            // All over the keys, never one twice in a step.
            let first = step.wrapping_mul(0x9e37_79b1) % entries;
            let second = (first + 1 + step % (entries - 1)) % entries;
            self.step([first, second], &mut costs);
        }
        costs
    }

    fn step(&mut self, keys: [u32; 2], costs: &mut Costs) {
        let mut job = self.job(keys);
        let start = Instant::now();
        let ran = step::run(
            &self.params,
            &self.previous,
            &job,
            &self.state,
            &mut self.executor,
        );
        let ran = ran.expect("an outcome");
        costs.run += start.elapsed();
        let done = |outcome: &step::Outcome| outcome.status == Status::Ok;
        assert!(ran.outcomes.iter().all(done));

        let start = Instant::now();
        job.witness = self.state.witness(&ran.touched).expect("whole");
        costs.witness += start.elapsed();
        costs.witness_bytes += codec::encode(&job.witness).len();

        let start = Instant::now();
        let shown = job.witness.open(&self.previous.state).expect("our own");
        costs.open += start.elapsed();

        let start = Instant::now();
        let signed = step::replay(&self.params, &self.previous, &job, &shown, &ran.reports);
        assert_eq!(black_box(signed.expect("honest")).commit, ran.commit);
        costs.sign += start.elapsed();

        let start = Instant::now();
        self.state.apply(&ran.writes).expect("whole");
        costs.apply += start.elapsed();
        self.previous = Previous {
            seq: ran.commit.seq,
            epoch: ran.commit.epoch,
            statement: ran.statement(),
            state: ran.commit.state,
            time_ms: ran.commit.time_ms,
            trace: ran.commit.trace,
        };
    }

    fn job(&mut self, keys: [u32; 2]) -> Job {
        self.nonce += 1;
        let call = Call {
            network: self.params.network,
            committee: self.params.committee,
            zapp: ZAPP,
            method: "m".to_owned(),
            input: keys.map(u32::to_be_bytes).concat(),
            gas_limit: 10_000_000,
            fee_payer: FeePayer::Zapp,
            nonce: self.nonce,
            valid_until_ms: u64::MAX,
            caller: OWNER,
            pull: None,
        };
        let signature = Signature::from_bytes([0; 64]);
        Job {
            seq: self.previous.seq.next().expect("few steps"),
            previous: Vec::new(),
            context: Context {
                time_ms: self.previous.time_ms + 1_000,
                anchor_height: 0,
                anchor: Digest::from_bytes([0; 32]),
            },
            requests: vec![Request { call, signature }],
            votes: Vec::new(),
            reveal: None,
            faults: Vec::new(),
            observations: Vec::new(),
            witness: Witness { tree: Vec::new() },
        }
    }
}

impl std::fmt::Display for Costs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = |sum: Duration| sum.as_secs_f64() * 1e6 / f64::from(STEPS);
        let [run, witness] = [self.run, self.witness].map(micros);
        let [open, sign, apply] = [self.open, self.sign, self.apply].map(micros);
        let bytes = self.witness_bytes / STEPS as usize;
        write!(
            f,
            "{run:>12.0}{witness:>12.0}{bytes:>12}{open:>12.0}{sign:>12.0}{apply:>12.0}"
        )
    }
}

fn zapp_record(prepared: &PreparedModule) -> Vec<u8> {
    codec::encode(&ZappRecord {
        owner: OWNER,
        module: prepared.original,
        metered: prepared.metered_digest,
        seq: Seq(0),
        calls: prepared.calls,
        pages: prepared.pages,
        version: 0,
        frozen: false,
        aborted: false,
    })
}

fn record() -> CreationRecord {
    let card = |byte| Card {
        identity: IdentityKey::from_bytes([byte; 32]),
        channel: ChannelKey::from_bytes([byte; 32]),
        image: Card::NO_IMAGE,
        payout: Card::NO_PAYOUT,
        signature: Signature::from_bytes([0; 64]),
        engine: None,
        sentinel: None,
    };
    CreationRecord {
        network: NetworkId(1),
        threshold: 3,
        members: (101..105).map(card).collect(),
        coordinators: vec![card(111)],
        profile: profile(),
        created_ms: 1_000,
        salt: Digest::from_bytes([0; 32]),
        terms: Terms::FREE,
        grants: Vec::new(),
        evm: false,
        conditions: Conditions::default(),
    }
}
