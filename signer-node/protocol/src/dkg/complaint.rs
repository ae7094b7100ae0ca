//! Complaints, and their proof: a signed envelope that everybody can judge for itself.
//!
//! A dealer signs what it deals to each member, so the envelope of a bad share convicts it. That
//! of a good one convicts its accuser, once the accuser has signed in its echo that it measures by
//! the same commitments.

use alloc::boxed::Box;
use alloc::vec::Vec;

use attestation::ids::Slot;
use frost_core::Ciphersuite;
use rand_core::{CryptoRng, RngCore};

use super::inbox::Progress;
use super::packages::{ENVELOPE_BYTES_MAX, evidence};
use super::{Act, Dkg, DkgError, DkgOutput, State};
use crate::identity::{SignIdentity, VerifyIdentity};
use crate::message::{DkgBody, DkgMessage};

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

    /// Ends everything; the evidence goes to all, and again to whoever still writes.
    pub(super) fn abort(&mut self, culprits: Vec<Slot>, act: Act) {
        if let (State::Running(attempt), [culprit]) = (&self.state, culprits.as_slice()) {
            let proof = super::evidence::of(&self.setup, attempt, *culprit, &act);
            self.proof = proof.map(Box::new);
        }
        self.setup.forget();
        let evidence = evidence(&act);
        for slot in self.setup.others() {
            for body in &evidence {
                let message = self.setup.envelope(&self.identity, 1, body.clone());
                self.outputs
                    .push_back(DkgOutput::Send { to: slot, message });
            }
        }
        self.state = State::Aborted(evidence);
        self.outputs.push_back(DkgOutput::Aborted { culprits, act });
    }
}
