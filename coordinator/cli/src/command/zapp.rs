//! `zq zapp`.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use attestation::codec::{Layout, encode};
use attestation::ids::{Digest, ModuleDigest, ZappId};
use attestation::leaf::Leaf;
use attestation::request::{Call, FeePayer, Request, work_bits};
use attestation::source::Pull;
use attestation::tags;
use attestation::terms::Terms;
use attestation::verify::{Verified, verify_receipt};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use state::system::{Deploy, Refusal};

use crate::abi::{Abi, Which, sdk_revert};
use crate::arguments::money::Payer;
use crate::arguments::source::Sources;
use crate::arguments::{Sending, ZappVerb};
use crate::author;
use crate::command::attestation::{describe, invalid, save};
use crate::command::input::Given;
use crate::command::money;
use crate::command::trust::Trust;
use crate::failure::Failure;
use crate::files;
use crate::key_file::CallerKey;
use crate::node::Node;
use crate::print::{Print, fields, plain};
use crate::progress::Progress;
use crate::qsr::Qsr;

/// Longest wait that a node takes for one request of HTTP.
const SUBMIT_WAIT_S_MAX: u64 = 60;
/// Between two looks after that.
const POLL: Duration = Duration::from_millis(500);
/// How long a request stays valid.
const VALID_MS: u64 = 10 * 60 * 1000;

pub(crate) fn run(
    verb: ZappVerb,
    node: impl Fn() -> Result<Node, Failure>,
    print: &Print,
) -> Result<(), Failure> {
    match verb {
        ZappVerb::Author(verb) => author::run(verb, print),
        ZappVerb::Deploy {
            module,
            salt,
            escrow: Qsr(escrow),
            input,
            sending,
        } => {
            let init = Given::of(&input)?;
            deploy(&node()?, &module, (salt, escrow), init, &sending, print)
        }
        ZappVerb::Call {
            zapp,
            method,
            input,
            abi,
            sources,
            sending,
        } => {
            let (node, given) = (node()?, Given::of(&input)?);
            let abi = abi_for(&node, zapp, abi.as_deref())?;
            let which = Which::Call(&method);
            let input = given.bytes(abi.as_ref(), which)?;
            let pull = pull(sources)?;
            let mut value = send_pulling(&node, zapp, &method, input, pull, &sending)?;
            explain(&mut value, abi.as_ref(), which);
            print.result(&value, outcome);
            succeeded(&value)
        }
        ZappVerb::Source { source } => {
            let source = source.0;
            let value = json!({ "id": source.id(), "source": source });
            print.result(&value, |value| plain(value.get("id").unwrap_or(value)));
            Ok(())
        }
        ZappVerb::View {
            zapp,
            method,
            input,
            abi,
        } => {
            let (node, given) = (node()?, Given::of(&input)?);
            let abi = abi_for(&node, zapp, abi.as_deref())?;
            view(&node, zapp, &method, given, abi.as_ref(), print)
        }
        ZappVerb::Owner(verb) => money::owner(verb, &node()?, print),
        ZappVerb::List => {
            print.result(&node()?.get("/v1/zapps")?, list);
            Ok(())
        }
        ZappVerb::Show { zapp } => show(&node()?, zapp, print),
    }
}

/// The ABI of a file that the caller trusts, else the node's.
fn abi_for(node: &Node, zapp: ZappId, file: Option<&Path>) -> Result<Option<Abi>, Failure> {
    let Some(file) = file else {
        return Ok(abi_of(node, zapp));
    };
    let wasm = files::read(file, files::MODULE_BYTES_MAX)?;
    Abi::of_module(&wasm).map(Some).ok_or_else(|| {
        Failure::new(
            format!("{}: no module with a section zapp.abi", file.display()),
            "give the module that was deployed",
        )
    })
}

/// What the zApp's module says of its methods. Nothing depends on it but how values are written
/// and shown, so a node that does not tell is no failure.
pub(crate) fn abi_of(node: &Node, zapp: ZappId) -> Option<Abi> {
    if zapp == ZappId::SYSTEM {
        return None;
    }
    let record = node.get(&format!("/v1/zapps/{zapp}")).ok()?;
    let module: ModuleDigest = record.get("module")?.as_str()?.parse().ok()?;
    let wasm = node.get_bytes(&format!("/v1/modules/{module}")).ok()?;
    let digest: [u8; 32] = Sha256::digest(&wasm).into();
    (digest == *module.as_bytes()).then(|| Abi::of_module(&wasm))?
}

