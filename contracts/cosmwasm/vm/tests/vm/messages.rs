//! Rule E2 for messages: each once, in its channel's order, and no leaf stops a channel.

use attestation::ids::{CommitteeId, NetworkId};
use attestation::leaf::{Leaf, MessageLeaf};
use conformance::frost::Committee;
use conformance::sample;
use cosmwasm_std::{CosmosMsg, ReplyOn, Response, SubMsg, WasmMsg};
use serde_json::{Value as Json, json};

use crate::chain::{ANYONE, Contract, address, attribute};
use crate::step::{GAS_MAX, bring, message, messages_of, proven, proven_with, sample_commit};

/// An acceptor and its committee.
fn acceptor() -> Option<(Committee, Contract)> {
    let committee = Committee::new(1);
    let acceptor = Contract::new(&messages_of(&committee.key(), None))?;
    Some((committee, acceptor))
}

fn deliver(committee: &mut Committee, message: MessageLeaf) -> Json {
    let seq = message.seq.0;
    bring("deliver", &proven(committee, seq, &Leaf::Message(message)))
}

/// The one call that a delivery orders.
fn call(response: &Response) -> &SubMsg {
    assert_eq!(attribute(response, "outcome"), "dispatched");
    let [call] = response.messages.as_slice() else {
        panic!("one call: {response:?}");
    };
    call
}

fn outcome(acceptor: &Contract, message: &MessageLeaf) -> Json {
    let (channel, number) = (message.channel, message.number.to_string());
    acceptor.query(&json!({ "outcome": { "channel": channel, "number": number } }))
}

fn consumed(acceptor: &Contract, message: &MessageLeaf) -> Json {
    acceptor.query(&json!({ "channel": { "channel": message.channel } }))
}

#[test]
fn a_message_is_dispatched_to_its_receiver_once() {
    let Some((mut committee, mut acceptor)) = acceptor() else {
        return;
    };
    let first = message(5, b"mint", 1);
    let bringing = deliver(&mut committee, first.clone());
    assert_eq!(outcome(&acceptor, &first), Json::Null);
    let response = acceptor.execute(ANYONE, &bringing).response();
    let call = call(&response);
    assert_eq!(call.gas_limit, Some(first.gas));
    assert_eq!(call.reply_on, ReplyOn::Error);
    let CosmosMsg::Wasm(WasmMsg::Execute {
        contract_addr,
        msg,
        funds,
    }) = &call.msg
    else {
        panic!("a call of a contract: {call:?}");
    };
    assert_eq!(*contract_addr, address("receiver"));
    assert!(funds.is_empty());
    let given: Json = serde_json::from_slice(msg).unwrap();
    let wanted = json!({ "on_message": {
        "zapp": first.zapp,
        "channel": first.channel,
        "number": "1",
        "payload": "AQID",
    } });
    assert_eq!(given, wanted);
    assert_eq!(outcome(&acceptor, &first), json!("delivered"));
    for _ in 0..2 {
        let answer = acceptor.execute(ANYONE, &bringing);
        assert_eq!(answer.rule(), "out-of-order", "{answer:?}");
    }
    assert_eq!(consumed(&acceptor, &first), json!("1"));
}

#[test]
fn a_channels_messages_come_in_order_and_another_channels_do_not_wait() {
    let Some((mut committee, mut acceptor)) = acceptor() else {
        return;
    };
    let mut bring = |acceptor: &mut Contract, label: &[u8], number| {
        let message = message(9 - number, label, number);
        acceptor.execute(ANYONE, &deliver(&mut committee, message))
    };
    assert_eq!(bring(&mut acceptor, b"mint", 2).rule(), "out-of-order");
    bring(&mut acceptor, b"mint", 1).response();
    assert_eq!(bring(&mut acceptor, b"mint", 3).rule(), "out-of-order");
    bring(&mut acceptor, b"burn", 1).response();
    bring(&mut acceptor, b"mint", 2).response();
    bring(&mut acceptor, b"mint", 3).response();
    assert_eq!(bring(&mut acceptor, b"burn", 1).rule(), "out-of-order");
}

