//! The machines under test: how they start, and what reaches them.

use std::collections::{BTreeMap, BTreeSet};

use attestation::ids::Slot;
use coordinator_protocol::coordinator::{self, Coordinator};
use signer_protocol::message::{Endpoint, FromExecutor, Message};
use signer_protocol::signer::{self, Signer};
use signer_protocol::statement::StepParams;

use crate::disk::Disk;
use crate::story::describe;
use crate::suite::Suite;
use crate::watch::Rule;
use crate::world::{Event, Machine, Member, Node, Rank, World};
use crate::zapp::Engine;

impl<S: Suite> World<S> {
    /// Builds all machines and starts them.
    pub fn establish(&mut self) {
        for slot in self.slots() {
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

    fn new_member(&mut self, slot: Slot) -> Member<S> {
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
        let applied = self.nodes.get(&slot).map(|node| node.applied);
        let (committee, keys) = self.in_force(applied.unwrap_or_default());
        // One that joins with the next epoch, or has left, only follows.
        let Some(share) = keys.shares.get(&slot).cloned() else {
            return;
        };
        let (committee, readiness) = (committee.clone(), self.readiness(slot));
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
        let applied = applied.unwrap_or_default();
        let head = self.chain.step(applied).copied();
        let (cutover, last_share) = readiness;
        let config = signer::Config {
            committee: committee.clone(),
            step: StepParams::new(&self.founding.record),
            slot,
            key: share,
            identity: self.founding.identity(machine.party),
            verify: self.founding.verify.clone(),
            chain: member.disk.chain.clone(),
            head,
            restored: false,
            cutover,
            last_share,
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
        self.watch.started(machine.party, view, committee.epoch());
        self.drain_signer(machine, process);
        self.connected(machine);
        self.tell_node(slot);
        let executable = self.nodes.get(&slot).is_some_and(|node| node.executable);
        self.sign(machine, signer::Input::Executable(executable));
    }

    fn start_coordinator(&mut self, machine: Machine, rank: u16) {
        let applied = self.nodes.get(&Self::host(rank)).map(|node| node.applied);
        let (committee, keys) = self.in_force(applied.unwrap_or_default());
        let config = coordinator::Config {
            committee: committee.clone(),
            step: StepParams::new(&self.founding.record),
            rank,
            public: keys.public.clone(),
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
            Event::Ready(slot) => self.ready(slot),
            Event::Turn(slot) => self.turn(slot),
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

    /// Gives an input to this process of a signer.
    pub fn sign_in(&mut self, machine: Machine, process: u64, input: signer::Input) {
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
}

fn describe_answer(answer: &FromExecutor) -> String {
    describe(&Message::FromExecutor(answer.clone()))
}
