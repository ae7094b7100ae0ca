//! What a run leaves behind: everything that a stranger needs to check it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use attestation::ids::{CommitteeId, GroupKey};
use attestation::verify::verify_receipt;
use launch::{Committee, Http};
use serde_json::{Value, json};

use super::scenario::Sent;
use crate::lock::Lock;

/// Files and directories of a run.
const FILES: [&str; 3] = ["committee.json", "requests.ndjson", "summary.json"];
const DIRECTORIES: [&str; 2] = ["attestations", "leaves"];

/// Where the results go: a directory that holds nothing else.
pub(super) struct Folder {
    path: PathBuf,
    _lock: Lock,
}

impl Folder {
    /// Makes the directory, or takes away the results of a former run, so that those of a run
    /// that fails half-way are not mistaken for this one's.
    pub(super) fn prepare(path: &Path) -> Result<Self> {
        let unusable = || format!("--out {}: cannot write there", path.display());
        fs::create_dir_all(path).with_context(unusable)?;
        let Some(lock) = Lock::of_directory(path)? else {
            bail!(
                "--out {}: another run writes there; give another directory",
                path.display()
            );
        };
        for entry in fs::read_dir(path).with_context(unusable)? {
            let name = entry.with_context(unusable)?.file_name();
            let ours = FILES.iter().chain(&DIRECTORIES);
            if !ours.into_iter().any(|own| name == *own) {
                bail!(
                    "--out {}: it holds {}, which is not of a former run; give an empty directory",
                    path.display(),
                    name.display()
                );
            }
        }
        for name in FILES {
            gone(fs::remove_file(path.join(name))).with_context(unusable)?;
        }
        for name in DIRECTORIES {
            gone(fs::remove_dir_all(path.join(name))).with_context(unusable)?;
            fs::create_dir(path.join(name)).with_context(unusable)?;
        }
        Ok(Self {
            path: path.to_path_buf(),
            _lock: lock,
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes committee.json, attestations, leaves, requests.ndjson and, when everything else is
    /// there, summary.json.
    pub(super) fn write(
        &self,
        committee: &Committee,
        key: GroupKey,
        sent: &[Sent],
        elapsed: Duration,
    ) -> Result<()> {
        let http = committee.http(1)?;
        let published = committee.committee_json(1)?;
        write(&self.path.join("committee.json"), &pretty(&published)?)?;
        let steps = self.write_steps(&http, key, committee.record().id())?;
        write_requests(&self.path.join("requests.ndjson"), sent)?;
        let attested = sent.iter().filter(|sent| sent.accepted).count();
        let summary = json!({
            "steps": steps,
            "requests": sent.len(),
            "attested": attested,
            "refused": sent.len() - attested,
            "seconds": (elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
        });
        write(&self.path.join("summary.json"), &pretty(&summary)?)
    }

    /// Every leaf of every step with its receipt, each verified against the group key.
    fn write_steps(&self, http: &Http, key: GroupKey, committee: CommitteeId) -> Result<u64> {
        let newest = http.get("/v1/steps?limit=1")?;
        let head = newest.get("head").and_then(Value::as_u64);
        let head = head.context("the committee's head")?;
        for seq in 1..=head {
            let step = http.get(&format!("/v1/steps/{seq}"))?;
            let count = step.get("tree_size").and_then(Value::as_u64);
            for leaf in 0..count.context("tree size")? {
                let path = format!("/v1/attestations/{seq}/{leaf}");
                let receipt = http.get_bytes(&path)?;
                let bytes = http.get_bytes(&format!("{path}/leaf"))?;
                let verified = verify_receipt(&receipt, Some(&bytes), &key, Some(&committee));
                verified.with_context(|| format!("attestation {seq}.{leaf}"))?;
                let name = format!("{seq}.{leaf}");
                write(
                    &self.path.join(format!("attestations/{name}.cose")),
                    &receipt,
                )?;
                write(&self.path.join(format!("leaves/{name}.bin")), &bytes)?;
            }
        }
        Ok(head)
    }
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn pretty(value: &Value) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(text)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn write_requests(path: &Path, sent: &[Sent]) -> Result<()> {
    let mut lines = Vec::new();
    for sent in sent {
        let line = json!({ "what": sent.what, "answer": sent.answer });
        writeln!(lines, "{line}")?;
    }
    write(path, &lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_former_run_is_replaced_and_anything_else_refused() {
        let scratch = tempfile::tempdir().expect("writable");
        let path = scratch.path().join("run");
        let folder = Folder::prepare(&path).expect("a new directory");
        fs::write(folder.path().join("summary.json"), "{}").expect("writable");
        fs::write(folder.path().join("leaves/1.0.bin"), "leaf").expect("writable");
        let busy = Folder::prepare(&path).map(|_| ()).expect_err("in use");
        assert!(busy.to_string().contains("another run"), "{busy}");
        drop(folder);
        Folder::prepare(&path).expect("a former run");
        assert!(!path.join("summary.json").exists());
        assert!(!path.join("leaves/1.0.bin").exists());

        fs::write(path.join("diary.txt"), "mine").expect("writable");
        let refused = Folder::prepare(&path).map(|_| ()).expect_err("not ours");
        assert!(refused.to_string().contains("diary.txt"), "{refused}");
        assert!(path.join("diary.txt").exists());
        assert!(Folder::prepare(&path.join("diary.txt")).is_err(), "a file");
    }
}
