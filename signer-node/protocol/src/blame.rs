//! Who did what, with the signed bytes that prove it to anyone, offline.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use attestation::ids::{Digest, Epoch, Seq, Slot, View};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use state::job::SignedVote;
use state::pull::SignedObservation;

use crate::committee::Committee;
use crate::dkg::KeyRecord;
use crate::identity::VerifyIdentity;
use crate::lane::{self, LanePackage, LaneShare};
use crate::message::{
    Certificate, Lane, SignedNonces, SignedPackage, SignedProposal, SignedShare, Stated,
};

/// What a party did that the rules forbid, or did not do that they ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// A coordinator proposed two jobs for one (seq, view).
    ProposedTwice(Box<[SignedProposal; 2]>),
    /// A coordinator sent two packages for one (seq, view, attempt).
    PackagedTwice(Box<[SignedPackage; 2]>),
    /// A member voted for two statements at one (seq, view). The second may be of another epoch: the
    /// step before gives a seq its epoch, so that no honest member votes for one seq in two.
    VotedTwice(Box<[SignedVote; 2]>),
    /// A member voted for another statement than the one that t members certified in that view.
    /// No proof on its own: a coordinator that gave it another job shows the same picture.
    VotedOtherwise {
        /// The member's vote.
        vote: Box<SignedVote>,
        /// The votes of the others.
        certificate: Certificate,
    },
    /// A member's share does not verify under its verifying share.
    BadShare {
        /// The share.
        share: Box<SignedShare>,
        /// The package it answers.
        package: Box<SignedPackage>,
        /// What was to be signed.
        stated: Box<Stated>,
    },
    /// A member's share for what an attested leaf orders does not verify under its verifying share.
    BadLeafShare(Box<LeafShare>),
    /// A member signed two observations for one (request, seq).
    ObservedTwice(Box<[SignedObservation; 2]>),
    /// A member did not vote while the others did. No proof: networks fail too.
    Absent {
        /// Step.
        seq: Seq,
        /// View.
        view: View,
    },
    /// A member voted and did not answer the package. No proof: networks fail too.
    Withheld {
        /// Step.
        seq: Seq,
        /// View.
        view: View,
    },
}

/// A member's share for what an attested leaf orders (rule E3), and what it is measured by.
///
/// An honest member answers a package only if it derives the message from the leaf itself, and finds
/// its own commitments in it: those name lane, epoch and step, and are signed by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafShare {
    /// The share.
    pub share: LaneShare,
    /// The package it answers.
    pub package: LanePackage,
    /// The bytes that were to be signed.
    pub message: ByteBuf,
    /// The record of the second key, of a share under that one: no change of members leads to it.
    pub evm: Option<KeyRecord>,
}

impl LeafShare {
    /// The commitments that the share was made with.
    #[must_use]
    pub fn own(&self) -> Option<&SignedNonces> {
        let mut nonces = self.package.nonces.iter();
        nonces.find(|nonces| nonces.slot == self.share.slot)
    }

    /// Whether its member and its coordinator signed their parts of it.
    #[must_use]
    pub(crate) fn is_signed(&self, committee: &Committee, verify: &impl VerifyIdentity) -> bool {
        let own = self.own();
        self.share.is_signed(committee, verify)
            && own.is_some_and(|own| committee.committed(own, verify))
            && self.package.is_signed(committee, verify)
    }

    /// Whether what is signed belongs together: share, package, message and key.
    fn is_whole(&self, committee: &Committee) -> bool {
        let is_of_key = self.own().is_some_and(|own| match own.lane {
            Lane::Steps => false,
            Lane::Nom => self.evm.is_none(),
            Lane::Evm => self.evm.is_some(),
        });
        is_of_key
            && self.share.package == self.package.digest(committee.domain())
            && self.package.message == lane::digest(&self.message)
    }
}

/// A party that is blamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Culprit {
    /// A member.
    Member(Slot),
    /// A coordinator, by rank.
    Coordinator(u16),
}

/// Who said what in a view without certificate (rule A7): with the job, which names its own witness,
/// anyone can run it again offline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divergence {
    /// Step.
    pub seq: Seq,
    /// View.
    pub view: View,
    /// [`state::job::Job::digest`] of what was proposed.
    pub job: Digest,
    /// All votes of the view.
    pub votes: Vec<SignedVote>,
    /// Members that did not vote.
    pub silent: Vec<Slot>,
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(slot) => write!(f, "member {slot}"),
            Self::Coordinator(rank) => write!(f, "coordinator {rank}"),
        }
    }
}

/// What was done, after the culprit's name.
impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProposedTwice(_) => f.write_str("proposed two jobs for one view"),
            Self::PackagedTwice(_) => f.write_str("sent two packages for one attempt"),
            Self::VotedTwice(both) => {
                let [SignedVote { seq, view, .. }, _] = both.as_ref();
                write!(f, "voted for two statements at step {seq} (view {view})")
            }
            Self::VotedOtherwise { vote, .. } => write!(
                f,
                "voted for another statement than t members at step {} (view {})",
                vote.seq, vote.view
            ),
            Self::BadShare { share, .. } => write!(
                f,
                "gave a bad signature share at step {} (view {})",
                share.seq, share.view
            ),
            Self::BadLeafShare(leaf) => {
                f.write_str("gave a bad signature share for what a leaf orders")?;
                let own = leaf.own();
                own.map_or(Ok(()), |own| write!(f, " (step {})", own.seq))
            }
            Self::ObservedTwice(both) => {
                let [SignedObservation { seq, request, .. }, _] = both.as_ref();
                write!(
                    f,
                    "signed two observations for request {request} at step {seq}"
                )
            }
            Self::Absent { seq, view } => write!(f, "did not vote at step {seq} (view {view})"),
            Self::Withheld { seq, view } => write!(
                f,
                "voted and gave no signature share at step {seq} (view {view})"
            ),
        }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, view, job, .. } = self;
        write!(f, "no agreement on step {seq} (view {view}, job {job})")?;
        for vote in &self.votes {
            write!(f, "; member {} for {}", vote.slot, vote.statement)?;
        }
        for slot in &self.silent {
            write!(f, "; member {slot} silent")?;
        }
        Ok(())
    }
}

