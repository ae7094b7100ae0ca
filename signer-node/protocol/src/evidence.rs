//! Evidence: what a party provably did, as a file that anyone can check offline.
//!
//! A file names the committee and the culprit and holds the signed words that convict it, and
//! whatever else is needed to judge them, itself signed by the committee: the plan of a ceremony,
//! and the [`History`] that leads to the epoch of the words. What is to be trusted is the creation
//! record alone, which whoever verifies brings along. Nothing that a network could have caused is
//! evidence: absence, silence, and votes for another statement, which a coordinator that gave a
//! member another job shows too.
//!
//! Whoever sees a deed seldom has the history at hand: evidence is made without, says which epoch it
//! [needs](Evidence::needs), and convicts once it is [given](Evidence::with_history) that.

mod history;
mod leaves;
mod steps;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use attestation::codec::{self, Malformed};
use attestation::committee::CreationRecord;
use attestation::ids::{CommitteeId, Digest, Epoch, IdentityKey, Seq, View};
use light_client::Generation;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::blame::{Act, Culprit};
use crate::dkg::KeyRecordError;
use crate::lineage::CHANGE_FILE_BYTES_MAX;
use crate::membership::FIRST_EPOCH;
use crate::message::{DkgMessage, RepairMessage};
use crate::repair::{RepairPlan, RepairPlanError};
use crate::reshare::{ChangePlan, PlanError};

pub use self::history::History;
pub use self::leaves::leaf_share_fails;
pub use self::steps::{share_fails, share_of_fails};

/// The one version of the format that this program reads and writes.
pub const EVIDENCE_VERSION: u16 = 2;
/// Longest file in bytes: the changes that a change file can carry too, and with room two packages
/// of 150 members, or the masks of 150 helpers.
pub const EVIDENCE_BYTES_MAX: usize = CHANGE_FILE_BYTES_MAX + 1024 * 1024;

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
    /// What leads to the epoch that it [needs](Self::needs), and nothing if it needs none.
    pub history: Option<Box<History>>,
}

/// What was done, and the signed words that prove it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// In a step.
    Step {
        /// The act, one that [`Act::proves`].
        act: Act,
    },
    /// In a key generation, or in a reshare.
    Ceremony {
        /// The act.
        act: CeremonyAct,
        /// What a reshare changes; absent for a key generation.
        plan: Option<Box<ChangePlan>>,
    },
    /// In a repair of a lost share.
    Repair {
        /// The act.
        act: RepairDeed,
        /// Whose share is repaired, and by whom.
        plan: Box<RepairPlan>,
    },
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
    /// and the accusation. Honest parties never accuse of a share, they show a
    /// [`Self::BadDealing`]: so who does has lied, whatever it or the dealer has started anew.
    FalseAccusation(Box<[DkgMessage; 3]>),
    /// Certifications of two keys in one attempt and start.
    CertifiedTwice(Box<[DkgMessage; 2]>),
    /// Two different canary commitments in one round and start.
    NoncesTwice(Box<[DkgMessage; 2]>),
    /// Canary commitments that are none.
    BadNonces(Box<DkgMessage>),
    /// A share of the canary that does not verify.
    BadCanaryShare(Box<CanaryDeed>),
}

/// A member's share of a ceremony's canary, and what it says by a digest that it is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryDeed {
    /// The share.
    pub share: DkgMessage,
    /// Digest over round 1.
    pub transcript: Digest,
    /// The key, `PublicKeyPackage`.
    pub public_package: ByteBuf,
    /// The canary commitments of all members, in slot order.
    pub commitments: Vec<ByteBuf>,
}

/// What a party does in a repair that its signed messages prove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RepairDeed {
    /// Two masks in one session and start.
    MaskTwice(Box<[RepairMessage; 2]>),
    /// Two echoes in one session and start.
    EchoTwice(Box<[RepairMessage; 2]>),
    /// A mask that is none, or that would change the share.
    BadMask(Box<RepairMessage>),
    /// A helper's mask, and a value for another helper that does not fit it.
    BadPart(Box<[RepairMessage; 2]>),
    /// A masked share that does not fit the sender's verifying share and the masks that it echoed:
    /// the masks of all helpers in slot order, the sender's echo of them, its masked share.
    BadSum(Vec<RepairMessage>),
    /// An accusation of a value that fits: the masks of all helpers in slot order, the accuser's
    /// echo of them, and the accusation.
    FalseAccusation(Vec<RepairMessage>),
}

