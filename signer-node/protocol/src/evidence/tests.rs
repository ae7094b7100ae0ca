//! Evidence of key generations: made by those who were there, judged by those who were not.

use alloc::vec;

use attestation::committee::CreationRecord;
use attestation::ids::{Boot, Digest, Slot};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::*;
use crate::dkg::KeyRecord;
use crate::dkg::tests::{Net, Tamper, record, resigned};
use crate::message::{DkgBody, SecretPackage};

const LIAR: Slot = Slot(2);

/// What honest members of five hold against the one that lies.
fn proofs(net: &mut Net<'_>) -> Vec<Evidence> {
    net.run(2_000);
    let honest = net.members.iter().filter(|(slot, _)| **slot != LIAR);
    let proofs = honest.map(|(slot, member)| {
        let (culprits, act) = member.aborted.as_ref().expect("it ended");
        assert_eq!(culprits, &[LIAR], "member {slot}: {act}");
        let proof = member.machine.as_ref().and_then(|machine| machine.proof());
        proof.expect("a proof").clone()
    });
    proofs.collect()
}

/// The liar's bodies pass through `lie` on their way out.
fn lying(lie: impl FnMut(Slot, &mut DkgBody) + 'static) -> Box<Tamper<'static>> {
    lying_and_echoing(lie, false)
}

/// The same; its echo names the round 1 that it told, if it is to.
fn lying_and_echoing(
    mut lie: impl FnMut(Slot, &mut DkgBody) + 'static,
    echoes_it: bool,
) -> Box<Tamper<'static>> {
    let record = record(5, 0);
    let mut told = None;
    Box::new(move |to, mut message: DkgMessage| {
        if message.slot == LIAR {
            let before = message.body.clone();
            lie(to, &mut message.body);
            if let (DkgBody::Echo(digests), Some(told)) = (&mut message.body, told) {
                digests[1] = told;
            }
            if message.body != before {
                message = resigned(&record, message);
            }
            if matches!(message.body, DkgBody::Round1(_)) && echoes_it {
                let domain = crate::dkg::tests::domain(&record);
                let digest = Sha256::digest(message.signed_bytes(&domain));
                told = Some(Digest::from_bytes(digest.into()));
            }
        }
        vec![message]
    })
}

/// A second round-1 package, sound like the first.
fn another_round1() -> Vec<u8> {
    let mut net = Net::new(5, 99);
    let mut bytes = Vec::new();
    net.tamper = Box::new(|_, message| vec![message]);
    net.tick();
    for (_, _, _, arrival) in &net.arrivals {
        if let crate::dkg::tests::Arrival::Message(LIAR, message) = arrival
            && let DkgBody::Round1(package) = &message.body
        {
            bytes = package.to_vec();
        }
    }
    bytes
}

/// One file of each kind, with the culprit's slot.
fn files() -> Vec<(Kind, Evidence)> {
    let other = another_round1();
    let spoil = |to: Slot, body: &mut DkgBody| {
        if let DkgBody::Round2 { package, .. } = body
            && to == Slot(3)
        {
            let mut bytes = package.bytes().to_vec();
            let last = bytes.len() - 32;
            bytes[last] ^= 1;
            *package = SecretPackage::new(Zeroizing::new(bytes));
        }
    };
    let mut files = Vec::new();
    let mut net = Net::tampered(5, lying(spoil));
    files.extend(
        proofs(&mut net)
            .into_iter()
            .map(|proof| (Kind::BadDealing, proof)),
    );

    let mut net = Net::tampered(
        5,
        lying(move |to, body| {
            if let DkgBody::Round1(package) = body
                && to == Slot(4)
            {
                *package = other.clone().into();
            }
        }),
    );
    for proof in proofs(&mut net) {
        // Member 4, which holds the other package, sees the liar's echo deny it.
        files.push((proof.kind().unwrap(), proof));
    }

    let mut net = Net::tampered(
        5,
        lying_and_echoing(
            |_, body| {
                if let DkgBody::Round1(package) = body {
                    let last = package.len() - 1;
                    package[last] ^= 1;
                }
            },
            true,
        ),
    );
    for proof in proofs(&mut net) {
        files.push((proof.kind().unwrap(), proof));
    }
    files.extend(files_of_the_end());
    let mut net = Net::tampered(
        5,
        lying(|_, body| {
            if let DkgBody::CanaryShare { share, .. } = body {
                share[0] ^= 1;
            }
        }),
    );
    let bad = proofs(&mut net).into_iter();
    files.extend(bad.map(|proof| (Kind::BadCanaryShare, proof)));
    files
}

