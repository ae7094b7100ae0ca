//! What a step asks of an engine, and what the engine may answer.

use alloc::string::String;
use alloc::vec::Vec;

use attestation::codec::Layout;
use attestation::ids::{
    CommitteeId, Digest, Epoch, IdentityKey, ModuleDigest, NetworkId, RequestId, Seq, StateRoot,
    ZappId,
};
use attestation::leaf::{LABEL_BYTES_MAX, PAYLOAD_BYTES_MAX, Status};
use attestation::tags;
use serde::{Deserialize, Serialize};

use crate::entry::EntryWrite;
use crate::job::Context;
use crate::journal::{Journal, WriteError};
use crate::limits::{
    DEPLOY_FUNCTION_GAS, DEPLOY_GAS, DEPLOY_OPERATOR_GAS, EVENTS_BYTES_MAX, EVENTS_MAX,
    FRAMING_BYTES, OUTPUT_BYTES_MAX, POST_FRAMING_BYTES, POSTS_BYTES_MAX, POSTS_MAX,
    REPORT_FRAMING_BYTES, RULE_BYTES_MAX,
};
use crate::pull::Pulled;
use crate::tree::NeedState;

/// Runs zApps: an engine, or a signer's replay of what its executor reports.
pub trait Execute {
    /// The gatekeeper's verdict on a module that `request` wants to deploy.
    ///
    /// # Errors
    /// [`ExecuteError`] if there is no verdict: the step has no outcome yet.
    fn prepare(
        &mut self,
        request: &RequestId,
        module: &ModuleDigest,
    ) -> Result<Verdict, ExecuteError>;

    /// Runs one call. Reads and writes go through `journal`; the caller rolls it back unless the
    /// status is [`Status::Ok`].
    ///
    /// # Errors
    /// [`ExecuteError`] if there is no outcome; whatever a zApp does is an outcome.
    fn execute(
        &mut self,
        call: &Executable<'_>,
        journal: &mut Journal<'_>,
    ) -> Result<Execution, ExecuteError>;
}

/// Which of a zApp's entry points runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Once, when the zApp is deployed.
    Init = 0,
    /// A request.
    Call = 1,
    /// A read without a step.
    View = 2,
    /// Once, when the zApp's module is replaced.
    Migrate = 3,
}

/// One run of a zApp.
#[derive(Clone, Copy, Debug)]
pub struct Executable<'a> {
    /// Entry point.
    pub op: Op,
    /// The request that asks for it.
    pub request: RequestId,
    /// The zApp; what it calls may be written, too.
    pub zapp: ZappId,
    /// Its module as its owner deployed it.
    pub module: ModuleDigest,
    /// SHA-256 of the metered module that runs.
    pub metered: Digest,
    /// Who asks: the key that signed the request, or the zApp that calls this one.
    pub caller: IdentityKey,
    /// The key that signed the request.
    pub origin: IdentityKey,
    /// Method name; empty for [`Op::Init`].
    pub method: &'a str,
    /// Argument bytes.
    pub input: &'a [u8],
    /// Most gas that the run may use.
    pub gas_limit: u64,
    /// The step around it.
    pub environment: &'a Environment,
    /// What members saw at the sources that the request names, in its order (rule A13).
    pub pulled: &'a [Pulled],
}

/// What all runs of a step see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Network.
    pub network: NetworkId,
    /// Committee.
    pub committee: CommitteeId,
    /// Epoch that signs the step.
    pub epoch: Epoch,
    /// The step.
    pub seq: Seq,
    /// Its time and anchor.
    pub context: Context,
    /// State root before the step.
    pub previous_state: StateRoot,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// [`Status::Ok`], [`Status::Reverted`], [`Status::Trapped`] or [`Status::OutOfGas`].
    pub status: Status,
    /// The zApp's code for a revert, else 0.
    pub code: u32,
    /// Gas used, exact also on a trap.
    pub gas: u64,
    /// Result bytes, at most 64 KiB.
    #[serde(with = "serde_bytes")]
    pub output: Vec<u8>,
    /// Events in order, those of zApps that it called among them; none unless the status is
    /// [`Status::Ok`].
    pub events: Vec<Event>,
    /// Outbound messages in order, likewise.
    pub messages: Vec<Post>,
    /// Digest over host-call arguments, results, gas and output (rule A12).
    pub trace: Digest,
}

