//! What gas is worth in time, what metering costs, and what a call costs besides its code.
//!
//! `cargo bench -p runtime --profile dev` prints three tables. The claims to hold against them: no
//! kernel above 4 ns per gas on wasmtime, metered code at most 1.5 times the same code unmetered,
//! and on wasmi no kernel so slow that a step's gas takes longer than an executor gives it. For
//! wasmi without `--profile dev`: checks that a release leaves out cost an interpreter most.

use std::time::{Duration, Instant};

use attestation::ids::{
    CommitteeId, Digest, Epoch, IdentityKey, ModuleDigest, NetworkId, RequestId, Seq, ZappId,
};
use runtime::engine::{Artifact, Target, compile_for};
use runtime::{Executor, Modules};
use sha2::{Digest as _, Sha256};
use state::State;
use state::execute::{Environment, Executable, Op};
use state::job::Context;
use state::journal::Journal;

const ZAPP: ZappId = ZappId::from_bytes([7; 32]);
const TARGETS: [Target; 2] = [Target::HERE, Target::Wasmi];
const ENOUGH_NANOS: u64 = 200_000_000;

fn main() {
    let kernels = kernels();
    println!(
        "{:<28}{:>12}{:>14}{:>10}{:>12}{:>10}",
        "kernel", "gas", "wasmtime ms", "ns/gas", "wasmi ms", "ns/gas"
    );
    for (name, pages, body) in &kernels {
        let text = module(*pages, body, "");
        let [compiled, interpreted] = TARGETS.map(|target| Bed::metered(&text, target).mean());
        assert_eq!(compiled.1, interpreted.1, "{name}");
        let gas = compiled.1;
        let per_gas = |(nanos, _): (f64, u64)| nanos / gas as f64;
        println!(
            "{name:<28}{gas:>12}{:>14.2}{:>10.2}{:>12.2}{:>10.2}",
            compiled.0 / 1e6,
            per_gas(compiled),
            interpreted.0 / 1e6,
            per_gas(interpreted)
        );
    }
    println!(
        "\n{:<28}{:>12}{:>10}{:>10}",
        "kernel", "metered ms", "plain ms", "ratio"
    );
    for (name, pages, body) in kernels
        .iter()
        .filter(|(_, _, body)| !body.contains("$host"))
    {
        let metered = Bed::metered(&module(*pages, body, ""), Target::HERE)
            .mean()
            .0;
        let plain = Bed::plain(&module(*pages, body, RESERVED)).mean().0;
        let ratio = metered / plain;
        println!(
            "{name:<28}{:>12.2}{:>10.2}{ratio:>10.2}",
            metered / 1e6,
            plain / 1e6
        );
    }
    call_cost();
    largest_modules();
}

/// Modules at the limits: what the gatekeeper and the compiler spend on them.
fn largest_modules() {
    println!();
    let functions = |n: usize, body: String| format!("(func {body})").repeat(n);
    let ifs = "(if (local.get 0) (then (local.set 1 (local.get 2))))".repeat(2_300);
    let locals = format!("(local {})", "i32 ".repeat(1_000));
    let table = format!("(br_table {} (i32.const 0))", "0 ".repeat(1_000));
    for (name, more) in [
        ("8,000 empty functions", functions(8_000, String::new())),
        (
            "10 functions of 64 k operators",
            functions(10, "(drop (i32.const 0))".repeat(32_000)),
        ),
        (
            "12 functions of 4,990 calls",
            functions(12, "(call $nothing)".repeat(4_990)),
        ),
        (
            "12 functions of 2,300 ifs and 1 k locals",
            functions(12, locals + &ifs),
        ),
        ("15 functions with 1,001 targets", functions(15, table)),
    ] {
        let wasm = wat::parse_str(module(1, "", &more)).expect("parses");
        let start = processor_nanos();
        let prepared = runtime::prepare(&wasm).unwrap_or_else(|error| panic!("{name}: {error}"));
        let middle = processor_nanos();
        compile_for(&prepared.metered, Target::HERE).expect("compiles");
        let end = processor_nanos();
        // An executor does it when it loads the module.
        compile_for(&prepared.metered, Target::Wasmi).expect("translates");
        let last = processor_nanos();
        println!(
            "{name}: {} kB, metered {} kB, {} operators, prepare {} ms, compile {} ms, \
             translate for wasmi {} ms",
            wasm.len() / 1000,
            prepared.metered.len() / 1000,
            prepared.operators,
            (middle - start) / 1_000_000,
            (end - middle) / 1_000_000,
            (last - end) / 1_000_000
        );
    }
}

