//! Evidence of what parties do in steps: made in a committee at work, judged from the file alone.

use std::cell::RefCell;
use std::rc::Rc;

use attestation::ids::{CommitteeId, Epoch, GroupKey, Slot, StatementId};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use signer_protocol::blame::{Act, Culprit};
use signer_protocol::dkg::KeyRecord;
use signer_protocol::evidence::{
    EVIDENCE_VERSION, Evidence, EvidenceError, Fact, History, Kind, Place,
};
use signer_protocol::identity::SignIdentity as _;
use signer_protocol::message::{Message, ToCoordinator, ToSigner};

use crate::suite::{Ed25519, generate};
use crate::voice::{
    SOON_MS, give_job, give_package, one, other, package, signer, spoil_shares, voted,
};
use crate::world::{Founding, World};

/// A committee of five that has generated its key, and the record of that key.
fn committee(seed: u64) -> (World, KeyRecord) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let founding = Founding::new(5, 4, 2);
    let generated = generate::<Ed25519>(&founding, &mut rng);
    let (record, share) = &generated[&Slot(1)];
    let (record, public) = (record.clone(), share.public_package().clone());
    let shares = generated.iter();
    let keys = shares.map(|(slot, (_, share))| (*slot, share.key_package().clone()));
    let keys = keys.collect();
    (World::with_key(rng, founding, keys, public), record)
}

fn history(key: &KeyRecord) -> History {
    History {
        key: key.clone(),
        epochs: Vec::new(),
    }
}

/// A file about a step of the first epoch.
fn file(committee: CommitteeId, culprit: Culprit, act: &Act, key: &KeyRecord) -> Option<Evidence> {
    let file = Evidence::of_step(committee, culprit, act)?;
    Some(file.with_history(&history(key)))
}

/// One act of each kind that a step can show, with its culprit, and the committee's key.
fn acts() -> (World, KeyRecord, Vec<(Kind, Culprit, Act)>) {
    let mut acts = Vec::new();
    let mut take = |world: &World, kind, culprit| {
        let act = (*world.blamed(culprit).first().expect("it was blamed")).clone();
        acts.push((kind, culprit, act));
    };

    let (mut world, _) = committee(71);
    let (job, heard) = voted(&mut world);
    let view = world.view(1);
    give_job(&mut world, 5, &job, view, None);
    give_job(&mut world, 1, &other(&job), view, None);
    world.run_for(20);
    take(&world, Kind::ProposedTwice, Culprit::Coordinator(0));
    world.seen.clear();
    let votes = heard.borrow().votes.clone();
    let first = package(&world, &votes[..4]);
    let second = package(&world, &[&votes[..3], &votes[4..]].concat());
    for package in [&first, &second] {
        give_package(&mut world, 1, package);
        world.run_for(20);
    }
    take(&world, Kind::PackagedTwice, Culprit::Coordinator(0));

    let (mut world, _) = committee(71);
    let zapp = world.deploy();
    let (liar, domain) = (world.identity(signer(3)), world.domain);
    world.tamper = Some(Box::new(move |from, to, message| match &message {
        Message::ToCoordinator(ToCoordinator::Vote {
            vote,
            stated,
            nonces,
        }) if from == signer(3) => {
            let mut second = vote.clone();
            second.mask = attestation::ids::Digest::from_bytes([9; 32]);
            second.signature = liar.sign(&second.signed_bytes(&domain));
            let second = ToCoordinator::Vote {
                vote: second,
                stated: *stated,
                nonces: nonces.clone(),
            };
            vec![(to, message), (to, Message::ToCoordinator(second))]
        }
        _ => one(to, message),
    }));
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, World::all_done));
    world.run_for(2_000);
    take(&world, Kind::VotedTwice, Culprit::Member(Slot(3)));

    let (mut world, key) = committee(71);
    let zapp = world.deploy();
    spoil_shares(&mut world, &[2]);
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, World::all_done));
    take(&world, Kind::BadShare, Culprit::Member(Slot(2)));
    (world, key, acts)
}

