//! A new epoch comes into force by a step (rule B4).

use attestation::ids::Epoch;

use super::*;
use crate::system::{Cutover, Refusal, Seat};

const PLAN: Digest = Digest::from_bytes([0x71; 32]);
const PACKAGE: Digest = Digest::from_bytes([0x72; 32]);
const PROFILE: RuntimeProfile = RuntimeProfile::from_bytes([0x73; 32]);

/// Members 1 to 4 and 6: 5 leaves, 6 joins, 4 moves its account and 3 has none any more.
fn change() -> Cutover {
    let seat = |slot: u16, byte: u8| Seat {
        slot: Slot(slot),
        payout: IdentityKey::from_bytes([byte; 32]),
    };
    Cutover {
        base: Epoch(1),
        epoch: Epoch(3),
        plan: PLAN,
        package: PACKAGE,
        threshold: 4,
        profile: PROFILE,
        members: vec![
            seat(1, 101),
            seat(2, 102),
            seat(3, 0),
            seat(4, 44),
            seat(6, 66),
        ],
    }
}

fn cutover(chain: &mut Chain, change: &Cutover) -> StepOutcome {
    let request = chain.request(BOB, ZappId::SYSTEM, "cutover", &change.to_bytes());
    chain.step(vec![request])
}

fn payout(chain: &Chain, slot: u16) -> Option<&[u8]> {
    let key = crate::system::payout_key(Slot(slot));
    chain.state.get(&ZappId::SYSTEM, &key).expect("whole")
}

#[test]
fn the_step_that_carries_it_is_the_old_epochs_and_the_next_is_the_new_ones() {
    let (mut chain, zapp) = Chain::with_zapp();
    let before = chain.state.committee().expect("whole").expect("one");
    let done = cutover(&mut chain, &change());
    assert_eq!(done.outcomes[0].status, Status::Ok);
    assert_eq!(done.commit.epoch, Epoch(1));
    assert_eq!(done.commit.profile, before.profile);
    let output = [&3u64.to_be_bytes()[..], PLAN.as_bytes(), PACKAGE.as_bytes()].concat();
    assert_eq!(done.outcomes[0].output, output);

    let after = chain.state.committee().expect("whole").expect("one");
    let expected = crate::system::Committee {
        epoch: Epoch(3),
        members: 5,
        threshold: 4,
        slot_max: Slot(6),
        plan: PLAN,
        package: PACKAGE,
        profile: PROFILE,
        ..before
    };
    assert_eq!(after, expected);
    let successor = chain
        .state
        .successor(Epoch(1))
        .expect("whole")
        .expect("one");
    assert_eq!((successor.epoch, successor.plan), (Epoch(3), PLAN));
    assert_eq!(chain.state.successor(Epoch(3)), Ok(None));
    for (slot, account) in [(1, 101), (2, 102), (4, 44), (5, 105), (6, 66)] {
        assert_eq!(
            payout(&chain, slot),
            Some([account; 32].as_slice()),
            "{slot}"
        );
    }
    assert_eq!(payout(&chain, 3), None);

    let call = chain.call(zapp, "get a");
    let next = chain.step(vec![call]).commit;
    assert_eq!((next.epoch, next.profile), (Epoch(3), PROFILE));
}

#[test]
fn what_is_no_change_of_the_epoch_in_force_changes_nothing() {
    let cases: [(&str, Alter<Cutover>, Refusal); 10] = [
        ("another base", |c| c.base = Epoch(2), Refusal::Epoch),
        ("the same epoch", |c| c.epoch = Epoch(1), Refusal::Epoch),
        ("an earlier epoch", |c| c.epoch = Epoch(0), Refusal::Epoch),
        ("far ahead", |c| c.epoch = Epoch(1_026), Refusal::Epoch),
        ("no members", |c| c.members.clear(), Refusal::Input),
        ("three members", |c| c.members.truncate(3), Refusal::Input),
        ("a low threshold", |c| c.threshold = 2, Refusal::Input),
        ("a high threshold", |c| c.threshold = 6, Refusal::Input),
        ("slot 0", |c| c.members[0].slot = Slot(0), Refusal::Input),
        (
            "a slot twice",
            |c| c.members[1].slot = Slot(1),
            Refusal::Input,
        ),
    ];
    for (name, alter, refusal) in cases {
        let mut chain = Chain::new();
        let before = chain.state.committee();
        let mut wrong = change();
        alter(&mut wrong);
        let done = cutover(&mut chain, &wrong);
        assert_eq!(done.outcomes[0].code, refusal.code(), "{name}");
        assert_eq!(chain.state.committee(), before, "{name}");
    }
}

#[test]
fn of_two_changes_in_one_step_the_second_finds_another_epoch_in_force() {
    let mut chain = Chain::new();
    let second = Cutover {
        epoch: Epoch(4),
        ..change()
    };
    let requests = [change(), second]
        .map(|change| chain.request(BOB, ZappId::SYSTEM, "cutover", &change.to_bytes()));
    let done = chain.step(requests.to_vec());
    assert_eq!(done.outcomes[0].status, Status::Ok);
    assert_eq!(done.outcomes[1].code, Refusal::Epoch.code());
    let committee = chain.state.committee().expect("whole").expect("one");
    assert_eq!(committee.epoch, Epoch(3));
}
