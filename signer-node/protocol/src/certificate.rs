//! Certificates (rule A5): t equal votes of one epoch, seq and view.

use attestation::ids::View;
use state::job::SignedVote;

use crate::committee::Committee;
use crate::identity::VerifyIdentity;
use crate::message::{Certificate, LockClaim};
use crate::planted::{self, Bug};

/// Why votes are not a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not exactly t votes.
    #[error("{actual} votes, exactly {threshold} needed")]
    Count {
        /// Votes given.
        actual: usize,
        /// t.
        threshold: u16,
    },
    /// Not in strictly rising slot order: a member counted twice.
    #[error("votes are not in rising slot order")]
    Order,
    /// Votes of different epochs, seqs, views or statements.
    #[error("votes of different epochs, seqs, views or statements")]
    Mixed,
    /// A vote that no current member signed in this epoch.
    #[error("a vote that its member did not sign in this epoch")]
    Signature,
}

impl Certificate {
    /// What the certificate certifies by its first vote; [`Self::check`] makes it true.
    #[must_use]
    pub fn claim(&self) -> Option<LockClaim> {
        self.votes.first().map(|vote| LockClaim {
            seq: vote.seq,
            view: vote.view,
            statement: vote.statement,
        })
    }

    /// Checks rule A5 in full.
    ///
    /// # Errors
    /// [`CertificateError`] names the first check that failed.
    pub fn check(
        &self,
        committee: &Committee,
        verify: &impl VerifyIdentity,
    ) -> Result<LockClaim, CertificateError> {
        self.check_except(committee, verify, |_| false)
    }

    /// Checks rule A5, without verifying votes again that the caller knows as verified.
    ///
    /// # Errors
    /// [`CertificateError`] names the first check that failed.
    pub fn check_except(
        &self,
        committee: &Committee,
        verify: &impl VerifyIdentity,
        known: impl Fn(&SignedVote) -> bool,
    ) -> Result<LockClaim, CertificateError> {
        let threshold = committee.quorum().threshold();
        let count = CertificateError::Count {
            actual: self.votes.len(),
            threshold,
        };
        if self.votes.len() != usize::from(threshold) {
            return Err(count);
        }
        let claim = self.claim().ok_or(count)?;
        let rising = self.votes.iter().zip(self.votes.iter().skip(1));
        let twice = planted::is(Bug::DuplicateVoter);
        if rising
            .into_iter()
            .any(|(a, b)| a.slot >= b.slot && !(twice && a.slot == b.slot))
        {
            return Err(CertificateError::Order);
        }
        // One view for all: t votes gathered over two views prove nothing (rule A5).
        let same = |vote: &SignedVote| {
            let view = match planted::is(Bug::StitchedCertificate) {
                false => vote.view,
                true => claim.view,
            };
            (vote.seq, view, vote.statement) == (claim.seq, claim.view, claim.statement)
                && vote.epoch == committee.epoch()
        };
        if !self.votes.iter().all(same) {
            return Err(CertificateError::Mixed);
        }
        if !self
            .votes
            .iter()
            .all(|vote| known(vote) || committee.voted(vote, verify))
        {
            return Err(CertificateError::Signature);
        }
        Ok(claim)
    }

    /// The view of the votes; 0 for no votes.
    #[must_use]
    pub fn view(&self) -> View {
        self.claim().map_or(View(0), |claim| claim.view)
    }
}
