//! What a reorganisation of a real EVM node's chain undoes is brought again.

use attestation::ids::Digest;
use evm::committee::Committee;
use evm_client::relay::{Done, Lane, Relay, Target};
use evm_client::rpc::{bytes_of, text};
use serde_json::json;

use crate::relayed::{Bed, brought};
use crate::steps::CONFIRMATIONS;

/// A bed with blocks before the first message, so that the contracts outlive what a test undoes.
fn bed() -> Option<Bed> {
    let bed = Bed::new()?;
    bed.anvil.mine(10);
    Some(bed)
}

/// What a pass did, and how much of it is not confirmed.
fn pass(relay: &mut Relay, bed: &mut Bed) -> (Vec<Done>, usize) {
    let mut done = Vec::new();
    let pass = relay.pass(&mut bed.steps, &mut |one| done.push(one));
    let pass = pass.unwrap();
    assert_eq!(pass.blocked, []);
    (done, pass.unconfirmed)
}

fn consumed(bed: &Bed, channel: u8) -> u64 {
    let channel = Digest::from_bytes([channel; 32]);
    bed.acceptor().consumed(&channel).unwrap()
}

/// The messages that were undone, as channel, step and whether this relay had brought them.
fn undone(done: &[Done]) -> Vec<(u8, u64, bool)> {
    let undone = done.iter().filter_map(|done| match done {
        Done::Undone {
            seq,
            lane: Lane::Channel(channel),
            transaction,
        } => Some((channel.as_bytes()[0], *seq, transaction.is_some())),
        _ => None,
    });
    undone.collect()
}

#[test]
fn messages_and_steps_that_a_reorganisation_undoes_are_brought_again_in_order() {
    let Some(mut bed) = bed() else { return };
    bed.step(vec![
        bed.message(1, 1, b"\0one"),
        bed.message(2, 1, b"\0two"),
    ]);
    bed.step(vec![bed.message(1, 2, b"\0three")]);
    let mut relay = bed.relay(bed.target()).unwrap();
    let expected = (
        vec![1, 2],
        vec![
            (1, 1, "delivered"),
            (2, 1, "delivered"),
            (1, 2, "delivered"),
        ],
    );
    let (done, unconfirmed) = pass(&mut relay, &mut bed);
    assert_eq!((brought(&done), unconfirmed), (expected.clone(), 3));

    // Five transactions, each in a block of its own; the last message and then all of them.
    bed.anvil.reorganise(1, &[]);
    assert_eq!((consumed(&bed, 1), consumed(&bed, 2)), (1, 1));
    let (done, _) = pass(&mut relay, &mut bed);
    assert_eq!(undone(&done), [(1, 2, true)]);
    assert_eq!(brought(&done).1, [(1, 2, "delivered")]);
    bed.anvil.reorganise(6, &[]);
    assert_eq!(
        (consumed(&bed, 1), consumed(&bed, 2), bed.head()),
        (0, 0, 0)
    );
    let (done, unconfirmed) = pass(&mut relay, &mut bed);
    assert_eq!(undone(&done), [(1, 1, true), (2, 1, true), (1, 2, true)]);
    assert_eq!((brought(&done), unconfirmed), (expected, 3));
    assert_eq!(
        (consumed(&bed, 1), consumed(&bed, 2), bed.head()),
        (2, 1, 2)
    );

    // Nothing is told or sent twice, and in time nothing is left to look after.
    for blocks in 1..=CONFIRMATIONS {
        let (done, unconfirmed) = pass(&mut relay, &mut bed);
        assert_eq!(done, []);
        assert!(unconfirmed > 0, "after {blocks}");
        bed.anvil.mine(1);
    }
    assert_eq!(pass(&mut relay, &mut bed), (vec![], 0));
}

