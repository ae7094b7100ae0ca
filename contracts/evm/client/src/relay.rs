//! Brings a contract all that the committee attested for it and that it has not got yet.
//!
//! The contract is the relay's only memory: what it has consumed is skipped, so that a relay can be
//! stopped, doubled and started anew at any time. Every proof is checked before gas is paid for it.
//!
//! Strangers' zApps post messages, too: what each may cost and what all may cost together is bounded
//! by the relay's operator, and what cannot be brought holds nothing but its own channel.

mod blocked;
mod error;
mod outcome;
mod pay;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use attestation::ids::{Digest, EvmKey, ZappId};
use attestation::leaf::{KeyChangeLeaf, Leaf};
use attestation::merkle;
use signer_protocol::suite;

use self::blocked::Waiting;
pub use self::blocked::{Blocked, Lane};
pub use self::error::RelayError;
pub use self::outcome::{Done, Pass, Sent};
pub use self::pay::Patience;
use self::pay::{Call, Pending};
pub use self::source::{Item, ItemKind, Page, Proof, Source};
use crate::abi;
use crate::calldata::{Attestation, Signature, calldata};
use crate::contract::{LedgerAcceptor, MessageAcceptor, Trust};
use crate::rpc::Rpc;
use crate::transaction::{AccountKey, Address};

/// Most pages of a source that are read in one pass.
const PAGES_MAX: usize = 1000;
/// Most channels of which a pass remembers how many messages are consumed.
const CHANNELS_MAX: usize = 1 << 16;

/// What to relay to, and for how much.
#[derive(Clone, Debug)]
pub struct Target {
    /// The chain that the contracts are on.
    pub chain: u64,
    /// A message acceptor.
    pub messages: Option<Address>,
    /// A ledger acceptor.
    pub ledger: Option<Address>,
    /// Most that is paid per gas, wei.
    pub fee_max: u128,
    /// Most gas of a transaction that brings a message.
    pub gas_max: u64,
    /// Most that is paid for all transactions together, wei; `None` without bound.
    pub budget: Option<u128>,
    /// The zApps whose messages are brought; all if there is none.
    pub zapps: BTreeSet<ZappId>,
    /// Whom the contracts must trust.
    pub trust: Trust,
}

/// A relay to the contracts of one chain.
#[derive(Debug)]
pub struct Relay {
    rpc: Rpc,
    key: AccountKey,
    target: Target,
    /// The first step that may hold messages that are neither consumed nor in `waiting`.
    from: u64,
    /// What could not be brought.
    waiting: Waiting,
    /// Messages consumed per channel, as far as this pass has asked.
    consumed: BTreeMap<Digest, u64>,
    /// What was handed in and is in no block yet.
    pending: Option<Pending>,
    /// What was paid, wei.
    spent: u128,
    patience: Patience,
    /// Whether the operator ends the relay.
    interrupted: fn() -> bool,
}

impl Relay {
    /// A relay that begins at step `from`, once chain and contracts are those that are meant.
    ///
    /// # Errors
    /// [`RelayError`] says what is not.
    pub fn begin<E>(
        rpc: Rpc,
        key: AccountKey,
        target: Target,
        from: u64,
    ) -> Result<Self, RelayError<E>> {
        let actual = rpc.chain()?;
        if actual != target.chain {
            let expected = target.chain;
            return Err(RelayError::Chain { actual, expected });
        }
        for contract in target.messages.iter().chain(&target.ledger) {
            if rpc.code(contract)?.is_empty() {
                return Err(RelayError::NoContract(*contract));
            }
        }
        let relay = Self {
            rpc,
            key,
            target,
            from: from.max(1),
            waiting: Waiting::default(),
            consumed: BTreeMap::new(),
            pending: None,
            spent: 0,
            patience: Patience::default(),
            interrupted: || false,
        };
        if let Some(acceptor) = relay.acceptor() {
            relay.check(&acceptor.trust()?)?;
        }
        if let Some(ledger) = relay.ledger() {
            relay.check(&ledger.trust()?)?;
        }
        Ok(relay)
    }

    /// The account that pays.
    #[must_use]
    pub fn account(&self) -> Address {
        self.key.address()
    }

