//! The node itself: health, status, committee, and the API's own description.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::answers::CommitteeAnswer;
use super::problem::Problem;
use crate::gateway::Gateway;

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
    let threshold = usize::from(gateway.record().threshold);
    let up = node.members.iter().filter(|member| member.up).count();
    let (pending, pending_ms) = gateway.waiting();
    let body = json!({
        "committee_id": gateway.inner.committee,
        "ready": gateway.key().is_some(),
        "quorum": up >= threshold,
        "members_up": up,
        "threshold": threshold,
        "head": head.map_or(0, |head| head.commit.seq.0),
        "head_time_ms": head.map(|head| head.commit.time_ms),
        "statement": head.map(|head| head.statement()),
        "state": state,
        "requests_pending": pending,
        "oldest_pending_ms": pending_ms,
        "node": node,
        "version": env!("CARGO_PKG_VERSION"),
    });
    (StatusCode::OK, Json(body)).into_response()
}

/// `GET /v1/committee`.
pub(super) async fn committee(State(gateway): State<Gateway>) -> Response {
    Json(CommitteeAnswer::new(gateway.record(), gateway.key())).into_response()
}