#[test]
fn a_file_convicts_whoever_erred_in_a_step_and_nobody_else() {
    let (world, key, acts) = acts();
    let (record, committee) = (&world.record, world.record.id());
    for (kind, culprit, act) in &acts {
        let file = file(committee, *culprit, act, &key).expect("it is a proof");
        let bytes = file.to_bytes();
        let read = Evidence::from_bytes(&bytes).expect("what is written is read");
        let conviction = read
            .verify(record)
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!((conviction.culprit, conviction.kind), (*culprit, *kind));
        assert!(
            matches!(conviction.place, Place::Step(seq, _) if seq.0 == 2),
            "{conviction}"
        );
        for slot in 0..=6 {
            for accused in [Culprit::Member(Slot(slot)), Culprit::Coordinator(slot)] {
                let mut other = read.clone();
                other.culprit = accused;
                assert_eq!(other.verify(record).is_ok(), accused == *culprit, "{kind}");
            }
        }
    }
    assert_eq!(acts.len(), 4);
}

#[test]
fn one_changed_bit_of_a_file_about_a_step_convicts_nobody() {
    let (world, key, acts) = acts();
    for (kind, culprit, act) in &acts {
        let file = file(world.record.id(), *culprit, act, &key);
        let bytes = file.expect("it is a proof").to_bytes();
        for at in (0..bytes.len()).step_by(3) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let judged = Evidence::from_bytes(&changed).and_then(|one| one.verify(&world.record));
            assert!(judged.is_err(), "{kind}: byte {at}: {judged:?}");
        }
    }
}

#[test]
fn what_is_no_proof_makes_no_file_and_what_is_sound_or_forged_convicts_nobody() {
    let (world, key, acts) = acts();
    let (record, committee) = (&world.record, world.record.id());
    let absent = Act::Absent {
        seq: attestation::ids::Seq(2),
        view: attestation::ids::View(0),
    };
    let member = Culprit::Member(Slot(2));
    assert_eq!(Evidence::of_step(committee, member, &absent), None);
    let (_, _, bad) = acts.last().expect("the bad share");
    let file = |act: &Act| Evidence {
        version: EVIDENCE_VERSION,
        committee,
        culprit: member,
        fact: Fact::Step { act: act.clone() },
        history: Some(Box::new(history(&key))),
    };
    assert_eq!(file(&absent).verify(record), Err(EvidenceError::NoProof));

    // A share that verifies, and one that somebody else has signed.
    let Act::BadShare {
        share,
        package,
        stated,
    } = bad
    else {
        panic!("{bad:?}");
    };
    let with = |change: &dyn Fn(&mut signer_protocol::message::SignedShare), by: u16| {
        let mut share = share.clone();
        change(&mut share);
        share.signature = world
            .identity(signer(by))
            .sign(&share.signed_bytes(&world.domain));
        file(&Act::BadShare {
            share,
            package: package.clone(),
            stated: stated.clone(),
        })
    };
    let mended = with(&|share| share.share[0] ^= 1, 2).verify(record);
    assert_eq!(mended, Err(EvidenceError::Unfounded), "the share is sound");
    let usurped = with(&|_| (), 3).verify(record);
    assert_eq!(usurped, Err(EvidenceError::Signature));
    let mut about_another = **stated;
    about_another.commit.gas_used ^= 1;
    let about_another = file(&Act::BadShare {
        share: share.clone(),
        package: package.clone(),
        stated: Box::new(about_another),
    });
    assert_eq!(about_another.verify(record), Err(EvidenceError::Unfounded));
    let mut without = file(bad);
    without.history = None;
    let missing = EvidenceError::NoHistory(Epoch(1));
    assert_eq!(without.verify(record), Err(missing));
    let mut of_another_key = file(bad);
    let mut other_key = key.clone();
    let other = *other_key.canary.as_bytes().first_chunk().unwrap();
    other_key.group_key = GroupKey::from_bytes(other).into();
    of_another_key.history = Some(Box::new(history(&other_key)));
    let refused = of_another_key.verify(record);
    assert!(matches!(refused, Err(EvidenceError::Key(_))), "{refused:?}");

    // Two votes that say the same, or in two views.
    let (_, voter, Act::VotedTwice(both)) = &acts[2] else {
        panic!("{:?}", acts[2]);
    };
    let mut same = both.clone();
    same[1] = same[0].clone();
    let mut later = both.clone();
    later[1].view.0 += 1;
    later[1].statement = StatementId::from_bytes([1; 32]);
    let third = world.identity(signer(3));
    later[1].signature = third.sign(&later[1].signed_bytes(&world.domain));
    for act in [Act::VotedTwice(same), Act::VotedTwice(later)] {
        let file = Evidence::of_step(committee, *voter, &act).expect("it claims a proof");
        assert_eq!(file.verify(record), Err(EvidenceError::Unfounded));
    }
}

