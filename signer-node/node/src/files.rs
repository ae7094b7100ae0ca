//! Names in a member's data directory.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use attestation::ids::Slot;
use link::local::Role;
use sha2::{Digest as _, Sha256};
use signer_protocol::identity::Ed25519Identity;
use zeroize::Zeroizing;

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
/// All changes that the operator has approved so far, also those that were given up.
pub const PLANS: &str = "plans.approved";
/// The repair of a share that the operator has approved and the signer was not told of; else empty.
pub const REPAIR: &str = "repair.approved";
/// The repair that the signer was told of last and whose end is not known; else empty.
pub const REPAIR_TRIED: &str = "repair.tried";
/// Changes whose ceremonies are complete and that are not in force.
pub const COMPLETE: &str = "change.complete";
/// Addresses of the other members' nodes that came with joining or with a change, by slot; what is
/// configured wins.
pub const PEERS: &str = "peers.json";
/// What the operator configured.
pub const CONFIGURATION: &str = "node.toml";
/// The committee's creation record, unless the operator says otherwise.
pub const RECORD: &str = "committee.record";
/// Where a running node listens.
pub const LISTENING: &str = "listening.json";
/// Seed of the keys that sign the chain adapter's requests. They say what the chain shows, and buy
/// nothing but these requests.
pub const KEEPER: &str = "keeper.seed";
/// Up to which momentum all deposits are in steps: decimal digits. Behind it the chain adapter looks for
/// none.
pub const SETTLED: &str = "nom.settled";
/// Directory of the gateway's store.
pub const STORE: &str = "store";
/// Longest sealed blob that is read.
pub const SEALED_BYTES_MAX: u64 = link::local::SEALED_BYTES_MAX as u64;
/// Longest key record that is read.
pub const KEY_BYTES_MAX: u64 = 256 * 1024;

/// The other members' nodes, as the operator named them when joining or approving.
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

/// Adds to what the operator says of peers those that nothing is said of.
///
/// # Errors
/// Those of [`peers`].
pub fn add_peers(disk: &dyn Disk, said: &mut Vec<Peer>) -> anyhow::Result<()> {
    let slots: BTreeSet<Slot> = said.iter().map(|peer| peer.slot).collect();
    let others = peers(disk)?.into_iter();
    said.extend(others.filter(|peer| !slots.contains(&peer.slot)));
    Ok(())
}

/// Longest list of peers that is read.
pub const PEERS_BYTES_MAX: u64 = 64 * 1024;

/// The seed of the chain adapter's keys, made at its first use.
///
/// # Errors
/// If it cannot be read or written, or the system has no randomness.
pub fn keeper_seed(disk: &dyn Disk) -> anyhow::Result<Zeroizing<[u8; 32]>> {
    if let Some(bytes) = disk.load(KEEPER, 32)? {
        let bytes = Zeroizing::new(bytes);
        let seed = bytes.as_slice().try_into().context("not 32 bytes")?;
        return Ok(Zeroizing::new(seed));
    }
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::getrandom(&mut *seed).context("no randomness from the system")?;
    disk.replace(KEEPER, &*seed)?;
    Ok(seed)
}

/// What [`SETTLED`] says, if it is there.
///
/// # Errors
/// If it cannot be read, or is no number.
pub fn settled(disk: &dyn Disk) -> anyhow::Result<Option<u64>> {
    let Some(bytes) = disk.load(SETTLED, 32)? else {
        return Ok(None);
    };
    let digits = std::str::from_utf8(&bytes)?;
    Ok(Some(digits.trim().parse()?))
}

/// Writes [`SETTLED`].
///
/// # Errors
/// The disk's.
pub fn settle(disk: &dyn Disk, height: u64) -> std::io::Result<()> {
    disk.replace(SETTLED, format!("{height}\n").as_bytes())
}

/// The keys of a seed: for deposits, and for all else. Each signs its requests in order, and those of
/// the first come before all others in a job.
#[must_use]
pub fn keeper_keys(seed: &[u8; 32]) -> [Ed25519Identity; 2] {
    [b"deposits".as_slice(), b"others".as_slice()].map(|use_| {
        let hash = Sha256::new()
            .chain_update(seed)
            .chain_update(use_)
            .finalize();
        let bytes = Zeroizing::new(<[u8; 32]>::from(hash));
        Ed25519Identity::from_seed(&bytes)
    })
}

/// The sealed secrets of a guest; an executor has none.
#[must_use]
pub const fn sealed(role: Role) -> Option<&'static str> {
    match role {
        Role::Signer => Some("signer.sealed"),
        Role::Coordinator => Some("coordinator.sealed"),
        Role::Executor => None,
    }
}
