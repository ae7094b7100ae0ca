//! The gatekeeper: decides at deploy, once and for all members alike, whether a module may run.
//!
//! It checks a section against the limits before the validator sees it, so that no count in a
//! header makes anything allocate. What it accepts is valid WebAssembly inside the profile: an
//! allow-list of operators, imports of `zapp0` only, segments in bounds, no start function.

mod counts;
pub(crate) mod function;
mod survey;

use std::ops::Range;

use wasmparser::{
    BinaryReader, ConstExpr, Data, DataKind, Element, ElementItems, ElementKind, Export,
    ExternalKind, FuncType, Import as ImportEntry, MemoryType, Operator, Parser, Payload, RefType,
    SectionLimited, TableInit, TypeRef, ValType, ValidPayload, Validator, WasmFeatures,
};

use self::function::{Function, Totals};
pub(crate) use self::survey::survey;
use crate::abi::{self, Import};
use crate::limits;
use crate::rejection::{Rejection, Rule, at_most};
use crate::schedule::{self, Facts};

/// What modules may be made of; the engine is set to exactly these.
///
/// Reference types are there for their encoding of `call_indirect`; their operators and types are
/// not on the allow-list.
pub const FEATURES: WasmFeatures = WasmFeatures::FLOATS
    .union(WasmFeatures::MUTABLE_GLOBAL)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::REFERENCE_TYPES);

/// A module that passed, with what metering needs to know of it.
pub(crate) struct Checked<'a> {
    /// Id and content of each section that survives, in order; custom sections apart.
    pub sections: Vec<(u8, &'a [u8])>,
    /// The two custom sections that survive.
    pub custom: Vec<(&'a str, &'a [u8])>,
    /// Function bodies.
    pub functions: Vec<Function<'a>>,
    /// What prices depend on.
    pub facts: Facts,
    /// Number of globals.
    pub globals: u32,
    /// Compile weight of all functions.
    pub weight: u32,
    /// Pages of the memory at the start.
    pub pages_initial: u64,
    /// Largest number of pages of the memory.
    pub pages_max: u64,
    /// Charge for making an instance.
    pub start_gas: u64,
    /// Index of `zapp_main`.
    pub main: u32,
    /// Whether it imports `call`.
    pub calls: bool,
}

/// Checks a module.
///
/// # Errors
/// [`Rejection`] names the first rule that is broken.
pub(crate) fn check(wasm: &[u8]) -> Result<Checked<'_>, Rejection> {
    at_most(Rule::Size, 0, "bytes", wasm.len(), limits::MODULE_BYTES_MAX)?;
    let mut parser = Parser::new(0);
    parser.set_features(FEATURES);
    let mut gatekeeper = Gatekeeper::new(wasm);
    for payload in parser.parse_all(wasm) {
        gatekeeper.payload(payload.map_err(malformed)?)?;
    }
    let checked = gatekeeper.finish();
    checked.map_err(|missing| {
        let first = missing.into_iter().next();
        first.unwrap_or_else(|| Rejection::new(Rule::Memory, wasm.len(), "no memory"))
    })
}

/// The rejection of what the parser or validator refuses.
pub(crate) fn malformed(error: wasmparser::Error) -> Rejection {
    let rule = match error.missing_wasm_feature() {
        Some(_) => Rule::Feature,
        None => Rule::Malformed,
    };
    Rejection::new(rule, error.offset(), error.message())
}

struct Gatekeeper<'a> {
    wasm: &'a [u8],
    /// Rejections that are held back, at most so many: none but in a survey.
    held_max: usize,
    held: Vec<Rejection>,
    validator: Validator,
    signatures: Vec<FuncType>,
    imported: u32,
    memory: Option<MemoryType>,
    table_entries: u64,
    main: Option<u32>,
    memory_exported: bool,
    elements: u64,
    data_bytes: u64,
    active_bytes: u64,
    totals: Totals,
    checked: Checked<'a>,
}

impl<'a> Gatekeeper<'a> {
    fn new(wasm: &'a [u8]) -> Self {
        Self {
            wasm,
            held_max: 0,
            held: Vec::new(),
            validator: Validator::new_with_features(FEATURES),
            signatures: Vec::new(),
            imported: 0,
            memory: None,
            table_entries: 0,
            main: None,
            memory_exported: false,
            elements: 0,
            data_bytes: 0,
            active_bytes: 0,
            totals: Totals::default(),
            checked: Checked {
                sections: Vec::new(),
                custom: Vec::new(),
                functions: Vec::new(),
                facts: Facts::default(),
                globals: 0,
                weight: 0,
                pages_initial: 0,
                pages_max: 0,
                start_gas: 0,
                main: 0,
                calls: false,
            },
        }
    }