/// What parties are heard to say, put together by somebody else, convicts no one of them.
#[test]
fn an_honest_committees_words_convict_nobody() {
    let (mut world, key) = committee(72);
    let heard: Rc<RefCell<Vec<Message>>> = Rc::default();
    let log = Rc::clone(&heard);
    world.tamper = Some(Box::new(move |_, to, message| {
        log.borrow_mut().push(message.clone());
        one(to, message)
    }));
    let zapp = world.deploy();
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, World::all_done));
    let heard = heard.borrow();
    let mut acts = Vec::new();
    let proposals = heard.iter().filter_map(|message| match message {
        Message::ToSigner(ToSigner::Job { proposal, .. }) => Some(proposal.clone()),
        _ => None,
    });
    let proposals: Vec<_> = proposals.collect();
    let packages = heard.iter().filter_map(|message| match message {
        Message::ToSigner(ToSigner::Package(package)) => Some(package.clone()),
        _ => None,
    });
    let packages: Vec<_> = packages.collect();
    let votes = heard.iter().filter_map(|message| match message {
        Message::ToCoordinator(ToCoordinator::Vote { vote, .. }) => Some(vote.clone()),
        _ => None,
    });
    let votes: Vec<_> = votes.collect();
    for pair in proposals.windows(2) {
        acts.push(Act::ProposedTwice(Box::new([
            pair[0].clone(),
            pair[1].clone(),
        ])));
    }
    for pair in packages.windows(2) {
        acts.push(Act::PackagedTwice(Box::new([
            pair[0].clone(),
            pair[1].clone(),
        ])));
    }
    for pair in votes.windows(2) {
        acts.push(Act::VotedTwice(Box::new([
            pair[0].clone(),
            pair[1].clone(),
        ])));
    }
    for message in heard.iter() {
        let Message::ToCoordinator(ToCoordinator::Share(share)) = message else {
            continue;
        };
        let package = packages
            .iter()
            .find(|one| one.digest(&world.domain) == share.package);
        let attested = world.attested[&share.seq];
        acts.push(Act::BadShare {
            share: Box::new(share.clone()),
            package: Box::new(package.expect("it was asked for").clone()),
            stated: Box::new(signer_protocol::message::Stated {
                commit: attested.commit,
                root: attested.root,
            }),
        });
    }
    assert!(acts.len() > 20, "{} acts", acts.len());
    for act in acts {
        for slot in 0..=5 {
            for culprit in [Culprit::Member(Slot(slot)), Culprit::Coordinator(slot)] {
                let file = file(world.record.id(), culprit, &act, &key);
                let judged = file.expect("it claims a proof").verify(&world.record);
                assert_eq!(judged, Err(EvidenceError::Unfounded), "{act:?}");
            }
        }
    }
}
