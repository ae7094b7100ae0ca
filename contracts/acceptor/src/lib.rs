//! The rulebook: when a consumer accepts an attestation.
//!
//! Three consumers, one list of refusals. A [`ledger::Ledger`] follows a committee's whole chain
//! (rule E1: the embedded ledger, NoM anchors). An [`outputs::Outputs`] takes single outputs under
//! a trusted key, in any order, each once, and a [`messages::Messages`] outbound messages, each
//! once and in its channel's order (rule E2). Ports to other languages implement these state
//! machines and run the scenarios in `scenarios/*.json`, which this crate's tests write and check.
//! A [`trust::Trust`] is the key of an acceptor that outlives its first key (rule B5).
//!
//! Who verifies signatures is the caller's to say, [`VerifyGroup`](attestation::group::VerifyGroup): this crate by itself under a
//! [`TrustedKey`], a contract by its chain. Every other check is made here, wherever it runs.
//!
//! A ledger makes these checks, in this order; the first that fails is the refusal:
//!
//! | refusal | accepted only if |
//! |---|---|
//! | `wrong-network` | the commit's network is the registered one |
//! | `wrong-committee` | the commit's committee is the registered one |
//! | `tree-size` | the commit counts 2 to 65,536 leaves |
//! | `known` | the step is not the head already |
//! | `old` | seq > head's seq |
//! | `gap` | seq = head's seq + 1 |
//! | `old-epoch` | the commit's epoch ≥ the head's: which epoch follows is in the state, under the same key |
//! | `unknown-profile` | the commit's runtime profile is the registered one |
//! | `previous-statement` | `previous` = SHA-256(head's commit ‖ root), or the committee id at seq 1 |
//! | `previous-state` | previous state root = the head's state root, or the genesis root at seq 1 |
//! | `signature` | the group key's strict Ed25519 signature covers commit and root |
//! | `fork` | never: another step at the head's seq is signed by the group key. Stop and look |
//!
//! Two statements signed for one seq mean that 2t − n members or more signed both: no rule can
//! choose between them, so a ledger keeps the first and reports `fork`.
//!
//! An output acceptor makes these checks:
//!
//! | refusal | accepted only if |
//! |---|---|
//! | `receipt` … `signature` | every check of [`attestation::verify`], under that check's name |
//! | `wrong-network` | the commit's network is the registered one |
//! | `after-last-seq` | no change of the key is pending, or seq ≤ the key's last |
//! | `not-an-output` | the leaf is an output (settlements move no message) |
//! | `consumed` | (committee, seq, position) was not consumed before |
//!
//! An acceptor of messages makes the first three checks, and these:
//!
//! | refusal | accepted only if |
//! |---|---|
//! | `not-a-message` | the leaf is a message |
//! | `wrong-chain` | it is for the acceptor's chain |
//! | `wrong-contract` | it is for this acceptor |
//! | `out-of-order` | its number follows the last one consumed of its channel |
//!
//! An acceptor whose key may change makes these, beside the first two of an output's:
//!
//! | refusal | accepted only if |
//! |---|---|
//! | `paused` | no pause of the guardian's is on |
//! | `not-a-key-change` | the leaf is a key change |
//! | `key-change-pending` | no other is pending |
//! | `not-this-key` | it is of suite Ed25519, and the old key is the trusted one |
//! | `last-seq` | the old key signs at least the step that ends it |
//! | `group-key` | the new key passes the checks of a registration |
//! | `key-change-taken` | it was not taken before, and cancelled |
//! | `no-key-change-pending`, `too-early` | it takes effect after the delay, once |
//! | `not-guardian` | whoever pauses, resumes or cancels is the guardian |
//!
//! What is not here: the change of profile.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod ledger;
pub mod messages;
pub mod outputs;
pub mod proof;
pub mod trust;

use attestation::group::{GroupKeyError, TrustedKey};
use attestation::ids::{CommitteeId, Epoch, GroupKey, NetworkId, RuntimeProfile, StateRoot};

/// What a consumer registers about a committee. The group key is checked then, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms<K = TrustedKey> {
    /// The committee's network.
    pub network: NetworkId,
    /// The committee.
    pub committee: CommitteeId,
    /// Epoch of the first step that is followed.
    pub epoch: Epoch,
    /// Runtime profile in force.
    pub profile: RuntimeProfile,
    /// The checked group key.
    pub key: K,
    /// State root before the first step.
    pub genesis_state: StateRoot,
}

impl Terms {
    /// Registers a committee.
    ///
    /// # Errors
    /// [`GroupKeyError`] if the key must not be trusted.
    pub fn register(
        network: NetworkId,
        committee: CommitteeId,
        epoch: Epoch,
        profile: RuntimeProfile,
        key: GroupKey,
        genesis_state: StateRoot,
    ) -> Result<Self, GroupKeyError> {
        Ok(Self {
            network,
            committee,
            epoch,
            profile,
            key: TrustedKey::new(key)?,
            genesis_state,
        })
    }
}
