//! `zq devnet --once`: a deployment, three calls, and what the members came to.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use attestation::ids::{Digest, ModuleDigest, ZappId};
use launch::{Caller, Committee, Http};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use state::system::Deploy;

use super::failed;
use crate::arguments::devnet::DevnetArguments;
use crate::failure::Failure;
use crate::print::{Print, plain};

/// Seconds that a node is asked to wait for an attestation.
const WAIT_S: u64 = 60;
/// How long a lie may take to be reported.
const REPORTED_WITHIN: Duration = Duration::from_secs(60);
const CALLS: usize = 3;

static COUNTER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/counter.wasm"));

pub(super) fn run(
    committee: &mut Committee,
    arguments: &DevnetArguments,
    mut value: Value,
    print: &Print,
) -> Result<(), Failure> {
    let http = committee.http(1).map_err(|error| failed(&error))?;
    let record = committee.record();
    let caller = Caller::new(record.network, record.id());
    let mut caller = caller.map_err(|error| failed(&error))?;
    let put = http.put("/v1/modules", "application/wasm", COUNTER);
    put.map_err(|error| failed(&error))?;
    let deploy = Deploy {
        module: ModuleDigest::from_bytes(Sha256::digest(COUNTER).into()),
        salt: Digest::from_bytes([0; 32]),
        escrow: 0,
        init: Vec::new(),
    };
    let zapp = deploy.zapp(&caller.identity());
    let mut send = |zapp: ZappId, method: &str, input: Vec<u8>| -> Result<Value, Failure> {
        let request = caller.request(zapp, method, input);
        let request = request.map_err(|error| failed(&error))?;
        let answer = caller.submit(&http, &request, WAIT_S);
        let answer = answer.map_err(|error| failed(&error))?;
        match answer.get("state").and_then(Value::as_str) {
            Some("accepted") => Ok(answer),
            _ => Err(Failure::NoQuorum(format!(
                "{method} was not attested: {answer}"
            ))),
        }
    };
    let mut attested = vec![send(ZappId::SYSTEM, "deploy", deploy.to_bytes())?];
    for _ in 0..CALLS {
        attested.push(send(zapp, "add", Vec::new())?);
    }
    let lying = arguments.byzantine.iter();
    let lying = lying
        .filter(|one| one.fault.is_reported())
        .map(|one| one.slot.into());
    let reports = reported(&http, lying.collect())?;
    let funds = http.get("/v1/funds").map_err(|error| failed(&error))?;
    if let Some(object) = value.as_object_mut() {
        object.insert("attested".to_owned(), json!(attested));
        object.insert("reports".to_owned(), reports);
        object.insert(
            "credited".to_owned(),
            funds.get("members").cloned().unwrap_or_default(),
        );
    }
    print.result(&value, text);
    Ok(())
}

/// The reports of the first node, once they name each of these members.
fn reported(http: &Http, mut unnamed: BTreeSet<u64>) -> Result<Value, Failure> {
    let began = Instant::now();
    loop {
        let answer = http.get("/v1/reports").map_err(|error| failed(&error))?;
        let reports = answer.get("reports").cloned().unwrap_or_default();
        for report in reports.as_array().into_iter().flatten() {
            if let Some(slot) = report.get("member").and_then(Value::as_u64) {
                unnamed.remove(&slot);
            }
        }
        if unnamed.is_empty() {
            return Ok(reports);
        }
        if began.elapsed() > REPORTED_WITHIN {
            return Err(Failure::new(
                format!("no report names the members {unnamed:?}"),
                "please report this: a lie went unseen",
            ));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn text(value: &Value) -> String {
    let part = |value: &Value, name: &str| value.pointer(name).map(plain).unwrap_or_default();
    let list = |name: &str| {
        value
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let mut text = vec![format!("committee {}", part(value, "/committee_id"))];
    for answer in list("attested") {
        text.push(format!(
            "attested  step {} leaf {}: {}, gas {}, output {}",
            part(answer, "/seq"),
            part(answer, "/leaf"),
            part(answer, "/outcome/status"),
            part(answer, "/outcome/gas"),
            part(answer, "/outcome/output"),
        ));
    }
    for report in list("reports") {
        text.push(format!(
            "report    {}: {}",
            part(report, "/kind"),
            part(report, "/what")
        ));
    }
    for member in list("credited") {
        text.push(format!(
            "credited  member {} with {} steps",
            part(member, "/slot"),
            part(member, "/steps")
        ));
    }
    text.join("\n")
}
