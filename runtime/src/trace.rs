//! Watching a run: every host call as the trace root covers it, and the bytes behind it.
//!
//! For authors, and for whoever looks for the first place where two members differ. A run that
//! nobody watches pays one branch for each host call. What is watched decides nothing: outcome,
//! gas and trace are the same with a watcher and without.

use attestation::ids::ZappId;

use crate::abi::Import;

/// A host call that has been answered. One that ended its run (no gas, a broken rule) is in no
/// trace: the outcome says why.
#[derive(Clone, Copy, Debug)]
pub struct HostCall<'a> {
    /// How many zApps wait for the one that runs; 0 in the one that the request calls.
    pub depth: usize,
    /// The zApp that runs.
    pub zapp: ZappId,
    /// The function.
    pub import: Import,
    /// Its 32-bit arguments in order: pointers, lengths, numbers.
    pub args: &'a [i32],
    /// The bytes that went in and came out, named by [`data_names`].
    pub data: &'a [&'a [u8]],
    /// What it returned; 0 for a function without result.
    pub result: i64,
    /// Gas that the zApp which runs has used so far, this call included.
    pub gas: u64,
}

/// Sees host calls in the order in which they are answered: those of a called zApp come before the
/// `call` that asked for it.
pub trait Watch {
    /// A host call has been answered.
    fn seen(&mut self, call: &HostCall<'_>);
}

/// Names of a function's 32-bit arguments.
#[must_use]
pub const fn argument_names(import: Import) -> &'static [&'static str] {
    match import {
        Import::Input | Import::Result => &["dst", "offset", "length"],
        Import::Output => &["src", "length"],
        Import::Context => &["field", "dst"],
        Import::GasLeft => &[],
        Import::Get | Import::Next => &["key", "key_length", "dst", "capacity"],
        Import::Set => &["key", "key_length", "value", "value_length"],
        Import::Delete => &["key", "key_length"],
        Import::Emit => &["topic", "topic_length", "data", "data_length"],
        Import::Hash => &["algorithm", "src", "length", "dst"],
        Import::Verify => &[
            "algorithm",
            "message",
            "message_length",
            "signature",
            "signature_length",
            "key",
            "key_length",
        ],
        Import::Abort => &["message", "length"],
        Import::Log => &["text", "length"],
        // The gas asked for has 64 bits and stands among the data.
        Import::Call => &["zapp", "input", "length"],
        Import::Post => &["to", "to_length", "payload", "payload_length"],
        Import::Pull => &["index", "index_length", "dst", "capacity"],
    }
}

/// Names of the bytes that went into and came out of a function. Where there was no answer, the
/// last ones are missing.
#[must_use]
pub const fn data_names(import: Import) -> &'static [&'static str] {
    match import {
        Import::Input => &["input"],
        Import::Output | Import::Result => &["output"],
        Import::Context => &["value"],
        Import::GasLeft => &[],
        Import::Get | Import::Set => &["key", "value"],
        Import::Delete => &["key"],
        Import::Next => &["after", "key"],
        Import::Emit => &["topic", "data"],
        Import::Hash => &["bytes", "digest"],
        Import::Verify => &["message", "signature", "key"],
        Import::Abort => &["message"],
        Import::Log => &["text"],
        Import::Call => &["zapp", "gas", "input", "trace"],
        Import::Post => &["to", "payload"],
        Import::Pull => &["index", "pulled"],
    }
}
