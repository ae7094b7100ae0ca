//! What a contract is sent and asked, in JSON.
//!
//! Numbers of 64 bits are decimal strings. Ids, digests and keys of 32 bytes are hexadecimal, as
//! everywhere in zquorum; all other bytes are base64, as everywhere in CosmWasm.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use attestation::ids::{
    CommitteeId, Digest, Epoch, GroupKey, LeafRoot, NetworkId, RuntimeProfile, Seq, StateRoot,
    StatementId,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a contract is to be.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Instantiate {
    /// Follows the whole chain of steps.
    Ledger {
        /// The committee.
        terms: LedgerTerms,
        /// The last accepted step; `null` to begin with the first.
        head: Option<Head>,
    },
    /// Takes single outputs, each once, in any order.
    Outputs {
        /// The committee.
        terms: Terms,
        /// Who may stop it, and the delays.
        guard: Guard,
        /// Contract that is sent every accepted output.
        receiver: Option<String>,
    },
    /// Delivers outbound messages, each once, in its channel's order.
    Messages {
        /// The committee.
        terms: Terms,
        /// Who may stop it, and the delays.
        guard: Guard,
        /// Most gas that a message is given, of the chain's own.
        gas_max: Number,
    },
}

/// A committee whose leaves are accepted.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Its network.
    pub network: Number,
    /// Digest of its creation record.
    pub committee: CommitteeId,
    /// Its group key.
    pub group_key: GroupKey,
}

/// A committee whose steps are followed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerTerms {
    /// Its network.
    pub network: Number,
    /// Digest of its creation record.
    pub committee: CommitteeId,
    /// Epoch of the first step.
    pub epoch: Number,
    /// Runtime profile in force.
    pub profile: RuntimeProfile,
    /// Its group key.
    pub group_key: GroupKey,
    /// State root before the first step.
    pub genesis_state: StateRoot,
}

/// Who may pause and cancel, and how long things take.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// Who may pause, resume and cancel; `null` for nobody.
    pub guardian: Option<String>,
    /// Seconds between a key change and its effect.
    pub change_delay: Number,
    /// Seconds after which a pause ends by itself.
    pub pause_max: Number,
}

/// The last accepted step of a ledger.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Its position; 0 before the first.
    pub seq: Number,
    /// Its epoch.
    pub epoch: Number,
    /// Its statement; the committee's id before the first.
    pub statement: StatementId,
    /// State root after it.
    pub state: StateRoot,
}

/// What a contract is told to do.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Execute {
    /// A ledger's next step.
    AcceptStep {
        /// The commit, 345 bytes.
        commit: Bytes,
        /// Root over the step's leaves.
        root: LeafRoot,
        /// The group's signature, 64 bytes.
        signature: Bytes,
    },
    /// An output.
    AcceptOutput {
        /// The COSE receipt.
        receipt: Bytes,
        /// The leaf that it proves.
        leaf: Bytes,
    },
    /// The next message of a channel. Anyone may bring it.
    Deliver {
        /// The COSE receipt.
        receipt: Bytes,
        /// The leaf that it proves.
        leaf: Bytes,
    },
    /// The committee hands over to another key.
    ChangeKey {
        /// The COSE receipt.
        receipt: Bytes,
        /// The leaf that it proves.
        leaf: Bytes,
    },
    /// Lets the pending key change take effect. Anyone may.
    ActivateKey {},
    /// Drops the pending key change, for good. The guardian may.
    CancelKeyChange {},
    /// Accepts nothing for as long as a pause may last. The guardian may.
    Pause {},
    /// Ends a pause. The guardian may.
    Resume {},
}

/// What a contract is asked.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Query {
    /// What was registered.
    Config {},
    /// A ledger's last accepted step: [`Head`].
    Head {},
    /// The trusted key, the pending change, the pause: [`Trust`].
    Trust {},
    /// Whether an output was consumed: a boolean.
    Consumed {
        /// Its step.
        seq: Number,
        /// Its position.
        index: Number,
    },
    /// Number of the last message consumed of a channel: a [`Number`].
    Channel {
        /// The channel.
        channel: Digest,
    },
    /// What became of a message: an [`Outcome`], `null` if its number has not come.
    Outcome {
        /// Its channel.
        channel: Digest,
        /// Its number.
        number: Number,
    },
}

