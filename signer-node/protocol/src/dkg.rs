//! Key generation without a dealer (rule B2): frost's three parts, and what they leave open.
//!
//! ```text
//! Round1 ─ all n ─▶ Echo ─ all equal ─▶ Round2 ─ all valid ─▶ Persist ─▶ Certify ─ all n ─▶
//! Persist ─▶ CanaryNonces ─ all n ─▶ CanaryShare ─ all n ─▶ Done
//! ```
//! frost's proof of knowledge is bound to no session and its round 1 needs a broadcast channel
//! that it does not bring. Here every message is signed over a session id (network, committee,
//! suite, attempt); every member repeats digests of the whole of round 1 and goes on only if all
//! n agree; the key counts once all n have signed that their share is durable and have made one
//! signature together. What members sign proves faults: a second round-1 package, and a round-2
//! package that does not fit its dealer's commitments, are shown to all, and all name the dealer. A
//! package that does fit, shown as if it did not, names whoever shows it.
//!
//! A [reshare](crate::reshare) is the same machine with other sets of those who deal and of those
//! who get shares; "all n" are then all who take part, or all who get shares.
//!
//! **Attempts.** A member that restarts has lost its polynomial; with a new one under the same
//! session id it would look like a cheat. So every message carries the sender's start count, and
//! - a member works on one attempt at a time, at first 1, and joins a higher one when it sees it;
//! - it raises the attempt when a round-1 package of a higher start count replaces one of this
//!   attempt, when one that has started anew certifies and can no longer send what this one lacks,
//!   and when not all shares are certified [`ATTEMPT_MS`] after round 1 is complete;
//! - waiting for the first packages has no limit: members start when their operators start them.
//!
//! **One key.** A member that holds all n certifications is bound to their attempt, durably, and
//! only then takes part in the canary; without its share in the canary no other attempt becomes
//! a key. Others follow when shown the certificate, with the share that they keep of each attempt
//! until then. In the canary only the round rises, with fresh nonces each time.
//!
//! No message is lost for good: each is repeated until its receiver shows that it has it, and a
//! finished member answers every late one with the key record. One that has ended by a fault answers
//! with everything that proves it, so that whoever has started anew since judges it by itself.
//!
//! **Limits.** All n members must take part: one that refuses, or that claims a new start or a new
//! attempt again and again, stops the generation, and only what it signed can convict it. Who is
//! convicted is left out by its operators' peers, in a new creation record. Whether the disk is
//! older than the last certification shows only when another member presents the certificate.

mod attempt;
mod canary;
mod closing;
mod complaint;
mod dealing;
pub(crate) mod evidence;
mod inbox;
pub(crate) mod message;
mod outbox;
mod output;
pub(crate) mod packages;
mod pending;
mod setup;
mod share;
#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "small numbers of members")]
pub(crate) mod tests;
#[cfg(test)]
mod vectors;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::mem;

use attestation::committee::CreationRecord;
use attestation::ids::{Boot, Slot};
use frost_core::Ciphersuite;
use rand_core::{CryptoRng, RngCore};
use serde_bytes::ByteBuf;

use self::attempt::{Attempt, Effects, Step};
use self::complaint::Over;
use self::inbox::Progress;
pub use self::output::{Act, DkgError, DkgOutput, DkgProgress, DkgStage, MISSING_MAX, Start};
pub use self::pending::PendingShares;
use self::setup::Setup;
pub use self::share::{KeyShare, ShareError};
use crate::evidence::Evidence;
use crate::identity::{SignIdentity, VerifyIdentity};
use crate::message::{DkgBody, DkgMessage};
use crate::reshare::Change;
use light_client::key_record::check_certificate;
pub use light_client::key_record::{KEY_RECORD_BYTES_MAX, KeyRecord, KeyRecordError};

/// From round 1 being complete to the first attempt being given up; each later attempt has twice
/// as long, up to [`DOUBLINGS_MAX`] times.
pub const ATTEMPT_MS: u64 = 30_000;
/// From the start of the first canary round to the next; doubles as [`ATTEMPT_MS`] does.
pub const CANARY_MS: u64 = 10_000;
/// Most doublings of the two: 16 minutes for an attempt of 150 members on slow machines.
pub const DOUBLINGS_MAX: u64 = 5;
/// First wait before messages are repeated; doubles up to [`RESEND_MS_MAX`].
pub const RESEND_MS_MIN: u64 = 250;
/// Longest wait before messages are repeated.
pub const RESEND_MS_MAX: u64 = 4_000;
/// Attempts or canary rounds that one message may skip: a liar cannot use up the counter.
const JUMP_MAX: u64 = 1_024;

