//! Plans that break a rule, records that do not verify, and what does not fit a plan.

use attestation::committee::{Card, QuorumError};
use attestation::conditions::{ConditionError, Conditions, Engine, Sentinel};
use attestation::ids::{Boot, CommitteeId, Digest, GroupKey, IdentityKey, Signature};

use super::*;
use crate::dkg::KeyRecordError;
use crate::dkg::tests::Machine;
use crate::identity::SignIdentity as _;

type Spoil = fn(&mut ChangePlan);

#[test]
fn a_plan_that_breaks_a_rule_is_refused() {
    let five = Held::first(5);
    // Members 1 to 4 and 6, t = 4; 5 is removed, 1 to 4 deal.
    let good = five.plan(&[1, 2, 3, 4], &[1, 2, 3, 4, 6], 4);
    let (quorum, dealer) = (PlanError::Quorum, PlanError::Dealer);
    let cases: [(&str, PlanError, Spoil); 27] = [
        ("network", PlanError::Base, |plan| {
            plan.network = NetworkId(2)
        }),
        ("committee", PlanError::Base, |plan| {
            plan.committee = CommitteeId::from_bytes([0; 32]);
        }),
        ("base", PlanError::Base, |plan| plan.base = Epoch(2)),
        ("same epoch", PlanError::Epoch(Epoch(1)), |plan| {
            plan.epoch = Epoch(1)
        }),
        ("epoch 0", PlanError::Epoch(Epoch(0)), |plan| {
            plan.epoch = Epoch(0)
        }),
        ("no key", PlanError::Keys, |plan| plan.keys.clear()),
        ("too many keys", PlanError::Keys, |plan| {
            plan.keys = (0..=KEYS_MAX as u8)
                .map(|key| Digest::from_bytes([key; 32]))
                .collect();
        }),
        ("a key twice", PlanError::Keys, |plan| {
            plan.keys.push(plan.keys[0])
        }),
        (
            "threshold that lets a third sign twice",
            quorum(QuorumError::Unsafe {
                members: 5,
                threshold: 3,
            }),
            |plan| plan.threshold = 3,
        ),
        (
            "threshold 0",
            quorum(QuorumError::Unsafe {
                members: 5,
                threshold: 0,
            }),
            |plan| plan.threshold = 0,
        ),
        (
            "threshold above n",
            quorum(QuorumError::Unreachable {
                members: 5,
                threshold: 6,
            }),
            |plan| plan.threshold = 6,
        ),
        ("three members", quorum(QuorumError::Members(3)), |plan| {
            plan.members.truncate(3);
            plan.threshold = 3;
        }),
        ("nobody", quorum(QuorumError::Members(0)), |plan| {
            plan.members.clear()
        }),
        (
            "t − 1 dealers",
            PlanError::TooFewDealers {
                dealers: 3,
                threshold: 4,
            },
            |plan| {
                plan.dealers.pop();
            },
        ),
        ("a dealer twice", dealer(Slot(4)), |plan| {
            plan.dealers.push(Slot(4))
        }),
        ("dealers out of order", dealer(Slot(1)), |plan| {
            plan.dealers.swap(0, 1)
        }),
        ("a new member deals", dealer(Slot(6)), |plan| {
            plan.dealers.push(Slot(6))
        }),
        ("slot 0 deals", dealer(Slot(0)), |plan| {
            plan.dealers.insert(0, Slot(0))
        }),
        ("slot 0", PlanError::Slot(Slot(0)), |plan| {
            plan.members[0].slot = Slot(0)
        }),
        ("a slot twice", PlanError::Slot(Slot(4)), |plan| {
            plan.members[4] = plan.members[3].clone();
        }),
        ("a slot left out", PlanError::Slot(Slot(7)), |plan| {
            plan.members[4].slot = Slot(7)
        }),
        ("another's slot", PlanError::CardChanged(Slot(5)), |plan| {
            plan.members[4].slot = Slot(5);
        }),
        ("another channel", PlanError::CardChanged(Slot(3)), |plan| {
            plan.members[2].card.channel = card(9).channel;
        }),
        ("another's image", PlanError::Card(Slot(3)), |plan| {
            plan.members[2].card.image = Digest::from_bytes([1; 32]);
        }),
        ("a second slot", PlanError::DuplicateKey(Slot(6)), |plan| {
            plan.members[4].card = card(2);
        }),
        (
            "a removed member's key",
            PlanError::DuplicateKey(Slot(6)),
            |plan| {
                plan.members[4].card = card(5);
            },
        ),
        ("an unsigned card", PlanError::Card(Slot(6)), |plan| {
            plan.members[4].card.signature = Signature::from_bytes([0; 64]);
        }),
    ];
    for (what, expected, spoil) in cases {
        let mut plan = good.clone();
        spoil(&mut plan);
        assert_eq!(
            plan.check(&five.base, &Ed25519Verify),
            Err(expected),
            "{what}"
        );
        let entered = enter(&five, &plan, 1, 1, None).err();
        assert_eq!(entered, Some(DkgError::Plan(expected)), "{what}");
    }
    let after = good.check(&five.base, &Ed25519Verify).unwrap();
    assert_eq!(
        after.slots().map(|slot| slot.0).collect::<Vec<_>>(),
        [1, 2, 3, 4, 6]
    );
    assert_eq!((after.slot_max(), after.threshold()), (Slot(6), 4));
}

