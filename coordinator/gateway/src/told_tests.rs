use attestation::ids::ZappId;

use super::*;
use crate::fixture::{Caller, Fixture, START_MS};
use crate::{Event, RequestState};

fn request(fixture: &Fixture, seed: u8, nonce: u64) -> Request {
    let (caller, nowhere) = (Caller::new(seed), ZappId::from_bytes([3; 32]));
    caller.sign(caller.call(fixture, nowhere, "inc", nonce))
}

#[tokio::test]
async fn a_told_request_is_taken_up_only_when_steps_stall() {
    let mut fixture = Fixture::new().await;
    let told = request(&fixture, 30, 1);
    fixture.gateway.tell(vec![told.clone()]).await;
    fixture.gateway.take_up_told(false).await;
    assert!(!fixture.gateway.executable(), "its own node sees to it");

    Fixture::advance_clock(STALL_MS);
    let other = request(&fixture, 31, 1);
    fixture.gateway.submit(other).await.unwrap();
    fixture.step().await;
    fixture.gateway.take_up_told(false).await;
    assert!(!fixture.gateway.executable(), "steps flow");

    Fixture::advance_clock(STALL_MS);
    let mut events = fixture.gateway.subscribe();
    fixture.gateway.take_up_told(false).await;
    assert!(fixture.gateway.executable());
    let event = events.try_recv();
    assert!(
        matches!(
            &event,
            Ok(Event::RequestPending {
                from_peer: true,
                ..
            })
        ),
        "{event:?}"
    );
    // From here on it is as durable as if its caller had brought it.
    let mut fixture = fixture.restarted().await;
    fixture.step().await;
    let state = fixture.gateway.request_state(&told.id()).await.unwrap();
    assert!(
        matches!(state, Some(RequestState::Accepted { .. })),
        "{state:?}"
    );
}

#[tokio::test]
async fn a_told_request_does_not_wait_for_ever_while_others_run() {
    let mut fixture = Fixture::new().await;
    fixture.gateway.tell(vec![request(&fixture, 30, 1)]).await;
    for nonce in 1..=8 {
        Fixture::advance_clock(TOLD_MS_MAX / 8);
        let other = request(&fixture, 31, nonce);
        fixture.gateway.submit(other).await.unwrap();
        fixture.step().await;
    }
    fixture.gateway.take_up_told(false).await;
    assert!(fixture.gateway.executable());
}

#[tokio::test]
async fn a_told_request_is_forgotten_with_its_step() {
    let mut fixture = Fixture::new().await;
    let told = request(&fixture, 30, 1);
    let peer = fixture.peer().await;
    peer.gateway.tell(vec![told.clone()]).await;
    fixture.gateway.submit(told).await.unwrap();
    fixture.step().await;
    let bundle = fixture.gateway.step_bundle(attestation::ids::Seq(1));
    let bundle = bundle.await.unwrap().unwrap();
    peer.gateway.apply_bundle(&bundle).await.unwrap();
    let told = peer.gateway.told();
    assert!(told.requests.is_empty() && told.arrivals.is_empty() && told.bytes == 0);
}

#[tokio::test]
async fn a_forged_copy_keeps_no_request_out() {
    let fixture = Fixture::new().await;
    let good = request(&fixture, 30, 1);
    let mut forged = good.clone();
    forged.signature = Signature::from_bytes([7; 64]);
    fixture.gateway.tell(vec![forged]).await;
    fixture.gateway.tell(vec![good.clone()]).await;
    fixture.gateway.take_up_told(true).await;
    let waiting = fixture.gateway.pending_request(&good.id());
    assert_eq!(waiting.as_deref(), Some(&good));
}

#[test]
fn what_has_no_room_is_given_back() {
    let mut told = Told::default();
    let mut request = sample();
    let bytes = attestation::request::INPUT_BYTES_MAX;
    request.call.input = vec![0; bytes];
    let room = TOLD_BYTES_MAX / weight(&request);
    for nonce in 0..room {
        request.call.nonce = nonce as u64;
        assert!(told.keep(request.clone(), START_MS).is_none());
    }
    request.call.nonce = u64::MAX;
    assert!(told.keep(request, START_MS).is_some());
    assert_eq!(told.due(START_MS, true).len(), room);
    assert_eq!(told.bytes, 0);
}

fn sample() -> Request {
    use attestation::ids::{CommitteeId, IdentityKey, NetworkId};
    use attestation::request::{Call, FeePayer};
    Request {
        call: Call {
            network: NetworkId(1),
            committee: CommitteeId::from_bytes([1; 32]),
            zapp: ZappId::SYSTEM,
            method: "m".to_owned(),
            input: Vec::new(),
            gas_limit: 1,
            fee_payer: FeePayer::Zapp,
            nonce: 1,
            valid_until_ms: 1,
            caller: IdentityKey::from_bytes([1; 32]),
            pull: None,
        },
        signature: Signature::from_bytes([1; 64]),
    }
}
