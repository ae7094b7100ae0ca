//! Whom a signing asks last: members that let signings wait.
//!
//! A signature takes t shares, and whoever holds one back holds the signature up until a spare
//! member takes its place. A member that did so [`LAPSES_MIN`] times is parked: others are asked
//! before it, with each further time for twice as many signings. Parked is not left out: where t
//! others are not at hand it is asked, a share in time ends its parking, and when its signings are
//! over it is asked like anybody. It costs a member nothing but its turn, for votes count as before.
//!
//! Only what this coordinator saw counts, by its own clock: no word of one member parks another.
//! What is never late is never parked, so a member that knows the bound can use it up in every signing:
//! 40 ms, or as long as its vote took and an eighth more, at most 250 ms. To vote later for that buys
//! nothing while t others vote before: then it is in no set.
//! Where more are late at once than may be down, it is the network, and nobody is parked.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use attestation::committee::Quorum;
use attestation::ids::Slot;

/// Longest wait for a member that is not parked where a parked one is at hand: as long as a silent
/// one is given at least.
pub(crate) const SPARE_WAIT_MS: u64 = 100;
/// Fewer lapses may be a restart, or a disk that hung.
const LAPSES_MIN: u8 = 3;
/// Most lapses that count: 1,024 signings.
const LAPSES_MAX: u8 = 10;
/// Shares in time that make up for a lapse. A member that is late as often as this allows slows
/// fewer than one signing in a hundred.
const SHARES_FOR_LAPSE: u8 = 128;

const _: () = assert!(LAPSES_MIN <= LAPSES_MAX);

/// What a coordinator remembers of the members' shares, at most an entry for each.
pub(crate) struct Parking {
    quorum: Quorum,
    members: BTreeMap<Slot, Record>,
}

/// A member that was late.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    lapses: u8,
    /// Shares in time towards the lapse that they make up for.
    in_time: u8,
    /// Signings for which others are asked before it.
    parked_for: u32,
}

impl Parking {
    /// Nobody has been late yet.
    pub(crate) const fn new(quorum: Quorum) -> Self {
        Self {
            quorum,
            members: BTreeMap::new(),
        }
    }

    /// Whether others are asked before this member.
    pub(crate) fn is_parked(&self, slot: Slot) -> bool {
        let record = self.members.get(&slot);
        record.is_some_and(|record| record.parked_for > 0)
    }

    /// t of those at hand, in slot order: first those who are not parked, and of them those with
    /// fewer lapses. None where there are fewer.
    pub(crate) fn choose<T>(&self, mut pool: Vec<T>, slot: impl Fn(&T) -> Slot) -> Option<Vec<T>> {
        let threshold = usize::from(self.quorum.threshold());
        if pool.len() < threshold {
            return None;
        }
        pool.sort_by_key(|one| (self.is_parked(slot(one)), self.lapses(slot(one)), slot(one)));
        pool.truncate(threshold);
        pool.sort_by_key(slot);
        Some(pool)
    }

    /// Whether to wait before a parked one of those at hand is asked: too few others are there, and
    /// enough may come.
    pub(crate) fn waits(
        &self,
        here: impl Iterator<Item = Slot>,
        coming: impl Iterator<Item = Slot>,
    ) -> bool {
        let threshold = usize::from(self.quorum.threshold());
        let here = here.filter(|slot| !self.is_parked(*slot)).count();
        let coming = coming.filter(|slot| !self.is_parked(*slot)).count();
        here < threshold && here.saturating_add(coming) >= threshold
    }

    /// What one package showed: whose shares came in time, and whose late, wrong or not at all.
    pub(crate) fn judge(&mut self, in_time: &BTreeSet<Slot>, late: &BTreeSet<Slot>) {
        if late.len() >= usize::from(self.quorum.blocking()) {
            return;
        }
        for slot in late {
            self.members.entry(*slot).or_default().lapse();
        }
        for slot in in_time {
            if let Some(record) = self.members.get_mut(slot) {
                record.share();
            }
        }
        self.members.retain(|_, record| record.lapses > 0);
    }

    /// A signing has ended in a signature.
    pub(crate) fn signed(&mut self) {
        for record in self.members.values_mut() {
            record.parked_for = record.parked_for.saturating_sub(1);
        }
    }

    fn lapses(&self, slot: Slot) -> u8 {
        self.members.get(&slot).map_or(0, |record| record.lapses)
    }
}

impl Record {
    fn lapse(&mut self) {
        self.lapses = self.lapses.saturating_add(1).min(LAPSES_MAX);
        if self.lapses >= LAPSES_MIN {
            self.parked_for = 1 << self.lapses;
        }
    }

