//! The coordinator guest: leads steps; trusted for nothing, keeps nothing.
//!
//! A short driver loop around `coordinator_protocol::Coordinator`. Until the committee has a key
//! there is nothing to lead and the guest only waits for it. Jobs are built by the guest's own
//! node. Nothing but its sealed identity outlives it: it can be killed at any instant.

#![forbid(unsafe_code)]

mod guest;
mod lanes;

use attestation::committee::RecordError;
use link::birth::{self, BirthError};
use link::connection::Link;
use link::driver::DriverError;
use signer_protocol::dkg::KeyRecordError;
use signer_protocol::entropy::EntropyError;

/// Why a coordinator ends. The node shows the text and starts another.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// It did not get as far as its work.
    #[error(transparent)]
    Birth(#[from] BirthError),
    /// The connection, randomness or channels.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The creation record breaks a rule.
    #[error("creation record: {0}")]
    Record(#[from] RecordError),
    /// The key record is not this committee's.
    #[error("key record: {0}")]
    KeyRecord(#[from] KeyRecordError),
    /// The key record's verifying shares do not decode.
    #[error("key record: not a public key package of the suite")]
    PublicPackage,
}

impl From<EntropyError> for CoordinatorError {
    fn from(error: EntropyError) -> Self {
        Self::Driver(error.into())
    }
}

/// Runs a coordinator until its node ends the connection or something fails.
///
/// # Errors
/// [`CoordinatorError`]; the node has been told before.
pub fn run(mut link: Link) -> Result<(), CoordinatorError> {
    match guest::boot(&mut link) {
        Ok(None) => Ok(birth::wait_for_the_end(&link)?),
        Ok(Some(leader)) => guest::Guest::start(link, *leader)?.run(),
        Err(error) => {
            birth::halt(&mut link, &error);
            Err(error)
        }
    }
}
