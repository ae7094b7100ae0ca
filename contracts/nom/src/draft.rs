//! Blocks on their way to a signature: where in a chain, what they do, how they are paid.

use alloc::vec::Vec;

use crate::work::Payment;
use crate::{
    Address, Amount, Block, BlockType, DATA_BYTES_MAX, Hash, Header, MomentumRef, Refusal, Seal,
    TokenStandard, VERSION, sha3_256,
};

/// The next place in an account's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The chain.
    pub chain_identifier: u64,
    /// The account.
    pub address: Address,
    /// Height of the block, from 1.
    pub height: u64,
    /// Hash of the block before; zero at height 1.
    pub previous_hash: Hash,
    /// The momentum whose state the block is judged against.
    pub momentum: MomentumRef,
}

/// A block without key and signature. Its hash is what the account's key signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    header: Header,
    data: Vec<u8>,
}

impl Place {
    /// The first place of an account that has no block yet.
    #[must_use]
    pub const fn first(chain_identifier: u64, address: Address, momentum: MomentumRef) -> Self {
        Self {
            chain_identifier,
            address,
            height: 1,
            previous_hash: Hash::ZERO,
            momentum,
        }
    }

    /// The place after a block, judged against `momentum`.
    ///
    /// # Errors
    /// [`Refusal::MomentumOrder`] if the block before acknowledges a later momentum,
    /// [`Refusal::Height`] beyond the last height.
    pub fn after(block: &Block, momentum: MomentumRef) -> Result<Self, Refusal> {
        let header = &block.header;
        if momentum.height < header.momentum_acknowledged.height {
            return Err(Refusal::MomentumOrder);
        }
        Ok(Self {
            chain_identifier: header.chain_identifier,
            address: header.address,
            height: header.height.checked_add(1).ok_or(Refusal::Height)?,
            previous_hash: block.hash,
            momentum,
        })
    }

    /// A send of `amount` of `token` with `data`; with nothing and no token, an anchor.
    #[must_use]
    pub const fn send(
        &self,
        to_address: Address,
        token_standard: TokenStandard,
        amount: Amount,
        data: Vec<u8>,
    ) -> Draft {
        let mut header = self.header(BlockType::UserSend);
        header.to_address = to_address;
        header.token_standard = token_standard;
        header.amount = amount;
        Draft { header, data }
    }

    /// The receive of a send.
    #[must_use]
    pub const fn receive(&self, from_block_hash: Hash) -> Draft {
        let mut header = self.header(BlockType::UserReceive);
        header.from_block_hash = from_block_hash;
        Draft {
            header,
            data: Vec::new(),
        }
    }

    const fn header(&self, block_type: BlockType) -> Header {
        Header {
            version: VERSION,
            chain_identifier: self.chain_identifier,
            block_type,
            previous_hash: self.previous_hash,
            height: self.height,
            momentum_acknowledged: self.momentum,
            address: self.address,
            to_address: Address::ZERO,
            amount: Amount::ZERO,
            token_standard: TokenStandard::ZERO,
            from_block_hash: Hash::ZERO,
            fused_plasma: 0,
            difficulty: 0,
            nonce: [0; 8],
        }
    }
}

impl Draft {
    /// How its plasma is paid; both enter the hash, the nonce is all zeros where there is no work.
    #[must_use]
    pub const fn paid(mut self, payment: Payment, nonce: [u8; 8]) -> Self {
        self.header.fused_plasma = payment.fused_plasma;
        self.header.difficulty = payment.difficulty;
        self.header.nonce = nonce;
        self
    }

    /// The fields.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The data.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Checks all that can be known before there is a signature: fields, length of the data, work.
    ///
    /// # Errors
    /// The first rule that the block breaks.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.header.block_type.is_send() && self.data.len() > DATA_BYTES_MAX {
            return Err(Refusal::DataLength);
        }
        self.header.check(&mut crate::verify::Native)
    }

    /// The 32 bytes that the account's key signs.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let no_descendants = sha3_256(&[]);
        let preimage = self.header.preimage(&no_descendants, &sha3_256(&self.data));
        sha3_256(&preimage)
    }

    /// The block, if key and signature are right and nothing else is wrong with it.
    ///
    /// The equation is the network's own (Go's `ed25519.Verify`), stricter than the one with which
    /// FROST libraries check what they aggregate.
    ///
    /// # Errors
    /// The first rule that the block breaks.
    pub fn sealed(self, seal: Seal) -> Result<Block, Refusal> {
        let block = Block {
            hash: self.hash(),
            header: self.header,
            seal: Some(seal),
            data: self.data,
            descendants: Vec::new(),
        };
        block.check(self.header.chain_identifier)?;
        Ok(block)
    }
}