/// The same, of acts after everybody has its share: before member 3 alone.
fn files_of_the_end() -> Vec<(Kind, Evidence)> {
    type Lie = fn(&mut DkgBody);
    let lies: [(Kind, Lie); 3] = [
        (Kind::BadNonces, |body| {
            if let DkgBody::CanaryNonces { commitments, .. } = body {
                commitments.push(0);
            }
        }),
        (Kind::NoncesTwice, |body| {
            if let DkgBody::CanaryNonces { commitments, .. } = body {
                // Each of the two in the place of the other.
                let header = commitments.len() % 32;
                commitments[header..].rotate_left(32);
            }
        }),
        (Kind::CertifiedTwice, |body| {
            if let DkgBody::Certify(digest) = body {
                *digest = Digest::from_bytes([0; 32]);
            }
        }),
    ];
    let mut files = Vec::new();
    for (kind, lie) in lies {
        let lie = lying(move |to, body| {
            if to == Slot(3) {
                lie(body);
            }
        });
        let mut net = Net::tampered(5, lie);
        net.run(2_000);
        let machine = net.members[&Slot(1)].machine.as_ref();
        let proof = machine.and_then(|machine| machine.proof());
        files.push((kind, proof.expect("a proof").clone()));
    }
    files
}

#[test]
fn whoever_was_there_convicts_before_whoever_was_not() {
    let record = record(5, 0);
    let files = files();
    for (kind, evidence) in &files {
        let conviction = evidence
            .verify(&record)
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(conviction.culprit, Culprit::Member(LIAR), "{kind}");
        assert_eq!(conviction.kind, *kind);
        assert!(matches!(
            conviction.place,
            Place::Ceremony { attempt: 1, .. }
        ));
        let bytes = evidence.to_bytes();
        assert_eq!(
            Evidence::from_bytes(&bytes).as_ref(),
            Ok(evidence),
            "{kind}"
        );
        let other = crate::dkg::tests::record(5, 1);
        assert_eq!(
            evidence.verify(&other),
            Err(EvidenceError::Committee),
            "{kind}"
        );
    }
    let kinds = [
        Kind::BadDealing,
        Kind::Round1Twice,
        Kind::EchoDeniesOwn,
        Kind::BadRound1,
        Kind::CertifiedTwice,
        Kind::NoncesTwice,
        Kind::BadNonces,
        Kind::BadCanaryShare,
    ];
    for kind in kinds {
        assert!(files.iter().any(|(of, _)| *of == kind), "no {kind}");
    }
}

#[test]
fn one_changed_bit_anywhere_convicts_nobody() {
    let record = record(5, 0);
    let mut seen: Vec<Kind> = Vec::new();
    for (kind, evidence) in files() {
        if seen.contains(&kind) {
            continue;
        }
        seen.push(kind);
        let bytes = evidence.to_bytes();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let judged = Evidence::from_bytes(&changed).and_then(|one| one.verify(&record));
            assert!(judged.is_err(), "{kind}: byte {at}: {judged:?}");
        }
        for cut in (0..bytes.len()).step_by(7) {
            assert!(Evidence::from_bytes(&bytes[..cut]).is_err());
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(Evidence::from_bytes(&longer).is_err());
    }
}

/// Everything that honest members say in a key generation without faults, and its key.
fn said() -> (CreationRecord, Vec<DkgMessage>, KeyRecord) {
    let said = alloc::rc::Rc::new(core::cell::RefCell::new(Vec::new()));
    let log = alloc::rc::Rc::clone(&said);
    let mut net = Net::tampered(5, move |_, message: DkgMessage| {
        log.borrow_mut().push(message.clone());
        vec![message]
    });
    net.run_until(1_000, "good links", Net::all_done);
    let messages = said.borrow().clone();
    let key = net.members[&Slot(1)].done.as_ref().unwrap().0.clone();
    (net.record, messages, key)
}

