//! What the signer's image is measured against: a minimal Linux guest, and a process in namespaces
//! of its own, as a container is one. No committee is meant to run either.

pub mod interface;
#[cfg(feature = "machine")]
pub mod machine;
