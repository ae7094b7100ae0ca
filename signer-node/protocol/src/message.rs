//! Every message between signers, coordinators and executors, as they stand inside the Noise
//! channels. Bytes outside the channels: [`crate::frame`].
//!
//! FROST objects travel as the ciphersuite's own serialisation, so that messages do not depend on
//! the suite.

mod executor;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use attestation::codec::{self, Malformed};
use attestation::commit::Commit;
use attestation::ids::{
    Attempt, Boot, Digest, Epoch, LeafRoot, RequestId, Seq, Signature, Slot, StatementId,
    TraceRoot, View,
};
use attestation::tags;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use state::job::{Domain, Job, SignedFault, SignedVote};

use crate::lane::{FromLane, ToLane};
use crate::planted;

pub use crate::dkg::message::{Certification, DkgBody, DkgMessage, SecretPackage};
pub use crate::repair::message::{RepairBody, RepairMessage};

pub use executor::{ExecutorFailure, FromExecutor, ToExecutor};

/// Longest encoded message in bytes: a job of 1,024 requests with its witness.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A party of a committee, as the relays address it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Endpoint {
    /// The signer of a member.
    Signer(Slot),
    /// The executor of a member.
    Executor(Slot),
    /// The coordinator of a rank, from 0.
    Coordinator(u16),
    /// The node of a member.
    Node(Slot),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signer(slot) => write!(f, "signer {slot}"),
            Self::Executor(slot) => write!(f, "executor {slot}"),
            Self::Coordinator(rank) => write!(f, "coordinator {rank}"),
            Self::Node(slot) => write!(f, "node {slot}"),
        }
    }
}

/// Anything that travels through a channel. The receiver takes the variants that its role and the
/// sender's role allow and drops the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "moved a few times, then encoded; never kept"
)]
pub enum Message {
    /// Coordinator to signer.
    ToSigner(ToSigner),
    /// Signer to coordinator.
    ToCoordinator(ToCoordinator),
    /// Signer to signer.
    ToMember(ToMember),
    /// Signer to its executor.
    ToExecutor(ToExecutor),
    /// Executor to its signer.
    FromExecutor(FromExecutor),
    /// Coordinator to signer: what is signed beside the steps (rule E3).
    ToLane(Box<ToLane>),
    /// Signer to coordinator: likewise.
    FromLane(Box<FromLane>),
}

