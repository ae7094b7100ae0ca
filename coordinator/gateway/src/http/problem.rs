//! Errors as callers see them: what is wrong, by which rule, and what to do.

use attestation::request::RequestError;
use axum::Json;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::modules::{ArtifactError, CompileError, ModuleError};
use crate::queue::QueueError;
use crate::rows::StoreError;
use crate::submit::SubmitError;
use crate::workers::WorkersError;

/// An error answer.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    error: String,
    rule: Option<&'static str>,
    what_to_do: &'static str,
    details: Map<String, Value>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        error: impl Into<String>,
        what_to_do: &'static str,
    ) -> Self {
        Self {
            status,
            code,
            error: error.into(),
            rule: None,
            what_to_do,
            details: Map::new(),
        }
    }

    pub(super) fn rule(mut self, rule: &'static str) -> Self {
        self.rule = Some(rule);
        self
    }

    pub(super) fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn not_found(error: &str) -> Self {
        let what = "check the path against /openapi.json";
        Self::new(StatusCode::NOT_FOUND, "not_found", error, what)
    }

    pub(super) fn method(method: &Method) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("{method} is not a method of this path"),
            "check the method against /openapi.json",
        )
    }

    pub(super) fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "this node is working on as many requests as it may",
            "try again, or ask another node of the committee",
        )
    }

    pub(super) fn argument(name: &str, expected: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_argument",
            format!("{name} is not {expected}"),
            "correct the argument; /openapi.json describes it",
        )
        .detail("argument", name)
    }

    pub(super) fn media_type(expected: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media_type",
            format!("the body is not {expected}"),
            "set the content-type header",
        )
    }

    pub(super) fn too_large(bytes_max: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("the body has more than {bytes_max} bytes"),
            "send less",
        )
        .detail("bytes_max", bytes_max)
    }

    pub(super) fn no_key() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no_key",
            "the committee has no key yet, so nothing can be attested",
            "wait until key generation is done; /v1/status shows how far it is",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = self.details;
        body.insert("error".to_owned(), json!(self.error));
        body.insert("code".to_owned(), json!(self.code));
        body.insert("what_to_do".to_owned(), json!(self.what_to_do));
        if let Some(rule) = self.rule {
            body.insert("rule".to_owned(), json!(rule));
        }
        (self.status, Json(Value::Object(body))).into_response()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        // The cause is for the operator; a caller only learns that nothing was kept.
        tracing::error!(%error, "store");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store_unavailable",
            "this node cannot reach its store; nothing of your request was kept",
            "send it again, or to another node of the committee",
        )
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let (status, code, what_to_do) = match error {
            RequestError::Malformed(_) => (
                StatusCode::BAD_REQUEST,
                "malformed",
                "send the canonical CBOR encoding of a request, or JSON as /openapi.json says",
            ),
            RequestError::Method(_) => (
                StatusCode::BAD_REQUEST,
                "method_length",
                "use a method name of 1 to 64 bytes",
            ),
            RequestError::Input(_) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "send an input of at most 65,536 bytes",
            ),
            RequestError::Pull(_) => (
                StatusCode::BAD_REQUEST,
                "sources",
                "name 1 to 16 sources within their bounds, with a deadline before the request expires",
            ),
            RequestError::CallerKey => (
                StatusCode::BAD_REQUEST,
                "caller_key",
                "name an Ed25519 key of prime order as caller",
            ),
            RequestError::Signature => (
                StatusCode::UNAUTHORIZED,
                "signature",
                "sign the request's signed bytes with the caller's key",
            ),
        };
        Self::new(status, code, error.to_string(), what_to_do).rule("A1")
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        let text = error.to_string();
        match error {
            SubmitError::Request(error) => error.into(),
            SubmitError::Queue(error) => error.into(),
            SubmitError::Store(error) => error.into(),
            SubmitError::NoKey => Self::no_key(),
            SubmitError::Cutover => Self::new(
                StatusCode::CONFLICT,
                "no_such_change",
                text,
                "see `change` in /v1/committee of a member that takes part in the change",
            )
            .rule("B4"),
            SubmitError::Unconfirmed => Self::new(
                StatusCode::CONFLICT,
                "unconfirmed",
                text,
                "nodes send these requests themselves once the chain bears them out; give the node an \
                 RPC (zq-node run --nom-rpc), or see in zq status why it has not seen it",
            )
            .rule("A2"),
            SubmitError::Unpaid(_) => Self::new(
                StatusCode::PAYMENT_REQUIRED,
                "unpaid",
                text,
                "ask for less gas, fund the zApp's escrow, let the caller pay, or show the work \
                 that /v1/committee asks for",
            ),
            SubmitError::Network { .. } => Self::new(
                StatusCode::BAD_REQUEST,
                "other_network",
                text,
                "sign the request for this committee's network; see /v1/committee",
            )
            .rule("A1"),
            SubmitError::Committee { .. } => Self::new(
                StatusCode::BAD_REQUEST,
                "other_committee",
                text,
                "sign the request for this committee; see /v1/committee",
            )
            .rule("A1"),
            SubmitError::Expired { .. } => Self::new(
                StatusCode::GONE,
                "expired",
                text,
                "sign it again with a later valid_until_ms, and check your clock",
            )
            .rule("A1"),
            SubmitError::GasLimit { .. } => Self::new(
                StatusCode::BAD_REQUEST,
                "gas_limit",
                text,
                "ask for less gas, or for some: the request could never be part of a step",
            )
            .rule("A1"),
            SubmitError::Replayed { seq } => Self::new(
                StatusCode::CONFLICT,
                "replayed",
                text,
                "read its outcome at /v1/requests/{id}; a new call needs a new nonce",
            )
            .rule("A1")
            .detail("seq", seq.0),
            SubmitError::NonceUsed { used, .. } => Self::new(
                StatusCode::CONFLICT,
                "nonce_used",
                text,
                "sign it again with a greater nonce; /v1/callers/{key} tells the next one",
            )
            .rule("A1")
            .detail("nonce_used", used),
        }
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        let (status, code, what_to_do) = match error {
            QueueError::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                "queue_full",
                "try again later; the committee is at its limit",
            ),
            QueueError::PullsFull => (
                StatusCode::TOO_MANY_REQUESTS,
                "sources_full",
                "try again when members have observed for some of them",
            ),
            QueueError::CallerFull => (
                StatusCode::TOO_MANY_REQUESTS,
                "caller_full",
                "wait until some of your requests are accepted",
            ),
            QueueError::NonceTaken { .. } => (
                StatusCode::CONFLICT,
                "nonce_taken",
                "sign it again with a greater nonce; /v1/callers/{key} tells the next one",
            ),
        };
        Self::new(status, code, error.to_string(), what_to_do).rule("A1")
    }
}

