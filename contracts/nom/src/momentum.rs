//! Momentums: the network's own blocks, one producer each, that confirm account blocks.

use alloc::vec::Vec;

use sha3::{Digest as _, Sha3_256};

use crate::verify::{ed25519, sha3_256};
use crate::{Address, Hash, MomentumRef, Refusal, Seal};

/// A momentum: what one producer confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Momentum {
    /// The hash it claims.
    pub hash: Hash,
    /// Always 1.
    pub version: u64,
    /// The chain.
    pub chain_identifier: u64,
    /// Hash of the momentum before; zero at height 1.
    pub previous_hash: Hash,
    /// Position in the chain, from 1.
    pub height: u64,
    /// Unix seconds.
    pub timestamp: u64,
    /// Free bytes of the producer.
    pub data: Vec<u8>,
    /// The account blocks it confirms.
    pub content: Vec<MomentumHeader>,
    /// Digest of the state changes; not recomputable without the state.
    pub changes_hash: Hash,
    /// Producer's key and signature; none in the genesis momentum.
    pub seal: Option<Seal>,
    /// The producer's address.
    pub producer: Address,
}

/// One confirmed account block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MomentumHeader {
    /// Account.
    pub address: Address,
    /// Height in the account's chain.
    pub height: u64,
    /// Hash of the block.
    pub hash: Hash,
}

impl Momentum {
    /// How blocks and others name it.
    #[must_use]
    pub const fn reference(&self) -> MomentumRef {
        MomentumRef {
            hash: self.hash,
            height: self.height,
        }
    }

    /// The hash of the fields (`chain/nom/momentum.go:58-69`), whatever hash it claims.
    #[must_use]
    pub fn recomputed_hash(&self) -> Hash {
        let mut sorted = self.content.clone();
        sorted.sort_unstable();
        let mut content = Sha3_256::new();
        for header in &sorted {
            content.update(header.address.as_bytes());
            content.update(header.height.to_be_bytes());
            content.update(header.hash.as_bytes());
        }
        let hash = Sha3_256::new()
            .chain_update(self.version.to_be_bytes())
            .chain_update(self.chain_identifier.to_be_bytes())
            .chain_update(self.previous_hash.as_bytes())
            .chain_update(self.height.to_be_bytes())
            .chain_update(self.timestamp.to_be_bytes())
            .chain_update(sha3_256(&self.data).as_bytes())
            .chain_update(content.finalize())
            .chain_update(self.changes_hash.as_bytes());
        Hash::from_bytes(hash.finalize().into())
    }

    /// Checks hash, producer and signature; a momentum at height 1 carries none. Whether the
    /// producer was elected is known to full nodes only.
    ///
    /// # Errors
    /// The first rule that the momentum breaks.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.recomputed_hash() != self.hash {
            return Err(Refusal::BlockHash);
        }
        let Some(seal) = &self.seal else {
            return if self.height == 1 {
                Ok(())
            } else {
                Err(Refusal::Unsigned)
            };
        };
        if Address::from_key(&seal.public_key) != self.producer {
            return Err(Refusal::WrongKey);
        }
        if !ed25519(&seal.public_key, self.hash.as_bytes(), &seal.signature) {
            return Err(Refusal::Signature);
        }
        Ok(())
    }
}
