//! Makes any module a zApp: `zapp_main` takes a list of actions on it, as many as the input is
//! long, and tells which of them did not do as expected.
//!
//! Nothing is renumbered and no body touched: types, functions and one global are appended, the
//! exports replaced, and a memory or table gets the maximum that the gatekeeper asks for. What else
//! the gatekeeper refuses stays as it is, for it to refuse.

use wasm_encoder::{
    BlockType, CodeSection, Encode, ExportKind, ExportSection, Function, FunctionSection,
    GlobalSection, GlobalType, Instruction as I, MemorySection, MemoryType, Module, RawSection,
    RefType, TableSection, TableType, TypeSection, ValType,
};
use wasmparser::{BinaryReader, Parser, Payload, TypeRef};

/// A number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Its type.
    pub ty: ValType,
    /// Its bits.
    pub bits: u64,
}

/// What an action does.
#[derive(Clone, Debug)]
pub enum Call {
    /// Calls a function.
    Function(u32, Vec<Value>),
    /// Reads a global.
    Global(u32),
}

/// A result as it should be: bits under a mask.
#[derive(Clone, Copy, Debug)]
pub struct Result {
    /// Its type.
    pub ty: ValType,
    /// Which bits count.
    pub mask: u64,
    /// What they should be.
    pub bits: u64,
}

/// How an action should end.
#[derive(Clone, Debug)]
pub enum Expected {
    /// With at most one result.
    Returns(Option<Result>),
    /// With a trap: it runs if it is the last action and not otherwise.
    Traps,
}

/// One line of a script.
#[derive(Clone, Debug)]
pub struct Action {
    /// What it does.
    pub call: Call,
    /// How it should end.
    pub expected: Expected,
}

/// Functions with a body: index and parameters. `None` for types beyond numbers.
#[must_use]
pub fn functions(wasm: &[u8]) -> Option<Vec<(u32, Vec<ValType>)>> {
    let mut types = Vec::new();
    let mut functions = Vec::new();
    let mut imported = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.ok()? {
            Payload::TypeSection(section) => {
                for ty in section.into_iter_err_on_gc_types() {
                    types.push(ty.ok()?);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    imported += u32::from(matches!(import.ok()?.ty, TypeRef::Func(_)));
                }
            }
            Payload::FunctionSection(section) => {
                for (at, index) in section.into_iter().enumerate() {
                    let ty = types.get(usize::try_from(index.ok()?).ok()?)?;
                    let at = u32::try_from(at).ok()?;
                    functions.push((imported + at, numbers(ty.params())?));
                }
            }
            _ => {}
        }
    }
    Some(functions)
}

fn numbers(types: &[wasmparser::ValType]) -> Option<Vec<ValType>> {
    types
        .iter()
        .map(|ty| match ty {
            wasmparser::ValType::I32 => Some(ValType::I32),
            wasmparser::ValType::I64 => Some(ValType::I64),
            wasmparser::ValType::F32 => Some(ValType::F32),
            wasmparser::ValType::F64 => Some(ValType::F64),
            _ => None,
        })
        .collect()
}

