//! A committee, its clock and its queue of events.
//!
//! One thread, one generator. Whoever lies to both sides has two faces: two whole machines under one
//! key, each with a register of its own, of which each honest party sees one. Everything else that
//! a liar does is done to the messages of such a machine ([`crate::liars`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use attestation::ids::{Boot, Digest, RequestId, Seq, Slot, StatementId};
use attestation::request::Request;
use coordinator_protocol::coordinator::Coordinator;
use signer_protocol::message::{Endpoint, FromExecutor, Message};
use signer_protocol::signer::Signer;
use state::job::{BuildJob, Job};
use state::step::{Report, StepError};

use crate::chain::Chain;
use crate::counts::Counts;
use crate::dice::Dice;
use crate::disk::Disk;
use crate::era::Coming;
use crate::founding::{Founding, START_MS};
use crate::knobs::Knobs;
use crate::liars::{CoordinatorLie, Liars, MemberLie};
use crate::network::Network;
use crate::story::Story;
use crate::suite::Suite;
use crate::watch::{Rule, Watch};
use crate::zapp::{Engine, Ran};

/// A signer of this committee.
pub type SimSigner<S> = Signer<<S as Suite>::Cipher, <S as Suite>::Identity, <S as Suite>::Verify>;
/// A coordinator of this committee.
pub type SimCoordinator<S> =
    Coordinator<<S as Suite>::Cipher, <S as Suite>::Identity, <S as Suite>::Verify>;

/// A machine: a party's only one, or one of a liar's two faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Machine {
    /// The party.
    pub party: Endpoint,
    /// 0, or 1 for a liar's second face.
    pub face: u8,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.party)?;
        if self.face > 0 {
            f.write_str("'")
        } else {
            Ok(())
        }
    }
}

/// What is to happen.
#[derive(Debug)]
pub enum Event {
    /// A message arrives.
    Deliver {
        /// From whom.
        from: Endpoint,
        /// At which machine.
        to: Machine,
        /// For which of its processes.
        process: u64,
        /// The message.
        message: Box<Message>,
    },
    /// A register's entries are durable.
    Persisted {
        /// Whose.
        at: Machine,
        /// Which process asked.
        process: u64,
        /// Up to which position.
        index: u64,
    },
    /// A job is durable.
    Stored {
        /// Whose.
        at: Machine,
        /// Which process asked.
        process: u64,
        /// The job.
        digest: Digest,
    },
    /// A job is read back.
    Loaded {
        /// Whose.
        at: Machine,
        /// Which process asked.
        process: u64,
        /// What it leads to.
        statement: StatementId,
    },
    /// An executor answers.
    Executed {
        /// Whose.
        at: Machine,
        /// Which process asked.
        process: u64,
        /// What it says.
        answer: Box<FromExecutor>,
    },
    /// A node is to build a job for its coordinator.
    Build {
        /// For whom.
        at: Machine,
        /// Which process asked.
        process: u64,
        /// Of what.
        build: Box<BuildJob>,
    },
    /// A node starts its guests anew, in the epoch that its head has put into force.
    Turn(Slot),
    /// A process starts.
    Start(Machine),
    /// A node has applied steps up to here.
    Applied(Slot, Seq),
    /// A request reaches a node.
    Arrive(Slot, usize),
    /// A caller hands in a request.
    Submit,
    /// A member's part of the change of epochs is durable.
    Ready(Slot),
    /// A partition ends.
    Mend,
    /// A moment in which faults may happen.
    Chaos,
}

/// A member's signer with its disk, and its executor.
#[derive(Debug)]
pub struct Member<S: Suite> {
    /// The running signer.
    pub signer: Option<SimSigner<S>>,
    /// Which process it is.
    pub process: u64,
    /// An earlier process that nobody stopped.
    pub twin: Option<(SimSigner<S>, u64)>,
    /// Its register.
    pub disk: Disk,
    /// Jobs written.
    pub jobs: BTreeMap<StatementId, Job>,
    /// Jobs durable.
    pub stored: BTreeSet<Digest>,
    /// Its executor.
    pub engine: Engine,
    /// How often its executor stopped answering, or its clock made it seem so.
    pub seemed_silent: u64,
    /// How far its clock is off, in milliseconds.
    pub skew_ms: i64,
    /// Until when it stands still.
    pub paused_until: u64,
    /// What it does that it should not.
    pub lies: BTreeSet<MemberLie>,
}

/// A coordinator's process.
#[derive(Debug)]
pub struct Rank<S: Suite> {
    /// The running coordinator.
    pub coordinator: Option<SimCoordinator<S>>,
    /// Which process it is.
    pub process: u64,
    /// What it does that it should not.
    pub lies: BTreeSet<CoordinatorLie>,
}

