//! What happens to machines, and what they do to the world.

use attestation::ids::Slot;
use attestation::step_attestation::StepAttestation;
use coordinator_protocol::coordinator::{self, Coordinator};
use rand_core::RngCore as _;
use signer_protocol::message::{
    Endpoint, ExecutorFailure, FromExecutor, Message, ToCoordinator, ToExecutor, ToSigner,
};
use signer_protocol::register::Entry;
use signer_protocol::signer::{self, AppendFailure, Signer};
use state::step::{Previous, StepError, run};

use crate::suite::Suite;
use crate::world::{Event, QUIET, Seen, WorldOf};

impl<S: Suite> WorldOf<S> {
    pub fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver {
                from,
                to,
                incarnation,
                message,
            } => self.deliver(from, to, incarnation, *message),
            Event::Persisted {
                slot,
                incarnation,
                index,
            } => {
                let member = self.members.get_mut(&slot).unwrap();
                if member.incarnation == incarnation {
                    while member
                        .flying
                        .front()
                        .is_some_and(|entry| entry.index <= index)
                    {
                        member.sync();
                    }
                    self.sign(slot, signer::Input::Persisted { index });
                }
            }
            Event::Stored {
                slot,
                incarnation,
                digest,
            } => {
                let member = self.members.get_mut(&slot).unwrap();
                if member.incarnation == incarnation {
                    member.stored.insert(digest);
                    self.sign(slot, signer::Input::JobStored { job: digest });
                }
            }
            Event::Loaded {
                slot,
                incarnation,
                statement,
            } => {
                let member = &self.members[&slot];
                if member.incarnation == incarnation {
                    let job = member.jobs.get(&statement).cloned().map(Box::new);
                    self.sign(slot, signer::Input::JobLoaded { statement, job });
                }
            }
            Event::Built {
                rank,
                incarnation,
                build,
            } => {
                if self.ranks[usize::from(rank)].incarnation == incarnation {
                    let host = &self.members[&Slot(rank + 1)];
                    let job = host.build(
                        &self.params,
                        &self.genesis,
                        &self.requests,
                        &build,
                        self.now,
                    );
                    self.coordinate(rank, coordinator::Input::JobBuilt(job.map(Box::new)));
                }
            }
            Event::StartMember(slot) => {
                if self.members[&slot].signer.is_none() {
                    self.start_member(slot);
                }
            }
            Event::StartCoordinator(rank) => {
                if self.ranks[usize::from(rank)].coordinator.is_none() {
                    self.start_coordinator(rank);
                }
            }
        }
    }

    pub fn deliver(&mut self, from: Endpoint, to: Endpoint, incarnation: u64, message: Message) {
        match to {
            Endpoint::Signer(slot) if self.members[&slot].incarnation == incarnation => {
                self.sign(slot, signer::Input::Message { from, message });
            }
            Endpoint::Coordinator(rank)
                if self.ranks[usize::from(rank)].incarnation == incarnation =>
            {
                self.coordinate(rank, coordinator::Input::Message { from, message });
            }
            Endpoint::Executor(slot) => self.execute(slot, incarnation, message),
            Endpoint::Signer(_) | Endpoint::Coordinator(_) | Endpoint::Node(_) => {}
        }
    }

    pub fn execute(&mut self, slot: Slot, incarnation: u64, message: Message) {
        let Message::ToExecutor(ToExecutor::Run { job_digest, job }) = message else {
            return;
        };
        let mut engine = self.members[&slot].engine.clone();
        if engine.silent {
            return;
        }
        let requests = job.requests.len() as u64;
        let previous = if job.previous.is_empty() {
            self.genesis
        } else {
            Previous::of(&StepAttestation::from_bytes(&job.previous).unwrap())
        };
        let opened = job.witness.open(&previous.state).ok();
        let outcome = opened.map(|state| run(&self.params, &previous, &job, &state, &mut engine));
        let answer = match outcome {
            Some(Ok(outcome)) => {
                let statement = outcome.statement();
                self.history.insert(statement, outcome.writes);
                self.leaves.insert(statement, outcome.leaves);
                FromExecutor::Ran {
                    job_digest,
                    reports: outcome.reports,
                }
            }
            Some(Err(StepError::Hung(_))) if engine.mute_hangs => return,
            Some(Err(StepError::Hung(request))) => FromExecutor::Failed {
                job_digest,
                failure: ExecutorFailure::Request(request),
            },
            // As a real executor: its signer meets every other error itself.
            Some(Err(_)) | None => FromExecutor::Failed {
                job_digest,
                failure: ExecutorFailure::Witness,
            },
        };
        let event = Event::Deliver {
            from: Endpoint::Executor(slot),
            to: Endpoint::Signer(slot),
            incarnation,
            message: Box::new(Message::FromExecutor(answer)),
        };
        let takes_ms = engine.takes_ms + engine.request_ms * requests;
        self.schedule(self.now + takes_ms, event);
    }

    pub fn sign(&mut self, slot: Slot, input: signer::Input) {
        let now = self.now;
        let member = self.members.get_mut(&slot).unwrap();
        if let Some(signer) = &mut member.signer {
            signer.handle(now, &mut self.rng, input);
            self.drain_signer(slot);
        }
    }

    pub fn coordinate(&mut self, rank: u16, input: coordinator::Input) {
        let now = self.now;
        if let Some(machine) = &mut self.ranks[usize::from(rank)].coordinator {
            machine.handle(now, input);
            self.drain_coordinator(rank);
        }
    }

    pub fn drain_signer(&mut self, slot: Slot) {
        loop {
            let member = self.members.get_mut(&slot).unwrap();
            let Some(output) = member.signer.as_mut().and_then(Signer::poll) else {
                return;
            };
            let incarnation = member.incarnation;
            match output {
                signer::Output::Send { to, message } => {
                    self.check_released(slot, &message);
                    self.post(Endpoint::Signer(slot), to, message);
                }
                signer::Output::Persist(entry) => self.persist(slot, incarnation, entry),
                signer::Output::StoreJob {
                    statement,
                    digest,
                    job,
                } => {
                    member.jobs.insert(statement, *job);
                    let at = self.now + self.within(self.persist_ms);
                    let event = Event::Stored {
                        slot,
                        incarnation,
                        digest,
                    };
                    self.schedule(at, event);
                }
                signer::Output::LoadJob { statement } => {
                    let event = Event::Loaded {
                        slot,
                        incarnation,
                        statement,
                    };
                    self.schedule(self.now + 1, event);
                }
                signer::Output::Attested { attestation, .. } => {
                    self.note_attested(&attestation);
                    let member = self.members.get_mut(&slot).unwrap();
                    member.waiting.insert(attestation.commit.seq, *attestation);
                    self.refresh(slot);
                }
                signer::Output::Blame { culprit, act } => {
                    self.seen.push(Seen::Blame(culprit, act));
                }
                signer::Output::Dissent { .. } => self.seen.push(Seen::Dissent(slot)),
                signer::Output::Refused(refused) => self.seen.push(Seen::Refused(slot, refused)),
                signer::Output::PackageRefused { reason, .. } => {
                    self.seen.push(Seen::PackageRefused(slot, reason));
                }
                signer::Output::Behind { .. } => self.seen.push(Seen::Behind(slot)),
                signer::Output::Observed(seen) => self.seen.push(Seen::Observed(seen)),
                signer::Output::Halt(why) => self.seen.push(Seen::Halt(slot, why)),
            }
        }
    }

    pub fn drain_coordinator(&mut self, rank: u16) {
        let party = Endpoint::Coordinator(rank);
        loop {
            let entry = &mut self.ranks[usize::from(rank)];
            let Some(output) = entry.coordinator.as_mut().and_then(Coordinator::poll) else {
                return;
            };
            let incarnation = entry.incarnation;
            match output {
                coordinator::Output::Send { to, message } => self.post(party, to, message),
                coordinator::Output::BuildJob(build) => {
                    self.ordered.push((self.now, rank, build.clone()));
                    let event = Event::Built {
                        rank,
                        incarnation,
                        build: Box::new(build),
                    };
                    self.schedule(self.now + 1, event);
                }
                coordinator::Output::Publish(attestation) => self.note_attested(&attestation),
                coordinator::Output::Blame { culprit, act } => {
                    self.seen.push(Seen::Blame(culprit, act));
                }
                coordinator::Output::Divergence { report, job } => {
                    assert_eq!(job.digest(), report.job);
                    self.seen.push(Seen::Divergence(*report));
                }
            }
        }
    }

    pub fn persist(&mut self, slot: Slot, incarnation: u64, entry: Entry) {
        let delay = self.within(self.persist_ms);
        let member = self.members.get_mut(&slot).unwrap();
        let entry = Entry::from_bytes(&entry.to_bytes()).expect("entries encode canonically");
        let failure = if member.disk_full {
            Some(AppendFailure::Disk)
        } else {
            member
                .chain
                .accept(&entry)
                .err()
                .map(AppendFailure::Refused)
        };
        if let Some(failure) = failure {
            return self.sign(slot, signer::Input::AppendFailed(failure));
        }
        let index = entry.index;
        member.flying.push_back(entry);
        let event = Event::Persisted {
            slot,
            incarnation,
            index,
        };
        self.schedule(self.now + delay, event);
    }

    /// Puts a message on the network.
    pub fn post(&mut self, from: Endpoint, to: Endpoint, message: Message) {
        let Some(mut tamper) = self.tamper.take() else {
            return self.carry(from, to, message);
        };
        let messages = tamper(from, to, message);
        self.tamper = Some(tamper);
        for (to, message) in messages {
            self.carry(from, to, message);
        }
    }

    pub fn carry(&mut self, from: Endpoint, to: Endpoint, message: Message) {
        *self.sent.entry(kind(&message)).or_default() += 1;
        let local = matches!(to, Endpoint::Executor(_));
        if !local && (self.cut.contains(&from) || self.cut.contains(&to)) {
            return;
        }
        let network = if local { QUIET } else { self.network };
        let copies = if self.percent(network.double_percent) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            if self.percent(network.loss_percent) {
                continue;
            }
            let delay = self.within(network.delay_ms);
            let incarnation = match to {
                Endpoint::Signer(slot) | Endpoint::Executor(slot) => {
                    self.members[&slot].incarnation
                }
                Endpoint::Coordinator(rank) => self.ranks[usize::from(rank)].incarnation,
                Endpoint::Node(_) => return,
            };
            // Now and then through the codec, as every byte goes in a real network.
            let message = if self.percent(5) {
                Message::from_bytes(&message.to_bytes()).expect("messages encode canonically")
            } else {
                message.clone()
            };
            let event = Event::Deliver {
                from,
                to,
                incarnation,
                message: Box::new(message),
            };
            self.schedule(self.now + delay, event);
        }
    }

    pub fn refresh_all(&mut self) {
        for slot in self.members.keys().copied().collect::<Vec<_>>() {
            self.refresh(slot);
        }
    }

    /// The node applies what it can and tells its guests whether requests wait.
    pub fn refresh(&mut self, slot: Slot) {
        let member = self.members.get_mut(&slot).unwrap();
        let before = member.applied_seq();
        member.apply(&self.history, &self.attested);
        let moved = member.applied_seq() != before;
        let executable = member.pending(&self.requests).next().is_some();
        let changed = member.executable != executable;
        member.executable = executable;
        let applied = member.applied;
        if changed {
            self.sign(slot, signer::Input::Executable(executable));
        }
        let rank = slot.0 - 1;
        if usize::from(rank) < self.ranks.len() {
            if let Some(head) = applied.filter(|_| moved) {
                self.coordinate(rank, coordinator::Input::Head(Box::new(head)));
            }
            if changed {
                self.coordinate(rank, coordinator::Input::Executable(executable));
            }
        }
    }

    pub fn schedule(&mut self, at: u64, event: Event) {
        self.counter += 1;
        self.queue.insert((at, self.counter), event);
    }

    pub fn within(&mut self, (low, high): (u64, u64)) -> u64 {
        low + self.rng.next_u64() % (high - low + 1)
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        chance > 0 && self.rng.next_u64() % 100 < chance
    }
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::ToSigner(message) => match message {
            ToSigner::Job { .. } => "job",
            ToSigner::Package(_) => "package",
            ToSigner::Attested(_) => "attested",
            ToSigner::SendJob { .. } => "send-job",
            ToSigner::SendStatus => "send-status",
        },
        Message::ToCoordinator(message) => match message {
            ToCoordinator::Status(_) => "status",
            ToCoordinator::Vote { .. } => "vote",
            ToCoordinator::Share(_) => "share",
            ToCoordinator::Fault(_) => "fault",
            ToCoordinator::Reveal { .. } => "reveal",
            ToCoordinator::Locked(_) => "locked",
            ToCoordinator::Ahead(_) => "ahead",
            ToCoordinator::Job(_) => "locked-job",
            ToCoordinator::Invalid { .. } => "invalid",
        },
        Message::ToMember(_) => "member",
        Message::ToExecutor(_) | Message::FromExecutor(_) => "executor",
        Message::ToLane(_) | Message::FromLane(_) => "lane",
    }
}
