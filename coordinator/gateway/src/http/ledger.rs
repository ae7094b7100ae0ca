//! Accepted steps and their attestations.

use std::convert::Infallible;
use std::sync::Arc;

use attestation::ids::Seq;
use attestation::receipt::CONTENT_TYPE as RECEIPT_TYPE;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::answers::{Hex, StepAnswer};
use super::problem::Problem;
use crate::gateway::{Event, Gateway};
use crate::ledger::StepRecord;

/// Most steps in one answer.
const STEPS_MAX: u64 = 100;
/// An answer ends with the step that reaches so many leaves: 100 full steps would be 40 MB.
const LEAVES_MAX: usize = 4096;

#[derive(Debug, Deserialize)]
pub(super) struct Range {
    from: Option<u64>,
    limit: Option<u64>,
}

/// `GET /v1/steps?from=SEQ&limit=N`, rising; without `from` the newest. Large steps make an answer
/// shorter than `limit`: the next one begins after its last step.
pub(super) async fn steps(
    State(gateway): State<Gateway>,
    range: Result<Query<Range>, QueryRejection>,
) -> Result<Response, Problem> {
    let Ok(Query(range)) = range else {
        return Err(Problem::argument("from or limit", "a number"));
    };
    let limit = range.limit.unwrap_or(20);
    if !(1..=STEPS_MAX).contains(&limit) {
        return Err(Problem::argument("limit", "a number from 1 to 100"));
    }
    if range.from == Some(0) {
        return Err(Problem::argument("from", "a number from 1"));
    }
    let head = gateway.head().await.map_or(0, |head| head.commit.seq.0);
    let newest = head.saturating_sub(limit - 1);
    let from = range.from.unwrap_or(newest.max(1));
    let to = head.min(from.saturating_add(limit - 1));
    let (mut steps, mut leaves) = (Vec::new(), 0);
    for seq in from..=to {
        if leaves >= LEAVES_MAX {
            break;
        }
        if let Some(step) = gateway.step(Seq(seq)).await? {
            leaves += step.body.leaves.len();
            steps.push(StepAnswer::from(step.as_ref()));
        }
    }
    Ok(Json(json!({ "head": head, "steps": steps })).into_response())
}

/// `GET /v1/steps/{seq}`.
pub(super) async fn step(
    State(gateway): State<Gateway>,
    Path(seq): Path<String>,
) -> Result<Response, Problem> {
    let step = find(&gateway, &seq).await?;
    Ok(Json(StepAnswer::from(step.as_ref())).into_response())
}

/// `GET /v1/steps/{seq}/attestation`: the step attestation's canonical CBOR.
pub(super) async fn attestation(
    State(gateway): State<Gateway>,
    Path(seq): Path<String>,
) -> Result<Response, Problem> {
    let step = find(&gateway, &seq).await?;
    Ok(bytes("application/cbor", step.attestation.to_bytes()))
}

/// `GET /v1/attestations/{seq}/{leaf}`: the leaf's COSE receipt; `.bin` after the leaf gives the
/// leaf's bytes, `.json` both as hexadecimal text, `.evm` what contracts on EVM chains take.
pub(super) async fn receipt(
    State(gateway): State<Gateway>,
    Path((seq, leaf)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (index, form) = leaf.split_once('.').unwrap_or((&leaf, "cose"));
    let step = find(&gateway, &seq).await?;
    let (index, leaf) = find_leaf(&step, index)?;
    if form == "bin" {
        return Ok(bytes("application/octet-stream", leaf));
    }
    if form == "evm" {
        return for_evm(&gateway, &step, index, leaf).await;
    }
    let key = gateway.key().ok_or_else(Problem::no_key)?;
    let receipt = step
        .receipt(&key, index)
        .ok_or(crate::rows::StoreError::Damaged { table: "steps" })?;
    match form {
        "cose" => Ok(bytes(RECEIPT_TYPE, receipt)),
        "json" => {
            let answer = json!({
                "seq": step.seq(),
                "leaf": index,
                "statement": step.statement,
                "attestation": Hex(receipt),
                "leaf_bytes": Hex(leaf),
            });
            Ok(Json(answer).into_response())
        }
        _ => Err(Problem::argument(
            "leaf",
            "N, N.cose, N.bin, N.json or N.evm",
        )),
    }
}

/// Commit, root, signature under the second key, leaf and path: what `zq relay evm` makes calldata
/// of.
async fn for_evm(
    gateway: &Gateway,
    step: &StepRecord,
    index: usize,
    leaf: Vec<u8>,
) -> Result<Response, Problem> {
    if !gateway.record().evm {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "not_for_evm",
            "this committee does not sign for EVM chains",
            "make a committee with `zq committee create --evm`",
        ));
    }
    let signature = gateway.evm_signature(step.seq()).await?.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "not_cosigned",
            format!("step {} is not signed for EVM chains yet", step.seq()),
            "wait: steps are signed for EVM chains after they are attested",
        )
    })?;
    let path = step.path(index).unwrap_or_default();
    let answer = json!({
        "seq": step.seq(),
        "leaf": index,
        "statement": step.statement,
        "commit": Hex(step.attestation.commit.to_bytes().to_vec()),
        "root": step.attestation.root,
        "signature": signature,
        "leaf_bytes": Hex(leaf),
        "path": path.iter().map(|hash| Hex(hash.to_vec())).collect::<Vec<_>>(),
    });
    Ok(Json(answer).into_response())
}

