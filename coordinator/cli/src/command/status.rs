//! `zq status`.

use std::fmt::Write as _;

use serde_json::Value;

use crate::failure::Failure;
use crate::node::Node;
use crate::print::{Print, plain};

pub(crate) fn run(node: &Node, print: &Print) -> Result<(), Failure> {
    let status = node.get("/v1/status")?;
    print.result(&status, text);
    if status.get("quorum") == Some(&Value::Bool(false)) {
        let part = |name: &str| status.get(name).map(plain).unwrap_or_default();
        return Err(Failure::NoQuorum(format!(
            "{} members can vote, the threshold is {}",
            part("members_voting"),
            part("threshold")
        )));
    }
    Ok(())
}

fn verdict(status: &Value) -> &'static str {
    let is = |name: &str, value: bool| status.get(name) == Some(&Value::Bool(value));
    if is("quorum", false) {
        "NO QUORUM, nothing is attested until more can vote"
    } else if is("ready", false) {
        "the committee has no key yet"
    } else {
        "requests are attested"
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}

fn text(status: &Value) -> String {
    let field = |name: &str| status.get(name).map(plain).unwrap_or_default();
    let mut text = format!(
        "committee  {}\nmembers    {} up, {} can vote, threshold {}: {}\nhead       step {}\nwaiting    {} \
         requests\nnode       version {}",
        field("committee_id"),
        field("members_up"),
        field("members_voting"),
        field("threshold"),
        verdict(status),
        field("head"),
        field("requests_pending"),
        field("version"),
    );
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
        if let Some(machine) = part.get("machine") {
            let fact = |name: &str| machine.get(name).map(plain).unwrap_or_default();
            let _ = write!(
                text,
                "\n{:<18} image {}, {}, {} MiB, connected after {} ms, up {} s",
                "",
                fact("image"),
                fact("accelerator"),
                fact("memory_mib"),
                or_dash(&part_text("boot_ms")),
                or_dash(&part_text("uptime_s")),
            );
        }
    }
    for member in list("/node/members") {
        let slot = member.get("slot").map(plain).unwrap_or_default();
        let head = member.get("head").map(plain).unwrap_or_default();
        let silent = member.get("up") == Some(&Value::Bool(true))
            && member.get("votes") == Some(&Value::Bool(false));
        let silent = if silent { ", CANNOT VOTE" } else { "" };
        let _ = write!(
            text,
            "\nmember {slot:<5} {:<5} head {head}{silent}",
            up(&member)
        );
    }
    for alert in list("/node/alerts") {
        let _ = write!(text, "\n! {}", plain(&alert));
    }
    text
}
