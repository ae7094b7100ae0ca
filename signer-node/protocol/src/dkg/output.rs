//! What goes into a ceremony and comes out of it, apart from messages.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use attestation::codec;
use attestation::committee::MEMBERS_MAX;
use attestation::ids::Slot;
use frost_core::Ciphersuite;
use serde::{Deserialize, Serialize};

use super::{KeyRecord, KeyShare, PendingShares};
use crate::evidence::CanaryDeed;
use crate::message::DkgMessage;
use crate::reshare::PlanError;
use crate::sealed::ShareBytes;

/// Most members that one can wait for: all who deal, and all others who get shares.
pub const MISSING_MAX: usize = 2 * MEMBERS_MAX as usize;

/// How a member enters a key generation or a reshare.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one of it in a ceremony"
)]
pub enum Start<C: Ciphersuite> {
    /// With nothing durable.
    Fresh,
    /// With the shares of an earlier [`DkgOutput::Persist`].
    Pending(PendingShares<C>),
    /// With the key; it only answers others.
    Finished(KeyRecord),
}

impl<C: Ciphersuite> From<Option<KeyShare<C>>> for Start<C> {
    fn from(pending: Option<KeyShare<C>>) -> Self {
        pending.map_or(Self::Fresh, |share| Self::Pending(share.into()))
    }
}

/// How far a key generation is, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DkgProgress {
    /// The attempt, from 1.
    pub attempt: u64,
    /// What the member waits for.
    pub stage: DkgStage,
    /// Members whose part of the stage is here, this member included.
    pub here: u16,
    /// Those whose part is not here yet, in slot order: whom to ask, or to leave out of the next
    /// plan. Falling silent convicts nobody.
    #[serde(deserialize_with = "codec::at_most::<MISSING_MAX, _, _>")]
    pub missing: Vec<Slot>,
}

/// What a member waits for, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DkgStage {
    /// All members' commitments.
    Round1,
    /// All members' word on which commitments they hold.
    Echoes,
    /// All members' shares for this one.
    Shares,
    /// All members' certification that their share is durable.
    Certificates,
    /// All members' shares of the canary signature.
    Canary,
}

impl fmt::Display for DkgStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Round1 => "commitments",
            Self::Echoes => "echoes",
            Self::Shares => "shares",
            Self::Certificates => "certificates",
            Self::Canary => "canary shares",
        })
    }
}

/// What a key generation wants of its driver.
#[derive(Debug)]
pub enum DkgOutput<C: Ciphersuite> {
    /// Send this message through the channel to the signer of `to`.
    Send {
        /// Receiver.
        to: Slot,
        /// The message.
        message: DkgMessage,
    },
    /// Seal these bytes in place of the epoch's earlier ones, make them durable, then call
    /// [`Dkg::persisted`](super::Dkg::persisted).
    Persist(ShareBytes),
    /// The key, or the new epoch's shares of it, are usable. Goes on answering others.
    Done(KeyRecord, KeyShare<C>),
    /// The new epoch's shares are usable, and this member, which only dealt, has none. Goes on
    /// answering others.
    Dealt(KeyRecord),
    /// This key generation is over and needs operators. Goes on showing the evidence to others.
    /// Only if others have finished all the same, [`Self::Done`] or [`Self::Dealt`] follows.
    Aborted {
        /// Who is to blame; empty if nobody provably is.
        culprits: Vec<Slot>,
        /// What happened.
        act: Act,
    },
}

/// What ended a key generation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Act {
    /// A member signed two different round-1 packages in one session and start.
    #[error("two different round-1 packages in one session")]
    Equivocation(Box<[DkgMessage; 2]>),
    /// A member's round-1 package is not one, or proves no knowledge of its secret, or commits in
    /// a reshare to another constant than its old share times its Lagrange coefficient.
    #[error("round-1 package is not valid")]
    Round1(Box<DkgMessage>),
    /// A member's signed echo denies its own round-1 package, or another echo of its.
    #[error("echo contradicts the sender's own round-1 package or echo")]
    Echo(Box<[DkgMessage; 2]>),
    /// A dealer's share for a member does not fit its commitments. The share is no secret: it is
    /// of no key.
    #[error("round-2 share does not fit its dealer's commitments")]
    Round2(Box<DkgMessage>),
    /// A member accused a dealer of a share that does fit the commitments that it has itself
    /// echoed: its echo and its accusation.
    #[error("accusation of a round-2 share that fits its dealer's commitments")]
    Accusation(Box<[DkgMessage; 2]>),
    /// A member certified something else than what follows from the round 1 that it echoed.
    #[error("certification of another key")]
    Certify(Box<DkgMessage>),
    /// A member certified two keys in one attempt and start.
    #[error("certifications of two keys")]
    CertifiedTwice(Box<[DkgMessage; 2]>),
    /// A member signed two different canary commitments in one round and start.
    #[error("two different canary commitments in one round")]
    CanaryNonces(Box<[DkgMessage; 2]>),
    /// A member's canary commitments are none.
    #[error("canary commitments are not valid")]
    BadNonces(Box<DkgMessage>),
    /// A member's share of the canary is not valid.
    #[error("canary share is not valid")]
    CanaryShare(Box<CanaryDeed>),
    /// frost refused packages that had passed every check.
    #[error("frost refused packages that had passed every check")]
    Refused,
    /// This member certified the key and no longer has its share: the disk is older than that.
    #[error("this member has lost its certified share")]
    ShareLost,
}

/// Why a message was dropped, or a key generation cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DkgError {
    /// The slot is not in the creation record or plan, or its key is not this identity's.
    #[error("this identity is not the member in that slot")]
    NotMember,
    /// A share or key record is not this member's, committee's, suite's, epoch's or plan's.
    #[error("share or key record is not of this member, committee, epoch and plan")]
    Foreign,
    /// The plan names this member as a dealer, and it has no share to deal from.
    #[error("a dealer without a share")]
    NoShare,
    /// The plan is none for its base.
    #[error("plan: {0}")]
    Plan(#[from] PlanError),
    /// The ciphersuite's keys do not fit a key record.
    #[error("key records hold no group keys of this suite")]
    Suite,
    /// The sender is not another member, or not the one that the channel belongs to.
    #[error("sender is not the member behind the channel")]
    Sender,
    /// Session id and attempt do not fit this committee and suite.
    #[error("message of another session")]
    Session,
    /// The envelope's signature does not verify.
    #[error("envelope is not signed by its sender")]
    Signature,
    /// Sizes or counts are not those of this committee.
    #[error("message body does not fit the committee")]
    Malformed,
    /// Of an attempt, canary round or start that is over.
    #[error("message of an attempt, round or start that is over")]
    Stale,
    /// Evidence or a certificate that proves nothing here.
    #[error("evidence, certificate or record proves nothing")]
    Unfounded,
    /// The key generation is over.
    #[error("key generation is over")]
    Over,
}
