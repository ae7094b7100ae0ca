//! What a step is made of: the job that a coordinator proposes, and the votes and faults in it.

use alloc::vec::Vec;

use attestation::codec::Layout;
use attestation::ids::{
    CommitteeId, Digest, Epoch, NetworkId, RequestId, Seq, Signature, Slot, StateRoot, StatementId,
    TraceRoot, View,
};
use attestation::request::Request;
use attestation::step_attestation::StepAttestation;
use attestation::tags;
use serde::{Deserialize, Serialize};

use crate::planted;
use crate::pull::SignedObservation;
use crate::witness::Witness;

pub use crate::limits::REQUESTS_MAX;

/// What a step is told of the outside world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// Time of the step, Unix milliseconds.
    pub time_ms: u64,
    /// Height of the chain anchor, which stays until a step names another; 0 before the first.
    pub anchor_height: u64,
    /// Hash of the chain anchor; zeros before the first.
    pub anchor: Digest,
}

impl Context {
    /// Height and hash before any step has named an anchor.
    pub const NO_ANCHOR: (u64, Digest) = (0, Digest::from_bytes([0; 32]));

    /// Height and hash of the anchor of an attested step, or before the first.
    #[must_use]
    pub fn anchor_of(step: Option<&StepAttestation>) -> (u64, Digest) {
        step.map_or(Self::NO_ANCHOR, |step| {
            (step.commit.anchor_height, step.commit.anchor)
        })
    }
}

/// The content of a step. The view that proposes it is not part of it: a later view proposes the
/// same job again, unchanged (rule A9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Position in the committee's chain.
    pub seq: Seq,
    /// Attestation of the step before, without inclusion proof; empty for seq 1.
    #[serde(with = "serde_bytes")]
    pub previous: Vec<u8>,
    /// Time and anchor.
    pub context: Context,
    /// 1 to [`REQUESTS_MAX`] requests in the order in which they run.
    pub requests: Vec<Request>,
    /// Votes for the step before, in slot order, one per member (rule A12).
    pub votes: Vec<SignedVote>,
    /// Trace root of the step before the one before (rule A12).
    pub reveal: Option<TraceRoot>,
    /// Faults: a request with faults of t members is refused without running (rule A11).
    pub faults: Vec<SignedFault>,
    /// What members saw at the sources that requests name, in order of request and slot, those of
    /// at least t members for each such request (rule A13). A job without any is encoded as if
    /// there were no such field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observations: Vec<SignedObservation>,
    /// The entries that the step touches, with proofs against the previous root.
    pub witness: Witness,
}

/// What every signature of one step is bound to besides its own fields (rule A14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Network.
    pub network: NetworkId,
    /// Committee.
    pub committee: CommitteeId,
}

impl Domain {
    /// Begins a signed layout: tag, network, committee.
    #[must_use]
    pub fn layout(&self, tag: tags::Tag) -> Layout {
        Layout::new(tag)
            .number(self.network.0)
            .fixed(self.committee.as_bytes())
    }
}

/// A coordinator's order to its node: what the next job is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildJob {
    /// The step.
    pub seq: Seq,
    /// The view that will propose it.
    pub view: View,
    /// Attestation of the step before; none for seq 1.
    pub previous: Option<StepAttestation>,
    /// Votes for the step before, in slot order (rule A12).
    pub votes: Vec<SignedVote>,
    /// Trace root of the step before that, where a member has released it (rule A12). The node
    /// puts its own in its place if it ran that step.
    pub reveal: Option<TraceRoot>,
    /// Faults, t for each request that they name, in order of request and slot (rule A11). The
    /// job carries those whose request it takes.
    pub faults: Vec<SignedFault>,
    /// Most requests in the job; rule A11 halves it.
    pub requests_max: usize,
    /// The request to put first, if it waits: members say that it cannot be run (rule A11).
    pub first: Option<RequestId>,
    /// Requests to leave out (rule A11).
    pub set_aside: Vec<RequestId>,
    /// Whether the job may name another anchor than the step before: none failed for it of late.
    pub anchor: bool,
}

