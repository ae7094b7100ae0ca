//! What a watcher is shown of a run.

use attestation::ids::{IdentityKey, RequestId};
use runtime::Ran;
use runtime::trace::{HostCall, Watch, argument_names, data_names};
use state::execute::{Executable, Op};
use state::journal::Journal;

use crate::bed::{Bed, PLENTY, ZAPP, environment};

/// Every host call as one line.
#[derive(Default)]
struct Lines(Vec<String>);

impl Watch for Lines {
    fn seen(&mut self, call: &HostCall<'_>) {
        let (name, args) = (call.import.name(), call.args);
        assert_eq!(args.len(), argument_names(call.import).len(), "{name}");
        assert!(call.data.len() <= data_names(call.import).len(), "{name}");
        let data: Vec<_> = call.data.iter().map(|bytes| bytes.escape_ascii()).collect();
        let data: Vec<String> = data.iter().map(ToString::to_string).collect();
        self.0.push(format!(
            "{} {name} {args:?} {data:?} {} {}",
            call.depth, call.result, call.gas
        ));
    }
}

/// The call on each engine, watched: what was shown, and what it came to.
fn watched(bed: &mut Bed, gas_limit: u64) -> [(Vec<String>, Ran); 2] {
    let environment = environment(&bed.state);
    let call = Executable {
        op: Op::Call,
        request: RequestId::from_bytes([3; 32]),
        zapp: ZAPP,
        module: bed.prepared.original,
        metered: bed.prepared.metered_digest,
        caller: IdentityKey::from_bytes([5; 32]),
        origin: IdentityKey::from_bytes([5; 32]),
        method: "m",
        input: b"input",
        gas_limit,
        environment: &environment,
        pulled: &[],
    };
    let state = &bed.state;
    bed.executors.each_mut().map(|executor| {
        let mut journal = Journal::new(state);
        journal.begin();
        journal.open(&ZAPP);
        let mut lines = Lines::default();
        let ran = executor.run_watched(&call, &mut journal, &mut lines);
        (lines.0, ran.expect("an outcome"))
    })
}

/// Reads, writes, hashes, logs and puts out, and calls every function that a trace treats apart.
const BUSY: &str = r#"
  (call $input (i32.const 0) (i32.const 0) (i32.const 7))
  (drop (call $get (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 8)))
  (drop (call $ctx (i32.const 4) (i32.const 80)))
  (drop (call $gas_left))
  (call $set (i32.const 0) (i32.const 1) (i32.const 2) (i32.const 3))
  (drop (call $get (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 8)))
  (call $hash (i32.const 0) (i32.const 2) (i32.const 2) (i32.const 128))
  (drop (call $verify (i32.const 0) (i32.const 0) (i32.const 2) (i32.const 2) (i32.const 2)
    (i32.const 4) (i32.const 3)))
  (call $emit (i32.const 2) (i32.const 2) (i32.const 4) (i32.const 3))
  (call $log (i32.const 2) (i32.const 5))
  (call $output (i32.const 2) (i32.const 5))"#;

#[test]
fn a_watcher_sees_the_same_calls_on_both_engines_and_changes_nothing() {
    let mut bed = Bed::main(BUSY);
    let unwatched = bed.call(PLENTY);
    let [(compiled, ran), (interpreted, same)] = watched(&mut bed, PLENTY);
    assert_eq!(compiled, interpreted);
    assert_eq!((&ran, &same), (&unwatched.ran, &unwatched.ran));
    let names: Vec<&str> = compiled
        .iter()
        .filter_map(|line| line.split(' ').nth(1))
        .collect();
    let expected = [
        "input", "get", "ctx", "gas_left", "set", "get", "hash", "verify", "emit", "log", "output",
    ];
    assert_eq!(names, expected);
    let line = |at: usize| compiled.get(at).expect("a line").as_str();
    assert!(line(0).starts_with("0 input [0, 0, 7]"), "{}", line(0));
    assert!(line(0).contains("minput"), "{}", line(0));
    assert!(line(1).contains(r#"] -1 "#), "{}", line(1));
    assert!(line(5).contains(r#""inp"] 3 "#), "{}", line(5));
    assert!(line(10).contains(r#"["input"]"#), "{}", line(10));
    // Gas only rises, and the last call has less than the whole run.
    let gas: Vec<u64> = compiled
        .iter()
        .map(|line| line.rsplit(' ').next().and_then(|gas| gas.parse().ok()))
        .map(|gas| gas.expect("gas"))
        .collect();
    assert!(gas.is_sorted_by(|a, b| a < b), "{gas:?}");
    assert!(gas.last().is_some_and(|last| *last <= ran.execution.gas));
}

#[test]
fn what_a_run_without_gas_was_shown_is_a_beginning_of_the_whole() {
    let mut bed = Bed::main(BUSY);
    let [(whole, ran), _] = watched(&mut bed, PLENTY);
    for short in [400, 8_000, 20_000] {
        let limit = ran.execution.gas - short;
        let [(compiled, _), (interpreted, _)] = watched(&mut bed, limit);
        assert_eq!(compiled, interpreted);
        assert!(compiled.len() < whole.len());
        // What is left differs, of course.
        let same = |(one, other): (&String, &String)| one == other || one.contains(" gas_left ");
        assert!(compiled.iter().zip(&whole).all(same), "{compiled:?}");
    }
}
