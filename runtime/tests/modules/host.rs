//! The interface `zapp0`: what each function does, charges first, and refuses.

use attestation::leaf::Status;
use ed25519_dalek::{Signer as _, SigningKey};
use runtime::abi::{ABORT_CODE, HostFault};
use sha2::{Digest as _, Sha256};
use sha3::{Keccak256, Sha3_256};
use state::execute::Op;

use crate::bed::{Bed, PLENTY, ZAPP};

/// Copies the input to 0 and runs the body; the argument bytes begin at 2.
fn with_input(body: &str) -> Bed {
    Bed::main(&format!(
        "(call $input (i32.const 0) (i32.const 0) (local.get 1)) {body}"
    ))
}

#[test]
fn the_input_is_method_and_arguments() {
    let mut bed = with_input("(call $output (i32.const 0) (local.get 1))");
    let done = bed.run(Op::Call, "transfer", b"args", PLENTY);
    assert_eq!(done.output(), b"\x08transferargs");
    let done = bed.run(Op::Init, "", b"", PLENTY);
    assert_eq!(done.output(), b"\0");
}

#[test]
fn the_op_reaches_the_module() {
    let mut bed = Bed::main(
        "(i32.store8 (i32.const 0) (local.get 0)) (call $output (i32.const 0) (i32.const 1))",
    );
    for op in [Op::Init, Op::Call, Op::View, Op::Migrate] {
        assert_eq!(bed.run(op, "", b"", PLENTY).output(), [op as u8]);
    }
}

#[test]
fn the_context_tells_its_fields_and_nothing_else() {
    let mut bed = with_input(
        "(local.set 2 (call $ctx (i32.load8_s (i32.const 2)) (i32.const 100)))
         (i32.store (i32.const 96) (local.get 2)) (call $output (i32.const 96) (i32.const 36))",
    );
    let root = *bed.state.root().as_bytes();
    let padded = |bytes: &[u8]| [bytes, &[0; 32][bytes.len()..]].concat();
    let table = [
        (0, 32, ZAPP.as_bytes().to_vec()),
        (1, 32, vec![5; 32]),
        (2, 32, vec![5; 32]),
        (3, 32, vec![3; 32]),
        (4, 8, padded(&42u64.to_le_bytes())),
        (5, 8, padded(&1_700_000_000_000u64.to_le_bytes())),
        (8, 32, root.to_vec()),
        (9, 32, vec![2; 32]),
        (6, -1, vec![0; 32]),
        (7, -1, vec![0; 32]),
        (10, -1, vec![0; 32]),
        (-1, -1, vec![0; 32]),
    ];
    for (field, length, bytes) in table {
        let field: i8 = field;
        let length: i32 = length;
        let done = bed.run(Op::Call, "m", &field.to_le_bytes(), PLENTY);
        assert_eq!(
            done.output(),
            [&length.to_le_bytes()[..], &bytes].concat(),
            "field {field}"
        );
    }
}

