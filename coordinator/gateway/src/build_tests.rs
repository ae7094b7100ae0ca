use attestation::ids::{Digest, Epoch, RuntimeProfile, Signature, Slot, TraceRoot, View};
use attestation::leaf::{OutputLeaf, Status};
use state::job::SignedVote;

use state::system::{DEPLOY, Deploy};

use super::*;
use crate::fixture::{COUNTER, Caller, Fixture};
use crate::{Applied, Event, RequestState};

fn nowhere() -> ZappId {
    ZappId::from_bytes([3; 32])
}

async fn submit(fixture: &Fixture, seed: u8, nonce: u64) -> RequestId {
    let caller = Caller::new(seed);
    let request = caller.sign(caller.call(fixture, nowhere(), "m", nonce));
    fixture.gateway.submit(request).await.unwrap()
}

fn ids(job: &Job) -> Vec<RequestId> {
    job.requests.iter().map(Request::id).collect()
}

fn fault(slot: u16, order: &BuildJob, request: RequestId, head: &Fixture) -> SignedFault {
    let genesis = state::State::genesis(head.gateway.record()).root();
    SignedFault {
        slot: Slot(slot),
        epoch: Epoch(1),
        seq: order.seq,
        request,
        previous_root: genesis,
        inputs: Digest::from_bytes([0; 32]),
        signature: Signature::from_bytes([0; 64]),
    }
}

#[tokio::test]
async fn a_job_opens_against_the_previous_root_and_leads_to_the_same_statement() {
    let mut fixture = Fixture::new().await;
    let zapp = fixture.deploy_counter().await;
    let caller = Caller::new(30);
    let request = caller.sign(caller.call(&fixture, zapp, "inc", 1));
    fixture.gateway.submit(request).await.unwrap();
    let order = fixture.order().await;
    let job = fixture.gateway.build_job(order).await.unwrap().unwrap();

    let head = fixture.gateway.head().await.unwrap();
    let pruned = job.witness.open(&head.commit.state).unwrap();
    let chain = fixture.gateway.inner.chain.read().await;
    assert!(pruned.entries().count() < chain.state.entries().count());
    let statement = fixture.attestation(&job).await.statement();
    assert!(fixture.gateway.foreseen(&statement).is_some());
}

#[tokio::test]
async fn a_request_without_its_module_waits_and_the_rest_goes_on() {
    let mut author = Fixture::new().await;
    let zapp = author.deploy_counter().await;
    let mut fixture = author.peer().await;
    let bundle = author.gateway.step_bundle(Seq(1)).await.unwrap().unwrap();
    fixture.gateway.apply_bundle(&bundle).await.unwrap();

    let caller = Caller::new(30);
    let first = caller.sign(caller.call(&fixture, zapp, "inc", 1));
    let first = fixture.gateway.submit(first).await.unwrap();
    let later = caller.sign(caller.call(&fixture, nowhere(), "m", 2));
    let later = fixture.gateway.submit(later).await.unwrap();
    let other = submit(&fixture, 31, 1).await;
    let order = fixture.order().await;
    let job = fixture.gateway.build_job(order).await.unwrap().unwrap();
    assert_eq!(ids(&job), [other], "later nonces wait with it");

    fixture
        .gateway
        .put_module(wat::parse_str(COUNTER).unwrap())
        .await
        .unwrap();
    let order = fixture.order().await;
    let job = fixture.gateway.build_job(order).await.unwrap().unwrap();
    assert_eq!(ids(&job), [first, other, later]);
}

#[tokio::test]
async fn a_request_whose_gas_does_not_fit_waits_for_the_next_step() {
    let mut fixture = Fixture::new().await;
    let small = submit(&fixture, 30, 1).await;
    let caller = Caller::new(31);
    let mut call = caller.call(&fixture, nowhere(), "m", 1);
    call.gas_limit = STEP_GAS_MAX;
    let whole = fixture.gateway.submit(caller.sign(call)).await.unwrap();
    for expected in [small, whole] {
        let step = fixture.step().await;
        assert_eq!(step.requests, [(expected, 1)]);
    }
}

