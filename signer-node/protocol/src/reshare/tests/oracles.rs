//! Reshare against the library's own refresh and repair, which know nothing of it, and under a
//! second suite.

use attestation::committee::CreationRecord;
use attestation::ids::Boot;
use frost_core::keys::{self, KeyPackage, PublicKeyPackage, refresh, repairable};
use frost_core::{Ciphersuite, Identifier};
use frost_ristretto255::Ristretto255Sha512;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::*;
use crate::dkg::tests::record;
use crate::dkg::{DkgOutput, Start};
use crate::identity::Ed25519Identity;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn identifier<C: Ciphersuite>(slot: u16) -> Identifier<C> {
    Identifier::try_from(slot).unwrap()
}

type Packages<C> = BTreeMap<Identifier<C>, KeyPackage<C>>;

fn packages(held: &Held) -> Packages<Suite> {
    let shares = held.shares.values();
    let package = |share: &KeyShare<Suite>| share.key_package().clone();
    shares
        .map(|share| (*share.key_package().identifier(), package(share)))
        .collect()
}

/// The secret behind any t of these shares, as the library computes it.
fn secret<C: Ciphersuite>(packages: &Packages<C>, slots: &[u16]) -> Vec<u8> {
    let set: Vec<_> = slots
        .iter()
        .map(|slot| packages[&identifier(*slot)].clone())
        .collect();
    keys::reconstruct(&set).unwrap().serialize()
}

/// The library's refresh among all holders of shares.
fn refreshed(
    packages: &Packages<Suite>,
    public: &PublicKeyPackage<Suite>,
) -> (Packages<Suite>, PublicKeyPackage<Suite>) {
    let members = packages.len() as u16;
    let threshold = public.min_signers().unwrap();
    let mut rng = rng(11);
    let (mut secrets, mut round1) = (BTreeMap::new(), BTreeMap::new());
    for id in packages.keys() {
        let (secret, package) =
            refresh::refresh_dkg_part1(*id, members, threshold, &mut rng).unwrap();
        secrets.insert(*id, secret);
        round1.insert(*id, package);
    }
    let others = |id: &Identifier<Suite>| {
        let mut others = round1.clone();
        others.remove(id);
        others
    };
    let (mut seconds, mut round2) = (BTreeMap::new(), BTreeMap::new());
    for (id, secret) in secrets {
        let (second, sent) = refresh::refresh_dkg_part2(secret, &others(&id)).unwrap();
        seconds.insert(id, second);
        for (to, package) in sent {
            let inbox: &mut BTreeMap<_, _> = round2.entry(to).or_default();
            inbox.insert(id, package);
        }
    }
    let mut all = BTreeMap::new();
    let mut result = None;
    for (id, second) in &seconds {
        let (old, public) = (packages[id].clone(), public.clone());
        let (key, public) =
            refresh::refresh_dkg_shares(second, &others(id), &round2[id], public, old).unwrap();
        all.insert(*id, key);
        result = Some(public);
    }
    (all, result.unwrap())
}

#[test]
fn reshared_and_library_refreshed_shares_hide_the_same_secret() {
    let five = Held::first(5);
    let (old, public) = (packages(&five), five.key.public_key_package().unwrap());
    let ours = five.change(&[1, 2, 3, 5], &[1, 2, 3, 4, 5], 4);
    let (theirs, their_public) = refreshed(&old, &public);
    let our_public = ours.key.public_key_package().unwrap();
    let expected = secret(&old, &[1, 2, 3, 4]);
    for slots in [[1, 2, 3, 4], [2, 3, 4, 5], [1, 2, 4, 5]] {
        assert_eq!(secret(&packages(&ours), &slots), expected);
        assert_eq!(secret(&theirs, &slots), expected);
    }
    assert_eq!(our_public.verifying_key(), their_public.verifying_key());
    assert_eq!(our_public.min_signers(), their_public.min_signers());
    assert!(
        our_public
            .verifying_shares()
            .keys()
            .eq(their_public.verifying_shares().keys())
    );
    for (id, share) in our_public.verifying_shares() {
        assert_ne!(share, &public.verifying_shares()[id], "each share is new");
    }
}

#[test]
fn the_library_refreshes_what_was_reshared() {
    let five = Held::first(5);
    let expected = secret(&packages(&five), &[1, 2, 3, 4]);
    let ours = five.change(&[1, 2, 3, 5], &[2, 3, 5, 6, 7, 8], 5);
    let public = ours.key.public_key_package().unwrap();
    let (theirs, _) = refreshed(&packages(&ours), &public);
    assert_eq!(secret(&packages(&ours), &[2, 3, 5, 6, 8]), expected);
    assert_eq!(secret(&theirs, &[3, 5, 6, 7, 8]), expected);
}

/// What the library's repair gives the member in `slot` from these helpers' shares.
fn repaired<C: Ciphersuite>(
    packages: &Packages<C>,
    public: &PublicKeyPackage<C>,
    helpers: &[u16],
    slot: u16,
) -> KeyPackage<C> {
    let helpers: Vec<_> = helpers.iter().copied().map(identifier).collect();
    let mut rng = rng(12);
    let mut deltas: BTreeMap<Identifier<C>, Vec<_>> = BTreeMap::new();
    for helper in &helpers {
        let key = &packages[helper];
        let sent =
            repairable::repair_share_part1::<C, _>(&helpers, key, &mut rng, identifier(slot));
        for (to, delta) in sent.unwrap() {
            deltas.entry(to).or_default().push(delta);
        }
    }
    let sigmas: Vec<_> = deltas
        .values()
        .map(|deltas| repairable::repair_share_part2(deltas))
        .collect();
    repairable::repair_share_part3(&sigmas, identifier(slot), public).unwrap()
}

