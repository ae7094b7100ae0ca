//! The binary form of blocks and of a genesis configuration, as zApps take them.
//!
//! Block: form u8 (1) ‖ hash 32 ‖ the preimage's fixed-width fields 242 ‖ SHA3-256 of the data 32
//! ‖ seal u8 (0 none, 1 key 32 ‖ signature 64) ‖ number of descendants u8 ‖ each: length u32 ‖
//! block. The data itself stays outside: the hash covers it by digest only, and receives may
//! carry more than a request holds. Genesis: chain u64 ‖ number of accounts u16 ‖ each: address
//! 20 ‖ number of tokens u8 ‖ each: token 10 ‖ amount 32. Integers are big-endian. A value has one
//! form.

#[cfg(feature = "verify")]
use alloc::vec::Vec;

#[cfg(feature = "verify")]
use crate::Block;
use crate::block::FIELDS_BYTES;
use crate::{Address, Amount, BlockType, Hash, Header, MomentumRef, Refusal, Seal, TokenStandard};

/// First byte of a block's binary form.
pub const BLOCK_FORM: u8 = 1;
/// Most descendants of a contract receive that the binary form holds.
pub const DESCENDANTS_MAX: usize = 32;
/// Longest binary form of a block.
pub const BLOCK_BYTES_MAX: usize =
    BLOCK_BYTES_MIN + SEAL_BYTES + DESCENDANTS_MAX * (4 + BLOCK_BYTES_MIN + SEAL_BYTES);

/// A block read in place: fields copied, descendants borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockView<'a> {
    /// The hash it claims.
    pub hash: Hash,
    /// The fields that are hashed as they are.
    pub header: Header,
    /// Key and signature of a user's block.
    pub seal: Option<Seal>,
    /// SHA3-256 of the block's data.
    pub data_hash: Hash,
    descendants: &'a [u8],
}

impl<'a> BlockView<'a> {
    /// Reads the binary form.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for any other bytes, [`Refusal::BlockType`] for an unknown type.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let block = Self::parse_one(bytes)?;
        let mut rest = Reader(block.descendants);
        let mut count = 0;
        while !rest.0.is_empty() {
            let descendant = Self::parse_one(rest.sized()?)?;
            if !descendant.descendants.is_empty() {
                return Err(Refusal::Malformed);
            }
            count += 1;
        }
        if count != usize::from(block.descendants_declared(bytes)?) {
            return Err(Refusal::Malformed);
        }
        Ok(block)
    }

    /// The descendants in order.
    pub fn descendants(&self) -> impl Iterator<Item = BlockView<'a>> {
        let mut rest = Reader(self.descendants);
        // `parse` has read every descendant, so the iterator ends only at their end.
        core::iter::from_fn(move || {
            let bytes = rest.sized().ok()?;
            Self::parse_one(bytes).ok()
        })
    }

    /// Everything but the nested blocks; those stay as bytes.
    fn parse_one(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let mut reader = Reader(bytes);
        if reader.array::<1>()? != [BLOCK_FORM] {
            return Err(Refusal::Malformed);
        }
        let hash = Hash::from_bytes(reader.array()?);
        let header = reader.header()?;
        let data_hash = Hash::from_bytes(reader.array()?);
        let seal = match reader.array()? {
            [0] => None,
            [1] => Some(Seal {
                public_key: reader.array()?,
                signature: reader.array()?,
            }),
            [_] => return Err(Refusal::Malformed),
        };
        let [count] = reader.array()?;
        if usize::from(count) > DESCENDANTS_MAX || (count == 0) != reader.0.is_empty() {
            return Err(Refusal::Malformed);
        }
        Ok(Self {
            hash,
            header,
            seal,
            data_hash,
            descendants: reader.0,
        })
    }

    /// The number of descendants, which stands just before them.
    fn descendants_declared(&self, bytes: &[u8]) -> Result<u8, Refusal> {
        let before = bytes.len().checked_sub(self.descendants.len());
        let at = before.and_then(|end| end.checked_sub(1));
        let count = at.and_then(|at| bytes.get(at));
        count.copied().ok_or(Refusal::Malformed)
    }
}

#[cfg(feature = "verify")]
impl Block {
    /// The binary form.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if there are too many descendants or nested ones.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Refusal> {
        let count = u8::try_from(self.descendants.len()).map_err(|_| Refusal::Malformed)?;
        let mut bytes = Vec::with_capacity(BLOCK_BYTES_MIN + SEAL_BYTES);
        bytes.push(BLOCK_FORM);
        bytes.extend_from_slice(self.hash.as_bytes());
        bytes.extend_from_slice(&self.header.fields());
        bytes.extend_from_slice(crate::sha3_256(&self.data).as_bytes());
        match &self.seal {
            None => bytes.push(0),
            Some(seal) => {
                bytes.push(1);
                bytes.extend_from_slice(&seal.public_key);
                bytes.extend_from_slice(&seal.signature);
            }
        }
        bytes.push(count);
        for descendant in &self.descendants {
            let nested = descendant.to_bytes()?;
            let length = u32::try_from(nested.len()).map_err(|_| Refusal::Malformed)?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&nested);
        }
        BlockView::parse(&bytes)?;
        Ok(bytes)
    }
}

