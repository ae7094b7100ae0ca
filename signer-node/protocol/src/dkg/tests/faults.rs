//! Members that lie. The liar is an honest machine in slot 2 whose
//! messages are changed and signed again on the way out.

use frost_core::keys::dkg::round1;
use proptest::prelude::{ProptestConfig, any, proptest};

use super::super::packages::identifier;
use super::*;
use crate::message::{Certification, SecretPackage};

pub(super) const LIAR: Slot = Slot(2);

/// A committee in which the liar's bodies pass through `lie` before they leave.
fn with_liar(members: u16, mut lie: impl FnMut(Slot, &mut DkgBody) + 'static) -> Net<'static> {
    let record = record(members, 0);
    Net::tampered(members, move |to, mut message: DkgMessage| {
        if message.slot != LIAR {
            return vec![message];
        }
        let before = message.body.clone();
        lie(to, &mut message.body);
        if message.body == before {
            return vec![message];
        }
        vec![resigned(&record, message)]
    })
}

pub(super) fn round1_of(slot: Slot, net: &CreationRecord, seed: u64) -> Vec<u8> {
    let rng = ChaCha20Rng::seed_from_u64(seed);
    let members = net.members.len() as u16;
    let (_, package) =
        frost_core::keys::dkg::part1::<Suite, _>(identifier(slot), members, net.threshold, rng)
            .unwrap();
    package.serialize().unwrap()
}

pub(super) fn secret(bytes: Vec<u8>) -> SecretPackage {
    SecretPackage::new(Zeroizing::new(bytes))
}

#[test]
fn a_wrong_share_names_its_dealer_to_all() {
    for members in [4, 5, 7] {
        type Spoil = fn(&mut Vec<u8>);
        let cases: [(&str, Spoil); 3] = [
            ("another scalar", |bytes| {
                let at = bytes.len() - 32;
                bytes[at] ^= 1;
            }),
            ("trailing byte", |bytes| bytes.push(0)),
            ("nothing", Vec::clear),
        ];
        for (what, spoil) in cases {
            let mut net = with_liar(members, move |to, body| {
                if let DkgBody::Round2 { package, .. } = body
                    && to == Slot(3)
                {
                    let mut bytes = package.bytes().to_vec();
                    spoil(&mut bytes);
                    *package = secret(bytes);
                }
            });
            net.run(1_000);
            for slot in (1..=members).filter(|slot| Slot(*slot) != LIAR) {
                let act = net.assert_abort(slot, &[2], what);
                assert!(matches!(act, Act::Round2(_)), "{what}");
            }
            assert!(net.members.values().all(|member| member.done.is_none()));
        }
    }
}

#[test]
fn members_that_aborted_do_not_write_to_each_other_for_ever() {
    let mut net = with_liar(4, |to, body| {
        if let DkgBody::Round2 { package, .. } = body
            && to == Slot(3)
        {
            *package = secret(vec![]);
        }
    });
    net.run(1_000);
    net.assert_abort(1, &[2], "wrong share");
    let before = net.sent;
    net.run(60_000);
    let after = net.sent - before;
    // Two messages an answer, and two questions.
    assert!(after < 400, "{after} messages in a minute after the end");
}

#[test]
fn two_round_1_packages_name_their_sender_to_all() {
    for members in [4, 5, 7] {
        let second = round1_of(LIAR, &record(members, 0), 77);
        let mut net = with_liar(members, move |to, body| {
            if let DkgBody::Round1(package) = body
                && to == Slot(4)
            {
                *package = ByteBuf::from(second.clone());
            }
        });
        net.run(2_000);
        for slot in (1..=members).filter(|slot| Slot(*slot) != LIAR) {
            let act = net.assert_abort(slot, &[2], "equivocation");
            // The one that holds the other package sees the liar's echo deny it, and shows that.
            let (Act::Equivocation(both) | Act::Echo(both)) = act else {
                panic!("member {slot}: {act}");
            };
            // The evidence stands by itself.
            let setup = Setup::<Suite>::new(&net.record, Slot(1), Boot(1), &identity(1)).unwrap();
            for envelope in both.iter() {
                setup.verify(envelope, &Ed25519Verify).unwrap();
                assert_eq!((envelope.slot, envelope.boot), (LIAR, Boot(1)));
            }
            assert_eq!(both[0].session, both[1].session);
            assert_ne!(both[0].body, both[1].body);
        }
    }
}

#[test]
fn an_invalid_round_1_package_names_its_sender() {
    let record = record(4, 0);
    let whole = round1_of(LIAR, &record, 5);
    let of_another = round1_of(Slot(3), &record, 5);
    let short = {
        let rng = ChaCha20Rng::seed_from_u64(5);
        let (_, package) =
            frost_core::keys::dkg::part1::<Suite, _>(identifier(LIAR), 4, 2, rng).unwrap();
        package.serialize().unwrap()
    };
    let stolen_proof = {
        let (mine, theirs) = (
            round1::Package::<Suite>::deserialize(&whole).unwrap(),
            round1::Package::<Suite>::deserialize(&of_another).unwrap(),
        );
        let commitment = mine.commitment().clone();
        let package = round1::Package::new(commitment, *theirs.proof_of_knowledge());
        package.serialize().unwrap()
    };
    let cases = [
        ("empty", vec![]),
        ("trailing byte", [&whole[..], &[0]].concat()),
        ("cut", whole[..whole.len() - 1].to_vec()),
        ("threshold 2", short),
        ("another member's package", of_another),
        ("proof of another secret", stolen_proof),
    ];
    for (what, bytes) in cases {
        let mut net = with_liar(4, move |_, body| match body {
            DkgBody::Round1(package) => *package = ByteBuf::from(bytes.clone()),
            // The liar's machine echoes what it thinks it sent; lie here too.
            DkgBody::Echo(_) => {}
            _ => {}
        });
        net.tamper = consistent_echo(net.tamper, net.record.clone());
        net.run(1_000);
        for slot in [1, 3, 4] {
            let act = net.assert_abort(slot, &[2], what);
            assert!(matches!(act, Act::Round1(_)), "{what}: {act}");
        }
    }
}

/// Lets the liar echo the round-1 package that it told the others.
fn consistent_echo(
    mut inner: Box<Tamper<'static>>,
    record: CreationRecord,
) -> Box<Tamper<'static>> {
    let told = RefCell::new(None);
    Box::new(move |to, message| {
        let mut messages = inner(to, message);
        for message in &mut messages {
            if message.slot != LIAR {
                continue;
            }
            match &mut message.body {
                DkgBody::Round1(_) => {
                    use sha2::Digest as _;
                    let signed = message.signed_bytes(&domain(&record));
                    *told.borrow_mut() =
                        Some(Digest::from_bytes(sha2::Sha256::digest(signed).into()));
                }
                DkgBody::Echo(digests) => {
                    digests[1] = told.borrow().unwrap();
                    *message = resigned(&record, message.clone());
                }
                _ => {}
            }
        }
        messages
    })
}