    fn payload(&mut self, payload: Payload<'a>) -> Result<(), Rejection> {
        counts::check(&payload)?;
        if let Some((id, range)) = payload.as_section()
            && !matches!(payload, Payload::CustomSection(_))
        {
            let content = self.slice(range)?;
            self.checked.sections.push((id, content));
        }
        match self.validator.payload(&payload).map_err(malformed)? {
            ValidPayload::Func(to_validate, body) => {
                let function = function::check(
                    to_validate,
                    body,
                    &self.signatures,
                    &self.checked.facts,
                    &mut self.totals,
                )?;
                self.checked.functions.push(function);
                Ok(())
            }
            _ => self.contents(payload),
        }
    }

    fn contents(&mut self, payload: Payload<'a>) -> Result<(), Rejection> {
        match payload {
            Payload::TypeSection(types) => self.types(types.range(), types),
            Payload::ImportSection(imports) => {
                let at = imports.range().start;
                for import in imports.into_imports() {
                    let import = import.map_err(malformed)?;
                    let verdict = self.import(at, &import);
                    self.hold(verdict)?;
                }
                Ok(())
            }
            Payload::FunctionSection(functions) => {
                let at = functions.range().start;
                for index in functions {
                    self.function_type(at, index.map_err(malformed)?)?;
                }
                Ok(())
            }
            Payload::TableSection(tables) => each(tables, |at, table| {
                if !matches!(table.init, TableInit::RefNull)
                    || table.ty.element_type != RefType::FUNCREF
                    || table.ty.table64
                    || table.ty.shared
                {
                    let message = "only a table of functions, all null at first, is allowed";
                    return Err(Rejection::new(Rule::Table, at, message));
                }
                if table.ty.maximum != Some(table.ty.initial) {
                    let message = "a table must declare a maximum equal to its initial size";
                    return Err(Rejection::new(Rule::Table, at, message));
                }
                self.table_entries = table.ty.initial;
                let entries = table.ty.initial;
                at_most(
                    Rule::Table,
                    at,
                    "entries",
                    entries,
                    limits::TABLE_ENTRIES_MAX,
                )
            }),
            Payload::MemorySection(memories) => {
                each(memories, |at, memory| self.memory(at, memory))
            }
            Payload::GlobalSection(globals) => {
                self.checked.globals = globals.count();
                each(globals, |at, global| {
                    numeric(Rule::Globals, at, &[global.ty.content_type])
                })
            }
            Payload::ExportSection(exports) => each(exports, |at, export| {
                let verdict = self.export(at, export);
                self.hold(verdict)
            }),
            Payload::ElementSection(elements) => {
                each(elements, |at, element| self.element(at, element))
            }
            Payload::DataSection(data) => each(data, |at, segment| self.data(at, segment)),
            Payload::CustomSection(section) => {
                self.custom(section.data_offset(), section.name(), section.data())
            }
            _ => Ok(()),
        }
    }

    fn types(
        &mut self,
        range: Range<usize>,
        types: wasmparser::TypeSectionReader<'a>,
    ) -> Result<(), Rejection> {
        for signature in types.into_iter_err_on_gc_types() {
            let signature = signature.map_err(malformed)?;
            let at = range.start;
            let (parameters, results) = (signature.params(), signature.results());
            at_most(
                Rule::Signature,
                at,
                "parameters",
                parameters.len(),
                limits::PARAMETERS_MAX,
            )?;
            at_most(
                Rule::Signature,
                at,
                "results",
                results.len(),
                limits::BLOCK_RESULTS_MAX,
            )?;
            numeric(Rule::Signature, at, parameters)?;
            numeric(Rule::Signature, at, results)?;
            let count = parameters.len() as u64;
            self.checked.facts.type_parameters.push(count);
            self.signatures.push(signature);
        }
        Ok(())
    }

    /// Holds a rejection back in a survey, which goes on; else it ends the check.
    fn hold(&mut self, verdict: Result<(), Rejection>) -> Result<(), Rejection> {
        match verdict {
            Err(rejection) if self.held.len() < self.held_max => {
                self.held.push(rejection);
                Ok(())
            }
            verdict => verdict,
        }
    }

