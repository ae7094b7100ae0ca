//! Rule E2 for messages and rule B5: channels, the change of key, the guardian's pause.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};

use acceptor::Terms;
use acceptor::messages::{Destination, Messages};
use acceptor::trust::{Delays, Trust};
use attestation::ids::{Epoch, GroupKey, Seq, StatementId};
use attestation::leaf::{KeyChangeLeaf, Leaf, MessageLeaf};
use conformance::frost::Committee;
use conformance::sample;

const DELAYS: Delays = Delays {
    change: 100,
    pause_max: 50,
};

fn terms(key: GroupKey) -> Terms {
    let (committee, profile) = (sample::committee(), sample::profile());
    Terms::register(
        sample::NETWORK,
        committee,
        Epoch(1),
        profile,
        key,
        sample::state(0),
    )
    .unwrap()
}

/// A receipt of a leaf, and the leaf.
fn proven(committee: &mut Committee, leaf: &Leaf) -> (Vec<u8>, Vec<u8>) {
    let seq = leaf.seq().0;
    let settlement = Leaf::Settlement(sample::settlement(seq, 1)).to_bytes();
    let leaves = vec![settlement, leaf.to_bytes()];
    let commit = sample::commit(seq, &leaves, StatementId::from_bytes([9; 32]));
    let attestation = committee.attest(commit, &leaves);
    let receipt = attestation.receipt(&committee.key(), &leaves, 1).unwrap();
    (receipt, leaves[1].clone())
}

fn message(seq: u64, label: &[u8], number: u64) -> Leaf {
    let mut message = sample::message(seq, number);
    let to = (message.chain, &message.contract);
    message.channel = MessageLeaf::channel(&sample::committee(), &sample::zapp(), to, label);
    Leaf::Message(message)
}

#[test]
fn messages_come_once_and_in_their_channels_order() {
    let mut committee = Committee::new(1);
    let here = Destination {
        chain: 1,
        contract: sample::digest("contract"),
    };
    let channels = BTreeMap::new();
    let mut messages = Messages::new(terms(committee.key()), here, channels).until(Some(Seq(9)));
    let mut elsewhere = sample::message(3, 2);
    elsewhere.chain = 2;
    let mut other = sample::message(3, 2);
    other.contract[0] ^= 1;
    for (leaf, wanted) in [
        (message(5, b"a", 2), Err("out-of-order")),
        (message(5, b"a", 1), Ok(1)),
        (message(5, b"a", 1), Err("out-of-order")),
        (message(5, b"a", 3), Err("out-of-order")),
        (message(4, b"b", 1), Ok(1)),
        (message(3, b"a", 2), Ok(2)),
        (message(3, b"a", u64::MAX), Err("out-of-order")),
        (Leaf::Message(elsewhere), Err("wrong-chain")),
        (Leaf::Message(other), Err("wrong-contract")),
        (Leaf::Output(sample::output(3, 1)), Err("not-a-message")),
        (message(10, b"a", 3), Err("after-last-seq")),
        (message(9, b"a", 3), Ok(3)),
    ] {
        let (receipt, leaf) = proven(&mut committee, &leaf);
        let got = messages.accept(&receipt, &leaf);
        let got = got.map(|message| message.number);
        assert_eq!(got.map_err(|refused| refused.name()), wanted);
    }
}

#[test]
fn a_key_is_changed_once_after_its_delay_and_not_within_a_pause() {
    let (mut old, new) = (Committee::new(1), Committee::new(2));
    let mut trust = Trust::new(old.key()).unwrap();
    let mut taken = BTreeSet::new();
    let mut change = |trust: &mut Trust, now, leaf: &Leaf| {
        let (receipt, leaf) = proven(&mut old, leaf);
        let terms = terms(trust.key);
        let changed = trust.change((now, &DELAYS), &terms, (&receipt, &leaf), &mut taken);
        changed.map(drop).map_err(|refused| refused.name())
    };
    let key = trust.key;
    let leaf = |last| {
        let change = KeyChangeLeaf::of_ed25519(Seq(5), last, &key, &new.key());
        Leaf::KeyChange(change)
    };
    let name = |done: Result<(), acceptor::trust::Refused>| done.map_err(|refused| refused.name());

    assert_eq!(name(trust.activate(0)), Err("no-key-change-pending"));
    assert_eq!(name(trust.cancel()), Err("no-key-change-pending"));
    assert_eq!(change(&mut trust, 1_000, &leaf(4)), Err("last-seq"));
    let message = message(5, b"a", 1);
    assert_eq!(change(&mut trust, 1_000, &message), Err("not-a-key-change"));
    trust.pause(1_000, &DELAYS);
    assert_eq!(change(&mut trust, 1_049, &leaf(8)), Err("paused"));
    assert_eq!(change(&mut trust, 1_050, &leaf(8)), Ok(()));
    assert_eq!(trust.last(), Some(Seq(8)));
    assert_eq!(
        change(&mut trust, 1_050, &leaf(9)),
        Err("key-change-pending")
    );
    assert_eq!(name(trust.activate(1_149)), Err("too-early"));
    trust.pause(1_149, &DELAYS);
    assert_eq!(name(trust.activate(1_150)), Err("paused"));
    trust.resume();
    assert_eq!(name(trust.cancel()), Ok(()));
    assert_eq!(change(&mut trust, 1_150, &leaf(8)), Err("key-change-taken"));
    assert_eq!(change(&mut trust, 1_150, &leaf(9)), Ok(()));
    assert_eq!(name(trust.activate(1_250)), Ok(()));
    assert_eq!((trust.key, trust.last()), (new.key(), None));
}
