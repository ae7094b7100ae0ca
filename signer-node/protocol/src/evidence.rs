//! Evidence: what a party provably did, as a file that anyone can check offline.
//!
//! A file names the committee and the culprit and holds the signed words that convict it, and
//! whatever else is needed to judge them, itself signed by the committee: its key record, the plan
//! of a reshare. What is to be trusted is the creation record alone, which whoever verifies brings
//! along. Nothing that a network could have caused is evidence: absence, silence, and votes for
//! another statement, which a coordinator that gave a member another job shows too.

mod steps;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use attestation::codec::{self, Malformed};
use attestation::committee::CreationRecord;
use attestation::ids::{CommitteeId, Digest, Seq, View};
use serde::{Deserialize, Serialize};

use crate::blame::{Act, Culprit};
use crate::dkg::{KeyRecord, KeyRecordError};
use crate::message::DkgMessage;
use crate::reshare::{ChangePlan, PlanError};

pub use self::steps::{share_fails, share_of_fails};

/// The one version of the format that there is.
pub const EVIDENCE_VERSION: u16 = 1;
/// Longest file in bytes: two packages of 150 members, with room.
pub const EVIDENCE_BYTES_MAX: usize = 512 * 1024;

/// A file of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// [`EVIDENCE_VERSION`].
    pub version: u16,
    /// The committee.
    pub committee: CommitteeId,
    /// Whom it convicts.
    pub culprit: Culprit,
    /// Of what.
    pub fact: Fact,
}

/// What was done, and the signed words that prove it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// In a step, under the first epoch's keys.
    Step {
        /// The act, one that [`Act::proves`].
        act: Act,
        /// The committee's key: for a bad share alone, which is measured by it.
        key: Option<Box<KeyRecord>>,
    },
    /// In a key generation, or in a reshare.
    Ceremony {
        /// The act.
        act: CeremonyAct,
        /// What a reshare changes; absent for a key generation.
        change: Option<Box<ChangeOf>>,
    },
}

/// A reshare of the first epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeOf {
    /// Its plan.
    pub plan: ChangePlan,
    /// The key that it changes.
    pub key: KeyRecord,
}

/// What a party does in a ceremony that its signed messages prove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CeremonyAct {
    /// Two round-1 packages in one session and start.
    Round1Twice(Box<[DkgMessage; 2]>),
    /// A round-1 package that is none, proves no knowledge of its secret, or in a reshare commits
    /// to another constant than the dealer's share asks for.
    BadRound1(Box<DkgMessage>),
    /// Two echoes in one session and start.
    EchoTwice(Box<[DkgMessage; 2]>),
    /// A round-1 package, and an echo of the same start that denies it.
    EchoDeniesOwn(Box<[DkgMessage; 2]>),
    /// A dealer's round-1 package, and a share that does not fit it.
    BadDealing(Box<[DkgMessage; 2]>),
    /// An accusation of a share that fits: the dealer's round-1 package, the accuser's echo of it,
    /// and the accusation.
    FalseAccusation(Box<[DkgMessage; 3]>),
}

/// What verified evidence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conviction {
    /// Whom it convicts.
    pub culprit: Culprit,
    /// Of what.
    pub kind: Kind,
    /// Where.
    pub place: Place,
}

/// Where something was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a step.
    Step(Seq, View),
    /// In an attempt of a ceremony: its session.
    Ceremony {
        /// Session id.
        session: Digest,
        /// Attempt.
        attempt: u64,
    },
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $text:literal;)*) => {
        /// What a party can be convicted of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
        }

        impl Kind {
            /// A name that does not change.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)*
                }
            }
        }

        impl fmt::Display for Kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => $text,)*
                })
            }
        }
    };
}

kinds! {
    /// A member's two votes for one (seq, view).
    VotedTwice = "voted-twice", "voted for two statements in one view";
    /// A coordinator's two jobs for one (seq, view).
    ProposedTwice = "proposed-twice", "proposed two jobs for one view";
    /// A coordinator's two packages for one (seq, view, attempt).
    PackagedTwice = "packaged-twice", "sent two packages for one attempt";
    /// A member's share that fails under its verifying share.
    BadShare = "bad-share", "gave a signature share that does not verify";
    /// A member's two observations for one (request, seq).
    ObservedTwice = "observed-twice", "signed two observations for one request in one step";
    /// Two round-1 packages.
    Round1Twice = "round-1-twice", "dealt two round-1 packages in one session";
    /// No round-1 package.
    BadRound1 = "bad-round-1", "dealt a round-1 package that is not valid";
    /// Two echoes.
    EchoTwice = "echo-twice", "sent two echoes in one session";
    /// An echo that denies the sender's own package.
    EchoDeniesOwn = "echo-denies-own", "denied its own round-1 package in its echo";
    /// A share that does not fit its dealer's commitments.
    BadDealing = "bad-dealing", "dealt a share that does not fit its commitments";
    /// An accusation of a share that fits.
    FalseAccusation = "false-accusation", "accused a dealer of a share that fits";
}

