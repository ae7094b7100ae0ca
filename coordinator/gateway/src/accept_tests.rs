use attestation::ids::{RequestId, Signature, ZappId};
use attestation::leaf::Status;
use attestation::verify::verify_receipt;
use futures_util::FutureExt as _;

use super::*;
use crate::fixture::{Caller, Fixture};
use crate::submit::SubmitError;
use crate::{Closed, RequestState};

async fn status(fixture: &Fixture, id: &RequestId) -> (Status, Vec<u8>) {
    match fixture.gateway.request_state(id).await.unwrap().unwrap() {
        RequestState::Accepted { step, place } => {
            let (_, leaf) = step.requests[place];
            let leaf = OutputLeaf::from_bytes(step.leaf(leaf).unwrap()).unwrap();
            (leaf.status, step.body.outputs[place].bytes.clone())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_request_becomes_a_receipt_that_verifies() {
    let mut fixture = Fixture::new().await;
    let zapp = fixture.deploy_counter().await;
    let caller = Caller::new(30);
    let request = caller.sign(caller.call(&fixture, zapp, "inc", 1));
    let id = fixture.gateway.submit(request).await.unwrap();
    let step = fixture.step().await;

    assert_eq!(
        status(&fixture, &id).await,
        (Status::Ok, vec![1, 0, 0, 0, 0, 0, 0, 0])
    );
    let receipt = step.receipt(&fixture.key(), 1).unwrap();
    let committee = fixture.gateway.record().id();
    let leaf = step.leaf(1);
    let verified = verify_receipt(&receipt, leaf, &fixture.key(), Some(&committee)).unwrap();
    assert_eq!(verified.statement, step.statement);
    assert_eq!(verified.commit.seq, Seq(2));
}

#[tokio::test]
async fn failed_calls_are_attested_and_change_nothing() {
    let mut fixture = Fixture::new().await;
    let zapp = fixture.deploy_counter().await;
    let table = [
        ("trap", Status::Trapped),
        ("quit", Status::Reverted),
        ("loop", Status::OutOfGas),
    ];
    for (seed, (method, expected)) in (30..).zip(table) {
        let caller = Caller::new(seed);
        let request = caller.sign(caller.call(&fixture, zapp, method, 1));
        let id = fixture.gateway.submit(request).await.unwrap();
        fixture.step().await;
        assert_eq!(status(&fixture, &id).await.0, expected, "{method}");
    }
    let unknown = Caller::new(40);
    let nowhere = ZappId::from_bytes([3; 32]);
    let request = unknown.sign(unknown.call(&fixture, nowhere, "inc", 1));
    let id = fixture.gateway.submit(request).await.unwrap();
    fixture.step().await;
    assert_eq!(status(&fixture, &id).await.0, Status::Refused);

    let view = fixture
        .gateway
        .view(zapp, String::new(), Vec::new())
        .await
        .unwrap();
    assert_eq!(view.output, [0; 8], "no write survived");
}

#[tokio::test]
async fn head_state_requests_and_queue_survive_a_restart() {
    let mut fixture = Fixture::new().await;
    let zapp = fixture.deploy_counter().await;
    let caller = Caller::new(30);
    let done = caller.sign(caller.call(&fixture, zapp, "inc", 1));
    let done = fixture.gateway.submit(done).await.unwrap();
    let step = fixture.step().await;
    let waiting = caller.sign(caller.call(&fixture, zapp, "inc", 2));
    let waiting = fixture.gateway.submit(waiting).await.unwrap();

    let mut fixture = fixture.restarted().await;
    assert_eq!(fixture.gateway.head().await, Some(step.attestation));
    assert_eq!(status(&fixture, &done).await.0, Status::Ok);
    assert!(fixture.gateway.executable());
    fixture.step().await;
    assert_eq!(status(&fixture, &waiting).await.1, [2, 0, 0, 0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_store_whose_entries_were_changed_does_not_open() {
    let mut fixture = Fixture::new().await;
    fixture.deploy_counter().await;
    let path = fixture.dir.path().join("gateway.sqlite");
    crate::store::tests::execute(
        &path,
        "UPDATE entries SET value = x'00' WHERE length(value) > 8",
    )
    .await
    .unwrap();
    let opened = Gateway::open(fixture.options()).await;
    assert!(
        matches!(opened, Err(crate::OpenError::State { .. })),
        "{opened:?}"
    );
}

#[tokio::test]
async fn a_peer_catches_up_from_bundles_and_goes_on() {
    let mut fixture = Fixture::new().await;
    let zapp = fixture.deploy_counter().await;
    let caller = Caller::new(30);
    let request = caller.sign(caller.call(&fixture, zapp, "inc", 1));
    let id = fixture.gateway.submit(request).await.unwrap();
    let step = fixture.step().await;

    let mut peer = fixture.peer().await;
    let behind = peer.gateway.attested(step.attestation, None, None).await;
    assert!(
        matches!(behind, Ok(Applied::Behind { head: Seq(0) })),
        "{behind:?}"
    );
    for seq in 1..=2 {
        let bundle = fixture
            .gateway
            .step_bundle(Seq(seq))
            .await
            .unwrap()
            .unwrap();
        let applied = peer.gateway.apply_bundle(&bundle).await;
        assert!(matches!(applied, Ok(Applied::Accepted(_))), "{applied:?}");
        let again = peer.gateway.apply_bundle(&bundle).await;
        assert!(matches!(again, Ok(Applied::Known)), "{again:?}");
    }
    assert_eq!(peer.gateway.head().await, fixture.gateway.head().await);
    assert_eq!(status(&peer, &id).await.0, Status::Ok);
    assert!(
        peer.gateway
            .load_job(&step.statement)
            .await
            .unwrap()
            .is_some()
    );

    // The peer takes over the gateway role. The module travels on its own.
    let wasm = wat::parse_str(crate::fixture::COUNTER).unwrap();
    peer.gateway.put_module(wasm).await.unwrap();
    let request = caller.sign(caller.call(&peer, zapp, "inc", 2));
    let id = peer.gateway.submit(request).await.unwrap();
    peer.step().await;
    assert_eq!(status(&peer, &id).await.1, [2, 0, 0, 0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_bundle_with_anything_changed_is_refused() {
    let mut fixture = Fixture::new().await;
    fixture.deploy_counter().await;
    let peer = fixture.peer().await;
    let bytes = fixture.gateway.step_bundle(Seq(1)).await.unwrap().unwrap();
    let whole: Bundle = codec::decode(&bytes, BUNDLE_BYTES_MAX).unwrap();
    type Change = fn(&mut Bundle);
    let table: [(&str, Change); 7] = [
        ("signature", |bundle| {
            let mut signature = *bundle.attestation.signature.as_bytes();
            signature[40] ^= 1;
            bundle.attestation.signature = Signature::from_bytes(signature);
        }),
        ("leaf", |bundle| bundle.body.leaves[1][80] ^= 1),
        ("leaf gone", |bundle| {
            bundle.body.leaves.pop();
        }),
        ("write", |bundle| {
            bundle.body.writes[0].value = Some(vec![1]);
        }),
        ("write gone", |bundle| {
            bundle.body.writes.pop();
        }),
        ("output", |bundle| bundle.body.outputs[0].bytes.push(1)),
        ("job", |bundle| {
            let mut job: Job = codec::decode(bundle.job.as_ref().unwrap(), 1 << 24).unwrap();
            job.requests[0].call.nonce += 1;
            bundle.job = Some(ByteBuf::from(codec::encode(&job)));
        }),
    ];
    for (what, change) in table {
        let mut bundle = whole.clone();
        change(&mut bundle);
        let applied = peer.gateway.apply_bundle(&codec::encode(&bundle)).await;
        assert!(applied.is_err(), "{what}: {applied:?}");
        assert_eq!(peer.gateway.head().await, None, "{what}");
    }
    let mut many = whole.clone();
    many.body.leaves.resize(1 << 16, ByteBuf::new());
    let most = peer.gateway.apply_bundle(&codec::encode(&many)).await;
    assert!(matches!(most, Err(AcceptError::Leaves)), "{most:?}");
    many.body.leaves.push(ByteBuf::new());
    let more = peer.gateway.apply_bundle(&codec::encode(&many)).await;
    assert!(matches!(more, Err(AcceptError::Malformed(_))), "{more:?}");
    let truncated = peer.gateway.apply_bundle(&bytes[..bytes.len() - 1]).await;
    assert!(matches!(truncated, Err(AcceptError::Malformed(_))));
    assert!(peer.gateway.apply_bundle(&bytes).await.is_ok());
}

#[tokio::test]
async fn an_attestation_alone_asks_for_its_bundle() {
    let mut fixture = Fixture::new().await;
    fixture.deploy_counter().await;
    let peer = fixture.peer().await;
    let head = fixture.gateway.head().await.unwrap();
    let applied = peer.gateway.attested(head, None, None).await;
    assert!(matches!(applied, Ok(Applied::NeedsBundle)), "{applied:?}");
}

#[tokio::test]
async fn a_job_stored_before_the_vote_is_enough_to_accept() {
    let mut fixture = Fixture::new().await;
    let caller = Caller::new(30);
    let nowhere = ZappId::from_bytes([3; 32]);
    let request = caller.sign(caller.call(&fixture, nowhere, "inc", 1));
    fixture.gateway.submit(request).await.unwrap();
    let order = fixture.order().await;
    let job = fixture.gateway.build_job(order).await.unwrap().unwrap();
    let attestation = fixture.attestation(&job).await;

    let peer = fixture.peer().await;
    let statement = attestation.statement();
    let stored = peer
        .gateway
        .store_job(statement, job.seq, codec::encode(&job));
    stored.await.unwrap();
    let peer = peer.restarted().await;
    assert_eq!(peer.gateway.load_job(&statement).await.unwrap(), Some(job));
    let applied = peer.gateway.attested(attestation, None, None).await;
    assert!(matches!(applied, Ok(Applied::Accepted(_))), "{applied:?}");
}

#[tokio::test]
async fn a_replay_names_the_step_and_a_used_nonce_the_last_one() {
    let mut fixture = Fixture::new().await;
    let zapp = fixture.deploy_counter().await;
    let caller = Caller::new(30);
    let request = caller.sign(caller.call(&fixture, zapp, "inc", 5));
    fixture.gateway.submit(request.clone()).await.unwrap();
    fixture.gateway.submit(request.clone()).await.unwrap();
    let overtaken = caller.sign(caller.call(&fixture, zapp, "inc", 4));
    fixture.step().await;

    let replayed = fixture.gateway.submit(request).await;
    assert!(matches!(
        replayed,
        Err(SubmitError::Replayed { seq: Seq(2) })
    ));
    let used = fixture.gateway.submit(overtaken).await;
    assert!(matches!(
        used,
        Err(SubmitError::NonceUsed { nonce: 4, used: 5 })
    ));
    assert_eq!(fixture.gateway.nonce_next(&caller.identity()).await, 6);
}

#[tokio::test]
async fn a_caller_takes_back_what_still_waits() {
    let mut fixture = Fixture::new().await;
    let zapp = fixture.deploy_counter().await;
    let caller = Caller::new(30);
    let mut ids = Vec::new();
    for nonce in [1, 2, 9] {
        let request = caller.sign(caller.call(&fixture, zapp, "inc", nonce));
        ids.push(fixture.gateway.submit(request).await.unwrap());
    }
    let other = Caller::new(31);
    let request = other.sign(other.call(&fixture, zapp, "inc", 1));
    let others = fixture.gateway.submit(request).await.unwrap();
    let cancel = caller.request(&fixture, ZappId::SYSTEM, "cancel", Vec::new(), 5);
    let cancel = fixture.gateway.submit(cancel).await.unwrap();

    // Of this caller, and with a lower nonce: nothing else is touched.
    let mut states = Vec::new();
    for id in [ids[0], ids[1], ids[2], others, cancel] {
        states.push(fixture.gateway.request_state(&id).await.unwrap().unwrap());
    }
    let cancelled = |state: &RequestState| matches!(state, RequestState::Closed(Closed::Cancelled));
    let cancelled: Vec<_> = states.iter().map(cancelled).collect();
    assert_eq!(cancelled, [true, true, false, false, false], "{states:?}");
    let step = fixture.step().await;
    let ran: Vec<_> = step.requests.iter().map(|(id, _)| *id).collect();
    assert_eq!(ran.len(), 3);
    assert!([ids[2], others, cancel].iter().all(|id| ran.contains(id)));
    // Nor after a restart.
    let fixture = fixture.restarted().await;
    let state = fixture.gateway.request_state(&ids[0]).await.unwrap();
    assert!(
        matches!(state, Some(RequestState::Closed(Closed::Cancelled))),
        "{state:?}"
    );
}

#[tokio::test]
async fn a_waiting_request_is_closed_when_it_can_no_longer_run() {
    let mut fixture = Fixture::new().await;
    let caller = Caller::new(30);
    let nowhere = ZappId::from_bytes([3; 32]);
    let mut call = caller.call(&fixture, nowhere, "inc", 1);
    call.valid_until_ms = crate::fixture::START_MS + 10;
    let id = fixture.gateway.submit(caller.sign(call)).await.unwrap();
    Fixture::advance_clock(11);
    assert!(!fixture.gateway.executable());
    let order = fixture.order().await;
    assert_eq!(fixture.gateway.build_job(order).await.unwrap(), None);
    let state = fixture.gateway.request_state(&id).await.unwrap();
    assert!(
        matches!(state, Some(RequestState::Closed(Closed::Expired))),
        "{state:?}"
    );
}

#[tokio::test]
async fn a_second_statement_signed_for_the_head_is_reported_as_a_fork() {
    let mut fixture = Fixture::new().await;
    fixture.deploy_counter().await;
    let step = fixture.gateway.step(Seq(1)).await.unwrap().unwrap();
    let mut other = state::step::StepOutcome {
        commit: step.attestation.commit,
        root: step.attestation.root,
        leaves: Vec::new(),
        reports: Vec::new(),
        outcomes: Vec::new(),
        writes: Vec::new(),
        trace_root: attestation::ids::TraceRoot::from_bytes([0; 32]),
        touched: state::witness::Touched::default(),
    };
    other.commit.time_ms += 1;
    let refused = fixture
        .gateway
        .attested(fixture.sign(&other), None, None)
        .await;
    assert!(
        matches!(refused, Err(AcceptError::Refused(Refused::Fork { .. }))),
        "{refused:?}"
    );
}

/// A peer's gossip is slower than its step now and then: nothing would ever take such a request
/// out of the queue again, it would raise views for being passed over (rule A10), for ever.
#[tokio::test]
async fn a_request_that_its_step_overtakes_neither_waits_nor_is_told_as_waiting() {
    let mut fixture = Fixture::new().await;
    let caller = Caller::new(30);
    let nowhere = ZappId::from_bytes([3; 32]);
    let request = caller.sign(caller.call(&fixture, nowhere, "inc", 2));
    fixture.gateway.submit(request.clone()).await.unwrap();
    fixture.step().await;
    let bundle = fixture.gateway.step_bundle(Seq(1)).await.unwrap().unwrap();

    let peer = fixture.peer().await;
    let mut events = peer.gateway.subscribe();
    let older = caller.sign(caller.call(&peer, nowhere, "inc", 1));
    let ids = [request.id(), older.id()];
    // Polled by this test alone: they reach the disk only after the step.
    let mut submits = [request, older].map(|request| Box::pin(peer.gateway.take(request)));
    for submit in &mut submits {
        assert!(submit.now_or_never().is_none(), "not durable yet");
    }
    peer.gateway.apply_bundle(&bundle).await.unwrap();
    for submit in submits {
        submit.await.unwrap();
    }

    while let Ok(event) = events.try_recv() {
        let waits = matches!(&event, Event::RequestPending { .. });
        assert!(!waits, "{event:?}");
    }
    assert_eq!(status(&peer, &ids[0]).await.0, Status::Refused);
    let state = peer.gateway.request_state(&ids[1]).await.unwrap();
    assert!(
        matches!(state, Some(RequestState::Closed(Closed::Overtaken))),
        "{state:?}"
    );
    assert!(!peer.gateway.executable());
    assert!(!peer.restarted().await.gateway.executable());
}

#[tokio::test]
async fn a_step_whose_bringer_goes_away_half_way_is_accepted_all_the_same() {
    let mut fixture = Fixture::new().await;
    fixture.deploy_counter().await;
    let bundle = fixture.gateway.step_bundle(Seq(1)).await.unwrap().unwrap();
    let peer = fixture.peer().await;
    let bringing = peer.gateway.apply_bundle(&bundle);
    assert!(bringing.now_or_never().is_none(), "not durable yet");
    let again = peer.gateway.apply_bundle(&bundle).await;
    assert!(matches!(again, Ok(Applied::Known)), "{again:?}");
}

#[tokio::test]
async fn a_request_whose_caller_hangs_up_half_way_runs_all_the_same() {
    let mut fixture = Fixture::new().await;
    let zapp = fixture.deploy_counter().await;
    let caller = Caller::new(30);
    let request = caller.sign(caller.call(&fixture, zapp, "inc", 1));
    let submit = Box::pin(fixture.gateway.submit(request.clone()));
    assert!(submit.now_or_never().is_none(), "not durable yet");
    let id = fixture.gateway.submit(request).await.unwrap();
    fixture.step().await;
    assert_eq!(status(&fixture, &id).await.0, Status::Ok);
}

#[tokio::test]
async fn a_request_that_cannot_run_any_more_does_not_wait_after_a_restart() {
    let mut fixture = Fixture::new().await;
    let caller = Caller::new(30);
    let nowhere = ZappId::from_bytes([3; 32]);
    let [done, older] = [2, 1].map(|nonce| {
        let call = caller.call(&fixture, nowhere, "inc", nonce);
        caller.sign(call)
    });
    fixture.gateway.submit(done).await.unwrap();
    fixture.step().await;
    let path = fixture.dir.path().join("gateway.sqlite");
    let row = format!(
        "INSERT INTO requests (id, bytes, received_ms) VALUES (x'{}', x'{}', 1)",
        older.id(),
        hex::encode(older.to_bytes())
    );
    crate::store::tests::execute(&path, &row).await.unwrap();

    let fixture = fixture.restarted().await;
    assert!(!fixture.gateway.executable());
    let state = fixture.gateway.request_state(&older.id()).await.unwrap();
    assert!(
        matches!(state, Some(RequestState::Closed(Closed::Overtaken))),
        "{state:?}"
    );
}
