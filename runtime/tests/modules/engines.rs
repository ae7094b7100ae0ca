//! What one engine is known to get wrong, and the limits of the interpreter: the bed runs every
//! call on both engines, so that a call is enough to compare them.

use runtime::{Rule, limits};

use crate::bed::{Bed, PLENTY};

/// wasmi 2.0.0 takes the wrong value where a `select` tests a local for zero.
#[test]
fn a_select_on_a_comparison_with_zero_takes_the_right_value() {
    for (compare, takes_first_at_zero) in [
        ("(i32.eqz (local.get 2))", true),
        ("(i32.eq (local.get 2) (i32.const 0))", true),
        ("(i32.eq (i32.const 0) (local.get 2))", true),
        ("(i32.ne (local.get 2) (i32.const 0))", false),
        ("(i64.eqz (local.get 3))", true),
        ("(i64.ne (local.get 3) (i64.const 0))", false),
        ("(i32.eqz (i32.eqz (local.get 2)))", false),
        ("(local.get 2)", false),
    ] {
        for value in [0, 7, -1] {
            let mut bed = Bed::main(&format!(
                "(local.set 2 (i32.const {value})) (local.set 3 (i64.const {value}))
                 (i32.store (i32.const 0)
                   (select (i32.const 11) (i32.add (local.get 2) (i32.const 22)) {compare}))
                 (i32.store (i32.const 4)
                   (select (i32.const 11) (local.get 2) {compare}))
                 (call $output (i32.const 0) (i32.const 8))"
            ));
            let takes_first = takes_first_at_zero == (value == 0);
            let expected = match takes_first {
                true => [11, 11],
                false => [value + 22, value],
            };
            let bytes = expected.map(i32::to_le_bytes).concat();
            assert_eq!(bed.call(PLENTY).output(), bytes, "{compare} of {value}");
        }
    }
}

#[test]
fn both_engines_take_the_largest_module() {
    // Its data fills all but the last bytes that a module may have.
    let filled = |bytes: usize| {
        format!(
            r#"(module (import "zapp0" "output" (func $output (param i32 i32)))
              (memory (export "memory") 17 17) (data (i32.const 0) "{}")
              (func (export "zapp_main") (param i32 i32) (result i32)
                (call $output (i32.const {}) (i32.const 2)) (i32.const 0)))"#,
            "x".repeat(bytes),
            bytes - 1
        )
    };
    let overhead = wat::parse_str(filled(1 << 20)).expect("parses").len() - (1 << 20);
    let mut bed = Bed::new(&filled(limits::MODULE_BYTES_MAX - overhead));
    assert_eq!(bed.call(PLENTY).output(), b"x\0");
    let larger = wat::parse_str(filled(limits::MODULE_BYTES_MAX - overhead + 1));
    let refused = runtime::prepare(&larger.expect("parses")).expect_err("too large");
    assert_eq!(refused.rule, Rule::Size);
}
