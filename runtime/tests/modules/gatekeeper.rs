//! What the gatekeeper refuses, by rule, and where it says so.

use attestation::leaf::Status;
use proptest::prelude::*;
use runtime::{Rule, prepare};
use wasmparser::{Parser, Payload, TypeRef};

use crate::bed::{Bed, PLENTY, module};

const MEMORY: &str = r#"(memory (export "memory") 1 2)"#;
const MAIN: &str = r#"(func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0))"#;

/// A module with memory, main and something more.
fn with(more: &str) -> String {
    format!("(module {more} {MEMORY} {MAIN})")
}

#[track_caller]
fn refused(text: &str, rule: Rule) {
    let wasm = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text:.500}"));
    match prepare(&wasm) {
        Ok(_) => panic!("accepted: {text:.500}"),
        Err(rejection) => {
            assert_eq!(rejection.rule, rule, "{rejection}\n{text:.500}");
            let place = (rejection.function, section_at(&wasm, rejection.offset));
            let (bodies, sections) = (bodies(&wasm), sections_of(rule));
            let within = bodies
                .iter()
                .position(|body| body.contains(&rejection.offset));
            let function = within.map(|at| imported(&wasm) + u32::try_from(at).expect("few"));
            assert!(
                sections.contains(&place.1) && place.0 == function,
                "{rejection}: {place:?}, in {sections:?} of {function:?}\n{text:.500}"
            );
        }
    }
}

/// Where a rule can be broken: ids of sections, none for a module that lacks something.
fn sections_of(rule: Rule) -> &'static [Option<u8>] {
    match rule {
        Rule::Types => &[Some(1)],
        // A type, or a function that has it.
        Rule::Signature => &[Some(1), Some(3)],
        Rule::Import => &[Some(2)],
        Rule::Functions => &[Some(3)],
        Rule::Table => &[Some(4)],
        Rule::Memory => &[Some(5), None],
        Rule::MemoryMin | Rule::MemoryMax => &[Some(5)],
        Rule::Globals => &[Some(6)],
        Rule::Export => &[Some(7), None],
        Rule::Start => &[Some(8)],
        Rule::Elements | Rule::ElementRange => &[Some(9)],
        Rule::Data => &[Some(11), Some(12)],
        Rule::DataRange => &[Some(11)],
        Rule::Custom => &[Some(0)],
        Rule::Body
        | Rule::Opcode
        | Rule::Operators
        | Rule::Weight
        | Rule::Blocks
        | Rule::Nesting
        | Rule::Operands
        | Rule::Locals
        | Rule::Targets => &[Some(10)],
        Rule::Size | Rule::Malformed | Rule::Feature => panic!("{rule}: anywhere"),
    }
}

/// The id of the section that holds a byte.
fn section_at(wasm: &[u8], offset: usize) -> Option<u8> {
    let payloads = Parser::new(0)
        .parse_all(wasm)
        .map(|payload| payload.expect("well-formed"));
    let mut sections = payloads.filter_map(|payload| payload.as_section());
    let found = sections.find(|(_, range)| range.contains(&offset));
    found.map(|(id, _)| id)
}

fn bodies(wasm: &[u8]) -> Vec<std::ops::Range<usize>> {
    let payloads = Parser::new(0)
        .parse_all(wasm)
        .map(|payload| payload.expect("well-formed"));
    let bodies = payloads.filter_map(|payload| match payload {
        Payload::CodeSectionEntry(body) => Some(body.range()),
        _ => None,
    });
    bodies.collect()
}

/// How many functions are imported: bodies are counted after them.
fn imported(wasm: &[u8]) -> u32 {
    let payloads = Parser::new(0)
        .parse_all(wasm)
        .map(|payload| payload.expect("well-formed"));
    let imports = payloads.filter_map(|payload| match payload {
        Payload::ImportSection(imports) => Some(imports),
        _ => None,
    });
    let imports = imports.flat_map(wasmparser::SectionLimited::into_imports);
    let functions = imports.filter(|import| {
        let import = import.as_ref().expect("well-formed");
        matches!(import.ty, TypeRef::Func(_))
    });
    u32::try_from(functions.count()).expect("few")
}

