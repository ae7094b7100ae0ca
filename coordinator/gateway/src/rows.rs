//! What the store keeps, as plain values.

use std::sync::Arc;

use attestation::ids::{
    Digest, EvmSignature, ModuleDigest, RequestId, RuntimeProfile, Seq, StatementId,
};
use state::entry::EntryWrite;

/// Why the store gives no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused: disk full, unreadable, or gone. Nothing of the write remains.
    #[error("the store is unavailable: {0}")]
    Unavailable(Arc<dyn std::error::Error + Send + Sync>),
    /// The writing task has ended.
    #[error("the store is closed")]
    Closed,
    /// A stored value is not what this program wrote.
    #[error("the store is damaged: table {table} holds a value that cannot be read")]
    Damaged {
        /// The table.
        table: &'static str,
    },
    /// The directory belongs to another committee.
    #[error("the store belongs to committee {0}")]
    OtherCommittee(Digest),
    /// A newer program wrote this store.
    #[error("the store has schema {found}, this program knows up to {known}: install a newer one")]
    Newer {
        /// Schema found.
        found: usize,
        /// Newest schema known.
        known: usize,
    },
}

/// Why a request left the queue without a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Its `valid_until_ms` passed.
    Expired,
    /// Its caller used its nonce or a greater one in another request.
    Overtaken,
    /// It can never be part of a valid step.
    Impossible,
    /// Its caller took it back before it ran.
    Cancelled,
}

impl Closed {
    /// The name that interfaces show.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Overtaken => "overtaken",
            Self::Impossible => "impossible",
            Self::Cancelled => "cancelled",
        }
    }
}

/// An accepted step with all that follows from it.
#[derive(Debug)]
pub struct StepWrite {
    /// Position.
    pub seq: Seq,
    /// Id of the attestation.
    pub statement: StatementId,
    /// Encoded step attestation.
    pub attestation: Vec<u8>,
    /// Encoded body: leaves, writes, outputs.
    pub body: Vec<u8>,
    /// Encoded job; taken from the stored jobs if absent.
    pub job: Option<Vec<u8>>,
    /// Entries that change.
    pub entries: Vec<EntryWrite>,
    /// Requests of the step in order.
    pub requests: Vec<RequestId>,
}

/// One thing to be made durable.
#[derive(Debug)]
pub enum Write {
    /// A pending request.
    Request {
        /// Its id.
        id: RequestId,
        /// Its encoding.
        bytes: Vec<u8>,
        /// When it arrived, Unix milliseconds.
        received_ms: u64,
    },
    /// Requests that leave the queue without a step.
    Close {
        /// The requests and why.
        requests: Vec<(RequestId, Closed)>,
    },
    /// The state before the first step.
    Genesis {
        /// All of its entries.
        entries: Vec<EntryWrite>,
    },
    /// A job, before its member votes (rule A4).
    Job {
        /// What the member votes for.
        statement: StatementId,
        /// Its step.
        seq: Seq,
        /// Its encoding.
        bytes: Vec<u8>,
    },
    /// An accepted step.
    Step(Box<StepWrite>),
    /// A report, new or again.
    Report(Box<ReportWrite>),
    /// The signature of an accepted step under the key for EVM chains.
    EvmSignature {
        /// The step.
        seq: Seq,
        /// Verified under that key.
        signature: EvmSignature,
    },
    /// A module that passed the gatekeeper.
    Module {
        /// SHA-256 of `bytes`.
        digest: ModuleDigest,
        /// The author's module.
        bytes: Vec<u8>,
    },
    /// A compiled module.
    Artifact {
        /// The module.
        module: ModuleDigest,
        /// Runtime profile that it was compiled under.
        profile: RuntimeProfile,
        /// The artifact.
        artifact: StoredArtifact,
    },
    /// Most pages that the file may have: a full disk, for tests.
    #[cfg(test)]
    PagesMax(u32),
}

/// A report to be kept.
#[derive(Debug)]
pub struct ReportWrite {
    /// The same for the same fact.
    pub id: Digest,
    /// Now, Unix milliseconds.
    pub at_ms: u64,
    /// Its encoding.
    pub body: Vec<u8>,
    /// A statement that is or may become an accepted step; its job is the report's.
    pub statement: Option<StatementId>,
    /// A statement of this member whose stored job is copied: it ends with the step otherwise.
    pub own: Option<StatementId>,
    /// The encoded job, if the report came with it.
    pub job: Option<Vec<u8>>,
}

/// A report that is kept.
#[derive(Debug)]
pub struct ReportRow {
    /// The same for the same fact.
    pub id: Digest,
    /// When it was first reported, Unix milliseconds.
    pub first_ms: u64,
    /// When it was last reported.
    pub last_ms: u64,
    /// How often.
    pub times: u64,
    /// Its encoding.
    pub body: Vec<u8>,
    /// Whether its job is at hand.
    pub has_job: bool,
}

/// A compiled module.
#[derive(Clone, Debug)]
pub struct StoredArtifact {
    /// SHA-256 of the metered module.
    pub metered: Digest,
    /// SHA-256 of `bytes`.
    pub digest: Digest,
    /// The engine's serialised code.
    pub bytes: Vec<u8>,
}

/// A stored step.
#[derive(Debug)]
pub struct StepRow {
    /// Encoded step attestation.
    pub attestation: Vec<u8>,
    /// Encoded body.
    pub body: Vec<u8>,
    /// Encoded job, if this node ever had it.
    pub job: Option<Vec<u8>>,
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestRow {
    /// Waiting.
    Pending,
    /// Left the queue.
    Closed(Closed),
    /// Part of an accepted step.
    Accepted {
        /// The step.
        seq: Seq,
        /// Its position among the step's requests, from 0.
        place: usize,
    },
}

impl Closed {
    /// As the store holds it.
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Expired => 1,
            Self::Overtaken => 2,
            Self::Impossible => 4,
            Self::Cancelled => 5,
        }
    }

    /// Reads [`Self::code`].
    pub(crate) const fn from_code(code: i64) -> Option<Self> {
        match code {
            1 => Some(Self::Expired),
            2 => Some(Self::Overtaken),
            4 => Some(Self::Impossible),
            5 => Some(Self::Cancelled),
            _ => None,
        }
    }
}
