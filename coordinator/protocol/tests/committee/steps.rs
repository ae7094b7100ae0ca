//! Honest committees: the flow, its cost, and what faults of machines and networks may not break.

use attestation::ids::{Digest, ModuleDigest, Seq, Slot, StatementId, View, ZappId};
use coordinator_protocol::coordinator::{self, GATHER_MS};
use rand_core::RngCore as _;
use signer_protocol::blame::{Act, Culprit};
use signer_protocol::message::{Endpoint, Lane, Message, ToCoordinator};
use signer_protocol::register::Refused;
use signer_protocol::signer::{self, Halt};
use state::job::{Context, Job};
use state::system::Deploy;
use state::witness::Witness;

use crate::voice;
use crate::world::{Network, QUIET, Seen, World};

const ROUGH: Network = Network {
    loss_percent: 10,
    double_percent: 10,
    delay_ms: (1, 60),
};

/// After faults stop, so long at most until everything is attested.
const SOON_MS: u64 = 90_000;

#[test]
fn a_steady_step_takes_two_round_trips_and_no_timer() {
    let mut world = World::four_of_five(1);
    let zapp = world.deploy();
    world.run_for(1_000);
    for _ in 0..20 {
        let (began, fired) = (world.now, world.fired);
        world.sent.clear();
        world.request(zapp, "add", Vec::new());
        let before = world.head();
        assert!(world.run_until(5_000, |world| world.head() > before));
        // Build 1; job 1, executor 1 + 1, disk 1, vote 1; package 1, disk 1, share 1.
        assert_eq!(world.now - began, 9);
        assert_eq!(world.fired, fired, "no timer in a steady step");
        assert!(world.run_until(100, |world| world.done(world.requests.last().unwrap().id())));
        world.run_for(3);
        let sent: Vec<(&str, u64)> = world
            .sent
            .iter()
            .map(|(kind, sent)| (*kind, *sent))
            .collect();
        let expected = [
            ("attested", 5),
            ("executor", 5),
            ("job", 5),
            ("package", 4),
            ("reveal", 5),
            ("share", 4),
            ("vote", 5),
        ];
        assert_eq!(sent, expected);
    }
    assert_eq!(world.head(), Seq(21));
}

#[test]
fn hundreds_of_steps_over_a_network_that_loses_doubles_and_reorders() {
    let mut world = World::four_of_five(2);
    let zapp = world.deploy();
    world.network = ROUGH;
    let mut steps = 0;
    while world.head() < Seq(300) {
        world.request(zapp, "add", Vec::new());
        assert!(
            world.run_until(SOON_MS, World::all_done),
            "step {steps} is attested"
        );
        steps += 1;
    }
    world.network = QUIET;
    for slot in 1..=5 {
        assert!(
            world.members[&Slot(slot)].bases > 0,
            "registers are cut short now and then"
        );
        world.kill_member(Slot(slot));
        world.start_member(Slot(slot));
    }
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(SOON_MS, World::all_done));
    let absent = |seen: &Seen| match seen {
        Seen::Blame(_, act) => matches!(act, Act::Absent { .. } | Act::Withheld { .. }),
        Seen::Halt(..) => false,
        _ => true,
    };
    assert!(
        world.seen.iter().all(absent),
        "nobody is blamed with evidence: {:?}",
        world.seen
    );
}

#[test]
fn crashes_at_any_moment_break_nothing_and_everything_is_attested_afterwards() {
    // 1023: a coordinator that starts anew hears of a member that lags behind the view it led.
    for seed in (0..20).chain([1023]) {
        let (members, threshold) = if seed % 4 == 0 { (7, 5) } else { (5, 4) };
        let mut world = World::new(seed, members, threshold, 2);
        let zapp = world.deploy();
        world.network = ROUGH;
        world.persist_ms = (1, 80);
        for _ in 0..60 {
            world.request(zapp, "add", Vec::new());
            let pause = world.rng.next_u64() % 400;
            world.run_for(pause);
            let down = world
                .members
                .values()
                .filter(|member| member.signer.is_none())
                .count();
            if world.percent(25) && down < 3 {
                let slot =
                    Slot(1 + u16::try_from(world.rng.next_u64() % u64::from(members)).unwrap());
                world.kill_member(slot);
                let at = world.now + world.rng.next_u64() % 3_000;
                world.restart_member_at(slot, at);
            }
            if world.percent(5) {
                let rank = u16::try_from(world.rng.next_u64() % 2).unwrap();
                world.kill_coordinator(rank);
                let at = world.now + world.rng.next_u64() % 3_000;
                world.restart_coordinator_at(rank, at);
            }
        }
        world.run_for(4_000);
        world.network = QUIET;
        world.persist_ms = (1, 1);
        assert!(
            world.run_until(SOON_MS, World::all_done),
            "seed {seed} comes to rest"
        );
        for seen in &world.seen {
            match seen {
                Seen::Halt(slot, why) => panic!("seed {seed}: signer {slot} halted: {why}"),
                Seen::Blame(_, Act::Absent { .. } | Act::Withheld { .. }) => {}
                Seen::Blame(who, act) => panic!("seed {seed}: {who:?} blamed for {act:?}"),
                _ => {}
            }
        }
    }
}

