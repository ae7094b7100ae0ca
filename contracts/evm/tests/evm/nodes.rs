//! Nodes that are down, slow, behind, of another chain, or that lie: what a relay then says and does.

use std::convert::Infallible;
use std::time::Duration;

use conformance::http::Reply;
use conformance::sample;
use evm::anvil::key;
use evm_client::relay::{Done, Patience, Relay, RelayError, Target};
use evm_client::rpc::{Rpc, RpcError, text};
use serde_json::json;

use crate::bed::{Bed, GAS_MAX, PATIENT, blocked};
use crate::scripted::{BASE, TIP};

/// A bed with one message of channel 1, and a relay to it.
fn one_message() -> (Bed, Relay) {
    let mut bed = Bed::new();
    bed.step(&[(sample::zapp(), 1, 1)]);
    let relay = bed.relay(bed.target());
    (bed, relay)
}

/// What a pass fails with.
fn error(bed: &mut Bed, relay: &mut Relay) -> RelayError<Infallible> {
    let (pass, brought) = bed.pass(relay);
    assert_eq!(brought, []);
    pass.expect_err("no pass")
}

#[test]
fn a_node_of_another_chain_is_refused_at_the_start_and_later() {
    let (mut bed, mut relay) = one_message();
    bed.node.chain().chain = 5;
    let rpc = Rpc::new(&bed.node.url()).unwrap();
    let refused = Relay::begin::<Infallible>(rpc, key(2), bed.target(), 1);
    let said = "the node is of chain 5, not 31337";
    assert_eq!(refused.unwrap_err().to_string(), said);
    // In the midst of its life, with something that is not confirmed: nothing there counts.
    bed.node.chain().chain = 31_337;
    assert_eq!(bed.pass(&mut relay).1, [(1, 1)]);
    bed.step(&[(sample::zapp(), 1, 2)]);
    bed.node.chain().chain = 5;
    bed.node.chain().consumed.clear();
    assert_eq!(error(&mut bed, &mut relay).to_string(), said);
    assert_eq!(bed.node.chain().sent.len(), 1);
    bed.node.chain().chain = 31_337;
    bed.node.chain().consumed.insert(1, 1);
    let mut done = Vec::new();
    let pass = relay.pass(&mut bed.steps, &mut |one| done.push(one));
    assert_eq!(pass.unwrap().unconfirmed, 2);
    assert!(
        matches!(done[..], [Done::Message { number: 2, .. }]),
        "{done:?}"
    );
}

#[test]
fn a_node_that_is_down_ends_a_pass_and_the_next_one_goes_on() {
    let (mut bed, mut relay) = one_message();
    let url = bed.node.url();
    bed.node.down();
    let rpc = Rpc::new(&url).unwrap();
    let begun = Relay::begin::<Infallible>(rpc, key(2), bed.target(), 1).unwrap_err();
    for error in [begun, error(&mut bed, &mut relay)] {
        let RelayError::Rpc(RpcError::Unreachable { url: of, .. }) = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*of, url);
        assert!(error.to_string().starts_with(&url), "{error}");
    }
    bed.node.up();
    assert_eq!(bed.pass(&mut relay).1, [(1, 1)]);
}

#[test]
fn whatever_a_node_answers_to_whichever_question_no_message_is_lost_or_paid_for_twice() {
    let other = r#"{"id":0,"result":"0x1"}"#.to_owned();
    let replies = [
        (Reply::Cut("{}".repeat(100)), "http://127.0.0.1:"),
        (
            Reply::Status("502 Bad Gateway".to_owned(), "<html>".to_owned()),
            "answers with HTTP status 502 Bad Gateway",
        ),
        (Reply::Ok("garbage".to_owned()), "cannot be read"),
        (Reply::Ok(other), "is to another question"),
        (Reply::Endless, "is longer than 4194304 bytes"),
    ];
    let methods = [
        "eth_chainId",
        "eth_getBlockByNumber",
        "eth_call",
        "eth_getTransactionCount",
        "eth_estimateGas",
        "eth_maxPriorityFeePerGas",
        "eth_getBalance",
        "eth_sendRawTransaction",
        "eth_getTransactionReceipt",
    ];
    let (mut bed, mut relay) = one_message();
    let mut number = 1;
    for (reply, said) in replies {
        for method in methods {
            bed.node.chain().faults.insert(method, reply.clone());
            let error = error(&mut bed, &mut relay).to_string();
            assert!(error.contains(said), "{method}: {error}");
            bed.node.chain().faults.clear();
            let mut outcomes = 0;
            let pass = relay.pass(&mut bed.steps, &mut |done| match done {
                Done::Message { .. } | Done::Late { .. } => outcomes += 1,
                other => panic!("{other:?}"),
            });
            assert_eq!(pass.unwrap().blocked, [], "{method}");
            assert_eq!(outcomes, 1, "{method}");
            let chain = bed.node.chain();
            let (consumed, sent) = (chain.consumed.get(&1).copied(), chain.sent.len());
            assert_eq!((consumed, sent as u64), (Some(number), number), "{method}");
            drop(chain);
            number += 1;
            bed.step(&[(sample::zapp(), 1, number)]);
        }
    }
}

