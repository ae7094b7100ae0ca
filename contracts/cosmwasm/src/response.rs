//! What a contract answers, as the chain reads it.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use crate::message::Bytes;

/// What came of a call: what the chain is to do next, and what is told to whoever watches.
#[derive(Debug, Default, Serialize)]
pub struct Response {
    /// Calls of other contracts.
    pub messages: Vec<SubMessage>,
    /// What happened.
    pub attributes: Vec<Attribute>,
    /// Always none.
    pub events: [(); 0],
    /// Always none.
    pub data: Option<Bytes>,
}

/// A call of another contract.
#[derive(Debug, Serialize)]
pub struct SubMessage {
    /// Always 0: the payload says which it is.
    pub id: u64,
    /// What is given back with the reply.
    pub payload: Bytes,
    /// The call.
    pub msg: Message,
    /// Most gas that it may use, of the chain's own.
    pub gas_limit: Option<u64>,
    /// Whether the caller survives its failure, and is told.
    pub reply_on: ReplyOn,
}

/// Whether the caller survives the failure of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyOn {
    /// It does, and is told.
    Error,
    /// It does not.
    Never,
}

/// A message to the chain.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// To its contracts.
    Wasm(WasmMessage),
}

/// A message to the chain's contracts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WasmMessage {
    /// A call of one.
    Execute {
        /// Whom.
        contract_addr: String,
        /// With what.
        msg: Bytes,
        /// With which money: none.
        funds: [(); 0],
    },
}

/// A name and a value.
#[derive(Debug, Serialize)]
pub struct Attribute {
    /// The name.
    pub key: &'static str,
    /// The value.
    pub value: String,
}

impl Response {
    /// Says what happened.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        self.attributes.push(Attribute { key, value });
        self
    }
}

impl SubMessage {
    /// A call of a contract.
    #[must_use]
    pub const fn call(contract_addr: String, msg: Vec<u8>) -> Self {
        Self {
            id: 0,
            payload: Bytes(Vec::new()),
            msg: Message::Wasm(WasmMessage::Execute {
                contract_addr,
                msg: Bytes(msg),
                funds: [],
            }),
            gas_limit: None,
            reply_on: ReplyOn::Never,
        }
    }

    /// The same with so much gas; its failure comes back with `payload`.
    #[must_use]
    pub fn guarded(self, gas: u64, payload: Vec<u8>) -> Self {
        Self {
            payload: Bytes(payload),
            gas_limit: Some(gas),
            reply_on: ReplyOn::Error,
            ..self
        }
    }
}
