//! What a run leaves behind: everything that a stranger needs to check it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use launch::{Committee, Http};
use serde_json::{Value, json};

use super::scenario::Sent;

/// Writes committee.json, attestations, leaves, requests.ndjson and summary.json into `dir`.
pub(super) fn write(
    dir: &Path,
    committee: &Committee,
    sent: &[Sent],
    elapsed: Duration,
) -> Result<()> {
    let http = committee.http(1)?;
    fs::create_dir_all(dir).with_context(|| format!("cannot write {}", dir.display()))?;
    let published = committee.committee_json(1)?;
    fs::write(
        dir.join("committee.json"),
        serde_json::to_vec_pretty(&published)?,
    )?;
    let steps = write_steps(dir, &http)?;
    write_requests(dir, sent)?;
    let attested = sent.iter().filter(|sent| sent.accepted).count();
    let summary = json!({
        "steps": steps,
        "requests": sent.len(),
        "attested": attested,
        "refused": sent.len() - attested,
        "seconds": (elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
    });
    fs::write(
        dir.join("summary.json"),
        serde_json::to_vec_pretty(&summary)?,
    )?;
    Ok(())
}

/// Every leaf of every step, with its receipt.
fn write_steps(dir: &Path, http: &Http) -> Result<u64> {
    let (receipts, leaves) = (dir.join("attestations"), dir.join("leaves"));
    fs::create_dir_all(&receipts)?;
    fs::create_dir_all(&leaves)?;
    let newest = http.get("/v1/steps?limit=1")?;
    let head = newest
        .get("head")
        .and_then(Value::as_u64)
        .context("the committee's head")?;
    for seq in 1..=head {
        let step = http.get(&format!("/v1/steps/{seq}"))?;
        let count = step
            .get("tree_size")
            .and_then(Value::as_u64)
            .context("tree size")?;
        for leaf in 0..count {
            let path = format!("/v1/attestations/{seq}/{leaf}");
            fs::write(
                receipts.join(format!("{seq}.{leaf}.cose")),
                http.get_bytes(&path)?,
            )?;
            let bytes = http.get_bytes(&format!("{path}/leaf"))?;
            fs::write(leaves.join(format!("{seq}.{leaf}.bin")), bytes)?;
        }
    }
    Ok(head)
}

fn write_requests(dir: &Path, sent: &[Sent]) -> Result<()> {
    let mut file = fs::File::create(dir.join("requests.ndjson"))?;
    for sent in sent {
        writeln!(
            file,
            "{}",
            json!({ "what": sent.what, "answer": sent.answer })
        )?;
    }
    Ok(())
}