#[test]
fn sound_words_convict_nobody_whoever_puts_them_together() {
    let (record, said, key) = said();
    let by = |slot: u16, is: &dyn Fn(&DkgBody) -> bool| {
        let mut all = said
            .iter()
            .filter(|one| one.slot == Slot(slot) && is(&one.body));
        all.next().expect("it was said").clone()
    };
    let round1 = |slot| by(slot, &|body| matches!(body, DkgBody::Round1(_)));
    let echo = |slot| by(slot, &|body| matches!(body, DkgBody::Echo(_)));
    let round2 = |slot| by(slot, &|body| matches!(body, DkgBody::Round2 { .. }));
    let both = |a: DkgMessage, b: DkgMessage| Box::new([a, b]);
    let mut accusation = round1(3);
    let dealt = attestation::codec::encode(&round2(2));
    accusation.body = DkgBody::Evidence(SecretPackage::new(Zeroizing::new(dealt)));
    let accusation = resigned(&record, accusation);
    let mut of_another = round1(3);
    of_another.body = DkgBody::Evidence(SecretPackage::new(Zeroizing::new(
        attestation::codec::encode(&round1(2)),
    )));
    let of_another = resigned(&record, of_another);
    let certify = |slot| by(slot, &|body| matches!(body, DkgBody::Certify(_)));
    let nonces = |slot| by(slot, &|body| matches!(body, DkgBody::CanaryNonces { .. }));
    // In another start a member has other nonces, and so it has in another round.
    let other_nonces = |boot, of_round| {
        let DkgBody::CanaryNonces { commitments, .. } = nonces(4).body else {
            unreachable!("they are nonces");
        };
        let mut message = nonces(2);
        message.boot = Boot(boot);
        message.body = DkgBody::CanaryNonces {
            round: of_round,
            commitments,
        };
        resigned(&record, message)
    };
    let mut certified_anew = certify(2);
    certified_anew.boot = Boot(2);
    certified_anew.body = DkgBody::Certify(Digest::from_bytes([0; 32]));
    let certified_anew = resigned(&record, certified_anew);
    let canary = |slot, key: &KeyRecord, spoil: fn(&mut CanaryDeed)| {
        let of = |slot| match nonces(slot).body {
            DkgBody::CanaryNonces { commitments, .. } => commitments,
            _ => unreachable!("they are nonces"),
        };
        let mut deed = CanaryDeed {
            share: by(slot, &|body| matches!(body, DkgBody::CanaryShare { .. })),
            transcript: key.transcript,
            public_package: key.public_package.clone(),
            commitments: (1..=5).map(of).collect(),
        };
        spoil(&mut deed);
        CeremonyAct::BadCanaryShare(Box::new(deed))
    };
    // Measured by another key than the one that its sender has signed for.
    let mut another = key.clone();
    let last = another.public_package.len() - 1;
    another.public_package[last] ^= 1;
    let unfounded = [
        canary(2, &key, |_| {}),
        canary(2, &another, |_| {}),
        canary(2, &key, |deed| {
            deed.transcript = Digest::from_bytes([0; 32])
        }),
        canary(2, &key, |deed| deed.commitments.swap(2, 3)),
        canary(2, &key, |deed| drop(deed.commitments.pop())),
        canary(2, &key, |deed| deed.commitments.push(ByteBuf::new())),
        CeremonyAct::BadCanaryShare(Box::new(CanaryDeed {
            share: certify(2),
            transcript: key.transcript,
            public_package: key.public_package.clone(),
            commitments: vec![],
        })),
        CeremonyAct::CertifiedTwice(both(certify(2), certify(2))),
        CeremonyAct::CertifiedTwice(both(certify(2), certify(3))),
        CeremonyAct::CertifiedTwice(both(certify(2), echo(2))),
        CeremonyAct::CertifiedTwice(both(certify(2), certified_anew)),
        CeremonyAct::NoncesTwice(both(nonces(2), nonces(2))),
        CeremonyAct::NoncesTwice(both(nonces(2), nonces(3))),
        CeremonyAct::NoncesTwice(both(nonces(2), other_nonces(2, 1))),
        CeremonyAct::NoncesTwice(both(nonces(2), other_nonces(1, 2))),
        CeremonyAct::BadNonces(Box::new(nonces(2))),
        CeremonyAct::BadNonces(Box::new(certify(2))),
        CeremonyAct::Round1Twice(both(round1(2), round1(2))),
        CeremonyAct::Round1Twice(both(round1(2), round1(3))),
        CeremonyAct::Round1Twice(both(round1(2), echo(2))),
        CeremonyAct::EchoTwice(both(echo(2), echo(2))),
        CeremonyAct::EchoDeniesOwn(both(round1(2), echo(2))),
        CeremonyAct::EchoDeniesOwn(both(round1(2), echo(3))),
        CeremonyAct::BadRound1(Box::new(round1(2))),
        CeremonyAct::BadRound1(Box::new(echo(2))),
        CeremonyAct::BadDealing(both(round1(2), round2(2))),
        CeremonyAct::BadDealing(both(round1(3), round2(2))),
        CeremonyAct::FalseAccusation(Box::new([round1(2), echo(3), of_another])),
        CeremonyAct::FalseAccusation(Box::new([round1(2), echo(4), accusation.clone()])),
        CeremonyAct::FalseAccusation(Box::new([round1(4), echo(3), accusation.clone()])),
    ];
    for act in unfounded {
        for slot in 1..=5 {
            let fact = Fact::Ceremony {
                act: act.clone(),
                plan: None,
            };
            let evidence = Evidence::new(record.id(), Culprit::Member(Slot(slot)), fact);
            let judged = evidence.verify(&record);
            assert_eq!(judged, Err(EvidenceError::Unfounded), "{act:?}");
        }
    }
    // A share that fits, accused by one that echoed its dealer's package, convicts the accuser alone.
    let act = CeremonyAct::FalseAccusation(Box::new([round1(2), echo(3), accusation]));
    for slot in 1..=5 {
        let fact = Fact::Ceremony {
            act: act.clone(),
            plan: None,
        };
        let evidence = Evidence::new(record.id(), Culprit::Member(Slot(slot)), fact);
        let judged = evidence.verify(&record).map(|conviction| conviction.kind);
        let expected = match slot {
            3 => Ok(Kind::FalseAccusation),
            _ => Err(EvidenceError::Unfounded),
        };
        assert_eq!(judged, expected, "member {slot}");
    }
}

