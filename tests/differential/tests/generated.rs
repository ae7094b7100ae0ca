//! Modules made up from random bytes, within the allow-list: both engines come to the same.
//!
//! `ZQ_MODULES=N` takes N modules in place of a few hundred; `ZQ_FROM=N` begins at another seed.

use std::collections::BTreeMap;
use std::env;

use arbitrary::Unstructured;
use attestation::leaf::Status;
use differential::{Action, Call, Expected, Pair, Value, dress, functions};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use runtime::Rule;
use runtime::abi::{Import, MODULE};
use state::execute::Op;
use wasm_encoder::{EntityType, ImportSection, Module, TypeSection, ValType};
use wasm_smith::{Config, InstructionKind, InstructionKinds};

/// What happened, so that silence says something.
#[derive(Debug, Default)]
struct Reached {
    unmade: u64,
    taken: u64,
    refused: BTreeMap<&'static str, u64>,
    runs: u64,
    statuses: BTreeMap<&'static str, u64>,
    calling_the_host: u64,
    writing: u64,
    gas: u64,
}

#[test]
fn generated_modules_come_to_the_same_on_both_engines() {
    let (from, modules) = (number("ZQ_FROM", 0), number("ZQ_MODULES", 200));
    let mut reached = Reached::default();
    for seed in from..from + modules {
        module(seed, false, &mut reached);
    }
    println!("{reached:#?}");
    // The generator is set to the allow-list: what it makes is refused seldom, and by a limit.
    assert!(reached.taken * 100 >= modules * 95, "{reached:#?}");
    assert_reached(&reached, modules);
}

/// With multi-value on, many modules have a function with two results, which is refused; the
/// others have blocks with parameters and several results.
#[test]
fn generated_modules_with_multi_value_blocks_come_to_the_same_on_both_engines() {
    let (from, modules) = (number("ZQ_FROM", 0), number("ZQ_MODULES", 200) / 2);
    let mut reached = Reached::default();
    for seed in from..from + modules {
        module(seed, true, &mut reached);
    }
    println!("{reached:#?}");
    assert!(reached.taken * 100 >= modules * 15, "{reached:#?}");
    let signature = reached.refused.get(Rule::Signature.id());
    assert!(signature.is_some_and(|refused| *refused > 0));
}

fn assert_reached(reached: &Reached, modules: u64) {
    for (status, per_hundred) in [("ok", 80), ("reverted", 12), ("trapped", 80), ("gas", 80)] {
        let count = reached.statuses.get(status).copied().unwrap_or(0);
        assert!(
            count * 100 >= modules * per_hundred,
            "too few {status}: {reached:#?}"
        );
    }
    assert!(reached.calling_the_host >= modules, "{reached:#?}");
    assert!(reached.writing * 100 >= modules * 5, "{reached:#?}");
}

fn number(name: &str, or: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
        Err(_) => or,
    }
}

fn module(seed: u64, multi_value: bool, reached: &mut Reached) {
    let mut random = Random(ChaCha8Rng::seed_from_u64(seed));
    let mut bytes = vec![0; 2048 * (1 + random.below(4))];
    random.0.fill_bytes(&mut bytes);
    let imported = if random.coin() {
        some(&mut random)
    } else {
        Vec::new()
    };
    let config = config(&mut random, &imported, multi_value);
    let made = wasm_smith::Module::new(config, &mut Unstructured::new(&bytes));
    // It gives up where it has drawn too few types for what must be there.
    let Ok(made) = made else {
        reached.unmade += 1;
        return;
    };
    let wasm = made.to_bytes();
    let functions = functions(&wasm).expect("numbers only");
    let mut script = Vec::new();
    for (index, parameters) in functions {
        // Random numbers are seldom a pointer and its length, so the host is called with some.
        if !imported.is_empty() {
            let at = random.below(imported.len());
            let arguments = host_arguments(*imported.get(at).expect("below"), &mut random);
            script.push(action(u32::try_from(at).expect("few"), arguments));
        }
        let arguments = parameters.into_iter();
        let arguments = arguments.map(|ty| argument(&mut random, ty)).collect();
        script.push(action(index, arguments));
    }
    let zapp = dress(&wasm, &script, 1).expect("it can be read");
    let mut pair = match Pair::new(&zapp) {
        Ok(pair) => pair,
        Err(rejection) => {
            *reached.refused.entry(rejection.rule.id()).or_default() += 1;
            return;
        }
    };
    reached.taken += 1;
    for gas_limit in [150_000, 600_000, 2_000_000] {
        for (op, actions) in [
            (Op::Call, script.len()),
            (Op::Init, script.len()),
            (Op::Call, 1),
        ] {
            let done = pair.run(op, actions, gas_limit).unwrap_or_else(|two| {
                let path = env::temp_dir().join(format!("differs-{seed}.wasm"));
                let kept = std::fs::write(&path, &zapp).map(|()| path);
                panic!(
                    "seed {seed}, {op:?}, {actions} actions, gas {gas_limit}: {kept:?}\n{two:#?}"
                )
            });
            reached.runs += 1;
            reached.gas += done.gas();
            reached.writing += u64::from(!done.writes.is_empty());
            let execution = &done.ran.execution;
            reached.calling_the_host += u64::from(
                !execution.events.is_empty()
                    || !done.ran.log.is_empty()
                    || done.ran.fault.is_some()
                    || !execution.output.is_empty(),
            );
            let status = match execution.status {
                Status::Ok => "ok",
                Status::Reverted => "reverted",
                Status::Trapped => "trapped",
                Status::OutOfGas => "gas",
                _ => "other",
            };
            *reached.statuses.entry(status).or_default() += 1;
        }
    }
}

