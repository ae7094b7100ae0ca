//! What members saw outside of the committee, for a request that names sources.

use crate::abi;
use crate::typed::Writer;

/// Longest text of a source in bytes.
pub const PULLED_BYTES_MAX: usize = 256;

/// What members saw at one source of the request.
///
/// Whoever calls names the sources: compare [`Pulled::source`] with those that the zApp trusts. A
/// value is the lower median, the most frequent or the common value of at least t members, as the
/// source says; a lower median lies within what honest members saw while fewer than half of t lie.
#[derive(Clone, Copy, Debug)]
pub struct Pulled {
    source: [u8; 32],
    kind: u8,
    bytes: [u8; PULLED_BYTES_MAX],
    len: usize,
}

/// The id of a source that is a call of a contract on an EVM chain, where t members must see the same:
/// `identical:evm:CHAIN:CONTRACT:DATA`. `data` is a selector with up to seven words of arguments;
/// more abort the call.
#[must_use]
pub fn evm_source(chain: u64, contract: &[u8; 20], data: &[u8]) -> [u8; 32] {
    let mut layout = [0; EVM_BYTES_MAX];
    let mut writer = Writer::new(&mut layout);
    writer.put(b"ZQSRCE1\0");
    writer.put(&EVM_CALL.to_be_bytes());
    writer.put(&chain.to_be_bytes());
    writer.put(contract);
    writer.put(&(2 * data.len() as u64).to_be_bytes());
    for byte in data {
        writer.put(&[digit(byte >> 4), digit(byte & 15)]);
    }
    // No pointer, no decimal places.
    writer.put(&[0; 16]);
    writer.put(&IDENTICAL.to_be_bytes());
    let length = writer.written();
    crate::sha256(layout.get(..length).unwrap_or_default())
}

const fn digit(value: u8) -> u8 {
    match value {
        0..=9 => b'0' + value,
        _ => b'a' + value - 10,
    }
}

/// What members saw at the source of this place, from 0; `None` if the request names fewer.
#[must_use]
pub fn pull(index: u32) -> Option<Pulled> {
    let mut answer = [0; HEAD_BYTES + PULLED_BYTES_MAX];
    let len = abi::pull(&index.to_le_bytes(), &mut answer)?;
    let (head, value) = answer.split_at(HEAD_BYTES);
    let (source, kind) = head.split_first_chunk()?;
    Some(Pulled {
        source: *source,
        kind: *kind.first()?,
        bytes: *value.first_chunk()?,
        len: len.checked_sub(HEAD_BYTES)?,
    })
}

impl Pulled {
    /// The source's id: a digest over place, pointer, decimal places and reducer.
    #[must_use]
    pub const fn source(&self) -> [u8; 32] {
        self.source
    }

    /// The number times 10^scale; `None` without a value, or where the source gives text.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        let bytes = (self.kind == INTEGER).then(|| self.bytes.first_chunk())??;
        Some(i64::from_le_bytes(*bytes))
    }

    /// The text's bytes; `None` without a value, or where the source gives a number.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        (self.kind == BYTES)
            .then(|| self.bytes.get(..self.len))
            .flatten()
    }
}

/// The place of such a source, and its reducer, as numbers.
const EVM_CALL: u64 = 2;
const IDENTICAL: u64 = 2;
/// A selector and seven words.
const EVM_DATA_BYTES_MAX: usize = 4 + 7 * 32;
const EVM_BYTES_MAX: usize = 8 + 8 + 8 + 20 + 8 + 2 * EVM_DATA_BYTES_MAX + 16 + 8;
/// A source's id and the kind of its value.
const HEAD_BYTES: usize = 33;
const INTEGER: u8 = 1;
const BYTES: u8 = 2;
