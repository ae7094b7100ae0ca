//! Rule E2 for messages, and B5's change of key: what `solidity/MessageAcceptor.sol` must do,
//! written over the formats of the crate `attestation` and frost's own verifier.

use std::collections::{BTreeMap, BTreeSet};

use attestation::commit::Commit;
use attestation::ids::{CommitteeId, LeafRoot, NetworkId};
use attestation::leaf::LEAVES_MAX;
use attestation::merkle;
use frost_secp256k1_evm::VerifyingKey;
use k256::Scalar;
use k256::elliptic_curve::PrimeField as _;

use crate::committee::frost_accepts;
use crate::leaf::{KEY_CHANGE, KEY_CHANGE_LEN, MESSAGE, MESSAGE_LEN, SECP256K1};
use crate::step::{Attestation, Inclusion};

/// What an acceptor is deployed with.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The committee's network.
    pub network: NetworkId,
    /// The committee.
    pub committee: CommitteeId,
    /// EIP-155 id of the acceptor's chain.
    pub chain: u64,
    /// The acceptor's address, left-padded.
    pub contract: [u8; 32],
    /// Seconds between a key change and its effect.
    pub change_delay: u64,
    /// Seconds after which a pause ends.
    pub pause_max: u64,
    /// Most gas that a message is given.
    pub gas_max: u64,
}

/// An acceptor of messages.
#[derive(Clone, Debug)]
pub struct Messages {
    terms: Terms,
    key: VerifyingKey,
    pending: Option<Pending>,
    taken: BTreeSet<[u8; 32]>,
    paused_until: u64,
    consumed: BTreeMap<[u8; 32], u64>,
    outcomes: BTreeMap<([u8; 32], u64), Outcome>,
}

#[derive(Clone, Debug)]
struct Pending {
    key: VerifyingKey,
    last_seq: u64,
    ready_at: u64,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Delivered,
    /// The receiver did not, with all its gas.
    Reverted,
    /// Nobody is there.
    NoReceiver,
    /// The leaf grants more gas than the acceptor gives.
    TooMuchGas,
}

/// Why nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Within a pause.
    #[error("Paused")]
    Paused,
    /// Not a commit.
    #[error("MalformedCommit")]
    MalformedCommit,
    /// Another committee's.
    #[error("WrongCommittee")]
    WrongCommittee,
    /// Fewer than 2 leaves, or more than 65,536.
    #[error("TreeSize")]
    TreeSize,
    /// Not a leaf.
    #[error("MalformedLeaf")]
    MalformedLeaf,
    /// A leaf of another step.
    #[error("WrongStep")]
    WrongStep,
    /// A settlement not at 0, or another leaf there.
    #[error("WrongPosition")]
    WrongPosition,
    /// A path of another length.
    #[error("PathDoesNotFit")]
    PathDoesNotFit,
    /// A path to another root.
    #[error("NotIncluded")]
    NotIncluded,
    /// Not signed by the trusted key.
    #[error("BadSignature")]
    BadSignature,
    /// Another network's.
    #[error("WrongNetwork")]
    WrongNetwork,
    /// A step after the last one of a key that is being replaced.
    #[error("AfterLastSeq")]
    AfterLastSeq,
    /// A leaf of another kind.
    #[error("WrongKind")]
    WrongKind,
    /// For another chain.
    #[error("WrongChain")]
    WrongChain,
    /// For another acceptor.
    #[error("WrongContract")]
    WrongContract,
    /// Not the channel's next.
    #[error("OutOfOrder")]
    OutOfOrder,
    /// Another key change waits.
    #[error("KeyChangePending")]
    KeyChangePending,
    /// No key change waits.
    #[error("NoKeyChangePending")]
    NoKeyChangePending,
    /// Its delay is not over.
    #[error("TooEarly")]
    TooEarly,
    /// Taken before.
    #[error("KeyChangeTaken")]
    KeyChangeTaken,
    /// Of another suite, or of a key that is not trusted.
    #[error("NotThisKey")]
    NotThisKey,
    /// The new key is none.
    #[error("UntrustworthyKey")]
    UntrustworthyKey,
}