#[test]
fn entries_are_read_written_deleted_and_scanned_in_order() {
    let entries: &[(&[u8], &[u8])] = &[(b"a", b"1"), (b"b", b"22"), (b"c", b"333")];
    let mut bed = Bed::new(&crate::bed::module(
        r#"(i64.store (i32.const 0) (i64.const 0x7a63626100000000))
           (i32.store (i32.const 100) (call $get (i32.const 5) (i32.const 1) (i32.const 200)
               (i32.const 1)))
           (i32.store (i32.const 104) (call $get (i32.const 7) (i32.const 1) (i32.const 0)
               (i32.const 0)))
           (call $del (i32.const 5) (i32.const 1))
           (call $set (i32.const 7) (i32.const 1) (i32.const 4) (i32.const 4))
           (call $set (i32.const 4) (i32.const 1) (i32.const 4) (i32.const 0))
           (i32.store (i32.const 108) (call $get (i32.const 5) (i32.const 1) (i32.const 0)
               (i32.const 0)))
           (i32.store (i32.const 112) (call $get (i32.const 4) (i32.const 1) (i32.const 0)
               (i32.const 0)))
           (i32.store (i32.const 116) (call $next (i32.const 0) (i32.const 0) (i32.const 201)
               (i32.const 9)))
           (i32.store (i32.const 120) (call $next (i32.const 4) (i32.const 1) (i32.const 202)
               (i32.const 1)))
           (i32.store (i32.const 124) (call $next (i32.const 6) (i32.const 1) (i32.const 203)
               (i32.const 0)))
           (i32.store (i32.const 128) (call $next (i32.const 7) (i32.const 1) (i32.const 0)
               (i32.const 0)))
           (call $output (i32.const 100) (i32.const 104))"#,
    ))
    .with_entries(entries);
    let done = bed.call(PLENTY);
    assert_eq!(done.status(), Status::Ok);
    let numbers: Vec<i32> = done.output()[..32]
        .chunks(4)
        .map(|bytes| i32::from_le_bytes(bytes.try_into().expect("four bytes")))
        .collect();
    assert_eq!(numbers, [2, -1, -1, 0, 1, 1, 1, -1]);
    assert_eq!(&done.output()[100..], b"2ac\0");
    let writes: Vec<_> = done
        .writes
        .iter()
        .map(|w| (&w.key[..], w.value.as_deref()))
        .collect();
    let expected: [(&[u8], Option<&[u8]>); 3] =
        [(b"a", Some(b"")), (b"b", None), (b"z", Some(b"abcz"))];
    assert_eq!(writes, expected);
}

#[test]
fn hashes_are_the_ones_named() {
    let mut bed = with_input(
        "(call $hash (i32.load8_u (i32.const 2)) (i32.const 3) (i32.const 3) (i32.const 64))
         (call $output (i32.const 64) (i32.const 32))",
    );
    let mut hash = |algorithm: u8| bed.run(Op::Call, "m", &[algorithm, b'a', b'b', b'c'], PLENTY);
    assert_eq!(hash(0).output(), &Sha256::digest(b"abc")[..]);
    assert_eq!(hash(1).output(), &Sha3_256::digest(b"abc")[..]);
    assert_eq!(hash(2).output(), &Keccak256::digest(b"abc")[..]);
    assert_eq!(hash(3).ran.fault, Some(HostFault::Algorithm));
}

#[test]
fn signatures_are_verified_strictly() {
    let mut bed = with_input(
        "(i32.store8 (i32.const 1000) (call $verify (i32.const 0)
            (i32.const 98) (i32.sub (local.get 1) (i32.const 98))
            (i32.const 34) (i32.const 64) (i32.const 2) (i32.const 32)))
         (call $output (i32.const 1000) (i32.const 1))",
    );
    let key = SigningKey::from_bytes(&[9; 32]);
    let signature = key.sign(b"message").to_bytes();
    let public = key.verifying_key().to_bytes();
    let good = [&public[..], &signature, b"message"].concat();
    assert_eq!(bed.run(Op::Call, "m", &good, PLENTY).output(), [1]);
    for at in [0, 31, 32, 63, 64, 95, 96] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(
            bed.run(Op::Call, "m", &bad, PLENTY).output(),
            [0],
            "byte {at}"
        );
    }
    // The neutral element signs anything, unless verification is strict.
    let mut neutral = [0; 96];
    (neutral[0], neutral[32]) = (1, 1);
    let forged = [&neutral[..], b"message"].concat();
    assert_eq!(bed.run(Op::Call, "m", &forged, PLENTY).output(), [0]);
}

