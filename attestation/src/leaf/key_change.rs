//! The leaf that ends a group key (rule B5).

use alloc::vec::Vec;

use super::{Fields, KEY_CHANGE, head};
use crate::codec::Malformed;
use crate::ids::{GroupKey, Seq, ZappId};

/// The end of a group key that contracts trust, and its successor (rule B5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyChangeLeaf {
    /// The step.
    pub seq: Seq,
    /// Whose key it is: [`KeyChangeLeaf::SECP256K1`] or [`KeyChangeLeaf::ED25519`].
    pub suite: u8,
    /// Last seq of the old key.
    pub last_seq: u64,
    /// The old key: SEC1 compressed, or a zero byte and the 32 bytes of an Ed25519 key.
    pub old: [u8; 33],
    /// The new key, likewise.
    pub new: [u8; 33],
}

impl KeyChangeLeaf {
    /// Length in bytes.
    pub const LEN: usize = 117;
    /// Suite FROST(secp256k1, KECCAK-256).
    pub const SECP256K1: u8 = 1;
    /// Suite FROST(Ed25519, SHA-512).
    pub const ED25519: u8 = 2;

    /// The end of an Ed25519 group key.
    #[must_use]
    pub fn of_ed25519(seq: Seq, last_seq: u64, old: &GroupKey, new: &GroupKey) -> Self {
        let field = |key: &GroupKey| {
            let mut field = [0; 33];
            field[1..].copy_from_slice(key.as_bytes());
            field
        };
        Self {
            seq,
            suite: Self::ED25519,
            last_seq,
            old: field(old),
            new: field(new),
        }
    }

    /// Old and new key of an Ed25519 group; `None` for another suite's, or a first byte not zero.
    #[must_use]
    pub fn ed25519(&self) -> Option<(GroupKey, GroupKey)> {
        let key = |field: &[u8; 33]| match field {
            [0, key @ ..] => Some(GroupKey::from_bytes(*key)),
            _ => None,
        };
        (self.suite == Self::ED25519)
            .then_some(())
            .and_then(|()| Some((key(&self.old)?, key(&self.new)?)))
    }

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
                    [suite @ (Self::SECP256K1 | Self::ED25519)] => suite,
                    _ => return Err(at),
                }
            },
            last_seq: fields.number()?,
            old: fields.take()?,
            new: fields.take()?,
        })
    }
}