    fn import(&mut self, at: usize, import: &ImportEntry<'_>) -> Result<(), Rejection> {
        // Also where it is refused: what follows is numbered after it.
        if let TypeRef::Func(index) = import.ty {
            self.imported += 1;
            self.checked.facts.function_types.push(index);
        }
        let refuse = |message: String| Err(Rejection::new(Rule::Import, at, message));
        let (module, name) = (import.module, import.name);
        if module != abi::MODULE {
            return refuse(format!(
                "{module:?}.{name:?}: only functions of {:?} can be imported",
                abi::MODULE
            ));
        }
        let Some(known) = Import::by_name(name) else {
            return refuse(format!("{module}.{name}: this host does not have it"));
        };
        let signature = match import.ty {
            TypeRef::Func(index) => self.signature(index),
            _ => return refuse(format!("{module}.{name} is a function")),
        };
        if signature.params() != known.parameters() || signature.results() != known.results() {
            return refuse(format!(
                "{module}.{name} takes {:?} and returns {:?}",
                known.parameters(),
                known.results()
            ));
        }
        if !self.totals.imports.insert(name.to_owned()) {
            return refuse(format!("{module}.{name} is imported twice"));
        }
        self.checked.calls |= known == Import::Call;
        Ok(())
    }

    fn function_type(&mut self, at: usize, index: u32) -> Result<(), Rejection> {
        let results = self.signature(index).results().len();
        at_most(Rule::Signature, at, "results", results, limits::RESULTS_MAX)?;
        self.checked.facts.function_types.push(index);
        Ok(())
    }

    fn memory(&mut self, at: usize, memory: MemoryType) -> Result<(), Rejection> {
        if memory.memory64 || memory.shared || memory.page_size_log2.is_some() {
            let message = "only a plain 32-bit memory is allowed";
            return Err(Rejection::new(Rule::Feature, at, message));
        }
        let max = limits::MEMORY_PAGES_MAX;
        at_most(Rule::MemoryMin, at, "initial pages", memory.initial, max)?;
        let Some(pages) = memory.maximum else {
            let message = format!(
                "the memory declares no maximum; link with --max-memory, at most {max} pages"
            );
            return Err(Rejection::new(Rule::MemoryMax, at, message));
        };
        at_most(Rule::MemoryMax, at, "pages as maximum", pages, max)?;
        self.checked.pages_initial = memory.initial;
        self.checked.pages_max = pages;
        self.checked.facts.memory_access = schedule::memory_access(pages);
        self.memory = Some(memory);
        Ok(())
    }

    fn export(&mut self, at: usize, export: Export<'_>) -> Result<(), Rejection> {
        let name = export.name;
        let refuse = |message: String| Err(Rejection::new(Rule::Export, at, message));
        if name.starts_with(abi::RESERVED) {
            return refuse(format!("{name:?}: names in {} are reserved", abi::RESERVED));
        }
        match export.kind {
            ExternalKind::Func | ExternalKind::Memory | ExternalKind::Global => {}
            _ => return refuse(format!("{name:?}: only functions, memory and globals")),
        }
        if name == abi::MEMORY {
            self.memory_exported = export.kind == ExternalKind::Memory;
        }
        if name == abi::MAIN && export.kind == ExternalKind::Func {
            let signature = self.function_signature(export.index);
            let wanted = (&[ValType::I32, ValType::I32][..], &[ValType::I32][..]);
            if export.index < self.imported
                || signature.is_none_or(|s| (s.params(), s.results()) != wanted)
            {
                return refuse(
                    "zapp_main must be a function (i32, i32) -> i32 of the module".into(),
                );
            }
            self.main = Some(export.index);
        }
        Ok(())
    }

    fn element(&mut self, at: usize, element: Element<'_>) -> Result<(), Rejection> {
        let refuse = |rule, message: &str| Err(Rejection::new(rule, at, message));
        let ElementKind::Active { offset_expr, .. } = &element.kind else {
            return refuse(Rule::Elements, "only active element segments are allowed");
        };
        let ElementItems::Functions(items) = &element.items else {
            return refuse(Rule::Elements, "only lists of functions are allowed");
        };
        let count = u64::from(items.count());
        self.elements += count;
        at_most(
            Rule::Elements,
            at,
            "elements",
            self.elements,
            limits::ELEMENTS_MAX,
        )?;
        match constant(offset_expr) {
            Some(offset) if u64::from(offset) + count <= self.table_entries => Ok(()),
            _ => refuse(Rule::ElementRange, "the segment must lie within the table"),
        }
    }

