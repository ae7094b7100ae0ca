//! The step machine of a coordinator (PROTOCOL part A): jobs out, votes and shares in.
//!
//! Sans-IO: [`Coordinator::handle`] takes what happened, [`Coordinator::poll`] gives what to do,
//! [`Coordinator::poll_timeout`] says when to call [`Coordinator::handle_timeout`].

mod ballot;
mod fault;
mod lead;
mod pace;
mod signing;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use attestation::ids::{Boot, Digest, Seq, Slot, StatementId, TraceRoot, View};
use attestation::step_attestation::StepAttestation;
use frost_core::Ciphersuite;
use frost_core::keys::PublicKeyPackage;
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha256};
use signer_protocol::blame::{Act, Culprit, Divergence};
use signer_protocol::committee::Committee;
use signer_protocol::identity::{SignIdentity, Verify};
use signer_protocol::message::{
    Certificate, Endpoint, LockClaim, Message, Status, ToCoordinator, ToSigner,
};
use signer_protocol::planted::{self, Bug};
use signer_protocol::statement::StepParams;
use state::job::{BuildJob, Job};

use crate::parking::Parking;
use ballot::{Ballot, Listing};
use fault::Hard;
pub use lead::{GATHER_MS, JOB_RESEND_MS};
use pace::Pace;
pub use pace::STEP_MS;
pub use signing::SHARE_WAIT_MS;

/// What happened.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "handled as soon as it is made; never kept"
)]
pub enum Input {
    /// A message came through the channel of this party.
    Message {
        /// The channel's other end.
        from: Endpoint,
        /// The message.
        message: Message,
    },
    /// Answer to [`Output::BuildJob`]; none if nothing can be run now.
    JobBuilt(Option<Box<Job>>),
    /// Whether a request that is executable at the head waits at the own node.
    Executable(bool),
    /// The own node's head.
    Head(Box<StepAttestation>),
}

/// What to do.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "handled as soon as it is made; never kept"
)]
pub enum Output {
    /// Send a message.
    Send {
        /// To whom.
        to: Endpoint,
        /// What.
        message: Message,
    },
    /// Ask the own node for a job and answer [`Input::JobBuilt`].
    BuildJob(BuildJob),
    /// A step is attested.
    Publish(Box<StepAttestation>),
    /// A party did what the rules forbid, or did not do what they ask for.
    Blame {
        /// Who.
        culprit: Culprit,
        /// What, with evidence.
        act: Act,
    },
    /// A view ended with fewer than t equal votes.
    Divergence {
        /// Who said what.
        report: Box<Divergence>,
        /// The job that they said it of.
        job: Box<Job>,
    },
}

/// What a coordinator is made of.
#[derive(Debug)]
pub struct Config<C: Ciphersuite, I, V> {
    /// The committee.
    pub committee: Committee,
    /// What steps are run with.
    pub step: StepParams,
    /// Its rank.
    pub rank: u16,
    /// Verifying shares of the members.
    pub public: PublicKeyPackage<C>,
    /// Its identity key.
    pub identity: I,
    /// Verifies the others'.
    pub verify: V,
}

/// A coordinator.
pub struct Coordinator<C: Ciphersuite, I, V> {
    config: Config<C, I, V>,
    head: Option<StepAttestation>,
    /// Seq and hashed trace root of the step before the head, if it was seen.
    before: Option<(Seq, Digest)>,
    /// Views up to this one may have been led by an earlier start of this coordinator.
    born: Option<View>,
    members: BTreeMap<Slot, Member>,
    /// The highest lock known at the seq after the head.
    lock: Option<Certificate>,
    /// The job behind the last certificate that this coordinator saw arise.
    certified: Option<(StatementId, Box<Job>)>,
    /// The view in which the head was attested, as far as this coordinator saw it.
    head_view: View,
    executable: bool,
    lead: Option<Lead>,
    listing: Listing,
    reveal: Option<TraceRoot>,
    hard: Hard,
    pace: Pace,
    ask_at: Option<u64>,
    /// In how many steps in a row a voter gave no share in its time.
    silences: BTreeMap<Slot, u8>,
    /// Who is asked for shares after the others.
    parking: Parking,
    outputs: VecDeque<Output>,
}

/// What a member's newest status shows.
#[derive(Clone, Copy, Debug)]
struct Member {
    view: View,
    boot: Boot,
    head: Seq,
    lock: Option<LockClaim>,
}

/// The view that this coordinator leads.
struct Lead {
    view: View,
    phase: Phase,
}

