//! Modules by digest.

use attestation::ids::ModuleDigest;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use runtime::limits::MODULE_BYTES_MAX;
use serde_json::json;
use state::execute::Prepared;

use super::ledger::bytes;
use super::problem::Problem;
use super::requests::read_body;
use crate::gateway::Gateway;

/// `PUT /v1/modules`: the gatekeeper's verdict, and the digest that a deploy names.
pub(super) async fn upload(
    State(gateway): State<Gateway>,
    body: Body,
) -> Result<Response, Problem> {
    let wasm = read_body(body, MODULE_BYTES_MAX).await?;
    let module = gateway.put_module(wasm.to_vec()).await?;
    let answer = json!({
        "module": module.original,
        "metered": module.metered_digest,
        "functions": module.functions,
        "operators": module.operators,
        "deploy_gas": Prepared {
            metered: module.metered_digest,
            functions: module.functions,
            operators: module.operators,
            calls: module.calls,
            pages: module.pages,
        }
        .gas(),
    });
    Ok((StatusCode::OK, Json(answer)).into_response())
}

/// `GET /v1/modules/{module}`: the bytes as their author sent them.
pub(super) async fn download(
    State(gateway): State<Gateway>,
    Path(module): Path<String>,
) -> Result<Response, Problem> {
    let digest: ModuleDigest = module
        .parse()
        .map_err(|_| Problem::argument("module", "64 hexadecimal digits"))?;
    let wasm = gateway.module(&digest).await?;
    let wasm = wasm.ok_or(crate::modules::ArtifactError::Unknown(digest))?;
    Ok(bytes("application/wasm", wasm))
}
