//! Members and coordinators that lie, each act its own test.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use attestation::ids::{Attempt, Seq, Slot, View};
use coordinator_protocol::coordinator::share_fails;
use frost_core::Field as _;
use frost_ed25519::round1;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use serde_bytes::ByteBuf;
use signer_protocol::blame::{Act, Culprit};
use signer_protocol::identity::{Ed25519Identity, Ed25519Verify, SignIdentity as _};
use signer_protocol::message::{
    Certificate, Endpoint, Message, SignedNonces, SignedPackage, SignedProposal, ToCoordinator,
    ToSigner,
};
use signer_protocol::register::Refused;
use signer_protocol::signer::{self, PackageError};
use state::job::{Domain, Job};

use crate::world::{Seen, World};

const SOON_MS: u64 = 60_000;

fn one(to: Endpoint, message: Message) -> Vec<(Endpoint, Message)> {
    vec![(to, message)]
}

fn signer(slot: u16) -> Endpoint {
    Endpoint::Signer(Slot(slot))
}

fn packages(log: &Rc<RefCell<Vec<SignedPackage>>>, message: &Message) {
    if let Message::ToSigner(ToSigner::Package(package)) = message {
        log.borrow_mut().push(package.clone());
    }
}

/// A coordinator's package with other contents, signed anew.
fn repackage(
    package: &SignedPackage,
    coordinator: &Ed25519Identity,
    domain: &Domain,
    change: impl FnOnce(&mut SignedPackage),
) -> SignedPackage {
    let mut package = package.clone();
    change(&mut package);
    package.signature = coordinator.sign(&package.signed_bytes(domain));
    package
}

fn propose(world: &World, job: &Job, view: View) -> SignedProposal {
    let rank = world.committee.leader(view);
    let mut proposal = SignedProposal {
        rank,
        epoch: world.committee.epoch(),
        seq: job.seq,
        view,
        job: job.digest(),
        signature: attestation::ids::Signature::from_bytes([0; 64]),
    };
    let identity = world.identity(Endpoint::Coordinator(rank));
    proposal.signature = identity.sign(&proposal.signed_bytes(&world.domain));
    proposal
}

/// The same job at another time: another statement.
fn other(job: &Job) -> Job {
    let mut job = job.clone();
    job.context.time_ms += 1;
    job
}

/// Runs until a job for the next step is on the network, then silences the coordinators, so that
/// the test speaks for them. Returns the job.
fn seized(world: &mut World) -> Job {
    let job: Rc<RefCell<Option<Job>>> = Rc::default();
    let seen = Rc::clone(&job);
    world.tamper = Some(Box::new(move |from, to, message| {
        if let Message::ToSigner(ToSigner::Job { job, .. }) = &message {
            *seen.borrow_mut() = Some(job.clone());
        }
        match from {
            Endpoint::Coordinator(_) => Vec::new(),
            _ => one(to, message),
        }
    }));
    let found = Rc::clone(&job);
    assert!(world.run_until(SOON_MS, move |_| found.borrow().is_some()));
    job.take().unwrap()
}

fn give_job(world: &mut World, to: u16, job: &Job, view: View, certificate: Option<Certificate>) {
    let proposal = propose(world, job, view);
    let message = Message::ToSigner(ToSigner::Job {
        proposal: proposal.clone(),
        job: job.clone(),
        certificate,
    });
    let from = Endpoint::Coordinator(proposal.rank);
    world.sign(Slot(to), signer::Input::Message { from, message });
}

/// Collects what signers tell coordinators, which hear nothing.
#[derive(Default)]
struct Heard {
    votes: Vec<(state::job::SignedVote, SignedNonces)>,
    shares: usize,
    locked: Vec<(Endpoint, Certificate)>,
}

fn listen(world: &mut World) -> Rc<RefCell<Heard>> {
    let heard: Rc<RefCell<Heard>> = Rc::default();
    let log = Rc::clone(&heard);
    world.tamper = Some(Box::new(move |from, to, message| {
        match (&message, to) {
            (Message::ToCoordinator(ToCoordinator::Vote { vote, nonces, .. }), _) => {
                log.borrow_mut().votes.push((vote.clone(), nonces.clone()));
            }
            (Message::ToCoordinator(ToCoordinator::Share(_)), _) => log.borrow_mut().shares += 1,
            (Message::ToCoordinator(ToCoordinator::Locked(certificate)), _) => {
                log.borrow_mut().locked.push((from, certificate.clone()));
            }
            _ => {}
        }
        match (from, to) {
            (Endpoint::Coordinator(_), _) | (_, Endpoint::Coordinator(_)) => Vec::new(),
            _ => one(to, message),
        }
    }));
    heard
}

