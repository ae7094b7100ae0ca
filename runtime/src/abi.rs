//! The host interface `zapp0`: names, types and numbers, without behaviour.
//!
//! The module name is the version. Numbers cross the boundary little-endian, as WebAssembly keeps
//! them. There are no handles and no guest allocator: the guest names the memory that the host
//! reads or writes, `(pointer, length)`.

use serde::{Deserialize, Serialize};
use wasmparser::ValType;

/// Module name of every import.
pub const MODULE: &str = "zapp0";
/// Export that runs: `(op, input length) -> code`; 0 commits, anything else reverts. The op is
/// the number of a [`state::execute::Op`].
pub const MAIN: &str = "zapp_main";
/// Export that the host reads and writes.
pub const MEMORY: &str = "memory";
/// Names that begin so belong to the instrumentation.
pub const RESERVED: &str = "__z";
/// Export of a metered module: gas left, `i64`.
pub const GAS: &str = "__z_gas";
/// Export of a metered module: logical stack left, `i32`.
pub const STACK: &str = "__z_sp";
/// Custom sections of the author that survive metering.
pub const CUSTOM_KEPT: [&str; 2] = ["zapp.abi", "zapp.manifest"];

/// Code of a call that [`Import::Abort`] ended.
pub const ABORT_CODE: u32 = u32::MAX;
/// `get`, `next` and `ctx` return this where there is nothing.
pub const NONE: i32 = -1;
/// `hash`: SHA-256.
pub const HASH_SHA256: i32 = 0;
/// `hash`: SHA3-256.
pub const HASH_SHA3_256: i32 = 1;
/// `hash`: Keccak-256.
pub const HASH_KECCAK256: i32 = 2;
/// `verify`: Ed25519, strict.
pub const VERIFY_ED25519: i32 = 0;

/// `call` returns this in its upper half where the zApp cannot be called: it does not exist, takes
/// no calls, runs already, or too many do. Below it: the status of a call as its leaf would say.
pub const NOT_CALLABLE: i64 = 4;
/// What `post` sends to: chain id (8 bytes), contract and receiver (32 each), gas (8), and a label
/// of up to 32 bytes.
pub const DESTINATION_BYTES: usize = 80;
/// What `pull` answers with before the value: the source's id (32 bytes), and 0 where not enough
/// members have a value, 1 before an integer of 8 bytes, or 2 before text.
pub const PULLED_BYTES: usize = 33;

/// What `ctx` tells; the numbers are its `field` argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Field {
    /// The zApp's own id, 32 bytes.
    Zapp = 0,
    /// Who called: the caller of the request, or the zApp that calls this one, 32 bytes.
    Caller = 1,
    /// The key that signed the request, 32 bytes.
    Origin = 2,
    /// Id of the request, 32 bytes.
    Request = 3,
    /// Height of the chain anchor, 8 bytes.
    Height = 4,
    /// Time of the step in Unix milliseconds, 8 bytes.
    Time = 5,
    /// Root of the state before the step, 32 bytes.
    PreRoot = 8,
    /// The committee, 32 bytes.
    Committee = 9,
}

impl Field {
    /// The field of a number; 6 (seed) and 7 (attached) are reserved and absent.
    #[must_use]
    pub const fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            0 => Self::Zapp,
            1 => Self::Caller,
            2 => Self::Origin,
            3 => Self::Request,
            4 => Self::Height,
            5 => Self::Time,
            8 => Self::PreRoot,
            9 => Self::Committee,
            _ => return None,
        })
    }
}

/// Why the host ended a call, besides gas. For the author: all of them are one status in the leaf.
/// Decided by the host alone, hence the same on every engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum HostFault {
    /// The logical stack is exhausted.
    Stack = 1,
    /// A pointer and length outside of the memory or of the input.
    Bounds = 2,
    /// A key that is empty or too long.
    Key = 3,
    /// A value, event or output that is too long.
    Length = 4,
    /// More writes than a call may make.
    Writes = 5,
    /// More events than a call may emit.
    Events = 6,
    /// A write in a view.
    ReadOnly = 7,
    /// An algorithm that this version of the interface does not have.
    Algorithm = 8,
    /// More outbound messages than a call may send, or one that is too long.
    Messages = 9,
    /// A method name that is no text, or input that names none.
    Method = 10,
}

