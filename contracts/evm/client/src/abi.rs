//! Calldata of the contract ABI, written by hand so that tests can also write it wrongly.

use sha3::{Digest as _, Keccak256};

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Anything of one word.
    Word([u8; 32]),
    /// `bytes`.
    Bytes(Vec<u8>),
    /// A dynamic array of words.
    Words(Vec<[u8; 32]>),
    /// A struct with a dynamic member.
    Struct(Vec<Value>),
}

/// A number as a word.
#[must_use]
pub fn number(value: u64) -> Value {
    Value::Word(word(value))
}

/// A number as 32 bytes.
#[must_use]
pub fn word(value: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&value.to_be_bytes());
    word
}

/// The first four bytes of a signature's Keccak-256.
#[must_use]
pub fn selector(signature: &str) -> [u8; 4] {
    let hash: [u8; 32] = Keccak256::digest(signature).into();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// A call: selector and arguments.
#[must_use]
pub fn call(signature: &str, arguments: &[Value]) -> Vec<u8> {
    [selector(signature).as_slice(), &encode(arguments)].concat()
}

/// Arguments, or a constructor's.
#[must_use]
pub fn encode(values: &[Value]) -> Vec<u8> {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for value in values {
        match value {
            Value::Word(word) => head.extend_from_slice(word),
            dynamic => {
                head.extend_from_slice(&word((32 * values.len() + tail.len()) as u64));
                tail.extend(dynamic.tail());
            }
        }
    }
    head.extend(tail);
    head
}

impl Value {
    fn tail(&self) -> Vec<u8> {
        match self {
            Self::Word(word) => word.to_vec(),
            Self::Bytes(bytes) => {
                let mut out = word(bytes.len() as u64).to_vec();
                out.extend_from_slice(bytes);
                out.resize(out.len().next_multiple_of(32), 0);
                out
            }
            Self::Words(words) => {
                let mut out = word(words.len() as u64).to_vec();
                out.extend(words.iter().flatten());
                out
            }
            Self::Struct(members) => encode(members),
        }
    }
}