/// A package of these votes, signed by the view's leader.
fn package(world: &World, votes: &[(state::job::SignedVote, SignedNonces)]) -> SignedPackage {
    let mut votes = votes.to_vec();
    votes.sort_by_key(|(vote, _)| vote.slot);
    let rank = world.committee.leader(votes[0].0.view);
    let package = SignedPackage {
        rank,
        certificate: Certificate {
            votes: votes.iter().map(|(vote, _)| vote.clone()).collect(),
        },
        attempt: Attempt(0),
        nonces: votes.iter().map(|(_, nonces)| nonces.clone()).collect(),
        signature: attestation::ids::Signature::from_bytes([0; 64]),
    };
    let identity = world.identity(Endpoint::Coordinator(rank));
    repackage(&package, &identity, &world.domain, |_| {})
}

fn give_package(world: &mut World, to: u16, package: &SignedPackage) {
    let from = Endpoint::Coordinator(package.rank);
    let message = Message::ToSigner(ToSigner::Package(package.clone()));
    world.sign(Slot(to), signer::Input::Message { from, message });
}

/// Four members' votes for one job in the current view, the coordinators silenced.
fn voted(world: &mut World) -> (Job, Rc<RefCell<Heard>>) {
    let zapp = world.deploy();
    world.run_for(500);
    world.request(zapp, "add", Vec::new());
    let job = seized(world);
    let heard = listen(world);
    let view = world.view(1);
    for slot in 1..=4 {
        give_job(world, slot, &job, view, None);
    }
    world.run_for(20);
    assert_eq!(heard.borrow().votes.len(), 4);
    (job, heard)
}

fn enter_next_view(world: &mut World) -> View {
    let request = world.requests[0].id();
    for slot in 1..=5 {
        if world.members[&Slot(slot)].signer.is_some() {
            world.sign(Slot(slot), signer::Input::PassedOver(request));
        }
    }
    world.run_for(20);
    world.view(1)
}

#[test]
fn a_member_that_answers_wrongly_is_named_and_the_others_attest() {
    let mut world = World::four_of_five(20);
    let zapp = world.deploy();
    world.members.get_mut(&Slot(3)).unwrap().engine.wrong = true;
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, World::all_done));
    let acts = world.blamed(Culprit::Member(Slot(3)));
    assert!(
        acts.iter()
            .any(|act| matches!(act, Act::VotedOtherwise { .. }))
    );
    assert!(world.seen.iter().all(|seen| match seen {
        Seen::Blame(_, culprit, _) => *culprit == Culprit::Member(Slot(3)),
        _ => true,
    }));
}

#[test]
fn two_members_that_answer_wrongly_make_a_divergence_report_and_no_share() {
    let mut world = World::four_of_five(21);
    let zapp = world.deploy();
    for slot in [2, 3] {
        world.members.get_mut(&Slot(slot)).unwrap().engine.wrong = true;
    }
    let before = world.head();
    world.request(zapp, "add", Vec::new());
    world.sent.clear();
    world.run_for(3_000);
    assert_eq!(world.head(), before);
    assert_eq!(world.sent.get("share"), None, "no share is released");
    let report = world.seen.iter().find_map(|seen| match seen {
        Seen::Divergence(report) => Some(report),
        _ => None,
    });
    let report = report.expect("who said what is reported");
    let said: BTreeSet<_> = report.votes.iter().map(|vote| vote.statement).collect();
    assert_eq!((report.votes.len(), said.len()), (5, 2));
    for vote in &report.votes {
        assert!(world.committee.voted(vote, &Ed25519Verify));
    }
    // Back to their senses: everything goes on.
    for slot in [2, 3] {
        world.members.get_mut(&Slot(slot)).unwrap().engine.wrong = false;
    }
    assert!(world.run_until(SOON_MS, World::all_done));
}

#[test]
fn a_member_that_answers_late_slows_no_step_and_is_listed_when_it_comes() {
    let mut world = World::four_of_five(22);
    let zapp = world.deploy();
    world.members.get_mut(&Slot(5)).unwrap().engine.takes_ms = 400;
    for _ in 0..5 {
        let began = world.now;
        world.request(zapp, "add", Vec::new());
        assert!(world.run_until(SOON_MS, World::all_done));
        assert!(world.now - began < 20, "a late member slows nothing");
        world.run_for(600);
    }
    assert!(
        world.blamed(Culprit::Member(Slot(5))).is_empty(),
        "its votes come in time"
    );
    for _ in 0..5 {
        world.request(zapp, "add", Vec::new());
        assert!(world.run_until(SOON_MS, World::all_done));
    }
    let acts = world.blamed(Culprit::Member(Slot(5)));
    assert!(
        matches!(acts[..], [Act::Absent { .. }]),
        "named once: {acts:?}"
    );
}

