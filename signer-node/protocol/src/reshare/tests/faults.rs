//! Dealers and new members that lie. A liar is an honest machine whose
//! messages are changed and signed again on the way out; what it echoes of itself follows what it
//! told, unless the lie is in the echo.

use alloc::boxed::Box;

use attestation::ids::{Boot, Digest, Signature};
use frost_core::keys::{CoefficientCommitment, IdentifierList, VerifiableSecretSharingCommitment};
use frost_core::{Field as _, Group as _, SigningKey};
use frost_ed25519::{Ed25519Group, Ed25519ScalarField};
use proptest::prelude::{ProptestConfig, any, proptest};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::*;
use crate::dkg::tests::resigned;
use crate::dkg::{ATTEMPT_MS, Act};
use crate::message::{Certification, DkgBody, DkgMessage, SecretPackage};

type Commitment = VerifiableSecretSharingCommitment<Suite>;

/// Members 1 to 4 of five deal; 2, 3, 4, 5 and the new 6 get shares, t′ = 4. So 1 leaves, 5 does
/// not deal, 6 is new.
pub(super) struct Stage {
    pub(super) five: Held,
    pub(super) plan: ChangePlan,
}

impl Stage {
    pub(super) fn new() -> Self {
        let five = Held::first(5);
        let plan = five.plan(&[1, 2, 3, 4], &[2, 3, 4, 5, 6], 4);
        Self { five, plan }
    }

    /// The ceremony with one whose bodies pass through `lie` before they leave.
    pub(super) fn with_liar(
        &self,
        liar: u16,
        mut lie: impl FnMut(Slot, &mut DkgBody) + 'static,
    ) -> Net<'static> {
        let mut net = self.five.net(&self.plan, 5);
        let record = net.record.clone();
        let domain = *self.five.base.domain();
        let at = net.members.keys().position(|slot| slot.0 == liar).unwrap();
        let mut told = None;
        net.tamper = Box::new(move |to, mut message: DkgMessage| {
            if message.slot.0 != liar {
                return vec![message];
            }
            let before = message.body.clone();
            if let (DkgBody::Echo(digests), Some(told)) = (&mut message.body, told) {
                digests[at] = told;
            }
            lie(to, &mut message.body);
            if let DkgBody::Round1(_) = &message.body {
                let digest = Sha256::digest(message.signed_bytes(&domain));
                told = Some(Digest::from_bytes(digest.into()));
            }
            if message.body == before {
                return vec![message];
            }
            vec![resigned(&record, message)]
        });
        net
    }
}

/// All honest parties end with the liar named, and old shares still sign.
fn assert_named(net: &Net<'_>, stage: &Stage, liar: u16, what: &str, is: impl Fn(&Act) -> bool) {
    for slot in [1, 2, 3, 4, 5, 6].into_iter().filter(|slot| *slot != liar) {
        let act = net.assert_abort(slot, &[liar], what);
        assert!(is(act), "{what}: member {slot}: {act}");
    }
    let ended = |member: &crate::dkg::tests::Member| member.done.is_some();
    assert!(!net.members.values().any(ended), "{what}");
    let five = &stage.five;
    assert!(signs(&five.set(&[1, 2, 3, 5]), &five.key, b"old"), "{what}");
}

/// A dealer's commitment to a constant of its choice, with `count` coefficients.
fn commitment_to(constant: frost_core::Scalar<Suite>, count: u16) -> Commitment {
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let key = SigningKey::<Suite>::from_scalar(constant).unwrap();
    let members = count.max(5);
    let list = IdentifierList::Default;
    let (shares, _) = frost_core::keys::split(&key, members, count, list, &mut rng).unwrap();
    shares.values().next().unwrap().commitment().clone()
}

