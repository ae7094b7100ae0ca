//! One token: minted by the owner, transferred by its holders, or by whom they approve.
//!
//! Who deploys is the owner; holders are the keys that sign requests, and zApps by their ids.
//!
//! Its invariant: the total is the sum of all balances. A mint that would pass 128 bits reverts,
//! so no balance can.

#![no_std]

#[zapp::zapp]
mod ledger {
    use zapp::prelude::*;

    static OWNER: Item<[u8; 32]> = Item::new(b"owner");
    static TOTAL: Item<u128> = Item::new(b"total");
    static BALANCES: Map<[u8; 32], u128> = Map::new(b"b");
    /// What a holder lets another spend.
    static ALLOWED: Map<([u8; 32], [u8; 32]), u128> = Map::new(b"a");

    #[error]
    enum Error {
        /// The sender holds less than the amount.
        InsufficientBalance = 100,
        /// Nothing would move.
        ZeroAmount = 101,
        /// The holder lets the caller spend less than the amount.
        NotAllowed = 102,
    }

    #[event]
    struct Minted {
        /// Zeros, so that both events have one shape.
        from: [u8; 32],
        to: [u8; 32],
        amount: u128,
    }

    #[event]
    struct Transferred {
        from: [u8; 32],
        to: [u8; 32],
        amount: u128,
    }

    #[event]
    struct Approved {
        holder: [u8; 32],
        spender: [u8; 32],
        amount: u128,
    }

    #[init]
    fn init() {
        OWNER.set(&caller());
    }

    /// Makes tokens; only the owner may. Answers with the recipient's balance.
    #[call]
    fn mint(to: [u8; 32], amount: u128) -> Result<u128> {
        ensure(amount > 0, Error::ZeroAmount)?;
        ensure(caller() == OWNER.load()?, Revert::NOT_OWNER)?;
        let total = TOTAL.or_default()?.checked_add(amount);
        TOTAL.set(&total.ok_or(Revert::OVERFLOW)?);
        let balance = credit(&to, amount)?;
        let from = [0; 32];
        Minted { from, to, amount }.emit();
        Ok(balance)
    }

    /// Moves the caller's tokens. Answers with the caller's balance.
    #[call]
    fn transfer(to: [u8; 32], amount: u128) -> Result<u128> {
        ensure(amount > 0, Error::ZeroAmount)?;
        let from = caller();
        shift(&from, &to, amount)?;
        BALANCES.or_default(&from)
    }

    /// Lets a spender move up to so much of the caller's tokens; it replaces what was allowed.
    #[call]
    fn approve(spender: [u8; 32], amount: u128) -> Result<()> {
        let of = (caller(), spender);
        set_allowed(&of, amount);
        let (holder, spender) = of;
        Approved {
            holder,
            spender,
            amount,
        }
        .emit();
        Ok(())
    }

    /// Moves a holder's tokens, as far as it lets the caller. Answers with what it still lets it.
    #[call]
    fn transfer_from(from: [u8; 32], to: [u8; 32], amount: u128) -> Result<u128> {
        ensure(amount > 0, Error::ZeroAmount)?;
        let of = (from, caller());
        let allowed = ALLOWED.or_default(&of)?.checked_sub(amount);
        let allowed = allowed.ok_or(Error::NotAllowed)?;
        set_allowed(&of, allowed);
        shift(&from, &to, amount)?;
        Ok(allowed)
    }

    /// What a holder lets a spender move.
    #[view]
    fn allowance(holder: [u8; 32], spender: [u8; 32]) -> Result<u128> {
        ALLOWED.or_default(&(holder, spender))
    }

    /// What a key holds.
    #[view]
    fn balance(holder: [u8; 32]) -> Result<u128> {
        BALANCES.or_default(&holder)
    }

    /// What all keys hold together.
    #[view]
    fn total() -> Result<u128> {
        TOTAL.or_default()
    }

    /// Who may mint.
    #[view]
    fn owner() -> Result<[u8; 32]> {
        OWNER.load()
    }

    fn shift(from: &[u8; 32], to: &[u8; 32], amount: u128) -> Result<()> {
        let left = BALANCES.or_default(from)?.checked_sub(amount);
        // Written before the credit is read: a transfer to oneself moves nothing.
        set_balance(from, left.ok_or(Error::InsufficientBalance)?);
        credit(to, amount)?;
        let (from, to) = (*from, *to);
        Transferred { from, to, amount }.emit();
        Ok(())
    }

    fn credit(holder: &[u8; 32], amount: u128) -> Result<u128> {
        let balance = BALANCES.or_default(holder)?.checked_add(amount);
        let balance = balance.ok_or(Revert::OVERFLOW)?;
        set_balance(holder, balance);
        Ok(balance)
    }

    /// Nothing allowed is no entry.
    fn set_allowed(of: &([u8; 32], [u8; 32]), amount: u128) {
        if amount == 0 {
            ALLOWED.remove(of);
        } else {
            ALLOWED.set(of, &amount);
        }
    }

    /// A balance of zero has no entry.
    fn set_balance(holder: &[u8; 32], amount: u128) {
        if amount == 0 {
            BALANCES.remove(holder);
        } else {
            BALANCES.set(holder, &amount);
        }
    }
}
