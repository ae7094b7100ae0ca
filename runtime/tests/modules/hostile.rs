//! Hostile modules that may run: each ends with a status, the same one every time.

use attestation::ids::{Digest, ModuleDigest, RequestId, ZappId};
use attestation::leaf::Status;
use runtime::abi::HostFault;
use runtime::engine::{Artifact, Engine, LoadError, compile, compile_for};
use runtime::{Executor, Modules, Ran, prepare};
use state::execute::{Execute as _, ExecuteError, Op, Verdict};

use crate::bed::{Bed, PLENTY, TARGETS, ZAPP, module};

#[test]
fn loops_end_with_the_gas() {
    for body in [
        "(loop (br 0))",
        "(loop (br_if 0 (i32.const 1)))",
        "(loop $l (block $b (br_table $l $b (i32.const 0))))",
    ] {
        let done = Bed::main(body).call(1_000_000);
        assert_eq!(
            (done.status(), done.gas()),
            (Status::OutOfGas, 1_000_000),
            "{body}"
        );
    }
}

#[test]
fn a_memory_bomb_sees_its_declared_maximum_and_pays_for_every_page() {
    let mut bed = Bed::new(
        r#"(module (import "zapp0" "output" (func $output (param i32 i32)))
          (memory (export "memory") 1 256)
          (func (export "zapp_main") (param i32 i32) (result i32) (local i32)
            (loop (local.set 2 (i32.add (local.get 2) (i32.const 1)))
              (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
            (i32.store (i32.const 0) (local.get 2))
            (call $output (i32.const 0) (i32.const 4)) (i32.const 0)))"#,
    );
    let done = bed.call(PLENTY);
    assert_eq!(done.status(), Status::Ok);
    assert_eq!(done.output(), 256u32.to_le_bytes());
    assert!(done.gas() > 256 * 30_000);
    assert_eq!(bed.call(1_000_000).status(), Status::OutOfGas);
}

#[test]
fn a_trap_after_a_write_changes_nothing_and_is_paid() {
    let write = "(call $set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1))
                 (call $emit (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1))
                 (call $output (i32.const 0) (i32.const 1))";
    for end in [
        "(unreachable)",
        "(loop (br 0))",
        "(call $output (i32.const -1) (i32.const 9))",
    ] {
        let done = Bed::main(&format!("{write} {end}")).call(200_000);
        assert_ne!(done.status(), Status::Ok, "{end}");
        assert!(
            done.writes.is_empty() && done.ran.execution.events.is_empty(),
            "{end}"
        );
        assert!(
            done.output().is_empty() && done.gas() > 70_000 + 12_300,
            "{end}"
        );
    }
}

#[test]
fn nan_bits_are_canonical_where_arithmetic_made_them_and_kept_elsewhere() {
    const CANONICAL_64: u64 = 0x7ff8_0000_0000_0000;
    const PAYLOAD: &str = "(f64.reinterpret_i64 (i64.const 0x7ffdeadbeef12345))";
    let table = [
        ("(f64.div (f64.const 0) (f64.const 0))".into(), CANONICAL_64),
        ("(f64.sqrt (f64.const -1))".into(), CANONICAL_64),
        (
            "(f64.sub (f64.const inf) (f64.const inf))".into(),
            CANONICAL_64,
        ),
        (format!("(f64.add {PAYLOAD} (f64.const 1))"), CANONICAL_64),
        (format!("(f64.min {PAYLOAD} (f64.const 1))"), CANONICAL_64),
        (format!("(f64.nearest {PAYLOAD})"), CANONICAL_64),
        (
            format!("(f64.promote_f32 (f32.demote_f64 {PAYLOAD}))"),
            CANONICAL_64,
        ),
        (format!("(f64.neg {PAYLOAD})"), 0xfffd_eadb_eef1_2345),
        (
            format!("(f64.abs (f64.neg {PAYLOAD}))"),
            0x7ffd_eadb_eef1_2345,
        ),
        (
            format!("(f64.copysign {PAYLOAD} (f64.const -1))"),
            0xfffd_eadb_eef1_2345,
        ),
    ];
    for (value, bits) in table {
        let value: String = value;
        let done = Bed::main(&format!(
            "(f64.store (i32.const 0) {value}) (call $output (i32.const 0) (i32.const 8))"
        ))
        .call(PLENTY);
        assert_eq!(done.output(), bits.to_le_bytes(), "{value}");
    }
}

#[test]
fn the_same_call_has_the_same_outcome_down_to_the_trace() {
    // Everything a module could leak: fresh memory, gas, sizes, time, addresses, order of keys.
    let text = module(
        r#"(drop (memory.grow (i32.const 1)))
           (call $set (i32.const 65536) (i32.const 3) (i32.const 0) (i32.const 9))
           (i64.store (i32.const 0) (call $gas_left))
           (i32.store (i32.const 8) (memory.size))
           (drop (call $ctx (i32.const 5) (i32.const 16)))
           (drop (call $next (i32.const 0) (i32.const 0) (i32.const 24) (i32.const 8)))
           (call $hash (i32.const 0) (i32.const 60000) (i32.const 20000) (i32.const 32))
           (call $output (i32.const 0) (i32.const 64))"#,
    );
    let first = Bed::new(&text).call(PLENTY);
    assert_eq!(first.status(), Status::Ok);
    let mut again = Bed::new(&text);
    for _ in 0..3 {
        assert_eq!(again.call(PLENTY), first);
    }
    let mut other = Bed::new(&text);
    let traces = [
        first.ran.execution.trace,
        other.call(PLENTY - 1).ran.execution.trace,
        other
            .run(Op::Init, "m", b"input", PLENTY)
            .ran
            .execution
            .trace,
        other
            .with_entries(&[(b"\0", b"v")])
            .call(PLENTY)
            .ran
            .execution
            .trace,
    ];
    for (at, trace) in traces.iter().enumerate() {
        assert!(!traces[at + 1..].contains(trace), "trace {at}");
    }
}

#[test]
fn host_call_spam_ends_with_the_gas() {
    for call in [
        "(drop (call $get (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0)))",
        "(call $log (i32.const 0) (i32.const 1))",
        "(drop (call $next (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))",
        "(call $hash (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 0))",
        "(call $output (i32.const 0) (i32.const 65536))",
        "(call $input (i32.const 0) (i32.const 0) (i32.const 0))",
        "(drop (call $ctx (i32.const 0) (i32.const 0)))",
        "(drop (call $gas_left))",
        "(drop (call $verify (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 0)
            (i32.const 64) (i32.const 0) (i32.const 32)))",
    ] {
        let done = Bed::main(&format!("(loop {call} (br 0))")).call(20_000_000);
        assert_eq!(
            (done.status(), done.gas()),
            (Status::OutOfGas, 20_000_000),
            "{call}"
        );
    }
}

