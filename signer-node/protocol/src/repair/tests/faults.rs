//! Helpers that lie, and accusers.

use frost_core::keys::CoefficientCommitment;
use frost_core::{Field as _, Group as _};
use frost_ed25519::{Ed25519Group, Ed25519ScalarField};

use super::*;

/// Changes what one party says; its echo follows the mask that it told.
pub(super) fn liar(slot: u16, mut lie: impl FnMut(Slot, &mut RepairBody) + 'static) -> Box<Tamper> {
    let domain = *Membership::of(&record(6, 0)).domain();
    let at = [1, 2, 4, 5, 6].iter().position(|helper| *helper == slot);
    let mut told = None;
    Box::new(move |to, mut message: RepairMessage| {
        if message.slot != Slot(slot) {
            return vec![message];
        }
        if let (RepairBody::Echo(digests), Some(told), Some(at)) = (&mut message.body, told, at) {
            digests[at] = told;
        }
        lie(to, &mut message.body);
        if let RepairBody::Mask(_) = &message.body {
            let digest = Sha256::digest(message.signed_bytes(&domain));
            told = Some(Digest::from_bytes(digest.into()));
        }
        vec![resigned(message)]
    })
}

#[test]
fn a_mask_that_is_none_names_its_helper() {
    type Spoil = fn(&mut Vec<u8>);
    let cases: [(&str, Spoil); 6] = [
        ("does not vanish", |bytes| {
            let first = CoefficientCommitment::<Suite>::deserialize(&bytes[..32]).unwrap();
            let other = first.value() + Ed25519Group::generator() * Ed25519ScalarField::one();
            let other = CoefficientCommitment::<Suite>::new(other)
                .serialize()
                .unwrap();
            bytes[..32].copy_from_slice(&other);
        }),
        ("one coefficient less", |bytes| {
            bytes.truncate(bytes.len() - 32)
        }),
        ("one coefficient more", |bytes| {
            bytes.extend_from_within(..32)
        }),
        ("identities", |bytes| {
            bytes.fill(0);
            bytes.iter_mut().step_by(32).for_each(|byte| *byte = 1);
        }),
        ("trailing byte", |bytes| bytes.push(0)),
        ("nothing", Vec::clear),
    ];
    let held = Held::new();
    for (what, spoil) in cases {
        let mut net = held.net();
        net.tamper = liar(2, move |_, body| {
            if let RepairBody::Mask(mask) = body {
                spoil(mask);
            }
        });
        net.run(2_000);
        net.assert_named(2, what, |act| matches!(act, RepairAct::Mask(_)));
    }
}

pub(super) fn spoiled(package: &SecretPackage) -> SecretPackage {
    let mut bytes = package.bytes().to_vec();
    let at = bytes.len() - 32;
    bytes[at] ^= 1;
    SecretPackage::new(Zeroizing::new(bytes))
}

#[test]
fn a_wrong_value_or_a_wrong_sum_names_its_helper_to_all() {
    let held = Held::new();
    let mut net = held.net();
    net.tamper = liar(2, |_, body| {
        if let RepairBody::Part {
            to: Slot(5),
            package,
        } = body
        {
            *package = spoiled(package);
        }
    });
    net.run(2_000);
    net.assert_named(2, "part", |act| matches!(act, RepairAct::Part(_)));

    let mut net = held.net();
    net.tamper = liar(6, |_, body| {
        if let RepairBody::Sum(package) = body {
            *package = spoiled(package);
        }
    });
    net.run(2_000);
    net.assert_named(6, "sum", |act| matches!(act, RepairAct::Sum(_)));
}

#[test]
fn two_masks_name_their_helper() {
    let held = Held::new();
    let (second, _) =
        mask::deal::<Suite>(5, LOST, [].into_iter(), &mut ChaCha20Rng::seed_from_u64(1));
    for victim in [1, 3] {
        let (second, mut first) = (second.clone(), None);
        let mut net = held.net();
        net.tamper = liar(2, move |to, body| {
            if let RepairBody::Mask(mask) = body {
                let honest: &ByteBuf = first.get_or_insert_with(|| mask.clone());
                *mask = match to == Slot(victim) {
                    true => ByteBuf::from(second.clone()),
                    false => honest.clone(),
                };
            }
        });
        net.run(2_000);
        net.assert_named(2, "masks", |act| matches!(act, RepairAct::Equivocation(_)));
    }
}

/// A party that accuses a helper of the very value or sum that the helper gave it.
pub(super) fn slander(accuser: u16, helper: u16, only: Option<u16>) -> Box<Tamper> {
    let mut given = None;
    Box::new(move |to, message: RepairMessage| {
        let is_value = matches!(message.body, RepairBody::Part { .. } | RepairBody::Sum(_));
        if message.slot.0 == helper && to.0 == accuser && is_value {
            given = Some(attestation::codec::encode(&message));
        }
        let mut messages = vec![message.clone()];
        if message.slot.0 == accuser
            && only.is_none_or(|only| to.0 == only)
            && let Some(given) = &given
        {
            let mut accusation = message;
            let given = SecretPackage::new(Zeroizing::new(given.clone()));
            accusation.body = RepairBody::Evidence(given);
            messages.insert(0, resigned(accusation));
        }
        messages
    })
}

#[test]
fn a_false_accuser_is_named_to_all() {
    let held = Held::new();
    for (accuser, helper, only) in [(5, 2, None), (3, 2, None), (3, 1, Some(4))] {
        let mut net = held.net();
        net.tamper = slander(accuser, helper, only);
        // The lost one would finish on the sums before its slander leaves.
        if accuser == 3 {
            let mut inner = core::mem::replace(&mut net.tamper, Box::new(|_, one| vec![one]));
            net.tamper = Box::new(move |to, message: RepairMessage| {
                let is_other =
                    matches!(message.body, RepairBody::Sum(_)) && message.slot == Slot(6);
                if is_other { vec![] } else { inner(to, message) }
            });
        }
        net.run(3_000);
        net.assert_named(accuser, "slander", |act| {
            matches!(act, RepairAct::Accusation(_))
        });
    }
}

#[test]
fn a_false_accuser_that_kept_its_echo_from_one_party_or_contradicts_it_is_named_by_all() {
    let held = Held::new();
    for contradicts in [false, true] {
        let mut net = held.net();
        let mut inner = slander(5, 2, None);
        net.tamper = Box::new(move |to, message| {
            let mut messages = inner(to, message);
            for message in &mut messages {
                if let RepairBody::Echo(digests) = &mut message.body
                    && message.slot == Slot(5)
                    && to == Slot(4)
                {
                    digests[1] = Digest::from_bytes([0; 32]);
                    *message = resigned(message.clone());
                }
            }
            let is_echo = |one: &RepairMessage| matches!(one.body, RepairBody::Echo(_));
            let is_kept =
                |one: &RepairMessage| is_echo(one) && one.slot == Slot(5) && to == Slot(4);
            messages.retain(|one| contradicts || !is_kept(one));
            messages
        });
        net.run(3_000);
        net.assert_named(5, "kept echo", |act| {
            matches!(act, RepairAct::Accusation(_) | RepairAct::Equivocation(_))
        });
    }
}
