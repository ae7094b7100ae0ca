//! How far members are in key generations and changes, each in its own words: nodes tell each
//! other, so that at any of them an operator sees whom to ask, or to leave out of the next plan.
//!
//! Nobody signs it and no machine of the protocol reads it. What a node keeps of it is one list of at
//! most [`PARTS_MAX`] for each peer, the last that this peer said.

use std::collections::{BTreeMap, BTreeSet};

use attestation::ids::{Digest, Slot};
use gateway::{
    CeremonyStatus, ChangeStage, ChangeView, EpochView, MemberSays, PartStatus, WaitedFor,
};
use link::local::Progress;
use serde::{Deserialize, Serialize};
use signer_protocol::dkg::DkgProgress;

/// Most ceremonies that a member says anything of: the two keys, and the change that its operator
/// has approved.
pub const PARTS_MAX: usize = 3;

/// What all members do together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Ceremony {
    /// The key generation.
    Key,
    /// That of the key for EVM chains.
    EvmKey,
    /// The change with this plan.
    Change(Digest),
}

/// A member's part in a ceremony.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The ceremony.
    pub ceremony: Ceremony,
    /// How far the member is.
    pub stage: PartStage,
}

/// How far a member is in a ceremony.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartStage {
    /// It waits for others.
    Waits(DkgProgress),
    /// It has what the ceremony is for.
    Complete,
    /// For it the ceremony is over, without that.
    Aborted,
}

impl Part {
    /// Whether the member waits for others in this ceremony.
    #[must_use]
    pub fn waits_in(&self, ceremony: Ceremony) -> bool {
        self.ceremony == ceremony && matches!(self.stage, PartStage::Waits(_))
    }
}

/// What a node knows of its own member's parts.
#[derive(Debug, Default)]
pub struct Ceremonies {
    progress: Option<Progress>,
    /// Key generations that are over for this member without a key.
    aborted: BTreeSet<Ceremony>,
    /// Keys that the committee has.
    keys: Vec<Ceremony>,
    change: Option<Part>,
}

impl Ceremonies {
    /// How far the signer is in key generations; `None` once they are over.
    pub fn progress(&mut self, progress: Option<Progress>) {
        self.progress = progress;
    }

    /// A key generation is over, without a key.
    pub fn aborted(&mut self, key: Ceremony) {
        self.aborted.insert(key);
    }

    /// The committee has its key; what else is known of its epochs.
    pub fn epochs(&mut self, view: &EpochView) {
        self.has_keys(view.evm_key.is_some());
        self.change = view.change.as_ref().and_then(part_of_change);
    }

    /// The committee has its key, and that for EVM chains or not.
    pub(crate) fn has_keys(&mut self, evm: bool) {
        let evm_key = evm.then_some(Ceremony::EvmKey);
        self.keys = [Ceremony::Key].into_iter().chain(evm_key).collect();
    }

    /// What the member says. That it has a key is of interest while somebody waits for one.
    pub fn parts(&self, is_waited: impl Fn(Ceremony) -> bool) -> Vec<Part> {
        let told = self.progress.as_ref();
        let generations = [
            (Ceremony::Key, told.and_then(|told| told.generation.clone())),
            (Ceremony::EvmKey, told.and_then(|told| told.evm.clone())),
        ];
        let generations = generations.into_iter().filter_map(|(ceremony, progress)| {
            let stage = if self.keys.contains(&ceremony) {
                is_waited(ceremony).then_some(PartStage::Complete)
            } else if let Some(progress) = progress {
                Some(PartStage::Waits(progress))
            } else {
                let is_aborted = self.aborted.contains(&ceremony);
                is_aborted.then_some(PartStage::Aborted)
            };
            stage.map(|stage| Part { ceremony, stage })
        });
        generations.chain(self.change.clone()).collect()
    }

    /// How far key generations are, as parts of the node: once only the second key is missing, it
    /// alone is of interest.
    pub fn key_generations(&self) -> Vec<PartStatus> {
        let Some(progress) = &self.progress else {
            return Vec::new();
        };
        let first = progress.generation.is_some() || progress.evm.is_none();
        let first = first.then(|| detail(progress, progress.generation.as_ref()));
        let second = progress.evm.as_ref();
        let second = second.map(|evm| detail(progress, Some(evm)));
        let named = [("key generation", first), ("key generation (EVM)", second)];
        let named = named.into_iter().filter_map(|(name, detail)| {
            Some(PartStatus {
                name: name.to_owned(),
                up: true,
                detail: detail?,
                ..PartStatus::default()
            })
        });
        named.collect()
    }
}

fn detail(progress: &Progress, generation: Option<&DkgProgress>) -> String {
    let connected = format!(
        "{} of {} other members connected",
        progress.connected, progress.others
    );
    let Some(generation) = generation else {
        return connected;
    };
    let missing: Vec<String> = generation.missing.iter().map(ToString::to_string).collect();
    let missing = if missing.is_empty() {
        String::new()
    } else {
        format!(", not those of {}", missing.join(", "))
    };
    format!(
        "{} of {} members' {} here (attempt {}){missing}; {connected}",
        generation.here,
        progress.others.saturating_add(1),
        generation.stage,
        generation.attempt,
    )
}

