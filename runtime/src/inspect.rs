//! A module as its author wants to see it: every rule that it breaks, not only the first, and what
//! it is made of.
//!
//! Nothing here decides anything: [`prepare`](crate::prepare()) does, and an inspection without
//! rejections is of a module that it takes.

use std::collections::BTreeMap;

use wasmparser::{BinaryReader, KnownCustom, Name, NameSectionReader, Parser, Payload};

use crate::gatekeeper::{self, Checked};
use crate::metering;
use crate::rejection::Rejection;

/// Most rejections that are told: a module made for something else breaks a rule per function.
pub const REJECTIONS_MAX: usize = 64;

/// What a module is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Pages of memory at the start.
    pub pages_initial: u64,
    /// Pages that the memory may grow to; they decide what a load costs.
    pub pages_max: u64,
    /// Gas of a load or store.
    pub access_gas: u64,
    /// Gas of making an instance, which each call pays.
    pub start_gas: u64,
    /// Function with the greatest frame on the logical stack, and its bytes.
    pub worst_frame: Option<(u32, u64)>,
    /// Function with the most bytes of code, and how many.
    pub longest_body: Option<(u32, usize)>,
}

/// Looks at a module.
///
/// # Errors
/// Every rule that it breaks, as far as can be told: behind bytes that are no WebAssembly nothing
/// can.
pub fn inspect(wasm: &[u8]) -> Result<Parts, Vec<Rejection>> {
    let checked = gatekeeper::survey(wasm, REJECTIONS_MAX)?;
    // What metering alone refuses is its output's size.
    metering::prepare(wasm).map_err(|rejection| vec![rejection])?;
    Ok(parts(&checked))
}

fn parts(checked: &Checked<'_>) -> Parts {
    let count = u32::try_from(checked.functions.len()).unwrap_or(u32::MAX);
    let all = u32::try_from(checked.facts.function_types.len()).unwrap_or(u32::MAX);
    // Imports come first in the index space.
    let functions = || (all.saturating_sub(count)..).zip(&checked.functions);
    Parts {
        pages_initial: checked.pages_initial,
        pages_max: checked.pages_max,
        access_gas: checked.facts.memory_access,
        start_gas: checked.start_gas,
        worst_frame: functions()
            .map(|(index, function)| (index, metering::frame_bytes(function)))
            .max_by_key(|(_, bytes)| *bytes),
        longest_body: functions()
            .map(|(index, function)| (index, function.body.range().len()))
            .max_by_key(|(_, bytes)| *bytes),
    }
}

/// Names of functions by index, imports first, if the module has a section of names. For people:
/// bytes that do not parse have none.
#[must_use]
pub fn function_names(wasm: &[u8]) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let Ok(payload) = payload else { break };
        if let Payload::CustomSection(section) = payload
            && let KnownCustom::Name(section) = section.as_known()
        {
            read_names(section, &mut names);
        }
    }
    names
}

fn read_names(section: NameSectionReader<'_>, names: &mut BTreeMap<u32, String>) {
    for subsection in section {
        let Ok(Name::Function(functions)) = subsection else {
            continue;
        };
        for naming in functions.into_iter().flatten() {
            names.insert(naming.index, naming.name.to_owned());
        }
    }
}

/// The contents of a custom section. The module need not be one that may run.
#[must_use]
pub fn custom_section<'a>(wasm: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut reader = BinaryReader::new(wasm, 0);
    let header = reader.read_bytes(8).ok()?;
    if !header.starts_with(b"\0asm") {
        return None;
    }
    while !reader.eof() {
        let id = reader.read_u8().ok()?;
        let size = usize::try_from(reader.read_var_u32().ok()?).ok()?;
        let content = reader.read_bytes(size).ok()?;
        let mut section = BinaryReader::new(content, 0);
        if id == 0 && section.read_string().ok()? == name {
            return section.read_bytes(section.bytes_remaining()).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rejection::Rule;

    fn module(functions: &str) -> Vec<u8> {
        let text = format!(
            "(module (memory (export \"memory\") 2 5)
               (func $main (export \"zapp_main\") (param i32 i32) (result i32) i32.const 0)
               {functions})"
        );
        wat::parse_str(text).expect("the test's module parses")
    }

    #[test]
    fn every_function_that_breaks_a_rule_is_told_not_only_the_first() {
        let wasm = module(
            "(func $fine) (func $first (drop (ref.null func)))
             (func $second (local v128))",
        );
        let rejections = inspect(&wasm).expect_err("two functions break a rule");
        let told: Vec<_> = rejections.iter().map(|r| (r.rule, r.function)).collect();
        assert_eq!(told, [(Rule::Opcode, Some(2)), (Rule::Locals, Some(3))]);
        let names = function_names(&wasm);
        assert_eq!(names.get(&2).map(String::as_str), Some("first"));
    }

    #[test]
    fn mistakes_of_several_sections_are_told_together() {
        let text = "(module (import \"env\" \"now\" (func)) (import \"env\" \"then\" (func))
                      (memory 2) (func (drop (ref.null func))))";
        let wasm = wat::parse_str(text).expect("parses");
        let rejections = inspect(&wasm).expect_err("refused");
        let rules: Vec<_> = rejections.iter().map(|rejection| rejection.rule).collect();
        assert_eq!(
            rules,
            [
                Rule::Import,
                Rule::Import,
                Rule::MemoryMax,
                Rule::Opcode,
                Rule::Memory,
                Rule::Export
            ]
        );
        let wrong = rejections.iter().find(|one| one.rule == Rule::Opcode);
        assert_eq!(
            wrong.and_then(|one| one.function),
            Some(2),
            "after imports that are refused"
        );
        // The first one is what the gatekeeper says.
        let first = crate::prepare(&wasm).expect_err("refused");
        assert_eq!(rejections.first(), Some(&first));
    }

    #[test]
    fn a_module_that_may_run_is_taken_apart() {
        let wasm = module("(func $wide (param i64) (local i32 i32) (drop (i32.const 1)))");
        let parts = inspect(&wasm).expect("it may run");
        assert_eq!((parts.pages_initial, parts.pages_max), (2, 5));
        assert_eq!(parts.worst_frame, Some((1, 64 + 16 * 4)));
        assert_eq!(parts.start_gas, 40_000 + 2 * 30_000);
    }

    #[test]
    fn bytes_that_are_no_module_end_the_inspection() {
        for bytes in [&b""[..], b"\0asm", b"\0asm\x01\0\0\0\xff", &[0; 64]] {
            let rejections = inspect(bytes).expect_err("no module");
            assert!(!rejections.is_empty());
            assert!(function_names(bytes).is_empty());
            assert_eq!(custom_section(bytes, "zapp.abi"), None);
        }
        let wasm = wat::parse_str("(module (@custom \"zapp.abi\" \"text\"))").expect("parses");
        assert_eq!(custom_section(&wasm, "zapp.abi"), Some(&b"text"[..]));
        assert_eq!(custom_section(&wasm, "zapp.manifest"), None);
    }
}
