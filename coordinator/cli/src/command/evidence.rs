//! `zq evidence`.

use std::fs;
use std::path::Path;

use attestation::codec;
use attestation::committee::CreationRecord;
use attestation::ids::Digest;
use serde_json::{Value, json};
use signer_protocol::blame::Culprit;
use signer_protocol::dkg::KeyRecord;
use signer_protocol::evidence::{Conviction, Evidence, EvidenceError, History, Place};
use signer_protocol::report::Report;

use crate::arguments::EvidenceVerb;
use crate::failure::Failure;
use crate::files;
use crate::node::Node;
use crate::print::{Print, fields, plain};

pub(crate) fn run(
    verb: EvidenceVerb,
    node: &impl Fn() -> Result<Node, Failure>,
    print: &Print,
) -> Result<(), Failure> {
    match verb {
        EvidenceVerb::List { limit } => {
            let mut reports = node()?.get(&format!("/v1/reports?limit={limit}"))?;
            let list = reports.get_mut("reports").and_then(Value::as_array_mut);
            if let Some(list) = list {
                list.retain(|report| report.get("proof") == Some(&Value::Bool(true)));
            }
            print.result(&reports, super::report::list);
            Ok(())
        }
        EvidenceVerb::Verify { file, committee } => {
            let record = record(&committee)?;
            let judged = read(&file).and_then(|evidence| {
                let judged = evidence.verify(&record).map_err(|error| invalid(&error));
                judged.map(|conviction| said(&conviction))
            });
            let value = match &judged {
                Ok(said) => json!({ "valid": true, "says": said }),
                Err(Failure::Invalid { check, error }) => {
                    json!({ "valid": false, "check": check, "error": error })
                }
                Err(_) => return judged.map(|_| ()),
            };
            print.result(&value, verdict);
            judged.map(|_| ())
        }
        EvidenceVerb::Show { file } => {
            let evidence = read(&file)?;
            print.result(&describe(&evidence), fields);
            Ok(())
        }
        EvidenceVerb::Make {
            report,
            committee,
            key,
            epochs,
            out,
        } => {
            let record = record(&committee)?;
            let mut evidence = bare(&report, &record, node)?;
            if evidence.needs().is_some() {
                let history = match &key {
                    Some(key) => kept(key, epochs.as_deref())?,
                    None => shown(&node()?)?,
                };
                evidence = evidence.with_history(&history);
            }
            let conviction = evidence.verify(&record).map_err(|error| invalid(&error))?;
            fs::write(&out, evidence.to_bytes()).map_err(|error| Failure::file(&out, &error))?;
            let mut value = said(&conviction);
            if let Some(value) = value.as_object_mut() {
                value.insert("file".to_owned(), json!(out.display().to_string()));
            }
            print.result(&value, fields);
            Ok(())
        }
    }
}

fn record(path: &Path) -> Result<CreationRecord, Failure> {
    let bytes = files::read(path, files::JSON_BYTES_MAX)?;
    CreationRecord::from_bytes(&bytes).map_err(|error| {
        Failure::new(
            format!("{}: no creation record: {error}", path.display()),
            "give the record that the committee was created with (`zq committee create`)",
        )
    })
}

fn key_record(path: &Path) -> Result<KeyRecord, Failure> {
    let bytes = files::read(path, files::JSON_BYTES_MAX)?;
    KeyRecord::from_bytes(&bytes).map_err(|error| {
        Failure::new(
            format!("{}: no key record: {error}", path.display()),
            "give key.record of a member's data directory",
        )
    })
}

/// A file that is none is invalid evidence; one that cannot be read is a failure.
fn read(path: &Path) -> Result<Evidence, Failure> {
    let bytes = files::read_proof(path, "format", files::EVIDENCE_BYTES_MAX)?;
    Evidence::from_bytes(&bytes).map_err(|error| invalid(&error))
}

