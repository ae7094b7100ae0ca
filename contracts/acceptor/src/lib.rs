//! The rulebook: when a consumer accepts an attestation.
//!
//! Two consumers, one list of refusals. A [`ledger::Ledger`] follows a committee's whole chain
//! (rule E1: the embedded ledger, NoM anchors). An [`outputs::Outputs`] takes single outputs under
//! a trusted key, in any order, each once (rule E2). Ports to other languages implement these two
//! state machines and run the scenarios in `scenarios/*.json`, which this crate's tests write
//! and check.
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
//! | `not-an-output` | the leaf is an output (settlements move no message) |
//! | `consumed` | (committee, seq, position) was not consumed before |
//!
//! What is not here: numbered channels of outbound messages, and the change of profile or key.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod ledger;
pub mod outputs;

use attestation::group::{GroupKeyError, TrustedKey};
use attestation::ids::{CommitteeId, Epoch, GroupKey, NetworkId, RuntimeProfile, StateRoot};

/// What a consumer registers about a committee. The group key is checked then, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The committee's network.
    pub network: NetworkId,
    /// The committee.
    pub committee: CommitteeId,
    /// Epoch of the first step that is followed.
    pub epoch: Epoch,
    /// Runtime profile in force.
    pub profile: RuntimeProfile,
    /// The checked group key.
    pub key: TrustedKey,
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
