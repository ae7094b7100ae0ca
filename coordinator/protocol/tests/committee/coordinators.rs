//! Coordinators that lie: nothing is attested twice, and the next one takes over.

use std::cell::RefCell;
use std::rc::Rc;

use attestation::ids::{Seq, Slot, StatementId, View};
use frost_core::Field as _;
use frost_ed25519::round1;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use serde_bytes::ByteBuf;
use signer_protocol::blame::{Act, Culprit};
use signer_protocol::identity::{Ed25519Identity, Ed25519Verify, SignIdentity as _};
use signer_protocol::message::{
    Endpoint, Message, SignedNonces, SignedPackage, ToCoordinator, ToMember, ToSigner,
};
use signer_protocol::register::Refused;
use signer_protocol::signer::PackageError;

use crate::voice::{
    SOON_MS, enter_next_view, give_job, give_package, listen, one, other, package, repackage,
    seized, signer, voted,
};
use crate::world::{Seen, World};

#[test]
fn different_jobs_for_different_members_attest_nothing_twice_and_convict_the_coordinator() {
    let mut world = World::four_of_five(29);
    let zapp = world.deploy();
    let hostile = world.identity(Endpoint::Coordinator(0));
    let domain = world.domain;
    world.tamper = Some(Box::new(move |from, to, message| {
        let Message::ToSigner(ToSigner::Job {
            mut proposal,
            job,
            certificate,
        }) = message.clone()
        else {
            return one(to, message);
        };
        // Members 1 and 2 get one job, 3 and 4 another, 5 both.
        if from != Endpoint::Coordinator(0) || to < signer(3) {
            return one(to, message);
        }
        let job = other(&job);
        proposal.job = job.digest();
        proposal.signature = hostile.sign(&proposal.signed_bytes(&domain));
        let second = Message::ToSigner(ToSigner::Job {
            proposal,
            job,
            certificate,
        });
        if to == signer(5) {
            vec![(to, message), (to, second)]
        } else {
            one(to, second)
        }
    }));
    let began = world.now;
    world.request(zapp, "add", Vec::new());
    assert!(
        world.run_until(SOON_MS, World::all_done),
        "the next coordinator takes over"
    );
    assert!(world.now - began < 5_000);
    assert_eq!(world.view(1), View(1));
    let culprit = Culprit::Coordinator(0);
    let acts = world.blamed(culprit);
    assert!(!acts.is_empty());
    for act in acts {
        assert!(
            act.proves(culprit, &world.committee, &Ed25519Verify),
            "{act:?}"
        );
    }
}

#[test]
fn a_coordinator_that_jumps_views_moves_nobody() {
    let mut world = World::four_of_five(30);
    let zapp = world.deploy();
    world.request(zapp, "add", Vec::new());
    let job = seized(&mut world);
    let heard = listen(&mut world);
    for view in [2, 4, 1 << 40, u64::MAX - 1] {
        for slot in 1..=5 {
            give_job(&mut world, slot, &job, View(view), None);
        }
    }
    world.run_for(20);
    assert!(heard.borrow().votes.is_empty());
    assert_eq!(world.view(3), View(0));
    // One member that claims the end of the counter moves nobody either.
    world.tamper = None;
    let liar = world.identity(signer(5));
    let domain = world.domain;
    world.tamper = Some(Box::new(move |from, to, mut message| {
        let status = match &mut message {
            Message::ToCoordinator(ToCoordinator::Status(status)) => Some(status),
            Message::ToMember(ToMember::Status(status)) => Some(status),
            _ => None,
        };
        if let Some(status) = status
            && from == signer(5)
        {
            status.signed.view = View(u64::MAX);
            status.signed.signature = liar.sign(&status.signed.signed_bytes(&domain));
        }
        one(to, message)
    }));
    assert!(world.run_until(SOON_MS, World::all_done));
    assert!(world.view(1) < View(10));
}