#[test]
fn what_is_too_long_is_paid_before_it_is_looked_at() {
    // Four gigabytes: each costs more than there is, and none of it is there.
    for call in [
        "(call $hash (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 0))",
        "(call $emit (i32.const 0) (i32.const -1) (i32.const 0) (i32.const -1))",
        "(call $set (i32.const 0) (i32.const -1) (i32.const 0) (i32.const -1))",
        "(call $del (i32.const 0) (i32.const -1))",
        "(call $log (i32.const 0) (i32.const -1))",
        "(call $output (i32.const 0) (i32.const -1))",
        "(drop (call $get (i32.const 0) (i32.const -1) (i32.const 0) (i32.const 0)))",
        "(call $input (i32.const 0) (i32.const 0) (i32.const -1))",
        "(memory.fill (i32.const 0) (i32.const 0) (i32.const -1))",
        "(memory.copy (i32.const 0) (i32.const 0) (i32.const -1))",
    ] {
        let mut bed = Bed::main(call);
        assert_eq!(bed.call(10_000_000).status(), Status::OutOfGas, "{call}");
        // With gas for it, the same call breaks a rule instead.
        assert_eq!(bed.call(u64::MAX).status(), at_any_price(call), "{call}");
    }
}

/// `hash`, `emit` and `set` of so much cost more than a step may use.
fn at_any_price(call: &str) -> Status {
    match ["$hash", "$emit", "$set", "$del", "$log"]
        .iter()
        .any(|name| call.contains(name))
    {
        true => Status::OutOfGas,
        false => Status::Trapped,
    }
}

