//! What resharing does not undo (rule B5): copies of old shares still sign under the group key.
//!
//! Shares of different plans do not mix, so what counts is one dealing at a time: how many of its
//! shares may be in the hands of members that were removed since, whose disks nobody erases, and
//! of members that are suspected. When they could reach its threshold, no ceremony keeps the key
//! safe any more, and the committee needs a new one. A plan that was given up counts like an epoch:
//! once its dealers have dealt, who was to be a member under it may hold a share of the key.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use attestation::codec;
use attestation::committee::MEMBERS_MAX;
use attestation::ids::{Epoch, Slot};
use serde::{Deserialize, Serialize};

use crate::membership::Membership;

/// Shares of the group key that were dealt: of an epoch, or under a plan that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dealing {
    /// The epoch, or the one that the plan would have made.
    pub epoch: Epoch,
    /// How many of them sign.
    pub threshold: u16,
    /// Who got one, rising.
    #[serde(deserialize_with = "codec::at_most::<{ MEMBERS_MAX as usize }, _, _>")]
    pub members: Vec<Slot>,
}

impl From<&Membership> for Dealing {
    fn from(members: &Membership) -> Self {
        Self {
            epoch: members.epoch(),
            threshold: members.threshold(),
            members: members.slots().collect(),
        }
    }
}

/// How close copies of one epoch's shares may be to its threshold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The epoch.
    pub epoch: Epoch,
    /// Its members that were removed since or are suspected, rising.
    pub holders: Vec<Slot>,
    /// Its threshold.
    pub threshold: u16,
}

impl Exposure {
    /// Whether the holders could sign alone: a new key must be asked for.
    #[must_use]
    pub fn needs_new_key(&self) -> bool {
        self.holders.len() >= usize::from(self.threshold)
    }

    /// How many further members may be removed or suspected before a new key is needed; 0 if it
    /// is needed.
    #[must_use]
    pub fn margin(&self) -> usize {
        usize::from(self.threshold).saturating_sub(self.holders.len())
    }
}

/// The dealing of a key whose shares are most exposed. `dealings` are all of the group key, with the
/// planned one last; `suspected` are slots whose shares may be known to others. Of those that are
/// equally exposed it is the latest in the list; `None` if there is none.
#[must_use]
pub fn exposure(dealings: &[Dealing], suspected: &BTreeSet<Slot>) -> Option<Exposure> {
    let last = dealings.last()?;
    let is_exposed = |slot: &Slot| !last.members.contains(slot) || suspected.contains(slot);
    let exposures = dealings.iter().map(|dealing| Exposure {
        epoch: dealing.epoch,
        holders: dealing.members.iter().copied().filter(is_exposed).collect(),
        threshold: dealing.threshold,
    });
    exposures.rev().min_by_key(Exposure::margin)
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "small numbers of members")]
mod tests {
    use alloc::vec;

    use attestation::committee::Card;
    use attestation::ids::{ChannelKey, CommitteeId, Digest, IdentityKey, NetworkId, Signature};
    use state::job::Domain;

    use super::*;

    fn epoch(number: u64, slots: &[u16], threshold: u16) -> Membership {
        let card = Card {
            identity: IdentityKey::from_bytes([1; 32]),
            channel: ChannelKey::from_bytes([1; 32]),
            image: Digest::from_bytes([0; 32]),
            payout: Card::NO_PAYOUT,
            signature: Signature::from_bytes([0; 64]),
            engine: None,
            sentinel: None,
        };
        let domain = Domain {
            network: NetworkId(1),
            committee: CommitteeId::from_bytes([0; 32]),
        };
        let members = slots.iter().map(|slot| (Slot(*slot), card.clone()));
        Membership::of_epoch(domain, Epoch(number), threshold, members, Slot(99))
    }

    #[test]
    fn removed_and_suspected_members_that_reach_a_threshold_ask_for_a_new_key() {
        let five = epoch(1, &[1, 2, 3, 4, 5], 4);
        type Case<'a> = (&'a str, Vec<Membership>, &'a [u16], (u64, usize, bool));
        let cases: [Case; 10] = [
            ("nothing happened", vec![five.clone()], &[], (1, 4, false)),
            (
                "three suspected",
                vec![five.clone()],
                &[1, 2, 3],
                (1, 1, false),
            ),
            (
                "four suspected",
                vec![five.clone()],
                &[1, 2, 3, 4],
                (1, 0, true),
            ),
            (
                "three removed",
                vec![five.clone(), epoch(2, &[4, 5, 6, 7, 8], 4)],
                &[],
                (1, 1, false),
            ),
            (
                "three removed and one suspected",
                vec![five.clone(), epoch(2, &[4, 5, 6, 7, 8], 4)],
                &[4],
                (1, 0, true),
            ),
            (
                "three removed and one suspected that came later",
                vec![five.clone(), epoch(2, &[4, 5, 6, 7, 8], 4)],
                &[6],
                (1, 1, false),
            ),
            (
                "removed one by one, never four of one epoch left behind",
                vec![
                    five.clone(),
                    epoch(2, &[2, 3, 4, 5, 6], 4),
                    epoch(3, &[3, 4, 5, 6, 7], 4),
                    epoch(4, &[4, 5, 6, 7, 8], 4),
                ],
                &[],
                (1, 1, false),
            ),
            (
                "the next removal reaches the first epoch's threshold",
                vec![
                    five.clone(),
                    epoch(2, &[2, 3, 4, 5, 6], 4),
                    epoch(3, &[3, 4, 5, 6, 7], 4),
                    epoch(4, &[4, 5, 6, 7, 8], 4),
                    epoch(5, &[5, 6, 7, 8, 9], 4),
                ],
                &[],
                (1, 0, true),
            ),
            (
                "a lower threshold in between counts",
                vec![
                    five,
                    epoch(2, &[1, 2, 3, 4], 3),
                    epoch(3, &[1, 2, 3, 4, 6], 4),
                ],
                &[1, 2, 3],
                (2, 0, true),
            ),
            (
                "a plan was given up that would have brought in three strangers, at a threshold of 3",
                vec![
                    epoch(1, &[1, 2, 3, 4], 3),
                    epoch(2, &[1, 6, 7, 8], 3),
                    epoch(3, &[1, 2, 3, 4], 3),
                ],
                &[],
                (2, 0, true),
            ),
        ];
        for (what, epochs, suspected, (number, margin, needs)) in cases {
            let suspected = suspected.iter().copied().map(Slot).collect();
            let dealings: Vec<Dealing> = epochs.iter().map(Dealing::from).collect();
            let found = exposure(&dealings, &suspected).unwrap();
            let figures = (found.epoch.0, found.margin(), found.needs_new_key());
            assert_eq!(figures, (number, margin, needs), "{what}");
        }
        assert_eq!(exposure(&[], &BTreeSet::new()), None);
    }
}