    fn data(&mut self, at: usize, data: Data<'_>) -> Result<(), Rejection> {
        let memory_bytes = self.memory.map_or(0, |memory| memory.initial * 65_536);
        let length = data.data.len() as u64;
        self.data_bytes += length;
        at_most(
            Rule::Data,
            at,
            "bytes of data",
            self.data_bytes,
            memory_bytes,
        )?;
        let DataKind::Active { offset_expr, .. } = &data.kind else {
            return Ok(());
        };
        self.active_bytes += length;
        match constant(offset_expr) {
            Some(offset) if u64::from(offset) + length <= memory_bytes => Ok(()),
            _ => {
                let message = "the segment must lie within the initial memory";
                Err(Rejection::new(Rule::DataRange, at, message))
            }
        }
    }

    fn custom(&mut self, at: usize, name: &'a str, data: &'a [u8]) -> Result<(), Rejection> {
        if !abi::CUSTOM_KEPT.contains(&name) {
            return Ok(());
        }
        at_most(
            Rule::Custom,
            at,
            "bytes",
            data.len(),
            limits::CUSTOM_BYTES_MAX,
        )?;
        if self.checked.custom.iter().any(|(other, _)| *other == name) {
            let message = format!("section {name} is there twice");
            return Err(Rejection::new(Rule::Custom, at, message));
        }
        self.checked.custom.push((name, data));
        Ok(())
    }

    /// What a module must have and this one has not.
    fn missing(&self) -> Vec<Rejection> {
        let end = self.wasm.len();
        let mut missing = Vec::new();
        if !self.memory_exported {
            let message = "the module must export its memory as \"memory\"";
            missing.push(Rejection::new(Rule::Memory, end, message));
        }
        if self.main.is_none() {
            let message = "the module must export the function zapp_main(i32, i32) -> i32";
            missing.push(Rejection::new(Rule::Export, end, message));
        }
        missing
    }

    fn finish(mut self) -> Result<Checked<'a>, Vec<Rejection>> {
        let missing = self.missing();
        let (Some(memory), Some(main), []) = (self.memory, self.main, missing.as_slice()) else {
            return Err(missing);
        };
        self.checked.main = main;
        self.checked.weight = self.totals.weight;
        self.checked.start_gas = schedule::INSTANTIATE
            + schedule::MEMORY_PAGE * memory.initial
            + schedule::INSTANTIATE_DATA_BYTE * self.active_bytes
            + schedule::INSTANTIATE_ELEMENT * self.elements;
        Ok(self.checked)
    }

    fn slice(&self, range: Range<usize>) -> Result<&'a [u8], Rejection> {
        let at = range.start;
        self.wasm
            .get(range)
            .ok_or_else(|| Rejection::new(Rule::Malformed, at, "section beyond the end"))
    }

    /// The type of an index that the validator has checked.
    fn signature(&self, index: u32) -> FuncType {
        usize::try_from(index)
            .ok()
            .and_then(|index| self.signatures.get(index))
            .cloned()
            .unwrap_or_else(|| FuncType::new([], []))
    }

    fn function_signature(&self, function: u32) -> Option<FuncType> {
        let index = usize::try_from(function).ok()?;
        let index = self.checked.facts.function_types.get(index)?;
        Some(self.signature(*index))
    }
}

/// Runs a check on each item of a section, with its offset.
fn each<'a, T: wasmparser::FromReader<'a>>(
    section: SectionLimited<'a, T>,
    mut check: impl FnMut(usize, T) -> Result<(), Rejection>,
) -> Result<(), Rejection> {
    for item in section.into_iter_with_offsets() {
        let (offset, item) = item.map_err(malformed)?;
        check(offset, item)?;
    }
    Ok(())
}

/// Refuses any type but the four numbers.
pub(crate) fn numeric(rule: Rule, at: usize, types: &[ValType]) -> Result<(), Rejection> {
    let is_number = |ty: &ValType| {
        matches!(
            ty,
            ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64
        )
    };
    match types.iter().find(|ty| !is_number(ty)) {
        Some(ty) => {
            let message = format!("type {ty}: only i32, i64, f32 and f64 are allowed");
            Err(Rejection::new(rule, at, message))
        }
        None => Ok(()),
    }
}

/// The value of an `i32.const` expression, as the unsigned offset that it is.
fn constant(expression: &ConstExpr<'_>) -> Option<u32> {
    let mut reader: BinaryReader<'_> = expression.get_binary_reader();
    let mut operators = wasmparser::OperatorsReader::new(reader.clone());
    let Ok(Operator::I32Const { value }) = operators.read() else {
        return None;
    };
    // Nothing but `end` may follow: with extended constants off, the validator refuses the rest.
    reader.read_u8().ok()?;
    Some(value.cast_unsigned())
}