/// What dealer 2 must commit to, as it alone can know it.
fn constant_of_2(stage: &Stage) -> frost_core::Scalar<Suite> {
    let identifier = |slot: u16| frost_core::Identifier::<Suite>::try_from(slot).unwrap();
    let set = [1, 2, 3, 4].map(identifier).into_iter().collect();
    let lambda = frost_core::compute_lagrange_coefficient(&set, None, identifier(2)).unwrap();
    let share = stage.five.shares[&Slot(2)].key_package();
    lambda * share.signing_share().to_scalar()
}

#[test]
fn a_dealer_that_commits_to_something_else_is_named_to_all() {
    let stage = Stage::new();
    let one = Ed25519ScalarField::one();
    let right = constant_of_2(&stage);
    let share = stage.five.shares[&Slot(2)]
        .key_package()
        .signing_share()
        .to_scalar();
    let of = |constant, count| commitment_to(constant, count).serialize_whole().unwrap();
    let with = |at: usize, element| {
        let commitment = commitment_to(right, 4);
        let mut coefficients = commitment.coefficients().to_vec();
        coefficients[at] = CoefficientCommitment::new(element);
        let bytes = coefficients.iter().map(|one| one.serialize());
        bytes
            .map(|one| one.unwrap_or(identity_bytes()))
            .collect::<Vec<_>>()
            .concat()
    };
    let mixed_order = {
        // A point of order 8 added to a coefficient.
        let mut bytes = of(right, 4);
        bytes[32..64].copy_from_slice(&hex_bytes(
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        ));
        bytes
    };
    let cases = [
        ("another constant", of(right + one, 4)),
        ("its share without the Lagrange coefficient", of(share, 4)),
        ("one coefficient more", of(right, 5)),
        ("one coefficient less", of(right, 3)),
        ("nothing", vec![]),
        ("cut", of(right, 4)[..127].to_vec()),
        ("trailing byte", [&of(right, 4)[..], &[0]].concat()),
        (
            "the identity as constant",
            with(0, Ed25519Group::identity()),
        ),
        (
            "the identity as a coefficient",
            with(2, Ed25519Group::identity()),
        ),
        ("zeros", vec![0; 128]),
        ("a small-order coefficient", mixed_order),
    ];
    for (what, bytes) in cases {
        let mut net = stage.with_liar(2, move |_, body| {
            if let DkgBody::Round1(package) = body {
                *package = ByteBuf::from(bytes.clone());
            }
        });
        net.run(1_000);
        let is = |act: &Act| matches!(act, Act::Round1(_));
        assert_named(&net, &stage, 2, what, is);
    }
    // The control: another polynomial with the right constant is refused for its shares only.
    let bytes = of(right, 4);
    let mut net = stage.with_liar(2, move |_, body| {
        if let DkgBody::Round1(package) = body {
            *package = ByteBuf::from(bytes.clone());
        }
    });
    net.run(1_000);
    let is = |act: &Act| !matches!(act, Act::Round1(_));
    assert_named(&net, &stage, 2, "control", is);
}

fn identity_bytes() -> Vec<u8> {
    let mut bytes = vec![0; 32];
    bytes[0] = 1;
    bytes
}

fn hex_bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

