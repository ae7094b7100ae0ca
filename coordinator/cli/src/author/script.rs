//! Tests of zApps as files: `tests/*.json` of a project in C or AssemblyScript.
//!
//! A file is a list of what happens on a chain of its own, one thing after the other: a
//! deployment, calls, views, and what each must come to. docs/zapps.md has an example.

use std::fs;
use std::path::{Path, PathBuf};

use attestation::ids::IdentityKey;
use attestation::leaf::Status;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::chain::{Chain, Ran};
use super::serve::why;
use crate::abi::{Abi, Which};
use crate::failure::Failure;
use crate::files;

/// One thing that happens, and what it must come to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Deploys, with the arguments of init.
    init: Option<Map<String, Value>>,
    /// Calls this method.
    call: Option<String>,
    /// Asks this view.
    view: Option<String>,
    /// Arguments by name.
    #[serde(default)]
    with: Map<String, Value>,
    /// Who: the key of which every byte is this. The owner's is 1.
    #[serde(default = "owner")]
    by: u8,
    /// Most gas.
    #[serde(default = "gas")]
    gas: u64,
    /// Sets the time of this step first, Unix milliseconds.
    time_ms: Option<u64>,
    /// The result.
    value: Option<Value>,
    /// Topics of the events, in order.
    events: Option<Vec<String>>,
    /// The name of the revert that it ends with.
    reverts: Option<String>,
    /// `ok`, `reverted`, `trapped`, `out_of_gas` or `refused`; `ok` where nothing is said.
    ends: Option<String>,
}

/// The files of a project's tests, in order.
pub(super) fn files_of(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let folder = dir.join("tests");
    let entries = fs::read_dir(&folder).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    paths.sort();
    match paths.is_empty() {
        true => Err(Failure::new(
            format!("{} holds no tests", folder.display()),
            "write tests/NAME.json; docs/zapps.md has an example",
        )),
        false => Ok(paths),
    }
}

/// Runs one file on a chain of its own: how many cases there were.
pub(super) fn run(path: &Path, wasm: &[u8]) -> Result<usize, Failure> {
    let failed = |what: String| {
        let path = path.display();
        Failure::new(
            format!("{path}: {what}"),
            "change the zApp, or what the test expects; docs/zapps.md says what a test may hold",
        )
    };
    let text = files::read(path, FILE_BYTES_MAX)?;
    let cases: Vec<Case> =
        serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
    let abi = Abi::of_module(wasm);
    let mut chain = Chain::new(wasm).map_err(&failed)?;
    for (number, case) in (1..).zip(&cases) {
        let told = |what: String| failed(format!("case {number}: {what}"));
        case.run(&mut chain, abi.as_ref()).map_err(told)?;
    }
    match cases.is_empty() {
        true => Err(failed("nothing is tested".to_owned())),
        false => Ok(cases.len()),
    }
}

impl Case {
    fn run(&self, chain: &mut Chain, abi: Option<&Abi>) -> Result<(), String> {
        if let Some(ms) = self.time_ms {
            chain.set_time(ms)?;
        }
        let caller = IdentityKey::from_bytes([self.by; 32]);
        let input = |which, values: &Map<String, Value>| {
            let abi = abi.ok_or("the module has no description that zq understands")?;
            let values: Vec<(String, Value)> = values.clone().into_iter().collect();
            abi.input(which, &values).map_err(|failure| match failure {
                Failure::Usage(error) | Failure::Failed { error, .. } => error,
                _ => "arguments that the ABI does not know".to_owned(),
            })
        };
        let (name, which, ran) = match (&self.init, &self.call, &self.view) {
            (Some(values), None, None) if self.with.is_empty() => {
                let ran = chain.deploy(caller, input(Which::Init, values)?)?;
                ("init", None, ran)
            }
            (None, Some(method), None) => {
                let which = Which::Call(method);
                let input = input(which, &self.with)?;
                let ran = chain.call(caller, method, input, self.gas)?;
                (method.as_str(), Some(which), ran)
            }
            (None, None, Some(method)) => {
                let which = Which::View(method);
                let ran = chain.view(method, &input(which, &self.with)?)?;
                (method.as_str(), Some(which), ran)
            }
            (None, None, None) if self.time_ms.is_some() => return Ok(()),
            _ => return Err("one of `init`, `call` and `view`, or `time_ms` alone".to_owned()),
        };
        let value = abi.zip(which);
        let value = value.and_then(|(abi, which)| abi.output(which, &ran.output));
        self.check(&ran, value, abi)
            .map_err(|what| format!("{name}: {what}"))
    }

    fn check(&self, ran: &Ran, value: Option<Value>, abi: Option<&Abi>) -> Result<(), String> {
        let why = why(ran, abi);
        let expected = match (&self.ends, &self.reverts) {
            (Some(ends), _) => ends.as_str(),
            (None, Some(_)) => Status::Reverted.name(),
            (None, None) => Status::Ok.name(),
        };
        let ended = ran.status.name();
        if ended != expected {
            let code = ran.code;
            return Err(format!("expected {expected}, it is {ended} {code} {why}"));
        }
        let named = why.split([':', ' ']).next().unwrap_or_default();
        if let Some(reverts) = self.reverts.as_ref().filter(|reverts| *reverts != named) {
            return Err(format!("expected a revert with {reverts}, it is {why}"));
        }
        if let Some(expected) = &self.value {
            let found = value.unwrap_or_default();
            if plain(&found) != plain(expected) {
                return Err(format!("expected {expected}, it answers {found}"));
            }
        }
        if let Some(expected) = &self.events {
            let topics = ran.events.iter();
            let topics = topics.map(|event| String::from_utf8_lossy(&event.topic).into_owned());
            let topics: Vec<String> = topics.collect();
            if topics != *expected {
                return Err(format!(
                    "expected the events {expected:?}, they are {topics:?}"
                ));
            }
        }
        Ok(())
    }
}

/// Large numbers may stand as text.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

const fn owner() -> u8 {
    1
}

const fn gas() -> u64 {
    50_000_000
}

const FILE_BYTES_MAX: u64 = 1 << 20;
