//! Between a signer and its executor.

use alloc::vec::Vec;

use attestation::ids::{Digest, ModuleDigest, RequestId, RuntimeProfile};
use serde::{Deserialize, Serialize};
use state::job::Job;
use state::step::Report;

/// What a signer asks of its executor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "moved a few times, then encoded; never kept"
)]
pub enum ToExecutor {
    /// Run the job's requests.
    Run {
        /// [`Job::digest`], echoed in the answer.
        job_digest: Digest,
        /// The job.
        job: Job,
    },
    /// Stop work on a job that no longer matters.
    Cancel {
        /// [`Job::digest`].
        job_digest: Digest,
    },
}

/// What an executor answers. The signer believes none of it without checking what it can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromExecutor {
    /// Ready for work; names the runtime profile that it runs.
    Ready {
        /// Digest of engine, gas schedule, host ABI and limits.
        profile: RuntimeProfile,
    },
    /// The outcomes of the job's zApp requests.
    Ran {
        /// [`Job::digest`].
        job_digest: Digest,
        /// One report per request of the job that is not the system zApp's, in order.
        reports: Vec<Report>,
    },
    /// The executor could not finish: a request hung or brought the engine down (rule A11), or
    /// the witness has a hole.
    Failed {
        /// [`Job::digest`].
        job_digest: Digest,
        /// What happened.
        failure: ExecutorFailure,
    },
}

/// Why an executor has no outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecutorFailure {
    /// This request hung or brought the engine down.
    Request(RequestId),
    /// The witness lacks an entry that the run needs.
    Witness,
    /// A module or artifact is not at hand yet.
    Module(ModuleDigest),
}
