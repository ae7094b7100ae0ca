//! The signer's step machine (PROTOCOL part A): jobs in, votes and shares out.
//!
//! Sans-IO: [`Signer::handle`] takes what happened, [`Signer::poll`] gives what to do,
//! [`Signer::poll_timeout`] says when to call [`Signer::handle_timeout`]. Time is Unix
//! milliseconds. The signer holds no file and no socket: what must outlive it leaves as
//! [`Output::Persist`] and [`Output::StoreJob`], and what depends on them leaves after
//! [`Input::Persisted`] and [`Input::JobStored`], never before.
//!
//! Its invariant: whatever it is told, in whatever order, over any number of restarts on one
//! register, its shares never serve two statements at one seq in a way that could attest both.

mod attested;
mod event;
mod fault;
mod job;
mod lanes;
mod nom;
mod observe;
mod pacemaker;
mod package;
mod release;
mod rollback;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use attestation::ids::{Boot, Digest, Epoch, RequestId, Seq, Slot, StatementId, TraceRoot, View};
use attestation::step_attestation::StepAttestation;
use frost_core::keys::KeyPackage;
use frost_core::{Ciphersuite, SigningPackage};
use rand_core::{CryptoRng, RngCore};
use state::job::{Job, SignedFault, SignedVote};
use state::step::StepOutcome;

use crate::committee::Committee;
use crate::identity::{SignIdentity, Verify};
use crate::message::{
    Certificate, Endpoint, Lane, Message, Remembered, SignedNonces, SignedPackage, SignedProposal,
    SignedShare, Stated, ToCoordinator, ToMember, ToSigner,
};
use crate::nonce::OneShotNonces;
use crate::register::{Chain, Record, Refused};
use crate::statement::StepParams;

pub use event::{AppendFailure, Halt, Input, Output};
use lanes::Lanes;
use nom::Seen;
pub use nom::{CONFIRMED_MAX, HELD_VIEWS_MAX, LET_GO_STEPS, OVERDUE_MAX, Sight};
use observe::Observations;
pub use observe::{OBSERVATIONS_KEPT_MAX, Sighting};
use pacemaker::Pacemaker;
pub use pacemaker::{RESEND_MS, TIMER_FIRST_MS, TIMER_MAX_MS, VIEW_JUMP_MAX};
pub use package::{PackageError, commitments_of, signing_package};
use rollback::Asking;

/// How far a step's time may be from the signer's clock (rule A2).
pub const CLOCK_SKEW_MS: u64 = 30_000;
/// How long an executor may be silent over a job before the signer runs its first request alone
/// (rule A11): half as long again as a step of 2·10⁹ gas takes at 4 ns each.
pub const EXECUTOR_SILENT_MS: u64 = 12_000;
/// How long the signer waits before it asks its executor again for a job whose module was not at
/// hand.
pub const MODULE_RETRY_MS: u64 = 200;
/// Most faults that a signer remembers and sends again to each new leader.
pub const FAULTS_MAX: usize = 64;

/// What a signer is made of.
#[derive(Debug)]
pub struct Config<C: Ciphersuite, I, V> {
    /// The committee.
    pub committee: Committee,
    /// What steps are run with.
    pub step: StepParams,
    /// This member.
    pub slot: Slot,
    /// Its key share.
    pub key: KeyPackage<C>,
    /// Its identity key.
    pub identity: I,
    /// Verifies the others'.
    pub verify: V,
    /// Its register, replayed.
    pub chain: Chain,
    /// The newest attestation that its node has.
    pub head: Option<StepAttestation>,
    /// Its operator says that its register is on a new or restored disk (rule C2).
    pub restored: bool,
    /// Input of the request that puts the next epoch into force, once this member's operator has
    /// approved it and its ceremony is complete (rule B4).
    pub cutover: Option<Vec<u8>>,
    /// The last epoch that this member holds a share of, in force or not: a register that has lost
    /// entries may have lost them there (rule C2).
    pub last_share: Epoch,
}

