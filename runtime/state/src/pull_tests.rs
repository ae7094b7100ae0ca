use alloc::borrow::ToOwned as _;
use alloc::vec;

use attestation::source::{Absence, Place};

use super::*;

fn source(reducer: Reducer) -> Source {
    Source {
        at: Place::HttpJson {
            url: "http://h".to_owned(),
        },
        pointer: alloc::string::String::new(),
        scale: Some(0),
        reducer,
    }
}

fn reduced(reducer: Reducer, values: &[Option<i64>]) -> Option<i64> {
    let pull = Pull {
        sources: vec![source(reducer)],
        deadline_ms: 0,
    };
    let observations: Vec<SignedObservation> = (1..)
        .zip(values)
        .map(|(slot, value)| SignedObservation {
            slot: Slot(slot),
            epoch: Epoch(1),
            seq: Seq(1),
            request: RequestId::from_bytes([0; 32]),
            time_ms: 0,
            values: vec![value.map_or(Observed::Absent(Absence::Status), Observed::Integer)],
            signature: Signature::from_bytes([0; 64]),
        })
        .collect();
    let observations: Vec<_> = observations.iter().collect();
    let pulled = reduce(&pull, &observations, 3);
    assert_eq!(pulled.len(), 1);
    assert_eq!(pulled[0].source, source(reducer).id());
    pulled[0].value.as_ref().map(|value| match value {
        PulledValue::Integer(value) => *value,
        PulledValue::Bytes(_) => panic!("no text went in"),
    })
}

#[test]
fn reducers_follow_their_tables_at_threshold_three() {
    use Reducer::{Identical, Median, Mode};
    let some = |values: &[i64]| values.iter().copied().map(Some).collect::<Vec<_>>();
    for (reducer, values, expected) in [
        (Median, some(&[5, 1, 3]), Some(3)),
        // Of an even number the lower one.
        (Median, some(&[4, 1, 2, 3]), Some(2)),
        (Median, some(&[i64::MIN, 0, i64::MAX]), Some(0)),
        (Median, vec![Some(1), None, Some(2)], None),
        (Median, vec![Some(1), None, Some(2), Some(9)], Some(2)),
        (Median, vec![], None),
        (Mode, some(&[7, 7, 1, 2]), Some(7)),
        // Of those that equally many saw the smallest.
        (Mode, some(&[9, 9, 4, 4, 1]), Some(4)),
        (Mode, vec![Some(7), Some(7), None], None),
        (Identical, some(&[7, 7, 7, 1]), Some(7)),
        (Identical, some(&[7, 7, 1, 1]), None),
        (Identical, vec![Some(7), Some(7), Some(7), None], Some(7)),
        (Identical, vec![None, None, None], None),
    ] {
        assert_eq!(
            reduced(reducer, &values),
            expected,
            "{reducer:?} {values:?}"
        );
    }
}

/// Whatever f members say, a lower median of n ≥ t values with 2f < t lies among the honest ones.
#[test]
fn a_median_stays_among_honest_values_while_fewer_than_half_of_t_lie() {
    for honest in [[10, 11, 12, 13], [10, 10, 10, 10], [-5, 0, 5, 6]] {
        let (low, high) = (honest[0], honest[3]);
        for lie in [i64::MIN, i64::MAX, low - 1, high + 1] {
            for absent in 0..2 {
                let mut values: Vec<_> = honest[absent..].iter().copied().map(Some).collect();
                values.push(Some(lie));
                let median = reduced(Reducer::Median, &values).expect("at least t values");
                assert!((low..=high).contains(&median), "{values:?}: {median}");
            }
        }
    }
}

#[test]
fn whatever_a_member_says_is_signed() {
    let good = SignedObservation {
        slot: Slot(1),
        epoch: Epoch(1),
        seq: Seq(1),
        request: RequestId::from_bytes([0; 32]),
        time_ms: 5,
        values: vec![
            Observed::Integer(1),
            Observed::Bytes(ByteBuf::from(vec![1])),
            Observed::Absent(Absence::Status),
        ],
        signature: Signature::from_bytes([0; 64]),
    };
    let domain = Domain {
        network: attestation::ids::NetworkId(3),
        committee: attestation::ids::CommitteeId::from_bytes([1; 32]),
    };
    let changes: [fn(&mut SignedObservation); 9] = [
        |seen| seen.slot.0 += 1,
        |seen| seen.epoch.0 += 1,
        |seen| seen.seq.0 += 1,
        |seen| seen.request = RequestId::from_bytes([1; 32]),
        |seen| seen.time_ms += 1,
        |seen| seen.values[0] = Observed::Integer(-1),
        |seen| seen.values[1] = Observed::Bytes(ByteBuf::from(vec![2])),
        |seen| seen.values[2] = Observed::Absent(Absence::Kind),
        |seen| {
            seen.values.pop();
        },
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut other = good.clone();
        change(&mut other);
        assert_ne!(
            other.signed_bytes(&domain),
            good.signed_bytes(&domain),
            "change {at}"
        );
    }
    assert!(attestation::codec::encode(&good).len() <= good.weight());
}
