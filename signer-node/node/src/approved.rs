//! The plans of changes that this member has approved, also those that were given up.
//!
//! A plan that is given up leaves the epoch in force as it was. Whoever was to be a member under it
//! may hold a share of the key all the same, so it counts where exposure is counted (rule B5).

use std::path::Path;

use anyhow::{Context as _, Result};
use attestation::codec;
use attestation::ids::Digest;
use serde::{Deserialize, Serialize};
use signer_protocol::exposure::Dealing;
use signer_protocol::lineage::ChangeFile;
use signer_protocol::membership::Membership;

use crate::consent::{place, read};
use crate::files;

/// Most plans that are remembered; of more, the oldest go.
const PLANS_MAX: usize = 1_024;
/// Longest file of them: 150 slots each.
const BYTES_MAX: usize = PLANS_MAX * 640;

/// All of them, oldest first.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Approved(
    #[serde(deserialize_with = "codec::at_most::<PLANS_MAX, _, _>")] Vec<(Digest, Dealing)>,
);

impl Approved {
    /// What the directory remembers.
    ///
    /// # Errors
    /// If the file cannot be read or is none.
    pub(crate) fn load(dir: &Path) -> Result<Self> {
        let path = dir.join(files::PLANS);
        if !path.exists() {
            return Ok(Self::default());
        }
        let bytes = read(&path, BYTES_MAX as u64)?;
        codec::decode(&bytes, BYTES_MAX).context(files::PLANS)
    }

    pub(crate) fn dealings(&self) -> impl Iterator<Item = Dealing> {
        self.0.iter().map(|(_, dealing)| dealing.clone())
    }

    /// With one more.
    pub(crate) fn with(mut self, file: &ChangeFile, planned: &Membership) -> Self {
        let plan = file.plan.digest();
        self.0.retain(|(before, _)| *before != plan);
        self.0.push((plan, Dealing::from(planned)));
        let surplus = self.0.len().saturating_sub(PLANS_MAX);
        self.0.drain(..surplus);
        self
    }

    /// Makes them durable in the directory.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn place(&self, dir: &Path) -> Result<()> {
        place(dir, files::PLANS, &codec::encode(self))
    }
}

#[cfg(test)]
mod tests {
    use attestation::ids::{Epoch, Slot};

    use super::*;

    #[test]
    fn as_many_plans_as_are_remembered_come_back_from_the_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(
            Approved::load(dir.path()).expect("none"),
            Approved::default()
        );
        let plan = |number: u64| {
            let dealing = Dealing {
                epoch: Epoch(u64::MAX - number),
                threshold: u16::MAX,
                members: (0..150).map(|slot| Slot(u16::MAX - slot)).collect(),
            };
            (Digest::from_bytes([7; 32]), dealing)
        };
        let all = Approved((0..PLANS_MAX as u64).map(plan).collect());
        all.place(dir.path()).expect("fits");
        assert_eq!(Approved::load(dir.path()).expect("is one"), all);
        let more = Approved((0..=PLANS_MAX as u64).map(plan).collect());
        more.place(dir.path()).expect("is written");
        Approved::load(dir.path()).expect_err("too many");
    }
}
