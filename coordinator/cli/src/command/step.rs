//! `zq step`.

use std::fmt::Write as _;

use serde_json::Value;

use crate::arguments::StepVerb;
use crate::failure::Failure;
use crate::node::Node;
use crate::print::{Print, fields_of, plain};

pub(crate) fn run(verb: &StepVerb, node: &Node, print: &Print) -> Result<(), Failure> {
    let StepVerb::Show { seq } = verb;
    let seq = match seq {
        Some(seq) => *seq,
        None => newest(node)?,
    };
    print.result(&node.get(&format!("/v1/steps/{seq}"))?, text);
    Ok(())
}

fn newest(node: &Node) -> Result<u64, Failure> {
    let steps = node.get("/v1/steps?limit=1")?;
    match steps.get("head").and_then(Value::as_u64) {
        Some(seq) if seq > 0 => Ok(seq),
        _ => Err(Failure::new(
            "the committee has attested no step",
            "send a request first",
        )),
    }
}

fn text(step: &Value) -> String {
    let mut text = fields_of(
        step,
        &[
            "seq",
            "statement",
            "committee",
            "epoch",
            "time_ms",
            "tree_size",
            "gas_used",
            "root",
            "signature",
            "previous",
            "previous_state",
            "state",
            "inputs",
            "trace",
            "profile",
            "network",
            "anchor_height",
            "anchor",
        ],
    );
    for leaf in step
        .get("leaves")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let part = |name: &str| leaf.get(name).map(plain).unwrap_or_default();
        let what = match leaf.get("request") {
            Some(request) => format!(
                "{} gas {} request {}",
                part("status"),
                part("gas"),
                plain(request)
            ),
            None => format!("settles {} requests, gas {}", part("requests"), part("gas")),
        };
        // Writing to a string does not fail.
        let _ = write!(text, "\nleaf {:>4}  {what}", part("leaf"));
    }
    text
}
