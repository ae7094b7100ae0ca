//! What a relay did, and what it could not.

use attestation::ids::Digest;

use super::{Blocked, Lane, RelayError};
use crate::rpc::Receipt;

/// Most things that a pass names as blocked.
const BLOCKED_MAX: usize = 1000;

/// Something that a relay did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// A message was consumed.
    Message {
        /// Its step.
        seq: u64,
        /// Its channel.
        channel: Digest,
        /// Its number.
        number: u64,
        /// What became of it: `delivered` or why not.
        outcome: &'static str,
        /// The transaction.
        sent: Sent,
    },
    /// A ledger accepted a step.
    Step {
        /// The step.
        seq: u64,
        /// The transaction.
        sent: Sent,
    },
    /// A key change was taken and waits.
    KeyChange {
        /// Its step.
        seq: u64,
        /// The transaction.
        sent: Sent,
    },
    /// A key change took effect.
    KeyActivated {
        /// The transaction.
        sent: Sent,
    },
    /// The chain undid the block that had consumed something. It is brought again.
    Undone {
        /// Its step.
        seq: u64,
        /// What waits with it.
        lane: Lane,
        /// The transaction that had brought it, if it was this relay's.
        transaction: Option<[u8; 32]>,
    },
    /// A transaction of an earlier pass is in a block.
    Late {
        /// The transaction.
        sent: Sent,
    },
}

impl Done {
    /// The transaction that did it.
    #[must_use]
    pub const fn sent(&self) -> Option<&Sent> {
        match self {
            Self::Message { sent, .. }
            | Self::Step { sent, .. }
            | Self::KeyChange { sent, .. }
            | Self::KeyActivated { sent }
            | Self::Late { sent } => Some(sent),
            Self::Undone { .. } => None,
        }
    }
}

/// A transaction that is in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its hash.
    pub hash: [u8; 32],
    /// What became of it.
    pub receipt: Receipt,
}

/// Where a pass over all steps ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass<E> {
    /// The newest attested step.
    pub head: u64,
    /// What the contracts had already.
    pub skipped: u64,
    /// Messages of zApps that are not brought.
    pub left_out: u64,
    /// The first step that is not signed for EVM chains yet and that something waits for.
    pub unsigned: Option<u64>,
    /// What young blocks consumed: it is looked after until enough blocks are built on them.
    pub unconfirmed: usize,
    /// What could not be brought. All else was, and it is tried again in later passes.
    pub blocked: Vec<Blocked<E>>,
    /// Whether more is at hand than one pass reads.
    pub unfinished: bool,
}

impl<E> Default for Pass<E> {
    fn default() -> Self {
        Self {
            head: 0,
            skipped: 0,
            left_out: 0,
            unsigned: None,
            unconfirmed: 0,
            blocked: Vec::new(),
            unfinished: false,
        }
    }
}

impl<E> Pass<E> {
    pub(super) fn block(&mut self, lane: Lane, seq: u64, error: RelayError<E>) {
        if self.blocked.len() < BLOCKED_MAX {
            self.blocked.push(Blocked { lane, seq, error });
        }
    }
}
