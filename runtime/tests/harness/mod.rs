//! A committee of one: modules through gatekeeper, metering and compiler, requests through whole
//! steps on the real state. Every step is also replayed as a signer does it, from the witness and
//! the executor's reports, and must come to the same. And every step and view runs on both engines.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod deposits;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use attestation::codec;
use attestation::committee::{Card, CreationRecord};
use attestation::conditions::Conditions;
use attestation::ids::{
    ChannelKey, CommitteeId, Digest, IdentityKey, ModuleDigest, NetworkId, RequestId, Signature,
    Slot, ZappId,
};
use attestation::leaf::Status;
use attestation::request::{Call, FeePayer, Request};
use attestation::source::{Observed, Pull, Source};
use attestation::terms::Terms;
use runtime::engine::{Artifact, Target, compile_for};
use runtime::{Executor, Modules, prepare, profile};
use sha2::{Digest as _, Sha256};
use state::State;
use state::execute::{Environment, Executable, Execution, Op};
use state::job::{Context, Job};
use state::pull::SignedObservation;
use state::step::{self, Outcome, Params, Previous, StepOutcome};
use state::system::{DEPLOY, Deploy, Upgrade};
use state::witness::Witness;

/// Gas limit of every request here.
pub const GAS: u64 = 1_000_000_000;

/// Height of the chain momentum that every step here is anchored to.
pub const ANCHOR_HEIGHT: u64 = 77;

/// A chain of steps of one request each.
pub struct Chain {
    params: Params,
    previous: Previous,
    state: State,
    /// wasmtime and wasmi.
    executors: [Executor<Shelf>; 2],
    nonce: u64,
    /// Time of the next step.
    time_ms: u64,
    /// The last step that was taken over.
    last: Option<StepOutcome>,
    /// Sources of the next request, and what each member saw there.
    pulling: Option<(Pull, Vec<Vec<Observed>>)>,
}

/// Modules by digest, with what the compiler made of them.
#[derive(Default)]
struct Shelf(BTreeMap<ModuleDigest, (Vec<u8>, Artifact)>);

impl Modules for Shelf {
    fn module(&mut self, module: &ModuleDigest) -> Option<Vec<u8>> {
        self.0.get(module).map(|(wasm, _)| wasm.clone())
    }

    fn artifact(&mut self, module: &ModuleDigest) -> Option<Artifact> {
        self.0.get(module).map(|(_, artifact)| artifact.clone())
    }
}

/// A caller's key; no signature is checked here.
pub fn key(byte: u8) -> IdentityKey {
    IdentityKey::from_bytes([byte; 32])
}