#[test]
fn forged_messages_and_other_versions_are_refused() {
    let record = record(5, 0);
    let (_, evidence) = files().remove(0);
    // The liar's words under another member's name, signed by the liar.
    let mut forged = evidence.clone();
    let Fact::Ceremony {
        act: CeremonyAct::BadDealing(both),
        ..
    } = &mut forged.fact
    else {
        panic!("{:?}", forged.fact);
    };
    for message in both.iter_mut() {
        message.slot = Slot(3);
    }
    forged.culprit = Culprit::Member(Slot(3));
    assert_eq!(forged.verify(&record), Err(EvidenceError::Signature));
    let mut next = evidence.clone();
    for version in [0, EVIDENCE_VERSION - 1, EVIDENCE_VERSION + 1] {
        next.version = version;
        let refused = Evidence::from_bytes(&next.to_bytes());
        assert_eq!(refused, Err(EvidenceError::Version(version)));
    }
    let mut other = evidence;
    other.culprit = Culprit::Coordinator(0);
    assert_eq!(other.verify(&record), Err(EvidenceError::Unfounded));
}

#[test]
fn a_file_about_the_generation_of_the_second_key_convicts_too() {
    let mut record = record(5, 0);
    record.evm = true;
    let domain = crate::dkg::tests::domain(&record);
    let echo = |of: u8, session| {
        let message = DkgMessage {
            session,
            attempt: 1,
            slot: LIAR,
            boot: Boot(1),
            body: DkgBody::Echo(vec![Digest::from_bytes([of; 32]); 5]),
            signature: attestation::ids::Signature::from_bytes([0; 64]),
        };
        resigned(&record, message)
    };
    let file = |record: &CreationRecord, session| {
        let both = Box::new([echo(1, session), echo(2, session)]);
        let (act, plan) = (CeremonyAct::EchoTwice(both), None);
        let fact = Fact::Ceremony { act, plan };
        Evidence::new(record.id(), Culprit::Member(LIAR), fact)
    };
    let evm = light_client::key_record::session::<crate::suite::Evm>(&domain, 1);
    let first = light_client::key_record::session::<frost_ed25519::Ed25519Sha512>(&domain, 1);
    for session in [evm, first] {
        let kind = file(&record, session).verify(&record);
        assert_eq!(kind.map(|guilt| guilt.kind), Ok(Kind::EchoTwice));
    }
    let another = Digest::from_bytes([7; 32]);
    let refused = file(&record, another).verify(&record);
    assert_eq!(refused, Err(EvidenceError::Signature));
}
