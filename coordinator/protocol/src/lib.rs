//! The coordinator's state machine: it leads views, proposes jobs, counts votes, and turns t
//! equal votes into one group signature.
//!
//! A coordinator is trusted for nothing and keeps nothing. What it may not do is the signers' to
//! refuse; what it should do is here: with t members up and this coordinator leading, every
//! request that can be run is attested, and whoever lied or was silent is named. [`lane`] leads what
//! is signed beside the steps.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod coordinator;
pub mod lane;
pub mod lanes;
mod parking;