#[test]
fn a_member_that_never_answers_is_named_once() {
    let mut world = World::four_of_five(23);
    let zapp = world.deploy();
    world.members.get_mut(&Slot(1)).unwrap().engine.silent = true;
    for _ in 0..5 {
        world.request(zapp, "add", Vec::new());
        assert!(world.run_until(SOON_MS, World::all_done));
    }
    let acts = world.blamed(Culprit::Member(Slot(1)));
    assert!(matches!(acts[..], [Act::Absent { .. }]), "{acts:?}");
}

#[test]
fn a_voter_that_withholds_its_share_is_replaced_by_a_spare_one() {
    let mut world = World::four_of_five(24);
    let zapp = world.deploy();
    world.tamper = Some(Box::new(|from, to, message| match &message {
        Message::ToCoordinator(ToCoordinator::Share(_)) if from == signer(2) => Vec::new(),
        _ => one(to, message),
    }));
    let began = world.now;
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, World::all_done));
    assert!(world.now - began < 500, "took {} ms", world.now - began);
    assert_eq!(world.view(1), View(0), "within the view");
    let acts = world.blamed(Culprit::Member(Slot(2)));
    assert!(matches!(acts[..], [Act::Withheld { .. }]), "{acts:?}");
}

#[test]
fn a_bad_share_is_proven_and_its_step_is_attested_by_the_others() {
    let mut world = World::four_of_five(25);
    let zapp = world.deploy();
    let liar = world.identity(signer(2));
    let domain = world.domain;
    world.tamper = Some(Box::new(move |from, to, mut message| {
        if let Message::ToCoordinator(ToCoordinator::Share(share)) = &mut message
            && from == signer(2)
        {
            share.share[0] ^= 1;
            share.signature = liar.sign(&share.signed_bytes(&domain));
        }
        one(to, message)
    }));
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, World::all_done));
    assert_eq!(world.view(1), View(0), "within the view");
    let culprit = Culprit::Member(Slot(2));
    let acts = world.blamed(culprit);
    let [
        act @ Act::BadShare {
            share,
            package,
            stated,
        },
    ] = acts[..]
    else {
        panic!("{acts:?}");
    };
    assert!(act.proves(culprit, &world.committee, &Ed25519Verify));
    assert!(share_fails(
        &world.committee,
        &world.public,
        share,
        package,
        stated
    ));
    assert!(!act.proves(Culprit::Member(Slot(3)), &world.committee, &Ed25519Verify));
}

#[test]
fn bad_shares_of_all_that_may_lie_cost_one_attempt_each() {
    // 7-of-10: three liars, each bad as soon as it is asked.
    let mut world = World::new(26, 10, 7, 2);
    let zapp = world.deploy();
    let liars: Vec<(Endpoint, Ed25519Identity)> = [1, 4, 6]
        .iter()
        .map(|slot| (signer(*slot), world.identity(signer(*slot))))
        .collect();
    let domain = world.domain;
    world.tamper = Some(Box::new(move |from, to, mut message| {
        if let Message::ToCoordinator(ToCoordinator::Share(share)) = &mut message
            && let Some((_, liar)) = liars.iter().find(|(slot, _)| *slot == from)
        {
            share.share[0] ^= 1;
            share.signature = liar.sign(&share.signed_bytes(&domain));
        }
        one(to, message)
    }));
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, World::all_done));
    assert_eq!(
        world.view(1),
        View(0),
        "at most n - t + 1 attempts in one view"
    );
    let named: BTreeSet<Culprit> = world
        .seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Blame(_, culprit, Act::BadShare { .. }) => Some(*culprit),
            _ => None,
        })
        .collect();
    let liars = [1, 4, 6].map(|slot| Culprit::Member(Slot(slot)));
    assert_eq!(named, BTreeSet::from(liars), "exactly the liars");
}

#[test]
fn a_member_that_votes_twice_is_proven() {
    let mut world = World::four_of_five(27);
    let zapp = world.deploy();
    let liar = world.identity(signer(4));
    let domain = world.domain;
    world.tamper = Some(Box::new(move |from, to, message| {
        let mut all = one(to, message.clone());
        if let Message::ToCoordinator(ToCoordinator::Vote {
            mut vote,
            mut stated,
            nonces,
        }) = message
            && from == signer(4)
        {
            stated.commit.time_ms += 1;
            vote.statement = stated.statement();
            vote.signature = liar.sign(&vote.signed_bytes(&domain));
            let second = ToCoordinator::Vote {
                vote,
                stated,
                nonces,
            };
            all.push((to, Message::ToCoordinator(second)));
        }
        all
    }));
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, World::all_done));
    let culprit = Culprit::Member(Slot(4));
    let acts = world.blamed(culprit);
    assert!(acts.iter().any(|act| {
        matches!(act, Act::VotedTwice(_)) && act.proves(culprit, &world.committee, &Ed25519Verify)
    }));
}

