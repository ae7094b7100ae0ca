//! The node's end: an [`Execute`] whose engine is another process.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use attestation::ids::{ModuleDigest, RequestId};
use serde_bytes::ByteBuf;
use state::State;
use state::execute::{Executable, Execute, ExecuteError, Execution, Op, Verdict};
use state::journal::Journal;
use state::tree::NeedState;

use super::message::{Call, Failure, TO_ENGINE_BYTES_MAX, TO_NODE_BYTES_MAX, ToEngine, ToNode};
use super::pipe::{Pipe, PipeError};
use crate::engine::Artifact;
use crate::execute::{Modules, Of, Ran, verdict};
use crate::host::Entries;

/// How long a call may take on this machine's clock, in milliseconds: as long as an executor gives
/// one request, far beyond what the gas limit of a step allows.
pub const CALL_MS_MAX: u64 = 3_000;

/// Starts engine processes.
pub trait Start: Send + Sync {
    /// Starts one; dropping the wire ends it.
    ///
    /// # Errors
    /// If the system does not start it.
    fn start(&self) -> io::Result<Box<dyn Wire>>;

    /// One broke off within a call, and is replaced: for the operator.
    fn broke(&self, request: &RequestId, why: &PipeError);
}

/// A stream to an engine process.
pub trait Wire: Read + Write + Send {
    /// From now on, reads and writes fail once this time has passed.
    ///
    /// # Errors
    /// If the stream is gone.
    fn set_patience(&mut self, patience: Duration) -> io::Result<()>;
}

/// An engine in another process, started when it is needed and again when it has failed.
pub struct Remote<M> {
    start: Arc<dyn Start>,
    modules: M,
    pipe: Option<Pipe<Box<dyn Wire>>>,
}

/// How a conversation about one call broke off.
enum Broken {
    /// The process was gone before it said anything.
    Before,
    /// It failed, hung, or made no sense.
    Within(PipeError),
}

impl<M: Modules> Remote<M> {
    /// An engine that is started at its first call.
    pub const fn new(start: Arc<dyn Start>, modules: M) -> Self {
        Self {
            start,
            modules,
            pipe: None,
        }
    }

    /// Answers a query: a run on a state that it cannot change, outside of any step.
    ///
    /// # Errors
    /// [`ExecuteError`] if there is no outcome.
    pub fn view(&mut self, call: &Executable<'_>, state: &State) -> Result<Ran, ExecuteError> {
        let call = Executable {
            op: Op::View,
            ..*call
        };
        self.run(&call, &mut Journal::new(state))
    }

    /// Runs a call, and tells its author more than a step may.
    ///
    /// # Errors
    /// [`ExecuteError`] if there is no outcome.
    pub fn run(
        &mut self,
        call: &Executable<'_>,
        journal: &mut Journal<'_>,
    ) -> Result<Ran, ExecuteError> {
        // A process may have ended since its last call, by no fault of this one.
        let fresh = self.pipe.is_none();
        match self.try_run(call, journal) {
            Err(Broken::Before) if !fresh => self.try_run(call, journal),
            ran => ran,
        }
        .unwrap_or_else(|broken| {
            if let Broken::Within(why) = broken {
                self.start.broke(&call.request, &why);
            }
            Err(ExecuteError::Hung(call.request))
        })
    }

    fn try_run(
        &mut self,
        call: &Executable<'_>,
        journal: &mut Journal<'_>,
    ) -> Result<Result<Ran, ExecuteError>, Broken> {
        let mut pipe = match self.pipe.take() {
            Some(pipe) => pipe,
            None => {
                let wire = self.start.start().map_err(|_| Broken::Before)?;
                Pipe::new(wire, TO_NODE_BYTES_MAX, TO_ENGINE_BYTES_MAX)
            }
        };
        let mut entries = Of::new(call, journal);
        let ran = converse(&mut pipe, &mut self.modules, call, &mut entries)?;
        // Only a process that kept to the rules is asked again.
        self.pipe = Some(pipe);
        Ok(ran)
    }
}

