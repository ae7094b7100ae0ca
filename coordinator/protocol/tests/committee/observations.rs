//! Observations (rule A13): what a signer signs for its node, and what two of them prove.

use attestation::ids::{RequestId, Seq, Signature, Slot};
use attestation::source::{Absence, Observed, SOURCES_MAX};
use signer_protocol::blame::{Act, Culprit};
use signer_protocol::evidence::{Evidence, EvidenceError, Kind};
use signer_protocol::identity::SignIdentity as _;
use signer_protocol::signer::{self, Sighting};
use state::pull::SignedObservation;

use crate::voice::signer;
use crate::world::{Seen, World};

fn sighting(seq: u64, value: i64) -> Sighting {
    Sighting {
        request: RequestId::from_bytes([7; 32]),
        seq: Seq(seq),
        time_ms: 1_000,
        values: vec![
            Observed::Integer(value),
            Observed::Absent(Absence::Unreachable),
        ],
    }
}

fn sign(world: &mut World, seen: Sighting) -> Option<SignedObservation> {
    let before = world.seen.len();
    world.sign(Slot(2), signer::Input::Observe(Box::new(seen)));
    world.run_for(0);
    world.seen[before..].iter().find_map(|seen| match seen {
        Seen::Observed(observation) => Some(observation.clone()),
        _ => None,
    })
}

#[test]
fn a_signer_says_one_thing_for_a_request_and_step_whatever_its_node_says_then() {
    let mut world = World::four_of_five(81);
    let first = sign(&mut world, sighting(3, 5)).expect("signed");
    assert_eq!((first.slot, first.seq), (Slot(2), Seq(3)));
    assert_eq!(first.values, sighting(3, 5).values);
    let other = sign(&mut world, sighting(3, 6)).expect("an answer");
    assert_eq!(other, first);
    let earlier = sign(&mut world, sighting(2, 6)).expect("an answer");
    assert_eq!(earlier, first);
    let later = sign(&mut world, sighting(4, 6)).expect("signed");
    assert_ne!(later, first);
    for observation in [&first, &later] {
        let verify = signer_protocol::identity::Ed25519Verify;
        assert!(world.committee.observed(observation, &verify));
    }
    let mut long = sighting(5, 1);
    long.values = vec![Observed::Integer(1); SOURCES_MAX + 1];
    assert_eq!(sign(&mut world, long), None);
}

#[test]
fn two_observations_for_one_request_and_step_convict_their_member_and_nothing_else_does() {
    let mut world = World::four_of_five(82);
    let first = sign(&mut world, sighting(3, 5)).expect("signed");
    let liar = world.identity(signer(2));
    let signed = |mut observation: SignedObservation| {
        observation.signature = liar.sign(&observation.signed_bytes(&world.domain));
        observation
    };
    let mut second = first.clone();
    second.values[0] = Observed::Integer(6);
    let second = signed(second);
    let mut later = second.clone();
    later.seq = Seq(4);
    let mut elsewhere = second.clone();
    elsewhere.request = RequestId::from_bytes([8; 32]);
    let mut forged = second.clone();
    forged.signature = Signature::from_bytes([1; 64]);
    let judge = |second: SignedObservation, slot: u16| {
        let act = Act::ObservedTwice(Box::new([first.clone(), second]));
        let culprit = Culprit::Member(Slot(slot));
        let file = Evidence::of_step(world.record.id(), culprit, &act).expect("a proof");
        let read = Evidence::from_bytes(&file.to_bytes()).expect("what is written is read");
        read.verify(&world.record).map(|conviction| conviction.kind)
    };
    assert_eq!(judge(second.clone(), 2), Ok(Kind::ObservedTwice));
    assert_eq!(judge(second, 3), Err(EvidenceError::Unfounded));
    assert_eq!(judge(first.clone(), 2), Err(EvidenceError::Unfounded));
    assert_eq!(judge(signed(later), 2), Err(EvidenceError::Unfounded));
    assert_eq!(judge(signed(elsewhere), 2), Err(EvidenceError::Unfounded));
    assert_eq!(judge(forged, 2), Err(EvidenceError::Signature));
}
