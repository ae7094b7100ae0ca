//! `zq status`.

use std::fmt::Write as _;

use serde_json::Value;

use crate::command::committee::demands;
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
    let demanded = demands(status);
    if !demanded.is_empty() {
        // Writing to a string does not fail.
        let _ = write!(text, "\ndemands    {demanded}");
    }
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
    for ceremony in list("/node/ceremonies") {
        text.push_str(&in_own_words(&ceremony));
    }
    for alert in list("/node/alerts") {
        let _ = write!(text, "\n! {}", plain(&alert));
    }
    text
}

/// Lines on a ceremony, as the members say it of themselves.
pub(crate) fn in_own_words(ceremony: &Value) -> String {
    let field = |name: &str| ceremony.get(name).map(plain).unwrap_or_default();
    let name = match &*field("ceremony") {
        "key" => "key generation".to_owned(),
        "evm_key" => "key generation (EVM)".to_owned(),
        _ => format!("change {}", field("plan")),
    };
    let rows = |name: &str| {
        let rows = ceremony.get(name).and_then(Value::as_array);
        rows.into_iter().flatten()
    };
    let mut text = format!("\n{name}, as the members say:");
    for says in rows("members_say") {
        let part = |name: &str| says.get(name).map(plain).unwrap_or_default();
        let (slot, stage) = (part("slot"), part("stage"));
        // Writing to a string does not fail.
        let _ = match says.get("attempt") {
            Some(attempt) => write!(
                text,
                "\n  member {slot:<5} has {} {stage} of attempt {}, waits for {}",
                part("here"),
                plain(attempt),
                or_dash(&slots(says, "missing")),
            ),
            None => write!(text, "\n  member {slot:<5} {stage}"),
        };
    }
    for waited in rows("waited_for") {
        let slot = waited.get("slot").map(plain).unwrap_or_default();
        let _ = write!(text, "\n  waited for: {slot}, by {}", slots(waited, "by"));
    }
    text
}

fn slots(value: &Value, name: &str) -> String {
    let slots = value.get(name).and_then(Value::as_array);
    let slots: Vec<String> = slots.into_iter().flatten().map(plain).collect();
    slots.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ceremony_is_told_with_who_is_waited_for_and_by_whom() {
        let key = json!({
            "ceremony": "key",
            "members_say": [
                { "slot": 1, "stage": "shares", "attempt": 2, "here": 3, "missing": [2, 4] },
                { "slot": 3, "stage": "canary shares", "attempt": 2, "here": 4, "missing": [] },
                { "slot": 5, "stage": "complete", "missing": [] },
            ],
            "waited_for": [{ "slot": 2, "by": [1] }, { "slot": 4, "by": [1] }],
        });
        let told = "
key generation, as the members say:
  member 1     has 3 shares of attempt 2, waits for 2, 4
  member 3     has 4 canary shares of attempt 2, waits for –
  member 5     complete
  waited for: 2, by 1
  waited for: 4, by 1";
        assert_eq!(in_own_words(&key), told);
        let change = json!({ "ceremony": "change", "plan": "ab12" });
        assert_eq!(in_own_words(&change), "\nchange ab12, as the members say:");
    }
}
