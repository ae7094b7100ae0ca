//! Host calls for people: one line each.

use runtime::abi::Import;
use runtime::trace::{argument_names, data_names};

use super::{Call, Recorded};

/// Each host call of a run: its number, the gas used so far, the call.
pub(crate) fn lines(run: &Recorded) -> Vec<String> {
    let mut lines: Vec<String> = (1..)
        .zip(&run.calls)
        .map(|(n, call)| numbered(n, call))
        .collect();
    let more = run.calls_total - run.calls.len() as u64;
    if more > 0 {
        lines.push(format!("… and {more} more host calls: see --calls"));
    }
    lines
}

fn numbered(number: usize, call: &Call) -> String {
    format!("{number:>5} {:>12}  {}", call.gas, line(call))
}

/// A host call without its number: indented by depth, arguments in order, result, bytes by name.
pub(crate) fn line(call: &Call) -> String {
    let import = Import::by_name(&call.call);
    let names = import.map(argument_names).unwrap_or_default();
    let args: Vec<String> = names
        .iter()
        .filter_map(|name| call.args.get(*name))
        .map(i32::to_string)
        .collect();
    let returns = import.is_some_and(|import| !import.results().is_empty());
    let result = match returns {
        true => format!(" -> {}", call.result),
        false => String::new(),
    };
    let names = import.map(data_names).unwrap_or_default();
    let data: Vec<String> = names
        .iter()
        .filter_map(|name| Some(format!("{name} {}", readable(call.data.get(*name)?))))
        .collect();
    format!(
        "{}{}({}){result}  {}",
        "  ".repeat(call.depth),
        printable(&call.call),
        args.join(", "),
        data.join(", ")
    )
    .trim_end()
    .to_owned()
}

/// Text in quotes where the bytes are some, digits otherwise.
fn readable(shown: &str) -> String {
    let bytes = hex::decode(shown).unwrap_or_default();
    let is_text = bytes
        .iter()
        .all(|byte| *byte == b' ' || byte.is_ascii_graphic());
    match bytes.is_empty() {
        // Too long for that, or from a file: whatever it is, a terminal is not to obey it.
        true if !shown.is_empty() => printable(shown),
        true => "\"\"".to_owned(),
        false if is_text => format!("{:?}", String::from_utf8_lossy(&bytes)),
        false => format!("0x{shown}"),
    }
}

fn printable(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { '?' } else { char })
        .collect()
}
