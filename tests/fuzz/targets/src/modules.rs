//! Seeds that are modules: what the gatekeeper takes, one for each rule that a short module can
//! break, and what the generator makes programs of.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};

use crate::executor::HEAD_BYTES;
use crate::seeds::Files;

/// Modules, named `accepted-…` or for the rule that refuses them.
pub fn files() -> Files {
    let named = |(name, text): &(&str, &str)| ((*name).to_owned(), wat::parse_str(text).unwrap());
    let whole = |(name, more): &(&str, &str)| {
        let text = format!("(module {more} {MEMORY} {MAIN})");
        ((*name).to_owned(), wat::parse_str(text).unwrap())
    };
    let mut files: Files = WITH_MORE.iter().map(whole).collect();
    files.extend(OTHERS.iter().map(named));

    let accepted = files["accepted-least"].clone();
    let metered = runtime::prepare(&accepted).unwrap().metered;
    files.insert(
        "malformed-cut".into(),
        accepted[..accepted.len() - 3].to_vec(),
    );
    files.insert("malformed-nothing".into(), Vec::new());
    files.insert("export-metered".into(), metered);

    // More rejections than its author is told.
    let one = "(func (drop (ref.null func)))";
    let many = format!("(module {MEMORY} {MAIN} {})", one.repeat(70));
    files.insert("opcode-many".into(), wat::parse_str(many).unwrap());
    let deep = "(block ".repeat(300) + &")".repeat(300);
    let deep = format!("(module (func {deep}) {MEMORY} {MAIN})");
    files.insert("nesting-deep".into(), wat::parse_str(deep).unwrap());
    files
}

/// What the generator makes programs of, drawn.
pub fn generated() -> Files {
    let lengths = [
        96, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304, 2560, 3072,
    ];
    let file = |(at, length): (u64, usize)| {
        let mut rng = ChaCha8Rng::seed_from_u64(200 + at);
        let mut bytes = vec![0; HEAD_BYTES + length];
        rng.fill_bytes(&mut bytes);
        // Every fourth has blocks with several results: most of these have such functions too,
        // which is refused.
        bytes[0] = u8::from(at % 4 == 3);
        (format!("drawn-{at}"), bytes)
    };
    (0..).zip(lengths).map(file).collect()
}

const MEMORY: &str = r#"(memory (export "memory") 1 2)"#;
const MAIN: &str = r#"(func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0))"#;

/// Besides a memory and a `zapp_main` that does nothing.
const WITH_MORE: &[(&str, &str)] = &[
    ("accepted-least", ""),
    (
        "accepted-host",
        r#"(import "zapp0" "get" (func (param i32 i32 i32 i32) (result i32)))
           (import "zapp0" "set" (func (param i32 i32 i32 i32)))
           (import "zapp0" "gas_left" (func (result i64)))"#,
    ),
    (
        "accepted-control",
        "(func (param i32) (result i64) (local i64 f32)
           (block (block (br_table 0 1 (local.get 0))) (return (i64.const 1)))
           (loop (br_if 0 (i32.eqz (local.get 0))))
           (if (result i64) (local.get 0) (then (i64.const 2)) (else (unreachable))))",
    ),
    (
        "accepted-several-results",
        "(func (result i32) (block (result i32 i32) (i32.const 1) (i32.const 2)) (i32.add))",
    ),
    (
        "accepted-memory",
        r#"(data "passive") (data (i32.const 8) "active")
           (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 4)) (data.drop 0)
             (memory.copy (i32.const 9) (i32.const 1) (i32.const 3))
             (memory.fill (i32.const 0) (i32.const 1) (i32.const 2))
             (drop (memory.grow (i32.const 1))) (i64.store (i32.const 1) (i64.const 2)))"#,
    ),
    (
        "accepted-table",
        "(type $none (func)) (table 4 4 funcref) (elem (i32.const 1) $one $one)
         (global (mut i64) (i64.const 5))
         (func $one (call_indirect (type $none) (i32.const 1)) (global.set 0 (i64.const 6)))",
    ),
    (
        "accepted-numbers",
        "(func (param f64) (result i32)
           (drop (f64.sqrt (f64.div (local.get 0) (f64.const nan))))
           (drop (i64.rem_s (i64.trunc_sat_f64_s (local.get 0)) (i64.const -1)))
           (select (i32.extend8_s (i32.const 200)) (i32.const 1) (i32.clz (i32.const 7))))",
    ),
    (
        "accepted-custom",
        r#"(@custom "zapp.abi" "text") (@custom "zapp.manifest" "more")
           (@custom "__z_start" "\00\00\00\00\00\00\00\00") (@custom "other" "lost")"#,
    ),
    ("opcode-ref-null", "(func (drop (ref.null func)))"),
    (
        "opcode-typed-select",
        "(func (drop (select (result i32) (i32.const 0) (i32.const 1) (i32.const 2))))",
    ),
    (
        "opcode-table-size",
        "(table 1 1 funcref) (func (drop (table.size 0)))",
    ),
    (
        "opcode-table-copy",
        "(table 1 1 funcref) (func (table.copy (i32.const 0) (i32.const 0) (i32.const 1)))",
    ),
    ("opcode-simd", "(func (drop (i8x16.splat (i32.const 0))))"),
    ("opcode-tail-call", "(func $again (return_call $again))"),
    ("locals-of-vectors", "(func (local v128))"),
    ("signature-of-references", "(func (param funcref))"),
    (
        "signature-two-results",
        "(func (result i32 i32) (i32.const 0) (i32.const 1))",
    ),
    ("import-of-another", r#"(import "env" "now" (func))"#),
    (
        "import-of-another-type",
        r#"(import "zapp0" "set" (func (param i32)))"#,
    ),
    ("start-function", "(start $go) (func $go)"),
    (
        "export-of-a-meter",
        r#"(global (export "__z_gas") (mut i64) (i64.const 0))"#,
    ),
    ("globals-of-references", "(global funcref (ref.null func))"),
    ("table-that-grows", "(table 1 2 funcref)"),
    ("mem-two", "(memory 1 1)"),
    (
        "elem-passive",
        "(table 1 1 funcref) (func $one) (elem func $one)",
    ),
    (
        "elem.range-beyond",
        "(table 1 1 funcref) (func $one) (elem (i32.const 1) $one)",
    ),
    ("data.range-beyond", r#"(data (i32.const 65535) "ab")"#),
    (
        "custom-twice",
        r#"(@custom "zapp.abi" "one") (@custom "zapp.abi" "two")"#,
    ),
    ("feature-structures", "(type (struct (field i32)))"),
    ("malformed-types", "(func (result i32) (i64.const 0))"),
];

/// Whole modules.
const OTHERS: &[(&str, &str)] = &[
    (
        "mem-none",
        r#"(module (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))"#,
    ),
    (
        "export-no-main",
        r#"(module (memory (export "memory") 1 2) (func (export "main")))"#,
    ),
    (
        "mem.max-none",
        r#"(module (memory (export "memory") 1)
             (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))"#,
    ),
    (
        "mem.min-large",
        r#"(module (memory (export "memory") 257 300))"#,
    ),
    (
        "feature-long-memory",
        r#"(module (memory (export "memory") i64 1 2))"#,
    ),
];
