//! One token: minted by the owner, transferred by its holders.
//!
//! Who deploys is the owner; holders are the keys that sign requests.
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

    #[error]
    enum Error {
        /// The sender holds less than the amount.
        InsufficientBalance = 100,
        /// Nothing would move.
        ZeroAmount = 101,
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
        let left = BALANCES.or_default(&from)?.checked_sub(amount);
        // Written before the credit is read: a transfer to oneself moves nothing.
        set_balance(&from, left.ok_or(Error::InsufficientBalance)?);
        credit(&to, amount)?;
        Transferred { from, to, amount }.emit();
        BALANCES.or_default(&from)
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

    fn credit(holder: &[u8; 32], amount: u128) -> Result<u128> {
        let balance = BALANCES.or_default(holder)?.checked_add(amount);
        let balance = balance.ok_or(Revert::OVERFLOW)?;
        set_balance(holder, balance);
        Ok(balance)
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
