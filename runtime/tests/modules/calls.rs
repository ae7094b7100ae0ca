//! zApps that call each other: what the caller learns, what stands and what is undone, and that
//! nobody runs twice at once, too deep, or on more than is left. Each case runs with both zApps on
//! one engine or the other, and with one on each.

use std::collections::BTreeMap;

use attestation::codec::encode;
use attestation::ids::{IdentityKey, ModuleDigest, RequestId, Seq, ZappId};
use attestation::leaf::Status;
use runtime::abi::{HostFault, NOT_CALLABLE};
use runtime::engine::{Artifact, Target, compile_for};
use runtime::{Executor, Modules, PreparedModule, Ran};
use state::State;
use state::entry::EntryWrite;
use state::execute::{Executable, Op};
use state::journal::Journal;
use state::system::{ZappRecord, zapp_key};

use crate::bed::{IMPORTS, PLENTY, TARGETS, environment};

/// Calls what its arguments say: id, gas, and the input as the other is to see it. Writes "a"
/// before and "b" after; puts out what `call` returned and what `result` gave.
const CALLER: &str = r#"
  (memory (export "memory") 1 2)
  (data (i32.const 4096) "ab1")
  (func (export "zapp_main") (param $op i32) (param $len i32) (result i32) (local $r i64)
    (call $input (i32.const 0) (i32.const 0) (local.get $len))
    (if (i32.ne (local.get $op) (i32.const 2))
      (then (call $set (i32.const 4096) (i32.const 1) (i32.const 4098) (i32.const 1))))
    (local.set $r (call $call (i32.const 2) (i64.load (i32.const 34)) (i32.const 42)
      (i32.sub (local.get $len) (i32.const 42))))
    (if (i32.ne (local.get $op) (i32.const 2))
      (then (call $set (i32.const 4097) (i32.const 1) (i32.const 4098) (i32.const 1))))
    (i64.store (i32.const 8192) (local.get $r))
    (call $result (i32.const 8200) (i32.const 0) (i32.wrap_i64 (local.get $r)))
    (call $output (i32.const 8192) (i32.add (i32.const 8) (i32.wrap_i64 (local.get $r))))
    (i32.const 0))"#;

