//! What cannot be brought now: the first such leaf of each lane, until it is through.
//!
//! Whoever posts messages chooses how much gas their receivers burn and whether the contract takes
//! them, so what is wrong with one lane must not hold the others. The pages of a source are not read
//! again for what waits here: each leaf is tried by itself, and only what has got through has the
//! steps after it looked at again.

use std::collections::BTreeMap;
use std::ops::Bound;

use attestation::ids::Digest;

use super::{Item, ItemKind, RelayError};

/// Most lanes of which something waits.
const LANES_MAX: usize = 1 << 16;
/// Most lanes that are tried again in one pass; they take turns.
const TRIES_MAX: usize = 64;
/// Transactions that may fail for one leaf: each costs fees, and one may be another relay's success.
const FAILURES_MAX: u8 = 2;

/// What keeps its order: leaves of one lane wait for each other, those of others do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// The steps that a ledger takes.
    Ledger,
    /// The key that takes effect next.
    Key,
    /// The messages of a channel.
    Channel(Digest),
    /// A key change.
    KeyChange {
        /// Its step.
        seq: u64,
        /// Its position.
        index: u64,
    },
}

/// Something that could not be brought in a pass. The relay goes on with all other lanes and comes
/// back to it in a later pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked<E> {
    /// What waits with it.
    pub lane: Lane,
    /// Its step.
    pub seq: u64,
    /// Why.
    pub error: RelayError<E>,
}

/// The first leaf of each lane that waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    items: BTreeMap<Lane, Held>,
    /// The last one that had its turn.
    last: Option<Lane>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    item: Item,
    failures: u8,
}

/// A leaf whose turn it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) lane: Lane,
    pub(super) item: Item,
    /// Whether too many transactions have failed for it: nothing is paid for it any more.
    pub(super) given_up: bool,
}

impl Waiting {
    /// Whether this leaf waits, or one before it in its lane.
    pub(super) fn holds(&self, item: &Item) -> bool {
        let held = self.items.get(&item.lane());
        held.is_some_and(|held| held.item.place() <= item.place())
    }

    /// Whether a key change waits that comes before this place.
    pub(super) fn holds_key_change_before(&self, (seq, index): (u64, u64)) -> bool {
        let first = Lane::KeyChange { seq: 0, index: 0 };
        self.items
            .range(first..Lane::KeyChange { seq, index })
            .next()
            .is_some()
    }

    /// Has its lane wait from this leaf on. Beyond [`LANES_MAX`] a leaf is not remembered, and comes
    /// again only with a relay that begins anew.
    pub(super) fn hold(&mut self, item: Item, has_failed: bool) {
        let lane = item.lane();
        if self.items.len() >= LANES_MAX && !self.items.contains_key(&lane) {
            return;
        }
        let first = Held { item, failures: 0 };
        let held = self.items.entry(lane).or_insert(first);
        // The chain undid what came before.
        if item.place() < held.item.place() {
            *held = first;
        }
        held.failures = held.failures.saturating_add(u8::from(has_failed));
    }

    pub(super) fn free(&mut self, lane: &Lane) {
        self.items.remove(lane);
    }

    /// Ends a turn early: the next one begins after this lane.
    pub(super) fn stop_after(&mut self, lane: Lane) {
        self.last = Some(lane);
    }

    /// Those that are tried in this pass.
    pub(super) fn turn(&mut self) -> Vec<Turn> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.items.range((after, Bound::Unbounded));
        let earlier = self.last.map(|last| self.items.range(..=last));
        let turn = later.chain(earlier.into_iter().flatten());
        let turn: Vec<Turn> = turn
            .take(TRIES_MAX)
            .map(|(lane, held)| Turn {
                lane: *lane,
                item: held.item,
                given_up: held.failures >= FAILURES_MAX,
            })
            .collect();
        self.last = turn.last().map(|turn| turn.lane);
        turn
    }
}

impl Item {
    /// Its step, and where it stands there.
    pub(super) const fn place(&self) -> (u64, u64) {
        (self.seq, self.index)
    }

    pub(super) const fn lane(&self) -> Lane {
        match self.kind {
            ItemKind::Message { channel, .. } => Lane::Channel(channel),
            ItemKind::KeyChange => Lane::KeyChange {
                seq: self.seq,
                index: self.index,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use attestation::ids::ZappId;

    use super::*;

    fn message(channel: u16) -> Item {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&channel.to_be_bytes());
        Item {
            seq: 1,
            index: 1,
            kind: ItemKind::Message {
                zapp: ZappId::from_bytes([1; 32]),
                channel: Digest::from_bytes(bytes),
                number: 1,
            },
        }
    }

    #[test]
    fn lanes_that_wait_take_turns_and_are_given_up_after_two_failed_transactions() {
        let mut waiting = Waiting::default();
        for channel in 0..100 {
            let item = message(channel);
            waiting.hold(item, false);
        }
        let mut seen = BTreeSet::new();
        for _ in 0..2 {
            let turn = waiting.turn();
            assert_eq!(turn.len(), TRIES_MAX);
            seen.extend(turn.iter().map(|turn| turn.lane));
        }
        assert_eq!(seen.len(), 100);
        for channel in 1..100 {
            waiting.free(&message(channel).lane());
        }
        for given_up in [false, false, true] {
            let turn = waiting.turn();
            assert!(turn.len() == 1 && turn[0].given_up == given_up, "{turn:?}");
            waiting.hold(message(0), true);
        }
    }

    #[test]
    fn a_lane_waits_from_its_first_leaf_on_also_when_an_earlier_one_comes_to_wait() {
        let at = |seq| Item { seq, ..message(1) };
        let mut waiting = Waiting::default();
        waiting.hold(at(5), true);
        waiting.hold(at(5), true);
        let holds = |waiting: &Waiting| [4, 5, 6].map(|seq| waiting.holds(&at(seq)));
        assert_eq!(holds(&waiting), [false, true, true]);
        waiting.hold(at(4), false);
        assert_eq!(holds(&waiting), [true, true, true]);
        let turn = waiting.turn();
        assert!(turn[0].item == at(4) && !turn[0].given_up, "{turn:?}");
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut waiting = Waiting::default();
        for index in 0..=LANES_MAX as u64 {
            let item = Item {
                index,
                kind: ItemKind::KeyChange,
                ..message(0)
            };
            waiting.hold(item, false);
        }
        assert_eq!(waiting.items.len(), LANES_MAX);
    }
}
