//! A counting zApp and a call of it.

use attestation::ids::{
    CommitteeId, Digest, Epoch, IdentityKey, ModuleDigest, NetworkId, RequestId, Seq, StateRoot,
    ZappId,
};
use runtime::Modules;
use runtime::engine::{Artifact, compile};
use state::State;
use state::execute::{Environment, Executable, Op};
use state::job::Context;

/// Counts in entry `n`; outputs the count.
pub const COUNTER: &str = r#"(module
  (import "zapp0" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "zapp0" "set" (func $set (param i32 i32 i32 i32)))
  (import "zapp0" "output" (func $output (param i32 i32)))
  (memory (export "memory") 1 1)
  (data (i32.const 0) "n")
  (func (export "zapp_main") (param $op i32) (param $len i32) (result i32)
    (drop (call $get (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 8)))
    (i64.store (i32.const 8) (i64.add (i64.load (i32.const 8)) (i64.const 1)))
    (call $set (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 8))
    (call $output (i32.const 8) (i32.const 8))
    (i32.const 0)))"#;

/// One module, compiled.
pub struct One(ModuleDigest, Artifact);

impl Modules for One {
    fn module(&mut self, _: &ModuleDigest) -> Option<Vec<u8>> {
        None
    }

    fn artifact(&mut self, module: &ModuleDigest) -> Option<Artifact> {
        (*module == self.0).then(|| self.1.clone())
    }
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

/// The module and a call that counts once.
pub fn zapp() -> (One, Executable<'static>) {
    let prepared = runtime::prepare(&wat::parse_str(COUNTER).unwrap()).unwrap();
    let artifact = compile(&prepared.metered).unwrap();
    let call = Executable {
        op: Op::Call,
        request: RequestId::from_bytes([4; 32]),
        zapp: ZappId::from_bytes([7; 32]),
        module: prepared.original,
        metered: prepared.metered_digest,
        caller: IdentityKey::from_bytes([5; 32]),
        origin: IdentityKey::from_bytes([5; 32]),
        method: "inc",
        input: &[],
        gas_limit: 10_000_000,
        environment: &ENVIRONMENT,
        pulled: &[],
    };
    (One(prepared.original, artifact), call)
}

/// The state of a zApp that has no entries yet.
pub fn state(zapp: ZappId) -> State {
    State::from_entries([(zapp, state::entry::HEAD.to_vec(), Vec::new())]).unwrap()
}