#[tokio::test]
async fn an_order_bounds_the_number_of_requests() {
    let mut fixture = Fixture::new().await;
    for seed in 30..34 {
        submit(&fixture, seed, 1).await;
    }
    for (requests_max, expected) in [(0, None), (1, Some(1)), (3, Some(3)), (9, Some(4))] {
        let order = BuildJob {
            requests_max,
            ..fixture.order().await
        };
        let job = fixture.gateway.build_job(order).await.unwrap();
        assert_eq!(job.map(|job| job.requests.len()), expected);
    }
}

#[tokio::test]
async fn an_order_for_another_head_is_refused() {
    let mut fixture = Fixture::new().await;
    submit(&fixture, 30, 1).await;
    let order = fixture.order().await;
    let later = BuildJob {
        seq: Seq(2),
        ..order.clone()
    };
    let refused = fixture.gateway.build_job(later).await;
    assert!(
        matches!(refused, Err(BuildError::OtherHead { .. })),
        "{refused:?}"
    );
    fixture.step().await;
    let refused = fixture.gateway.build_job(order).await;
    assert!(
        matches!(refused, Err(BuildError::OtherHead { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_attestation_in_the_order_is_accepted_first() {
    let mut fixture = Fixture::new().await;
    submit(&fixture, 30, 1).await;
    let order = fixture.order().await;
    let job = fixture
        .gateway
        .build_job(order.clone())
        .await
        .unwrap()
        .unwrap();
    let attestation = fixture.attestation(&job).await;
    let next = submit(&fixture, 30, 2).await;
    let order = BuildJob {
        seq: Seq(2),
        previous: Some(attestation),
        ..order
    };
    let job = fixture.gateway.build_job(order).await.unwrap().unwrap();
    assert_eq!(ids(&job), [next]);
    assert_eq!(fixture.gateway.head().await, Some(attestation));
    let again = fixture.gateway.attested(attestation, None, None).await;
    assert!(matches!(again, Ok(Applied::Known)), "{again:?}");
}

#[tokio::test]
async fn wrong_votes_and_reveals_cost_no_step() {
    let mut fixture = Fixture::new().await;
    submit(&fixture, 30, 1).await;
    let vote = SignedVote {
        slot: Slot(9),
        epoch: Epoch(1),
        seq: Seq(7),
        view: View(1),
        statement: StatementId::from_bytes([0; 32]),
        mask: Digest::from_bytes([0; 32]),
        signature: Signature::from_bytes([0; 64]),
    };
    let order = BuildJob {
        votes: vec![vote],
        reveal: Some(TraceRoot::from_bytes([0; 32])),
        ..fixture.order().await
    };
    let job = fixture.gateway.build_job(order).await.unwrap().unwrap();
    assert_eq!((job.votes.len(), job.reveal), (0, None));
}

#[tokio::test]
async fn a_job_names_the_anchor_that_the_node_has_seen_and_none_below_the_last() {
    let mut fixture = Fixture::new().await;
    let caller = Caller::new(40);
    let named = async |fixture: &mut Fixture, nonce, anchor: Option<u64>, allowed| {
        let seen = anchor.map(|height| (height, Digest::from_bytes([9; 32])));
        fixture.gateway.set_anchor(seen);
        let request = caller.sign(caller.call(fixture, nowhere(), "m", nonce));
        fixture.gateway.submit(request).await.unwrap();
        let order = BuildJob {
            anchor: allowed,
            ..fixture.order().await
        };
        let job = fixture.gateway.build_job(order).await.unwrap().unwrap();
        let attestation = fixture.attestation(&job).await;
        let context = job.context;
        let gateway = &fixture.gateway;
        gateway
            .attested(attestation, Some(job), None)
            .await
            .unwrap();
        let head = fixture.gateway.head().await.unwrap().commit;
        assert_eq!(
            (head.anchor_height, head.anchor),
            (context.anchor_height, context.anchor)
        );
        let is_whole = (context.anchor != Context::NO_ANCHOR.1) == (context.anchor_height > 0);
        assert!(is_whole, "{context:?}");
        context.anchor_height
    };
    assert_eq!(named(&mut fixture, 1, None, true).await, 0);
    assert_eq!(named(&mut fixture, 2, Some(7), true).await, 7);
    assert_eq!(named(&mut fixture, 3, Some(6), true).await, 7);
    assert_eq!(named(&mut fixture, 4, None, true).await, 7);
    assert_eq!(named(&mut fixture, 5, Some(8), false).await, 7);
    assert_eq!(named(&mut fixture, 6, Some(8), true).await, 8);
}

#[tokio::test]
async fn a_step_of_another_release_is_not_tried() {
    let mut fixture = Fixture::new().await;
    let other = RuntimeProfile::from_bytes([3; 32]);
    let mut options = fixture.options();
    options.record.profile = other;
    options.dir.push("other");
    fixture.gateway = Gateway::open(options).await.unwrap();
    let order = fixture.order().await;
    let refused = fixture.gateway.build_job(order).await;
    let Err(BuildError::Profile { expected }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(expected, other);
}

#[tokio::test]
async fn with_faults_of_t_members_a_request_is_refused_attested() {
    let mut fixture = Fixture::new().await;
    let bad = submit(&fixture, 30, 1).await;
    let order = fixture.order().await;
    let faults = [4, 2, 1, 3, 2].map(|slot| fault(slot, &order, bad, &fixture));
    let order = BuildJob {
        faults: faults.to_vec(),
        ..order
    };
    let job = fixture.gateway.build_job(order).await.unwrap().unwrap();
    let slots: Vec<u16> = job.faults.iter().map(|fault| fault.slot.0).collect();
    assert_eq!(slots, [1, 2, 3, 4]);
    let attestation = fixture.attestation(&job).await;
    fixture
        .gateway
        .attested(attestation, Some(job), None)
        .await
        .unwrap();
    let step = fixture.gateway.step(Seq(1)).await.unwrap().unwrap();
    let leaf = OutputLeaf::from_bytes(step.leaf(1).unwrap()).unwrap();
    assert_eq!((leaf.request, leaf.status), (bad, Status::Faulted));
}

#[tokio::test]
async fn whatever_a_coordinator_says_of_faults_no_request_that_waits_is_dropped() {
    let mut fixture = Fixture::new().await;
    let waits = submit(&fixture, 30, 1).await;
    for _ in 0..10 {
        let order = fixture.order().await;
        let faults = [1, 2, 3].map(|slot| fault(slot, &order, waits, &fixture));
        let order = BuildJob {
            faults: faults.to_vec(),
            ..order
        };
        let job = fixture.gateway.build_job(order).await.unwrap().unwrap();
        assert_eq!(ids(&job), [waits]);
    }
}

#[tokio::test]
async fn what_the_coordinator_sets_aside_waits_with_its_callers_later_requests() {
    let mut fixture = Fixture::new().await;
    let hangs = submit(&fixture, 30, 1).await;
    submit(&fixture, 30, 2).await;
    let other = submit(&fixture, 31, 1).await;
    let order = BuildJob {
        set_aside: vec![hangs],
        ..fixture.order().await
    };
    let job = fixture.gateway.build_job(order).await.unwrap().unwrap();
    assert_eq!(ids(&job), [other]);
}

#[tokio::test]
async fn what_is_set_aside_is_pending_until_it_expires_and_its_caller_is_told() {
    let mut fixture = Fixture::new().await;
    let hangs = submit(&fixture, 30, 1).await;
    let mut events = fixture.gateway.subscribe();
    for round in 0..3 {
        submit(&fixture, 40 + round, 1).await;
        let order = BuildJob {
            set_aside: vec![hangs],
            ..fixture.order().await
        };
        let job = fixture.gateway.build_job(order).await.unwrap();
        let job = job.expect("the rest goes on");
        assert!(!ids(&job).contains(&hangs));
        let state = fixture.gateway.request_state(&hangs).await.unwrap();
        let expired = matches!(state, Some(RequestState::Closed(Closed::Expired)));
        let pending = matches!(state, Some(RequestState::Pending));
        assert_eq!((pending, expired), (round < 2, round == 2), "{state:?}");
        Fixture::advance_clock(30_001);
    }
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        match event {
            Event::RequestClosed { id, why } if id == hangs => told.push(why),
            _ => {}
        }
    }
    assert_eq!(told, [Closed::Expired]);
}

#[tokio::test]
async fn what_the_coordinator_wants_first_runs_first_but_never_before_a_lower_nonce() {
    let mut fixture = Fixture::new().await;
    let first = submit(&fixture, 30, 1).await;
    let other = submit(&fixture, 31, 1).await;
    let later = submit(&fixture, 31, 2).await;
    for (wanted, expected) in [(other, other), (later, first)] {
        let order = BuildJob {
            first: Some(wanted),
            requests_max: 1,
            ..fixture.order().await
        };
        let job = fixture.gateway.build_job(order).await.unwrap().unwrap();
        assert_eq!(ids(&job), [expected]);
    }
}

/// `w` writes sixteen values of 65,000 bytes, those of the block that the input names; `r` reads
/// all blocks before it.
const HOARD: &str = r#"(module
  (import "zapp0" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "zapp0" "set" (func $set (param i32 i32 i32 i32)))
  (import "zapp0" "input" (func $input (param i32 i32 i32)))
  (memory (export "memory") 2 2)
  (func (export "zapp_main") (param $op i32) (param $len i32) (result i32)
    (local $at i32) (local $end i32)
    (if (i32.eqz (local.get $op)) (then (return (i32.const 0))))
    (call $input (i32.const 0) (i32.const 1) (i32.const 2))
    (local.set $end (i32.mul (i32.load8_u (i32.const 1)) (i32.const 16)))
    (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 119)) (then
      (local.set $at (local.get $end))
      (local.set $end (i32.add (local.get $end) (i32.const 16)))))
    (loop $more
      (i32.store16 (i32.const 2) (local.get $at))
      (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 119))
        (then (call $set (i32.const 2) (i32.const 2) (i32.const 64) (i32.const 65000)))
        (else (drop (call $get (i32.const 2) (i32.const 2) (i32.const 0) (i32.const 0)))))
      (br_if $more (i32.lt_u
        (local.tee $at (i32.add (local.get $at) (i32.const 1))) (local.get $end))))
    (i32.const 0)))"#;