#[test]
fn a_message_that_fails_is_recorded_and_its_channel_moves_on() {
    let Some((mut committee, mut acceptor)) = acceptor() else {
        return;
    };
    let first = message(5, b"mint", 1);
    let given = deliver(&mut committee, first.clone());
    let response = acceptor.execute(ANYONE, &given).response();
    let response = acceptor.failed(call(&response)).response();
    assert_eq!(attribute(&response, "outcome"), "failed");
    assert_eq!(attribute(&response, "number"), "1");
    assert_eq!(outcome(&acceptor, &first), json!("failed"));
    assert_eq!(acceptor.execute(ANYONE, &given).rule(), "out-of-order");
    let second = message(6, b"mint", 2);
    let given = deliver(&mut committee, second.clone());
    acceptor.execute(ANYONE, &given).response();
    assert_eq!(outcome(&acceptor, &second), json!("delivered"));
    assert_eq!(outcome(&acceptor, &first), json!("failed"));
    assert_eq!(outcome(&acceptor, &message(7, b"mint", 3)), Json::Null);
}

#[test]
fn a_message_that_wants_too_much_gas_is_recorded_and_nobody_is_called() {
    let Some((mut committee, mut acceptor)) = acceptor() else {
        return;
    };
    for (number, gas, failed) in [(1, GAS_MAX, false), (2, GAS_MAX + 1, true), (3, 1, false)] {
        let mut message = message(5, b"mint", number);
        message.gas = gas;
        let given = deliver(&mut committee, message.clone());
        let response = acceptor.execute(ANYONE, &given).response();
        assert_eq!(response.messages.is_empty(), failed, "{gas} gas");
        let wanted = if failed { "too_much_gas" } else { "delivered" };
        assert_eq!(outcome(&acceptor, &message), json!(wanted));
    }
}

#[test]
fn a_receiver_of_20_bytes_stands_in_the_last_of_its_32() {
    let Some((mut committee, mut acceptor)) = acceptor() else {
        return;
    };
    let mut message = message(5, b"mint", 1);
    message.receiver = [7; 32];
    message.receiver[..12].fill(0);
    let given = deliver(&mut committee, message);
    let response = acceptor.execute(ANYONE, &given).response();
    let CosmosMsg::Wasm(WasmMsg::Execute { contract_addr, .. }) = &call(&response).msg else {
        panic!("a call of a contract");
    };
    // 7 repeated 20 times, 32 symbols of 5 bits, between the prefix and the checksum of 6.
    assert_eq!(contract_addr.len(), "cosmwasm1".len() + 32 + 6);
}

#[test]
fn a_message_for_somewhere_else_is_refused_and_consumes_nothing() {
    let Some((mut committee, mut acceptor)) = acceptor() else {
        return;
    };
    let good = message(5, b"mint", 1);
    let mut other_chain = good.clone();
    other_chain.chain = 1;
    let mut other_contract = good.clone();
    other_contract.contract[0] ^= 1;
    let output = Leaf::Output(sample::output(5, 1));
    let before = acceptor.state().clone();
    for (rule, leaf) in [
        ("wrong-chain", Leaf::Message(other_chain)),
        ("wrong-contract", Leaf::Message(other_contract)),
        ("not-a-message", output),
    ] {
        let given = proven(&mut committee, 5, &leaf);
        assert_eq!(
            acceptor.execute(ANYONE, &bring("deliver", &given)).rule(),
            rule
        );
    }
    let leaf = Leaf::Message(good.clone());
    let network = proven_with(&mut committee, &leaf, &mut |leaves| {
        let mut commit = sample_commit(5)(leaves);
        commit.network = NetworkId(1);
        commit
    });
    let other = proven_with(&mut committee, &leaf, &mut |leaves| {
        let mut commit = sample_commit(5)(leaves);
        commit.committee = CommitteeId::from_bytes([3; 32]);
        commit
    });
    let step = proven_with(&mut committee, &leaf, &mut sample_commit(6));
    let stranger = proven(&mut Committee::new(2), 5, &leaf);
    for (rule, given) in [
        ("wrong-network", network),
        ("committee", other),
        ("position", step),
        ("key-id", stranger),
    ] {
        assert_eq!(
            acceptor.execute(ANYONE, &bring("deliver", &given)).rule(),
            rule
        );
    }
    // The same contract on another chain: what was delivered here is not delivered there.
    let mut fork = acceptor.clone();
    fork.env.block.chain_id = "cosmos-testnet-14003".into();
    let given = deliver(&mut committee, good);
    assert_eq!(fork.execute(ANYONE, &given).rule(), "wrong-chain");
    assert_eq!(*acceptor.state(), before);
    acceptor.execute(ANYONE, &given).response();
}

#[test]
fn a_reply_to_nothing_is_refused() {
    let Some((mut committee, mut acceptor)) = acceptor() else {
        return;
    };
    let given = deliver(&mut committee, message(5, b"mint", 1));
    let response = acceptor.execute(ANYONE, &given).response();
    let mut call = call(&response).clone();
    call.payload = vec![0; 39].into();
    assert_eq!(acceptor.failed(&call).rule(), "json");
}
