//! What happens to the machines under test, and what they ask for. Decides nothing: each output has
//! one effect, and the checks ([`crate::watch`]) see it first.

use std::collections::{BTreeMap, BTreeSet};

use attestation::ids::Slot;
use attestation::step_attestation::StepAttestation;
use coordinator_protocol::coordinator::{self, Coordinator};
use signer_protocol::blame::{Act, Culprit};
use signer_protocol::message::{
    Endpoint, ExecutorFailure, FromExecutor, Message, ToExecutor, ToSigner,
};
use signer_protocol::register::{Entry, Record};
use signer_protocol::signer::{self, AppendFailure, Halt, Signer};
use signer_protocol::statement::StepParams;
use state::job::Job;
use state::step::{Previous, StepError, run};

use crate::chain::Broken;
use crate::disk::Disk;
use crate::story::{describe, of};
use crate::watch::Rule;
use crate::world::{Event, Machine, Member, Node, Rank, World};
use crate::zapp::Engine;

impl World {
    /// Builds all machines and starts them.
    pub fn establish(&mut self) {
        let slots: Vec<Slot> = self.founding.record.slots().collect();
        for slot in slots {
            self.nodes.insert(slot, Node::default());
            let party = Endpoint::Signer(slot);
            for face in 0..self.faces_of(party) {
                let machine = Machine { party, face };
                let member = self.new_member(slot);
                self.members.insert(machine, member);
            }
        }
        for rank in 0..self.knobs.coordinators {
            let party = Endpoint::Coordinator(rank);
            for face in 0..self.faces_of(party) {
                let rank = Rank {
                    coordinator: None,
                    process: 0,
                    lies: self.liars.coordinator_lies(party),
                };
                self.ranks.insert(Machine { party, face }, rank);
            }
        }
        let machines = self.members.keys().chain(self.ranks.keys());
        for machine in machines.copied().collect::<Vec<_>>() {
            self.start(machine);
        }
    }

    fn new_member(&mut self, slot: Slot) -> Member {
        let party = Endpoint::Signer(slot);
        let skew = i64::try_from(self.knobs.skew_ms).unwrap_or(0);
        let skew_ms = match skew {
            0 => 0,
            _ => i64::try_from(self.dice.within((0, self.knobs.skew_ms * 2))).unwrap_or(0) - skew,
        };
        let lies = self.liars.member_lies(party);
        let mut engine = Engine::sound();
        engine.takes_ms = self.knobs.execute_ms;
        engine.wrong = lies.contains(&crate::liars::MemberLie::WrongOutcome);
        Member {
            signer: None,
            process: 0,
            twin: None,
            disk: Disk::new(self.founding.committee.domain(), slot),
            jobs: BTreeMap::new(),
            stored: BTreeSet::new(),
            engine,
            seemed_silent: 0,
            skew_ms,
            paused_until: 0,
            lies,
        }
    }

    /// Starts a machine's process, if none runs.
    pub fn start(&mut self, machine: Machine) {
        match machine.party {
            Endpoint::Signer(slot) => self.start_signer(machine, slot),
            Endpoint::Coordinator(rank) => self.start_coordinator(machine, rank),
            Endpoint::Executor(_) | Endpoint::Node(_) => {}
        }
    }

    fn start_signer(&mut self, machine: Machine, slot: Slot) {
        let Some(member) = self.members.get_mut(&machine) else {
            return;
        };
        if member.signer.is_some() {
            return;
        }
        member.disk.full = false;
        let opened = member.disk.open(self.founding.committee.domain(), slot);
        match opened {
            Ok(opened) if opened.torn > 0 => self.counts.add("torn record repaired"),
            Ok(_) => {}
            Err(lost) => {
                return self.violate(Rule::S11, format!("{machine} starts and finds {lost:?}"));
            }
        }
        // A node that starts has the head that it has applied; its guest knows it from there.
        let applied = self.nodes.get(&slot).map(|node| node.applied);
        let head = applied.and_then(|seq| self.chain.step(seq)).copied();
        let Some(share) = self.founding.keys.shares.get(&slot).cloned() else {
            return;
        };
        let config = signer::Config {
            committee: self.founding.committee.clone(),
            step: StepParams::new(&self.founding.record),
            slot,
            key: share,
            identity: self.founding.identity(machine.party),
            verify: self.founding.verify.clone(),
            chain: member.disk.chain.clone(),
            head,
        };
        member.process += 1;
        let (process, view) = (member.process, member.disk.chain.standing().view);
        match Signer::new(config) {
            Ok(signer) => {
                let boot = signer.boot();
                member.signer = Some(signer);
                self.tell(&machine, format_args!("starts, number {boot}"));
            }
            Err(refused) => {
                return self.violate(Rule::S11, format!("{machine} does not start: {refused}"));
            }
        }
        self.watch.started(machine.party, view);
        self.drain_signer(machine, process);
        self.connected(machine);
        self.tell_node(slot);
        let executable = self.nodes.get(&slot).is_some_and(|node| node.executable);
        self.sign(machine, signer::Input::Executable(executable));
    }

