//! Who asks, when, and what the call leaves behind.

use crate::abi::{self, Field};

/// Who called this zApp: the key that signed the request, or the id of the zApp that calls, 32
/// bytes.
#[must_use]
pub fn caller() -> [u8; 32] {
    abi::context(Field::Caller)
}

/// The key that signed the request, 32 bytes.
#[must_use]
pub fn origin() -> [u8; 32] {
    abi::context(Field::Origin)
}

/// This zApp's id.
#[must_use]
pub fn zapp_id() -> [u8; 32] {
    abi::context(Field::Zapp)
}

/// Id of the request.
#[must_use]
pub fn request_id() -> [u8; 32] {
    abi::context(Field::Request)
}

/// The committee's id.
#[must_use]
pub fn committee() -> [u8; 32] {
    abi::context(Field::Committee)
}

/// Height of the chain momentum that the step is anchored to.
#[must_use]
pub fn height() -> u64 {
    u64::from_le_bytes(abi::context(Field::Height))
}

/// Time of the step in Unix milliseconds; the same for every request of the step.
#[must_use]
pub fn time_ms() -> u64 {
    u64::from_le_bytes(abi::context(Field::Time))
}

/// Gas that this call may still use. It depends on the caller's limit: never let a result follow
/// from it.
#[must_use]
pub fn gas_left() -> u64 {
    abi::gas_left()
}

/// Sets the call's output, at most 64 KiB; the last one counts.
pub fn output(bytes: &[u8]) {
    abi::output(bytes);
}

/// Adds an event: a topic of at most 256 bytes, data of at most 16 KiB.
pub fn emit(topic: &[u8], data: &[u8]) {
    abi::emit(topic, data);
}

/// Writes a line for the author; it costs gas and is part of no digest.
pub fn log(text: &str) {
    abi::log(text.as_bytes());
}

/// Ends the call at once, without effect, with a message as its output.
pub fn abort(message: &[u8]) -> ! {
    abi::abort(message)
}