/// Random numbers of a seed.
struct Random(ChaCha8Rng);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.0.next_u32()).expect("64 bits") % end
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        *values.get(self.below(values.len())).expect("below")
    }
}

fn argument(random: &mut Random, ty: ValType) -> Value {
    let bits = match random.below(4) {
        0 => random.below(16) as u64,
        1 => random.below(65_536) as u64,
        2 => random.one_of(&[0, u64::MAX, 1 << 63, 0x7ff8 << 48, 0x7fc0_0000]),
        _ => random.0.next_u64(),
    };
    Value { ty, bits }
}

/// The generator set to what the gatekeeper takes.
fn config(random: &mut Random, imported: &[Import], multi_value: bool) -> Config {
    // Elements must be active where bulk operations would make them passive.
    let bulk = random.coin();
    let pages = random.one_of(&[1, 16, 64, 256]);
    Config {
        module_shape: (!imported.is_empty()).then(|| shape(imported)),
        allow_start_export: false,
        allowed_instructions: InstructionKinds::new(&[
            InstructionKind::Numeric,
            InstructionKind::Parametric,
            InstructionKind::Variable,
            InstructionKind::Memory,
            InstructionKind::Control,
        ]),
        bulk_memory_enabled: bulk,
        disallow_traps: random.coin(),
        exceptions_enabled: false,
        extended_const_enabled: false,
        gc_enabled: false,
        max_data_segments: 4,
        max_element_segments: if bulk { 0 } else { 4 },
        max_elements: 20,
        max_exports: 0,
        max_funcs: 12,
        max_globals: 8,
        max_imports: 0,
        max_instructions: 400,
        max_memories: 1,
        max_memory32_bytes: pages * 65_536,
        max_nesting_depth: 20,
        max_table_elements: 64,
        max_tables: 1,
        memory64_enabled: false,
        memory_max_size_required: true,
        min_data_segments: 0,
        min_funcs: 2,
        min_memories: 1,
        min_types: 4,
        multi_value_enabled: multi_value,
        reference_types_enabled: false,
        relaxed_simd_enabled: false,
        simd_enabled: false,
        table_max_size_required: true,
        tail_call_enabled: false,
        threads_enabled: false,
        ..Config::default()
    }
}

/// Some functions of `zapp0`, in any order.
fn some(random: &mut Random) -> Vec<Import> {
    let mut imports = Import::ALL.to_vec();
    for at in (1..imports.len()).rev() {
        imports.swap(at, random.below(at + 1));
    }
    // It ends a run: seldom of use.
    imports.retain(|import| *import != Import::Abort || random.below(8) == 0);
    imports.truncate(1 + random.below(8));
    imports
}

/// Pointers and lengths within the first page, mostly.
fn host_arguments(import: Import, random: &mut Random) -> Vec<Value> {
    let parameters = import.parameters().iter().enumerate();
    let value = |(at, parameter): (usize, &wasmparser::ValType)| {
        let bits = match (import, at) {
            (Import::Hash | Import::Context, 0) => random.below(4),
            (Import::Verify, 0) => 0,
            // A pointer, then its length.
            (_, at) if at % 2 == 0 => random.below(65_000),
            _ => random.below(40),
        };
        let bits = bits as u64;
        let ty = match parameter {
            wasmparser::ValType::I64 => ValType::I64,
            _ => ValType::I32,
        };
        Value { ty, bits }
    };
    parameters.map(value).collect()
}

const fn action(function: u32, arguments: Vec<Value>) -> Action {
    Action {
        call: Call::Function(function, arguments),
        expected: Expected::Returns(None),
    }
}

/// A module that has these imports and exports nothing.
fn shape(imported: &[Import]) -> Vec<u8> {
    let mut types = TypeSection::new();
    let mut imports = ImportSection::new();
    let encoded = |types: &[wasmparser::ValType]| -> Vec<ValType> {
        let encoded = |ty: &wasmparser::ValType| match ty {
            wasmparser::ValType::I64 => ValType::I64,
            _ => ValType::I32,
        };
        types.iter().map(encoded).collect()
    };
    for (at, import) in (0..).zip(imported) {
        types
            .ty()
            .function(encoded(import.parameters()), encoded(import.results()));
        imports.import(MODULE, import.name(), EntityType::Function(at));
    }
    let mut module = Module::new();
    module.section(&types).section(&imports);
    module.finish()
}
