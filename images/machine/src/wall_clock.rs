//! The machine's battery-backed clock (CMOS), which the emulator keeps at the host's time.
//!
//! The kernel reads it once, at boot, and counts on its own from then on; whoever runs for days
//! reads it again.

/// Register numbers.
const SECOND: u8 = 0x00;
const MINUTE: u8 = 0x02;
const HOUR: u8 = 0x04;
const DAY: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
/// An update is under way: the registers do not fit together.
const UPDATING: u8 = 0x80;
/// The registers are binary, and the hour counts to 24.
const BINARY: u8 = 0x04;
const HOURS_24: u8 = 0x02;
/// Readings until two agree.
const TRIES_MAX: u32 = 10_000;

/// The clock's registers.
pub trait Registers {
    /// The value of a register.
    fn read(&mut self, register: u8) -> u8;
}

/// Seconds since the Unix epoch; `None` if the clock does not run or shows no date of this
/// century.
pub fn unix_seconds(clock: &mut impl Registers) -> Option<u64> {
    (0..TRIES_MAX).find_map(|_| {
        let first = reading(clock)?;
        (Some(first) == reading(clock)).then_some(first)
    })
}

/// One reading, if no update was under way.
fn reading(clock: &mut impl Registers) -> Option<u64> {
    if clock.read(STATUS_A) & UPDATING != 0 {
        return None;
    }
    let status = clock.read(STATUS_B);
    if status & HOURS_24 == 0 {
        return None;
    }
    let mut field = |register| {
        let value = u64::from(clock.read(register));
        if status & BINARY == 0 {
            (value >> 4) * 10 + (value & 0xf)
        } else {
            value
        }
    };
    let (second, minute, hour) = (field(SECOND), field(MINUTE), field(HOUR));
    let (day, month, year) = (field(DAY), field(MONTH), field(YEAR));
    let is_date = (1..=31).contains(&day) && (1..=12).contains(&month) && year < 100;
    is_date.then(|| ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from 1970-01-01 to a day of the year 2000 + `year`, in which every fourth year leaps.
fn days(year: u64, month: u64, day: u64) -> u64 {
    const DAYS_TO_2000: u64 = 10_957;
    const BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leaps = year.div_ceil(4) + u64::from(year.is_multiple_of(4) && month > 2);
    let before = usize::try_from(month - 1)
        .ok()
        .and_then(|month| BEFORE_MONTH.get(month));
    DAYS_TO_2000 + year * 365 + leaps + before.copied().unwrap_or(0) + day - 1
}

/// The clock of this machine.
#[cfg(target_os = "hermit")]
#[derive(Debug)]
pub struct Clock;

#[cfg(target_os = "hermit")]
#[allow(unsafe_code, reason = "ports are reached by instructions alone")]
impl Registers for Clock {
    fn read(&mut self, register: u8) -> u8 {
        let value: u8;
        // SAFETY: index and data port of the clock, which the kernel leaves alone after its boot.
        // Guests run in ring 0, where the instructions are allowed.
        unsafe {
            core::arch::asm!(
                "out 0x70, al",
                "in al, 0x71",
                inout("al") register => value,
                options(nomem, nostack),
            );
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    struct Shown(BTreeMap<u8, u8>);

    impl Registers for Shown {
        fn read(&mut self, register: u8) -> u8 {
            self.0.get(&register).copied().unwrap_or(0)
        }
    }

    fn shown(date: [u8; 6], status_b: u8) -> Shown {
        let registers = [YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, STATUS_B];
        let values = date.into_iter().chain([status_b]);
        Shown(registers.into_iter().zip(values).collect())
    }

    #[test]
    fn dates_of_this_century_are_read_in_both_notations() {
        let cases = [
            ([0, 1, 1, 0, 0, 0], 946_684_800),
            ([0, 2, 29, 23, 59, 59], 951_868_799),
            ([0, 3, 1, 0, 0, 0], 951_868_800),
            ([26, 11, 27, 23, 5, 26], 1_795_820_726),
            ([28, 12, 31, 12, 0, 0], 1_861_876_800),
        ];
        for (date, expected) in cases {
            let binary = unix_seconds(&mut shown(date, BINARY | HOURS_24));
            assert_eq!(binary, Some(expected), "{date:?}");
            let decimal = date.map(|value| value / 10 * 16 + value % 10);
            let decimal = unix_seconds(&mut shown(decimal, HOURS_24));
            assert_eq!(decimal, Some(expected), "{date:?}");
        }
    }

    #[test]
    fn a_clock_that_shows_no_date_or_never_stops_updating_is_not_believed() {
        assert_eq!(unix_seconds(&mut shown([26, 13, 1, 0, 0, 0], 6)), None);
        assert_eq!(unix_seconds(&mut shown([26, 0, 0, 0, 0, 0], 6)), None);
        let mut updating = shown([26, 11, 27, 0, 0, 0], 6);
        updating.0.insert(STATUS_A, UPDATING);
        assert_eq!(unix_seconds(&mut updating), None);
    }
}
