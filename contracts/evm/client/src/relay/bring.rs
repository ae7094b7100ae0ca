//! Leaves, one after the other: what the contract has not got is brought, what cannot be waits.

use attestation::ids::{Digest, ZappId};
use attestation::leaf::{KeyChangeLeaf, Leaf};
use attestation::merkle;

use super::pay::Call;
use super::proof::attested;
use super::{Done, Item, ItemKind, OWN_GAS_MAX, Pass, Relay, RelayError, Source};
use crate::calldata::calldata;
use crate::contract::MessageAcceptor;
use crate::rpc::At;

/// Most pages of a source that are read in one pass.
const PAGES_MAX: usize = 1000;
/// Most channels of which a pass remembers how many messages are consumed.
const CHANNELS_MAX: usize = 1 << 16;
/// Questions that the node may be slow with before those that were asked before wait for the next
/// pass: others are not held up by what takes long again and again.
const SLOW_MAX: usize = 2;

impl Relay {
    pub(super) fn bring_leaves<S: Source>(
        &mut self,
        source: &mut S,
        pass: &mut Pass<S::Error>,
        tell: &mut impl FnMut(Done),
    ) -> Result<(), RelayError<S::Error>> {
        let Some(acceptor) = self.acceptor() else {
            return Ok(());
        };
        let address = acceptor.address;
        self.try_again(source, pass, tell)?;
        for _ in 0..PAGES_MAX {
            let page = self.leaves_from(source, self.from, &address)?;
            pass.head = page.head;
            for item in &page.items {
                if self.waiting.holds(item) {
                    continue;
                }
                if let Err(error) = self.require_room() {
                    self.from = item.seq;
                    return Err(error);
                }
                match self.bring(source, item, pass, tell)? {
                    Brought::Now | Brought::Not | Brought::Slow => {}
                    Brought::Before => pass.skipped += 1,
                    Brought::Unsigned => {
                        self.from = item.seq;
                        pass.unsigned.get_or_insert(item.seq);
                        return Ok(());
                    }
                }
            }
            let next = page.next.max(self.from);
            let is_last = next == self.from || next > page.head;
            self.from = next;
            if is_last {
                return Ok(());
            }
        }
        pass.unfinished = true;
        Ok(())
    }

    /// Tries what could not be brought before; what is through has its channel's next messages
    /// looked for again.
    fn try_again<S: Source>(
        &mut self,
        source: &mut S,
        pass: &mut Pass<S::Error>,
        tell: &mut impl FnMut(Done),
    ) -> Result<(), RelayError<S::Error>> {
        let mut slow = 0;
        for turn in self.waiting.turn() {
            self.require_room()?;
            if turn.given_up && !self.is_consumed(&turn.item)? {
                continue;
            }
            match self.bring(source, &turn.item, pass, tell)? {
                Brought::Now | Brought::Before => {
                    self.waiting.free(&turn.lane);
                    self.from = self.from.min(turn.item.seq);
                }
                Brought::Slow => {
                    slow += 1;
                    if slow >= SLOW_MAX {
                        self.waiting.stop_after(turn.lane);
                        break;
                    }
                }
                Brought::Not | Brought::Unsigned => {}
            }
        }
        Ok(())
    }

    fn is_consumed<E>(&self, item: &Item) -> Result<bool, RelayError<E>> {
        match (self.acceptor(), item.kind) {
            (
                Some(acceptor),
                ItemKind::Message {
                    channel, number, ..
                },
            ) => Ok(number <= acceptor.consumed(&channel)?),
            _ => Ok(false),
        }
    }

    /// Brings a leaf, or notes that it waits.
    fn bring<S: Source>(
        &mut self,
        source: &mut S,
        item: &Item,
        pass: &mut Pass<S::Error>,
        tell: &mut impl FnMut(Done),
    ) -> Result<Brought, RelayError<S::Error>> {
        let brought = match item.kind {
            ItemKind::Message { zapp, .. } if !self.pays_for(&zapp) => {
                pass.left_out += 1;
                return Ok(Brought::Not);
            }
            ItemKind::Message { .. } => self.bring_message(source, item, tell),
            ItemKind::KeyChange => self.bring_key_change(source, item, tell),
        };
        match brought {
            Err(error) if error.is_of_one_leaf() => {
                let has_failed = matches!(error, RelayError::Failed(_));
                let is_slow = error.is_slow();
                self.waiting.hold(*item, has_failed);
                pass.block(item.lane(), item.seq, error);
                Ok(if is_slow { Brought::Slow } else { Brought::Not })
            }
            other => other,
        }
    }

    fn pays_for(&self, zapp: &ZappId) -> bool {
        self.target.zapps.is_empty() || self.target.zapps.contains(zapp)
    }

    /// Remembers a message that was consumed, unless the chain does not undo that any more.
    fn note_unless_confirmed<E>(
        &mut self,
        item: &Item,
        channel: Digest,
        number: u64,
    ) -> Result<(), RelayError<E>> {
        let confirmed = match self.confirmed.get(&channel) {
            Some(confirmed) => *confirmed,
            None => {
                let deep = self.deep()?;
                let acceptor = self.acceptor();
                let confirmed = acceptor.map(|acceptor| acceptor.consumed_at(&channel, deep));
                confirmed.transpose()?.unwrap_or_default()
            }
        };
        if self.confirmed.len() >= CHANNELS_MAX {
            self.confirmed.clear();
        }
        self.confirmed.insert(channel, confirmed);
        if number > confirmed {
            self.note(item, NO_KEY_CHANGE, None);
        }
        Ok(())
    }