#[test]
fn a_chain_that_is_shorter_afterwards_has_everything_brought_again_whoever_had_brought_it() {
    let Some(mut bed) = bed() else { return };
    let before = bed.anvil.snapshot();
    bed.step(vec![
        bed.message(1, 1, b"\0one"),
        bed.message(2, 1, b"\0two"),
    ]);
    let target = Target {
        ledger: None,
        ..bed.target()
    };
    let mut other = bed.relay_of(3, target.clone()).unwrap();
    assert_eq!(brought(&pass(&mut other, &mut bed).0).1.len(), 2);
    // This one finds both consumed, and remembers them all the same.
    let mut relay = bed.relay(target).unwrap();
    assert_eq!(pass(&mut relay, &mut bed), (vec![], 2));
    bed.anvil.revert(&before);
    let (done, _) = pass(&mut relay, &mut bed);
    assert_eq!(undone(&done), [(1, 1, false), (2, 1, false)]);
    assert_eq!(brought(&done).1, [(1, 1, "delivered"), (2, 1, "delivered")]);
    // The other one knows by the state that they are consumed again.
    let (done, unconfirmed) = pass(&mut other, &mut bed);
    assert_eq!((done, unconfirmed), (vec![], 2));
}

#[test]
fn a_transaction_that_moved_to_another_block_is_as_good_as_before() {
    let Some(mut bed) = bed() else { return };
    bed.step(vec![bed.message(1, 1, b"\0one")]);
    let target = Target {
        ledger: None,
        ..bed.target()
    };
    let mut relay = bed.relay(target).unwrap();
    let (done, _) = pass(&mut relay, &mut bed);
    let [Done::Message { sent, .. }] = done[..] else {
        panic!("{done:?}");
    };
    let rpc = bed.anvil.rpc();
    let raw = rpc.ask("eth_getRawTransactionByHash", &json!([text(&sent.hash)]));
    let raw = bytes_of(raw.unwrap().as_str().unwrap()).unwrap();
    bed.anvil.mine(1);
    // From the first of the last two blocks to the second.
    bed.anvil.reorganise(2, &[(raw, 1)]);
    let moved = bed.anvil.rpc().receipt(&sent.hash).unwrap().unwrap();
    assert_eq!(moved.block, sent.receipt.block + 1);
    assert_eq!(pass(&mut relay, &mut bed), (vec![], 1));
    bed.anvil.mine(CONFIRMATIONS);
    assert_eq!(pass(&mut relay, &mut bed), (vec![], 0));
    assert_eq!(consumed(&bed, 1), 1);
}

#[test]
fn a_key_change_that_a_reorganisation_undoes_is_taken_to_the_contract_again() {
    let Some(mut bed) = bed() else { return };
    let change = bed.key_change(&Committee::new(1), &Committee::new(5));
    bed.step(vec![change]);
    let target = Target {
        ledger: None,
        ..bed.target()
    };
    let mut relay = bed.relay(target).unwrap();
    for undone in [false, true, true] {
        let (done, unconfirmed) = pass(&mut relay, &mut bed);
        let [.., Done::KeyChange { seq: 1, .. }] = done[..] else {
            panic!("{done:?}");
        };
        assert_eq!((done.len(), unconfirmed), (1 + usize::from(undone), 1));
        assert!(bed.acceptor().pending_key().unwrap().is_some());
        bed.anvil.reorganise(1, &[]);
        assert_eq!(bed.acceptor().pending_key(), Ok(None));
    }
}

#[test]
fn what_was_never_confirmed_is_known_from_the_chain_by_a_relay_that_begins_anew() {
    let Some(mut bed) = bed() else { return };
    bed.step(vec![bed.message(1, 1, b"\0one")]);
    let mut relay = bed.relay(bed.target()).unwrap();
    pass(&mut relay, &mut bed);
    drop(relay);
    bed.anvil.reorganise(2, &[]);
    let mut fresh = bed.relay(bed.target()).unwrap();
    let (done, _) = pass(&mut fresh, &mut bed);
    assert_eq!(brought(&done), (vec![1], vec![(1, 1, "delivered")]));
}
