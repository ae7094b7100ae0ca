//! Leaves: the outputs of a step, each a fixed-offset binary record that contracts slice.
//!
//! Every leaf begins with the same 42 bytes; numbers are big-endian.
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, 1 |
//! | 1 | 1 | kind: 0 output, 1 settlement |
//! | 2 | 32 | zApp; zeros (the system zApp) in a settlement |
//! | 34 | 8 | seq |
//!
//! | at | bytes | output leaf (151) | at | bytes | settlement leaf (94) |
//! |---|---|---|---|---|---|
//! | 42 | 32 | request id | 42 | 8 | epoch |
//! | 74 | 1 | status | 50 | 4 | requests of this step |
//! | 75 | 4 | code | 54 | 8 | gas of this step |
//! | 79 | 8 | gas | 62 | 8 | fees of this step, 10⁻⁸ QSR |
//! | 87 | 32 | SHA-256(output) | 70 | 8 | requests since genesis |
//! | 119 | 32 | events digest | 78 | 8 | gas since genesis |
//! | | | | 86 | 8 | fees since genesis, 10⁻⁸ QSR |
//!
//! Leaf 0 is always the settlement, and a step has at least one request: a tree has at least two
//! leaves and an inclusion path is never empty (RFC 9942 demands that).
//! Totals are cumulative, so that a consumer may skip steps and still settle exactly.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec::Malformed;
use crate::ids::{Digest, Epoch, RequestId, Seq, ZappId};

/// Most leaves in a step.
pub const LEAVES_MAX: u64 = 1 << 16;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Status {
    /// It ran, and its writes stand.
    Ok,
    /// The zApp gave up with a code; no writes.
    Reverted,
    /// The module trapped; no writes.
    Trapped,
    /// The gas limit was reached; no writes.
    OutOfGas,
    /// It did not run: out of date, replayed, unknown zApp, or not paid for.
    Refused,
    /// It did not run: t members could not run it (rule A11).
    Faulted,
}

impl Status {
    /// The name that interfaces show.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Reverted => "reverted",
            Self::Trapped => "trapped",
            Self::OutOfGas => "out_of_gas",
            Self::Refused => "refused",
            Self::Faulted => "faulted",
        }
    }
}

impl From<Status> for u8 {
    fn from(status: Status) -> Self {
        match status {
            Status::Ok => 0,
            Status::Reverted => 1,
            Status::Trapped => 2,
            Status::OutOfGas => 3,
            Status::Refused => 4,
            Status::Faulted => 5,
        }
    }
}

impl TryFrom<u8> for Status {
    type Error = &'static str;

    fn try_from(value: u8) -> Result<Self, Self::Error> {
        Ok(match value {
            0 => Self::Ok,
            1 => Self::Reverted,
            2 => Self::Trapped,
            3 => Self::OutOfGas,
            4 => Self::Refused,
            5 => Self::Faulted,
            _ => return Err("status is 0 to 5"),
        })
    }
}

/// The outcome of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLeaf {
    /// The zApp called.
    pub zapp: ZappId,
    /// The step.
    pub seq: Seq,
    /// The request.
    pub request: RequestId,
    /// How it ended.
    pub status: Status,
    /// The zApp's own code for a revert, the reason's number for a refusal, else 0.
    pub code: u32,
    /// Gas charged.
    pub gas: u64,
    /// SHA-256 of the output bytes.
    pub output: Digest,
    /// Digest of the events.
    pub events: Digest,
}

/// The step's bill. Fees are 0 while no lease prices gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlementLeaf {
    /// The step.
    pub seq: Seq,
    /// Its epoch.
    pub epoch: Epoch,
    /// Requests in this step.
    pub requests: u32,
    /// Gas used by this step.
    pub gas: u64,
    /// Fees charged by this step in 10⁻⁸ QSR.
    pub fees: u64,
    /// Requests since genesis, this step included.
    pub requests_total: u64,
    /// Gas since genesis, this step included.
    pub gas_total: u64,
    /// Fees since genesis in 10⁻⁸ QSR, this step included.
    pub fees_total: u64,
}

/// One leaf of a step's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// Outcome of a request.
    Output(OutputLeaf),
    /// The step's bill, always leaf 0.
    Settlement(SettlementLeaf),
}

