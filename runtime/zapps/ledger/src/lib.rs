//! One token: minted by the owner, transferred by its holders.
//!
//! Who deploys is the owner. Calls: `mint` (to 32, amount u128), `transfer` (to 32, amount u128);
//! views: `balance` (holder 32), `total`, `owner`. Holders are the keys that sign requests;
//! amounts are u128 big-endian.
//!
//! Its invariant: the total is the sum of all balances. A mint that would pass 128 bits reverts,
//! so no balance can.

#![no_std]

use zapp::{Args, Op, Request, Revert, caller, emit, join, output, state};

/// The sender holds less than the amount.
const INSUFFICIENT: Revert = Revert::new(100);
/// Nothing would move.
const ZERO_AMOUNT: Revert = Revert::new(101);

zapp::entry!(run, input_bytes_max = 128);
zapp::describe!(
    b"{\"zapp\":\"ledger\",\"calls\":[\
    {\"name\":\"mint\",\"input\":[\"to:bytes32\",\"amount:u128\"],\"output\":\"u128\"},\
    {\"name\":\"transfer\",\"input\":[\"to:bytes32\",\"amount:u128\"],\"output\":\"u128\"}],\
    \"views\":[{\"name\":\"balance\",\"input\":[\"holder:bytes32\"],\"output\":\"u128\"},\
    {\"name\":\"total\",\"input\":[],\"output\":\"u128\"},\
    {\"name\":\"owner\",\"input\":[],\"output\":\"bytes32\"}],\
    \"reverts\":{\"100\":\"insufficient balance\",\"101\":\"zero amount\"}}"
);

fn run(request: Request<'_>) -> Result<(), Revert> {
    let mut args = request.args;
    match (request.op, request.method) {
        (Op::Init, _) => {
            args.end()?;
            state::set(OWNER, &caller());
            Ok(())
        }
        (Op::Call, b"mint") => mint(args),
        (Op::Call, b"transfer") => transfer(args),
        (Op::View, b"balance") => {
            let holder = args.array()?;
            args.end()?;
            output(&balance(&holder)?.to_be_bytes());
            Ok(())
        }
        (Op::View, b"total") => {
            args.end()?;
            output(&total()?.to_be_bytes());
            Ok(())
        }
        (Op::View, b"owner") => {
            args.end()?;
            output(&owner()?);
            Ok(())
        }
        _ => Err(Revert::UNKNOWN_METHOD),
    }
}

/// Answers with the recipient's new balance.
fn mint(args: Args<'_>) -> Result<(), Revert> {
    let (to, amount) = recipient_and_amount(args)?;
    if caller() != owner()? {
        return Err(Revert::NOT_OWNER);
    }
    let total = total()?.checked_add(amount).ok_or(Revert::OVERFLOW)?;
    state::set(TOTAL, &total.to_be_bytes());
    let credited = credit(&to, amount)?;
    emit(b"minted", &moved(&[], &to, amount));
    output(&credited.to_be_bytes());
    Ok(())
}

/// Answers with the sender's new balance.
fn transfer(args: Args<'_>) -> Result<(), Revert> {
    let (to, amount) = recipient_and_amount(args)?;
    let from = caller();
    let left = balance(&from)?.checked_sub(amount).ok_or(INSUFFICIENT)?;
    // Written before the credit is read: a transfer to oneself moves nothing.
    set_balance(&from, left);
    credit(&to, amount)?;
    emit(b"transferred", &moved(&from, &to, amount));
    output(&balance(&from)?.to_be_bytes());
    Ok(())
}

fn recipient_and_amount(mut args: Args<'_>) -> Result<([u8; 32], u128), Revert> {
    let to = args.array()?;
    let amount = args.u128()?;
    args.end()?;
    if amount == 0 {
        return Err(ZERO_AMOUNT);
    }
    Ok((to, amount))
}

/// Event data: from 32 (zero for a mint) ‖ to 32 ‖ amount 16.
fn moved(from: &[u8], to: &[u8; 32], amount: u128) -> [u8; 80] {
    let from = if from.is_empty() { &[0; 32] } else { from };
    join(&[from, to, &amount.to_be_bytes()])
}

fn credit(holder: &[u8; 32], amount: u128) -> Result<u128, Revert> {
    let sum = balance(holder)?
        .checked_add(amount)
        .ok_or(Revert::OVERFLOW)?;
    set_balance(holder, sum);
    Ok(sum)
}

fn balance(holder: &[u8; 32]) -> Result<u128, Revert> {
    let value = state::array(&balance_key(holder))?;
    Ok(value.map_or(0, u128::from_be_bytes))
}

/// A balance of zero has no entry.
fn set_balance(holder: &[u8; 32], amount: u128) {
    let key = balance_key(holder);
    if amount == 0 {
        state::delete(&key);
    } else {
        state::set(&key, &amount.to_be_bytes());
    }
}

fn balance_key(holder: &[u8; 32]) -> [u8; 33] {
    join(&[b"b", holder])
}

fn total() -> Result<u128, Revert> {
    Ok(u128::from_be_bytes(
        state::array(TOTAL)?.unwrap_or_default(),
    ))
}

fn owner() -> Result<[u8; 32], Revert> {
    state::array(OWNER)?.ok_or(Revert::STATE)
}

const OWNER: &[u8] = b"owner";
const TOTAL: &[u8] = b"total";
