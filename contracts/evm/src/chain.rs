//! A chain in memory: contracts are deployed, called, and answer. The one file that names revm.

use revm::context::{BlockEnv, TxEnv};
use revm::context_interface::result::{ExecutionResult, Output};
use revm::database::InMemoryDB;
use revm::handler::MainnetContext;
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, Bytes, TxKind, U256};
use revm::{ExecuteCommitEvm as _, ExecuteEvm as _, MainBuilder as _, MainnetEvm};

use crate::compiler::Contracts;

/// An address.
pub type Account = [u8; 20];

/// Whoever sends what nobody special has to send.
pub const ANYONE: Account = [0xee; 20];

/// EIP-155 id of the chain.
pub const CHAIN_ID: u64 = 1;

/// Time of the first block, Unix seconds.
pub const START: u64 = 1_800_000_000;

/// Most gas that a transaction may have (EIP-7825).
pub const GAS_LIMIT: u64 = 1 << 24;

/// A chain with the rules of Ethereum's Osaka, and the contracts that can be deployed.
pub struct Chain<'a> {
    contracts: &'a Contracts,
    evm: MainnetEvm<MainnetContext<InMemoryDB>>,
}

/// What came of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What the contract answered.
    pub answer: Answer,
    /// Gas of the whole transaction, as the sender pays it.
    pub gas: u64,
    /// Gas of execution alone: no base fee, no calldata, no refund.
    pub execution: u64,
    /// Data of the events, in order.
    pub events: Vec<Event>,
}

/// An event: topics and data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The event's signature hash, then its indexed members.
    pub topics: Vec<[u8; 32]>,
    /// The other members.
    pub data: Vec<u8>,
}

/// What a contract answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Success.
    Returned(Vec<u8>),
    /// A custom error with its arguments, as `Name(1,2)`; empty for a revert without a reason.
    Refused(String),
    /// It ran out of gas, or did what no contract may.
    Halted,
}

impl<'a> Chain<'a> {
    /// A chain without contracts.
    #[must_use]
    pub fn new(contracts: &'a Contracts) -> Self {
        let evm = MainnetContext::new(InMemoryDB::default(), SpecId::OSAKA)
            .modify_cfg_chained(|cfg| {
                cfg.set_spec_and_mainnet_gas_params(SpecId::OSAKA);
                cfg.disable_nonce_check = true;
                cfg.chain_id = CHAIN_ID;
            })
            .with_block(BlockEnv {
                timestamp: U256::from(START),
                gas_limit: u64::MAX,
                ..BlockEnv::default()
            })
            .build_mainnet();
        Self { contracts, evm }
    }

    /// Deploys a contract.
    ///
    /// # Errors
    /// What the constructor answered if it refused.
    ///
    /// # Panics
    /// If the transaction is none.
    pub fn deploy(&mut self, name: &str, arguments: &[u8]) -> Result<Account, Answer> {
        let code = [self.contracts.code(name), arguments].concat();
        let transaction = transaction(ANYONE, TxKind::Create, &code, GAS_LIMIT);
        let result = self
            .evm
            .transact_commit(transaction)
            .expect("a valid transaction");
        match result.created_address() {
            Some(address) if result.is_success() => Ok(address.into_array()),
            _ => Err(self.receipt(&result, &code).answer),
        }
    }

    /// Gas that a deployment costs; the contract is there afterwards.
    ///
    /// # Panics
    /// If it is refused.
    pub fn deployment_gas(&mut self, name: &str, arguments: &[u8]) -> u64 {
        let code = [self.contracts.code(name), arguments].concat();
        let transaction = transaction(ANYONE, TxKind::Create, &code, GAS_LIMIT);
        let result = self
            .evm
            .transact_commit(transaction)
            .expect("a valid transaction");
        assert!(result.is_success(), "{result:?}");
        self.receipt(&result, &code).gas
    }

    /// Sends a transaction.
    pub fn send(&mut self, from: Account, to: Account, data: &[u8]) -> Receipt {
        self.send_with(from, to, data, GAS_LIMIT)
    }

