//! `zq report replay`: a report's job, run again on this machine, against what members stated.

mod bundle;

use attestation::commit::Commit;
use attestation::ids::{Digest, Epoch, Seq, StatementId};
use attestation::step_attestation::StepAttestation;
use serde_json::{Value, json};
use state::job::{Job, SignedVote};
use state::step::{self, Params, Previous, StepError, StepOutcome};
use state::witness::WitnessError;

use crate::arguments::replay::ReplayArguments;
use crate::engines::{Engine as _, Watched, on_deep_stack};
use crate::failure::Failure;
use crate::files;
use crate::node::Node;
use crate::print::{Print, plain};
use crate::trace::{Difference, Recorded, against, lines, shown};
pub(super) use bundle::modules_of;
use bundle::{Bundle, Stated, damaged};

/// A job as one engine ran it.
struct Replayed {
    engine: &'static str,
    outcome: StepOutcome,
    runs: Vec<Recorded>,
}

pub(crate) fn run(
    arguments: &ReplayArguments,
    node: &(impl Fn() -> Result<Node, Failure> + Sync),
    print: &Print,
) -> Result<(), Failure> {
    let theirs = arguments.tracing.against.as_deref();
    let theirs = theirs.map(against::read).transpose()?;
    let bundle = Bundle::read(&arguments.report, node)?;
    let replayed = on_deep_stack(|| replay(arguments, &bundle, node))?;
    let first = replayed
        .first()
        .ok_or_else(|| Failure::new("no engine", "see --engine"))?;
    let apart = replayed
        .iter()
        .skip(1)
        .find(|other| other.outcome.statement() != first.outcome.statement());
    // Engines that differ are the worse news, and explain the other.
    let (names, difference) = match (apart, &theirs) {
        (Some(other), _) => {
            let found = against::first_run(&first.runs, &other.runs);
            ((first.engine, other.engine), found)
        }
        (None, Some(theirs)) => (("here", "there"), against::first_run(&first.runs, theirs)),
        (None, None) => (("", ""), None),
    };
    let mut value = described(&bundle, first, &replayed);
    if let (Some(object), Some((at, difference))) = (value.as_object_mut(), &difference) {
        let mut place = difference.to_json();
        if let Some(place) = place.as_object_mut() {
            let request = first.runs.get(*at).map(|run| run.request);
            place.insert("request".to_owned(), json!(request));
            place.insert("between".to_owned(), json!([names.0, names.1]));
        }
        object.insert("difference".to_owned(), place);
    }
    print.result(&value, |value| {
        text(value, first, difference.as_ref(), names)
    });
    match (apart, difference) {
        (Some(_), _) => Err(Failure::new(
            "the engines come to different results",
            "this is a bug of the runtime: please report it with the bundle",
        )),
        (None, Some(_)) => Err(Failure::new(
            "the two traces differ",
            "the first place is printed above",
        )),
        (None, None) => Ok(()),
    }
}

/// What a job follows, and whose it is. A job names the step before by its attestation; one that is
/// the first of its committee stands on the state that its witness shows.
fn position(job: &Job) -> Result<(Previous, Params), Failure> {
    let call = job.requests.first().map(|request| &request.call);
    let call = call.ok_or_else(|| damaged("job", &"no request"))?;
    let params = Params {
        network: call.network,
        committee: call.committee,
    };
    if !job.previous.is_empty() {
        let previous = StepAttestation::from_bytes(&job.previous);
        let previous = previous.map_err(|error| damaged("job", &error))?;
        return Ok((Previous::of(&previous), params));
    }
    let statement = Commit::genesis_statement(&params.committee);
    let elsewhere = attestation::ids::StateRoot::from_bytes([0; 32]);
    let root = match job.witness.open(&elsewhere) {
        Err(WitnessError::Root { actual, .. }) => actual,
        Err(error) => return Err(damaged("job", &error)),
        Ok(_) => elsewhere,
    };
    let previous = Previous {
        seq: Seq(0),
        epoch: Epoch(1),
        statement,
        state: root,
        time_ms: 0,
        trace: Digest::from_bytes([0; 32]),
    };
    Ok((previous, params))
}

fn replay(
    arguments: &ReplayArguments,
    bundle: &Bundle,
    node: &impl Fn() -> Result<Node, Failure>,
) -> Result<Vec<Replayed>, Failure> {
    let given = arguments.module.iter();
    let given = given.map(|path| files::read(path, files::MODULE_BYTES_MAX));
    let given: Vec<Vec<u8>> = given.collect::<Result<_, _>>()?;
    let (previous, params) = position(&bundle.job)?;
    let opened = bundle.job.witness.open(&previous.state);
    let state = opened.map_err(|error| damaged("job", &error))?;
    let calls_max = usize::try_from(arguments.tracing.calls).unwrap_or(usize::MAX);
    let mut all = Vec::new();
    for (engine, target) in arguments.tracing.engine.engines() {
        let failed = |why: String| Failure::new(format!("{engine}: {why}"), "see --engine");
        let mut watched = Watched::start(target).map_err(failed)?;
        let mut last = None;
        let outcome = loop {
            watched.record(calls_max);
            let ran = step::run(&params, &previous, &bundle.job, &state, &mut watched);
            match ran {
                Ok(outcome) => break outcome,
                // Each module is asked for once, so this ends.
                Err(StepError::Module(module)) if last != Some(module) => {
                    let wasm = bundle.module(&module, &given, node)?;
                    watched.put(&wasm).map_err(failed)?;
                    last = Some(module);
                }
                Err(error) => {
                    return Err(Failure::new(
                        format!("{engine}: the job comes to nothing: {error}"),
                        "a member that runs this job gives no vote for it; its leader is told why",
                    ));
                }
            }
        };
        all.push(Replayed {
            engine,
            outcome,
            runs: watched.recorded(),
        });
    }
    Ok(all)
}