#[test]
fn a_removed_members_slot_stays_its_own_for_ever() {
    let five = Held::first(5);
    let four = five.change(&[1, 2, 3, 4], &[1, 2, 3, 4], 3);
    let mut plan = four.plan(&[1, 2, 3], &[1, 2, 3, 4, 5], 4);
    let refused = Err(PlanError::Slot(Slot(5)));
    assert_eq!(plan.check(&four.base, &Ed25519Verify), refused, "its own");
    plan.members[4].card = card(6);
    assert_eq!(plan.check(&four.base, &Ed25519Verify), refused, "another's");
    // It may come back in a new slot.
    plan.members[4] = PlannedMember {
        slot: Slot(6),
        card: card(5),
    };
    assert!(plan.check(&four.base, &Ed25519Verify).is_ok());
}

#[test]
fn a_plan_survives_its_bytes_and_each_field_is_in_its_digest() {
    let five = Held::first(5);
    let plan = five.plan(&[1, 2, 3, 4], &[1, 2, 3, 4, 6], 4);
    let bytes = plan.to_bytes();
    assert_eq!(ChangePlan::from_bytes(&bytes).as_ref(), Ok(&plan));
    for cut in 0..bytes.len() {
        assert!(
            ChangePlan::from_bytes(&bytes[..cut]).is_err(),
            "cut to {cut}"
        );
    }
    assert!(ChangePlan::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    assert!(ChangePlan::from_bytes(&vec![0; PLAN_BYTES_MAX + 1]).is_err());
    let cases: [Spoil; 15] = [
        |plan| plan.network = NetworkId(2),
        |plan| plan.committee = CommitteeId::from_bytes([0; 32]),
        |plan| plan.base = Epoch(2),
        |plan| plan.epoch = Epoch(3),
        |plan| plan.threshold = 5,
        |plan| plan.keys[0] = Digest::from_bytes([0; 32]),
        |plan| plan.dealers[0] = Slot(9),
        |plan| plan.members[0].slot = Slot(9),
        |plan| plan.members[0].card.identity = card(9).identity,
        |plan| plan.members[0].card.channel = card(9).channel,
        |plan| plan.members[0].card.image = Digest::from_bytes([9; 32]),
        |plan| plan.members[0].card.payout = IdentityKey::from_bytes([9; 32]),
        |plan| plan.profile = RuntimeProfile::from_bytes([9; 32]),
        |plan| plan.members[0].card.engine = Some(Engine::Wasmi),
        |plan| plan.members[0].card.sentinel = sentinel(1),
    ];
    for (at, spoil) in cases.into_iter().enumerate() {
        let mut other = plan.clone();
        spoil(&mut other);
        assert_ne!(other.digest(), plan.digest(), "case {at}");
    }
}

/// A Sentinel of its own for the member whose card has this seed.
fn sentinel(seed: u16) -> Option<Sentinel> {
    let owner = identity(seed + 500);
    let statement = Sentinel::statement(NetworkId(1), &card(seed));
    Some(Sentinel {
        owner: owner.key(),
        proof: owner.sign(statement.as_bytes()),
    })
}

/// Members that stay answer to the record like those that join, and in every epoch.
#[test]
fn the_next_members_meet_what_the_record_demands() {
    let five = Held::first(5);
    let dressed = |seed: u16| -> Card {
        let engine = if seed <= 2 {
            Engine::Wasmi
        } else {
            Engine::Wasmtime
        };
        let mut card = card(seed).running(engine, |bytes| identity(seed).sign(bytes));
        card.sentinel = sentinel(seed);
        card
    };
    let conditions = Conditions {
        engine_members_min: 2,
        sentinels: true,
    };
    let members = (1..=5).map(|slot| (Slot(slot), dressed(slot)));
    let base = Membership::of_epoch(*five.base.domain(), Epoch(1), 4, members, Slot(5));
    let base = base.under(conditions);
    let mut good = five.plan(&[1, 2, 3, 4], &[1, 2, 3, 4, 6], 4);
    for member in &mut good.members {
        member.card = dressed(member.slot.0);
    }
    let after = good.check(&base, &Ed25519Verify).unwrap();
    assert_eq!(after.conditions(), &conditions);

    let unsaid = |slot: usize, plan: &mut ChangePlan| {
        let sentinel = plan.members[slot].card.sentinel.take();
        plan.members[slot].card = card(plan.members[slot].slot.0);
        plan.members[slot].card.sentinel = sentinel;
    };
    let too_few = ConditionError::TooFewOnEngine {
        engine: Engine::Wasmi,
        members: 1,
        demanded: 2,
    };
    let too_low = ConditionError::EngineDemandTooLow {
        demanded: 2,
        blocking: 3,
    };
    type Refused<'a> = (ConditionError, &'a dyn Fn(&mut ChangePlan));
    let cases: [Refused<'_>; 7] = [
        (ConditionError::EngineUnsaid(Slot(6)), &|plan| {
            unsaid(4, plan)
        }),
        (ConditionError::EngineUnsaid(Slot(1)), &|plan| {
            unsaid(0, plan)
        }),
        (too_few, &|plan| {
            let member = &mut plan.members[1].card;
            let again = member.clone();
            *member = again.running(Engine::Wasmtime, |bytes| identity(2).sign(bytes));
        }),
        // Seven members at threshold 5: two on another engine would not do any more.
        (too_low, &|plan| {
            for slot in [7, 8] {
                let (slot, card) = (Slot(slot), dressed(slot));
                plan.members.push(PlannedMember { slot, card });
            }
            plan.threshold = 5;
        }),
        (ConditionError::SentinelMissing(Slot(6)), &|plan| {
            plan.members[4].card.sentinel = None;
        }),
        (ConditionError::SentinelProof(Slot(6)), &|plan| {
            plan.members[4].card.sentinel = sentinel(5);
        }),
        (ConditionError::SentinelTwice(Slot(6)), &|plan| {
            let owner = identity(501);
            let statement = Sentinel::statement(NetworkId(1), &card(6));
            plan.members[4].card.sentinel = Some(Sentinel {
                owner: owner.key(),
                proof: owner.sign(statement.as_bytes()),
            });
        }),
    ];
    for (expected, spoil) in cases {
        let mut plan = good.clone();
        spoil(&mut plan);
        let refused = Err(PlanError::Conditions(expected));
        assert_eq!(plan.check(&base, &Ed25519Verify), refused);
    }
}