#[test]
fn an_echo_that_denies_its_senders_own_package_names_it() {
    let mut net = with_liar(4, |_, body| {
        if let DkgBody::Echo(digests) = body {
            digests[1] = Digest::from_bytes([0; 32]);
        }
    });
    net.run(1_000);
    for slot in [1, 3, 4] {
        assert!(matches!(net.assert_abort(slot, &[2], "echo"), Act::Echo(_)));
    }
}

#[test]
fn a_proof_convicts_before_those_that_have_started_anew_and_are_in_another_attempt() {
    let record = record(4, 0);
    let mut net = Net::tampered(4, move |_, mut message| {
        match &mut message.body {
            // The first attempt comes to nothing.
            DkgBody::Certify(_) if message.attempt == 1 => return vec![],
            DkgBody::Echo(digests) if message.attempt == 2 && message.slot == LIAR => {
                digests[1] = Digest::from_bytes([0; 32]);
                message = resigned(&record, message);
            }
            _ => {}
        }
        vec![message]
    });
    net.run(ATTEMPT_MS + 3_000);
    for slot in [1, 3, 4] {
        net.assert_abort(slot, &[2], "echo");
    }
    for slot in [3, 4].map(Slot) {
        net.kill(slot);
        let member = net.members.get_mut(&slot).unwrap();
        (member.disk, member.aborted) = (None, None);
        net.start(slot);
    }
    net.run(5_000);
    for slot in [3, 4] {
        assert!(matches!(net.assert_abort(slot, &[2], "echo"), Act::Echo(_)));
    }
}