    fn start_coordinator(&mut self, machine: Machine, rank: u16) {
        let config = coordinator::Config {
            committee: self.founding.committee.clone(),
            step: StepParams::new(&self.founding.record),
            rank,
            public: self.founding.keys.public.clone(),
            identity: self.founding.identity(machine.party),
            verify: self.founding.verify.clone(),
        };
        let Some(entry) = self.ranks.get_mut(&machine) else {
            return;
        };
        if entry.coordinator.is_some() {
            return;
        }
        entry.process += 1;
        entry.coordinator = Some(Coordinator::new(config));
        self.tell(&machine, format_args!("starts"));
        let node = self.nodes.get(&Self::host(rank));
        let (applied, executable) =
            node.map_or_else(Default::default, |node| (node.applied, node.executable));
        if let Some(head) = self.chain.step(applied).copied() {
            self.coordinate(machine, coordinator::Input::Head(Box::new(head)));
        }
        self.coordinate(machine, coordinator::Input::Executable(executable));
        self.connected(machine);
    }

    /// A channel comes up: its signer ends know.
    fn connected(&mut self, machine: Machine) {
        let signers: Vec<Machine> = self.members.keys().copied().collect();
        for other in signers
            .into_iter()
            .filter(|other| other.party != machine.party)
        {
            self.sign(other, signer::Input::Connected(machine.party));
        }
    }

    /// Does what is due.
    pub fn happen(&mut self, event: Event) {
        if let Some(until) = self.paused(&event) {
            return self.after(until - self.now, event);
        }
        match event {
            Event::Deliver {
                from,
                to,
                process,
                message,
            } => self.deliver(from, to, process, *message),
            Event::Persisted { at, process, index } => {
                if let Some(member) = self.members.get_mut(&at)
                    && member.process_mut(process).is_some()
                {
                    member.disk.acknowledge(index);
                    self.sign_in(at, process, signer::Input::Persisted { index });
                }
            }
            Event::Stored {
                at,
                process,
                digest,
            } => {
                if let Some(member) = self.members.get_mut(&at)
                    && member.process_mut(process).is_some()
                {
                    member.stored.insert(digest);
                    self.sign_in(at, process, signer::Input::JobStored { job: digest });
                }
            }
            Event::Loaded {
                at,
                process,
                statement,
            } => {
                let member = self.members.get(&at);
                let job = member.and_then(|member| member.jobs.get(&statement));
                let job = job.cloned().map(Box::new);
                self.sign_in(at, process, signer::Input::JobLoaded { statement, job });
            }
            Event::Executed {
                at,
                process,
                answer,
            } => {
                if let Endpoint::Signer(slot) = at.party {
                    let from = Endpoint::Executor(slot);
                    self.tell(&from, format_args!("{}", describe_answer(&answer)));
                    let message = Message::FromExecutor(*answer);
                    self.sign_in(at, process, signer::Input::Message { from, message });
                }
            }
            Event::Build { at, process, build } => {
                if self
                    .ranks
                    .get(&at)
                    .is_some_and(|rank| rank.process == process)
                {
                    let job = self.build(at, &build);
                    self.coordinate(at, coordinator::Input::JobBuilt(job.map(Box::new)));
                }
            }
            Event::Start(machine) => self.start(machine),
            Event::Applied(slot, seq) => self.applied(slot, seq),
            Event::Arrive(slot, request) => self.arrive(slot, request),
            Event::Submit => self.submit(),
            Event::Mend => self.mend(),
            Event::Chaos => self.chaos(),
        }
    }