/// Instance, one host call, return: what any call costs.
fn call_cost() {
    println!();
    let large = "x".repeat(100_000);
    for (name, pages, data) in [
        ("1 page", 1, String::new()),
        ("17 pages", 17, String::new()),
        (
            "17 pages, 100 kB of data",
            17,
            format!(r#"(data (i32.const 0) "{large}")"#),
        ),
        ("8,000 functions", 1, "(func)".repeat(8_000)),
    ] {
        let text = module(pages, "(drop (call $host_gas_left))", &data);
        let wasm = wat::parse_str(&text).expect("parses");
        let start = Instant::now();
        let prepared = runtime::prepare(&wasm).expect("accepted");
        let prepare = start.elapsed();
        println!("{name}: prepare {prepare:.0?}");
        for target in TARGETS {
            let start = Instant::now();
            let artifact = compile_for(&prepared.metered, target).expect("compiles");
            let compile = start.elapsed();
            let mut bed = Bed::of(artifact, &prepared.metered);
            let start = Instant::now();
            let gas = bed.run(100_000_000);
            let first = start.elapsed();
            let start = processor_nanos();
            for _ in 0..500 {
                bed.run(100_000_000);
            }
            let each = Duration::from_nanos((processor_nanos() - start) / 500);
            println!(
                "  {target:?}: compile {compile:.0?}, load and first call {first:.0?}, \
                 call {each:.1?} of {gas} gas"
            );
        }
    }
}

/// Name, pages, body of `zapp_main`. Local 2 counts, 3 to 6 hold values.
type Kernel = (&'static str, u32, String);

fn kernels() -> Vec<Kernel> {
    [computing(), memory(), host()].concat()
}

fn turns(n: u32, body: &str) -> String {
    format!(
        "(loop $l {body} (br_if $l (i32.lt_u (local.tee 2 (i32.add (local.get 2)
           (i32.const 1))) (i32.const {n}))))"
    )
}

fn computing() -> Vec<Kernel> {
    let mix = "(local.set 3 (i64.xor (i64.add (local.get 3) (i64.const 0x9e3779b9)) (i64.shr_u
        (local.get 3) (i64.const 7))))"
        .repeat(8);
    let div = "(local.set 3 (i64.div_u (i64.const -1) (i64.or (local.get 3) (i64.const 3))))";
    let float =
        "(local.set 4 (f64.add (f64.mul (local.get 4) (f64.const 1.0000001)) (f64.const 0.5)))";
    let dispatch = "(block $c (block $b (block $a (br_table $a $b $c (i32.and (local.get 2)
        (i32.const 3)))) (br $c)) (br $c))";
    vec![
        ("empty loop", 1, turns(2_000_000, "")),
        ("integer mix", 1, turns(500_000, &mix)),
        ("division", 1, turns(1_000_000, div)),
        ("float multiply and add", 1, turns(1_000_000, float)),
        (
            "square root",
            1,
            turns(
                500_000,
                "(local.set 4 (f64.sqrt (f64.add (local.get 4) (f64.const 2))))",
            ),
        ),
        (
            "rounding",
            1,
            turns(
                500_000,
                "(local.set 4 (f64.nearest (f64.add (local.get 4) (f64.const 0.3))))",
            ),
        ),
        ("branch table", 1, turns(1_000_000, dispatch)),
        ("calls", 1, "(drop (call $fib (i32.const 24)))".into()),
        (
            "indirect calls",
            1,
            turns(500_000, "(call_indirect (type $nothing) (i32.const 0))"),
        ),
    ]
}

