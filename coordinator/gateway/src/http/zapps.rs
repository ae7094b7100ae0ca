//! zApps, their state and their callers.

use attestation::address::Address;
use attestation::codec;
use attestation::ids::{IdentityKey, ZappId};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use state::limits::KEY_BYTES_MAX;
use state::proof::{EntryProof, PathEnd};
use state::system::ZappRecord;

use super::answers::Hex;
use super::ledger::bytes;
use super::problem::Problem;
use super::requests::{media_type, read_body};
use crate::gateway::Gateway;
use crate::view::{View, ViewError};

/// A view's method, and its input as hexadecimal text of at most 64 KiB.
const VIEW_BYTES_MAX: usize = 2 * 64 * 1024 + 4096;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ViewCall {
    method: String,
    #[serde(default)]
    input: Hex,
}

/// `GET /v1/zapps`.
pub(super) async fn list(State(gateway): State<Gateway>) -> Response {
    let chain = gateway.inner.chain.read().await;
    let zapps = chain.state.zapps();
    let zapps: Vec<Value> = zapps
        .map(|(zapp, record)| zapp_json(&chain.state, &zapp, &record))
        .collect();
    Json(json!({ "seq": chain.seq(), "zapps": zapps })).into_response()
}

/// `GET /v1/zapps/{zapp}`.
pub(super) async fn show(
    State(gateway): State<Gateway>,
    Path(zapp): Path<String>,
) -> Result<Response, Problem> {
    let zapp = parse_zapp(&zapp)?;
    let chain = gateway.inner.chain.read().await;
    // A whole state shows every entry.
    let record = chain.state.zapp(&zapp).ok().flatten();
    let record = record.ok_or_else(|| unknown_zapp(&zapp))?;
    Ok(Json(zapp_json(&chain.state, &zapp, &record)).into_response())
}

/// `GET /v1/zapps/{zapp}/view?method=NAME&input=HEX`.
pub(super) async fn view_query(
    State(gateway): State<Gateway>,
    Path(zapp): Path<String>,
    call: Result<Query<ViewCall>, QueryRejection>,
) -> Result<Response, Problem> {
    let Ok(Query(call)) = call else {
        return Err(Problem::argument(
            "method or input",
            "a name and hexadecimal text",
        ));
    };
    view(&gateway, &zapp, call).await
}

/// `POST /v1/zapps/{zapp}/view` with `{method, input}`.
pub(super) async fn view_body(
    State(gateway): State<Gateway>,
    Path(zapp): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if media_type(&headers) != "application/json" {
        return Err(Problem::media_type("application/json"));
    }
    let body = read_body(body, VIEW_BYTES_MAX).await?;
    let call: ViewCall = serde_json::from_slice(&body).map_err(|error| {
        Problem::argument("body", "{method, input}").detail("json", error.to_string())
    })?;
    view(&gateway, &zapp, call).await
}

/// `GET /v1/state/{zapp}/{key}`: value and proof against the head's attested state.
pub(super) async fn entry(
    State(gateway): State<Gateway>,
    Path((zapp, key)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (zapp, key) = (parse_zapp(&zapp)?, parse_key(&key)?);
    let chain = gateway.inner.chain.read().await;
    let proof = prove(&chain.state, &zapp, &key)?;
    let value = match &proof.end {
        PathEnd::Entry { value, .. } => Some(Hex(value.clone())),
        PathEnd::Other { .. } | PathEnd::Empty => None,
    };
    let head = chain.head;
    let answer = json!({
        "zapp": zapp,
        "key": Hex(key),
        "value": value,
        "seq": chain.seq(),
        "state": chain.state.root(),
        "statement": head.map(|head| head.statement()),
        "proof": Hex(codec::encode(&proof)),
    });
    Ok(Json(answer).into_response())
}

/// `GET /v1/state/{zapp}/{key}/proof`: the proof's canonical CBOR.
pub(super) async fn proof(
    State(gateway): State<Gateway>,
    Path((zapp, key)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (zapp, key) = (parse_zapp(&zapp)?, parse_key(&key)?);
    let chain = gateway.inner.chain.read().await;
    let proof = prove(&chain.state, &zapp, &key)?;
    Ok(bytes("application/cbor", codec::encode(&proof)))
}

/// `GET /v1/callers/{key}`.
pub(super) async fn caller(
    State(gateway): State<Gateway>,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    let key: IdentityKey = key
        .parse()
        .map_err(|_| Problem::argument("key", "64 hexadecimal digits"))?;
    let answer = json!({
        "caller": key,
        "address": Address::from(&key),
        "nonce_used": gateway.nonce_used(&key).await,
        "nonce_next": gateway.nonce_next(&key).await,
        "balance": gateway.balance(&key).await,
    });
    Ok(Json(answer).into_response())
}

async fn view(gateway: &Gateway, zapp: &str, call: ViewCall) -> Result<Response, Problem> {
    let zapp = parse_zapp(zapp)?;
    let View {
        status,
        code,
        gas,
        output,
        log,
        seq,
        state,
    } = gateway.view(zapp, call.method, call.input.0).await?;
    let log: Vec<String> = log
        .iter()
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    let answer = json!({
        "status": status.name(),
        "code": code,
        "gas": gas,
        "output": Hex(output),
        "log": log,
        "seq": seq,
        "state": state,
    });
    Ok(Json(answer).into_response())
}

fn prove(state: &state::State, zapp: &ZappId, key: &[u8]) -> Result<EntryProof, Problem> {
    state.proof(zapp, key).map_err(|error| {
        tracing::error!(%error, "the whole state lacks an entry");
        crate::rows::StoreError::Damaged { table: "entries" }.into()
    })
}

fn zapp_json(state: &state::State, zapp: &ZappId, record: &ZappRecord) -> Value {
    // A whole state shows every entry.
    let lease = state.lease(zapp).unwrap_or_default();
    json!({
        "zapp": zapp,
        "owner": record.owner,
        "owner_address": Address::from(&record.owner),
        "module": record.module,
        "metered": record.metered,
        "seq": record.seq,
        "version": record.version,
        "frozen": record.frozen,
        "aborted": record.aborted,
        "lease": {
            "escrow": lease.escrow,
            "stored": lease.stored,
            "reserve": lease.reserve,
            "call_gas_max": lease.call_gas_max,
        },
    })
}

pub(super) fn parse_zapp(text: &str) -> Result<ZappId, Problem> {
    if text == "system" {
        return Ok(ZappId::SYSTEM);
    }
    text.parse()
        .map_err(|_| Problem::argument("zapp", "64 hexadecimal digits or \"system\""))
}

fn parse_key(text: &str) -> Result<Vec<u8>, Problem> {
    let key = hex::decode(text)
        .ok()
        .filter(|key| key.len() <= KEY_BYTES_MAX);
    key.ok_or_else(|| Problem::argument("key", "hexadecimal text of at most 256 bytes"))
}

pub(super) fn unknown_zapp(zapp: &ZappId) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown_zapp",
        format!("no zApp {zapp}"),
        "list the zApps at /v1/zapps, or deploy it",
    )
}

impl From<ViewError> for Problem {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::UnknownZapp(zapp) => unknown_zapp(&zapp),
            ViewError::Workers(error) => error.into(),
            ViewError::Module(error) => error.into(),
            ViewError::Execute(error) => {
                tracing::error!(%error, "view");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "no_outcome",
                    "this node could not run the view",
                    "try again, or ask another node of the committee",
                )
            }
        }
    }
}
