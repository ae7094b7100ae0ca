//! Where a relay has attestations from.

use attestation::commit::Commit;
use attestation::ids::{Digest, EvmSignature, LeafRoot, ZappId};

use crate::calldata::Inclusion;
use crate::transaction::Address;

/// A leaf of a step that concerns contracts, with all that proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The step's commit.
    pub commit: Commit,
    /// Root over its leaves.
    pub root: LeafRoot,
    /// The group's signature over both.
    pub signature: EvmSignature,
    /// The leaf, and where it stands.
    pub inclusion: Inclusion,
}

/// Where a leaf stands, and what it is: a gateway's word, for finding it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its step.
    pub seq: u64,
    /// Its position.
    pub index: u64,
    /// What it is.
    pub kind: ItemKind,
}

/// What a leaf is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A message for a contract.
    Message {
        /// The zApp that sends it.
        zapp: ZappId,
        /// Its channel.
        channel: Digest,
        /// Its number in it.
        number: u64,
    },
    /// A change of the key that contracts trust.
    KeyChange,
}

/// Some steps' leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The newest attested step.
    pub head: u64,
    /// The step after the last one that was looked at.
    pub next: u64,
    /// Messages for the contract, and key changes, in order.
    pub items: Vec<Item>,
}

/// Where attestations come from.
pub trait Source {
    /// Why it gives none.
    type Error;

    /// The leaves from a step on that are for a contract of a chain.
    ///
    /// # Errors
    /// Its own.
    fn leaves(&mut self, from: u64, chain: u64, contract: &Address) -> Result<Page, Self::Error>;

    /// The proof of a leaf; `None` as long as the step is not signed for EVM chains.
    ///
    /// # Errors
    /// Its own.
    fn proof(&mut self, seq: u64, index: u64) -> Result<Option<Proof>, Self::Error>;
}
