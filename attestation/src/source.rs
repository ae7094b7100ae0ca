//! Sources outside of the committee that a request asks its members to look at (rule A13), and
//! what one of them saw there.
//!
//! A source is a place and what to read there. Whoever calls names it, and signs it with the call:
//! a zApp compares the [`SourceId`] with those that it trusts. Values are integers or short bytes,
//! never floats: members compare them, and a zApp computes with them.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::codec::Layout;
use crate::ids::{Digest, EvmAddress};
use crate::tags;

/// Most sources of a request.
pub const SOURCES_MAX: usize = 16;
/// Longest URL in bytes.
pub const URL_BYTES_MAX: usize = 512;
/// Longest JSON pointer in bytes.
pub const POINTER_BYTES_MAX: usize = 256;
/// Longest name of a method of a node's RPC in bytes.
pub const RPC_METHOD_BYTES_MAX: usize = 64;
/// Longest parameters of a call of a node's RPC in bytes of JSON.
pub const RPC_PARAMS_BYTES_MAX: usize = 512;
/// Longest data of a call of an EVM contract in bytes.
pub const EVM_DATA_BYTES_MAX: usize = 256;
/// Most decimal places that an integer keeps: more do not fit beside a digit in 64 bits.
pub const SCALE_MAX: u8 = 18;
/// Longest bytes that a source may answer with.
pub const OBSERVED_BYTES_MAX: usize = 256;

/// What a request asks members to observe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// 1 to [`SOURCES_MAX`] sources; the call reads them by their place.
    pub sources: Vec<Source>,
    /// Last step time, in Unix milliseconds, at which the request may run on observations. After
    /// it, and until the request expires, the step refuses it: the caller gets a receipt.
    pub deadline_ms: u64,
}

/// A place outside, what to read there, and how the members' values become one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where.
    pub at: Place,
    /// JSON pointer (RFC 6901) to a value of the answer; empty for the whole of it.
    pub pointer: String,
    /// Decimal places of an integer, at most [`SCALE_MAX`]: 2 makes 1234 of 12.34, further digits
    /// are cut off. Without it the value is text, taken as its bytes.
    pub scale: Option<u8>,
    /// How the members' values become one.
    pub reducer: Reducer,
}

/// Where a source is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// GET of a JSON document.
    HttpJson {
        /// Absolute `https://` or `http://` URL without user and fragment, in printable ASCII.
        url: String,
    },
    /// What a contract on an EVM chain returns to a call that changes nothing, by the member's own
    /// node of that chain, at a block that its operator takes for final. The value is the returned
    /// bytes: no pointer, no decimal places.
    EvmCall {
        /// EIP-155 id of the chain.
        chain: u64,
        /// The contract.
        contract: EvmAddress,
        /// Selector and arguments, in lower-case hexadecimal digits.
        data: String,
    },
    /// A question to the member's own node of the Network of Momentum.
    NomRpc {
        /// Method that reads, as in `ledger.getFrontierMomentum`.
        method: String,
        /// Parameters: a JSON array.
        params: String,
    },
}

/// How values of members become one, or none where fewer than t members have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Reducer {
    /// The lower median; integers only. It stays within what honest members saw while 2f < t.
    Median = 0,
    /// The value that most members saw; of those that equally many saw, the smallest.
    Mode = 1,
    /// The value that t members saw, or none.
    Identical = 2,
}

/// Digest of a source: what a zApp knows it by.
pub type SourceId = Digest;

/// What a member saw at one source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Observed {
    /// An integer: the value times 10^scale.
    Integer(i64),
    /// Text, at most [`OBSERVED_BYTES_MAX`] bytes.
    Bytes(ByteBuf),
    /// No value, and why.
    Absent(Absence),
}

/// Why a member has no value of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Absence {
    /// The operator's rules do not allow the address, or nothing is set up to ask there.
    Forbidden = 1,
    /// No answer in time, or no connection.
    Unreachable = 2,
    /// An answer other than success; redirects are not followed.
    Status = 3,
    /// A longer answer than a node reads.
    TooLong = 4,
    /// An answer that is not JSON.
    NotJson = 5,
    /// The pointer leads to nothing.
    NoValue = 6,
    /// The value is of another kind, or does not fit.
    Kind = 7,
}

