//! Complaints, and their proof: a signed envelope that everybody can judge for itself.
//!
//! A dealer signs what it deals to each member, so the envelope of a bad share convicts it. That
//! of a good one convicts its accuser, once the accuser has signed in its echo that it measures by
//! the same commitments.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use attestation::codec;
use attestation::ids::{Digest, Slot};
use frost_core::Ciphersuite;
use rand_core::{CryptoRng, RngCore};

use super::inbox::Progress;
use super::packages::{ENVELOPE_BYTES_MAX, PROOF_BYTES_MAX, encode};
use super::setup::Setup;
use super::{Act, Dkg, DkgError, DkgOutput, KeyRecord, State};
use crate::evidence::CeremonyAct;
use crate::identity::{SignIdentity, VerifyIdentity};
use crate::message::{DkgBody, DkgMessage, SecretPackage};

/// A ceremony that has ended for this member, for others to hear of.
pub(super) struct Over {
    /// Of the messages that show the proof.
    pub(super) attempt: u64,
    pub(super) proof: Option<DkgBody>,
    /// What this member once told to all. Whoever has finished all the same answers it with the
    /// record, whoever has ended with evidence; nobody else would write to this member again.
    question: Option<DkgMessage>,
    due_ms: u64,
    wait_ms: u64,
}

/// First wait before the others are asked; doubles up to [`ASK_MS_MAX`].
const ASK_MS_MIN: u64 = 15_000;
const ASK_MS_MAX: u64 = 240_000;

impl Over {
    pub(super) fn due(&self) -> Option<u64> {
        self.question.as_ref().map(|_| self.due_ms)
    }

    /// Asks all others what has become of it, ever more rarely.
    pub(super) fn ask<C: Ciphersuite>(
        &mut self,
        now_ms: u64,
        setup: &Setup<C>,
        outputs: &mut VecDeque<DkgOutput<C>>,
    ) {
        let Some(question) = self.question.as_ref().filter(|_| self.due_ms <= now_ms) else {
            return;
        };
        if self.wait_ms > 0 {
            for to in setup.others() {
                let message = question.clone();
                outputs.push_back(DkgOutput::Send { to, message });
            }
        }
        self.wait_ms = self.wait_ms.saturating_mul(2).clamp(ASK_MS_MIN, ASK_MS_MAX);
        self.due_ms = now_ms.saturating_add(self.wait_ms);
    }
}

impl<C: Ciphersuite, I: SignIdentity, V: VerifyIdentity> Dkg<C, I, V> {
    /// Another member's envelope, to be measured by what this one holds.
    pub(super) fn judge(
        &mut self,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
        evidence: DkgMessage,
    ) -> Result<(), DkgError> {
        let envelope = self.open(&evidence)?;
        if let DkgBody::Certify(theirs) = envelope.body {
            return self.judge_certify(envelope, theirs);
        }
        let State::Running(attempt) = &mut self.state else {
            return Err(DkgError::Unfounded);
        };
        match attempt.judge(&self.setup, evidence, envelope)? {
            Progress::Noted => {}
            Progress::Restarted if attempt.bound => {}
            Progress::Restarted => {
                let next = attempt.number.saturating_add(1);
                self.start_attempt(now_ms, rng, next);
            }
            Progress::Fault(culprit, act) => self.abort(alloc::vec![culprit], act),
        }
        Ok(())
    }

    /// Another member's certification, from whoever has ended by it: of another key than this member
    /// certifies, or than the sender has certified to this member.
    fn judge_certify(&mut self, certify: DkgMessage, theirs: Digest) -> Result<(), DkgError> {
        let slot = certify.slot;
        if slot == self.setup.slot || !self.setup.receives(slot) {
            return Err(DkgError::Unfounded);
        }
        let running = match &self.state {
            State::Running(attempt) if attempt.session == certify.session => Some(attempt),
            State::Idle | State::Running(_) => None,
            State::Done(_) | State::Aborted(_) => return Err(DkgError::Over),
        };
        let twice = running.and_then(|attempt| attempt.inbox.certified_otherwise(&certify));
        if let Some(Progress::Fault(culprit, act)) = twice {
            self.abort(alloc::vec![culprit], act);
            return Ok(());
        }
        let own = running.and_then(|attempt| attempt.digest);
        match own.or_else(|| self.shares.digest(&certify.session)) {
            Some(own) if own != theirs => {
                self.abort(alloc::vec![slot], Act::Certify(Box::new(certify)));
                Ok(())
            }
            _ => Err(DkgError::Unfounded),
        }
    }