fn memory() -> Vec<Kernel> {
    let index = |mask: u32| {
        // A linear congruence walks memory without order.
        format!(
            "(local.set 5 (i32.add (i32.mul (local.get 5) (i32.const 1664525))
                (i32.const 1013904223)))
             (local.set 6 (i32.and (local.get 5) (i32.const {mask})))"
        )
    };
    let touch = "(i64.store (local.get 6) (i64.add (i64.load (local.get 6)) (i64.const 1)))";
    vec![
        (
            "memory in order, 1 page",
            1,
            turns(
                1_000_000,
                "(local.set 6 (i32.and (i32.shl (local.get 2) (i32.const 3))
                    (i32.const 0xfff8)))(i64.store (local.get 6) (i64.add (i64.load
                        (local.get 6)) (i64.const 1)))",
            ),
        ),
        (
            "memory at random, 16 pages",
            16,
            turns(500_000, &(index(0xf_fff8) + touch)),
        ),
        (
            "memory at random, 64 pages",
            64,
            turns(500_000, &(index(0x3f_fff8) + touch)),
        ),
        (
            "memory at random, 256 pages",
            256,
            turns(500_000, &(index(0xff_fff8) + touch)),
        ),
        (
            "fill 64 KiB",
            1,
            turns(
                2_000,
                "(memory.fill (i32.const 0) (local.get 2) (i32.const 65536))",
            ),
        ),
        (
            "fill nothing",
            1,
            turns(
                200_000,
                "(memory.fill (i32.const 0) (local.get 2) (i32.const 0))",
            ),
        ),
        (
            "grow by nothing",
            1,
            turns(200_000, "(drop (memory.grow (i32.const 0)))"),
        ),
    ]
}

fn host() -> Vec<Kernel> {
    vec![
        (
            "host: gas_left",
            1,
            turns(100_000, "(drop (call $host_gas_left))"),
        ),
        (
            "host: get absent",
            1,
            turns(
                20_000,
                "(i32.store (i32.const 0) (local.get 2)) (drop (call $host_get (i32.const 0)
                    (i32.const 4) (i32.const 8) (i32.const 8)))",
            ),
        ),
        (
            "host: set 4 B",
            1,
            turns(
                1_000,
                "(i32.store (i32.const 0) (local.get 2)) (call $host_set (i32.const 0)
                    (i32.const 4) (i32.const 0) (i32.const 4))",
            ),
        ),
        (
            "host: next",
            1,
            turns(
                20_000,
                "(drop (call $host_next (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 8)))",
            ),
        ),
        (
            "host: log",
            1,
            turns(50_000, "(call $host_log (i32.const 0) (i32.const 1))"),
        ),
        (
            "host: sha256 of nothing",
            1,
            turns(
                50_000,
                "(call $host_hash (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64))",
            ),
        ),
        (
            "host: sha256 of 64 KiB",
            1,
            turns(
                300,
                "(call $host_hash (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 0))",
            ),
        ),
        (
            "host: sha3 of 64 KiB",
            1,
            turns(
                300,
                "(call $host_hash (i32.const 1) (i32.const 0) (i32.const 65536) (i32.const 0))",
            ),
        ),
        (
            "host: keccak of 64 KiB",
            1,
            turns(
                300,
                "(call $host_hash (i32.const 2) (i32.const 0) (i32.const 65536) (i32.const 0))",
            ),
        ),
        (
            "host: output 64 KiB",
            1,
            turns(2_000, "(call $host_output (i32.const 0) (i32.const 65536))"),
        ),
        (
            "host: verify",
            1,
            turns(
                500,
                "(i32.store8 (i32.const 0) (i32.const 1)) (i32.store8 (i32.const 32)
                    (i32.const 3)) (drop (call $host_verify (i32.const 0) (i32.const 1000)
                        (i32.const 100) (i32.const 32) (i32.const 64) (i32.const 100)
                            (i32.const 32)))",
            ),
        ),
    ]
}

const RESERVED: &str = r#"(global (export "__z_gas") (mut i64) (i64.const 0))
  (global (export "__z_sp") (mut i32) (i32.const 0))
  (@custom "__z_start" "\00\00\00\00\00\00\00\00")"#;