#[test]
fn two_of_five_down_attest_nothing_lose_nothing_and_resume_with_one() {
    let mut world = World::four_of_five(3);
    let zapp = world.deploy();
    world.kill_member(Slot(4));
    world.kill_member(Slot(5));
    let request = world.request(zapp, "add", Vec::new());
    let head = world.head();
    world.run_for(60_000);
    assert_eq!(world.head(), head, "three of five attest nothing");
    // Too few to go on, they wait for the others in the view where they met last.
    assert_eq!(world.view(1), View(1));
    world.start_member(Slot(5));
    assert!(world.run_until(SOON_MS, |world| world.done(request)));
    assert!(
        world
            .blamed(Culprit::Member(Slot(4)))
            .iter()
            .any(|act| matches!(act, Act::Absent { .. }))
            || {
                world.request(zapp, "add", Vec::new());
                world.run_until(SOON_MS, World::all_done);
                world
                    .blamed(Culprit::Member(Slot(4)))
                    .iter()
                    .any(|act| matches!(act, Act::Absent { .. }))
            }
    );
}

#[test]
fn a_coordinator_that_stalls_is_followed_by_the_next_within_seconds() {
    let mut world = World::four_of_five(4);
    let zapp = world.deploy();
    world.kill_coordinator(0);
    let request = world.request(zapp, "add", Vec::new());
    let began = world.now;
    assert!(world.run_until(5_000, |world| world.done(request)));
    assert!(world.now - began < 2_000);
    // The new one keeps the view: the steps after it are as fast as ever.
    let next = world.request(zapp, "add", Vec::new());
    let began = world.now;
    assert!(world.run_until(1_000, |world| world.done(next)));
    assert!(world.now - began < 20);
}

#[test]
fn a_member_that_missed_everything_catches_up_from_the_next_job() {
    let mut world = World::four_of_five(5);
    let zapp = world.deploy();
    world.cut.insert(Endpoint::Signer(Slot(3)));
    for _ in 0..5 {
        world.request(zapp, "add", Vec::new());
        assert!(world.run_until(5_000, World::all_done));
    }
    assert_eq!(world.members[&Slot(3)].applied_seq(), Seq(1));
    world.cut.clear();
    world.request(zapp, "add", Vec::new());
    world.run_for(5_000);
    let signer = world.members[&Slot(3)].signer.as_ref().unwrap();
    assert_eq!(signer.head().unwrap().commit.seq, world.head());
    assert_eq!(world.members[&Slot(3)].applied_seq(), world.head());
}

#[test]
fn a_full_disk_stops_the_signer_and_it_says_so() {
    let mut world = World::four_of_five(6);
    let zapp = world.deploy();
    world.members.get_mut(&Slot(2)).unwrap().disk_full = true;
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(5_000, World::all_done), "the others go on");
    let halted = |seen: &Seen| matches!(seen, Seen::Halt(Slot(2), Halt::Disk));
    assert!(world.seen.iter().any(halted));
    world.sent.clear();
    assert!(world.members[&Slot(2)].signer.as_ref().unwrap().halted());
    world.members.get_mut(&Slot(2)).unwrap().disk_full = false;
    world.start_member(Slot(2));
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(5_000, World::all_done));
}

#[test]
fn a_twin_on_the_same_register_is_refused_and_stops() {
    let mut world = World::four_of_five(7);
    let zapp = world.deploy();
    // The twin starts on the register: the first signer's next append is refused.
    let old = world
        .members
        .get_mut(&Slot(1))
        .unwrap()
        .signer
        .take()
        .unwrap();
    world.start_member(Slot(1));
    world.run_for(100);
    world.members.get_mut(&Slot(1)).unwrap().signer = Some(old);
    world.request(zapp, "add", Vec::new());
    world.run_for(2_000);
    let stopped = |seen: &Seen| {
        matches!(
            seen,
            Seen::Halt(
                Slot(1),
                Halt::Register(Refused::Predecessor { .. } | Refused::Boot { .. })
            )
        )
    };
    assert!(world.seen.iter().any(stopped));
}

