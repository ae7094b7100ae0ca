//! A member's node over HTTP.

use std::time::Duration;

use evm_client::rpc::harmless;
use serde_json::Value;

use crate::failure::Failure;

const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The HTTP API of one node.
pub(crate) struct Node {
    base: String,
    agent: ureq::Agent,
}

impl Node {
    /// From `--node`, else ZQ_NODE, else the default address.
    pub(crate) fn new(option: Option<&str>) -> Result<Self, Failure> {
        let base = option
            .map(str::to_owned)
            .or_else(|| std::env::var("ZQ_NODE").ok())
            .unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
        if !base.starts_with("http://") {
            return Err(Failure::Usage(format!(
                "{base}: a node's address begins with http://"
            )));
        }
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_global(Some(Duration::from_secs(90)))
            .http_status_as_error(false)
            // A node sends nobody elsewhere, and a proxy of the environment is not this node.
            .max_redirects(0)
            .proxy(None)
            .build();
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            agent: config.into(),
        })
    }

    /// GET of a JSON value.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.json(&self.get_bytes(path)?)
    }

    /// GET of a JSON value; `None` if the node refuses with this code.
    pub(crate) fn get_if(&self, path: &str, code: &str) -> Result<Option<Value>, Failure> {
        let (is_answer, bytes) = self.take(self.agent.get(self.url(path)).call())?;
        let value = self.json(&bytes)?;
        if is_answer {
            return Ok(Some(value));
        }
        match value.get("code").and_then(Value::as_str) {
            Some(found) if found == code => Ok(None),
            _ => Err(self.refused(&value)),
        }
    }

    /// GET of bytes.
    pub(crate) fn get_bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        self.read(self.agent.get(self.url(path)).call())
    }

    /// POST of bytes.
    pub(crate) fn post(&self, path: &str, media: &str, body: &[u8]) -> Result<Value, Failure> {
        let answer = self
            .agent
            .post(self.url(path))
            .content_type(media)
            .send(body);
        self.json(&self.read(answer)?)
    }

    /// PUT of bytes.
    pub(crate) fn put(&self, path: &str, media: &str, body: &[u8]) -> Result<Value, Failure> {
        let answer = self
            .agent
            .put(self.url(path))
            .content_type(media)
            .send(body);
        self.json(&self.read(answer)?)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn read(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Vec<u8>, Failure> {
        let (is_answer, bytes) = self.take(answer)?;
        if is_answer {
            return Ok(bytes);
        }
        Err(self.refused(&serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    /// A body, and whether it is what was asked for.
    fn take(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<(bool, Vec<u8>), Failure> {
        let unreachable = |error: ureq::Error| Failure::Unreachable {
            node: self.base.clone(),
            error: error.to_string(),
        };
        let mut answer = answer.map_err(unreachable)?;
        let body = answer.body_mut().with_config().limit(BODY_BYTES_MAX);
        let bytes = body.read_to_vec().map_err(unreachable)?;
        Ok((answer.status().is_success(), bytes))
    }

    /// What a node says when it refuses.
    fn refused(&self, problem: &Value) -> Failure {
        let part = |name: &str| problem.get(name).and_then(Value::as_str).map(harmless);
        let Some(error) = part("error") else {
            return Failure::new(
                format!("{} answers as no node does", self.base),
                "is this the address of a zquorum node?",
            );
        };
        let error = match part("rule") {
            Some(rule) => format!("{error} (rule {rule}{})", place(problem)),
            None => error,
        };
        Failure::new(error, part("what_to_do").unwrap_or_default())
    }

    fn json(&self, bytes: &[u8]) -> Result<Value, Failure> {
        serde_json::from_slice(bytes).map_err(|error| Failure::Unreachable {
            node: self.base.clone(),
            error: format!("not a node's answer: {error}"),
        })
    }
}

/// Function and offset of a module that was refused.
fn place(problem: &Value) -> String {
    ["function", "offset"]
        .iter()
        .filter_map(|name| {
            Some(format!(
                ", {name} {}",
                harmless(&problem.get(*name)?.to_string())
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use conformance::http::{Reply, Server};

    use super::*;

    #[test]
    fn a_gateway_sends_nobody_elsewhere_and_its_text_deceives_no_terminal() {
        let elsewhere = Server::always(Reply::Ok("{}".to_owned()));
        let status = format!("302 Found\r\nLocation: {}/", elsewhere.url());
        let server = Server::always(Reply::Status(status, String::new()));
        let node = Node::new(Some(&server.url())).expect("an address");
        assert!(node.get("/v1/committee").is_err());
        assert_eq!(elsewhere.asked(), 0);
        let problem = r#"{"error":"no\u001b[2J","rule":"A1\n","what_to_do":"\u009b1m"}"#;
        let status = "400 Bad Request".to_owned();
        let server = Server::always(Reply::Status(status, problem.to_owned()));
        let node = Node::new(Some(&server.url())).expect("an address");
        let failure = node.get("/v1/committee").expect_err("refused").to_json();
        assert_eq!(failure["error"], "no [2J (rule A1 )");
        assert_eq!(failure["what_to_do"], " 1m");
    }
}