/// Adds the result as the ABI has it, and the name of a revert.
fn explain(value: &mut Value, abi: Option<&Abi>, which: Which<'_>) {
    let output = bytes_of(value.get("output"));
    let code = value.get("code").and_then(Value::as_u64);
    let status = value
        .get("status")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let Some(object) = value.as_object_mut() else {
        return;
    };
    match (
        status.as_deref(),
        code.and_then(|code| u32::try_from(code).ok()),
    ) {
        (Some("ok"), _) => {
            let shown = abi
                .zip(output)
                .and_then(|(abi, bytes)| abi.output(which, &bytes));
            if let Some(shown) = shown {
                object.insert("value".to_owned(), shown);
            }
        }
        (Some("reverted"), Some(code)) => {
            let own = abi.and_then(|abi| abi.revert(code));
            let text = own.or_else(|| sdk_revert(code).map(str::to_owned));
            if let Some(text) = text {
                object.insert("revert".to_owned(), json!(text));
            }
        }
        (Some("refused"), Some(code)) => {
            if let Some(refusal) = Refusal::from_code(code) {
                object.insert("revert".to_owned(), json!(refusal.to_string()));
            }
        }
        _ => {}
    }
}

fn show(node: &Node, zapp: ZappId, print: &Print) -> Result<(), Failure> {
    let mut value = node.get(&format!("/v1/zapps/{zapp}"))?;
    let lines = abi_of(node, zapp).map(|abi| abi.lines());
    if let (Some(object), Some(lines)) = (value.as_object_mut(), lines) {
        object.insert("methods".to_owned(), json!(lines));
    }
    print.result(&value, |value| {
        let methods = value.get("methods").and_then(Value::as_array);
        let methods = methods.into_iter().flatten().map(plain);
        std::iter::once(fields(value))
            .chain(methods)
            .collect::<Vec<_>>()
            .join("\n")
    });
    Ok(())
}

fn deploy(
    node: &Node,
    path: &Path,
    (salt, escrow): (Option<Digest>, u64),
    init: Given,
    sending: &Sending,
    print: &Print,
) -> Result<(), Failure> {
    let owner = CallerKey::read(&sending.key)?.identity();
    let (module, abi) = upload(node, path)?;
    let init = init.bytes(abi.as_ref(), Which::Init)?;
    let salt = match salt {
        Some(salt) => salt,
        None => random()?,
    };
    let zapp = Layout::new(tags::ZAPP)
        .fixed(owner.as_bytes())
        .fixed(salt.as_bytes())
        .digest();
    let deploy = encode(&Deploy {
        module,
        salt,
        escrow,
        init,
    });
    let mut value = send(node, ZappId::SYSTEM, "deploy", deploy, sending)?;
    explain(&mut value, abi.as_ref(), Which::Init);
    if let Some(object) = value.as_object_mut() {
        object.insert("zapp".to_owned(), json!(zapp));
        object.insert("module".to_owned(), json!(module));
    }
    print.result(&value, outcome);
    succeeded(&value)
}

/// Gives a module to the node, which checks and compiles it; what it says of itself comes along.
pub(crate) fn upload(node: &Node, path: &Path) -> Result<(ModuleDigest, Option<Abi>), Failure> {
    let wasm = files::read(path, files::MODULE_BYTES_MAX)?;
    let uploading = Progress::start("waiting for the node's verdict on the module");
    let uploaded = node.put("/v1/modules", "application/wasm", &wasm)?;
    drop(uploading);
    let digest = uploaded
        .get("module")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let module = digest.parse().map_err(|_| {
        Failure::new(
            "the node named no module digest",
            "is --node a zquorum node?",
        )
    })?;
    Ok((module, Abi::of_module(&wasm)))
}

/// 32 random bytes.
pub(crate) fn random() -> Result<Digest, Failure> {
    let mut salt = [0u8; 32];
    getrandom::getrandom(&mut salt)
        .map_err(|error| Failure::new(format!("no randomness: {error}"), "try again"))?;
    Ok(Digest::from_bytes(salt))
}

/// Signs and sends a request, waits, and verifies the attestation before anything is believed.
pub(crate) fn send(
    node: &Node,
    zapp: ZappId,
    method: &str,
    input: Vec<u8>,
    sending: &Sending,
) -> Result<Value, Failure> {
    send_pulling(node, zapp, method, input, None, sending)
}

/// What members are to observe for a call.
fn pull(sources: Sources) -> Result<Option<Pull>, Failure> {
    if sources.sources.is_empty() {
        return Ok(None);
    }
    let within_ms = sources.observe_within.saturating_mul(1_000).min(VALID_MS);
    let pull = Pull {
        sources: sources.sources.into_iter().map(|one| one.0).collect(),
        deadline_ms: now_ms()?.saturating_add(within_ms),
    };
    match pull.check(u64::MAX) {
        Ok(()) => Ok(Some(pull)),
        Err(error) => Err(Failure::new(
            error.to_string(),
            "see `zq zapp call --help` for --source",
        )),
    }
}

