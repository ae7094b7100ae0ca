//! JSON-RPC 2.0 in HTTP POST, and the one file that names the HTTP library.

use core::sync::atomic::{AtomicU64, Ordering};
use std::borrow::ToOwned as _;
use std::io;
use std::string::{String, ToString as _};
use std::vec::Vec;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use super::{ClientError, Fault, Limits, harmless};
use crate::JsonError;

/// One node's address.
#[derive(Debug)]
pub(super) struct Transport {
    url: String,
    agent: ureq::Agent,
    body_bytes_max: u64,
    /// Of the next call: an answer says which call it is to.
    next_id: AtomicU64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "T: DeserializeOwned")]
struct Envelope<T> {
    jsonrpc: String,
    id: Option<u64>,
    result: Option<T>,
    error: Option<Declined>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declined {
    code: i64,
    message: String,
    #[serde(rename = "data")]
    _data: Option<IgnoredAny>,
}

impl Transport {
    pub(super) fn new(url: &str, limits: Limits) -> Result<Self, ClientError> {
        let is_address = ureq::http::Uri::try_from(url)
            .is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.port().is_some());
        if !is_address {
            return Err(ClientError::Address { url: harmless(url) });
        }
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(limits.connect))
            .timeout_global(Some(limits.answer))
            .http_status_as_error(false)
            // A node sends nobody elsewhere, and a proxy of the environment is not this node.
            .max_redirects(0)
            .proxy(None)
            .build();
        Ok(Self {
            url: url.to_owned(),
            agent: config.into(),
            body_bytes_max: limits.body_bytes_max,
            next_id: AtomicU64::new(1),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Calls a method that always has a result.
    pub(super) fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<T, ClientError> {
        let result = self.ask(method, params)?;
        result.ok_or(ClientError::Form {
            method,
            error: JsonError::Field("result"),
        })
    }

    /// Calls a method whose result may be `null`.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<Option<T>, ClientError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let body = self
            .exchange(call.to_string().as_bytes())
            .map_err(|fault| ClientError::Unavailable {
                url: self.url.clone(),
                method,
                fault,
            })?;
        let form = |error| ClientError::Form { method, error };
        let envelope: Envelope<T> =
            serde_json::from_slice(&body).map_err(|error| form(JsonError::Structure(error)))?;
        if envelope.jsonrpc != "2.0" {
            return Err(form(JsonError::Field("jsonrpc")));
        }
        if let Some(declined) = envelope.error {
            return Err(ClientError::Declined {
                method,
                code: declined.code,
                said: harmless(&declined.message),
            });
        }
        if envelope.id != Some(id) {
            return Err(form(JsonError::Field("id")));
        }
        Ok(envelope.result)
    }

    fn exchange(&self, call: &[u8]) -> Result<Vec<u8>, Fault> {
        let sent = self
            .agent
            .post(&self.url)
            .content_type("application/json")
            .send(call);
        let mut answer = sent.map_err(|error| self.fault(error))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(Fault::Status(status.as_u16()));
        }
        let body = answer.body_mut().with_config().limit(self.body_bytes_max);
        body.read_to_vec().map_err(|error| self.fault(error))
    }

    fn fault(&self, error: ureq::Error) -> Fault {
        match error {
            ureq::Error::Timeout(_) => Fault::TooSlow,
            ureq::Error::BodyExceedsLimit(_) => Fault::TooLong {
                bytes_max: self.body_bytes_max,
            },
            ureq::Error::Io(error) => Fault::Unreachable(error),
            ureq::Error::HostNotFound => Fault::Unreachable(io::ErrorKind::NotFound.into()),
            ureq::Error::ConnectionFailed => {
                Fault::Unreachable(io::ErrorKind::ConnectionRefused.into())
            }
            _ => Fault::Protocol,
        }
    }
}
