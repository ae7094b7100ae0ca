//! What a step comes to.

use alloc::vec::Vec;

use attestation::codec::Layout;
use attestation::commit::Commit;
use attestation::ids::{Digest, LeafRoot, RequestId, Seq, TraceRoot, ZappId};
use attestation::leaf::{OutputLeaf, Status};
use attestation::tags;
use sha2::{Digest as _, Sha256};

use crate::entry::EntryWrite;
use crate::execute::{Event, Report};
use crate::witness::Touched;

/// What a step comes to. Nothing of it is in force before it is attested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepOutcome {
    /// The commit.
    pub commit: Commit,
    /// Root over the leaves.
    pub root: LeafRoot,
    /// Leaf 0 settles the bill; one output leaf per request follows, in order, and then one leaf
    /// per outbound message and one per block issued.
    pub leaves: Vec<Vec<u8>>,
    /// One per request, in order: what [`replay`](crate::step::replay()) takes.
    pub reports: Vec<Report>,
    /// One per request, in order: what callers get.
    pub outcomes: Vec<Outcome>,
    /// Net changes in order of zApp and key: what [`State::apply`](crate::State::apply) takes.
    pub writes: Vec<EntryWrite>,
    /// Digest over the traces of all requests; the commit holds its hash.
    pub trace_root: TraceRoot,
    /// What the witness of this step must hold. Complete where an engine ran; a signer does not
    /// read what its executor reads.
    pub touched: Touched,
}

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The request.
    pub request: RequestId,
    /// The zApp called.
    pub zapp: ZappId,
    /// How it ended.
    pub status: Status,
    /// The zApp's code for a revert, a [`Refusal`](crate::system::Refusal)'s for a refusal.
    pub code: u32,
    /// Gas charged.
    pub gas: u64,
    /// Fee paid, 10⁻⁸ QSR.
    pub fee: u64,
    /// Result bytes.
    pub output: Vec<u8>,
    /// Events in order.
    pub events: Vec<Event>,
    /// Digest over what happened on the way (rule A12).
    pub trace: Digest,
}

impl StepOutcome {
    /// SHA-256(commit ‖ root): what members vote for.
    #[must_use]
    pub fn statement(&self) -> attestation::ids::StatementId {
        self.commit.statement(&self.root)
    }
}

impl Outcome {
    /// The request's leaf.
    #[must_use]
    pub fn leaf(&self, seq: Seq) -> OutputLeaf {
        OutputLeaf {
            zapp: self.zapp,
            seq,
            request: self.request,
            status: self.status,
            code: self.code,
            gas: self.gas,
            output: Digest::from_bytes(Sha256::digest(&self.output).into()),
            events: Event::digest(&self.events),
        }
    }
}

/// Digest over (request id, trace) of all requests in order.
pub(super) fn trace_root(seq: Seq, outcomes: &[Outcome]) -> TraceRoot {
    let layout = Layout::new(tags::TRACE)
        .bytes(b"step")
        .number(seq.0)
        .number(outcomes.len() as u64);
    let digest = outcomes
        .iter()
        .fold(layout, |layout, outcome| {
            layout
                .fixed(outcome.request.as_bytes())
                .fixed(outcome.trace.as_bytes())
        })
        .digest();
    TraceRoot::from_bytes(*digest.as_bytes())
}

/// Trace of a request that ran no zApp, or more than one run: over what came of it and, for a
/// deployment, the verdict and the trace of `init`.
pub(super) fn native_trace(outcome: &Outcome, parts: &[&[u8]]) -> Digest {
    let layout = Layout::new(tags::TRACE)
        .bytes(b"system")
        .fixed(outcome.request.as_bytes())
        .number(u8::from(outcome.status))
        .number(outcome.code)
        .number(outcome.gas)
        .bytes(&outcome.output);
    parts
        .iter()
        .fold(layout, |layout, part| layout.bytes(part))
        .digest()
}