/// What a leader waits for.
enum Phase {
    /// The members' statuses: a lock may be among them.
    Statuses { until: u64 },
    /// A request that can be run; the node is asked again now and then.
    Request { retry_at: Option<u64> },
    /// The node's job.
    Job { retry_at: u64 },
    /// The job behind a lock, from those who hold it.
    LockedJob {
        certificate: Certificate,
        asked: usize,
        /// The holder asked last; nobody else may answer.
        holder: Option<Slot>,
        retry_at: u64,
    },
    /// Votes and shares.
    Ballot(Box<Ballot>),
}

impl<C: Ciphersuite, I: SignIdentity, V: Verify> Coordinator<C, I, V> {
    /// Starts a coordinator: it listens until a view is its own.
    #[must_use]
    pub fn new(config: Config<C, I, V>) -> Self {
        Self {
            parking: Parking::new(config.committee.quorum()),
            config,
            head: None,
            before: None,
            born: None,
            members: BTreeMap::new(),
            lock: None,
            certified: None,
            head_view: View(0),
            executable: false,
            lead: None,
            listing: Listing::default(),
            reveal: None,
            hard: Hard::new(),
            pace: Pace::new(),
            ask_at: None,
            silences: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes one event.
    pub fn handle(&mut self, now_ms: u64, input: Input) {
        match input {
            Input::Message { from, message } => {
                if let (Endpoint::Signer(slot), Message::ToCoordinator(message)) = (from, message) {
                    self.on_message(now_ms, slot, message);
                }
            }
            Input::JobBuilt(job) => self.on_job_built(now_ms, job),
            Input::Executable(waits) => {
                self.executable = waits;
                if waits && self.ask_at.is_none() && self.committee_view().is_none() {
                    self.ask_at = Some(now_ms);
                }
                self.look_for_work(now_ms);
            }
            Input::Head(attestation) => self.learn(now_ms, &attestation),
        }
    }

    /// Does what is due at `now_ms`.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        if self.ask_at.is_some_and(|at| now_ms >= at) {
            self.ask_statuses(now_ms);
        }
        self.lead_timeout(now_ms);
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let phase = self.lead.as_ref().and_then(|lead| lead.phase.due());
        [self.ask_at, phase].into_iter().flatten().min()
    }

    /// Its rank.
    #[must_use]
    pub const fn rank(&self) -> u16 {
        self.config.rank
    }

    /// The view that it leads now.
    #[must_use]
    pub fn leading(&self) -> Option<View> {
        self.lead.as_ref().map(|lead| lead.view)
    }

