//! Whether the OpenAPI document describes an answer: its status, every key of it, and what it
//! requires. What a generated client does not know of, its caller never sees.

use std::collections::BTreeMap;

use serde_json::Value;
use signer_protocol::evidence::Kind;

use super::node::OPENAPI;

/// What the document and the answer to a request disagree about.
pub(super) fn undescribed(
    method: &str,
    path: &str,
    (status, answer): (u16, &Value),
) -> Vec<String> {
    let document: Value = serde_json::from_str(OPENAPI).expect("JSON");
    let mut found = Vec::new();
    let problem = "/components/responses/Problem";
    let response = match operation(&document, method, path) {
        Some(operation) => operation.pointer(&format!("/responses/{status}")),
        // No such path or method.
        None => document.pointer(problem).filter(|_| status >= 400),
    };
    let Some(response) = response.map(|response| resolved(response, &document)) else {
        return vec![format!("status {status}")];
    };
    let schema = response.pointer("/content/application~1json/schema");
    match schema {
        Some(schema) => compare(answer, schema, &document, "answer", &mut found),
        None => found.push("JSON".to_owned()),
    }
    found
}

/// The operation whose path fits with the fewest parameters.
fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let path = path.split('?').next()?;
    let fits = |template: &str| {
        let mut parts = template.split('/').zip(path.split('/'));
        template.split('/').count() == path.split('/').count()
            && parts.all(|(part, given)| part == given || part.starts_with('{'))
    };
    let paths = document.get("paths")?.as_object()?;
    let fitting = paths.iter().filter(|(template, _)| fits(template));
    let (_, methods) = fitting.min_by_key(|(template, _)| template.matches('{').count())?;
    methods.get(method.to_ascii_lowercase())
}

fn resolved<'a>(value: &'a Value, document: &'a Value) -> &'a Value {
    let target = value.get("$ref").and_then(Value::as_str);
    let pointed = target.and_then(|target| document.pointer(target.trim_start_matches('#')));
    pointed.unwrap_or(value)
}

/// The schema itself and those that it is made of.
fn parts<'a>(schema: &'a Value, document: &'a Value) -> Vec<&'a Value> {
    let schema = resolved(schema, document);
    let made_of = schema.get("allOf").and_then(Value::as_array);
    let made_of = made_of.into_iter().flatten();
    let mut all = vec![schema];
    all.extend(made_of.flat_map(|part| parts(part, document)));
    all
}

fn compare(value: &Value, schema: &Value, document: &Value, place: &str, found: &mut Vec<String>) {
    let parts = parts(schema, document);
    let of = |name: &'static str| parts.iter().filter_map(move |part| part.get(name));
    match value {
        Value::Object(members) => {
            let properties = of("properties").filter_map(Value::as_object).flatten();
            let described: BTreeMap<&String, &Value> = properties.collect();
            for (key, member) in members {
                let place = format!("{place}.{key}");
                match described.get(key) {
                    Some(schema) => compare(member, schema, document, &place, found),
                    None => found.push(place),
                }
            }
            let required = of("required").filter_map(Value::as_array).flatten();
            let missing = required.filter_map(Value::as_str);
            let missing = missing.filter(|key| !members.contains_key(*key));
            found.extend(missing.map(|key| format!("{place}.{key} is required")));
        }
        Value::Array(items) => match of("items").next() {
            Some(schema) => items
                .iter()
                .for_each(|item| compare(item, schema, document, &format!("{place}[]"), found)),
            None if items.is_empty() => {}
            None => found.push(format!("{place}[]")),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn a_key_or_status_that_is_not_described_and_one_that_is_required_and_missing_are_found() {
    use serde_json::json;

    let told = |status: u16, answer: Value| undescribed("GET", "/v1/health", (status, &answer));
    let none: [&str; 0] = [];
    assert_eq!(told(200, json!({ "health": "ok" })), none);
    assert_eq!(told(200, json!({})), ["answer.health is required"]);
    assert_eq!(
        told(200, json!({ "health": "ok", "more": 1 })),
        ["answer.more"]
    );
    assert_eq!(told(418, json!({})), ["status 418"]);
    let steps = json!({ "head": 1, "steps": [{ "more": 1 }] });
    let told = undescribed("GET", "/v1/steps?limit=1", (200, &steps));
    assert!(told.contains(&"answer.steps[].more".to_owned()), "{told:?}");
    // What is made of several schemas has the keys of all.
    let report = json!({ "id": "", "evidence": "", "more": 1 });
    let told = undescribed("GET", "/v1/reports/00", (200, &report));
    assert!(told.contains(&"answer.more".to_owned()), "{told:?}");
    assert!(!told.contains(&"answer.id".to_owned()), "{told:?}");
    assert!(!told.contains(&"answer.evidence".to_owned()), "{told:?}");
}

#[test]
fn what_members_say_of_a_ceremony_is_described_in_a_status_and_in_a_change() {
    use attestation::ids::{Digest, Slot};
    use serde_json::json;

    use crate::status::{CeremonyStatus, MemberSays, WaitedFor};

    let ceremony = CeremonyStatus {
        ceremony: "change",
        plan: Some(Digest::from_bytes([1; 32])),
        members_say: vec![MemberSays {
            slot: Slot(1),
            stage: "shares".into(),
            attempt: Some(1),
            here: Some(2),
            missing: vec![Slot(3)],
        }],
        waited_for: vec![WaitedFor {
            slot: Slot(3),
            by: vec![Slot(1)],
        }],
    };
    let status = json!({ "node": { "ceremonies": [ceremony] } });
    let committee = json!({ "change": { "ceremony": ceremony } });
    for (path, answer) in [("/v1/status", status), ("/v1/committee", committee)] {
        let told = undescribed("GET", path, (200, &answer));
        let told: Vec<_> = told
            .iter()
            .filter(|told| told.contains("ceremon"))
            .collect();
        assert!(told.is_empty(), "{told:?}");
    }
}

#[test]
fn every_kind_of_evidence_is_one_that_a_report_may_have() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let kinds = document.pointer("/components/schemas/Report/properties/kind/enum");
    let kinds = kinds.and_then(Value::as_array).unwrap();
    for kind in Kind::ALL {
        assert!(kinds.iter().any(|one| one == kind.id()), "no {}", kind.id());
    }
}