async fn put(fixture: &Fixture, text: &str) -> ModuleDigest {
    let wasm = wat::parse_str(text).unwrap();
    fixture.gateway.put_module(wasm).await.unwrap().original
}

async fn send(
    fixture: &Fixture,
    seed: u8,
    zapp: ZappId,
    method: &str,
    input: Vec<u8>,
    nonce: u64,
) -> RequestId {
    let request = Caller::new(seed).request(fixture, zapp, method, input, nonce);
    fixture.gateway.submit(request).await.unwrap()
}

async fn hoard(fixture: &mut Fixture) -> ZappId {
    let deploy = Deploy {
        module: put(fixture, HOARD).await,
        salt: Digest::from_bytes([2; 32]),
        escrow: 0,
        init: Vec::new(),
    };
    let zapp = deploy.zapp(&Caller::new(200).identity());
    send(fixture, 200, ZappId::SYSTEM, DEPLOY, deploy.to_bytes(), 1).await;
    fixture.step().await;
    zapp
}

async fn is_accepted(fixture: &Fixture, id: &RequestId) -> bool {
    let state = fixture.gateway.request_state(id).await.unwrap();
    matches!(state, Some(RequestState::Accepted { .. }))
}

#[tokio::test]
async fn what_the_step_has_no_room_for_waits_for_the_next() {
    let mut fixture = Fixture::new().await;
    let zapp = hoard(&mut fixture).await;
    let mut ids = Vec::new();
    for block in 0..14 {
        ids.push(send(&fixture, 30, zapp, "w", vec![block], u64::from(block) + 1).await);
    }
    ids.push(submit(&fixture, 31, 1).await);
    let first = fixture.step().await;
    assert!(first.requests.len() < ids.len(), "they do not fit into one");
    fixture.step().await;
    for id in &ids {
        assert!(is_accepted(&fixture, id).await, "{id}");
    }
}

