//! What a committee charges: the lease terms that its creation record fixes.
//!
//! Amounts are 10⁻⁸ QSR. A request costs [`Terms::fee`] of the gas it used, whatever became of it;
//! a zApp leaves a deposit for each byte that it stores and gets it back when the byte is deleted.

use serde::{Deserialize, Serialize};

use crate::codec::Layout;
use crate::ids::IdentityKey;

/// Gas units of one price unit: prices are per million gas.
pub const PRICED_GAS: u64 = 1_000_000;
/// Highest price, fee or deposit: 10 QSR. Keeps every product of a step far below 2⁶³.
pub const PRICE_MAX: u64 = 1_000_000_000;
/// Most leading zero bits that paying with work may ask for.
pub const WORK_BITS_MAX: u8 = 48;
/// Most grants in a creation record.
pub const GRANTS_MAX: usize = 64;
/// Most that all grants together may be: more QSR than there will ever be, and every sum of
/// balances stays below 2⁶³.
pub const SUPPLY_MAX: u64 = 1 << 62;

/// Prices and conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// For a million gas, all members together.
    pub gas_price: u64,
    /// For a request, besides its gas.
    pub request_fee: u64,
    /// Deposit for a byte of state, key and value.
    pub byte_deposit: u64,
    /// Leading zero bits of the id of a request that pays with work; 0 where work does not pay.
    pub work_bits: u8,
    /// Most gas that a request paid with work may use.
    pub work_gas: u64,
}

/// A balance that an account begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Whose.
    pub account: IdentityKey,
    /// How much, 10⁻⁸ QSR.
    pub amount: u64,
}

/// Why terms or grants are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// A price, fee or deposit is above [`PRICE_MAX`].
    #[error("a price of {0}, at most 1000000000 (10 QSR) allowed")]
    Price(u64),
    /// More work than anybody can do.
    #[error("{0} bits of work, at most 48 allowed")]
    Work(u8),
    /// Too many grants.
    #[error("{0} grants, at most 64 allowed")]
    Grants(usize),
    /// Two grants to one account, or a grant of nothing.
    #[error("grant {0} is of nothing, or not in order of account")]
    Grant(usize),
    /// The grants are more than there is.
    #[error("the grants together exceed 2^62")]
    Supply,
}

impl Terms {
    /// Nothing costs anything.
    pub const FREE: Self = Self {
        gas_price: 0,
        request_fee: 0,
        byte_deposit: 0,
        work_bits: 0,
        work_gas: 0,
    };

    /// Whether nothing costs anything, so that no balance is ever looked at.
    #[must_use]
    pub const fn are_free(&self) -> bool {
        self.gas_price == 0 && self.request_fee == 0 && self.byte_deposit == 0
    }

    /// The fee of a request that used so much gas: gas rounded up to the next unit of price.
    /// Saturates where no step's gas leads.
    #[must_use]
    pub fn fee(&self, gas: u64) -> u64 {
        let priced = u128::from(gas) * u128::from(self.gas_price);
        let gas_fee = priced.div_ceil(u128::from(PRICED_GAS));
        let fee = gas_fee + u128::from(self.request_fee);
        u64::try_from(fee).unwrap_or(u64::MAX)
    }

    /// Checks every bound.
    ///
    /// # Errors
    /// [`TermsError`] names the one that is broken.
    pub fn check(&self) -> Result<(), TermsError> {
        for price in [self.gas_price, self.request_fee, self.byte_deposit] {
            if price > PRICE_MAX {
                return Err(TermsError::Price(price));
            }
        }
        if self.work_bits > WORK_BITS_MAX {
            return Err(TermsError::Work(self.work_bits));
        }
        Ok(())
    }

    pub(crate) fn lay(&self, layout: Layout) -> Layout {
        layout
            .number(self.gas_price)
            .number(self.request_fee)
            .number(self.byte_deposit)
            .number(self.work_bits)
            .number(self.work_gas)
    }
}