#[test]
fn the_largest_plan_fits_its_bound() {
    let largest = attestation::committee::MEMBERS_MAX;
    let mut widest = card(1);
    widest.engine = Some(Engine::Wasmtime);
    widest.sentinel = sentinel(1);
    widest.image = Digest::from_bytes([0xff; 32]);
    let plan = ChangePlan {
        network: NetworkId(u64::MAX),
        committee: CommitteeId::from_bytes([0xff; 32]),
        base: Epoch(u64::MAX),
        keys: vec![Digest::from_bytes([0xff; 32]); KEYS_MAX],
        epoch: Epoch(u64::MAX),
        dealers: vec![Slot(u16::MAX); usize::from(largest)],
        members: vec![
            PlannedMember {
                slot: Slot(u16::MAX),
                card: widest,
            };
            usize::from(largest)
        ],
        threshold: u16::MAX,
        profile: RuntimeProfile::from_bytes([0xff; 32]),
    };
    assert!(plan.to_bytes().len() <= PLAN_BYTES_MAX);
}

#[test]
fn a_change_after_more_changes_than_a_file_proves_is_refused_before_anybody_approves_it() {
    use crate::lineage::{CHANGE_FILE_BYTES_MAX, ChangeFile, ChangeFileError, EpochRecord};

    let five = Held::first(5);
    let plan = five.plan(&[1, 2, 3, 4], &[1, 2, 3, 4, 5], 4);
    let changed = EpochRecord {
        plan: plan.clone(),
        key: five.key.clone(),
    };
    let file = |epochs| ChangeFile {
        record: five.record.clone(),
        key: five.key.clone(),
        epochs: vec![changed.clone(); epochs],
        plan: plan.clone(),
    };
    let length = |epochs| file(epochs).to_bytes().len();
    let each = length(2) - length(1);
    let room = (CHANGE_FILE_BYTES_MAX - length(1_000)) / each + 1_000;
    let most = file(room);
    assert_eq!(ChangeFile::from_bytes(&most.to_bytes()).as_ref(), Ok(&most));
    // That all of these are one change is another matter.
    assert!(matches!(most.check(), Err(ChangeFileError::Key(_))));
    let more = file(room + 1);
    let bytes = more.to_bytes().len();
    let epochs = room + 1;
    assert_eq!(
        more.check(),
        Err(ChangeFileError::TooLong { epochs, bytes })
    );
    assert!(ChangeFile::from_bytes(&more.to_bytes()).is_err());
}