#[test]
fn two_dealers_that_shift_their_constants_against_each_other_are_named() {
    let stage = Stage::new();
    let shifted = {
        let right = constant_of_2(&stage);
        let commitment = commitment_to(right + Ed25519ScalarField::one(), 4);
        commitment.serialize_whole().unwrap()
    };
    let mut net = stage.with_liar(2, move |_, body| {
        if let DkgBody::Round1(package) = body {
            *package = ByteBuf::from(shifted.clone());
        }
    });
    // Dealer 3 takes away what dealer 2 adds: the sum, and the group key, would stay.
    let one = Ed25519ScalarField::one();
    let domain = *stage.five.base.domain();
    let record = net.record.clone();
    let mut told = None;
    let mut inner = core::mem::replace(&mut net.tamper, Box::new(|_, message| vec![message]));
    net.tamper = Box::new(move |to, message: DkgMessage| {
        let mut messages = inner(to, message);
        for message in messages
            .iter_mut()
            .filter(|message| message.slot == Slot(3))
        {
            match &mut message.body {
                DkgBody::Round1(package) => {
                    let mine = Commitment::deserialize_whole(package).unwrap();
                    let first = mine.coefficients()[0].value() - Ed25519Group::generator() * one;
                    let first = CoefficientCommitment::<Suite>::new(first)
                        .serialize()
                        .unwrap();
                    package[..32].copy_from_slice(&first);
                    let digest = Sha256::digest(message.signed_bytes(&domain));
                    told = Some(Digest::from_bytes(digest.into()));
                }
                DkgBody::Echo(digests) => digests[2] = told.unwrap(),
                _ => continue,
            }
            *message = resigned(&record, message.clone());
        }
        messages
    });
    net.run(1_000);
    for slot in [1, 4, 5, 6] {
        let act = net.assert_abort(slot, &[2], "colluding dealers");
        assert!(matches!(act, Act::Round1(_)));
    }
}

#[test]
fn a_wrong_share_names_its_dealer_to_all() {
    let stage = Stage::new();
    type Spoil = fn(&mut Vec<u8>);
    let cases: [(&str, Spoil); 5] = [
        ("another scalar", |bytes| {
            let at = bytes.len() - 32;
            bytes[at] ^= 1;
        }),
        ("zero", |bytes| {
            let at = bytes.len() - 32;
            bytes[at..].fill(0);
        }),
        ("no scalar", |bytes| {
            let at = bytes.len() - 32;
            bytes[at..].fill(0xff);
        }),
        ("trailing byte", |bytes| bytes.push(0)),
        ("nothing", Vec::clear),
    ];
    // To a member that stays, to one that does not deal, to a new one; from one that leaves.
    for (dealer, receiver) in [(2, 3), (2, 5), (1, 6)] {
        for (what, spoil) in cases {
            let mut net = stage.with_liar(dealer, move |to, body| {
                if let DkgBody::Round2 { package, .. } = body
                    && to == Slot(receiver)
                {
                    let mut bytes = package.bytes().to_vec();
                    spoil(&mut bytes);
                    *package = SecretPackage::new(Zeroizing::new(bytes));
                }
            });
            net.run(1_000);
            let is = |act: &Act| matches!(act, Act::Round2(_));
            assert_named(&net, &stage, dealer, what, is);
        }
    }
}

/// A member that accuses a dealer of the very share that the dealer dealt it.
fn slander(accuser: u16, dealer: u16) -> impl FnMut(Slot, DkgMessage) -> Vec<DkgMessage> {
    let record = crate::dkg::tests::record(5, 0);
    let mut share = None;
    move |to, message: DkgMessage| {
        let is_share = matches!(message.body, DkgBody::Round2 { .. });
        if message.slot.0 == dealer && to.0 == accuser && is_share {
            share = Some(attestation::codec::encode(&message));
        }
        let mut messages = vec![message.clone()];
        if message.slot.0 == accuser
            && let Some(share) = &share
        {
            let mut accusation = message;
            let share = SecretPackage::new(Zeroizing::new(share.clone()));
            accusation.body = DkgBody::Evidence(share);
            messages.insert(0, resigned(&record, accusation));
        }
        messages
    }
}

#[test]
fn a_false_accuser_is_named_to_all() {
    let stage = Stage::new();
    // A member that stays, one that does not deal, a new one; of one that leaves or stays.
    for (accuser, dealer) in [(3, 2), (5, 1), (6, 2)] {
        let mut net = stage.five.net(&stage.plan, 5);
        net.tamper = Box::new(slander(accuser, dealer));
        net.run(1_000);
        let is = |act: &Act| matches!(act, Act::Accusation(_));
        assert_named(&net, &stage, accuser, "slander", is);
    }
}

