//! Whether what a run left behind is all there, and whether a stranger can check it with `zq`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use attestation::ids::{CommitteeId, GroupKey};
use attestation::verify::verify_receipt;
use launch::Programs;
use serde_json::Value;

/// Options of `cargo xtask check-output`.
#[derive(clap::Args)]
pub struct Options {
    /// What `up --once --out DIR` wrote.
    dir: PathBuf,
    /// Cargo profile of the programs.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Use the programs in this directory.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

/// Exit code of `zq` for what does not verify.
const INVALID: i32 = 3;

/// Checks every file, each attestation also with one byte flipped.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let programs = match &options.programs {
        Some(dir) => Programs::in_dir(dir)?,
        None => Programs::in_dir(super::programs_dir(root, &options.profile))?,
    };
    let output = Output::read(&options.dir)?;
    let names = output.attested()?;
    let scratch = tempfile::tempdir()?;
    for (at, name) in names.iter().enumerate() {
        let (receipt, leaf) = output.files(name);
        let code = output.verify(&programs, &receipt, &leaf)?;
        ensure!(
            code == Some(0),
            "{name}: zq ended with {code:?}, not with 0"
        );
        let forged = scratch.path().join("forged");
        for (flipped, is_leaf) in [(&receipt, false), (&leaf, true)] {
            let mut bytes = fs::read(flipped)?;
            // Another byte of each file.
            let byte = at.wrapping_mul(37).checked_rem(bytes.len()).unwrap_or(0);
            *bytes.get_mut(byte).context("an empty file")? ^= 1;
            fs::write(&forged, bytes)?;
            let code = match is_leaf {
                false => output.verify(&programs, &forged, &leaf)?,
                true => output.verify(&programs, &receipt, &forged)?,
            };
            ensure!(
                code == Some(INVALID),
                "{} with byte {byte} flipped: zq ended with {code:?}, not with {INVALID}",
                flipped.display()
            );
        }
    }
    println!(
        "{}: {} attestations verify",
        options.dir.display(),
        names.len()
    );
    Ok(())
}

/// The documents of a run, read and found whole.
struct Output {
    dir: PathBuf,
    committee: CommitteeId,
    key: GroupKey,
    steps: u64,
}

impl Output {
    fn read(dir: &Path) -> Result<Self> {
        let json = |name: &str| -> Result<Value> {
            let path = dir.join(name);
            let text = fs::read(&path).with_context(|| format!("no {}", path.display()))?;
            serde_json::from_slice(&text).with_context(|| name.to_owned())
        };
        let (committee, key) = committee(&json("committee.json")?).context("committee.json")?;
        let (steps, requests) = summary(&json("summary.json")?).context("summary.json")?;
        let lines = fs::read_to_string(dir.join("requests.ndjson")).context("requests.ndjson")?;
        let told = lines.lines().count();
        ensure!(
            u64::try_from(told)? == requests,
            "requests.ndjson has {told} lines, summary.json says {requests} requests"
        );
        for (at, line) in lines.lines().enumerate() {
            let number = at.saturating_add(1);
            request(line).with_context(|| format!("requests.ndjson, line {number}"))?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            committee,
            key,
            steps,
        })
    }

    /// `SEQ.LEAF` of every leaf of every step; no file may be missing and none be more.
    fn attested(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for seq in 1..=self.steps {
            let (mut leaf, mut leaves) = (0, 1);
            while leaf < leaves {
                let name = format!("{seq}.{leaf}");
                let (receipt, bytes) = self.files(&name);
                let read =
                    |path: &Path| fs::read(path).with_context(|| format!("no {}", path.display()));
                let (receipt, bytes) = (read(&receipt)?, read(&bytes)?);
                let verified =
                    verify_receipt(&receipt, Some(&bytes), &self.key, Some(&self.committee));
                let verified = verified.with_context(|| name.clone())?;
                if (verified.commit.seq.0, verified.index) != (seq, leaf) {
                    bail!("{name} is of another leaf");
                }
                leaves = verified.commit.tree_size;
                names.push(name);
                leaf += 1;
            }
        }
        for (folder, ending) in [("attestations", "cose"), ("leaves", "bin")] {
            let expected: BTreeSet<String> = names
                .iter()
                .map(|name| format!("{name}.{ending}"))
                .collect();
            let mut found = BTreeSet::new();
            for entry in fs::read_dir(self.dir.join(folder)).with_context(|| folder.to_owned())? {
                found.insert(entry?.file_name().to_string_lossy().into_owned());
            }
            let more: Vec<_> = found.difference(&expected).collect();
            ensure!(more.is_empty(), "{folder}: of no leaf: {more:?}");
        }
        Ok(names)
    }

    fn files(&self, name: &str) -> (PathBuf, PathBuf) {
        (
            self.dir.join(format!("attestations/{name}.cose")),
            self.dir.join(format!("leaves/{name}.bin")),
        )
    }

    /// The exit code of `zq attestation verify`.
    fn verify(&self, programs: &Programs, receipt: &Path, leaf: &Path) -> Result<Option<i32>> {
        let mut zq = programs.command("zq");
        zq.args(["attestation", "verify"]).arg(receipt);
        zq.arg("--committee").arg(self.dir.join("committee.json"));
        let output = zq.arg("--leaf").arg(leaf).output()?;
        Ok(output.status.code())
    }
}

