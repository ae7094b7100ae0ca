//! Packages (rule A6): the lock first, then one share.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use attestation::ids::{Attempt, Signature};
use attestation::receipt;
use frost_core::round1::SigningCommitments;
use frost_core::{Ciphersuite, Identifier, SigningPackage};
use rand_core::{CryptoRng, RngCore};
use serde_bytes::ByteBuf;
use state::job::SignedVote;

use super::{Halt, Output, Packaged, Report, Signer};
use crate::blame::{Act, Culprit};
use crate::dkg::packages::canonical;
use crate::identity::{SignIdentity, Verify};
use crate::message::{Certificate, Lane, SignedNonces, SignedPackage, SignedShare, ToCoordinator};
use crate::nonce::{Binding, OneShotNonces};
use crate::planted::{self, Bug};
use crate::register::{Locked, Record};

/// Why a package is not signed. The nonces are untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// Not signed by the leader of the current view.
    #[error("not signed by the leader of the current view")]
    Leader,
    /// The certificate is not one, or of another epoch, seq or view than the current.
    #[error("no certificate of the current epoch, seq and view")]
    Certificate,
    /// The signing set is not the certificate's t voters.
    #[error("the signing set is not the certificate's t voters")]
    Set,
    /// Commitments that their member did not sign for this lane, epoch, seq and view, or that
    /// are no points of the group.
    #[error("commitments that their member did not sign for this signing")]
    Commitments,
    /// The own commitments are not the ones last offered.
    #[error("own commitments are not the ones last offered")]
    OwnCommitments,
    /// This member did not vote for the certificate's statement in this view.
    #[error("this member did not vote for the statement in this view")]
    Statement,
    /// More signings in one view than n − t + 1.
    #[error("more signings in one view than n - t + 1")]
    Attempts,
}

impl<C: Ciphersuite, I: SignIdentity, V: Verify> Signer<C, I, V> {
    pub(super) fn on_package(&mut self, now_ms: u64, rank: u16, package: SignedPackage) {
        let Some(cast) = &self.cast else {
            return;
        };
        // The same package again is the same share again: its nonces are gone.
        if let Some((answered, share)) = &cast.answered {
            if *answered == package {
                let share = share.as_ref().clone();
                return self.tell(rank, ToCoordinator::Share(share));
            }
            if self.packaged_twice(rank, answered, &package) {
                let act = Act::PackagedTwice(Box::new([answered.clone(), package]));
                let culprit = Culprit::Coordinator(rank);
                return self.report(Report::PackagedTwice, Output::Blame { culprit, act });
            }
        }
        let signing = match self.check_package(rank, &package) {
            Ok(signing) => signing,
            Err(reason) => {
                return self
                    .outputs
                    .push_back(Output::PackageRefused { rank, reason });
            }
        };
        self.verified.clone_from(&package.certificate.votes);
        self.remember_votes(&package.certificate.votes);
        let lock = Locked {
            lane: Lane::Steps,
            certificate: package.certificate.clone(),
        };
        match self.append(Record::Lock(lock)) {
            Ok(gate) => {
                // A status tells of the lock: it must not know more than a restart would.
                self.view_gate = self.view_gate.max(gate);
                self.pace.agreed(now_ms);
                let package = Box::new(package);
                if let Some(cast) = &mut self.cast {
                    cast.package = Some(Packaged {
                        package,
                        signing,
                        gate,
                    });
                }
            }
            Err(refused) => self.halt(Halt::Register(refused)),
        }
    }

    /// Every check of rule A6, before anything is recorded or a nonce is touched.
    pub(super) fn check_package(
        &self,
        rank: u16,
        package: &SignedPackage,
    ) -> Result<SigningPackage<C>, PackageError> {
        let cast = self.cast.as_ref().ok_or(PackageError::Statement)?;
        let lower = planted::is(Bug::LowerView);
        let leads = package.rank == rank && (lower || self.committee.leader(self.view()) == rank);
        if !leads || !self.committee.packaged(package, &self.verify) {
            return Err(PackageError::Leader);
        }
        let known = |vote: &SignedVote| *vote == cast.vote || self.verified.contains(vote);
        let claim = package
            .certificate
            .check_except(&self.committee, &self.verify, known)
            .map_err(|_| PackageError::Certificate)?;
        let view = if lower { cast.vote.view } else { self.view() };
        if claim.view != view || Some(claim.seq) != self.head_seq().next() {
            return Err(PackageError::Certificate);
        }
        if claim.statement != cast.vote.statement || !cast.sent {
            return Err(PackageError::Statement);
        }
        if cast.signings >= self.committee.quorum().blocking() {
            return Err(PackageError::Attempts);
        }
        self.check_set(&package.certificate, &package.nonces)?;
        // A commitment that this signer did not make for this signing would frame it.
        let own = package
            .nonces
            .iter()
            .find(|nonces| nonces.slot == self.slot);
        if own != Some(&cast.offered) || cast.nonces.is_none() {
            return Err(PackageError::OwnCommitments);
        }
        let (stated, key) = (&cast.stated, self.committee.group_key());
        let message = receipt::sig_structure(&stated.commit, &stated.root, key);
        // Bytes that are no points would cost the nonces and give no share.
        signing_package(&package.nonces, &message).ok_or(PackageError::Commitments)
    }

