//! Gas: what each operator costs, and that the limit cuts exactly where the sum exceeds it.

use attestation::leaf::Status;

use crate::bed::{Bed, PLENTY};

/// One page, two at most: making the instance.
const START: u64 = 40_000 + 30_000;
/// `i32.const 0`, the return value.
const BASE: u64 = START + 1;

#[test]
fn an_empty_call_costs_its_instance_and_its_return_value() {
    assert_eq!(Bed::main("").call(PLENTY).gas(), BASE);
}

/// Operators and what they cost; operands and `drop` cost one each.
const OPERATORS: &[(&str, u64)] = &[
    ("(nop)", 0),
    ("(drop (i32.add (i32.const 1) (i32.const 2)))", 4),
    ("(drop (i64.mul (i64.const 1) (i64.const 2)))", 5),
    ("(drop (i32.popcnt (i32.const 1)))", 4),
    ("(drop (i64.div_s (i64.const 7) (i64.const 2)))", 11),
    ("(drop (i32.rem_u (i32.const 7) (i32.const 2)))", 11),
    ("(drop (f64.add (f64.const 1) (f64.const 2)))", 8),
    ("(drop (f32.div (f32.const 1) (f32.const 2)))", 15),
    ("(drop (f64.sqrt (f64.const 2)))", 20),
    ("(drop (f64.nearest (f64.const 2.5)))", 12),
    ("(drop (i32.trunc_sat_f64_s (f64.const 2.5)))", 7),
    ("(drop (f64.lt (f64.const 1) (f64.const 2)))", 8),
    ("(drop (i64.extend_i32_s (i32.const 1)))", 3),
    (
        "(drop (select (i32.const 1) (i32.const 2) (i32.const 0)))",
        5,
    ),
    ("(drop (local.tee 2 (i32.const 1)))", 3),
    ("(drop (i32.load (i32.const 0)))", 3),
    ("(i64.store (i32.const 0) (i64.const 1))", 3),
    ("(drop (memory.size))", 2),
    ("(drop (memory.grow (i32.const 0)))", 62),
    ("(drop (memory.grow (i32.const 1)))", 62 + 30_000),
    // More than there can ever be is charged as one page more than the maximum.
    ("(drop (memory.grow (i32.const 1000)))", 62 + 3 * 30_000),
    ("(drop (memory.grow (i32.const -1)))", 62 + 3 * 30_000),
    (
        "(memory.fill (i32.const 0) (i32.const 1) (i32.const 15))",
        15,
    ),
    (
        "(memory.fill (i32.const 0) (i32.const 1) (i32.const 64))",
        15 + 4,
    ),
    (
        "(memory.copy (i32.const 0) (i32.const 8) (i32.const 160))",
        15 + 10,
    ),
    ("(block (br 0))", 1),
    ("(block (br_if 0 (i32.const 1)) (nop))", 3),
    ("(if (i32.const 1) (then (drop (i32.const 1))) (else))", 5),
    ("(if (i32.const 0) (then (drop (i32.const 1))) (else))", 3),
    ("(block (block (br_table 0 1 (i32.const 9))))", 4),
    (
        "(block (br_table 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 (i32.const 0)))",
        5,
    ),
    ("(drop (call $gas_left))", 8 + 300 + 1),
    (
        "(call $log (i32.const 0) (i32.const 80))",
        2 + 10 + 300 + 80,
    ),
    (
        "(call $output (i32.const 0) (i32.const 80))",
        2 + 10 + 300 + 10,
    ),
    (
        "(call $set (i32.const 0) (i32.const 8) (i32.const 0) (i32.const 100))",
        16 + 300 + 12_000 + 1_080,
    ),
    (
        "(call $del (i32.const 0) (i32.const 8))",
        12 + 300 + 12_000 + 80,
    ),
    (
        "(drop (call $get (i32.const 0) (i32.const 8) (i32.const 0) (i32.const 8)))",
        17 + 300 + 8_000 + 1,
    ),
    (
        "(drop (call $next (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 8)))",
        17 + 300 + 4_000,
    ),
    (
        "(call $emit (i32.const 0) (i32.const 8) (i32.const 0) (i32.const 2))",
        16 + 300 + 1_500 + 80,
    ),
    (
        "(call $hash (i32.const 0) (i32.const 0) (i32.const 100) (i32.const 0))",
        16 + 300 + 500 + 600,
    ),
];

