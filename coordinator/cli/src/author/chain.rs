//! A committee of one with one zApp, for tests: whole steps on real state, run by every engine.
//!
//! Nothing is signed and nothing is kept, but what a call comes to is decided by the code that
//! members run: gatekeeper, metering, compiler, engines, steps. Engines that come to different
//! results are an error of ours, and end the test.

mod deposits;
mod saved;

use attestation::codec;
use attestation::committee::{Card, CreationRecord};
use attestation::conditions::Conditions;
use attestation::ids::{
    ChannelKey, Digest, IdentityKey, NetworkId, RequestId, Signature, TraceRoot, ZappId,
};
use attestation::leaf::{Leaf, MessageLeaf, Status};
use attestation::request::{Call, FeePayer, Request};
use attestation::terms::Terms;
use runtime::abi::HostFault;
use runtime::engine::Target;
use runtime::{PreparedModule, prepare, profile};
use state::State;
use state::execute::{Environment, Event, Executable, Execution, Op};
use state::job::{Context, Job};
use state::step::{self, Outcome, Params, Previous, StepOutcome};
use state::system::{DEPLOY, Deploy};
use state::witness::Witness;

pub(super) use deposits::account_of;
pub(super) use saved::SAVED_BYTES_MAX;

use crate::engines::{ENGINES, Engine, Watched};
use crate::trace::{Recorded, against};

/// A chain of steps of one request each.
pub(super) struct Chain {
    params: Params,
    previous: Previous,
    state: State,
    prepared: PreparedModule,
    zapp: Option<ZappId>,
    /// One for each engine, by name.
    engines: Vec<(&'static str, Box<dyn Engine>)>,
    /// Requests so far.
    nonce: u64,
    /// Time of the next step and of views.
    time_ms: u64,
}

/// What a request or view came to.
pub(super) struct Ran {
    pub(super) status: Status,
    pub(super) code: u32,
    pub(super) gas: u64,
    pub(super) output: Vec<u8>,
    pub(super) events: Vec<Event>,
    /// What goes out of the committee, payouts among them.
    pub(super) messages: Vec<MessageLeaf>,
    /// Why a module trapped, where the host knows.
    pub(super) fault: Option<HostFault>,
    pub(super) log: Vec<Vec<u8>>,
    /// Digest over what happened on the way (rule A12).
    pub(super) trace: Digest,
    /// Of the step, if there was one.
    pub(super) trace_root: Option<TraceRoot>,
}

impl Chain {
    /// Begins with a module that is not deployed yet.
    pub(super) fn new(wasm: &[u8]) -> Result<Self, String> {
        Self::on(wasm, &ENGINES)
    }