/// Why evidence convicts nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The bytes are no file of evidence.
    #[error("not a file of evidence: {0}")]
    Malformed(#[from] Malformed),
    /// Of a version that this program does not know.
    #[error("evidence of version {0}, this program reads version 1")]
    Version(u16),
    /// Of another committee than the creation record's.
    #[error("evidence about another committee than that of the creation record")]
    Committee,
    /// The creation record breaks a rule itself.
    #[error("the creation record is not valid")]
    Record,
    /// A bad share without the key that it is measured by.
    #[error("the committee's key is missing, and a share is measured by it")]
    NoKey,
    /// The key in the evidence is not the committee's.
    #[error("the key in the evidence is not the committee's: {0}")]
    Key(KeyRecordError),
    /// The plan of a reshare is none for this committee.
    #[error("the plan in the evidence is none for this committee: {0}")]
    Plan(PlanError),
    /// Something that anybody, or a network, could have caused.
    #[error("what it tells of is no proof: networks and others can cause it")]
    NoProof,
    /// A message that is not signed by the party it names, or not in this epoch or session.
    #[error("a message in it is not signed by the party that it names, or of another session")]
    Signature,
    /// The signed words do not contradict each other, or are not the culprit's.
    #[error("the signed words are sound, or not those of the one who is blamed")]
    Unfounded,
}

impl Evidence {
    /// Evidence of what a party did in a step of the first epoch; `None` if that is no proof.
    #[must_use]
    pub fn of_step(
        committee: CommitteeId,
        culprit: Culprit,
        act: &Act,
        key: Option<&KeyRecord>,
    ) -> Option<Self> {
        let key = match act {
            Act::BadShare { .. } => Some(Box::new(key?.clone())),
            Act::ProposedTwice(_)
            | Act::PackagedTwice(_)
            | Act::VotedTwice(_)
            | Act::ObservedTwice(_) => None,
            Act::VotedOtherwise { .. } | Act::Absent { .. } | Act::Withheld { .. } => return None,
        };
        let act = act.clone();
        let fact = Fact::Step { act, key };
        Some(Self::new(committee, culprit, fact))
    }

    pub(crate) fn new(committee: CommitteeId, culprit: Culprit, fact: Fact) -> Self {
        Self {
            version: EVIDENCE_VERSION,
            committee,
            culprit,
            fact,
        }
    }

    /// Decodes a file. [`Self::verify`] it before it is believed.
    ///
    /// # Errors
    /// [`EvidenceError::Malformed`] or [`EvidenceError::Version`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EvidenceError> {
        let evidence: Self = codec::decode(bytes, EVIDENCE_BYTES_MAX)?;
        match evidence.version {
            EVIDENCE_VERSION => Ok(evidence),
            other => Err(EvidenceError::Version(other)),
        }
    }

    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// What it is about, as it says itself.
    #[must_use]
    pub const fn kind(&self) -> Option<Kind> {
        match &self.fact {
            Fact::Step { act, .. } => match act {
                Act::ProposedTwice(_) => Some(Kind::ProposedTwice),
                Act::PackagedTwice(_) => Some(Kind::PackagedTwice),
                Act::VotedTwice(_) => Some(Kind::VotedTwice),
                Act::ObservedTwice(_) => Some(Kind::ObservedTwice),
                Act::BadShare { .. } => Some(Kind::BadShare),
                Act::VotedOtherwise { .. } | Act::Absent { .. } | Act::Withheld { .. } => None,
            },
            Fact::Ceremony { act, .. } => Some(match act {
                CeremonyAct::Round1Twice(_) => Kind::Round1Twice,
                CeremonyAct::BadRound1(_) => Kind::BadRound1,
                CeremonyAct::EchoTwice(_) => Kind::EchoTwice,
                CeremonyAct::EchoDeniesOwn(_) => Kind::EchoDeniesOwn,
                CeremonyAct::BadDealing(_) => Kind::BadDealing,
                CeremonyAct::FalseAccusation(_) => Kind::FalseAccusation,
            }),
        }
    }

    /// Checks everything, against the creation record alone.
    ///
    /// # Errors
    /// [`EvidenceError`] names the first check that failed.
    pub fn verify(&self, record: &CreationRecord) -> Result<Conviction, EvidenceError> {
        record.check().map_err(|_| EvidenceError::Record)?;
        if self.committee != record.id() {
            return Err(EvidenceError::Committee);
        }
        let kind = self.kind().ok_or(EvidenceError::NoProof)?;
        let place = match &self.fact {
            Fact::Step { act, key } => steps::verify(record, self.culprit, act, key.as_deref())?,
            Fact::Ceremony { act, change } => {
                let judged = crate::dkg::evidence::judge(record, act, change.as_deref());
                let (slot, place) = judged?;
                if self.culprit != Culprit::Member(slot) {
                    return Err(EvidenceError::Unfounded);
                }
                place
            }
        };
        Ok(Conviction {
            culprit: self.culprit,
            kind,
            place,
        })
    }
}

impl fmt::Display for Conviction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.culprit, self.kind)?;
        match self.place {
            Place::Step(seq, view) => write!(f, " (step {seq}, view {view})"),
            Place::Ceremony { attempt, .. } => write!(f, " (attempt {attempt})"),
        }
    }
}
