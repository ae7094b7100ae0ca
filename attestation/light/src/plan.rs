//! What a reshare changes, fixed before it begins.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use attestation::codec::{self, Malformed};
use attestation::committee::{Card, Quorum, QuorumError};
use attestation::conditions::{ConditionError, lay_claims};
use attestation::ids::{
    CommitteeId, Digest, Epoch, IdentityKey, NetworkId, RuntimeProfile, Signature, Slot,
};
use attestation::tags;
use serde::{Deserialize, Serialize};
use state::job::Domain;
use state::system::methods;

use crate::identity::VerifyIdentity;
use crate::membership::Membership;

/// Longest encoded plan in bytes: 150 cards and 150 dealers.
pub const PLAN_BYTES_MAX: usize = 64 * 1024;
/// Most group keys of one committee: one per suite.
pub const KEYS_MAX: usize = 8;

/// A change of members, threshold, images and runtime profile (rule B3). Its digest is part of every session id of the
/// reshare, so that all who take part mean the same change.
///
/// A dealer deals under a plan that its own operator has approved, and under no other: whoever
/// gets t dealers to deal to members of its choice has the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePlan {
    /// Network.
    pub network: NetworkId,
    /// Committee.
    pub committee: CommitteeId,
    /// The epoch whose shares are dealt from.
    pub base: Epoch,
    /// Digests of the base epoch's public key packages, one per group key
    /// ([`KeyRecord::package_digest`](crate::key_record::KeyRecord::package_digest)), rising.
    pub keys: Vec<Digest>,
    /// The new epoch: any number above `base` that no earlier plan of this base had. A plan that
    /// came to nothing late leaves shares of its epoch on disks; another number keeps them apart.
    pub epoch: Epoch,
    /// Members of the base epoch that deal, at least its t, rising.
    pub dealers: Vec<Slot>,
    /// Members of the new epoch, slots rising.
    pub members: Vec<PlannedMember>,
    /// Threshold of the new epoch.
    pub threshold: u16,
    /// Engine, gas schedule, host ABI and limits of the new epoch's steps.
    pub profile: RuntimeProfile,
}

/// A member of the new epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedMember {
    /// Its slot: the one that it has, or the next that nobody has had.
    pub slot: Slot,
    /// Its card: the one that it has, also with another image, engine, Sentinel or payout account, or a
    /// new member's.
    pub card: Card,
}

/// Why a plan is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The bytes are not a plan.
    #[error("plan bytes: {0}")]
    Malformed(#[from] Malformed),
    /// Made for another network, committee or base epoch.
    #[error("plan of another network, committee or base epoch")]
    Base,
    /// The new epoch is not above the base, or so far that numbers would run out.
    #[error("new epoch {0} is not above the base epoch, or more than 1,024 above it")]
    Epoch(Epoch),
    /// No group key, more than [`KEYS_MAX`], or not in rising order.
    #[error("group keys are missing, too many or out of order")]
    Keys,
    /// Members and threshold break rule A15.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// Fewer dealers than the base epoch's threshold.
    #[error("{dealers} dealers, the base epoch's threshold is {threshold}")]
    TooFewDealers {
        /// Dealers.
        dealers: usize,
        /// Threshold of the base epoch.
        threshold: u16,
    },
    /// A dealer is not a member of the base epoch, or out of order.
    #[error("dealer {0} is not a member of the base epoch, or out of order")]
    Dealer(Slot),
    /// A slot is not its member's, was another's, or is not the next free one in rising order.
    #[error("slot {0} is another member's, or not the next that nobody has had")]
    Slot(Slot),
    /// A member of the base epoch has other keys than before.
    #[error("the keys on the card of member {0} are not those it has")]
    CardChanged(Slot),
    /// Two members share a key, or a member would have two slots.
    #[error("a key of member {0} appears twice")]
    DuplicateKey(Slot),
    /// A card is not signed by its identity key.
    #[error("card of member {0} is not signed by its identity key")]
    Card(Slot),
    /// The planned members do not meet what the creation record demands.
    #[error(transparent)]
    Conditions(#[from] ConditionError),
    /// The committee has a second group key, whose shares no ceremony would pass on.
    #[error(
        "this committee has a second group key, for EVM chains, and a change of members passes on \
         shares of the first alone: its members stay who they are"
    )]
    SecondKey,
}