/// [`send`] with sources that members observe first.
fn send_pulling(
    node: &Node,
    zapp: ZappId,
    method: &str,
    input: Vec<u8>,
    pull: Option<Pull>,
    sending: &Sending,
) -> Result<Value, Failure> {
    let key = CallerKey::read(&sending.key)?;
    let committee = node.get("/v1/committee")?;
    let trust = match &sending.committee {
        Some(path) => Trust::from_file(path)?,
        None => Trust::from_json(&committee)?,
    };
    let committee_id = trust.committee.ok_or_else(|| {
        Failure::new("the committee has no id", "give --committee committee.json")
    })?;
    let network = committee
        .get("network")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let nonce = match sending.nonce {
        Some(nonce) => nonce,
        None => next_nonce(node, &key)?,
    };
    let mut call = Call {
        network: attestation::ids::NetworkId(network),
        committee: committee_id,
        zapp,
        method: method.to_owned(),
        input,
        gas_limit: sending.gas,
        fee_payer: match sending.payer {
            Payer::Zapp => FeePayer::Zapp,
            Payer::Caller => FeePayer::Caller,
            Payer::Work => FeePayer::Work,
        },
        nonce,
        valid_until_ms: now_ms()?.saturating_add(VALID_MS),
        caller: key.identity(),
        pull,
    };
    if call.fee_payer == FeePayer::Work {
        work(&mut call, &committee)?;
    }
    let request = key.sign(call);
    let answer = submit(node, &request, Duration::from_secs(sending.wait))?;
    attested(answer, &trust, &request.id().to_string(), sending)
}

/// Counts nonces up until the request's id begins with the zero bits that the committee asks for.
fn work(call: &mut Call, committee: &Value) -> Result<(), Failure> {
    let terms = committee.get("terms").cloned().unwrap_or_default();
    let terms: Terms = serde_json::from_value(terms)
        .map_err(|_| Failure::new("the node named no terms", "is --node a zquorum node?"))?;
    if terms.are_free() {
        return Ok(());
    }
    if terms.work_bits == 0 || call.gas_limit > terms.work_gas {
        return Err(Failure::new(
            format!("work pays for requests of up to {} gas", terms.work_gas),
            "ask for less with --gas, or let --payer be zapp or caller",
        ));
    }
    let _progress = Progress::start(format!(
        "working: an id with {} zero bits takes about 2^{} tries",
        terms.work_bits, terms.work_bits
    ));
    while work_bits(&call.id()) < u32::from(terms.work_bits) {
        call.nonce = call
            .nonce
            .checked_add(1)
            .ok_or_else(|| Failure::new("no nonces are left", "use another key"))?;
    }
    Ok(())
}

/// Sends a request and waits until it is attested, closed, or `wait` is over.
fn submit(node: &Node, request: &Request, wait: Duration) -> Result<Value, Failure> {
    let id = request.id();
    let _progress = Progress::start(format!(
        "waiting up to {} s for the attestation of request {id}",
        wait.as_secs()
    ));
    let began = Instant::now();
    let first = wait.as_secs().min(SUBMIT_WAIT_S_MAX);
    let path = format!("/v1/requests?wait={first}");
    let mut answer = node.post(&path, "application/cbor", &request.to_bytes())?;
    while answer.get("state").and_then(Value::as_str) == Some("pending") && began.elapsed() < wait {
        thread::sleep(POLL);
        answer = node.get(&format!("/v1/requests/{id}"))?;
    }
    Ok(answer)
}

