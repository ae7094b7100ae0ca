//! The engine process: calls in, outcomes out, questions in between.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::rc::Rc;

use attestation::ids::{ModuleDigest, ZappId};
use serde_bytes::ByteBuf;
use state::execute::ExecuteError;
use state::journal::Next;
use state::tree::{KeyHash, NeedState};

use super::message::{Call, Failure, TO_ENGINE_BYTES_MAX, TO_NODE_BYTES_MAX, ToEngine, ToNode};
use super::pipe::{Pipe, PipeError};
use crate::abi::HostFault;
use crate::engine::{Artifact, EngineError};
use crate::execute::{Executor, Modules, Ran};
use crate::host::{Callee, Entries};

/// An engine process ends.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The engine does not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The node is gone or makes no sense.
    #[error(transparent)]
    Pipe(#[from] PipeError),
}

/// The engine's end of a stream.
pub struct Server<S> {
    stream: S,
}

/// The node's end, for two borrowers in turn: whoever wants a module and whoever reads entries.
struct Node<S>(Rc<RefCell<Pipe<S>>>);

impl<S> Clone for Node<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S: Read + Write> Server<S> {
    /// A server on a stream to its node.
    pub const fn new(stream: S) -> Self {
        Self { stream }
    }

    /// Starts the engine, calls `started`, where the process can give up what only starting
    /// needed, and runs calls until the node closes the stream. The thread needs a stack of
    /// [`crate::engine::THREAD_STACK_BYTES`].
    ///
    /// # Errors
    /// [`ServeError`] if the engine does not start or the conversation fails.
    pub fn serve(self, started: impl FnOnce()) -> Result<(), ServeError> {
        let pipe = Pipe::new(self.stream, TO_ENGINE_BYTES_MAX, TO_NODE_BYTES_MAX);
        let node = Node(Rc::new(RefCell::new(pipe)));
        let mut executor = Executor::new(Asked(node.clone()))?;
        started();
        loop {
            let call = match node.receive() {
                Ok(ToEngine::Run(call)) => call,
                Ok(_) => return Err(PipeError::OutOfTurn.into()),
                Err(PipeError::Closed) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let answer = run(&mut executor, &node, &call)?;
            node.send(&answer)?;
        }
    }
}

fn run<S: Read + Write>(
    executor: &mut Executor<Asked<S>>,
    node: &Node<S>,
    call: &Call,
) -> Result<ToNode, PipeError> {
    let environment = call.environment();
    let call = call.executable(&environment).ok_or(PipeError::OutOfTurn)?;
    let mut entries = Remote { node, broken: None };
    let ran = executor.run_on(&call, &mut entries);
    if let Some(broken) = entries.broken {
        return Err(broken);
    }
    Ok(match ran {
        Ok(Ran {
            execution,
            fault,
            log,
        }) => ToNode::Ran {
            execution,
            fault,
            log: log.into_iter().map(ByteBuf::from).collect(),
        },
        Err(ExecuteError::NeedState(_)) => ToNode::Failed(Failure::Hole),
        Err(ExecuteError::Module(module)) => ToNode::Failed(Failure::Module(module)),
        Err(ExecuteError::Hung(_) | ExecuteError::Misreported(..)) => {
            ToNode::Failed(Failure::Engine)
        }
    })
}

impl<S: Read + Write> Node<S> {
    fn send(&self, message: &ToNode) -> Result<(), PipeError> {
        self.0.borrow_mut().send(message)
    }

    fn receive(&self) -> Result<ToEngine, PipeError> {
        self.0.borrow_mut().receive()
    }

    fn ask(&self, question: &ToNode) -> Result<ToEngine, PipeError> {
        let mut pipe = self.0.borrow_mut();
        pipe.send(question)?;
        pipe.receive()
    }
}

/// Modules come from the node, compiled.
struct Asked<S>(Node<S>);

impl<S: Read + Write> Modules for Asked<S> {
    /// Deployments are judged by the node.
    fn module(&mut self, _: &ModuleDigest) -> Option<Vec<u8>> {
        None
    }

    fn artifact(&mut self, module: &ModuleDigest) -> Option<Artifact> {
        // A node that does not answer is met again at the next message.
        match self.0.ask(&ToNode::NeedArtifact(*module)) {
            Ok(ToEngine::Artifact(artifact)) => artifact.map(|(bytes, digest)| Artifact {
                bytes: bytes.into_vec(),
                digest,
            }),
            _ => None,
        }
    }
}

/// The entries of the zApp that runs, at the node.
struct Remote<'a, S> {
    node: &'a Node<S>,
    broken: Option<PipeError>,
}

impl<S: Read + Write> Remote<'_, S> {
    /// The answer; a conversation that has failed ends the run, and then the process.
    fn ask(&mut self, question: &ToNode) -> Result<ToEngine, NeedState> {
        const NOWHERE: KeyHash = KeyHash([0; 32]);
        match self.node.ask(question) {
            Ok(ToEngine::Hole(at)) => Err(NeedState { at: KeyHash(at) }),
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.broken.get_or_insert(error);
                Err(NeedState { at: NOWHERE })
            }
        }
    }

    fn out_of_turn(&mut self) -> NeedState {
        self.broken.get_or_insert(PipeError::OutOfTurn);
        NeedState {
            at: KeyHash([0; 32]),
        }
    }
}

impl<S: Read + Write> Entries for Remote<'_, S> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, NeedState> {
        match self.ask(&ToNode::Get(ByteBuf::from(key)))? {
            ToEngine::Value(value) => Ok(value.map(ByteBuf::into_vec)),
            _ => Err(self.out_of_turn()),
        }
    }

    fn next(&mut self, key: &[u8]) -> Result<Next, NeedState> {
        match self.ask(&ToNode::Next(ByteBuf::from(key)))? {
            ToEngine::Next(key, passed) => Ok(Next {
                key: key.map(ByteBuf::into_vec),
                passed,
            }),
            _ => Err(self.out_of_turn()),
        }
    }

    fn set(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), HostFault> {
        let set = ToNode::Set(ByteBuf::from(key), value.map(ByteBuf::from));
        match self.ask(&set) {
            Ok(ToEngine::Set(None)) => Ok(()),
            Ok(ToEngine::Set(Some(fault))) => Err(fault),
            // Ends the run; its outcome is never sent.
            _ => {
                self.out_of_turn();
                Err(HostFault::ReadOnly)
            }
        }
    }

    fn enter(&mut self, zapp: &ZappId) -> Result<Option<Callee>, NeedState> {
        match self.ask(&ToNode::Enter(*zapp))? {
            ToEngine::Entered(callee) => {
                Ok(callee.map(|(module, metered)| Callee { module, metered }))
            }
            _ => Err(self.out_of_turn()),
        }
    }

    fn leave(&mut self, keep: bool) {
        // A conversation that has failed is met where its outcome would be sent.
        if !matches!(self.ask(&ToNode::Leave(keep)), Ok(ToEngine::Left)) {
            self.out_of_turn();
        }
    }
}
