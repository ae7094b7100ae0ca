//! The leaf that ends a group key (rule B5).

use alloc::vec::Vec;

use super::{Fields, KEY_CHANGE, head};
use crate::codec::Malformed;
use crate::ids::{Seq, ZappId};

/// The end of a group key of another suite, and its successor (rule B5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyChangeLeaf {
    /// The step.
    pub seq: Seq,
    /// Whose key it is: [`KeyChangeLeaf::SECP256K1`].
    pub suite: u8,
    /// Last seq of the old key.
    pub last_seq: u64,
    /// The old key, SEC1 compressed.
    pub old: [u8; 33],
    /// The new key, SEC1 compressed.
    pub new: [u8; 33],
}

impl KeyChangeLeaf {
    /// Length in bytes.
    pub const LEN: usize = 117;
    /// Suite FROST(secp256k1, KECCAK-256).
    pub const SECP256K1: u8 = 1;

    /// The fixed-offset layout of the module's table.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = head(KEY_CHANGE, &ZappId::SYSTEM, self.seq, Self::LEN);
        out.push(self.suite);
        out.extend_from_slice(&self.last_seq.to_be_bytes());
        out.extend_from_slice(&self.old);
        out.extend_from_slice(&self.new);
        out
    }

    /// Reads a key-change leaf. Whether the keys are points is for their suite to say.
    ///
    /// # Errors
    /// As [`super::Leaf::from_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(bytes, Self::LEN, KEY_CHANGE)?;
        fields.system()?;
        Ok(Self {
            seq: Seq(fields.number()?),
            suite: {
                let at = fields.here();
                match fields.take()? {
                    [Self::SECP256K1] => Self::SECP256K1,
                    _ => return Err(at),
                }
            },
            last_seq: fields.number()?,
            old: fields.take()?,
            new: fields.take()?,
        })
    }
}
