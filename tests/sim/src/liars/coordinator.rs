//! What a lying coordinator does to its own messages, with all that liars have heard.

use std::collections::BTreeSet;

use attestation::ids::{Attempt, Seq, Signature, Slot, View, ZappId};
use serde_bytes::ByteBuf;
use signer_protocol::identity::SignIdentity as _;
use signer_protocol::message::{
    Certificate, Endpoint, Message, SignedPackage, SignedProposal, ToSigner,
};
use state::entry::HEAD;
use state::job::Job;
use state::step::run;
use state::witness::{Touched, Witness};

use super::{KEPT_MAX, Liars, Lied};
use crate::dice::Dice;
use crate::effects::is_package;
use crate::suite::Suite;
use crate::world::{Machine, World};
use crate::zapp::Engine;

/// What a coordinator does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CoordinatorLie {
    /// Runs two coordinators and shows each honest member one of them.
    TwoFaces,
    /// Dates jobs far from now.
    WrongTime,
    /// Invents an anchor.
    Anchor,
    /// Changes what callers asked for.
    Forge,
    /// Leaves entries out of the witness.
    Hole,
    /// Leaves out of the witness what lies between two entries that it shows.
    HideEntry,
    /// Sends packages of earlier views and steps again.
    OldPackage,
    /// Makes certificates of votes of several views, as they are and as if they were of one.
    Stitch,
    /// Makes certificates that count a member twice.
    CountTwice,
    /// Asks again with the same commitments.
    SameNonces,
    /// Asks for a signature of commitments that their member did not make.
    ForeignPoints,
    /// Proposes what an earlier certificate was for.
    OldCertificate,
    /// Makes certificates and tells no one.
    HoldPackages,
    /// Hears of no lock.
    ForgetLocks,
    /// Keeps attestations from some.
    HoldAttested,
    /// Never takes the requests of some.
    Censor,
    /// Proposes in views that others lead.
    Usurp,
    /// Says nothing for a while.
    Mute,
}

const ALL: [CoordinatorLie; 18] = [
    CoordinatorLie::TwoFaces,
    CoordinatorLie::WrongTime,
    CoordinatorLie::Anchor,
    CoordinatorLie::Forge,
    CoordinatorLie::Hole,
    CoordinatorLie::HideEntry,
    CoordinatorLie::OldPackage,
    CoordinatorLie::Stitch,
    CoordinatorLie::CountTwice,
    CoordinatorLie::SameNonces,
    CoordinatorLie::ForeignPoints,
    CoordinatorLie::OldCertificate,
    CoordinatorLie::HoldPackages,
    CoordinatorLie::ForgetLocks,
    CoordinatorLie::HoldAttested,
    CoordinatorLie::Censor,
    CoordinatorLie::Usurp,
    CoordinatorLie::Mute,
];

impl CoordinatorLie {
    /// One to five of them.
    pub fn draw(dice: &mut Dice) -> BTreeSet<Self> {
        let count = 1 + dice.below(5);
        dice.some(&ALL, count).into_iter().collect()
    }
}

impl Liars {
    /// Votes for one statement, of several views, as if they were a certificate.
    pub fn stitched(&self, seq: Seq) -> Option<Certificate> {
        let votes = self.votes.iter().find_map(|((at, _), votes)| {
            let views: BTreeSet<View> = votes.keys().map(|(_, view)| *view).collect();
            (*at == seq && views.len() > 1).then_some(votes)
        })?;
        let mut of = std::collections::BTreeMap::new();
        for ((slot, _), vote) in votes {
            of.insert(*slot, vote.clone());
        }
        Some(Certificate {
            votes: of.into_values().collect(),
        })
    }
}

