//! Members that lie, are late or silent: the others attest, and the member is named.

use std::collections::BTreeSet;

use attestation::codec;
use attestation::ids::{Boot, Digest, Seq, Signature, Slot, StatementId, TraceRoot, View, ZappId};
use serde_bytes::ByteBuf;
use signer_protocol::blame::{Act, Culprit};
use signer_protocol::evidence::share_fails;
use signer_protocol::identity::{Ed25519Verify, SignIdentity as _};
use signer_protocol::message::{Message, SignedStatus, Status, ToCoordinator, ToMember};
use signer_protocol::signer::Input;
use state::system::{CREDITS, Credits};

use crate::voice::{SOON_MS, enter_next_view, give_job, one, package, signer, spoil_shares, voted};
use crate::world::{Seen, World};

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
        Seen::Blame(culprit, _) => *culprit == Culprit::Member(Slot(3)),
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
    assert!(world.now - began < 250, "took {} ms", world.now - began);
    // It was asked for less than what a voter may take at most: it may only be slow.
    assert!(world.blamed(Culprit::Member(Slot(2))).is_empty());
    // Far apart all take longer, and its silence lasts.
    world.network.delay_ms = (60, 60);
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, World::all_done));
    assert_eq!(world.view(1), View(0), "within the view");
    let acts = world.blamed(Culprit::Member(Slot(2)));
    assert!(matches!(acts[..], [Act::Withheld { .. }]), "{acts:?}");
}

#[test]
fn a_voter_that_withholds_its_share_in_step_after_step_is_named_where_others_are_quick() {
    let mut world = World::four_of_five(24);
    let zapp = world.deploy();
    world.tamper = Some(Box::new(|from, to, message| match &message {
        Message::ToCoordinator(ToCoordinator::Share(_)) if from == signer(2) => Vec::new(),
        _ => one(to, message),
    }));
    for step in 1..=3 {
        assert!(world.blamed(Culprit::Member(Slot(2))).is_empty(), "{step}");
        let began = world.now;
        world.request(zapp, "add", Vec::new());
        assert!(world.run_until(SOON_MS, World::all_done));
        assert!(world.now - began < 250, "took {} ms", world.now - began);
    }
    let acts = world.blamed(Culprit::Member(Slot(2)));
    assert!(matches!(acts[..], [Act::Withheld { .. }]), "{acts:?}");
    assert_eq!(world.view(1), View(0), "within the view");
}

#[test]
fn a_bad_share_is_proven_and_its_step_is_attested_by_the_others() {
    let mut world = World::four_of_five(25);
    let zapp = world.deploy();
    spoil_shares(&mut world, &[2]);
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
    spoil_shares(&mut world, &[1, 4, 6]);
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
            Seen::Blame(culprit, Act::BadShare { .. }) => Some(*culprit),
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
            for _ in 0..20 {
                stated.commit.time_ms += 1;
                vote.statement = stated.statement();
                vote.signature = liar.sign(&vote.signed_bytes(&domain));
                let second = ToCoordinator::Vote {
                    vote: vote.clone(),
                    stated,
                    nonces: nonces.clone(),
                };
                all.push((to, Message::ToCoordinator(second)));
            }
        }
        all
    }));
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, World::all_done));
    let culprit = Culprit::Member(Slot(4));
    let acts = world.blamed(culprit);
    let twice = acts.iter().filter(|act| matches!(act, Act::VotedTwice(_)));
    let twice: Vec<_> = twice.collect();
    let [act] = twice[..] else {
        panic!("one pair is proof, and more would fill logs: {twice:?}");
    };
    assert!(act.proves(culprit, &world.committee, &Ed25519Verify));
}