/// A member's node: what it knows of requests and steps.
#[derive(Debug, Default)]
pub struct Node {
    /// The last step that it has applied.
    pub applied: Seq,
    /// The last step that it has heard of.
    pub heard: Seq,
    /// Requests that reached it, and how many steps passed each over.
    pub known: BTreeMap<usize, u32>,
    /// What it told its guests last.
    pub executable: bool,
}

/// What must not have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise it breaks.
    pub rule: Rule,
    /// When, in milliseconds since the start.
    pub at_ms: u64,
    /// How.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// Everything.
pub struct World<S: Suite> {
    /// The virtual clock, Unix milliseconds.
    pub now: u64,
    /// Chance.
    pub dice: Dice,
    /// What the seed drew.
    pub knobs: Knobs,
    /// The committee.
    pub founding: Founding<S>,
    /// The epoch that comes after it, in runs with a change of epochs.
    pub coming: Option<Coming<S>>,
    /// Signers.
    pub members: BTreeMap<Machine, Member<S>>,
    /// Coordinators.
    pub ranks: BTreeMap<Machine, Rank<S>>,
    /// Nodes.
    pub nodes: BTreeMap<Slot, Node>,
    /// The attested chain.
    pub chain: Chain,
    /// The network.
    pub network: Network,
    /// What liars know and do.
    pub liars: Liars,
    /// What must hold.
    pub watch: Watch<S>,
    /// What happened how often.
    pub counts: Counts,
    /// What happened.
    pub story: Story,
    /// Requests handed in, with their ids.
    pub requests: Vec<(RequestId, Request)>,
    /// Requests that may wait until they expire: too many executors trap for a certificate, too
    /// few for a refusal.
    pub excused: BTreeSet<usize>,
    /// What ended the run.
    pub violation: Option<Violation>,
    /// Members that take no part in this epoch any more, since others remember more than they do
    /// (rule C2).
    pub silenced: BTreeSet<Endpoint>,
    /// Whether faults still happen.
    pub faulty: bool,
    /// Everything sent, with its sender and receiver, where somebody asked to keep it.
    pub wire: Option<Vec<(Endpoint, Endpoint, Message)>>,
    /// What executors made of jobs before.
    pub ran: BTreeMap<Ran, Result<Vec<Report>, StepError>>,
    queue: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
}

impl<S: Suite> World<S> {
    /// Milliseconds since the start.
    #[must_use]
    pub const fn elapsed_ms(&self) -> u64 {
        self.now.saturating_sub(START_MS)
    }

    /// A world in which nobody has started.
    #[must_use]
    pub fn new(knobs: Knobs, founding: Founding<S>, dice: Dice, story: Story) -> Self {
        Self {
            now: START_MS,
            chain: Chain::new(&founding),
            network: Network::new(&knobs),
            watch: Watch::new(&founding),
            liars: Liars::default(),
            dice,
            knobs,
            founding,
            coming: None,
            members: BTreeMap::new(),
            ranks: BTreeMap::new(),
            nodes: BTreeMap::new(),
            counts: Counts::default(),
            story,
            requests: Vec::new(),
            excused: BTreeSet::new(),
            violation: None,
            silenced: BTreeSet::new(),
            faulty: true,
            wire: None,
            ran: BTreeMap::new(),
            queue: BTreeMap::new(),
            scheduled: 0,
        }
    }

    /// Puts an event on the queue, so many milliseconds from now.
    pub fn after(&mut self, delay_ms: u64, event: Event) {
        self.scheduled += 1;
        let at = (self.now.saturating_add(delay_ms), self.scheduled);
        self.queue.insert(at, event);
    }

    /// Ends the run: something is not as it must be.
    pub fn violate(&mut self, rule: Rule, what: String) {
        let at_ms = self.elapsed_ms();
        if self.violation.is_none() {
            self.story
                .tell(at_ms, &"VIOLATION", format_args!("{rule}: {what}"));
            self.violation = Some(Violation { rule, at_ms, what });
        }
    }

    /// Ends the run unless a check passed.
    pub fn judge(&mut self, verdict: Result<(), (Rule, String)>) {
        if let Err((rule, what)) = verdict {
            self.violate(rule, what);
        }
    }

    /// Tells something.
    pub fn tell(&mut self, actor: &dyn fmt::Display, what: fmt::Arguments<'_>) {
        self.story
            .tell(self.now.saturating_sub(START_MS), actor, what);
    }

    /// Runs until `done`, a violation, or so many milliseconds have passed. Whether it is done.
    pub fn run_until(&mut self, ms: u64, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + ms;
        while self.violation.is_none() {
            if done(self) {
                return true;
            }
            if !self.step(end) {
                self.now = end;
                return done(self);
            }
        }
        false
    }