    fn paused(&self, event: &Event) -> Option<u64> {
        let machine = match event {
            Event::Deliver { to: machine, .. }
            | Event::Persisted { at: machine, .. }
            | Event::Stored { at: machine, .. }
            | Event::Loaded { at: machine, .. }
            | Event::Executed { at: machine, .. } => machine,
            _ => return None,
        };
        let until = self.members.get(machine)?.paused_until;
        (until > self.now).then_some(until)
    }

    fn deliver(&mut self, from: Endpoint, to: Machine, process: u64, message: Message) {
        if let Some(member) = self.members.get_mut(&to) {
            let twin = member.twin.as_ref().map(|(_, process)| *process);
            let local = self.now.saturating_add_signed(member.skew_ms);
            if member.process != process && twin != Some(process) {
                return;
            }
            self.watch.heard(to.party, from, local, &message);
            let both = [Some(member.process), twin];
            for process in both.into_iter().flatten() {
                let message = message.clone();
                self.sign_in(to, process, signer::Input::Message { from, message });
            }
        } else if self
            .ranks
            .get(&to)
            .is_some_and(|rank| rank.process == process)
        {
            let Some(message) = self.liars.hears(to, message, &self.ranks) else {
                return;
            };
            self.coordinate(to, coordinator::Input::Message { from, message });
        }
    }

    /// Gives an input to the running signer.
    pub fn sign(&mut self, machine: Machine, input: signer::Input) {
        let process = self.members.get(&machine).map(|member| member.process);
        if let Some(process) = process {
            self.sign_in(machine, process, input);
        }
    }

    fn sign_in(&mut self, machine: Machine, process: u64, input: signer::Input) {
        let Some(member) = self.members.get_mut(&machine) else {
            return;
        };
        let local = self.now.saturating_add_signed(member.skew_ms);
        if let Some(signer) = member.process_mut(process) {
            signer.handle(local, &mut self.dice.rng, input);
            self.drain_signer(machine, process);
        }
    }

    /// Gives an input to a coordinator.
    pub fn coordinate(&mut self, machine: Machine, input: coordinator::Input) {
        if let Some(rank) = self.ranks.get_mut(&machine)
            && let Some(coordinator) = &mut rank.coordinator
        {
            coordinator.handle(self.now, input);
            self.drain_coordinator(machine);
        }
    }

    /// Does what a signer asks for.
    pub fn drain_signer(&mut self, machine: Machine, process: u64) {
        while let Some(output) = self
            .members
            .get_mut(&machine)
            .and_then(|member| member.process_mut(process))
            .and_then(Signer::poll)
        {
            if self.violation.is_some() {
                return;
            }
            self.effect(machine, process, output);
        }
    }

    fn effect(&mut self, machine: Machine, process: u64, output: signer::Output) {
        let Endpoint::Signer(slot) = machine.party else {
            return;
        };
        match output {
            signer::Output::Send { to, message } => {
                if self.honest(machine.party)
                    && let Some(member) = self.members.get_mut(&machine)
                {
                    let verdict = self
                        .watch
                        .released(slot, member, process, &self.chain, &message);
                    self.judge(verdict);
                }
                match message {
                    Message::ToExecutor(message) => self.execute(machine, process, message),
                    message => self.post(machine, to, message),
                }
            }
            signer::Output::Persist(entry) => self.persist(machine, process, &entry),
            signer::Output::StoreJob {
                statement,
                digest,
                job,
            } => {
                if let Some(member) = self.members.get_mut(&machine) {
                    member.jobs.insert(statement, *job.clone());
                }
                self.watch.ran(statement, &job);
                let delay = self.dice.within(self.knobs.persist_ms);
                let stored = Event::Stored {
                    at: machine,
                    process,
                    digest,
                };
                self.after(delay, stored);
            }
            signer::Output::LoadJob { statement } => {
                let loaded = Event::Loaded {
                    at: machine,
                    process,
                    statement,
                };
                self.after(1, loaded);
            }
            signer::Output::Attested { attestation, .. } => {
                self.note_attested(&machine, &attestation);
                self.node_hears(slot, attestation.commit.seq);
            }
            signer::Output::Blame { culprit, act } => self.blamed(&machine, culprit, &act),
            signer::Output::Dissent { .. } => {
                self.counts.add("member disagrees with a certificate");
                self.tell(&machine, format_args!("disagrees with a certificate"));
            }
            signer::Output::Refused(refused) => {
                self.counts.add("register refuses a vote");
                self.tell(&machine, format_args!("register: {refused}"));
            }
            signer::Output::PackageRefused { reason, .. } => {
                self.counts.refused_package(reason);
                self.tell(&machine, format_args!("signs no package: {reason}"));
            }
            signer::Output::Halt(why) => self.halted(machine, process, why),
        }
    }

