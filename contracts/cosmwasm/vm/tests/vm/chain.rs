//! A contract on a chain in memory: the one file that names the machine.

use std::collections::{BTreeMap, HashSet};
use std::sync::OnceLock;

use conformance::{golden, outside};
use cosmwasm_std::{ContractResult, Empty, Env, Response, SubMsg};
use cosmwasm_vm::internals::{Logger, check_wasm, compile_module, instance_from_module};
use cosmwasm_vm::testing::{MockApi, MockQuerier, mock_env, mock_info};
use cosmwasm_vm::{
    Backend, BackendResult, GasInfo, Instance, Size, Storage, VmResult, WasmLimits, call_execute,
    call_instantiate, call_query, call_reply_raw, capabilities_from_csv,
};
use serde_json::{Value as Json, json};
use wasmer::{Engine, Module, Store};

/// Gas of the machine that makes one gas of the chain, in wasmd.
pub const GAS_MULTIPLIER: u64 = 140_000;

/// Most gas of a call, of the machine's own: 10,000,000 of a chain's.
const GAS_LIMIT: u64 = 10_000_000 * GAS_MULTIPLIER;

/// What a chain grants a call.
const MEMORY_LIMIT: Size = Size::mebi(32);

/// Whoever sends what nobody special has to send.
pub const ANYONE: &str = "cosmwasm1anyone";

/// A contract that is instantiated.
#[derive(Clone)]
pub struct Contract {
    /// The block of the next call.
    pub env: Env,
    /// Gas of the last call, of the machine's own. What storage costs is the chain's to add.
    pub gas: u64,
    state: State,
}

/// What a contract answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// What the chain is to do next.
    Did(Response),
    /// A reason.
    Refused(String),
    /// It ran out of gas, or did what no contract may.
    Halted(String),
}

type State = BTreeMap<Vec<u8>, Vec<u8>>;
type Running = Instance<MockApi, Shelf, MockQuerier>;

struct Compiled {
    wasm: Vec<u8>,
    module: Module,
    engine: Engine,
}

/// The contract's module; `None` if there is no compiler, which is a skip.
pub fn wasm() -> Option<&'static [u8]> {
    compiled().map(|compiled| compiled.wasm.as_slice())
}

fn compiled() -> Option<&'static Compiled> {
    static COMPILED: OnceLock<Result<Compiled, String>> = OnceLock::new();
    let compiled = COMPILED.get_or_init(|| {
        let wasm = cosmwasm_tests::module(&golden::repository())?;
        check(&wasm).expect("the machine takes the contract");
        let (module, engine) = compile_module(&wasm, Some(MEMORY_LIMIT)).expect("compiles");
        Ok(Compiled {
            wasm,
            module,
            engine,
        })
    });
    match compiled {
        Ok(compiled) => Some(compiled),
        Err(reason) => {
            outside::skip("the contract for CosmWasm", reason);
            None
        }
    }
}

/// What a chain checks before it stores a contract.
pub fn check(wasm: &[u8]) -> VmResult<()> {
    let capabilities: HashSet<String> = capabilities_from_csv("cosmwasm_2_0");
    check_wasm(wasm, &capabilities, &WasmLimits::default(), Logger::Off)
}

impl Contract {
    /// Instantiates; `None` without a compiler.
    ///
    /// # Panics
    /// If the contract refuses.
    pub fn new(message: &Json) -> Option<Self> {
        let (mut contract, answer) = Self::try_new(message)?;
        assert!(matches!(answer, Answer::Did(_)), "{answer:?}");
        contract.gas = 0;
        Some(contract)
    }

    /// Instantiates; what is answered.
    pub fn try_new(message: &Json) -> Option<(Self, Answer)> {
        compiled()?;
        let mut contract = Self {
            env: mock_env(),
            gas: 0,
            state: State::new(),
        };
        let answer = contract.call(|running, env| {
            let info = mock_info(ANYONE, &[]);
            call_instantiate::<_, _, _, Empty>(running, env, &info, message.to_string().as_bytes())
        });
        Some((contract, answer))
    }

    /// Calls.
    pub fn execute(&mut self, sender: &str, message: &Json) -> Answer {
        self.execute_raw(sender, message.to_string().as_bytes())
    }

    /// Calls with any bytes.
    pub fn execute_raw(&mut self, sender: &str, message: &[u8]) -> Answer {
        self.call(|running, env| {
            let info = mock_info(sender, &[]);
            call_execute::<_, _, _, Empty>(running, env, &info, message)
        })
    }

