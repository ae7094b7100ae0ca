//! What a register holds.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use attestation::codec::{self, Layout};
use attestation::ids::{Boot, Digest, Epoch, Seq, StatementId, View};
use attestation::tags;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::Refused;
use crate::message::{Certificate, Lane};

/// Longest encoded entry in bytes: a base whose lanes carry certificates of 150 votes.
pub const ENTRY_BYTES_MAX: usize = 256 * 1024;
/// One fact that outlives the signer's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The signer started; every later entry of this start carries the number.
    Boot(Boot),
    /// The signer entered a view (rule A8).
    View(View),
    /// The signer voted (rule A4).
    Vote(Voted),
    /// The signer locked on a certificate's statement (rules A6, A9).
    Lock(Locked),
    /// A step is attested; votes and locks at or below its seq are settled (rule A7).
    Attested(Attested),
    /// Everything the entries before say, in one: the node may forget what precedes it.
    Base(Box<Standing>),
    /// The signer signs something that an attested leaf fixes (rule E3).
    Signed(LaneSigned),
    /// This register has lost entries, or is on a restored disk: the member takes no part in this
    /// epoch any more (rule C2).
    Behind(Epoch),
}

/// A vote as the register keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voted {
    /// What is signed.
    pub lane: Lane,
    /// Step.
    pub seq: Seq,
    /// View.
    pub view: View,
    /// Statement voted for.
    pub statement: StatementId,
    /// The vote's mask of the trace root.
    pub mask: Digest,
    /// The certificate shown, where the vote goes against a lock (rule A9).
    pub shown: Option<Certificate>,
}

/// A lock: the signer may have released a share for the certificate's statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locked {
    /// What is signed.
    pub lane: Lane,
    /// The certificate, which names seq, view and statement.
    pub certificate: Certificate,
}

/// What a lane signs, beside the committee's steps, at one of its positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneSigned {
    /// The lane.
    pub lane: Lane,
    /// Position in it.
    pub position: u64,
    /// SHA-256 of what is signed.
    pub message: Digest,
    /// Digest of all that stays when the position is issued again.
    pub fixed: Digest,
}

/// An attested step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attested {
    /// What is signed.
    pub lane: Lane,
    /// Step.
    pub seq: Seq,
    /// Its statement.
    pub statement: StatementId,
    /// The attestation, without inclusion proof: a signer that starts stands where it stood.
    pub attestation: ByteBuf,
}

/// What all entries say together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Digest of network, committee and slot: whose register this is.
    pub owner: Digest,
    /// Number of the last start; 0 before the first.
    pub boot: Boot,
    /// The view entered last.
    pub view: View,
    /// The last epoch in which the register is known to have lost entries (rule C2).
    pub behind: Option<Epoch>,
    /// One lane per thing signed.
    pub lanes: BTreeMap<Lane, LaneStanding>,
}

/// Vote, lock and head of one lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneStanding {
    /// The last vote above the head.
    pub vote: Option<Voted>,
    /// The highest lock above the head.
    pub lock: Option<Certificate>,
    /// The head.
    pub attested: Option<Attested>,
    /// What was signed last, at the highest position.
    pub signed: Option<LaneSigned>,
}

/// A record in its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Position, from 0.
    pub index: u64,
    /// Hash of the entry before; the owner digest at position 0.
    pub previous: Digest,
    /// The start that appends.
    pub boot: Boot,
    /// What is recorded.
    pub record: Record,
    /// SHA-256 over all of the above: checksum and link in one.
    pub hash: Digest,
}

impl Entry {
    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes an entry; its place in a chain is [`super::Chain::accept`]'s to judge.
    ///
    /// # Errors
    /// [`Refused::Malformed`] if the bytes are not what [`Self::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refused> {
        codec::decode(bytes, ENTRY_BYTES_MAX).map_err(|_| Refused::Malformed)
    }

    pub(super) fn computed_hash(&self) -> Digest {
        Layout::new(tags::RECORD)
            .number(self.index)
            .fixed(self.previous.as_bytes())
            .number(self.boot.0)
            .bytes(&codec::encode(&self.record))
            .digest()
    }
}