#[test]
fn a_message_that_a_node_takes_too_long_to_estimate_holds_its_own_channel() {
    let mut bed = Bed::new();
    let zapp = sample::zapp();
    bed.step(&[(zapp, 1, 1), (zapp, 2, 1), (zapp, 3, 1), (zapp, 4, 1)]);
    bed.step(&[(zapp, 1, 2), (zapp, 4, 2)]);
    bed.node.chain().slow = vec![1, 2, 3];
    let within = Duration::from_secs(1);
    let rpc = Rpc::new(&bed.node.url())
        .unwrap()
        .with_answer_within(within);
    let relay = Relay::begin::<Infallible>(rpc, key(2), bed.target(), 1);
    let mut relay = relay.unwrap().with_patience(PATIENT);
    let (pass, brought) = bed.pass(&mut relay);
    assert_eq!(
        (blocked(&pass), brought),
        (vec![1, 2, 3], vec![(4, 1), (4, 2)])
    );
    let said = format!(
        "{}: no answer to eth_estimateGas within 1 s",
        bed.node.url()
    );
    assert_eq!(pass.unwrap().blocked[0].error.to_string(), said);
    // Two slow ones a pass, in turns; what comes anew does not wait for all of them.
    bed.step(&[(zapp, 4, 3)]);
    let (pass, brought) = bed.pass(&mut relay);
    assert_eq!((blocked(&pass), brought), (vec![1, 2], vec![(4, 3)]));
    assert_eq!(blocked(&bed.pass(&mut relay).0), [3, 1]);
    assert_eq!(bed.node.chain().asked["slow"], 7);
    bed.node.chain().slow.clear();
    let (pass, mut brought) = bed.pass(&mut relay);
    brought.sort_unstable();
    assert_eq!(
        (blocked(&pass), brought),
        (vec![], vec![(1, 1), (1, 2), (2, 1), (3, 1)])
    );
}

#[test]
fn a_receipt_of_another_transaction_or_one_that_cannot_be_true_counts_for_nothing() {
    let (mut bed, mut relay) = one_message();
    let method = "eth_getTransactionReceipt";
    let receipt = |hash: &[u8; 32], gas: u64, price: u128| {
        json!({ "transactionHash": text(hash), "status": "0x1", "gasUsed": format!("{gas:#x}"),
                "effectiveGasPrice": format!("{price:#x}"), "blockNumber": "0x1" })
    };
    bed.node
        .chain()
        .lies
        .insert(method, receipt(&[7; 32], 100_000, BASE));
    let other = "the node's answer to eth_getTransactionReceipt is to another question";
    assert_eq!(error(&mut bed, &mut relay).to_string(), other);
    let hash = bed.node.chain().sent[0].hash;
    let fee_max = bed.node.chain().sent[0].fee_max;
    let untrue = "the node's answer to eth_getTransactionReceipt cannot be true";
    for (gas, price) in [
        (20_999, BASE),
        (110_001, BASE),
        (u64::MAX, BASE),
        (100_000, fee_max + 1),
        (100_000, u128::MAX),
    ] {
        let lie = receipt(&hash, gas, price);
        bed.node.chain().lies.insert(method, lie);
        assert_eq!(
            error(&mut bed, &mut relay).to_string(),
            untrue,
            "{gas} {price}"
        );
        assert_eq!((relay.spent(), relay.pending()), (0, Some(hash)));
    }
    // The transaction was in a block all the time.
    bed.node.chain().lies.clear();
    let mut done = Vec::new();
    let pass = relay.pass(&mut bed.steps, &mut |one| done.push(one));
    assert_eq!(pass.unwrap().skipped, 1);
    assert!(matches!(done[..], [Done::Late { .. }]), "{done:?}");
    assert_eq!(relay.spent(), 100_000 * (BASE + TIP));
    assert_eq!(bed.node.chain().sent.len(), 1);
}

#[test]
fn a_nonce_of_the_far_future_costs_at_most_what_the_budget_allows() {
    let (mut bed, _) = one_message();
    let cost_max = 110_000 * (2 * BASE + TIP);
    let mut relay = bed.relay(Target {
        budget: Some(2 * cost_max - 1),
        ..bed.target()
    });
    relay = relay.with_patience(Patience {
        block: Duration::ZERO,
        ..PATIENT
    });
    let count = "eth_getTransactionCount";
    let lie = |nonce: u64| json!(format!("{nonce:#x}"));
    bed.node.chain().lies.insert(count, lie(1_000_000_000));
    let unmined = error(&mut bed, &mut relay);
    let hash = bed.node.chain().sent[0].hash;
    assert_eq!(unmined, RelayError::Unmined(hash));
    assert_eq!((relay.spent(), relay.pending()), (0, Some(hash)));
    // A node that says that another took its place could have it in a block later: it is paid for.
    bed.node.chain().lies.insert(count, lie(1_000_000_001));
    assert_eq!(error(&mut bed, &mut relay), RelayError::Unmined(hash));
    assert_eq!((relay.spent(), relay.pending()), (cost_max, None));
    let spent = RelayError::Budget {
        spent: cost_max,
        needed: cost_max,
        budget: 2 * cost_max - 1,
    };
    assert_eq!(error(&mut bed, &mut relay), spent);
    assert_eq!(bed.node.chain().sent.len(), 1);
}

