//! Brings a contract all that the committee attested for it and that it has not got yet.
//!
//! The contract is the relay's only memory: what it has consumed is skipped, so that a relay can be
//! stopped, doubled and started anew at any time. Every proof is checked before gas is paid for it.
//! What a young block consumed is forgotten when enough others are built on it, and brought again if
//! the chain undoes it.
//!
//! Strangers' zApps post messages, too: what each may cost and what all may cost together is bounded
//! by the relay's operator, and what cannot be brought holds nothing but its own channel.

mod blocked;
mod bring;
mod confirm;
mod error;
mod outcome;
mod pay;
mod proof;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use attestation::ids::{Digest, ZappId};

use self::blocked::Waiting;
pub use self::blocked::{Blocked, Lane};
use self::confirm::Unconfirmed;
pub use self::error::RelayError;
pub use self::outcome::{Done, Pass, Sent};
pub use self::pay::Patience;
use self::pay::{Call, Pending};
use self::proof::attested;
pub use self::source::{Item, ItemKind, Page, Proof, Source};
use crate::abi;
use crate::contract::{LedgerAcceptor, MessageAcceptor, Trust};
use crate::rpc::{Block, Rpc};
use crate::transaction::{AccountKey, Address};

/// Most gas of a transaction that brings what only the committee and the contract are asked for: a
/// step, or a key. None of them needs a third of it.
const OWN_GAS_MAX: u64 = 1_000_000;

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
    /// Blocks that must be built on the one that consumed something before it is forgotten. The node
    /// is asked for the contract's state so many blocks ago.
    pub confirmations: u64,
    /// Whom the contracts must trust.
    pub trust: Trust,
}

/// A relay to the contracts of one chain.
#[derive(Debug)]
pub struct Relay {
    rpc: Rpc,
    key: AccountKey,
    target: Target,
    /// The first step that may hold messages that are neither consumed, be it in a young block, nor
    /// in `waiting`.
    from: u64,
    /// What could not be brought.
    waiting: Waiting,
    /// Messages consumed per channel, as far as this pass has asked.
    consumed: BTreeMap<Digest, u64>,
    /// The same so many blocks ago that the chain does not undo it.
    confirmed: BTreeMap<Digest, u64>,
    /// The newest block, once this pass has asked for it.
    newest: Option<Block>,
    /// What young blocks have consumed.
    unconfirmed: Unconfirmed,
    /// What was handed in and is in no block yet.
    pending: Option<Pending>,
    /// What was paid at most, wei.
    spent: u128,
    /// The nonce of the last transaction.
    nonce: Option<u64>,
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
        let relay = Self {
            rpc,
            key,
            target,
            from: from.max(1),
            waiting: Waiting::default(),
            consumed: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            newest: None,
            unconfirmed: Unconfirmed::default(),
            pending: None,
            spent: 0,
            nonce: None,
            patience: Patience::default(),
            interrupted: || false,
        };
        relay.require_chain()?;
        let target = &relay.target;
        for contract in target.messages.iter().chain(&target.ledger) {
            if relay.rpc.code(contract)?.is_empty() {
                return Err(RelayError::NoContract(*contract));
            }
        }
        if let Some(acceptor) = relay.acceptor() {
            let mut trust = acceptor.trust()?;
            // A contract on its way to the committee's key is the right one.
            if trust.key != target.trust.key && acceptor.pending_key()? == Some(target.trust.key) {
                trust.key = target.trust.key;
            }
            relay.check(&trust)?;
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
        // A node may have been replaced by one of another chain, where nothing was ever brought.
        self.require_chain()?;
        self.newest = None;
        // Others relay, too.
        self.consumed.clear();
        self.confirmed.clear();
        if let Some(sent) = self.settle()? {
            tell(Done::Late { sent });
        }
        self.confirm(tell)?;
        let mut pass = Pass::default();
        self.activate(&mut pass, tell)?;
        self.bring_steps(source, &mut pass, tell)?;
        self.bring_leaves(source, &mut pass, tell)?;
        pass.unconfirmed = self.unconfirmed.len();
        Ok(pass)
    }

    fn require_chain<E>(&self) -> Result<(), RelayError<E>> {
        let (actual, expected) = (self.rpc.chain()?, self.target.chain);
        if actual == expected {
            Ok(())
        } else {
            Err(RelayError::Chain { actual, expected })
        }
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
            let proof = match self.proof(source, seq, 0, &trust.key) {
                Ok(Some(proof)) => proof,
                Ok(None) => {
                    pass.unsigned = Some(seq);
                    return Ok(());
                }
                Err(error @ RelayError::NextKey { .. }) => {
                    pass.block(Lane::Ledger, seq, error);
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            let call = Call {
                to: address,
                data: attested(&proof)?.accept(),
                gas_max: OWN_GAS_MAX,
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

    /// Lets a key change take effect whose delay is over.
    fn activate<E>(
        &mut self,
        pass: &mut Pass<E>,
        tell: &mut impl FnMut(Done),
    ) -> Result<(), RelayError<E>> {
        let Some(acceptor) = self.acceptor() else {
            return Ok(());
        };
        let to = acceptor.address;
        let Some(ready_at) = acceptor.pending_ready_at()? else {
            return Ok(());
        };
        if ready_at > self.rpc.time()? {
            return Ok(());
        }
        let call = Call {
            to,
            data: abi::call("activateKey()", &[]),
            gas_max: OWN_GAS_MAX,
        };
        match self.send(0, call) {
            Ok(sent) => tell(Done::KeyActivated { sent }),
            // What waits for the key waits on, and nothing else.
            Err(error) if error.is_of_one_leaf() && !matches!(error, RelayError::Failed(_)) => {
                pass.block(Lane::Key, 0, error);
            }
            Err(error) => return Err(error),
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