fn described(bundle: &Bundle, first: &Replayed, all: &[Replayed]) -> Value {
    let outcomes = first.outcome.outcomes.iter().zip(&bundle.job.requests);
    let requests = outcomes.map(|(outcome, request)| {
        json!({
            "request": outcome.request,
            "zapp": outcome.zapp,
            "method": request.call.method.escape_debug().to_string(),
            "status": outcome.status.name(),
            "code": outcome.code,
            "gas": outcome.gas,
            "output": shown(&outcome.output),
            "trace": outcome.trace,
        })
    });
    let engines = all.iter().map(|one| {
        json!({
            "engine": one.engine,
            "statement": one.outcome.statement(),
            "trace_root": one.outcome.trace_root,
        })
    });
    let own: Vec<(StatementId, &StepOutcome)> = all
        .iter()
        .map(|one| (one.outcome.statement(), &one.outcome))
        .collect();
    let stated = bundle
        .stated
        .iter()
        .map(|stated| told(bundle, stated, &own));
    json!({
        "what": bundle.line,
        "seq": bundle.job.seq,
        "job": bundle.job.digest(),
        "statement": first.outcome.statement(),
        "trace_root": first.outcome.trace_root,
        "engines": engines.collect::<Vec<_>>(),
        "requests": requests.collect::<Vec<_>>(),
        "stated": stated.collect::<Vec<_>>(),
        "runs": first.runs,
    })
}

/// What this machine has to say of somebody's statement.
fn told(bundle: &Bundle, stated: &Stated, own: &[(StatementId, &StepOutcome)]) -> Value {
    let reproduced = own
        .iter()
        .any(|(statement, _)| *statement == stated.statement);
    let traced = stated.mask.as_ref().map(|(slot, mask)| {
        own.iter().any(|(_, outcome)| {
            SignedVote::mask(*slot, bundle.job.seq, &outcome.trace_root) == *mask
        })
    });
    let requests = bundle.job.requests.as_slice();
    let which = match requests {
        [one] => format!("the job's only request is {}", one.id()),
        many => format!(
            "which of the job's {} requests, that member's own replay tells: give it as --against",
            many.len()
        ),
    };
    let verdict = match (reproduced, traced) {
        (true, Some(false)) => "this machine comes to the same statement, but the vote's mask is \
             not of its trace root: the member cannot show that it ran the step"
            .to_owned(),
        (true, _) => "this machine comes to the same".to_owned(),
        (false, Some(true)) => format!(
            "not reproduced here; its mask is of this machine's trace root, so the run was the \
             same, and what was stated of it was changed afterwards; {which}"
        ),
        (false, Some(false)) => format!(
            "not reproduced here, and its mask is not of this machine's trace root: host calls, \
             results, gas or outputs were others; {which}"
        ),
        (false, None) => format!("not reproduced here; {which}"),
    };
    json!({
        "who": stated.who,
        "statement": stated.statement,
        "reproduced": reproduced,
        "same_trace": traced,
        "verdict": verdict,
    })
}

fn text(
    value: &Value,
    first: &Replayed,
    difference: Option<&(usize, Difference)>,
    names: (&str, &str),
) -> String {
    let part = |value: &Value, name: &str| value.get(name).map(plain).unwrap_or_default();
    let list = |name: &str| {
        value
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let mut text = vec![format!("report     {}", part(value, "what"))];
    text.push(format!(
        "job        {} of step {}",
        part(value, "job"),
        part(value, "seq")
    ));
    for one in list("engines") {
        text.push(format!(
            "{:<10} states {}",
            part(one, "engine"),
            part(one, "statement")
        ));
    }
    for request in list("requests") {
        text.push(format!(
            "request    {} {} {} {}, gas {}, output {}",
            part(request, "request"),
            part(request, "zapp"),
            part(request, "method"),
            part(request, "status"),
            part(request, "gas"),
            part(request, "output")
        ));
        let id = part(request, "request");
        let runs = first
            .runs
            .iter()
            .filter(|run| run.request.to_string() == id);
        text.extend(runs.flat_map(lines));
    }
    for stated in list("stated") {
        let (who, statement) = (part(stated, "who"), part(stated, "statement"));
        text.push(format!(
            "{who} stated {statement}\n  {}",
            part(stated, "verdict")
        ));
    }
    if let Some((at, difference)) = difference {
        let request = first.runs.get(*at).map(|run| run.request.to_string());
        text.push(format!(
            "request {} is the first that differs",
            request.unwrap_or_default()
        ));
        text.push(difference.text(names));
    }
    text.join("\n")
}