#[test]
fn operators_off_the_list_are_refused() {
    let bodies = [
        "(drop (ref.null func))",
        "(drop (i8x16.splat (i32.const 0)))",
        "(drop (i32x4.relaxed_trunc_f32x4_s (v128.const i32x4 0 0 0 0)))",
        "(return_call $zapp_main (i32.const 0) (i32.const 0))",
        "(drop (i32.atomic.load (i32.const 0)))",
        "(atomic.fence)",
        "(drop (ref.is_null (ref.null extern)))",
        "(drop (i64.add128 (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0))) (drop)",
        "(drop (select (result i32) (i32.const 0) (i32.const 0) (i32.const 0)))",
        "(drop (ref.i31 (i32.const 0)))",
        "(unreachable) (throw_ref)",
    ];
    for body in bodies {
        refused(&module(body), Rule::Opcode);
    }
    for body in [
        "(drop (table.grow 0 (ref.null func) (i32.const 1)))",
        "(drop (table.size 0))",
        "(drop (table.get 0 (i32.const 0)))",
        "(table.copy (i32.const 0) (i32.const 0) (i32.const 0))",
    ] {
        let more = format!("(table 1 1 funcref) (func {body})");
        refused(&with(&more), Rule::Opcode);
    }
}

#[test]
fn proposals_outside_the_profile_are_refused() {
    let table = [
        (with("(type (struct (field i32)))"), Rule::Feature),
        (with("(tag)"), Rule::Feature),
        (with("(func (param externref))"), Rule::Signature),
        (with("(func (param v128))"), Rule::Signature),
        (with("(func (local v128))"), Rule::Locals),
        (with("(func (local funcref))"), Rule::Locals),
        (with("(global funcref (ref.null func))"), Rule::Globals),
        (
            with("(global i32 (i32.add (i32.const 1) (i32.const 2)))"),
            Rule::Feature,
        ),
        (with("(table i64 1 1 funcref)"), Rule::Table),
        (with("(table 1 1 externref)"), Rule::Table),
        (with("(table 1 1 funcref (ref.func 0))"), Rule::Table),
        (with("(memory 1 1)"), Rule::Memory),
        (
            format!(r#"(module (memory (export "memory") i64 1 2) {MAIN})"#),
            Rule::Feature,
        ),
        (
            format!(r#"(module (memory (export "memory") 1 2 shared) {MAIN})"#),
            Rule::Feature,
        ),
        (
            format!(r#"(module (memory (export "memory") 1 2 (pagesize 1)) {MAIN})"#),
            Rule::Feature,
        ),
        ("(component)".into(), Rule::Feature),
    ];
    for (text, rule) in table {
        // The validator may come first, with the same verdict under another name.
        let wasm = wat::parse_str(&text).expect("parses");
        let actual = prepare(&wasm).expect_err(&text).rule;
        assert!([rule, Rule::Feature].contains(&actual), "{actual}: {text}");
    }
}

#[test]
fn imports_other_than_the_interface_are_refused() {
    let imports = [
        r#"(import "wasi_snapshot_preview1" "clock_time_get" (func (param i32 i64 i32)
            (result i32)))"#,
        r#"(import "env" "get" (func (param i32 i32 i32 i32) (result i32)))"#,
        r#"(import "zapp0" "time" (func))"#,
        r#"(import "zapp0" "pull" (func (param i32 i32) (result i32)))"#,
        r#"(import "zapp0" "call" (func (param i32 i32 i32 i32) (result i64)))"#,
        r#"(import "zapp0" "post" (func (param i32 i32 i32)))"#,
        r#"(import "zapp0" "get" (func (param i32 i32 i32) (result i32)))"#,
        r#"(import "zapp0" "get" (func (param i32 i32 i32 i32) (result i64)))"#,
        r#"(import "zapp0" "get" (global i32))"#,
        r#"(import "zapp0" "memory" (memory 1 1))"#,
        r#"(import "zapp0" "table" (table 1 1 funcref))"#,
        r#"(import "zapp0" "log" (func (param i32 i32))) (import "zapp0" "log" (func
            (param i32 i32)))"#,
        r#"(import "zapp0" "__z_gas" (global (mut i64)))"#,
    ];
    for import in imports {
        refused(&with(import), Rule::Import);
    }
    let named = wat::parse_str(with(imports[3])).expect("parses");
    assert!(
        prepare(&named)
            .expect_err("refused")
            .message
            .contains("zapp0.pull")
    );
}