/// A module that `cargo xtask zapps` built.
pub fn module(name: &str) -> Vec<u8> {
    let file = Path::new("target/zapps").join(name).with_extension("wasm");
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let path = above
        .map(|folder| folder.join(&file))
        .find(|path| path.exists());
    let path = path.unwrap_or_else(|| panic!("no {name}: run `cargo xtask zapps` first"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where it lies.
pub fn module_path(name: &str) -> PathBuf {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let root = folders.find(|folder| folder.join("runtime/zapps").is_dir());
    let zapps = root.expect("the repository").join("target/zapps");
    zapps.join(name).with_extension("wasm")
}

impl Chain {
    pub fn new() -> Self {
        let card = |byte| Card {
            identity: key(byte),
            channel: ChannelKey::from_bytes([byte; 32]),
            image: Digest::from_bytes([0; 32]),
            payout: key(byte + 100),
            signature: Signature::from_bytes([0; 64]),
            engine: None,
            sentinel: None,
        };
        let record = CreationRecord {
            network: NetworkId(321),
            threshold: 3,
            members: (101..105).map(card).collect(),
            coordinators: vec![card(111)],
            profile: profile(),
            created_ms: 1_000,
            salt: Digest::from_bytes([9; 32]),
            terms: Terms::FREE,
            grants: Vec::new(),
            evm: false,
            conditions: Conditions::default(),
        };
        Self {
            params: Params::of(&record),
            previous: Previous::genesis(&record),
            state: State::genesis(&record),
            executors: [(); 2].map(|()| Executor::new(Shelf::default()).expect("engines start")),
            nonce: 0,
            time_ms: 2_000,
            last: None,
            pulling: None,
        }
    }

    /// Sets the time of the next step and of views; each step takes one second.
    pub fn set_time(&mut self, ms: u64) {
        self.time_ms = ms;
    }

    /// Names sources in the next request: what member 1 saw at each of them, member 2, and so on.
    pub fn pull(&mut self, sources: Vec<Source>, seen: Vec<Vec<Observed>>) {
        let deadline_ms = u64::MAX;
        let pull = Pull {
            sources,
            deadline_ms,
        };
        self.pulling = Some((pull, seen));
    }

    fn observations(&self, request: RequestId, seen: Vec<Vec<Observed>>) -> Vec<SignedObservation> {
        let seen = (1..).zip(seen);
        let observations = seen.map(|(slot, values)| SignedObservation {
            slot: Slot(slot),
            epoch: self.previous.epoch,
            seq: self.previous.seq.next().expect("few steps"),
            request,
            time_ms: self.time_ms,
            values,
            signature: Signature::from_bytes([0; 64]),
        });
        observations.collect()
    }

    /// The committee's id.
    pub fn committee(&self) -> CommitteeId {
        self.params.committee
    }

    /// Deploys a built zApp.
    pub fn deploy(&mut self, owner: IdentityKey, name: &str) -> ZappId {
        let (zapp, outcome) = self.try_deploy(owner, name, &[]);
        assert_eq!(outcome.status, Status::Ok, "deploy {name}: {outcome:?}");
        zapp
    }

    /// Deploys a built zApp with arguments for its init; a failed one may be tried again.
    pub fn try_deploy(&mut self, owner: IdentityKey, name: &str, init: &[u8]) -> (ZappId, Outcome) {
        self.try_deploy_module(owner, &module(name), init)
    }

    /// Deploys a module with arguments for its init; a failed one may be tried again.
    pub fn try_deploy_module(
        &mut self,
        owner: IdentityKey,
        wasm: &[u8],
        init: &[u8],
    ) -> (ZappId, Outcome) {
        let deploy = Deploy {
            module: self.upload(wasm),
            salt: Digest::from_bytes([1; 32]),
            escrow: 0,
            init: init.to_vec(),
        };
        let input = codec::encode(&deploy);
        let outcome = self.call(owner, ZappId::SYSTEM, DEPLOY, &input);
        (deploy.zapp(&owner), outcome)
    }

    /// Exchanges a zApp's module.
    pub fn upgrade(
        &mut self,
        owner: IdentityKey,
        zapp: ZappId,
        wasm: &[u8],
        migrate: &[u8],
    ) -> Outcome {
        let upgrade = Upgrade {
            zapp,
            module: self.upload(wasm),
            migrate: migrate.to_vec(),
        };
        self.call(owner, ZappId::SYSTEM, "upgrade", &codec::encode(&upgrade))
    }

    /// Puts a module, and what the compiler makes of it, where both engines find it.
    fn upload(&mut self, wasm: &[u8]) -> ModuleDigest {
        let prepared = prepare(wasm).expect("the gatekeeper takes our own zApps");
        let digest = ModuleDigest::from_bytes(Sha256::digest(wasm).into());
        for (executor, target) in self.executors.iter_mut().zip([Target::HERE, Target::Wasmi]) {
            let artifact = compile_for(&prepared.metered, target);
            let artifact = artifact.expect("the compiler takes what was metered");
            let shelf = &mut executor.modules().0;
            shelf.insert(digest, (wasm.to_vec(), artifact));
        }
        digest
    }

    /// Runs a step with one request and takes it over.
    pub fn call(&mut self, from: IdentityKey, zapp: ZappId, method: &str, input: &[u8]) -> Outcome {
        let step = self.step(from, zapp, method, input);
        self.state.apply(&step.writes).expect("the state is whole");
        assert_eq!(self.state.root(), step.commit.state);
        self.previous = Previous {
            seq: step.commit.seq,
            epoch: step.commit.epoch,
            statement: step.statement(),
            state: step.commit.state,
            time_ms: step.commit.time_ms,
            trace: step.commit.trace,
        };
        self.nonce += 1;
        self.time_ms += 1_000;
        let outcome = step.outcomes.first().cloned().expect("one request");
        self.last = Some(step);
        outcome
    }

    /// The last step: commit, leaves and all.
    pub fn last(&self) -> &StepOutcome {
        self.last.as_ref().expect("a step was taken")
    }

    /// Network and committee.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// What a zApp's state holds, in the order of keys.
    pub fn entries(&self, zapp: ZappId) -> Vec<(Vec<u8>, Vec<u8>)> {
        let entries = self.state.of(&zapp);
        let entries = entries.filter(|(key, _)| !key.is_empty());
        entries
            .map(|(key, entry)| (key.to_vec(), entry.value.clone()))
            .collect()
    }

    /// Runs a step with one request and drops it; checks that a failed one writes nothing of the
    /// zApp.
    pub fn attempt(
        &mut self,
        from: IdentityKey,
        zapp: ZappId,
        method: &str,
        input: &[u8],
    ) -> Outcome {
        let step = self.step(from, zapp, method, input);
        let outcome = step.outcomes.into_iter().next().expect("one request");
        let wrote = step.writes.iter().any(|write| write.zapp == zapp);
        if outcome.status != Status::Ok {
            assert!(!wrote, "a failed call left writes: {outcome:?}");
            assert!(outcome.events.is_empty());
        }
        outcome
    }

    /// The code with which a call reverts; it must change nothing.
    pub fn revert(&mut self, from: IdentityKey, zapp: ZappId, method: &str, input: &[u8]) -> u32 {
        let outcome = self.attempt(from, zapp, method, input);
        assert_eq!(outcome.status, Status::Reverted, "{method}: {outcome:?}");
        outcome.code
    }

    /// The output of a view that succeeds.
    pub fn view(&mut self, zapp: ZappId, method: &str, input: &[u8]) -> Vec<u8> {
        let execution = self.query(zapp, method, input);
        assert_eq!(execution.status, Status::Ok, "{method}: {execution:?}");
        execution.output
    }

    /// A view, however it ends.
    pub fn query(&mut self, zapp: ZappId, method: &str, input: &[u8]) -> Execution {
        let record = self.state.zapp(&zapp).expect("whole").expect("deployed");
        let environment = Environment {
            network: self.params.network,
            committee: self.params.committee,
            epoch: self.previous.epoch,
            seq: self.previous.seq,
            context: self.context(),
            previous_state: self.state.root(),
        };
        let call = Executable {
            op: Op::View,
            request: attestation::ids::RequestId::from_bytes([0; 32]),
            zapp,
            module: record.module,
            metered: record.metered,
            caller: key(99),
            origin: key(99),
            method,
            input,
            gas_limit: GAS,
            environment: &environment,
            pulled: &[],
        };
        let [compiled, interpreted] = self.executors.each_mut().map(|executor| {
            let ran = executor.view(&call, &self.state);
            ran.expect("a view has an outcome").execution
        });
        assert_eq!(compiled, interpreted, "{method} on both engines");
        compiled
    }

    fn step(&mut self, from: IdentityKey, zapp: ZappId, method: &str, input: &[u8]) -> StepOutcome {
        let (pull, seen) = match self.pulling.take() {
            Some((pull, seen)) => (Some(pull), seen),
            None => (None, Vec::new()),
        };
        let call = Call {
            network: self.params.network,
            committee: self.params.committee,
            zapp,
            method: method.to_owned(),
            input: input.to_vec(),
            gas_limit: GAS,
            fee_payer: FeePayer::Zapp,
            nonce: self.nonce + 1,
            valid_until_ms: u64::MAX,
            caller: from,
            pull,
        };
        let observations = self.observations(call.id(), seen);
        let signature = Signature::from_bytes([0; 64]);
        let mut job = Job {
            seq: self.previous.seq.next().expect("few steps"),
            previous: Vec::new(),
            context: self.context(),
            requests: vec![Request { call, signature }],
            votes: Vec::new(),
            reveal: None,
            faults: Vec::new(),
            observations,
            witness: Witness { tree: Vec::new() },
        };
        let [whole, interpreted] = self.executors.each_mut().map(|executor| {
            let run = step::run(&self.params, &self.previous, &job, &self.state, executor);
            run.expect("the step has an outcome")
        });
        assert_eq!(whole.commit, interpreted.commit, "{method} on both engines");
        assert_eq!(whole.outcomes, interpreted.outcomes, "{method}");
        assert_eq!(whole.writes, interpreted.writes, "{method}");
        assert_eq!(whole.reports, interpreted.reports, "{method}");
        job.witness = self
            .state
            .witness(&whole.touched)
            .expect("the state is whole");
        let pruned = job
            .witness
            .open(&self.previous.state)
            .expect("our own witness");
        let replay = step::replay(&self.params, &self.previous, &job, &pruned, &whole.reports);
        let replayed = replay.expect("the executor was honest");
        assert_eq!(replayed.commit, whole.commit, "a signer comes to the same");
        assert_eq!(replayed.root, whole.root);
        whole
    }

    fn context(&self) -> Context {
        Context {
            time_ms: self.time_ms,
            anchor_height: ANCHOR_HEIGHT,
            anchor: Digest::from_bytes([0; 32]),
        }
    }
}