/// Everything that a change of the largest committee, all members replaced, sends and keeps.
#[test]
fn the_largest_change_stays_within_every_bound() {
    use crate::channel::{MEMBER_MESSAGE_BYTES_MAX, QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX};
    use crate::message::{DkgBody, DkgMessage, Message, ToMember};

    let (largest, threshold) = (attestation::committee::MEMBERS_MAX, 101);
    let message = |body| {
        let message = DkgMessage {
            session: Digest::from_bytes([1; 32]),
            attempt: u64::MAX,
            slot: Slot(u16::MAX),
            boot: Boot(u64::MAX),
            body,
            signature: Signature::from_bytes([1; 64]),
        };
        Message::ToMember(ToMember::Reshare(message))
            .to_bytes()
            .len()
    };
    let parties = usize::from(2 * largest);
    let echo = message(DkgBody::Echo(vec![Digest::from_bytes([1; 32]); parties]));
    assert!(echo <= MEMBER_MESSAGE_BYTES_MAX, "{echo} bytes");
    // While all are away, what repeats for each of them waits: round 1 and echo, then round 2.
    let round1 = message(DkgBody::Round1(vec![1; 32 * threshold].into()));
    let waiting = (round1 + echo) * (parties - 1);
    assert!(
        waiting <= QUEUE_BYTES_MAX && QUEUE_MESSAGES_MAX >= 2,
        "{waiting} bytes"
    );
}

fn enter(
    held: &Held,
    plan: &ChangePlan,
    slot: u16,
    of: u16,
    start: Option<KeyShare<Suite>>,
) -> Result<Machine, DkgError> {
    let changing = held.changing(plan.clone());
    let change = changing.of(Slot(slot));
    Dkg::reshare(
        &change,
        Slot(slot),
        Boot(2),
        identity(of),
        Ed25519Verify,
        start,
    )
}

