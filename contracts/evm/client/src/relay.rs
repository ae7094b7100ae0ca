//! Brings a contract all that the committee attested for it and that it has not got yet.
//!
//! The contract is the relay's only memory: what it has consumed is skipped, so that a relay can be
//! stopped, doubled and started anew at any time. Every proof is checked before gas is paid for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use attestation::commit::Commit;
use attestation::ids::{CommitteeId, Digest, EvmKey, EvmSignature, LeafRoot};
use attestation::leaf::{KeyChangeLeaf, Leaf, MessageLeaf};
use attestation::merkle;
use signer_protocol::suite;

use crate::abi;
use crate::calldata::{Attestation, Inclusion, Signature, calldata};
use crate::contract::{self, LedgerAcceptor, MessageAcceptor, Trust};
use crate::rpc::{At, Receipt, Rpc, RpcError};
use crate::transaction::{AccountKey, Address, Transaction};

/// How long a transaction may wait for its block.
const MINED_WITHIN: Duration = Duration::from_secs(300);
/// How often its receipt is asked for.
const MINED_EVERY: Duration = Duration::from_millis(250);
/// Gas beyond the estimate, in percent: the state may change until the block is built.
const GAS_MARGIN_PERCENT: u64 = 10;

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

/// What to relay to.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The chain that the contracts are on.
    pub chain: u64,
    /// A message acceptor.
    pub messages: Option<Address>,
    /// A ledger acceptor.
    pub ledger: Option<Address>,
    /// Most that is paid per gas, wei.
    pub fee_max: u128,
    /// Whom the contracts must trust.
    pub trust: Trust,
}

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// The newest attested step.
    pub head: u64,
    /// What the contracts had already.
    pub skipped: u64,
    /// The first step that is not signed for EVM chains yet and that something waits for.
    pub unsigned: Option<u64>,
}

/// Why a relay stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelayError<E> {
    /// The source's.
    #[error("the source of attestations gives none")]
    Source(E),
    /// The chain's node.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The node is of another chain.
    #[error("the node is of chain {actual}, not {expected}")]
    Chain {
        /// The node's.
        actual: u64,
        /// The operator's.
        expected: u64,
    },
    /// There is no code at the address.
    #[error("there is no contract at 0x{}", hex::encode(.0))]
    NoContract(Address),
    /// The contract is of another committee or network.
    #[error("the contract trusts committee {actual}, the gateway's is {expected}")]
    Committee {
        /// The contract's.
        actual: CommitteeId,
        /// The gateway's.
        expected: CommitteeId,
    },
    /// The contract trusts another key.
    #[error("the contract trusts key {actual}, the committee's is {expected}")]
    Key {
        /// The contract's.
        actual: EvmKey,
        /// The gateway's.
        expected: EvmKey,
    },
    /// What the gateway gave does not prove the leaf.
    #[error("step {seq}, leaf {index}: what the gateway gives proves nothing: {why}")]
    Proof {
        /// The step.
        seq: u64,
        /// The leaf.
        index: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// Messages of a channel are missing before this one.
    #[error("channel {channel}: message {number} comes next but {consumed} are consumed")]
    Missing {
        /// The channel.
        channel: Digest,
        /// The first message at hand.
        number: u64,
        /// How many the contract has consumed.
        consumed: u64,
    },
    /// The contract would refuse.
    #[error("the contract refuses step {seq}: {why}")]
    Refused {
        /// The step.
        seq: u64,
        /// Its custom error.
        why: String,
    },
    /// Gas is dearer than the operator allows.
    #[error("gas costs {needed} wei now, at most {allowed} are allowed")]
    Fee {
        /// What it costs.
        needed: u128,
        /// What is allowed.
        allowed: u128,
    },
    /// The account cannot pay.
    #[error("0x{} holds {balance} wei, the transaction may cost {needed}", hex::encode(.account))]
    Funds {
        /// The relay's account.
        account: Address,
        /// What it holds.
        balance: u128,
        /// What is needed.
        needed: u128,
    },
    /// A transaction is in no block.
    #[error("transaction 0x{} is in no block yet", hex::encode(.0))]
    Unmined([u8; 32]),
    /// A transaction failed although its estimate did not.
    #[error("transaction 0x{} failed: another relay may have been first", hex::encode(.0))]
    Failed([u8; 32]),
}

/// A relay to the contracts of one chain.
#[derive(Debug)]
pub struct Relay {
    rpc: Rpc,
    key: AccountKey,
    target: Target,
    /// The first step that may hold messages that are not consumed.
    from: u64,
    /// Messages consumed per channel, as far as this pass has asked.
    consumed: BTreeMap<Digest, u64>,
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
            consumed: BTreeMap::new(),
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

    /// Brings all that is at hand.
    ///
    /// # Errors
    /// [`RelayError`] of the first thing that cannot be brought; what was before it is.
    pub fn pass<S: Source>(
        &mut self,
        source: &mut S,
        tell: &mut impl FnMut(Done),
    ) -> Result<Pass, RelayError<S::Error>> {
        let mut pass = Pass::default();
        self.bring_steps(source, &mut pass, tell)?;
        self.bring_leaves(source, &mut pass, tell)?;
        self.activate(tell)?;
        Ok(pass)
    }

