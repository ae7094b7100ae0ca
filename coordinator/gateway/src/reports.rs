//! Reports: who did what the rules forbid, kept with what others need to check it (rule A7).
//!
//! A report is durable before it is shown and stays until newer ones take its place; the same fact
//! again is counted, not kept twice. The job behind it stays readable as long as the report: with
//! the job, which holds its witness, and the modules, anyone can run the step again offline.

use attestation::codec;
use attestation::ids::{Digest, Seq, StatementId, View};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use signer_protocol::blame::{Act, Culprit, Divergence};
use signer_protocol::identity::Ed25519Verify;
use signer_protocol::message::MESSAGE_BYTES_MAX;
use state::job::{Job, SignedVote};

use crate::gateway::Gateway;
use crate::rows::{ReportRow, ReportWrite, StoreError, Write};

/// Something that an operator may have to show to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// A party did what the rules forbid, or did not do what they ask for.
    Blame {
        /// Who.
        culprit: Culprit,
        /// What, with evidence.
        act: Box<Act>,
    },
    /// A view ended without a certificate.
    Divergence(Divergence),
    /// This member ran a step to something else than t members.
    Dissent {
        /// Step.
        seq: Seq,
        /// View.
        view: View,
        /// What t members voted for.
        certified: StatementId,
        /// What this member came to.
        own: StatementId,
    },
}

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

impl Report {
    /// What kind of report it is, as the API names it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Divergence(_) => "divergence",
            Self::Dissent { .. } => "dissent",
            Self::Blame { act, .. } => match act.as_ref() {
                Act::ProposedTwice(_) => "proposed-twice",
                Act::PackagedTwice(_) => "packaged-twice",
                Act::VotedTwice(_) => "voted-twice",
                Act::VotedOtherwise { .. } => "voted-otherwise",
                Act::BadShare { .. } => "bad-share",
                Act::Absent { .. } => "absent",
                Act::Withheld { .. } => "withheld",
            },
        }
    }

    /// Who is blamed, if somebody is.
    #[must_use]
    pub const fn culprit(&self) -> Option<Culprit> {
        match self {
            Self::Blame { culprit, .. } => Some(*culprit),
            Self::Divergence(_) | Self::Dissent { .. } => None,
        }
    }

    /// Step and view that it is about.
    #[must_use]
    pub fn place(&self) -> Option<(Seq, View)> {
        match self {
            Self::Blame { act, .. } => act.place(),
            Self::Divergence(report) => Some((report.seq, report.view)),
            Self::Dissent { seq, view, .. } => Some((*seq, *view)),
        }
    }

    /// The signed votes in it: who said what.
    #[must_use]
    pub fn votes(&self) -> Vec<&SignedVote> {
        match self {
            Self::Divergence(report) => report.votes.iter().collect(),
            Self::Dissent { .. } => Vec::new(),
            Self::Blame { act, .. } => match act.as_ref() {
                Act::VotedTwice(both) => both.iter().collect(),
                Act::VotedOtherwise { vote, certificate } => std::iter::once(vote.as_ref())
                    .chain(&certificate.votes)
                    .collect(),
                Act::BadShare { package, .. } => package.certificate.votes.iter().collect(),
                Act::ProposedTwice(_)
                | Act::PackagedTwice(_)
                | Act::Absent { .. }
                | Act::Withheld { .. } => Vec::new(),
            },
        }
    }

    /// Digests of the jobs that it names.
    #[must_use]
    pub fn jobs(&self) -> Vec<Digest> {
        match self {
            Self::Divergence(report) => vec![report.job],
            Self::Blame { act, .. } => match act.as_ref() {
                Act::ProposedTwice(both) => both.iter().map(|proposal| proposal.job).collect(),
                _ => Vec::new(),
            },
            Self::Dissent { .. } => Vec::new(),
        }
    }

    /// What happened, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Self::Blame { culprit, act } => format!("{culprit} {act}"),
            Self::Divergence(report) => report.to_string(),
            Self::Dissent {
                seq,
                view,
                certified,
                own,
            } => format!(
                "this member ran step {seq} (view {view}) to {own}, t members to {certified}: \
                 check executor, image and machine"
            ),
        }
    }

    /// The canonical encoding: the evidence as others check it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The same for the same fact. Networks fail all the time: that a member was away is one fact
    /// however many steps it missed, and cannot push proofs out.
    fn id(&self) -> Digest {
        let bytes = match self {
            Self::Blame { culprit, act }
                if matches!(act.as_ref(), Act::Absent { .. } | Act::Withheld { .. }) =>
            {
                codec::encode(&(self.kind(), culprit))
            }
            report => report.to_bytes(),
        };
        Digest::from_bytes(Sha256::digest(bytes).into())
    }

    /// A statement that is or may become an accepted step, with the job that the report is about.
    fn statement(&self) -> Option<StatementId> {
        match self {
            Self::Dissent { certified, .. } => Some(*certified),
            Self::Blame { act, .. } => match act.as_ref() {
                Act::VotedOtherwise { certificate, .. } => {
                    certificate.claim().map(|claim| claim.statement)
                }
                Act::BadShare { stated, .. } => Some(stated.statement()),
                Act::VotedTwice(both) => both.first().map(|vote| vote.statement),
                Act::ProposedTwice(_)
                | Act::PackagedTwice(_)
                | Act::Absent { .. }
                | Act::Withheld { .. } => None,
            },
            Self::Divergence(_) => None,
        }
    }

    fn own(&self) -> Option<StatementId> {
        match self {
            Self::Dissent { own, .. } => Some(*own),
            Self::Blame { .. } | Self::Divergence(_) => None,
        }
    }
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
        let Report::Blame { culprit, act } = report else {
            return false;
        };
        let committees = self.committees();
        let mut committees = committees.iter();
        committees.any(|committee| act.proves(*culprit, committee, &Ed25519Verify))
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
