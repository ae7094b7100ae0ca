use attestation::codec;
use attestation::ids::{RequestId, ZappId};
use attestation::request::Request;
use state::system::nom::{ISSUE, Issue};

use super::*;
use crate::fixture::{Caller, Fixture};
use crate::{RequestState, SubmitError};

fn momentum(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

/// Momentums that are deep enough, all of one height.
fn seen(bytes: &[u8]) -> BTreeMap<Deep, u64> {
    let bytes = bytes.iter();
    bytes
        .map(|byte| (Deep::Momentum(momentum(*byte)), 9))
        .collect()
}

/// A request that says of a momentum that it is in the chain.
fn claim(fixture: &Fixture, caller: u8, nonce: u64, byte: u8) -> Request {
    let caller = Caller::new(caller);
    let mut call = caller.call(fixture, ZappId::SYSTEM, ISSUE, nonce);
    call.input = codec::encode(&Issue {
        momentum: momentum(byte),
        momentum_height: 9,
        fused_plasma: 21_000,
        difficulty: 0,
        nonce: 0,
    });
    caller.sign(call)
}

async fn built(fixture: &mut Fixture) -> Vec<RequestId> {
    let order = fixture.order().await;
    let job = fixture.gateway.build_job(order).await.unwrap();
    let requests = job.map(|job| job.requests).unwrap_or_default();
    requests.iter().map(Request::id).collect()
}

#[tokio::test]
async fn a_claim_of_the_chain_is_taken_once_this_node_bears_it_out_and_waits_when_it_no_longer_does()
 {
    let mut fixture = Fixture::new().await;
    let request = claim(&fixture, 1, 1, 7);
    let refused = fixture.gateway.submit(request.clone()).await;
    assert!(
        matches!(refused, Err(SubmitError::Unconfirmed)),
        "{refused:?}"
    );
    // Nor is it there at another height.
    let elsewhere = [(Deep::Momentum(momentum(7)), 10)].into();
    fixture.gateway.set_confirmed(elsewhere);
    let refused = fixture.gateway.submit(request.clone()).await;
    assert!(matches!(refused, Err(SubmitError::Unconfirmed)));
    fixture.gateway.tell(vec![request.clone()]).await;
    fixture.gateway.take_up_told(true).await;
    assert_eq!(fixture.gateway.pending_requests(), []);

    fixture.gateway.set_confirmed(seen(&[7]));
    let id = fixture.gateway.submit(request).await.unwrap();
    assert!(fixture.gateway.executable());
    assert_eq!(built(&mut fixture).await, [id]);

    // The chain was reorganised: the request waits, and holds nothing up.
    fixture.gateway.set_confirmed(seen(&[8]));
    assert!(!fixture.gateway.executable());
    assert_eq!(built(&mut fixture).await, []);
    let state = fixture.gateway.request_state(&id).await.unwrap();
    assert!(matches!(state, Some(RequestState::Pending)));
    fixture.gateway.set_confirmed(seen(&[7, 8]));
    assert_eq!(built(&mut fixture).await, [id]);
}

#[tokio::test]
async fn a_claim_that_was_taken_before_a_restart_waits_for_the_chain_to_be_seen_again() {
    let fixture = Fixture::new().await;
    fixture.gateway.set_confirmed(seen(&[7]));
    let request = claim(&fixture, 1, 1, 7);
    let id = fixture.gateway.submit(request).await.unwrap();
    let mut fixture = fixture.restarted().await;
    assert!(fixture.gateway.pending_request(&id).is_some());
    assert!(!fixture.gateway.executable());
    assert_eq!(built(&mut fixture).await, []);
    fixture.gateway.set_confirmed(seen(&[7]));
    assert_eq!(built(&mut fixture).await, [id]);
}

#[tokio::test]
async fn requests_of_the_chain_adapter_come_before_all_others() {
    let mut fixture = Fixture::new().await;
    fixture.gateway.set_confirmed(seen(&[7]));
    let nowhere = ZappId::from_bytes([3; 32]);
    let mut others = Vec::new();
    for seed in 20..90 {
        let caller = Caller::new(seed);
        let request = caller.sign(caller.call(&fixture, nowhere, "m", 1));
        others.push(fixture.gateway.submit(request).await.unwrap());
    }
    let mut first = Vec::new();
    for nonce in 1..=2 {
        let request = claim(&fixture, 1, nonce, 7);
        first.push(fixture.gateway.submit(request).await.unwrap());
    }
    // Callers take turns in order of arrival, and a job has room for 64.
    let mut order = fixture.order().await;
    order.requests_max = 64;
    let job = fixture.gateway.build_job(order.clone()).await.unwrap();
    let ids: Vec<RequestId> = job.unwrap().requests.iter().map(Request::id).collect();
    assert!(first.iter().all(|id| !ids.contains(id)));

    fixture.gateway.set_first(Caller::new(1).identity());
    let job = fixture.gateway.build_job(order).await.unwrap().unwrap();
    let ids: Vec<RequestId> = job.requests.iter().map(Request::id).collect();
    assert_eq!(ids[..2], first[..]);
    assert_eq!(ids[2..], others[..62]);
}