/// What verified evidence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conviction {
    /// Whom it convicts.
    pub culprit: Culprit,
    /// Who that is: two plans that follow one epoch may give a slot to two members, and one of them
    /// never comes into force.
    pub identity: IdentityKey,
    /// The epoch of the step or repair; that which a ceremony was to begin.
    pub epoch: Epoch,
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
    /// In an attempt of a ceremony or repair: its session.
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
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

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
    /// A member's share for what a leaf orders that fails under its verifying share.
    BadLeafShare = "bad-leaf-share", "gave a signature share for a leaf that does not verify";
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
    /// Certifications of two keys in one attempt.
    CertifiedTwice = "certified-twice", "certified two keys in one attempt";
    /// Two canary commitments in one round.
    NoncesTwice = "canary-nonces-twice", "sent two canary commitments in one round";
    /// Canary commitments that are none.
    BadNonces = "bad-canary-nonces", "sent canary commitments that are not valid";
    /// A share of the canary that fails under its verifying share.
    BadCanaryShare = "bad-canary-share", "gave a share of the canary that does not verify";
    /// Two masks of a repair.
    MaskTwice = "mask-twice", "sent two masks in one repair";
    /// No mask of a repair.
    BadMask = "bad-mask", "sent a mask that would change the share under repair";
    /// A value that does not fit its sender's mask.
    BadPart = "bad-part", "gave a helper a value that does not fit its mask";
    /// A masked share that does not fit.
    BadSum = "bad-sum", "gave a masked share that does not fit its verifying share";
    /// An accusation of a value that fits.
    FalseAlarm = "false-alarm", "accused a helper of a value that fits";
}