#[test]
fn the_library_repairs_each_reshared_share_to_itself() {
    let five = Held::first(5);
    let ours = five.change(&[1, 2, 3, 5], &[1, 2, 3, 6, 7], 4);
    let (all, public) = (packages(&ours), ours.key.public_key_package().unwrap());
    let slots = [1, 2, 3, 6, 7];
    for lost in slots {
        let helpers: Vec<_> = slots.into_iter().filter(|slot| *slot != lost).collect();
        let again = repaired(&all, &public, &helpers, lost);
        assert_eq!(again, all[&identifier(lost)], "member {lost}");
        let share = public.verifying_shares()[&identifier(lost)];
        assert_eq!(*again.verifying_share(), share);
    }
}

/// All machines of one ceremony, passing messages at once and without loss.
fn pump<C: Ciphersuite>(
    mut machines: BTreeMap<Slot, Dkg<C, Ed25519Identity, Ed25519Verify>>,
) -> BTreeMap<Slot, (KeyRecord, KeyShare<C>)> {
    let mut rng = rng(13);
    let mut done = BTreeMap::new();
    for now_ms in (0..2_000).step_by(10) {
        let mut posts = vec![];
        for (slot, machine) in &mut machines {
            if machine.poll_timeout().is_some_and(|at| at <= now_ms) {
                machine.handle_timeout(now_ms, &mut rng);
            }
            while let Some(output) = machine.poll() {
                match output {
                    DkgOutput::Send { to, message } => posts.push((to, message)),
                    DkgOutput::Persist(_) => machine.persisted(now_ms, &mut rng),
                    DkgOutput::Done(key, share) => drop(done.insert(*slot, (key, share))),
                    DkgOutput::Dealt(_) => {}
                    DkgOutput::Aborted { act, .. } => panic!("{act}"),
                }
            }
        }
        for (to, message) in posts {
            let machine = machines.get_mut(&to).unwrap();
            let _ = machine.handle(now_ms, &mut rng, message.slot, message);
        }
    }
    done
}

type Holdings<C> = BTreeMap<Slot, (KeyRecord, KeyShare<C>)>;

fn generated<C: Ciphersuite>(record: &CreationRecord) -> Holdings<C> {
    let machine = |slot: Slot| {
        let identity = identity(slot.0);
        let machine = Dkg::new(record, slot, Boot(1), identity, Ed25519Verify, Start::Fresh);
        (slot, machine.unwrap())
    };
    pump(record.slots().map(machine).collect())
}

fn changed<C: Ciphersuite>(
    plan: &ChangePlan,
    base: &Membership,
    held: &Holdings<C>,
) -> Holdings<C> {
    let (key, _) = &held[&Slot(1)];
    let mut slots: Vec<_> = plan.members.iter().map(|member| member.slot).collect();
    slots.extend(&plan.dealers);
    let machine = |slot: Slot| {
        let share = held.get(&slot).map(|(_, share)| share);
        let change = Change {
            plan,
            base,
            key,
            share,
        };
        let identity = identity(slot.0);
        let machine = Dkg::reshare(&change, slot, Boot(1), identity, Ed25519Verify, None);
        (slot, machine.unwrap())
    };
    pump(slots.into_iter().map(machine).collect())
}

fn kept<C: Ciphersuite>(held: &Holdings<C>) -> Packages<C> {
    let package = |(_, share): &(KeyRecord, KeyShare<C>)| share.key_package().clone();
    let all = held.values().map(package);
    all.map(|package| (*package.identifier(), package))
        .collect()
}

#[test]
fn one_plan_changes_all_group_keys_with_a_session_for_each_suite() {
    let record = record(5, 0);
    let base = Membership::of(&record);
    let first = generated::<Suite>(&record);
    let second = generated::<Ristretto255Sha512>(&record);
    let mut keys = vec![
        first[&Slot(1)].0.package_digest(),
        second[&Slot(1)].0.package_digest(),
    ];
    keys.sort_unstable();
    let member = |slot| PlannedMember {
        slot: Slot(slot),
        card: card(slot),
    };
    let plan = ChangePlan {
        network: NetworkId(1),
        committee: base.domain().committee,
        base: base.epoch(),
        keys,
        epoch: Epoch(2),
        dealers: [1, 2, 4, 5].map(Slot).to_vec(),
        members: [1, 2, 3, 6].map(member).to_vec(),
        threshold: 3,
        profile: PROFILE,
    };
    let (one, other) = (
        changed(&plan, &base, &first),
        changed(&plan, &base, &second),
    );
    assert_eq!((one.len(), other.len()), (4, 4));
    let before = secret(&kept(&first), &[1, 2, 3, 4]);
    assert_eq!(secret(&kept(&one), &[2, 3, 6]), before);
    let before = secret(&kept(&second), &[1, 2, 3, 4]);
    assert_eq!(secret(&kept(&other), &[1, 3, 6]), before);
    assert_ne!(one[&Slot(6)].0.session, other[&Slot(6)].0.session);
    // The library repairs the second suite's shares to themselves too.
    let all = kept(&other);
    let public = other[&Slot(1)].1.public_package().clone();
    assert_eq!(repaired(&all, &public, &[1, 3, 6], 2), all[&identifier(2)]);
}
