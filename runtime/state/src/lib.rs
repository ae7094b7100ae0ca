//! The committee's state: authenticated tree, witness, system zApp, and the step that turns a job
//! into a commit.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod job;
pub mod step;
pub mod witness;
