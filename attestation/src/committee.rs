//! Committee arithmetic and the creation record.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec::{self, Layout, Malformed};
use crate::conditions::{ConditionError, Conditions, Engine, Sentinel, lay_claims};
use crate::ids::{
    ChannelKey, CommitteeId, Digest, IdentityKey, NetworkId, RuntimeProfile, Signature, Slot,
};
use crate::tags;
use crate::terms::{Grant, Terms, TermsError};

/// Fewest members (rule A15).
pub const MEMBERS_MIN: u16 = 4;
/// Most members (rule A15).
pub const MEMBERS_MAX: u16 = 150;
/// Most ranked coordinators.
pub const COORDINATORS_MAX: usize = 16;
/// Longest encoded creation record in bytes.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;

/// Member count and threshold that satisfy rule A15.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    members: u16,
    threshold: u16,
}

/// Why a quorum is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// Too few or too many members.
    #[error("{0} members, 4 to 150 allowed")]
    Members(u16),
    /// The threshold exceeds the member count.
    #[error("threshold {threshold} of {members} members can never be met")]
    Unreachable {
        /// Members.
        members: u16,
        /// Threshold.
        threshold: u16,
    },
    /// 2t ≤ n + ⌊(n−1)/3⌋: a third of the members lying could have two statements signed.
    #[error("threshold {threshold} of {members} members lets ⌊(n−1)/3⌋ liars sign twice")]
    Unsafe {
        /// Members.
        members: u16,
        /// Threshold.
        threshold: u16,
    },
}

impl Quorum {
    /// Checks rule A15.
    ///
    /// # Errors
    /// [`QuorumError`] says which bound is broken.
    pub fn new(members: u16, threshold: u16) -> Result<Self, QuorumError> {
        if !(MEMBERS_MIN..=MEMBERS_MAX).contains(&members) {
            return Err(QuorumError::Members(members));
        }
        if threshold > members {
            return Err(QuorumError::Unreachable { members, threshold });
        }
        if 2 * u32::from(threshold) <= u32::from(members) + (u32::from(members) - 1) / 3 {
            return Err(QuorumError::Unsafe { members, threshold });
        }
        Ok(Self { members, threshold })
    }

    /// t = ⌊2n/3⌋ + 1.
    ///
    /// # Errors
    /// [`QuorumError::Members`] if n is out of range.
    pub fn with_default_threshold(members: u16) -> Result<Self, QuorumError> {
        if !(MEMBERS_MIN..=MEMBERS_MAX).contains(&members) {
            return Err(QuorumError::Members(members));
        }
        Self::new(members, members * 2 / 3 + 1)
    }

    /// n.
    #[must_use]
    pub const fn members(self) -> u16 {
        self.members
    }

    /// t.
    #[must_use]
    pub const fn threshold(self) -> u16 {
        self.threshold
    }

    /// n − t + 1: so many members include an honest one whenever t can sign at all.
    #[must_use]
    pub const fn blocking(self) -> u16 {
        self.members - self.threshold + 1
    }
}

/// A member's public card: its keys, where its pay goes, the image and engine it claims to run, signed
/// by its identity key; and the Sentinel that stands behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Signs envelopes.
    pub identity: IdentityKey,
    /// Noise static key of the guest.
    pub channel: ChannelKey,
    /// Digest of the guest image it claims to run; [`Card::NO_IMAGE`] for a native process.
    pub image: Digest,
    /// Account that gets what the member earns; [`Card::NO_PAYOUT`] where nobody is to.
    pub payout: IdentityKey,
    /// Signature by `identity` over [`Card::signed_bytes`].
    pub signature: Signature,
    /// What it claims that its executor runs zApps with. Written only where it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// The Sentinel that stands behind the member, with its owner's signature. Written only where
    /// there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<Sentinel>,
}

impl Card {
    /// The image of a native process.
    pub const NO_IMAGE: Digest = Digest::from_bytes([0; 32]);
    /// The payout account of a member that wants no pay, and of coordinators.
    pub const NO_PAYOUT: IdentityKey = IdentityKey::from_bytes([0; 32]);

    /// A card of these keys that `sign` signs with the identity key; its Sentinel is added to it.
    pub fn signed(
        (identity, channel): (IdentityKey, ChannelKey),
        image: Digest,
        payout: IdentityKey,
        sign: impl FnOnce(&[u8]) -> Signature,
    ) -> Self {
        let mut card = Self {
            identity,
            channel,
            image,
            payout,
            signature: Signature::from_bytes([0; 64]),
            engine: None,
            sentinel: None,
        };
        card.signature = sign(&card.signed_bytes());
        card
    }