/// One member's part in a key generation or a reshare.
pub struct Dkg<C: Ciphersuite, I, V> {
    setup: Setup<C>,
    identity: I,
    verify: V,
    state: State<C>,
    /// The shares made durable, until [`DkgOutput::Done`] hands over that of the key.
    shares: PendingShares<C>,
    /// Highest start count seen of each member.
    boots: BTreeMap<Slot, Boot>,
    /// When each member was last sent an answer out of turn.
    answered_ms: BTreeMap<Slot, u64>,
    /// Persists asked for and done.
    persists: (u64, u64),
    /// What convicts whoever ended it.
    proof: Option<Box<Evidence>>,
    outputs: VecDeque<DkgOutput<C>>,
}

enum State<C: Ciphersuite> {
    Idle,
    Running(Box<Attempt<C>>),
    Done(Box<KeyRecord>),
    Aborted(Box<Over>),
}

impl<C: Ciphersuite, I: SignIdentity, V: VerifyIdentity> Dkg<C, I, V> {
    /// The part of the member in `slot`; `boot` is how often its signer has started.
    /// [`Self::poll_timeout`] is due at once.
    ///
    /// # Errors
    /// [`DkgError`] if identity, slot, suite or what is durable do not fit.
    pub fn new(
        record: &CreationRecord,
        slot: Slot,
        boot: Boot,
        identity: I,
        verify: V,
        start: impl Into<Start<C>>,
    ) -> Result<Self, DkgError> {
        let setup = Setup::new(record, slot, boot, &identity)?;
        Self::enter(setup, identity, verify, start.into())
    }

    pub(crate) fn enter_change(
        change: &Change<'_, C>,
        slot: Slot,
        boot: Boot,
        identity: I,
        verify: V,
        start: Start<C>,
    ) -> Result<Self, DkgError> {
        let deals = !matches!(start, Start::Finished(_));
        let setup = Setup::change(change, deals, (slot, boot), &identity, &verify)?;
        Self::enter(setup, identity, verify, start)
    }

    fn enter(setup: Setup<C>, identity: I, verify: V, start: Start<C>) -> Result<Self, DkgError> {
        let none = PendingShares::none();
        let (state, shares) = match start {
            Start::Fresh => (State::Idle, none),
            Start::Pending(shares) if shares.iter().all(|share| setup.owns(share)) => {
                (State::Idle, shares)
            }
            Start::Finished(key) if setup.check(&key, &verify).is_ok() => {
                (State::Done(Box::new(key)), none)
            }
            Start::Pending(_) | Start::Finished(_) => return Err(DkgError::Foreign),
        };
        Ok(Self {
            setup,
            identity,
            verify,
            state,
            shares,
            boots: BTreeMap::new(),
            answered_ms: BTreeMap::new(),
            persists: (0, 0),
            proof: None,
            outputs: VecDeque::new(),
        })
    }

    /// Takes a message that arrived through the channel of the signer of `from`.
    ///
    /// # Errors
    /// [`DkgError`] says why the message was dropped; the reaction is to count it.
    pub fn handle(
        &mut self,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
        from: Slot,
        message: DkgMessage,
    ) -> Result<(), DkgError> {
        if message.slot != from || from == self.setup.slot {
            return Err(DkgError::Sender);
        }
        self.setup.verify(&message, &self.verify)?;
        let known = self.boots.entry(from).or_insert(message.boot);
        if message.boot < *known {
            return Err(DkgError::Stale);
        }
        if message.boot > *known {
            *known = message.boot;
            if let State::Running(attempt) = &mut self.state {
                attempt.inbox.shown.remove(&from);
            }
        }
        let outcome = match &self.state {
            // Never answered, or the finished would never stop.
            State::Done(_) if matches!(message.body, DkgBody::Finished(_)) => Err(DkgError::Over),
            State::Done(record) => {
                let answer = DkgBody::Finished(ByteBuf::from(record.to_bytes()));
                self.answer(now_ms, from, [answer]);
                Ok(())
            }
            State::Aborted(over) => match &message.body {
                DkgBody::Finished(bytes) => self.recover(bytes),
                DkgBody::Evidence(_) | DkgBody::Proof(_) => Err(DkgError::Over),
                _ => {
                    let proof = over.proof.clone();
                    self.answer(now_ms, from, proof);
                    Err(DkgError::Over)
                }
            },
            State::Idle | State::Running(_) => self.take(now_ms, rng, message),
        };
        self.advance(now_ms, rng);
        outcome
    }

