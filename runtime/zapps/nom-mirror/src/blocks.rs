//! Taking in one block: check it by itself, link it, move balances.

use nom::{BlockType, BlockView, Crypto, Hash, Header, Refusal};
use zapp::{Revert, ed25519_verify, emit, join, output, sha3_256};

use crate::accounts::{self, Head};
use crate::{is_owner, refused};

/// On whose word a block was taken in; the first byte of the output.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Origin {
    /// The genesis configuration determines it.
    Genesis = 0,
    /// The account's key signed it.
    Signed = 1,
    /// A contract's block, which nobody signed: the mirror's owner vouches.
    Unsigned = 2,
}

/// Takes in the block or changes nothing: a revert undoes every write.
pub(crate) fn accept(input: &[u8], chain_identifier: u64) -> Result<(), Revert> {
    let block = BlockView::parse(input).map_err(refused)?;
    block.check(chain_identifier, &mut Host).map_err(refused)?;
    let origin = match block.header.block_type {
        BlockType::GenesisReceive => Origin::Genesis,
        BlockType::UserSend | BlockType::UserReceive => Origin::Signed,
        BlockType::ContractSend => return Err(refused(Refusal::ContractSend)),
        BlockType::ContractReceive if is_owner()? => Origin::Unsigned,
        BlockType::ContractReceive => return Err(refused(Refusal::Unvouched)),
    };
    for descendant in block.descendants() {
        link(&descendant.hash, &descendant.header)?;
    }
    link(&block.hash, &block.header)?;
    match block.header.block_type {
        BlockType::UserSend => send(&block.hash, &block.header)?,
        BlockType::UserReceive | BlockType::ContractReceive => receive(&block.header)?,
        BlockType::GenesisReceive | BlockType::ContractSend => {}
    }
    // In the chain a contract's sends stand before the receive that they are paid from.
    for descendant in block.descendants() {
        send(&descendant.hash, &descendant.header)?;
    }
    let taken: [u8; 33] = join(&[&[origin as u8], block.hash.as_bytes()]);
    emit(b"block", &taken);
    output(&taken);
    Ok(())
}

/// Makes the block its account's head.
fn link(hash: &Hash, header: &Header) -> Result<(), Revert> {
    let is_genesis = header.block_type == BlockType::GenesisReceive;
    let begins_with_genesis = || accounts::has_genesis_block(&header.address);
    match Head::load(&header.address)? {
        // The first block of an account of the genesis configuration is that block and no other.
        None if header.height != 1 => return Err(refused(Refusal::Height)),
        None if is_genesis != begins_with_genesis() => {
            return Err(refused(Refusal::GenesisBlock));
        }
        None => {}
        Some(head) => {
            if head.height.checked_add(1) != Some(header.height) {
                return Err(refused(Refusal::Height));
            }
            if header.previous_hash != head.hash {
                return Err(refused(Refusal::PreviousHash));
            }
            if header.momentum_acknowledged.height < head.momentum_height {
                return Err(refused(Refusal::MomentumOrder));
            }
        }
    }
    let head = Head {
        height: header.height,
        hash: *hash,
        momentum_height: header.momentum_acknowledged.height,
    };
    head.store(&header.address);
    Ok(())
}

fn send(hash: &Hash, header: &Header) -> Result<(), Revert> {
    if !header.amount.is_zero() {
        accounts::debit(&header.address, &header.token_standard, header.amount)?;
    }
    accounts::open_send(hash, header);
    Ok(())
}

fn receive(header: &Header) -> Result<(), Revert> {
    let (token, amount) = accounts::close_send(&header.from_block_hash, &header.address)?;
    if !amount.is_zero() {
        accounts::credit(&header.address, &token, amount)?;
    }
    Ok(())
}

/// Hashing and verifying, by the host.
struct Host;

impl Crypto for Host {
    fn sha3_256(&mut self, bytes: &[u8]) -> Hash {
        Hash::from_bytes(sha3_256(bytes))
    }

    fn ed25519(&mut self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        ed25519_verify(key, message, signature)
    }
}
