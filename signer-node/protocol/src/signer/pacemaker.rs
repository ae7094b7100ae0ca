//! Views (rules A8, A10): when to give up a leader, and how members meet again.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use attestation::committee::Quorum;
use attestation::ids::{Boot, Slot, View};
use frost_core::Ciphersuite;
use serde_bytes::ByteBuf;

use super::{Halt, Signer};
use crate::identity::{SignIdentity, Verify};
use crate::message::{Endpoint, LockClaim, Message, SignedStatus, Status, ToCoordinator, ToMember};
use crate::planted::{self, Bug};
use crate::register::Record;

/// First timer of a view after an attested step.
pub const TIMER_FIRST_MS: u64 = 1_000;
/// Longest timer of a view.
pub const TIMER_MAX_MS: u64 = 30_000;
/// How often statuses are sent again while a request waits and nothing is attested.
pub const RESEND_MS: u64 = 500;
/// Most views entered at once, and where others claim more, once in a view's timer: who claims the
/// end of the counter can neither take it there nor drive members through views.
pub const VIEW_JUMP_MAX: u64 = 1_024;

/// Which views the members have reached, and the timer of the own one.
#[derive(Debug)]
pub(super) struct Pacemaker {
    quorum: Quorum,
    view: View,
    peers: BTreeMap<Slot, Peer>,
    executable: bool,
    /// Views entered since the last attested step.
    failures: u32,
    /// Whether t members agree in this view.
    agreed: bool,
    /// When the view was entered.
    entered_ms: u64,
    timer: Option<u64>,
    resend: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    view: View,
    boot: Boot,
    answered_ms: Option<u64>,
}

impl Pacemaker {
    pub(super) fn new(quorum: Quorum, view: View) -> Self {
        Self {
            quorum,
            view,
            peers: BTreeMap::new(),
            executable: false,
            failures: 0,
            agreed: false,
            entered_ms: 0,
            timer: None,
            resend: None,
        }
    }

    /// Notes what a peer's signed status shows; views only rise from one start to the next. Returns
    /// whether the peer has started anew.
    fn note(&mut self, slot: Slot, view: View, boot: Boot, now_ms: u64) -> bool {
        let known = self.peers.get(&slot).copied();
        let restarted = known.is_none_or(|known| boot > known.boot);
        let peer = Peer {
            view: match known {
                Some(known) if !restarted => known.view.max(view),
                // A claim does not outlive the process that made it.
                _ => view,
            },
            boot: known.map_or(boot, |known| known.boot.max(boot)),
            answered_ms: known.and_then(|known| known.answered_ms),
        };
        self.peers.insert(slot, peer);
        self.arm(now_ms);
        restarted
    }

    /// Whether to answer this peer now: at most once per [`RESEND_MS`] / 2.
    fn may_answer(&mut self, slot: Slot, now_ms: u64) -> bool {
        let Some(peer) = self.peers.get_mut(&slot) else {
            return false;
        };
        let recent = peer
            .answered_ms
            .is_some_and(|at| now_ms < at.saturating_add(RESEND_MS / 2));
        if !recent {
            peer.answered_ms = Some(now_ms);
        }
        !recent
    }

    /// The highest view that n − t + 1 members have reached, if it is above the own one: one of
    /// them is honest whenever the committee can sign at all.
    fn target(&self, now_ms: u64) -> Option<View> {
        let mut views: Vec<View> = self.peers.values().map(|peer| peer.view).collect();
        views.sort_unstable_by(|a, b| b.cmp(a));
        let at = match planted::is(Bug::OneMemberMoves) {
            false => usize::from(self.quorum.blocking()).checked_sub(1)?,
            true => 0,
        };
        let reached = *views.get(at)?;
        let cap = View(self.view.0.saturating_add(VIEW_JUMP_MAX));
        let waits = now_ms < self.entered_ms.saturating_add(self.duration_ms());
        if reached <= self.view || (reached > cap && waits) {
            return None;
        }
        Some(reached.min(cap))
    }

    fn entered(&mut self, view: View, now_ms: u64) {
        self.view = view;
        self.agreed = false;
        self.entered_ms = now_ms;
        self.failures = self.failures.saturating_add(1);
        self.timer = None;
        self.arm(now_ms);
    }

    /// t members agree in this view: its leader has as long again to collect their shares.
    pub(super) fn agreed(&mut self, now_ms: u64) {
        if self.timer.is_some() && !core::mem::replace(&mut self.agreed, true) {
            self.timer = Some(now_ms.saturating_add(self.duration_ms()));
        }
    }

    pub(super) fn attested(&mut self, now_ms: u64) {
        self.failures = 0;
        self.agreed = false;
        self.timer = None;
        self.resend = None;
        self.arm(now_ms);
    }

    pub(super) fn set_executable(&mut self, waits: bool, now_ms: u64) {
        self.executable = waits;
        if !waits {
            self.timer = None;
            self.resend = None;
        }
        self.arm(now_ms);
    }