/// What a member says of the change that its operator has approved, once its signer has begun.
fn part_of_change(change: &ChangeView) -> Option<Part> {
    let stage = match &change.stage {
        ChangeStage::Approved => return None,
        ChangeStage::Ceremony(progress) => PartStage::Waits(progress.clone()),
        ChangeStage::Ready(_) => PartStage::Complete,
        ChangeStage::Aborted(_) => PartStage::Aborted,
    };
    let ceremony = Ceremony::Change(change.plan.digest());
    Some(Part { ceremony, stage })
}

/// What members say, by ceremony.
#[must_use]
pub fn statuses<'a>(said: impl IntoIterator<Item = (Slot, &'a [Part])>) -> Vec<CeremonyStatus> {
    let mut ceremonies: BTreeMap<Ceremony, BTreeMap<Slot, &PartStage>> = BTreeMap::new();
    for (slot, parts) in said {
        for part in parts {
            let stages = ceremonies.entry(part.ceremony).or_default();
            stages.insert(slot, &part.stage);
        }
    }
    let ceremonies = ceremonies.into_iter();
    ceremonies
        .map(|(ceremony, stages)| status(ceremony, &stages))
        .collect()
}

fn status(ceremony: Ceremony, stages: &BTreeMap<Slot, &PartStage>) -> CeremonyStatus {
    let mut waited_for: BTreeMap<Slot, BTreeSet<Slot>> = BTreeMap::new();
    for (slot, stage) in stages {
        for missing in missing(stage) {
            waited_for.entry(*missing).or_default().insert(*slot);
        }
    }
    let (ceremony, plan) = match ceremony {
        Ceremony::Key => ("key", None),
        Ceremony::EvmKey => ("evm_key", None),
        Ceremony::Change(plan) => ("change", Some(plan)),
    };
    let waited_for = waited_for.into_iter().map(|(slot, by)| WaitedFor {
        slot,
        by: by.into_iter().collect(),
    });
    CeremonyStatus {
        ceremony,
        plan,
        members_say: stages
            .iter()
            .map(|(slot, stage)| says(*slot, stage))
            .collect(),
        waited_for: waited_for.collect(),
    }
}

fn missing(stage: &PartStage) -> &[Slot] {
    match stage {
        PartStage::Waits(progress) => &progress.missing,
        PartStage::Complete | PartStage::Aborted => &[],
    }
}

fn says(slot: Slot, stage: &PartStage) -> MemberSays {
    let (name, progress) = match stage {
        PartStage::Waits(progress) => (progress.stage.to_string(), Some(progress)),
        PartStage::Complete => ("complete".to_owned(), None),
        PartStage::Aborted => ("aborted".to_owned(), None),
    };
    MemberSays {
        slot,
        stage: name,
        attempt: progress.map(|progress| progress.attempt),
        here: progress.map(|progress| progress.here),
        missing: missing(stage).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use signer_protocol::dkg::DkgStage;

    use super::*;

    fn waits(stage: DkgStage, missing: &[u16]) -> PartStage {
        PartStage::Waits(DkgProgress {
            attempt: 2,
            stage,
            here: 3,
            missing: missing.iter().copied().map(Slot).collect(),
        })
    }

    fn part(ceremony: Ceremony, stage: PartStage) -> Part {
        Part { ceremony, stage }
    }

    #[test]
    fn who_is_waited_for_is_told_with_who_waits_in_each_ceremony() {
        let change = Ceremony::Change(Digest::from_bytes([7; 32]));
        let one = [
            part(Ceremony::Key, waits(DkgStage::Round1, &[2, 4])),
            part(change, PartStage::Aborted),
        ];
        let three = [part(Ceremony::Key, waits(DkgStage::Shares, &[4]))];
        let five = [part(Ceremony::Key, PartStage::Complete)];
        let said = [
            (Slot(5), &five[..]),
            (Slot(1), &one[..]),
            (Slot(2), &[]),
            (Slot(3), &three[..]),
        ];
        let told = statuses(said);
        let [key, change] = &told[..] else {
            panic!("{told:?}");
        };
        assert_eq!((key.ceremony, key.plan), ("key", None));
        let stages: Vec<_> = key.members_say.iter().collect();
        let stages = stages
            .iter()
            .map(|says| (says.slot.0, &*says.stage, says.here));
        assert_eq!(
            stages.collect::<Vec<_>>(),
            [
                (1, "commitments", Some(3)),
                (3, "shares", Some(3)),
                (5, "complete", None)
            ]
        );
        let waited = |slot, by: &[u16]| WaitedFor {
            slot: Slot(slot),
            by: by.iter().copied().map(Slot).collect(),
        };
        assert_eq!(key.waited_for, [waited(2, &[1]), waited(4, &[1, 3])]);
        assert_eq!(change.plan, Some(Digest::from_bytes([7; 32])));
        assert_eq!(change.waited_for, []);
    }

    #[test]
    fn who_says_the_same_twice_is_one_member_that_waits() {
        let twice = [
            part(Ceremony::Key, waits(DkgStage::Round1, &[4])),
            part(Ceremony::Key, waits(DkgStage::Round1, &[4, 4])),
        ];
        let told = statuses([(Slot(1), &twice[..])]);
        let says: Vec<usize> = told.iter().map(|key| key.members_say.len()).collect();
        assert_eq!(says, [1]);
        let by = |waited: &WaitedFor| (waited.slot, waited.by.clone());
        let waited: Vec<_> = told
            .iter()
            .flat_map(|key| key.waited_for.iter().map(by))
            .collect();
        assert_eq!(waited, [(Slot(4), vec![Slot(1)])]);
    }
}
