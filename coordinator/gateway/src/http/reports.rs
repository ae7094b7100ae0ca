//! Reports of blame and divergence.

use attestation::ids::{Digest, StatementId};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use signer_protocol::blame::Culprit;

use super::answers::Hex;
use super::ledger::bytes;
use super::problem::Problem;
use crate::gateway::Gateway;
use crate::reports::{KeptReport, Report};

/// Most reports in one answer.
const LIST_MAX: u64 = 1_024;

#[derive(Debug, Deserialize)]
pub(super) struct Range {
    limit: Option<u64>,
}

#[derive(Debug, Serialize)]
struct ReportAnswer {
    id: Digest,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coordinator: Option<u16>,
    seq: Option<u64>,
    view: Option<u64>,
    first_ms: u64,
    last_ms: u64,
    times: u64,
    /// Whether its signatures prove it to anyone.
    proof: bool,
    /// Whether the job can be had.
    job: bool,
    what: String,
}

#[derive(Debug, Serialize)]
struct VoteAnswer {
    member: u16,
    view: u64,
    statement: StatementId,
    signature: attestation::ids::Signature,
}

/// `GET /v1/reports?limit=N`, newest first.
pub(super) async fn list(
    State(gateway): State<Gateway>,
    range: Result<Query<Range>, QueryRejection>,
) -> Result<Response, Problem> {
    let Ok(Query(range)) = range else {
        return Err(Problem::argument("limit", "a number"));
    };
    let limit = range.limit.unwrap_or(100).clamp(1, LIST_MAX);
    let kept = gateway.reports(limit).await?;
    let reports: Vec<ReportAnswer> = kept.iter().map(|kept| answer(&gateway, kept)).collect();
    let count = gateway.reports_count().await?;
    Ok(Json(json!({ "count": count, "reports": reports })).into_response())
}

/// `GET /v1/reports/{report}`: who said what, and what to run again.
pub(super) async fn show(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let kept = find(&gateway, &id).await?;
    let votes: Vec<VoteAnswer> = kept
        .report
        .votes()
        .into_iter()
        .map(|vote| VoteAnswer {
            member: vote.slot.0,
            view: vote.view.0,
            statement: vote.statement,
            signature: vote.signature,
        })
        .collect();
    let silent: Vec<u16> = match &kept.report {
        Report::Divergence(report) => report.silent.iter().map(|slot| slot.0).collect(),
        Report::Blame { .. } | Report::Dissent { .. } | Report::Ceremony(_) => Vec::new(),
    };
    let mut body = json!({
        "votes": votes,
        "silent": silent,
        "job_digests": kept.report.jobs(),
        "evidence": Hex(kept.report.to_bytes()),
    });
    let summary = serde_json::to_value(answer(&gateway, &kept)).unwrap_or_default();
    if let (Some(body), serde_json::Value::Object(summary)) = (body.as_object_mut(), summary) {
        body.extend(summary);
    }
    Ok(Json(body).into_response())
}

/// `GET /v1/reports/{report}/job`: the job's canonical CBOR, witness included.
pub(super) async fn job(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let kept = find(&gateway, &id).await?;
    match gateway.report_job(&kept.id).await? {
        Some(job) => Ok(bytes("application/cbor", job)),
        None => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "no_job",
            "this node has never had the job of that report",
            "ask the other members' nodes: whoever voted has it",
        )),
    }
}

fn answer(gateway: &Gateway, kept: &KeptReport) -> ReportAnswer {
    let (member, coordinator) = match kept.report.culprit() {
        Some(Culprit::Member(slot)) => (Some(slot.0), None),
        Some(Culprit::Coordinator(rank)) => (None, Some(rank)),
        None => (None, None),
    };
    let place = kept.report.place();
    ReportAnswer {
        id: kept.id,
        kind: kept.report.kind(),
        member,
        coordinator,
        seq: place.map(|(seq, _)| seq.0),
        view: place.map(|(_, view)| view.0),
        first_ms: kept.first_ms,
        last_ms: kept.last_ms,
        times: kept.times,
        proof: gateway.proves(&kept.report),
        job: kept.has_job,
        what: kept.report.line(),
    }
}

async fn find(gateway: &Gateway, id: &str) -> Result<KeptReport, Problem> {
    let id: Digest = id
        .parse()
        .map_err(|_| Problem::argument("report", "64 hexadecimal digits"))?;
    gateway.kept_report(&id).await?.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "unknown_report",
            "this node keeps no such report",
            "see /v1/reports: each node keeps what its own guests reported, newest first",
        )
    })
}