#[test]
fn a_false_accuser_of_a_key_generation_is_named_to_all() {
    let mut net = Net::tampered(5, slander(3, 2));
    net.run(1_000);
    for slot in [1, 2, 4, 5] {
        let act = net.assert_abort(slot, &[3], "slander");
        let Act::Accusation(accusation) = act else {
            panic!("member {slot}: {act}");
        };
        assert!(accusation.iter().all(|message| message.slot == Slot(3)));
    }
}

#[test]
fn an_accusation_that_reaches_one_member_alone_convicts_the_accuser_before_all() {
    let stage = Stage::new();
    let mut net = stage.five.net(&stage.plan, 5);
    let mut inner = slander(6, 2);
    net.tamper = Box::new(move |to, message| {
        let mut messages = inner(to, message);
        messages.retain(|message| {
            to == Slot(4)
                || message.slot != Slot(6)
                || !matches!(message.body, DkgBody::Evidence(_))
        });
        messages
    });
    net.run(1_000);
    let is = |act: &Act| matches!(act, Act::Accusation(_));
    assert_named(&net, &stage, 6, "slander to one", is);
}

#[test]
fn a_false_accuser_that_kept_its_echo_from_one_member_is_named_by_it_too() {
    let stage = Stage::new();
    for contradicts in [false, true] {
        let mut net = stage.five.net(&stage.plan, 5);
        let mut inner = slander(6, 2);
        let record = net.record.clone();
        net.tamper = Box::new(move |to, message| {
            let mut messages = inner(to, message);
            for message in &mut messages {
                if let DkgBody::Echo(digests) = &mut message.body
                    && message.slot == Slot(6)
                    && to == Slot(4)
                {
                    // Denies the package of the dealer that it will accuse.
                    digests[1] = Digest::from_bytes([0; 32]);
                    *message = resigned(&record, message.clone());
                }
            }
            let is_kept = |message: &DkgMessage| {
                let is_echo = matches!(message.body, DkgBody::Echo(_));
                !contradicts && message.slot == Slot(6) && to == Slot(4) && is_echo
            };
            messages.retain(|message| !is_kept(message));
            messages
        });
        // Without the share that member 4 has not dealt yet, nobody certifies.
        net.run(3_000);
        let is = |act: &Act| matches!(act, Act::Accusation(_) | Act::Echo(_));
        assert_named(&net, &stage, 6, "kept echo", is);
    }
}

#[test]
fn a_dealer_that_convicts_itself_before_one_member_alone_parts_it_from_nobody() {
    let stage = Stage::new();
    let mut net = stage.five.net(&stage.plan, 5);
    let mut bad = None;
    let record = net.record.clone();
    net.tamper = Box::new(move |to, message: DkgMessage| {
        if bad.is_none() && message.slot == Slot(2) {
            bad = Some(message.clone());
        }
        let is_last = matches!(message.body, DkgBody::CanaryShare { .. });
        match &bad {
            // In the place of what would let member 5 finish, a share that fits nothing.
            Some(bad) if is_last && to == Slot(5) => {
                let mut envelope = bad.clone();
                let package = SecretPackage::new(Zeroizing::new(vec![1]));
                envelope.body = DkgBody::Round2 {
                    to: Slot(6),
                    package,
                };
                let envelope = resigned(&record, envelope);
                let mut evidence = message.clone();
                let bytes = attestation::codec::encode(&envelope);
                evidence.body = DkgBody::Evidence(SecretPackage::new(Zeroizing::new(bytes)));
                vec![resigned(&record, evidence)]
            }
            _ => vec![message],
        }
    });
    net.run_until(5_000, "all the same", Net::all_done);
    let act = net.assert_abort(5, &[2], "self-conviction");
    assert!(matches!(act, Act::Round2(_)));
    stage.five.after(net);
}

