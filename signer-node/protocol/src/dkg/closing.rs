//! The end of an attempt: certificate, being bound, canary.

use alloc::boxed::Box;
use alloc::vec;
use frost_core::Ciphersuite;
use rand_core::{CryptoRng, RngCore};

use super::attempt::{Attempt, Effects, Stage, Step};
use super::canary::{Canary, Outcome};
use super::setup::Setup;
use super::{Act, DkgOutput, KeyShare};
use crate::identity::SignIdentity;
use crate::message::{Certification, DkgBody};

impl<C: Ciphersuite> Attempt<C> {
    /// Signs that the share is durable.
    pub(super) fn certify(
        &mut self,
        setup: &Setup<C>,
        identity: &impl SignIdentity,
        share: &KeyShare<C>,
    ) {
        let digest = share.certified();
        let body = DkgBody::Certify(digest);
        let message = setup.envelope(identity, self.number, body);
        let certification = Certification {
            boot: message.boot,
            signature: message.signature,
        };
        self.inbox
            .certified
            .insert(setup.slot, (digest, certification));
        self.digest = Some(digest);
        self.outbox.certify = Some(message);
    }

    /// All have certified: bound from here on, durably, before the canary.
    pub(super) fn leave_certificates<I: SignIdentity>(
        &mut self,
        effects: &mut Effects<'_, C, I>,
    ) -> (Stage<C>, Step) {
        let Some(digest) = self.digest else {
            return (Stage::Certificates, Step::Waits);
        };
        let mut others = self.inbox.certified.iter();
        let otherwise = others.find(|(_, (theirs, _))| *theirs != digest);
        if let Some(certify) = otherwise
            .and_then(|(culprit, _)| self.inbox.certify(*culprit, self.session, self.number))
        {
            let fault = Step::Fault(vec![certify.slot], Act::Certify(Box::new(certify)));
            return (Stage::Certificates, fault);
        }
        if self.inbox.certified.len() < effects.setup.membership.count() {
            return (Stage::Certificates, Step::Waits);
        }
        self.bound = true;
        self.deadline_ms = None;
        self.outbox.round2.clear();
        if !effects.setup.receives(effects.setup.slot) {
            self.show_certificate(effects);
            return (Stage::Record, Step::Moved);
        }
        let number = if effects.shares.bind(&self.session) {
            effects.persists.1
        } else {
            effects.persist()
        };
        (Stage::Bound(number), Step::Moved)
    }

    pub(super) fn open_canary<I: SignIdentity>(
        &mut self,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
        effects: &mut Effects<'_, C, I>,
    ) -> Stage<C> {
        let (Some(share), Some(digest)) = (effects.shares.of(&self.session), self.digest) else {
            return Stage::Certificates;
        };
        let round = self.inbox.round_min;
        let canary = Canary::new(share, &digest, round, now_ms, rng);
        self.deadline_ms = Some(canary.deadline_ms);
        self.show_certificate(effects);
        let setup = effects.setup;
        let nonces = setup.envelope(effects.identity, self.number, canary.nonces_body());
        effects.tell_members(&nonces);
        self.outbox.nonces = Some(nonces);
        self.outbox.share = None;
        self.outbox.drop_evidence();
        Stage::Canary(Box::new(canary))
    }

    /// From now on repeats all members' certifications, which serve the late better than this
    /// member's alone, and which the finished answer with the key record.
    fn show_certificate<I: SignIdentity>(&mut self, effects: &Effects<'_, C, I>) {
        let Some(digest) = self.digest else {
            return;
        };
        let certificate = DkgBody::Certificate {
            digest,
            certifications: self.inbox.certifications(),
        };
        let message = effects
            .setup
            .envelope(effects.identity, self.number, certificate);
        self.outbox.certify = Some(message);
    }

    pub(super) fn step_canary<I: SignIdentity>(
        &mut self,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
        mut canary: Box<Canary<C>>,
        effects: &mut Effects<'_, C, I>,
    ) -> (Stage<C>, Step) {
        if canary.deadline_ms <= now_ms {
            self.inbox.round_min = self.inbox.round_min.max(canary.round.saturating_add(1));
        }
        if self.inbox.round_min > canary.round {
            return (self.open_canary(now_ms, rng, effects), Step::Moved);
        }
        let Some(share) = effects.shares.of(&self.session) else {
            return (Stage::Canary(canary), Step::Waits);
        };
        let setup = effects.setup;
        let outcome = canary.step(setup, share, &self.inbox.nonces, &self.inbox.shares);
        let step = match outcome {
            Outcome::Waits => Step::Waits,
            Outcome::Signed(body) => {
                let message = setup.envelope(effects.identity, self.number, body);
                effects.tell_members(&message);
                self.outbox.share = Some(message);
                Step::Moved
            }
            Outcome::Faults(culprits, deed) => Step::Fault(culprits, Act::CanaryShare(deed)),
            Outcome::Refused => Step::Fault(vec![], Act::Refused),
            Outcome::Signature(signature) => {
                match share.record(&setup.domain, self.inbox.certifications(), signature) {
                    Some(record) => Step::Key(Box::new(record)),
                    None => Step::Fault(vec![], Act::Refused),
                }
            }
        };
        self.compare_nonces(&mut canary, effects);
        (Stage::Canary(canary), step)
    }

    /// Whoever signed over other commitments is shown those that are here: who gave two, to part
    /// the members, is convicted by them.
    fn compare_nonces<I: SignIdentity>(
        &mut self,
        canary: &mut Canary<C>,
        effects: &mut Effects<'_, C, I>,
    ) {
        let (setup, number) = (effects.setup, self.number);
        for to in canary.differing(&self.inbox.shares) {
            let all = self.inbox.nonces.iter();
            let others = all.filter(|(slot, nonces)| **slot != to && nonces.round == canary.round);
            for (_, nonces) in others {
                let sign = |body| setup.envelope(effects.identity, number, body);
                if let Some(message) = self.outbox.add_evidence(to, &nonces.envelope, sign) {
                    effects.outputs.push_back(DkgOutput::Send { to, message });
                }
            }
        }
    }
}