    /// The same on some of the engines.
    pub(super) fn on(wasm: &[u8], names: &[(&'static str, Target)]) -> Result<Self, String> {
        let prepared = prepare(wasm).map_err(|rejection| rejection.to_string())?;
        let mut engines: Vec<(&str, Box<dyn Engine>)> = Vec::new();
        for (name, target) in names {
            let mut engine = Watched::start(*target)?;
            engine.put(wasm).map_err(|why| format!("{name}: {why}"))?;
            engines.push((name, Box::new(engine)));
        }
        let record = record();
        Ok(Self {
            params: Params::of(&record),
            previous: Previous::genesis(&record),
            state: State::genesis(&record),
            prepared,
            zapp: None,
            engines,
            nonce: 0,
            time_ms: record.created_ms + STEP_MS,
        })
    }

    /// From now on every engine keeps the host calls of what it runs.
    pub(super) fn record_calls(&mut self, calls_max: usize) {
        for (_, engine) in &mut self.engines {
            engine.record(calls_max);
        }
    }

    /// What was kept since then, by engine.
    pub(super) fn recorded(&mut self) -> Vec<(&'static str, Vec<Recorded>)> {
        let engines = self.engines.iter_mut();
        engines
            .map(|(name, engine)| (*name, engine.recorded()))
            .collect()
    }

    /// Where the engines differ, after why a request or view came to nothing.
    pub(super) fn apart(&mut self, why: String) -> String {
        let recorded = self.recorded();
        let Some(((first, ours), others)) = recorded.split_first() else {
            return why;
        };
        let differs = |(name, theirs): &(&'static str, Vec<Recorded>)| {
            // An engine that was not asked any more differs in nothing.
            let both = ours.len() == theirs.len();
            let difference = both.then(|| against::compare(ours, theirs)).flatten()?;
            Some(difference.text((first, name)))
        };
        match others.iter().find_map(differs) {
            Some(place) => format!("{why}\n{place}"),
            None => why,
        }
    }

    /// Deploys the module; calls go to the zApp that was deployed last.
    pub(super) fn deploy(&mut self, owner: IdentityKey, init: Vec<u8>) -> Result<Ran, String> {
        let mut salt = [0; 32];
        for (place, byte) in salt.iter_mut().zip(self.nonce.to_be_bytes()) {
            *place = byte;
        }
        let deploy = Deploy {
            module: self.prepared.original,
            salt: Digest::from_bytes(salt),
            escrow: 0,
            init,
        };
        let input = codec::encode(&deploy);
        let ran = self.request(owner, ZappId::SYSTEM, DEPLOY, input, DEPLOY_GAS_LIMIT)?;
        if ran.status == Status::Ok {
            self.zapp = Some(deploy.zapp(&owner));
        }
        Ok(ran)
    }

    /// Calls a method in a step of its own.
    pub(super) fn call(
        &mut self,
        caller: IdentityKey,
        method: &str,
        input: Vec<u8>,
        gas_limit: u64,
    ) -> Result<Ran, String> {
        let zapp = self.zapp.ok_or(NOT_DEPLOYED)?;
        self.request(caller, zapp, method, input, gas_limit)
    }

    /// Answers a view at the present time.
    pub(super) fn view(&mut self, method: &str, input: &[u8]) -> Result<Ran, String> {
        let zapp = self.zapp.ok_or(NOT_DEPLOYED)?;
        let record = self.state.zapp(&zapp).ok().flatten().ok_or(NOT_DEPLOYED)?;
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
            request: RequestId::from_bytes([0; 32]),
            zapp,
            module: record.module,
            metered: record.metered,
            caller: IdentityKey::from_bytes([0; 32]),
            origin: IdentityKey::from_bytes([0; 32]),
            method,
            input,
            gas_limit: VIEW_GAS_LIMIT,
            environment: &environment,
            pulled: &[],
        };
        let mut first: Option<(&str, runtime::Ran)> = None;
        for (name, engine) in &mut self.engines {
            let ran = engine.view(&call, &self.state);
            let ran = ran.map_err(|error| format!("{name}: {error}"))?;
            match &first {
                Some((other, same)) if *same != ran => return Err(differ(other, name, method)),
                Some(_) => {}
                None => first = Some((*name, ran)),
            }
        }
        let (_, ran) = first.ok_or(NO_ENGINE)?;
        let Execution {
            status,
            code,
            gas,
            output,
            events,
            trace,
            ..
        } = ran.execution;
        let (fault, log) = (ran.fault, ran.log);
        Ok(Ran {
            status,
            code,
            gas,
            output,
            events,
            messages: Vec::new(),
            fault,
            log,
            trace,
            trace_root: None,
        })
    }

    /// Sets the time of the next step and of views.
    pub(super) fn set_time(&mut self, ms: u64) -> Result<(), String> {
        if ms < self.previous.time_ms {
            let last = self.previous.time_ms;
            return Err(format!(
                "the last step was at {last} ms: time cannot go back to {ms}"
            ));
        }
        self.time_ms = ms;
        Ok(())
    }

    fn request(
        &mut self,
        caller: IdentityKey,
        zapp: ZappId,
        method: &str,
        input: Vec<u8>,
        gas_limit: u64,
    ) -> Result<Ran, String> {
        let step = self.take(caller, zapp, method, input, gas_limit)?;
        self.told(step)
    }

    /// Takes a step of one request.
    fn take(
        &mut self,
        caller: IdentityKey,
        zapp: ZappId,
        method: &str,
        input: Vec<u8>,
        gas_limit: u64,
    ) -> Result<StepOutcome, String> {
        let call = Call {
            network: self.params.network,
            committee: self.params.committee,
            zapp,
            method: method.to_owned(),
            input,
            gas_limit,
            fee_payer: FeePayer::Zapp,
            nonce: self.nonce + 1,
            valid_until_ms: u64::MAX,
            caller,
            pull: None,
        };
        let seq = self.previous.seq.next().ok_or("no step is left")?;
        // Signatures are the gateway's to check, and there is none.
        let signature = Signature::from_bytes([0; 64]);
        let job = Job {
            seq,
            previous: Vec::new(),
            context: self.context(),
            requests: vec![Request { call, signature }],
            votes: Vec::new(),
            reveal: None,
            faults: Vec::new(),
            observations: Vec::new(),
            witness: Witness { tree: Vec::new() },
        };
        let step = self.step(&job, method)?;
        self.advance(&step)?;
        Ok(step)
    }

    /// What the request of a step came to.
    fn told(&mut self, step: StepOutcome) -> Result<Ran, String> {
        let messages = step
            .leaves
            .iter()
            .filter_map(|leaf| match Leaf::from_bytes(leaf) {
                Ok(Leaf::Message(message)) => Some(message),
                _ => None,
            });
        let messages = messages.collect();
        let trace_root = Some(step.trace_root);
        let outcome = step
            .outcomes
            .into_iter()
            .next()
            .ok_or("a step without outcome")?;
        let (_, engine) = self.engines.first_mut().ok_or(NO_ENGINE)?;
        let Outcome {
            status,
            code,
            gas,
            output,
            events,
            trace,
            ..
        } = outcome;
        let (fault, log) = engine.told();
        Ok(Ran {
            status,
            code,
            gas,
            output,
            events,
            messages,
            fault,
            log,
            trace,
            trace_root,
        })
    }

    /// Runs a job on each engine; all must come to the same commit, which holds state, outputs,
    /// gas and trace.
    fn step(&mut self, job: &Job, method: &str) -> Result<StepOutcome, String> {
        let mut first: Option<(&str, StepOutcome)> = None;
        for (name, engine) in &mut self.engines {
            let ran = step::run(
                &self.params,
                &self.previous,
                job,
                &self.state,
                engine.as_mut(),
            );
            let ran = ran.map_err(|error| format!("{name}: {error}"))?;
            match &first {
                Some((other, same)) if same.commit != ran.commit || same.root != ran.root => {
                    return Err(differ(other, name, method));
                }
                Some(_) => {}
                None => first = Some((*name, ran)),
            }
        }
        first
            .map(|(_, step)| step)
            .ok_or_else(|| NO_ENGINE.to_owned())
    }

    fn advance(&mut self, step: &StepOutcome) -> Result<(), String> {
        let applied = self.state.apply(&step.writes);
        applied.map_err(|error| error.to_string())?;
        self.previous = Previous {
            seq: step.commit.seq,
            epoch: step.commit.epoch,
            statement: step.statement(),
            state: step.commit.state,
            time_ms: step.commit.time_ms,
            trace: step.commit.trace,
        };
        self.nonce += 1;
        self.time_ms += STEP_MS;
        Ok(())
    }

    fn context(&self) -> Context {
        Context {
            time_ms: self.time_ms,
            anchor_height: 0,
            anchor: Digest::from_bytes([0; 32]),
        }
    }
}

/// A committee whose members never meet.
fn record() -> CreationRecord {
    let card = |byte| Card {
        identity: IdentityKey::from_bytes([byte; 32]),
        channel: ChannelKey::from_bytes([byte; 32]),
        image: Card::NO_IMAGE,
        payout: Card::NO_PAYOUT,
        signature: Signature::from_bytes([0; 64]),
        engine: None,
        sentinel: None,
    };
    CreationRecord {
        network: NetworkId(0),
        threshold: 3,
        members: (101..105).map(card).collect(),
        coordinators: vec![card(111)],
        profile: profile(),
        created_ms: STEP_MS,
        salt: Digest::from_bytes([0; 32]),
        terms: Terms::FREE,
        grants: Vec::new(),
        evm: false,
        conditions: Conditions::default(),
    }
}

fn differ(one: &str, other: &str, method: &str) -> String {
    format!(
        "{method}: the engines {one} and {other} come to different results. This is a bug of \
         the runtime: please report it with the module"
    )
}

const STEP_MS: u64 = 1_000;
const VIEW_GAS_LIMIT: u64 = 1_000_000_000;
const DEPLOY_GAS_LIMIT: u64 = 2_000_000_000;
const NOT_DEPLOYED: &str = "nothing is deployed yet: call Chain::deploy first";
const NO_ENGINE: &str = "no engine runs";

#[cfg(test)]
mod tests {
    use attestation::ids::ModuleDigest;
    use state::execute::{Execute, ExecuteError, Verdict};
    use state::journal::Journal;

