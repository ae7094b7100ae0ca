//! Requests that do not run (rule A11): smaller batches, faults, and what is set aside.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use attestation::committee::Quorum;
use attestation::ids::{RequestId, Seq, Slot, View};
use frost_core::Ciphersuite;
use signer_protocol::identity::{SignIdentity, Verify};
use signer_protocol::message::InvalidJob;
use signer_protocol::signer::FAULTS_MAX;
use state::job::{Job, SignedFault};
use state::limits::{FAULT_SEQS_MAX, REQUESTS_MAX};

use super::Coordinator;
use super::pace::STEP_MS;

/// Views in which a request may fail at the head of its job before it is set aside.
const TRIES_MAX: u8 = 3;
/// How long a request is set aside at first; each further view that it costs doubles it. Not until
/// it expires: a network that loses votes for three views looks like a request that nobody can run.
const ASIDE_FIRST_MS: u64 = 60_000;
/// Most doublings: 17 hours.
const ASIDE_DOUBLINGS_MAX: u32 = 10;
/// How long a request stays aside that this coordinator gave up without having proposed it: when it
/// expires is not known here, and trying it again costs as many views.
const GIVEN_UP_ASIDE_MS: u64 = 60 * 60 * 1_000;
/// How long a request stays aside that members call invalid: on a later state it may be valid.
const INVALID_ASIDE_MS: u64 = 60_000;
/// Steps that keep the anchor of the one before, after one whose new anchor members could not bear out
/// got no certificate.
const ANCHOR_KEPT_STEPS: u64 = 256;
/// Most requests about which a coordinator remembers something.
const HARD_MAX: usize = 1_024;

/// What this coordinator knows of requests that stop others.
pub(super) struct Hard {
    requests_max: usize,
    faults: BTreeMap<RequestId, BTreeMap<Slot, SignedFault>>,
    hints: BTreeMap<RequestId, BTreeSet<Slot>>,
    invalid: BTreeMap<RequestId, BTreeSet<Slot>>,
    tries: BTreeMap<RequestId, u8>,
    /// Who holds this view's step back for a deposit that it skips (rule E4).
    holding: BTreeSet<Slot>,
    /// Requests set aside, and until when.
    aside: BTreeMap<RequestId, u64>,
    /// Somebody's operator has not seen the anchor of this view's step.
    is_anchor_doubted: bool,
    /// The first step that may name another anchor.
    anchor_from: Seq,
}

impl Hard {
    pub(super) fn new() -> Self {
        Self {
            requests_max: REQUESTS_MAX,
            faults: BTreeMap::new(),
            hints: BTreeMap::new(),
            invalid: BTreeMap::new(),
            tries: BTreeMap::new(),
            holding: BTreeSet::new(),
            aside: BTreeMap::new(),
            is_anchor_doubted: false,
            anchor_from: Seq(0),
        }
    }

    /// A step is attested: old faults count no more, and the batch may grow again.
    pub(super) fn settled(&mut self, seq: Seq) {
        for faults in self.faults.values_mut() {
            faults.retain(|_, fault| fault.seq.0.saturating_add(FAULT_SEQS_MAX) > seq.0);
        }
        self.faults.retain(|_, faults| !faults.is_empty());
        self.hints.clear();
        self.invalid.clear();
        self.holding.clear();
        self.is_anchor_doubted = false;
        self.requests_max = self.requests_max.saturating_mul(2).min(REQUESTS_MAX);
    }

    /// A view ended without certificate, its job having stood for `stood_ms`: half as many next time;
    /// what ran first is suspect if it was alone or members could not run it. One that failed for what
    /// it left out says nothing of what is in it, nor does one that came too late in its view to be
    /// run, unless members say that they could not.
    pub(super) fn failed(&mut self, now_ms: u64, stood_ms: u64, job: &Job, quorum: Quorum) {
        if core::mem::take(&mut self.is_anchor_doubted) {
            // Too few operators see the chain alike.
            self.anchor_from = Seq(job.seq.0.saturating_add(ANCHOR_KEPT_STEPS));
        }
        let holding = core::mem::take(&mut self.holding);
        if holding.len() >= usize::from(quorum.blocking()) {
            return;
        }
        let first = job.requests.first();
        let is_faulted = first.is_some_and(|first| self.faults.contains_key(&first.id()));
        if stood_ms < STEP_MS && !is_faulted {
            return;
        }
        self.requests_max = (job.requests.len() / 2).max(1);
        let Some(first) = first.filter(|_| job.requests.len() == 1 || is_faulted) else {
            return;
        };
        let id = first.id();
        if self.tries.len() >= HARD_MAX {
            self.tries.clear();
        }
        let tries = self.tries.entry(id).or_default();
        *tries = tries.saturating_add(1);
        if let Some(again) = tries.checked_sub(TRIES_MAX) {
            let doublings = u32::from(again).min(ASIDE_DOUBLINGS_MAX);
            let until = now_ms.saturating_add(ASIDE_FIRST_MS << doublings);
            self.put_aside(id, until.min(first.call.valid_until_ms));
        }
    }