/// The module as a zApp. `zapp_main(op, n)` runs the actions before the n-th; it returns 0, or
/// the number of the first one, counted from 1, that returned something else. With op 0 (`init`)
/// it returns a digest of all results and of `pages` pages of memory in place of 0; the memory has
/// at least as many.
///
/// `None` if the module cannot be read.
#[must_use]
pub fn dress(wasm: &[u8], script: &[Action], pages: u32) -> Option<Vec<u8>> {
    let counts = Counts::of(wasm)?;
    let extra = Extra::of(&counts, script, pages);
    let mut module = Module::new();
    let mut done = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.ok()?;
        let Some((id, range)) = payload.as_section() else {
            continue;
        };
        if id == 0 {
            continue;
        }
        let place = place(id);
        extra.until(&mut module, &mut done, place);
        let content = wasm.get(range)?;
        match payload {
            Payload::TypeSection(_) => append(&mut module, id, content, &extra.types())?,
            Payload::FunctionSection(_) => append(&mut module, id, content, &extra.functions())?,
            Payload::GlobalSection(_) => append(&mut module, id, content, &extra.globals())?,
            Payload::CodeSectionStart { .. } => append(&mut module, id, content, &extra.code())?,
            Payload::ExportSection(_) => {
                module.section(&extra.exports());
            }
            Payload::MemorySection(section) => {
                let mut memories = MemorySection::new();
                for memory in section {
                    memories.memory(bounded(memory.ok()?, pages));
                }
                if counts.memories == 0 {
                    memories.memory(ONE_PAGE);
                }
                module.section(&memories);
            }
            Payload::TableSection(_) if counts.plain_tables => {
                let mut tables = TableSection::new();
                for minimum in &counts.tables {
                    tables.table(TableType {
                        element_type: RefType::FUNCREF,
                        table64: false,
                        minimum: *minimum,
                        maximum: Some(*minimum),
                        shared: false,
                    });
                }
                module.section(&tables);
            }
            _ => {
                module.section(&RawSection { id, data: content });
            }
        }
        done = done.max(place);
    }
    extra.until(&mut module, &mut done, u8::MAX);
    Some(module.finish())
}

/// Sections in the order in which they stand, not that of their ids.
const fn place(id: u8) -> u8 {
    match id {
        // Tags, between memories and globals.
        13 => 55,
        // The data count, between elements and code.
        12 => 95,
        id => id * 10,
    }
}

/// A memory with a maximum that the gatekeeper takes, and the pages that the digest covers.
fn bounded(memory: wasmparser::MemoryType, pages: u32) -> MemoryType {
    let most = u64::from(PAGES_MAX);
    let minimum = memory.initial.max(u64::from(pages));
    MemoryType {
        minimum,
        maximum: Some(memory.maximum.unwrap_or(most).min(most).max(minimum)),
        memory64: memory.memory64,
        shared: memory.shared,
        page_size_log2: memory.page_size_log2,
    }
}

/// What there is to append to.
#[derive(Default)]
struct Counts {
    types: u32,
    functions: u32,
    globals: u32,
    memories: u32,
    global_types: Vec<ValType>,
    results: Vec<Option<ValType>>,
    tables: Vec<u64>,
    plain_tables: bool,
}

impl Counts {
    fn of(wasm: &[u8]) -> Option<Self> {
        let mut counts = Self {
            plain_tables: true,
            ..Self::default()
        };
        let mut types = Vec::new();
        let result = |types: &[Option<ValType>], index: u32| {
            let index = usize::try_from(index).ok()?;
            types.get(index).copied()
        };
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.ok()? {
                Payload::TypeSection(section) => {
                    counts.types = section.count();
                    for ty in section.into_iter_err_on_gc_types() {
                        let results = numbers(ty.ok()?.results()).unwrap_or_default();
                        types.push(results.first().copied());
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        match import.ok()?.ty {
                            TypeRef::Func(ty) => {
                                counts.functions += 1;
                                counts.results.push(result(&types, ty)?);
                            }
                            TypeRef::Memory(_) => counts.memories += 1,
                            TypeRef::Global(global) => {
                                counts.globals += 1;
                                let ty = numbers(&[global.content_type]).unwrap_or_default();
                                counts
                                    .global_types
                                    .push(ty.first().copied().unwrap_or(ValType::I32));
                            }
                            _ => {}
                        }
                    }
                }
                Payload::FunctionSection(section) => {
                    for index in section {
                        counts.functions += 1;
                        counts.results.push(result(&types, index.ok()?)?);
                    }
                }
                Payload::TableSection(section) => {
                    for table in section {
                        let table = table.ok()?;
                        counts.plain_tables &= matches!(table.init, wasmparser::TableInit::RefNull)
                            && table.ty.element_type == wasmparser::RefType::FUNCREF
                            && !table.ty.table64;
                        counts.tables.push(table.ty.initial);
                    }
                }
                Payload::MemorySection(section) => counts.memories += section.count(),
                Payload::GlobalSection(section) => {
                    for global in section {
                        counts.globals += 1;
                        let ty = numbers(&[global.ok()?.ty.content_type]).unwrap_or_default();
                        counts
                            .global_types
                            .push(ty.first().copied().unwrap_or(ValType::I32));
                    }
                }
                _ => {}
            }
        }
        Some(counts)
    }
}

