//! The gatekeeper's view of one function body.

use std::collections::BTreeSet;

use wasmparser::{
    BlockType, FuncToValidate, FuncType, FunctionBody, Operator, ValType, ValidatorResources,
};

use super::{malformed, numeric};
use crate::limits;
use crate::rejection::{Rejection, Rule, at_most};
use crate::schedule::{self, Facts};

/// A body that passed, with what metering needs to know of it.
pub(crate) struct Function<'a> {
    /// The body, locals included.
    pub body: FunctionBody<'a>,
    /// Number of parameters.
    pub parameters: u32,
    /// Number of locals without parameters.
    pub locals: u32,
    /// Greatest height of the operand stack.
    pub operands: u32,
    /// The result.
    pub result: Option<ValType>,
}

/// Sums over the functions of a module, with their limits.
#[derive(Default)]
pub(crate) struct Totals {
    /// Compile weight.
    pub weight: u32,
    /// Names imported so far.
    pub imports: BTreeSet<String>,
    blocks: u32,
    locals: u32,
    targets: u32,
}

/// Checks one body, operator by operator: limits and allow-list first, then the validator.
pub(crate) fn check<'a>(
    to_validate: FuncToValidate<ValidatorResources>,
    body: FunctionBody<'a>,
    signatures: &[FuncType],
    facts: &Facts,
    totals: &mut Totals,
) -> Result<Function<'a>, Rejection> {
    let index = to_validate.index;
    let signature = usize::try_from(to_validate.ty)
        .ok()
        .and_then(|index| signatures.get(index));
    let (parameters, result) = signature.map_or((0, None), |signature| {
        let parameters = u32::try_from(signature.params().len()).unwrap_or(u32::MAX);
        (parameters, signature.results().first().copied())
    });
    let mut function = Function {
        body,
        parameters,
        locals: 0,
        operands: 0,
        result,
    };
    body_of(&mut function, to_validate, facts, totals)
        .map_err(|rejection| rejection.in_function(index))?;
    Ok(function)
}

fn body_of(
    function: &mut Function<'_>,
    to_validate: FuncToValidate<ValidatorResources>,
    facts: &Facts,
    totals: &mut Totals,
) -> Result<(), Rejection> {
    let start = function.body.range().start;
    let bytes = function.body.range().len();
    at_most(
        Rule::Body,
        start,
        "bytes of code",
        bytes,
        limits::BODY_BYTES_MAX,
    )?;

    locals_of(function)?;
    totals.locals += function.locals;
    let module_locals = limits::MODULE_LOCALS_MAX;
    at_most(
        Rule::Locals,
        start,
        "locals in the module",
        totals.locals,
        module_locals,
    )?;

    operators_of(function, to_validate, facts, totals)
}

fn locals_of(function: &mut Function<'_>) -> Result<(), Rejection> {
    // Not by the parser's own reader, which has a limit of its own with a message of its own.
    let mut locals = function.body.get_binary_reader();
    for _ in 0..locals.read_var_u32().map_err(malformed)? {
        let at = locals.original_position();
        let count = locals.read_var_u32().map_err(malformed)?;
        numeric(
            Rule::Locals,
            at,
            &[locals.read::<ValType>().map_err(malformed)?],
        )?;
        function.locals = function.locals.saturating_add(count);
        at_most(
            Rule::Locals,
            at,
            "locals",
            function.locals,
            limits::LOCALS_MAX,
        )?;
    }
    Ok(())
}

fn operators_of(
    function: &mut Function<'_>,
    to_validate: FuncToValidate<ValidatorResources>,
    facts: &Facts,
    totals: &mut Totals,
) -> Result<(), Rejection> {
    let start = function.body.range().start;
    let mut validator = to_validate.into_validator(Default::default());
    let mut reader = function.body.get_binary_reader();
    validator.read_locals(&mut reader).map_err(malformed)?;
    let mut operators = wasmparser::OperatorsReader::new(reader);
    let (mut count, mut blocks, mut weight) = (0u32, 0u32, 0u32);
    while !operators.eof() {
        let (operator, at) = operators.read_with_offset().map_err(malformed)?;
        count += 1;
        at_most(
            Rule::Operators,
            at,
            "operators",
            count,
            limits::BODY_OPERATORS_MAX,
        )?;
        if schedule::operator(&operator, facts).is_none() {
            return Err(Rejection::new(Rule::Opcode, at, forbidden(&operator)));
        }
        weight += schedule::compile_weight(&operator);
        at_most(
            Rule::Weight,
            at,
            "units of compile weight",
            weight,
            limits::BODY_WEIGHT_MAX,
        )?;
        limits_of(&operator, at, &mut blocks, totals)?;
        validator.op(at, &operator).map_err(malformed)?;
        let nesting = validator.control_stack_height().saturating_sub(1);
        at_most(
            Rule::Nesting,
            at,
            "nested blocks",
            nesting,
            limits::NESTING_MAX,
        )?;
        function.operands = function.operands.max(validator.operand_stack_height());
        at_most(
            Rule::Operands,
            at,
            "operands",
            function.operands,
            limits::OPERANDS_MAX,
        )?;
    }
    operators.finish().map_err(malformed)?;
    totals.weight += weight;
    let max = limits::MODULE_WEIGHT_MAX;
    at_most(
        Rule::Weight,
        start,
        "units of compile weight in the module",
        totals.weight,
        max,
    )
}

fn limits_of(
    operator: &Operator<'_>,
    at: usize,
    blocks: &mut u32,
    totals: &mut Totals,
) -> Result<(), Rejection> {
    match operator {
        Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => {
            if let BlockType::Type(ty) = blockty {
                numeric(Rule::Signature, at, &[*ty])?;
            }
            *blocks += 1;
            totals.blocks += 1;
            at_most(Rule::Blocks, at, "blocks", *blocks, limits::BODY_BLOCKS_MAX)?;
            let max = limits::MODULE_BLOCKS_MAX;
            at_most(Rule::Blocks, at, "blocks in the module", totals.blocks, max)
        }
        Operator::BrTable { targets } => {
            at_most(
                Rule::Targets,
                at,
                "targets",
                targets.len(),
                limits::TARGETS_MAX,
            )?;
            totals.targets += targets.len();
            let max = limits::MODULE_TARGETS_MAX;
            at_most(
                Rule::Targets,
                at,
                "targets in the module",
                totals.targets,
                max,
            )
        }
        _ => Ok(()),
    }
}

fn forbidden(operator: &Operator<'_>) -> String {
    let text = format!("{operator:?}");
    let name: String = text
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric())
        .collect();
    format!("operator {name} is not allowed; build for wasm32v1-none")
}