#[test]
fn only_dealers_and_new_members_with_what_they_need_take_part() {
    let five = Held::first(5);
    let plan = five.plan(&[1, 2, 3, 4], &[2, 3, 4, 6], 3);
    let refusal = |slot, of| enter(&five, &plan, slot, of, None).err();
    assert_eq!(refusal(1, 1), None);
    assert_eq!(refusal(6, 6), None);
    assert_eq!(refusal(6, 7), Some(DkgError::NotMember), "another identity");
    assert_eq!(
        refusal(5, 5),
        Some(DkgError::NotMember),
        "neither deals nor gets a share"
    );
    assert_eq!(refusal(9, 9), Some(DkgError::NotMember));

    let changing = five.changing(plan.clone());
    let with = |change: Change<'_, Suite>, slot| {
        let (slot, identity) = (Slot(slot), identity(slot));
        Dkg::reshare(&change, slot, Boot(1), identity, Ed25519Verify, None).err()
    };
    let of = |slot| changing.of(Slot(slot));
    assert_eq!(with(of(1), 1), None);
    let none = Change {
        share: None,
        ..of(1)
    };
    assert_eq!(with(none, 1), Some(DkgError::NoShare));
    let others = Change {
        share: of(2).share,
        ..of(1)
    };
    assert_eq!(
        with(others, 1),
        Some(DkgError::Foreign),
        "another member's share"
    );
    let later = five.change(&[1, 2, 3, 4], &[1, 2, 3, 4, 5], 4);
    let later_share = Change {
        share: later.shares.get(&Slot(1)),
        ..of(1)
    };
    assert_eq!(
        with(later_share, 1),
        Some(DkgError::Foreign),
        "a later share"
    );
    let later_key = Change {
        key: &later.key,
        ..of(6)
    };
    assert_eq!(
        with(later_key, 6),
        Some(DkgError::Foreign),
        "a key that the plan does not name"
    );
    let mut other = five.plan(&[1, 2, 3, 4], &[2, 3, 4, 6], 3);
    other.keys[0] = Digest::from_bytes([0; 32]);
    let unnamed = Change {
        plan: &other,
        ..of(6)
    };
    assert_eq!(
        with(unnamed, 6),
        Some(DkgError::Foreign),
        "a plan for another key"
    );
}

#[test]
fn what_is_durable_must_be_of_the_plan() {
    let five = Held::first(5);
    let plan = five.plan(&[1, 2, 3, 4], &[1, 2, 3, 4, 5], 4);
    let after = five.change(&[1, 2, 3, 4], &[1, 2, 3, 4, 5], 4);
    let again = |slot| after.shares().remove(&Slot(slot));
    assert_eq!(enter(&five, &plan, 2, 2, again(2)).err(), None);
    assert_eq!(
        enter(&five, &plan, 3, 3, again(2)).err(),
        Some(DkgError::Foreign)
    );
    let old = five.shares().remove(&Slot(2));
    assert_eq!(
        enter(&five, &plan, 2, 2, old).err(),
        Some(DkgError::Foreign)
    );
    let other = five.plan(&[1, 2, 3, 5], &[1, 2, 3, 4, 5], 4);
    assert_eq!(
        enter(&five, &other, 2, 2, again(2)).err(),
        Some(DkgError::Foreign)
    );

    let changing = five.changing(plan.clone());
    let finished = |key: &KeyRecord| {
        let start = crate::dkg::Start::Finished(key.clone());
        let change = changing.of(Slot(2));
        Dkg::reshare(&change, Slot(2), Boot(1), identity(2), Ed25519Verify, start).err()
    };
    assert_eq!(finished(&after.key), None);
    // After the cutover there is no old share, and others may still have to be told.
    let mut without = five.changing(plan);
    without.shares.clear();
    let start = crate::dkg::Start::Finished(after.key.clone());
    let change = without.of(Slot(2));
    let entered = Dkg::reshare(&change, Slot(2), Boot(1), identity(2), Ed25519Verify, start);
    assert_eq!(entered.err(), None);
    assert_eq!(finished(&five.key), Some(DkgError::Foreign));
}

