//! `pull`: what members saw outside, as a zApp reads it.

use attestation::ids::Digest;
use attestation::leaf::Status;
use runtime::abi::HostFault;
use state::pull::{Pulled, PulledValue};

use crate::bed::{Bed, PLENTY};

const SOURCE: [u8; 32] = [0x5c; 32];

fn pulled(value: Option<PulledValue>) -> Pulled {
    Pulled {
        source: Digest::from_bytes(SOURCE),
        value,
    }
}

/// Puts out the result of `pull` for an index, and 64 bytes at most of what it copied.
fn bed(index: u32, cap: u32) -> Bed {
    let mut bed = Bed::main(&format!(
        "(i32.store (i32.const 0) (i32.const {index}))
         (i32.store (i32.const 60)
             (call $pull (i32.const 0) (i32.const 4) (i32.const 64) (i32.const {cap})))
         (call $output (i32.const 60) (i32.const 68))"
    ));
    let text = PulledValue::Bytes(b"text".to_vec().into());
    bed.pulled = vec![
        pulled(Some(PulledValue::Integer(-2))),
        pulled(Some(text)),
        pulled(None),
    ];
    bed
}

#[test]
fn a_zapp_reads_source_kind_and_value() {
    for (index, kind, value) in [
        (0, 1, (-2i64).to_le_bytes().to_vec()),
        (1, 2, b"text".to_vec()),
        (2, 0, vec![]),
    ] {
        let answer = [&SOURCE[..], &[kind], &value].concat();
        let len = i32::try_from(answer.len()).expect("short");
        let done = bed(index, 64).call(PLENTY);
        let output = done.output();
        assert_eq!(output[..4], len.to_le_bytes(), "source {index}");
        assert_eq!(output[4..4 + answer.len()], answer, "source {index}");
        // What does not fit is not copied, and the length says so.
        let done = bed(index, 5).call(PLENTY);
        assert_eq!(done.output()[..4], len.to_le_bytes());
        assert_eq!(
            done.output()[4..12],
            [0x5c, 0x5c, 0x5c, 0x5c, 0x5c, 0, 0, 0]
        );
    }
}

#[test]
fn beyond_the_last_source_there_is_nothing() {
    for index in [3, 16, u32::MAX] {
        let done = bed(index, 64).call(PLENTY);
        assert_eq!(done.output()[..4], (-1i32).to_le_bytes(), "source {index}");
    }
}

#[test]
fn a_place_has_four_bytes_and_the_answer_lies_in_memory() {
    for (args, fault) in [
        (
            "(i32.const 0) (i32.const 3) (i32.const 0) (i32.const 8)",
            HostFault::Length,
        ),
        (
            "(i32.const 0) (i32.const 5) (i32.const 0) (i32.const 8)",
            HostFault::Length,
        ),
        (
            "(i32.const -1) (i32.const 4) (i32.const 0) (i32.const 8)",
            HostFault::Bounds,
        ),
        (
            "(i32.const 0) (i32.const 4) (i32.const 65532) (i32.const 8)",
            HostFault::Bounds,
        ),
    ] {
        let done = Bed::main(&format!("(drop (call $pull {args}))")).call(PLENTY);
        assert_eq!(done.status(), Status::Trapped, "{args}");
        assert_eq!(done.ran.fault, Some(fault), "{args}");
    }
}

#[test]
fn what_was_pulled_is_in_the_trace_and_paid_for() {
    let trace = |value| {
        let mut bed = bed(0, 64);
        bed.pulled[0].value = value;
        let done = bed.call(PLENTY);
        (done.ran.execution.trace, done.gas())
    };
    let (one, gas) = trace(Some(PulledValue::Integer(1)));
    let (two, _) = trace(Some(PulledValue::Integer(2)));
    let (none, _) = trace(None);
    assert!(one != two && one != none && two != none);
    let empty = Bed::main("").call(PLENTY).gas();
    assert!(gas > empty + 2_000, "{gas} against {empty}");
}
