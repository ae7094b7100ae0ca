//! The gas schedule: the one table of what everything costs, and with it the list of operators
//! that a module may use.
//!
//! One gas is at most about one nanosecond on the reference core; no module may exceed 4 ns per
//! gas. Loads and stores are priced by the memory that the module declares, because a cache miss
//! in a large memory costs ten times what a hit in a small one does.

use wasmparser::Operator;

/// Version of the schedule; part of the runtime profile.
pub const VERSION: u64 = 1;

macro_rules! constants {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        $($(#[$doc])* pub const $name: u64 = $value;)*

        /// Names and values, for the runtime profile.
        pub(crate) const CONSTANTS: &[(&str, u64)] = &[$((stringify!($name), $value)),*];
    };
}

constants! {
    /// Growing a memory, besides [`MEMORY_PAGE`] for each page asked for.
    MEMORY_GROW = 60;
    /// A page of memory, the initial ones included.
    MEMORY_PAGE = 30_000;
    /// A bulk operation, besides one for every [`BULK_BYTES_PER_GAS`].
    BULK = 12;
    /// Bytes of a bulk operation that cost one gas.
    BULK_BYTES_PER_GAS = 16;
    /// Making an instance.
    INSTANTIATE = 40_000;
    /// A byte of active data.
    INSTANTIATE_DATA_BYTE = 10;
    /// An entry of an element segment.
    INSTANTIATE_ELEMENT = 30;
    /// Any call of the host.
    HOST_CALL = 300;
    /// Bytes that cross between guest and host for one gas.
    HOST_BYTES_PER_GAS = 8;
    /// `get`, besides its bytes.
    HOST_GET = 8_000;
    /// A byte that `get` reads.
    HOST_GET_BYTE = 2;
    /// `set` and `del`, besides their bytes.
    HOST_SET = 12_000;
    /// A byte of key or value that `set` or `del` names.
    HOST_SET_BYTE = 10;
    /// `next`, besides its bytes.
    HOST_NEXT = 4_000;
    /// A byte of the key that `next` finds.
    HOST_NEXT_BYTE = 2;
    /// A deleted entry that `next` passes over.
    HOST_NEXT_PASSED = 400;
    /// `emit`, besides its bytes.
    HOST_EMIT = 1_500;
    /// A byte of topic or data.
    HOST_EMIT_BYTE = 8;
    /// `hash`, any algorithm.
    HOST_HASH = 500;
    /// A byte hashed.
    HOST_HASH_BYTE = 6;
    /// `verify` of an Ed25519 signature.
    HOST_VERIFY_ED25519 = 60_000;
    /// A byte of a verified message, its signature and key: all of them are hashed.
    HOST_VERIFY_BYTE = 6;
    /// `call` of another zApp, besides its instance and what it does.
    HOST_ZAPP = 150_000;
    /// `post`, besides its bytes: an entry of its channel and a leaf.
    HOST_POST = 20_000;
    /// A byte of label or payload.
    HOST_POST_BYTE = 10;
    /// `pull`, besides its bytes: members' work at the source is paid before.
    HOST_PULL = 2_000;
}

/// What the schedule has to know of a module.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Charge of a load or store, see [`memory_access`].
    pub memory_access: u64,
    /// Parameters of each type.
    pub type_parameters: Vec<u64>,
    /// Type of each function, imports first.
    pub function_types: Vec<u32>,
}

impl Facts {
    fn call_parameters(&self, function: u32) -> u64 {
        let index = usize::try_from(function).unwrap_or(usize::MAX);
        self.function_types
            .get(index)
            .map_or(0, |index| self.type_parameters(*index))
    }

    fn type_parameters(&self, index: u32) -> u64 {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        self.type_parameters.get(index).copied().unwrap_or(0)
    }
}

/// Charge of a load or store in a memory of at most `pages_max` pages.
#[must_use]
pub const fn memory_access(pages_max: u64) -> u64 {
    match pages_max {
        0..=16 => 1,
        17..=64 => 8,
        65..=256 => 16,
        _ => 20,
    }
}

