//! The leaf that fixes a block of the committee's NoM account (rule E3).

use alloc::vec::Vec;

use super::{BLOCK, Fields, head};
use crate::codec::Malformed;
use crate::ids::{Seq, ZappId};

/// A block of the committee's NoM account: all that is hashed. The block's hash, which the group
/// signs, is SHA3-256 of the leaf from [`BlockLeaf::HASHED_FROM`] on.
///
/// A leaf at a height that an earlier one fixed issues that block again: it differs from it in
/// momentum, plasma, difficulty and nonce alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockLeaf {
    /// The step.
    pub seq: Seq,
    /// The network's chain identifier.
    pub chain: u64,
    /// [`BlockLeaf::SEND`] or [`BlockLeaf::RECEIVE`].
    pub block_type: u64,
    /// Hash of the account's block before; zeros at height 1.
    pub previous: [u8; 32],
    /// Position in the account's chain, from 1.
    pub height: u64,
    /// Hash of the momentum that it acknowledges.
    pub momentum: [u8; 32],
    /// Height of that momentum.
    pub momentum_height: u64,
    /// The account: the address of the group key.
    pub account: [u8; 20],
    /// Recipient of a send.
    pub to: [u8; 20],
    /// Amount of a send.
    pub amount: [u8; 32],
    /// Token of a send.
    pub token: [u8; 10],
    /// The block that a receive takes in.
    pub source: [u8; 32],
    /// SHA3-256 of the data.
    pub data: [u8; 32],
    /// Plasma from fused QSR.
    pub fused_plasma: u64,
    /// Difficulty of its proof of work.
    pub difficulty: u64,
    /// Nonce of its proof of work.
    pub nonce: [u8; 8],
}

impl BlockLeaf {
    /// Length in bytes.
    pub const LEN: usize = 348;
    /// Where the bytes begin whose SHA3-256 is the block's hash.
    pub const HASHED_FROM: usize = 42;
    /// The type of a block that sends.
    pub const SEND: u64 = 2;
    /// The type of a block that receives.
    pub const RECEIVE: u64 = 3;

    /// The fixed-offset layout of the module's table.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = head(BLOCK, &ZappId::SYSTEM, self.seq, Self::LEN);
        out.extend_from_slice(&VERSION);
        out.extend_from_slice(&self.chain.to_be_bytes());
        out.extend_from_slice(&self.block_type.to_be_bytes());
        out.extend_from_slice(&self.previous);
        out.extend_from_slice(&self.height.to_be_bytes());
        out.extend_from_slice(&self.momentum);
        out.extend_from_slice(&self.momentum_height.to_be_bytes());
        out.extend_from_slice(&self.account);
        out.extend_from_slice(&self.to);
        out.extend_from_slice(&self.amount);
        out.extend_from_slice(&self.token);
        out.extend_from_slice(&self.source);
        out.extend_from_slice(&NO_DESCENDANTS);
        out.extend_from_slice(&self.data);
        out.extend_from_slice(&self.fused_plasma.to_be_bytes());
        out.extend_from_slice(&self.difficulty.to_be_bytes());
        out.extend_from_slice(&self.nonce);
        out
    }

    /// Reads a block leaf.
    ///
    /// # Errors
    /// As [`super::Leaf::from_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(bytes, Self::LEN, BLOCK)?;
        fields.system()?;
        let seq = Seq(fields.number()?);
        fields.expect(VERSION)?;
        Ok(Self {
            seq,
            chain: fields.number()?,
            block_type: {
                let at = fields.here();
                match fields.number()? {
                    known @ (Self::SEND | Self::RECEIVE) => known,
                    _ => return Err(at),
                }
            },
            previous: fields.take()?,
            height: {
                let at = fields.here();
                match fields.number()? {
                    0 => return Err(at),
                    height => height,
                }
            },
            momentum: fields.take()?,
            momentum_height: fields.number()?,
            account: fields.take()?,
            to: fields.take()?,
            amount: fields.take()?,
            token: fields.take()?,
            source: fields.take()?,
            data: {
                fields.expect(NO_DESCENDANTS)?;
                fields.take()?
            },
            fused_plasma: fields.number()?,
            difficulty: fields.number()?,
            nonce: fields.take()?,
        })
    }

    /// Whether this leaf may issue the block of `other` again: the same but for momentum, plasma,
    /// difficulty and nonce (rule E3).
    #[must_use]
    pub fn reissues(&self, other: &Self) -> bool {
        self.fixed() == other.fixed()
    }

    /// All that stays when a block is issued again.
    #[must_use]
    pub fn fixed(&self) -> Self {
        Self {
            seq: Seq(0),
            momentum: [0; 32],
            momentum_height: 0,
            fused_plasma: 0,
            difficulty: 0,
            nonce: [0; 8],
            ..*self
        }
    }
}

/// The one version of blocks.
const VERSION: [u8; 8] = 1u64.to_be_bytes();
/// SHA3-256 of nothing: a user's block has no descendants.
const NO_DESCENDANTS: [u8; 32] = [
    0xa7, 0xff, 0xc6, 0xf8, 0xbf, 0x1e, 0xd7, 0x66, 0x51, 0xc1, 0x47, 0x56, 0xa0, 0x61, 0xd6, 0x62,
    0xf5, 0x80, 0xff, 0x4d, 0xe4, 0x3b, 0x49, 0xfa, 0x82, 0xd8, 0x0a, 0x4b, 0x80, 0xf8, 0x43, 0x4a,
];