impl Leaf {
    /// The fixed-offset layout of the module's table.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Output(leaf) => leaf.to_bytes(),
            Self::Settlement(leaf) => leaf.to_bytes(),
        }
    }

    /// Reads a leaf of any known kind.
    ///
    /// # Errors
    /// [`Malformed::Length`], or [`Malformed::At`] with the offset of an unknown version, kind or
    /// status, or of a settlement's zApp that is not zeros.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        match bytes {
            [VERSION, OUTPUT, ..] => OutputLeaf::from_bytes(bytes).map(Self::Output),
            [VERSION, SETTLEMENT, ..] => SettlementLeaf::from_bytes(bytes).map(Self::Settlement),
            [VERSION, ..] => Err(Malformed::At { offset: 1 }),
            _ => Err(Malformed::At { offset: 0 }),
        }
    }

    /// The step that the leaf says it belongs to.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        match self {
            Self::Output(leaf) => leaf.seq,
            Self::Settlement(leaf) => leaf.seq,
        }
    }
}

impl OutputLeaf {
    /// Length in bytes.
    pub const LEN: usize = 151;

    /// The fixed-offset layout of the module's table.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = head(OUTPUT, &self.zapp, self.seq, Self::LEN);
        out.extend_from_slice(self.request.as_bytes());
        out.push(self.status.into());
        out.extend_from_slice(&self.code.to_be_bytes());
        out.extend_from_slice(&self.gas.to_be_bytes());
        out.extend_from_slice(self.output.as_bytes());
        out.extend_from_slice(self.events.as_bytes());
        out
    }

    /// Reads an output leaf.
    ///
    /// # Errors
    /// As [`Leaf::from_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(bytes, Self::LEN, OUTPUT)?;
        Ok(Self {
            zapp: ZappId::from_bytes(fields.take()?),
            seq: Seq(fields.number()?),
            request: RequestId::from_bytes(fields.take()?),
            status: {
                let at = fields.here();
                let [status] = fields.take()?;
                Status::try_from(status).map_err(|_| at)?
            },
            code: u32::from_be_bytes(fields.take()?),
            gas: fields.number()?,
            output: Digest::from_bytes(fields.take()?),
            events: Digest::from_bytes(fields.take()?),
        })
    }
}

impl SettlementLeaf {
    /// Length in bytes.
    pub const LEN: usize = 94;

    /// The fixed-offset layout of the module's table.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = head(SETTLEMENT, &ZappId::SYSTEM, self.seq, Self::LEN);
        out.extend_from_slice(&self.epoch.0.to_be_bytes());
        out.extend_from_slice(&self.requests.to_be_bytes());
        out.extend_from_slice(&self.gas.to_be_bytes());
        out.extend_from_slice(&self.fees.to_be_bytes());
        out.extend_from_slice(&self.requests_total.to_be_bytes());
        out.extend_from_slice(&self.gas_total.to_be_bytes());
        out.extend_from_slice(&self.fees_total.to_be_bytes());
        out
    }

    /// Reads a settlement leaf.
    ///
    /// # Errors
    /// As [`Leaf::from_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(bytes, Self::LEN, SETTLEMENT)?;
        let at = fields.here();
        if ZappId::from_bytes(fields.take()?) != ZappId::SYSTEM {
            return Err(at);
        }
        Ok(Self {
            seq: Seq(fields.number()?),
            epoch: Epoch(fields.number()?),
            requests: u32::from_be_bytes(fields.take()?),
            gas: fields.number()?,
            fees: fields.number()?,
            requests_total: fields.number()?,
            gas_total: fields.number()?,
            fees_total: fields.number()?,
        })
    }
}

const VERSION: u8 = 1;
const OUTPUT: u8 = 0;
const SETTLEMENT: u8 = 1;

fn head(kind: u8, zapp: &ZappId, seq: Seq, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(&[VERSION, kind]);
    out.extend_from_slice(zapp.as_bytes());
    out.extend_from_slice(&seq.0.to_be_bytes());
    out
}

/// The fields of a leaf not read yet.
struct Fields<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8], len: usize, kind: u8) -> Result<Self, Malformed> {
        if bytes.len() != len {
            return Err(Malformed::Length {
                actual: bytes.len(),
                expected: len,
            });
        }
        let mut fields = Self { rest: bytes, len };
        for expected in [VERSION, kind] {
            let at = fields.here();
            if fields.take()? != [expected] {
                return Err(at);
            }
        }
        Ok(fields)
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        self.take().map(u64::from_be_bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.rest.split_first_chunk().ok_or_else(|| self.here())?;
        self.rest = rest;
        Ok(*field)
    }

    fn here(&self) -> Malformed {
        Malformed::At {
            offset: self.len - self.rest.len(),
        }
    }
}
