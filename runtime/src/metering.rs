//! Instrumentation: gas per basic block and logical stack height become part of the module.
//!
//! Each basic block is paid before it runs, out of the exported global [`abi::GAS`]; each function
//! takes its frame from [`abi::STACK`] and gives it back on every way out. Both end in
//! `unreachable` when they fall below zero, so the host tells the three kinds of trap apart by two
//! globals, and no engine has a say in gas or depth. Nothing is renumbered: types, functions and
//! globals are appended, operators are copied byte by byte.
//!
//! A body becomes
//! ```text
//! pay; stack -= frame; if stack < 0 { unreachable }
//! block (result) … the body, `return` as a branch to this block … end
//! stack += frame
//! ```
//! and the operands of `memory.grow` and of bulk operations go through an appended function that
//! pays for them and hands them on.

mod blocks;

use sha2::{Digest as _, Sha256};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, CustomSection, Encode, ExportKind, ExportSection, Function,
    GlobalSection, GlobalType, Instruction, Module, RawSection, ValType,
};
use wasmparser::{BinaryReader, OperatorsReader};

use attestation::ids::{Digest, ModuleDigest};

use self::blocks::{Blocks, pay};
use crate::abi;
use crate::gatekeeper::function::Function as CheckedFunction;
use crate::gatekeeper::{self, Checked};
use crate::limits;
use crate::rejection::{Rejection, Rule, at_most};
use crate::schedule::{self, Facts};

/// Custom section of a metered module: the charge for making an instance, 8 bytes little-endian.
pub const START_GAS_SECTION: &str = "__z_start";

/// A module that passed the gatekeeper, ready for a compiler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedModule {
    /// Digest of the module as its author made it.
    pub original: ModuleDigest,
    /// Digest of the metered module.
    pub metered_digest: Digest,
    /// The metered module.
    pub metered: Vec<u8>,
    /// Functions with a body.
    pub functions: u32,
    /// Operators of all bodies, as many as would be as much work to compile.
    pub operators: u32,
    /// Whether it can call other zApps.
    pub calls: bool,
    /// Pages of memory that it may grow to.
    pub pages: u32,
}

/// Checks a module and meters it. Depends on nothing but the bytes.
///
/// # Errors
/// [`Rejection`] names the rule that the module breaks, and where.
pub fn prepare(wasm: &[u8]) -> Result<PreparedModule, Rejection> {
    let checked = gatekeeper::check(wasm)?;
    let metered = meter(&checked)?;
    at_most(
        Rule::Size,
        0,
        "metered bytes",
        metered.len(),
        limits::METERED_BYTES_MAX,
    )?;
    // The output of our own pass is checked like anyone's: a bug here must not reach the compiler.
    wasmparser::Validator::new_with_features(gatekeeper::FEATURES)
        .validate_all(&metered)
        .map_err(gatekeeper::malformed)?;
    Ok(PreparedModule {
        original: ModuleDigest::from_bytes(Sha256::digest(wasm).into()),
        metered_digest: Digest::from_bytes(Sha256::digest(&metered).into()),
        functions: u32::try_from(checked.functions.len()).unwrap_or(u32::MAX),
        operators: checked.weight.div_ceil(COMPILE_WEIGHT_OF_OPERATOR),
        calls: checked.calls,
        pages: u32::try_from(checked.pages_max).unwrap_or(u32::MAX),
        metered,
    })
}

/// Indices of what the instrumentation adds.
#[derive(Clone, Copy)]
struct Added {
    /// Global: gas left.
    gas: u32,
    /// Global: stack left.
    stack: u32,
    /// Function `(pages) -> pages` that pays for `memory.grow`.
    pay_pages: u32,
    /// Function `(bytes) -> bytes` that pays for a bulk operation.
    pay_bytes: u32,
}