/// A genesis configuration read in place: chain and opening balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Genesis<'a> {
    /// The chain's identifier.
    pub chain_identifier: u64,
    accounts: &'a [u8],
}

impl<'a> Genesis<'a> {
    /// Reads the binary form: accounts and tokens in rising order, amounts not zero.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for any other bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let mut reader = Reader(bytes);
        let chain_identifier = u64::from_be_bytes(reader.array()?);
        let count = u16::from_be_bytes(reader.array()?);
        let accounts = reader.0;
        let mut last = None;
        for _ in 0..count {
            let (address, mut balances) = reader.account()?;
            let mut last_token = None;
            while !balances.0.is_empty() {
                let (token, amount) = balances.balance()?;
                if amount.is_zero() || last_token.is_some_and(|last| last >= token) {
                    return Err(Refusal::Malformed);
                }
                last_token = Some(token);
            }
            if last.is_some_and(|last| last >= address) {
                return Err(Refusal::Malformed);
            }
            last = Some(address);
        }
        if !reader.0.is_empty() {
            return Err(Refusal::Malformed);
        }
        Ok(Self {
            chain_identifier,
            accounts,
        })
    }

    /// The accounts with their balances.
    pub fn accounts(
        &self,
    ) -> impl Iterator<Item = (Address, impl Iterator<Item = (TokenStandard, Amount)> + 'a)> {
        let mut rest = Reader(self.accounts);
        // `parse` has read every account, so the iterators end only at their end.
        core::iter::from_fn(move || {
            let (address, mut balances) = rest.account().ok()?;
            let balances = core::iter::from_fn(move || balances.balance().ok());
            Some((address, balances))
        })
    }
}

/// Writes the binary form of a genesis configuration, accounts and tokens in rising order.
///
/// # Errors
/// [`Refusal::Malformed`] if they are not, or too many, or an amount is zero.
#[cfg(feature = "verify")]
pub fn genesis_bytes(
    chain_identifier: u64,
    accounts: &[(Address, Vec<(TokenStandard, Amount)>)],
) -> Result<Vec<u8>, Refusal> {
    let count = u16::try_from(accounts.len()).map_err(|_| Refusal::Malformed)?;
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&chain_identifier.to_be_bytes());
    bytes.extend_from_slice(&count.to_be_bytes());
    for (address, balances) in accounts {
        let tokens = u8::try_from(balances.len()).map_err(|_| Refusal::Malformed)?;
        bytes.extend_from_slice(address.as_bytes());
        bytes.push(tokens);
        for (token, amount) in balances {
            bytes.extend_from_slice(token.as_bytes());
            bytes.extend_from_slice(amount.as_bytes());
        }
    }
    Genesis::parse(&bytes)?;
    Ok(bytes)
}

/// What is left of an input; every read checks the length first.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Refusal::Malformed)?;
        self.0 = rest;
        Ok(*head)
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Refusal> {
        let (head, rest) = self.0.split_at_checked(bytes).ok_or(Refusal::Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    /// A length u32, then that many bytes.
    fn sized(&mut self) -> Result<&'a [u8], Refusal> {
        let length = u32::from_be_bytes(self.array()?);
        self.take(usize::try_from(length).map_err(|_| Refusal::Malformed)?)
    }

    fn number(&mut self) -> Result<u64, Refusal> {
        self.array().map(u64::from_be_bytes)
    }

    fn header(&mut self) -> Result<Header, Refusal> {
        Ok(Header {
            version: self.number()?,
            chain_identifier: self.number()?,
            block_type: BlockType::from_number(self.number()?)?,
            previous_hash: Hash::from_bytes(self.array()?),
            height: self.number()?,
            momentum_acknowledged: MomentumRef {
                hash: Hash::from_bytes(self.array()?),
                height: self.number()?,
            },
            address: Address::from_bytes(self.array()?),
            to_address: Address::from_bytes(self.array()?),
            amount: Amount::from_bytes(self.array()?),
            token_standard: TokenStandard::from_bytes(self.array()?),
            from_block_hash: Hash::from_bytes(self.array()?),
            fused_plasma: self.number()?,
            difficulty: self.number()?,
            nonce: self.array()?,
        })
    }

    fn account(&mut self) -> Result<(Address, Reader<'a>), Refusal> {
        let address = Address::from_bytes(self.array()?);
        let [tokens] = self.array()?;
        let balances = self.take(usize::from(tokens) * BALANCE_BYTES)?;
        Ok((address, Reader(balances)))
    }

    fn balance(&mut self) -> Result<(TokenStandard, Amount), Refusal> {
        let token = TokenStandard::from_bytes(self.array()?);
        Ok((token, Amount::from_bytes(self.array()?)))
    }
}

const BALANCE_BYTES: usize = TokenStandard::LEN + Amount::LEN;
/// A block without seal and descendants.
const BLOCK_BYTES_MIN: usize = 1 + Hash::LEN + FIELDS_BYTES + Hash::LEN + 1 + 1;
const SEAL_BYTES: usize = 32 + 64;
