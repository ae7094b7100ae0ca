//! The HTTP API: one table of routes, from which the router is built and against which the
//! OpenAPI document is tested.
//!
//! Every error is JSON `{error, code, what_to_do, rule?}`; every answer carries `x-request-id`.

mod answers;
mod epochs;
mod ledger;
mod modules;
mod money;
mod node;
mod nom;
mod problem;
mod reports;
mod requests;
mod zapps;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post, put};
use tokio::sync::Semaphore;

use crate::gateway::Gateway;
use crate::metrics::Metrics;
use problem::Problem;

/// Most requests in work at once, waiting ones included; event streams have a bound of their own.
pub const IN_WORK_MAX: usize = 2048;

/// A path with its methods.
struct Route {
    path: &'static str,
    #[cfg_attr(not(test), allow(dead_code, reason = "the OpenAPI test compares it"))]
    methods: &'static [&'static str],
    handler: MethodRouter<Gateway>,
}

impl Gateway {
    /// The HTTP API as a router.
    pub fn router(&self) -> Router {
        let mut router = Router::new();
        for route in routes() {
            router = router.route(route.path, route.handler);
        }
        let limits = Arc::new(Limits {
            in_work: Semaphore::new(IN_WORK_MAX),
            served: AtomicU64::new(0),
            started_ms: self.now_ms(),
            metrics: self.inner.metrics.clone(),
        });
        router
            .fallback(async || Problem::not_found("there is no such path"))
            .method_not_allowed_fallback(async |method: Method| Problem::method(&method))
            .layer(middleware::from_fn_with_state(limits, admit))
            .with_state(self.clone())
    }
}

/// Every path of the API.
fn routes() -> Vec<Route> {
    let route = |path, methods, handler| Route {
        path,
        methods,
        handler,
    };
    const GET: &[&str] = &["get"];
    vec![
        route("/openapi.json", GET, get(node::openapi)),
        route("/metrics", GET, get(node::metrics)),
        route("/v1/health", GET, get(node::health)),
        route("/v1/status", GET, get(node::status)),
        route("/v1/committee", GET, get(node::committee)),
        route("/v1/committee/epochs", GET, get(node::epochs)),
        route("/v1/requests", &["post"], post(requests::submit)),
        route("/v1/requests/{request}", GET, get(requests::show)),
        route("/v1/requests/{request}/events", GET, get(requests::events)),
        route("/v1/callers/{key}", GET, get(zapps::caller)),
        route("/v1/funds", GET, get(money::funds)),
        route("/v1/nom", GET, get(nom::account)),
        route("/v1/nom/balances/{zapp}/{token}", GET, get(nom::balance)),
        route("/v1/events", GET, get(ledger::events)),
        route("/v1/steps", GET, get(ledger::steps)),
        route("/v1/steps/{seq}", GET, get(ledger::step)),
        route("/v1/steps/{seq}/attestation", GET, get(ledger::attestation)),
        route("/v1/attestations/{seq}/{leaf}", GET, get(ledger::receipt)),
        route("/v1/attestations/{seq}/{leaf}/leaf", GET, get(ledger::leaf)),
        route("/v1/reports", GET, get(reports::list)),
        route("/v1/reports/{report}", GET, get(reports::show)),
        route("/v1/reports/{report}/job", GET, get(reports::job)),
        route("/v1/zapps", GET, get(zapps::list)),
        route("/v1/zapps/{zapp}", GET, get(zapps::show)),
        route(
            "/v1/zapps/{zapp}/view",
            &["get", "post"],
            get(zapps::view_query).post(zapps::view_body),
        ),
        route("/v1/zapps/{zapp}/quote", &["post"], post(money::quote)),
        route("/v1/state/{zapp}/{key}", GET, get(zapps::entry)),
        route("/v1/state/{zapp}/{key}/proof", GET, get(zapps::proof)),
        route("/v1/modules", &["put"], put(modules::upload)),
        route("/v1/modules/{module}", GET, get(modules::download)),
    ]
}

struct Limits {
    in_work: Semaphore,
    served: AtomicU64,
    started_ms: u64,
    metrics: Metrics,
}

/// Gives the request an id and a place; without a place it is turned away at once.
async fn admit(State(limits): State<Arc<Limits>>, request: Request, next: Next) -> Response {
    let number = limits.served.fetch_add(1, Ordering::Relaxed);
    let mut id = String::with_capacity(32);
    write!(id, "{:x}-{number:x}", limits.started_ms).expect("writing to a string does not fail");
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match limits.in_work.try_acquire() {
        Ok(_place) => next.run(request).await,
        Err(_) => Problem::busy().into_response(),
    };
    let status = response.status().as_u16();
    limits.metrics.answered(response.status());
    tracing::debug!(request_id = %id, %method, %path, status, "answered");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[cfg(test)]
mod described;
#[cfg(test)]
mod tests;
