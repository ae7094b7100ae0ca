//! The signer's state machines: messages, Noise channels, key generation, steps, nonces, register.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod channel;
pub mod dkg;
pub mod entropy;
pub mod frame;
pub mod identity;
pub mod message;
pub mod sealed;
