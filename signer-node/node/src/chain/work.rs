//! How the next block is paid: from plasma that QSR is fused for, the rest by work.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nom::client::{Client, Limits};
use nom::work::{Payment, find, native_seed};
use nom::{Address, BlockType, DIFFICULTY_MAX, Hash};
use state::system::nom::{Account, Order};

/// Blocks that were issued for an order and not taken, after which the node's word on plasma counts
/// no more and all is paid by work.
const DISTRUST: usize = 1;
/// The work is given up after so many times what is to be expected.
const LUCK: u64 = 40;

/// Payment and nonce, big-endian, for the block of an order. Blocks for as long as the work takes:
/// half a minute where nothing is fused.
///
/// # Errors
/// If the NoM node does not say what a block costs, or the work came to nothing.
pub fn prepare(url: &str, chain: u64, account: &Account, order: &Order) -> Result<(Payment, u64)> {
    let limits = Limits {
        connect: Duration::from_secs(3),
        answer: Duration::from_secs(8),
        ..Limits::default()
    };
    let client = Client::new(url, chain, limits)?;
    let address = Address::from_bytes(account.address);
    let (block_type, to, data) = match order {
        Order::Send { to, data, .. } => (
            BlockType::UserSend,
            Address::from_bytes(*to),
            data.as_slice(),
        ),
        Order::Receive { .. } => (BlockType::UserReceive, Address::ZERO, [].as_slice()),
    };
    let requirement = client.requirement(&address, block_type, &to, data)?;
    let available = match account.issued.len() < DISTRUST {
        true => requirement.available_plasma,
        false => 0,
    };
    let payment = Payment::split(requirement.base_plasma, available);
    if payment.difficulty == 0 {
        return Ok((payment, 0));
    }
    ensure!(
        payment.difficulty <= DIFFICULTY_MAX,
        "the next block needs more plasma than work gives: fuse QSR for {address}"
    );
    let seed = native_seed(&address, &Hash::from_bytes(*account.previous.as_bytes()));
    let attempts = payment.difficulty.saturating_mul(LUCK);
    let nonce = find(&seed, payment.difficulty, 0, attempts);
    let nonce = nonce.context("no proof of work found; it is tried again")?;
    Ok((payment, u64::from_be_bytes(nonce)))
}
