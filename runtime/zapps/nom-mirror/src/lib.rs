//! Balances of a Network of Momentum chain, recomputed from its account blocks.
//!
//! Who deploys is the owner. `genesis` (owner, once) loads the chain identifier and the opening
//! balances; `block` takes one account block in the binary form of the crate `nom`, recomputes its
//! hash, checks key and signature through the host, links it to its account's head and moves
//! balances. A block is refused with the code of a `nom::Refusal`, and nothing changes.
//!
//! What is believed: a user's block on its signature, a genesis block because chain and address
//! determine it. A contract's block carries no signature. It is taken from the owner only, as a
//! linked receive of a known send, and its output says so ([`Origin`]): it is as good as the
//! owner's word. Contract sends come inside the receive that commits to them. Tokens that a
//! contract creates are not followed: a contract's send needs a balance like any other.
//!
//! Output of `block`: origin u8 ‖ hash 32. Views: `balance` (address 20 ‖ token 10) → amount 32;
//! `head` (address 20) → height u64 ‖ hash 32 ‖ acknowledged momentum's height u64, empty where
//! the account has no block; `chain` → identifier u64.

#![no_std]

mod accounts;
mod blocks;

use nom::{Address, Genesis, Refusal, TokenStandard};
use zapp::{Args, Op, Request, Revert, caller, output, state};

/// Most of the input is a genesis configuration or a contract receive with its sends.
const INPUT_BYTES_MAX: usize = 16 * 1024;

zapp::entry!(run, input_bytes_max = INPUT_BYTES_MAX);
zapp::describe!(
    b"{\"zapp\":\"nom-mirror\",\"calls\":[\
    {\"name\":\"genesis\",\"input\":[\"genesis:bytes\"],\"output\":\"none\"},\
    {\"name\":\"block\",\"input\":[\"block:bytes\"],\"output\":\"origin:u8,hash:bytes32\"}],\
    \"views\":[\
    {\"name\":\"balance\",\"input\":[\"address:bytes20\",\"token:bytes10\"],\"output\":\"u256\"},\
    {\"name\":\"head\",\"input\":[\"address:bytes20\"],\"output\":\"bytes48\"},\
    {\"name\":\"chain\",\"input\":[],\"output\":\"u64\"}]}"
);

fn run(request: Request<'_>) -> Result<(), Revert> {
    let args = request.args;
    match (request.op, request.method) {
        (Op::Init, _) => {
            args.end()?;
            state::set(OWNER, &caller());
            Ok(())
        }
        (Op::Call, b"genesis") => genesis(args.rest()),
        (Op::Call, b"block") => blocks::accept(args.rest(), chain_identifier()?),
        (Op::View, b"balance") => balance(args),
        (Op::View, b"head") => head(args),
        (Op::View, b"chain") => {
            args.end()?;
            output(&chain_identifier()?.to_be_bytes());
            Ok(())
        }
        _ => Err(Revert::UNKNOWN_METHOD),
    }
}

fn genesis(input: &[u8]) -> Result<(), Revert> {
    if !is_owner()? {
        return Err(Revert::NOT_OWNER);
    }
    if state::contains(CHAIN) {
        return Err(refused(Refusal::GenesisAgain));
    }
    let genesis = Genesis::parse(input).map_err(refused)?;
    state::set(CHAIN, &genesis.chain_identifier.to_be_bytes());
    for (address, balances) in genesis.accounts() {
        accounts::expect_genesis_block(&address);
        for (token, amount) in balances {
            accounts::credit(&address, &token, amount)?;
        }
    }
    Ok(())
}

fn balance(mut args: Args<'_>) -> Result<(), Revert> {
    let address = Address::from_bytes(args.array()?);
    let token = TokenStandard::from_bytes(args.array()?);
    args.end()?;
    output(accounts::balance(&address, &token)?.as_bytes());
    Ok(())
}

fn head(mut args: Args<'_>) -> Result<(), Revert> {
    let address = Address::from_bytes(args.array()?);
    args.end()?;
    if let Some(head) = accounts::Head::load(&address)? {
        output(&head.to_bytes());
    }
    Ok(())
}

fn chain_identifier() -> Result<u64, Revert> {
    let identifier = state::array(CHAIN)?.ok_or(refused(Refusal::NoGenesis))?;
    Ok(u64::from_be_bytes(identifier))
}

fn is_owner() -> Result<bool, Revert> {
    let owner: [u8; 32] = state::array(OWNER)?.ok_or(Revert::STATE)?;
    Ok(owner == caller())
}

/// The revert that says why a block was refused.
fn refused(refusal: Refusal) -> Revert {
    Revert::new(refusal.code())
}

const OWNER: &[u8] = b"owner";
const CHAIN: &[u8] = b"chain";
