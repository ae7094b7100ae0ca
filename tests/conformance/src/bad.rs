//! Bad inputs: bytes that one of our decoders must refuse, and how.
//!
//! Every case is a file `bad/<format>/<reason>.hex`: a line `refused: <error>`, then the bytes in
//! hexadecimal. The error is written down beside the input, by hand, not taken from the code.

mod codec;
mod fixed;
mod keys;
mod messages;
mod receipts;

use attestation::address::Address;
use attestation::codec::decode;
use attestation::commit::Commit;
use attestation::committee::CreationRecord;
use attestation::group::TrustedKey;
use attestation::ids::GroupKey;
use attestation::leaf::Leaf;
use attestation::receipt::Receipt;
use attestation::request::Request;
use attestation::step_attestation::StepAttestation;

pub use codec::Shapes;

/// A bad input.
#[derive(Clone, Debug)]
pub struct Bad {
    /// Which decoder refuses it: a name that [`refusal`] knows.
    pub format: &'static str,
    /// What is wrong with it; the file's name.
    pub reason: &'static str,
    /// The error, as `Debug` prints it.
    pub error: &'static str,
    /// The input.
    pub bytes: Vec<u8>,
}

/// Every bad input.
#[must_use]
pub fn cases() -> Vec<Bad> {
    let mut cases = codec::cases();
    cases.extend(fixed::cases());
    cases.extend(receipts::cases());
    cases.extend(messages::cases());
    cases.extend(keys::cases());
    cases
}

/// How the decoder of a format refuses bytes; `None` if it takes them.
///
/// # Panics
/// If there is no such format.
#[must_use]
pub fn refusal(format: &str, bytes: &[u8]) -> Option<String> {
    match format {
        "codec" => error(decode::<Shapes>(bytes, codec::BYTES_MAX)),
        "commit" => error(Commit::from_bytes(bytes)),
        "leaf" => error(Leaf::from_bytes(bytes)),
        "receipt" => error(Receipt::from_bytes(bytes)),
        "step_attestation" => error(StepAttestation::from_bytes(bytes)),
        "request" => error(Request::from_bytes(bytes)),
        "committee" => error(CreationRecord::from_bytes(bytes)),
        "group_key" => {
            let bytes = bytes.try_into().expect("key cases have 32 bytes");
            error(TrustedKey::new(GroupKey::from_bytes(bytes)))
        }
        "address" => error(String::from_utf8_lossy(bytes).parse::<Address>()),
        _ => panic!("no format {format}"),
    }
}

fn error<T, E: core::fmt::Debug>(result: Result<T, E>) -> Option<String> {
    result.err().map(|error| format!("{error:?}"))
}

/// Good bytes with one of them changed.
fn with(good: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = good.to_vec();
    *bytes.get_mut(at).expect("the offset is within the sample") = byte;
    bytes
}

/// Good bytes with more at the end.
fn and(good: &[u8], more: &[u8]) -> Vec<u8> {
    [good, more].concat()
}

/// Good bytes without the last.
fn cut(good: &[u8]) -> Vec<u8> {
    good.split_last().expect("samples are not empty").1.to_vec()
}

/// Bytes in which one part is exchanged for another.
fn swap(good: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = good
        .windows(old.len())
        .position(|window| window == old)
        .expect("the part is in the sample");
    let (before, rest) = good.split_at(at);
    let (_, after) = rest.split_at(old.len());
    [before, new, after].concat()
}
