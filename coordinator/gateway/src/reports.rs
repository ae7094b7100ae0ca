//! Reports: who did what the rules forbid, kept with what others need to check it (rule A7).
//!
//! A report is durable before it is shown and stays until newer ones take its place; the same fact
//! again is counted, not kept twice. The job behind it stays readable as long as the report: with
//! the job, which holds its witness, and the modules, anyone can run the step again offline.

use attestation::codec;
use attestation::ids::Digest;
use signer_protocol::evidence::{Evidence, History};
use signer_protocol::identity::Ed25519Verify;
use signer_protocol::message::MESSAGE_BYTES_MAX;
pub use signer_protocol::report::Report;
use state::job::Job;

use crate::gateway::Gateway;
use crate::rows::{ReportRow, ReportWrite, StoreError, Write};

/// A report that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptReport {
    /// The same for the same fact.
    pub id: Digest,
    /// What is reported; the newest where it was reported again.
    pub report: Report,
    /// When it was first reported, Unix milliseconds.
    pub first_ms: u64,
    /// When it was last reported.
    pub last_ms: u64,
    /// How often.
    pub times: u64,
    /// Whether its job is at hand.
    pub has_job: bool,
}

impl Gateway {
    /// Makes a report durable, with the job that it is about if the reporter has it.
    ///
    /// # Errors
    /// [`StoreError`] if it is not kept.
    pub async fn report(&self, report: &Report, job: Option<&Job>) -> Result<(), StoreError> {
        let write = ReportWrite {
            id: report.id(),
            at_ms: self.now_ms(),
            body: report.to_bytes(),
            statement: report.statement(),
            own: report.own(),
            job: job.map(codec::encode),
        };
        self.inner.store.write(Write::Report(Box::new(write))).await
    }

    /// The newest reports, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn reports(&self, limit: u64) -> Result<Vec<KeptReport>, StoreError> {
        let rows = self.inner.store.reports(limit).await?;
        rows.into_iter().map(kept).collect()
    }

    /// One report.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn kept_report(&self, id: &Digest) -> Result<Option<KeptReport>, StoreError> {
        self.inner.store.report(id).await?.map(kept).transpose()
    }

    /// The encoded job of a report.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn report_job(&self, id: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.store.report_job(id).await
    }

    /// How many reports are kept.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn reports_count(&self) -> Result<u64, StoreError> {
        self.inner.store.reports_count().await
    }

    /// Whether the signatures in a report prove it to anyone who knows the committee.
    #[must_use]
    pub fn proves(&self, report: &Report) -> bool {
        let (culprit, act) = match report {
            Report::Blame { culprit, act } => (culprit, act),
            Report::Ceremony(evidence) => return self.convicts(evidence),
            Report::Divergence(_) | Report::Dissent { .. } => return false,
        };
        let committees = self.committees();
        let mut committees = committees.iter();
        committees.any(|committee| act.proves(*culprit, committee, &Ed25519Verify))
    }
}

impl Gateway {
    /// Whether evidence, with what this node knows of the committee's history, convicts anybody.
    fn convicts(&self, evidence: &Evidence) -> bool {
        let mut evidence = evidence.clone();
        if evidence.needs().is_some()
            && let Some(view) = self.epochs()
        {
            evidence = evidence.with_history(&History {
                key: view.key.clone(),
                epochs: view.epochs.clone(),
            });
        }
        evidence.verify(self.record()).is_ok()
    }
}

fn kept(row: ReportRow) -> Result<KeptReport, StoreError> {
    let report = codec::decode(&row.body, MESSAGE_BYTES_MAX)
        .map_err(|_| StoreError::Damaged { table: "reports" })?;
    Ok(KeptReport {
        id: row.id,
        report,
        first_ms: row.first_ms,
        last_ms: row.last_ms,
        times: row.times,
        has_job: row.has_job,
    })
}

#[cfg(test)]
#[path = "reports_tests.rs"]
mod tests;
