//! Committees that change: the network and the members of the key generation's tests, with other
//! sets of dealers and members.

mod elsewhere;
mod faults;
mod honest;
mod later;
mod oracles;
mod plans;

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use attestation::ids::{Epoch, NetworkId, RuntimeProfile, Slot};

use super::*;
use crate::dkg::tests::{Changing, Net, Suite, card, identity, signs};
use crate::identity::Ed25519Verify;

/// The profile of every epoch.
pub(super) const PROFILE: RuntimeProfile = RuntimeProfile::from_bytes([0; 32]);

/// A committee that has a key, and whoever holds shares of it.
pub(super) struct Held {
    pub(super) record: attestation::committee::CreationRecord,
    pub(super) base: Membership,
    pub(super) key: KeyRecord,
    pub(super) shares: BTreeMap<Slot, KeyShare<Suite>>,
}

impl Held {
    /// A committee in its first epoch.
    fn first(members: u16) -> Self {
        let mut net = Net::new(members, 7);
        net.run_until(500, "key generation", Net::all_done);
        let base = Membership::of(&net.record);
        Self::of(net, base)
    }

    /// What a ceremony has left in all members' hands.
    fn of(mut net: Net<'_>, base: Membership) -> Self {
        let mut shares = BTreeMap::new();
        let mut record = None;
        for (slot, member) in &mut net.members {
            if let Some((key, share)) = member.done.take() {
                record = Some(key);
                shares.insert(*slot, share);
            }
        }
        Self {
            record: net.record.clone(),
            base,
            key: record.unwrap(),
            shares,
        }
    }

    /// Shares as a restarted member has them.
    fn shares(&self) -> BTreeMap<Slot, KeyShare<Suite>> {
        let again = |share: &KeyShare<Suite>| KeyShare::from_bytes(&share.to_bytes()).unwrap();
        let all = self.shares.iter();
        all.map(|(slot, share)| (*slot, again(share))).collect()
    }

    fn plan(&self, dealers: &[u16], members: &[u16], threshold: u16) -> ChangePlan {
        ChangePlan {
            network: NetworkId(1),
            committee: self.base.domain().committee,
            base: self.base.epoch(),
            keys: vec![self.key.package_digest()],
            epoch: Epoch(self.base.epoch().0 + 1),
            dealers: dealers.iter().copied().map(Slot).collect(),
            members: members
                .iter()
                .map(|slot| PlannedMember {
                    slot: Slot(*slot),
                    card: card(*slot),
                })
                .collect(),
            threshold,
            profile: PROFILE,
        }
    }

    fn changing(&self, plan: ChangePlan) -> Changing {
        Changing {
            plan,
            base: self.base.clone(),
            key: self.key.clone(),
            shares: self.shares(),
        }
    }

    /// All dealers and new members of a plan, connected and started.
    fn net(&self, plan: &ChangePlan, seed: u64) -> Net<'static> {
        let members = plan.members.iter().map(|member| member.slot);
        let mut slots: Vec<_> = plan.dealers.iter().copied().chain(members).collect();
        slots.sort_unstable();
        slots.dedup();
        let changing = Some(self.changing(plan.clone()));
        Net::of(self.record.clone(), changing, &slots, seed)
    }

    /// Whatever a finished ceremony has come to is right: one record that verifies offline, shares
    /// of it with all new members and with nobody else, the same group key.
    fn after(&self, net: Net<'_>) -> Self {
        let plan = net.changing.as_ref().unwrap().plan.clone();
        let mut base = None;
        let mut signing = vec![];
        for (slot, member) in &net.members {
            let is_member = plan.members.iter().any(|member| member.slot == *slot);
            let key = match (&member.done, &member.dealt) {
                (Some((key, share)), None) => {
                    assert!(is_member, "member {slot} has a share");
                    assert!(share.belongs_to(key) && share.slot() == *slot);
                    assert_eq!(share.epoch(), plan.epoch);
                    signing.push(share);
                    key
                }
                (None, Some(key)) => {
                    assert!(!is_member, "member {slot} has no share");
                    key
                }
                _ => panic!("member {slot} has not ended"),
            };
            assert_eq!(key.group_key, self.key.group_key);
            base = Some(key.check_change(&plan, &self.base, &self.key).unwrap());
        }
        assert_eq!(signing.len(), plan.members.len());
        let (key, _) = net
            .members
            .values()
            .find_map(|one| one.done.as_ref())
            .unwrap();
        assert_eq!(KeyRecord::from_bytes(&key.to_bytes()).as_ref(), Ok(key));
        let threshold = usize::from(plan.threshold);
        assert!(signs(
            &signing[signing.len() - threshold..],
            key,
            b"the last t"
        ));
        assert!(signs(&signing[..threshold], key, b"the first t"));
        Self::of(net, base.unwrap())
    }

    /// Runs a change on good links.
    fn change(&self, dealers: &[u16], members: &[u16], threshold: u16) -> Self {
        let plan = self.plan(dealers, members, threshold);
        let mut net = self.net(&plan, 3);
        net.run_until(5_000, "good links", Net::all_done);
        for member in net.members.values() {
            // Several finished members tell one that only dealt.
            let is_told = |error: &DkgError| *error == DkgError::Over;
            assert!(
                member
                    .errors
                    .iter()
                    .all(|error| member.dealt.is_some() && is_told(error))
            );
        }
        self.after(net)
    }

    fn set(&self, slots: &[u16]) -> Vec<&KeyShare<Suite>> {
        slots
            .iter()
            .map(|slot| &self.shares[&Slot(*slot)])
            .collect()
    }
}
