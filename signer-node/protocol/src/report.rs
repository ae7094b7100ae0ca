//! What a node keeps and shows of what its guests report of others: one encoding for the node that
//! writes it and for everybody who reads it.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use attestation::codec;
use attestation::ids::{Digest, Seq, StatementId, View};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use state::job::SignedVote;

use crate::blame::{Act, Culprit, Divergence};
use crate::evidence::{Evidence, Kind};

/// Something that an operator may have to show to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// A party did what the rules forbid, or did not do what they ask for.
    Blame {
        /// Who.
        culprit: Culprit,
        /// What, with evidence.
        act: Box<Act>,
    },
    /// A view ended without a certificate.
    Divergence(Divergence),
    /// What convicts whoever ended a ceremony, without the history that it may need.
    Ceremony(Box<Evidence>),
    /// This member ran a step to something else than t members.
    Dissent {
        /// Step.
        seq: Seq,
        /// View.
        view: View,
        /// What t members voted for.
        certified: StatementId,
        /// What this member came to.
        own: StatementId,
    },
}

impl Report {
    /// What kind of report it is, as the API names it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Divergence(_) => "divergence",
            Self::Dissent { .. } => "dissent",
            Self::Ceremony(evidence) => evidence.kind().map_or("unfounded", Kind::id),
            Self::Blame { act, .. } => match act.as_ref() {
                Act::ProposedTwice(_) => "proposed-twice",
                Act::PackagedTwice(_) => "packaged-twice",
                Act::VotedTwice(_) => "voted-twice",
                Act::ObservedTwice(_) => "observed-twice",
                Act::VotedOtherwise { .. } => "voted-otherwise",
                Act::BadShare { .. } => "bad-share",
                Act::BadLeafShare(_) => "bad-leaf-share",
                Act::Absent { .. } => "absent",
                Act::Withheld { .. } => "withheld",
            },
        }
    }

    /// Who is blamed, if somebody is.
    #[must_use]
    pub const fn culprit(&self) -> Option<Culprit> {
        match self {
            Self::Blame { culprit, .. } => Some(*culprit),
            Self::Ceremony(evidence) => Some(evidence.culprit),
            Self::Divergence(_) | Self::Dissent { .. } => None,
        }
    }

    /// Step and view that it is about.
    #[must_use]
    pub fn place(&self) -> Option<(Seq, View)> {
        match self {
            Self::Blame { act, .. } => act.place(),
            Self::Divergence(report) => Some((report.seq, report.view)),
            Self::Dissent { seq, view, .. } => Some((*seq, *view)),
            Self::Ceremony(_) => None,
        }
    }

    /// The signed votes in it: who said what.
    #[must_use]
    pub fn votes(&self) -> Vec<&SignedVote> {
        match self {
            Self::Divergence(report) => report.votes.iter().collect(),
            Self::Dissent { .. } | Self::Ceremony(_) => Vec::new(),
            Self::Blame { act, .. } => match act.as_ref() {
                Act::VotedTwice(both) => both.iter().collect(),
                Act::VotedOtherwise { vote, certificate } => core::iter::once(vote.as_ref())
                    .chain(&certificate.votes)
                    .collect(),
                Act::BadShare { package, .. } => package.certificate.votes.iter().collect(),
                Act::ProposedTwice(_)
                | Act::PackagedTwice(_)
                | Act::BadLeafShare(_)
                | Act::ObservedTwice(_)
                | Act::Absent { .. }
                | Act::Withheld { .. } => Vec::new(),
            },
        }
    }

    /// Digests of the jobs that it names.
    #[must_use]
    pub fn jobs(&self) -> Vec<Digest> {
        match self {
            Self::Divergence(report) => vec![report.job],
            Self::Blame { act, .. } => match act.as_ref() {
                Act::ProposedTwice(both) => both.iter().map(|proposal| proposal.job).collect(),
                _ => Vec::new(),
            },
            Self::Dissent { .. } | Self::Ceremony(_) => Vec::new(),
        }
    }

    /// What happened, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Self::Blame { culprit, act } => format!("{culprit} {act}"),
            Self::Divergence(report) => report.to_string(),
            Self::Ceremony(evidence) => match evidence.kind() {
                Some(kind) => format!("{} {kind}", evidence.culprit),
                None => format!("{}: unfounded", evidence.culprit),
            },
            Self::Dissent {
                seq,
                view,
                certified,
                own,
            } => format!(
                "this member ran step {seq} (view {view}) to {own}, t members to {certified}: \
                 check executor, image and machine"
            ),
        }
    }

    /// The canonical encoding: the evidence as others check it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The same for the same fact. Networks fail all the time: that a member was away is one fact
    /// however many steps it missed, and cannot push proofs out.
    #[must_use]
    pub fn id(&self) -> Digest {
        let bytes = match self {
            Self::Blame { culprit, act }
                if matches!(act.as_ref(), Act::Absent { .. } | Act::Withheld { .. }) =>
            {
                codec::encode(&(self.kind(), culprit))
            }
            report => report.to_bytes(),
        };
        Digest::from_bytes(Sha256::digest(bytes).into())
    }

    /// A statement that is or may become an accepted step, with the job that the report is about.
    #[must_use]
    pub fn statement(&self) -> Option<StatementId> {
        match self {
            Self::Dissent { certified, .. } => Some(*certified),
            Self::Blame { act, .. } => match act.as_ref() {
                Act::VotedOtherwise { certificate, .. } => {
                    certificate.claim().map(|claim| claim.statement)
                }
                Act::BadShare { stated, .. } => Some(stated.statement()),
                Act::VotedTwice(both) => both.first().map(|vote| vote.statement),
                Act::ProposedTwice(_)
                | Act::PackagedTwice(_)
                | Act::BadLeafShare(_)
                | Act::ObservedTwice(_)
                | Act::Absent { .. }
                | Act::Withheld { .. } => None,
            },
            Self::Divergence(_) | Self::Ceremony(_) => None,
        }
    }

    /// What this member came to, where others came to something else.
    #[must_use]
    pub const fn own(&self) -> Option<StatementId> {
        match self {
            Self::Dissent { own, .. } => Some(*own),
            Self::Blame { .. } | Self::Divergence(_) | Self::Ceremony(_) => None,
        }
    }
}