#[test]
fn a_request_passed_over_raises_the_view() {
    let mut world = World::four_of_five(8);
    let zapp = world.deploy();
    let id = world.request(zapp, "add", Vec::new());
    assert!(world.run_until(5_000, World::all_done));
    let before = world.view(1);
    for slot in 1..=5 {
        world.sign(Slot(slot), signer::Input::PassedOver(id));
    }
    world.run_for(100);
    assert_eq!(world.view(1).0, before.0 + 1);
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(5_000, World::all_done));
}

#[test]
fn many_requests_passed_over_raise_the_view_once_and_take_nobody_away_alone() {
    let mut world = World::four_of_five(49);
    let zapp = world.deploy();
    for round in 0..6 {
        let id = world.request(zapp, "add", Vec::new());
        assert!(world.run_until(30_000, World::all_done), "round {round}");
        // Only one node sees that a leader passes over, of many requests in each step.
        for _ in 0..50 {
            world.sign(Slot(5), signer::Input::PassedOver(id));
        }
        assert!(world.view(5).0 <= world.view(1).0 + 1, "round {round}");
        world.run_for(100);
    }
    let before = world.view(1);
    for slot in 1..=5 {
        for _ in 0..50 {
            let id = world.requests[0].id();
            world.sign(Slot(slot), signer::Input::PassedOver(id));
        }
    }
    world.run_for(100);
    assert_eq!(world.view(1).0, before.0 + 1);
}

#[test]
fn nothing_is_sent_while_nothing_waits() {
    let mut world = World::four_of_five(9);
    let zapp = world.deploy();
    world.request(zapp, "add", Vec::new());
    assert!(world.run_until(5_000, World::all_done));
    world.run_for(2_000);
    world.sent.clear();
    let fired = world.fired;
    world.run_for(600_000);
    assert!(world.sent.is_empty(), "{:?}", world.sent);
    assert_eq!(world.fired, fired);
}

#[test]
fn a_leader_waits_for_all_statuses_or_for_those_of_t_and_200_ms_longer() {
    // Whom the next leader hears at once, whom 50 ms later, and when it asks for a job.
    for (first, later, expected) in [
        (1..=5, None, Some(0)),
        (1..=4, Some(5), Some(50)),
        (1..=4, None, Some(GATHER_MS)),
        (1..=3, Some(4), Some(50 + GATHER_MS)),
        (1..=3, None, None),
    ] {
        let mut world = World::four_of_five(51);
        let zapp = world.deploy();
        world.run_for(100);
        // It hears what it is told below, and nothing else.
        world.tamper = Some(Box::new(|_, to, message| match to {
            Endpoint::Coordinator(_) => Vec::new(),
            _ => vec![(to, message)],
        }));
        world.request(zapp, "add", Vec::new());
        let began = world.now;
        for slot in first.clone() {
            tell_leader(&mut world, slot, View(1));
        }
        world.run_for(50);
        if let Some(slot) = later {
            tell_leader(&mut world, slot, View(1));
        }
        world.run_for(2_000);
        let mut asked = world.ordered.iter().filter(|(_, rank, _)| *rank == 1);
        let asked = asked.next().map(|(at, ..)| at - began);
        assert_eq!(asked, expected, "{first:?}, then {later:?}");
    }
}

/// A view's leader hears that a member is in it.
fn tell_leader(world: &mut World, slot: u16, view: View) {
    let status = voice::status(world, slot, view);
    let message = Message::ToCoordinator(ToCoordinator::Status(status));
    let from = Endpoint::Signer(Slot(slot));
    let rank = world.committee.leader(view);
    world.coordinate(rank, coordinator::Input::Message { from, message });
}