impl<S: Suite> World<S> {
    /// What a lying coordinator sends in place of a message.
    pub fn coordinator_lies(&mut self, from: Machine, to: Endpoint, message: Message) -> Vec<Lied> {
        let lies = self.ranks.get(&from).map(|rank| rank.lies.clone());
        let lies = lies.unwrap_or_default();
        let committee = self.in_force(self.chain.head()).0.clone();
        self.liars.collect(&committee);
        if let Message::ToSigner(ToSigner::Package(package)) = &message {
            self.liars.packages.push(package.clone());
            if self.liars.packages.len() > KEPT_MAX {
                self.liars.packages.remove(0);
            }
        }
        if lies.is_empty() || !self.lies_now() {
            return vec![(to, message, 0)];
        }
        let mut sent = Vec::new();
        if lies.contains(&CoordinatorLie::OldPackage)
            && let Some(old) = self.dice.pick(&self.liars.packages).cloned()
        {
            sent.push((to, Message::ToSigner(ToSigner::Package(old)), 5));
        }
        let mute = lies.contains(&CoordinatorLie::Mute);
        let holds = lies.contains(&CoordinatorLie::HoldPackages) && is_package(&message);
        let attested = matches!(message, Message::ToSigner(ToSigner::Attested(_)));
        let hides = lies.contains(&CoordinatorLie::HoldAttested) && attested;
        if mute || holds || hides {
            return sent;
        }
        match message {
            Message::ToSigner(ToSigner::Job {
                proposal,
                job,
                certificate,
            }) => {
                let (proposal, job, certificate) =
                    self.false_job(from, &lies, (proposal, job, certificate));
                let job = ToSigner::Job {
                    proposal,
                    job,
                    certificate,
                };
                sent.push((to, Message::ToSigner(job), 0));
            }
            Message::ToSigner(ToSigner::Package(package)) => {
                for package in self.false_packages(from, &lies, &package) {
                    sent.push((to, Message::ToSigner(ToSigner::Package(package)), 0));
                }
            }
            message => sent.push((to, message, 0)),
        }
        sent
    }

    fn false_job(
        &mut self,
        from: Machine,
        lies: &BTreeSet<CoordinatorLie>,
        (mut proposal, mut job, mut certificate): (SignedProposal, Job, Option<Certificate>),
    ) -> (SignedProposal, Job, Option<Certificate>) {
        if lies.contains(&CoordinatorLie::OldCertificate)
            && let Some((shown, certified)) = self.old_certificate(&proposal)
        {
            (job, certificate) = (certified, Some(shown));
        } else if certificate.is_none() {
            if lies.contains(&CoordinatorLie::WrongTime) {
                job.context.time_ms += self.dice.within((31_000, 120_000));
            }
            if lies.contains(&CoordinatorLie::Anchor) {
                job.context.anchor_height = 1;
            }
            if lies.contains(&CoordinatorLie::Forge)
                && let Some(request) = job.requests.first_mut()
            {
                self.counts.add("request forged");
                request.call.gas_limit += 1;
            }
            if lies.contains(&CoordinatorLie::Hole) {
                job.witness = Witness::default();
            }
            if lies.contains(&CoordinatorLie::HideEntry)
                && let Some(witness) = self.hiding(&job)
            {
                self.counts.add("witness hides an entry");
                job.witness = witness;
            }
            if lies.contains(&CoordinatorLie::Usurp) {
                proposal.view = View(proposal.view.0 + 1);
            }
        }
        proposal.job = job.digest();
        let identity = self.founding.identity(from.party);
        let domain = self.founding.committee.domain();
        proposal.signature = identity.sign(&proposal.signed_bytes(domain));
        (proposal, job, certificate)
    }

    /// A witness that hides a key's predecessor and shows the list's head: whoever does not look at
    /// the links takes that for the predecessor.
    fn hiding(&mut self, job: &Job) -> Option<Witness> {
        let (params, state) = (&self.founding.params, self.chain.state());
        let outcome = run(
            params,
            &self.previous(job),
            job,
            state,
            &mut Engine::sound(),
        );
        let outcome = outcome.ok()?;
        let written = |zapp: &ZappId, key: &[u8]| {
            let mut writes = outcome.writes.iter();
            writes.any(|write| write.zapp == *zapp && write.key == key)
        };
        let entries = outcome.touched.keys();
        let links: Vec<(ZappId, &[u8])> = entries
            .filter(|(zapp, key)| **zapp != ZappId::SYSTEM && *key != HEAD && !written(zapp, key))
            .map(|(zapp, key)| (*zapp, key))
            .collect();
        let (zapp, hidden) = *self.dice.pick(&links)?;
        let mut shown = Touched::default();
        for (of, key) in outcome.touched.keys() {
            if (*of, key) != (zapp, hidden) {
                shown.see(of, key);
            }
        }
        shown.see(&zapp, HEAD);
        self.chain.state().witness(&shown).ok()
    }