    /// Starts the view's timer once t members are seen in it or beyond, and only while a request
    /// waits: alone, a member would run away from the others.
    fn arm(&mut self, now_ms: u64) {
        if !self.executable {
            return;
        }
        if self.resend.is_none() {
            self.resend = Some(now_ms.saturating_add(RESEND_MS));
        }
        let others = self
            .peers
            .values()
            .filter(|peer| peer.view >= self.view)
            .count();
        if self.timer.is_none() && others + 1 >= usize::from(self.quorum.threshold()) {
            self.timer = Some(now_ms.saturating_add(self.duration_ms()));
        }
    }

    /// How long the view lasts: longer with each that came to nothing.
    fn duration_ms(&self) -> u64 {
        let doubled = TIMER_FIRST_MS.saturating_mul(1 << self.failures.min(32));
        doubled.min(TIMER_MAX_MS)
    }

    pub(super) fn expired(&self, now_ms: u64) -> bool {
        self.timer.is_some_and(|at| now_ms >= at)
    }

    pub(super) fn resend_due(&mut self, now_ms: u64) -> bool {
        let due = self.resend.is_some_and(|at| now_ms >= at);
        if due {
            self.resend = Some(now_ms.saturating_add(RESEND_MS));
        }
        due
    }

    pub(super) fn due(&self) -> Option<u64> {
        [self.timer, self.resend].into_iter().flatten().min()
    }
}

impl<C: Ciphersuite, I: SignIdentity, V: Verify> Signer<C, I, V> {
    /// Enters a view: recorded first; nonces and vote of lower views are gone (rule A8).
    pub(super) fn enter(&mut self, view: View, now_ms: u64) {
        if view <= self.view() {
            return;
        }
        if !planted::is(Bug::LowerView) {
            self.cast = None;
        }
        self.proposed = None;
        self.met = false;
        self.reported.clear();
        match self.append(Record::View(view)) {
            Ok(_) if planted::is(Bug::ViewNotPersisted) => {}
            Ok(gate) => self.view_gate = gate,
            Err(refused) => return self.halt(Halt::Register(refused)),
        }
        self.pace.entered(view, now_ms);
        self.status_to_all();
        self.resend_faults();
    }

    /// A member's status: its view, its lock, and perhaps a newer head.
    pub(super) fn on_status(&mut self, now_ms: u64, from: Slot, status: &Status) {
        let signed = &status.signed;
        if signed.slot != from || from == self.slot || !self.committee.stands(signed, &self.verify)
        {
            return;
        }
        self.remember_status(signed);
        let restarted = self.pace.note(from, signed.view, signed.boot, now_ms);
        if signed.head > self.head_seq() {
            self.on_attested(now_ms, &status.attestation);
        }
        if let Some(target) = self.pace.target(now_ms) {
            self.enter(target, now_ms);
        }
        let behind = signed.head < self.head_seq() || signed.view < self.view();
        if restarted || (behind && self.pace.may_answer(from, now_ms)) {
            self.status_due.insert(Endpoint::Signer(from));
        }
    }

    /// A channel is up: whoever starts anew learns where this signer stands.
    pub(super) fn on_connected(&mut self, now_ms: u64, party: Endpoint) {
        match party {
            Endpoint::Signer(slot) if slot != self.slot => {
                self.ask(slot);
                self.status_due.insert(party);
            }
            Endpoint::Coordinator(_) => {
                self.status_due.insert(party);
            }
            Endpoint::Executor(slot) if slot == self.slot => self.run_again(now_ms),
            Endpoint::Signer(_) | Endpoint::Executor(_) | Endpoint::Node(_) => {}
        }
    }

    pub(super) fn status_to_all(&mut self) {
        let own = self.slot;
        let members = self
            .committee
            .slots()
            .filter(|slot| *slot != own)
            .map(Endpoint::Signer);
        let coordinators = self.committee.ranks().map(Endpoint::Coordinator);
        self.status_due.extend(members.chain(coordinators));
    }

    /// Sends the statuses that are due, once the view and the lock they tell of are on disk.
    pub(super) fn release_statuses(&mut self) {
        if self.status_due.is_empty() || self.durable < self.view_gate || !self.takes_part() {
            return;
        }
        let status = self.status();
        for to in core::mem::take(&mut self.status_due) {
            let message = match to {
                Endpoint::Coordinator(_) => {
                    Message::ToCoordinator(ToCoordinator::Status(status.clone()))
                }
                _ => Message::ToMember(ToMember::Status(status.clone())),
            };
            self.send(to, message);
        }
    }

    fn status(&self) -> Status {
        let certificate = self.lock();
        let mut signed = SignedStatus {
            slot: self.slot,
            epoch: self.committee.epoch(),
            view: self.view(),
            boot: self.boot,
            head: self.head_seq(),
            head_statement: self.head_statement(),
            lock: certificate
                .as_ref()
                .and_then(|lock| -> Option<LockClaim> { lock.claim() }),
            signature: attestation::ids::Signature::from_bytes([0; 64]),
        };
        signed.signature = self
            .identity
            .sign(&signed.signed_bytes(self.committee.domain()));
        let attestation = self
            .head
            .as_ref()
            .map(attestation::step_attestation::StepAttestation::to_bytes);
        Status {
            signed,
            certificate,
            attestation: ByteBuf::from(attestation.unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests;