/// Four members lock on one statement; their shares are lost, their coordinator is gone, and they
/// have started anew. Returns the statement.
fn locked_and_restarted(world: &mut World) -> StatementId {
    let zapp = world.deploy();
    world.run_for(100);
    world.tamper = Some(Box::new(|_, to, message| match message {
        Message::ToCoordinator(ToCoordinator::Share(_)) => Vec::new(),
        _ => vec![(to, message)],
    }));
    let packages = world.sent.get("package").copied().unwrap_or(0);
    world.request(zapp, "add", Vec::new());
    let more = |world: &World| world.sent["package"] == packages + 4;
    assert!(world.run_until(SOON_MS, more));
    world.run_for(20);
    world.kill_coordinator(0);
    for slot in 1..=5 {
        world.kill_member(Slot(slot));
    }
    world.tamper = None;
    for slot in 1..=5 {
        world.start_member(Slot(slot));
    }
    let lane = world.members[&Slot(1)].durable.lane(Lane::Steps);
    lane.lock.unwrap().claim().unwrap().statement
}

#[test]
fn the_next_coordinator_proposes_a_lock_again_with_the_job_from_a_members_disk() {
    let mut world = World::four_of_five(10);
    let statement = locked_and_restarted(&mut world);
    assert!(world.run_until(5_000, World::all_done), "within seconds");
    assert_eq!(world.attested[&Seq(2)].statement(), statement);
    assert!(world.sent["send-job"] > 0);
}

#[test]
fn a_member_that_answers_for_the_lock_holders_unasked_spoils_no_view() {
    let mut world = World::four_of_five(12);
    let statement = locked_and_restarted(&mut world);
    let wrong = Job {
        seq: Seq(2),
        previous: Vec::new(),
        context: Context {
            time_ms: world.now,
            anchor_height: 0,
            anchor: Digest::from_bytes([0; 32]),
        },
        requests: Vec::new(),
        votes: Vec::new(),
        reveal: None,
        faults: Vec::new(),
        observations: Vec::new(),
        witness: Witness::default(),
    };
    let until = world.now + 5_000;
    while !world.all_done() && world.now < until {
        for rank in (0u16..).take(world.ranks.len()) {
            let message = Message::ToCoordinator(ToCoordinator::Job(wrong.clone()));
            let from = Endpoint::Signer(Slot(5));
            world.coordinate(rank, coordinator::Input::Message { from, message });
        }
        world.run_for(1);
    }
    assert!(world.all_done(), "within seconds");
    assert_eq!(world.attested[&Seq(2)].statement(), statement);
}

#[test]
fn a_lock_holder_that_answers_with_another_job_spoils_a_view_and_no_more() {
    let mut world = World::four_of_five(11);
    let statement = locked_and_restarted(&mut world);
    world.tamper = Some(Box::new(|from, to, mut message| {
        if let Message::ToCoordinator(ToCoordinator::Job(job)) = &mut message
            && from == Endpoint::Signer(Slot(1))
        {
            job.context.time_ms += 1;
        }
        vec![(to, message)]
    }));
    assert!(world.run_until(SOON_MS, World::all_done));
    assert_eq!(world.attested[&Seq(2)].statement(), statement);
}

#[test]
fn a_slow_committee_takes_smaller_steps_instead_of_losing_views() {
    let mut world = World::four_of_five(9);
    let zapp = world.deploy();
    for member in world.members.values_mut() {
        member.engine.request_ms = 10;
    }
    // 128 of them would take longer than the first timer of a view.
    for _ in 0..200 {
        world.request(zapp, "add", Vec::new());
    }
    assert!(world.run_until(SOON_MS, World::all_done));
    assert_eq!(world.view(1), View(0));
}

#[test]
fn a_coordinator_that_starts_anew_before_the_first_step_is_not_convicted() {
    let mut world = World::four_of_five(48);
    world.tamper = Some(Box::new(|_, to, message| match message {
        Message::ToCoordinator(ToCoordinator::Vote { .. }) => Vec::new(),
        _ => vec![(to, message)],
    }));
    let deploy = Deploy {
        module: ModuleDigest::from_bytes([8; 32]),
        salt: Digest::from_bytes([2; 32]),
        escrow: 0,
        init: Vec::new(),
    };
    let input = deploy.to_bytes();
    world.request(ZappId::SYSTEM, "deploy", input);
    assert!(world.run_until(SOON_MS, |world| world.sent.get("job") >= Some(&5)));
    world.run_for(50);
    world.kill_coordinator(0);
    world.start_coordinator(0);
    assert!(world.run_until(SOON_MS, |world| world.sent.get("job") >= Some(&10)));
    world.tamper = None;
    assert!(world.run_until(SOON_MS, World::all_done));
    assert!(world.blamed(Culprit::Coordinator(0)).is_empty());
}
