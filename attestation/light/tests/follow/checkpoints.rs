//! A client as bytes.

use std::rc::Rc;

use attestation::conditions::Sentinel;
use attestation::ids::CommitteeId;
use light_client::{CHECKPOINT_BYTES_MAX, CheckpointError, LightClient};
use signer_protocol::identity::SignIdentity as _;
use sim::founding::{caller_seed, founded, record};
use sim::suite::{Real, Suite as _};

use crate::show;
use crate::town::Town;

#[test]
fn a_client_goes_on_from_its_bytes_at_any_point() {
    let mut town = Town::found();
    let id = town.now.record.id();
    let mut client = town.client();
    let second = town.reshare(2, &[1, 2, 4, 5], &[1, 2, 4, 5, 6]);
    for at in 0..5 {
        let bytes = client.to_bytes();
        assert!(bytes.len() < CHECKPOINT_BYTES_MAX / 8, "{}", bytes.len());
        let again = LightClient::from_bytes(&id, &bytes).expect("its own bytes");
        assert!(again == client, "step {at}");
        client = again;
        let shown = if at == 2 {
            town.cut_over(&second)
        } else {
            town.step()
        };
        show(&mut client, &shown).expect("followed");
    }
}

/// Whoever goes on from it judges the next members as those did who saw the creation record.
#[test]
fn a_checkpoint_carries_what_the_record_demands() {
    let mut record = record::<Real>(5, 4, 2);
    let network = record.network;
    for (slot, card) in (1..).zip(&mut record.members) {
        let owner = Real::identity(&caller_seed(slot));
        let statement = Sentinel::statement(network, card);
        card.sentinel = Some(Sentinel {
            owner: owner.key(),
            proof: owner.sign(statement.as_bytes()),
        });
    }
    record.conditions.sentinels = true;
    record.check().expect("they meet it");
    let mut town = Town::at(Rc::new(founded(record)));
    let id = town.now.record.id();
    let mut client = town.client();
    for _ in 0..2 {
        let again = LightClient::from_bytes(&id, &client.to_bytes()).expect("its own bytes");
        assert!(again == client);
        assert!(again.members().conditions().sentinels);
        client = again;
        show(&mut client, &town.step()).expect("followed");
    }
}

/// How long it is does not depend on how long the committee has lived.
#[test]
fn a_checkpoint_does_not_grow_with_epochs() {
    let mut town = Town::found();
    let mut client = town.client();
    let mut lengths = Vec::new();
    for epoch in 2..=4 {
        let change = town.reshare(epoch, &[1, 2, 3, 4], &[1, 2, 3, 4, 5]);
        show(&mut client, &town.cut_over(&change)).expect("followed");
        show(&mut client, &town.step()).expect("followed");
        lengths.push(client.to_bytes().len());
    }
    let (least, most) = (lengths.iter().min(), lengths.iter().max());
    let grown = most.zip(least).map(|(most, least)| most - least);
    // A number takes a byte more, a path a hash more.
    assert!(grown < Some(256), "{lengths:?}");
}

#[test]
fn a_checkpoint_with_a_changed_byte_or_of_another_committee_is_refused() {
    let mut town = Town::found();
    let id = town.now.record.id();
    let mut client = town.client();
    let change = town.reshare(2, &[1, 2, 3, 4], &[1, 2, 3, 4, 5]);
    show(&mut client, &town.cut_over(&change)).expect("followed");
    show(&mut client, &town.step()).expect("followed");
    let bytes = client.to_bytes();
    let other = CommitteeId::from_bytes([3; 32]);
    let refused = LightClient::from_bytes(&other, &bytes);
    assert_eq!(refused, Err(CheckpointError::OtherCommittee(id)));
    for at in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(LightClient::from_bytes(&id, &changed).is_err(), "byte {at}");
    }
    for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        let cut = LightClient::from_bytes(&id, &bytes[..length]);
        assert!(matches!(cut, Err(CheckpointError::Malformed(_))), "{cut:?}");
    }
    let long = vec![0; CHECKPOINT_BYTES_MAX + 1];
    let long = LightClient::from_bytes(&id, &long);
    assert!(matches!(long, Err(CheckpointError::Malformed(_))));
}