    /// Starts at the first call; later repeats messages and gives up what takes too long.
    pub fn handle_timeout(&mut self, now_ms: u64, rng: &mut (impl RngCore + CryptoRng)) {
        match &mut self.state {
            State::Idle => self.begin(now_ms, rng),
            State::Running(attempt) => {
                if attempt.gives_up(now_ms) {
                    let next = attempt.number.saturating_add(1);
                    self.start_attempt(now_ms, rng, next);
                } else {
                    attempt.repeat(now_ms, &self.setup, &mut self.outputs);
                }
            }
            State::Aborted(over) => over.ask(now_ms, &self.setup, &mut self.outputs),
            State::Done(_) => {}
        }
        self.advance(now_ms, rng);
    }

    /// The share of the oldest unanswered [`DkgOutput::Persist`] is durable.
    pub fn persisted(&mut self, now_ms: u64, rng: &mut (impl RngCore + CryptoRng)) {
        self.persists.1 = self.persists.0.min(self.persists.1.saturating_add(1));
        self.advance(now_ms, rng);
    }

    /// When [`Self::handle_timeout`] wants to be called, Unix milliseconds.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        match &self.state {
            State::Idle => Some(0),
            State::Running(attempt) => attempt.poll_timeout(),
            State::Aborted(over) => over.due(),
            State::Done(_) => None,
        }
    }

    /// The next thing to do, if any.
    pub fn poll(&mut self) -> Option<DkgOutput<C>> {
        self.outputs.pop_front()
    }

    /// How far it is; `None` before the start and after the end.
    #[must_use]
    pub fn progress(&self) -> Option<DkgProgress> {
        let State::Running(attempt) = &self.state else {
            return None;
        };
        let (stage, here) = attempt.progress(&self.setup);
        Some(DkgProgress {
            attempt: attempt.number,
            stage,
            here: u16::try_from(here).unwrap_or(u16::MAX),
            missing: attempt.missing(&self.setup),
        })
    }

    /// After [`DkgOutput::Aborted`]: what convicts the culprit before whoever took no part, if its
    /// signed words do.
    #[must_use]
    pub fn proof(&self) -> Option<&Evidence> {
        self.proof.as_deref()
    }

    /// The key, once it is usable.
    #[must_use]
    pub fn key(&self) -> Option<&KeyRecord> {
        match &self.state {
            State::Done(record) => Some(record),
            _ => None,
        }
    }

    /// First attempt of this process: the pending share's, or a new one.
    fn begin(&mut self, now_ms: u64, rng: &mut (impl RngCore + CryptoRng)) {
        match self.shares.last() {
            Some(share) => {
                let attempt = Attempt::resume(&self.setup, &self.identity, share, now_ms);
                self.state = State::Running(Box::new(attempt));
                if let State::Running(attempt) = &mut self.state {
                    attempt.repeat(now_ms, &self.setup, &mut self.outputs);
                }
            }
            None => self.start_attempt(now_ms, rng, 1),
        }
    }

    /// Drops all secrets of the attempt under way and starts another.
    fn start_attempt(&mut self, now_ms: u64, rng: &mut (impl RngCore + CryptoRng), number: u64) {
        let mut attempt = Attempt::start(&self.setup, &self.identity, number, now_ms, rng);
        attempt.repeat(now_ms, &self.setup, &mut self.outputs);
        self.state = State::Running(Box::new(attempt));
    }

    fn take(
        &mut self,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
        message: DkgMessage,
    ) -> Result<(), DkgError> {
        match message.body {
            DkgBody::Finished(bytes) => return self.finish_with(&bytes),
            DkgBody::Certificate { .. } => return self.follow(now_ms, message),
            DkgBody::Evidence(_) => return self.judge(now_ms, rng, message),
            DkgBody::Proof(proof) => return self.believe(now_ms, rng, &proof),
            _ => {}
        }
        if matches!(self.state, State::Idle) {
            self.begin(now_ms, rng);
        }
        let State::Running(attempt) = &mut self.state else {
            return Err(DkgError::Over);
        };
        if message.attempt > attempt.number && !attempt.bound {
            let next = message.attempt.min(attempt.number.saturating_add(JUMP_MAX));
            self.start_attempt(now_ms, rng, next);
        }
        let State::Running(attempt) = &mut self.state else {
            return Err(DkgError::Over);
        };
        if message.attempt != attempt.number {
            attempt.outbox.repeat_soon(now_ms);
            if let Some(certificate) = attempt.certificate() {
                let from = message.slot;
                self.answer(now_ms, from, [certificate]);
            }
            return Err(DkgError::Stale);
        }
        match attempt.note(now_ms, &self.setup, message)? {
            Progress::Noted => Ok(()),
            Progress::Restarted => {
                let next = attempt.number.saturating_add(1);
                if !attempt.bound {
                    self.start_attempt(now_ms, rng, next);
                }
                Ok(())
            }
            Progress::Fault(culprit, act) => {
                self.abort(alloc::vec![culprit], act);
                Ok(())
            }
        }
    }

    /// Goes on as far as the messages at hand allow.
    fn advance(&mut self, now_ms: u64, rng: &mut (impl RngCore + CryptoRng)) {
        loop {
            let State::Running(attempt) = &mut self.state else {
                return;
            };
            let mut effects = Effects {
                setup: &self.setup,
                identity: &self.identity,
                shares: &mut self.shares,
                persists: &mut self.persists,
                outputs: &mut self.outputs,
            };
            match attempt.step(now_ms, rng, &mut effects) {
                Step::Waits => return,
                Step::Moved => {}
                Step::Key(record) => return self.finish(*record),
                Step::Fault(culprits, act) => return self.abort(culprits, act),
            }
        }
    }

    /// A finished member's record: usable if it verifies and this member has its share.
    fn finish_with(&mut self, bytes: &[u8]) -> Result<(), DkgError> {
        let record = KeyRecord::from_bytes(bytes).map_err(|_| DkgError::Malformed)?;
        self.setup
            .check(&record, &self.verify)
            .map_err(|_| DkgError::Unfounded)?;
        self.finish(record);
        Ok(())
    }

    fn finish(&mut self, record: KeyRecord) {
        self.setup.forget();
        match mem::replace(&mut self.shares, PendingShares::none()).take(&record) {
            _ if !self.setup.receives(self.setup.slot) => {
                self.outputs.push_back(DkgOutput::Dealt(record.clone()));
                self.state = State::Done(Box::new(record));
            }
            Some(share) => {
                self.outputs
                    .push_back(DkgOutput::Done(record.clone(), share));
                self.state = State::Done(Box::new(record));
            }
            None => self.abort(Vec::new(), Act::ShareLost),
        }
    }

    /// All members' certifications of an attempt that this member left or is behind in.
    fn follow(&mut self, now_ms: u64, message: DkgMessage) -> Result<(), DkgError> {
        let DkgBody::Certificate {
            digest,
            certifications,
        } = message.body
        else {
            return Err(DkgError::Malformed);
        };
        check_certificate(
            &self.setup.membership,
            &message.session,
            &digest,
            &certifications,
            &self.verify,
        )
        .map_err(|_| DkgError::Unfounded)?;
        if let State::Running(attempt) = &self.state
            && attempt.bound
            && !attempt.expects(message.attempt, &digest)
        {
            return Err(DkgError::Unfounded);
        }
        match self.shares.of(&message.session) {
            Some(share) => {
                let mut attempt = match mem::replace(&mut self.state, State::Idle) {
                    State::Running(attempt) if attempt.number == message.attempt => *attempt,
                    _ => Attempt::resume(&self.setup, &self.identity, share, now_ms),
                };
                attempt.accept_certificate(&self.setup, &digest, certifications);
                self.state = State::Running(Box::new(attempt));
            }
            None if !self.setup.receives(self.setup.slot) => {
                // One that has started anew since deals once more to those who need no shares.
                let mut attempt = match mem::replace(&mut self.state, State::Idle) {
                    State::Running(attempt) if attempt.expects(message.attempt, &digest) => {
                        *attempt
                    }
                    _ => Attempt::watch(&self.setup, message.attempt, digest, now_ms),
                };
                attempt.accept_certificate(&self.setup, &digest, certifications);
                self.state = State::Running(Box::new(attempt));
            }
            None => self.abort(Vec::new(), Act::ShareLost),
        }
        Ok(())
    }

    /// Answers out of turn, at most once in [`RESEND_MS_MIN`] and member.
    fn answer(&mut self, now_ms: u64, to: Slot, bodies: impl IntoIterator<Item = DkgBody>) {
        let last = self.answered_ms.get(&to);
        if last.is_some_and(|last| now_ms < last.saturating_add(RESEND_MS_MIN)) {
            return;
        }
        self.answered_ms.insert(to, now_ms);
        let attempt = match &self.state {
            State::Running(attempt) => attempt.number,
            State::Done(record) => record.attempt,
            State::Aborted(over) => over.attempt,
            State::Idle => 1,
        };
        for body in bodies {
            let message = self.setup.envelope(&self.identity, attempt, body);
            self.outputs.push_back(DkgOutput::Send { to, message });
        }
    }
}

/// `first_ms` doubled for each attempt or round after the first.
fn doubled(first_ms: u64, number: u64) -> u64 {
    first_ms << number.saturating_sub(1).min(DOUBLINGS_MAX)
}