/// A member's signer.
pub struct Signer<C: Ciphersuite, I, V> {
    committee: Committee,
    step: StepParams,
    slot: Slot,
    key: KeyPackage<C>,
    identity: I,
    verify: V,
    boot: Boot,
    chain: Chain,
    /// Entries below this position are on disk.
    durable: u64,
    /// Statuses, and what belongs to the current view, leave once this many entries are on disk.
    view_gate: u64,
    head: Option<StepAttestation>,
    pace: Pacemaker,
    /// Until t − 1 others have told what they remember of this member (rule C2).
    asking: Option<Asking>,
    /// The newest words of the others.
    memory: BTreeMap<Slot, Remembered>,
    proposed: Option<Proposed>,
    work: Option<Work>,
    ran: Option<Box<Ran>>,
    cast: Option<Cast<C>>,
    late: Option<Late>,
    /// Whether this view's vote was for what is attested: t members met in this view.
    met: bool,
    stored: Option<Digest>,
    faults: BTreeMap<RequestId, SignedFault>,
    traces: BTreeMap<Seq, TraceRoot>,
    verified: Vec<SignedVote>,
    wanted: BTreeMap<StatementId, BTreeSet<u16>>,
    status_due: BTreeSet<Endpoint>,
    /// What this seq and view have given the node to report already.
    reported: BTreeSet<Report>,
    /// What this member's operator has seen confirmed in the NoM chain.
    /// What it signed of sources outside.
    observations: Observations,
    seen: Seen,
    /// What is signed beside the steps.
    lanes: Lanes<C>,
    outputs: VecDeque<Output>,
    cutover: Option<Vec<u8>>,
    last_share: Epoch,
    halted: bool,
}

/// What a leader can provoke as often as it likes; it is reported once per seq and view, or one
/// liar would fill the operator's log and the node's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Report {
    ProposedTwice,
    PackagedTwice,
    Dissent,
    Refused,
}

/// The proposal of the current view.
struct Proposed {
    proposal: SignedProposal,
    certificate: Option<Certificate>,
}

/// A job that the executor has.
struct Work {
    digest: Digest,
    job: Box<Job>,
    /// The head when it began.
    previous: Option<StepAttestation>,
    /// Digest of the job cut down to its first request, once that runs alone (rule A11).
    alone: Option<Digest>,
    /// When to give up waiting, or to ask again for a job whose module was not at hand.
    silent_at: u64,
    retry_at: Option<u64>,
}

/// A job that was run, and to what.
struct Ran {
    digest: Digest,
    job: Box<Job>,
    outcome: Box<StepOutcome>,
    stated: Stated,
    statement: StatementId,
}

/// The vote of the current view, and what may be signed on it.
struct Cast<C: Ciphersuite> {
    vote: SignedVote,
    stated: Stated,
    rank: u16,
    job: Digest,
    /// Entries that must be on disk before the vote leaves.
    gate: u64,
    sent: bool,
    /// Nonces for the next signing; taken by it.
    nonces: Option<OneShotNonces<C>>,
    offered: SignedNonces,
    signings: u16,
    package: Option<Packaged<C>>,
    answered: Option<(SignedPackage, Box<SignedShare>)>,
}

/// A vote for a step that was attested while this member still ran it.
struct Late {
    proposal: SignedProposal,
    ready: Option<Box<ToCoordinator>>,
}

/// A checked package that waits for its lock to be on disk.
struct Packaged<C: Ciphersuite> {
    package: Box<SignedPackage>,
    /// Its commitments over the statement, as points.
    signing: SigningPackage<C>,
    gate: u64,
}