#[test]
fn an_altered_record_of_a_change_is_refused() {
    let five = Held::first(5);
    let plan = five.plan(&[1, 2, 3, 4], &[1, 2, 3, 4, 6], 4);
    let after = five.change(&[1, 2, 3, 4], &[1, 2, 3, 4, 6], 4);
    let other = Held::first(4);
    type Alter = fn(&mut KeyRecord, &KeyRecord);
    let cases: [(&str, KeyRecordError, Alter); 8] = [
        ("epoch", KeyRecordError::Committee, |key, _| {
            key.epoch = Epoch(3)
        }),
        ("attempt", KeyRecordError::Committee, |key, _| {
            key.attempt += 1
        }),
        ("threshold", KeyRecordError::Committee, |key, _| {
            key.threshold = 5
        }),
        ("group key", KeyRecordError::GroupKey, |key, _| {
            key.group_key = GroupKey::from_bytes([9; 32]).into();
        }),
        ("old package", KeyRecordError::PublicPackage, |key, old| {
            key.public_package = old.public_package.clone();
        }),
        (
            "n − 1 certifications",
            KeyRecordError::Certification(Slot(6)),
            |key, _| {
                key.certificate.pop();
            },
        ),
        (
            "transcript",
            KeyRecordError::Certification(Slot(1)),
            |key, _| {
                key.transcript = Digest::from_bytes([0; 32]);
            },
        ),
        ("old canary", KeyRecordError::Canary, |key, old| {
            key.canary = old.canary
        }),
    ];
    for (what, expected, alter) in cases {
        let mut altered = after.key.clone();
        alter(&mut altered, &five.key);
        let refused = altered.check_change(&plan, &five.base, &five.key);
        assert_eq!(refused, Err(expected), "{what}");
    }
    let check = |plan: &ChangePlan, base, key| after.key.check_change(plan, base, key).err();
    assert_eq!(check(&plan, &five.base, &five.key), None);
    let of_another = Some(KeyRecordError::Plan(PlanError::Base));
    assert_eq!(check(&plan, &other.base, &other.key), of_another);
    assert_eq!(
        check(&plan, &five.base, &after.key),
        Some(KeyRecordError::Committee)
    );
    assert_eq!(
        check(&plan, &five.base, &other.key),
        Some(KeyRecordError::GroupKey)
    );
    let another_plan = five.plan(&[1, 2, 3, 5], &[1, 2, 3, 4, 6], 4);
    let refused = check(&another_plan, &five.base, &five.key);
    assert_eq!(refused, Some(KeyRecordError::Committee));
    // A record of a change is none of a first epoch.
    assert_eq!(
        after.key.check(&five.record),
        Err(KeyRecordError::Committee)
    );
}

#[test]
fn a_share_of_a_later_epoch_survives_its_bytes_and_no_others() {
    let five = Held::first(5);
    let after = five.change(&[1, 2, 3, 4], &[1, 2, 3, 4, 6], 4);
    let bytes = after.shares[&Slot(6)].to_bytes();
    assert_eq!(bytes.epoch(), Epoch(2));
    let open = |epoch, bytes: &[u8]| {
        let bytes = zeroize::Zeroizing::new(bytes.to_vec());
        let bytes = crate::sealed::ShareBytes::new(Epoch(epoch), bytes);
        KeyShare::<Suite>::from_bytes(&bytes).map(|share| share.epoch())
    };
    assert_eq!(open(2, bytes.bytes()), Ok(Epoch(2)));
    for epoch in [0, 1, 3] {
        assert!(open(epoch, bytes.bytes()).is_err(), "as of epoch {epoch}");
    }
    for cut in 0..bytes.bytes().len() {
        assert!(open(2, &bytes.bytes()[..cut]).is_err(), "cut to {cut}");
    }
    // Epoch 1 has one encoding, and it is not this.
    let mut first = bytes.bytes().to_vec();
    first[3..11].copy_from_slice(&1u64.to_be_bytes());
    assert!(open(1, &first).is_err());
    assert!(KeyShare::<Suite>::of_key(&bytes, &after.key).is_ok());
    assert!(KeyShare::<Suite>::of_key(&bytes, &five.key).is_err());
}