    use super::*;

    /// An engine with a bug: it gets this much gas wrong.
    struct Wrong(Watched, u64);

    impl Engine for Wrong {
        fn view(
            &mut self,
            call: &Executable<'_>,
            state: &State,
        ) -> Result<runtime::Ran, ExecuteError> {
            let mut ran = self.0.view(call, state)?;
            ran.execution.gas += self.1;
            Ok(ran)
        }

        fn told(&mut self) -> (Option<HostFault>, Vec<Vec<u8>>) {
            self.0.told()
        }

        fn record(&mut self, calls_max: usize) {
            self.0.record(calls_max);
        }

        fn recorded(&mut self) -> Vec<Recorded> {
            let mut runs = self.0.recorded();
            for end in runs.iter_mut().filter_map(|run| run.end.as_mut()) {
                end.gas += self.1;
            }
            runs
        }

        fn put(&mut self, wasm: &[u8]) -> Result<ModuleDigest, String> {
            self.0.put(wasm)
        }
    }

    impl Execute for Wrong {
        fn prepare(
            &mut self,
            request: &RequestId,
            module: &ModuleDigest,
        ) -> Result<Verdict, ExecuteError> {
            self.0.prepare(request, module)
        }

        fn execute(
            &mut self,
            call: &Executable<'_>,
            journal: &mut Journal<'_>,
        ) -> Result<Execution, ExecuteError> {
            let mut execution = self.0.execute(call, journal)?;
            execution.gas += self.1;
            Ok(execution)
        }
    }

