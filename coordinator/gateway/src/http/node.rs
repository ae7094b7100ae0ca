//! The node itself: health, status, committee, and the API's own description.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::answers::CommitteeAnswer;
use super::epochs::EpochsAnswer;
use super::problem::Problem;
use crate::gateway::Gateway;
use crate::metrics::{CONTENT_TYPE as METRICS_TYPE, Position};

/// The OpenAPI 3.1 document; a test compares it with the routes.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// `GET /openapi.json`.
pub(super) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// `GET /v1/health`: 200 once requests can be attested.
pub(super) async fn health(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    match gateway.key() {
        Some(_) => Ok(Json(json!({ "health": "ok" })).into_response()),
        None => Err(Problem::no_key()),
    }
}

/// `GET /v1/status`: always 200; what is down is in the body.
pub(super) async fn status(State(gateway): State<Gateway>) -> Response {
    let node = gateway.inner.status.status();
    let (head, state) = {
        let chain = gateway.inner.chain.read().await;
        (chain.head, chain.state.root())
    };
    let threshold = usize::from(gateway.threshold());
    let up = node.members.iter().filter(|member| member.up).count();
    let voting = gateway.voting(&node);
    let (pending, pending_ms) = gateway.waiting();
    // A store that cannot be read is told by what needs it.
    let reports = gateway.reports_count().await.ok();
    let body = json!({
        "committee_id": gateway.inner.committee,
        "ready": gateway.key().is_some(),
        "quorum": voting >= threshold,
        "members_up": up,
        "members_voting": voting,
        "threshold": threshold,
        "conditions": gateway.record().conditions,
        "head": head.map_or(0, |head| head.commit.seq.0),
        "head_time_ms": head.map(|head| head.commit.time_ms),
        "statement": head.map(|head| head.statement()),
        "state": state,
        "requests_pending": pending,
        "oldest_pending_ms": pending_ms,
        "reports": reports,
        "node": node,
        "version": env!("CARGO_PKG_VERSION"),
    });
    (StatusCode::OK, Json(body)).into_response()
}

/// `GET /metrics`: OpenMetrics text.
pub(super) async fn metrics(State(gateway): State<Gateway>) -> Response {
    let node = gateway.inner.status.status();
    let chain = Position {
        head: gateway
            .head()
            .await
            .map(|head| (head.commit.seq, head.commit.time_ms)),
        ready: gateway.key().is_some(),
        threshold: gateway.threshold(),
        voting: gateway.voting(&node),
        waiting: gateway.waiting(),
    };
    let text = gateway.inner.metrics.text(&node, &chain);
    ([(CONTENT_TYPE, METRICS_TYPE)], text).into_response()
}

/// `GET /v1/committee`.
pub(super) async fn committee(State(gateway): State<Gateway>) -> Response {
    let epochs = gateway.epochs();
    let node = gateway.inner.status.status();
    let answer = CommitteeAnswer::new(gateway.record(), gateway.key(), epochs.as_deref(), node);
    Json(answer).into_response()
}

/// `GET /v1/committee/epochs`: all that proves who the members are.
pub(super) async fn epochs(State(gateway): State<Gateway>) -> Response {
    match gateway.epochs() {
        Some(view) => Json(EpochsAnswer::new(gateway.record(), &view)).into_response(),
        None => Problem::no_key().into_response(),
    }
}
