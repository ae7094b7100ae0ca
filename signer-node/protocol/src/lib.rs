//! The signer's state machines: messages, Noise channels, key generation, steps, nonces, register.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod blame;
pub mod certificate;
pub mod channel;
pub mod committee;
pub mod dkg;
pub mod entropy;
pub mod evidence;
pub mod exposure;
pub mod frame;
pub mod identity;
pub mod lane;
pub mod message;
pub mod nonce;
pub mod register;
pub mod repair;
pub mod report;
pub mod reshare;
pub mod sealed;
pub mod signer;
pub mod statement;

pub use light_client::{lineage, membership, suite};
pub use state::planted;
