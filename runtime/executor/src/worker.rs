//! The thread that runs jobs, so that the loop stays free to watch the clock.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use attestation::committee::CreationRecord;
use attestation::ids::{Digest, ModuleDigest, RequestId};
use attestation::step_attestation::StepAttestation;
use link::connection::Waker;
use runtime::engine::{Artifact, EngineError};
use runtime::{Executor, Modules};
use signer_protocol::message::{ExecutorFailure, FromExecutor};
use state::execute::{Executable, Execute, ExecuteError, Execution, Report, Verdict};
use state::job::Job;
use state::journal::Journal;
use state::step::{Params, Previous, StepError, report};

/// Native stack of the worker: the engine's own limit on wasm stack is far below.
const STACK_BYTES: usize = 8 * 1024 * 1024;
/// How long a run waits for its node to send a module before it says that there is none.
const MODULE_WAIT: Duration = Duration::from_secs(2);

/// What the worker wants of the loop.
#[derive(Debug)]
pub(crate) enum FromWorker {
    /// The node's bytes of a module.
    NeedModule(ModuleDigest),
    /// The node's artifact of a module.
    NeedArtifact(ModuleDigest),
    /// A job is done.
    Done(FromExecutor),
}

/// The node's answer.
#[derive(Debug)]
pub(crate) enum Answer {
    Module(ModuleDigest, Option<Vec<u8>>),
    Artifact(ModuleDigest, Option<Artifact>),
}

/// The request that runs now and since when.
pub(crate) type Running = Arc<Mutex<Option<(RequestId, Instant)>>>;

/// The loop's end of the worker.
pub(crate) struct Worker {
    jobs: Sender<(Digest, Job)>,
    answers: Sender<Answer>,
    pub(crate) events: Receiver<FromWorker>,
    running: Running,
}

impl Worker {
    pub(crate) fn start(
        record: CreationRecord,
        waker: Waker,
        wrap: fn(Executor<Node>) -> Box<dyn Execute>,
    ) -> Result<Self, io::Error> {
        let (jobs, job_queue) = channel();
        let (answers, answer_queue) = channel();
        let (event_queue, events) = channel();
        let running = Running::default();
        let watched = Arc::clone(&running);
        let node = Node {
            events: event_queue.clone(),
            answers: answer_queue,
            waker: waker.clone(),
        };
        thread::Builder::new()
            .name("engine".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                // The engine has started in the loop before; here it cannot fail otherwise.
                let Ok(engine) = engine(node) else { return };
                let mut execute = Watched {
                    inner: wrap(engine),
                    running: watched,
                };
                work(&record, &mut execute, &job_queue, &event_queue, &waker);
            })?;
        Ok(Self {
            jobs,
            answers,
            events,
            running,
        })
    }

    /// Gives the worker its next job; false if the thread has ended.
    pub(crate) fn run(&self, digest: Digest, job: Job) -> bool {
        self.jobs.send((digest, job)).is_ok()
    }

    /// Passes on what the node answered.
    pub(crate) fn answer(&self, answer: Answer) -> bool {
        self.answers.send(answer).is_ok()
    }

    /// The request that runs now and for how long.
    pub(crate) fn running(&self) -> Option<(RequestId, Duration)> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.map(|(request, since)| (request, since.elapsed()))
    }
}

/// Modules from the executor's own node, over the link.
pub struct Node {
    events: Sender<FromWorker>,
    answers: Receiver<Answer>,
    waker: Waker,
}

impl Node {
    fn ask<T>(&self, question: FromWorker, pick: impl Fn(Answer) -> Option<T>) -> Option<T> {
        self.events.send(question).ok()?;
        self.waker.wake();
        let until = Instant::now() + MODULE_WAIT;
        loop {
            let left = until.checked_duration_since(Instant::now())?;
            // An answer to a question that was given up is skipped.
            if let Some(found) = pick(self.answers.recv_timeout(left).ok()?) {
                return Some(found);
            }
        }
    }
}

impl Modules for Node {
    fn module(&mut self, module: &ModuleDigest) -> Option<Vec<u8>> {
        self.ask(FromWorker::NeedModule(*module), |answer| match answer {
            Answer::Module(digest, wasm) if digest == *module => Some(wasm),
            _ => None,
        })?
    }

    fn artifact(&mut self, module: &ModuleDigest) -> Option<Artifact> {
        self.ask(FromWorker::NeedArtifact(*module), |answer| match answer {
            Answer::Artifact(digest, artifact) if digest == *module => Some(artifact),
            _ => None,
        })?
    }
}

/// Notes which request runs, for the watchdog.
struct Watched {
    inner: Box<dyn Execute>,
    running: Running,
}

impl Watched {
    fn note(&self, request: Option<RequestId>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        *running = request.map(|request| (request, Instant::now()));
    }
}

impl Execute for Watched {
    fn prepare(
        &mut self,
        request: &RequestId,
        module: &ModuleDigest,
    ) -> Result<Verdict, ExecuteError> {
        self.note(Some(*request));
        let verdict = self.inner.prepare(request, module);
        self.note(None);
        verdict
    }

    fn execute(
        &mut self,
        call: &Executable<'_>,
        journal: &mut Journal<'_>,
    ) -> Result<Execution, ExecuteError> {
        self.note(Some(call.request));
        let execution = self.inner.execute(call, journal);
        self.note(None);
        execution
    }
}

pub(crate) fn engine(node: Node) -> Result<Executor<Node>, EngineError> {
    Executor::new(node)
}

fn work(
    record: &CreationRecord,
    execute: &mut dyn Execute,
    jobs: &Receiver<(Digest, Job)>,
    events: &Sender<FromWorker>,
    waker: &Waker,
) {
    while let Ok(mut next) = jobs.recv() {
        // The signer wants the newest job; what it asked for before it has given up.
        while let Ok(newer) = jobs.try_recv() {
            next = newer;
        }
        let (job_digest, job) = next;
        let done = match reports(record, &job, execute) {
            Ok(reports) => FromExecutor::Ran {
                job_digest,
                reports,
            },
            Err(failure) => FromExecutor::Failed {
                job_digest,
                failure,
            },
        };
        if events.send(FromWorker::Done(done)).is_err() {
            return;
        }
        waker.wake();
    }
}

/// Runs a job on its witness.
fn reports(
    record: &CreationRecord,
    job: &Job,
    execute: &mut dyn Execute,
) -> Result<Vec<Report>, ExecutorFailure> {
    let previous = if job.previous.is_empty() {
        Previous::genesis(record)
    } else {
        // The signer has verified it; an executor that is misled misleads its own signer only.
        let previous = StepAttestation::from_bytes(&job.previous);
        Previous::of(&previous.map_err(|_| ExecutorFailure::Witness)?)
    };
    let state = job.witness.open(&previous.state);
    let state = state.map_err(|_| ExecutorFailure::Witness)?;
    match report(&Params::of(record), &previous, job, &state, execute) {
        Ok(reports) => Ok(reports),
        Err(StepError::Hung(request)) => Err(ExecutorFailure::Request(request)),
        Err(StepError::Module(module)) => Err(ExecutorFailure::Module(module)),
        // The signer meets every other error itself, and with it the reason.
        Err(_) => Err(ExecutorFailure::Witness),
    }
}