#[test]
fn a_wrong_trace_root_revealed_early_is_not_carried() {
    let mut world = World::four_of_five(28);
    let zapp = world.deploy();
    world.tamper = Some(Box::new(|from, to, mut message| {
        if let Message::ToCoordinator(ToCoordinator::Reveal { trace, .. }) = &mut message
            && from == signer(1)
        {
            *trace = attestation::ids::TraceRoot::from_bytes([1; 32]);
        }
        one(to, message)
    }));
    for _ in 0..6 {
        world.request(zapp, "add", Vec::new());
        assert!(world.run_until(SOON_MS, World::all_done));
        world.run_for(10);
    }
    assert_eq!(world.view(1), View(0), "no view is lost to it");
}

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
            Message::ToMember(signer_protocol::message::ToMember::Status(status)) => Some(status),
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
    give_job(&mut world, 1, &second, view, None);
    world.run_for(20);
    let act = world.blamed(Culprit::Coordinator(0));
    assert!(
        matches!(act[..], [Act::ProposedTwice(_)]),
        "told by its memory: {act:?}"
    );
    world.kill_member(Slot(1));
    world.start_member(Slot(1));
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
                package.certificate.votes[2].statement =
                    attestation::ids::StatementId::from_bytes([1; 32]);
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
    give_package(&mut world, 1, &second);
    world.run_for(20);
    assert_eq!(heard.borrow().shares, 1);
    let culprit = Culprit::Coordinator(0);
    let acts = world.blamed(culprit);
    let [act @ Act::PackagedTwice(_)] = acts[..] else {
        panic!("{acts:?}");
    };
    assert!(act.proves(culprit, &world.committee, &Ed25519Verify));
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

#[test]
fn a_request_that_hangs_one_executor_is_attested_by_the_others() {
    let mut world = World::four_of_five(38);
    let zapp = world.deploy();
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, World::all_done));
    let hang = world.request(zapp, "hang", Vec::new());
    world
        .members
        .get_mut(&Slot(2))
        .unwrap()
        .engine
        .hangs
        .insert(hang);
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, World::all_done));
    assert_eq!(world.view(1), View(0));
}

/// The leaf's status byte of a request, wherever it was attested.
fn status(world: &World, request: attestation::ids::RequestId) -> attestation::leaf::Status {
    let steps = world
        .attested
        .values()
        .filter_map(|step| world.leaves.get(&step.statement()));
    let leaves = steps
        .flatten()
        .filter_map(|leaf| attestation::leaf::OutputLeaf::from_bytes(leaf).ok());
    let mut found = leaves.filter(|leaf| leaf.request == request);
    found.next().expect("the request has a leaf").status
}

#[test]
fn a_request_that_hangs_t_executors_is_refused_with_a_receipt_and_the_rest_goes_on() {
    for mute in [false, true] {
        let mut world = World::four_of_five(39);
        let zapp = world.deploy();
        let before = world.request(zapp, "add", Vec::new());
        let hang = world.request(zapp, "hang", Vec::new());
        let after = world.request(zapp, "add", Vec::new());
        for slot in 1..=4 {
            let engine = &mut world.members.get_mut(&Slot(slot)).unwrap().engine;
            engine.hangs.insert(hang);
            engine.mute_hangs = mute;
        }
        assert!(world.run_until(5 * SOON_MS, World::all_done), "mute {mute}");
        assert_eq!(status(&world, hang), attestation::leaf::Status::Faulted);
        assert_eq!(status(&world, before), attestation::leaf::Status::Ok);
        assert_eq!(status(&world, after), attestation::leaf::Status::Ok);
    }
}

#[test]
fn a_request_that_hangs_too_many_and_too_few_is_set_aside_and_the_rest_goes_on() {
    let mut world = World::four_of_five(40);
    let zapp = world.deploy();
    let hang = world.request(zapp, "hang", Vec::new());
    let rest = world.request(zapp, "add", Vec::new());
    for slot in 1..=2 {
        world
            .members
            .get_mut(&Slot(slot))
            .unwrap()
            .engine
            .hangs
            .insert(hang);
    }
    assert!(world.run_until(10 * SOON_MS, |world| world.done(rest)));
    assert!(!world.done(hang), "neither a certificate nor t faults");
}