/// Asks for one call and answers until its outcome is here.
fn converse(
    pipe: &mut Pipe<Box<dyn Wire>>,
    modules: &mut impl Modules,
    call: &Executable<'_>,
    entries: &mut dyn Entries,
) -> Result<Result<Ran, ExecuteError>, Broken> {
    let patience = Duration::from_millis(CALL_MS_MAX);
    let asked = pipe.stream.set_patience(patience);
    asked.map_err(|_| Broken::Before)?;
    let run = ToEngine::Run(Box::new(Call::of(call)));
    pipe.send(&run).map_err(|_| Broken::Before)?;
    let mut message = match pipe.receive() {
        Err(error) if is_gone(&error) => return Err(Broken::Before),
        message => message.map_err(Broken::Within)?,
    };
    let mut hole: Option<NeedState> = None;
    // An engine process gets the modules of its call and of what that calls, and no other.
    let mut named = BTreeSet::from([call.module]);
    loop {
        let answer = match message {
            ToNode::NeedArtifact(module) if !named.contains(&module) => ToEngine::Artifact(None),
            ToNode::NeedArtifact(module) => {
                let artifact = modules.artifact(&module);
                let bytes = |artifact: Artifact| (ByteBuf::from(artifact.bytes), artifact.digest);
                ToEngine::Artifact(artifact.map(bytes))
            }
            ToNode::Get(key) => match entries.get(&key) {
                Ok(value) => ToEngine::Value(value.map(ByteBuf::from)),
                Err(need) => ToEngine::Hole(hole.get_or_insert(need).at.0),
            },
            ToNode::Next(key) => match entries.next(&key) {
                Ok(next) => ToEngine::Next(next.key.map(ByteBuf::from), next.passed),
                Err(need) => ToEngine::Hole(hole.get_or_insert(need).at.0),
            },
            ToNode::Set(key, value) => {
                let value = value.as_ref().map(|value| value.as_slice());
                ToEngine::Set(entries.set(&key, value).err())
            }
            ToNode::Enter(zapp) => match entries.enter(&zapp) {
                Ok(callee) => {
                    named.extend(callee.map(|callee| callee.module));
                    ToEngine::Entered(callee.map(|callee| (callee.module, callee.metered)))
                }
                Err(need) => ToEngine::Hole(hole.get_or_insert(need).at.0),
            },
            ToNode::Leave(keep) => {
                entries.leave(keep);
                ToEngine::Left
            }
            ToNode::Ran {
                execution,
                fault,
                log,
            } => {
                if execution.check(call.gas_limit).is_err() || hole.is_some() {
                    return Err(Broken::Within(PipeError::OutOfTurn));
                }
                return Ok(Ok(Ran {
                    execution,
                    fault,
                    log: log.into_iter().map(ByteBuf::into_vec).collect(),
                }));
            }
            ToNode::Failed(failure) => {
                return Ok(Err(match (failure, hole) {
                    (Failure::Hole, Some(need)) => need.into(),
                    (Failure::Module(module), _) if named.contains(&module) => {
                        ExecuteError::Module(module)
                    }
                    _ => ExecuteError::Hung(call.request),
                }));
            }
        };
        pipe.send(&answer).map_err(Broken::Within)?;
        message = pipe.receive().map_err(Broken::Within)?;
    }
}

/// Whether the process had ended: it closed its end, or was killed with the question unread.
fn is_gone(error: &PipeError) -> bool {
    match error {
        PipeError::Closed => true,
        PipeError::Stream(error) => error.kind() == io::ErrorKind::ConnectionReset,
        PipeError::TooLong { .. } | PipeError::Malformed(_) | PipeError::OutOfTurn => false,
    }
}

impl<M: Modules> Execute for Remote<M> {
    /// The gatekeeper runs no code of a module and hence here.
    fn prepare(
        &mut self,
        _request: &RequestId,
        module: &ModuleDigest,
    ) -> Result<Verdict, ExecuteError> {
        verdict(&mut self.modules, module)
    }

    fn execute(
        &mut self,
        call: &Executable<'_>,
        journal: &mut Journal<'_>,
    ) -> Result<Execution, ExecuteError> {
        Ok(self.run(call, journal)?.execution)
    }
}
