//! Calls per second: a transfer between two accounts, in this project's runtime and in cosmwasm-vm.
//!
//! `cargo bench --bench calls --profile dev -- 2000` runs each that often and prints a row; `ledger` is
//! there where `cargo xtask zapps` has built it. Both machines hold the module compiled and make a fresh
//! instance for each call, on state in memory. The transfer is written by hand for each interface and
//! does the same: read two balances, move, write both, no JSON. What a chain or a step adds around a call
//! (signatures, consensus, a tree over the state) is in neither.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use attestation::ids::{
    CommitteeId, Digest, Epoch, IdentityKey, ModuleDigest, NetworkId, RequestId, Seq, ZappId,
};
use attestation::leaf::Status;
use cosmwasm_std::{ContractResult, Empty, Response};
use cosmwasm_vm::internals::{compile_module, instance_from_module};
use cosmwasm_vm::testing::{MockApi, MockQuerier, mock_env, mock_info};
use cosmwasm_vm::{Backend, BackendResult, GasInfo, Size, Storage, call_execute, call_instantiate};
use runtime::engine::{Artifact, Target, compile_for};
use runtime::{Executor, Modules, prepare};
use state::State;
use state::execute::{Environment, Executable, Op};
use state::job::Context;
use state::journal::Journal;
use wasmer::Store;

const ZAPP: ZappId = ZappId::from_bytes([7; 32]);
const OWNER: IdentityKey = IdentityKey::from_bytes([1; 32]);
const OTHER: [u8; 32] = [2; 32];
const GAS_LIMIT: u64 = 100_000_000;
const COSMOS_GAS_LIMIT: u64 = 10_000_000 * 140_000;

fn main() -> ExitCode {
    let given = std::env::args()
        .skip(1)
        .find(|argument| argument != "--bench");
    let calls: u32 = match given.as_deref().unwrap_or("5000").parse() {
        Ok(calls @ 1..) => calls,
        _ => {
            eprintln!("give a number of calls, such as 5000");
            return ExitCode::from(2);
        }
    };
    println!(
        "{:<44}{:>10}{:>12}{:>12}",
        "transfer", "calls/s", "us a call", "gas"
    );
    for (engine, target) in [("wasmtime", Target::HERE), ("wasmi", Target::Wasmi)] {
        let wasm = wat::parse_str(ZAPP_TRANSFER).expect("parses");
        let mut ours = Ours::of(&wasm, target);
        ours.run(Op::Init, "", &[]);
        let input = [[1; 32], OTHER].concat();
        let input = [input, 1u64.to_le_bytes().to_vec()].concat();
        let row = timed(calls, || ours.run(Op::Call, "t", &input));
        print_row(&format!("zquorum on {engine}, by hand"), row);
        if let Some(wasm) = ledger() {
            let mut ours = Ours::of(&wasm, target);
            ours.run(Op::Init, "", &[]);
            let minted = [OWNER.as_bytes().as_slice(), &(1u128 << 100).to_be_bytes()].concat();
            ours.run(Op::Call, "mint", &minted);
            let input = [OTHER.as_slice(), &1u128.to_be_bytes()].concat();
            let row = timed(calls, || ours.run(Op::Call, "transfer", &input));
            print_row(&format!("zquorum on {engine}, ledger"), row);
        }
    }
    let mut theirs = Theirs::new();
    let row = timed(calls, || theirs.transfer());
    print_row("cosmwasm-vm 3.0.10, by hand", row);
    ExitCode::SUCCESS
}

/// Seconds of so many calls, after some that warm up, how many there were, and gas of the last.
fn timed(calls: u32, mut call: impl FnMut() -> u64) -> (f64, u32, u64) {
    for _ in 0..calls / 10 {
        call();
    }
    let start = Instant::now();
    let mut gas = 0;
    for _ in 0..calls {
        gas = call();
    }
    (start.elapsed().as_secs_f64(), calls, gas)
}

fn print_row(name: &str, (seconds, calls, gas): (f64, u32, u64)) {
    let each = seconds / f64::from(calls);
    println!(
        "{name:<44}{:>10.0}{:>12.1}{gas:>12}",
        1.0 / each,
        each * 1e6
    );
}

