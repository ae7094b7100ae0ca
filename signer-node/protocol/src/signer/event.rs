//! What a signer is told, and what it asks for.

use alloc::boxed::Box;

use attestation::ids::{Digest, Epoch, RequestId, RuntimeProfile, Seq, StatementId, View};
use attestation::step_attestation::StepAttestation;
use state::job::Job;
use state::pull::SignedObservation;
use state::step::StepOutcome;

use super::{PackageError, Sight, Sighting};
use crate::blame::{Act, Culprit};
use crate::message::{Endpoint, Message, Remembered};
use crate::register::{Entry, Refused};

/// What happened.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "handled as soon as it is made; never kept"
)]
pub enum Input {
    /// A message came through the channel of this party.
    Message {
        /// The channel's other end.
        from: Endpoint,
        /// The message.
        message: Message,
    },
    /// A channel to this party is up.
    Connected(Endpoint),
    /// All register entries up to this position are on disk.
    Persisted {
        /// Position.
        index: u64,
    },
    /// The node did not take a register entry.
    AppendFailed(AppendFailure),
    /// The node has this job on disk.
    JobStored {
        /// [`Job::digest`].
        job: Digest,
    },
    /// Answer to [`Output::LoadJob`].
    JobLoaded {
        /// The statement that the job leads to.
        statement: StatementId,
        /// The job, if the node has it.
        job: Option<Box<Job>>,
    },
    /// Whether a request that is executable at the head waits at this member's node (rule A10).
    Executable(bool),
    /// A request that was executable has been passed over in 16 attested steps (rule A10). Raises
    /// the view by one at most until the members have attested a step in it.
    PassedOver(RequestId),
    /// The node learned an attestation elsewhere.
    Head(Box<StepAttestation>),
    /// This member's node has looked at the sources of a request (rule A13).
    Observe(Box<Sighting>),
    /// What this operator's node has seen of the Network of Momentum (rules A2, E4).
    Sight(Box<Sight>),
}

/// Why the node did not take a register entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFailure {
    /// The register's chain refuses it: another signer runs on this register.
    Refused(Refused),
    /// The disk is full or broken.
    Disk,
}

/// What to do.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "handled as soon as it is made; never kept"
)]
pub enum Output {
    /// Send a message.
    Send {
        /// To whom.
        to: Endpoint,
        /// What.
        message: Message,
    },
    /// Append to the register and answer [`Input::Persisted`] once it is on disk.
    Persist(Entry),
    /// Store the job and answer [`Input::JobStored`] once it is on disk (rule A4).
    StoreJob {
        /// The statement that it leads to.
        statement: StatementId,
        /// [`Job::digest`].
        digest: Digest,
        /// The job.
        job: Box<Job>,
    },
    /// Read the job back that leads to this statement.
    LoadJob {
        /// The statement.
        statement: StatementId,
    },
    /// A step is attested: for the node to apply.
    Attested {
        /// The attestation.
        attestation: Box<StepAttestation>,
        /// The job, if this signer has one that the attestation's commit covers. Its witness may
        /// be unverified.
        job: Option<Box<Job>>,
        /// The outcome, if this signer ran it.
        outcome: Option<Box<StepOutcome>>,
    },
    /// A party did what the rules forbid.
    Blame {
        /// Who.
        culprit: Culprit,
        /// What, with evidence.
        act: Act,
    },
    /// The signer ran the job to another statement than t other members did: its executor, image
    /// or machine is at fault, or theirs are.
    Dissent {
        /// Step.
        seq: Seq,
        /// View of the certificate.
        view: View,
        /// What t members voted for.
        certified: StatementId,
        /// What this member computed.
        own: StatementId,
    },
    /// The register did not allow a vote; nothing was signed.
    Refused(Refused),
    /// A package was not signed; the nonces are untouched.
    PackageRefused {
        /// The coordinator that sent it.
        rank: u16,
        /// Why.
        reason: PackageError,
    },
    /// The register lost entries that were acknowledged, or the operator says that its disk was
    /// restored: the signer only watches until an epoch whose ceremony it joins (rule C2). With
    /// what this member signed and its register does not know, if another one remembered it.
    Behind {
        /// Until after this epoch.
        epoch: Epoch,
        /// Newer words of this member.
        remembered: Option<Box<Remembered>>,
    },
    /// This member's observation, signed: for all nodes.
    Observed(SignedObservation),
    /// The signer has stopped and takes no more part; it says why.
    Halt(Halt),
}

/// Why a signer stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The register refused an entry: another signer runs on it, or its disk went back in time.
    #[error("the register refused an entry: {0}; look for a second signer of this member")]
    Register(#[from] Refused),
    /// The register cannot be written.
    #[error("the register cannot be written: free or replace the node's disk")]
    Disk,
    /// Two attestations of one seq verify: f exceeds what the threshold allows.
    #[error("two different attestations of seq {0} verify under the group key")]
    Fork(Seq),
    /// The executor runs another profile than the committee.
    #[error("the executor runs profile {actual}, the committee {expected}: install its image")]
    Profile {
        /// The committee's.
        expected: RuntimeProfile,
        /// The executor's.
        actual: RuntimeProfile,
    },
}