fn meter(checked: &Checked<'_>) -> Result<Vec<u8>, Rejection> {
    let functions = u32::try_from(checked.facts.function_types.len()).unwrap_or(u32::MAX);
    let types = u32::try_from(checked.facts.type_parameters.len()).unwrap_or(u32::MAX);
    let added = Added {
        gas: checked.globals,
        stack: checked.globals + 1,
        pay_pages: functions,
        pay_bytes: functions + 1,
    };
    let mut code = CodeSection::new();
    for function in &checked.functions {
        code.raw(&body(function, &checked.facts, added)?);
    }
    let page = i64::try_from(schedule::MEMORY_PAGE).unwrap_or(i64::MAX);
    code.function(&pay_pages(added, checked.pages_max, page));
    code.function(&pay_bytes(added));

    let mut module = Module::new();
    let mut globals_done = false;
    for (id, content) in &checked.sections {
        // Sections come in the order of their ids, but for the data count (12) before code (10).
        if !globals_done && *id > SECTION_GLOBAL && *id != SECTION_CUSTOM {
            globals_section(&mut module, &[])?;
            globals_done = true;
        }
        match *id {
            SECTION_TYPE => append(&mut module, *id, content, 1, &[0x60, 1, 0x7f, 1, 0x7f])?,
            SECTION_FUNCTION => {
                let mut entries = Vec::new();
                types.encode(&mut entries);
                types.encode(&mut entries);
                append(&mut module, *id, content, 2, &entries)?;
            }
            SECTION_GLOBAL => {
                globals_section(&mut module, content)?;
                globals_done = true;
            }
            SECTION_EXPORT => {
                let mut exports = ExportSection::new();
                exports.export(abi::MEMORY, ExportKind::Memory, 0);
                exports.export(abi::MAIN, ExportKind::Func, checked.main);
                exports.export(abi::GAS, ExportKind::Global, added.gas);
                exports.export(abi::STACK, ExportKind::Global, added.stack);
                module.section(&exports);
            }
            SECTION_CODE => {
                module.section(&code);
            }
            id => {
                module.section(&RawSection { id, data: content });
            }
        }
    }
    for (name, data) in &checked.custom {
        custom(&mut module, name, data);
    }
    custom(
        &mut module,
        START_GAS_SECTION,
        &checked.start_gas.to_le_bytes(),
    );
    Ok(module.finish())
}

fn custom(module: &mut Module, name: &str, data: &[u8]) {
    module.section(&CustomSection {
        name: name.into(),
        data: data.into(),
    });
}

/// Copies a section and adds `count` entries to its end.
fn append(
    module: &mut Module,
    id: u8,
    content: &[u8],
    count: u32,
    entries: &[u8],
) -> Result<(), Rejection> {
    let mut reader = BinaryReader::new(content, 0);
    let old = reader.read_var_u32().map_err(gatekeeper::malformed)?;
    let rest = reader.read_bytes(reader.bytes_remaining());
    let mut data = Vec::with_capacity(content.len() + entries.len() + 5);
    (old + count).encode(&mut data);
    data.extend_from_slice(rest.map_err(gatekeeper::malformed)?);
    data.extend_from_slice(entries);
    module.section(&RawSection { id, data: &data });
    Ok(())
}

fn globals_section(module: &mut Module, content: &[u8]) -> Result<(), Rejection> {
    let mut globals = GlobalSection::new();
    let (gas, stack) = (ConstExpr::i64_const(0), ConstExpr::i32_const(0));
    globals.global(mutable(ValType::I64), &gas);
    globals.global(mutable(ValType::I32), &stack);
    let mut bytes = Vec::new();
    globals.encode(&mut bytes);
    // Past the length and count that the encoder wrote, one byte each.
    let entries = bytes.get(2..).unwrap_or_default();
    let content = if content.is_empty() {
        &[0][..]
    } else {
        content
    };
    append(module, SECTION_GLOBAL, content, 2, entries)
}

const fn mutable(val_type: ValType) -> GlobalType {
    GlobalType {
        val_type,
        mutable: true,
        shared: false,
    }
}

/// Bytes that a function takes of the logical stack.
pub(crate) fn frame_bytes(function: &CheckedFunction<'_>) -> u64 {
    let values = function.parameters + function.locals + function.operands;
    64 + 16 * u64::from(values)
}

fn frame(function: &CheckedFunction<'_>) -> i32 {
    // Gatekeeper limits: at most 64 + 16 · (64 + 1,024 + 1,024).
    i32::try_from(frame_bytes(function)).unwrap_or(i32::MAX)
}