impl Grant {
    /// Checks that grants are few, in order of account, and sum up to what can exist.
    ///
    /// # Errors
    /// [`TermsError`] names the first bound that is broken.
    pub fn check_all(grants: &[Self]) -> Result<(), TermsError> {
        if grants.len() > GRANTS_MAX {
            return Err(TermsError::Grants(grants.len()));
        }
        let mut supply = 0_u64;
        let mut last: Option<&IdentityKey> = None;
        for (at, grant) in grants.iter().enumerate() {
            if grant.amount == 0 || last.is_some_and(|last| *last >= grant.account) {
                return Err(TermsError::Grant(at));
            }
            supply = supply.saturating_add(grant.amount);
            last = Some(&grant.account);
        }
        if supply > SUPPLY_MAX {
            return Err(TermsError::Supply);
        }
        Ok(())
    }

    /// All grants together.
    #[must_use]
    pub fn sum(grants: &[Self]) -> u64 {
        grants.iter().map(|grant| grant.amount).sum()
    }

    pub(crate) fn lay_all(grants: &[Self], layout: Layout) -> Layout {
        grants
            .iter()
            .fold(layout.number(grants.len() as u64), |layout, grant| {
                layout.fixed(grant.account.as_bytes()).number(grant.amount)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        gas_price: 250,
        request_fee: 10,
        byte_deposit: 1,
        work_bits: 20,
        work_gas: 1_000_000,
    };

    #[test]
    fn a_fee_is_rounded_up_and_never_wraps() {
        let table = [
            (0, 10),
            (1, 11),
            (4_000, 11),
            (4_001, 12),
            (PRICED_GAS, 260),
            (2_000_000_000, 500_010),
        ];
        for (gas, fee) in table {
            assert_eq!(TERMS.fee(gas), fee, "{gas} gas");
        }
        let dearest = Terms {
            gas_price: PRICE_MAX,
            ..TERMS
        };
        assert_eq!(dearest.fee(u64::MAX), u64::MAX);
        assert_eq!(Terms::FREE.fee(u64::MAX), 0);
        assert!(Terms::FREE.are_free() && !TERMS.are_free());
    }

    #[test]
    fn terms_out_of_bounds_are_refused() {
        let altered = |alter: fn(&mut Terms)| {
            let mut terms = TERMS;
            alter(&mut terms);
            terms.check()
        };
        let above = Err(TermsError::Price(PRICE_MAX + 1));
        assert_eq!(altered(|terms| terms.gas_price = PRICE_MAX + 1), above);
        assert_eq!(altered(|terms| terms.request_fee = PRICE_MAX + 1), above);
        assert_eq!(altered(|terms| terms.byte_deposit = PRICE_MAX + 1), above);
        assert_eq!(
            altered(|terms| terms.work_bits = 49),
            Err(TermsError::Work(49))
        );
        assert_eq!(TERMS.check(), Ok(()));
    }

    #[test]
    fn grants_out_of_order_or_beyond_the_supply_are_refused() {
        let grant = |byte, amount| Grant {
            account: IdentityKey::from_bytes([byte; 32]),
            amount,
        };
        let table = [
            (alloc::vec![grant(1, 5), grant(2, 1)], Ok(())),
            (
                alloc::vec![grant(1, 5), grant(1, 1)],
                Err(TermsError::Grant(1)),
            ),
            (
                alloc::vec![grant(2, 5), grant(1, 1)],
                Err(TermsError::Grant(1)),
            ),
            (alloc::vec![grant(2, 0)], Err(TermsError::Grant(0))),
            (
                alloc::vec![grant(1, SUPPLY_MAX), grant(2, 1)],
                Err(TermsError::Supply),
            ),
            (
                alloc::vec![grant(1, u64::MAX), grant(2, u64::MAX)],
                Err(TermsError::Supply),
            ),
            (
                (0..65).map(|byte| grant(byte, 1)).collect(),
                Err(TermsError::Grants(65)),
            ),
        ];
        for (grants, expected) in table {
            assert_eq!(Grant::check_all(&grants), expected, "{grants:?}");
        }
    }
}
