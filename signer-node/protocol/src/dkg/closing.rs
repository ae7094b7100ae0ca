//! The end of an attempt: certificate, being bound, canary.

use alloc::boxed::Box;
use alloc::vec;
use core::mem;

use frost_core::Ciphersuite;
use rand_core::{CryptoRng, RngCore};

use super::attempt::{Attempt, Effects, Stage, Step};
use super::canary::{Canary, Outcome};
use super::setup::Setup;
use super::{Act, KeyShare};
use crate::identity::SignIdentity;
use crate::message::{Certification, DkgBody};
use light_client::key_record::certified;

impl<C: Ciphersuite> Attempt<C> {
    /// Signs that the share is durable.
    pub(super) fn certify(
        &mut self,
        setup: &Setup<C>,
        identity: &impl SignIdentity,
        share: &KeyShare<C>,
    ) {
        let public = share.public.serialize().expect("a public package encodes");
        let digest = certified(&share.session, &share.transcript, &public);
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
        if let Some((culprit, _)) = others.find(|(_, (theirs, _))| *theirs != digest) {
            return (
                Stage::Certificates,
                Step::Fault(vec![*culprit], Act::Certify),
            );
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
        let was_bound = effects
            .share
            .as_mut()
            .is_some_and(|share| mem::replace(&mut share.bound, true));
        let number = if was_bound {
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
        let (Some(share), Some(digest)) = (effects.share.as_ref(), self.digest) else {
            return Stage::Certificates;
        };
        let round = self.inbox.round_min;
        let canary = Canary::new(effects.setup, share, &digest, round, now_ms, rng);
        self.deadline_ms = Some(canary.deadline_ms);
        self.show_certificate(effects);
        let setup = effects.setup;
        let nonces = setup.envelope(effects.identity, self.number, canary.nonces_body());
        effects.tell_members(&nonces);
        self.outbox.nonces = Some(nonces);
        self.outbox.share = None;
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
        let Some(share) = effects.share.as_ref() else {
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
            Outcome::Faults(culprits) => Step::Fault(culprits, Act::CanaryShare),
            Outcome::Signature(signature) => {
                match share.record(&setup.domain, self.inbox.certifications(), signature) {
                    Some(record) => Step::Key(Box::new(record)),
                    None => Step::Fault(vec![], Act::Refused),
                }
            }
        };
        (Stage::Canary(canary), step)
    }
}
