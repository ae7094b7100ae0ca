//! A module, an executor for each engine and a state, ready for calls. Every call runs on both
//! engines, and they must come to the same in all that a member could tell another.

use attestation::ids::{
    CommitteeId, Digest, Epoch, IdentityKey, ModuleDigest, NetworkId, RequestId, Seq, ZappId,
};
use attestation::leaf::Status;
use runtime::engine::{Artifact, System, Target, compile_for};
use runtime::{Executor, Modules, PreparedModule, Ran};
use state::State;
use state::entry::EntryWrite;
use state::execute::{Environment, Executable, Op};
use state::job::Context;
use state::journal::Journal;
use state::pull::Pulled;

/// The zApp that the bed runs.
pub const ZAPP: ZappId = ZappId::from_bytes([7; 32]);
/// The engines.
pub const TARGETS: [Target; 2] = [Target::Wasmtime(System::HERE), Target::Wasmi];
/// Gas that no test means to use up.
pub const PLENTY: u64 = 100_000_000;

/// Holds one module.
#[derive(Clone)]
pub struct One {
    pub wasm: Vec<u8>,
    pub artifact: Artifact,
}

impl Modules for One {
    fn module(&mut self, _: &ModuleDigest) -> Option<Vec<u8>> {
        Some(self.wasm.clone())
    }

    fn artifact(&mut self, _: &ModuleDigest) -> Option<Artifact> {
        Some(self.artifact.clone())
    }
}

pub struct Bed {
    pub executors: [Executor<One>; 2],
    pub prepared: PreparedModule,
    pub state: State,
    pub pulled: Vec<Pulled>,
}

/// What a call came to, with what it would write.
#[derive(Debug, PartialEq, Eq)]
pub struct Done {
    pub ran: Ran,
    pub writes: Vec<EntryWrite>,
}

impl Bed {
    pub fn new(text: &str) -> Self {
        let wasm = wat::parse_str(text).expect("the test's module parses");
        let prepared = runtime::prepare(&wasm).expect("the gatekeeper takes the module");
        let executors = TARGETS.map(|target| {
            let artifact = compile_for(&prepared.metered, target).expect("it compiles");
            let wasm = wasm.clone();
            Executor::new(One { wasm, artifact }).expect("the engines start")
        });
        Self {
            executors,
            prepared,
            state: State::from_entries([(ZAPP, vec![], vec![])]).expect("one head"),
            pulled: Vec::new(),
        }
    }

    /// A bed for `zapp_main` with this body, a memory of one to two pages, and the whole of
    /// `zapp0` imported under its own names.
    pub fn main(body: &str) -> Self {
        Self::new(&module(body))
    }

    pub fn with_entries(mut self, entries: &[(&[u8], &[u8])]) -> Self {
        let head = (ZAPP, vec![], vec![]);
        let entries = entries.iter().map(|(k, v)| (ZAPP, k.to_vec(), v.to_vec()));
        self.state = State::from_entries(entries.chain([head])).expect("heads are there");
        self
    }

    pub fn call(&mut self, gas_limit: u64) -> Done {
        self.run(Op::Call, "m", b"input", gas_limit)
    }

    pub fn run(&mut self, op: Op, method: &str, input: &[u8], gas_limit: u64) -> Done {
        let environment = environment(&self.state);
        let call = Executable {
            op,
            request: RequestId::from_bytes([3; 32]),
            zapp: ZAPP,
            module: self.prepared.original,
            metered: self.prepared.metered_digest,
            caller: IdentityKey::from_bytes([5; 32]),
            origin: IdentityKey::from_bytes([5; 32]),
            method,
            input,
            gas_limit,
            environment: &environment,
            pulled: &self.pulled,
        };
        let [compiled, interpreted] = &mut self.executors;
        let compiled = done(compiled, &call, &self.state);
        let interpreted = done(interpreted, &call, &self.state);
        assert_eq!(compiled, interpreted, "gas limit {gas_limit}");
        compiled
    }
}

fn done(executor: &mut Executor<One>, call: &Executable<'_>, state: &State) -> Done {
    let mut journal = Journal::new(state);
    journal.begin();
    let from = journal.open(&ZAPP);
    let ran = executor.run(call, &mut journal).expect("an outcome");
    if ran.execution.status != Status::Ok {
        journal.revert(from);
    }
    let writes = journal.writes_since(from);
    Done { ran, writes }
}

pub fn environment(state: &State) -> Environment {
    Environment {
        network: NetworkId(1),
        committee: CommitteeId::from_bytes([2; 32]),
        epoch: Epoch(1),
        seq: Seq(1),
        context: Context {
            time_ms: 1_700_000_000_000,
            anchor_height: 42,
            anchor: Digest::from_bytes([0; 32]),
        },
        previous_state: state.root(),
    }
}

impl Done {
    pub fn status(&self) -> Status {
        self.ran.execution.status
    }

    pub fn gas(&self) -> u64 {
        self.ran.execution.gas
    }

    pub fn output(&self) -> &[u8] {
        &self.ran.execution.output
    }
}

/// A module around the body of `zapp_main`; local 2 is an `i32`, local 3 an `i64`.
pub fn module(body: &str) -> String {
    format!(
        r#"(module {IMPORTS}
          (memory (export "memory") 1 2)
          (func $zapp_main (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
            {body}
            (i32.const 0)))"#
    )
}

pub const IMPORTS: &str = r#"
  (import "zapp0" "input" (func $input (param i32 i32 i32)))
  (import "zapp0" "output" (func $output (param i32 i32)))
  (import "zapp0" "ctx" (func $ctx (param i32 i32) (result i32)))
  (import "zapp0" "gas_left" (func $gas_left (result i64)))
  (import "zapp0" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "zapp0" "set" (func $set (param i32 i32 i32 i32)))
  (import "zapp0" "del" (func $del (param i32 i32)))
  (import "zapp0" "next" (func $next (param i32 i32 i32 i32) (result i32)))
  (import "zapp0" "emit" (func $emit (param i32 i32 i32 i32)))
  (import "zapp0" "hash" (func $hash (param i32 i32 i32 i32)))
  (import "zapp0" "verify" (func $verify (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "zapp0" "abort" (func $abort (param i32 i32)))
  (import "zapp0" "log" (func $log (param i32 i32)))
  (import "zapp0" "call" (func $call (param i32 i64 i32 i32) (result i64)))
  (import "zapp0" "result" (func $result (param i32 i32 i32)))
  (import "zapp0" "post" (func $post (param i32 i32 i32 i32)))
  (import "zapp0" "pull" (func $pull (param i32 i32 i32 i32) (result i32)))"#;