fn module(pages: u32, body: &str, more: &str) -> String {
    // The Ed25519 base point: a key that decompresses, so that verifying goes all the way.
    let key: String = std::iter::once("\\58")
        .chain(std::iter::repeat_n("\\66", 31))
        .collect();
    let key = if more.contains("data") {
        String::new()
    } else {
        format!(r#"(data (i32.const 100) "{key}")"#)
    };
    format!(
        r#"(module
          (import "zapp0" "output" (func $host_output (param i32 i32)))
          (import "zapp0" "gas_left" (func $host_gas_left (result i64)))
          (import "zapp0" "get" (func $host_get (param i32 i32 i32 i32) (result i32)))
          (import "zapp0" "set" (func $host_set (param i32 i32 i32 i32)))
          (import "zapp0" "next" (func $host_next (param i32 i32 i32 i32) (result i32)))
          (import "zapp0" "hash" (func $host_hash (param i32 i32 i32 i32)))
          (import "zapp0" "verify" (func $host_verify (param i32 i32 i32 i32 i32 i32 i32)
              (result i32)))
          (import "zapp0" "log" (func $host_log (param i32 i32)))
          (type $nothing (func)) (table 1 1 funcref) (elem (i32.const 0) $nothing)
          (memory (export "memory") {pages} {pages}) {more} {key}
          (func $nothing)
          (func $fib (param i32) (result i32)
            (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
              (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                             (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
          (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64 f64 i32 i32)
            {body} (i32.const 0)))"#
    )
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

struct Bed {
    executor: Executor<One>,
    metered: Digest,
    state: State,
}

impl Bed {
    fn metered(text: &str, target: Target) -> Self {
        let wasm = wat::parse_str(text).expect("parses");
        let prepared = runtime::prepare(&wasm).unwrap_or_else(|error| panic!("{error}"));
        let artifact = compile_for(&prepared.metered, target).expect("compiles");
        Self::of(artifact, &prepared.metered)
    }

    /// The same code under the same engine settings, without any charge.
    fn plain(text: &str) -> Self {
        let wasm = wat::parse_str(text).expect("parses");
        let artifact = compile_for(&wasm, Target::HERE).expect("compiles");
        Self::of(artifact, &wasm)
    }

    fn of(artifact: Artifact, metered: &[u8]) -> Self {
        let entries = (0..1000u32).map(|key| (ZAPP, key.to_be_bytes().to_vec(), vec![1; 100]));
        Self {
            executor: Executor::new(One(artifact)).expect("starts"),
            metered: Digest::from_bytes(Sha256::digest(metered).into()),
            state: State::from_entries(entries.chain([(ZAPP, vec![], vec![])])).expect("heads"),
        }
    }

    fn run(&mut self, gas_limit: u64) -> u64 {
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
            op: Op::Call,
            request: RequestId::from_bytes([3; 32]),
            zapp: ZAPP,
            module: ModuleDigest::from_bytes([0; 32]),
            metered: self.metered,
            caller: IdentityKey::from_bytes([5; 32]),
            origin: IdentityKey::from_bytes([5; 32]),
            method: "m",
            input: b"",
            gas_limit,
            environment: &environment,
            pulled: &[],
        };
        let mut journal = Journal::new(&self.state);
        journal.begin();
        journal.open(&ZAPP);
        let ran = self.executor.run(&call, &mut journal).expect("an outcome");
        assert_eq!(u8::from(ran.execution.status), 0, "{:?}", ran.fault);
        ran.execution.gas
    }

    /// Processor time of a run in nanoseconds, and gas. The clock ticks every 4 ms.
    fn mean(&mut self) -> (f64, u64) {
        let gas = self.run(2_000_000_000);
        let start = processor_nanos();
        let mut runs = 0;
        loop {
            self.run(2_000_000_000);
            runs += 1;
            let spent = processor_nanos() - start;
            if spent > ENOUGH_NANOS {
                return (spent as f64 / f64::from(runs), gas);
            }
        }
    }
}

/// Time that this thread has run: other load on the machine does not count.
fn processor_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let first = text.split_whitespace().next().expect("three numbers");
    first.parse().expect("a number")
}