/// Something a zApp announces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Who announces it.
    pub zapp: ZappId,
    /// What kind.
    #[serde(with = "serde_bytes")]
    pub topic: Vec<u8>,
    /// What.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
}

/// An outbound message before it has a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Who sends it.
    pub zapp: ZappId,
    /// EIP-155 id of the destination's chain.
    pub chain: u64,
    /// The contract that accepts it, left-padded.
    pub contract: [u8; 32],
    /// Whom that contract calls, left-padded.
    pub receiver: [u8; 32],
    /// Gas that the call is given.
    pub gas: u64,
    /// Tells channels to one destination apart, at most 32 bytes.
    #[serde(with = "serde_bytes")]
    pub label: Vec<u8>,
    /// What is sent, at most 16 KiB.
    #[serde(with = "serde_bytes")]
    pub payload: Vec<u8>,
}

/// The gatekeeper's word on a module: a function of its bytes alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It may be deployed.
    Prepared(Prepared),
    /// It may not.
    Rejected(Rejection),
}

/// A module that passed the gatekeeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// SHA-256 of the metered module.
    pub metered: Digest,
    /// Functions: what compiling costs.
    pub functions: u32,
    /// Operators: what compiling costs.
    pub operators: u32,
    /// Whether it can call other zApps.
    pub calls: bool,
    /// Pages of memory that it may grow to.
    pub pages: u32,
}

/// The rule that a module breaks, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Name of the rule, at most 64 bytes.
    pub rule: String,
    /// Index of the function, if it is about one.
    pub function: Option<u32>,
    /// Offset in the module's bytes.
    pub offset: u64,
}

/// What an executor reports of one request. Empty but for the request where nothing had to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The request.
    pub request: RequestId,
    /// Answer of [`Execute::prepare`], if the request deploys a module.
    pub verdict: Option<Verdict>,
    /// Answer of [`Execute::execute`], if a zApp ran.
    pub execution: Option<Execution>,
    /// What the run left written, in order of key; nothing unless it ended with [`Status::Ok`].
    pub writes: Vec<EntryWrite>,
}

/// Why a run has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecuteError {
    /// The witness has a hole: the job is invalid.
    #[error(transparent)]
    NeedState(#[from] NeedState),
    /// The request hung or brought the engine down (rule A11).
    #[error("request {0} brought the engine down")]
    Hung(RequestId),
    /// A module or its compiled form is not at hand yet.
    #[error("module {0} is not at hand")]
    Module(ModuleDigest),
    /// The executor reports what no run can be.
    #[error("the executor's report of {0}: {1}")]
    Misreported(RequestId, Misreport),
}

/// What is wrong with a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misreport {
    /// Too few, too many, or in another order than the job.
    #[error("too few, too many or out of order")]
    Order,
    /// A status that no run ends with, or a code that does not go with it.
    #[error("a status or code that no run ends with")]
    Status,
    /// More gas than the limit.
    #[error("more gas than the limit")]
    Gas,
    /// Output longer than 64 KiB.
    #[error("output too long")]
    Output,
    /// Too many or too long events, or events of a failed run.
    #[error("events too many, too long, or of a failed run")]
    Events,
    /// A write that the run may not make.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Messages of a failed run, too many of them, or too long.
    #[error("messages too many, too long, or of a failed run")]
    Messages,
    /// A zApp had a part in the run that it cannot have called.
    #[error("zApp {0} had a part in it that it cannot have been called for")]
    Reach(ZappId),
    /// Writes of a failed run.
    #[error("writes of a failed run")]
    WritesOfFailure,
    /// The name of the rule is too long.
    #[error("name of a rule too long")]
    Rule,
    /// Not what this report says when it is run: unsorted, doubled or useless parts.
    #[error("not canonical")]
    NotCanonical,
}

