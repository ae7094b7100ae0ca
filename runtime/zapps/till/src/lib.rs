//! A till on the Network of Momentum: whoever sends it a token has it here, may give it to others,
//! and is paid out on request.
//!
//! Its invariant: for each token, the balances together are what deposits gave this zApp and it has
//! not paid out, so that no payout is refused for want of money.

#![no_std]

#[zapp::zapp]
mod till {
    use zapp::prelude::*;

    /// By address and token.
    static BALANCES: Map<([u8; 20], [u8; 10]), u128> = Map::new(b"b");

    #[error]
    enum Error {
        /// The caller's address has less than the amount.
        InsufficientBalance,
        /// Nothing would move.
        ZeroAmount,
    }

    #[event]
    struct Received {
        block: [u8; 32],
        from: [u8; 20],
        token: [u8; 10],
        amount: u128,
    }

    /// Books what was sent to this zApp, in favour of its sender. What comes with data was meant for
    /// something else and goes back.
    #[deposit]
    fn received(deposit: Deposit<0>) -> Result<()> {
        ensure(deposit.amount > 0, Error::ZeroAmount)?;
        let Deposit {
            block,
            from,
            token,
            amount,
            ..
        } = deposit;
        credit(from, token, amount)?;
        Received {
            block,
            from,
            token,
            amount,
        }
        .emit();
        Ok(())
    }

    /// Gives of the caller's balance to another address.
    #[call]
    fn give(to: [u8; 20], token: [u8; 10], amount: u128) -> Result<()> {
        debit(nom::address(&caller()), token, amount)?;
        credit(to, token, amount)
    }

    /// Pays of the caller's balance to the caller's address. Answers with what is left.
    #[call]
    fn withdraw(token: [u8; 10], amount: u128) -> Result<u128> {
        let to = nom::address(&caller());
        let left = debit(to, token, amount)?;
        pay(&to, &token, amount);
        Ok(left)
    }

    /// What an address has of a token.
    #[view]
    fn balance(of: [u8; 20], token: [u8; 10]) -> Result<u128> {
        BALANCES.or_default(&(of, token))
    }

    fn credit(to: [u8; 20], token: [u8; 10], amount: u128) -> Result<()> {
        let balance = BALANCES.or_default(&(to, token))?.checked_add(amount);
        BALANCES.set(&(to, token), &balance.ok_or(Revert::OVERFLOW)?);
        Ok(())
    }

    fn debit(from: [u8; 20], token: [u8; 10], amount: u128) -> Result<u128> {
        ensure(amount > 0, Error::ZeroAmount)?;
        let left = BALANCES.or_default(&(from, token))?.checked_sub(amount);
        let left = left.ok_or(Error::InsufficientBalance)?;
        match left {
            0 => BALANCES.remove(&(from, token)),
            _ => BALANCES.set(&(from, token), &left),
        };
        Ok(left)
    }
}
