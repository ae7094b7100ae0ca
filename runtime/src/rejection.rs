//! Why a module is refused: the rule, where it is broken, and what to change.

use std::fmt;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $id:literal;)*) => {
        /// A rule of the gatekeeper. The id is stable: receipts, tools and documents name it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable id.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)*
                }
            }
        }
    };
}

rules! {
    /// More bytes than a module may have.
    Size = "size";
    /// Not a WebAssembly module, or one that is not valid.
    Malformed = "malformed";
    /// A type, section or encoding of a proposal that is not part of the profile.
    Feature = "feature";
    /// An operator that is not on the allow-list.
    Opcode = "opcode";
    /// Number of types.
    Types = "types";
    /// Parameters or results of a function or block.
    Signature = "signature";
    /// An import that `zapp0` does not have, or with another type.
    Import = "import";
    /// Number of functions.
    Functions = "functions";
    /// Size of a function body in bytes.
    Body = "body";
    /// Operators of a function.
    Operators = "ops";
    /// What compiling a function or the module costs.
    Weight = "weight";
    /// Blocks of a function or of the module.
    Blocks = "blocks";
    /// Blocks within blocks.
    Nesting = "nesting";
    /// Height of the operand stack.
    Operands = "operands";
    /// Locals of a function or of the module.
    Locals = "locals";
    /// Targets of a `br_table` or of all of them.
    Targets = "br_table.targets";
    /// Exactly one memory, its own, with a declared maximum.
    Memory = "mem";
    /// Initial size of the memory.
    MemoryMin = "mem.min";
    /// Declared maximum of the memory.
    MemoryMax = "mem.max";
    /// At most one table, of functions and of fixed size.
    Table = "table";
    /// Globals.
    Globals = "globals";
    /// Exports: the required ones, allowed kinds, reserved names.
    Export = "export";
    /// A start function.
    Start = "start";
    /// Number of element segments and entries, and their kind.
    Elements = "elem";
    /// An element segment outside of its table.
    ElementRange = "elem.range";
    /// Number and size of data segments.
    Data = "data";
    /// A data segment outside of the memory.
    DataRange = "data.range";
    /// Size of a kept custom section, or one twice.
    Custom = "custom";
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// The verdict on a module that may not run.
///
/// Rule, function and offset are the same on every member. The message is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Rejection {
    /// Rule that is broken.
    pub rule: Rule,
    /// Index of the function, imports counted, where the rule is about a function.
    pub function: Option<u32>,
    /// Byte of the module where the rule is broken.
    pub offset: usize,
    /// What is wrong and what to change.
    pub message: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.rule)?;
        if let Some(function) = self.function {
            write!(f, "function {function}, ")?;
        }
        write!(f, "byte {:#x}: {}", self.offset, self.message)
    }
}

impl Rejection {
    /// A rejection that concerns the module as a whole.
    pub(crate) fn new(rule: Rule, offset: usize, message: impl Into<String>) -> Self {
        Self {
            rule,
            function: None,
            offset,
            message: message.into(),
        }
    }

    /// Names the function.
    pub(crate) fn in_function(mut self, function: u32) -> Self {
        self.function = Some(function);
        self
    }
}

/// Refuses a count above its limit.
pub(crate) fn at_most<T: PartialOrd + fmt::Display>(
    rule: Rule,
    offset: usize,
    what: &str,
    actual: T,
    max: T,
) -> Result<(), Rejection> {
    if actual > max {
        return Err(Rejection::new(
            rule,
            offset,
            format!("{actual} {what}, at most {max} allowed"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Rule;

    #[test]
    fn rule_ids_are_distinct() {
        for (at, rule) in Rule::ALL.iter().enumerate() {
            assert!(
                Rule::ALL[at + 1..]
                    .iter()
                    .all(|other| other.id() != rule.id())
            );
        }
    }
}
