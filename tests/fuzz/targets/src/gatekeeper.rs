//! Bytes as a module, at deploy.

use differential::Pair;
use runtime::inspect::{REJECTIONS_MAX, inspect};
use runtime::metering::START_GAS_SECTION;
use runtime::{PreparedModule, Rejection, Rule, abi, limits};
use sha2::{Digest as _, Sha256};
use state::execute::Op;
use wasmparser::{Operator, Parser, Payload};

/// Two passes come to one verdict, and its author is told the same. A refusal names a rule and a
/// place within the module. What is accepted has no operator on references or tables, is metered
/// within bounds and by the digests that members agree on, cannot pass for metered already, and
/// runs alike on both engines.
pub fn modules(bytes: &[u8]) -> bool {
    let verdict = runtime::prepare(bytes);
    assert_eq!(verdict, runtime::prepare(bytes), "two passes differ");
    let told = inspect(bytes);
    match (verdict, told) {
        (Ok(prepared), Ok(parts)) => {
            accepted(bytes, &prepared);
            assert_eq!(start_gas(&prepared.metered), [parts.start_gas]);
            true
        }
        (Err(rejection), Err(told)) => {
            assert_eq!(told.first(), Some(&rejection), "its author is told else");
            assert!(told.len() <= REJECTIONS_MAX);
            told.iter().for_each(|rejection| refused(bytes, rejection));
            // What is no module at all never meets the gatekeeper's own rules.
            rejection.rule != Rule::Malformed
        }
        (verdict, told) => panic!("{verdict:?}, and its author is told {told:?}"),
    }
}

fn refused(bytes: &[u8], rejection: &Rejection) {
    let text = rejection.to_string();
    let rule = text.split(": ").next().unwrap_or_default();
    assert!(Rule::ALL.iter().any(|known| known.id() == rule), "{text}");
    assert!(!rejection.message.is_empty(), "{text}");
    assert!(rejection.offset <= bytes.len(), "{text}");
    let functions = limits::IMPORTS_MAX + limits::FUNCTIONS_MAX;
    let function = rejection.function;
    assert!(function.is_none_or(|index| index < functions), "{text}");
}

fn accepted(bytes: &[u8], prepared: &PreparedModule) {
    let digest = |bytes: &[u8]| -> [u8; 32] { Sha256::digest(bytes).into() };
    let metered = &prepared.metered;
    assert_eq!(*prepared.original.as_bytes(), digest(bytes));
    assert_eq!(*prepared.metered_digest.as_bytes(), digest(metered));
    assert!(metered.len() <= GROWTH_MAX * bytes.len() + ADDED_BYTES_MAX);
    assert!(u64::from(prepared.pages) <= limits::MEMORY_PAGES_MAX);
    assert!(prepared.functions <= limits::FUNCTIONS_MAX);
    operators(bytes, |operator| {
        assert!(!is_of_a_proposal(operator), "{operator:?} was accepted");
    });
    assert_eq!(
        exports(metered),
        [abi::MEMORY, abi::MAIN, abi::GAS, abi::STACK]
    );
    assert!(runtime::prepare(metered).is_err(), "its meters are its own");

    let mut pair = Pair::new(bytes).expect("two passes differ");
    let run = pair.run(Op::Call, 0, GAS);
    let done = run.unwrap_or_else(|two| panic!("the engines differ: {two:#?}"));
    assert!(done.gas() <= GAS, "more gas than there was");
}

/// Operators on references and tables: the features that read them have to be on for the encoding
/// of `call_indirect`, so that nothing but the allow-list keeps them out.
const fn is_of_a_proposal(operator: &Operator<'_>) -> bool {
    use Operator as O;
    matches!(
        operator,
        O::RefNull { .. }
            | O::RefIsNull
            | O::RefFunc { .. }
            | O::TypedSelect { .. }
            | O::TableGet { .. }
            | O::TableSet { .. }
            | O::TableGrow { .. }
            | O::TableSize { .. }
            | O::TableFill { .. }
            | O::TableCopy { .. }
            | O::TableInit { .. }
            | O::ElemDrop { .. }
    )
}

fn operators(wasm: &[u8], mut see: impl FnMut(&Operator<'_>)) {
    for payload in payloads(wasm) {
        if let Payload::CodeSectionEntry(body) = payload {
            let operators = body.get_operators_reader().expect("it was accepted");
            operators
                .into_iter()
                .for_each(|operator| see(&operator.expect("it was accepted")));
        }
    }
}

fn exports(wasm: &[u8]) -> Vec<&str> {
    let section = payloads(wasm).find_map(|payload| match payload {
        Payload::ExportSection(section) => Some(section),
        _ => None,
    });
    let exports = section.expect("it has exports").into_iter();
    exports.map(|export| export.unwrap().name).collect()
}

/// What each section that states a charge for an instance says: there is one, whatever its author
/// called his own.
fn start_gas(metered: &[u8]) -> Vec<u64> {
    let charge = |payload| match payload {
        Payload::CustomSection(section) if section.name() == START_GAS_SECTION => {
            Some(u64::from_le_bytes(section.data().try_into().unwrap()))
        }
        _ => None,
    };
    payloads(metered).filter_map(charge).collect()
}

fn payloads(wasm: &[u8]) -> impl Iterator<Item = Payload<'_>> {
    let payloads = Parser::new(0).parse_all(wasm);
    payloads.map(|payload| payload.expect("it was accepted"))
}

/// Gas of the run: an instance of a small memory, and some work.
const GAS: u64 = 300_000;
/// Most bytes of a metered module for one of the author's: a call of two bytes is paid for with
/// some twenty.
const GROWTH_MAX: usize = 16;
/// What each metered module has more: types, two functions, two globals, exports.
const ADDED_BYTES_MAX: usize = 1024;