/// What is wrong with the sources of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PullError {
    /// None, or too many.
    #[error("{0} sources, 1 to 16 allowed")]
    Count(usize),
    /// The same source twice.
    #[error("source {0} is named twice")]
    Twice(usize),
    /// Not an absolute URL of `http` or `https`, or too long.
    #[error(
        "source {0}: not an absolute http or https URL of at most 512 printable characters, without user and fragment"
    )]
    Url(usize),
    /// Not a method that reads, or not a JSON array of parameters.
    #[error(
        "source {0}: RPC methods are namespaces and a name that begins with `get`, parameters a JSON array of at most 512 bytes"
    )]
    Rpc(usize),
    /// Not the data of a call, or something to read in what it returns.
    #[error(
        "source {0}: the data of an EVM call is 4 to 256 bytes in lower-case hexadecimal digits, and what it returns is taken whole: no pointer, no decimal places"
    )]
    Evm(usize),
    /// Not a JSON pointer.
    #[error("source {0}: not a JSON pointer (RFC 6901) of at most 256 bytes")]
    Pointer(usize),
    /// Too many decimal places, or a median of text.
    #[error("source {0}: at most 18 decimal places, and a median needs them")]
    Scale(usize),
    /// A request to the system zApp, which reads none.
    #[error("the system zApp takes no sources")]
    System,
    /// The request expires before its observations do.
    #[error("the deadline for observations is after the request's last time")]
    Deadline,
}

impl Pull {
    /// Checks bounds and shapes; `valid_until_ms` is the request's.
    ///
    /// # Errors
    /// [`PullError`] names the first thing that is wrong.
    pub fn check(&self, valid_until_ms: u64) -> Result<(), PullError> {
        if !(1..=SOURCES_MAX).contains(&self.sources.len()) {
            return Err(PullError::Count(self.sources.len()));
        }
        for (index, source) in self.sources.iter().enumerate() {
            source.check(index)?;
            if self.sources.iter().take(index).any(|other| other == source) {
                return Err(PullError::Twice(index));
            }
        }
        if self.deadline_ms > valid_until_ms {
            return Err(PullError::Deadline);
        }
        Ok(())
    }

    /// Length of all that is of variable length.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.sources.iter().map(Source::bytes).sum()
    }

    /// Appends the fields to what a caller signs.
    pub(crate) fn append(&self, layout: Layout) -> Layout {
        let layout = layout
            .number(self.deadline_ms)
            .number(self.sources.len() as u64);
        let sources = self.sources.iter();
        sources.fold(layout, |layout, source| source.append(layout))
    }
}

impl Source {
    /// What zApps know it by: SHA-256 over all that it says.
    #[must_use]
    pub fn id(&self) -> SourceId {
        self.append(Layout::new(tags::SOURCE)).digest()
    }

    /// Whether a member can have seen this here: no value, or one of the kind that is asked for.
    #[must_use]
    pub fn allows(&self, observed: &Observed) -> bool {
        match observed {
            Observed::Absent(_) => true,
            Observed::Integer(_) => self.scale.is_some(),
            Observed::Bytes(bytes) => self.scale.is_none() && bytes.len() <= OBSERVED_BYTES_MAX,
        }
    }