#[test]
fn memory_exports_and_start_follow_the_rules() {
    let table = [
        (format!("(module {MAIN})"), Rule::Memory),
        (format!("(module (memory 1 2) {MAIN})"), Rule::Memory),
        (
            format!(r#"(module (memory (export "memory") 1) {MAIN})"#),
            Rule::MemoryMax,
        ),
        (
            format!(r#"(module (memory (export "memory") 1 257) {MAIN})"#),
            Rule::MemoryMax,
        ),
        (
            format!(r#"(module (memory (export "memory") 65536 65536) {MAIN})"#),
            Rule::MemoryMin,
        ),
        (format!("(module {MEMORY})"), Rule::Export),
        (
            format!(r#"(module {MEMORY} (func (export "zapp_main") (param i32)))"#),
            Rule::Export,
        ),
        (
            format!(r#"(module {MEMORY} (global (export "zapp_main") i32 (i32.const 0)))"#),
            Rule::Export,
        ),
        // An import of the right type is no main.
        (
            format!(
                r#"(module (import "zapp0" "ctx" (func (param i32 i32) (result i32)))
            {MEMORY} (export "zapp_main" (func 0)))"#
            ),
            Rule::Export,
        ),
        (
            with(r#"(global (export "__z_gas") (mut i64) (i64.const 9))"#),
            Rule::Export,
        ),
        (with(r#"(func (export "__z_anything"))"#), Rule::Export),
        (
            with(r#"(table (export "table") 1 1 funcref)"#),
            Rule::Export,
        ),
        (with("(func $s (loop (br 0))) (start $s)"), Rule::Start),
        (with("(table 1 funcref)"), Rule::Table),
        (with("(table 1 2 funcref)"), Rule::Table),
        (with("(table 10001 10001 funcref)"), Rule::Table),
        (
            with("(func (result i32 i32) (unreachable))"),
            Rule::Signature,
        ),
    ];
    for (text, rule) in table {
        refused(&text, rule);
    }
}

#[test]
fn segments_must_lie_within_memory_and_table() {
    let table = [
        (r#"(data (i32.const 65535) "ab")"#, Rule::DataRange),
        (r#"(data (i32.const -1) "a")"#, Rule::DataRange),
        (r#"(data (i32.const 65537) "")"#, Rule::DataRange),
        (r#"(data (i32.const 0x7fffffff) "")"#, Rule::DataRange),
        (
            r#"(global $g i32 (i32.const 0)) (data (global.get $g) "a")"#,
            Rule::Malformed,
        ),
        (
            "(table 2 2 funcref) (elem (i32.const 1) 0 0)",
            Rule::ElementRange,
        ),
        (
            "(table 2 2 funcref) (elem (i32.const -1) 0)",
            Rule::ElementRange,
        ),
        (
            "(table 2 2 funcref) (elem (i32.const 3))",
            Rule::ElementRange,
        ),
        ("(table 2 2 funcref) (elem func 0)", Rule::Elements),
        ("(table 2 2 funcref) (elem declare func 0)", Rule::Elements),
        (
            "(table 2 2 funcref) (elem (i32.const 0) funcref (ref.null func))",
            Rule::Elements,
        ),
    ];
    for (more, rule) in table {
        let wasm = wat::parse_str(with(more)).expect("parses");
        let actual = prepare(&wasm).expect_err(more).rule;
        // A `global.get` is refused as a feature or as invalid, as the validator sees it.
        let same = actual == rule
            || (rule == Rule::Malformed && actual == Rule::Feature)
            || (rule == Rule::Malformed && actual == Rule::DataRange);
        assert!(same, "{actual}: {more}");
    }
    for more in [
        r#"(data (i32.const 65535) "a")"#,
        r#"(data (i32.const 65536) "")"#,
        "(table 2 2 funcref) (elem (i32.const 2))",
    ] {
        prepare(&wat::parse_str(with(more)).expect("parses")).expect(more);
    }
}

#[test]
fn each_limit_holds_at_its_edge() {
    let functions = |n: usize| with(&"(func)".repeat(n));
    let globals = |n: usize| with(&"(global i32 (i32.const 0))".repeat(n));
    let exports = |n: usize| {
        with(
            &(0..n)
                .map(|i| format!(r#"(func (export "f{i}"))"#))
                .collect::<String>(),
        )
    };
    let body = |text: String| with(&format!("(func {text})"));
    let targets = |n: usize| body(format!("(br_table {} (i32.const 0))", "0 ".repeat(n + 1)));
    let nested = |n: usize| body(format!("{}{}", "(block ".repeat(n), ")".repeat(n)));
    let blocks = |n: usize| body("(block)".repeat(n));
    let locals = |n: usize| body(format!("(local {})", "i32 ".repeat(n)));
    let operands = |n: usize| {
        body(format!(
            "{}{}",
            "(i32.const 0)".repeat(n),
            "(drop)".repeat(n)
        ))
    };
    let parameters = |n: usize| with(&format!("(func (param {}))", "i32 ".repeat(n)));
    let data = |n: usize| with(&r#"(data (i32.const 0) "")"#.repeat(n));
    let ops = |n: usize| body("(nop)".repeat(n));
    let types = |n: usize| {
        with(
            &(0..n)
                .map(|i| format!("(type (func (param {})))", "i32 ".repeat(i % 60)))
                .collect::<String>(),
        )
    };
    type Make<'a> = &'a dyn Fn(usize) -> String;
    let calls = |n: usize| body("(call 0)".repeat(n));
    let table: [(Make<'_>, usize, Rule); 14] = [
        // The end of a body weighs one.
        (&calls, 4999, Rule::Weight),
        (&functions, 8191, Rule::Functions),
        (&globals, 256, Rule::Globals),
        (&exports, 62, Rule::Export),
        (&targets, 1024, Rule::Targets),
        (&nested, 256, Rule::Nesting),
        (&blocks, 5000, Rule::Blocks),
        (&locals, 1024, Rule::Locals),
        (&operands, 1024, Rule::Operands),
        (&parameters, 64, Rule::Signature),
        (&data, 1024, Rule::Data),
        (&ops, 65_535, Rule::Operators),
        (&types, 1023, Rule::Types),
        (
            &|n| with(&format!("(table {n} {n} funcref)")),
            10_000,
            Rule::Table,
        ),
    ];
    for (make, most, rule) in table {
        let wasm = wat::parse_str(make(most)).expect("parses");
        if let Err(rejection) = prepare(&wasm) {
            panic!("{rejection} at the limit of {rule}");
        }
        // Both engines take and run it: none of their own limits is below.
        let done = Bed::new(&make(most)).call(PLENTY);
        assert_eq!(done.status(), Status::Ok, "at the limit of {rule}");
        refused(&make(most + 1), rule);
    }
}

#[test]
fn sums_over_the_module_are_limited() {
    let many = |body: &str, times: usize| with(&format!("(func {body})").repeat(times));
    let locals = format!("(local {})", "i32 ".repeat(1000));
    let table = format!("(br_table {} (i32.const 0))", "0 ".repeat(1001));
    refused(&many(&"(block)".repeat(5000), 11), Rule::Blocks);
    refused(&many(&"(call 0)".repeat(4_500), 14), Rule::Weight);
    refused(&many(&locals, 51), Rule::Locals);
    refused(&many(&table, 17), Rule::Targets);
}

#[test]
fn the_rejection_says_where() {
    let text = r#"(module (import "zapp0" "log" (func (param i32 i32)))
      (memory (export "memory") 1 2)
      (func (nop)) (func (nop) (atomic.fence))
      (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))"#;
    let wasm = wat::parse_str(text).expect("parses");
    let rejection = prepare(&wasm).expect_err("refused");
    assert_eq!(rejection.function, Some(2));
    assert_eq!(
        wasm.get(rejection.offset..rejection.offset + 2),
        Some(&[0xfe, 0x03][..])
    );
    assert!(rejection.to_string().contains("AtomicFence"), "{rejection}");
}

#[test]
fn hostile_bytes_are_refused() {
    let header = b"\0asm\x01\0\0\0";
    let section = |bytes: &[u8]| [&header[..], bytes].concat();
    let table: [(&str, Vec<u8>, Rule); 12] = [
        ("empty", vec![], Rule::Malformed),
        ("header alone", header.to_vec(), Rule::Memory),
        ("component", b"\0asm\x0d\0\x01\0".to_vec(), Rule::Feature),
        (
            "no such version",
            b"\0asm\x02\0\0\0".to_vec(),
            Rule::Malformed,
        ),
        ("too large", vec![0; (1 << 20) + 1], Rule::Size),
        (
            "2^32-1 types",
            section(b"\x01\x05\xff\xff\xff\xff\x0f"),
            Rule::Types,
        ),
        (
            "2^32-1 functions",
            section(b"\x03\x05\xff\xff\xff\xff\x0f"),
            Rule::Functions,
        ),
        (
            "2^32-1 imports",
            section(b"\x02\x05\xff\xff\xff\xff\x0f"),
            Rule::Import,
        ),
        (
            "number of six bytes",
            section(b"\x01\x06\xff\xff\xff\xff\xff\x0f"),
            Rule::Malformed,
        ),
        (
            "section beyond the end",
            section(b"\x01\x7f\x00"),
            Rule::Malformed,
        ),
        (
            "section twice",
            section(b"\x01\x01\x00\x01\x01\x00"),
            Rule::Malformed,
        ),
        (
            "name that is not UTF-8",
            section(b"\x00\x02\x01\xff"),
            Rule::Malformed,
        ),
    ];
    for (name, wasm, rule) in table {
        let rejection = prepare(&wasm).expect_err(name);
        assert_eq!(rejection.rule, rule, "{name}: {rejection}");
    }
}

#[test]
fn four_billion_locals_are_refused_without_being_counted_out() {
    let small = wat::parse_str(with("(func (local i32))")).expect("parses");
    let at = small
        .windows(3)
        .position(|w| w == [1, 1, 0x7f])
        .expect("one local");
    let mut wasm = small.clone();
    wasm.splice(at + 1..at + 2, [0xff, 0xff, 0xff, 0xff, 0x0f]);
    // The body and the code section are four bytes longer now.
    for (index, byte) in wasm
        .iter_mut()
        .enumerate()
        .take(at)
        .rev()
        .take(4)
        .collect::<Vec<_>>()
    {
        if index == at - 1 || index == at - 3 {
            *byte += 4;
        }
    }
    assert_eq!(prepare(&wasm).expect_err("refused").rule, Rule::Locals);
}

#[test]
fn only_the_two_custom_sections_survive_and_they_are_limited() {
    let custom =
        |name: &str, bytes: usize| with(&format!(r#"(@custom "{name}" "{}")"#, "x".repeat(bytes)));
    let kept = |name: &str| {
        let wasm = wat::parse_str(custom(name, 9)).expect("parses");
        let metered = prepare(&wasm).expect("accepted").metered;
        metered.windows(9).any(|w| w == b"xxxxxxxxx")
    };
    assert!(kept("zapp.abi") && kept("zapp.manifest"));
    assert!(!kept("producers") && !kept("zapp.other"));
    refused(&custom("zapp.abi", (64 << 10) + 1), Rule::Custom);
    let twice = r#"(@custom "zapp.abi" "a") (@custom "zapp.abi" "b")"#;
    refused(&with(twice), Rule::Custom);
}

#[test]
fn every_truncation_of_a_module_is_refused() {
    let wasm = wat::parse_str(module("(drop (memory.grow (i32.const 1)))")).expect("parses");
    assert!(prepare(&wasm).is_ok());
    for length in 0..wasm.len() {
        // Only a cut in front of the names that close the file leaves a module.
        if let Ok(prepared) = prepare(&wasm[..length]) {
            assert_eq!(prepared.metered, prepare(&wasm).expect("accepted").metered);
        }
    }
}

#[test]
fn preparing_is_a_function_of_the_bytes() {
    let wasm = wat::parse_str(module("(drop (call $gas_left))")).expect("parses");
    assert_eq!(prepare(&wasm), prepare(&wasm));
    // What was metered once may not come again: its exports are reserved.
    let metered = prepare(&wasm).expect("accepted").metered;
    assert_eq!(prepare(&metered).expect_err("refused").rule, Rule::Export);
}

proptest! {
    #[test]
    fn no_flip_of_bytes_panics_the_gatekeeper(
        flips in proptest::collection::vec((0usize..4096, any::<u8>()), 1..8),
    ) {
        let text = module("(loop (br_if 0 (i32.load (local.get 0)))) (call $abort (i32.const 0)
            (i32.const 1))");
        let mut wasm = wat::parse_str(text).expect("parses");
        for (at, byte) in flips {
            let at = at % wasm.len();
            wasm[at] = byte;
        }
        // What passes has been validated again after metering.
        let _ = prepare(&wasm);
    }

    #[test]
    fn no_bytes_panic_the_gatekeeper(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let wasm = [b"\0asm\x01\0\0\0".as_slice(), &bytes].concat();
        let _ = prepare(&wasm);
    }
}