impl ChangePlan {
    /// Decodes a plan. [`Self::check`] it before use.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are not a plan.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        codec::decode(bytes, PLAN_BYTES_MAX)
    }

    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Digest of every field in order. Signatures of cards are not part of it: a signer can make
    /// many for one card.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let domain = Domain {
            network: self.network,
            committee: self.committee,
        };
        let mut layout = domain
            .layout(tags::CHANGE_PLAN)
            .number(self.base.0)
            .number(self.epoch.0)
            .number(self.threshold)
            .fixed(self.profile.as_bytes())
            .number(self.keys.len() as u64)
            .number(self.dealers.len() as u64)
            .number(self.members.len() as u64);
        for key in &self.keys {
            layout = layout.fixed(key.as_bytes());
        }
        for dealer in &self.dealers {
            layout = layout.number(dealer.0);
        }
        for member in &self.members {
            layout = layout
                .number(member.slot.0)
                .fixed(member.card.identity.as_bytes())
                .fixed(member.card.channel.as_bytes())
                .fixed(member.card.image.as_bytes())
                .fixed(member.card.payout.as_bytes());
        }
        let claims = self.members.iter();
        let claims = claims.map(|member| (u64::from(member.slot.0), &member.card));
        lay_claims(layout, claims).digest()
    }

    /// Checks the plan against the members of its base epoch; the result is the membership of the
    /// new epoch.
    ///
    /// # Errors
    /// [`PlanError`] names the first check that failed.
    pub fn check(
        &self,
        base: &Membership,
        verify: &impl VerifyIdentity,
    ) -> Result<Membership, PlanError> {
        if self.network != base.domain.network
            || self.committee != base.domain.committee
            || self.base != base.epoch
        {
            return Err(PlanError::Base);
        }
        if !methods::epoch_follows(self.base, self.epoch) {
            return Err(PlanError::Epoch(self.epoch));
        }
        if self.keys.is_empty() || self.keys.len() > KEYS_MAX || !rises(&self.keys) {
            return Err(PlanError::Keys);
        }
        let members = u16::try_from(self.members.len()).unwrap_or(u16::MAX);
        let quorum = Quorum::new(members, self.threshold)?;
        self.check_dealers(base)?;
        let slot_max = self.check_members(base, verify)?;
        let cards = self.members.iter();
        let cards = cards.map(|member| (member.slot, &member.card));
        let verified = |key: &IdentityKey, message: &[u8], signature: &Signature| {
            verify.verify(key, message, signature)
        };
        let conditions = base.conditions;
        conditions.check(self.network, quorum, cards, verified)?;
        let member = |member: &PlannedMember| (member.slot, member.card.clone());
        Ok(Membership {
            domain: base.domain,
            epoch: self.epoch,
            threshold: self.threshold,
            members: self.members.iter().map(member).collect(),
            slot_max,
            conditions,
        })
    }

    fn check_dealers(&self, base: &Membership) -> Result<(), PlanError> {
        let mut last = Slot(0);
        for dealer in &self.dealers {
            if *dealer <= last || base.member(*dealer).is_none() {
                return Err(PlanError::Dealer(*dealer));
            }
            last = *dealer;
        }
        if self.dealers.len() < usize::from(base.threshold) {
            return Err(PlanError::TooFewDealers {
                dealers: self.dealers.len(),
                threshold: base.threshold,
            });
        }
        Ok(())
    }

    /// The highest slot that any epoch has had after this one.
    fn check_members(
        &self,
        base: &Membership,
        verify: &impl VerifyIdentity,
    ) -> Result<Slot, PlanError> {
        let (mut last, mut slot_max) = (Slot(0), base.slot_max);
        let mut keys = BTreeSet::new();
        for PlannedMember { slot, card } in &self.members {
            let is_known = match base.member(*slot) {
                Some(known) if !same_keys(known, card) => {
                    return Err(PlanError::CardChanged(*slot));
                }
                Some(_) => true,
                None => false,
            };
            let is_next = Some(slot.0) == slot_max.0.checked_add(1);
            if *slot <= last || !(is_known || is_next) {
                return Err(PlanError::Slot(*slot));
            }
            last = *slot;
            slot_max = slot_max.max(*slot);
            let mut others = base.members.iter().filter(|(other, _)| *other != slot);
            let is_double = others
                .any(|(_, other)| other.identity == card.identity || other.channel == card.channel);
            if is_double
                || !keys.insert(*card.identity.as_bytes())
                || !keys.insert(*card.channel.as_bytes())
            {
                return Err(PlanError::DuplicateKey(*slot));
            }
            if !verify.verify(&card.identity, &card.signed_bytes(), &card.signature) {
                return Err(PlanError::Card(*slot));
            }
        }
        Ok(slot_max)
    }
}

fn same_keys(a: &Card, b: &Card) -> bool {
    (a.identity, a.channel) == (b.identity, b.channel)
}

fn rises<T: Ord>(values: &[T]) -> bool {
    values.iter().zip(values.iter().skip(1)).all(|(a, b)| a < b)
}
