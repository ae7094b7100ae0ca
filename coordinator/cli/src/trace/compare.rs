//! The first place where two runs of one call differ.

use serde_json::{Value, json};

use super::{Call, Recorded, line};

/// What differs first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    /// A host call, by its number from 1; none where a run had ended.
    Call {
        number: usize,
        one: Option<Box<Call>>,
        other: Option<Box<Call>>,
    },
    /// No host call that is kept, but some of those that are not, or how many there are.
    Beyond { kept: usize },
    /// All host calls are the same; the end is not.
    End {
        part: &'static str,
        one: String,
        other: String,
    },
}

/// Compares host call by host call, then the ends.
pub(crate) fn first_difference(one: &Recorded, other: &Recorded) -> Option<Difference> {
    let kept = one.calls.len().min(other.calls.len());
    let differs = one.calls.iter().zip(&other.calls).position(|(a, b)| a != b);
    // Where a trace ends because no more was kept, nothing is known of what came after.
    let whole = |run: &Recorded| run.calls.len() as u64 == run.calls_total;
    let longer = one.calls.len() != other.calls.len() && {
        let shorter = if one.calls.len() == kept { one } else { other };
        whole(shorter)
    };
    if let Some(at) = differs.or(longer.then_some(kept)) {
        let call = |run: &Recorded| run.calls.get(at).cloned().map(Box::new);
        return Some(Difference::Call {
            number: at + 1,
            one: call(one),
            other: call(other),
        });
    }
    if one.calls_total != other.calls_total {
        return Some(Difference::Beyond { kept });
    }
    let (a, b) = match (&one.end, &other.end) {
        (Some(a), Some(b)) => (a, b),
        (None, None) => return None,
        (a, b) => {
            let end = |there: bool| if there { "an outcome" } else { "no outcome" };
            return Some(Difference::End {
                part: "end",
                one: end(a.is_some()).to_owned(),
                other: end(b.is_some()).to_owned(),
            });
        }
    };
    let parts = [
        ("status", a.status.clone(), b.status.clone()),
        ("code", a.code.to_string(), b.code.to_string()),
        ("gas", a.gas.to_string(), b.gas.to_string()),
        ("output", a.output.clone(), b.output.clone()),
    ];
    let part = parts.into_iter().find(|(_, one, other)| one != other);
    if let Some((part, one, other)) = part {
        return Some(Difference::End { part, one, other });
    }
    // The trace covers the request's id too: runs of two requests may be compared.
    let same = one.request != other.request || a.trace == b.trace;
    (!same).then_some(Difference::Beyond { kept })
}

impl Difference {
    /// For people; `names` are whose runs they are.
    pub(crate) fn text(&self, names: (&str, &str)) -> String {
        match self {
            Self::Call { number, one, other } => {
                let shown = |call: &Option<Box<Call>>| {
                    call.as_ref().map_or_else(
                        || "ended before it".to_owned(),
                        |call| format!("{} gas {}", line(call).trim_start(), call.gas),
                    )
                };
                format!(
                    "host call {number} is the first that differs:\n  {}: {}\n  {}: {}",
                    names.0,
                    shown(one),
                    names.1,
                    shown(other)
                )
            }
            Self::Beyond { kept } => format!(
                "the first {kept} host calls are the same, later ones or bytes that are not shown \
                 differ: give a larger --calls"
            ),
            Self::End { part, one, other } => format!(
                "all host calls are the same; {part} differs:\n  {}: {one}\n  {}: {other}",
                names.0, names.1
            ),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Call { number, one, other } => {
                json!({ "host_call": number, "one": one, "other": other })
            }
            Self::Beyond { kept } => json!({ "after_host_call": kept }),
            Self::End { part, one, other } => {
                json!({ "end": part, "one": one, "other": other })
            }
        }
    }
}