/// Charge of an operator, or `None` if modules may not use it.
///
/// An allow-list: what a new version of the parser learns to read stays forbidden.
#[must_use]
pub fn operator(operator: &Operator<'_>, facts: &Facts) -> Option<u64> {
    Some(match operator {
        Operator::Call { function_index } => 8 + facts.call_parameters(*function_index),
        Operator::CallIndirect { type_index, .. } => 14 + facts.type_parameters(*type_index),
        Operator::BrTable { targets } => 3 + u64::from(targets.len() / 16),
        _ => control(operator)
            .or_else(|| memory(operator, facts))
            .or_else(|| integer(operator))
            .or_else(|| float(operator))?,
    })
}

/// What compiling an operator costs, in quarters of a deployed operator's price (0.7 µs each).
///
/// Whatever splits the control flow of compiled code weighs most: branches, calls (a charge follows
/// each), and operators whose traps are tested for because signals are off. Measured; the time
/// also grows with the square of the splits in one function, which is why bodies have a limit.
#[must_use]
pub fn compile_weight(operator: &Operator<'_>) -> u32 {
    use Operator as O;
    match operator {
        O::I32TruncF32S | O::I32TruncF32U | O::I32TruncF64S | O::I32TruncF64U => 128,
        O::I64TruncF32S | O::I64TruncF32U | O::I64TruncF64S | O::I64TruncF64U => 128,
        O::I32DivS | O::I32DivU | O::I32RemS | O::I32RemU => 64,
        O::I64DivS | O::I64DivU | O::I64RemS | O::I64RemU => 64,
        // Two blocks and a join of all locals that differ.
        O::If { .. } => 64,
        O::Loop { .. } | O::BrIf { .. } | O::BrTable { .. } => 32,
        O::Call { .. } | O::CallIndirect { .. } | O::MemoryGrow { .. } => 32,
        O::MemoryCopy { .. } | O::MemoryFill { .. } | O::MemoryInit { .. } => 32,
        _ if memory(operator, &Facts::default()).is_some() => 6,
        _ => 1,
    }
}

fn control(operator: &Operator<'_>) -> Option<u64> {
    use Operator as O;
    Some(match operator {
        O::Nop | O::Block { .. } | O::Loop { .. } | O::Else | O::End => 0,
        O::Unreachable | O::Br { .. } | O::Return | O::Drop | O::Select => 1,
        O::LocalGet { .. } | O::LocalSet { .. } | O::LocalTee { .. } => 1,
        O::GlobalGet { .. } | O::GlobalSet { .. } => 1,
        O::I32Const { .. } | O::I64Const { .. } | O::F32Const { .. } | O::F64Const { .. } => 1,
        O::If { .. } | O::BrIf { .. } => 2,
        _ => return None,
    })
}

fn memory(operator: &Operator<'_>, facts: &Facts) -> Option<u64> {
    use Operator as O;
    Some(match operator {
        O::I32Load { .. }
        | O::I64Load { .. }
        | O::F32Load { .. }
        | O::F64Load { .. }
        | O::I32Load8S { .. }
        | O::I32Load8U { .. }
        | O::I32Load16S { .. }
        | O::I32Load16U { .. }
        | O::I64Load8S { .. }
        | O::I64Load8U { .. }
        | O::I64Load16S { .. }
        | O::I64Load16U { .. }
        | O::I64Load32S { .. }
        | O::I64Load32U { .. }
        | O::I32Store { .. }
        | O::I64Store { .. }
        | O::F32Store { .. }
        | O::F64Store { .. }
        | O::I32Store8 { .. }
        | O::I32Store16 { .. }
        | O::I64Store8 { .. }
        | O::I64Store16 { .. }
        | O::I64Store32 { .. } => facts.memory_access,
        O::MemorySize { .. } => 1,
        O::MemoryGrow { .. } => MEMORY_GROW,
        O::MemoryCopy { .. } | O::MemoryFill { .. } | O::MemoryInit { .. } => BULK,
        O::DataDrop { .. } => BULK,
        _ => return None,
    })
}