/// `GET /v1/attestations/{seq}/{leaf}/leaf`: the leaf's exact bytes.
pub(super) async fn leaf(
    State(gateway): State<Gateway>,
    Path((seq, leaf)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let step = find(&gateway, &seq).await?;
    let (_, leaf) = find_leaf(&step, &leaf)?;
    Ok(bytes("application/octet-stream", leaf))
}

/// `GET /v1/events`: every step as it is accepted, from now on.
pub(super) async fn events(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    let place = stream_place(&gateway)?;
    let stream = stream::unfold((gateway.subscribe(), place), async |(mut events, place)| {
        let event = next_step(&mut events).await?;
        Some((Ok::<_, Infallible>(event), (events, place)))
    });
    Ok(Sse::new(stream)
        .keep_alive(KeepAlive::default())
        .into_response())
}

/// A place among the event streams, held until the stream ends.
pub(super) fn stream_place(gateway: &Gateway) -> Result<OwnedSemaphorePermit, Problem> {
    let places = Arc::clone(&gateway.inner.streams);
    places.try_acquire_owned().map_err(|_| Problem::busy())
}

async fn next_step(events: &mut Receiver<Event>) -> Option<SseEvent> {
    loop {
        match events.recv().await {
            Ok(Event::StepAccepted(step)) => {
                let answer = StepAnswer::from(step.as_ref());
                return SseEvent::default().event("step").json_data(answer).ok();
            }
            Ok(_) => {}
            // The follower reads the gap from /v1/steps.
            Err(RecvError::Lagged(missed)) => {
                let gap = json!({ "missed_events": missed });
                return SseEvent::default().event("gap").json_data(gap).ok();
            }
            Err(RecvError::Closed) => return None,
        }
    }
}

async fn find(gateway: &Gateway, seq: &str) -> Result<Arc<StepRecord>, Problem> {
    let seq = match seq {
        "head" => gateway.head().await.map(|head| head.commit.seq),
        number => match number.parse() {
            Ok(number) => Some(Seq(number)),
            Err(_) => return Err(Problem::argument("seq", "a number or \"head\"")),
        },
    };
    let step = match seq {
        Some(seq) if i64::try_from(seq.0).is_ok() => gateway.step(seq).await?,
        _ => None,
    };
    step.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "unknown_step",
            "no such step is accepted",
            "wait for it, or ask for one up to the head that /v1/status shows",
        )
    })
}

fn find_leaf(step: &StepRecord, index: &str) -> Result<(usize, Vec<u8>), Problem> {
    let index: usize = index
        .parse()
        .map_err(|_| Problem::argument("leaf", "a number"))?;
    let leaf = step.leaf(index).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "unknown_leaf",
            format!("step {} has {} leaves", step.seq(), step.body.leaves.len()),
            "ask for a smaller leaf number; leaf 0 is the step's bill",
        )
    })?;
    Ok((index, leaf.to_vec()))
}

pub(super) fn bytes(media_type: &'static str, body: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, media_type)], body).into_response()
}
