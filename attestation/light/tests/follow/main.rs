//! Real committees followed by a client that knows their id, and gateways that lie to it.

mod checkpoints;
mod liars;
mod town;

use attestation::ids::{Epoch, Seq, Slot, ZappId};
use light_client::{Head, LightClient, Refused};

use town::{Shown, Town};

/// Shows a client what a gateway shows.
pub fn show(client: &mut LightClient, shown: &Shown) -> Result<Head, Refused> {
    client.advance(&shown.attestation, &shown.proof, &shown.changes)
}

/// That what is shown is refused by this rule, and nothing changes.
pub fn refused(client: &LightClient, shown: &Shown, rule: &str) -> Refused {
    let mut after = client.clone();
    let refused = show(&mut after, shown).expect_err(rule);
    assert_eq!(refused.name(), rule, "{refused}");
    assert!(!refused.advice().is_empty());
    assert!(after == *client, "{rule}: a refusal changes nothing");
    refused
}

#[test]
fn a_committee_is_followed_from_its_id_through_epochs() {
    let mut town = Town::found();
    let mut client = town.client();
    assert_eq!((client.head().seq, client.epoch()), (Seq(0), Epoch(1)));
    assert_eq!(*client.group_key(), town.first.ed25519_key().unwrap());
    for seq in 1..=3 {
        let shown = town.step();
        assert_eq!(show(&mut client, &shown).expect("followed").seq, Seq(seq));
    }
    // Member 3 leaves, 6 joins; then a refresh under a number that leaves one out.
    let second = town.reshare(2, &[1, 2, 4, 5], &[1, 2, 4, 5, 6]);
    let cutover = town.cut_over(&second);
    show(&mut client, &cutover).expect("the last step of epoch 1");
    assert_eq!(cutover.attestation.commit.epoch, Epoch(1));
    assert_eq!(client.epoch(), Epoch(2));
    let slots: Vec<Slot> = client.members().slots().collect();
    assert_eq!(slots, [1, 2, 4, 5, 6].map(Slot));
    let shown = town.step();
    show(&mut client, &shown).expect("the first step of epoch 2");
    assert_eq!(shown.attestation.commit.epoch, Epoch(2));

    let fourth = town.reshare(4, &[1, 2, 4, 6], &[1, 2, 4, 5, 6]);
    show(&mut client, &town.cut_over(&fourth)).expect("a refresh");
    let shown = town.step();
    show(&mut client, &shown).expect("a step of epoch 4");
    assert_eq!(client.epoch(), Epoch(4));
    assert_eq!(*client.group_key(), town.first.ed25519_key().unwrap());
    assert_eq!(client.head().statement, shown.attestation.statement());

    // Whoever was away for all of it takes the newest step alone, and comes to the same.
    let mut late = town.client();
    show(&mut late, &shown).expect("followed at once");
    assert!(late == client);
}

#[test]
fn leaves_and_entries_are_verified_against_the_head() {
    let mut town = Town::found();
    let mut client = town.client();
    let first = town.step();
    let second = town.step();
    show(&mut client, &second).expect("a step left out");
    let leaf = second.leaves.get(1).expect("an output");
    let verified = client.verify_leaf(&second.receipt(&town, 1), leaf);
    assert_eq!(verified.expect("its leaf").commit.seq, Seq(2));
    let earlier = first.leaves.get(1).expect("an output");
    let verified = client.verify_leaf(&first.receipt(&town, 1), earlier);
    assert_eq!(
        verified.expect("a leaf of an earlier step").commit.seq,
        Seq(1)
    );

    let proof = town.proof(&ZappId::SYSTEM, b"totals");
    assert!(client.verify_entry(&proof).expect("an entry").is_some());
    let nothing = town.proof(&ZappId::SYSTEM, b"no such entry");
    assert_eq!(client.verify_entry(&nothing).expect("none"), None);
    town.step();
    let newer = town.proof(&ZappId::SYSTEM, b"totals");
    let refused = client.verify_entry(&newer).expect_err("of a later state");
    assert_eq!(refused.name(), "state");
}
