//! `zq report`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::arguments::ReportVerb;
use crate::command::replay;
use crate::failure::Failure;
use crate::node::Node;
use crate::print::{Print, fields, plain};

pub(crate) fn run(
    verb: &ReportVerb,
    node: &(impl Fn() -> Result<Node, Failure> + Sync),
    print: &Print,
) -> Result<(), Failure> {
    match verb {
        ReportVerb::Replay(arguments) => return replay::run(arguments, node, print),
        ReportVerb::List { limit } => {
            print.result(&node()?.get(&format!("/v1/reports?limit={limit}"))?, list);
        }
        ReportVerb::Show { report, out } => {
            let path = format!("/v1/reports/{report}");
            let node = node()?;
            let shown = node.get(&path)?;
            if let Some(out) = out {
                let has_job = shown.get("job") == Some(&Value::Bool(true));
                let job = match has_job {
                    true => Some(node.get_bytes(&format!("{path}/job"))?),
                    false => None,
                };
                save_modules(out, &node, job.as_deref())?;
                save(out, &report.to_string(), &shown, job)?;
            }
            print.result(&shown, show);
        }
    }
    Ok(())
}

pub(super) fn list(reports: &Value) -> String {
    let rows = reports.get("reports").and_then(Value::as_array);
    let lines = rows.into_iter().flatten().map(|report| {
        let part = |name: &str| report.get(name).map(plain).unwrap_or_default();
        let proof = if report.get("proof") == Some(&Value::Bool(true)) {
            "proven"
        } else {
            ""
        };
        format!(
            "{}  {:<16} {:>5}x {proof:<7} {}",
            part("id"),
            part("kind"),
            part("times"),
            part("what")
        )
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return "no reports".to_owned();
    }
    lines.join("\n")
}

fn show(report: &Value) -> String {
    let mut text = fields(report);
    let votes = report.get("votes").and_then(Value::as_array);
    for vote in votes.into_iter().flatten() {
        let part = |name: &str| vote.get(name).map(plain).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\nmember {} (view {}) for {}",
            part("member"),
            part("view"),
            part("statement")
        );
    }
    let silent = report.get("silent").and_then(Value::as_array);
    for slot in silent.into_iter().flatten() {
        let _ = write!(text, "\nmember {} silent", plain(slot));
    }
    text
}

fn save(dir: &Path, id: &str, report: &Value, job: Option<Vec<u8>>) -> Result<(), Failure> {
    let evidence = report.get("evidence").map(plain).unwrap_or_default();
    let evidence = hex::decode(evidence).map_err(|_| {
        Failure::new(
            "the node's evidence is not hexadecimal",
            "ask another node, or compare the versions of zq and node",
        )
    })?;
    let files = [("report", Some(evidence)), ("job", job)];
    for (name, bytes) in files {
        let Some(bytes) = bytes else { continue };
        write(&dir.join(format!("{id}.{name}.cbor")), &bytes)?;
    }
    Ok(())
}

/// The modules that a job runs, each under its digest.
fn save_modules(dir: &Path, node: &Node, job: Option<&[u8]>) -> Result<(), Failure> {
    for module in job.map(replay::modules_of).transpose()?.unwrap_or_default() {
        let wasm = node.get_bytes(&format!("/v1/modules/{module}"))?;
        write(&dir.join(format!("{module}.wasm")), &wasm)?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| {
        Failure::new(
            format!("cannot write {}: {error}", path.display()),
            "choose a directory that exists and that you may write to",
        )
    })
}
