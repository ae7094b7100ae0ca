//! The driver loop: jobs in, reports out, questions to the node in between, and the clock.

use attestation::committee::CreationRecord;
use attestation::ids::{ChannelKey, Digest, Slot};
use link::birth::{self, BirthError};
use link::connection::{Link, Waker};
use link::driver::{Driver, DriverError, Incoming};
use link::local::{System, ToGuest, ToNode};
use link::platform::unsealed;
use link::secret::BootSeed;
use runtime::Executor;
use signer_protocol::channel::{ChannelSecret, Channels};
use signer_protocol::message::{Endpoint, ExecutorFailure, FromExecutor, Message, ToExecutor};
use state::execute::Execute;
use state::job::Domain;

use crate::worker::{Answer, FromWorker, Node, Worker};
use crate::{ExecutorError, REQUEST_MS_MAX};

/// How often the loop looks at the running request while a job runs, in milliseconds.
const WATCH_MS: u64 = 250;

/// What an executor begins with.
pub(crate) struct Boot {
    slot: Slot,
    record: CreationRecord,
    signer: ChannelKey,
    seed: BootSeed,
}

/// Starts an executor; `None` if the node starts it before there is a committee.
pub(crate) fn boot(link: &mut Link) -> Result<Option<Box<Boot>>, ExecutorError> {
    let (_, message) = birth::boot(link)?;
    let (Some(slot), Some(record)) = (message.slot, message.record) else {
        return Ok(None);
    };
    record.check()?;
    let signer = message.signer.ok_or(BirthError::OutOfTurn)?;
    Ok(Some(Box::new(Boot {
        slot,
        record,
        signer,
        seed: message.seed,
    })))
}

/// An executor at work.
pub(crate) struct Guest {
    driver: Driver,
    signer: Endpoint,
    worker: Worker,
    /// The job whose reports the signer still wants.
    wanted: Option<Digest>,
}

impl Guest {
    pub(crate) fn start(
        mut link: Link,
        boot: Boot,
        wrap: fn(Executor<Node>) -> Box<dyn Execute>,
    ) -> Result<Self, ExecutorError> {
        // An engine that does not start is told before anybody waits for it.
        runtime::engine::Engine::new()?;
        let waker: Waker = link.waker();
        let worker = Worker::start(boot.record.clone(), waker, wrap);
        let worker = worker.map_err(ExecutorError::Thread)?;
        let mut entropy = unsealed(&boot.seed)?;
        let secret = ChannelSecret::generate(&mut entropy.generator()?);
        let channel = secret.key();
        let (me, signer) = (Endpoint::Executor(boot.slot), Endpoint::Signer(boot.slot));
        let domain = Domain {
            network: boot.record.network,
            committee: boot.record.id(),
        };
        let channels = Channels::new(domain, me, secret, [(signer, boot.signer)].into());
        let channels = channels.map_err(DriverError::from)?;
        let profile = runtime::profile();
        link.send(&ToNode::Executor { channel, profile })
            .map_err(BirthError::from)?;
        Ok(Self {
            driver: Driver::new(link, me, entropy, channels),
            signer,
            worker,
            wanted: None,
        })
    }

    /// Runs until the connection ends or something fails.
    pub(crate) fn run(mut self) -> Result<(), ExecutorError> {
        let ended = self.work();
        if let Err(error) = &ended {
            self.driver.halt(error);
        }
        ended
    }

    fn work(&mut self) -> Result<(), ExecutorError> {
        loop {
            self.drain()?;
            self.watch()?;
            let due = self.wanted.map(|_| self.driver.now_ms() + WATCH_MS);
            match self.driver.next(due)? {
                Incoming::Due | Incoming::Woken => {}
                Incoming::Connected(_) => {
                    let profile = runtime::profile();
                    self.report(FromExecutor::Ready { profile });
                }
                Incoming::Local(message) => self.local(*message)?,
                Incoming::Message { message, .. } => self.message(*message)?,
            }
        }
    }

    fn message(&mut self, message: Message) -> Result<(), ExecutorError> {
        match message {
            // A job that comes again while it runs is answered once.
            Message::ToExecutor(ToExecutor::Run { job_digest, job })
                if self.wanted != Some(job_digest) =>
            {
                self.wanted = Some(job_digest);
                if !self.worker.run(job_digest, job) {
                    return Err(ExecutorError::Worker);
                }
            }
            Message::ToExecutor(ToExecutor::Cancel { job_digest }) => {
                self.wanted = self.wanted.filter(|wanted| *wanted != job_digest);
            }
            // A signer has nothing else to say to its executor.
            _ => {}
        }
        Ok(())
    }

    fn local(&mut self, message: ToGuest) -> Result<(), ExecutorError> {
        let answer = match message {
            ToGuest::Module { module, wasm } => {
                Answer::Module(module, wasm.map(serde_bytes::ByteBuf::into_vec))
            }
            ToGuest::Artifact { module, artifact } => {
                let artifact = artifact.map(|artifact| runtime::engine::Artifact {
                    bytes: artifact.bytes,
                    digest: artifact.digest,
                });
                Answer::Artifact(module, artifact)
            }
            _ => return Err(BirthError::OutOfTurn.into()),
        };
        if self.worker.answer(answer) {
            Ok(())
        } else {
            Err(ExecutorError::Worker)
        }
    }

    fn drain(&mut self) -> Result<(), ExecutorError> {
        while let Ok(event) = self.worker.events.try_recv() {
            match event {
                FromWorker::NeedModule(module) => {
                    self.driver.tell(&ToNode::NeedModule { module })?;
                }
                FromWorker::NeedArtifact(module) => {
                    self.driver.tell(&ToNode::NeedArtifact {
                        module,
                        system: System::HERE,
                    })?;
                }
                FromWorker::Done(done) => {
                    if self.wanted == job_of(&done) {
                        self.wanted = None;
                        self.report(done);
                    }
                }
            }
        }
        Ok(())
    }

    fn watch(&mut self) -> Result<(), ExecutorError> {
        let Some((request, elapsed)) = self.worker.running() else {
            return Ok(());
        };
        if elapsed.as_millis() < u128::from(REQUEST_MS_MAX) {
            return Ok(());
        }
        if let Some(job_digest) = self.wanted {
            self.report(FromExecutor::Failed {
                job_digest,
                failure: ExecutorFailure::Request(request),
            });
            self.driver.flush()?;
        }
        Err(ExecutorError::Hung(request))
    }

    fn report(&mut self, report: FromExecutor) {
        self.driver
            .send(self.signer, &Message::FromExecutor(report));
    }
}

fn job_of(done: &FromExecutor) -> Option<Digest> {
    match done {
        FromExecutor::Ran { job_digest, .. } | FromExecutor::Failed { job_digest, .. } => {
            Some(*job_digest)
        }
        FromExecutor::Ready { .. } => None,
    }
}
