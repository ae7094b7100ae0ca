//! Account blocks and the layout of their hash.

#[cfg(feature = "verify")]
use alloc::vec::Vec;

use crate::{Address, Amount, Hash, Refusal, TokenStandard};

/// The one block version (`verifier/account_block.go:161-169`).
pub const VERSION: u64 = 1;
/// Length of a block hash's preimage.
pub const PREIMAGE_BYTES: usize = 306;
/// Longest data of a send (`vm/constants`: `MaxDataLength`); receives have no limit.
pub const DATA_BYTES_MAX: usize = 16_384;
/// Highest proof-of-work difficulty that counts towards plasma (`vm/constants/plasma.go`).
pub const DIFFICULTY_MAX: u64 = 141_750_000;

/// An account block: one entry of one account's chain.
#[cfg(feature = "verify")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The hash it claims; [`crate::BlockView::check`] recomputes it.
    pub hash: Hash,
    /// The fields that are hashed as they are.
    pub header: Header,
    /// Key and signature of a user's block.
    pub seal: Option<Seal>,
    /// Free bytes, hashed by digest.
    pub data: Vec<u8>,
    /// Contract sends that a contract receive made, hashed by their hashes.
    pub descendants: Vec<Block>,
}

/// A block's fields of fixed width, all of them hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`VERSION`].
    pub version: u64,
    /// The chain: mainnet 1, or the genesis configuration's `ChainIdentifier`.
    pub chain_identifier: u64,
    /// What the block does.
    pub block_type: BlockType,
    /// Hash of the account's block before; zero at height 1.
    pub previous_hash: Hash,
    /// Position in the account's chain, from 1.
    pub height: u64,
    /// The momentum whose state the block is judged against.
    pub momentum_acknowledged: MomentumRef,
    /// The account.
    pub address: Address,
    /// Recipient of a send.
    pub to_address: Address,
    /// Amount sent.
    pub amount: Amount,
    /// Token sent.
    pub token_standard: TokenStandard,
    /// The send that a receive takes in.
    pub from_block_hash: Hash,
    /// Plasma taken from fused QSR.
    pub fused_plasma: u64,
    /// Proof-of-work difficulty; 0 for none.
    pub difficulty: u64,
    /// Proof-of-work nonce.
    pub nonce: [u8; 8],
}

/// A momentum by hash and height.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MomentumRef {
    /// Hash of the momentum.
    pub hash: Hash,
    /// Height of the momentum.
    pub height: u64,
}

/// Who made a user's block: not hashed, so a block keeps its hash whatever valid signature it
/// carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Ed25519 key of the account.
    pub public_key: [u8; 32],
    /// Ed25519 signature over the 32 bytes of the block's hash.
    pub signature: [u8; 64],
}

/// What a block does (`chain/nom/account_block.go:18-26`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BlockType {
    /// An account's balance in the genesis configuration.
    GenesisReceive = 1,
    /// A user sends.
    UserSend = 2,
    /// A user takes in a send.
    UserReceive = 3,
    /// A contract sends, as part of a contract receive.
    ContractSend = 4,
    /// A contract takes in a send.
    ContractReceive = 5,
}

impl BlockType {
    /// The number in hash and JSON.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::GenesisReceive => 1,
            Self::UserSend => 2,
            Self::UserReceive => 3,
            Self::ContractSend => 4,
            Self::ContractReceive => 5,
        }
    }

    /// The type of a number.
    ///
    /// # Errors
    /// [`Refusal::BlockType`] for any other number.
    pub const fn from_number(number: u64) -> Result<Self, Refusal> {
        match number {
            1 => Ok(Self::GenesisReceive),
            2 => Ok(Self::UserSend),
            3 => Ok(Self::UserReceive),
            4 => Ok(Self::ContractSend),
            5 => Ok(Self::ContractReceive),
            _ => Err(Refusal::BlockType),
        }
    }

    /// Whether a key and a signature belong to it.
    #[must_use]
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::UserSend | Self::UserReceive)
    }

    /// Whether tokens leave the account.
    #[must_use]
    pub const fn is_send(self) -> bool {
        matches!(self, Self::UserSend | Self::ContractSend)
    }
}

impl Header {
    /// The header of the block that the genesis configuration fixes for an account: everything
    /// but chain and address is zero, so this block needs no signature to be known.
    #[must_use]
    pub const fn genesis(chain_identifier: u64, address: Address) -> Self {
        Self {
            version: VERSION,
            chain_identifier,
            block_type: BlockType::GenesisReceive,
            previous_hash: Hash::ZERO,
            height: 1,
            momentum_acknowledged: MomentumRef {
                hash: Hash::ZERO,
                height: 0,
            },
            address,
            to_address: Address::ZERO,
            amount: Amount::ZERO,
            token_standard: TokenStandard::ZERO,
            from_block_hash: Hash::ZERO,
            fused_plasma: 0,
            difficulty: 0,
            nonce: [0; 8],
        }
    }

    /// The bytes whose SHA3-256 is the block's hash (`chain/nom/account_block.go:176-195`).
    ///
    /// `descendants` is SHA3-256 of the descendants' hashes one after another, `data` is SHA3-256
    /// of the data.
    #[must_use]
    pub fn preimage(&self, descendants: &Hash, data: &Hash) -> [u8; PREIMAGE_BYTES] {
        let fields = self.fields();
        let (start, plasma) = fields.split_at(FIELDS_BYTES - PLASMA_BYTES);
        let digests = [descendants.as_bytes(), data.as_bytes()];
        let mut preimage = [0; PREIMAGE_BYTES];
        let bytes = start.iter().chain(digests.into_iter().flatten());
        for (to, from) in preimage.iter_mut().zip(bytes.chain(plasma)) {
            *to = *from;
        }
        preimage
    }

    /// The fixed-width fields in the order of the preimage, as the binary form holds them.
    pub(crate) fn fields(&self) -> [u8; FIELDS_BYTES] {
        let parts: [&[u8]; 15] = [
            &self.version.to_be_bytes(),
            &self.chain_identifier.to_be_bytes(),
            &self.block_type.number().to_be_bytes(),
            self.previous_hash.as_bytes(),
            &self.height.to_be_bytes(),
            self.momentum_acknowledged.hash.as_bytes(),
            &self.momentum_acknowledged.height.to_be_bytes(),
            self.address.as_bytes(),
            self.to_address.as_bytes(),
            self.amount.as_bytes(),
            self.token_standard.as_bytes(),
            self.from_block_hash.as_bytes(),
            &self.fused_plasma.to_be_bytes(),
            &self.difficulty.to_be_bytes(),
            &self.nonce,
        ];
        let mut fields = [0; FIELDS_BYTES];
        for (to, from) in fields.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        fields
    }
}

/// Width of [`Header::fields`].
pub(crate) const FIELDS_BYTES: usize = 242;
/// Width of the three fields behind the two digests.
const PLASMA_BYTES: usize = 24;

const _: () = assert!(FIELDS_BYTES + 2 * Hash::LEN == PREIMAGE_BYTES);