    /// Members that it asks for shares after the others.
    pub fn parked(&self) -> impl Iterator<Item = Slot> + '_ {
        let slots = self.config.committee.slots();
        slots.filter(|slot| self.parking.is_parked(*slot))
    }

    /// The last attested step it knows.
    #[must_use]
    pub const fn head(&self) -> Option<&StepAttestation> {
        self.head.as_ref()
    }

    fn on_message(&mut self, now_ms: u64, from: Slot, message: ToCoordinator) {
        match message {
            ToCoordinator::Status(status) => self.on_status(now_ms, from, &status),
            ToCoordinator::Vote {
                vote,
                stated,
                nonces,
            } => {
                self.on_vote(now_ms, from, vote, stated, nonces);
            }
            ToCoordinator::Share(share) => self.on_share(now_ms, from, share),
            ToCoordinator::Fault(fault) => self.on_fault(from, fault),
            ToCoordinator::Reveal { seq, trace } => self.on_reveal(seq, trace),
            ToCoordinator::Locked(certificate) => self.note_lock(certificate),
            ToCoordinator::Ahead(bytes) => {
                if let Ok(attestation) = StepAttestation::from_bytes(&bytes) {
                    self.learn(now_ms, &attestation);
                }
            }
            ToCoordinator::Job(job) => self.on_locked_job(now_ms, from, job),
            ToCoordinator::Invalid { seq, view, reason } => {
                self.on_invalid(now_ms, from, seq, view, reason);
            }
        }
    }

    /// A status: where a member is, its lock, and perhaps a newer head.
    fn on_status(&mut self, now_ms: u64, from: Slot, status: &Status) {
        let signed = &status.signed;
        if signed.slot != from || !self.config.committee.stands(signed, &self.config.verify) {
            return;
        }
        let before = self.members.get(&from).copied();
        let stale = |before: Member| {
            (signed.boot, signed.view, signed.head) < (before.boot, before.view, before.head)
        };
        if before.is_some_and(stale) {
            return;
        }
        let member = Member {
            view: signed.view,
            boot: signed.boot,
            head: signed.head,
            lock: signed.lock,
        };
        self.members.insert(from, member);
        if signed.head > self.head_seq()
            && let Ok(attestation) = StepAttestation::from_bytes(&status.attestation)
        {
            self.learn(now_ms, &attestation);
        }
        if let Some(certificate) = &status.certificate {
            self.note_lock(certificate.clone());
        }
        self.help(from, member, before);
        self.follow_view(now_ms);
        if self.lock.is_some() {
            self.look_for_work(now_ms);
        }
    }

    /// A member that is behind gets the head; one that starts anew, or comes late, the job.
    fn help(&mut self, slot: Slot, member: Member, before: Option<Member>) {
        if member.head < self.head_seq() {
            self.send_head(slot);
        }
        let fresh =
            before.is_none_or(|before| (before.boot, before.view) != (member.boot, member.view));
        if fresh && self.leading() == Some(member.view) {
            self.send_job(slot);
        }
    }

    /// Keeps the highest lock at the seq after the head, once its votes are verified.
    fn note_lock(&mut self, certificate: Certificate) {
        let Some(claim) = certificate.claim() else {
            return;
        };
        if planted::is(Bug::LockNotProposed) {
            return;
        }
        let higher = self
            .lock
            .as_ref()
            .is_none_or(|lock| lock.view() < claim.view);
        if Some(claim.seq) == self.next_seq()
            && higher
            && certificate
                .check(&self.config.committee, &self.config.verify)
                .is_ok()
        {
            self.lock = Some(certificate);
        }
    }

    /// Takes an attestation above the head, from wherever it comes.
    fn learn(&mut self, now_ms: u64, attestation: &StepAttestation) {
        let commit = &attestation.commit;
        let domain = self.config.committee.domain();
        let newer = commit.seq > self.head_seq()
            && commit.network == domain.network
            && commit.committee == domain.committee
            && self
                .config
                .verify
                .attests(self.config.committee.group_key(), attestation);
        if !newer {
            return;
        }
        self.listing.close();
        self.settle(now_ms, attestation);
        // A leader that still waits for statuses goes on waiting: a lock may be among them.
        if let Some(lead) = &mut self.lead
            && !matches!(lead.phase, Phase::Statuses { .. })
        {
            lead.phase = Phase::Request { retry_at: None };
        }
        self.look_for_work(now_ms);
    }

    /// The head moves: what was for seqs up to it is over.
    fn settle(&mut self, now_ms: u64, attestation: &StepAttestation) {
        let seq = attestation.commit.seq;
        let view = self.committee_view().unwrap_or(self.head_view);
        let passed = view.0.saturating_sub(self.head_view.0);
        let quorum = self.config.committee.quorum();
        self.hard.give_up(now_ms, seq, passed, quorum);
        let old = self.head.replace(*attestation).map(|head| head.commit);
        let before = old.filter(|old| old.seq.next() == Some(seq));
        self.before = before.map(|old| (old.seq, old.trace));
        self.head_view = view;
        self.lock = None;
        self.certified = None;
        self.reveal = None;
        self.hard.settled(seq);
    }

    /// The trace root of the step before the head, if it is the one that step committed to: a
    /// wrong one would make the next job invalid.
    fn on_reveal(&mut self, seq: Seq, trace: TraceRoot) {
        let hash = Digest::from_bytes(Sha256::digest(trace.as_bytes()).into());
        if self.before == Some((seq, hash)) {
            self.reveal = Some(trace);
        }
    }

    fn send(&mut self, to: Slot, message: ToSigner) {
        self.outputs.push_back(Output::Send {
            to: Endpoint::Signer(to),
            message: Message::ToSigner(message),
        });
    }

    fn send_head(&mut self, slot: Slot) {
        if let Some(head) = &self.head {
            let bytes = ByteBuf::from(head.to_bytes());
            self.send(slot, ToSigner::Attested(bytes));
        }
    }

    fn slots(&self) -> Vec<Slot> {
        self.config.committee.slots().collect()
    }

    fn threshold(&self) -> usize {
        usize::from(self.config.committee.quorum().threshold())
    }

    fn head_seq(&self) -> Seq {
        self.head.as_ref().map_or(Seq(0), |head| head.commit.seq)
    }

    fn next_seq(&self) -> Option<Seq> {
        self.head_seq().next()
    }

    /// The highest view that t members have reached.
    fn committee_view(&self) -> Option<View> {
        let mut views: Vec<View> = self.members.values().map(|member| member.view).collect();
        views.sort_unstable_by(|a, b| b.cmp(a));
        views.get(self.threshold().checked_sub(1)?).copied()
    }
}

impl<C: Ciphersuite, I, V> core::fmt::Debug for Coordinator<C, I, V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Coordinator")
            .field("rank", &self.config.rank)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}
