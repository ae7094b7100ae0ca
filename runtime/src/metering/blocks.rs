//! Basic blocks: where they end, and the charge in front of each.

use wasm_encoder::{BlockType, Encode, Instruction};
use wasmparser::Operator;

use super::Added;

/// A control structure of the original body.
struct Frame {
    /// Whether the code after it can run.
    live_after: bool,
    /// Whether something branches to its end.
    joined: bool,
    is_loop: bool,
}

/// Cuts a body into basic blocks, and puts the charge in front of each.
pub(super) struct Blocks {
    out: Vec<u8>,
    /// The block at hand, not yet paid for.
    pending: Vec<u8>,
    cost: u64,
    /// The local that the instrumentation adds.
    scratch: u32,
    added: Added,
    frames: Vec<Frame>,
    /// Whether the block at hand can be reached; what cannot is free.
    live: bool,
}

impl Blocks {
    /// Begins a body; `out` holds its locals, the last of which is `scratch`.
    pub(super) fn new(out: Vec<u8>, scratch: u32, added: Added) -> Self {
        Self {
            out,
            pending: Vec::new(),
            cost: 0,
            scratch,
            added,
            frames: Vec::new(),
            live: true,
        }
    }

    /// Adds an instruction that is not the author's, and free.
    pub(super) fn free(&mut self, instruction: &Instruction<'_>) {
        instruction.encode(&mut self.pending);
    }

    /// Takes the frame, before anything else of the body.
    pub(super) fn enter(&mut self, frame: i32) {
        let stack = self.added.stack;
        for instruction in [
            Instruction::GlobalGet(stack),
            Instruction::I32Const(frame),
            Instruction::I32Sub,
            Instruction::GlobalSet(stack),
            Instruction::GlobalGet(stack),
            Instruction::I32Const(0),
            Instruction::I32LtS,
            Instruction::If(BlockType::Empty),
            Instruction::Unreachable,
            Instruction::End,
        ] {
            self.free(&instruction);
        }
    }

    /// Gives the frame back where all ways out of the body meet, and ends the function.
    pub(super) fn leave(mut self, frame: i32) -> Vec<u8> {
        let stack = self.added.stack;
        for instruction in [
            Instruction::GlobalGet(stack),
            Instruction::I32Const(frame),
            Instruction::I32Add,
            Instruction::GlobalSet(stack),
            Instruction::End,
        ] {
            self.free(&instruction);
        }
        self.cut();
        self.out
    }

    /// Adds an operator of the author.
    pub(super) fn operator(&mut self, operator: &Operator<'_>, raw: &[u8], cost: u64) {
        if self.live {
            self.cost = self.cost.saturating_add(cost);
        }
        match operator {
            Operator::Block { .. } => self.open(raw, false),
            Operator::Loop { .. } => {
                self.open(raw, true);
                self.cut();
            }
            Operator::If { .. } => {
                self.open(raw, false);
                self.join(0);
                self.cut();
            }
            Operator::Else => {
                self.pending.extend_from_slice(raw);
                self.cut();
                self.live = self.frames.last().is_none_or(|frame| frame.live_after);
            }
            Operator::End => self.close(raw),
            Operator::Br { relative_depth } => {
                self.pending.extend_from_slice(raw);
                self.join(*relative_depth);
                self.dead();
            }
            Operator::BrIf { relative_depth } => {
                self.pending.extend_from_slice(raw);
                self.join(*relative_depth);
                self.cut();
            }
            Operator::BrTable { targets } => {
                self.pending.extend_from_slice(raw);
                targets
                    .targets()
                    .flatten()
                    .for_each(|depth| self.join(depth));
                self.join(targets.default());
                self.dead();
            }
            Operator::Return => {
                // The block around the body takes the place of the function's own label.
                let depth = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
                Instruction::Br(depth).encode(&mut self.pending);
                self.dead();
            }
            Operator::Unreachable => {
                self.pending.extend_from_slice(raw);
                self.dead();
            }
            Operator::Call { .. } | Operator::CallIndirect { .. } => {
                self.pending.extend_from_slice(raw);
                self.cut();
            }
            Operator::Select => self.apart(raw),
            Operator::MemoryGrow { .. } => self.paid_by(self.added.pay_pages, raw),
            Operator::MemoryCopy { .. }
            | Operator::MemoryFill { .. }
            | Operator::MemoryInit { .. } => self.paid_by(self.added.pay_bytes, raw),
            _ => self.pending.extend_from_slice(raw),
        }
    }

    /// A `select` whose condition comes from a local. wasmi 2.0.0 fuses one with an `i32.eqz`,
    /// `i32.eq` or `i32.ne` before it, and then tests a register that does not hold what was
    /// compared; a local between the two keeps them apart.
    fn apart(&mut self, raw: &[u8]) {
        for instruction in [
            Instruction::I64ExtendI32U,
            Instruction::LocalSet(self.scratch),
            Instruction::LocalGet(self.scratch),
            Instruction::I32WrapI64,
        ] {
            self.free(&instruction);
        }
        self.pending.extend_from_slice(raw);
    }

    fn paid_by(&mut self, function: u32, raw: &[u8]) {
        Instruction::Call(function).encode(&mut self.pending);
        self.pending.extend_from_slice(raw);
    }

    fn open(&mut self, raw: &[u8], is_loop: bool) {
        self.pending.extend_from_slice(raw);
        self.frames.push(Frame {
            live_after: self.live,
            joined: false,
            is_loop,
        });
    }

    fn close(&mut self, raw: &[u8]) {
        self.pending.extend_from_slice(raw);
        match self.frames.pop() {
            // A structure that nothing branches out of ends in the middle of a basic block.
            Some(frame) => {
                if frame.joined || !self.live {
                    self.cut();
                    self.live = frame.live_after;
                }
            }
            None => self.cut(),
        }
    }

    fn join(&mut self, depth: u32) {
        let Ok(depth) = usize::try_from(depth) else {
            return;
        };
        if let Some(frame) = self.frames.iter_mut().rev().nth(depth) {
            frame.joined |= !frame.is_loop;
        }
    }

    fn dead(&mut self) {
        self.cut();
        self.live = false;
    }

    /// Ends the basic block: the charge, then its operators.
    fn cut(&mut self) {
        if self.cost > 0 {
            let cost = i64::try_from(self.cost).unwrap_or(i64::MAX);
            pay(&mut self.out, self.added.gas, self.scratch, |out| {
                Instruction::I64Const(cost).encode(out);
            });
            self.cost = 0;
        }
        self.out.append(&mut self.pending);
    }
}

/// `gas -= amount; if gas < 0 { unreachable }`
pub(super) fn pay(out: &mut Vec<u8>, gas: u32, scratch: u32, amount: impl FnOnce(&mut Vec<u8>)) {
    Instruction::GlobalGet(gas).encode(out);
    amount(out);
    for instruction in [
        Instruction::I64Sub,
        Instruction::LocalTee(scratch),
        Instruction::GlobalSet(gas),
        Instruction::LocalGet(scratch),
        Instruction::I64Const(0),
        Instruction::I64LtS,
        Instruction::If(BlockType::Empty),
        Instruction::Unreachable,
        Instruction::End,
    ] {
        instruction.encode(out);
    }
}
