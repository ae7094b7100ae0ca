//! The gateway role: a library of the node that takes requests, builds jobs, keeps the ledger of
//! attested steps with the full state, and answers HTTP.
//!
//! It is trusted for nothing beyond its own operator: a gateway that lies in a job only makes the
//! job invalid, and whatever it serves is proven by attestations and state proofs. Its invariant:
//! nothing is acknowledged before it is durable ([`Gateway::submit`], [`Gateway::store_job`],
//! [`Gateway::attested`]), and the state in memory is always the one whose root the head attests.
//!
//! Data flows one way: bytes → checked request → [`queue`] → job → attestation → ledger →
//! events.

#![forbid(unsafe_code)]

mod accept;
mod build;
mod chain;
mod cosign;
mod epochs;
#[cfg(test)]
mod fixture;
mod gateway;
mod http;
mod ledger;
mod metrics;
mod modules;
mod observations;
pub mod queue;
mod quote;
mod reports;
mod rows;
mod runs;
mod serve;
mod socket;
mod status;
mod store;
mod submit;
mod told;
mod view;
mod watch;
mod workers;

pub use accept::{AcceptError, Applied, BUNDLE_BYTES_MAX};
pub use build::BuildError;
pub use chain::{AccountView, FIRST_MAX};
pub use cosign::Cosigned;
pub use epochs::{ChangeStage, ChangeView, EpochView};
pub use gateway::{Event, Gateway, OpenError, Options};
pub use ledger::{Output, StepBody, StepRecord};
pub use modules::{Artifact, ArtifactError, Compile, CompileError, Compiling, ModuleError};
pub use observations::Gathering;
pub use quote::{Quote, QuoteCall};
pub use reports::{KeptReport, Report};
pub use rows::{Closed, StoreError};
pub use socket::Socket;
pub use status::{
    CeremonyStatus, MachineStatus, MemberSays, MemberStatus, NodeStatus, PartStatus, StatusSource,
    WaitedFor,
};
pub use submit::{RequestState, SubmitError};
pub use view::{View, ViewError};
pub use workers::WorkersError;