    fn persist(&mut self, machine: Machine, process: u64, entry: &Entry) {
        let delay = self.dice.within(self.knobs.persist_ms);
        let honest = self.honest(machine.party);
        let Some(member) = self.members.get_mut(&machine) else {
            return;
        };
        let failure = if member.disk.full {
            Some(AppendFailure::Disk)
        } else {
            let written = member.disk.write(entry);
            written.err().map(AppendFailure::Refused)
        };
        if let Some(failure) = failure {
            self.tell(&machine, format_args!("cannot append: {failure:?}"));
            return self.sign_in(machine, process, signer::Input::AppendFailed(failure));
        }
        match entry.record {
            Record::Base(_) => self.counts.add("register begins anew with a base"),
            Record::View(_) => self.counts.add("view entered"),
            _ => {}
        }
        if honest {
            let verdict = self.watch.recorded(machine.party, entry);
            self.judge(verdict);
        }
        let index = entry.index;
        let persisted = Event::Persisted {
            at: machine,
            process,
            index,
        };
        self.after(delay, persisted);
    }

    fn halted(&mut self, machine: Machine, process: u64, why: Halt) {
        self.tell(&machine, format_args!("halts: {why}"));
        let Some(member) = self.members.get_mut(&machine) else {
            return;
        };
        let is_twin = member.process != process;
        if is_twin {
            member.twin = None;
        } else {
            member.signer = None;
            member.process += 1;
        }
        match why {
            Halt::Disk => {
                self.counts.add("disk full");
                let delay = self.dice.within((500, 4_000));
                self.after(delay, Event::Start(machine));
            }
            Halt::Register(_) if is_twin => self.counts.add("twin refused by the register"),
            _ if !self.honest(machine.party) => {
                let delay = self.dice.within((500, 4_000));
                self.after(delay, Event::Start(machine));
            }
            _ => self.violate(Rule::S9, format!("{machine} halts: {why}")),
        }
    }

    /// Does what a coordinator asks for.
    pub fn drain_coordinator(&mut self, machine: Machine) {
        while let Some(rank) = self.ranks.get_mut(&machine)
            && let Some(output) = rank.coordinator.as_mut().and_then(Coordinator::poll)
        {
            if self.violation.is_some() {
                return;
            }
            let process = rank.process;
            match output {
                coordinator::Output::Send { to, message } => self.post(machine, to, message),
                coordinator::Output::BuildJob(build) => {
                    let build = Event::Build {
                        at: machine,
                        process,
                        build: Box::new(build),
                    };
                    self.after(1, build);
                }
                coordinator::Output::Publish(attestation) => {
                    self.note_attested(&machine, &attestation);
                    if let Endpoint::Coordinator(rank) = machine.party {
                        self.node_hears(Self::host(rank), attestation.commit.seq);
                    }
                }
                coordinator::Output::Blame { culprit, act } => {
                    self.blamed(&machine, culprit, &act);
                }
                coordinator::Output::Divergence { report, .. } => {
                    self.counts.add("view without t equal votes");
                    self.tell(&machine, format_args!("{report}"));
                }
            }
        }
    }

    fn blamed(&mut self, by: &Machine, culprit: Culprit, act: &Act) {
        self.counts.blamed(act);
        self.tell(by, format_args!("blames {culprit}: it {act}"));
        if self.honest(by.party) {
            let party = match culprit {
                Culprit::Member(slot) => Endpoint::Signer(slot),
                Culprit::Coordinator(rank) => Endpoint::Coordinator(rank),
            };
            let verdict = self.watch.blamed(self.honest(party), culprit, act);
            self.judge(verdict);
        }
    }

