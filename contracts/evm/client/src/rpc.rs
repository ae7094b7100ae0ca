//! An EVM chain's node over JSON-RPC.
//!
//! What it answers is parsed and bounded and otherwise believed: a node that lies costs whoever
//! relays through it gas or time, and contracts nothing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::transaction::Address;

/// Longest answer in bytes.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest text of a node that is repeated to the operator.
const TEXT_CHARS_MAX: usize = 300;

/// A node.
#[derive(Debug)]
pub struct Rpc {
    url: String,
    agent: ureq::Agent,
}

/// Why a node gave no answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// Only http is spoken.
    #[error("{0}: an address that begins with http:// is expected")]
    Address(String),
    /// Nobody answered.
    #[error("{url}: {error}")]
    Unreachable {
        /// The node.
        url: String,
        /// What happened.
        error: String,
    },
    /// The answer is not what the method gives.
    #[error("the node's answer to {0} cannot be read")]
    Answer(&'static str),
    /// The node refused.
    #[error("the node refuses {method}: {message}")]
    Refused {
        /// The method.
        method: &'static str,
        /// What the node says.
        message: String,
        /// What the contract reverted with, if that is why.
        revert: Option<Vec<u8>>,
    },
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Whether it did what it was to do; one that reverted pays for gas, too.
    pub succeeded: bool,
    /// Gas that was paid for.
    pub gas: u64,
    /// What was paid per gas, wei; `None` if the node does not say.
    pub price: Option<u128>,
    /// Its block's number.
    pub block: u64,
}

/// The state that a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// After the newest block.
    Latest,
    /// With what waits for the next one.
    Pending,
}

/// What a transaction costs now, per gas, wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// What the newest block burns.
    pub base: u128,
    /// What whoever builds blocks expects beside it.
    pub tip: u128,
}

impl Rpc {
    /// A node at an address.
    ///
    /// # Errors
    /// [`RpcError::Address`] if it is none of http.
    pub fn new(url: &str) -> Result<Self, RpcError> {
        if !url.starts_with("http://") {
            return Err(RpcError::Address(origin(url)));
        }
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            // A node sends nobody elsewhere, and a proxy of the environment is not this node.
            .max_redirects(0)
            .proxy(None)
            .build();
        Ok(Self {
            url: url.to_owned(),
            agent: config.into(),
        })
    }

    /// Asks; the result of the answer.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn ask(&self, method: &'static str, params: &Value) -> Result<Value, RpcError> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let unreachable = |error: ureq::Error| RpcError::Unreachable {
            url: origin(&self.url),
            error: error.to_string(),
        };
        let answer = self.agent.post(&self.url).content_type("application/json");
        let mut answer = answer.send(body.to_string()).map_err(unreachable)?;
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let bytes = body.read_to_vec().map_err(unreachable)?;
        let mut answer: Value =
            serde_json::from_slice(&bytes).map_err(|_| RpcError::Answer(method))?;
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            let message = error.get("message").and_then(Value::as_str);
            let message = message.unwrap_or("no reason given").chars();
            let message: String = message.take(TEXT_CHARS_MAX).collect();
            return Err(RpcError::Refused {
                method,
                message: harmless(&message),
                revert: error.get("data").and_then(Value::as_str).and_then(bytes_of),
            });
        }
        let result = answer.get_mut("result").map(Value::take);
        result.ok_or(RpcError::Answer(method))
    }

    /// The chain.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn chain(&self) -> Result<u64, RpcError> {
        self.number("eth_chainId", &json!([]))
    }

    /// How many transactions an account has sent.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn nonce(&self, account: &Address, at: At) -> Result<u64, RpcError> {
        self.number(
            "eth_getTransactionCount",
            &json!([text(account), at.name()]),
        )
    }

    /// What an account holds, wei.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn balance(&self, account: &Address) -> Result<u128, RpcError> {
        let method = "eth_getBalance";
        let balance = self.ask(method, &json!([text(account), "latest"]))?;
        quantity(&balance).ok_or(RpcError::Answer(method))
    }

    /// A contract's code; empty where there is none.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn code(&self, contract: &Address) -> Result<Vec<u8>, RpcError> {
        self.data("eth_getCode", &json!([text(contract), "latest"]))
    }

    /// What a call would return.
    ///
    /// # Errors
    /// [`RpcError`]; with what the contract reverted with, if it would.
    pub fn view(&self, contract: &Address, data: &[u8]) -> Result<Vec<u8>, RpcError> {
        let call = json!({ "to": text(contract), "data": text(data) });
        self.data("eth_call", &json!([call, "latest"]))
    }

    /// The gas that a transaction needs now.
    ///
    /// # Errors
    /// [`RpcError`]; with what the contract reverts with, if it does.
    pub fn estimate(
        &self,
        from: &Address,
        to: Option<&Address>,
        data: &[u8],
    ) -> Result<u64, RpcError> {
        let mut call = json!({ "from": text(from), "data": text(data) });
        if let (Some(to), Some(call)) = (to, call.as_object_mut()) {
            call.insert("to".to_owned(), text(to).into());
        }
        self.number("eth_estimateGas", &json!([call]))
    }

    /// What gas costs now.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn fees(&self) -> Result<Fees, RpcError> {
        let method = "eth_getBlockByNumber";
        let block = self.ask(method, &json!(["latest", false]))?;
        let base = block.get("baseFeePerGas").and_then(quantity);
        let tip = self.ask("eth_maxPriorityFeePerGas", &json!([]))?;
        Ok(Fees {
            base: base.ok_or(RpcError::Answer(method))?,
            tip: quantity(&tip).ok_or(RpcError::Answer("eth_maxPriorityFeePerGas"))?,
        })
    }

    /// Time of the newest block, Unix seconds.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn time(&self) -> Result<u64, RpcError> {
        let method = "eth_getBlockByNumber";
        let block = self.ask(method, &json!(["latest", false]))?;
        let time = block.get("timestamp").and_then(quantity);
        let time = time.and_then(|time| u64::try_from(time).ok());
        time.ok_or(RpcError::Answer(method))
    }

    /// Hands in a signed transaction.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn send(&self, transaction: &[u8]) -> Result<(), RpcError> {
        let params = json!([text(transaction)]);
        self.data("eth_sendRawTransaction", &params).map(|_| ())
    }

    /// What became of a transaction; `None` as long as it is in no block.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn receipt(&self, hash: &[u8; 32]) -> Result<Option<Receipt>, RpcError> {
        let method = "eth_getTransactionReceipt";
        let receipt = self.ask(method, &json!([text(hash)]))?;
        if receipt.is_null() {
            return Ok(None);
        }
        let part = |name: &str| {
            let number = receipt.get(name).and_then(quantity);
            let number = number.and_then(|number| u64::try_from(number).ok());
            number.ok_or(RpcError::Answer(method))
        };
        Ok(Some(Receipt {
            succeeded: part("status")? == 1,
            gas: part("gasUsed")?,
            price: receipt.get("effectiveGasPrice").and_then(quantity),
            block: part("blockNumber")?,
        }))
    }

    fn number(&self, method: &'static str, params: &Value) -> Result<u64, RpcError> {
        let number = quantity(&self.ask(method, params)?);
        let number = number.and_then(|number| u64::try_from(number).ok());
        number.ok_or(RpcError::Answer(method))
    }

    fn data(&self, method: &'static str, params: &Value) -> Result<Vec<u8>, RpcError> {
        let data = self.ask(method, params)?;
        let data = data.as_str().and_then(bytes_of);
        data.ok_or(RpcError::Answer(method))
    }
}

