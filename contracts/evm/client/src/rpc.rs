//! An EVM chain's node over JSON-RPC.
//!
//! What it answers is parsed and bounded and otherwise believed: a node that lies costs whoever
//! relays through it gas or time, and contracts nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::transaction::Address;

/// Longest answer in bytes.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest text of a node that is repeated to the operator.
const TEXT_CHARS_MAX: usize = 300;
/// How long an answer may take, connection and all.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A node.
#[derive(Debug)]
pub struct Rpc {
    url: String,
    agent: ureq::Agent,
    answer_max: Duration,
    /// Number of the next question: an answer names the question that it is for.
    next: AtomicU64,
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
    /// The answer did not come in time.
    #[error("{url}: no answer to {method} within {} s", .within.as_secs_f32())]
    Slow {
        /// The node.
        url: String,
        /// The method.
        method: &'static str,
        /// How long an answer may take.
        within: Duration,
    },
    /// The answer is not what the method gives.
    #[error("the node's answer to {0} cannot be read")]
    Answer(&'static str),
    /// The answer is longer than any that is expected.
    #[error("the node's answer to {0} is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong(&'static str),
    /// The answer is to another question.
    #[error("the node's answer to {0} is to another question")]
    Elsewhere(&'static str),
    /// The answer can be read and cannot be true.
    #[error("the node's answer to {0} cannot be true")]
    Untrue(&'static str),
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

/// Why a node does not take a transaction, as far as nodes agree on the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has it already.
    Known,
    /// The account has sent another one with this nonce.
    NonceTooLow,
    /// It pays too little: for this node, or to take the place of the one that waits.
    Underpriced,
}

/// A block of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: [u8; 32],
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
    /// Its block's number, as long as the chain keeps that block.
    pub block: u64,
}

/// The state that a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// After the newest block.
    Latest,
    /// With what waits for the next one.
    Pending,
    /// After the block of this number.
    Block(u64),
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
        Ok(Self {
            url: url.to_owned(),
            agent: agent(ANSWER_MAX),
            answer_max: ANSWER_MAX,
            next: AtomicU64::new(1),
        })
    }

    /// The same, for answers that come within another time.
    #[must_use]
    pub fn with_answer_within(self, answer_max: Duration) -> Self {
        Self {
            agent: agent(answer_max),
            answer_max,
            ..self
        }
    }

    /// Asks; the result of the answer.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn ask(&self, method: &'static str, params: &Value) -> Result<Value, RpcError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let failed = |error| self.failed(method, error);
        let answer = self.agent.post(&self.url).content_type("application/json");
        let mut answer = answer.send(body.to_string()).map_err(failed)?;
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let bytes = body.read_to_vec().map_err(failed)?;
        let mut answer: Value = serde_json::from_slice(&bytes).map_err(|_| {
            // Nobody who knows the method: a proxy whose node is away, for one.
            let unreachable = || self.unreachable(format!("answers with HTTP status {status}"));
            if status.is_success() {
                RpcError::Answer(method)
            } else {
                unreachable()
            }
        })?;
        // A node that could not read the question does not know whose answer it is.
        let answers = answer.get("id").filter(|id| !id.is_null());
        let refuses = answer.get("error").is_some_and(|error| !error.is_null());
        match answers.map(|answers| answers.as_u64() == Some(id)) {
            Some(true) => {}
            None if refuses => {}
            Some(false) | None => return Err(RpcError::Elsewhere(method)),
        }
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

    fn failed(&self, method: &'static str, error: ureq::Error) -> RpcError {
        match error {
            ureq::Error::Timeout(_) => RpcError::Slow {
                url: origin(&self.url),
                method,
                within: self.answer_max,
            },
            ureq::Error::BodyExceedsLimit(_) => RpcError::TooLong(method),
            error => self.unreachable(error.to_string()),
        }
    }

    fn unreachable(&self, error: String) -> RpcError {
        RpcError::Unreachable {
            url: origin(&self.url),
            error,
        }
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
            &json!([text(account), at.text()]),
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
        self.view_at(contract, data, At::Latest)
    }