    fn note_attested(&mut self, by: &Machine, attestation: &StepAttestation) {
        let (seq, statement) = (attestation.commit.seq, attestation.statement());
        let job = self.watch.job(&statement);
        match self.chain.attest(&self.founding, attestation, job) {
            Ok(true) => {
                self.tell(
                    by,
                    format_args!("step {seq} is attested: {}", of(&statement)),
                );
                self.counts.add("step attested");
                self.judge(self.watch.backed(seq, statement));
            }
            Ok(false) => {}
            Err(Broken::Fork(before)) => {
                let (a, b) = (of(&before), of(&statement));
                self.violate(
                    Rule::S1,
                    format!("step {seq} is attested as {a} and as {b}"),
                );
            }
            Err(Broken::Ledger(refused)) => self.violate(Rule::S6, refused.to_string()),
            Err(broken) => self.violate(Rule::S3, format!("step {seq}: {broken:?}")),
        }
    }

    fn execute(&mut self, machine: Machine, process: u64, message: ToExecutor) {
        let ToExecutor::Run { job_digest, job } = message else {
            return;
        };
        let Some(member) = self.members.get(&machine) else {
            return;
        };
        let mut engine = member.engine.clone();
        if engine.stalled_until > self.now {
            return;
        }
        let failure = |failure| FromExecutor::Failed {
            job_digest,
            failure,
        };
        let answer = match self.run(&job, &mut engine) {
            Ok(outcome) => FromExecutor::Ran {
                job_digest,
                reports: outcome,
            },
            Err(StepError::Hung(_)) if engine.mute => return,
            Err(StepError::Hung(request)) => failure(ExecutorFailure::Request(request)),
            Err(_) => failure(ExecutorFailure::Witness),
        };
        let delay = self.dice.within(engine.takes_ms);
        let executed = Event::Executed {
            at: machine,
            process,
            answer: Box::new(answer),
        };
        self.after(delay, executed);
    }

    fn run(&self, job: &Job, engine: &mut Engine) -> Result<Vec<state::step::Report>, StepError> {
        let before = StepAttestation::from_bytes(&job.previous).ok();
        let previous = before.map_or(self.founding.genesis, |step| Previous::of(&step));
        let opened = job.witness.open(&previous.state);
        let state = opened.map_err(|_| StepError::SystemEntry)?;
        let outcome = run(&self.founding.params, &previous, job, &state, engine)?;
        Ok(outcome.reports)
    }

    /// Puts a message on the network, after its sender's lies.
    pub fn post(&mut self, from: Machine, to: Endpoint, message: Message) {
        let messages = if self.honest(from.party) {
            vec![(to, message, 0)]
        } else {
            self.lie(from, to, message)
        };
        for (to, message, delay_ms) in messages {
            self.tell(&from, format_args!("to {to}: {}", describe(&message)));
            self.counts.sent(&message);
            self.watch.posted(&message);
            let dice = &mut self.dice;
            let arrivals = self.network.carry(from.party, to, dice);
            for at in arrivals {
                for machine in self.faces(from, to) {
                    let process = self.process_of(machine);
                    let deliver = Event::Deliver {
                        from: from.party,
                        to: machine,
                        process,
                        message: Box::new(message.clone()),
                    };
                    self.after(at + delay_ms, deliver);
                }
            }
            self.scan(&message);
        }
    }

    fn process_of(&self, machine: Machine) -> u64 {
        let member = self.members.get(&machine).map(|member| member.process);
        let rank = self.ranks.get(&machine).map(|rank| rank.process);
        member.or(rank).unwrap_or(0)
    }

    /// Now and then through the codec, as every byte goes in a real network, and past a look for
    /// secrets.
    fn scan(&mut self, message: &Message) {
        if !self.dice.chance(30) {
            return;
        }
        let bytes = message.to_bytes();
        if Message::from_bytes(&bytes).as_ref() != Ok(message) {
            return self.violate(
                Rule::S9,
                format!("{} has no canonical form", describe(message)),
            );
        }
        let shares = &self.founding.keys.shares;
        let leaked = shares.iter().find(|(_, share)| {
            let secret = share.signing_share().serialize();
            bytes.windows(secret.len()).any(|window| window == secret)
        });
        if let Some((slot, _)) = leaked {
            self.violate(
                Rule::S10,
                format!("the key share of member {slot} is on the wire"),
            );
        }
    }
}

fn describe_answer(answer: &FromExecutor) -> String {
    describe(&Message::FromExecutor(answer.clone()))
}

/// Whether a message asks to sign.
#[must_use]
pub const fn is_package(message: &Message) -> bool {
    matches!(message, Message::ToSigner(ToSigner::Package(_)))
}
