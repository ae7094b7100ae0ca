//! What young blocks consumed, until enough blocks are built on them.
//!
//! The state of the contract says what is consumed, now and so many blocks ago. What the chain undoes
//! together with its block is not consumed any more, whoever brought it, and its step is looked at
//! again; what a transaction does in another block is as good as before. The contract takes nothing
//! twice, so that whatever is looked at again can only be brought once.

use std::collections::BTreeMap;

use super::{Done, Item, ItemKind, Relay, RelayError};
use crate::contract::MessageAcceptor;
use crate::rpc::{At, Block, RpcError};

/// Most that is remembered.
const UNCONFIRMED_MAX: usize = 1 << 14;

/// What the contract has consumed and the chain may undo.
#[derive(Debug, Default)]
pub(super) struct Unconfirmed {
    /// By step and position.
    entries: BTreeMap<(u64, u64), Entry>,
    /// The newest block when they were looked after last.
    seen: Option<Block>,
}

/// What the contract is asked about.
#[derive(Clone, Copy, Debug)]
struct Entry {
    item: Item,
    /// Hash of the leaf, of a key change.
    leaf: [u8; 32],
    /// The transaction that brought it, if it was this relay's.
    transaction: Option<[u8; 32]>,
}

impl Unconfirmed {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Relay {
    /// Forgets what is confirmed, and has what the chain undid brought again.
    pub(super) fn confirm<E>(&mut self, tell: &mut impl FnMut(Done)) -> Result<(), RelayError<E>> {
        if self.unconfirmed.entries.is_empty() {
            return Ok(());
        }
        let newest = self.newest()?;
        if self.unconfirmed.seen == Some(newest) {
            return Ok(());
        }
        let deep = self.deep()?;
        let Some(acceptor) = self.acceptor() else {
            return Ok(());
        };
        let (mut confirmed, mut undone) = (Vec::new(), Vec::new());
        let mut states = BTreeMap::new();
        for (place, entry) in &self.unconfirmed.entries {
            // Of one channel all messages are asked about together.
            let lane = entry.item.lane();
            let (now, before) = match states.get(&lane) {
                Some(state) => *state,
                None => (
                    entry.progress(&acceptor, At::Latest)?,
                    entry.progress(&acceptor, deep)?,
                ),
            };
            states.insert(lane, (now, before));
            if entry.is_within(before) {
                confirmed.push(*place);
            } else if !entry.is_within(now) {
                undone.push(*entry);
            }
        }
        for place in confirmed {
            self.unconfirmed.entries.remove(&place);
        }
        for Entry {
            item, transaction, ..
        } in undone
        {
            self.unconfirmed.entries.remove(&item.place());
            self.from = self.from.min(item.seq);
            tell(Done::Undone {
                seq: item.seq,
                lane: item.lane(),
                transaction,
            });
        }
        self.unconfirmed.seen = Some(newest);
        Ok(())
    }

    /// Remembers what a young block has consumed.
    pub(super) fn note(&mut self, item: &Item, leaf: [u8; 32], transaction: Option<[u8; 32]>) {
        let entry = Entry {
            item: *item,
            leaf,
            transaction,
        };
        let Unconfirmed { entries, seen } = &mut self.unconfirmed;
        entries.entry(item.place()).or_insert_with(|| {
            // A chain that goes back to the block that was seen undoes what is newer.
            *seen = None;
            entry
        });
    }

    /// Whether there is room to remember one more.
    pub(super) fn require_room<E>(&self) -> Result<(), RelayError<E>> {
        let count = self.unconfirmed.len();
        if count < UNCONFIRMED_MAX {
            Ok(())
        } else {
            Err(RelayError::Unconfirmed(count))
        }
    }

    /// The state that the chain does not undo any more.
    pub(super) fn deep<E>(&mut self) -> Result<At, RelayError<E>> {
        let newest = self.newest()?;
        Ok(match self.target.confirmations {
            0 => At::Latest,
            confirmations => At::Block(newest.number.saturating_sub(confirmations)),
        })
    }

    fn newest<E>(&mut self) -> Result<Block, RelayError<E>> {
        let newest = match self.newest {
            Some(newest) => newest,
            None => {
                let newest = self.rpc.block(At::Latest)?;
                newest.ok_or(RpcError::Answer("eth_getBlockByNumber"))?
            }
        };
        self.newest = Some(newest);
        Ok(newest)
    }
}

impl Entry {
    /// How far the contract was with what this is of.
    fn progress(&self, acceptor: &MessageAcceptor<'_>, at: At) -> Result<u64, RpcError> {
        match self.item.kind {
            ItemKind::Message { channel, .. } => acceptor.consumed_at(&channel, at),
            ItemKind::KeyChange => acceptor.key_change_taken(&self.leaf, at).map(u64::from),
        }
    }

    const fn is_within(&self, progress: u64) -> bool {
        match self.item.kind {
            ItemKind::Message { number, .. } => number <= progress,
            ItemKind::KeyChange => progress > 0,
        }
    }
}
