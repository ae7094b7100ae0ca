//! Bad input: nothing that is no message of ours, no receipt or no leaf is taken, and every
//! refusal has a reason.

use attestation::leaf::Leaf;
use conformance::bad;
use conformance::frost::Committee;
use conformance::sample::{self, Step};
use cosmwasm_std::coins;
use serde_json::json;

use crate::chain::{ANYONE, Answer, Contract};
use crate::step::{accept_step, base64, bring, guard, messages_of, outputs_of, proven, terms};

#[test]
fn every_bad_receipt_leaf_and_commit_is_refused_with_a_reason() {
    let key = sample::group_key();
    let Some(mut outputs) = Contract::new(&outputs_of(&key, None)) else {
        return;
    };
    let mut ledger = Contract::new(&ledger_of_samples()).unwrap();
    let step = Step::first(2);
    let good = (step.receipt(1), step.leaves[1].clone());
    let mut seen = 0;
    for case in bad::cases() {
        match case.format {
            "receipt" => {
                let given = (case.bytes.clone(), good.1.clone());
                let answer = outputs.execute(ANYONE, &bring("accept_output", &given));
                assert_eq!(answer.rule(), "receipt", "{}", case.reason);
                continue;
            }
            "leaf" => {
                // Proven, but no leaf: the committee itself signed it.
                let mut leaves = step.leaves.clone();
                leaves[1].clone_from(&case.bytes);
                let commit = sample::commit(1, &leaves, step.attestation.commit.previous);
                let step = Step::sign(commit, leaves);
                let given = (step.receipt(1), case.bytes.clone());
                let answer = outputs.execute(ANYONE, &bring("accept_output", &given));
                assert_eq!(answer.rule(), "leaf", "{}", case.reason);
                seen += 1;
                continue;
            }
            "commit" => {}
            _ => continue,
        }
        let mut call = accept_step(&step.attestation);
        call["accept_step"]["commit"] = json!(base64(&case.bytes));
        assert_eq!(
            ledger.execute(ANYONE, &call).rule(),
            "commit",
            "{}",
            case.reason
        );
        seen += 1;
    }
    assert!(seen >= 25, "{seen} bad inputs");
    outputs
        .execute(ANYONE, &bring("accept_output", &good))
        .response();
    ledger
        .execute(ANYONE, &accept_step(&step.attestation))
        .response();
}

#[test]
fn every_bad_group_key_is_refused_at_registration() {
    let mut seen = 0;
    for case in bad::cases() {
        let Ok(bytes) = <[u8; 32]>::try_from(case.bytes.as_slice()) else {
            continue;
        };
        if case.format != "group_key" {
            continue;
        }
        let key = attestation::ids::GroupKey::from_bytes(bytes);
        let mut ledger = ledger_of_samples();
        ledger["ledger"]["terms"]["group_key"] = json!(key);
        for register in [outputs_of(&key, None), messages_of(&key, None), ledger] {
            let Some((_, answer)) = Contract::try_new(&register) else {
                return;
            };
            assert_eq!(answer.rule(), "group-key", "{}", case.reason);
        }
        seen += 1;
    }
    assert!(seen >= 4, "{seen} bad keys");
}

#[test]
fn what_is_no_message_of_the_contracts_is_refused_as_such() {
    let Some(mut outputs) = Contract::new(&outputs_of(&sample::group_key(), None)) else {
        return;
    };
    let good = json!({ "receipt": "", "leaf": "" });
    let mut more = good.clone();
    more["more"] = json!(1);
    let deep = "[".repeat(10_000);
    for (what, message) in [
        ("nothing", String::new()),
        ("not JSON", "{".into()),
        ("nested beyond bounds", deep),
        ("no action", "{}".into()),
        ("unknown action", json!({ "mint": {} }).to_string()),
        (
            "two actions",
            json!({ "pause": {}, "resume": {} }).to_string(),
        ),
        (
            "a member more",
            json!({ "accept_output": more }).to_string(),
        ),
        (
            "a member less",
            json!({ "accept_output": { "leaf": "" } }).to_string(),
        ),
        (
            "no base64",
            json!({ "accept_output": { "receipt": "*", "leaf": "" } }).to_string(),
        ),
        (
            "hex for base64",
            json!({ "accept_output": { "receipt": "abc", "leaf": "" } }).to_string(),
        ),
        ("no UTF-8", "\u{0}".into()),
    ] {
        let answer = outputs.execute_raw(ANYONE, message.as_bytes());
        assert_eq!(answer.rule(), "json", "{what}: {answer:?}");
    }
    let answer = outputs.execute_raw(ANYONE, &[0xff, 0xfe]);
    assert_eq!(answer.rule(), "json");
    let empty = json!({ "accept_output": good });
    assert_eq!(outputs.execute(ANYONE, &empty).rule(), "receipt");
    let answer = outputs.execute_with(&coins(1, "uatom"), &empty);
    assert_eq!(answer.rule(), "funds");
}

