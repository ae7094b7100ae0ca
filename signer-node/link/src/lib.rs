//! The guests' driver: one TCP connection from a guest to its own node.
//!
//! A guest (signer, executor, coordinator) knows nothing but its node's address. It dials, says
//! [`local::ToNode::Hello`], is told everything else in a [`local::Boot`], and from then on three
//! things travel over the connection: frames that the node relays for other guests, control
//! messages between guest and node ([`local`]), and nothing more. Everything is blocking `std`:
//! one reader thread feeds a bounded queue, the guest's loop waits on that queue with a deadline,
//! and no socket ever has a read timeout, because guests also run where those do not exist.
//!
//! Invariant: the connection decides nothing. A frame that breaks a bound or does not decode ends
//! it, the guest process ends with it, and the node starts another.

#![forbid(unsafe_code)]

pub mod birth;
pub mod chunk;
pub mod clock;
pub mod connection;
pub mod driver;
pub mod local;
pub mod platform;
pub mod secret;
pub mod start;