/// What is appended.
struct Extra<'a> {
    counts: &'a Counts,
    script: &'a [Action],
    /// Pages of memory that the digest covers.
    pages: u32,
}

impl<'a> Extra<'a> {
    const fn of(counts: &'a Counts, script: &'a [Action], pages: u32) -> Self {
        Self {
            counts,
            script,
            pages,
        }
    }

    /// Writes the sections that the module does not have and that come before a place.
    fn until(&self, module: &mut Module, done: &mut u8, place: u8) {
        let mut due = |at: u8| {
            let due = *done < at && at < place;
            if due {
                *done = at;
            }
            due
        };
        if due(10) {
            module.section(&raw(1, &self.types()));
        }
        if due(30) {
            module.section(&raw(3, &self.functions()));
        }
        if due(50) && self.counts.memories == 0 {
            let mut memories = MemorySection::new();
            memories.memory(ONE_PAGE);
            module.section(&memories);
        }
        if due(60) {
            module.section(&raw(6, &self.globals()));
        }
        if due(70) {
            module.section(&self.exports());
        }
        if due(100) {
            module.section(&raw(10, &self.code()));
        }
    }

    fn parts(&self) -> u32 {
        u32::try_from(self.script.len().div_ceil(PART)).unwrap_or(u32::MAX)
    }

    fn actions(&self) -> u32 {
        u32::try_from(self.script.len()).unwrap_or(u32::MAX)
    }

    /// `() -> i32`, `(i32) -> i32`, `(i32, i32) -> i32`.
    fn types(&self) -> Section {
        let mut types = TypeSection::new();
        for parameters in 0..3 {
            let parameters = std::iter::repeat_n(ValType::I32, parameters);
            types.ty().function(parameters, [ValType::I32]);
        }
        Section::of(3, &types)
    }

    /// The actions, the parts of the script, and `zapp_main`.
    fn functions(&self) -> Section {
        let mut functions = FunctionSection::new();
        for _ in self.script {
            functions.function(self.counts.types);
        }
        for _ in 0..self.parts() {
            functions.function(self.counts.types + 1);
        }
        functions.function(self.counts.types + 2);
        Section::of(self.actions() + self.parts() + 1, &functions)
    }

    /// The digest.
    fn globals(&self) -> Section {
        let mut globals = GlobalSection::new();
        let ty = GlobalType {
            val_type: ValType::I64,
            mutable: true,
            shared: false,
        };
        globals.global(ty, &wasm_encoder::ConstExpr::i64_const(0));
        Section::of(1, &globals)
    }

    fn exports(&self) -> ExportSection {
        let mut exports = ExportSection::new();
        exports.export("memory", ExportKind::Memory, 0);
        let main = self.counts.functions + self.actions() + self.parts();
        exports.export("zapp_main", ExportKind::Func, main);
        exports
    }

    fn code(&self) -> Section {
        let mut code = CodeSection::new();
        for action in self.script {
            code.function(&self.action(action));
        }
        for part in 0..self.parts() {
            code.function(&self.part(part));
        }
        code.function(&self.main());
        Section::of(self.actions() + self.parts() + 1, &code)
    }