#[test]
fn straight_line_code_costs_the_sum_of_its_operators() {
    for &(body, expected) in OPERATORS {
        let done = Bed::main(body).call(PLENTY);
        assert_eq!(done.status(), Status::Ok, "{body}");
        assert_eq!(done.gas() - BASE, expected, "{body}");
    }
}

#[test]
fn loads_cost_more_in_larger_memories() {
    for (pages, price) in [(16, 1), (17, 8), (64, 8), (65, 16), (256, 16)] {
        let mut bed = Bed::new(&format!(
            r#"(module (memory (export "memory") 1 {pages})
              (func (export "zapp_main") (param i32 i32) (result i32)
                (drop (i32.load (i32.const 0))) (i32.const 0)))"#
        ));
        assert_eq!(bed.call(PLENTY).gas() - BASE, 2 + price, "{pages} pages");
    }
}

#[test]
fn an_instance_costs_its_pages_data_and_elements() {
    let mut bed = Bed::new(
        r#"(module (memory (export "memory") 3 4) (table 5 5 funcref)
          (elem (i32.const 1) 0 0) (data (i32.const 0) "12345678") (data "passive is free")
          (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))"#,
    );
    assert_eq!(
        bed.call(PLENTY).gas(),
        40_000 + 3 * 30_000 + 8 * 10 + 2 * 30 + 1
    );
}

/// Every kind of branch and call: what runs is what is paid for, on every path.
const BRANCHY: &str = r#"
  (func $fib (param i32) (result i32)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
      (then (return (local.get 0)))
      (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                     (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
  (func $pick (param i32) (result i32)
    (block $c (block $b (block $a (br_table $a $b $c (local.get 0)))
      (return (i32.const 10))) (return (i32.const 20))) (i32.const 30))"#;

#[test]
fn branches_pay_for_the_path_they_take() {
    // `fib(n)`: call 9; test 3, `if` 2; leaf: 2; inner: add 1 and, for each call, sub 3.
    fn fib(n: u64) -> u64 {
        9 + 5
            + if n < 2 {
                2
            } else {
                7 + fib(n - 1) + fib(n - 2)
            }
    }
    for n in 0..10 {
        let mut bed = branchy(&format!("(drop (call $fib (i32.const {n})))"));
        assert_eq!(bed.call(PLENTY).gas() - BASE, 2 + fib(n), "fib({n})");
    }
    // `pick`: call 9, get 1, br_table 3, then const and return, or const alone.
    for (index, expected) in [(0, 2), (1, 2), (2, 1), (3, 1)] {
        let mut bed = branchy(&format!("(drop (call $pick (i32.const {index})))"));
        assert_eq!(
            bed.call(PLENTY).gas() - BASE,
            2 + 13 + expected,
            "pick({index})"
        );
    }
    // A loop: get, const, add, tee, const, lt, br_if 2: eight for each turn.
    for turns in [1, 2, 7, 1000] {
        let body = format!(
            "(loop (br_if 0 (i32.lt_u (local.tee 2 (i32.add (local.get 2) (i32.const 1)))
               (i32.const {turns}))))"
        );
        assert_eq!(
            Bed::main(&body).call(PLENTY).gas() - BASE,
            8 * turns,
            "{turns} turns"
        );
    }
}

fn branchy(body: &str) -> Bed {
    let module = crate::bed::module(body);
    let end = module.rfind(')').expect("a module ends");
    Bed::new(&format!("{}{BRANCHY})", &module[..end]))
}

