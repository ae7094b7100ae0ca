//! Node and engine over a socket pair, engines that fail, and engines that lie.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use attestation::ids::{
    CommitteeId, Digest, Epoch, IdentityKey, ModuleDigest, NetworkId, RequestId, Seq, ZappId,
};
use attestation::leaf::Status;
use serde_bytes::ByteBuf;
use state::State;
use state::entry::HEAD;
use state::execute::{Environment, Executable, ExecuteError, Execution, Op};
use state::job::Context;
use state::journal::Journal;
use state::witness::Touched;

use super::message::{Failure, TO_ENGINE_BYTES_MAX, TO_NODE_BYTES_MAX, ToEngine, ToNode};
use super::pipe::{Pipe, PipeError};
use super::{Remote, Server, Start, Wire};
use crate::engine::{self, Artifact, THREAD_STACK_BYTES};
use crate::execute::{Executor, Modules};

/// `r` reads, `w` writes, `n` asks for the next key, `t` traps after a write, `l` never ends,
/// `q` reverts.
const ZAPP: &str = r#"(module
  (import "zapp0" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "zapp0" "next" (func $next (param i32 i32 i32 i32) (result i32)))
  (import "zapp0" "set" (func $set (param i32 i32 i32 i32)))
  (import "zapp0" "output" (func $output (param i32 i32)))
  (import "zapp0" "input" (func $input (param i32 i32 i32)))
  (import "zapp0" "log" (func $log (param i32 i32)))
  (memory (export "memory") 1 1)
  (data (i32.const 0) "k")
  (func (export "zapp_main") (param $op i32) (param $len i32) (result i32)
    (local $what i32)
    (call $input (i32.const 16) (i32.const 1) (i32.const 1))
    (local.set $what (i32.load8_u (i32.const 16)))
    (call $log (i32.const 16) (i32.const 1))
    (if (i32.eq (local.get $what) (i32.const 114)) (then
      (i32.store (i32.const 32)
        (call $get (i32.const 0) (i32.const 1) (i32.const 40) (i32.const 8)))
      (call $output (i32.const 32) (i32.const 16))))
    (if (i32.eq (local.get $what) (i32.const 110)) (then
      (i32.store (i32.const 32)
        (call $next (i32.const 0) (i32.const 0) (i32.const 40) (i32.const 8)))
      (call $output (i32.const 32) (i32.const 16))))
    (if (i32.or (i32.eq (local.get $what) (i32.const 119))
                (i32.eq (local.get $what) (i32.const 116))) (then
      (call $set (i32.const 0) (i32.const 1) (i32.const 16) (i32.const 1))))
    (if (i32.eq (local.get $what) (i32.const 116)) (then unreachable))
    (if (i32.eq (local.get $what) (i32.const 108)) (then (loop $l (br $l))))
    (if (i32.eq (local.get $what) (i32.const 113)) (then (return (i32.const 7))))
    (i32.const 0)))"#;

const HERE: ZappId = ZappId::from_bytes([7; 32]);

/// The compiled zApp.
#[derive(Clone)]
struct Zapp {
    module: ModuleDigest,
    metered: Digest,
    artifact: Artifact,
}

impl Zapp {
    fn new() -> Self {
        let prepared = crate::prepare(&wat::parse_str(ZAPP).unwrap()).unwrap();
        Self {
            module: prepared.original,
            metered: prepared.metered_digest,
            artifact: engine::compile(&prepared.metered).unwrap(),
        }
    }
}

impl Modules for Zapp {
    fn module(&mut self, _: &ModuleDigest) -> Option<Vec<u8>> {
        None
    }

    fn artifact(&mut self, module: &ModuleDigest) -> Option<Artifact> {
        (*module == self.module).then(|| self.artifact.clone())
    }
}

struct Stream(UnixStream);

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Wire for Stream {
    fn set_patience(&mut self, _: Duration) -> io::Result<()> {
        Ok(())
    }
}

type Engine = Pipe<UnixStream>;
/// What an engine does with its end of the stream.
type Behave = Box<dyn FnOnce(UnixStream) + Send>;

/// Starts one engine after another, each as it is written down.
struct Engines {
    behaviours: Mutex<Vec<Behave>>,
    started: AtomicUsize,
    broken: AtomicUsize,
}

impl Engines {
    fn new(behaviours: impl IntoIterator<Item = Behave>) -> Arc<Self> {
        let mut behaviours: Vec<Behave> = behaviours.into_iter().collect();
        behaviours.reverse();
        Arc::new(Self {
            behaviours: Mutex::new(behaviours),
            started: AtomicUsize::new(0),
            broken: AtomicUsize::new(0),
        })
    }

    fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }
}

