//! Amounts as people write them: QSR with up to eight decimals.

use std::fmt;
use std::str::FromStr;

/// 10⁻⁸ QSR in one QSR.
const UNIT: u64 = 100_000_000;
const DECIMALS: usize = 8;

/// An amount in 10⁻⁸ QSR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Qsr(pub(crate) u64);

impl FromStr for Qsr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(part) || text.ends_with('.') {
            return Err("not an amount of QSR, such as 12 or 0.5".to_owned());
        }
        if part.len() > DECIMALS {
            return Err("QSR has eight decimals".to_owned());
        }
        let too_much = || "more QSR than there can be".to_owned();
        let whole: u64 = whole.parse().map_err(|_| too_much())?;
        let part: u64 = format!("{part:0<DECIMALS$}").parse().unwrap_or_default();
        let amount = whole
            .checked_mul(UNIT)
            .and_then(|whole| whole.checked_add(part));
        amount.map(Self).ok_or_else(too_much)
    }
}

impl fmt::Display for Qsr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / UNIT, self.0 % UNIT);
        let part = format!("{part:08}");
        match part.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            part => write!(f, "{whole}.{part}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_they_are_written() {
        let table = [
            ("0", 0),
            ("1", UNIT),
            ("0.5", UNIT / 2),
            ("0.00000001", 1),
            ("12.34", 1_234_000_000),
            ("184467440737.09551615", u64::MAX),
        ];
        for (text, amount) in table {
            assert_eq!(text.parse(), Ok(Qsr(amount)), "{text}");
            assert_eq!(Qsr(amount).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e8",
            "1,5",
            "0.000000001",
            "1.2.3",
            "0x1",
            "184467440737.09551616",
            "99999999999999999999",
        ] {
            assert!(text.parse::<Qsr>().is_err(), "{text}");
        }
    }
}
