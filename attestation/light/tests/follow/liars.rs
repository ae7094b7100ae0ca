//! Gateways that lie. What each shows is made of real parts.

use attestation::ids::{Epoch, NetworkId, RuntimeProfile, Signature, StatementId, ZappId};
use light_client::{LightClient, Refused, StartError};
use state::system::COMMITTEE;

use crate::town::{Shown, Town};
use crate::{refused, show};

#[test]
fn another_committee_is_never_taken_for_this_one() {
    let (mut town, mut other) = (Town::found(), Town::of(4, 3));
    let id = town.now.record.id();
    let record = &other.now.record;
    let start = LightClient::new(&id, record, &other.first);
    assert_eq!(start, Err(StartError::OtherCommittee(record.id())));
    // The right record with another committee's key.
    let start = LightClient::new(&id, &town.now.record, &other.first);
    assert!(matches!(start, Err(StartError::Key(_))), "{start:?}");
    // The right record and certificates, and a group key of the gateway's own.
    let mut swapped = town.first.clone();
    swapped.group_key = other.first.group_key;
    let start = LightClient::new(&id, &town.now.record, &swapped);
    assert!(matches!(start, Err(StartError::Key(_))), "{start:?}");

    let mut client = town.client();
    refused(&client, &other.step(), "wrong-committee");
    let shown = town.step();
    show(&mut client, &shown).expect("its own step");
    let changed = |change: &dyn Fn(&mut Shown)| {
        let mut shown = shown.clone();
        change(&mut shown);
        shown
    };
    let network = changed(&|shown| shown.attestation.commit.network = NetworkId(1));
    refused(&client, &network, "wrong-network");
}

#[test]
fn what_the_group_did_not_sign_is_refused() {
    let mut town = Town::found();
    let client = town.client();
    let shown = town.step();
    let mut forged = shown.clone();
    forged.attestation.commit.gas_used += 1;
    refused(&client, &forged, "signature");
    forged = shown.clone();
    let mut bytes = *shown.attestation.signature.as_bytes();
    bytes[40] ^= 1;
    forged.attestation.signature = Signature::from_bytes(bytes);
    refused(&client, &forged, "signature");
    forged = shown;
    forged.attestation.root = attestation::ids::LeafRoot::from_bytes([1; 32]);
    refused(&client, &forged, "signature");
}

#[test]
fn an_old_head_does_not_take_a_client_back() {
    let mut town = Town::found();
    let mut client = town.client();
    let steps = [town.step(), town.step(), town.step()];
    show(&mut client, &steps[2]).expect("the newest");
    refused(&client, &steps[0], "old");
    refused(&client, &steps[1], "old");
    refused(&client, &steps[2], "known");
    let mut unsigned = steps[2].clone();
    unsigned.attestation.commit.gas_used += 1;
    refused(&client, &unsigned, "signature");
}