impl Act {
    /// Step and view of the act.
    #[must_use]
    pub fn place(&self) -> Option<(Seq, View)> {
        match self {
            Self::ProposedTwice(both) => {
                let [proposal, _] = both.as_ref();
                Some((proposal.seq, proposal.view))
            }
            Self::PackagedTwice(both) => {
                let [package, _] = both.as_ref();
                let claim = package.certificate.claim()?;
                Some((claim.seq, claim.view))
            }
            Self::VotedTwice(both) => {
                let [vote, _] = both.as_ref();
                Some((vote.seq, vote.view))
            }
            Self::VotedOtherwise { vote, .. } => Some((vote.seq, vote.view)),
            Self::BadShare { share, .. } => Some((share.seq, share.view)),
            // Lanes sign in no view.
            Self::BadLeafShare(leaf) => leaf.own().map(|own| (own.seq, own.view)),
            // Members observe in no view.
            Self::ObservedTwice(both) => {
                let [observation, _] = both.as_ref();
                Some((observation.seq, View(0)))
            }
            Self::Absent { seq, view } | Self::Withheld { seq, view } => Some((*seq, *view)),
        }
    }

    /// Epoch of the act, as far as its messages say. Those of a coordinator that sent two packages
    /// say it in the votes that it passed on, which prove nothing against it.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::ProposedTwice(both) => both.first().map(|proposal| proposal.epoch),
            Self::PackagedTwice(both) => {
                let votes = both.first().map(|package| &package.certificate.votes);
                votes?.first().map(|vote| vote.epoch)
            }
            Self::VotedTwice(both) => both.first().map(|vote| vote.epoch),
            Self::VotedOtherwise { vote, .. } => Some(vote.epoch),
            Self::BadShare { share, .. } => Some(share.epoch),
            Self::BadLeafShare(leaf) => leaf.own().map(|own| own.epoch),
            Self::ObservedTwice(both) => both.first().map(|observation| observation.epoch),
            Self::Absent { .. } | Self::Withheld { .. } => None,
        }
    }

    /// Whether the signatures in the evidence prove the act to a third party.
    ///
    /// A bad share's signatures are checked here; that its share fails is for
    /// [`share_fails`](crate::evidence::share_fails) to check, which is given the verifying
    /// shares, and of one for a leaf for [`leaf_share_fails`](crate::evidence::leaf_share_fails).
    #[must_use]
    pub fn proves(
        &self,
        culprit: Culprit,
        committee: &Committee,
        verify: &impl VerifyIdentity,
    ) -> bool {
        match (self, culprit) {
            (Self::ProposedTwice(both), Culprit::Coordinator(rank)) => {
                let [a, b] = both.as_ref();
                a.rank == rank
                    && b.rank == rank
                    && (a.seq, a.view) == (b.seq, b.view)
                    && a.job != b.job
                    && !a.is_first()
                    && both
                        .iter()
                        .all(|proposal| committee.proposed(proposal, verify))
            }
            (Self::PackagedTwice(both), Culprit::Coordinator(rank)) => {
                let [a, b] = both.as_ref();
                let claims = (a.certificate.claim(), b.certificate.claim());
                let place = |package: &SignedPackage| {
                    package
                        .certificate
                        .claim()
                        .map(|claim| (claim.seq, claim.view))
                };
                a.rank == rank
                    && b.rank == rank
                    && claims.0.is_some()
                    && (place(a), a.attempt) == (place(b), b.attempt)
                    && a.digest(committee.domain()) != b.digest(committee.domain())
                    && both
                        .iter()
                        .all(|package| committee.packaged(package, verify))
            }
            (Self::VotedTwice(both), Culprit::Member(slot)) => {
                let [a, b] = both.as_ref();
                a.slot == slot
                    && b.slot == slot
                    && (a.seq, a.view) == (b.seq, b.view)
                    && (a.epoch, a.statement, a.mask) != (b.epoch, b.statement, b.mask)
                    && committee.voted(a, verify)
                    && committee.voted_in_any(b, verify)
            }
            (Self::ObservedTwice(both), Culprit::Member(slot)) => {
                let [a, b] = both.as_ref();
                let said = |one: &SignedObservation| (one.time_ms, one.values.clone());
                a.slot == slot
                    && b.slot == slot
                    && (a.epoch, a.seq, a.request) == (b.epoch, b.seq, b.request)
                    && said(a) != said(b)
                    && both.iter().all(|one| committee.observed(one, verify))
            }
            (
                Self::BadShare {
                    share,
                    package,
                    stated,
                },
                Culprit::Member(slot),
            ) => {
                let claim = package.certificate.check(committee, verify);
                share.slot == slot
                    && share.package == package.digest(committee.domain())
                    && claim.is_ok_and(|claim| claim.statement == stated.statement())
                    && committee.shared(share, verify)
                    && committee.packaged(package, verify)
            }
            (Self::BadLeafShare(leaf), Culprit::Member(slot)) => {
                leaf.share.slot == slot
                    && leaf.is_whole(committee)
                    && leaf.is_signed(committee, verify)
            }
            (Self::VotedOtherwise { .. } | Self::Absent { .. } | Self::Withheld { .. }, _)
            | (_, Culprit::Member(_) | Culprit::Coordinator(_)) => false,
        }
    }
}
