//! What comes out of a repair, apart from its messages.

use alloc::boxed::Box;
use alloc::vec::Vec;

use attestation::ids::Slot;
use frost_core::Ciphersuite;

use super::RepairPlanError;
use crate::dkg::KeyShare;
use crate::message::RepairMessage;
use crate::sealed::ShareBytes;

/// What a repair wants of its driver.
#[derive(Debug)]
pub enum RepairOutput<C: Ciphersuite> {
    /// Send this message through the channel to the signer of `to`.
    Send {
        /// Receiver.
        to: Slot,
        /// The message.
        message: RepairMessage,
    },
    /// Seal these bytes, make them durable, then call [`Repair::persisted`](super::Repair::persisted).
    Persist(ShareBytes),
    /// This member has its share again. Goes on answering others.
    Restored(KeyShare<C>),
    /// The member that was helped says that its share is durable.
    Helped,
    /// This attempt is over and needs operators. Goes on showing the evidence to others.
    Aborted {
        /// Who is to blame; empty if nobody provably is.
        culprits: Vec<Slot>,
        /// What happened.
        act: RepairAct,
    },
}

/// What ended a repair without a share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepairAct {
    /// A party signed two different masks, or two different echoes, in one session.
    #[error("two different masks or echoes in one session")]
    Equivocation(Box<[RepairMessage; 2]>),
    /// A helper's commitments are not to a mask that vanishes at the lost slot.
    #[error("mask is not valid")]
    Mask(Box<RepairMessage>),
    /// A helper's value for another does not fit its mask.
    #[error("value of a mask does not fit its commitments")]
    Part(Box<RepairMessage>),
    /// A helper's masked share does not fit its verifying share and the masks.
    #[error("masked share does not fit verifying share and masks")]
    Sum(Box<RepairMessage>),
    /// A party accused another of a value that does fit the masks that it has itself echoed: its
    /// echo and its accusation.
    #[error("accusation of a value that fits")]
    Accusation(Box<[RepairMessage; 2]>),
    /// A party has started anew and lost what it held in memory.
    #[error("member {0} has started anew")]
    Restarted(Slot),
    /// What was restored is not the member's share, although all that was shown fits.
    #[error("the result is not the member's share")]
    Refused,
}

/// Why a message was dropped, or a repair cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepairError {
    /// The plan breaks a rule.
    #[error("plan: {0}")]
    Plan(#[from] RepairPlanError),
    /// The slot is not in the plan, or its key is not this identity's.
    #[error("this identity is not the member in that slot, or has no part")]
    NotMember,
    /// A helper without its share of the key, or a key that the plan does not name.
    #[error("share or key record is not of this member, committee, epoch and plan")]
    Foreign,
    /// The sender has no part, or is not the one that the channel belongs to.
    #[error("sender is not the member behind the channel")]
    Sender,
    /// Of another session.
    #[error("message of another session")]
    Session,
    /// The envelope's signature does not verify.
    #[error("envelope is not signed by its sender")]
    Signature,
    /// Sizes, counts or roles are not those of this repair.
    #[error("message body does not fit the repair")]
    Malformed,
    /// Of a start that is over.
    #[error("message of a start that is over")]
    Stale,
    /// The sender has asked for as much less than
    /// [`RESEND_MS_MIN`](crate::dkg::RESEND_MS_MIN) ago.
    #[error("asked again too soon")]
    TooSoon,
    /// Evidence that proves nothing.
    #[error("evidence proves nothing")]
    Unfounded,
    /// The repair is over.
    #[error("repair is over")]
    Over,
}
