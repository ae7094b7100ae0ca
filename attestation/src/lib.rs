//! Formats of the quorum attestation: ids, digests, codec, commit, leaves, Merkle tree, COSE
//! receipt, committee arithmetic and verification.
//!
//! A consumer starts at [`verify`]; what it verifies is described in [`receipt`], [`commit`] and
//! [`leaf`]; members exchange [`step_attestation`]s. `vectors/` holds every format as golden
//! vectors.
//!
//! This crate holds no protocol and no state. Its invariant: every byte string that is hashed or
//! signed anywhere in the system is laid out here or begins with a tag from [`tags`], and every
//! decoder accepts exactly one encoding of a value.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod address;
pub mod codec;
pub mod commit;
pub mod committee;
pub mod conditions;
pub mod group;
pub mod identity;
pub mod ids;
pub mod leaf;
pub mod merkle;
pub mod receipt;
pub mod request;
pub mod source;
pub mod step_attestation;
pub mod tags;
pub mod terms;
pub mod verify;