impl<C: Ciphersuite, I: SignIdentity, V: Verify> Signer<C, I, V> {
    /// Starts a signer on its register: what it voted and locked before stands.
    ///
    /// # Errors
    /// [`Refused`] if the register is at the end of its counters.
    pub fn new(config: Config<C, I, V>) -> Result<Self, Refused> {
        let mut chain = config.chain;
        let boot = chain.next_boot()?;
        let asking = Asking::new(&chain, &chain.lane(Lane::Steps), boot);
        let appended = chain.append(Record::Boot(boot))?;
        let standing = chain.lane(Lane::Steps);
        let mut signer = Self {
            pace: Pacemaker::new(config.committee.quorum(), chain.standing().view),
            committee: config.committee,
            step: config.step,
            slot: config.slot,
            lanes: Lanes::new(config.key.clone()),
            key: config.key,
            observations: Observations::default(),
            seen: Seen::default(),
            identity: config.identity,
            verify: config.verify,
            boot,
            durable: chain.next_index().saturating_sub(1),
            view_gate: chain.next_index(),
            chain,
            head: None,
            asking: Some(asking),
            memory: BTreeMap::new(),
            proposed: None,
            work: None,
            ran: None,
            cast: None,
            late: None,
            met: false,
            stored: None,
            faults: BTreeMap::new(),
            traces: BTreeMap::new(),
            verified: Vec::new(),
            wanted: BTreeMap::new(),
            status_due: BTreeSet::new(),
            reported: BTreeSet::new(),
            outputs: appended.entry.into_iter().map(Output::Persist).collect(),
            cutover: config.cutover,
            last_share: config.last_share,
            halted: false,
        };
        let kept = standing
            .attested
            .and_then(|step| StepAttestation::from_bytes(&step.attestation).ok());
        signer.head = kept;
        if let Some(lock) = standing.lock {
            signer.remember_votes(&lock.votes);
        }
        if config.restored {
            signer.declare_restored();
        } else if signer.is_behind() {
            signer.asking = None;
            let epoch = signer.committee.epoch();
            let remembered = None;
            signer
                .outputs
                .push_back(Output::Behind { epoch, remembered });
        }
        signer.status_to_all();
        if let Some(head) = config.head {
            signer.learn(0, &head);
        }
        Ok(signer)
    }

    /// Takes one event.
    pub fn handle(&mut self, now_ms: u64, rng: &mut (impl RngCore + CryptoRng), input: Input) {
        if self.halted {
            return;
        }
        match input {
            Input::Message { from, message } => self.on_message(now_ms, rng, from, message),
            Input::Connected(party) => self.on_connected(now_ms, party),
            Input::Persisted { index } => self.durable = self.durable.max(index.saturating_add(1)),
            Input::AppendFailed(failure) => self.halt(match failure {
                AppendFailure::Refused(refused) => Halt::Register(refused),
                AppendFailure::Disk => Halt::Disk,
            }),
            Input::JobStored { job } => self.stored = Some(job),
            Input::JobLoaded { statement, job } => self.on_job_loaded(statement, job),
            Input::Executable(waits) => self.pace.set_executable(waits, now_ms),
            // Once for all requests of a step, and never away from where the others meet.
            Input::PassedOver(_) if self.met => self.enter(self.next_view(), now_ms),
            Input::PassedOver(_) => {}
            Input::Head(attestation) => self.learn(now_ms, &attestation),
            Input::Observe(seen) => self.observe(*seen),
            Input::Sight(sight) => {
                let head = self.head_seq();
                self.seen.take(*sight, head);
            }
        }
        self.settle(now_ms, rng);
    }

    /// Does what is due at `now_ms`.
    pub fn handle_timeout(&mut self, now_ms: u64, rng: &mut (impl RngCore + CryptoRng)) {
        if self.halted {
            return;
        }
        if self.pace.expired(now_ms) {
            self.enter(self.next_view(), now_ms);
        }
        if self.pace.resend_due(now_ms) {
            self.status_to_all();
        }
        self.ask_when_due(now_ms);
        self.check_executor(now_ms);
        self.settle(now_ms, rng);
    }

    /// From now on this member votes for steps that carry this cutover, and for no other
    /// (rule B4): all members of the new epoch have certified their shares, this one among them if
    /// it stays.
    pub fn approve_cutover(&mut self, input: Vec<u8>) {
        self.cutover = Some(input);
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        if self.halted {
            return None;
        }
        let work = self.work.as_ref().map(Work::due);
        let asking = self.asking.as_ref().map(Asking::due);
        let due = [self.pace.due(), work, asking];
        due.into_iter().flatten().min()
    }