    /// Remembers for this pass how many messages of a channel are consumed.
    fn note_consumed(&mut self, channel: Digest, consumed: u64) {
        if self.consumed.len() >= CHANNELS_MAX {
            self.consumed.clear();
        }
        self.consumed.insert(channel, consumed);
    }

    fn bring_message<S: Source>(
        &mut self,
        source: &mut S,
        item: &Item,
        tell: &mut impl FnMut(Done),
    ) -> Result<Brought, RelayError<S::Error>> {
        let (Some(acceptor), Some((zapp, channel, number))) = (self.acceptor(), item.message())
        else {
            return Ok(Brought::Before);
        };
        // Numbers begin with 1.
        if number == 0 {
            return Ok(Brought::Before);
        }
        let address = acceptor.address;
        let consumed = match self.consumed.get(&channel) {
            Some(consumed) => *consumed,
            None => acceptor.consumed(&channel)?,
        };
        let key = acceptor.trust()?.key;
        // A channel that the contract has never heard of is the gateway's word alone.
        if consumed > 0 {
            self.note_consumed(channel, consumed);
        }
        if number <= consumed {
            self.note_unless_confirmed(item, channel, number)?;
            return Ok(Brought::Before);
        }
        if number - consumed != 1 {
            return Err(RelayError::Missing {
                channel,
                number,
                consumed,
            });
        }
        let Some(proof) = self.proof(source, item.seq, item.index, &key)? else {
            return Ok(Brought::Unsigned);
        };
        let is_meant = matches!(
            Leaf::from_bytes(&proof.inclusion.leaf),
            Ok(Leaf::Message(leaf))
                if (leaf.zapp, leaf.channel, leaf.number) == (zapp, channel, number)
        );
        if !is_meant {
            return Err(item.unproven("another leaf than it says"));
        }
        let call = Call {
            to: address,
            data: calldata("deliver", &attested(&proof)?, &proof.inclusion),
            gas_max: self.target.gas_max,
        };
        let sent = self.send(item.seq, call)?;
        self.note_consumed(channel, number);
        self.note(item, NO_KEY_CHANGE, Some(sent.hash));
        let acceptor = MessageAcceptor {
            rpc: &self.rpc,
            address,
        };
        tell(Done::Message {
            seq: item.seq,
            channel,
            number,
            outcome: acceptor.outcome(&channel, number)?,
            sent,
        });
        Ok(Brought::Now)
    }

    fn bring_key_change<S: Source>(
        &mut self,
        source: &mut S,
        item: &Item,
        tell: &mut impl FnMut(Done),
    ) -> Result<Brought, RelayError<S::Error>> {
        let Some(acceptor) = self.acceptor() else {
            return Ok(Brought::Before);
        };
        let (address, key) = (acceptor.address, acceptor.trust()?.key);
        let Some(proof) = self.unsigned(source, item.seq, item.index)? else {
            return Ok(Brought::Unsigned);
        };
        let Ok(Leaf::KeyChange(change)) = Leaf::from_bytes(&proof.inclusion.leaf) else {
            return Err(item.unproven("another leaf than it says"));
        };
        if change.suite != KeyChangeLeaf::SECP256K1 {
            return Ok(Brought::Before);
        }
        let leaf = merkle::leaf_hash(&proof.inclusion.leaf);
        if acceptor.key_change_taken(&leaf, At::Latest)? {
            let deep = self.deep()?;
            let acceptor = self.acceptor();
            let confirmed = acceptor.map(|acceptor| acceptor.key_change_taken(&leaf, deep));
            if confirmed.transpose()? != Some(true) {
                self.note(item, leaf, None);
            }
            return Ok(Brought::Before);
        }
        if change.old != *key.as_bytes() {
            let next = acceptor.pending_key()?;
            let follows = next.is_some_and(|next| change.old == *next.as_bytes())
                || self.waiting.holds_key_change_before(item.place());
            // One that replaces a key of the past concerns nobody any more.
            return if follows {
                Err(RelayError::NextKey { seq: item.seq })
            } else {
                Ok(Brought::Before)
            };
        }
        self.require_signed(&proof, &key)?;
        let call = Call {
            to: address,
            data: calldata("changeKey", &attested(&proof)?, &proof.inclusion),
            gas_max: OWN_GAS_MAX,
        };
        let sent = self.send(item.seq, call)?;
        self.note(item, leaf, Some(sent.hash));
        tell(Done::KeyChange {
            seq: item.seq,
            sent,
        });
        Ok(Brought::Now)
    }
}

/// What became of a leaf.
enum Brought {
    Now,
    Before,
    Unsigned,
    /// The node took too long with it: it waits.
    Slow,
    /// It waits, or is nothing that this relay pays for.
    Not,
}

/// Of what is no key change no leaf is asked for.
const NO_KEY_CHANGE: [u8; 32] = [0; 32];

impl Item {
    const fn message(&self) -> Option<(ZappId, Digest, u64)> {
        match self.kind {
            ItemKind::Message {
                zapp,
                channel,
                number,
            } => Some((zapp, channel, number)),
            ItemKind::KeyChange => None,
        }
    }

    const fn unproven<E>(&self, why: &'static str) -> RelayError<E> {
        RelayError::Proof {
            seq: self.seq,
            index: self.index,
            why,
        }
    }
}
