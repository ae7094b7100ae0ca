//! Submitting and following requests.

use std::convert::Infallible;
use std::time::Duration;

use attestation::codec;
use attestation::ids::{GroupKey, RequestId};
use attestation::request::{REQUEST_BYTES_MAX, Request, RequestError};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use state::system::methods;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::answers::{RequestAnswer, RequestJson};
use super::ledger::stream_place;
use super::problem::Problem;
use crate::gateway::Gateway;
use crate::submit::RequestState;

/// Longest wait of a submit, seconds.
const WAIT_S_MAX: u64 = 60;
/// Longest time that a body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// A JSON request is at most twice its bytes, and its field names.
const JSON_BYTES_MAX: usize = 2 * REQUEST_BYTES_MAX + 4096;

#[derive(Debug, Deserialize)]
pub(super) struct Wait {
    /// Seconds.
    #[serde(default)]
    wait: u64,
}

/// `POST /v1/requests?wait=SECONDS`.
pub(super) async fn submit(
    State(gateway): State<Gateway>,
    wait: Result<Query<Wait>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wait_s = match wait {
        Ok(Query(Wait { wait })) if wait <= WAIT_S_MAX => wait,
        _ => return Err(Problem::argument("wait", "a number of seconds up to 60")),
    };
    let request = read_request(&headers, body).await?;
    let key = gateway.key().ok_or_else(Problem::no_key)?;
    check_module(&gateway, &request).await?;
    let id = gateway.submit(request).await?;
    let state = follow(&gateway, id, Duration::from_secs(wait_s)).await?;
    answer(id, &state, &key)
}

/// `GET /v1/requests/{request}`.
pub(super) async fn show(
    State(gateway): State<Gateway>,
    Path(request): Path<String>,
) -> Result<Response, Problem> {
    let (id, key) = (parse(&request)?, gateway.key().ok_or_else(Problem::no_key)?);
    let state = gateway.request_state(&id).await?;
    answer(id, &state.ok_or_else(unknown)?, &key)
}

/// `GET /v1/requests/{request}/events`: `pending`, then `accepted` or `closed`, then the end.
pub(super) async fn events(
    State(gateway): State<Gateway>,
    Path(request): Path<String>,
) -> Result<Response, Problem> {
    let (id, key) = (parse(&request)?, gateway.key().ok_or_else(Problem::no_key)?);
    let place = stream_place(&gateway)?;
    let changes = gateway.inner.watches.watch(id);
    let state = gateway.request_state(&id).await?.ok_or_else(unknown)?;
    let stream = Changes {
        _place: place,
        id,
        key,
        stage: Stage::Known(state),
        changes,
    };
    Ok(Sse::new(stream.into_stream())
        .keep_alive(KeepAlive::default())
        .into_response())
}

/// Reads a body of at most `bytes_max` bytes within [`BODY_TIME_MAX`].
pub(super) async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let read = axum::body::to_bytes(body, bytes_max);
    match tokio::time::timeout(BODY_TIME_MAX, read).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(Problem::too_large(bytes_max)),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            "the body took more than 30 s to arrive",
            "send it again over a faster line",
        )),
    }
}

/// The media type without parameters, in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media = value.unwrap_or_default().split(';').next();
    media.unwrap_or_default().trim().to_ascii_lowercase()
}

/// Only decodes; [`Gateway::submit`] checks.
async fn read_request(headers: &HeaderMap, body: Body) -> Result<Request, Problem> {
    match media_type(headers).as_str() {
        "application/cbor" => {
            let bytes = read_body(body, REQUEST_BYTES_MAX).await?;
            let request = codec::decode(&bytes, REQUEST_BYTES_MAX);
            Ok(request.map_err(RequestError::Malformed)?)
        }
        "application/json" => {
            let bytes = read_body(body, JSON_BYTES_MAX).await?;
            let json: RequestJson = serde_json::from_slice(&bytes).map_err(|error| {
                let malformed = RequestError::Malformed(codec::Malformed::Structure);
                Problem::from(malformed).detail("json", error.to_string())
            })?;
            Ok(Request::from(json))
        }
        _ => Err(Problem::media_type("application/cbor or application/json")),
    }
}

/// A deployment or upgrade to a module that is nowhere would wait until it expires: say so at once. Requests
/// from other nodes are not held to this, their module may be on its way.
async fn check_module(gateway: &Gateway, request: &Request) -> Result<(), Problem> {
    // What is malformed the system zApp refuses, attested.
    match methods::module_of(&request.call) {
        Some(module) if gateway.module(&module).await?.is_none() => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "unknown_module",
            format!("module {module} is not stored here"),
            "upload it with PUT /v1/modules, then send the request again",
        )),
        _ => Ok(()),
    }
}

/// The request's state after a change to a final one, or after `wait`.
async fn follow(gateway: &Gateway, id: RequestId, wait: Duration) -> Result<RequestState, Problem> {
    let mut changes = gateway.inner.watches.watch(id);
    let state = gateway.request_state(&id).await?.ok_or_else(unknown)?;
    if !matches!(state, RequestState::Pending) {
        return Ok(state);
    }
    let changed = changes.wait_for(|state| !matches!(state, RequestState::Pending));
    match tokio::time::timeout(wait, changed).await {
        Ok(Ok(changed)) => Ok(changed.clone()),
        _ => Ok(state),
    }
}

fn answer(id: RequestId, state: &RequestState, key: &GroupKey) -> Result<Response, Problem> {
    let answer = RequestAnswer::new(id, state, key).ok_or_else(damaged)?;
    let status = match state {
        RequestState::Pending => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    };
    Ok((status, Json(answer)).into_response())
}

/// What is left to tell a follower.
struct Changes {
    _place: OwnedSemaphorePermit,
    id: RequestId,
    key: GroupKey,
    stage: Stage,
    changes: watch::Receiver<RequestState>,
}

enum Stage {
    Known(RequestState),
    Waiting,
    Done,
}

impl Changes {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, async |mut changes| {
            let event = changes.next().await?;
            Some((Ok(event), changes))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        let state = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Known(state) => state,
            Stage::Waiting => {
                let ended = |state: &RequestState| !matches!(state, RequestState::Pending);
                self.changes.wait_for(ended).await.ok()?.clone()
            }
            Stage::Done => return None,
        };
        if matches!(state, RequestState::Pending) {
            self.stage = Stage::Waiting;
        }
        let answer = RequestAnswer::new(self.id, &state, &self.key)?;
        Event::default().event(answer.state).json_data(&answer).ok()
    }
}

fn parse(request: &str) -> Result<RequestId, Problem> {
    request
        .parse()
        .map_err(|_| Problem::argument("request", "64 hexadecimal digits"))
}

fn unknown() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown_request",
        "this node never saw the request",
        "check the id, send the request, or ask the node that it was sent to",
    )
}

fn damaged() -> Problem {
    crate::rows::StoreError::Damaged { table: "steps" }.into()
}
