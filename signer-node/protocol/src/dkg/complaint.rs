//! Complaints, and their proof: a signed envelope that everybody can judge for itself.
//!
//! A dealer signs what it deals to each member, so the envelope of a bad share convicts it. That
//! of a good one convicts its accuser, once the accuser has signed in its echo that it measures by
//! the same commitments.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use attestation::ids::Slot;
use frost_core::Ciphersuite;
use rand_core::{CryptoRng, RngCore};

use super::inbox::Progress;
use super::packages::{ENVELOPE_BYTES_MAX, evidence};
use super::setup::Setup;
use super::{Act, Dkg, DkgError, DkgOutput, KeyRecord, State};
use crate::identity::{SignIdentity, VerifyIdentity};
use crate::message::{DkgBody, DkgMessage};

/// A ceremony that has ended for this member, for others to hear of.
pub(super) struct Over {
    pub(super) evidence: Vec<DkgBody>,
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
    /// Another member's envelope, forwarded as proof of a fault; or a member's accusation of
    /// another, forwarded as proof that it is false.
    pub(super) fn judge(
        &mut self,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
        evidence: DkgMessage,
    ) -> Result<(), DkgError> {
        let envelope = self.open(&evidence)?;
        let (accusation, envelope) = match &envelope.body {
            DkgBody::Evidence(_) => {
                let inner = self.open(&envelope)?;
                (envelope, inner)
            }
            _ => (evidence, envelope),
        };
        let State::Running(attempt) = &mut self.state else {
            return Err(DkgError::Unfounded);
        };
        match attempt.judge(&self.setup, accusation, envelope)? {
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

    /// The envelope in a piece of evidence, verified.
    fn open(&self, evidence: &DkgMessage) -> Result<DkgMessage, DkgError> {
        let DkgBody::Evidence(bytes) = &evidence.body else {
            return Err(DkgError::Unfounded);
        };
        let envelope: DkgMessage = attestation::codec::decode(bytes.bytes(), ENVELOPE_BYTES_MAX)
            .map_err(|_| DkgError::Malformed)?;
        self.setup.verify(&envelope, &self.verify)?;
        Ok(envelope)
    }

    /// A record after the end: liars who give all that a key needs, and convict themselves before
    /// some members only, must not part those from the others.
    pub(super) fn recover(&mut self, bytes: &[u8]) -> Result<(), DkgError> {
        let record = KeyRecord::from_bytes(bytes).map_err(|_| DkgError::Malformed)?;
        let has_part = match &self.share {
            Some(share) => share.belongs_to(&record),
            None => !self.setup.receives(self.setup.slot),
        };
        if !has_part || self.setup.check(&record, &self.verify).is_err() {
            return Err(DkgError::Over);
        }
        self.finish(record);
        Ok(())
    }

    /// Ends everything; the evidence goes to all, and again to whoever still writes.
    pub(super) fn abort(&mut self, culprits: Vec<Slot>, act: Act) {
        let mut question = None;
        if let State::Running(attempt) = &self.state {
            question = attempt.inbox.round1.get(&self.setup.slot).cloned();
            if let [culprit] = culprits.as_slice() {
                let proof = super::evidence::of(&self.setup, attempt, *culprit, &act);
                self.proof = proof.map(Box::new);
            }
        }
        self.setup.forget();
        // Whoever starts after the others have ended holds nothing to measure by: all that convicts.
        let evidence = match self.proof.as_deref().and_then(super::evidence::bodies) {
            Some(bodies) => bodies,
            None => evidence(&act),
        };
        for slot in self.setup.others() {
            for body in &evidence {
                let message = self.setup.envelope(&self.identity, 1, body.clone());
                self.outputs
                    .push_back(DkgOutput::Send { to: slot, message });
            }
        }
        self.state = State::Aborted(Box::new(Over {
            evidence,
            question,
            due_ms: 0,
            wait_ms: 0,
        }));
        self.outputs.push_back(DkgOutput::Aborted { culprits, act });
    }
}