#[test]
fn the_host_sees_memory_that_has_grown_since() {
    let mut bed = Bed::main(
        "(drop (memory.grow (i32.const 1)))
         (i64.store (i32.const 131064) (i64.const 0x0807060504030201))
         (call $output (i32.const 131064) (i32.const 8))",
    );
    assert_eq!(bed.call(PLENTY).output(), [1, 2, 3, 4, 5, 6, 7, 8]);
    let mut bed = Bed::main("(call $output (i32.const 131064) (i32.const 8))");
    assert_eq!(bed.call(PLENTY).ran.fault, Some(HostFault::Bounds));
}

#[test]
fn an_entry_deleted_and_set_again_is_one_that_was_set() {
    let set = "(call $set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 9))";
    let delete = "(call $del (i32.const 0) (i32.const 1))";
    let writes = |body: &str| {
        let mut bed = Bed::main(body).with_entries(&[(b"\0", b"old")]);
        let done = bed.call(PLENTY);
        assert_eq!(done.status(), Status::Ok, "{body}");
        done.writes
    };
    let once = writes(set);
    assert_eq!(once.len(), 1);
    assert_eq!(writes(&format!("{delete} {set}")), once);
    assert_eq!(writes(&format!("{set} {delete} {set}")), once);
    assert_ne!(writes(&format!("{set} {delete}")), once);
}

#[test]
fn overlapping_copies_move_as_memory_does() {
    let mut bed = Bed::main(
        "(i64.store (i32.const 0) (i64.const 0x0807060504030201))
         (memory.copy (i32.const 2) (i32.const 0) (i32.const 6))
         (call $output (i32.const 0) (i32.const 8))",
    );
    assert_eq!(bed.call(PLENTY).output(), [1, 2, 1, 2, 3, 4, 5, 6]);
    // The key that is asked for lies where the answer goes.
    let mut bed = Bed::main(
        "(i32.store8 (i32.const 0) (i32.const 107))
         (drop (call $get (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 5)))
         (call $output (i32.const 0) (i32.const 5))",
    )
    .with_entries(&[(b"k", b"value")]);
    assert_eq!(bed.call(PLENTY).output(), b"value");
}

#[test]
fn traps_of_every_kind_are_one_status() {
    let bodies = [
        "(unreachable)",
        "(drop (i32.load (i32.const 65533)))",
        "(drop (i64.load offset=4294967295 (i32.const -1)))",
        "(memory.fill (i32.const 65536) (i32.const 0) (i32.const 1))",
        "(memory.copy (i32.const 0) (i32.const 65530) (i32.const 7))",
        "(drop (i64.rem_s (i64.const 1) (i64.const 0)))",
        "(drop (i64.trunc_f64_u (f64.const 1e300)))",
        "(drop (i32.trunc_f32_s (f32.const inf)))",
    ];
    for body in bodies {
        let done = Bed::main(body).call(PLENTY);
        assert_eq!(
            (done.status(), done.ran.fault),
            (Status::Trapped, None),
            "{body}"
        );
    }
    for (index, message) in [
        (0, "null"),
        (1, "another type"),
        (2, "beyond the end"),
        (-1, "far beyond"),
    ] {
        let mut bed = Bed::new(&format!(
            r#"(module (memory (export "memory") 1 1) (table 2 2 funcref) (elem (i32.const 1) $g)
              (type $t (func)) (func $g (param i32))
              (func (export "zapp_main") (param i32 i32) (result i32)
                (call_indirect (type $t) (i32.const {index})) (i32.const 0)))"#
        ));
        assert_eq!(bed.call(PLENTY).status(), Status::Trapped, "{message}");
    }
}

