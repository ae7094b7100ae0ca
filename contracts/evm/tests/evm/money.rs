//! What strangers' messages, stuck transactions and hostile gateways can cost a relay.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use attestation::ids::{Digest, ZappId};
use conformance::sample;
use evm_client::relay::{Item, ItemKind, Page, Patience, Proof, RelayError, Source, Target};
use evm_client::transaction::Address;

use crate::bed::{Bed, GAS_MAX, blocked};
use crate::scripted::{BASE, TIP};
use crate::steps::Steps;

#[test]
fn messages_of_other_zapps_and_those_that_need_too_much_gas_cost_nothing() {
    let mut bed = Bed::new();
    let (own, strangers) = (sample::zapp(), ZappId::from_bytes([9; 32]));
    bed.step(&[(strangers, 1, 1), (own, 2, 1), (own, 3, 1)]);
    // With the margin it is more than is allowed.
    bed.node.chain().gas.insert(3, GAS_MAX - 1000);
    let mut relay = bed.relay(Target {
        zapps: BTreeSet::from([own]),
        ..bed.target()
    });
    let (pass, brought) = bed.pass(&mut relay);
    assert_eq!((blocked(&pass), brought), (vec![3], vec![(2, 1)]));
    assert_eq!(pass.unwrap().left_out, 1);
    let sent = bed.node.chain().sent.clone();
    assert!(sent.len() == 1 && sent[0].channel == 2, "{sent:?}");
    assert_eq!(relay.spent(), 100_000 * (BASE + TIP));
    // A gateway that says that a stranger's message is one's own has nothing paid for it.
    let mut liar = Renamed(&mut bed.steps, own);
    let lied = relay.pass(&mut liar, &mut |one| panic!("{one:?}"));
    assert_eq!(lied.unwrap().left_out, 0);
    let mut fresh = bed.relay(Target {
        zapps: BTreeSet::from([own]),
        ..bed.target()
    });
    let lied = fresh.pass(&mut Renamed(&mut bed.steps, own), &mut |_| ());
    assert!(
        matches!(lied, Err(RelayError::Proof { seq: 1, .. })),
        "{lied:?}"
    );
}

/// A gateway that says of every message that this zApp sends it.
struct Renamed<'a>(&'a mut Steps, ZappId);

impl Source for Renamed<'_> {
    type Error = Infallible;

    fn leaves(&mut self, from: u64, chain: u64, contract: &Address) -> Result<Page, Infallible> {
        let mut page = self.0.leaves(from, chain, contract)?;
        for item in &mut page.items {
            if let ItemKind::Message { zapp, .. } = &mut item.kind {
                *zapp = self.1;
            }
        }
        Ok(page)
    }

    fn proof(&mut self, seq: u64, index: u64) -> Result<Option<Proof>, Infallible> {
        self.0.proof(seq, index)
    }
}

#[test]
fn what_cannot_be_brought_holds_its_own_channel_alone_and_is_tried_again() {
    let mut bed = Bed::new();
    let zapp = sample::zapp();
    bed.step(&[(zapp, 1, 1), (zapp, 2, 1), (zapp, 3, 2), (zapp, 4, 1)]);
    bed.step(&[(zapp, 1, 2), (zapp, 4, 2)]);
    bed.step(&[(zapp, 2, 2), (zapp, 1, 3)]);
    {
        let mut chain = bed.node.chain();
        // The contract refuses 1, 2 needs more gas than the account has ether for, of 3 the first
        // message is missing.
        chain.refused.push(1);
        chain.gas.insert(2, 400_000);
        chain.balance = 400_000 * (2 * BASE + TIP);
    }
    let mut relay = bed.relay(bed.target());
    let (pass, brought) = bed.pass(&mut relay);
    assert_eq!(
        (blocked(&pass), brought),
        (vec![1, 2, 3], vec![(4, 1), (4, 2)])
    );
    // Nothing has changed: each is tried once, and later steps are looked at all the same.
    bed.step(&[(zapp, 4, 3)]);
    let (pass, brought) = bed.pass(&mut relay);
    assert_eq!((blocked(&pass), brought), (vec![1, 2, 3], vec![(4, 3)]));
    assert_eq!(pass.unwrap().head, 4);
    // What stood in the way is gone: nothing is left out, and the order is the channel's.
    {
        let mut chain = bed.node.chain();
        chain.refused.clear();
        chain.balance *= 10;
        chain.consumed.insert(3, 1);
    }
    let (pass, brought) = bed.pass(&mut relay);
    assert_eq!(blocked(&pass), [0u8; 0]);
    let by_channel = |wanted: u8| {
        let numbers = brought.iter().filter(|(channel, _)| *channel == wanted);
        numbers.map(|(_, number)| *number).collect::<Vec<_>>()
    };
    assert_eq!(
        [1, 2, 3, 4].map(by_channel),
        [vec![1, 2, 3], vec![1, 2], vec![2], vec![]]
    );
}

