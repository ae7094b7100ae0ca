//! The rules that one block obeys by itself (`verifier/account_block.go`).

use crate::work;
use crate::{
    Address, BlockType, BlockView, DESCENDANTS_MAX, DIFFICULTY_MAX, Hash, Header, Refusal, VERSION,
};

/// The two primitives a block needs: this process's own (`verify`), or a zApp's host.
pub trait Crypto {
    /// SHA3-256 (FIPS 202, not Keccak).
    fn sha3_256(&mut self, bytes: &[u8]) -> Hash;

    /// Ed25519 over the raw message: canonical S, the equation without cofactor, as Go does.
    fn ed25519(&mut self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool;
}

impl BlockView<'_> {
    /// Checks everything that needs no state: chain, hash, key, signature, fields, work.
    ///
    /// A block that passes is authentic if its type is signed. A contract's block that passes is
    /// only well-formed: nothing in it says who made it.
    ///
    /// # Errors
    /// The first rule that the block or one of its descendants breaks.
    pub fn check(&self, chain_identifier: u64, crypto: &mut impl Crypto) -> Result<(), Refusal> {
        let descendants = self.check_descendants(chain_identifier, crypto)?;
        if self.header.version != VERSION {
            return Err(Refusal::Version);
        }
        if self.header.chain_identifier != chain_identifier {
            return Err(Refusal::ChainIdentifier);
        }
        let preimage = self.header.preimage(&descendants, &self.data_hash);
        let hash = crypto.sha3_256(&preimage);
        if hash != self.hash {
            return Err(Refusal::BlockHash);
        }
        self.check_seal(crypto)?;
        self.header.check_fields()?;
        self.header.check_work(crypto)
    }

    /// Checks the descendants and returns the digest of their hashes.
    fn check_descendants(
        &self,
        chain_identifier: u64,
        crypto: &mut impl Crypto,
    ) -> Result<Hash, Refusal> {
        let mut hashes = [[0; Hash::LEN]; DESCENDANTS_MAX];
        let mut count = 0;
        for (descendant, slot) in self.descendants().zip(&mut hashes) {
            let ours = descendant.header.block_type == BlockType::ContractSend
                && descendant.header.address == self.header.address;
            if self.header.block_type != BlockType::ContractReceive || !ours {
                return Err(Refusal::Descendants);
            }
            descendant.check(chain_identifier, crypto)?;
            *slot = *descendant.hash.as_bytes();
            count += Hash::LEN;
        }
        let hashes = hashes.as_flattened();
        Ok(crypto.sha3_256(hashes.get(..count).ok_or(Refusal::Malformed)?))
    }

    fn check_seal(&self, crypto: &mut impl Crypto) -> Result<(), Refusal> {
        let is_signed = self.header.block_type.is_signed();
        let Some(seal) = &self.seal else {
            return if is_signed {
                Err(Refusal::Unsigned)
            } else {
                Ok(())
            };
        };
        if !is_signed {
            return Err(Refusal::Signed);
        }
        let key_digest = crypto.sha3_256(&seal.public_key);
        if Address::from_key_digest(&key_digest) != self.header.address {
            return Err(Refusal::WrongKey);
        }
        if !crypto.ed25519(&seal.public_key, self.hash.as_bytes(), &seal.signature) {
            return Err(Refusal::Signature);
        }
        Ok(())
    }
}

impl Header {
    /// Checks version, fields and work: what a block's signature has no part in.
    #[cfg(feature = "verify")]
    pub(crate) fn check(&self, crypto: &mut impl Crypto) -> Result<(), Refusal> {
        if self.version != VERSION {
            return Err(Refusal::Version);
        }
        self.check_fields()?;
        self.check_work(crypto)
    }

    fn check_fields(&self) -> Result<(), Refusal> {
        let is_first = self.height == 1;
        if self.height == 0 || is_first != self.previous_hash.is_zero() {
            return Err(Refusal::FirstBlock);
        }
        match self.block_type {
            BlockType::GenesisReceive => {
                let expected = Self::genesis(self.chain_identifier, self.address);
                if *self != expected {
                    return Err(Refusal::GenesisBlock);
                }
                Ok(())
            }
            BlockType::UserSend => self.check_send(),
            BlockType::UserReceive => self.check_receive(),
            BlockType::ContractSend => self.check_contract().and_then(|()| self.check_send()),
            BlockType::ContractReceive => self.check_contract().and_then(|()| self.check_receive()),
        }
    }

    fn check_contract(&self) -> Result<(), Refusal> {
        if self.address.is_contract() {
            Ok(())
        } else {
            Err(Refusal::ContractAddress)
        }
    }

    fn check_send(&self) -> Result<(), Refusal> {
        let names_token = self.amount.is_zero() || !self.token_standard.is_zero();
        if names_token && self.amount.fits_block() && self.from_block_hash.is_zero() {
            Ok(())
        } else {
            Err(Refusal::SendFields)
        }
    }

    fn check_receive(&self) -> Result<(), Refusal> {
        let carries_nothing =
            self.amount.is_zero() && self.token_standard.is_zero() && self.to_address.is_zero();
        if carries_nothing && !self.from_block_hash.is_zero() {
            Ok(())
        } else {
            Err(Refusal::ReceiveFields)
        }
    }

    fn check_work(&self, crypto: &mut impl Crypto) -> Result<(), Refusal> {
        if self.difficulty == 0 {
            return Ok(());
        }
        if self.difficulty > DIFFICULTY_MAX {
            return Err(Refusal::Difficulty);
        }
        let seed = work::seed(&self.address, &self.previous_hash, crypto);
        if work::is_met(&seed, self.difficulty, self.nonce, crypto) {
            Ok(())
        } else {
            Err(Refusal::ProofOfWork)
        }
    }
}