#[test]
fn passive_data_is_copied_and_dropped() {
    let mut bed = Bed::new(
        r#"(module (import "zapp0" "output" (func $output (param i32 i32)))
          (memory (export "memory") 1 1) (data $d "passive")
          (func (export "zapp_main") (param i32 i32) (result i32)
            (memory.init $d (i32.const 8) (i32.const 0) (i32.const 7))
            (data.drop $d)
            (memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))
            (call $output (i32.const 8) (i32.const 7)) (i32.const 0)))"#,
    );
    assert_eq!(bed.call(PLENTY).output(), b"passive");
}

#[test]
fn artifacts_load_only_by_the_digest_they_were_compiled_with() {
    let wasm = wat::parse_str(module("")).expect("parses");
    let prepared = prepare(&wasm).expect("accepted");
    let engine = Engine::new().expect("starts");
    for target in TARGETS {
        let artifact = compile_for(&prepared.metered, target).expect("compiles");
        assert_eq!(
            compile_for(&prepared.metered, target).expect("compiles"),
            artifact,
            "same input, same code"
        );
        let loaded = engine
            .load(&artifact.bytes, &artifact.digest)
            .expect("loads");
        assert_eq!(loaded.metered, prepared.metered_digest);
        for at in [0, 8, 40, artifact.bytes.len() / 2, artifact.bytes.len() - 1] {
            let mut flipped = artifact.bytes.clone();
            flipped[at] ^= 1;
            let error = engine.load(&flipped, &artifact.digest).err();
            assert!(matches!(error, Some(LoadError::Digest { .. })), "byte {at}");
        }
        assert!(
            compile_for(&wasm, target).is_err(),
            "only metered modules are compiled"
        );
    }
}

#[test]
fn bytes_that_no_compiler_of_ours_made_are_not_loaded_under_their_right_digest() {
    let wasm = wat::parse_str(module("")).expect("parses");
    let metered = prepare(&wasm).expect("accepted").metered;
    let artifact = |target| compile_for(&metered, target).expect("compiles").bytes;
    let [compiled, interpreted] = TARGETS.map(artifact);
    // Magic, digest, charge: what one engine made, under the other's name.
    let swapped = |name: &[u8], code: &[u8]| [&name[..8], &code[8..]].concat();
    let junk = |name: &[u8]| [&name[..48], b"nothing like it"].concat();
    let engine = Engine::new().expect("starts");
    for bytes in [
        b"ZQARTF1\0 but nothing like it".to_vec(),
        b"ZQARTF9\0".repeat(8),
        junk(&compiled),
        junk(&interpreted),
        swapped(&compiled, &interpreted),
        swapped(&interpreted, &compiled),
        Vec::new(),
    ] {
        let artifact = Artifact::of(bytes);
        assert_eq!(
            engine.load(&artifact.bytes, &artifact.digest).err(),
            Some(LoadError::Incompatible)
        );
    }
}

/// Answers with what it is given.
struct Source(Option<Vec<u8>>, Option<Artifact>);

impl Modules for Source {
    fn module(&mut self, _: &ModuleDigest) -> Option<Vec<u8>> {
        self.0.clone()
    }

    fn artifact(&mut self, _: &ModuleDigest) -> Option<Artifact> {
        self.1.clone()
    }
}

