//! What an engine process says to the node that asked it to run a call.
//!
//! The node's end is the one that ships. The engine is hostile: it says what the input says, whatever
//! it is asked and answered.

use std::io::{self, Cursor, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use attestation::ids::{
    CommitteeId, Digest, Epoch, IdentityKey, ModuleDigest, NetworkId, RequestId, Seq, StateRoot,
    ZappId,
};
use runtime::Modules;
use runtime::apart::{PipeError, Remote, Server, Start, Wire};
use runtime::engine::{self, Artifact, THREAD_STACK_BYTES};
use state::State;
use state::entry::HEAD;
use state::execute::{Environment, Executable, Op};
use state::job::Context;
use state::journal::Journal;

/// The zApp that is called, and another one with an entry of the same key.
const CALLED: ZappId = ZappId::from_bytes([7; 32]);
const OTHER: ZappId = ZappId::from_bytes([8; 32]);
const GAS: u64 = 10_000_000;

/// Reads, asks for the next key, writes, and answers with what it read.
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
    (call $input (i32.const 16) (i32.const 1) (i32.const 1))
    (call $log (i32.const 16) (i32.const 1))
    (drop (call $get (i32.const 0) (i32.const 1) (i32.const 40) (i32.const 8)))
    (drop (call $next (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 8)))
    (call $output (i32.const 40) (i32.const 8))
    (if (i32.eq (i32.load8_u (i32.const 16)) (i32.const 119)) (then
      (call $set (i32.const 0) (i32.const 1) (i32.const 16) (i32.const 1))))
    (if (i32.eq (i32.load8_u (i32.const 16)) (i32.const 116)) (then unreachable))
    (i32.const 0)))"#;

/// Feeds the node's end: it comes to an end, believes no more gas than there was, and lets nothing be
/// written but entries of the zApp that was called, and by a view not even those.
pub fn answers(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else {
        return false;
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let engine = Engine {
        says: Mutex::new(Some(bytes.to_vec())),
        asked: Arc::clone(&asked),
    };
    let mut remote = Remote::new(Arc::new(engine), Compiled(None));
    let state = state();
    let (module, metered) = (
        ModuleDigest::from_bytes([1; 32]),
        Digest::from_bytes([2; 32]),
    );
    let call = call(module, metered, "w");
    let mut journal = Journal::new(&state);
    let from = journal.open(&CALLED);
    let ran = match kind % 2 {
        0 => remote.view(&call, &state),
        _ => remote.run(&call, &mut journal),
    };
    let writes = journal.writes_since(from);
    for write in &writes {
        assert_eq!(write.zapp, CALLED, "another zApp is written");
        assert!(kind % 2 == 1, "a view writes");
    }
    if let Ok(ran) = &ran {
        assert!(ran.execution.gas <= GAS, "more gas than there was");
    }
    // It ran, or the engine was answered at least once.
    ran.is_ok() || asked.load(Ordering::SeqCst) > 1
}

/// What a sound engine says in three calls, for the corpus.
///
/// # Panics
/// If the system starts none.
pub fn conversations() -> Vec<(&'static str, Vec<u8>)> {
    let prepared = runtime::prepare(&wat::parse_str(ZAPP).unwrap()).unwrap();
    let artifact = engine::compile(&prepared.metered).unwrap();
    let mut all = Vec::new();
    for (name, kind, method) in [("write", 1, "w"), ("trap", 1, "t"), ("view", 0, "r")] {
        let recorder = Arc::new(Recorder::default());
        let start = Arc::clone(&recorder) as Arc<dyn Start>;
        let mut remote = Remote::new(start, Compiled(Some(artifact.clone())));
        let state = state();
        let call = call(prepared.original, prepared.metered_digest, method);
        let ran = match kind {
            0 => remote.view(&call, &state),
            _ => remote.run(&call, &mut Journal::new(&state)),
        };
        ran.unwrap();
        let said = recorder.said.lock().unwrap().clone();
        all.push((name, [vec![kind], said].concat()));
    }
    all
}

fn call<'a>(module: ModuleDigest, metered: Digest, method: &'a str) -> Executable<'a> {
    Executable {
        op: Op::Call,
        request: RequestId::from_bytes([4; 32]),
        zapp: CALLED,
        module,
        metered,
        caller: IdentityKey::from_bytes([5; 32]),
        origin: IdentityKey::from_bytes([5; 32]),
        method,
        input: b"input",
        gas_limit: GAS,
        environment: &ENVIRONMENT,
        pulled: &[],
    }
}

fn state() -> State {
    let entries = [CALLED, OTHER].into_iter().flat_map(|zapp| {
        let keys = [HEAD, b"k", b"m"];
        keys.map(|key| (zapp, key.to_vec(), b"before".to_vec()))
    });
    State::from_entries(entries).unwrap()
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
    previous_state: StateRoot::from_bytes([3; 32]),
};

/// The compiled zApp; a hostile engine that asks for it gets a few bytes.
struct Compiled(Option<Artifact>);

impl Modules for Compiled {
    fn module(&mut self, _: &ModuleDigest) -> Option<Vec<u8>> {
        None
    }

    fn artifact(&mut self, _: &ModuleDigest) -> Option<Artifact> {
        let none = || Artifact {
            bytes: vec![1; 16],
            digest: Digest::from_bytes([0; 32]),
        };
        Some(self.0.clone().unwrap_or_else(none))
    }
}

/// A hostile engine: one process, which is not there again once it has failed.
struct Engine {
    says: Mutex<Option<Vec<u8>>>,
    asked: Arc<AtomicUsize>,
}

impl Start for Engine {
    fn start(&self) -> io::Result<Box<dyn Wire>> {
        let says = self.says.lock().unwrap().take();
        let says = says.ok_or_else(|| io::Error::other("no more engines"))?;
        Ok(Box::new(Said {
            says: Cursor::new(says),
            asked: Arc::clone(&self.asked),
        }))
    }

    fn broke(&self, _: &RequestId, _: &PipeError) {}
}

/// What a hostile engine says; what it is told goes nowhere.
struct Said {
    says: Cursor<Vec<u8>>,
    asked: Arc<AtomicUsize>,
}

impl Read for Said {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.says.read(buffer)
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Wire for Said {
    fn set_patience(&mut self, _: Duration) -> io::Result<()> {
        Ok(())
    }
}

/// Starts sound engines, and writes down what they say.
#[derive(Default)]
struct Recorder {
    said: Arc<Mutex<Vec<u8>>>,
}

impl Start for Recorder {
    fn start(&self) -> io::Result<Box<dyn Wire>> {
        let (node, engine) = UnixStream::pair()?;
        let serve = move || {
            // It ends with the node's end.
            let _ended = Server::new(engine).serve(|| ());
        };
        thread::Builder::new()
            .stack_size(THREAD_STACK_BYTES)
            .spawn(serve)?;
        let said = Arc::clone(&self.said);
        Ok(Box::new(Recorded { node, said }))
    }

    fn broke(&self, _: &RequestId, why: &PipeError) {
        panic!("a sound engine broke off: {why}");
    }
}

struct Recorded {
    node: UnixStream,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Read for Recorded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.node.read(buffer)?;
        let said = buffer.get(..read).unwrap_or_default();
        self.said.lock().unwrap().extend_from_slice(said);
        Ok(read)
    }
}

impl Write for Recorded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.node.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.node.flush()
    }
}

impl Wire for Recorded {
    fn set_patience(&mut self, _: Duration) -> io::Result<()> {
        Ok(())
    }
}