/// Does what the first letter of the method says.
const CALLEE: &str = r#"
  (memory (export "memory") 1 2)
  (data (i32.const 4096) "kv")
  (func $deep (param i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
    (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
  (func (export "zapp_main") (param $op i32) (param $len i32) (result i32) (local $do i32)
    (call $input (i32.const 0) (i32.const 0) (local.get $len))
    (local.set $do (i32.load8_u (i32.const 1)))
    (if (i32.eq (local.get $do) (i32.const 99)) (then ;; c: the context
      (drop (call $ctx (i32.const 0) (i32.const 100)))
      (drop (call $ctx (i32.const 1) (i32.const 132)))
      (drop (call $ctx (i32.const 2) (i32.const 164)))
      (call $output (i32.const 100) (i32.const 96))
      (return (i32.const 0))))
    (if (i32.eq (local.get $do) (i32.const 100)) (then ;; d: as deep as the argument says
      (i32.store (i32.const 100) (call $deep (i32.load (i32.const 2))))
      (call $output (i32.const 100) (i32.const 4))
      (return (i32.const 0))))
    (if (i32.eq (local.get $do) (i32.const 103)) (then ;; g: grow
      (drop (memory.grow (i32.const 1)))
      (i32.store (i32.const 100) (memory.size))
      (call $output (i32.const 100) (i32.const 4))
      (return (i32.const 0))))
    (call $set (i32.const 4096) (i32.const 1) (i32.const 4097) (i32.const 1))
    (call $emit (i32.const 4096) (i32.const 1) (i32.const 4097) (i32.const 1))
    (call $post (i32.const 6000) (i32.const 80) (i32.const 4096) (i32.const 2))
    (call $output (i32.const 4096) (i32.const 2))
    (if (i32.eq (local.get $do) (i32.const 98)) (then (loop $on (br $on)))) ;; b: burn
    (if (i32.eq (local.get $do) (i32.const 116)) (then unreachable)) ;; t: trap
    (if (i32.eq (local.get $do) (i32.const 114)) (then (return (i32.const 7)))) ;; r: revert
    (i32.const 0))"#;

const A: ZappId = ZappId::from_bytes([0xa; 32]);
const B: ZappId = ZappId::from_bytes([0xb; 32]);
const SIGNER: IdentityKey = IdentityKey::from_bytes([5; 32]);

/// zApps with their modules, each run by an engine of its own.
struct Company {
    shelf: Shelf,
    state: State,
    zapps: BTreeMap<ZappId, ZappRecord>,
}

#[derive(Clone, Default)]
struct Shelf(BTreeMap<ModuleDigest, Artifact>);

impl Modules for Shelf {
    fn module(&mut self, _: &ModuleDigest) -> Option<Vec<u8>> {
        None
    }

    fn artifact(&mut self, module: &ModuleDigest) -> Option<Artifact> {
        self.0.get(module).cloned()
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Done {
    ran: Ran,
    writes: Vec<EntryWrite>,
}

impl Company {
    fn of(zapps: &[(ZappId, &str, Target)]) -> Self {
        let mut shelf = Shelf::default();
        let mut entries = vec![(ZappId::SYSTEM, Vec::new(), Vec::new())];
        let mut records = BTreeMap::new();
        for (zapp, body, target) in zapps {
            // Modules of one text are told apart by their zApp: one may run here, one there.
            let text = format!(
                "(module {IMPORTS} {body} (data (i32.const 9000) {:?}))",
                tag(zapp)
            );
            let wasm = wat::parse_str(text).expect("it parses");
            let prepared: PreparedModule = runtime::prepare(&wasm).expect("it passes");
            let artifact = compile_for(&prepared.metered, *target).expect("it compiles");
            shelf.0.insert(prepared.original, artifact);
            let record = ZappRecord {
                owner: SIGNER,
                module: prepared.original,
                metered: prepared.metered_digest,
                seq: Seq(1),
                calls: prepared.calls,
                pages: prepared.pages,
                version: 0,
                frozen: false,
                aborted: false,
            };
            entries.push((ZappId::SYSTEM, zapp_key(zapp), encode(&record)));
            entries.push((*zapp, Vec::new(), Vec::new()));
            records.insert(*zapp, record);
        }
        Self {
            shelf,
            state: State::from_entries(entries).expect("heads are there"),
            zapps: records,
        }
    }

    fn record(&self, zapp: &ZappId) -> ZappRecord {
        *self.zapps.get(zapp).expect("one of the company")
    }

    fn run(&self, op: Op, zapp: ZappId, input: &[u8], gas_limit: u64) -> Done {
        let mut executor = Executor::new(self.shelf.clone()).expect("the engines start");
        let environment = environment(&self.state);
        let record = self.record(&zapp);
        let call = Executable {
            op,
            request: RequestId::from_bytes([3; 32]),
            zapp,
            module: record.module,
            metered: record.metered,
            caller: SIGNER,
            origin: SIGNER,
            method: "m",
            input,
            gas_limit,
            environment: &environment,
            pulled: &[],
        };
        let mut journal = Journal::new(&self.state);
        journal.begin();
        let from = journal.open(&zapp);
        let ran = executor.run(&call, &mut journal).expect("an outcome");
        if ran.execution.status != Status::Ok {
            journal.revert(from);
        }
        let writes = journal.writes_since(from);
        Done { ran, writes }
    }
}

/// Makes the module of a zApp its own.
fn tag(zapp: &ZappId) -> String {
    zapp.to_string()[..8].to_owned()
}

/// What A does with B, the same on every pair of engines.
fn pair(op: Op, input: &[u8], gas_limit: u64) -> Done {
    let mut same: Option<Done> = None;
    for a in TARGETS {
        for b in TARGETS {
            let company = Company::of(&[(A, CALLER, a), (B, CALLEE, b)]);
            assert!(company.record(&A).calls);
            let done = company.run(op, A, input, gas_limit);
            match &same {
                Some(same) => assert_eq!(*same, done, "{a:?} calls {b:?}"),
                None => same = Some(done),
            }
        }
    }
    same.expect("four pairs")
}

/// Arguments for [`CALLER`].
fn calling(zapp: &ZappId, gas: i64, method: &str, arguments: &[u8]) -> Vec<u8> {
    let len = u8::try_from(method.len()).expect("short");
    [
        zapp.as_bytes().as_slice(),
        &gas.to_le_bytes(),
        &[len],
        method.as_bytes(),
        arguments,
    ]
    .concat()
}

/// Status and output of the call that a caller made.
fn answer(output: &[u8]) -> (i64, &[u8]) {
    let (head, rest) = output.split_first_chunk::<8>().expect("what call returned");
    let returned = i64::from_le_bytes(*head);
    assert_eq!(returned & 0xffff_ffff, rest.len() as i64);
    (returned >> 32, rest)
}

fn keys(done: &Done) -> Vec<(ZappId, &[u8])> {
    let writes = done.writes.iter();
    writes
        .map(|write| (write.zapp, write.key.as_slice()))
        .collect()
}

#[test]
fn a_called_zapp_writes_announces_and_answers() {
    let done = pair(Op::Call, &calling(&B, -1, "write", b""), PLENTY);
    let run = &done.ran.execution;
    assert_eq!(run.status, Status::Ok);
    assert_eq!(answer(&run.output), (0, b"kv".as_slice()));
    assert_eq!(keys(&done), [(A, b"a".as_slice()), (A, b"b"), (B, b"k")]);
    assert_eq!(run.events.len(), 1);
    assert_eq!(run.events[0].zapp, B, "nobody speaks for another");
    assert_eq!(run.messages.len(), 1);
    assert_eq!(run.messages[0].zapp, B);
}

#[test]
fn what_a_call_leaves_behind_when_it_fails_is_nothing() {
    let table = [
        ("revert", 1, [&7u32.to_le_bytes()[..], b"kv"].concat()),
        ("trap", 2, Vec::new()),
    ];
    for (method, status, result) in table {
        let done = pair(Op::Call, &calling(&B, -1, method, b""), PLENTY);
        let run = &done.ran.execution;
        assert_eq!(run.status, Status::Ok, "{method}: the caller runs on");
        assert_eq!(answer(&run.output), (status, result.as_slice()), "{method}");
        assert_eq!(keys(&done), [(A, b"a".as_slice()), (A, b"b")], "{method}");
        assert!(run.events.is_empty() && run.messages.is_empty());
    }
}

#[test]
fn a_call_that_burns_all_it_gets_leaves_the_caller_a_64th() {
    let done = pair(Op::Call, &calling(&B, -1, "burn", b""), 10_000_000);
    let run = &done.ran.execution;
    assert_eq!(run.status, Status::Ok);
    assert_eq!(answer(&run.output), (3, b"".as_slice()));
    let left = 10_000_000 - run.gas;
    assert!((1..10_000_000 / 64).contains(&left), "{left}");
    // As much as it was granted, and no more.
    let granted = pair(Op::Call, &calling(&B, 500_000, "burn", b""), 10_000_000);
    let idle = pair(
        Op::Call,
        &calling(&ZappId::SYSTEM, 0, "burn", b""),
        10_000_000,
    );
    assert_eq!(answer(&granted.ran.execution.output).0, 3);
    assert_eq!(granted.ran.execution.gas - idle.ran.execution.gas, 500_000);
}

#[test]
fn who_called_and_who_signed_are_told_apart() {
    let done = pair(Op::Call, &calling(&B, -1, "context", b""), PLENTY);
    let expected = [B.as_bytes().as_slice(), A.as_bytes(), SIGNER.as_bytes()].concat();
    assert_eq!(answer(&done.ran.execution.output), (0, expected.as_slice()));
}

#[test]
fn nobody_is_entered_twice_and_what_is_not_there_is_not_called() {
    let again = calling(&A, -1, "m", b"");
    for input in [
        // A calls itself; the system zApp; nobody.
        calling(&A, -1, "m", b""),
        calling(&ZappId::SYSTEM, -1, "deploy", b""),
        calling(&ZappId::from_bytes([0xdd; 32]), -1, "m", b""),
    ] {
        let done = pair(Op::Call, &input, PLENTY);
        let run = &done.ran.execution;
        assert_eq!(run.status, Status::Ok);
        assert_eq!(answer(&run.output), (NOT_CALLABLE, b"".as_slice()));
        assert_eq!(keys(&done), [(A, b"a".as_slice()), (A, b"b")]);
    }
    // A calls B, which calls A.
    for target in TARGETS {
        let company = Company::of(&[(A, CALLER, target), (B, CALLER, target)]);
        let done = company.run(Op::Call, A, &calling(&B, -1, "m", &again), PLENTY);
        let (status, inner) = answer(&done.ran.execution.output);
        assert_eq!(status, 0);
        assert_eq!(answer(inner), (NOT_CALLABLE, b"".as_slice()));
    }
}

#[test]
fn eight_run_at_once_and_no_ninth() {
    let zapps: Vec<ZappId> = (1..=9).map(|byte| ZappId::from_bytes([byte; 32])).collect();
    let mut input = calling(&ZappId::SYSTEM, -1, "m", b"");
    for zapp in zapps[1..].iter().rev() {
        input = calling(zapp, -1, "m", &input);
    }
    let mut outputs = Vec::new();
    for shift in 0..2 {
        let zapps: Vec<_> = (0..)
            .zip(&zapps)
            .map(|(at, zapp)| (*zapp, CALLER, TARGETS[(at + shift) % 2]))
            .collect();
        let company = Company::of(&zapps);
        let done = company.run(Op::Call, zapps[0].0, &input, PLENTY);
        let mut inner = done.ran.execution.output.as_slice();
        for depth in 1..8 {
            let (status, rest) = answer(inner);
            assert_eq!(status, 0, "depth {depth}");
            inner = rest;
        }
        assert_eq!(answer(inner), (NOT_CALLABLE, b"".as_slice()));
        assert_eq!(keys(&done).len(), 16, "two writes of each of the eight");
        outputs.push(done);
    }
    assert_eq!(outputs[0], outputs[1]);
}

#[test]
fn a_called_zapp_has_the_stack_that_its_caller_leaves() {
    let deep = |depth: u32| calling(&B, -1, "d", &depth.to_le_bytes());
    let status = |depth: u32| {
        let done = pair(Op::Call, &deep(depth), PLENTY);
        answer(&done.ran.execution.output).0
    };
    // The deepest that B reaches when A calls it.
    let (mut fits, mut fails) = (1, 1 << 16);
    assert_eq!((status(fits), status(fails)), (0, 2));
    while fails - fits > 1 {
        let middle = (fits + fails) / 2;
        match status(middle) {
            0 => fits = middle,
            _ => fails = middle,
        }
    }
    // By itself it gets further, by A's frame and no more.
    let alone = |depth: u32| {
        let company = Company::of(&[(B, DEEP, TARGETS[0])]);
        let done = company.run(Op::Call, B, &depth.to_le_bytes(), PLENTY);
        done.ran.execution.status
    };
    assert_eq!(alone(fits), Status::Ok);
    let reach = (fits..fits + 100).find(|depth| alone(*depth) != Status::Ok);
    let reach = reach.expect("it ends");
    assert!(reach > fits + 1 && reach < fits + 10, "{fits} {reach}");
}

/// [`CALLEE`]'s recursion, called directly: the depth is its argument.
const DEEP: &str = r#"
  (memory (export "memory") 1 2)
  (func $deep (param i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
    (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
  (func (export "zapp_main") (param $op i32) (param $len i32) (result i32) (local $do i32)
    (call $input (i32.const 0) (i32.const 0) (local.get $len))
    (i32.store (i32.const 100) (call $deep (i32.load (i32.const 2))))
    (call $output (i32.const 100) (i32.const 4))
    (i32.const 0))"#;

#[test]
fn memories_are_apart() {
    let done = pair(Op::Call, &calling(&B, -1, "grow", b""), PLENTY);
    let run = &done.ran.execution;
    assert_eq!(answer(&run.output), (0, 2u32.to_le_bytes().as_slice()));
}

#[test]
fn a_view_calls_views() {
    let done = pair(Op::View, &calling(&B, -1, "context", b""), PLENTY);
    assert_eq!(answer(&done.ran.execution.output).0, 0);
    // A write below a view fails there, and only there.
    let done = pair(Op::View, &calling(&B, -1, "write", b""), PLENTY);
    assert_eq!(answer(&done.ran.execution.output), (2, b"".as_slice()));
    assert!(done.writes.is_empty());
}

#[test]
fn every_gas_limit_ends_the_same_on_every_pair_of_engines() {
    let whole = pair(Op::Call, &calling(&B, -1, "write", b""), PLENTY)
        .ran
        .execution
        .gas;
    let mut statuses = BTreeMap::new();
    for limit in (0..whole + 4_000).step_by(3_989).chain([whole - 1, whole]) {
        let done = pair(Op::Call, &calling(&B, -1, "write", b""), limit);
        *statuses.entry(done.ran.execution.status).or_insert(0) += 1;
        if done.ran.execution.status != Status::Ok {
            assert!(done.writes.is_empty());
        }
    }
    assert_eq!(statuses.len(), 2, "{statuses:?}");
}

#[test]
fn input_that_names_no_method_is_the_callers_fault() {
    let named = |bytes: &[u8]| [B.as_bytes().as_slice(), &[0xff; 8], bytes].concat();
    let long = [vec![65], vec![b'm'; 65]].concat();
    for input in [
        named(b""),
        named(b"\x00args"),
        named(b"\x05shrt"),
        named(b"\x02\xff\xfe"),
        named(&long),
    ] {
        let done = pair(Op::Call, &input, PLENTY);
        assert_eq!(done.ran.execution.status, Status::Trapped, "{input:?}");
        assert_eq!(done.ran.fault, Some(HostFault::Method), "{input:?}");
    }
}

#[test]
fn events_and_messages_of_all_zapps_share_one_bound() {
    // 33 calls of B, each with a message, are one more than a request may send.
    const MANY: &str = r#"
      (memory (export "memory") 1 2)
      (func (export "zapp_main") (param $op i32) (param $len i32) (result i32) (local $n i32)
        (call $input (i32.const 0) (i32.const 0) (local.get $len))
        (local.set $n (i32.load (i32.const 2)))
        (loop $on
          (drop (call $call (i32.const 6) (i64.const -1) (i32.const 38) (i32.const 6)))
          (br_if $on (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (i32.const 0))"#;
    for target in TARGETS {
        let company = Company::of(&[(A, MANY, target), (B, CALLEE, target)]);
        let times = |n: u32| {
            let input = [&n.to_le_bytes()[..], B.as_bytes(), b"\x05write"].concat();
            company.run(Op::Call, A, &input, PLENTY)
        };
        let done = times(32);
        assert_eq!(done.ran.execution.messages.len(), 32);
        let done = times(33);
        assert_eq!(done.ran.execution.status, Status::Trapped);
        assert_eq!(done.ran.fault, Some(HostFault::Messages));
    }
}

#[test]
fn zapps_that_run_at_once_share_one_bound_of_memory() {
    let large = CALLER.replace(
        "(memory (export \"memory\") 1 2)",
        "(memory (export \"memory\") 1 256)",
    );
    let c = ZappId::from_bytes([0xc; 32]);
    let nobody = calling(&ZappId::SYSTEM, -1, "m", b"");
    for target in TARGETS {
        let zapps = [
            (A, large.as_str(), target),
            (B, large.as_str(), target),
            (c, CALLER, target),
        ];
        let company = Company::of(&zapps);
        // 256 and 256 are 512; two more are not had.
        let to_c = calling(&c, -1, "m", &nobody);
        let done = company.run(Op::Call, A, &calling(&B, -1, "m", &to_c), PLENTY);
        let (status, inner) = answer(&done.ran.execution.output);
        assert_eq!(status, 0);
        assert_eq!(answer(inner), (NOT_CALLABLE, b"".as_slice()));
        // By itself it is there: what ended has given its memory back.
        let done = company.run(Op::Call, A, &to_c, PLENTY);
        assert_eq!(answer(&done.ran.execution.output).0, 0);
    }
}

#[test]
fn a_request_calls_sixteen_zapps_and_no_other() {
    // Calls each of the ids that its arguments list, as many as the first byte says; puts out how
    // many could not be called.
    const ALL: &str = r#"
      (memory (export "memory") 1 2)
      (data (i32.const 8000) "\07context")
      (func (export "zapp_main") (param $op i32) (param $len i32) (result i32)
        (local $n i32) (local $at i32) (local $missed i32)
        (call $input (i32.const 0) (i32.const 0) (local.get $len))
        (local.set $n (i32.load8_u (i32.const 2)))
        (local.set $at (i32.const 3))
        (loop $on
          (if (i64.eq (i64.shr_u (call $call (local.get $at) (i64.const -1) (i32.const 8000)
                (i32.const 8)) (i64.const 32)) (i64.const 4))
            (then (local.set $missed (i32.add (local.get $missed) (i32.const 1)))))
          (local.set $at (i32.add (local.get $at) (i32.const 32)))
          (br_if $on (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (i32.store8 (i32.const 9100) (local.get $missed))
        (call $output (i32.const 9100) (i32.const 1))
        (i32.const 0))"#;
    let others: Vec<ZappId> = (101..=117)
        .map(|byte| ZappId::from_bytes([byte; 32]))
        .collect();
    let mut zapps = vec![(A, ALL, TARGETS[1])];
    zapps.extend(others.iter().map(|zapp| (*zapp, CALLEE, TARGETS[1])));
    let company = Company::of(&zapps);
    let missed = |ids: &[ZappId]| {
        let count = u8::try_from(ids.len()).expect("few");
        let ids: Vec<u8> = ids.iter().flat_map(|id| *id.as_bytes()).collect();
        let done = company.run(Op::Call, A, &[&[count], &ids[..]].concat(), PLENTY);
        done.ran.execution.output
    };
    assert_eq!(missed(&others), [1]);
    assert_eq!(missed(&others[..16]), [0]);
    // Again is the same zApp.
    let again = [&others[..16], &others[..16]].concat();
    assert_eq!(missed(&again), [0]);
}