    /// Does it, adds the result to the digest, and returns 1 if it is the expected one.
    fn action(&self, action: &Action) -> Function {
        let mut body = Function::new([(1, ValType::I64)]);
        let index = |index: u32| usize::try_from(index).unwrap_or(usize::MAX);
        let result = match &action.call {
            Call::Function(function, arguments) => {
                for argument in arguments {
                    body.instruction(&constant(*argument));
                }
                body.instruction(&I::Call(*function));
                let result = self.counts.results.get(index(*function));
                result.copied().flatten()
            }
            Call::Global(global) => {
                body.instruction(&I::GlobalGet(*global));
                self.counts.global_types.get(index(*global)).copied()
            }
        };
        let Some(ty) = result else {
            body.instruction(&I::I32Const(1)).instruction(&I::End);
            return body;
        };
        widen(&mut body, ty);
        body.instruction(&I::LocalSet(0));
        self.fold(&mut body, &[I::LocalGet(0)]);
        match &action.expected {
            Expected::Returns(Some(result)) => {
                body.instruction(&I::LocalGet(0));
                body.instruction(&I::I64Const(result.mask.cast_signed()));
                body.instruction(&I::I64And);
                body.instruction(&I::I64Const((result.bits & result.mask).cast_signed()));
                body.instruction(&I::I64Eq);
            }
            _ => {
                body.instruction(&I::I32Const(1));
            }
        }
        body.instruction(&I::End);
        body
    }

    /// `digest = (digest xor value) * prime`
    fn fold(&self, body: &mut Function, value: &[I<'_>]) {
        let digest = self.counts.globals;
        body.instruction(&I::GlobalGet(digest));
        for instruction in value {
            body.instruction(instruction);
        }
        body.instruction(&I::I64Xor);
        body.instruction(&I::I64Const(PRIME));
        body.instruction(&I::I64Mul);
        body.instruction(&I::GlobalSet(digest));
    }

    /// `(n) -> 0`, or the number of the first action of this part that was not as expected.
    fn part(&self, part: u32) -> Function {
        let mut body = Function::new([]);
        let from = usize::try_from(part).unwrap_or(usize::MAX) * PART;
        for (at, action) in self.script.iter().enumerate().skip(from).take(PART) {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            let number = (at + 1).cast_signed();
            body.instruction(&I::LocalGet(0));
            body.instruction(&I::I32Const(number));
            match action.expected {
                Expected::Traps => body.instruction(&I::I32Eq),
                Expected::Returns(_) => body.instruction(&I::I32GeU),
            };
            body.instruction(&I::If(BlockType::Empty));
            body.instruction(&I::Call(self.counts.functions + at));
            body.instruction(&I::I32Eqz);
            body.instruction(&I::If(BlockType::Empty));
            body.instruction(&I::I32Const(number));
            body.instruction(&I::Return);
            body.instruction(&I::End);
            body.instruction(&I::End);
        }
        body.instruction(&I::I32Const(0));
        body.instruction(&I::End);
        body
    }

    /// The input is one byte, the length of no method, and then as many as actions are wanted.
    fn main(&self) -> Function {
        let mut body = Function::new([(2, ValType::I32)]);
        body.instruction(&I::LocalGet(1));
        body.instruction(&I::I32Const(1));
        body.instruction(&I::I32Sub);
        body.instruction(&I::LocalSet(1));
        for part in 0..self.parts() {
            body.instruction(&I::LocalGet(1));
            body.instruction(&I::Call(self.counts.functions + self.actions() + part));
            body.instruction(&I::LocalTee(2));
            body.instruction(&I::If(BlockType::Empty));
            body.instruction(&I::LocalGet(2));
            body.instruction(&I::Return);
            body.instruction(&I::End);
        }
        body.instruction(&I::LocalGet(0));
        body.instruction(&I::If(BlockType::Empty));
        body.instruction(&I::I32Const(0));
        body.instruction(&I::Return);
        body.instruction(&I::End);
        if self.pages > 0 {
            self.memory(&mut body);
        }
        let digest = self.counts.globals;
        body.instruction(&I::GlobalGet(digest));
        body.instruction(&I::GlobalGet(digest));
        body.instruction(&I::I64Const(32));
        body.instruction(&I::I64ShrU);
        body.instruction(&I::I64Xor);
        body.instruction(&I::I32WrapI64);
        body.instruction(&I::End);
        body
    }

    /// Adds the first pages to the digest, eight bytes at a time, and the size.
    fn memory(&self, body: &mut Function) {
        let at = wasm_encoder::MemArg {
            offset: 0,
            align: 3,
            memory_index: 0,
        };
        self.fold(body, &[I::MemorySize(0), I::I64ExtendI32U]);
        body.instruction(&I::Loop(BlockType::Empty));
        self.fold(body, &[I::LocalGet(3), I::I64Load(at)]);
        body.instruction(&I::LocalGet(3));
        body.instruction(&I::I32Const(8));
        body.instruction(&I::I32Add);
        body.instruction(&I::LocalTee(3));
        body.instruction(&I::I32Const((self.pages * 65_536).cast_signed()));
        body.instruction(&I::I32LtU);
        body.instruction(&I::BrIf(0));
        body.instruction(&I::End);
    }
}

fn widen(body: &mut Function, ty: ValType) {
    match ty {
        ValType::F32 => {
            body.instruction(&I::I32ReinterpretF32);
            body.instruction(&I::I64ExtendI32U);
        }
        ValType::F64 => {
            body.instruction(&I::I64ReinterpretF64);
        }
        ValType::I64 => {}
        _ => {
            body.instruction(&I::I64ExtendI32U);
        }
    }
}

/// The number as an instruction.
fn constant(value: Value) -> I<'static> {
    let low = u32::try_from(value.bits & u64::from(u32::MAX)).unwrap_or(0);
    match value.ty {
        ValType::I64 => I::I64Const(value.bits.cast_signed()),
        ValType::F32 => I::F32Const(wasm_encoder::Ieee32::new(low)),
        ValType::F64 => I::F64Const(wasm_encoder::Ieee64::new(value.bits)),
        _ => I::I32Const(low.cast_signed()),
    }
}