#[test]
fn a_nonce_that_leaps_or_goes_back_is_told_and_nothing_waits_for_ever() {
    let (mut bed, mut relay) = one_message();
    assert_eq!(bed.pass(&mut relay).1, [(1, 1)]);
    bed.step(&[(sample::zapp(), 1, 2)]);
    let count = "eth_getTransactionCount";
    bed.node.chain().lies.insert(count, json!("0x3e9"));
    let said = "the node says that the next nonce of the account is 1001, and the last transaction \
                had 0";
    assert_eq!(error(&mut bed, &mut relay).to_string(), said);
    bed.node.chain().lies.insert(count, json!("0x0"));
    let said = "the node says that the account has used nonce 0 already";
    assert_eq!(error(&mut bed, &mut relay).to_string(), said);
    assert_eq!((bed.node.chain().sent.len(), relay.pending()), (1, None));
    bed.node.chain().lies.clear();
    assert_eq!(bed.pass(&mut relay).1, [(1, 2)]);
}

#[test]
fn prices_and_amounts_of_gas_beyond_what_is_allowed_are_not_paid() {
    let (mut bed, mut relay) = one_message();
    let allowed = bed.target().fee_max;
    for base in [allowed, u128::MAX] {
        bed.node.chain().base = base;
        let needed = base.saturating_add(TIP);
        let refused = error(&mut bed, &mut relay);
        assert_eq!(refused, RelayError::Fee { needed, allowed });
        let said = format!("gas costs {needed} wei now, at most {allowed} are allowed");
        assert_eq!(refused.to_string(), said);
    }
    bed.node.chain().base = BASE;
    let lie = json!(format!("{:#x}", u128::MAX));
    bed.node
        .chain()
        .lies
        .insert("eth_maxPriorityFeePerGas", lie);
    let needed = u128::MAX;
    assert_eq!(
        error(&mut bed, &mut relay),
        RelayError::Fee { needed, allowed }
    );
    bed.node.chain().lies.clear();
    let lie = json!(format!("{:#x}", u64::MAX));
    bed.node.chain().lies.insert("eth_estimateGas", lie);
    let (pass, brought) = bed.pass(&mut relay);
    assert_eq!((blocked(&pass), brought), (vec![1], vec![]));
    let gas = RelayError::Gas {
        seq: 1,
        gas: u64::MAX,
        allowed: GAS_MAX,
    };
    assert_eq!(pass.unwrap().blocked[0].error, gas);
    bed.node.chain().lies.clear();
    assert_eq!(bed.node.chain().sent, []);
    assert_eq!(bed.pass(&mut relay).1, [(1, 1)]);
}

#[test]
fn what_a_node_says_of_a_transaction_is_understood() {
    // It has it already, and builds it into a block.
    let (mut bed, mut relay) = one_message();
    bed.node.chain().says = Some(("already known", true));
    assert_eq!(bed.pass(&mut relay).1, [(1, 1)]);
    assert_eq!(bed.node.chain().sent.len(), 1);

    // Another transaction has the nonce: the next pass takes the next one.
    bed.step(&[(sample::zapp(), 1, 2)]);
    bed.node.chain().says = Some(("nonce too low: next nonce 2, tx nonce 1", false));
    let said = "the node says that the account has used nonce 1 already";
    assert_eq!(error(&mut bed, &mut relay).to_string(), said);
    assert_eq!(bed.pass(&mut relay).1, [(1, 2)]);

    // Something waits that the node does not count: its place is taken.
    bed.step(&[(sample::zapp(), 1, 3)]);
    bed.node.chain().says = Some(("replacement transaction underpriced", false));
    assert_eq!(bed.pass(&mut relay).1, [(1, 3)]);
    let sent = bed.node.chain().sent.clone();
    assert_eq!((sent.len(), sent[2].nonce), (3, 2));

    // Anything else is the message's own trouble.
    bed.step(&[(sample::zapp(), 1, 4)]);
    bed.node.chain().says = Some(("exceeds block gas limit", false));
    let (pass, _) = bed.pass(&mut relay);
    assert_eq!(blocked(&pass), [1]);
    let said = "the node refuses eth_sendRawTransaction: exceeds block gas limit";
    assert_eq!(pass.unwrap().blocked[0].error.to_string(), said);
    assert_eq!(bed.pass(&mut relay).1, [(1, 4)]);
}
