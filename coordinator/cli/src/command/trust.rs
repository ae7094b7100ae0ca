//! Whom an attestation is checked against.

use std::fs;
use std::path::Path;

use attestation::ids::{CommitteeId, GroupKey};
use serde_json::Value;

use crate::failure::Failure;

/// A committee's key, and its id where it is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trust {
    pub(crate) key: GroupKey,
    pub(crate) committee: Option<CommitteeId>,
}

impl Trust {
    /// From a committee.json.
    pub(crate) fn from_file(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
        let json = serde_json::from_str(&text).map_err(|error| {
            let error = format!("{}: not a committee file: {error}", path.display());
            Failure::new(
                error,
                "make one with `zq --json committee show > committee.json`",
            )
        })?;
        Self::from_json(&json)
    }

    /// From the JSON that `/v1/committee` answers.
    pub(crate) fn from_json(json: &Value) -> Result<Self, Failure> {
        let part = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
        let key = part("group_key").parse().map_err(|_| {
            Failure::new(
                "the committee has no group key",
                "wait until key generation is done",
            )
        })?;
        let committee = part("committee_id").parse().map_err(|_| {
            Failure::new(
                "the committee file has no committee_id",
                "fetch the file again",
            )
        })?;
        Ok(Self {
            key,
            committee: Some(committee),
        })
    }
}