    /// Whether the step may name another anchor than the one before.
    pub(super) fn may_anchor(&self, seq: Seq) -> bool {
        seq >= self.anchor_from
    }

    /// Each member has room for as many as an honest one sends, so that a liar takes nobody's.
    fn has_room(&self, fault: &SignedFault) -> bool {
        let mut of_slot = self.faults.iter().filter(|(request, faults)| {
            **request != fault.request && faults.contains_key(&fault.slot)
        });
        of_slot.nth(FAULTS_MAX - 1).is_none()
    }

    /// A request that n − t + 1 members and fewer than t cannot run gets neither a certificate nor a
    /// receipt. Members tell their faults to all coordinators, so that after three views without a
    /// step each of them gives it up, whoever led those views.
    pub(super) fn give_up(&mut self, now_ms: u64, seq: Seq, passed: u64, quorum: Quorum) {
        if passed < u64::from(TRIES_MAX) {
            return;
        }
        let (blocking, threshold) = (quorum.blocking(), quorum.threshold());
        let stuck = self.faults.iter().filter(|(request, faults)| {
            let here = faults.values().filter(|fault| fault.seq == seq).count();
            here >= usize::from(blocking)
                && faults.len() < usize::from(threshold)
                && !self.aside.contains_key(request)
        });
        for request in stuck.map(|(request, _)| *request).collect::<Vec<_>>() {
            self.put_aside(request, now_ms.saturating_add(GIVEN_UP_ASIDE_MS));
        }
    }

    fn put_aside(&mut self, request: RequestId, valid_until_ms: u64) {
        if self.aside.len() < HARD_MAX {
            self.aside.insert(request, valid_until_ms);
        }
    }

    /// The batch after so many views without an attested step, whoever led them, where `pace` would
    /// be one after a step.
    pub(super) fn requests_max(&self, pace: usize, passed: u64) -> usize {
        let shift = u32::try_from(passed).unwrap_or(u32::MAX);
        let halved = pace.checked_shr(shift).unwrap_or_default().max(1);
        self.requests_max.min(halved)
    }

    /// Faults by t members each: with fewer, a request is run.
    pub(super) fn faults(&self, threshold: usize) -> Vec<SignedFault> {
        let enough = self
            .faults
            .values()
            .filter(|faults| faults.len() >= threshold);
        enough
            .flat_map(|faults| faults.values().take(threshold).cloned())
            .collect()
    }

    /// The request that most members say hung behind others.
    pub(super) fn first(&self) -> Option<RequestId> {
        let open = self
            .hints
            .iter()
            .filter(|(request, _)| !self.aside.contains_key(request));
        open.max_by_key(|(_, slots)| slots.len())
            .map(|(request, _)| *request)
    }

    /// What is left out of the next job: nobody could run it when it was last tried.
    pub(super) fn set_aside(&mut self, now_ms: u64) -> Vec<RequestId> {
        self.aside
            .retain(|_, valid_until_ms| *valid_until_ms >= now_ms);
        self.aside.keys().copied().collect()
    }
}

impl<C: Ciphersuite, I: SignIdentity, V: Verify> Coordinator<C, I, V> {
    pub(super) fn on_fault(&mut self, from: Slot, fault: SignedFault) {
        let next = self.next_seq().map_or(0, |seq| seq.0);
        let recent = if fault.seq.0 == next {
            fault.previous_root == self.config.step.state_before(self.head.as_ref())
        } else {
            fault.seq.0 < next && next - fault.seq.0 <= FAULT_SEQS_MAX
        };
        let here = fault.slot == from && recent;
        let room = self.hard.has_room(&fault);
        if here && room && self.config.committee.faulted(&fault, &self.config.verify) {
            self.hard
                .faults
                .entry(fault.request)
                .or_default()
                .insert(from, fault);
        }
    }

