//! State per account: balances, head, sends under way.

use nom::{Address, Amount, Hash, Header, Refusal, TokenStandard};
use zapp::{Args, Revert, join, state};

use crate::refused;

/// The newest block of an account.
pub(crate) struct Head {
    pub(crate) height: u64,
    pub(crate) hash: Hash,
    pub(crate) momentum_height: u64,
}

impl Head {
    /// The account's head, or `None` where it has no block yet.
    pub(crate) fn load(address: &Address) -> Result<Option<Self>, Revert> {
        let Some(value) = state::array::<48>(&head_key(address))? else {
            return Ok(None);
        };
        let mut fields = Args::new(&value);
        Ok(Some(Self {
            height: fields.u64()?,
            hash: Hash::from_bytes(fields.array()?),
            momentum_height: fields.u64()?,
        }))
    }

    /// Height ‖ hash ‖ height of the acknowledged momentum.
    pub(crate) fn to_bytes(&self) -> [u8; 48] {
        join(&[
            &self.height.to_be_bytes(),
            self.hash.as_bytes(),
            &self.momentum_height.to_be_bytes(),
        ])
    }

    pub(crate) fn store(&self, address: &Address) {
        state::set(&head_key(address), &self.to_bytes());
    }
}

/// Notes that the account's chain begins with the block that the genesis configuration fixes.
pub(crate) fn expect_genesis_block(address: &Address) {
    state::set(&genesis_key(address), &[1]);
}

/// Whether the account's chain begins with a genesis block.
pub(crate) fn has_genesis_block(address: &Address) -> bool {
    state::contains(&genesis_key(address))
}

pub(crate) fn balance(address: &Address, token: &TokenStandard) -> Result<Amount, Revert> {
    let value = state::array(&balance_key(address, token))?;
    Ok(value.map_or(Amount::ZERO, Amount::from_bytes))
}

pub(crate) fn credit(
    address: &Address,
    token: &TokenStandard,
    amount: Amount,
) -> Result<(), Revert> {
    let sum = balance(address, token)?.checked_add(amount);
    set_balance(address, token, sum.ok_or(refused(Refusal::Overflow))?);
    Ok(())
}

pub(crate) fn debit(
    address: &Address,
    token: &TokenStandard,
    amount: Amount,
) -> Result<(), Revert> {
    let rest = balance(address, token)?.checked_sub(amount);
    set_balance(address, token, rest.ok_or(refused(Refusal::Overdraft))?);
    Ok(())
}

/// Notes a send, for its receive: recipient ‖ token ‖ amount.
pub(crate) fn open_send(hash: &Hash, header: &Header) {
    let value: [u8; SEND_BYTES] = join(&[
        header.to_address.as_bytes(),
        header.token_standard.as_bytes(),
        header.amount.as_bytes(),
    ]);
    state::set(&send_key(hash), &value);
}

/// Takes a send in for `recipient`, once.
pub(crate) fn close_send(
    hash: &Hash,
    recipient: &Address,
) -> Result<(TokenStandard, Amount), Revert> {
    let key = send_key(hash);
    let mut buffer = [0; SEND_BYTES];
    let send = state::bytes(&key, &mut buffer)?.ok_or(refused(Refusal::UnknownSend))?;
    if send == RECEIVED {
        return Err(refused(Refusal::AlreadyReceived));
    }
    let mut fields = Args::new(send);
    if fields.array()? != *recipient.as_bytes() {
        return Err(refused(Refusal::NotRecipient));
    }
    let token = TokenStandard::from_bytes(fields.array()?);
    let amount = Amount::from_bytes(fields.array()?);
    state::set(&key, RECEIVED);
    Ok((token, amount))
}

/// A balance of zero has no entry.
fn set_balance(address: &Address, token: &TokenStandard, amount: Amount) {
    let key = balance_key(address, token);
    if amount.is_zero() {
        state::delete(&key);
    } else {
        state::set(&key, amount.as_bytes());
    }
}

fn balance_key(address: &Address, token: &TokenStandard) -> [u8; 31] {
    join(&[b"b", address.as_bytes(), token.as_bytes()])
}

fn genesis_key(address: &Address) -> [u8; 21] {
    join(&[b"g", address.as_bytes()])
}

fn head_key(address: &Address) -> [u8; 21] {
    join(&[b"h", address.as_bytes()])
}

fn send_key(hash: &Hash) -> [u8; 33] {
    join(&[b"s", hash.as_bytes()])
}

/// Value of a send that was received: no send has one byte.
const RECEIVED: &[u8] = &[0];
const SEND_BYTES: usize = Address::LEN + TokenStandard::LEN + Amount::LEN;