#[test]
fn a_wrong_trace_root_revealed_early_is_not_carried() {
    let mut world = World::four_of_five(28);
    let zapp = world.deploy();
    world.tamper = Some(Box::new(|from, to, mut message| {
        if let Message::ToCoordinator(ToCoordinator::Reveal { trace, .. }) = &mut message
            && from == signer(5)
        {
            *trace = TraceRoot::from_bytes([1; 32]);
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
fn a_member_that_disagrees_with_a_certificate_says_so_and_does_not_vote() {
    let mut world = World::four_of_five(42);
    let (job, heard) = voted(&mut world);
    let certificate = package(&world, &heard.borrow().votes).certificate;
    world.members.get_mut(&Slot(5)).unwrap().engine.wrong = true;
    let view = enter_next_view(&mut world);
    heard.borrow_mut().votes.clear();
    give_job(&mut world, 5, &job, view, Some(certificate));
    world.run_for(20);
    assert!(heard.borrow().votes.is_empty());
    assert!(
        world
            .seen
            .iter()
            .any(|seen| matches!(seen, Seen::Dissent(Slot(5))))
    );
}

#[test]
fn a_copy_cat_is_not_credited_for_its_vote() {
    let mut world = World::four_of_five(43);
    let zapp = world.deploy();
    let copier = world.identity(signer(3));
    let domain = world.domain;
    world.tamper = Some(Box::new(move |from, to, mut message| {
        if let Message::ToCoordinator(ToCoordinator::Vote { vote, .. }) = &mut message
            && from == signer(3)
        {
            // It knows the statement from others, not the trace.
            vote.mask = Digest::from_bytes([1; 32]);
            vote.signature = copier.sign(&vote.signed_bytes(&domain));
        }
        one(to, message)
    }));
    for _ in 0..6 {
        world.request(zapp, "add", Vec::new());
        assert!(world.run_until(SOON_MS, World::all_done));
        world.run_for(10);
    }
    let state = &world.members[&Slot(1)].state;
    let bytes = state.get(&ZappId::SYSTEM, CREDITS).unwrap().unwrap();
    let credits: Credits = codec::decode(bytes, 4096).unwrap();
    let credited: Vec<(u16, bool)> = credits
        .0
        .iter()
        .map(|credit| (credit.slot.0, credit.steps >= 3))
        .collect();
    // Its one credit is for the deployment, before it copied.
    assert_eq!(
        credited,
        [(1, true), (2, true), (3, false), (4, true), (5, true)]
    );
}

#[test]
fn a_member_whose_commitments_are_no_points_spoils_no_package() {
    let mut world = World::four_of_five(44);
    let zapp = world.deploy();
    let liar = world.identity(signer(1));
    let domain = world.domain;
    world.tamper = Some(Box::new(move |from, to, mut message| {
        if let Message::ToCoordinator(ToCoordinator::Vote { nonces, .. }) = &mut message
            && from == signer(1)
        {
            nonces.commitments = ByteBuf::from([0xff; 69]);
            nonces.signature = liar.sign(&nonces.signed_bytes(&domain));
        }
        one(to, message)
    }));
    let began = world.now;
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, World::all_done));
    assert!(world.now - began < 20);
    assert!(
        world.seen.is_empty(),
        "no honest member is named: {:?}",
        world.seen
    );
}

/// A member's signed word that it is in a view.
fn claim(world: &World, slot: u16, view: View) -> Message {
    claim_of_start(world, slot, view, 9)
}

fn claim_of_start(world: &World, slot: u16, view: View, boot: u64) -> Message {
    let mut signed = SignedStatus {
        slot: Slot(slot),
        epoch: world.committee.epoch(),
        view,
        boot: Boot(boot),
        head: Seq(0),
        head_statement: StatementId::from_bytes([0; 32]),
        lock: None,
        signature: Signature::from_bytes([0; 64]),
    };
    let identity = world.identity(signer(slot));
    signed.signature = identity.sign(&signed.signed_bytes(&world.domain));
    Message::ToMember(ToMember::Status(Status {
        signed,
        certificate: None,
        attestation: ByteBuf::new(),
    }))
}

#[test]
fn one_member_moves_nobody_and_as_many_as_may_lie_and_one_move_1024_views_at_most() {
    let mut world = World::four_of_five(45);
    world.run_for(50);
    let far = View(1 << 40);
    for (liar, reached) in [(5, View(0)), (4, View(1_024))] {
        let (from, message) = (signer(liar), claim(&world, liar, far));
        // Not in the name of another, and not unsigned.
        let usurped = Input::Message {
            from: signer(2),
            message: message.clone(),
        };
        world.sign(Slot(1), usurped);
        world.sign(Slot(1), Input::Message { from, message });
        assert_eq!(world.view(1), reached, "{liar}");
    }
    // Said again and again, it moves the member once a timer, not once a message.
    let repeat = |world: &mut World, boot: u64, view: View| {
        for liar in [4, 5] {
            let message = claim_of_start(world, liar, view, boot);
            let from = signer(liar);
            world.sign(Slot(1), Input::Message { from, message });
        }
    };
    for _ in 0..100 {
        repeat(&mut world, 9, far);
        world.run_for(50);
    }
    let moved = world.view(1);
    assert!(moved > View(1_024) && moved <= View(4 * 1_024), "{moved}");
    // And only until those who said it start anew.
    repeat(&mut world, 10, View(3));
    let moved = world.view(1);
    world.run_for(120_000);
    repeat(&mut world, 10, View(3));
    assert_eq!(world.view(1), moved);
}