/// A member's vote for a statement (rule A4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedVote {
    /// The voter.
    pub slot: Slot,
    /// Epoch of the seq.
    pub epoch: Epoch,
    /// Step voted on.
    pub seq: Seq,
    /// View in which the vote was cast.
    pub view: View,
    /// SHA-256(commit ‖ root).
    pub statement: StatementId,
    /// SHA-256(tag ‖ member ‖ seq ‖ trace root): shows later that the voter ran the step.
    pub mask: Digest,
    /// Signature by the member's identity key over [`SignedVote::signed_bytes`].
    pub signature: Signature,
}

impl SignedVote {
    /// The bytes that the voter signs.
    #[must_use]
    pub fn signed_bytes(&self, domain: &Domain) -> Vec<u8> {
        domain
            .layout(tags::VOTE)
            .number(self.epoch.0)
            .number(self.seq.0)
            .number(planted::signed_view(self.view).0)
            .number(self.slot.0)
            .fixed(self.statement.as_bytes())
            .fixed(self.mask.as_bytes())
            .into_bytes()
    }

    /// The mask of a trace root.
    #[must_use]
    pub fn mask(slot: Slot, seq: Seq, trace: &TraceRoot) -> Digest {
        Layout::new(tags::MASK)
            .number(slot.0)
            .number(seq.0)
            .fixed(trace.as_bytes())
            .digest()
    }
}

/// A member's word that it cannot run a request, although the witness is whole (rule A11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedFault {
    /// The member.
    pub slot: Slot,
    /// Epoch of the seq.
    pub epoch: Epoch,
    /// Step in which the request ran first.
    pub seq: Seq,
    /// The request.
    pub request: RequestId,
    /// Root on which it ran.
    pub previous_root: StateRoot,
    /// Inputs root of the job.
    pub inputs: Digest,
    /// Signature by the member's identity key over [`SignedFault::signed_bytes`].
    pub signature: Signature,
}

impl SignedFault {
    /// The bytes that the member signs.
    #[must_use]
    pub fn signed_bytes(&self, domain: &Domain) -> Vec<u8> {
        domain
            .layout(tags::FAULT)
            .number(self.epoch.0)
            .number(self.seq.0)
            .number(self.slot.0)
            .fixed(self.request.as_bytes())
            .fixed(self.previous_root.as_bytes())
            .fixed(self.inputs.as_bytes())
            .into_bytes()
    }
}

impl Job {
    /// Digest of the job's canonical encoding: names it in proposals and stores.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Layout::new(tags::JOB)
            .bytes(&attestation::codec::encode(self))
            .digest()
    }

    /// The inputs root (field 14 of the commit): ordered requests, observations, votes, faults.
    #[must_use]
    pub fn inputs_root(&self) -> Digest {
        let ids: Vec<RequestId> = self.requests.iter().map(Request::id).collect();
        self.inputs_root_of(&ids)
    }

    /// [`Self::inputs_root`] with the ids of the requests at hand.
    pub(crate) fn inputs_root_of(&self, ids: &[RequestId]) -> Digest {
        let mut layout = Layout::new(tags::INPUTS).number(self.requests.len() as u64);
        for (request, id) in self.requests.iter().zip(ids) {
            layout = layout
                .fixed(id.as_bytes())
                .fixed(request.signature.as_bytes());
        }
        layout = layout.number(self.observations.len() as u64);
        for observation in &self.observations {
            layout = observation
                .append(layout)
                .fixed(observation.signature.as_bytes());
        }
        layout = layout.number(self.votes.len() as u64);
        for vote in &self.votes {
            layout = layout
                .number(vote.slot.0)
                .number(vote.view.0)
                .fixed(vote.mask.as_bytes())
                .fixed(vote.signature.as_bytes());
        }
        layout = match &self.reveal {
            Some(trace) => layout.number(1u64).fixed(trace.as_bytes()),
            None => layout.number(0u64),
        };
        layout = layout.number(self.faults.len() as u64);
        for fault in &self.faults {
            layout = layout
                .number(fault.slot.0)
                .number(fault.seq.0)
                .fixed(fault.request.as_bytes())
                .fixed(fault.previous_root.as_bytes())
                .fixed(fault.inputs.as_bytes())
                .fixed(fault.signature.as_bytes());
        }
        layout.digest()
    }
}
