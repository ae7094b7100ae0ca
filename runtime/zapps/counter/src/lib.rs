//! A number that everyone may add to.

#![no_std]

#[zapp::zapp]
mod counter {
    use zapp::prelude::*;

    static TOTAL: Item<u64> = Item::new(b"total");

    /// Somebody added to the total.
    #[event]
    struct Added {
        amount: u64,
    }

    /// Adds to the total and answers with it.
    #[call]
    fn add(amount: u64) -> Result<u64> {
        let total = TOTAL.or_default()?.checked_add(amount);
        let total = total.ok_or(Revert::OVERFLOW)?;
        TOTAL.set(&total);
        Added { amount }.emit();
        Ok(total)
    }

    /// The total.
    #[view]
    fn get() -> Result<u64> {
        TOTAL.or_default()
    }
}