    /// Calls with money.
    pub fn execute_with(&mut self, funds: &[cosmwasm_std::Coin], message: &Json) -> Answer {
        let message = message.to_string();
        self.call(|running, env| {
            let info = mock_info(ANYONE, funds);
            call_execute::<_, _, _, Empty>(running, env, &info, message.as_bytes())
        })
    }

    /// Tells the contract that a call it ordered failed, as the chain does.
    pub fn failed(&mut self, call: &SubMsg) -> Answer {
        let reply = json!({
            "id": call.id,
            "payload": call.payload,
            "gas_used": 1,
            "result": { "error": "codespace: wasm, code: 5" },
        });
        let reply = reply.to_string();
        self.call(|running, env| {
            let env = serde_json::to_vec(env).unwrap();
            let answer = call_reply_raw(running, &env, reply.as_bytes())?;
            Ok(serde_json::from_slice(&answer).unwrap())
        })
    }

    /// Asks.
    ///
    /// # Panics
    /// If there is no answer.
    pub fn query(&self, question: &Json) -> Json {
        self.try_query(question).unwrap()
    }

    /// Asks; what is answered.
    ///
    /// # Errors
    /// The contract's reason.
    pub fn try_query(&self, question: &Json) -> Result<Json, String> {
        let mut running = run(self.state.clone());
        running.set_storage_readonly(true);
        let question = question.to_string();
        match call_query(&mut running, &self.env, question.as_bytes()).unwrap() {
            ContractResult::Ok(answer) => Ok(serde_json::from_slice(&answer).unwrap()),
            ContractResult::Err(reason) => Err(reason),
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, seconds: u64) {
        self.env.block.time = self.env.block.time.plus_seconds(seconds);
    }

    /// Time of the next call, Unix seconds.
    pub fn now(&self) -> u64 {
        self.env.block.time.seconds()
    }

    /// Everything that is stored.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// A fresh instance for every call, and what a refused call wrote is dropped, as on a chain.
    fn call(
        &mut self,
        call: impl FnOnce(&mut Running, &Env) -> VmResult<ContractResult<Response>>,
    ) -> Answer {
        let mut running = run(self.state.clone());
        running.set_storage_readonly(false);
        let result = call(&mut running, &self.env);
        self.gas = running.create_gas_report().used_internally;
        match result {
            Ok(ContractResult::Ok(response)) => {
                self.state = running.recycle().unwrap().storage.0;
                Answer::Did(response)
            }
            Ok(ContractResult::Err(reason)) => Answer::Refused(reason),
            Err(error) => Answer::Halted(error.to_string()),
        }
    }
}

impl Answer {
    /// The rule that was broken.
    ///
    /// # Panics
    /// If none was.
    pub fn rule(&self) -> &str {
        match self {
            Self::Refused(reason) => reason.split(": ").next().unwrap(),
            other => panic!("no refusal: {other:?}"),
        }
    }

    /// What the chain is to do next.
    ///
    /// # Panics
    /// If it was a refusal.
    pub fn response(self) -> Response {
        match self {
            Self::Did(response) => response,
            other => panic!("refused: {other:?}"),
        }
    }
}

/// What a response says under a name.
pub fn attribute<'a>(response: &'a Response, key: &str) -> &'a str {
    let found = response.attributes.iter().find(|found| found.key == key);
    &found.unwrap().value
}

/// An address of the chain.
pub fn address(name: &str) -> String {
    MockApi::default().addr_make(name)
}

/// The bytes of an address.
pub fn canonical(human: &str) -> [u8; 32] {
    use cosmwasm_vm::BackendApi as _;
    let bytes = MockApi::default().addr_canonicalize(human).0.unwrap();
    bytes.try_into().unwrap()
}

fn run(state: State) -> Running {
    let compiled = compiled().expect("asked before");
    let backend = Backend {
        api: MockApi::default(),
        storage: Shelf(state),
        querier: MockQuerier::new(&[]),
    };
    let store = Store::new(compiled.engine.clone());
    instance_from_module(store, &compiled.module, backend, GAS_LIMIT, None).unwrap()
}

struct Shelf(State);

impl Storage for Shelf {
    fn get(&self, key: &[u8]) -> BackendResult<Option<Vec<u8>>> {
        (Ok(self.0.get(key).cloned()), GasInfo::free())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> BackendResult<()> {
        self.0.insert(key.to_vec(), value.to_vec());
        (Ok(()), GasInfo::free())
    }

    fn remove(&mut self, key: &[u8]) -> BackendResult<()> {
        self.0.remove(key);
        (Ok(()), GasInfo::free())
    }
}
