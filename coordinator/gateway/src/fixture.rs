//! A gateway in a temporary directory, a committee whose group key is a plain Ed25519 key (so that
//! its attestations are real), and a zApp that counts.

use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use attestation::committee::{Card, CreationRecord};
use attestation::conditions::Conditions;
use attestation::ids::{
    ChannelKey, Digest, GroupKey, IdentityKey, NetworkId, RequestId, Seq, Signature, View, ZappId,
};
use attestation::receipt::sig_structure;
use attestation::request::{Call, FeePayer, Request};
use attestation::step_attestation::StepAttestation;
use attestation::terms::Terms;
use ed25519_dalek::{Signer as _, SigningKey};
use runtime::apart::{PipeError, Server, Start, Wire};
use runtime::engine::{THREAD_STACK_BYTES, Target};
use state::job::{BuildJob, Job};
use state::system::{DEPLOY, Deploy};

use crate::gateway::{Gateway, Options};
use crate::modules::{Compile, CompileError, Compiling};
use crate::status::NodeStatus;
use crate::{Applied, Socket, StepRecord};

thread_local! {
    /// A test and all its tasks share one thread, and so one clock.
    static CLOCK: Cell<u64> = const { Cell::new(START_MS) };
}

/// When the fixture's clock starts.
pub(crate) const START_MS: u64 = 2_000_000;

pub(crate) struct Fixture {
    pub(crate) gateway: Gateway,
    pub(crate) dir: tempfile::TempDir,
    group: SigningKey,
    view: u64,
}

/// Compiles in this process: tests bring their own, harmless modules.
struct InProcess;

impl Compile for InProcess {
    fn compile(&self, metered: Vec<u8>, target: Target) -> Compiling<'_> {
        Box::pin(async move {
            let artifact = runtime::engine::compile_for(&metered, target);
            artifact
                .map(|artifact| artifact.bytes)
                .map_err(|_| CompileError::Refused)
        })
    }
}

/// Runs the engine on a thread in place of a process: tests bring their own, harmless modules.
struct Beside;

impl Start for Beside {
    fn start(&self) -> std::io::Result<Box<dyn Wire>> {
        let (ours, theirs) = UnixStream::pair()?;
        std::thread::Builder::new()
            .stack_size(THREAD_STACK_BYTES)
            .spawn(move || Server::new(theirs).serve(|| ()))?;
        Ok(Box::new(Socket::new(ours)))
    }

    fn broke(&self, request: &RequestId, why: &PipeError) {
        panic!("{request}: {why}");
    }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let group = SigningKey::from_bytes(&[7; 32]);
        let gateway = Gateway::open(options(&dir, &group)).await.unwrap();
        Self {
            gateway,
            dir,
            group,
            view: 0,
        }
    }

    /// Another gateway of the same committee, with an empty disk.
    pub(crate) async fn peer(&self) -> Self {
        Self::new().await
    }

    /// The gateway as it is after its process was killed.
    pub(crate) async fn restarted(self) -> Self {
        let Self { dir, group, .. } = self;
        let gateway = Gateway::open(options(&dir, &group)).await.unwrap();
        Self {
            gateway,
            dir,
            group,
            view: 0,
        }
    }

    pub(crate) fn options(&self) -> Options {
        options(&self.dir, &self.group)
    }

    pub(crate) fn key(&self) -> GroupKey {
        GroupKey::from_bytes(self.group.verifying_key().to_bytes())
    }

    pub(crate) fn advance_clock(ms: u64) {
        CLOCK.set(CLOCK.get() + ms);
    }

    pub(crate) async fn order(&mut self) -> BuildJob {
        self.view += 1;
        let head = self.gateway.head().await;
        let seq = head.map_or(Seq(0), |head| head.commit.seq);
        BuildJob {
            seq: seq.next().unwrap(),
            view: View(self.view),
            previous: head,
            votes: Vec::new(),
            reveal: None,
            faults: Vec::new(),
            requests_max: 1024,
            first: None,
            set_aside: Vec::new(),
            anchor: true,
        }
    }

    /// What the committee would attest of this job.
    pub(crate) async fn attestation(&self, job: &Job) -> StepAttestation {
        let outcome = self.gateway.run(Arc::new(job.clone())).await.unwrap();
        self.sign(&outcome)
    }

    pub(crate) fn sign(&self, outcome: &state::step::StepOutcome) -> StepAttestation {
        let signed = sig_structure(&outcome.commit, &outcome.root, &self.key());
        StepAttestation {
            commit: outcome.commit,
            root: outcome.root,
            signature: Signature::from_bytes(self.group.sign(&signed).to_bytes()),
        }
    }

    /// One step over everything that waits.
    pub(crate) async fn step(&mut self) -> Arc<StepRecord> {
        let order = self.order().await;
        let job = self.gateway.build_job(order).await.unwrap().unwrap();
        let attestation = self.attestation(&job).await;
        match self.gateway.attested(attestation, Some(job), None).await {
            Ok(Applied::Accepted(step)) => step,
            other => panic!("{other:?}"),
        }
    }

    /// Deploys the counting zApp.
    pub(crate) async fn deploy_counter(&mut self) -> ZappId {
        let wasm = wat::parse_str(COUNTER).unwrap();
        let module = self.gateway.put_module(wasm).await.unwrap();
        let deploy = Deploy {
            module: module.original,
            salt: Digest::from_bytes([1; 32]),
            escrow: 0,
            init: Vec::new(),
        };
        let owner = Caller::new(200);
        let zapp = deploy.zapp(&owner.identity());
        let request = owner.request(self, ZappId::SYSTEM, DEPLOY, deploy.to_bytes(), 1);
        self.gateway.submit(request).await.unwrap();
        self.step().await;
        zapp
    }
}

