//! `zq committee`.

use std::fmt::Write as _;

use serde_json::Value;

use crate::arguments::CommitteeVerb;
use crate::failure::Failure;
use crate::node::Node;
use crate::print::{Print, fields, plain};

pub(crate) fn run(verb: &CommitteeVerb, node: &Node, print: &Print) -> Result<(), Failure> {
    let CommitteeVerb::Show = verb;
    print.result(&node.get("/v1/committee")?, text);
    Ok(())
}

fn text(committee: &Value) -> String {
    let mut text = fields(committee);
    for (role, list) in [("member", "members"), ("coordinator", "coordinators")] {
        let cards = committee
            .get(list)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for (at, card) in cards.enumerate() {
            let number = if role == "member" { at + 1 } else { at };
            let identity = card.get("identity").map(plain).unwrap_or_default();
            // Writing to a string does not fail.
            let _ = write!(text, "\n{role} {number}  {identity}");
        }
    }
    text
}
