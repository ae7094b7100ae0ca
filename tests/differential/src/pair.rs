//! One module on both engines.

use attestation::ids::{
    CommitteeId, Digest, Epoch, IdentityKey, ModuleDigest, NetworkId, RequestId, Seq, ZappId,
};
use attestation::leaf::Status;
use runtime::engine::{Artifact, System, Target, compile_for};
use runtime::{Executor, Modules, Ran, Rejection};
use state::State;
use state::entry::EntryWrite;
use state::execute::{Environment, Executable, Op};
use state::job::Context;
use state::journal::Journal;

const ZAPP: ZappId = ZappId::from_bytes([7; 32]);
const TARGETS: [Target; 2] = [Target::Wasmtime(System::HERE), Target::Wasmi];

/// A module, an executor for each engine, and a state.
pub struct Pair {
    executors: [Executor<One>; 2],
    module: ModuleDigest,
    metered: Digest,
    state: State,
}

/// What a call came to, with what it would write.
#[derive(Debug, PartialEq, Eq)]
pub struct Done {
    /// Outcome, gas, events and trace.
    pub ran: Ran,
    /// Entries.
    pub writes: Vec<EntryWrite>,
}

impl Done {
    /// The status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.ran.execution.status
    }

    /// The gas used.
    #[must_use]
    pub fn gas(&self) -> u64 {
        self.ran.execution.gas
    }
}

/// Holds one artifact.
struct One(Artifact);

impl Modules for One {
    fn module(&mut self, _: &ModuleDigest) -> Option<Vec<u8>> {
        None
    }

    fn artifact(&mut self, _: &ModuleDigest) -> Option<Artifact> {
        Some(self.0.clone())
    }
}

impl Pair {
    /// Takes a module through gatekeeper and metering to both engines.
    ///
    /// # Errors
    /// [`Rejection`] if the gatekeeper refuses it.
    ///
    /// # Panics
    /// If an engine refuses what the gatekeeper took: each of its limits must have a rule.
    pub fn new(wasm: &[u8]) -> Result<Self, Rejection> {
        let prepared = runtime::prepare(wasm)?;
        let executors = TARGETS.map(|target| {
            let artifact = compile_for(&prepared.metered, target);
            let artifact = artifact.expect("an engine takes what the gatekeeper took");
            Executor::new(One(artifact)).expect("the engines start")
        });
        let keys = [&b"a"[..], b"b", b"key", &[0], &[0, 0]];
        let entries = keys.map(|key| (ZAPP, key.to_vec(), b"a value of it".to_vec()));
        let head = (ZAPP, vec![], vec![]);
        Ok(Self {
            executors,
            module: prepared.original,
            metered: prepared.metered_digest,
            state: State::from_entries(entries.into_iter().chain([head])).expect("one head"),
        })
    }

    /// Runs a call on both engines, with `input` zero bytes as its input.
    ///
    /// # Errors
    /// The two outcomes, if they differ in anything.
    ///
    /// # Panics
    /// If there is no outcome: nothing that a module does may lead to that.
    pub fn run(&mut self, op: Op, input: usize, gas_limit: u64) -> Result<Done, Box<[Done; 2]>> {
        let input = vec![0; input];
        let environment = environment(&self.state);
        let call = Executable {
            op,
            request: RequestId::from_bytes([3; 32]),
            zapp: ZAPP,
            module: self.module,
            metered: self.metered,
            caller: IdentityKey::from_bytes([5; 32]),
            origin: IdentityKey::from_bytes([5; 32]),
            method: "",
            input: &input,
            gas_limit,
            environment: &environment,
            pulled: &[],
        };
        let state = &self.state;
        let [compiled, interpreted] = self
            .executors
            .each_mut()
            .map(|executor| done(executor, &call, state));
        if compiled == interpreted {
            Ok(compiled)
        } else {
            Err(Box::new([compiled, interpreted]))
        }
    }
}

fn done(executor: &mut Executor<One>, call: &Executable<'_>, state: &State) -> Done {
    let mut journal = Journal::new(state);
    journal.begin();
    let from = journal.open(&ZAPP);
    let ran = executor.run(call, &mut journal).expect("an outcome");
    if ran.execution.status != Status::Ok {
        journal.revert(from);
    }
    let writes = journal.writes_since(from);
    Done { ran, writes }
}

fn environment(state: &State) -> Environment {
    Environment {
        network: NetworkId(1),
        committee: CommitteeId::from_bytes([2; 32]),
        epoch: Epoch(1),
        seq: Seq(1),
        context: Context {
            time_ms: 1_700_000_000_000,
            anchor_height: 42,
            anchor: Digest::from_bytes([0; 32]),
        },
        previous_state: state.root(),
    }
}