impl Start for Engines {
    fn start(&self) -> io::Result<Box<dyn Wire>> {
        let mut behaviours = self
            .behaviours
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let behave = behaviours
            .pop()
            .ok_or_else(|| io::Error::other("no more engines"))?;
        let (node, engine) = UnixStream::pair()?;
        thread::Builder::new()
            .stack_size(THREAD_STACK_BYTES)
            .spawn(move || behave(engine))?;
        self.started.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Stream(node)))
    }

    fn broke(&self, _: &RequestId, _: &PipeError) {
        self.broken.fetch_add(1, Ordering::SeqCst);
    }
}

fn honest() -> Behave {
    Box::new(|stream| {
        // Ends with an error where a test drops the node's end.
        let _ = Server::new(stream).serve(|| ());
    })
}

/// An engine that is asked once and then does as it likes.
fn rogue(act: impl FnOnce(&mut Engine) + Send + 'static) -> Behave {
    Box::new(|stream| {
        let mut engine = Pipe::new(stream, TO_ENGINE_BYTES_MAX, usize::MAX);
        let asked: ToEngine = engine.receive().unwrap();
        assert!(matches!(asked, ToEngine::Run(_)));
        act(&mut engine);
    })
}

fn state() -> State {
    let keys = [HEAD, b"k", b"m"];
    let entry = |key: &[u8]| (HERE, key.to_vec(), b"before".to_vec());
    State::from_entries(keys.map(entry)).unwrap()
}

const ENVIRONMENT: Environment = Environment {
    network: NetworkId(1),
    committee: CommitteeId::from_bytes([2; 32]),
    epoch: Epoch(1),
    seq: Seq(5),
    context: Context {
        time_ms: 9,
        anchor_height: 0,
        anchor: Digest::from_bytes([0; 32]),
    },
    previous_state: attestation::ids::StateRoot::from_bytes([3; 32]),
};

fn call<'a>(zapp: &Zapp, method: &'a str, gas_limit: u64) -> Executable<'a> {
    Executable {
        op: Op::Call,
        request: RequestId::from_bytes([4; 32]),
        zapp: HERE,
        module: zapp.module,
        metered: zapp.metered,
        caller: IdentityKey::from_bytes([5; 32]),
        origin: IdentityKey::from_bytes([5; 32]),
        method,
        input: b"input",
        gas_limit,
        environment: &ENVIRONMENT,
        pulled: &[],
    }
}

fn hung<T>() -> Result<T, ExecuteError> {
    Err(ExecuteError::Hung(RequestId::from_bytes([4; 32])))
}

#[test]
fn a_call_has_the_same_outcome_in_another_process() {
    let (zapp, state) = (Zapp::new(), state());
    let engines = Engines::new([honest()]);
    let mut remote = Remote::new(Arc::clone(&engines) as Arc<dyn Start>, zapp.clone());
    let mut local = Executor::new(zapp.clone()).unwrap();
    let (mut here, mut there) = (Journal::new(&state), Journal::new(&state));
    let mut statuses = Vec::new();
    for method in ["r", "n", "w", "r", "t", "q", "l", "r"] {
        for gas_limit in [10_000_000, 100] {
            let call = call(&zapp, method, gas_limit);
            let (from, same_from) = (here.open(&HERE), there.open(&HERE));
            let expected = local.run(&call, &mut here);
            assert_eq!(remote.run(&call, &mut there), expected, "{method}");
            assert_eq!(there.writes_since(same_from), here.writes_since(from));
            statuses.push(expected.unwrap().execution.status);
        }
    }
    for status in [
        Status::Ok,
        Status::Reverted,
        Status::Trapped,
        Status::OutOfGas,
    ] {
        assert!(statuses.contains(&status), "{status:?}");
    }
    let view = call(&zapp, "w", 10_000_000);
    let answer = remote.view(&view, &state);
    assert_eq!(answer, local.view(&view, &state));
    assert_eq!(answer.unwrap().execution.status, Status::Trapped);
    assert_eq!(engines.started(), 1);
}

#[test]
fn an_engine_that_was_gone_before_it_was_asked_costs_a_call_nothing() {
    let (zapp, state) = (Zapp::new(), state());
    let module = zapp.module;
    let once: Behave = Box::new(move |stream| {
        let mut engine = Pipe::new(stream, TO_ENGINE_BYTES_MAX, TO_NODE_BYTES_MAX);
        let _: ToEngine = engine.receive().unwrap();
        engine
            .send(&ToNode::Failed(Failure::Module(module)))
            .unwrap();
    });
    let engines = Engines::new([once, honest()]);
    let mut remote = Remote::new(Arc::clone(&engines) as Arc<dyn Start>, zapp.clone());
    let call = call(&zapp, "r", 10_000_000);
    let first = remote.run(&call, &mut Journal::new(&state));
    assert_eq!(first, Err(ExecuteError::Module(zapp.module)));
    let second = remote.run(&call, &mut Journal::new(&state)).unwrap();
    assert_eq!(second.execution.status, Status::Ok);
    assert_eq!(engines.started(), 2);
}

