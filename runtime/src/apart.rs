//! Running zApps in another process: the node decides and keeps, the engine process computes.
//!
//! A zApp that breaks out of the engine owns the address space that it runs in, so that space must
//! hold nothing worth having. [`serve`] is the loop of a process that has an engine and nothing
//! else; [`Remote`] is the node's end, which answers its questions and believes it nothing that
//! matters: what a run may read is one state without secrets, what it may write is checked by the
//! journal as ever, and a process that breaks a rule of the conversation is replaced.
//!
//! ```text
//! node ── Run ──▶ engine     engine ── Artifact? Get? Next? Set? ──▶ node ── answer ──▶ …
//!                            engine ── Ran or Failed ──▶ node
//! ```
//! One question at a time, each answered before the next. Frames are a length and canonical CBOR,
//! with a bound for each direction.

mod message;
mod pipe;
mod remote;
mod serve;
#[cfg(test)]
#[cfg(feature = "compiler")]
mod tests;

pub use pipe::PipeError;
pub use remote::{CALL_MS_MAX, Remote, Start, Wire};
pub use serve::{ServeError, Server};
