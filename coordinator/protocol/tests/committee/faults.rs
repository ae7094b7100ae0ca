//! Requests that cannot be run (rule A11).

use attestation::ids::{Digest, RequestId, Seq, Signature, Slot, StateRoot, View};
use attestation::leaf::{OutputLeaf, Status};
use coordinator_protocol::coordinator;
use signer_protocol::identity::SignIdentity as _;
use signer_protocol::message::{Message, ToCoordinator};
use state::job::SignedFault;

use crate::voice::{SOON_MS, one, signer};
use crate::world::World;

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

#[test]
fn a_request_that_hangs_behind_another_is_reported_and_not_faulted() {
    let mut world = World::four_of_five(46);
    let zapp = world.deploy();
    world.run_for(50);
    world.sent.clear();
    world.request(zapp, "add", Vec::new());
    let hang = world.request(zapp, "hang", Vec::new());
    let engine = &mut world.members.get_mut(&Slot(2)).unwrap().engine;
    engine.hangs.insert(hang);
    assert!(world.run_until(SOON_MS, World::all_done));
    assert_eq!(world.sent.get("job"), Some(&5), "both in one job");
    assert_eq!(
        (world.sent.get("invalid"), world.sent.get("fault")),
        (Some(&1), None)
    );
}

/// The leaf's status byte of a request, wherever it was attested.
fn status(world: &World, request: RequestId) -> Status {
    let steps = world
        .attested
        .values()
        .filter_map(|step| world.leaves.get(&step.statement()));
    let leaves = steps
        .flatten()
        .filter_map(|leaf| OutputLeaf::from_bytes(leaf).ok());
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
        assert_eq!(status(&world, hang), Status::Faulted);
        assert_eq!(status(&world, before), Status::Ok);
        assert_eq!(status(&world, after), Status::Ok);
    }
}

#[test]
fn one_members_invented_faults_leave_room_for_the_others() {
    let mut world = World::four_of_five(41);
    let zapp = world.deploy();
    // Both coordinators know the head, or they would take no fault of a step before it.
    let head = world.attested[&Seq(1)];
    for rank in (0u16..).take(world.ranks.len()) {
        world.coordinate(rank, coordinator::Input::Head(Box::new(head)));
    }
    let liar = world.identity(signer(5));
    for number in 0..1_100u16 {
        let mut request = [0xff; 32];
        request[..2].copy_from_slice(&number.to_be_bytes());
        let mut fault = SignedFault {
            slot: Slot(5),
            epoch: world.committee.epoch(),
            seq: Seq(1),
            request: RequestId::from_bytes(request),
            previous_root: StateRoot::from_bytes([0; 32]),
            inputs: Digest::from_bytes([0; 32]),
            signature: Signature::from_bytes([0; 64]),
        };
        fault.signature = liar.sign(&fault.signed_bytes(&world.domain));
        for rank in (0u16..).take(world.ranks.len()) {
            let message = Message::ToCoordinator(ToCoordinator::Fault(fault.clone()));
            let from = signer(5);
            world.coordinate(rank, coordinator::Input::Message { from, message });
        }
    }
    let hang = world.request(zapp, "hang", Vec::new());
    for slot in 1..=4 {
        let engine = &mut world.members.get_mut(&Slot(slot)).unwrap().engine;
        engine.hangs.insert(hang);
    }
    assert!(world.run_until(5 * SOON_MS, World::all_done));
    assert_eq!(status(&world, hang), Status::Faulted);
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
    // Every coordinator knows the faults, whoever led the three views.
    assert!(world.view(1) <= View(4), "view {}", world.view(1));
}

/// How long a request was left out of jobs, each time that it was.
fn stretches(world: &World, request: RequestId) -> Vec<u64> {
    let mut stretches = Vec::new();
    let mut since = None;
    for (at, _, build) in &world.ordered {
        match build.set_aside.contains(&request) {
            true => _ = since.get_or_insert(*at),
            false => stretches.extend(since.take().map(|since| at - since)),
        }
    }
    stretches
}

#[test]
fn what_is_set_aside_is_left_out_of_jobs_for_longer_each_time_and_then_tried_again() {
    for mended in [true, false] {
        let mut world = World::new(50, 5, 4, 1);
        let zapp = world.deploy();
        let hang = world.request(zapp, "hang", Vec::new());
        for slot in 1..=2 {
            let engine = &mut world.members.get_mut(&Slot(slot)).unwrap().engine;
            engine.hangs.insert(hang);
        }
        let is_aside = |world: &World| {
            let last = world.ordered.last();
            last.is_some_and(|(.., build)| build.set_aside == [hang])
        };
        assert!(world.run_until(SOON_MS, is_aside), "after three views");
        for _ in 0..3 {
            let rest = world.request(zapp, "add", Vec::new());
            assert!(world.run_until(SOON_MS / 2, |world| world.done(rest)));
            assert!(is_aside(&world), "left out of the job that has the rest");
        }
        if mended {
            let engines = world.members.values_mut().map(|member| &mut member.engine);
            engines.for_each(|engine| engine.hangs.clear());
        }
        // A minute, then two, but for what a view took to begin and a node to be asked again.
        let times = |world: &World| stretches(world, hang).len();
        assert!(world.run_until(2 * SOON_MS, |world| times(world) == 1));
        let first = stretches(&world, hang)[0];
        assert!((59_000..=61_000).contains(&first), "{first} ms");
        if mended {
            assert!(world.run_until(SOON_MS, |world| world.done(hang)));
            assert_eq!(status(&world, hang), Status::Ok);
            continue;
        }
        assert!(world.run_until(4 * SOON_MS, |world| times(world) == 2));
        assert!(!world.done(hang), "two members cannot run it");
        let second = stretches(&world, hang)[1];
        assert!((119_000..=121_000).contains(&second), "{second} ms");
    }
}

#[test]
fn a_sound_request_that_a_bad_network_kept_from_being_attested_is_tried_again() {
    let mut world = World::four_of_five(47);
    let zapp = world.deploy();
    // Votes are lost until each coordinator has seen three views end without a certificate.
    world.tamper = Some(Box::new(|_, to, message| match &message {
        Message::ToCoordinator(ToCoordinator::Vote { .. }) => Vec::new(),
        _ => one(to, message),
    }));
    let request = world.request(zapp, "add", Vec::new());
    assert!(world.run_until(4 * SOON_MS, |world| world.view(1) >= View(7)));
    world.tamper = None;
    assert!(world.run_until(5 * SOON_MS, |world| world.done(request)));
}