impl Messages {
    /// An acceptor that has consumed nothing.
    #[must_use]
    pub const fn new(terms: Terms, key: VerifyingKey) -> Self {
        Self {
            terms,
            key,
            pending: None,
            taken: BTreeSet::new(),
            paused_until: 0,
            consumed: BTreeMap::new(),
            outcomes: BTreeMap::new(),
        }
    }

    /// Delivers the next message of a channel; `receiver` says whether it took the message, or
    /// `None` if nobody is there.
    ///
    /// # Errors
    /// [`Refused`] by the first rule that is broken; nothing is consumed.
    pub fn deliver(
        &mut self,
        now: u64,
        attestation: &Attestation,
        inclusion: &Inclusion,
        receiver: impl FnOnce(&[u8; 32], &[u8]) -> Option<bool>,
    ) -> Result<Outcome, Refused> {
        self.verify(now, attestation, inclusion)?;
        let leaf = inclusion.leaf.as_slice();
        if byte(leaf, 1)? != MESSAGE {
            return Err(Refused::WrongKind);
        }
        let payload = leaf.get(MESSAGE_LEN..).ok_or(Refused::MalformedLeaf)?;
        if number(leaf, 42)? != self.terms.chain {
            return Err(Refused::WrongChain);
        }
        if field::<32>(leaf, 50)? != self.terms.contract {
            return Err(Refused::WrongContract);
        }
        let (channel, place) = (field::<32>(leaf, 114)?, number(leaf, 146)?);
        let consumed = self.consumed.entry(channel).or_default();
        if consumed.checked_add(1) != Some(place) {
            return Err(Refused::OutOfOrder);
        }
        *consumed = place;
        let address = field::<32>(leaf, 82)?;
        let taken = if address[..12] == [0; 12] {
            receiver(&address, payload)
        } else {
            None
        };
        let outcome = match taken {
            None => Outcome::NoReceiver,
            Some(_) if number(leaf, 154)? > self.terms.gas_max => Outcome::TooMuchGas,
            Some(true) => Outcome::Delivered,
            Some(false) => Outcome::Reverted,
        };
        self.outcomes.insert((channel, place), outcome);
        Ok(outcome)
    }

    /// Takes a key change.
    ///
    /// # Errors
    /// [`Refused`] by the first rule that is broken; nothing changes.
    pub fn change_key(
        &mut self,
        now: u64,
        attestation: &Attestation,
        inclusion: &Inclusion,
    ) -> Result<(), Refused> {
        let commit = self.verify(now, attestation, inclusion)?;
        let leaf = inclusion.leaf.as_slice();
        if byte(leaf, 1)? != KEY_CHANGE {
            return Err(Refused::WrongKind);
        }
        if leaf.len() != KEY_CHANGE_LEN || field::<32>(leaf, 2)? != [0; 32] {
            return Err(Refused::MalformedLeaf);
        }
        if self.pending.is_some() {
            return Err(Refused::KeyChangePending);
        }
        let key = self.key.serialize().map_err(|_| Refused::NotThisKey)?;
        if byte(leaf, 42)? != SECP256K1 || key != field::<33>(leaf, 51)? {
            return Err(Refused::NotThisKey);
        }
        let (last_seq, new) = (number(leaf, 43)?, field::<33>(leaf, 84)?);
        if last_seq < commit.seq.0 || !matches!(new[0], 2 | 3) {
            return Err(Refused::MalformedLeaf);
        }
        let new = trustworthy(&new).ok_or(Refused::UntrustworthyKey)?;
        if !self.taken.insert(merkle::leaf_hash(leaf)) {
            return Err(Refused::KeyChangeTaken);
        }
        self.pending = Some(Pending {
            key: new,
            last_seq,
            ready_at: now + self.terms.change_delay,
        });
        Ok(())
    }

    /// Lets the pending key change take effect.
    ///
    /// # Errors
    /// [`Refused`] if there is none, or not yet.
    pub fn activate_key(&mut self, now: u64) -> Result<(), Refused> {
        self.require_not_paused(now)?;
        match self.pending.take() {
            None => Err(Refused::NoKeyChangePending),
            Some(pending) if now < pending.ready_at => {
                self.pending = Some(pending);
                Err(Refused::TooEarly)
            }
            Some(pending) => {
                self.key = pending.key;
                Ok(())
            }
        }
    }

