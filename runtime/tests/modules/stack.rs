//! The logical stack: the same depth whatever the engine does with registers and frames.

use attestation::leaf::Status;
use runtime::abi::HostFault;
use runtime::limits::STACK_BYTES;
use state::execute::Op;

use crate::bed::{Bed, Done, PLENTY};

/// `$f(n)` calls itself n times; `extra` are its locals, `live` operands that live across the call.
fn recursive(locals: usize, live: usize) -> Bed {
    let locals = " i32".repeat(locals);
    let operands = "(local.get 0)".repeat(live);
    let sum = "(i32.add)".repeat(live);
    Bed::new(&format!(
        r#"(module (import "zapp0" "input" (func $input (param i32 i32 i32)))
          (memory (export "memory") 1 1)
          (func $f (param i32) (result i32) (local{locals})
            {operands}
            (if (result i32) (local.get 0)
              (then (call $f (i32.sub (local.get 0) (i32.const 1)))) (else (i32.const 0)))
            {sum})
          (func (export "zapp_main") (param i32 i32) (result i32)
            (call $input (i32.const 0) (i32.const 2) (i32.const 4))
            (drop (call $f (i32.load (i32.const 0)))) (i32.const 0)))"#
    ))
}

fn depth(bed: &mut Bed, depth: u64) -> Done {
    let depth = u32::try_from(depth).expect("small");
    bed.run(Op::Call, "m", &depth.to_le_bytes(), PLENTY)
}

#[test]
fn recursion_ends_at_the_depth_that_frames_say() {
    // Parameter, locals, and operands at their highest: `live`, then two under the subtraction.
    for (locals, live) in [(0, 0), (90, 0), (1, 100), (1000, 0), (0, 1000)] {
        let mut bed = recursive(locals, live);
        let frame = 64 + 16 * (1 + locals + live + 2) as u64;
        let main = 64 + 16 * (2 + 3);
        let calls = (u64::from(STACK_BYTES.unsigned_abs()) - main) / frame;
        // `$f(n)` is n + 1 frames deep.
        let fits = depth(&mut bed, calls - 1);
        assert_eq!(
            fits.status(),
            Status::Ok,
            "{locals} locals, {live} operands"
        );
        let deeper = depth(&mut bed, calls);
        assert_eq!(
            deeper.status(),
            Status::Trapped,
            "{locals} locals, {live} operands"
        );
        assert_eq!(deeper.ran.fault, Some(HostFault::Stack));
    }
}

/// The interpreter counts frames and has a stack of values: neither may end before the logical
/// stack does, which the bed would show as no outcome.
#[test]
fn the_narrowest_and_the_widest_frames_end_with_the_logical_stack() {
    let parameters = "i64 ".repeat(64);
    let arguments = |value: &str| value.repeat(64);
    let bodies = [
        // 64 bytes of the logical stack, 8,190 deep.
        "(func $f (call $f))".to_owned(),
        format!(
            "(func $f (call $g {})) (func $g (param {parameters}) (call $g {}))",
            arguments("(i64.const 1)"),
            arguments("(local.get 0)")
        ),
        format!("(func $f (local {}) (call $f))", "f64 ".repeat(1024)),
        format!(
            "(func $f {} (call $f) {})",
            "(i64.const 1)".repeat(1024),
            "(drop)".repeat(1024)
        ),
    ];
    for body in bodies {
        let mut bed = Bed::new(&format!(
            r#"(module (memory (export "memory") 1 1) {body}
              (func (export "zapp_main") (param i32 i32) (result i32) (call $f) (i32.const 0)))"#
        ));
        let done = bed.call(PLENTY);
        let ended = (done.status(), done.ran.fault);
        assert_eq!(
            ended,
            (Status::Trapped, Some(HostFault::Stack)),
            "{body:.80}"
        );
    }
}

#[test]
fn frames_are_given_back_on_every_way_out() {
    // Each of the ways out, often enough that a lost frame would exhaust the stack.
    let ways = [
        "(nop)",
        "(return)",
        "(br 0)",
        "(br_if 0 (i32.const 1))",
        "(br_table 0 0 (i32.const 0))",
        "(block (br 1))",
        "(loop (block (br_if 2 (i32.const 1))))",
        "(if (i32.const 1) (then (return)) (else (br 1)))",
        "(if (i32.const 0) (then (return)) (else (br 1)))",
        "(block (block (br_table 0 1 2 (i32.const 2))))",
    ];
    for way in ways {
        let mut bed = Bed::new(&format!(
            r#"(module (memory (export "memory") 1 1) (func $f {way})
              (func (export "zapp_main") (param i32 i32) (result i32) (local i32)
                (loop (call $f) (br_if 0 (i32.lt_u
                  (local.tee 2 (i32.add (local.get 2) (i32.const 1))) (i32.const 20000))))
                (i32.const 0)))"#
        ));
        assert_eq!(bed.call(PLENTY).status(), Status::Ok, "{way}");
    }
}

#[test]
fn infinite_recursion_traps_also_through_a_table() {
    let mut bed = Bed::new(
        r#"(module (memory (export "memory") 1 1) (table 1 1 funcref) (elem (i32.const 0) $f)
          (type $t (func)) (func $f (call_indirect (type $t) (i32.const 0)))
          (func (export "zapp_main") (param i32 i32) (result i32) (call $f) (i32.const 0)))"#,
    );
    let done = bed.call(PLENTY);
    assert_eq!(
        (done.status(), done.ran.fault),
        (Status::Trapped, Some(HostFault::Stack))
    );
}

#[test]
fn common_subexpressions_do_not_inflate_frames() {
    // 500 products that an optimiser would keep alive across the recursive call.
    let mut text = String::from("(i32.const 0)");
    for index in 0..500 {
        text += &format!("(i32.mul (local.get 0) (i32.const {index})) (i32.xor)");
    }
    let mut bed = Bed::new(&format!(
        r#"(module (memory (export "memory") 1 1)
          (func $f (param i32) (result i32)
            {text} (call $f (i32.add (local.get 0) (i32.const 1))) {} (i32.add) (i32.add))
          (func (export "zapp_main") (param i32 i32) (result i32) (call $f (i32.const 1))))"#,
        text
    ));
    let done = bed.call(PLENTY);
    assert_eq!(
        (done.status(), done.ran.fault),
        (Status::Trapped, Some(HostFault::Stack))
    );
}