    /// What a call would return in a state.
    ///
    /// # Errors
    /// [`RpcError`]; with what the contract reverted with, if it would.
    pub fn view_at(&self, contract: &Address, data: &[u8], at: At) -> Result<Vec<u8>, RpcError> {
        let call = json!({ "to": text(contract), "data": text(data) });
        self.data("eth_call", &json!([call, at.text()]))
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

    /// A block; `None` if the chain has none of this number.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn block(&self, at: At) -> Result<Option<Block>, RpcError> {
        let method = "eth_getBlockByNumber";
        let block = self.ask(method, &json!([at.text(), false]))?;
        if block.is_null() {
            return Ok(None);
        }
        let number = block.get("number").and_then(small);
        let hash = block.get("hash").and_then(word);
        match (number, hash) {
            (Some(number), Some(hash)) => Ok(Some(Block { number, hash })),
            _ => Err(RpcError::Answer(method)),
        }
    }

    /// Time of the newest block, Unix seconds.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn time(&self) -> Result<u64, RpcError> {
        let method = "eth_getBlockByNumber";
        let block = self.ask(method, &json!(["latest", false]))?;
        let time = block.get("timestamp").and_then(small);
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
        // Some nodes tell of those that wait, too.
        if receipt.get("blockNumber").is_some_and(Value::is_null) {
            return Ok(None);
        }
        let part = |name: &str| receipt.get(name).and_then(small);
        let unreadable = RpcError::Answer(method);
        let of = receipt.get("transactionHash").and_then(word);
        if of.ok_or(unreadable.clone())? != *hash {
            return Err(RpcError::Elsewhere(method));
        }
        Ok(Some(Receipt {
            succeeded: part("status").ok_or(unreadable.clone())? == 1,
            gas: part("gasUsed").ok_or(unreadable.clone())?,
            price: receipt.get("effectiveGasPrice").and_then(quantity),
            block: part("blockNumber").ok_or(unreadable)?,
        }))
    }

    fn number(&self, method: &'static str, params: &Value) -> Result<u64, RpcError> {
        let number = small(&self.ask(method, params)?);
        number.ok_or(RpcError::Answer(method))
    }

    fn data(&self, method: &'static str, params: &Value) -> Result<Vec<u8>, RpcError> {
        let data = self.ask(method, params)?;
        let data = data.as_str().and_then(bytes_of);
        data.ok_or(RpcError::Answer(method))
    }
}

impl RpcError {
    /// Why the node does not take a transaction, where its words are those of other nodes.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        let Self::Refused { message, .. } = self else {
            return None;
        };
        let said = message.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|words| said.contains(words));
        if says(&KNOWN) {
            Some(Refusal::Known)
        } else if says(&["nonce too low", "oldnonce", "nonce is too low"]) {
            Some(Refusal::NonceTooLow)
        } else {
            let underpriced = says(&["underpriced", "gas price too low"]);
            underpriced.then_some(Refusal::Underpriced)
        }
    }
}

/// How nodes say that they have a transaction already.
const KNOWN: [&str; 4] = [
    "already known",
    "alreadyknown",
    "known transaction",
    "already imported",
];

impl At {
    fn text(self) -> String {
        match self {
            Self::Latest => "latest".to_owned(),
            Self::Pending => "pending".to_owned(),
            Self::Block(number) => format!("{number:#x}"),
        }
    }
}

fn agent(answer_max: Duration) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .timeout_connect(Some(CONNECT_MAX.min(answer_max)))
        .timeout_global(Some(answer_max))
        .http_status_as_error(false)
        // A node sends nobody elsewhere, and a proxy of the environment is not this node.
        .max_redirects(0)
        .proxy(None)
        .build();
    config.into()
}

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

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

fn small(value: &Value) -> Option<u64> {
    u64::try_from(quantity(value)?).ok()
}

fn word(value: &Value) -> Option<[u8; 32]> {
    bytes_of(value.as_str()?)?.try_into().ok()
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
mod tests;
