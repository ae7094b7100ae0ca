//! `zq zapp check`: the gatekeeper's verdict, told to the end.

use std::collections::BTreeMap;
use std::path::Path;

use runtime::inspect::{Parts, function_names, inspect};
use runtime::{PreparedModule, Rejection, limits};
use serde_json::{Value, json};

use super::build::deploy_gas;
use crate::abi::Abi;
use crate::failure::Failure;
use crate::files;
use crate::print::{Print, plain};

pub(crate) fn run(path: &Path, print: &Print) -> Result<(), Failure> {
    let wasm = files::read(path, files::MODULE_BYTES_MAX)?;
    let names = function_names(&wasm);
    let verdict = inspect(&wasm)
        .and_then(|parts| Ok((parts, runtime::prepare(&wasm).map_err(|one| vec![one])?)));
    match verdict {
        Ok((parts, prepared)) => {
            let value = accepted(&wasm, &parts, &prepared, &names);
            print.result(&value, |value| text(path, value));
            Ok(())
        }
        Err(rejections) => {
            let told: Vec<Value> = rejections.iter().map(|one| told(one, &names)).collect();
            let value = json!({ "valid": false, "rejections": told });
            print.result(&value, |_| lines(&rejections, &names));
            Err(failure(path, rejections.len()))
        }
    }
}

/// The failure of a build whose module is refused: `wasm` is judged, `whole` has the names.
pub(super) fn refused(path: &Path, wasm: &[u8], whole: &[u8]) -> Failure {
    let rejections = inspect(wasm).err().unwrap_or_default();
    eprintln!("{}", lines(&rejections, &function_names(whole)));
    failure(path, rejections.len())
}

fn failure(path: &Path, count: usize) -> Failure {
    let rules = if count == 1 { "a rule" } else { "rules" };
    Failure::new(
        format!(
            "{} breaks {rules} of the runtime: no node takes it",
            path.display()
        ),
        "change what each line says; docs/zapps.md has all limits",
    )
}

