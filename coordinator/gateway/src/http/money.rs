//! What things cost, and where the money is.

use attestation::ids::IdentityKey;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use super::answers::Hex;
use super::problem::Problem;
use super::requests::{media_type, read_body};
use super::zapps::parse_zapp;
use crate::gateway::Gateway;
use crate::quote::QuoteCall;

/// A method, a caller, and an input of at most 64 KiB as hexadecimal text.
const QUOTE_BYTES_MAX: usize = 2 * 64 * 1024 + 4096;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuoteJson {
    method: String,
    #[serde(default)]
    input: Hex,
    #[serde(default)]
    caller: Option<IdentityKey>,
}

/// `POST /v1/zapps/{zapp}/quote` with `{method, input, caller}`.
pub(super) async fn quote(
    State(gateway): State<Gateway>,
    Path(zapp): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let zapp = parse_zapp(&zapp)?;
    if media_type(&headers) != "application/json" {
        return Err(Problem::media_type("application/json"));
    }
    let body = read_body(body, QUOTE_BYTES_MAX).await?;
    let call: QuoteJson = serde_json::from_slice(&body).map_err(|error| {
        Problem::argument("body", "{method, input, caller}").detail("json", error.to_string())
    })?;
    let quote = gateway
        .quote(QuoteCall {
            zapp,
            method: call.method,
            input: call.input.0,
            caller: call.caller.unwrap_or(IdentityKey::from_bytes([0; 32])),
        })
        .await?;
    let answer = json!({
        "status": quote.status.name(),
        "code": quote.code,
        "gas": quote.gas,
        // Room for what others change before it runs; unused gas is not charged.
        "gas_limit": quote.gas + quote.gas / 4,
        "fee": quote.fee,
        "stored": quote.stored,
        "deposit": quote.deposit,
        "output": Hex(quote.output),
        "seq": quote.seq,
    });
    Ok(Json(answer).into_response())
}

/// `GET /v1/funds`: all money by where it is, and what each member has earned.
pub(super) async fn funds(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    let chain = gateway.inner.chain.read().await;
    let (funds, credits) = (chain.state.funds(), chain.state.credits());
    let (Ok(Some(funds)), Ok(Some(credits))) = (funds, credits) else {
        return Err(crate::rows::StoreError::Damaged { table: "entries" }.into());
    };
    let members: Vec<_> = credits
        .0
        .iter()
        .map(|one| json!({ "slot": one.slot.0, "steps": one.steps, "earned": one.earned }))
        .collect();
    let answer = json!({
        "seq": chain.seq(),
        "deposits": funds.deposits,
        "accounts": funds.accounts,
        "escrows": funds.escrows,
        "held": funds.held,
        "earned": funds.earned,
        "pending": funds.pending,
        "unassigned": funds.unassigned,
        "members": members,
    });
    Ok(Json(answer).into_response())
}