#[test]
fn at_every_limit_the_call_ends_as_the_sum_says() {
    let mut bed = branchy(
        r#"(drop (call $fib (i32.const 5))) (drop (call $gas_left)) (drop (call $pick
            (i32.const 1)))
           (call $set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 4))
           (memory.fill (i32.const 0) (i32.const 1) (i32.const 400))
           (call $output (i32.const 0) (i32.const 4))
           (drop (call $fib (i32.const 3)))"#,
    );
    let whole = bed.call(PLENTY);
    assert_eq!(whole.status(), Status::Ok);
    assert!(whole.gas() > START + 12_900);
    assert_eq!(whole.writes.len(), 1);
    let below_start = (0..START).step_by(997);
    for limit in below_start.chain(START - 2..=whole.gas() + 2) {
        let done = bed.call(limit);
        if limit < whole.gas() {
            assert_eq!(done.status(), Status::OutOfGas, "limit {limit}");
            assert_eq!(done.gas(), limit);
            assert_eq!(done.output(), b"");
            assert!(done.writes.is_empty(), "limit {limit}");
        } else {
            assert_eq!(done.writes, whole.writes);
            assert_eq!(done.status(), Status::Ok, "limit {limit}");
            assert_eq!(done.gas(), whole.gas());
        }
    }
}

/// What is charged by its size is charged before it is done: one gas less and nothing happens.
#[test]
fn growth_and_bulk_operations_are_paid_before_they_are_done() {
    let table = [
        // Grown, it would be seen in the memory's size by the host call behind it.
        ("(drop (memory.grow (i32.const 1)))", 62 + 30_000),
        (
            "(memory.fill (i32.const 0) (i32.const 1) (i32.const 65536))",
            15 + 4096,
        ),
        (
            "(memory.copy (i32.const 0) (i32.const 1) (i32.const 65535))",
            15 + 4095,
        ),
        (
            "(memory.init $d (i32.const 0) (i32.const 0) (i32.const 32))",
            15 + 2,
        ),
        // Beyond the end: it traps, once it is paid.
        (
            "(memory.init $d (i32.const 0) (i32.const 0) (i32.const 48))",
            15 + 3,
        ),
        (
            "(memory.fill (i32.const 0) (i32.const 1) (i32.const 131072))",
            15 + 8192,
        ),
    ];
    for (operation, cost) in table {
        let mut bed = Bed::new(&format!(
            r#"(module (memory (export "memory") 1 2) (data $d "{}")
              (func (export "zapp_main") (param i32 i32) (result i32) {operation} (i32.const 0)))"#,
            "x".repeat(32)
        ));
        let whole = bed.call(PLENTY);
        assert_eq!(whole.gas(), BASE + cost, "{operation}");
        assert_ne!(whole.status(), Status::OutOfGas);
        assert_eq!(bed.call(whole.gas()), whole, "{operation}");
        let less = bed.call(whole.gas() - 1);
        assert_eq!(less.status(), Status::OutOfGas, "{operation}");
    }
}

#[test]
fn a_trap_costs_what_ran_and_is_not_out_of_gas() {
    let burn = "(loop (br_if 0 (i32.lt_u (local.tee 2 (i32.add (local.get 2) (i32.const 1)))
                  (i32.const 100000))))";
    let table = [
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", 11),
        (
            "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))",
            11,
        ),
        ("(drop (i32.load (i32.const -4)))", 3),
        ("(drop (i32.trunc_f64_s (f64.const nan)))", 7),
        ("(unreachable)", 1),
    ];
    for (trap, cost) in table {
        let mut bed = Bed::main(&format!("{burn} {trap}"));
        let done = bed.call(PLENTY);
        assert_eq!(done.status(), Status::Trapped, "{trap}");
        // The block of the trap is paid as a whole; code behind `unreachable` is not part of it.
        let rest = u64::from(trap != "(unreachable)");
        assert_eq!(done.gas(), START + 800_000 + cost + rest, "{trap}");
        // With exactly this much it still traps, with one less the gas runs out first.
        assert_eq!(bed.call(done.gas()).status(), Status::Trapped, "{trap}");
        assert_eq!(
            bed.call(done.gas() - 1).status(),
            Status::OutOfGas,
            "{trap}"
        );
    }
}

#[test]
fn a_call_never_uses_more_than_a_step_may() {
    let mut bed = Bed::main("(drop (call $gas_left))");
    assert_eq!(bed.call(u64::MAX).status(), Status::Ok);
    let mut bed = Bed::main(
        "(i64.store (i32.const 0) (call $gas_left)) (call $output (i32.const 0) (i32.const 8))",
    );
    let done = bed.call(u64::MAX);
    let left = u64::from_le_bytes(done.output().try_into().expect("eight bytes"));
    assert!(left < runtime::limits::CALL_GAS_MAX);
}