#[test]
fn a_message_whose_transactions_fail_is_given_up_until_somebody_else_brings_it() {
    let mut bed = Bed::new();
    let zapp = sample::zapp();
    bed.step(&[(zapp, 1, 1), (zapp, 1, 2)]);
    bed.node.chain().fails = true;
    let mut relay = bed.relay(bed.target());
    for expected in [vec![1], vec![1], vec![]] {
        let (pass, brought) = bed.pass(&mut relay);
        assert_eq!((blocked(&pass), brought), (expected, vec![]));
    }
    assert_eq!(bed.node.chain().sent.len(), 2);
    bed.node.chain().fails = false;
    bed.node.chain().consumed.insert(1, 1);
    let (pass, brought) = bed.pass(&mut relay);
    assert_eq!((blocked(&pass), brought), (vec![], vec![(1, 2)]));
}

#[test]
fn a_relay_ends_before_it_spends_more_than_its_budget() {
    let mut bed = Bed::new();
    let zapp = sample::zapp();
    bed.step(&[(zapp, 1, 1), (zapp, 2, 1), (zapp, 3, 1)]);
    // Two transactions cost this much; the third may cost its whole fee.
    let paid = 2 * 100_000 * (BASE + TIP);
    let may_cost = 110_000 * (2 * BASE + TIP);
    let budget = paid + may_cost - 1;
    let mut relay = bed.relay(Target {
        budget: Some(budget),
        ..bed.target()
    });
    let (pass, brought) = bed.pass(&mut relay);
    assert_eq!(brought, [(1, 1), (2, 1)]);
    let ended = RelayError::Budget {
        spent: paid,
        needed: may_cost,
        budget,
    };
    assert_eq!(pass, Err(ended));
    assert_eq!(bed.node.chain().sent.len(), 2);
}

#[test]
fn a_stuck_fee_is_raised_at_the_same_nonce_up_to_what_is_allowed() {
    let mut bed = Bed::new();
    bed.step(&[(sample::zapp(), 1, 1)]);
    let impatient = Patience {
        block: Duration::from_secs(60),
        raise: Duration::ZERO,
        look: Duration::ZERO,
    };
    bed.node.chain().mined_from = 3;
    let mut relay = bed.relay(bed.target()).with_patience(impatient);
    let (pass, brought) = bed.pass(&mut relay);
    assert_eq!((blocked(&pass), brought), (vec![], vec![(1, 1)]));
    let sent = bed.node.chain().sent.clone();
    assert_eq!(sent.len(), 4);
    for pair in sent.windows(2) {
        assert_eq!(pair[0].nonce, pair[1].nonce);
        let is_raised = |before: u128, after: u128| after * 8 >= before * 9;
        assert!(
            is_raised(pair[0].tip, pair[1].tip) && is_raised(pair[0].fee_max, pair[1].fee_max),
            "{pair:?}"
        );
    }
    assert_eq!(relay.pending(), None);

    // As far as is allowed, and no further: the first two of these wait for ever.
    bed.step(&[(sample::zapp(), 1, 2)]);
    bed.node.chain().mined_from = usize::MAX;
    let waits = Patience {
        block: Duration::ZERO,
        ..impatient
    };
    let fee_max = 2 * BASE + TIP;
    let mut relay = bed.relay(Target {
        fee_max,
        ..bed.target()
    });
    relay = relay.with_patience(waits);
    let (pass, _) = bed.pass(&mut relay);
    let hash = bed.node.chain().sent[4].hash;
    assert_eq!(
        pass,
        Err(RelayError::Unmined(hash)),
        "the hash is the real one"
    );
    assert_eq!(relay.pending(), Some(hash));
    let (again, _) = bed.pass(&mut relay);
    assert_eq!(again, Err(RelayError::Unmined(hash)));
    assert_eq!(
        bed.node.chain().sent.len(),
        5,
        "no fee above what is allowed"
    );
}