    /// A module that returns at once, and a second engine that is wrong by this much.
    fn chain(wrong_by: u64) -> Chain {
        let wasm = wat::parse_str(
            "(module (memory (export \"memory\") 1 1)
               (func (export \"zapp_main\") (param i32 i32) (result i32) i32.const 0))",
        );
        let wasm = wasm.expect("the test's module parses");
        let mut chain = Chain::new(&wasm).expect("it may run");
        let mut second = Watched::start(Target::HERE).expect("an engine");
        second.put(&wasm).expect("it compiles");
        let second = Wrong(second, wrong_by);
        chain.engines.push(("other", Box::new(second)));
        chain
    }

    #[test]
    fn engines_that_differ_fail_the_call_and_say_which() {
        let owner = IdentityKey::from_bytes([1; 32]);
        let mut equal = chain(0);
        assert!(equal.deploy(owner, Vec::new()).is_ok());
        assert!(equal.call(owner, "m", Vec::new(), 1_000_000).is_ok());
        assert!(equal.view("m", &[]).is_ok());
        equal.engines.pop();
        equal.engines.extend(chain(1).engines.pop());
        for failed in [
            equal.call(owner, "m", Vec::new(), 1_000_000),
            equal.view("m", &[]),
        ] {
            let why = failed.err().expect("they differ");
            assert!(why.contains("m: the engines wasmtime and other"), "{why}");
        }
        equal.record_calls(10);
        let failed = equal.call(owner, "m", Vec::new(), 1_000_000);
        let why = equal.apart(failed.err().expect("they differ"));
        assert!(
            why.contains("all host calls are the same; gas differs"),
            "{why}"
        );
        assert!(why.contains("  other: 700"), "{why}");
    }
}