impl Report {
    /// About the length of the report's encoding in bytes, and never less.
    #[must_use]
    pub fn weight(&self) -> usize {
        let write = |write: &EntryWrite| {
            FRAMING_BYTES + write.key.len() + write.value.as_ref().map_or(0, Vec::len)
        };
        let writes: usize = self.writes.iter().map(write).sum();
        let run = self.execution.as_ref().map_or(0, |run| {
            let events: usize = run
                .events
                .iter()
                .map(|event| FRAMING_BYTES + event.bytes())
                .sum();
            let messages: usize = run
                .messages
                .iter()
                .map(|post| POST_FRAMING_BYTES + post.bytes())
                .sum();
            run.output.len() + events + messages
        });
        REPORT_FRAMING_BYTES + writes + run
    }
}

impl Prepared {
    /// Gas for checking and compiling the module.
    #[must_use]
    pub fn gas(&self) -> u64 {
        DEPLOY_GAS
            + u64::from(self.functions) * DEPLOY_FUNCTION_GAS
            + u64::from(self.operators) * DEPLOY_OPERATOR_GAS
    }
}

impl Verdict {
    pub(crate) fn check(&self) -> Result<(), Misreport> {
        match self {
            Self::Rejected(rejection) if rejection.rule.len() > RULE_BYTES_MAX => {
                Err(Misreport::Rule)
            }
            _ => Ok(()),
        }
    }
}

impl Execution {
    /// Whether a run with this gas limit can end so.
    ///
    /// # Errors
    /// [`Misreport`] names what no run ends with.
    pub fn check(&self, gas_limit: u64) -> Result<(), Misreport> {
        let ran = match self.status {
            Status::Ok | Status::Trapped | Status::OutOfGas => self.code == 0,
            Status::Reverted => true,
            Status::Refused | Status::Faulted => false,
        };
        if !ran {
            return Err(Misreport::Status);
        }
        if self.gas > gas_limit {
            return Err(Misreport::Gas);
        }
        if self.output.len() > OUTPUT_BYTES_MAX {
            return Err(Misreport::Output);
        }
        let bytes: usize = self.events.iter().map(Event::bytes).sum();
        let events_max = if self.status == Status::Ok {
            EVENTS_MAX
        } else {
            0
        };
        if self.events.len() > events_max || bytes > EVENTS_BYTES_MAX {
            return Err(Misreport::Events);
        }
        let bytes: usize = self.messages.iter().map(Post::bytes).sum();
        let posts_max = if self.status == Status::Ok {
            POSTS_MAX
        } else {
            0
        };
        let long = |post: &Post| {
            post.label.len() > LABEL_BYTES_MAX || post.payload.len() > PAYLOAD_BYTES_MAX
        };
        if self.messages.len() > posts_max
            || bytes > POSTS_BYTES_MAX
            || self.messages.iter().any(long)
        {
            return Err(Misreport::Messages);
        }
        Ok(())
    }
}

impl Event {
    /// Length of topic and data.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.topic.len() + self.data.len()
    }

    /// Digest of a request's events, as its leaf holds it.
    #[must_use]
    pub fn digest(events: &[Self]) -> Digest {
        let layout = Layout::new(tags::EVENTS).number(events.len() as u64);
        events
            .iter()
            .fold(layout, |layout, event| {
                layout
                    .fixed(event.zapp.as_bytes())
                    .bytes(&event.topic)
                    .bytes(&event.data)
            })
            .digest()
    }
}

impl Post {
    /// Length of label and payload.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.label.len() + self.payload.len()
    }
}
