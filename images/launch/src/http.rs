//! A small client for the nodes' HTTP API.

use std::time::Duration;

use serde_json::Value;

/// One node's API.
#[derive(Clone, Debug)]
pub struct Http {
    base: String,
    agent: ureq::Agent,
}

/// Why a call failed.
#[derive(Debug)]
pub enum HttpError {
    /// Nobody answered.
    Unreachable(String),
    /// The node refused; the JSON body says why.
    Refused {
        /// HTTP status code.
        status: u16,
        /// Body.
        body: Value,
    },
}

impl std::fmt::Display for HttpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "unreachable: {why}"),
            Self::Refused { status, body } => write!(f, "status {status}: {body}"),
        }
    }
}

impl std::error::Error for HttpError {}

impl Http {
    /// The API at `address`, such as `127.0.0.1:8080`.
    #[must_use]
    pub fn new(address: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .http_status_as_error(false)
            .build();
        Self {
            base: format!("http://{address}"),
            agent: config.into(),
        }
    }

    /// Base address, such as `http://127.0.0.1:8080`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// GET of a JSON resource.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn get(&self, path: &str) -> Result<Value, HttpError> {
        let bytes = self.get_bytes(path)?;
        serde_json::from_slice(&bytes).map_err(|error| HttpError::Unreachable(error.to_string()))
    }

    /// GET of bytes.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn get_bytes(&self, path: &str) -> Result<Vec<u8>, HttpError> {
        let answer = self.agent.get(format!("{}{path}", self.base)).call();
        Self::read(answer)
    }

    /// POST of bytes; the answer is JSON.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Value, HttpError> {
        let url = format!("{}{path}", self.base);
        let answer = self.agent.post(url).content_type(content_type).send(body);
        serde_json::from_slice(&Self::read(answer)?)
            .map_err(|error| HttpError::Unreachable(error.to_string()))
    }

    /// PUT of bytes; the answer is JSON.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn put(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Value, HttpError> {
        let url = format!("{}{path}", self.base);
        let answer = self.agent.put(url).content_type(content_type).send(body);
        serde_json::from_slice(&Self::read(answer)?)
            .map_err(|error| HttpError::Unreachable(error.to_string()))
    }

    fn read(
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Vec<u8>, HttpError> {
        let mut answer = answer.map_err(|error| HttpError::Unreachable(error.to_string()))?;
        let status = answer.status().as_u16();
        let bytes = answer
            .body_mut()
            .with_config()
            .limit(64 * 1024 * 1024)
            .read_to_vec()
            .map_err(|error| HttpError::Unreachable(error.to_string()))?;
        if (200..300).contains(&status) {
            return Ok(bytes);
        }
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Err(HttpError::Refused { status, body })
    }
}
