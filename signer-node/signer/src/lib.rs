//! The signer guest: holds the member's key share, runs no WebAssembly.
//!
//! A short driver loop around the machines of `signer_protocol`: what arrives goes into them, what
//! they want done is done, and nothing is decided here. All that outlives the process is with the
//! node: sealed secrets, register, jobs.
//!
//! Invariant: the key that opens the secrets comes over the link and exists nowhere else; no secret
//! leaves except sealed.

#![forbid(unsafe_code)]

mod boot;
mod ceremonies;
mod change;
mod guest;
mod repair;

use attestation::committee::RecordError;
use attestation::ids::Epoch;
use link::birth::{self, BirthError};
use link::connection::Link;
use link::driver::DriverError;
use signer_protocol::dkg::{DkgError, KeyRecordError, ShareError};
use signer_protocol::entropy::EntropyError;
use signer_protocol::register::Refused;
use signer_protocol::sealed::{NoRoom, Secrets};
use signer_protocol::signer::{Halt, Output};
use state::job::Domain;

/// Why a signer ends. The node shows the text and starts another.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// It did not get as far as a member.
    #[error(transparent)]
    Birth(#[from] BirthError),
    /// The connection, randomness or channels.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The register does not replay, or refused the start.
    #[error("register: {0}")]
    Register(#[from] Refused),
    /// The plan's epoch has the number of another plan's, of which this member holds a share.
    #[error("epoch {0} was used by an earlier plan: plan the change with another number")]
    EpochUsed(Epoch),
    /// The sealed secrets have no room for another plan's share.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The share does not decode.
    #[error("key share: {0}")]
    Share(#[from] ShareError),
    /// The key record is not this committee's.
    #[error("key record: {0}")]
    KeyRecord(#[from] KeyRecordError),
    /// The creation record breaks a rule or is not this member's.
    #[error("creation record: {0}")]
    Record(#[from] RecordError),
    /// Key generation cannot begin.
    #[error("key generation: {0}")]
    Dkg(#[from] DkgError),
    /// The machine has stopped and takes no more part in this start.
    #[error(transparent)]
    Halted(#[from] Halt),
}

impl From<EntropyError> for SignerError {
    fn from(error: EntropyError) -> Self {
        Self::Driver(error.into())
    }
}

/// What becomes of each thing that the machines want done: all that steps ask for, and what ceremonies
/// say to others.
pub type Conduct = fn(&Secrets, &Domain, Output) -> Option<Output>;

/// All of it is done as it is. Tests put a signer that lies or keeps silent in its place.
#[must_use]
pub const fn honest(_: &Secrets, _: &Domain, output: Output) -> Option<Output> {
    Some(output)
}

/// Runs a signer until its node ends the connection or something fails.
///
/// # Errors
/// [`SignerError`]; the node has been told before.
pub fn run(mut link: Link, conduct: Conduct) -> Result<(), SignerError> {
    match boot::boot(&mut link) {
        Ok(None) => Ok(birth::wait_for_the_end(&link)?),
        Ok(Some(member)) => guest::Guest::start(link, *member, conduct)?.run(),
        Err(error) => {
            birth::halt(&mut link, &error);
            Err(error)
        }
    }
}