    /// Sends a transaction with so much gas.
    ///
    /// # Panics
    /// If the transaction is none.
    pub fn send_with(&mut self, from: Account, to: Account, data: &[u8], gas: u64) -> Receipt {
        let transaction = transaction(from, TxKind::Call(Address::from(to)), data, gas);
        let result = self
            .evm
            .transact_commit(transaction)
            .expect("a valid transaction");
        self.receipt(&result, data)
    }

    /// Calls without effect.
    ///
    /// # Panics
    /// If the transaction is none.
    pub fn view(&mut self, to: Account, data: &[u8]) -> Receipt {
        let kind = TxKind::Call(Address::from(to));
        let result = self
            .evm
            .transact(transaction(ANYONE, kind, data, GAS_LIMIT));
        self.receipt(&result.expect("a valid transaction").result, data)
    }

    /// What a view answers, as its first word's last eight bytes.
    ///
    /// # Panics
    /// If it answers no word.
    pub fn number(&mut self, to: Account, data: &[u8]) -> u64 {
        let Answer::Returned(bytes) = self.view(to, data).answer else {
            panic!("a view answers");
        };
        u64::from_be_bytes(bytes[24..32].try_into().expect("eight bytes"))
    }

    /// Time of the next transaction, Unix seconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.evm.ctx.block.timestamp.to()
    }

    /// Lets time pass.
    pub fn pass(&mut self, seconds: u64) {
        self.evm.ctx.block.timestamp += U256::from(seconds);
    }

    fn receipt(&self, result: &ExecutionResult, data: &[u8]) -> Receipt {
        let answer = match result {
            ExecutionResult::Success { output, .. } => match output {
                Output::Call(bytes) | Output::Create(bytes, _) => Answer::Returned(bytes.to_vec()),
            },
            ExecutionResult::Revert { output, .. } => Answer::Refused(self.reason(output)),
            ExecutionResult::Halt { .. } => Answer::Halted,
        };
        let logs = result.logs().iter();
        let events = logs.map(|log| Event {
            topics: log.data.topics().iter().map(|topic| topic.0).collect(),
            data: log.data.data.to_vec(),
        });
        let spent = result.gas().total_gas_spent();
        Receipt {
            answer,
            gas: result.gas().tx_gas_used(),
            execution: spent.saturating_sub(intrinsic(data)),
            events: events.collect(),
        }
    }

    /// A custom error's name and arguments: numbers of 64 bits in decimal, all else in full.
    fn reason(&self, output: &[u8]) -> String {
        let Some((selector, words)) = output.split_first_chunk::<4>() else {
            return String::new();
        };
        let Some(name) = self.contracts.error(*selector) else {
            return hex::encode(output);
        };
        let arguments: Vec<String> = words
            .chunks(32)
            .map(|word| match word.split_last_chunk::<8>() {
                Some((zeros, last)) if zeros.iter().all(|byte| *byte == 0) => {
                    u64::from_be_bytes(*last).to_string()
                }
                _ => hex::encode(word),
            })
            .collect();
        format!("{name}({})", arguments.join(","))
    }
}

impl Answer {
    /// The name of the error, without its arguments; empty if it is none.
    #[must_use]
    pub fn error(&self) -> &str {
        match self {
            Self::Refused(reason) => reason.split('(').next().unwrap_or_default(),
            _ => "",
        }
    }
}

/// What a transaction costs before it runs (EIP-2028).
#[must_use]
pub fn intrinsic(data: &[u8]) -> u64 {
    let zeros = data.iter().filter(|byte| **byte == 0).count();
    21_000 + 4 * zeros as u64 + 16 * (data.len() - zeros) as u64
}

fn transaction(from: Account, kind: TxKind, data: &[u8], gas: u64) -> TxEnv {
    TxEnv::builder()
        .caller(Address::from(from))
        .kind(kind)
        .data(Bytes::copy_from_slice(data))
        .gas_limit(gas)
        .chain_id(Some(CHAIN_ID))
        .build()
        .expect("a transaction")
}