fn committee(document: &Value) -> Result<(CommitteeId, GroupKey)> {
    let text = |name: &str| {
        let text = document.get(name).and_then(Value::as_str);
        text.with_context(|| format!("no {name}"))
    };
    let committee = text("committee_id")?.parse().context("committee_id")?;
    let key = text("group_key")?.parse().context("group_key")?;
    let members = document.get("members").and_then(Value::as_array);
    let members = u64::try_from(members.context("no members")?.len())?;
    let threshold = number(document, "threshold")?;
    ensure!(
        threshold > 0 && threshold <= members,
        "a threshold of {threshold} with {members} members"
    );
    Ok((committee, key))
}

/// Steps and requests.
fn summary(document: &Value) -> Result<(u64, u64)> {
    let [steps, requests, attested, refused] =
        ["steps", "requests", "attested", "refused"].map(|name| number(document, name));
    let (steps, requests, attested, refused) = (steps?, requests?, attested?, refused?);
    let seconds = document.get("seconds").and_then(Value::as_f64);
    ensure!(seconds.is_some_and(|seconds| seconds > 0.0), "no seconds");
    ensure!(steps > 0 && requests > 0, "no steps or no requests");
    ensure!(
        attested.checked_add(refused) == Some(requests),
        "{attested} attested and {refused} refused of {requests}"
    );
    Ok((steps, requests))
}

fn request(line: &str) -> Result<()> {
    let line: Value = serde_json::from_str(line)?;
    let what = line.get("what").and_then(Value::as_str);
    ensure!(what.is_some_and(|what| !what.is_empty()), "no `what`");
    ensure!(
        line.get("answer").is_some_and(Value::is_object),
        "no `answer`"
    );
    Ok(())
}

fn number(document: &Value, name: &str) -> Result<u64> {
    let number = document.get(name).and_then(Value::as_u64);
    number.with_context(|| format!("no {name}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The document with one field changed or, for null, taken away.
    fn with(document: &Value, name: &str, value: Value) -> Value {
        let mut document = document.clone();
        let fields = document.as_object_mut().expect("an object");
        match value {
            Value::Null => fields.remove(name),
            value => fields.insert(name.to_owned(), value),
        };
        document
    }

    #[test]
    fn documents_of_a_run_that_lack_anything_are_refused() {
        let key = hex::encode(attestation_key());
        let whole = json!({
            "committee_id": "01".repeat(32), "group_key": key, "threshold": 4,
            "members": [1, 2, 3, 4, 5],
        });
        committee(&whole).expect("whole");
        for (name, value) in [
            ("committee_id", Value::Null),
            ("committee_id", json!("01")),
            ("group_key", Value::Null),
            ("group_key", json!("zz".repeat(32))),
            ("threshold", Value::Null),
            ("threshold", json!(6)),
            ("members", Value::Null),
            ("members", json!([])),
        ] {
            let changed = with(&whole, name, value);
            assert!(committee(&changed).is_err(), "{changed}");
        }
        let whole =
            json!({ "steps": 3, "requests": 5, "attested": 4, "refused": 1, "seconds": 0.5 });
        assert_eq!(summary(&whole).expect("whole"), (3, 5));
        for name in ["steps", "requests", "attested", "refused", "seconds"] {
            for value in [Value::Null, json!("3"), json!(0)] {
                let changed = with(&whole, name, value);
                assert!(summary(&changed).is_err(), "{changed}");
            }
        }
        request(r#"{"what":"add","answer":{}}"#).expect("whole");
        for line in ["", "{}", r#"{"what":"","answer":{}}"#, r#"{"what":"add"}"#] {
            assert!(request(line).is_err(), "{line}");
        }
    }

    /// The base point: a key.
    fn attestation_key() -> [u8; 32] {
        let mut bytes = [0x66; 32];
        bytes[0] = 0x58;
        bytes
    }
}