impl At {
    const fn name(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::Pending => "pending",
        }
    }
}

/// Bytes as the interface writes them.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// Bytes as the interface writes them.
#[must_use]
pub fn bytes_of(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.strip_prefix("0x")?).ok()
}

/// Somebody else's text without control characters, so that it does not deceive a terminal.
#[must_use]
pub fn harmless(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(shown).collect()
}

fn quantity(value: &Value) -> Option<u128> {
    u128::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// Scheme, host and port of an address: operators' keys stand in paths and before hosts.
fn origin(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    scheme + host
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::process::Command;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn errors_show_no_key_of_an_address() {
        for (url, shown) in [
            ("https://user:k3y@rpc.example/v3/k3y", "https://rpc.example"),
            (
                "https://rpc.example:8545?key=k3y",
                "https://rpc.example:8545",
            ),
            ("rpc.example/k3y#k3y", "rpc.example"),
        ] {
            let error = Rpc::new(url).map(drop).expect_err("no http").to_string();
            assert!(error.contains(shown), "{error}");
            assert!(!error.contains("k3y"), "{error}");
        }
        let rpc = Rpc::new("http://user:k3y@127.0.0.1:1/v3/k3y").expect("an address");
        let error = rpc.chain().expect_err("nobody listens").to_string();
        assert!(
            error.contains("http://127.0.0.1:1") && !error.contains("k3y"),
            "{error}"
        );
    }

    /// Answers everything with this, and counts.
    fn serve(answer: String) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                counter.fetch_add(1, Ordering::SeqCst);
                let mut bytes = [0; 4096];
                let mut asked = Vec::new();
                // The question ends with the end of its JSON.
                while !asked.ends_with(b"}") {
                    match stream.read(&mut bytes) {
                        Ok(more) if more > 0 => asked.extend_from_slice(&bytes[..more]),
                        _ => break,
                    }
                }
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        (url, count)
    }

    fn answer(head: &str, body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
    }

    #[test]
    fn a_nodes_text_is_cut_and_has_no_control_characters() {
        let said = format!("\\u001b[2Jgone\\n\\u009b31m{}", "x".repeat(1000));
        let body = format!(r#"{{"error":{{"message":"{said}"}}}}"#);
        let (url, _) = serve(answer("200 OK", &body));
        let error = Rpc::new(&url).expect("an address").chain();
        let Err(RpcError::Refused { message, .. }) = error else {
            panic!("{error:?}");
        };
        assert!(message.starts_with(" [2Jgone  31mxxx"), "{message:?}");
        assert!(message.len() < 400 && !message.contains(char::is_control));
    }

    #[test]
    fn a_node_sends_nobody_elsewhere() {
        let (elsewhere, count) = serve(answer("200 OK", r#"{"result":"0x1"}"#));
        for status in ["302 Found", "307 Temporary Redirect"] {
            let head = format!("{status}\r\nLocation: {elsewhere}/");
            let (url, _) = serve(answer(&head, ""));
            let chain = Rpc::new(&url).expect("an address").chain();
            assert!(chain.is_err(), "{chain:?}");
        }
        assert_eq!(count.load(Ordering::SeqCst), 0);
        assert!(Rpc::new(&elsewhere).expect("an address").chain().is_ok());
    }

    #[test]
    fn no_proxy_of_the_environment_is_asked() {
        let (proxy, count) = serve(answer("200 OK", r#"{"result":"0x1"}"#));
        // Another process, since the environment of this one is all tests'.
        let mut other = Command::new(std::env::current_exe().expect("this test"));
        other.args(["--exact", "rpc::tests::a_node_sends_nobody_elsewhere"]);
        for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            other.env(name, &proxy);
        }
        other.env_remove("no_proxy").env_remove("NO_PROXY");
        let output = other.output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }
}