/// What a report proves, without the history that it may need.
fn bare(
    report: &str,
    record: &CreationRecord,
    node: &impl Fn() -> Result<Node, Failure>,
) -> Result<Evidence, Failure> {
    let bytes = match report.parse::<Digest>() {
        Ok(id) => {
            let shown = node()?.get(&format!("/v1/reports/{id}"))?;
            let evidence = shown.get("evidence").map(plain).unwrap_or_default();
            hex::decode(evidence).unwrap_or_default()
        }
        Err(_) => files::read(Path::new(report), files::MODULE_BYTES_MAX)?,
    };
    match codec::decode(&bytes, bytes.len()) {
        Ok(Report::Blame { culprit, act }) => Evidence::of_step(record.id(), culprit, &act)
            .ok_or_else(|| invalid(&EvidenceError::NoProof)),
        Ok(Report::Ceremony(evidence)) => Ok(*evidence),
        _ => Err(Failure::new(
            format!("{report}: no report that blames somebody"),
            "give a report that `zq evidence list` shows, or its file ID.report.cbor",
        )),
    }
}

/// The history that a member's data directory holds.
fn kept(key: &Path, epochs: Option<&Path>) -> Result<History, Failure> {
    let key = key_record(key)?;
    let epochs = match epochs {
        None => Vec::new(),
        Some(path) => {
            let bytes = files::read(path, files::MODULE_BYTES_MAX)?;
            codec::decode(&bytes, bytes.len()).map_err(|error| {
                Failure::new(
                    format!("{}: no changes of members: {error}", path.display()),
                    "give epochs.record of a member's data directory",
                )
            })?
        }
    };
    Ok(History { key, epochs })
}

/// The history that a node shows. The evidence is checked with it before it is written.
fn shown(node: &Node) -> Result<History, Failure> {
    let (_, key, epochs) = super::light::proven(node)?;
    Ok(History { key, epochs })
}

/// What was checked when evidence is refused.
const fn check(error: &EvidenceError) -> &'static str {
    match error {
        EvidenceError::Malformed(_) => "format",
        EvidenceError::Version(_) => "version",
        EvidenceError::Committee => "committee",
        EvidenceError::Record => "record",
        EvidenceError::NoHistory(_) | EvidenceError::Key(_) => "key",
        EvidenceError::Epoch(_) => "epoch",
        EvidenceError::Plan(_) | EvidenceError::RepairPlan(_) => "plan",
        EvidenceError::NoProof => "proof",
        EvidenceError::Signature => "signatures",
        EvidenceError::Unfounded => "contradiction",
    }
}

fn invalid(error: &EvidenceError) -> Failure {
    Failure::Invalid {
        check: check(error),
        error: error.to_string(),
    }
}

fn culprit(culprit: Culprit) -> Value {
    match culprit {
        Culprit::Member(slot) => json!({ "member": slot.0 }),
        Culprit::Coordinator(rank) => json!({ "coordinator": rank }),
    }
}

fn said(conviction: &Conviction) -> Value {
    let place = match conviction.place {
        Place::Step(seq, view) => json!({ "seq": seq.0, "view": view.0 }),
        Place::Ceremony { session, attempt } => json!({ "session": session, "attempt": attempt }),
    };
    json!({
        "culprit": culprit(conviction.culprit),
        "identity": conviction.identity,
        "epoch": conviction.epoch,
        "kind": conviction.kind.id(),
        "place": place,
        "what": conviction.to_string(),
    })
}

fn describe(evidence: &Evidence) -> Value {
    json!({
        "version": evidence.version,
        "committee": evidence.committee,
        "culprit": evidence.culprit.to_string(),
        "kind": evidence.kind().map(|kind| kind.id()),
        "measured_by_epoch": evidence.needs(),
        "changes": evidence.history.as_ref().map(|history| history.epochs.len()),
        "claims": evidence.kind().map(|kind| format!("{} {kind}", evidence.culprit)),
        "checked": false,
    })
}

fn verdict(value: &Value) -> String {
    let part = |name: &str| value.get(name).map(plain).unwrap_or_default();
    match value.get("valid") == Some(&Value::Bool(true)) {
        true => {
            let what = value.get("says").and_then(|says| says.get("what"));
            format!("proven: {}", what.map(plain).unwrap_or_default())
        }
        false => format!("not proven: check {}: {}", part("check"), part("error")),
    }
}
