//! What the machines ask for. Decides nothing: each output has one effect, and the checks
//! ([`crate::watch`]) see it first.

use attestation::step_attestation::StepAttestation;
use coordinator_protocol::coordinator::{self, Coordinator};
use signer_protocol::blame::{Act, Culprit};
use signer_protocol::message::{
    Endpoint, ExecutorFailure, FromExecutor, Message, Remembered, ToExecutor, ToSigner,
};
use signer_protocol::register::{Entry, Record};
use signer_protocol::signer::{self, AppendFailure, Halt, Signer};
use state::job::Job;
use state::step::{Previous, Report, StepError, run};

use crate::chain::Broken;
use crate::story::{describe, of};
use crate::suite::Suite;
use crate::watch::Rule;
use crate::world::{Event, Machine, World};
use crate::zapp::Engine;

impl<S: Suite> World<S> {
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
                    self.judge(self.votes_ready(slot, &message));
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
            signer::Output::Behind { remembered, .. } => {
                self.fell_behind(&machine, remembered.as_deref());
            }
            // No request of the simulator names sources.
            signer::Output::Observed(_) => {}
            signer::Output::Halt(why) => self.halted(machine, process, why),
        }
    }

    /// Only a member whose disk was rolled back may take itself for one (rule C2).
    fn fell_behind(&mut self, machine: &Machine, remembered: Option<&Remembered>) {
        self.counts.add("rolled-back member takes no part");
        self.silenced.insert(machine.party);
        let words = remembered.map(ToString::to_string).unwrap_or_default();
        self.tell(
            machine,
            format_args!("register went back: others remember {words}"),
        );
        if self.honest(machine.party) {
            let text = format!("{machine} takes its whole register for an old one");
            self.violate(Rule::S11, text);
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
            let liars = &self.liars.parties;
            let verdict = self.watch.recorded(machine.party, liars, entry);
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
                    let leads = rank.coordinator.as_ref();
                    if leads.is_some_and(|leads| leads.parked().next().is_some()) {
                        self.counts.add("step attested with a voter parked");
                    }
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
                let epoch = attestation.commit.epoch;
                self.judge(self.watch.backed(seq, epoch, statement));
                self.cut_over(seq);
                self.gossip(seq);
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
        // Executors that are alike say the same of the same job: one of them runs it.
        let alike = engine.alike(&job);
        let known = self.ran.get(&alike).cloned();
        let result = known.unwrap_or_else(|| self.run(&job, &mut engine));
        self.ran.entry(alike).or_insert_with(|| result.clone());
        let answer = match result {
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

    fn run(&self, job: &Job, engine: &mut Engine) -> Result<Vec<Report>, StepError> {
        let previous = self.previous(job);
        let opened = job.witness.open(&previous.state);
        let state = opened.map_err(|_| StepError::SystemEntry)?;
        let outcome = run(&self.founding.params, &previous, job, &state, engine)?;
        Ok(outcome.reports)
    }

    /// What a job says that it follows.
    #[must_use]
    pub fn previous(&self, job: &Job) -> Previous {
        let before = StepAttestation::from_bytes(&job.previous).ok();
        before.map_or(self.founding.genesis, |step| Previous::of(&step))
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
            if let Some(wire) = &mut self.wire {
                wire.push((from.party, to, message.clone()));
            }
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
        let next = self.coming.iter().flat_map(|next| &next.keys.shares);
        let mut shares = self.founding.keys.shares.iter().chain(next);
        let leaked = shares.find(|(_, share)| {
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

/// Whether a message asks to sign.
#[must_use]
pub const fn is_package(message: &Message) -> bool {
    matches!(message, Message::ToSigner(ToSigner::Package(_)))
}