#[test]
fn an_echo_that_slanders_another_names_nobody_and_yields_no_key() {
    let mut net = with_liar(4, |_, body| {
        if let DkgBody::Echo(digests) = body {
            digests[2] = Digest::from_bytes([0; 32]);
        }
    });
    net.run(ATTEMPT_MS * 2);
    assert!(net.members.values().all(|member| member.aborted.is_none()));
    assert!(net.members.values().all(|member| member.done.is_none()));
    assert!(net.number(1) > Some(1), "the attempt was given up");
    // Nobody dealt a share into it.
    assert!(net.members.values().all(|member| member.disk.is_none()));
}

#[test]
fn a_canary_share_that_is_none_names_its_sender() {
    type Spoil = fn(&mut ByteBuf);
    let cases: [(&str, Spoil); 3] = [
        ("share is another scalar", |share| share[0] ^= 1),
        ("share has a trailing byte", |share| share.push(0)),
        ("share is empty", |share| share.clear()),
    ];
    for (what, spoil) in cases {
        let mut net = with_liar(4, move |_, body| {
            if let DkgBody::CanaryShare { share, .. } = body {
                spoil(share);
            }
        });
        net.run(1_000);
        for slot in [1, 3, 4] {
            let act = net.assert_abort(slot, &[2], what);
            assert!(matches!(act, Act::CanaryShare(_)), "{what}: {act}");
        }
    }
}

#[test]
fn a_canary_share_that_is_none_before_one_member_parts_it_from_nobody() {
    for one in [1, 3, 4] {
        let mut net = with_liar(4, move |to, body| {
            if let DkgBody::CanaryShare { share, .. } = body
                && to == Slot(one)
            {
                share[0] ^= 1;
            }
        });
        net.run(ATTEMPT_MS * 2);
        let honest = [1, 3, 4].map(Slot);
        let done = honest.map(|slot| net.members[&slot].done.is_some());
        if done.contains(&true) {
            assert_eq!(done, [true; 3], "told to {one}");
        } else {
            for slot in honest {
                let act = net.assert_abort(slot.0, &[2], "one share");
                assert!(matches!(act, Act::CanaryShare(_)), "{act}");
            }
        }
    }
}

#[test]
fn a_certification_or_canary_commitments_that_are_none_name_their_sender_to_all() {
    let others_key = |body: &mut DkgBody| {
        if let DkgBody::Certify(digest) = body {
            *digest = Digest::from_bytes([0; 32]);
        }
    };
    let garbage = |body: &mut DkgBody| {
        if let DkgBody::CanaryNonces { commitments, .. } = body {
            commitments.push(0);
        }
    };
    // Before all, and before one member only, which must not part it from the others.
    for alone in [None, Some(Slot(3))] {
        let is_told = move |to| alone.is_none_or(|one| one == to);
        let mut net = with_liar(4, move |to, body| {
            if is_told(to) {
                others_key(body);
            }
        });
        net.run(1_000);
        for slot in [1, 3, 4] {
            let act = net.assert_abort(slot, &[2], "another key");
            match alone {
                None => assert!(matches!(act, Act::Certify(_)), "{act}"),
                Some(_) if slot == 3 => {}
                Some(_) => assert!(matches!(act, Act::CertifiedTwice(_)), "{act}"),
            }
        }
        let mut net = with_liar(4, move |to, body| {
            if is_told(to) {
                garbage(body);
            }
        });
        net.run(1_000);
        for slot in [1, 3, 4] {
            let act = net.assert_abort(slot, &[2], "garbage");
            assert!(matches!(act, Act::BadNonces(_)), "{act}");
        }
    }
}

#[test]
fn two_canary_commitments_in_one_round_name_their_sender_to_all() {
    // Always the same before one member, of which none sees both; and ever others.
    for always_new in [false, true] {
        let mut told = 0u64;
        let mut net = with_liar(5, move |to, body| {
            if let DkgBody::CanaryNonces { commitments, .. } = body
                && to == Slot(3)
            {
                told += u64::from(always_new);
                let mut rng = ChaCha20Rng::seed_from_u64(told);
                let share = frost_core::keys::SigningShare::<Suite>::deserialize(&[1; 32]).unwrap();
                let (_, other) = frost_core::round1::commit(&share, &mut rng);
                *commitments = ByteBuf::from(other.serialize().unwrap());
            }
        });
        net.run(2_000);
        for slot in [1, 3, 4, 5] {
            let act = net.assert_abort(slot, &[2], "nonces");
            assert!(matches!(act, Act::CanaryNonces(_)), "{act}");
        }
        assert!(net.members.values().all(|member| member.done.is_none()));
    }
}