/// Entries of a section and their number.
struct Section {
    count: u32,
    entries: Vec<u8>,
}

impl Section {
    fn of(count: u32, section: &impl Encode) -> Self {
        let mut bytes = Vec::new();
        section.encode(&mut bytes);
        // Past the length and the count that the encoder wrote.
        let mut reader = BinaryReader::new(&bytes, 0);
        let read = reader.read_var_u32().and_then(|_| reader.read_var_u32());
        debug_assert_eq!(read.ok(), Some(count));
        let entries = bytes.split_off(reader.current_position());
        Self { count, entries }
    }
}

fn append(module: &mut Module, id: u8, content: &[u8], section: &Section) -> Option<()> {
    let mut reader = BinaryReader::new(content, 0);
    let old = reader.read_var_u32().ok()?;
    let mut data = Vec::new();
    (old + section.count).encode(&mut data);
    data.extend_from_slice(content.get(reader.current_position()..)?);
    data.extend_from_slice(&section.entries);
    module.section(&RawSection { id, data: &data });
    Some(())
}

fn raw(id: u8, section: &Section) -> impl wasm_encoder::Section + use<> {
    let mut data = Vec::new();
    section.count.encode(&mut data);
    data.extend_from_slice(&section.entries);
    Owned { id, data }
}

struct Owned {
    id: u8,
    data: Vec<u8>,
}

impl Encode for Owned {
    fn encode(&self, sink: &mut Vec<u8>) {
        self.data.encode(sink);
    }
}

impl wasm_encoder::Section for Owned {
    fn id(&self) -> u8 {
        self.id
    }
}

/// Actions of one function: with all of a script in one, its body would be too much to compile.
const PART: usize = 256;
/// What a memory without a maximum gets.
const PAGES_MAX: u32 = 256;
/// The memory of a module that has none.
const ONE_PAGE: MemoryType = MemoryType {
    minimum: 1,
    maximum: Some(1),
    memory64: false,
    shared: false,
    page_size_log2: None,
};
/// Of FNV-1a.
const PRIME: i64 = 0x0100_0000_01b3;
