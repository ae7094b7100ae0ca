use attestation::ids::{CommitteeId, NetworkId, Signature, ZappId};
use attestation::request::{Call, FeePayer};
use attestation::source::Pull;

use super::*;

const BYTES: usize = 100;

fn request(caller: u8, nonce: u64) -> Arc<Request> {
    Arc::new(Request {
        call: Call {
            network: NetworkId(1),
            committee: CommitteeId::from_bytes([0; 32]),
            zapp: ZappId::from_bytes([1; 32]),
            method: "m".to_owned(),
            input: Vec::new(),
            gas_limit: 1,
            fee_payer: FeePayer::Zapp,
            nonce,
            valid_until_ms: 1000u64.saturating_add(nonce),
            caller: IdentityKey::from_bytes([caller; 32]),
            pull: None,
        },
        signature: Signature::from_bytes([0; 64]),
    })
}

fn insert(queue: &mut Queue, caller: u8, nonce: u64) -> RequestId {
    let request = request(caller, nonce);
    let id = request.id();
    assert_eq!(queue.insert(id, request, BYTES, 7), Ok(true));
    queue.release(&id);
    id
}

fn selected(queue: &Queue, max: usize) -> Vec<(u8, u64)> {
    let selected = queue.select(max).into_iter();
    selected
        .map(|(_, request)| (request.call.caller.as_bytes()[0], request.call.nonce))
        .collect()
}

#[test]
fn callers_take_turns_in_order_of_arrival_and_nonces_rise() {
    let mut queue = Queue::default();
    for (caller, nonce) in [(9, 5), (9, 3), (9, 4), (1, 1), (5, 8), (1, 2)] {
        insert(&mut queue, caller, nonce);
    }
    // Caller 9's next request is the one with nonce 3, which arrived second.
    let expected = [(9, 3), (1, 1), (5, 8), (9, 4), (1, 2), (9, 5)];
    assert_eq!(selected(&queue, 100), expected);
    assert_eq!(selected(&queue, 2), expected[..2]);
    assert_eq!(queue.count(), expected.len());
}

#[test]
fn a_request_is_not_proposed_before_it_is_durable_nor_overtaken_by_later_ones() {
    let mut queue = Queue::default();
    let first = request(1, 1);
    let id = first.id();
    queue.insert(id, first, BYTES, 7).unwrap();
    insert(&mut queue, 1, 2);
    assert_eq!(selected(&queue, 10), []);
    assert!(!queue.has_ready(0));
    queue.release(&id);
    assert_eq!(selected(&queue, 10), [(1, 1), (1, 2)]);
    queue.hold(&id);
    assert_eq!(selected(&queue, 10), []);
    queue.release_held();
    assert!(queue.has_ready(0));
}

#[test]
fn bounds_hold_in_number_and_bytes_and_are_freed() {
    let mut queue = Queue::default();
    for nonce in 1..=PENDING_PER_CALLER_MAX as u64 {
        insert(&mut queue, 1, nonce);
    }
    let more = request(1, u64::MAX);
    assert_eq!(
        queue.insert(more.id(), more, BYTES, 7),
        Err(QueueError::CallerFull)
    );
    let large = request(2, 1);
    let too_large = PENDING_BYTES_MAX - BYTES * PENDING_PER_CALLER_MAX + 1;
    let refused = queue.insert(large.id(), Arc::clone(&large), too_large, 7);
    assert_eq!(refused, Err(QueueError::Full));
    queue.overtaken(&IdentityKey::from_bytes([1; 32]), u64::MAX);
    assert_eq!(queue.count(), 0);
    assert_eq!(
        queue.insert(large.id(), large, PENDING_BYTES_MAX, 7),
        Ok(true)
    );
}

#[test]
fn one_nonce_belongs_to_one_request() {
    let mut queue = Queue::default();
    let id = insert(&mut queue, 1, 1);
    let mut other = request(1, 1).as_ref().clone();
    other.call.gas_limit = 2;
    let taken = QueueError::NonceTaken { nonce: 1, by: id };
    assert_eq!(
        queue.insert(other.id(), Arc::new(other), BYTES, 7),
        Err(taken)
    );
    assert_eq!(
        queue.insert(id, request(1, 1), BYTES, 7),
        Ok(false),
        "the same one again"
    );
    assert_eq!(queue.count(), 1);
}

