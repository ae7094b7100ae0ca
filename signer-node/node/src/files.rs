//! Names in a member's data directory.

use std::collections::BTreeMap;

use anyhow::Context as _;
use link::local::Role;

use crate::disk::Disk;
use crate::peers::Peer;

/// Public cards of the member, written by `zq-node init`.
pub const CARD: &str = "card.json";
/// The committee's key record, once there is one.
pub const KEY: &str = "key.record";
/// The record of the second key, for EVM chains, once there is one.
pub const EVM_KEY: &str = "evm-key.record";
/// Changes of members that are in force, in order.
pub const EPOCHS: &str = "epochs.record";
/// The change of members that the operator has approved.
pub const CHANGE: &str = "change.approved";
/// Changes whose ceremonies are complete and that are not in force.
pub const COMPLETE: &str = "change.complete";
/// Addresses of the nodes of members that joined, by slot.
pub const PEERS: &str = "peers.json";
/// What the operator configured.
pub const CONFIGURATION: &str = "node.toml";
/// The committee's creation record, unless the operator says otherwise.
pub const RECORD: &str = "committee.record";
/// Where a running node listens.
pub const LISTENING: &str = "listening.json";
/// Directory of the gateway's store.
pub const STORE: &str = "store";
/// Longest sealed blob that is read.
pub const SEALED_BYTES_MAX: u64 = link::local::SEALED_BYTES_MAX as u64;
/// Longest key record that is read.
pub const KEY_BYTES_MAX: u64 = 256 * 1024;

/// The nodes of members that joined, as the operator named them when approving.
///
/// # Errors
/// If the file cannot be read, or names no peers.
pub fn peers(disk: &dyn Disk) -> anyhow::Result<Vec<Peer>> {
    let Some(bytes) = disk.load(PEERS, PEERS_BYTES_MAX)? else {
        return Ok(Vec::new());
    };
    let addresses: BTreeMap<u16, String> = serde_json::from_slice(&bytes).context(PEERS)?;
    let peers = addresses.iter();
    peers
        .map(|(slot, address)| Ok(format!("{slot}={address}").parse()?))
        .collect()
}

/// Longest list of peers that is read.
pub const PEERS_BYTES_MAX: u64 = 64 * 1024;

/// The sealed secrets of a guest; an executor has none.
#[must_use]
pub const fn sealed(role: Role) -> Option<&'static str> {
    match role {
        Role::Signer => Some("signer.sealed"),
        Role::Coordinator => Some("coordinator.sealed"),
        Role::Executor => None,
    }
}