    /// Does what comes next, unless that is after `end`.
    fn step(&mut self, end: u64) -> bool {
        let timer = self.next_timer();
        let queued = self.queue.keys().next().map(|(at, _)| *at);
        let Some(next) = [timer.map(|(at, ..)| at), queued]
            .into_iter()
            .flatten()
            .min()
        else {
            return false;
        };
        if next > end {
            return false;
        }
        self.now = self.now.max(next);
        if queued.is_some_and(|at| at <= next) {
            if let Some((_, event)) = self.queue.pop_first() {
                self.happen(event);
            }
        } else if let Some((_, machine, process)) = timer {
            self.fire(machine, process);
        }
        true
    }

    fn next_timer(&self) -> Option<(u64, Machine, u64)> {
        let signers = self.members.iter().flat_map(|(machine, member)| {
            let running = member.signer.iter().map(|signer| (signer, member.process));
            let twin = member
                .twin
                .iter()
                .map(|(signer, process)| (signer, *process));
            running.chain(twin).filter_map(|(signer, process)| {
                let local = signer.poll_timeout()?;
                let at = local.saturating_add_signed(-member.skew_ms);
                Some((at.max(member.paused_until), *machine, process))
            })
        });
        let ranks = self.ranks.iter().filter_map(|(machine, rank)| {
            let at = rank.coordinator.as_ref()?.poll_timeout()?;
            Some((at, *machine, rank.process))
        });
        signers.chain(ranks).min()
    }

    fn fire(&mut self, machine: Machine, process: u64) {
        let now = self.now;
        let late = if let Some(member) = self.members.get_mut(&machine) {
            let local = now.saturating_add_signed(member.skew_ms);
            let Some(signer) = member.process_mut(process) else {
                return;
            };
            signer.handle_timeout(local, &mut self.dice.rng);
            let due = signer.poll_timeout();
            self.drain_signer(machine, process);
            due.is_some_and(|due| due <= local)
        } else if let Some(rank) = self.ranks.get_mut(&machine)
            && let Some(coordinator) = &mut rank.coordinator
        {
            coordinator.handle_timeout(now);
            let due = coordinator.poll_timeout();
            self.drain_coordinator(machine);
            due.is_some_and(|due| due <= now)
        } else {
            false
        };
        if late {
            self.violate(Rule::S9, format!("the timer of {machine} does not advance"));
        }
    }

    /// All parties that machines speak to over the network.
    #[must_use]
    pub fn parties(&self) -> Vec<Endpoint> {
        let machines = self.members.keys().chain(self.ranks.keys());
        machines
            .filter(|machine| machine.face == 0)
            .map(|machine| machine.party)
            .collect()
    }

    /// Most members that may lie while two statements of one seq are never both signed, in any epoch.
    #[must_use]
    pub fn liars_safe(&self) -> u16 {
        let next = self.coming.iter().map(|next| next.committee.quorum());
        let safe = next.map(|quorum| (2 * quorum.threshold()).saturating_sub(quorum.members() + 1));
        safe.chain([self.knobs.liars_safe()]).min().unwrap_or(0)
    }

    /// Most members that may lie or be away while steps are attested, in any epoch.
    #[must_use]
    pub fn liars_live(&self) -> u16 {
        let next = self.coming.iter().map(|next| next.committee.quorum());
        let live = next.map(|quorum| quorum.members() - quorum.threshold());
        live.chain([self.knobs.liars_live()]).min().unwrap_or(0)
    }

    /// Whether a party follows the protocol.
    #[must_use]
    pub fn honest(&self, party: Endpoint) -> bool {
        !self.liars.parties.contains(&party)
    }

    /// The node of a coordinator is that of the member with the next number.
    #[must_use]
    pub const fn host(rank: u16) -> Slot {
        Slot(rank + 1)
    }

    /// Members that have stopped following the protocol.
    #[must_use]
    pub fn lying_members(&self) -> u16 {
        let lying = self.liars.parties.iter();
        let lying = lying.filter(|party| matches!(party, Endpoint::Signer(_)));
        u16::try_from(lying.count()).unwrap_or(u16::MAX)
    }
}

impl<S: Suite> Member<S> {
    /// The signer that is this process: the running one or its twin.
    pub fn process_mut(&mut self, process: u64) -> Option<&mut SimSigner<S>> {
        if process == self.process {
            return self.signer.as_mut();
        }
        let twin = self.twin.as_mut()?;
        (twin.1 == process).then_some(&mut twin.0)
    }

    /// The number of the running signer's start.
    #[must_use]
    pub fn boot(&self) -> Option<Boot> {
        self.signer.as_ref().map(Signer::boot)
    }
}

impl<S: Suite> fmt::Debug for World<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("now", &self.now)
            .field("knobs", &self.knobs)
            .finish_non_exhaustive()
    }
}
