//! Whom an attestation is checked against.

use std::path::Path;

use attestation::ids::{CommitteeId, GroupKey, NetworkId};
use serde_json::Value;

use crate::failure::Failure;
use crate::files;

/// A committee's key, and its id where it is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trust {
    pub(crate) key: GroupKey,
    pub(crate) committee: Option<CommitteeId>,
    /// Number of its network, where that is told.
    pub(crate) network: Option<NetworkId>,
}

impl Trust {
    /// From a committee.json.
    pub(crate) fn from_file(path: &Path) -> Result<Self, Failure> {
        let text = files::read_text(path, files::JSON_BYTES_MAX)?;
        let json = serde_json::from_str(&text).ok();
        let trust = json.as_ref().map(Self::parts);
        match trust {
            Some((Some(key), Some(committee))) => Ok(Self {
                key,
                committee: Some(committee),
                network: json.as_ref().and_then(Self::network),
            }),
            _ => Err(Failure::new(
                format!(
                    "{}: no committee file: committee_id and group_key are missing",
                    path.display()
                ),
                "make one with `zq --json committee show > committee.json`",
            )),
        }
    }

    /// From the JSON that `/v1/committee` answers.
    pub(crate) fn from_json(json: &Value) -> Result<Self, Failure> {
        let (key, committee) = Self::parts(json);
        let key = key.ok_or_else(|| {
            Failure::new(
                "the committee has no group key",
                "wait until key generation is done; `zq status` shows how far it is",
            )
        })?;
        Ok(Self {
            key,
            committee,
            network: Self::network(json),
        })
    }

    fn network(json: &Value) -> Option<NetworkId> {
        json.get("network").and_then(Value::as_u64).map(NetworkId)
    }

    fn parts(json: &Value) -> (Option<GroupKey>, Option<CommitteeId>) {
        let part = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
        (
            part("group_key").parse().ok(),
            part("committee_id").parse().ok(),
        )
    }
}