    fn share(&mut self) {
        self.parked_for = 0;
        self.in_time = self.in_time.saturating_add(1);
        if self.in_time >= SHARES_FOR_LAPSE {
            self.in_time = 0;
            self.lapses = self.lapses.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIAR: Slot = Slot(2);

    fn parking() -> Parking {
        Parking::new(Quorum::new(5, 4).unwrap())
    }

    fn slots(slots: impl IntoIterator<Item = u16>) -> BTreeSet<Slot> {
        slots.into_iter().map(Slot).collect()
    }

    /// The liar is parked, for eight signings.
    fn with_one_parked() -> Parking {
        let mut parking = parking();
        for _ in 0..LAPSES_MIN {
            parking.judge(&slots([]), &slots([2]));
        }
        assert!(parking.is_parked(LIAR));
        parking
    }

    #[test]
    fn a_member_that_is_always_late_is_asked_ever_more_rarely() {
        let mut parking = with_one_parked();
        let mut waits = Vec::new();
        for _ in 0..10 {
            let mut wait = 0;
            while parking.is_parked(LIAR) {
                parking.signed();
                wait += 1;
            }
            waits.push(wait);
            parking.judge(&slots([1, 3, 4]), &slots([2]));
        }
        assert_eq!(
            waits,
            [8, 16, 32, 64, 128, 256, 512, 1_024, 1_024, 1_024],
            "and never for good"
        );
    }

    #[test]
    fn a_member_that_is_late_now_and_then_slows_fewer_than_one_signing_in_a_hundred() {
        for good in [0_u32, 1, 2, 7, 100, 127] {
            let (mut parking, mut late, mut streak) = (parking(), 0, 0);
            for _ in 0..100_000 {
                // A set that must have it unless it is parked: one spare member, which is down.
                let asked = !parking.is_parked(LIAR);
                let lapses = asked && streak >= good;
                parking.signed();
                if lapses {
                    parking.judge(&slots([1, 3, 4]), &slots([2]));
                    (late, streak) = (late + 1, 0);
                } else if asked {
                    parking.judge(&slots([1, 2, 3, 4]), &slots([]));
                    streak += 1;
                }
            }
            assert!(late < 1_000, "{late} with {good} in time between");
        }
    }

    #[test]
    fn a_few_lapses_long_ago_are_forgotten() {
        let mut parking = with_one_parked();
        for lapses in (0..LAPSES_MIN).rev() {
            for _ in 0..SHARES_FOR_LAPSE {
                parking.judge(&slots([2]), &slots([]));
            }
            assert_eq!(parking.lapses(LIAR), lapses);
        }
        assert!(parking.members.is_empty(), "and take no room");
    }

    #[test]
    fn a_parked_member_is_asked_where_t_others_are_not_at_hand_and_its_share_ends_it() {
        let mut parking = with_one_parked();
        let set = parking.choose(slots(1..=5).into_iter().collect(), |slot| *slot);
        assert_eq!(set, Some(slots([1, 3, 4, 5]).into_iter().collect()));
        let set = parking.choose(slots([1, 2, 3, 4]).into_iter().collect(), |slot| *slot);
        assert_eq!(set, Some(slots([1, 2, 3, 4]).into_iter().collect()));
        parking.judge(&slots([1, 2, 3, 4]), &slots([]));
        assert!(!parking.is_parked(LIAR));
        let few = slots([1, 3, 4]).into_iter().collect();
        assert_eq!(parking.choose(few, |slot| *slot), None);
    }

    #[test]
    fn a_parked_member_waits_for_others_only_where_they_can_take_its_place() {
        let mut parking = with_one_parked();
        let waits = |parking: &Parking, here: &[u16], coming: &[u16]| {
            let slots = |slots: &[u16]| slots.iter().map(|slot| Slot(*slot)).collect::<Vec<_>>();
            parking.waits(slots(here).into_iter(), slots(coming).into_iter())
        };
        assert!(waits(&parking, &[1, 2, 3, 4], &[5]));
        assert!(!waits(&parking, &[1, 2, 3, 4], &[]), "nobody else comes");
        assert!(!waits(&parking, &[1, 3, 4, 5], &[2]), "enough are here");
        for _ in 0..LAPSES_MIN {
            parking.judge(&slots([]), &slots([5]));
        }
        assert!(!waits(&parking, &[1, 2, 3, 4], &[5]), "parked, too");
    }

    #[test]
    fn where_more_are_late_than_may_be_down_nobody_is_parked() {
        let mut parking = parking();
        for _ in 0..100 {
            parking.judge(&slots([1, 3]), &slots([2, 4]));
        }
        assert!(parking.members.is_empty());
    }
}
