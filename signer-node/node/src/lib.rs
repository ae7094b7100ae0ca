//! The operator's Linux process: boots the guests, keeps their records and the full state, relays
//! between members, serves HTTP.
//!
//! It is trusted by its own member only, and by that one for availability and for keeping what it
//! was given: it holds no key share in the clear and can sign nothing. Its invariant: everything
//! needed after a restart is durable before it is acknowledged, so that SIGKILL of any process at
//! any moment loses no accepted request and no attestation.
//!
//! Data flows: guests ([`session`]) and peers ([`peers`]) → frames to [`relay`], control messages
//! to [`control`] and [`gossip`] → [`register`], [`disk`], the gateway.

#![forbid(unsafe_code)]

pub mod approve;
mod approved;
pub mod arguments;
pub mod board;
pub mod ceremonies;
pub mod chain;
pub mod change;
pub mod compile;
pub mod configuration;
pub mod confine;
mod consent;
pub mod console;
pub mod control;
pub mod cosign;
pub mod counts;
pub mod disk;
pub mod doctor;
pub mod download;
pub mod engine;
pub mod files;
pub mod gossip;
pub mod guests;
pub mod images;
pub mod init;
pub mod join;
pub mod moving;
pub mod node;
pub mod observe;
pub mod passed_over;
pub mod passphrase;
pub mod peer_message;
pub mod peers;
pub mod register;
pub mod register_thread;
pub mod relay;
pub mod repair;
pub mod run;
pub mod sentinel;
pub mod session;
pub mod supervisor;
pub mod wire;
