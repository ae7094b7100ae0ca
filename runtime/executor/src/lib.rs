//! The executor guest: runs WebAssembly, holds no key.
//!
//! Its only secret is a channel key that lives as long as the process. It takes jobs from the
//! signer beside it and modules from its own node, runs the job on its witness, and reports. The
//! signer believes none of it without checking what it can.
//!
//! Runs happen on a worker thread; the loop watches the wall clock. A request that takes longer
//! than [`REQUEST_MS_MAX`] is reported as one that hung (rule A11), and since a thread that hangs
//! cannot be ended, the process ends and the node starts another.

#![forbid(unsafe_code)]

mod guest;
mod worker;

use attestation::committee::RecordError;
use attestation::ids::RequestId;
use link::birth::{self, BirthError};
use link::connection::Link;
use link::driver::DriverError;
use runtime::Executor;
use runtime::engine::EngineError;
use signer_protocol::entropy::EntropyError;
use state::execute::Execute;

pub use worker::Node;

/// How long one request may run on this machine's clock, in milliseconds: far beyond what the gas
/// limit of a step allows on the slowest engine that may run, and within the signer's patience.
pub const REQUEST_MS_MAX: u64 = 3_000;

/// Why an executor ends. The node shows the text and starts another.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// It did not get as far as its work.
    #[error(transparent)]
    Birth(#[from] BirthError),
    /// The connection, randomness or channels.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The creation record breaks a rule.
    #[error("creation record: {0}")]
    Record(#[from] RecordError),
    /// The engine does not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The worker thread does not start.
    #[error("worker thread: {0}")]
    Thread(std::io::Error),
    /// A request hung; it has been reported.
    #[error("request {0} ran longer than 3 s; reported, starting anew")]
    Hung(RequestId),
    /// The worker thread ended.
    #[error("the engine brought its thread down; starting anew")]
    Worker,
}

impl From<EntropyError> for ExecutorError {
    fn from(error: EntropyError) -> Self {
        Self::Driver(error.into())
    }
}

/// The engine as it is. Tests put an engine that errs or hangs in its place.
#[must_use]
pub fn honest(engine: Executor<Node>) -> Box<dyn Execute> {
    Box::new(engine)
}

/// Runs an executor until its node ends the connection or something fails.
///
/// # Errors
/// [`ExecutorError`]; the node has been told before.
pub fn run(
    mut link: Link,
    wrap: fn(Executor<Node>) -> Box<dyn Execute>,
) -> Result<(), ExecutorError> {
    match guest::boot(&mut link) {
        Ok(None) => Ok(birth::wait_for_the_end(&link)?),
        Ok(Some(boot)) => guest::Guest::start(link, *boot, wrap)?.run(),
        Err(error) => {
            birth::halt(&mut link, &error);
            Err(error)
        }
    }
}