#[test]
fn an_engine_that_fails_or_lies_costs_its_call_and_is_replaced() {
    let (zapp, state) = (Zapp::new(), state());
    let bytes = ByteBuf::from(b"k".as_slice());
    let ran = |status, gas| ToNode::Ran {
        execution: Execution {
            status,
            code: 0,
            gas,
            output: Vec::new(),
            events: Vec::new(),
            messages: Vec::new(),
            trace: Digest::from_bytes([0; 32]),
        },
        fault: None,
        log: Vec::new(),
    };
    let says = |message: ToNode| rogue(move |engine| engine.send(&message).unwrap());
    let raw = |bytes: Vec<u8>| rogue(move |engine| engine.stream.write_all(&bytes).unwrap());
    let get = bytes.clone();
    let elsewhere = ModuleDigest::from_bytes([9; 32]);
    let cases: [(&str, Behave); 10] = [
        ("dies", rogue(|_| ())),
        (
            "dies after a question",
            rogue(move |engine| engine.send(&ToNode::Get(get)).unwrap()),
        ),
        ("dies within a message", raw(vec![0, 0])),
        ("announces too much", raw(vec![0xff; 4])),
        ("sends garbage", raw(vec![0, 0, 0, 1, 0xff])),
        ("fails", says(ToNode::Failed(Failure::Engine))),
        ("claims a hole", says(ToNode::Failed(Failure::Hole))),
        (
            "lacks a module that it was not asked to run",
            says(ToNode::Failed(Failure::Module(elsewhere))),
        ),
        ("claims too much gas", says(ran(Status::Ok, u64::MAX))),
        ("claims what no run is", says(ran(Status::Refused, 1))),
    ];
    for (what, behave) in cases {
        let engines = Engines::new([behave, honest()]);
        let mut remote = Remote::new(Arc::clone(&engines) as Arc<dyn Start>, zapp.clone());
        let call = call(&zapp, "r", 10_000_000);
        let failed = remote.run(&call, &mut Journal::new(&state));
        assert_eq!(failed, hung(), "{what}");
        // One that says no word, or that it failed, is no breach of the conversation.
        let told = engines.broken.load(Ordering::SeqCst);
        let quiet = [
            "dies",
            "fails",
            "claims a hole",
            "lacks a module that it was not asked to run",
        ]
        .contains(&what);
        assert_eq!(told, usize::from(!quiet), "{what}");
        let next = remote.run(&call, &mut Journal::new(&state));
        assert_eq!(next.unwrap().execution.status, Status::Ok, "{what}");
        assert_eq!(engines.started(), 2, "{what}");
    }
}

#[test]
fn an_engine_gets_no_module_but_its_calls_and_writes_nothing_in_a_view() {
    let (zapp, state) = (Zapp::new(), state());
    let key = ByteBuf::from(b"k".as_slice());
    let module = zapp.module;
    let curious = rogue(move |engine| {
        let other = ModuleDigest::from_bytes([9; 32]);
        engine.send(&ToNode::NeedArtifact(other)).unwrap();
        assert_eq!(
            engine.receive::<ToEngine>().unwrap(),
            ToEngine::Artifact(None)
        );
        engine.send(&ToNode::Set(key.clone(), None)).unwrap();
        let answer: ToEngine = engine.receive().unwrap();
        assert!(matches!(answer, ToEngine::Set(Some(_))), "{answer:?}");
        engine
            .send(&ToNode::Failed(Failure::Module(module)))
            .unwrap();
    });
    let engines = Engines::new([curious]);
    let mut remote = Remote::new(engines as Arc<dyn Start>, zapp.clone());
    let answer = remote.view(&call(&zapp, "r", 1_000), &state);
    assert_eq!(answer, Err(ExecuteError::Module(zapp.module)));
}

#[test]
fn a_hole_in_the_state_is_told_from_a_failing_engine() {
    let zapp = Zapp::new();
    let whole = state();
    let nothing = whole.witness(&Touched::default()).unwrap();
    let pruned = nothing.open(&whole.root()).unwrap();
    let engines = Engines::new([honest()]);
    let mut remote = Remote::new(engines as Arc<dyn Start>, zapp.clone());
    let answer = remote.run(&call(&zapp, "r", 10_000_000), &mut Journal::new(&pruned));
    assert!(
        matches!(answer, Err(ExecuteError::NeedState(_))),
        "{answer:?}"
    );
}
