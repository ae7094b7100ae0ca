//! Names in a member's data directory.

use link::local::Role;

/// Public cards of the member, written by `zq-node init`.
pub const CARD: &str = "card.json";
/// The committee's key record, once there is one.
pub const KEY: &str = "key.record";
/// What the operator configured.
pub const CONFIGURATION: &str = "node.toml";
/// The committee's creation record, unless the operator says otherwise.
pub const RECORD: &str = "committee.record";
/// Where a running node listens.
pub const LISTENING: &str = "listening.json";
/// Directory of the gateway's store.
pub const STORE: &str = "store";
/// Longest sealed blob that is read.
pub const SEALED_BYTES_MAX: u64 = 256 * 1024;
/// Longest key record that is read.
pub const KEY_BYTES_MAX: u64 = 256 * 1024;

/// The sealed secrets of a guest; an executor has none.
#[must_use]
pub const fn sealed(role: Role) -> Option<&'static str> {
    match role {
        Role::Signer => Some("signer.sealed"),
        Role::Coordinator => Some("coordinator.sealed"),
        Role::Executor => None,
    }
}
