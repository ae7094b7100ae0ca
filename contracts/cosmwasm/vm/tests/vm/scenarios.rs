//! The scenarios of `contracts/acceptor`, run against the contract as they stand.

use std::fs;

use attestation::commit::Commit;
use attestation::step_attestation::StepAttestation;
use conformance::golden;
use serde_json::{Value as Json, json};

use crate::chain::{ANYONE, Contract, attribute};
use crate::step::{accept_step, bring, guard};

#[test]
fn every_scenario_of_the_rulebook_ends_in_the_machine_as_it_says() {
    let folder = golden::repository().join("contracts/acceptor/scenarios");
    let mut events = [0, 0];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let scenario: Json = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let ran = match scenario["rule"].as_str() {
            Some("E1") => run_ledger(&scenario).map(|ran| events[0] += ran),
            Some("E2") => run_outputs(&scenario).map(|ran| events[1] += ran),
            rule => panic!("{}: rule {rule:?}", path.display()),
        };
        if ran.is_none() {
            return;
        }
    }
    assert!(events[0] >= 37 && events[1] >= 22, "{events:?} events");
}

fn run_ledger(scenario: &Json) -> Option<usize> {
    let register = json!({ "ledger": { "terms": scenario["terms"], "head": scenario["head"] } });
    let mut ledger = Contract::new(&register)?;
    let head = json!({ "head": {} });
    let events = scenario["events"].as_array().unwrap();
    for event in events {
        let given = &event["attestation"];
        let attestation = StepAttestation {
            commit: Commit::from_bytes(&bytes(&given["commit"])).unwrap(),
            root: given["root"].as_str().unwrap().parse().unwrap(),
            signature: given["signature"].as_str().unwrap().parse().unwrap(),
        };
        let before = ledger.state().clone();
        let answer = ledger.execute(ANYONE, &accept_step(&attestation));
        if event["accepted"] == Json::Null {
            assert_eq!(answer.rule(), event["refused"], "{}", event["name"]);
            assert_eq!(*ledger.state(), before, "a refusal changes nothing");
        } else {
            let response = answer.response();
            assert_eq!(ledger.query(&head), event["accepted"], "{}", event["name"]);
            assert_eq!(attribute(&response, "seq"), event["accepted"]["seq"]);
            let statement = attribute(&response, "statement");
            assert_eq!(statement, event["accepted"]["statement"]);
        }
    }
    Some(events.len())
}

fn run_outputs(scenario: &Json) -> Option<usize> {
    let terms = &scenario["terms"];
    let mut acceptor = Contract::new(&json!({ "outputs": {
        "terms": {
            "network": terms["network"],
            "committee": terms["committee"],
            "group_key": terms["group_key"],
        },
        "guard": guard(None),
        "receiver": null,
    } }))?;
    let events = scenario["events"].as_array().unwrap();
    for event in events {
        let given = (bytes(&event["receipt"]), bytes(&event["leaf"]));
        let before = acceptor.state().clone();
        let answer = acceptor.execute(ANYONE, &bring("accept_output", &given));
        let accepted = &event["accepted"];
        if *accepted == Json::Null {
            assert_eq!(answer.rule(), event["refused"], "{}", event["name"]);
            assert_eq!(*acceptor.state(), before, "a refusal changes nothing");
            continue;
        }
        let response = answer.response();
        for member in ["seq", "index", "request"] {
            assert_eq!(
                attribute(&response, member),
                accepted[member],
                "{}",
                event["name"]
            );
        }
        assert_eq!(
            attribute(&response, "status"),
            accepted["status"].to_string()
        );
        let place = json!({ "seq": accepted["seq"], "index": accepted["index"] });
        assert_eq!(acceptor.query(&json!({ "consumed": place })), json!(true));
    }
    Some(events.len())
}

fn bytes(value: &Json) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}