#[test]
fn a_coordinator_that_replays_an_old_package_gets_nothing_new() {
    let mut world = World::four_of_five(31);
    let (job, heard) = voted(&mut world);
    let votes = heard.borrow().votes.clone();
    let old = package(&world, &votes);
    enter_next_view(&mut world);
    for slot in 1..=4 {
        give_package(&mut world, slot, &old);
    }
    world.run_for(20);
    assert_eq!(
        heard.borrow().shares,
        0,
        "shares leave only in the current view"
    );
    // In a view of the same leader, with a vote to sign for, it is refused for its view.
    let view = enter_next_view(&mut world);
    assert_eq!(world.committee.leader(view), old.rank);
    for slot in 1..=4 {
        give_job(&mut world, slot, &job, view, None);
    }
    world.run_for(20);
    for slot in 1..=4 {
        give_package(&mut world, slot, &old);
    }
    world.run_for(20);
    assert_eq!(heard.borrow().shares, 0);
    let refused = |seen: &Seen| matches!(seen, Seen::PackageRefused(_, PackageError::Certificate));
    assert!(world.seen.iter().any(refused), "{:?}", world.seen);
}

#[test]
fn the_same_package_again_is_the_same_share_again() {
    let mut world = World::four_of_five(32);
    let (_, heard) = voted(&mut world);
    let votes = heard.borrow().votes.clone();
    let package = package(&world, &votes);
    let shares: Rc<RefCell<Vec<Vec<u8>>>> = Rc::default();
    let log = Rc::clone(&shares);
    world.tamper = Some(Box::new(move |_, _, message| {
        if let Message::ToCoordinator(ToCoordinator::Share(share)) = &message {
            log.borrow_mut().push(share.share.to_vec());
        }
        Vec::new()
    }));
    for _ in 0..3 {
        give_package(&mut world, 1, &package);
        world.run_for(20);
    }
    let shares = shares.borrow();
    assert_eq!(shares.len(), 3);
    assert!(
        shares.iter().all(|share| *share == shares[0]),
        "one nonce, one share"
    );
}

#[test]
fn a_second_digest_at_one_seq_and_view_is_refused_also_after_a_restart() {
    let mut world = World::four_of_five(33);
    let (job, heard) = voted(&mut world);
    let view = world.view(1);
    let second = other(&job);
    let first = heard.borrow().votes.clone();
    give_job(&mut world, 1, &second, view, None);
    world.run_for(20);
    assert_eq!(heard.borrow().votes, first, "no second vote has left");
    let act = world.blamed(Culprit::Coordinator(0));
    assert!(
        matches!(act[..], [Act::ProposedTwice(_)]),
        "told by its memory: {act:?}"
    );
    world.kill_member(Slot(1));
    world.start_member(Slot(1));
    world.run_for(50);
    heard.borrow_mut().votes.clear();
    give_job(&mut world, 1, &second, view, None);
    world.run_for(20);
    assert!(heard.borrow().votes.is_empty());
    let refused = |seen: &Seen| {
        matches!(
            seen,
            Seen::Refused(Slot(1), Refused::SecondDigest { seq: Seq(2), .. })
        )
    };
    assert!(world.seen.iter().any(refused), "told by its register");
    // The first digest again is the same vote again.
    world.kill_member(Slot(1));
    world.start_member(Slot(1));
    world.run_for(50);
    give_job(&mut world, 1, &job, view, None);
    world.run_for(20);
    assert_eq!(heard.borrow().votes.len(), 1);
}

#[test]
fn a_locked_signer_votes_otherwise_only_for_a_later_certificate_also_after_a_restart() {
    for restart in [false, true] {
        let mut world = World::four_of_five(34);
        let (job, heard) = voted(&mut world);
        let votes = heard.borrow().votes.clone();
        let first = package(&world, &votes);
        // Member 1 alone is locked; its share goes nowhere.
        give_package(&mut world, 1, &first);
        world.run_for(20);
        let view = enter_next_view(&mut world);
        if restart {
            world.kill_member(Slot(1));
            world.start_member(Slot(1));
            world.run_for(50);
        }
        let second = other(&job);
        heard.borrow_mut().votes.clear();
        heard.borrow_mut().locked.clear();
        for slot in 1..=5 {
            give_job(&mut world, slot, &second, view, None);
        }
        world.run_for(20);
        assert!(
            heard
                .borrow()
                .votes
                .iter()
                .all(|(vote, _)| vote.slot != Slot(1))
        );
        assert!(matches!(heard.borrow().locked[..], [(from, _)] if from == signer(1)));
        // The same job with the lock's own certificate does not release the lock either.
        let early = first.certificate.clone();
        let view = enter_next_view(&mut world);
        heard.borrow_mut().locked.clear();
        give_job(&mut world, 1, &second, view, Some(early));
        world.run_for(20);
        assert!(
            heard
                .borrow()
                .votes
                .iter()
                .all(|(vote, _)| vote.slot != Slot(1))
        );
        // Four votes of a view after the lock do.
        let later = package(&world, &heard.borrow().votes[..4]).certificate;
        let view = enter_next_view(&mut world);
        give_job(&mut world, 1, &second, view, Some(later));
        world.run_for(20);
        assert!(
            heard
                .borrow()
                .votes
                .iter()
                .any(|(vote, _)| vote.slot == Slot(1))
        );
    }
}