    /// The same with other times.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// The same, ended with [`RelayError::Interrupted`] as soon as this is true.
    #[must_use]
    pub fn until(self, interrupted: fn() -> bool) -> Self {
        Self {
            interrupted,
            ..self
        }
    }

    /// Brings all that is at hand.
    ///
    /// # Errors
    /// [`RelayError`] that ends the pass; what was before it is brought. What concerns one leaf alone
    /// ends nothing: [`Pass::blocked`].
    pub fn pass<S: Source>(
        &mut self,
        source: &mut S,
        tell: &mut impl FnMut(Done),
    ) -> Result<Pass<S::Error>, RelayError<S::Error>> {
        if let Some(sent) = self.settle()? {
            tell(Done::Late { sent });
        }
        let mut pass = Pass::default();
        self.bring_steps(source, &mut pass, tell)?;
        self.bring_leaves(source, &mut pass, tell)?;
        self.activate(tell)?;
        Ok(pass)
    }

    fn bring_steps<S: Source>(
        &mut self,
        source: &mut S,
        pass: &mut Pass<S::Error>,
        tell: &mut impl FnMut(Done),
    ) -> Result<(), RelayError<S::Error>> {
        let Some(ledger) = self.ledger() else {
            return Ok(());
        };
        let (address, trust) = (ledger.address, ledger.trust()?);
        let mut seq = ledger.head()?.saturating_add(1);
        let head = self.leaves_from(source, seq, &address)?.head;
        pass.head = head;
        while seq <= head {
            // Every step has a settlement at position 0.
            let Some(proof) = self.proof(source, seq, 0, &trust.key)? else {
                pass.unsigned = Some(seq);
                return Ok(());
            };
            let call = Call {
                to: address,
                data: attested(&proof)?.accept(),
                gas_max: None,
            };
            match self.send(seq, call) {
                Ok(sent) => tell(Done::Step { seq, sent }),
                // The second failed transaction in a row would cost fees for nothing.
                Err(error) if error.is_of_one_leaf() && !matches!(error, RelayError::Failed(_)) => {
                    pass.block(Lane::Ledger, seq, error);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
            seq += 1;
        }
        Ok(())
    }

    fn bring_leaves<S: Source>(
        &mut self,
        source: &mut S,
        pass: &mut Pass<S::Error>,
        tell: &mut impl FnMut(Done),
    ) -> Result<(), RelayError<S::Error>> {
        let Some(acceptor) = self.acceptor() else {
            return Ok(());
        };
        let address = acceptor.address;
        // Others relay, too.
        self.consumed.clear();
        self.try_again(source, pass, tell)?;
        for _ in 0..PAGES_MAX {
            let page = self.leaves_from(source, self.from, &address)?;
            pass.head = page.head;
            for item in &page.items {
                if self.waiting.holds(&item.lane()) {
                    continue;
                }
                match self.bring(source, item, pass, tell)? {
                    Brought::Now | Brought::Not => {}
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
        for turn in self.waiting.turn() {
            if turn.given_up && !self.is_consumed(&turn.item)? {
                continue;
            }
            match self.bring(source, &turn.item, pass, tell)? {
                Brought::Now | Brought::Before => {
                    self.waiting.free(&turn.lane);
                    self.from = self.from.min(turn.item.seq);
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
                self.waiting.hold(item.lane(), *item, has_failed);
                pass.block(item.lane(), item.seq, error);
                Ok(Brought::Not)
            }
            other => other,
        }
    }

    fn pays_for(&self, zapp: &ZappId) -> bool {
        self.target.zapps.is_empty() || self.target.zapps.contains(zapp)
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
            gas_max: Some(self.target.gas_max),
        };
        let sent = self.send(item.seq, call)?;
        self.note_consumed(channel, number);
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
        let Some(proof) = self.proof(source, item.seq, item.index, &key)? else {
            return Ok(Brought::Unsigned);
        };
        let Ok(Leaf::KeyChange(change)) = Leaf::from_bytes(&proof.inclusion.leaf) else {
            return Err(item.unproven("another leaf than it says"));
        };
        let concerns = change.suite == KeyChangeLeaf::SECP256K1 && change.old == *key.as_bytes();
        if !concerns || acceptor.key_change_taken(&proof.inclusion.leaf)? {
            return Ok(Brought::Before);
        }
        let call = Call {
            to: address,
            data: calldata("changeKey", &attested(&proof)?, &proof.inclusion),
            gas_max: None,
        };
        let sent = self.send(item.seq, call)?;
        tell(Done::KeyChange {
            seq: item.seq,
            sent,
        });
        Ok(Brought::Now)
    }

    /// Lets a key change take effect whose delay is over.
    fn activate<E>(&mut self, tell: &mut impl FnMut(Done)) -> Result<(), RelayError<E>> {
        let Some(acceptor) = self.acceptor() else {
            return Ok(());
        };
        let to = acceptor.address;
        let pending = acceptor.pending_key()?;
        if pending.is_some_and(|pending| pending.ready_at <= self.rpc.time().unwrap_or(0)) {
            let call = Call {
                to,
                data: abi::call("activateKey()", &[]),
                gas_max: None,
            };
            let sent = self.send(0, call)?;
            tell(Done::KeyActivated { sent });
        }
        Ok(())
    }

    fn leaves_from<S: Source>(
        &self,
        source: &mut S,
        from: u64,
        contract: &Address,
    ) -> Result<Page, RelayError<S::Error>> {
        let page = source.leaves(from, self.target.chain, contract);
        page.map_err(RelayError::Source)
    }

    /// A leaf's proof, checked.
    fn proof<S: Source>(
        &self,
        source: &mut S,
        seq: u64,
        index: u64,
        key: &EvmKey,
    ) -> Result<Option<Proof>, RelayError<S::Error>> {
        let proof = source.proof(seq, index).map_err(RelayError::Source)?;
        let Some(proof) = proof else {
            return Ok(None);
        };
        let flaw = self.flaw(&proof, seq, index, key);
        match flaw {
            Some(why) => Err(RelayError::Proof { seq, index, why }),
            None => Ok(Some(proof)),
        }
    }

    fn flaw(&self, proof: &Proof, seq: u64, index: u64, key: &EvmKey) -> Option<&'static str> {
        let (commit, inclusion) = (&proof.commit, &proof.inclusion);
        let trust = &self.target.trust;
        if commit.seq.0 != seq || inclusion.index != index {
            return Some("another step or leaf");
        }
        if (commit.network.0, commit.committee) != (trust.network, trust.committee) {
            return Some("another committee's step");
        }
        let hash = merkle::leaf_hash(&inclusion.leaf);
        let root = merkle::root_from_path(hash, index, commit.tree_size, &inclusion.path);
        if root != Some(proof.root) {
            return Some("the leaf is not in the step");
        }
        let statement = commit.statement(&proof.root);
        let is_signed = suite::verify_evm(key, statement.as_bytes(), &proof.signature);
        (!is_signed).then_some("the signature is not the group's")
    }

    fn check<E>(&self, actual: &Trust) -> Result<(), RelayError<E>> {
        let expected = &self.target.trust;
        if (actual.network, actual.committee) != (expected.network, expected.committee) {
            return Err(RelayError::Committee {
                actual: actual.committee,
                expected: expected.committee,
            });
        }
        if actual.key != expected.key {
            return Err(RelayError::Key {
                actual: actual.key,
                expected: expected.key,
            });
        }
        Ok(())
    }

    fn acceptor(&self) -> Option<MessageAcceptor<'_>> {
        let address = self.target.messages?;
        let rpc = &self.rpc;
        Some(MessageAcceptor { rpc, address })
    }

    fn ledger(&self) -> Option<LedgerAcceptor<'_>> {
        let address = self.target.ledger?;
        let rpc = &self.rpc;
        Some(LedgerAcceptor { rpc, address })
    }
}

/// What became of a leaf.
enum Brought {
    Now,
    Before,
    Unsigned,
    /// It waits, or is nothing that this relay pays for.
    Not,
}

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

/// The step as contracts take it.
fn attested<E>(proof: &Proof) -> Result<Attestation, RelayError<E>> {
    let signature = Signature::new(&proof.signature).ok_or(RelayError::Proof {
        seq: proof.commit.seq.0,
        index: proof.inclusion.index,
        why: "the signature's R is no point",
    })?;
    Ok(Attestation::new(&proof.commit, &proof.root, signature))
}