#[tokio::test]
async fn a_request_that_reads_more_than_a_step_may_show_stops_nobody_else() {
    let mut fixture = Fixture::new().await;
    let zapp = hoard(&mut fixture).await;
    for block in 0..9 {
        send(&fixture, 30, zapp, "w", vec![block], u64::from(block) + 1).await;
    }
    fixture.step().await;
    let reads = send(&fixture, 31, zapp, "r", vec![9], 1).await;
    let other = submit(&fixture, 32, 1).await;
    let order = fixture.order().await;
    let mut job = fixture.gateway.build_job(order).await.unwrap();
    if job.is_none() {
        let order = fixture.order().await;
        job = fixture.gateway.build_job(order).await.unwrap();
    }
    assert_eq!(job.map(|job| ids(&job)), Some(vec![other]));
    let state = fixture.gateway.request_state(&reads).await.unwrap();
    assert!(
        matches!(state, Some(RequestState::Closed(Closed::Impossible))),
        "{state:?}"
    );
}

#[tokio::test]
async fn more_modules_than_are_at_hand_at_once_run_in_several_steps() {
    let mut fixture = Fixture::new().await;
    let mut ids = Vec::new();
    for number in 0..u8::try_from(SHELF_MAX + 6).unwrap() {
        let data = format!(r#"(data (i32.const 100) "{number}") (data (i32.const 0) "n")"#);
        let text = COUNTER.replace(r#"(data (i32.const 0) "n")"#, &data);
        let deploy = Deploy {
            module: put(&fixture, &text).await,
            salt: Digest::from_bytes([number; 32]),
            escrow: 0,
            init: Vec::new(),
        };
        let nonce = u64::from(number) + 1;
        let input = deploy.to_bytes();
        ids.push(send(&fixture, 30, ZappId::SYSTEM, DEPLOY, input, nonce).await);
    }
    for _ in 0..ids.len().div_ceil(JOB_MODULES_MAX) {
        fixture.step().await;
    }
    for id in &ids {
        assert!(is_accepted(&fixture, id).await, "{id}");
    }
}

#[tokio::test]
async fn a_job_reveals_what_this_node_ran_itself() {
    let mut fixture = Fixture::new().await;
    let zapp = fixture.deploy_counter().await;
    let caller = Caller::new(30);
    for nonce in 1..=3 {
        let request = caller.sign(caller.call(&fixture, zapp, "inc", nonce));
        fixture.gateway.submit(request).await.unwrap();
        let order = fixture.order().await;
        assert_eq!(order.reveal, None);
        let job = fixture.gateway.build_job(order).await.unwrap().unwrap();
        // Of the step before the one before, once there is one: a vote's pay hangs on it.
        assert_eq!(job.reveal.is_some(), nonce > 1, "step {}", job.seq);
        let attestation = fixture.attestation(&job).await;
        let applied = fixture.gateway.attested(attestation, Some(job), None).await;
        assert!(matches!(applied, Ok(Applied::Accepted(_))), "{applied:?}");
    }
    // A node that ran none of it reveals nothing, and builds nonetheless.
    let mut fixture = fixture.restarted().await;
    let request = caller.sign(caller.call(&fixture, zapp, "inc", 4));
    fixture.gateway.submit(request).await.unwrap();
    let order = fixture.order().await;
    let job = fixture.gateway.build_job(order).await.unwrap().unwrap();
    assert_eq!(job.reveal, None);
}
