//! One bounded question over plain HTTP: no redirects, no proxies of the environment, no address but
//! those that were checked.

use std::time::Duration;

use attestation::source::Absence;
use serde_json::{Value, json};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::json::{DOCUMENT_BYTES_MAX, result};
use super::rules::{Target, is_public};

/// How long a source may take, from the name to the last byte.
pub const PATIENCE: Duration = Duration::from_secs(4);

/// What a target answers to a GET, or to a POST of this body. Blocks for [`PATIENCE`] at most.
///
/// # Errors
/// [`Absence`] says why there is no answer.
pub fn ask(target: &Target, body: Option<&str>) -> Result<Vec<u8>, Absence> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .max_idle_connections(0)
        .user_agent("zquorum")
        .build();
    let resolver = Checked {
        private: target.private,
        names: DefaultResolver::default(),
    };
    let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), resolver);
    let answer = match body {
        None => agent.get(&target.url).call(),
        Some(body) => agent
            .post(&target.url)
            .content_type("application/json")
            .send(body),
    };
    let mut answer = answer.map_err(|error| absence(&error))?;
    if answer.status() != 200 {
        return Err(Absence::Status);
    }
    let body = answer.body_mut().with_config();
    let body = body.limit(DOCUMENT_BYTES_MAX as u64).read_to_vec();
    body.map_err(|error| absence(&error))
}

/// The result of a question of JSON-RPC, in the bytes of the answer: numbers keep their text. Blocks
/// for [`PATIENCE`] at most.
///
/// # Errors
/// [`Absence`] says why there is none; [`Absence::Status`] if the node answers with an error.
pub fn ask_rpc(target: &Target, method: &str, params: &Value) -> Result<Vec<u8>, Absence> {
    let question = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let answer = ask(target, Some(&question.to_string()))?;
    result(&answer).map(<[u8]>::to_vec)
}

/// Resolves names to addresses that may be connected to, or to none: if one of a name's addresses
/// is not public, somebody plays with it.
#[derive(Debug)]
struct Checked {
    private: bool,
    names: DefaultResolver,
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.names.resolve(uri, config, timeout)?;
        if self.private || found.iter().all(|address| is_public(address.ip())) {
            return Ok(found);
        }
        Err(ureq::Error::BadUri(FORBIDDEN.to_owned()))
    }
}

/// Marks the one error that is ours.
const FORBIDDEN: &str = "not a public address";

fn absence(error: &ureq::Error) -> Absence {
    match error {
        ureq::Error::BadUri(why) if why == FORBIDDEN => Absence::Forbidden,
        ureq::Error::BodyExceedsLimit(_) => Absence::TooLong,
        _ => Absence::Unreachable,
    }
}
