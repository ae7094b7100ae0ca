//! `zq zapp trace`.

use std::fs;
use std::path::Path;

use attestation::ids::IdentityKey;
use attestation::leaf::Status;
use serde_json::{Value, json};

use super::chain::{Chain, Ran, SAVED_BYTES_MAX};
use super::serve::why;
use crate::abi::{Abi, Which};
use crate::arguments::Input;
use crate::arguments::trace::TraceArguments;
use crate::command::input::Given;
use crate::engines::on_deep_stack;
use crate::failure::Failure;
use crate::files;
use crate::print::{Print, fields_of, plain};
use crate::trace::{Difference, Recorded, against, lines, shown};

/// Who deploys, and calls if nobody else is named.
const OWNER: IdentityKey = IdentityKey::from_bytes([1; 32]);

pub(crate) fn run(arguments: TraceArguments, print: &Print) -> Result<(), Failure> {
    let against = arguments.tracing.against.clone();
    let theirs = against.as_deref().map(against::read).transpose()?;
    let (mut value, runs) = on_deep_stack(move || traced(&arguments))?;
    let difference = theirs.and_then(|theirs| against::compare(&runs, &theirs));
    if let (Some(object), Some(difference)) = (value.as_object_mut(), &difference) {
        object.insert("difference".to_owned(), difference.to_json());
    }
    print.result(&value, |value| text(value, &runs, difference.as_ref()));
    match difference {
        Some(_) => Err(Failure::new(
            "the two traces differ",
            "the first place is printed above",
        )),
        None => Ok(()),
    }
}

/// Deploys or restores, then runs the one call that is traced.
fn traced(arguments: &TraceArguments) -> Result<(Value, Vec<Recorded>), Failure> {
    let wasm = files::read(&arguments.module, files::MODULE_BYTES_MAX)?;
    let abi = Abi::of_module(&wasm);
    let failed = |why: String| Failure::new(why, "see `zq zapp check` and docs/zapps.md");
    let engines = arguments.tracing.engine.engines();
    let mut chain = Chain::on(&wasm, &engines).map_err(failed)?;
    let calls_max = usize::try_from(arguments.tracing.calls).unwrap_or(usize::MAX);
    let (method, is_init) = (arguments.method.as_str(), arguments.method == "init");
    if is_init {
        if arguments.state.is_some() {
            let message = "init: it ran when the state of --state began; leave out --state";
            return Err(Failure::Usage(message.to_owned()));
        }
        chain.record_calls(calls_max);
    }
    let input = match (&arguments.state, is_init) {
        (Some(path), _) => {
            restore(&mut chain, path)?;
            None
        }
        (None, true) => Some(Given::of(&arguments.input)?),
        (None, false) => Some(Given::of(&init_of(arguments))?),
    };
    let mut ran = None;
    if let Some(input) = input {
        let input = input.bytes(abi.as_ref(), Which::Init)?;
        let deployed = chain.deploy(OWNER, input);
        let deployed = deployed.map_err(|why| failed(chain.apart(why)))?;
        if deployed.status != Status::Ok && !is_init {
            return Err(Failure::new(
                format!(
                    "init {}: {}",
                    deployed.status.name(),
                    why(&deployed, abi.as_ref())
                ),
                "give its arguments as --init NAME=VALUE; `zq zapp trace MODULE init` traces it",
            ));
        }
        ran = is_init.then_some(deployed);
    }
    if let Some(ms) = arguments.time {
        chain.set_time(ms).map_err(Failure::Usage)?;
    }
    let is_view = abi.as_ref().and_then(|abi| abi.is_view(method));
    let is_view = arguments.view || is_view.unwrap_or_default();
    let which = match is_view {
        true => Which::View(method),
        false => Which::Call(method),
    };
    let ran = match ran {
        Some(ran) => ran,
        None => {
            let input = Given::of(&arguments.input)?.bytes(abi.as_ref(), which)?;
            chain.record_calls(calls_max);
            let caller = arguments.caller.unwrap_or(OWNER);
            let ran = match is_view {
                true => chain.view(method, &input),
                false => chain.call(caller, method, input, arguments.gas),
            };
            ran.map_err(|why| failed(chain.apart(why)))?
        }
    };
    if let Some(path) = &arguments.save {
        let saved = chain.save().map_err(failed)?;
        fs::write(path, saved).map_err(|error| Failure::file(path, &error))?;
    }
    let kind = match (is_init, is_view) {
        (true, _) => "init",
        (_, true) => "view",
        _ => "call",
    };
    let names: Vec<&str> = engines.iter().map(|(name, _)| *name).collect();
    let recorded = chain.recorded().into_iter().next();
    let runs = recorded.map(|(_, runs)| runs).unwrap_or_default();
    let mut value = outcome(&ran, abi.as_ref(), (!is_init).then_some(which));
    if let Some(object) = value.as_object_mut() {
        object.insert("method".to_owned(), json!(method));
        object.insert("kind".to_owned(), json!(kind));
        object.insert("engines".to_owned(), json!(names.join(", ")));
        object.insert("runs".to_owned(), json!(runs));
    }
    Ok((value, runs))
}

fn init_of(arguments: &TraceArguments) -> Input {
    Input {
        named: arguments.init.clone(),
        json_args: None,
        input: arguments.init_input.clone(),
        arg: Vec::new(),
    }
}

fn restore(chain: &mut Chain, path: &Path) -> Result<(), Failure> {
    let bytes = files::read(path, SAVED_BYTES_MAX as u64)?;
    let restored = chain.restore(&bytes);
    restored.map_err(|why| Failure::new(format!("{}: {why}", path.display()), "see --save"))
}

fn outcome(ran: &Ran, abi: Option<&Abi>, which: Option<Which<'_>>) -> Value {
    let events = ran.events.iter();
    let events = events.map(|event| {
        json!({
            "zapp": event.zapp,
            "topic": shown(&event.topic),
            "data": shown(&event.data),
        })
    });
    let log = ran.log.iter().map(|line| line.escape_ascii().to_string());
    let value = abi.zip(which).filter(|_| ran.status == Status::Ok);
    let value = value.and_then(|(abi, which)| abi.output(which, &ran.output));
    json!({
        "status": ran.status.name(),
        "code": ran.code,
        "why": why(ran, abi),
        "gas": ran.gas,
        "output": shown(&ran.output),
        "value": value,
        "events": events.collect::<Vec<_>>(),
        "log": log.collect::<Vec<_>>(),
        "trace": ran.trace,
        "trace_root": ran.trace_root,
    })
}

fn text(value: &Value, runs: &[Recorded], difference: Option<&Difference>) -> String {
    let mut text = Vec::new();
    for run in runs {
        text.push("    #          gas  host call".to_owned());
        text.extend(lines(run));
    }
    let log = value.get("log").and_then(Value::as_array);
    text.extend(
        log.into_iter()
            .flatten()
            .map(|line| format!("log  {}", plain(line))),
    );
    let mut names = vec!["kind", "method", "engines", "status"];
    for name in ["code", "why", "value"] {
        let there = value
            .get(name)
            .is_some_and(|value| *value != json!(0) && *value != json!("") && !value.is_null());
        if there {
            names.push(name);
        }
    }
    names.extend(["gas", "output", "trace", "trace_root"]);
    text.push(fields_of(value, &names));
    if let Some(structured) = value.get("value").filter(|v| v.is_object() || v.is_array()) {
        text.push(format!("value  {structured}"));
    }
    if let Some(difference) = difference {
        text.push(difference.text(("here", "there")));
    }
    text.join("\n")
}