    pub(super) fn on_invalid(
        &mut self,
        now_ms: u64,
        from: Slot,
        seq: Seq,
        view: View,
        reason: InvalidJob,
    ) {
        if self.leading() != Some(view) || Some(seq) != self.next_seq() {
            return;
        }
        match reason {
            InvalidJob::Hung(request) if self.hard.hints.len() < HARD_MAX => {
                self.hard.hints.entry(request).or_default().insert(from);
            }
            InvalidJob::Request(request) if self.hard.invalid.len() < HARD_MAX => {
                let sayers = self.hard.invalid.entry(request).or_default();
                sayers.insert(from);
                // One of n − t + 1 is honest: the request really is not one.
                let enough = usize::from(self.config.committee.quorum().blocking());
                if sayers.len() >= enough {
                    let until = now_ms.saturating_add(INVALID_ASIDE_MS);
                    self.hard.put_aside(request, until);
                }
            }
            // The view is lost or not, by the votes; nothing here helps the next job.
            InvalidJob::Previous
            | InvalidJob::Time
            | InvalidJob::Request(_)
            | InvalidJob::Votes
            | InvalidJob::Witness
            | InvalidJob::Shape
            | InvalidJob::Hung(_)
            | InvalidJob::Conservation
            | InvalidJob::Observations
            | InvalidJob::Executor => {}
            InvalidJob::Anchor => self.hard.is_anchor_doubted = true,
            InvalidJob::Skipped(_) => {
                self.hard.holding.insert(from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;

    use attestation::ids::{
        CommitteeId, Digest, Epoch, IdentityKey, NetworkId, Signature, StateRoot, ZappId,
    };
    use attestation::request::{Call, FeePayer, Request};
    use state::job::Context;
    use state::witness::Witness;

    use super::*;

    /// A job of one request.
    fn job_of_one() -> Job {
        let call = Call {
            network: NetworkId(1),
            committee: CommitteeId::from_bytes([0; 32]),
            zapp: ZappId::SYSTEM,
            method: String::from("deploy"),
            input: Vec::new(),
            gas_limit: 0,
            fee_payer: FeePayer::Caller,
            nonce: 1,
            valid_until_ms: u64::MAX,
            caller: IdentityKey::from_bytes([0; 32]),
            pull: None,
        };
        let signature = Signature::from_bytes([0; 64]);
        Job {
            seq: Seq(1),
            previous: Vec::new(),
            context: Context {
                time_ms: 0,
                anchor_height: 0,
                anchor: Digest::from_bytes([0; 32]),
            },
            requests: vec![Request { call, signature }],
            votes: Vec::new(),
            reveal: None,
            faults: Vec::new(),
            observations: Vec::new(),
            witness: Witness::default(),
        }
    }

    #[test]
    fn a_job_that_came_too_late_in_its_view_is_no_try_of_its_request() {
        let quorum = Quorum::new(5, 4).unwrap();
        let job = job_of_one();
        let id = job.requests[0].id();
        let after = |stood_ms, is_faulted| {
            let mut hard = Hard::new();
            if is_faulted {
                let fault = SignedFault {
                    epoch: Epoch(1),
                    seq: job.seq,
                    slot: Slot(1),
                    request: id,
                    previous_root: StateRoot::from_bytes([0; 32]),
                    inputs: Digest::from_bytes([0; 32]),
                    signature: Signature::from_bytes([0; 64]),
                };
                hard.faults.entry(id).or_default().insert(Slot(1), fault);
            }
            for _ in 0..TRIES_MAX {
                hard.failed(1_000, stood_ms, &job, quorum);
            }
            hard.set_aside(1_000) == [id]
        };
        assert!(after(STEP_MS, false), "it had the time of a step");
        assert!(!after(STEP_MS - 1, false), "nobody could have run it");
        assert!(after(0, true), "a member says that it could not");
    }

    #[test]
    fn each_view_without_a_step_halves_the_batch_whoever_led_it() {
        let hard = Hard::new();
        let after = [0, 1, 2, 5, 6, 7, 64, u64::MAX];
        let sizes = after.map(|passed| hard.requests_max(64, passed));
        assert_eq!(sizes, [64, 32, 16, 2, 1, 1, 1, 1]);
        assert_eq!(hard.requests_max(usize::MAX, 0), REQUESTS_MAX);
    }
}