#[test]
fn modules_that_are_not_at_hand_or_not_the_right_ones_are_no_outcome() {
    let bed = Bed::main("");
    let other = Bed::main("(nop)");
    let environment = crate::bed::environment(&bed.state);
    let call = state::execute::Executable {
        op: Op::Call,
        request: RequestId::from_bytes([0; 32]),
        zapp: ZAPP,
        module: bed.prepared.original,
        metered: bed.prepared.metered_digest,
        caller: attestation::ids::IdentityKey::from_bytes([0; 32]),
        origin: attestation::ids::IdentityKey::from_bytes([0; 32]),
        method: "m",
        input: b"",
        gas_limit: PLENTY,
        environment: &environment,
        pulled: &[],
    };
    let absent = Err(ExecuteError::Module(bed.prepared.original));
    let metered = |bed: &Bed| compile(&bed.prepared.metered).expect("compiles");
    let mut flipped = metered(&bed);
    flipped.bytes[99] ^= 1;
    let run = |artifact: Option<Artifact>| -> Result<Ran, ExecuteError> {
        Executor::new(Source(None, artifact))
            .expect("starts")
            .view(&call, &bed.state)
    };
    assert_eq!(run(None), absent);
    assert_eq!(run(Some(metered(&other))), absent);
    assert_eq!(run(Some(flipped)), absent);
    assert!(run(Some(metered(&bed))).is_ok());
}

#[test]
fn preparing_answers_with_a_verdict_on_the_named_bytes_only() {
    let good = wat::parse_str(module("")).expect("parses");
    let bad = wat::parse_str("(module)").expect("parses");
    let request = RequestId::from_bytes([1; 32]);
    let digest = |wasm: &[u8]| {
        use sha2::Digest as _;
        ModuleDigest::from_bytes(sha2::Sha256::digest(wasm).into())
    };
    let answer = |wasm: Option<&Vec<u8>>, named: &ModuleDigest| {
        Executor::new(Source(wasm.cloned(), None))
            .expect("starts")
            .prepare(&request, named)
    };
    let named = digest(&good);
    assert_eq!(answer(None, &named), Err(ExecuteError::Module(named)));
    assert_eq!(answer(Some(&bad), &named), Err(ExecuteError::Module(named)));
    let Ok(Verdict::Prepared(prepared)) = answer(Some(&good), &named) else {
        panic!("not prepared");
    };
    assert_eq!(prepared.functions, 1);
    match answer(Some(&bad), &digest(&bad)) {
        Ok(Verdict::Rejected(rejection)) => assert_eq!(rejection.rule, "mem"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_hole_in_the_witness_is_no_outcome() {
    let mut bed =
        Bed::main("(drop (call $get (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0)))");
    // A state in which this zApp is not shown at all.
    let whole = state::State::from_entries([
        (ZAPP, vec![], vec![]),
        (ZappId::from_bytes([8; 32]), vec![], vec![]),
    ])
    .expect("heads are there");
    let pruned = whole
        .witness(&state::witness::Touched::default())
        .expect("a witness");
    let pruned = pruned.open(&whole.root()).expect("it opens");
    let environment = crate::bed::environment(&pruned);
    let call = state::execute::Executable {
        op: Op::Call,
        request: RequestId::from_bytes([0; 32]),
        zapp: ZAPP,
        module: bed.prepared.original,
        metered: bed.prepared.metered_digest,
        caller: attestation::ids::IdentityKey::from_bytes([0; 32]),
        origin: attestation::ids::IdentityKey::from_bytes([0; 32]),
        method: "m",
        input: b"",
        gas_limit: PLENTY,
        environment: &environment,
        pulled: &[],
    };
    let [compiled, interpreted] = bed
        .executors
        .each_mut()
        .map(|executor| executor.view(&call, &pruned));
    assert!(
        matches!(compiled, Err(ExecuteError::NeedState(_))),
        "{compiled:?}"
    );
    assert_eq!(compiled, interpreted);
}

#[test]
fn executors_can_be_handed_to_a_thread() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    let executor = assert_send(Executor::new(Source(None, None)).expect("starts"));
    drop(executor);
}

#[test]
fn the_profile_is_stable_within_a_build() {
    assert_eq!(runtime::profile(), runtime::profile());
    assert_ne!(*runtime::profile().as_bytes(), [0; 32]);
    let _: Digest = Digest::from_bytes(*runtime::profile().as_bytes());
}