#[rustfmt::skip]
fn integer(operator: &Operator<'_>) -> Option<u64> {
    use Operator as O;
    Some(match operator {
        O::I32Eqz | O::I32Eq | O::I32Ne | O::I32LtS | O::I32LtU | O::I32GtS | O::I32GtU
        | O::I32LeS | O::I32LeU | O::I32GeS | O::I32GeU
        | O::I64Eqz | O::I64Eq | O::I64Ne | O::I64LtS | O::I64LtU | O::I64GtS | O::I64GtU
        | O::I64LeS | O::I64LeU | O::I64GeS | O::I64GeU
        | O::I32Add | O::I32Sub | O::I32And | O::I32Or | O::I32Xor
        | O::I32Shl | O::I32ShrS | O::I32ShrU | O::I32Rotl | O::I32Rotr
        | O::I64Add | O::I64Sub | O::I64And | O::I64Or | O::I64Xor
        | O::I64Shl | O::I64ShrS | O::I64ShrU | O::I64Rotl | O::I64Rotr
        | O::I32WrapI64 | O::I64ExtendI32S | O::I64ExtendI32U
        | O::I32Extend8S | O::I32Extend16S
        | O::I64Extend8S | O::I64Extend16S | O::I64Extend32S
        | O::I32ReinterpretF32 | O::I64ReinterpretF64
        | O::F32ReinterpretI32 | O::F64ReinterpretI64 => 1,
        O::I32Mul | O::I64Mul
        | O::I32Clz | O::I32Ctz | O::I32Popcnt
        | O::I64Clz | O::I64Ctz | O::I64Popcnt => 2,
        O::I32DivS | O::I32DivU | O::I32RemS | O::I32RemU
        | O::I64DivS | O::I64DivU | O::I64RemS | O::I64RemU => 8,
        _ => return None,
    })
}

#[rustfmt::skip]
fn float(operator: &Operator<'_>) -> Option<u64> {
    use Operator as O;
    Some(match operator {
        O::F32Eq | O::F32Ne | O::F32Lt | O::F32Gt | O::F32Le | O::F32Ge
        | O::F64Eq | O::F64Ne | O::F64Lt | O::F64Gt | O::F64Le | O::F64Ge
        | O::F32Abs | O::F32Neg | O::F32Copysign | O::F32Min | O::F32Max
        | O::F64Abs | O::F64Neg | O::F64Copysign | O::F64Min | O::F64Max
        | O::F32Add | O::F32Sub | O::F32Mul
        | O::F64Add | O::F64Sub | O::F64Mul
        | O::I32TruncF32S | O::I32TruncF32U | O::I32TruncF64S | O::I32TruncF64U
        | O::I64TruncF32S | O::I64TruncF32U | O::I64TruncF64S | O::I64TruncF64U
        | O::I32TruncSatF32S | O::I32TruncSatF32U | O::I32TruncSatF64S | O::I32TruncSatF64U
        | O::I64TruncSatF32S | O::I64TruncSatF32U | O::I64TruncSatF64S | O::I64TruncSatF64U
        | O::F32ConvertI32S | O::F32ConvertI32U | O::F32ConvertI64S | O::F32ConvertI64U
        | O::F64ConvertI32S | O::F64ConvertI32U | O::F64ConvertI64S | O::F64ConvertI64U
        | O::F32DemoteF64 | O::F64PromoteF32 => 5,
        O::F32Div | O::F64Div => 12,
        O::F32Sqrt | O::F64Sqrt => 18,
        O::F32Ceil | O::F32Floor | O::F32Trunc | O::F32Nearest
        | O::F64Ceil | O::F64Floor | O::F64Trunc | O::F64Nearest => 10,
        _ => return None,
    })
}
