//! Requests that members would not vote for are not taken (rules A2, B4).

use attestation::ids::{Digest, Epoch, GroupKey, IdentityKey, RuntimeProfile, Slot, ZappId};
use state::system::methods::{CUTOVER, Cutover, Seat};
use state::system::nom::{ISSUE, Issue, OPEN, Open};

use crate::fixture::{Caller, Fixture};
use crate::submit::SubmitError;

fn cutover(base: u64) -> Cutover {
    let seat = |slot| Seat {
        slot: Slot(slot),
        payout: IdentityKey::from_bytes([0; 32]),
    };
    Cutover {
        base: Epoch(base),
        epoch: Epoch(base + 1),
        plan: Digest::from_bytes([1; 32]),
        package: Digest::from_bytes([2; 32]),
        threshold: 4,
        profile: RuntimeProfile::from_bytes([3; 32]),
        members: (1..=5).map(seat).collect(),
    }
}

#[tokio::test]
async fn what_no_member_would_vote_for_is_not_taken() {
    let fixture = Fixture::new().await;
    let caller = Caller::new(40);
    let issue = Issue {
        momentum: Digest::from_bytes([3; 32]),
        momentum_height: 7,
        fused_plasma: 0,
        difficulty: 0,
        nonce: 0,
    };
    let other = Open {
        key: GroupKey::from_bytes([9; 32]),
    };
    let cases = [
        (
            "a change that is not ready",
            CUTOVER,
            cutover(1).to_bytes(),
            "change of members",
        ),
        (
            "one of a later epoch",
            CUTOVER,
            cutover(2).to_bytes(),
            "change of members",
        ),
        (
            "a momentum",
            ISSUE,
            attestation::codec::encode(&issue),
            "Network of Momentum",
        ),
        (
            "another key",
            OPEN,
            attestation::codec::encode(&other),
            "another key",
        ),
    ];
    for (name, method, input, named) in cases {
        let mut call = caller.call(&fixture, ZappId::SYSTEM, method, 1);
        call.input = input;
        let refused = fixture.gateway.submit(caller.sign(call)).await;
        let refused = refused.expect_err(name);
        let expected = matches!(refused, SubmitError::Cutover | SubmitError::Unconfirmed);
        assert!(
            expected && refused.to_string().contains(named),
            "{name}: {refused}"
        );
    }
    assert_eq!(fixture.gateway.pending_requests().len(), 0);
    // What a step refuses by itself spoils no job.
    let harmless = [cutover(0).to_bytes(), vec![0xff]];
    for (nonce, input) in (1..).zip(harmless) {
        let mut call = caller.call(&fixture, ZappId::SYSTEM, CUTOVER, nonce);
        call.input = input;
        let taken = fixture.gateway.submit(caller.sign(call)).await;
        assert!(taken.is_ok(), "{taken:?}");
    }
}