/// The example, if it was built.
fn ledger() -> Option<Vec<u8>> {
    let path = conformance::golden::repository().join("target/zapps/ledger.wasm");
    std::fs::read(path).ok()
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

/// A zApp on a state.
struct Ours {
    executor: Executor<One>,
    module: ModuleDigest,
    metered: Digest,
    state: State,
}

impl Ours {
    fn of(wasm: &[u8], target: Target) -> Self {
        let prepared = prepare(wasm).expect("accepted");
        let artifact = compile_for(&prepared.metered, target).expect("compiles");
        Self {
            executor: Executor::new(One(artifact)).expect("starts"),
            module: prepared.original,
            metered: prepared.metered_digest,
            state: State::from_entries([(ZAPP, vec![], vec![])]).expect("one head"),
        }
    }

    /// Runs it and keeps what it writes; gas.
    fn run(&mut self, op: Op, method: &str, input: &[u8]) -> u64 {
        let environment = Environment {
            network: NetworkId(1),
            committee: CommitteeId::from_bytes([2; 32]),
            epoch: Epoch(1),
            seq: Seq(1),
            context: Context {
                time_ms: 0,
                anchor_height: 0,
                anchor: Digest::from_bytes([0; 32]),
            },
            previous_state: self.state.root(),
        };
        let call = Executable {
            op,
            request: RequestId::from_bytes([3; 32]),
            zapp: ZAPP,
            module: self.module,
            metered: self.metered,
            caller: OWNER,
            origin: OWNER,
            method,
            input,
            gas_limit: GAS_LIMIT,
            environment: &environment,
            pulled: &[],
        };
        let mut journal = Journal::new(&self.state);
        journal.begin();
        let from = journal.open(&ZAPP);
        let ran = self.executor.run(&call, &mut journal).expect("an outcome");
        let (status, fault) = (ran.execution.status, ran.fault);
        assert_eq!(status, Status::Ok, "{fault:?}");
        let writes = journal.writes_since(from);
        self.state.apply(&writes).expect("whole");
        ran.execution.gas
    }
}

#[derive(Default)]
struct Shelf(BTreeMap<Vec<u8>, Vec<u8>>);

impl Storage for Shelf {
    fn get(&self, key: &[u8]) -> BackendResult<Option<Vec<u8>>> {
        (Ok(self.0.get(key).cloned()), GasInfo::free())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> BackendResult<()> {
        self.0.insert(key.to_vec(), value.to_vec());
        (Ok(()), GasInfo::free())
    }

    fn remove(&mut self, key: &[u8]) -> BackendResult<()> {
        self.0.remove(key);
        (Ok(()), GasInfo::free())
    }
}

/// A contract on a chain's storage.
struct Theirs {
    module: wasmer::Module,
    engine: wasmer::Engine,
    shelf: Shelf,
}

impl Theirs {
    fn new() -> Self {
        let wasm = wat::parse_str(CONTRACT_TRANSFER).expect("parses");
        let (module, engine) = compile_module(&wasm, Some(Size::mebi(32))).expect("compiles");
        let shelf = Shelf::default();
        let mut theirs = Self {
            module,
            engine,
            shelf,
        };
        theirs.run(true, &[[1; 32], OTHER].concat());
        theirs
    }

    fn transfer(&mut self) -> u64 {
        let message = [[1; 32], OTHER].concat();
        self.run(false, &[message, 1u64.to_le_bytes().to_vec()].concat())
    }

    /// An instance of its own, as a chain makes one of a pinned module; gas of the machine's own.
    fn run(&mut self, instantiate: bool, message: &[u8]) -> u64 {
        let backend = Backend {
            api: MockApi::default(),
            storage: std::mem::take(&mut self.shelf),
            querier: MockQuerier::new(&[]),
        };
        let store = Store::new(self.engine.clone());
        let module = &self.module;
        let running = instance_from_module(store, module, backend, COSMOS_GAS_LIMIT, None);
        let mut running = running.expect("an instance");
        running.set_storage_readonly(false);
        let (env, info) = (mock_env(), mock_info("anyone", &[]));
        let answer = match instantiate {
            true => call_instantiate::<_, _, _, Empty>(&mut running, &env, &info, message),
            false => call_execute::<_, _, _, Empty>(&mut running, &env, &info, message),
        };
        let answer: ContractResult<Response> = answer.expect("an answer");
        assert!(matches!(answer, ContractResult::Ok(_)), "{answer:?}");
        let gas = running.create_gas_report().used_internally;
        self.shelf = running.recycle().expect("its storage").storage;
        gas
    }
}

/// Input: two keys and an amount behind the method's name. Init gives the first key of all ones.
const ZAPP_TRANSFER: &str = r#"(module
  (import "zapp0" "input" (func $input (param i32 i32 i32)))
  (import "zapp0" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "zapp0" "set" (func $set (param i32 i32 i32 i32)))
  (memory (export "memory") 1 1)
  (func $balance (param $key i32) (result i64)
    (i64.store (i32.const 128) (i64.const 0))
    (drop (call $get (local.get $key) (i32.const 32) (i32.const 128) (i32.const 8)))
    (i64.load (i32.const 128)))
  (func $put (param $key i32) (param $balance i64)
    (i64.store (i32.const 128) (local.get $balance))
    (call $set (local.get $key) (i32.const 32) (i32.const 128) (i32.const 8)))
  (func (export "zapp_main") (param $op i32) (param i32) (result i32)
    (local $from i64) (local $amount i64)
    (if (i32.eqz (local.get $op)) (then
      (memory.fill (i32.const 0) (i32.const 1) (i32.const 32))
      (call $put (i32.const 0) (i64.const 0x4000000000000000))
      (return (i32.const 0))))
    (call $input (i32.const 0) (i32.const 2) (i32.const 72))
    (local.set $amount (i64.load (i32.const 64)))
    (local.set $from (call $balance (i32.const 0)))
    (if (i64.lt_u (local.get $from) (local.get $amount)) (then unreachable))
    (call $put (i32.const 0) (i64.sub (local.get $from) (local.get $amount)))
    (call $put (i32.const 32)
      (i64.add (call $balance (i32.const 32)) (local.get $amount)))
    (i32.const 0)))"#;

/// The same: the message is two keys and an amount; instantiating gives the first key its balance.
const CONTRACT_TRANSFER: &str = r#"(module
  (import "env" "db_read" (func $db_read (param i32) (result i32)))
  (import "env" "db_write" (func $db_write (param i32 i32)))
  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 65536))
  (data (i32.const 1024) "{\"ok\":{\"messages\":[],\"attributes\":[],\"events\":[],\"data\":null}}")
  (func (export "interface_version_8"))
  (func $allocate (export "allocate") (param $bytes i32) (result i32)
    (local $region i32)
    (local.set $region (global.get $top))
    (global.set $top (i32.and (i32.const -8)
      (i32.add (i32.add (global.get $top) (local.get $bytes)) (i32.const 20))))
    (i32.store (local.get $region) (i32.add (local.get $region) (i32.const 12)))
    (i32.store offset=4 (local.get $region) (local.get $bytes))
    (i32.store offset=8 (local.get $region) (i32.const 0))
    (local.get $region))
  (func (export "deallocate") (param i32))
  (func $region (param $at i32) (param $bytes i32) (result i32)
    (local $region i32)
    (local.set $region (call $allocate (i32.const 0)))
    (i32.store (local.get $region) (local.get $at))
    (i32.store offset=4 (local.get $region) (local.get $bytes))
    (i32.store offset=8 (local.get $region) (local.get $bytes))
    (local.get $region))
  (func $balance (param $key i32) (result i64)
    (local $found i32)
    (local.set $found (call $db_read (call $region (local.get $key) (i32.const 32))))
    (if (i32.eqz (local.get $found)) (then (return (i64.const 0))))
    (i64.load (i32.load (local.get $found))))
  (func $put (param $key i32) (param $balance i64)
    (i64.store (i32.const 128) (local.get $balance))
    (call $db_write (call $region (local.get $key) (i32.const 32))
      (call $region (i32.const 128) (i32.const 8))))
  (func (export "instantiate") (param i32 i32) (param $message i32) (result i32)
    (call $put (i32.load (local.get $message)) (i64.const 0x4000000000000000))
    (call $region (i32.const 1024) (i32.const 62)))
  (func (export "execute") (param i32 i32) (param $message i32) (result i32)
    (local $keys i32) (local $from i64) (local $amount i64)
    (local.set $keys (i32.load (local.get $message)))
    (local.set $amount (i64.load offset=64 (local.get $keys)))
    (local.set $from (call $balance (local.get $keys)))
    (if (i64.lt_u (local.get $from) (local.get $amount)) (then unreachable))
    (call $put (local.get $keys) (i64.sub (local.get $from) (local.get $amount)))
    (call $put (i32.add (local.get $keys) (i32.const 32))
      (i64.add (call $balance (i32.add (local.get $keys) (i32.const 32))) (local.get $amount)))
    (call $region (i32.const 1024) (i32.const 62))))"#;
