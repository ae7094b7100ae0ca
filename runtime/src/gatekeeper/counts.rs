//! Counts and kinds of sections, before the validator allocates for them.

use std::ops::Range;

use wasmparser::{Payload, SectionLimited};

use crate::limits as l;
use crate::rejection::{Rejection, Rule, at_most};

/// Refuses a section with more entries than its limit, and sections that modules may not have.
pub(super) fn check(payload: &Payload<'_>) -> Result<(), Rejection> {
    use Payload as P;
    match payload {
        P::TypeSection(s) => count(Rule::Types, "types", s, l::TYPES_MAX),
        P::ImportSection(s) => count(Rule::Import, "imports", s, l::IMPORTS_MAX),
        P::FunctionSection(s) => count(Rule::Functions, "functions", s, l::FUNCTIONS_MAX),
        P::TableSection(s) => count(Rule::Table, "tables", s, 1),
        P::MemorySection(s) => count(Rule::Memory, "memories", s, 1),
        P::GlobalSection(s) => count(Rule::Globals, "globals", s, l::GLOBALS_MAX),
        P::ExportSection(s) => count(Rule::Export, "exports", s, l::EXPORTS_MAX),
        P::ElementSection(s) => count(Rule::Elements, "segments", s, l::ELEMENT_SEGMENTS_MAX),
        P::DataSection(s) => count(Rule::Data, "segments", s, l::DATA_SEGMENTS_MAX),
        P::CodeSectionStart { count, range, .. } => {
            let max = l::FUNCTIONS_MAX;
            at_most(Rule::Functions, range.start, "bodies", *count, max)
        }
        P::DataCountSection { count, range } => {
            let max = l::DATA_SEGMENTS_MAX;
            at_most(Rule::Data, range.start, "segments", *count, max)
        }
        P::StartSection { range, .. } => {
            let message = "start function: move its work into zapp_main";
            Err(Rejection::new(Rule::Start, range.start, message))
        }
        P::TagSection(s) => unknown(&s.range()),
        P::UnknownSection { range, .. } => unknown(range),
        _ => Ok(()),
    }
}

fn count<T>(
    rule: Rule,
    what: &str,
    section: &SectionLimited<'_, T>,
    max: u32,
) -> Result<(), Rejection> {
    at_most(rule, section.range().start, what, section.count(), max)
}

fn unknown(range: &Range<usize>) -> Result<(), Rejection> {
    let message = "a section that is not allowed";
    Err(Rejection::new(Rule::Feature, range.start, message))
}