#[test]
fn packages_that_rule_a6_forbids_get_no_share_and_touch_no_nonce() {
    let mut world = World::four_of_five(35);
    let (job, heard) = voted(&mut world);
    let view = world.view(1);
    give_job(&mut world, 5, &job, view, None);
    world.run_for(20);
    let votes = heard.borrow().votes.clone();
    let good = package(&world, &votes[..4]);
    let coordinator = world.identity(Endpoint::Coordinator(0));
    let other_rank = world.identity(Endpoint::Coordinator(1));
    let domain = world.domain;
    let fifth = votes[4].clone();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let key = frost_ed25519::keys::SigningShare::new(frost_ed25519::Ed25519ScalarField::one());
    let foreign = round1::commit(&key, &mut rng).1.serialize().unwrap();
    let members: Vec<Ed25519Identity> = (1..=5).map(|slot| world.identity(signer(slot))).collect();
    let resign = |nonces: &mut SignedNonces| {
        let identity = &members[usize::from(nonces.slot.0) - 1];
        nonces.signature = identity.sign(&nonces.signed_bytes(&domain));
    };
    type Change<'a> = Box<dyn FnOnce(&mut SignedPackage) + 'a>;
    let cases: Vec<(&str, PackageError, Change<'_>)> = vec![
        (
            "t - 1 of them",
            PackageError::Certificate,
            Box::new(|package| {
                package.nonces.pop();
                package.certificate.votes.pop();
            }),
        ),
        (
            "t + 1 of them",
            PackageError::Certificate,
            Box::new(|package| {
                package.nonces.push(fifth.1.clone());
                package.certificate.votes.push(fifth.0.clone());
            }),
        ),
        (
            "fewer commitments than votes",
            PackageError::Set,
            Box::new(|package| {
                package.nonces.pop();
            }),
        ),
        (
            "an outsider among the set",
            PackageError::Set,
            Box::new(|package| {
                package.nonces[3] = fifth.1.clone();
            }),
        ),
        (
            "a member twice",
            PackageError::Certificate,
            Box::new(|package| {
                package.nonces[3] = package.nonces[2].clone();
                package.certificate.votes[3] = package.certificate.votes[2].clone();
            }),
        ),
        (
            "a slot outside the committee",
            PackageError::Certificate,
            Box::new(|package| {
                package.nonces[3].slot = Slot(6);
                package.certificate.votes[3].slot = Slot(6);
            }),
        ),
        (
            "commitments that their member did not sign",
            PackageError::Commitments,
            Box::new(|package| {
                package.nonces[1].commitments = ByteBuf::from(foreign.clone());
            }),
        ),
        (
            "commitments that are no points",
            PackageError::Commitments,
            Box::new(|package| {
                package.nonces[1].commitments = ByteBuf::from([0xff; 69]);
                resign(&mut package.nonces[1]);
            }),
        ),
        (
            "commitments of another view",
            PackageError::Commitments,
            Box::new(|package| {
                package.nonces[1].view = View(9);
                resign(&mut package.nonces[1]);
            }),
        ),
        (
            "own commitments that it did not make",
            PackageError::OwnCommitments,
            Box::new(|package| {
                package.nonces[0].commitments = ByteBuf::from(foreign.clone());
                resign(&mut package.nonces[0]);
            }),
        ),
        (
            "votes of another statement",
            PackageError::Certificate,
            Box::new(|package| {
                package.certificate.votes[2].statement = StatementId::from_bytes([1; 32]);
            }),
        ),
    ];
    for (case, expected, change) in cases {
        world.seen.clear();
        let bad = repackage(&good, &coordinator, &domain, change);
        give_package(&mut world, 1, &bad);
        world.run_for(20);
        assert_eq!(heard.borrow().shares, 0, "{case}");
        let [Seen::PackageRefused(Slot(1), reason)] = world.seen[..] else {
            panic!("{case}: {:?}", world.seen);
        };
        assert_eq!(reason, expected, "{case}");
    }
    let usurped = repackage(&good, &other_rank, &domain, |package| package.rank = 1);
    give_package(&mut world, 1, &usurped);
    world.run_for(20);
    assert_eq!(heard.borrow().shares, 0, "a coordinator that does not lead");
    give_package(&mut world, 1, &good);
    world.run_for(20);
    assert_eq!(heard.borrow().shares, 1, "the nonces are untouched");
}