/// Why evidence convicts nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The bytes are no file of evidence.
    #[error("not a file of evidence: {0}")]
    Malformed(#[from] Malformed),
    /// Of a version that this program does not know.
    #[error("evidence of version {0}, this program reads version {EVIDENCE_VERSION}")]
    Version(u16),
    /// Of another committee than the creation record's.
    #[error("evidence about another committee than that of the creation record")]
    Committee,
    /// The creation record breaks a rule itself.
    #[error("the creation record is not valid")]
    Record,
    /// Without the key and the changes of members that it is measured by.
    #[error("the committee's key and changes up to epoch {0} are missing, by which it is measured")]
    NoHistory(Epoch),
    /// With keys by which nothing is measured, or that lead to another epoch.
    #[error("the keys and changes in the evidence do not lead to the epoch that it is of: {0}")]
    Epoch(Epoch),
    /// A key or change in the evidence is not the committee's.
    #[error("a key or change in the evidence is not the committee's: {0}")]
    Key(KeyRecordError),
    /// The plan of a reshare is none for this committee.
    #[error("the plan in the evidence is none for this committee: {0}")]
    Plan(PlanError),
    /// The plan of a repair is none for this committee.
    #[error("the plan in the evidence is none for this committee: {0}")]
    RepairPlan(RepairPlanError),
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
    /// Evidence of what a party did in a step; `None` if that is no proof.
    #[must_use]
    pub fn of_step(committee: CommitteeId, culprit: Culprit, act: &Act) -> Option<Self> {
        let act = steps::in_one_form(act);
        let evidence = Self::new(committee, culprit, Fact::Step { act });
        evidence.kind().is_some().then_some(evidence)
    }

    pub(crate) const fn new(committee: CommitteeId, culprit: Culprit, fact: Fact) -> Self {
        Self {
            version: EVIDENCE_VERSION,
            committee,
            culprit,
            fact,
            history: None,
        }
    }

    /// The epoch by whose members or key it is measured; `None` if the creation record says all.
    #[must_use]
    pub fn needs(&self) -> Option<Epoch> {
        match &self.fact {
            Fact::Step { act } => match act {
                Act::BadShare { share, .. } => Some(share.epoch),
                // Coordinators are the same in every epoch, and no package names one.
                Act::PackagedTwice(_) => None,
                // Measured by the second key, whose record it carries, or by that which attests.
                Act::BadLeafShare(leaf) if leaf.evm.is_some() => None,
                Act::BadLeafShare(_) => act.epoch(),
                _ => act.epoch().filter(|epoch| *epoch != FIRST_EPOCH),
            },
            Fact::Ceremony { plan, .. } => plan.as_ref().map(|plan| plan.base),
            Fact::Repair { plan, .. } => Some(plan.epoch),
        }
    }

    /// The same with as much of the history as it needs, or with none if that has not as much.
    #[must_use]
    pub fn with_history(mut self, history: &History) -> Self {
        let part = self.needs().and_then(|epoch| history.up_to(epoch));
        self.history = part.map(Box::new);
        self
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
            Fact::Step { act } => match act {
                Act::ProposedTwice(_) => Some(Kind::ProposedTwice),
                Act::PackagedTwice(_) => Some(Kind::PackagedTwice),
                Act::VotedTwice(_) => Some(Kind::VotedTwice),
                Act::ObservedTwice(_) => Some(Kind::ObservedTwice),
                Act::BadShare { .. } => Some(Kind::BadShare),
                Act::BadLeafShare(_) => Some(Kind::BadLeafShare),
                Act::VotedOtherwise { .. } | Act::Absent { .. } | Act::Withheld { .. } => None,
            },
            Fact::Ceremony { act, .. } => Some(match act {
                CeremonyAct::Round1Twice(_) => Kind::Round1Twice,
                CeremonyAct::BadRound1(_) => Kind::BadRound1,
                CeremonyAct::EchoTwice(_) => Kind::EchoTwice,
                CeremonyAct::EchoDeniesOwn(_) => Kind::EchoDeniesOwn,
                CeremonyAct::BadDealing(_) => Kind::BadDealing,
                CeremonyAct::FalseAccusation(_) => Kind::FalseAccusation,
                CeremonyAct::CertifiedTwice(_) => Kind::CertifiedTwice,
                CeremonyAct::NoncesTwice(_) => Kind::NoncesTwice,
                CeremonyAct::BadNonces(_) => Kind::BadNonces,
                CeremonyAct::BadCanaryShare(_) => Kind::BadCanaryShare,
            }),
            Fact::Repair { act, .. } => Some(match act {
                RepairDeed::MaskTwice(_) => Kind::MaskTwice,
                RepairDeed::EchoTwice(_) => Kind::EchoTwice,
                RepairDeed::BadMask(_) => Kind::BadMask,
                RepairDeed::BadPart(_) => Kind::BadPart,
                RepairDeed::BadSum(_) => Kind::BadSum,
                RepairDeed::FalseAccusation(_) => Kind::FalseAlarm,
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
        let generation = self.generation(record)?;
        let generation = generation.as_ref();
        let guilt = match &self.fact {
            Fact::Step { act } => steps::judge(record, self.culprit, act, generation)?,
            Fact::Ceremony { act, plan } => {
                crate::dkg::evidence::judge(record, act, plan.as_deref(), generation)?
            }
            Fact::Repair { act, plan } => {
                let generation = generation.ok_or(EvidenceError::NoHistory(plan.epoch))?;
                crate::repair::evidence::judge(act, plan, generation)?
            }
        };
        if guilt.culprit != self.culprit {
            return Err(EvidenceError::Unfounded);
        }
        Ok(Conviction {
            culprit: guilt.culprit,
            identity: guilt.identity,
            epoch: guilt.epoch,
            kind,
            place: guilt.place,
        })
    }

    /// What it needs, and nothing else: a file has one form.
    fn generation(&self, record: &CreationRecord) -> Result<Option<Generation>, EvidenceError> {
        match (self.needs(), &self.history) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(EvidenceError::Epoch(FIRST_EPOCH)),
            (Some(epoch), None) => Err(EvidenceError::NoHistory(epoch)),
            (Some(epoch), Some(history)) => history.check(record, epoch).map(Some),
        }
    }
}

/// Whom signed words convict, and where it was.
pub(crate) struct Guilt {
    pub(crate) culprit: Culprit,
    pub(crate) identity: IdentityKey,
    pub(crate) epoch: Epoch,
    pub(crate) place: Place,
}

impl fmt::Display for Conviction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let epoch = self.epoch;
        write!(f, "{} {}", self.culprit, self.kind)?;
        match self.place {
            Place::Step(seq, view) => write!(f, " (epoch {epoch}, step {seq}, view {view})"),
            Place::Ceremony { attempt, .. } => write!(f, " (epoch {epoch}, attempt {attempt})"),
        }
    }
}