/// Someone who calls.
pub(crate) struct Caller(SigningKey);

impl Caller {
    pub(crate) fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }

    pub(crate) fn identity(&self) -> IdentityKey {
        IdentityKey::from_bytes(self.0.verifying_key().to_bytes())
    }

    pub(crate) fn call(&self, fixture: &Fixture, zapp: ZappId, method: &str, nonce: u64) -> Call {
        let record = fixture.gateway.record();
        Call {
            network: record.network,
            committee: record.id(),
            zapp,
            method: method.to_owned(),
            input: Vec::new(),
            gas_limit: 10_000_000,
            fee_payer: FeePayer::Zapp,
            nonce,
            valid_until_ms: CLOCK.get() + 60_000,
            caller: self.identity(),
            pull: None,
        }
    }

    pub(crate) fn sign(&self, call: Call) -> Request {
        let signature = Signature::from_bytes(self.0.sign(&call.signed_bytes()).to_bytes());
        Request { call, signature }
    }

    pub(crate) fn request(
        &self,
        fixture: &Fixture,
        zapp: ZappId,
        method: &str,
        input: Vec<u8>,
        nonce: u64,
    ) -> Request {
        let mut call = self.call(fixture, zapp, method, nonce);
        call.input = input;
        call.gas_limit = 1_000_000_000;
        self.sign(call)
    }
}

pub(crate) fn record() -> CreationRecord {
    let card = |seed: u8| {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let identity = IdentityKey::from_bytes(key.verifying_key().to_bytes());
        let (channel, image) = (
            ChannelKey::from_bytes([seed; 32]),
            Digest::from_bytes([0; 32]),
        );
        Card::signed((identity, channel), image, Card::NO_PAYOUT, |bytes| {
            Signature::from_bytes(key.sign(bytes).to_bytes())
        })
    };
    CreationRecord {
        network: NetworkId(321),
        threshold: 4,
        members: (1..=5).map(card).collect(),
        coordinators: (101..=102).map(card).collect(),
        profile: runtime::profile(),
        created_ms: 1_000_000,
        salt: Digest::from_bytes([9; 32]),
        terms: Terms::FREE,
        grants: Vec::new(),
        evm: false,
        conditions: Conditions::default(),
    }
}

fn options(dir: &tempfile::TempDir, group: &SigningKey) -> Options {
    Options {
        dir: dir.path().to_owned(),
        record: record(),
        key: Some(GroupKey::from_bytes(group.verifying_key().to_bytes())),
        compiler: Arc::new(InProcess),
        engines: Arc::new(Beside),
        status: Arc::new(NodeStatus::default),
        now_ms: || CLOCK.get(),
    }
}

/// `inc` counts and outputs the count; `trap` traps after the write, `quit` reverts with code 7
/// after it, `loop` never ends. A view outputs the count.
pub(crate) const COUNTER: &str = r#"(module
  (import "zapp0" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "zapp0" "set" (func $set (param i32 i32 i32 i32)))
  (import "zapp0" "output" (func $output (param i32 i32)))
  (import "zapp0" "input" (func $input (param i32 i32 i32)))
  (memory (export "memory") 1 1)
  (data (i32.const 0) "n")
  (func (export "zapp_main") (param $op i32) (param $len i32) (result i32)
    (drop (call $get (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 8)))
    (if (i32.eq (local.get $op) (i32.const 2))
      (then (call $output (i32.const 8) (i32.const 8)) (return (i32.const 0))))
    (if (i32.eqz (local.get $op)) (then (return (i32.const 0))))
    (call $input (i32.const 16) (i32.const 1) (i32.const 1))
    (i64.store (i32.const 8) (i64.add (i64.load (i32.const 8)) (i64.const 1)))
    (call $set (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 8))
    (call $output (i32.const 8) (i32.const 8))
    (if (i32.eq (i32.load8_u (i32.const 16)) (i32.const 116)) (then unreachable))
    (if (i32.eq (i32.load8_u (i32.const 16)) (i32.const 113)) (then (return (i32.const 7))))
    (if (i32.eq (i32.load8_u (i32.const 16)) (i32.const 108)) (then (loop $l (br $l))))
    (i32.const 0)))"#;