#[test]
fn whoever_waits_for_a_share_of_the_canary_says_for_whose() {
    let record = record(4, 0);
    let mut net = Net::tampered(4, |_, mut message: DkgMessage| {
        if message.slot != LIAR {
            return vec![message];
        }
        match &mut message.body {
            DkgBody::Finished(_) => return vec![],
            DkgBody::CanaryShare { package, .. } => *package = Digest::from_bytes([0; 32]),
            _ => {}
        }
        vec![resigned(&record, message)]
    });
    net.run(2_000);
    for slot in [1, 3, 4].map(Slot) {
        let machine = net.members[&slot].machine.as_ref().unwrap();
        assert_eq!(machine.progress().unwrap().missing, [LIAR]);
        assert_eq!(machine.progress().map(|progress| progress.here), Some(3));
    }
}

#[test]
fn no_share_of_a_canary_round_is_signed_twice() {
    // Key extraction needs two shares over one nonce: collect all that ever leave.
    for seed in 0..10 {
        let shares = RefCell::new(BTreeMap::<_, Vec<u8>>::new());
        let nonces = RefCell::new(BTreeMap::<_, Vec<u8>>::new());
        let mut net = Net::tampered(4, |_, message: DkgMessage| {
            let (slot, boot) = (message.slot, message.boot);
            match &message.body {
                DkgBody::CanaryNonces { round, commitments } => {
                    let key = (slot, boot, *round);
                    let bytes = commitments.to_vec();
                    let known = nonces.borrow_mut().insert(key, bytes.clone());
                    assert!(known.is_none_or(|known| known == bytes));
                }
                DkgBody::CanaryShare { round, share, .. } => {
                    let key = (slot, boot, *round);
                    let bytes = share.to_vec();
                    let known = shares.borrow_mut().insert(key, bytes.clone());
                    assert!(
                        known.is_none_or(|known| known == bytes),
                        "two shares, one nonce"
                    );
                }
                _ => {}
            }
            vec![message]
        });
        net.rng = ChaCha20Rng::seed_from_u64(seed);
        (net.loss_percent, net.delay_ms_max) = (30, 4_000);
        net.run_until(600_000, "slow links", Net::all_done);
        net.run(100);
        drop(net);
        let mut all: Vec<_> = nonces.into_inner().into_values().collect();
        let before = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), before, "commitments repeat");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_liar_never_brings_a_key_that_does_not_sign(
        kind in 0u8..9,
        bytes in proptest::collection::vec(any::<u8>(), 0..100),
        number in any::<u64>(),
    ) {
        let mut once = false;
        let mut net = with_liar(4, move |_, body| {
            if once {
                return;
            }
            once = true;
            let digest = Digest::from_bytes([7; 32]);
            let boot = Boot(number);
            let signature = attestation::ids::Signature::from_bytes([1; 64]);
            let plain = ByteBuf::from(bytes.clone());
            *body = match kind {
                0 => DkgBody::Round1(plain),
                1 => DkgBody::Echo(vec![digest; 4]),
                2 => DkgBody::Evidence(secret(bytes.clone())),
                3 => DkgBody::Round2 { to: Slot(1), package: secret(bytes.clone()) },
                4 => DkgBody::Certify(digest),
                5 => DkgBody::Certificate {
                    digest,
                    certifications: vec![Certification { boot, signature }; 4],
                },
                6 => DkgBody::CanaryNonces { round: number % 2_000, commitments: plain },
                7 => DkgBody::CanaryShare { round: number % 2_000, package: digest, share: plain },
                _ => DkgBody::Finished(plain),
            };
        });
        net.run(ATTEMPT_MS + 5_000);
        if net.all_done() {
            net.assert_one_key();
        }
        for member in net.members.values() {
            let named = member.aborted.as_ref().map_or(&[][..], |(culprits, _)| culprits);
            assert!(named.iter().all(|culprit| *culprit == LIAR), "only the liar is named");
        }
    }
}
