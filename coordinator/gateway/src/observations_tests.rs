use attestation::ids::Signature;
use attestation::source::{Absence, Place, Reducer, Source};

use super::*;

fn pull() -> Pull {
    let source = |host: &str| Source {
        at: Place::HttpJson {
            url: format!("http://{host}"),
        },
        pointer: String::new(),
        scale: Some(0),
        reducer: Reducer::Median,
    };
    Pull {
        sources: vec![source("a"), source("b")],
        deadline_ms: 100_000,
    }
}

fn seen(slot: u16, seq: u64, values: [Option<i64>; 2]) -> SignedObservation {
    let value = |value: Option<i64>| {
        value.map_or(Observed::Absent(Absence::Unreachable), Observed::Integer)
    };
    SignedObservation {
        slot: Slot(slot),
        epoch: Epoch(1),
        seq: Seq(seq),
        request: RequestId::from_bytes([7; 32]),
        time_ms: 100_000,
        values: values.map(value).to_vec(),
        signature: Signature::from_bytes([0; 64]),
    }
}

const MOMENT: Moment = Moment {
    seq: Seq(5),
    epoch: Epoch(1),
    time_ms: 100_000,
    threshold: 3,
    members: 4,
};

fn enough(observations: &Observations, now_ms: u64, moment: &Moment) -> Option<usize> {
    let id = RequestId::from_bytes([7; 32]);
    let enough = observations.enough(&id, &pull(), now_ms, moment);
    enough.map(|seen| seen.len())
}

fn of(all: impl IntoIterator<Item = SignedObservation>) -> Observations {
    let mut observations = Observations::default();
    for one in all {
        assert_eq!(observations.take(one, 50_000), Gathering::New);
    }
    observations
}

#[test]
fn a_request_waits_for_t_members_with_values_or_for_all_or_for_the_slow() {
    let both = [Some(1), Some(2)];
    let one = [Some(1), None];
    for (name, all, now_ms, expected) in [
        (
            "fewer than t",
            vec![seen(1, 5, both), seen(2, 5, both)],
            90_000,
            None,
        ),
        (
            "t with values",
            vec![seen(1, 5, both), seen(2, 5, both), seen(4, 5, both)],
            50_000,
            Some(3),
        ),
        (
            "t, one of them without",
            vec![seen(1, 5, both), seen(2, 5, one), seen(3, 5, both)],
            50_500,
            None,
        ),
        (
            "the same, when nothing more comes",
            vec![seen(1, 5, both), seen(2, 5, one), seen(3, 5, both)],
            51_000,
            Some(3),
        ),
        (
            "all",
            (1..=4).map(|slot| seen(slot, 5, one)).collect(),
            50_000,
            Some(4),
        ),
    ] {
        assert_eq!(enough(&of(all), now_ms, &MOMENT), expected, "{name}");
    }
}

#[test]
fn what_no_step_would_take_is_not_counted() {
    let good = [Some(1), Some(2)];
    type Change = fn(&mut SignedObservation);
    let changes: [(&str, Change); 6] = [
        ("epoch", |one| one.epoch = Epoch(2)),
        ("later step", |one| one.seq = Seq(6)),
        ("old", |one| one.time_ms = 44_999),
        ("ahead", |one| one.time_ms = 155_001),
        ("too few values", |one| {
            one.values.pop();
        }),
        ("another kind", |one| {
            one.values[0] = Observed::Bytes(vec![1].into());
        }),
    ];
    for (name, change) in changes {
        let mut all: Vec<_> = (1..=3).map(|slot| seen(slot, 5, good)).collect();
        change(&mut all[1]);
        assert_eq!(enough(&of(all), 99_000, &MOMENT), None, "{name}");
    }
}

#[test]
fn a_newer_observation_takes_the_place_of_an_older_one_and_two_for_one_step_convict() {
    let mut observations = of([seen(1, 5, [Some(1), None])]);
    let same = seen(1, 5, [Some(1), None]);
    assert_eq!(observations.take(same, 0), Gathering::Known);
    let older = seen(1, 4, [Some(9), None]);
    assert_eq!(observations.take(older, 0), Gathering::Known);
    let lie = seen(1, 5, [Some(2), None]);
    let Gathering::Twice(act) = observations.take(lie.clone(), 0) else {
        panic!("two for one step");
    };
    let both = [seen(1, 5, [Some(1), None]), lie];
    assert_eq!(*act, Act::ObservedTwice(Box::new(both)));
    assert_eq!(
        observations.take(seen(1, 6, [Some(2), None]), 0),
        Gathering::New
    );
}

#[test]
fn a_member_fills_its_own_share_and_no_other() {
    let mut observations = of([seen(2, 5, [Some(1), None])]);
    for at in 0..10_000u32 {
        let mut one = seen(1, 5, [Some(1), None]);
        let mut id = [0xee; 32];
        id[..4].copy_from_slice(&at.to_be_bytes());
        one.request = RequestId::from_bytes(id);
        observations.take(one, 0);
    }
    assert!(observations.requests.len() <= KEPT_MAX + 1);
    assert!(observations.kept[&Slot(1)].bytes <= KEPT_BYTES_MAX);
    let id = RequestId::from_bytes([7; 32]);
    assert!(observations.requests[&id].seen.contains_key(&Slot(2)));
    let last = observations.requests.keys().next_back().copied();
    observations.forget(&last.expect("some"));
    let ids: Vec<_> = observations.requests.keys().copied().collect();
    ids.iter().for_each(|id| observations.forget(id));
    assert!(
        observations
            .kept
            .values()
            .all(|kept| kept.bytes == 0 && kept.order.is_empty())
    );
}

#[test]
fn a_member_that_observes_again_and_again_holds_no_request_up() {
    let values = [Some(1), None];
    let mut observations = of([seen(1, 5, values), seen(2, 5, values), seen(3, 5, values)]);
    // One after the other, each of a later step; and one that pushes its own out in between.
    for (at, seq) in (6..=60).enumerate() {
        let now_ms = 50_100 + 100 * at as u64;
        assert_eq!(
            observations.take(seen(3, seq, values), now_ms),
            Gathering::New
        );
    }
    observations.drop_one(&RequestId::from_bytes([7; 32]), Slot(3));
    observations.take(seen(3, 61, values), 60_000);
    let moment = Moment {
        seq: Seq(61),
        ..MOMENT
    };
    assert_eq!(enough(&observations, 50_999, &moment), None);
    assert_eq!(enough(&observations, 51_000, &moment), Some(3));
}

#[test]
fn observations_of_steps_far_ahead_are_refused() {
    let mut observations = Observations::default();
    observations.reach(Seq(9));
    let both = [Some(1), Some(2)];
    for (slot, seq, expected) in [
        (1, 10, Gathering::New),
        (2, 10 + SEQS_AHEAD_MAX, Gathering::New),
        (3, 11 + SEQS_AHEAD_MAX, Gathering::Refused),
        (4, u64::MAX, Gathering::Refused),
    ] {
        let taken = observations.take(seen(slot, seq, both), 0);
        assert_eq!(taken, expected, "{seq}");
    }
    assert_eq!(observations.requests.len(), 1);
}