#[test]
fn two_packages_for_one_attempt_convict_the_coordinator() {
    let mut world = World::four_of_five(36);
    let (job, heard) = voted(&mut world);
    let view = world.view(1);
    give_job(&mut world, 5, &job, view, None);
    world.run_for(20);
    let votes = heard.borrow().votes.clone();
    let first = package(&world, &votes[..4]);
    let second = package(&world, &[&votes[..3], &votes[4..]].concat());
    give_package(&mut world, 1, &first);
    world.run_for(20);
    // Once is enough: a liar must not fill anybody's log.
    for second in [&second, &first, &second, &second] {
        give_package(&mut world, 1, second);
        world.run_for(20);
    }
    assert_eq!(heard.borrow().votes.len(), 5);
    let culprit = Culprit::Coordinator(0);
    let acts = world.blamed(culprit);
    let [act @ Act::PackagedTwice(_)] = acts[..] else {
        panic!("{acts:?}");
    };
    assert!(act.proves(culprit, &world.committee, &Ed25519Verify));
}

#[test]
fn a_package_of_the_step_before_is_late_and_no_crime() {
    let mut world = World::four_of_five(38);
    let zapp = world.deploy();
    let late: Rc<RefCell<Option<SignedPackage>>> = Rc::default();
    let seen = Rc::clone(&late);
    world.tamper = Some(Box::new(move |_, to, message| {
        if let Message::ToSigner(ToSigner::Package(package)) = &message
            && to == signer(1)
        {
            *seen.borrow_mut() = Some(package.clone());
        }
        one(to, message)
    }));
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, World::all_done));
    let late = late.take().expect("member 1 signed");

    world.request(zapp, "add", Vec::new());
    let job = seized(&mut world);
    let heard = listen(&mut world);
    let view = world.view(1);
    assert_eq!(late.certificate.view(), view, "the view goes on");
    for slot in 1..=4 {
        give_job(&mut world, slot, &job, view, None);
    }
    world.run_for(20);
    let next = package(&world, &heard.borrow().votes);
    give_package(&mut world, 1, &next);
    world.run_for(20);
    assert_eq!(heard.borrow().shares, 1);
    give_package(&mut world, 1, &late);
    world.run_for(20);
    let acts = world.blamed(Culprit::Coordinator(0));
    assert!(acts.is_empty(), "{acts:?}");
}

#[test]
fn a_certificate_stitched_from_two_views_locks_and_releases_nobody() {
    let mut world = World::four_of_five(37);
    let (job, heard) = voted(&mut world);
    let first = heard.borrow().votes.clone();
    enter_next_view(&mut world);
    let view = enter_next_view(&mut world);
    heard.borrow_mut().votes.clear();
    for slot in 1..=2 {
        give_job(&mut world, slot, &job, view, None);
    }
    world.run_for(20);
    let second = heard.borrow().votes.clone();
    assert_eq!(second.len(), 2);
    // Two votes of this view and two of the first, all for one statement.
    let stitched = [&second[..], &first[2..]].concat();
    let bad = package(&world, &stitched);
    give_package(&mut world, 1, &bad);
    world.run_for(20);
    assert_eq!(heard.borrow().shares, 0);
    let view = enter_next_view(&mut world);
    heard.borrow_mut().votes.clear();
    give_job(&mut world, 1, &job, view, Some(bad.certificate));
    world.run_for(20);
    assert!(heard.borrow().votes.is_empty(), "not a certificate");
}