fn lines(rejections: &[Rejection], names: &BTreeMap<u32, String>) -> String {
    let line = |rejection: &Rejection| {
        let place = match rejection.function {
            Some(index) => format!("{}, ", function(index, names)),
            None => String::new(),
        };
        let (rule, offset, message) = (rejection.rule, rejection.offset, &rejection.message);
        format!("{rule}: {place}byte {offset:#x}: {message}")
    };
    rejections.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn told(rejection: &Rejection, names: &BTreeMap<u32, String>) -> Value {
    json!({
        "rule": rejection.rule.id(),
        "function": rejection.function,
        "name": rejection.function.and_then(|index| name_of(index, names)),
        "offset": rejection.offset,
        "message": rejection.message,
    })
}

fn function(index: u32, names: &BTreeMap<u32, String>) -> String {
    match name_of(index, names) {
        Some(name) => format!("function {index} ({name})"),
        None => format!("function {index}"),
    }
}

fn name_of(index: u32, names: &BTreeMap<u32, String>) -> Option<String> {
    names.get(&index).map(|symbol| readable(symbol))
}

/// A symbol of rustc's (`_ZN5hello4vote17h0123456789abcdefE`) as a path; others as they are.
fn readable(symbol: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let mut rest = symbol.strip_prefix("_ZN").unwrap_or_default();
    while let Some((digits, text)) = rest
        .find(|c: char| !c.is_ascii_digit())
        .and_then(|end| rest.split_at_checked(end))
    {
        let length = digits.parse().ok();
        let Some((part, left)) = length.and_then(|length| text.split_at_checked(length)) else {
            break;
        };
        parts.push(part);
        rest = left;
    }
    // The last part is a hash.
    parts.pop();
    if parts.is_empty() {
        return symbol.to_owned();
    }
    let path = parts.join("::");
    let marks = [
        ("$LT$", "<"),
        ("$GT$", ">"),
        ("$C$", ","),
        ("$RF$", "&"),
        ("..", "::"),
    ];
    marks
        .iter()
        .fold(path, |path, (mark, text)| path.replace(mark, text))
}

fn accepted(
    wasm: &[u8],
    parts: &Parts,
    prepared: &PreparedModule,
    names: &BTreeMap<u32, String>,
) -> Value {
    let abi = Abi::of_module(wasm);
    let frame = parts.worst_frame.map(
        |(index, bytes)| json!({ "function": index, "name": names.get(&index).map(|name| readable(name)), "bytes": bytes }),
    );
    json!({
        "valid": true,
        "zapp": abi.as_ref().map(|abi| &abi.name),
        "module": prepared.original,
        "bytes": wasm.len(),
        "functions": prepared.functions,
        "operators": prepared.operators,
        "deploy_gas": deploy_gas(prepared),
        "start_gas": parts.start_gas,
        "pages": parts.pages_initial,
        "pages_max": parts.pages_max,
        "access_gas": parts.access_gas,
        "worst_frame": frame,
        "stack_bytes": limits::STACK_BYTES,
        "methods": abi.map(|abi| abi.lines()),
        "methods_fault": Abi::fault_of_module(wasm),
    })
}

fn text(path: &Path, value: &Value) -> String {
    let part = |pointer: &str| value.pointer(pointer).map(plain).unwrap_or_default();
    let name = match value.pointer("/worst_frame/name").and_then(Value::as_str) {
        Some(name) => format!("function {} ({name})", part("/worst_frame/function")),
        None => format!("function {}", part("/worst_frame/function")),
    };
    let mut lines = vec![
        format!("{} may be deployed", path.display()),
        format!("module       {}", part("/module")),
        format!(
            "size         {} bytes, at most {}",
            part("/bytes"),
            limits::MODULE_BYTES_MAX
        ),
        format!(
            "code         {} functions, {} operators as priced",
            part("/functions"),
            part("/operators")
        ),
        format!(
            "deploy gas   {}, and what its init uses",
            part("/deploy_gas")
        ),
        format!(
            "call gas     {}, before its first instruction",
            part("/start_gas")
        ),
        format!(
            "memory       {} pages at first, at most {}: a load or store costs {} gas",
            part("/pages"),
            part("/pages_max"),
            part("/access_gas")
        ),
        format!(
            "worst frame  {} of {} bytes of stack: {name}",
            part("/worst_frame/bytes"),
            part("/stack_bytes")
        ),
    ];
    match value.get("methods").and_then(Value::as_array) {
        Some(methods) => lines.extend(methods.iter().map(plain)),
        None => lines.push(match value.get("methods_fault").and_then(Value::as_str) {
            Some(fault) => format!("methods      not told: in zapp.abi, {fault}"),
            None => "methods      not told: it has no section zapp.abi".to_owned(),
        }),
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::schedule;

    /// `1234567` as `1,234,567`.
    fn grouped(number: u64) -> String {
        let digits = number.to_string();
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    }

    #[test]
    fn symbols_are_shown_as_paths() {
        for (symbol, path) in [
            (
                "_ZN6ledger6ledger4mint17h84ac109e076502f0E",
                "ledger::ledger::mint",
            ),
            (
                "_ZN4zapp16Map$LT$K$C$V$GT$3get17h84ac109e076502f0E",
                "zapp::Map<K,V>::get",
            ),
            ("zapp_main", "zapp_main"),
            ("_ZN", "_ZN"),
            ("_ZN99short", "_ZN99short"),
            ("_ZNé", "_ZNé"),
        ] {
            assert_eq!(readable(symbol), path);
        }
    }

    #[test]
    fn the_guide_has_the_limits_and_prices_of_the_runtime() {
        let guide = include_str!("../../../../docs/zapps.md");
        let lengths = |row: &str, numbers: &[usize]| {
            let numbers: Vec<String> = numbers.iter().map(|n| grouped(*n as u64)).collect();
            format!("| {row} | {} |", numbers.join(", "))
        };
        let call = schedule::HOST_CALL;
        let rows = [
            lengths("bytes", &[limits::MODULE_BYTES_MAX]),
            lengths("functions", &[limits::FUNCTIONS_MAX as usize]),
            lengths(
                "bytes, operators of one function",
                &[limits::BODY_BYTES_MAX, limits::BODY_OPERATORS_MAX as usize],
            ),
            lengths("blocks within blocks", &[limits::NESTING_MAX as usize]),
            lengths("locals of one function", &[limits::LOCALS_MAX as usize]),
            lengths("`zapp.abi`, bytes", &[limits::CUSTOM_BYTES_MAX]),
            format!("| gas | {} |", grouped(limits::CALL_GAS_MAX)),
            lengths(
                "writes, and their bytes",
                &[limits::WRITES_MAX, limits::WRITES_BYTES_MAX],
            ),
            lengths(
                "events, and their bytes",
                &[limits::EVENTS_MAX, limits::EVENTS_BYTES_MAX],
            ),
            format!(
                "| output | {} bytes |",
                grouped(limits::OUTPUT_BYTES_MAX as u64)
            ),
            format!(
                "| read an entry | {}, and {} per byte |",
                grouped(call + schedule::HOST_GET),
                schedule::HOST_GET_BYTE
            ),
            format!(
                "| write or delete one | {},",
                grouped(call + schedule::HOST_SET)
            ),
            format!("| next key | {},", grouped(call + schedule::HOST_NEXT)),
            format!("| event | {},", grouped(call + schedule::HOST_EMIT)),
            format!("| hash | {},", grouped(call + schedule::HOST_HASH)),
            format!(
                "| verify a signature | {},",
                grouped(call + schedule::HOST_VERIFY_ED25519)
            ),
            format!(
                "| deploying | {}, {} per function, {} per operator",
                grouped(state::limits::DEPLOY_GAS),
                grouped(state::limits::DEPLOY_FUNCTION_GAS),
                grouped(state::limits::DEPLOY_OPERATOR_GAS)
            ),
        ];
        for row in rows {
            assert!(guide.contains(&row), "docs/zapps.md has no {row}");
        }
    }
}