#[test]
fn a_wait_for_a_block_is_interrupted_and_its_transaction_known() {
    let mut bed = Bed::new();
    bed.step(&[(sample::zapp(), 1, 1)]);
    bed.node.chain().mined_from = 1;
    let mut relay = bed.relay(bed.target());
    // True as soon as it waits: what comes before asks twice.
    static LOOKS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    relay = relay.until(|| LOOKS.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0);
    let (pass, _) = bed.pass(&mut relay);
    assert_eq!(pass, Err(RelayError::Interrupted));
    assert_eq!(relay.pending(), Some(bed.node.chain().sent[0].hash));
}

#[test]
fn what_an_earlier_run_sent_is_outbid_when_it_waits_too_long() {
    let mut bed = Bed::new();
    bed.step(&[(sample::zapp(), 1, 1)]);
    bed.node.chain().waiting = 1;
    let mut relay = bed.relay(bed.target()).with_patience(Patience {
        raise: Duration::ZERO,
        look: Duration::ZERO,
        ..Patience::default()
    });
    let (pass, brought) = bed.pass(&mut relay);
    assert_eq!((blocked(&pass), brought), (vec![], vec![(1, 1)]));
    assert_eq!(bed.node.chain().sent[0].nonce, 0);
}

/// A gateway of endless pages, each of channels that the contract has never heard of.
#[derive(Default)]
struct Endless(BTreeMap<u64, u64>, u64);

impl Source for Endless {
    type Error = Infallible;

    fn leaves(&mut self, from: u64, _: u64, _: &Address) -> Result<Page, Infallible> {
        *self.0.entry(from).or_default() += 1;
        let mut channel = [0xee; 32];
        channel[..8].copy_from_slice(&from.to_be_bytes());
        let item = Item {
            seq: from,
            index: 1,
            kind: ItemKind::Message {
                zapp: sample::zapp(),
                channel: Digest::from_bytes(channel),
                number: self.1,
            },
        };
        Ok(Page {
            head: u64::MAX,
            next: from + 1,
            items: vec![item],
        })
    }

    fn proof(&mut self, _: u64, _: u64) -> Result<Option<Proof>, Infallible> {
        Ok(None)
    }
}

#[test]
fn a_pass_over_endless_pages_ends_and_the_next_goes_on() {
    let bed = Bed::new();
    let mut relay = bed.relay(bed.target());
    let mut endless = Endless::default();
    let asked = || bed.node.chain().asked.get("eth_call").copied();
    let before = asked();
    for pages in [1000, 2000] {
        let pass = relay.pass(&mut endless, &mut |_| ()).unwrap();
        assert!(pass.unfinished);
        assert_eq!(endless.0.len(), pages);
    }
    assert!(endless.0.values().all(|times| *times == 1));
    // Of each pass: whether a key change waits. No message has the number 0.
    assert_eq!(asked(), before.map(|count| count + 2));
}
