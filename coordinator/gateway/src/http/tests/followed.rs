//! Requests, steps and reports as they come.

use attestation::ids::{Digest, Epoch, Signature, Slot, StatementId, View};
use signer_protocol::blame::Divergence;
use state::job::SignedVote;

use super::*;
use crate::reports::Report;

#[tokio::test]
async fn a_request_is_followed_to_its_end() {
    let mut served = Served::new().await;
    let zapp = served.fixture.deploy_counter().await;
    let caller = Caller::new(30);
    let request = caller.sign(caller.call(&served.fixture, zapp, "inc", 1));
    served.submit(&request).await;
    let path = format!("/v1/requests/{}", request.id());
    assert_eq!(served.get(&path).await.json()["state"], "pending");
    // Opened while the request waits: it tells so, then the end, and closes.
    let mut following = served.follow(&format!("{path}/events")).await;
    let told = following.recv().await.unwrap();
    assert!(told.starts_with("event: pending\ndata: {"), "{told}");
    served.fixture.step().await;
    let told = following.recv().await.unwrap();
    assert!(told.starts_with("event: accepted\ndata: {"), "{told}");
    assert_eq!(following.recv().await, None, "nothing after the end");
    assert_eq!(served.get(&path).await.json()["state"], "accepted");
    let events = served.get(&format!("{path}/events")).await;
    let text = String::from_utf8(events.body).unwrap();
    assert!(text.starts_with("event: accepted\ndata: {"), "{text}");
    let unknown = served
        .get(&format!("/v1/requests/{}", "00".repeat(32)))
        .await;
    assert_eq!(unknown.code(), (404, "unknown_request".to_owned()));
}

#[tokio::test]
async fn steps_are_followed_as_they_are_accepted() {
    let mut served = Served::new().await;
    let zapp = served.fixture.deploy_counter().await;
    let mut following = served.follow("/v1/events").await;
    let caller = Caller::new(30);
    for (nonce, seq) in [(1, 2), (2, 3)] {
        let request = caller.sign(caller.call(&served.fixture, zapp, "inc", nonce));
        served.submit(&request).await;
        served.fixture.step().await;
        let told = following.recv().await.unwrap();
        let data = told.strip_prefix("event: step\ndata: ").expect(&told);
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["seq"], seq, "from now on, in order, and no other");
        assert_eq!(data["leaves"][1]["request"], json!(request.id()));
        let step = served.get(&format!("/v1/steps/{seq}")).await.json();
        assert_eq!(data, step, "what the document describes as a step");
    }
}

#[tokio::test]
async fn followers_are_told_of_the_end_of_a_waiting_request() {
    let mut fixture = Fixture::new().await;
    let zapp = fixture.deploy_counter().await;
    let caller = Caller::new(30);
    let request = caller.sign(caller.call(&fixture, zapp, "inc", 1));
    let id = fixture.gateway.submit(request).await.unwrap();
    let mut changes = fixture.gateway.inner.watches.watch(id);
    fixture.step().await;
    let ended = changes.wait_for(|state| matches!(state, crate::RequestState::Accepted { .. }));
    assert!(ended.await.is_ok());
}

#[tokio::test]
async fn a_report_is_listed_shown_and_its_job_handed_out() {
    let mut served = Served::new().await;
    let zapp = served.fixture.deploy_counter().await;
    let caller = Caller::new(30);
    let request = caller.sign(caller.call(&served.fixture, zapp, "inc", 1));
    served.fixture.gateway.submit(request).await.unwrap();
    let order = served.fixture.order().await;
    let job = served.fixture.gateway.build_job(order).await.unwrap();
    let job = job.unwrap();
    let report = Report::Divergence(Divergence {
        seq: job.seq,
        view: View(7),
        job: job.digest(),
        votes: vec![SignedVote {
            slot: Slot(2),
            epoch: Epoch(1),
            seq: job.seq,
            view: View(7),
            statement: StatementId::from_bytes([4; 32]),
            mask: Digest::from_bytes([0; 32]),
            signature: Signature::from_bytes([5; 64]),
        }],
        silent: vec![Slot(5)],
    });
    let gateway = &served.fixture.gateway;
    gateway.report(&report, Some(&job)).await.unwrap();

    let status = served.get("/v1/status").await.json();
    assert_eq!(status["reports"], 1);
    let listed = served.get("/v1/reports").await.json();
    assert_eq!(listed["count"], 1);
    let first = &listed["reports"][0];
    assert_eq!(first["kind"], "divergence");
    assert_eq!((&first["seq"], &first["view"]), (&json!(2), &json!(7)));
    assert_eq!(
        (&first["proof"], &first["job"]),
        (&json!(false), &json!(true))
    );
    let id = first["id"].as_str().unwrap();
    let shown = served.get(&format!("/v1/reports/{id}")).await.json();
    assert_eq!(shown["votes"][0]["member"], 2);
    assert_eq!(shown["votes"][0]["statement"], "04".repeat(32));
    assert_eq!(shown["silent"], json!([5]));
    assert_eq!(shown["job_digests"], json!([job.digest()]));
    let evidence = hex::decode(shown["evidence"].as_str().unwrap()).unwrap();
    assert_eq!(evidence, report.to_bytes());
    let body = served.get(&format!("/v1/reports/{id}/job")).await.body;
    assert_eq!(body, attestation::codec::encode(&job));
    for (path, expected) in [
        ("/v1/reports/zz", (400, "bad_argument")),
        (
            &*format!("/v1/reports/{}", "00".repeat(32)),
            (404, "unknown_report"),
        ),
    ] {
        let answer = served.get(path).await;
        assert_eq!(answer.code(), (expected.0, expected.1.to_owned()), "{path}");
    }
}