#[test]
fn every_byte_of_a_verification_is_paid_for() {
    let gas = |message: u32, signature: u32, key: u32| {
        let call = format!(
            "(drop (call $verify (i32.const 0) (i32.const 0) (i32.const {message})
                (i32.const 0) (i32.const {signature}) (i32.const 0) (i32.const {key})))"
        );
        Bed::main(&call).call(PLENTY).gas()
    };
    let usual = gas(0, 64, 32);
    for (name, gas) in [
        ("message", gas(60_000, 64, 32)),
        ("signature", gas(0, 60_064, 32)),
        ("key", gas(0, 64, 60_032)),
    ] {
        assert_eq!(gas, usual + 60_000 * 6, "{name}");
    }
}

#[test]
fn a_revert_keeps_code_and_output_and_drops_the_rest() {
    let effects = r#"(i32.store (i32.const 0) (i32.const 0x21706f6e))
        (call $set (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 4))
        (call $emit (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 4))
        (call $output (i32.const 0) (i32.const 3))"#;
    let done = Bed::main(&format!("{effects} (return (i32.const 7))")).call(PLENTY);
    assert_eq!(
        (done.status(), done.ran.execution.code),
        (Status::Reverted, 7)
    );
    assert_eq!(done.output(), b"nop");
    assert!(done.ran.execution.events.is_empty() && done.writes.is_empty());

    let done = Bed::main(&format!(
        "{effects} (call $abort (i32.const 0) (i32.const 4))"
    ))
    .call(PLENTY);
    assert_eq!(
        (done.status(), done.ran.execution.code),
        (Status::Reverted, ABORT_CODE)
    );
    assert_eq!(done.output(), b"nop!");

    let done = Bed::main(effects).call(PLENTY);
    assert_eq!(done.status(), Status::Ok);
    assert_eq!(done.ran.execution.events[0].topic, b"nop!");
    assert_eq!(done.writes.len(), 1);
}

#[test]
fn pointers_never_wrap() {
    let calls = [
        "(call $input (i32.const -1) (i32.const 0) (i32.const 2))",
        "(call $input (i32.const 0) (i32.const -1) (i32.const 2))",
        "(call $input (i32.const 0) (i32.const 0) (i32.const 1000))",
        "(call $output (i32.const 65535) (i32.const 2))",
        "(call $output (i32.const 0xffffffff) (i32.const 2))",
        "(drop (call $ctx (i32.const 0) (i32.const 65505)))",
        "(drop (call $get (i32.const 65535) (i32.const 2) (i32.const 0) (i32.const 0)))",
        "(drop (call $get (i32.const 0) (i32.const 2) (i32.const 0) (i32.const -1)))",
        "(drop (call $next (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 65536)))",
        "(call $set (i32.const 0) (i32.const 1) (i32.const 65536) (i32.const 1))",
        "(call $hash (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 65505))",
        "(drop (call $verify (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 65500)
            (i32.const 64) (i32.const 0) (i32.const 32)))",
        "(call $abort (i32.const 65536) (i32.const 1))",
        "(call $log (i32.const 65536) (i32.const 1))",
    ];
    for call in calls {
        let done = Bed::main(call).call(10_000_000_000);
        assert_eq!(done.status(), Status::Trapped, "{call}");
        assert_eq!(done.ran.fault, Some(HostFault::Bounds), "{call}");
    }
    // A length of 2^32-1 is paid for before anything is looked at.
    for call in [
        "(call $hash (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 0))",
        "(call $emit (i32.const 0) (i32.const -1) (i32.const 0) (i32.const -1))",
        "(call $set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const -1))",
        "(drop (call $verify (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const -1) (i32.const 0) (i32.const -1)))",
    ] {
        assert_eq!(
            Bed::main(call).call(10_000_000_000).status(),
            Status::OutOfGas,
            "{call}"
        );
    }
}