    fn bring_steps<S: Source>(
        &mut self,
        source: &mut S,
        pass: &mut Pass,
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
            let sent = self.send(seq, address, attested(&proof)?.accept())?;
            tell(Done::Step { seq, sent });
            seq += 1;
        }
        Ok(())
    }

    fn bring_leaves<S: Source>(
        &mut self,
        source: &mut S,
        pass: &mut Pass,
        tell: &mut impl FnMut(Done),
    ) -> Result<(), RelayError<S::Error>> {
        let Some(acceptor) = self.acceptor() else {
            return Ok(());
        };
        let address = acceptor.address;
        // Others relay, too.
        self.consumed.clear();
        loop {
            let page = self.leaves_from(source, self.from, &address)?;
            pass.head = page.head;
            for item in &page.items {
                let brought = match item.kind {
                    ItemKind::Message { channel, number } => {
                        self.bring_message(source, item, channel, number, tell)?
                    }
                    ItemKind::KeyChange => self.bring_key_change(source, item, tell)?,
                };
                match brought {
                    Brought::Now => {}
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
    }

    fn bring_message<S: Source>(
        &mut self,
        source: &mut S,
        item: &Item,
        channel: Digest,
        number: u64,
        tell: &mut impl FnMut(Done),
    ) -> Result<Brought, RelayError<S::Error>> {
        let Some(acceptor) = self.acceptor() else {
            return Ok(Brought::Before);
        };
        let address = acceptor.address;
        let consumed = match self.consumed.get(&channel) {
            Some(consumed) => *consumed,
            None => acceptor.consumed(&channel)?,
        };
        let key = acceptor.trust()?.key;
        self.consumed.insert(channel, consumed);
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
            Ok(Leaf::Message(MessageLeaf { channel: said, number: its, .. }))
                if (said, its) == (channel, number)
        );
        if !is_meant {
            return Err(item.unproven("another leaf than it says"));
        }
        let call = calldata("deliver", &attested(&proof)?, &proof.inclusion);
        let sent = self.send(item.seq, address, call)?;
        self.consumed.insert(channel, number);
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
        let call = calldata("changeKey", &attested(&proof)?, &proof.inclusion);
        let sent = self.send(item.seq, address, call)?;
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
        let address = acceptor.address;
        let pending = acceptor.pending_key()?;
        if pending.is_some_and(|pending| pending.ready_at <= self.rpc.time().unwrap_or(0)) {
            let sent = self.send(0, address, abi::call("activateKey()", &[]))?;
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

    /// Sends a transaction and waits for its block.
    fn send<E>(&self, seq: u64, to: Address, data: Vec<u8>) -> Result<Sent, RelayError<E>> {
        let account = self.account();
        let estimate = self.rpc.estimate(&account, Some(&to), &data);
        let estimate = estimate.map_err(|error| refused(seq, error))?;
        let gas = estimate.saturating_add(estimate / 100 * GAS_MARGIN_PERCENT);
        let fees = self.rpc.fees()?;
        let needed = fees.base.saturating_add(fees.tip);
        let allowed = self.target.fee_max;
        if needed > allowed {
            return Err(RelayError::Fee { needed, allowed });
        }
        // The base fee may rise by an eighth from block to block.
        let fee_max = fees.base.saturating_mul(2).saturating_add(fees.tip);
        let fee_max = fee_max.min(allowed);
        let needed = fee_max.saturating_mul(u128::from(gas));
        let balance = self.rpc.balance(&account)?;
        if balance < needed {
            return Err(RelayError::Funds {
                account,
                balance,
                needed,
            });
        }
        let transaction = Transaction {
            chain: self.target.chain,
            nonce: self.settled_nonce()?,
            tip: fees.tip.min(fee_max),
            fee_max,
            gas,
            to: Some(to),
            data,
        };
        let signed = transaction.sign(&self.key);
        // Signing fails for no key that passed its check.
        let signed = signed.ok_or(RelayError::Failed([0; 32]))?;
        self.rpc.send(&signed.bytes)?;
        let receipt = self.mined(&signed.hash)?;
        if !receipt.succeeded {
            return Err(RelayError::Failed(signed.hash));
        }
        let hash = signed.hash;
        Ok(Sent { hash, receipt })
    }

    /// The account's nonce once nothing of it waits any more: what an earlier run sent is in a block
    /// before anything is sent again.
    fn settled_nonce<E>(&self) -> Result<u64, RelayError<E>> {
        let account = self.account();
        let began = Instant::now();
        loop {
            let latest = self.rpc.nonce(&account, At::Latest)?;
            if self.rpc.nonce(&account, At::Pending)? <= latest {
                return Ok(latest);
            }
            if began.elapsed() > MINED_WITHIN {
                return Err(RelayError::Unmined([0; 32]));
            }
            std::thread::sleep(MINED_EVERY);
        }
    }

    fn mined<E>(&self, hash: &[u8; 32]) -> Result<Receipt, RelayError<E>> {
        let began = Instant::now();
        loop {
            if let Some(receipt) = self.rpc.receipt(hash)? {
                return Ok(receipt);
            }
            if began.elapsed() > MINED_WITHIN {
                return Err(RelayError::Unmined(*hash));
            }
            std::thread::sleep(MINED_EVERY);
        }
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
}

impl Item {
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

fn refused<E>(seq: u64, error: RpcError) -> RelayError<E> {
    match &error {
        RpcError::Refused {
            revert: Some(data), ..
        } => match contract::revert(data) {
            Some(why) => RelayError::Refused { seq, why },
            None => error.into(),
        },
        _ => error.into(),
    }
}
