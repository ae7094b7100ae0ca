//! Modules made up from bytes, within the allow-list, and what is called of them.

use arbitrary::Unstructured;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use runtime::abi::{Import, MODULE};
use state::execute::Op;
use wasm_encoder::{EntityType, ImportSection, Module, TypeSection, ValType};
use wasm_smith::{Config, InstructionKind, InstructionKinds};

use crate::dress::{Action, Call, Expected, Value, dress, functions};

/// A zApp that no author wrote.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The module.
    pub zapp: Vec<u8>,
    /// Actions of its script: each of its functions with arguments, and the host between them.
    pub actions: usize,
}

/// A run of a generated zApp.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// Entry point: with `init` the outcome has a digest of results and memory.
    pub op: Op,
    /// How many of the actions are done.
    pub actions: usize,
    /// Gas of the run.
    pub gas_limit: u64,
}

impl Generated {
    /// The seed says what the module may have and what its functions are called with; the bytes,
    /// what it is. With `multi_value`, blocks have parameters and several results.
    ///
    /// `None` if the generator gives up, where it has drawn too few types for what must be there.
    ///
    /// # Panics
    /// If the generator makes something else than it was set to.
    #[must_use]
    pub fn new(seed: u64, multi_value: bool, bytes: &[u8]) -> Option<Self> {
        let mut random = Random(ChaCha8Rng::seed_from_u64(seed));
        let imported = if random.coin() {
            some(&mut random)
        } else {
            Vec::new()
        };
        let config = config(&mut random, &imported, multi_value);
        let made = wasm_smith::Module::new(config, &mut Unstructured::new(bytes)).ok()?;
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
        Some(Self {
            zapp: dress(&wasm, &script, 1).expect("it can be read"),
            actions: script.len(),
        })
    }

    /// The runs that are worth comparing: on little gas and on enough, all actions and the first.
    pub fn trials(&self) -> impl Iterator<Item = Trial> + use<> {
        let all = self.actions;
        let calls = [(Op::Call, all), (Op::Init, all), (Op::Call, 1)];
        GAS_LIMITS.into_iter().flat_map(move |gas_limit| {
            calls.map(|(op, actions)| Trial {
                op,
                actions,
                gas_limit,
            })
        })
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

/// Too little for most scripts, enough for some, and enough for most.
const GAS_LIMITS: [u64; 3] = [150_000, 600_000, 2_000_000];