#[test]
fn lengths_and_counts_are_limited() {
    let turns = |n: u32, call: &str| {
        format!(
            "(loop {call} (br_if 0 (i32.lt_u
          (local.tee 2 (i32.add (local.get 2) (i32.const 1))) (i32.const {n}))))"
        )
    };
    let write = "(i32.store (i32.const 0) (local.get 2)) (call $set (i32.const 0) (i32.const 4)
        (i32.const 0) (i32.const 4))";
    let event = "(call $emit (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 4))";
    let big = "(i32.store (i32.const 0) (local.get 2)) (call $set (i32.const 0) (i32.const 4)
        (i32.const 0) (i32.const 65536))";
    let table = [
        ("(drop (call $get (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0)))".into(), Some(HostFault::Key)),
        ("(drop (call $get (i32.const 0) (i32.const 257) (i32.const 0)
            (i32.const 0)))".into(), Some(HostFault::Key)),
        ("(drop (call $get (i32.const 0) (i32.const 256) (i32.const 0)
            (i32.const 0)))".into(), None),
        ("(call $set (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0))".into(), Some(HostFault::Key)),
        ("(call $del (i32.const 0) (i32.const 257))".into(), Some(HostFault::Key)),
        ("(call $set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 65536))".into(), None),
        ("(drop (memory.grow (i32.const 1))) (call $set (i32.const 0) (i32.const 1) (i32.const 0)
            (i32.const 65537))".into(), Some(HostFault::Length)),
        ("(drop (memory.grow (i32.const 1))) (call $output (i32.const 0)
            (i32.const 65537))".into(), Some(HostFault::Length)),
        ("(call $log (i32.const 0) (i32.const 1025))".into(), Some(HostFault::Length)),
        (turns(1024, write), None),
        (turns(1025, write), Some(HostFault::Writes)),
        (turns(15, big), None),
        (turns(16, big), Some(HostFault::Writes)),
        (turns(256, event), None),
        (turns(257, event), Some(HostFault::Events)),
        ("(call $emit (i32.const 0) (i32.const 257) (i32.const 0)
            (i32.const 0))".into(), Some(HostFault::Length)),
        ("(call $emit (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 65535))".into(), None),
        ("(call $emit (i32.const 0) (i32.const 1) (i32.const 0)
            (i32.const 65536))".into(), Some(HostFault::Events)),
    ];
    for (body, fault) in table {
        let body: String = body;
        let done = Bed::main(&body).call(1_000_000_000);
        let status = if fault.is_some() {
            Status::Trapped
        } else {
            Status::Ok
        };
        assert_eq!((done.status(), done.ran.fault), (status, fault), "{body}");
    }
}

#[test]
fn a_view_writes_nothing() {
    let write = "(call $set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1))";
    let done = Bed::main(write).run(Op::View, "m", b"", PLENTY);
    assert_eq!(done.ran.fault, Some(HostFault::ReadOnly));
    let mut bed = Bed::main(
        "(call $output (i32.const 0) (call $get (i32.const 8) (i32.const 1)
        (i32.const 0) (i32.const 9)))",
    )
    .with_entries(&[(b"\0", b"value")]);
    let environment = crate::bed::environment(&bed.state);
    let call = state::execute::Executable {
        op: Op::Call,
        request: attestation::ids::RequestId::from_bytes([0; 32]),
        zapp: ZAPP,
        module: bed.prepared.original,
        metered: bed.prepared.metered_digest,
        caller: attestation::ids::IdentityKey::from_bytes([0; 32]),
        origin: attestation::ids::IdentityKey::from_bytes([0; 32]),
        method: "value",
        input: b"",
        gas_limit: PLENTY,
        environment: &environment,
        pulled: &[],
    };
    for executor in &mut bed.executors {
        let ran = executor.view(&call, &bed.state).expect("an answer");
        assert_eq!(ran.execution.output, b"value");
    }
}

#[test]
fn log_lines_reach_the_author_up_to_their_bound() {
    let body = "(loop (call $log (i32.const 0) (i32.const 1000)) (br_if 0 (i32.lt_u
          (local.tee 2 (i32.add (local.get 2) (i32.const 1))) (i32.const 100))))";
    let done = Bed::main(body).call(PLENTY);
    assert_eq!(done.status(), Status::Ok);
    assert_eq!(done.ran.log.len(), 16);
}