    /// The set is the certificate's voters: exactly t current members, in slot order, each with
    /// commitments that it signed for this very signing. FROST itself checks none of this.
    fn check_set(
        &self,
        certificate: &Certificate,
        nonces: &[SignedNonces],
    ) -> Result<(), PackageError> {
        let set = nonces.iter().map(|nonces| nonces.slot);
        if !set.eq(certificate.votes.iter().map(|vote| vote.slot)) {
            return Err(PackageError::Set);
        }
        let claim = certificate.claim().ok_or(PackageError::Certificate)?;
        for nonces in nonces.iter().filter(|nonces| nonces.slot != self.slot) {
            let bound =
                nonces.lane == Lane::Steps && (nonces.seq, nonces.view) == (claim.seq, claim.view);
            if !bound || !self.committee.committed(nonces, &self.verify) {
                return Err(PackageError::Commitments);
            }
        }
        Ok(())
    }

    /// Signs what is locked on disk. Nonces are consumed by value, fresh ones are offered.
    pub(super) fn release_share(&mut self, rng: &mut (impl RngCore + CryptoRng)) {
        let durable = self.durable;
        let Some(cast) = &mut self.cast else {
            return;
        };
        let early = planted::is(Bug::ShareBeforeLock);
        let Some(ready) = cast
            .package
            .take_if(|waiting| waiting.gate <= durable || early)
        else {
            return;
        };
        let Some(nonces) = cast.nonces.take() else {
            return;
        };
        cast.signings += 1;
        let (vote, signings) = (cast.vote.clone(), cast.signings);
        let (next, offered) = self.fresh_nonces(rng, &vote, Attempt(signings));
        #[cfg(feature = "planted")]
        let (next, offered) = match planted::is(Bug::NonceKept) {
            true => self.offer(nonces.duplicate(*next.binding())),
            false => (next, offered),
        };
        let binding = self.binding(&vote, Attempt(signings - 1));
        let share = self.sign_share((nonces, &binding), &ready, offered.clone());
        let Some(cast) = &mut self.cast else {
            return;
        };
        cast.nonces = Some(next);
        cast.offered = offered;
        let Some(share) = share else {
            return;
        };
        cast.answered = Some((*ready.package, Box::new(share.clone())));
        let rank = cast.rank;
        self.tell(rank, ToCoordinator::Share(share));
    }

    fn sign_share(
        &self,
        (nonces, binding): (OneShotNonces<C>, &Binding),
        ready: &Packaged<C>,
        next: SignedNonces,
    ) -> Option<SignedShare> {
        let package = &ready.package;
        let share = nonces.sign(binding, &ready.signing, &self.key).ok()?;
        let domain = self.committee.domain();
        let mut share = SignedShare {
            slot: self.slot,
            epoch: binding.epoch,
            seq: binding.seq,
            view: binding.view,
            attempt: package.attempt,
            package: package.digest(domain),
            share: ByteBuf::from(share),
            signature: Signature::from_bytes([0; 64]),
            next,
        };
        share.signature = self.identity.sign(&share.signed_bytes(domain));
        Some(share)
    }

    fn packaged_twice(&self, rank: u16, first: &SignedPackage, second: &SignedPackage) -> bool {
        let place = |package: &SignedPackage| {
            let claim = package.certificate.claim();
            claim.map(|claim| (claim.seq, claim.view, package.attempt, package.rank))
        };
        // Of an earlier seq it is only late: a view goes on from step to step.
        place(first) == place(second)
            && second.rank == rank
            && self.committee.packaged(second, &self.verify)
    }
}

/// The FROST package of signed commitments over a message, if their points decode.
#[must_use]
pub fn signing_package<C: Ciphersuite>(
    nonces: &[SignedNonces],
    message: &[u8],
) -> Option<SigningPackage<C>> {
    let mut commitments = BTreeMap::new();
    for nonces in nonces {
        let id = Identifier::<C>::try_from(nonces.slot.0).ok()?;
        commitments.insert(id, commitments_of(nonces)?);
    }
    Some(SigningPackage::new(commitments, message))
}

/// The commitments, if the bytes are the one encoding of points of the group that are not the
/// identity.
#[must_use]
pub fn commitments_of<C: Ciphersuite>(nonces: &SignedNonces) -> Option<SigningCommitments<C>> {
    canonical(
        &nonces.commitments,
        SigningCommitments::deserialize,
        SigningCommitments::serialize,
    )
}
