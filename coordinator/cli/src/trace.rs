//! Host calls of a run as an author reads them, and the first place where two runs differ.

pub(crate) mod against;
mod compare;
mod text;

use std::collections::BTreeMap;

use attestation::ids::{Digest, RequestId, ZappId};
use attestation::leaf::Status;
use runtime::Ran;
use runtime::trace::{HostCall, Watch, argument_names, data_names};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub(crate) use compare::{Difference, first_difference};
pub(crate) use text::{line, lines};

/// Most host calls that are kept of one command: some tens of megabytes.
pub(crate) const CALLS_MAX: usize = 100_000;
/// Bytes that are kept of each value; of longer ones these, the length and the digest.
const SHOWN_BYTES_MAX: usize = 64;

/// A host call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Call {
    /// How many zApps wait for the one that runs.
    pub(crate) depth: usize,
    /// The zApp that runs.
    pub(crate) zapp: ZappId,
    /// The function of `zapp0`.
    pub(crate) call: String,
    /// Numbers by name, in 32 bits: pointers and lengths among them.
    pub(crate) args: BTreeMap<String, i32>,
    /// Bytes in and out by name, see [`shown`].
    pub(crate) data: BTreeMap<String, String>,
    /// What it returned; 0 for a function without result.
    pub(crate) result: i64,
    /// Gas that the zApp has used so far.
    pub(crate) gas: u64,
}

/// One run of a zApp with its host calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    /// The request that asked for it.
    pub(crate) request: RequestId,
    /// How it ended; none where it has no outcome.
    pub(crate) end: Option<End>,
    /// How many host calls there were.
    pub(crate) calls_total: u64,
    /// The first of them.
    pub(crate) calls: Vec<Call>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    /// Name of the status.
    pub(crate) status: String,
    /// A revert's code.
    pub(crate) code: u32,
    /// Gas used.
    pub(crate) gas: u64,
    /// Result bytes, see [`shown`].
    pub(crate) output: String,
    /// Digest over all host calls, gas and output.
    pub(crate) trace: Digest,
}

/// Keeps the first host calls of a run and counts the rest.
pub(crate) struct Recorder {
    calls_max: usize,
    calls_total: u64,
    calls: Vec<Call>,
}

impl Recorder {
    pub(crate) const fn new(calls_max: usize) -> Self {
        Self {
            calls_max,
            calls_total: 0,
            calls: Vec::new(),
        }
    }

    /// The run, now that it has ended.
    pub(crate) fn end(self, request: RequestId, ran: Option<&Ran>) -> Recorded {
        let end = ran.map(|ran| End {
            status: Status::name(ran.execution.status).to_owned(),
            code: ran.execution.code,
            gas: ran.execution.gas,
            output: shown(&ran.execution.output),
            trace: ran.execution.trace,
        });
        Recorded {
            request,
            end,
            calls_total: self.calls_total,
            calls: self.calls,
        }
    }
}

impl Watch for Recorder {
    fn seen(&mut self, call: &HostCall<'_>) {
        self.calls_total += 1;
        if self.calls.len() >= self.calls_max {
            return;
        }
        let args = argument_names(call.import).iter().zip(call.args);
        let data = data_names(call.import).iter().zip(call.data);
        self.calls.push(Call {
            depth: call.depth,
            zapp: call.zapp,
            call: call.import.name().to_owned(),
            args: args
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect(),
            data: data
                .map(|(name, bytes)| ((*name).to_owned(), shown(bytes)))
                .collect(),
            result: call.result,
            gas: call.gas,
        });
    }
}

/// Bytes as hexadecimal digits. Long ones: the first, then `…`, the length, and the digest, so that
/// two that differ look different.
pub(crate) fn shown(bytes: &[u8]) -> String {
    match bytes.get(..SHOWN_BYTES_MAX) {
        Some(first) if bytes.len() > SHOWN_BYTES_MAX => format!(
            "{}… {} bytes, SHA-256 {}",
            hex::encode(first),
            bytes.len(),
            hex::encode(Sha256::digest(bytes))
        ),
        _ => hex::encode(bytes),
    }
}