macro_rules! imports {
    ($($(#[$doc:meta])* $name:ident = $text:literal ($($param:ident)*) $($result:ident)?;)*) => {
        /// A function of `zapp0`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Import {
            $($(#[$doc])* $name,)*
        }

        impl Import {
            /// Every function, in the order of their numbers in the trace.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Name in the import section.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// Parameter types.
            #[must_use]
            pub const fn parameters(self) -> &'static [ValType] {
                match self {
                    $(Self::$name => &[$(ValType::$param),*],)*
                }
            }

            /// Result types, none or one.
            #[must_use]
            pub const fn results(self) -> &'static [ValType] {
                match self {
                    $(Self::$name => &[$(ValType::$result)?],)*
                }
            }
        }
    };
}

imports! {
    /// `input(dst, off, len)`: copies a part of the input.
    Input = "input" (I32 I32 I32);
    /// `output(src, len)`: sets the output; the last one counts.
    Output = "output" (I32 I32);
    /// `ctx(field, dst) -> length`: copies a [`Field`]; -1 where absent.
    Context = "ctx" (I32 I32) I32;
    /// `gas_left() -> gas`.
    GasLeft = "gas_left" () I64;
    /// `get(key, len, dst, cap) -> length`: copies at most `cap` bytes of a value; -1 where absent.
    Get = "get" (I32 I32 I32 I32) I32;
    /// `set(key, len, value, len)`.
    Set = "set" (I32 I32 I32 I32);
    /// `del(key, len)`.
    Delete = "del" (I32 I32);
    /// `next(key, len, dst, cap) -> length`: copies at most `cap` bytes of the smallest key of
    /// this zApp above the given one, which may be empty; -1 at the end.
    Next = "next" (I32 I32 I32 I32) I32;
    /// `emit(topic, len, data, len)`: an event.
    Emit = "emit" (I32 I32 I32 I32);
    /// `hash(algorithm, src, len, dst)`: writes 32 bytes.
    Hash = "hash" (I32 I32 I32 I32);
    /// `verify(algorithm, message, len, signature, len, key, len) -> 1 or 0`.
    Verify = "verify" (I32 I32 I32 I32 I32 I32 I32) I32;
    /// `abort(message, len)`: reverts with the message as output and code [`ABORT_CODE`].
    Abort = "abort" (I32 I32);
    /// `log(text, len)`: for the author; outside of every digest.
    Log = "log" (I32 I32);
    /// `call(zapp, gas, input, len) -> status << 32 | length`: calls another zApp with at most so
    /// much gas, and with an input as it is to see it: length of the method's name in one byte, the
    /// name, the arguments. Its status is one of a leaf's, or [`NOT_CALLABLE`]. The length is that
    /// of its output, to be copied with `result`; of a revert, of the code (4 bytes) and the output.
    Call = "call" (I32 I64 I32 I32) I64;
    /// `result(dst, off, len)`: copies a part of what the last `call` put out.
    Result = "result" (I32 I32 I32);
    /// `post(to, len, payload, len)`: an outbound message; see [`DESTINATION_BYTES`].
    Post = "post" (I32 I32 I32 I32);
    /// `pull(index, len, dst, cap) -> length`: copies at most `cap` bytes of what members saw at a
    /// source of the request, named by its place in four bytes; -1 where it names no such source.
    /// See [`PULLED_BYTES`].
    Pull = "pull" (I32 I32 I32 I32) I32;
}

impl Import {
    /// Finds a function by its name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|import| import.name() == name)
    }
}

/// Text of the interface, for the runtime profile.
pub(crate) fn describe() -> String {
    let mut text = format!("{MODULE} {MAIN} {MEMORY} {GAS} {STACK}\n");
    for import in Import::ALL {
        text.push_str(&format!(
            "{} {:?} {:?}\n",
            import.name(),
            import.parameters(),
            import.results()
        ));
    }
    text
}
