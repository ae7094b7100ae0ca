//! `zq status`.

use std::fmt::Write as _;

use serde_json::Value;

use crate::failure::Failure;
use crate::node::Node;
use crate::print::{Print, fields, plain};

pub(crate) fn run(node: &Node, print: &Print) -> Result<(), Failure> {
    let status = node.get("/v1/status")?;
    print.result(&status, text);
    if status.get("quorum") == Some(&Value::Bool(false)) {
        let part = |name: &str| status.get(name).map(plain).unwrap_or_default();
        return Err(Failure::NoQuorum(format!(
            "{} members are up, the threshold is {}",
            part("members_up"),
            part("threshold")
        )));
    }
    Ok(())
}

fn text(status: &Value) -> String {
    let mut text = fields(status);
    let list = |pointer: &str| {
        status
            .pointer(pointer)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let up = |value: &Value| {
        if value.get("up") == Some(&Value::Bool(true)) {
            "up"
        } else {
            "DOWN"
        }
    };
    // Writing to a string does not fail.
    for part in list("/node/parts") {
        let part_text = |name: &str| part.get(name).map(plain).unwrap_or_default();
        let _ = write!(
            text,
            "\n{:<12} {:<5} {}",
            part_text("name"),
            up(&part),
            part_text("detail")
        );
    }
    for member in list("/node/members") {
        let slot = member.get("slot").map(plain).unwrap_or_default();
        let head = member.get("head").map(plain).unwrap_or_default();
        let _ = write!(text, "\nmember {slot:<5} {:<5} head {head}", up(&member));
    }
    for alert in list("/node/alerts") {
        let _ = write!(text, "\n! {}", plain(&alert));
    }
    text
}