impl From<CompileError> for Problem {
    fn from(error: CompileError) -> Self {
        let (status, what_to_do) = match error {
            CompileError::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "try again"),
            CompileError::Exhausted => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "make the module smaller, or split its largest function",
            ),
            CompileError::Refused => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "report it with the module: the gatekeeper should have refused it",
            ),
        };
        Self::new(status, "compile", error.to_string(), what_to_do)
    }
}

impl From<ModuleError> for Problem {
    fn from(error: ModuleError) -> Self {
        let text = error.to_string();
        match error {
            ModuleError::Store(error) => error.into(),
            ModuleError::Compile(error) => error.into(),
            ModuleError::Workers(error) => error.into(),
            ModuleError::Full => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "modules_full",
                text,
                "ask another node of the committee",
            ),
            ModuleError::Rejected(rejection) => {
                let mut problem = Self::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "module_rejected",
                    text,
                    "change the module as the message says; the profile is in the documentation",
                )
                .rule(rejection.rule.id())
                .detail("offset", rejection.offset);
                if let Some(function) = rejection.function {
                    problem = problem.detail("function", function);
                }
                problem
            }
        }
    }
}

impl From<WorkersError> for Problem {
    fn from(error: WorkersError) -> Self {
        match error {
            WorkersError::Busy => Self::busy(),
            WorkersError::Lost => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "lost",
                error.to_string(),
                "report it with what you sent",
            ),
        }
    }
}

impl From<ArtifactError> for Problem {
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::Unknown(_) => Self::new(
                StatusCode::NOT_FOUND,
                "unknown_module",
                error.to_string(),
                "upload it with PUT /v1/modules",
            ),
            ArtifactError::Module(error) => error.into(),
            ArtifactError::Store(error) => error.into(),
        }
    }
}