    /// The view this signer is in.
    #[must_use]
    pub const fn view(&self) -> View {
        self.chain.standing().view
    }

    /// The last attested step it knows.
    #[must_use]
    pub const fn head(&self) -> Option<&StepAttestation> {
        self.head.as_ref()
    }

    /// The number of this start.
    #[must_use]
    pub const fn boot(&self) -> Boot {
        self.boot
    }

    /// Whether it has stopped.
    #[must_use]
    pub const fn halted(&self) -> bool {
        self.halted
    }

    fn on_message(
        &mut self,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
        from: Endpoint,
        message: Message,
    ) {
        match (from, message) {
            (Endpoint::Coordinator(rank), Message::ToSigner(message)) => match message {
                // A member that may not vote has nothing to run.
                ToSigner::Job { .. } | ToSigner::Package(_) if !self.takes_part() => {}
                ToSigner::Job {
                    proposal,
                    job,
                    certificate,
                } => {
                    self.on_job(now_ms, rng, rank, proposal, job, certificate);
                }
                ToSigner::Package(package) => self.on_package(now_ms, rank, package),
                ToSigner::Attested(bytes) => self.on_attested(now_ms, &bytes),
                ToSigner::SendJob { statement } => self.on_send_job(rank, statement),
                ToSigner::SendStatus => {
                    self.status_due.insert(from);
                }
            },
            (Endpoint::Signer(slot), Message::ToMember(ToMember::Status(status))) => {
                self.on_status(now_ms, slot, &status);
            }
            (Endpoint::Signer(slot), Message::ToMember(ToMember::SendRemembered)) => {
                self.answer_remembered(slot);
            }
            (Endpoint::Signer(slot), Message::ToMember(ToMember::Remembered(remembered))) => {
                self.on_remembered(slot, *remembered);
            }
            (Endpoint::Executor(slot), Message::FromExecutor(message)) if slot == self.slot => {
                self.on_executor(now_ms, rng, message);
            }
            (Endpoint::Coordinator(rank), Message::ToLane(message)) => {
                self.on_lane(rng, rank, &message);
            }
            // Not for this role: another machine's message, or a peer that makes no sense.
            _ => {}
        }
    }

    fn send(&mut self, to: Endpoint, message: Message) {
        self.outputs.push_back(Output::Send { to, message });
    }

    fn tell(&mut self, rank: u16, message: ToCoordinator) {
        self.send(Endpoint::Coordinator(rank), Message::ToCoordinator(message));
    }

    /// Appends to the register and returns how many entries must be on disk before what depends
    /// on it leaves.
    fn append(&mut self, record: Record) -> Result<u64, Refused> {
        let appended = self.chain.append(record)?;
        self.outputs.extend(appended.entry.map(Output::Persist));
        Ok(appended.gate.saturating_add(1))
    }

    fn report(&mut self, report: Report, output: Output) {
        if self.reported.insert(report) {
            self.outputs.push_back(output);
        }
    }

    fn halt(&mut self, why: Halt) {
        // Nonces go first: a halted signer signs nothing any more.
        self.cast = None;
        self.lanes.close();
        self.work = None;
        self.halted = true;
        self.outputs.push_back(Output::Halt(why));
    }

    fn head_seq(&self) -> Seq {
        self.head.as_ref().map_or(Seq(0), |head| head.commit.seq)
    }

    fn head_statement(&self) -> StatementId {
        let none = StatementId::from_bytes([0; 32]);
        self.head.as_ref().map_or(none, StepAttestation::statement)
    }

    fn next_view(&self) -> View {
        View(self.view().0.saturating_add(1))
    }

    fn lock(&self) -> Option<Certificate> {
        let next = self.head_seq().next();
        let lock = self.chain.lane(Lane::Steps).lock?;
        let claim = lock.claim()?;
        (Some(claim.seq) == next).then_some(lock)
    }
}

impl<C: Ciphersuite, I, V> core::fmt::Debug for Signer<C, I, V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Signer")
            .field("slot", &self.slot)
            .field("standing", self.chain.standing())
            .finish_non_exhaustive()
    }
}