/// The trusted key and what may stop it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Trust {
    /// The key.
    pub group_key: GroupKey,
    /// The change that waits.
    pub pending: Option<Pending>,
    /// Nothing is accepted before, Unix seconds.
    pub paused_until: Number,
}

/// A key change that has not taken effect.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Pending {
    /// The new key.
    pub group_key: GroupKey,
    /// Last step of the trusted key.
    pub last_seq: Number,
    /// When it takes effect, Unix seconds.
    pub ready_at: Number,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The receiver took it.
    Delivered,
    /// The receiver did not: it refused, ran out of the gas that the leaf grants, or is no contract.
    Failed,
    /// The leaf names no address of this chain.
    NoReceiver,
    /// The leaf grants more gas than this contract ever gives.
    TooMuchGas,
}

/// What a receiver is sent: JSON `{"on_message": {...}}` or `{"on_output": {...}}`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToReceiver {
    /// A message for it. The sender is the acceptor; which zApp and channel it trusts is its to say.
    OnMessage {
        /// The zApp that sends it.
        zapp: Digest,
        /// The channel.
        channel: Digest,
        /// Number in the channel.
        number: Number,
        /// What is sent.
        payload: Bytes,
    },
    /// An output. If the receiver refuses it, it is not consumed.
    OnOutput {
        /// The step.
        seq: Number,
        /// Position among the step's leaves.
        index: Number,
        /// The zApp called.
        zapp: Digest,
        /// The request.
        request: Digest,
        /// 0 ok, 1 reverted, 2 trapped, 3 out of gas, 4 refused, 5 faulted.
        status: u8,
        /// The zApp's own code of a revert, the number of a refusal's reason.
        code: u32,
        /// Gas charged.
        gas: Number,
        /// SHA-256 of the output.
        output: Digest,
        /// Digest of the events.
        events: Digest,
    },
}

/// A number of 64 bits, in JSON a decimal string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(pub u64);

/// Bytes, in JSON base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl From<NetworkId> for Number {
    fn from(network: NetworkId) -> Self {
        Self(network.0)
    }
}

impl From<Epoch> for Number {
    fn from(epoch: Epoch) -> Self {
        Self(epoch.0)
    }
}

impl From<Seq> for Number {
    fn from(seq: Seq) -> Self {
        Self(seq.0)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal string")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(Number).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Digits)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Base64;
        impl Visitor<'_> for Base64 {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Bytes, E> {
                let bytes = BASE64_STANDARD.decode(text);
                bytes.map(Bytes).map_err(|_| E::custom("not base64"))
            }
        }
        deserializer.deserialize_str(Base64)
    }
}

/// What the chain tells of a call.
#[derive(Debug, Deserialize)]
pub struct Env {
    /// The block.
    pub block: Block,
    /// The contract itself.
    pub contract: Contract,
}

/// The block that a call stands in.
#[derive(Debug, Deserialize)]
pub struct Block {
    /// Unix nanoseconds.
    pub time: Number,
    /// The chain.
    pub chain_id: String,
}

/// The contract itself.
#[derive(Debug, Deserialize)]
pub struct Contract {
    /// Its address.
    pub address: String,
}

impl Env {
    /// Unix seconds.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.block.time.0 / 1_000_000_000
    }
}

/// Who calls, and with which funds.
#[derive(Debug, Deserialize)]
pub struct Info {
    /// The caller's address.
    pub sender: String,
    /// What was sent along.
    pub funds: Vec<serde::de::IgnoredAny>,
}

/// What came of a message to a receiver; asked for failures only.
#[derive(Debug, Deserialize)]
pub struct Reply {
    /// What was given along: channel and number.
    pub payload: Bytes,
}

/// Reads JSON.
///
/// # Errors
/// [`serde_json::Error`] says what is wrong, and where.
pub fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes)
}

/// The 64 bytes of a signature.
///
/// # Errors
/// If there are more or fewer.
pub fn signature(bytes: &Bytes) -> Result<[u8; 64], serde_json::Error> {
    let bytes = bytes.0.as_slice().try_into();
    bytes.map_err(|_| serde_json::Error::custom("a signature has 64 bytes"))
}