/// No change, each alone, and in the wrong order.
#[test]
fn no_epoch_can_be_left_out_withheld_or_exchanged() {
    let mut town = Town::found();
    let mut client = town.client();
    let before = town.step();
    show(&mut client, &before).expect("epoch 1");
    let second = town.reshare(2, &[1, 2, 4, 5], &[1, 2, 4, 5, 6]);
    // Others of the same base that were complete and never put into force: one differs from the
    // change in force in its shares alone.
    let given_up = town.reshare(3, &[1, 2, 3, 4], &[1, 2, 3, 4, 5]);
    let twin = town.reshare(2, &[1, 2, 3, 4], &[1, 2, 4, 5, 6]);
    let cutover = town.cut_over(&second);
    let mut exchanged = cutover.clone();
    exchanged.changes = vec![twin.record];
    refused(&client, &exchanged, "not-in-force");
    let third = town.reshare(3, &[1, 2, 4, 5], &[1, 2, 4, 6, 7]);
    town.cut_over(&third);
    let shown = town.step();
    let with = |records: &[&light_client::lineage::EpochRecord]| Shown {
        changes: records.iter().copied().cloned().collect(),
        ..shown.clone()
    };
    let (two, three) = (&second.record, &third.record);
    let withheld = refused(&client, &with(&[]), "withheld");
    assert_eq!(
        withheld,
        Refused::Withheld {
            known: Epoch(1),
            in_force: Epoch(3)
        }
    );
    refused(&client, &with(&[two]), "withheld");
    refused(&client, &with(&[three]), "change");
    refused(&client, &with(&[three, two]), "change");
    refused(&client, &with(&[&given_up.record]), "not-in-force");
    let mut altered = three.clone();
    altered.plan.members.pop();
    refused(&client, &with(&[two, &altered]), "change");
    let mut altered = three.clone();
    altered.key.certificate.swap(0, 1);
    refused(&client, &with(&[two, &altered]), "change");
    let mut altered = three.clone();
    altered.key.canary = two.key.canary;
    refused(&client, &with(&[two, &altered]), "change");

    // The cutover itself, shown as if nothing had changed.
    let mut hidden = cutover.clone();
    hidden.changes.clear();
    refused(&client, &hidden, "withheld");
    hidden.proof = before.proof;
    refused(&client, &hidden, "state");
    // The new epoch's step, proven with the old state's entry, or with another entry.
    let mut stale = with(&[two, three]);
    stale.proof = cutover.proof.clone();
    refused(&client, &stale, "state");
    stale.proof = town.proof(&ZappId::SYSTEM, b"totals");
    refused(&client, &stale, "not-the-committee");
    let zapp = ZappId::from_bytes([7; 32]);
    stale.proof = town.proof(&zapp, COMMITTEE);
    refused(&client, &stale, "not-the-committee");
    // One change too many.
    let mut early = cutover;
    early.changes.push(three.clone());
    refused(&client, &early, "not-in-force");

    show(&mut client, &with(&[two, three])).expect("all of it");
    assert_eq!(client.epoch(), Epoch(3));
}

#[test]
fn a_forged_leaf_is_refused_by_the_check_that_it_fails() {
    let mut town = Town::found();
    let mut client = town.client();
    let first = town.step();
    let second = town.step();
    show(&mut client, &second).expect("the newest");
    let leaf = second.leaves.get(1).expect("an output").clone();
    let receipt = second.receipt(&town, 1);
    let mut forged = leaf.clone();
    forged[60] ^= 1;
    let verdict = |receipt: &[u8], leaf: &[u8]| {
        let refused = client.verify_leaf(receipt, leaf);
        refused
            .map(|_| "valid")
            .unwrap_or_else(|error| error.name())
    };
    assert_eq!(verdict(&receipt, &leaf), "valid");
    assert_eq!(verdict(&receipt, &forged), "leaf");
    assert_eq!(verdict(&first.receipt(&town, 1), &leaf), "leaf");
    assert_eq!(verdict(&second.receipt(&town, 0), &leaf), "leaf");
    let mut cut = receipt.clone();
    cut.pop();
    assert_eq!(verdict(&cut, &leaf), "receipt");
    let mut unsigned = receipt;
    *unsigned.last_mut().expect("bytes") ^= 1;
    assert_eq!(verdict(&unsigned, &leaf), "signature");
}

/// 2t − n members lie, and the gateway shows what they signed.
#[test]
fn two_histories_are_named_a_fork() {
    let mut town = Town::found();
    let mut client = town.client();
    let first = town.step();
    show(&mut client, &first).expect("taken");
    let mut rival = first.clone();
    rival.attestation.commit.gas_used += 1;
    rival.attestation = town.sign(rival.attestation);
    refused(&client, &rival, "fork");
    let receipt = rival.receipt(&town, 0);
    let settlement = rival.leaves.first().expect("a settlement");
    let verdict = client.verify_leaf(&receipt, settlement);
    assert_eq!(verdict.expect_err("another step").name(), "fork");

    let honest = town.step();
    let mut next = honest.clone();
    next.attestation.commit.previous = StatementId::from_bytes([1; 32]);
    next.attestation = town.sign(next.attestation);
    refused(&client, &next, "fork");
    next = honest.clone();
    next.attestation.commit.epoch = Epoch(2);
    next.attestation = town.sign(next.attestation);
    refused(&client, &next, "wrong-epoch");
    next = honest.clone();
    next.attestation.commit.profile = RuntimeProfile::from_bytes([1; 32]);
    next.attestation = town.sign(next.attestation);
    refused(&client, &next, "wrong-profile");
    show(&mut client, &honest).expect("the true one");
}