fn body(function: &CheckedFunction<'_>, facts: &Facts, added: Added) -> Result<Vec<u8>, Rejection> {
    let mut reader = function.body.get_binary_reader();
    let groups = reader.read_var_u32().map_err(gatekeeper::malformed)?;
    let locals_start = reader.current_position();
    for _ in 0..groups {
        reader.read_var_u32().map_err(gatekeeper::malformed)?;
        reader
            .read::<wasmparser::ValType>()
            .map_err(gatekeeper::malformed)?;
    }
    let bytes = function.body.as_bytes();
    let declared = bytes.get(locals_start..reader.current_position());

    let mut out = Vec::with_capacity(bytes.len() * 2 + 64);
    (groups + 1).encode(&mut out);
    out.extend_from_slice(declared.unwrap_or_default());
    1u32.encode(&mut out);
    ValType::I64.encode(&mut out);

    let scratch = function.parameters + function.locals;
    let mut blocks = Blocks::new(out, scratch, added);
    let frame = frame(function);
    blocks.enter(frame);
    blocks.free(&Instruction::Block(match function.result {
        None => BlockType::Empty,
        Some(ty) => BlockType::Result(encoded(ty)),
    }));
    operators(&mut blocks, OperatorsReader::new(reader), function, facts)?;
    Ok(blocks.leave(frame))
}

fn operators(
    blocks: &mut Blocks,
    mut operators: OperatorsReader<'_>,
    function: &CheckedFunction<'_>,
    facts: &Facts,
) -> Result<(), Rejection> {
    let base = function.body.range().start;
    let bytes = function.body.as_bytes();
    while !operators.eof() {
        let start = operators.original_position();
        let operator = operators.read().map_err(gatekeeper::malformed)?;
        let end = operators.original_position();
        let cost = schedule::operator(&operator, facts).unwrap_or(u64::MAX);
        let raw = bytes.get(start - base..end - base).unwrap_or_default();
        blocks.operator(&operator, raw, cost);
    }
    Ok(())
}

/// `(pages) -> pages`: pays for a `memory.grow`. Hands on at most one page more than the declared
/// maximum: asking for more fails just so, and costs no more.
fn pay_pages(added: Added, pages_max: u64, page: i64) -> Function {
    let cap = i32::try_from(pages_max + 1).unwrap_or(i32::MAX);
    let mut body = Vec::new();
    pay(&mut body, added.gas, 1, |out| {
        for instruction in [
            Instruction::LocalGet(0),
            Instruction::I32Const(cap),
            Instruction::LocalGet(0),
            Instruction::I32Const(cap),
            Instruction::I32LtU,
            Instruction::Select,
            Instruction::LocalTee(0),
            Instruction::I64ExtendI32U,
            Instruction::I64Const(page),
            Instruction::I64Mul,
        ] {
            instruction.encode(out);
        }
    });
    handing_on(body)
}

/// `(bytes) -> bytes`: pays for a bulk operation.
fn pay_bytes(added: Added) -> Function {
    let per_gas = i32::try_from(schedule::BULK_BYTES_PER_GAS).unwrap_or(1);
    let mut body = Vec::new();
    pay(&mut body, added.gas, 1, |out| {
        for instruction in [
            Instruction::LocalGet(0),
            Instruction::I32Const(per_gas),
            Instruction::I32DivU,
            Instruction::I64ExtendI32U,
        ] {
            instruction.encode(out);
        }
    });
    handing_on(body)
}

fn handing_on(body: Vec<u8>) -> Function {
    let mut function = Function::new([(1, ValType::I64)]);
    function.raw(body);
    function.instruction(&Instruction::LocalGet(0));
    function.instruction(&Instruction::End);
    function
}

fn encoded(ty: wasmparser::ValType) -> ValType {
    match ty {
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        // The gatekeeper lets only the four numbers through.
        _ => ValType::I32,
    }
}

/// Compile weight for which a deployment pays the price of one operator.
const COMPILE_WEIGHT_OF_OPERATOR: u32 = 4;

const SECTION_CUSTOM: u8 = 0;
const SECTION_TYPE: u8 = 1;
const SECTION_FUNCTION: u8 = 3;
const SECTION_GLOBAL: u8 = 6;
const SECTION_EXPORT: u8 = 7;
const SECTION_CODE: u8 = 10;

/// The charge for making an instance that a metered module carries.
#[cfg(feature = "compiler")]
pub(crate) fn start_gas(metered: &[u8]) -> Option<u64> {
    for payload in wasmparser::Parser::new(0).parse_all(metered) {
        if let wasmparser::Payload::CustomSection(section) = payload.ok()?
            && section.name() == START_GAS_SECTION
        {
            return section.data().try_into().ok().map(u64::from_le_bytes);
        }
    }
    None
}