fn attested(
    answer: Value,
    trust: &Trust,
    request: &str,
    sending: &Sending,
) -> Result<Value, Failure> {
    let part = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    match part("state") {
        "accepted" => {}
        "pending" => {
            let wait = sending.wait;
            return Err(Failure::NoQuorum(format!(
                "request {request}: no attestation in {wait} s"
            )));
        }
        _ => {
            let reason = part("reason");
            return Err(Failure::new(
                format!("request {request} was closed without running: {reason}"),
                "sign a new request",
            ));
        }
    }
    let bytes = |name: &str| {
        hex::decode(part(name)).map_err(|_| Failure::Invalid {
            check: "receipt",
            error: format!("the node's {name} is not hexadecimal"),
        })
    };
    let (receipt, leaf) = (bytes("attestation")?, bytes("leaf_bytes")?);
    let verified = verify_receipt(&receipt, Some(&leaf), &trust.key, trust.committee.as_ref())
        .map_err(|error| invalid(&error))?;
    let said = describe(&verified);
    if said.pointer("/leaf/request").and_then(Value::as_str) != Some(request) {
        return Err(Failure::Invalid {
            check: "leaf",
            error: "the attestation is of another request".to_owned(),
        });
    }
    let output = bytes_of(answer.pointer("/outcome/output"));
    check_output(&verified, output.as_deref())?;
    let place = (verified.commit.seq.0, verified.index);
    let mut value = json!({
        "request": request,
        "seq": place.0,
        "leaf": place.1,
        "statement": verified.statement,
        "status": said.pointer("/leaf/status"),
        "code": said.pointer("/leaf/code"),
        "gas": said.pointer("/leaf/gas"),
        // Not in the leaf: the node's word, as far as the step's settlement bears it out.
        "fee": answer.pointer("/outcome/fee"),
        "output": output.map(hex::encode),
        "verified": true,
    });
    if let Some(dir) = &sending.out {
        let (attestation, leaf) = save(dir, place, &receipt, &leaf)?;
        if let Some(object) = value.as_object_mut() {
            object.insert("attestation".to_owned(), json!(attestation));
            object.insert("leaf_file".to_owned(), json!(leaf));
        }
    }
    Ok(value)
}

fn bytes_of(digits: Option<&Value>) -> Option<Vec<u8>> {
    hex::decode(digits?.as_str()?).ok()
}

/// The leaf holds the output's digest only: what a node adds to it is believed if it fits.
fn check_output(verified: &Verified, output: Option<&[u8]>) -> Result<(), Failure> {
    let (Some(Leaf::Output(leaf)), Some(output)) = (&verified.leaf, output) else {
        return Ok(());
    };
    if leaf.output == Digest::from_bytes(Sha256::digest(output).into()) {
        return Ok(());
    }
    Err(Failure::Invalid {
        check: "output",
        error: "the node's output is not the attested one".to_owned(),
    })
}

fn next_nonce(node: &Node, key: &CallerKey) -> Result<u64, Failure> {
    let caller = node.get(&format!("/v1/callers/{}", key.identity()))?;
    caller
        .get("nonce_next")
        .and_then(Value::as_u64)
        .ok_or_else(|| Failure::new("the node named no nonce", "give --nonce"))
}

/// Unix milliseconds.
pub(crate) fn now_ms() -> Result<u64, Failure> {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|now| u64::try_from(now.as_millis()).ok())
        .ok_or_else(|| Failure::new("the clock is before 1970", "set the machine's clock"))
}

/// Attested is not yet successful: a zApp may have reverted.
pub(crate) fn succeeded(value: &Value) -> Result<(), Failure> {
    ended_ok(value, "attested, but the request")
}

fn ended_ok(value: &Value, what: &str) -> Result<(), Failure> {
    let part = |name: &str| value.get(name).map(plain).unwrap_or_default();
    if part("status") == "ok" {
        return Ok(());
    }
    let (status, code) = (part("status"), part("code"));
    Err(match value.get("revert").and_then(Value::as_str) {
        Some(revert) => Failure::new(
            format!("{what} ended with {status} {code}, {revert}"),
            "the state is unchanged",
        ),
        None => Failure::new(
            format!("{what} ended with {status} {code}"),
            "the state is unchanged; see the zApp's documentation for its codes",
        ),
    })
}

fn view(
    node: &Node,
    zapp: ZappId,
    method: &str,
    given: Given,
    abi: Option<&Abi>,
    print: &Print,
) -> Result<(), Failure> {
    let which = Which::View(method);
    let input = given.bytes(abi, which)?;
    let body = json!({ "method": method, "input": hex::encode(input) });
    let path = format!("/v1/zapps/{zapp}/view");
    let mut value = node.post(&path, "application/json", body.to_string().as_bytes())?;
    explain(&mut value, abi, which);
    print.result(&value, outcome);
    ended_ok(&value, "the view")
}

/// Plain fields, and the result also where it is a list or a record.
pub(crate) fn outcome(value: &Value) -> String {
    let shown = value
        .get("value")
        .filter(|shown| shown.is_array() || shown.is_object());
    match shown {
        Some(shown) => format!("{}\nvalue  {shown}", fields(value)),
        None => fields(value),
    }
}

fn list(value: &Value) -> String {
    let zapps = value.get("zapps").and_then(Value::as_array);
    let lines: Vec<String> = zapps
        .into_iter()
        .flatten()
        .map(|zapp| {
            let part = |name: &str| zapp.get(name).map(plain).unwrap_or_default();
            format!(
                "{}  owner {}  since step {}",
                part("zapp"),
                part("owner_address"),
                part("seq")
            )
        })
        .collect();
    if lines.is_empty() {
        "no zApps".to_owned()
    } else {
        lines.join("\n")
    }
}