    /// The same card, which also says its engine, signed anew.
    #[must_use]
    pub fn running(mut self, engine: Engine, sign: impl FnOnce(&[u8]) -> Signature) -> Self {
        self.engine = Some(engine);
        self.signature = sign(&self.signed_bytes());
        self
    }

    /// The bytes that the identity key signs. The Sentinel is not among them: its owner names the
    /// member, not the other way round, also after the card was made.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let layout = Layout::new(tags::CARD)
            .fixed(self.identity.as_bytes())
            .fixed(self.channel.as_bytes())
            .fixed(self.image.as_bytes())
            .fixed(self.payout.as_bytes());
        match self.engine {
            Some(engine) => layout.bytes(engine.name().as_bytes()).into_bytes(),
            None => layout.into_bytes(),
        }
    }
}

/// What fixes a committee before it has a key: its digest is the [`CommitteeId`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreationRecord {
    /// Network.
    pub network: NetworkId,
    /// Threshold t; n is the number of members.
    pub threshold: u16,
    /// Members in slot order: slot i is `members[i - 1]`.
    pub members: Vec<Card>,
    /// Coordinators in rank order.
    pub coordinators: Vec<Card>,
    /// Runtime profile of the first epoch.
    pub profile: RuntimeProfile,
    /// Creation time, Unix milliseconds: no step is earlier.
    pub created_ms: u64,
    /// Makes records with equal members distinct.
    pub salt: Digest,
    /// What requests and state cost.
    pub terms: Terms,
    /// Balances that accounts begin with, in order of account.
    pub grants: Vec<Grant>,
    /// Whether members generate a second group key, of suite [`EVM_SUITE`], and sign every step
    /// under it, too. Written only where it is set.
    #[serde(default, skip_serializing_if = "is_unset")]
    pub evm: bool,
    /// What is demanded of members, in every epoch. Written only where something is.
    #[serde(default, skip_serializing_if = "Conditions::is_none")]
    pub conditions: Conditions,
}

/// RFC 9591 §6 context string of the suite that EVM contracts verify.
pub const EVM_SUITE: &str = "FROST-secp256k1-KECCAK256-v1";

