//! The signer's state machines: messages, Noise channels, key generation, steps, nonces, register.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod frame;
pub mod identity;
pub mod message;
