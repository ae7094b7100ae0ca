//! The real engine process: it runs zApps, and has nothing that a zApp could take.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it should be"
)]

mod zapp;

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use attestation::ids::RequestId;
use attestation::leaf::Status;
use node::engine::Engines;
use runtime::apart::{PipeError, Remote, Start, Wire};
use runtime::engine::{System, Target, compile_for};
use state::execute::ExecuteError;
use state::journal::Journal;

use zapp::{One, state, zapp};

/// Starts real engine processes and notes their ids.
struct Noted {
    engines: Engines,
    started: Mutex<Vec<u32>>,
}

impl Start for Noted {
    fn start(&self) -> io::Result<Box<dyn Wire>> {
        let engine = self.engines.spawn()?;
        self.started.lock().unwrap().push(engine.id());
        Ok(Box::new(engine))
    }

    fn broke(&self, request: &RequestId, why: &PipeError) {
        panic!("{request}: {why}");
    }
}

impl Noted {
    fn new() -> Arc<Self> {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_zq-node"));
        Arc::new(Self {
            engines: Engines::of(program),
            started: Mutex::default(),
        })
    }

    fn last(&self) -> u32 {
        *self.started.lock().unwrap().last().unwrap()
    }
}

/// A line of `/proc/PID/status`.
fn status(process: u32, line: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let found = text.lines().find_map(|at| at.strip_prefix(line));
    found.unwrap().trim_start_matches(':').trim().to_owned()
}

/// Number and target of a process's open files.
fn open_files(process: u32) -> Vec<(u32, String)> {
    let files = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let file = |entry: io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let number = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        // One that is closed meanwhile is none.
        let target = fs::read_link(path).ok()?;
        Some((number, target.to_string_lossy().into_owned()))
    };
    files.filter_map(file).collect()
}

#[test]
fn an_engine_process_runs_calls_and_has_nothing_to_take() {
    let (modules, call) = zapp();
    let engines = Noted::new();
    let state = state(call.zapp);
    let mut remote = Remote::new(Arc::clone(&engines) as Arc<dyn Start>, modules);
    let mut journal = Journal::new(&state);
    for count in 1..=3_u64 {
        journal.open(&call.zapp);
        let ran = remote.run(&call, &mut journal).unwrap();
        assert_eq!(ran.execution.status, Status::Ok);
        assert_eq!(ran.execution.output, count.to_le_bytes());
    }
    let process = engines.last();
    assert_eq!(status(process, "Seccomp"), "2", "filtered");
    assert_eq!(status(process, "NoNewPrivs"), "1");
    let environment = fs::read(format!("/proc/{process}/environ")).unwrap();
    assert_eq!(environment, b"");
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let memory = limits
        .lines()
        .find(|line| line.starts_with("Max address space"))
        .unwrap();
    assert!(memory.contains("1073741824"), "{memory}");
    // The socket, twice, and what any child of whoever started this test has: no file of the
    // node, no listener.
    let mut plain = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let inherited = open_files(plain.id());
    for (number, target) in open_files(process) {
        let socket = target.starts_with("socket:") && (number == 0 || number > 2);
        let leaked = number > 2 && inherited.contains(&(number, target.clone()));
        assert!(
            socket || leaked || target == "/dev/null",
            "{number} {target}"
        );
    }
    drop(plain.stdin.take());
    plain.wait().unwrap();
    assert_eq!(engines.started.lock().unwrap().len(), 1);
    drop(remote);
    assert!(!PathBuf::from(format!("/proc/{process}")).exists());
}

#[test]
fn a_killed_engine_process_is_replaced() {
    let (modules, call) = zapp();
    let engines = Noted::new();
    let state = state(call.zapp);
    let mut remote = Remote::new(Arc::clone(&engines) as Arc<dyn Start>, modules);
    let run = |remote: &mut Remote<One>| -> Result<Status, ExecuteError> {
        let mut journal = Journal::new(&state);
        journal.open(&call.zapp);
        Ok(remote.run(&call, &mut journal)?.execution.status)
    };
    assert_eq!(run(&mut remote), Ok(Status::Ok));
    let process = rustix::process::Pid::from_raw(engines.last().try_into().unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    assert_eq!(run(&mut remote), Ok(Status::Ok));
    assert_eq!(engines.started.lock().unwrap().len(), 2);
}

#[test]
fn the_compile_child_is_confined_and_compiles() {
    let metered = runtime::prepare(&wat::parse_str(zapp::COUNTER).unwrap()).unwrap();
    let targets = [
        ("linux", Target::HERE),
        ("hermit", Target::Wasmtime(System::Hermit)),
        ("wasmi", Target::Wasmi),
    ];
    for (name, target) in targets {
        let mut child = Command::new(env!("CARGO_BIN_EXE_zq-node"))
            .args(["compile", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It reads to the end before it compiles; while the pipe is open, it can be looked at.
        stdin.write_all(&metered.metered).unwrap();
        let filtered = || status(child.id(), "Seccomp") == "2";
        while !filtered() {
            std::thread::yield_now();
        }
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        for (limit, value) in [("Max cpu time", "30"), ("Max address space", "2147483648")] {
            let line = limits.lines().find(|line| line.starts_with(limit)).unwrap();
            let soft = line.split_whitespace().nth(3);
            assert_eq!(soft, Some(value), "{line}");
        }
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", output.status);
        let artifact = compile_for(&metered.metered, target).unwrap();
        assert_eq!(output.stdout, artifact.bytes, "{name}");
    }
}