#[test]
fn what_can_no_longer_run_is_closed() {
    let mut queue = Queue::default();
    let ids: Vec<_> = (1..=3).map(|nonce| insert(&mut queue, 1, nonce)).collect();
    let stays = insert(&mut queue, 2, 9);
    let caller = IdentityKey::from_bytes([1; 32]);
    assert_eq!(queue.overtaken(&caller, 1), [(ids[0], Closed::Overtaken)]);
    assert!(queue.has_ready(1009), "valid until its last millisecond");
    assert!(!queue.has_ready(1010));
    let closed = queue.expired(1003);
    assert_eq!(closed, [(ids[1], Closed::Expired)]);
    assert_eq!(queue.last_nonce(&caller), Some(3));
    assert!(queue.request(&stays).is_some());
    assert_eq!(
        queue.remove(&stays).map(|request| request.call.nonce),
        Some(9)
    );
    assert_eq!(queue.oldest_ms(), Some(7));
}

fn pulling(caller: u8, nonce: u64) -> Arc<Request> {
    let mut request = request(caller, nonce).as_ref().clone();
    request.call.pull = Some(Pull {
        sources: Vec::new(),
        deadline_ms: 0,
    });
    Arc::new(request)
}

#[test]
fn a_request_with_sources_waits_for_observations_and_holds_its_callers_later_ones() {
    let mut queue = Queue::default();
    let pulls = pulling(1, 1);
    let id = pulls.id();
    assert_eq!(queue.insert(id, pulls, BYTES, 7), Ok(true));
    insert(&mut queue, 1, 2);
    insert(&mut queue, 2, 1);
    assert!(!queue.observed(&id, true), "it is not durable yet");
    assert!(queue.release(&id));
    assert_eq!(selected(&queue, 10), [(2, 1)]);
    assert!(queue.observed(&id, true));
    assert!(!queue.observed(&id, true), "that is nothing new");
    assert_eq!(selected(&queue, 10), [(1, 1), (2, 1), (1, 2)]);
    assert!(queue.observed(&id, false));
    assert_eq!(selected(&queue, 10), [(2, 1)]);
    queue.hold(&id);
    assert!(!queue.observed(&id, true), "it is held for another reason");
    queue.release_held();
    assert_eq!(
        selected(&queue, 10),
        [(2, 1)],
        "released, and to be observed"
    );
}

#[test]
fn requests_with_sources_have_bounds_of_their_own() {
    let mut queue = Queue::default();
    let mut put = |caller: u8, nonce: u64| {
        let pulls = pulling(caller, nonce);
        queue.insert(pulls.id(), pulls, BYTES, 7)
    };
    let per_caller = PULLS_PER_CALLER_MAX as u64;
    for nonce in 1..=per_caller {
        assert_eq!(put(0, nonce), Ok(true));
    }
    assert_eq!(put(0, per_caller + 1), Err(QueueError::PullsFull));
    // Fifteen more that take all they get leave room for others.
    for caller in 1..16 {
        let taken = (1..=per_caller).take_while(|nonce| put(caller, *nonce).is_ok());
        assert!(taken.count() > 20, "{caller}");
    }
    for caller in 16..=100 {
        assert_eq!(put(caller, 1), Ok(true), "{caller}");
    }
    // Full is full.
    let refused = (101..=250).filter(|caller| put(*caller, 1).is_err());
    assert!(refused.count() > 100);
    assert_eq!(queue.pulls, PULLS_MAX);
    queue.remove(&pulling(0, 1).id());
    let again = pulling(250, 1);
    assert_eq!(queue.insert(again.id(), again, BYTES, 7), Ok(true));
    insert(&mut queue, 200, per_caller + 1);
}

#[test]
fn only_a_callers_first_request_that_is_ready_is_behind_nothing() {
    let mut queue = Queue::default();
    let pulls = pulling(1, 1);
    let id = pulls.id();
    assert_eq!(queue.insert(id, pulls, BYTES, 7), Ok(true));
    queue.release(&id);
    let behind = insert(&mut queue, 1, 2);
    let other = insert(&mut queue, 2, 1);
    assert_eq!(queue.first_ready(), [other].into());
    queue.observed(&id, true);
    assert_eq!(queue.first_ready(), [id, other].into());
    queue.observed(&id, false);
    queue.hold(&other);
    assert_eq!(queue.first_ready(), [].into());
    queue.remove(&id);
    assert_eq!(queue.first_ready(), [behind].into());
}