    fn check(&self, index: usize) -> Result<(), PullError> {
        match &self.at {
            Place::HttpJson { url } if !is_url(url) => return Err(PullError::Url(index)),
            Place::NomRpc { method, params } if !reads(method) || !is_array(params) => {
                return Err(PullError::Rpc(index));
            }
            Place::EvmCall { data, .. }
                if !is_call(data) || !self.pointer.is_empty() || self.scale.is_some() =>
            {
                return Err(PullError::Evm(index));
            }
            _ => {}
        }
        if !is_pointer(&self.pointer) {
            return Err(PullError::Pointer(index));
        }
        let median = self.reducer == Reducer::Median && self.scale.is_none();
        if median || self.scale.is_some_and(|scale| scale > SCALE_MAX) {
            return Err(PullError::Scale(index));
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let place = match &self.at {
            Place::HttpJson { url } => url.len(),
            Place::NomRpc { method, params } => method.len() + params.len(),
            Place::EvmCall { data, .. } => EvmAddress::LEN + data.len(),
        };
        place + self.pointer.len()
    }

    fn append(&self, layout: Layout) -> Layout {
        let layout = match &self.at {
            Place::HttpJson { url } => layout.number(0u64).bytes(url.as_bytes()),
            Place::NomRpc { method, params } => layout
                .number(1u64)
                .bytes(method.as_bytes())
                .bytes(params.as_bytes()),
            Place::EvmCall {
                chain,
                contract,
                data,
            } => layout
                .number(2u64)
                .number(*chain)
                .fixed(contract.as_bytes())
                .bytes(data.as_bytes()),
        };
        layout
            .bytes(self.pointer.as_bytes())
            .number(self.scale.map_or(0, |scale| u64::from(scale) + 1))
            .number(u8::from(self.reducer))
    }
}

impl Observed {
    /// Appends it to what a member signs.
    #[must_use]
    pub fn append(&self, layout: Layout) -> Layout {
        match self {
            Self::Integer(value) => layout.number(0u64).number(value.cast_unsigned()),
            Self::Bytes(bytes) => layout.number(1u64).bytes(bytes),
            Self::Absent(why) => layout.number(2u64).number(u8::from(*why)),
        }
    }

    /// Length of its bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Integer(_) | Self::Absent(_) => 8,
        }
    }
}

impl From<Reducer> for u8 {
    fn from(reducer: Reducer) -> Self {
        reducer as Self
    }
}

impl TryFrom<u8> for Reducer {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        match number {
            0 => Ok(Self::Median),
            1 => Ok(Self::Mode),
            2 => Ok(Self::Identical),
            _ => Err("reducer is 0, 1 or 2"),
        }
    }
}

impl From<Absence> for u8 {
    fn from(absence: Absence) -> Self {
        absence as Self
    }
}

impl TryFrom<u8> for Absence {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        match number {
            1 => Ok(Self::Forbidden),
            2 => Ok(Self::Unreachable),
            3 => Ok(Self::Status),
            4 => Ok(Self::TooLong),
            5 => Ok(Self::NotJson),
            6 => Ok(Self::NoValue),
            7 => Ok(Self::Kind),
            _ => Err("absence is 1 to 7"),
        }
    }
}

/// Scheme, host and the rest in printable ASCII. What the host may be is each operator's to say.
fn is_url(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?']).next());
    url.len() <= URL_BYTES_MAX
        && host.is_some_and(|host| !host.is_empty())
        && url
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"#@\\\"<>^`{|}".contains(&byte))
}

/// Namespaces and a method whose name begins with `get`: a member must not be made to publish.
fn reads(method: &str) -> bool {
    let is_name = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let last = method.rsplit_once('.').map(|(_, last)| last);
    method.len() <= RPC_METHOD_BYTES_MAX
        && method.split('.').all(is_name)
        && last.is_some_and(|last| last.starts_with("get"))
}

/// Whether it may be a JSON array; a node finds out whether it is one.
fn is_array(params: &str) -> bool {
    params.len() <= RPC_PARAMS_BYTES_MAX && params.starts_with('[') && params.ends_with(']')
}

/// A selector at least, in hexadecimal digits of one case: equal calls are equal text.
fn is_call(data: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (8..=2 * EVM_DATA_BYTES_MAX).contains(&data.len())
        && data.len().is_multiple_of(2)
        && data.bytes().all(is_digit)
}

/// RFC 6901 §3: nothing, or tokens that each begin with `/`; `~` is followed by 0 or 1.
fn is_pointer(pointer: &str) -> bool {
    let bytes = pointer.as_bytes();
    let escaped = |at: usize| matches!(bytes.get(at + 1), Some(b'0' | b'1'));
    pointer.len() <= POINTER_BYTES_MAX
        && (pointer.is_empty() || pointer.starts_with('/'))
        && (0..bytes.len()).all(|at| bytes.get(at) != Some(&b'~') || escaped(at))
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