/// Why a creation record is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes are not a record.
    #[error("record bytes: {0}")]
    Malformed(#[from] Malformed),
    /// Members and threshold break rule A15.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// No coordinator, or more than [`COORDINATORS_MAX`].
    #[error("{0} coordinators, 1 to 16 allowed")]
    Coordinators(usize),
    /// Two parties share a key.
    #[error("a key appears twice")]
    DuplicateKey,
    /// A card's identity key is not an Ed25519 key, or its signature does not verify.
    #[error("card {0} is not signed by its identity key")]
    Card(usize),
    /// Terms or grants break a bound.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// A coordinator's card names an engine or a Sentinel, which members have.
    #[error("card {0} is a coordinator's, and names an engine or a Sentinel")]
    Coordinator(usize),
    /// Conditions that do not do what they are for, or that a member does not meet.
    #[error(transparent)]
    Conditions(#[from] ConditionError),
}

impl CreationRecord {
    /// Decodes and checks a record.
    ///
    /// # Errors
    /// [`RecordError`] names the first check that failed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let record: Self = codec::decode(bytes, RECORD_BYTES_MAX)?;
        record.check()?;
        Ok(record)
    }

    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// n and t.
    ///
    /// # Errors
    /// [`QuorumError`] if they break rule A15.
    pub fn quorum(&self) -> Result<Quorum, QuorumError> {
        let members = u16::try_from(self.members.len()).unwrap_or(u16::MAX);
        Quorum::new(members, self.threshold)
    }

    /// The card of the member in `slot`.
    #[must_use]
    pub fn member(&self, slot: Slot) -> Option<&Card> {
        self.members.get(usize::from(slot.0.checked_sub(1)?))
    }

    /// All slots, from 1.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        (1u16..).zip(&self.members).map(|(slot, _)| Slot(slot))
    }

    /// The committee's id: digest of every field in order.
    #[must_use]
    pub fn id(&self) -> CommitteeId {
        let mut layout = Layout::new(tags::COMMITTEE)
            .number(self.network.0)
            .number(self.threshold)
            .number(self.members.len() as u64)
            .number(self.coordinators.len() as u64);
        for card in self.members.iter().chain(&self.coordinators) {
            layout = layout
                .fixed(card.identity.as_bytes())
                .fixed(card.channel.as_bytes())
                .fixed(card.image.as_bytes())
                .fixed(card.payout.as_bytes());
        }
        layout = layout
            .fixed(self.profile.as_bytes())
            .number(self.created_ms)
            .fixed(self.salt.as_bytes());
        layout = Grant::lay_all(&self.grants, self.terms.lay(layout));
        if self.evm {
            layout = layout.bytes(EVM_SUITE.as_bytes());
        }
        layout = self
            .conditions
            .lay(lay_claims(layout, (0..).zip(&self.members)));
        CommitteeId::from_bytes(*layout.digest().as_bytes())
    }

    /// Checks quorum, counts, terms, distinct keys, every card's signature, and the conditions of
    /// membership as far as the record shows whether they are met.
    ///
    /// # Errors
    /// [`RecordError`] names the first check that failed.
    pub fn check(&self) -> Result<(), RecordError> {
        let quorum = self.quorum()?;
        if !(1..=COORDINATORS_MAX).contains(&self.coordinators.len()) {
            return Err(RecordError::Coordinators(self.coordinators.len()));
        }
        self.terms.check()?;
        Grant::check_all(&self.grants)?;
        let mut keys = alloc::collections::BTreeSet::new();
        for (at, card) in self.members.iter().chain(&self.coordinators).enumerate() {
            if !keys.insert(*card.identity.as_bytes()) || !keys.insert(*card.channel.as_bytes()) {
                return Err(RecordError::DuplicateKey);
            }
            if !crate::identity::verify(&card.identity, &card.signed_bytes(), &card.signature) {
                return Err(RecordError::Card(at));
            }
            let is_coordinator = at >= self.members.len();
            if is_coordinator && (card.engine.is_some() || card.sentinel.is_some()) {
                return Err(RecordError::Coordinator(at));
            }
        }
        let members = self.slots().zip(&self.members);
        let (network, verify) = (self.network, crate::identity::verify);
        Ok(self.conditions.check(network, quorum, members, verify)?)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_unset(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_threshold_is_safe_and_one_less_than_twice_a_third_is_not() {
        for members in MEMBERS_MIN..=MEMBERS_MAX {
            let quorum = Quorum::with_default_threshold(members).unwrap();
            assert_eq!(quorum.threshold(), members * 2 / 3 + 1, "{members} members");
            assert_eq!(quorum.blocking(), members - quorum.threshold() + 1);
            // f < 2t − n for f = ⌊(n−1)/3⌋, the liars that a committee is built for.
            let liars = (members - 1) / 3;
            assert!(2 * quorum.threshold() > members + liars);
            for threshold in 0..=members + 1 {
                let safe = 2 * threshold > members + liars && threshold <= members;
                assert_eq!(Quorum::new(members, threshold).is_ok(), safe);
            }
        }
    }

    #[test]
    fn a_quorum_says_which_bound_it_breaks() {
        for (members, threshold, expected) in [
            (3, 3, QuorumError::Members(3)),
            (151, 120, QuorumError::Members(151)),
            (u16::MAX, u16::MAX, QuorumError::Members(u16::MAX)),
            (
                5,
                6,
                QuorumError::Unreachable {
                    members: 5,
                    threshold: 6,
                },
            ),
            (
                7,
                4,
                QuorumError::Unsafe {
                    members: 7,
                    threshold: 4,
                },
            ),
        ] {
            assert_eq!(Quorum::new(members, threshold), Err(expected));
        }
    }

    #[test]
    fn the_largest_record_fits_its_bound() {
        let card = Card {
            identity: IdentityKey::from_bytes([0xff; 32]),
            channel: ChannelKey::from_bytes([0xff; 32]),
            image: Digest::from_bytes([0xff; 32]),
            payout: IdentityKey::from_bytes([0xff; 32]),
            signature: Signature::from_bytes([0xff; 64]),
            engine: Some(Engine::Wasmtime),
            sentinel: Some(Sentinel {
                owner: IdentityKey::from_bytes([0xff; 32]),
                proof: Signature::from_bytes([0xff; 64]),
            }),
        };
        let coordinator = Card {
            engine: None,
            sentinel: None,
            ..card.clone()
        };
        let grant = Grant {
            account: IdentityKey::from_bytes([0xff; 32]),
            amount: u64::MAX,
        };
        let record = CreationRecord {
            network: NetworkId(u64::MAX),
            threshold: u16::MAX,
            members: alloc::vec![card; usize::from(MEMBERS_MAX)],
            coordinators: alloc::vec![coordinator; COORDINATORS_MAX],
            profile: RuntimeProfile::from_bytes([0xff; 32]),
            created_ms: u64::MAX,
            salt: Digest::from_bytes([0xff; 32]),
            terms: Terms {
                gas_price: u64::MAX,
                request_fee: u64::MAX,
                byte_deposit: u64::MAX,
                work_bits: u8::MAX,
                work_gas: u64::MAX,
            },
            grants: alloc::vec![grant; crate::terms::GRANTS_MAX],
            evm: true,
            conditions: Conditions {
                engine_members_min: u16::MAX,
                sentinels: true,
            },
        };
        assert!(record.to_bytes().len() <= RECORD_BYTES_MAX);
    }
}
