//! `zq evidence`.

use std::fs;
use std::path::Path;

use attestation::codec;
use attestation::committee::CreationRecord;
use serde_json::{Value, json};
use signer_protocol::blame::{Act, Culprit};
use signer_protocol::dkg::KeyRecord;
use signer_protocol::evidence::{Conviction, Evidence, EvidenceError, Place};
use signer_protocol::report::Report;

use crate::arguments::EvidenceVerb;
use crate::failure::Failure;
use crate::files;
use crate::print::{Print, fields, plain};

pub(crate) fn run(verb: EvidenceVerb, print: &Print) -> Result<(), Failure> {
    match verb {
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
            out,
        } => {
            let record = record(&committee)?;
            let key = key.as_deref().map(key_record).transpose()?;
            let evidence = make(&report, &record, key.as_ref())?;
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
    let bytes = files::read_proof(path, "format")?;
    Evidence::from_bytes(&bytes).map_err(|error| invalid(&error))
}

fn make(
    report: &Path,
    record: &CreationRecord,
    key: Option<&KeyRecord>,
) -> Result<Evidence, Failure> {
    let bytes = files::read(report, files::MODULE_BYTES_MAX)?;
    let decoded = codec::decode(&bytes, bytes.len());
    let Ok(Report::Blame { culprit, act }) = decoded else {
        return Err(Failure::new(
            format!("{}: no report that blames somebody", report.display()),
            "give ID.report.cbor of a report that `zq report list` calls proven",
        ));
    };
    let is_share = matches!(*act, Act::BadShare { .. });
    let evidence = Evidence::of_step(record.id(), culprit, &act, key);
    evidence.ok_or_else(|| match is_share && key.is_none() {
        true => Failure::Usage("a bad share is measured by the key: --key is needed".to_owned()),
        false => invalid(&EvidenceError::NoProof),
    })
}

/// What was checked when evidence is refused.
const fn check(error: &EvidenceError) -> &'static str {
    match error {
        EvidenceError::Malformed(_) => "format",
        EvidenceError::Version(_) => "version",
        EvidenceError::Committee => "committee",
        EvidenceError::Record => "record",
        EvidenceError::NoKey | EvidenceError::Key(_) => "key",
        EvidenceError::Plan(_) => "plan",
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