impl Message {
    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are too long or not what [`Self::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        codec::decode(bytes, MESSAGE_BYTES_MAX)
    }
}

/// What a coordinator tells a signer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "moved a few times, then encoded; never kept"
)]
pub enum ToSigner {
    /// Run this job and vote (rules A2, A3, A4). With a certificate it is a re-proposal (A9).
    Job {
        /// The coordinator's signed word that this is its job for (seq, view).
        proposal: SignedProposal,
        /// The job.
        job: Job,
        /// Certificate of an earlier view for the same statement, if the job is proposed again.
        certificate: Option<Certificate>,
    },
    /// Sign (rule A6).
    Package(SignedPackage),
    /// The attestation of a step, without inclusion proof (rule A7).
    Attested(ByteBuf),
    /// Send the durable job behind this statement (rule D3).
    SendJob {
        /// A statement for which a certificate exists.
        statement: StatementId,
    },
    /// Send a status: this coordinator has started and knows nothing (rule A9).
    SendStatus,
}

/// What a signer tells a coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "moved a few times, then encoded; never kept"
)]
pub enum ToCoordinator {
    /// Where this signer stands (rule A8).
    Status(Status),
    /// A vote, and commitments for attempt 0 of its view (rule A4).
    Vote {
        /// The vote.
        vote: SignedVote,
        /// What the vote's statement is the digest of.
        stated: Stated,
        /// Commitments for the next signing of this view.
        nonces: SignedNonces,
    },
    /// A signature share (rule A6).
    Share(SignedShare),
    /// A request that this member cannot run (rule A11).
    Fault(SignedFault),
    /// The trace root of a step, after the step that follows it is attested (rule A12).
    Reveal {
        /// The step.
        seq: Seq,
        /// Its trace root.
        trace: TraceRoot,
    },
    /// Answer to a job that conflicts with this signer's lock (rule A9).
    Locked(Certificate),
    /// Answer to a job at or below this signer's head: the head's attestation.
    Ahead(ByteBuf),
    /// Answer to [`ToSigner::SendJob`].
    Job(Job),
    /// The job for (seq, view) is invalid; the coordinator's reason to build another.
    Invalid {
        /// The step.
        seq: Seq,
        /// The view.
        view: View,
        /// What is wrong with it.
        reason: InvalidJob,
    },
}

/// Commit and leaf root behind a statement. Their digest is signed, they are not: whoever
/// receives them compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stated {
    /// What the step did.
    pub commit: Commit,
    /// Root over its leaves.
    pub root: LeafRoot,
}

impl Stated {
    /// SHA-256(commit ‖ root).
    #[must_use]
    pub fn statement(&self) -> StatementId {
        self.commit.statement(&self.root)
    }
}

/// Why a signer does not go on with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InvalidJob {
    /// The previous attestation does not verify or leads elsewhere.
    Previous,
    /// The step's time is outside 30 s of the signer's clock or before the previous step's.
    Time,
    /// The anchor is not confirmed at this operator's chain node.
    Anchor,
    /// A request is unsigned, out of date, replayed or for another committee.
    Request(RequestId),
    /// A listed vote, reveal or fault is wrong.
    Votes,
    /// The witness does not match the previous root or has a hole.
    Witness,
    /// Counts, order or sizes.
    Shape,
    /// Money would appear or be lost: the bookkeeping of the system zApp is wrong.
    Conservation,
    /// The executor names a request that hung or brought it down, but did not run first: the
    /// coordinator's reason to put it first in its next job (rule A11).
    Hung(RequestId),
    /// The executor did not answer in time and no request can be named.
    Executor,
    /// An observation is unsigned, out of place or too old, or a request has too few.
    Observations,
    /// It skips a deposit, named by its block's hash, that has been confirmed for long (rule E4).
    Skipped(Digest),
}

/// What members tell each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToMember {
    /// Where this signer stands (rules A8, A10).
    Status(Status),
    /// Key generation (rule B2).
    Dkg(DkgMessage),
    /// Generation of the second key, for EVM chains: its session ids cover the suite.
    EvmDkg(DkgMessage),
    /// Reshare (rule B3). Its session ids differ from those of a key generation, so that a message
    /// of one is none of the other whatever it travels as.
    Reshare(DkgMessage),
    /// Repair of one member's share (rule B3).
    Repair(RepairMessage),
    /// Send what you remember of this signer, which has just started (rule C2).
    SendRemembered,
    /// Answer to [`ToMember::SendRemembered`].
    Remembered(Box<Remembered>),
}

/// The newest words of a member that another one has seen (rule C2). Each is signed by the member
/// that they are told to: who answers can leave out, but not invent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Its newest status.
    pub status: Option<SignedStatus>,
    /// Its newest vote in a certificate.
    pub vote: Option<SignedVote>,
}

impl fmt::Display for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(status) = &self.status {
            write!(f, "start {}, view {}", status.boot, status.view)?;
        }
        if let Some(vote) = &self.vote {
            write!(f, "; a vote at seq {}, view {}", vote.seq, vote.view)?;
        }
        Ok(())
    }
}

/// A signer's status. Only [`SignedStatus`] is signed; certificate and attestation prove it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The signed part.
    pub signed: SignedStatus,
    /// The certificate behind `signed.lock`.
    pub certificate: Option<Certificate>,
    /// The attestation of `signed.head`; empty at head 0.
    pub attestation: ByteBuf,
}

/// The signed part of a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedStatus {
    /// The signer.
    pub slot: Slot,
    /// Epoch of seq `head + 1`.
    pub epoch: Epoch,
    /// Its view.
    pub view: View,
    /// Its start count.
    pub boot: Boot,
    /// Its last attested step; 0 before the first.
    pub head: Seq,
    /// Statement of the head; zeros at head 0.
    pub head_statement: StatementId,
    /// Its lock at seq `head + 1`, if any.
    pub lock: Option<LockClaim>,
    /// Signature by the member's identity key over [`SignedStatus::signed_bytes`].
    pub signature: Signature,
}

/// A lock as a status tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockClaim {
    /// Step.
    pub seq: Seq,
    /// View of the certificate.
    pub view: View,
    /// Statement.
    pub statement: StatementId,
}

impl SignedStatus {
    /// The bytes that the signer signs.
    #[must_use]
    pub fn signed_bytes(&self, domain: &Domain) -> Vec<u8> {
        let layout = domain
            .layout(tags::STATUS)
            .number(self.epoch.0)
            .number(self.view.0)
            .number(self.boot.0)
            .number(self.slot.0)
            .number(self.head.0)
            .fixed(self.head_statement.as_bytes());
        match &self.lock {
            None => layout.number(0u64),
            Some(lock) => layout
                .number(1u64)
                .number(lock.seq.0)
                .number(lock.view.0)
                .fixed(lock.statement.as_bytes()),
        }
        .into_bytes()
    }
}

/// A coordinator's signed word that a job is its proposal for (seq, view). Two of them with
/// different jobs prove that it equivocates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedProposal {
    /// Rank of the coordinator.
    pub rank: u16,
    /// Epoch of the seq.
    pub epoch: Epoch,
    /// Step.
    pub seq: Seq,
    /// View.
    pub view: View,
    /// [`Job::digest`].
    pub job: Digest,
    /// Signature by the coordinator's identity key over [`SignedProposal::signed_bytes`].
    pub signature: Signature,
}

impl SignedProposal {
    /// Whether this is the one proposal that an honest coordinator may make twice, with two jobs:
    /// it keeps nothing, and before the first step there is no view that it could wait for.
    #[must_use]
    pub fn is_first(&self) -> bool {
        (self.seq, self.view) == (Seq(1), View(0))
    }

    /// The bytes that the coordinator signs.
    #[must_use]
    pub fn signed_bytes(&self, domain: &Domain) -> Vec<u8> {
        domain
            .layout(tags::PROPOSAL)
            .number(self.epoch.0)
            .number(self.seq.0)
            .number(self.view.0)
            .number(self.rank)
            .fixed(self.job.as_bytes())
            .into_bytes()
    }
}

/// Votes by t distinct members for one statement, all of the same epoch, seq and view (rule A5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The votes in slot order.
    pub votes: Vec<SignedVote>,
}

/// What a FROST signing is for: one register lane each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// Steps of the committee under its Ed25519 key.
    Steps,
    /// Blocks of the committee's NoM account, under the same key.
    Nom,
    /// Attested steps under the key for EVM chains.
    Evm,
}

impl Lane {
    /// The lane's number in signed layouts.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Steps => 1,
            Self::Nom => 2,
            Self::Evm => 3,
        }
    }
}

/// A member's FROST commitments for one attempt (rule A4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedNonces {
    /// The member.
    pub slot: Slot,
    /// What is signed.
    pub lane: Lane,
    /// Epoch of the seq.
    pub epoch: Epoch,
    /// Step.
    pub seq: Seq,
    /// View.
    pub view: View,
    /// Attempt.
    pub attempt: Attempt,
    /// The member's start count: nonces die with the process.
    pub boot: Boot,
    /// `frost_core::round1::SigningCommitments::serialize`.
    pub commitments: ByteBuf,
    /// Signature by the member's identity key over [`SignedNonces::signed_bytes`].
    pub signature: Signature,
}

impl SignedNonces {
    /// The bytes that the member signs.
    #[must_use]
    pub fn signed_bytes(&self, domain: &Domain) -> Vec<u8> {
        domain
            .layout(tags::NONCES)
            .number(self.lane.number())
            .number(self.epoch.0)
            .number(self.seq.0)
            .number(planted::signed_view(self.view).0)
            .number(self.attempt.0)
            .number(self.boot.0)
            .number(self.slot.0)
            .bytes(&self.commitments)
            .into_bytes()
    }
}

/// What a coordinator asks exactly t voters to sign (rule A6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedPackage {
    /// Rank of the coordinator.
    pub rank: u16,
    /// Proof that t members voted for the statement in this view.
    pub certificate: Certificate,
    /// Attempt.
    pub attempt: Attempt,
    /// The signing set's commitments in slot order, exactly t, each of a voter.
    pub nonces: Vec<SignedNonces>,
    /// Signature by the coordinator's identity key over [`SignedPackage::signed_bytes`].
    pub signature: Signature,
}

impl SignedPackage {
    /// The bytes that the coordinator signs.
    #[must_use]
    pub fn signed_bytes(&self, domain: &Domain) -> Vec<u8> {
        domain
            .layout(tags::PACKAGE)
            .number(self.rank)
            .number(self.attempt.0)
            .bytes(&codec::encode(&self.certificate))
            .bytes(&codec::encode(&self.nonces))
            .into_bytes()
    }

    /// SHA-256 of the signed bytes: what shares are bound to.
    #[must_use]
    pub fn digest(&self, domain: &Domain) -> Digest {
        domain
            .layout(tags::PACKAGE)
            .number(self.rank)
            .number(self.attempt.0)
            .bytes(&codec::encode(&self.certificate))
            .bytes(&codec::encode(&self.nonces))
            .digest()
    }
}

/// A member's signature share, bound to its package, with commitments for the next attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedShare {
    /// The member.
    pub slot: Slot,
    /// Epoch of the seq.
    pub epoch: Epoch,
    /// Step.
    pub seq: Seq,
    /// View.
    pub view: View,
    /// Attempt.
    pub attempt: Attempt,
    /// [`SignedPackage::digest`].
    pub package: Digest,
    /// `frost_core::round2::SignatureShare::serialize`.
    pub share: ByteBuf,
    /// Signature by the member's identity key over [`SignedShare::signed_bytes`].
    pub signature: Signature,
    /// Commitments for the next attempt, signed on their own.
    pub next: SignedNonces,
}

impl SignedShare {
    /// The bytes that the member signs.
    #[must_use]
    pub fn signed_bytes(&self, domain: &Domain) -> Vec<u8> {
        domain
            .layout(tags::SHARE)
            .number(self.epoch.0)
            .number(self.seq.0)
            .number(self.view.0)
            .number(self.attempt.0)
            .number(self.slot.0)
            .fixed(self.package.as_bytes())
            .bytes(&self.share)
            .into_bytes()
    }
}