    /// Drops the pending key change.
    ///
    /// # Errors
    /// [`Refused::NoKeyChangePending`].
    pub fn cancel_key_change(&mut self) -> Result<(), Refused> {
        self.pending
            .take()
            .map(drop)
            .ok_or(Refused::NoKeyChangePending)
    }

    /// Accepts nothing for a while.
    pub fn pause(&mut self, now: u64) {
        self.paused_until = now + self.terms.pause_max;
    }

    /// Ends a pause.
    pub fn resume(&mut self) {
        self.paused_until = 0;
    }

    /// The trusted key, SEC1 compressed.
    ///
    /// # Panics
    /// Never: a key is a point.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        self.key.serialize().expect("a key is a point")
    }

    /// Number of messages consumed in a channel.
    #[must_use]
    pub fn consumed(&self, channel: &[u8; 32]) -> u64 {
        self.consumed.get(channel).copied().unwrap_or_default()
    }

    /// What became of a message, if its number has come.
    #[must_use]
    pub fn outcome(&self, channel: &[u8; 32], number: u64) -> Option<Outcome> {
        self.outcomes.get(&(*channel, number)).copied()
    }

    fn verify(
        &self,
        now: u64,
        attestation: &Attestation,
        inclusion: &Inclusion,
    ) -> Result<Commit, Refused> {
        self.require_not_paused(now)?;
        let commit =
            Commit::from_bytes(&attestation.commit).map_err(|_| Refused::MalformedCommit)?;
        if commit.committee != self.terms.committee {
            return Err(Refused::WrongCommittee);
        }
        if !(2..=LEAVES_MAX).contains(&commit.tree_size) {
            return Err(Refused::TreeSize);
        }
        let root = LeafRoot::from_bytes(attestation.root);
        check_inclusion(&commit, &root, inclusion)?;
        let statement = commit.statement(&root);
        if !frost_accepts(&self.key, statement.as_bytes(), &attestation.signature) {
            return Err(Refused::BadSignature);
        }
        if commit.network != self.terms.network {
            return Err(Refused::WrongNetwork);
        }
        match &self.pending {
            Some(pending) if commit.seq.0 > pending.last_seq => Err(Refused::AfterLastSeq),
            _ => Ok(commit),
        }
    }

    const fn require_not_paused(&self, now: u64) -> Result<(), Refused> {
        if now < self.paused_until {
            return Err(Refused::Paused);
        }
        Ok(())
    }
}

/// A key whose x-coordinate is below the group's order, as `ecrecover` needs it.
fn trustworthy(compressed: &[u8; 33]) -> Option<VerifyingKey> {
    let x: [u8; 32] = compressed[1..].try_into().ok()?;
    Option::<Scalar>::from(Scalar::from_repr(x.into()))?;
    VerifyingKey::deserialize(compressed).ok()
}

fn check_inclusion(commit: &Commit, root: &LeafRoot, given: &Inclusion) -> Result<(), Refused> {
    let leaf = given.leaf.as_slice();
    if leaf.len() < HEAD_LEN || byte(leaf, 0)? != 1 {
        return Err(Refused::MalformedLeaf);
    }
    if number(leaf, 34)? != commit.seq.0 {
        return Err(Refused::WrongStep);
    }
    if (given.index == 0) != (byte(leaf, 1)? == SETTLEMENT) {
        return Err(Refused::WrongPosition);
    }
    let hash = merkle::leaf_hash(leaf);
    match merkle::root_from_path(hash, given.index, commit.tree_size, &given.path) {
        None => Err(Refused::PathDoesNotFit),
        Some(actual) if actual != *root => Err(Refused::NotIncluded),
        Some(_) => Ok(()),
    }
}

fn field<const N: usize>(leaf: &[u8], offset: usize) -> Result<[u8; N], Refused> {
    let bytes = leaf.get(offset..offset + N).ok_or(Refused::MalformedLeaf)?;
    bytes.try_into().map_err(|_| Refused::MalformedLeaf)
}

fn number(leaf: &[u8], offset: usize) -> Result<u64, Refused> {
    field(leaf, offset).map(u64::from_be_bytes)
}

fn byte(leaf: &[u8], offset: usize) -> Result<u8, Refused> {
    field::<1>(leaf, offset).map(|[byte]| byte)
}

const HEAD_LEN: usize = 42;
const SETTLEMENT: u8 = 1;
