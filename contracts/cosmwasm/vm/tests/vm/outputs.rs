//! Rule E2 for outputs: each once, in any order, and its effect is one with its consumption.

use attestation::leaf::Leaf;
use conformance::frost::Committee;
use conformance::sample;
use cosmwasm_std::{CosmosMsg, ReplyOn, WasmMsg};
use serde_json::{Value as Json, json};

use crate::chain::{ANYONE, Contract, address};
use crate::step::{bring, outputs_of, proven};

#[test]
fn an_output_goes_to_the_receiver_and_its_refusal_undoes_it() {
    let mut committee = Committee::new(1);
    let receiver = address("receiver");
    let Some(mut acceptor) = Contract::new(&outputs_of(&committee.key(), Some(&receiver))) else {
        return;
    };
    let output = sample::output(7, 1);
    let given = proven(&mut committee, 7, &Leaf::Output(output));
    let response = acceptor
        .execute(ANYONE, &bring("accept_output", &given))
        .response();
    let [call] = response.messages.as_slice() else {
        panic!("one call: {response:?}");
    };
    // The chain undoes the whole call where one that it ordered fails, unless it asked for a reply.
    assert_eq!(
        (call.reply_on.clone(), call.gas_limit),
        (ReplyOn::Never, None)
    );
    let CosmosMsg::Wasm(WasmMsg::Execute {
        contract_addr,
        msg,
        funds,
    }) = &call.msg
    else {
        panic!("a call of a contract: {call:?}");
    };
    assert_eq!((contract_addr, funds.is_empty()), (&receiver, true));
    let given_on: Json = serde_json::from_slice(msg).unwrap();
    let wanted = json!({ "on_output": {
        "seq": "7",
        "index": "1",
        "zapp": output.zapp,
        "request": output.request,
        "status": 0,
        "code": 0,
        "gas": "1000",
        "output": output.output,
        "events": output.events,
    } });
    assert_eq!(given_on, wanted);
    let answer = acceptor.execute(ANYONE, &bring("accept_output", &given));
    assert_eq!(answer.rule(), "consumed");
}

#[test]
fn outputs_are_consumed_one_by_one_over_a_whole_step() {
    let mut committee = Committee::new(1);
    let Some(mut acceptor) = Contract::new(&outputs_of(&committee.key(), None)) else {
        return;
    };
    let leaves = sample::leaves(2, 600);
    let commit = crate::step::sample_commit(2)(&leaves);
    let attestation = committee.attest(commit, &leaves);
    let accept = |acceptor: &mut Contract, index: usize| {
        let receipt = attestation
            .receipt(&committee.key(), &leaves, index)
            .unwrap();
        let given = (receipt, leaves[index].clone());
        acceptor.execute(ANYONE, &bring("accept_output", &given))
    };
    let consumed = |acceptor: &Contract, index: usize| {
        let place = json!({ "seq": "2", "index": index.to_string() });
        acceptor.query(&json!({ "consumed": place })) == json!(true)
    };
    let taken = [600, 1, 255, 256, 257, 511, 512, 8, 7];
    for index in taken {
        assert!(!consumed(&acceptor, index));
        accept(&mut acceptor, index).response();
        assert_eq!(accept(&mut acceptor, index).rule(), "consumed", "{index}");
    }
    for index in 1..=600 {
        assert_eq!(
            consumed(&acceptor, index),
            taken.contains(&index),
            "{index}"
        );
    }
}