    /// A certificate of an earlier view for this step, with the job behind it.
    fn old_certificate(&mut self, proposal: &SignedProposal) -> Option<(Certificate, Job)> {
        let at = self.liars.certificates.get(&proposal.seq)?;
        let known: Vec<(Certificate, Job)> = at
            .iter()
            .filter(|((view, _), _)| *view < proposal.view)
            .filter_map(|((_, statement), certificate)| {
                let job = self.watch.job(statement)?;
                Some((certificate.clone(), job.clone()))
            })
            .collect();
        self.dice.pick(&known).cloned()
    }

    /// The package, or others in its place, or both.
    fn false_packages(
        &mut self,
        from: Machine,
        lies: &BTreeSet<CoordinatorLie>,
        package: &SignedPackage,
    ) -> Vec<SignedPackage> {
        let mut packages = Vec::new();
        if lies.contains(&CoordinatorLie::Stitch) {
            packages.extend(self.stitch(package));
            packages.extend(self.relabel(package));
        }
        if lies.contains(&CoordinatorLie::CountTwice) {
            packages.extend(self.count_twice(package));
        }
        if lies.contains(&CoordinatorLie::ForeignPoints) {
            let mut foreign = package.clone();
            let at = self.dice.below(foreign.nonces.len());
            if let Some(nonces) = foreign.nonces.get_mut(at) {
                let length = nonces.commitments.len();
                nonces.commitments = ByteBuf::from(vec![7; length]);
            }
            packages.push(foreign);
        }
        packages.push(package.clone());
        if lies.contains(&CoordinatorLie::SameNonces) {
            let mut again = package.clone();
            again.attempt = Attempt(again.attempt.0 + 1);
            packages.push(again);
            let mut other = package.clone();
            other.signature = Signature::from_bytes([0; 64]);
            other.nonces.rotate_left(1);
            packages.push(other);
        }
        let identity = self.founding.identity(from.party);
        let domain = self.founding.committee.domain();
        for package in &mut packages {
            package.signature = identity.sign(&package.signed_bytes(domain));
        }
        packages
    }

    /// One vote of the certificate becomes one that its member gave in another view.
    fn stitch(&mut self, package: &SignedPackage) -> Option<SignedPackage> {
        let claim = package.certificate.claim()?;
        let heard = self.liars.votes.get(&(claim.seq, claim.statement))?;
        let mut stitched = package.clone();
        let others = stitched
            .certificate
            .votes
            .iter_mut()
            .skip(1)
            .find_map(|vote| {
                let mut of = heard.iter().filter(|((slot, _), _)| *slot == vote.slot);
                let other = of.find(|((_, view), _)| *view != claim.view)?;
                Some((vote, other.1.clone()))
            });
        let (vote, other) = others?;
        *vote = other;
        Some(stitched)
    }

    /// The vote and commitments of a member that is not in the set, from another view, as if they
    /// were of this one.
    fn relabel(&mut self, package: &SignedPackage) -> Option<SignedPackage> {
        let claim = package.certificate.claim()?;
        let heard = self.liars.votes.get(&(claim.seq, claim.statement))?;
        let is_in = |slot: Slot| package.nonces.iter().any(|nonces| nonces.slot == slot);
        let mut others = heard.iter().filter(|((slot, view), _)| {
            let voted_here = heard.contains_key(&(*slot, claim.view));
            !is_in(*slot) && *view != claim.view && !voted_here
        });
        let ((slot, view), vote) = others.next()?;
        let mut nonces = self.liars.offers.get(&(*slot, claim.seq, *view))?.clone();
        let mut vote = vote.clone();
        (vote.view, nonces.view) = (claim.view, claim.view);
        let mut relabelled = package.clone();
        let votes = &mut relabelled.certificate.votes;
        votes.pop()?;
        votes.push(vote);
        votes.sort_by_key(|vote| vote.slot);
        relabelled.nonces.pop()?;
        relabelled.nonces.push(nonces);
        relabelled.nonces.sort_by_key(|nonces| nonces.slot);
        self.counts.add("vote relabelled");
        Some(relabelled)
    }

    /// The last voter is left out and the one before counted twice.
    fn count_twice(&mut self, package: &SignedPackage) -> Option<SignedPackage> {
        let mut twice = package.clone();
        let votes = &mut twice.certificate.votes;
        votes.pop()?;
        votes.push(votes.last()?.clone());
        twice.nonces.pop()?;
        twice.nonces.push(twice.nonces.last()?.clone());
        Some(twice)
    }
}
