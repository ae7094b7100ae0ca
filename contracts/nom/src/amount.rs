//! Token amounts: 256-bit unsigned integers, as the block hash lays them out.

use core::fmt;

/// An amount in a token's smallest unit; 32 bytes big-endian in hashes and in state.
///
/// The network allows 255 bits per block ([`Amount::fits_block`]); sums use all 256.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount([u8; Amount::LEN]);

impl Amount {
    /// Length in bytes.
    pub const LEN: usize = 32;
    /// Nothing.
    pub const ZERO: Self = Self([0; Self::LEN]);

    /// Takes 32 big-endian bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// 32 big-endian bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Whether nothing is meant.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// Whether a block may carry it: at most 255 bits (`verifier/account_block.go:204-219`).
    #[must_use]
    pub fn fits_block(&self) -> bool {
        let [top, ..] = self.0;
        top < 0x80
    }

    /// The sum, or `None` beyond 256 bits.
    #[must_use]
    pub fn checked_add(mut self, other: Self) -> Option<Self> {
        let mut carry = false;
        for (to, from) in self.0.iter_mut().rev().zip(other.0.iter().rev()) {
            let (sum, over) = to.overflowing_add(*from);
            let (sum, over_by_carry) = sum.overflowing_add(u8::from(carry));
            *to = sum;
            carry = over || over_by_carry;
        }
        (!carry).then_some(self)
    }

    /// The difference, or `None` below zero.
    #[must_use]
    pub fn checked_sub(mut self, other: Self) -> Option<Self> {
        let mut borrow = false;
        for (to, from) in self.0.iter_mut().rev().zip(other.0.iter().rev()) {
            let (rest, under) = to.overflowing_sub(*from);
            let (rest, under_by_borrow) = rest.overflowing_sub(u8::from(borrow));
            *to = rest;
            borrow = under || under_by_borrow;
        }
        (!borrow).then_some(self)
    }

    /// Reads decimal digits as znnd prints them: no sign, no leading zero, at least one digit.
    #[must_use]
    pub fn from_decimal(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.is_empty() || (digits.len() > 1 && digits.first() == Some(&b'0')) {
            return None;
        }
        let mut value = Self::ZERO;
        for digit in digits {
            let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
            let mut carry = u16::from(digit);
            for byte in value.0.iter_mut().rev() {
                let [high, low] = (u16::from(*byte) * 10 + carry).to_be_bytes();
                *byte = low;
                carry = u16::from(high);
            }
            if carry != 0 {
                return None;
            }
        }
        Some(value)
    }
}

impl From<u128> for Amount {
    fn from(value: u128) -> Self {
        let mut bytes = [0; Self::LEN];
        for (to, from) in bytes.iter_mut().rev().zip(value.to_be_bytes().iter().rev()) {
            *to = *from;
        }
        Self(bytes)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 2^256 has 78 decimal digits.
        let mut digits = [b'0'; 78];
        let mut rest = self.0;
        for digit in digits.iter_mut().rev() {
            let mut remainder = 0u16;
            for byte in &mut rest {
                let value = remainder * 256 + u16::from(*byte);
                // The remainder is below 10, so the quotient is below 256.
                *byte = value.div_euclid(10).to_be_bytes()[1];
                remainder = value % 10;
            }
            *digit += remainder.to_be_bytes()[1];
        }
        let first = digits.iter().take(77).take_while(|digit| **digit == b'0');
        let skip = first.count();
        digits
            .iter()
            .skip(skip)
            .try_for_each(|digit| fmt::Write::write_char(f, char::from(*digit)))
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Amount({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};

    use super::*;

    const MAX: &str =
        "115792089237316195423570985008687907853269984665640564039457584007913129639935";

    #[test]
    fn decimal_text_round_trips() {
        for text in [
            "0",
            "1",
            "255",
            "256",
            "340282366920938463463374607431768211456",
            MAX,
        ] {
            let amount = Amount::from_decimal(text).expect(text);
            assert_eq!(amount.to_string(), text);
        }
        assert_eq!(Amount::from(u128::MAX).to_string(), u128::MAX.to_string());
    }

    #[test]
    fn other_text_is_no_amount() {
        let mut above = String::from(MAX);
        above.pop();
        above.push('6');
        for text in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1e3",
            "0x1",
            "1.0",
            above.as_str(),
        ] {
            assert_eq!(Amount::from_decimal(text), None, "{text:?}");
        }
    }

    #[test]
    fn sums_and_differences_stop_at_the_edges() {
        let max = Amount::from_bytes([0xff; 32]);
        let one = Amount::from(1);
        assert_eq!(max.checked_add(one), None);
        assert_eq!(Amount::ZERO.checked_sub(one), None);
        let big = Amount::from(u128::MAX).checked_add(one).expect("fits");
        assert_eq!(big.to_string(), "340282366920938463463374607431768211456");
        assert_eq!(big.checked_sub(one), Some(Amount::from(u128::MAX)));
        assert_eq!(max.checked_sub(max), Some(Amount::ZERO));
        assert!(!max.fits_block() && big.fits_block());
    }
}