    /// Everything that convicts a party, from whoever has ended by it.
    pub(super) fn believe(
        &mut self,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
        proof: &SecretPackage,
    ) -> Result<(), DkgError> {
        let act: CeremonyAct =
            codec::decode(proof.bytes(), PROOF_BYTES_MAX).map_err(|_| DkgError::Malformed)?;
        let (culprit, _) = super::evidence::convict(&self.setup, &act, &self.verify)
            .map_err(|_| DkgError::Unfounded)?;
        if culprit == self.setup.slot {
            return Err(DkgError::Unfounded);
        }
        if matches!(self.state, State::Idle) {
            self.begin(now_ms, rng);
        }
        let file = super::evidence::file(&self.setup, culprit, act.clone());
        self.proof = Some(Box::new(file));
        self.end(alloc::vec![culprit], super::evidence::act(act));
        Ok(())
    }

    /// The envelope in a piece of evidence, verified.
    fn open(&self, evidence: &DkgMessage) -> Result<DkgMessage, DkgError> {
        let DkgBody::Evidence(bytes) = &evidence.body else {
            return Err(DkgError::Unfounded);
        };
        let envelope: DkgMessage =
            codec::decode(bytes.bytes(), ENVELOPE_BYTES_MAX).map_err(|_| DkgError::Malformed)?;
        self.setup.verify(&envelope, &self.verify)?;
        Ok(envelope)
    }

    /// A record after the end: liars who give all that a key needs, and convict themselves before
    /// some members only, must not part those from the others.
    pub(super) fn recover(&mut self, bytes: &[u8]) -> Result<(), DkgError> {
        let record = KeyRecord::from_bytes(bytes).map_err(|_| DkgError::Malformed)?;
        let has_share = self.shares.iter().any(|share| share.belongs_to(&record));
        let has_part = has_share || !self.setup.receives(self.setup.slot);
        if !has_part || self.setup.check(&record, &self.verify).is_err() {
            return Err(DkgError::Over);
        }
        self.finish(record);
        Ok(())
    }

    /// Ends everything, with proof if there is one.
    pub(super) fn abort(&mut self, culprits: Vec<Slot>, act: Act) {
        if let (State::Running(attempt), Some(culprit)) = (&self.state, culprits.first()) {
            let proof = super::evidence::of(&self.setup, attempt, *culprit, &act);
            self.proof = proof.map(Box::new);
        }
        self.end(culprits, act);
    }

    /// The proof goes to all, and again to whoever still writes.
    fn end(&mut self, culprits: Vec<Slot>, act: Act) {
        let question = match &self.state {
            State::Running(attempt) => attempt.question(&self.setup),
            State::Idle | State::Done(_) | State::Aborted(_) => None,
        };
        self.setup.forget();
        let (attempt, proof) = match &act {
            // Convicts before those who certify something themselves.
            Act::Certify(certify) => {
                let body = DkgBody::Evidence(encode(certify.as_ref()));
                (certify.attempt, Some(body))
            }
            _ => (1, self.proof.as_deref().and_then(super::evidence::body)),
        };
        for to in self.setup.others() {
            for body in proof.iter().cloned() {
                let message = self.setup.envelope(&self.identity, attempt, body);
                self.outputs.push_back(DkgOutput::Send { to, message });
            }
        }
        self.state = State::Aborted(Box::new(Over {
            attempt,
            proof,
            question,
            due_ms: 0,
            wait_ms: 0,
        }));
        self.outputs.push_back(DkgOutput::Aborted { culprits, act });
    }
}