#[test]
fn two_round_1_packages_name_their_sender() {
    let stage = Stage::new();
    let second = commitment_to(constant_of_2(&stage), 4)
        .serialize_whole()
        .unwrap();
    for victim in [1, 3, 5, 6] {
        let (second, mut first) = (second.clone(), None);
        let mut net = stage.with_liar(2, move |to, body| {
            if let DkgBody::Round1(package) = body {
                let honest: &ByteBuf = first.get_or_insert_with(|| package.clone());
                *package = match to == Slot(victim) {
                    true => ByteBuf::from(second.clone()),
                    false => honest.clone(),
                };
            }
        });
        net.run(2_000);
        for slot in [1, 3, 4, 5, 6] {
            let act = net.assert_abort(slot, &[2], "equivocation");
            assert!(matches!(act, Act::Equivocation(_) | Act::Echo(_)), "{act}");
        }
    }
}

#[test]
fn who_does_not_deal_and_commits_to_something_is_named() {
    let stage = Stage::new();
    let bytes = commitment_to(constant_of_2(&stage), 4)
        .serialize_whole()
        .unwrap();
    for liar in [5, 6] {
        let bytes = bytes.clone();
        let mut net = stage.with_liar(liar, move |_, body| {
            if let DkgBody::Round1(package) = body {
                *package = ByteBuf::from(bytes.clone());
            }
        });
        net.run(1_000);
        let is = |act: &Act| matches!(act, Act::Round1(_));
        assert_named(&net, &stage, liar, "deals uncalled", is);
    }
}

#[test]
fn certifying_or_signing_something_else_names_its_sender_also_to_those_that_leave() {
    let stage = Stage::new();
    let mut net = stage.with_liar(5, |_, body| {
        if let DkgBody::Certify(digest) = body {
            *digest = Digest::from_bytes([0; 32]);
        }
    });
    net.run(1_000);
    assert_named(&net, &stage, 5, "certify", |act| {
        matches!(act, Act::Certify(_))
    });

    let mut net = stage.with_liar(5, |_, body| {
        if let DkgBody::CanaryShare { share, .. } = body {
            share[0] ^= 1;
        }
    });
    net.run(1_000);
    for slot in [2, 3, 4, 6] {
        let act = net.assert_abort(slot, &[5], "canary");
        assert!(matches!(act, Act::CanaryShare(_)), "{act}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_liar_never_brings_an_epoch_that_does_not_sign(
        kind in 0u8..9,
        liar in 1u16..=6,
        bytes in proptest::collection::vec(any::<u8>(), 0..100),
        number in any::<u64>(),
    ) {
        let stage = Stage::new();
        let mut once = false;
        let mut net = stage.with_liar(liar, move |to, body| {
            if once {
                return;
            }
            once = true;
            let digest = Digest::from_bytes([7; 32]);
            let (boot, signature) = (Boot(number), Signature::from_bytes([1; 64]));
            let plain = ByteBuf::from(bytes.clone());
            let package = SecretPackage::new(Zeroizing::new(bytes.clone()));
            *body = match kind {
                0 => DkgBody::Round1(plain),
                1 => DkgBody::Echo(vec![digest; 6]),
                2 => DkgBody::Evidence(package),
                3 => DkgBody::Round2 { to, package },
                4 => DkgBody::Certify(digest),
                5 => DkgBody::Certificate {
                    digest,
                    certifications: vec![Certification { boot, signature }; 5],
                },
                6 => DkgBody::CanaryNonces { round: number % 2_000, commitments: plain },
                7 => DkgBody::CanaryShare { round: number % 2_000, package: digest, share: plain },
                _ => DkgBody::Finished(plain),
            };
        });
        net.run(ATTEMPT_MS + 5_000);
        for member in net.members.values() {
            let named = member.aborted.as_ref().map_or(&[][..], |(culprits, _)| culprits);
            assert!(named.iter().all(|culprit| culprit.0 == liar), "only the liar is named");
        }
        if net.all_done() {
            stage.five.after(net);
        }
    }
}