#[test]
fn data_above_bounds_is_refused() {
    let mut committee = Committee::new(1);
    let Some(mut outputs) = Contract::new(&outputs_of(&committee.key(), None)) else {
        return;
    };
    let leaf = Leaf::Output(sample::output(3, 1));
    let (receipt, leaf) = proven(&mut committee, 3, &leaf);
    let long = [receipt.clone(), vec![0; 4096]].concat();
    let answer = outputs.execute(ANYONE, &bring("accept_output", &(long, leaf.clone())));
    assert_eq!(answer.rule(), "receipt");
    let long = [leaf.clone(), vec![0; 1 << 17]].concat();
    let answer = outputs.execute(ANYONE, &bring("accept_output", &(receipt.clone(), long)));
    assert_eq!(answer.rule(), "leaf");
    let call = json!({ "accept_output": { "receipt": base64(&vec![0; 3 << 20]), "leaf": "" } });
    assert!(!matches!(outputs.execute(ANYONE, &call), Answer::Did(_)));
    outputs
        .execute(ANYONE, &bring("accept_output", &(receipt, leaf)))
        .response();
}

#[test]
fn a_contract_does_what_it_was_instantiated_for_and_nothing_else() {
    let key = sample::group_key();
    let Some(mut outputs) = Contract::new(&outputs_of(&key, None)) else {
        return;
    };
    let mut ledger = Contract::new(&ledger_of_samples()).unwrap();
    let mut messages = Contract::new(&messages_of(&key, None)).unwrap();
    let step = Step::first(1);
    let given = (step.receipt(1), step.leaves[1].clone());
    let accept = bring("accept_output", &given);
    let (deliver, change) = (bring("deliver", &given), bring("change_key", &given));
    let accept_step = accept_step(&step.attestation);
    let simple = |action: &str| json!({ action: {} });
    for call in [&accept, &deliver, &change] {
        assert_eq!(ledger.execute(ANYONE, call).rule(), "other-kind");
    }
    for action in ["activate_key", "cancel_key_change", "pause", "resume"] {
        assert_eq!(ledger.execute(ANYONE, &simple(action)).rule(), "other-kind");
    }
    for call in [&deliver, &accept_step] {
        assert_eq!(outputs.execute(ANYONE, call).rule(), "other-kind");
    }
    for call in [&accept, &accept_step] {
        assert_eq!(messages.execute(ANYONE, call).rule(), "other-kind");
    }
    assert!(
        outputs
            .try_query(&simple("head"))
            .unwrap_err()
            .starts_with("other-kind")
    );
    assert!(
        ledger
            .try_query(&simple("trust"))
            .unwrap_err()
            .starts_with("other-kind")
    );
    assert_eq!(
        ledger.query(&simple("config"))["ledger"]["terms"]["group_key"],
        json!(key)
    );
}

#[test]
fn what_is_registered_as_an_address_is_one() {
    let key = sample::group_key();
    for register in [
        messages_of(&key, Some("somebody")),
        outputs_of(&key, Some("somewhere")),
        json!({ "outputs": { "terms": terms(&key), "guard": guard(Some("")), "receiver": null } }),
    ] {
        let Some((_, answer)) = Contract::try_new(&register) else {
            return;
        };
        assert_eq!(answer.rule(), "address");
    }
}

/// A ledger of the sample committee.
pub fn ledger_of_samples() -> serde_json::Value {
    json!({ "ledger": {
        "terms": {
            "network": sample::NETWORK.to_string(),
            "committee": sample::committee(),
            "epoch": "1",
            "profile": sample::profile(),
            "group_key": sample::group_key(),
            "genesis_state": sample::state(0),
        },
        "head": null,
    } })
}
