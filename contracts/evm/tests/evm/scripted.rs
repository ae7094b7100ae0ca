//! An EVM node that does as a test says: what messages need, what is refused, what gets into a block.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use attestation::ids::EvmKey;
use conformance::http::{Reply, Server};
use conformance::sample;
use evm::abi::selector;
use evm::anvil::CHAIN;
use evm_client::rpc::{bytes_of, text};
use serde_json::{Value, json};
use sha3::{Digest as _, Keccak256};

/// What it costs per gas: base fee and tip.
pub const BASE: u128 = 1_000;
pub const TIP: u128 = 8;

/// The node's state.
pub struct Chain {
    key: EvmKey,
    /// Its id.
    pub chain: u64,
    /// What the newest block burns per gas.
    pub base: u128,
    /// Messages consumed, by the byte that a channel consists of.
    pub consumed: BTreeMap<u8, u64>,
    /// Gas that messages of a channel need; 100,000 where nothing is said.
    pub gas: BTreeMap<u8, u64>,
    /// Channels whose messages the contract refuses.
    pub refused: Vec<u8>,
    pub balance: u128,
    /// Which transaction is the first that gets into a block: those before it wait for ever.
    pub mined_from: usize,
    /// Whatever gets into a block fails.
    pub fails: bool,
    /// What was handed in.
    pub sent: Vec<Sent>,
    /// Transactions of an earlier run that wait.
    pub waiting: u64,
    /// How often it was asked by each method.
    pub asked: BTreeMap<String, usize>,
    /// What a method is answered with instead of its result.
    pub faults: BTreeMap<&'static str, Reply>,
    /// Channels of whose messages it never says what gas they need.
    pub slow: Vec<u8>,
    /// What a method's result is said to be.
    pub lies: BTreeMap<&'static str, Value>,
    /// What it says of a transaction that is handed in, and whether it takes it all the same.
    pub says: Option<(&'static str, bool)>,
    receipts: BTreeMap<String, Value>,
    pub nonce: u64,
}

/// A transaction that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub channel: u8,
    pub nonce: u128,
    pub tip: u128,
    pub fee_max: u128,
    pub gas: u128,
    pub hash: [u8; 32],
}

/// A running node; it ends when this is dropped.
pub struct Scripted {
    address: SocketAddr,
    chain: Arc<Mutex<Chain>>,
    server: Option<Server>,
}

impl Scripted {
    pub fn start(key: EvmKey) -> Self {
        let chain = Arc::new(Mutex::new(Chain {
            key,
            chain: CHAIN,
            base: BASE,
            consumed: BTreeMap::new(),
            gas: BTreeMap::new(),
            refused: Vec::new(),
            balance: u128::from(u64::MAX),
            mined_from: 0,
            fails: false,
            sent: Vec::new(),
            waiting: 0,
            asked: BTreeMap::new(),
            faults: BTreeMap::new(),
            slow: Vec::new(),
            lies: BTreeMap::new(),
            says: None,
            receipts: BTreeMap::new(),
            nonce: 0,
        }));
        let server = Server::start(answers(&chain));
        Self {
            address: server.address(),
            chain,
            server: Some(server),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap()
    }

    /// Nobody listens any more.
    pub fn down(&mut self) {
        self.server = None;
    }

    /// It listens again, where it was.
    pub fn up(&mut self) {
        let answers = answers(&self.chain);
        self.server = Some(Server::start_at(self.address, answers));
    }
}

fn answers(chain: &Arc<Mutex<Chain>>) -> impl FnMut(&[u8]) -> Reply + Send + 'static {
    let chain = Arc::clone(chain);
    move |body| chain.lock().unwrap().reply(body)
}

impl Chain {
    fn reply(&mut self, body: &[u8]) -> Reply {
        let call: Value = serde_json::from_slice(body).unwrap();
        let (method, params) = (call["method"].as_str().unwrap(), &call["params"]);
        if method == "eth_estimateGas" && self.slow.contains(&channel(&data(&params[0]))) {
            *self.asked.entry("slow".to_owned()).or_default() += 1;
            return Reply::Never;
        }
        // What was asked is done, whatever is said of it.
        let answer = self.answer(method, params);
        if let Some(fault) = self.faults.get(method) {
            return fault.clone();
        }
        let answer = match (self.lies.get(method), answer) {
            (Some(lie), _) => Ok(lie.clone()),
            (None, answer) => answer,
        };
        let id = &call["id"];
        let answer = match answer {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
        };
        Reply::Ok(answer.to_string())
    }

    fn answer(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        *self.asked.entry(method.to_owned()).or_default() += 1;
        Ok(match method {
            "eth_chainId" => quantity(self.chain.into()),
            "eth_getCode" => "0x00".into(),
            "eth_getBalance" => quantity(self.balance),
            "eth_maxPriorityFeePerGas" => quantity(TIP),
            "eth_getBlockByNumber" => json!({
                "baseFeePerGas": quantity(self.base), "timestamp": "0x1", "number": "0x1",
                "hash": text(&[1; 32]),
            }),
            "eth_getTransactionCount" if params[1] == "pending" => {
                quantity((self.nonce + self.waiting).into())
            }
            "eth_getTransactionCount" => quantity(self.nonce.into()),
            // Nothing was deployed so many blocks ago.
            "eth_call" if params[1] != "latest" => "0x".into(),
            "eth_call" => self.view(&data(&params[0])),
            "eth_estimateGas" => {
                let channel = channel(&data(&params[0]));
                if self.refused.contains(&channel) {
                    let revert = [selector("Paused(uint64)").to_vec(), vec![0; 32]].concat();
                    return Err(json!({ "message": "reverted", "data": text(&revert) }));
                }
                quantity(self.gas_of(channel).into())
            }
            "eth_sendRawTransaction" => {
                let raw = bytes_of(params[0].as_str().unwrap()).unwrap();
                if sent(&raw).nonce < u128::from(self.nonce) {
                    return Err(json!({ "message": "nonce too low" }));
                }
                match self.says.take() {
                    None => self.take(&raw),
                    Some((message, takes)) => {
                        if takes {
                            self.take(&raw);
                        }
                        return Err(json!({ "message": message }));
                    }
                }
            }
            "eth_getTransactionReceipt" => {
                let receipt = self.receipts.get(params[0].as_str().unwrap());
                receipt.cloned().unwrap_or_default()
            }
            other => panic!("{other}"),
        })
    }

    fn gas_of(&self, channel: u8) -> u64 {
        self.gas.get(&channel).copied().unwrap_or(100_000)
    }

    fn view(&self, data: &[u8]) -> Value {
        let is = |function: &str| data[..4] == selector(function);
        let (x, odd) = (
            &self.key.as_bytes()[1..],
            u64::from(self.key.as_bytes()[0] - 2),
        );
        let word = if is("keyX()") {
            x.to_vec()
        } else if is("keyOdd()") {
            evm::abi::word(odd).to_vec()
        } else if is("NETWORK()") {
            evm::abi::word(sample::NETWORK.0).to_vec()
        } else if is("COMMITTEE()") {
            sample::committee().as_bytes().to_vec()
        } else if is("consumed(bytes32)") {
            let consumed = self.consumed.get(&data[4]);
            evm::abi::word(consumed.copied().unwrap_or(0)).to_vec()
        } else if is("outcomeOf(bytes32,uint64)") {
            evm::abi::word(1).to_vec()
        } else {
            vec![0; 32]
        };
        text(&word).into()
    }

    fn take(&mut self, raw: &[u8]) -> Value {
        let sent = sent(raw);
        self.sent.push(sent);
        if self.sent.len() > self.mined_from && sent.nonce == u128::from(self.nonce) {
            self.nonce += 1;
            self.waiting = 0;
            if !self.fails {
                *self.consumed.entry(sent.channel).or_default() += 1;
            }
            let receipt = json!({
                "transactionHash": text(&sent.hash),
                "status": if self.fails { "0x0" } else { "0x1" },
                "gasUsed": quantity(self.gas_of(sent.channel).into()),
                "effectiveGasPrice": quantity(BASE + TIP),
                "blockNumber": "0x1",
            });
            self.receipts.insert(text(&sent.hash), receipt);
        } else {
            self.waiting = 1;
        }
        text(&sent.hash).into()
    }
}

fn quantity(number: u128) -> Value {
    format!("{number:#x}").into()
}

fn data(call: &Value) -> Vec<u8> {
    bytes_of(call["data"].as_str().unwrap()).unwrap()
}

/// Whom the contract calls for every message.
pub const RECEIVER: [u8; 20] = [0xbb; 20];

/// The channel that a message is of, which is one byte 32 times; it stands after the receiver.
fn channel(data: &[u8]) -> u8 {
    let mut places = data.windows(RECEIVER.len() + 1);
    let found = places.find(|bytes| bytes[..RECEIVER.len()] == RECEIVER);
    found.map_or(0, |bytes| bytes[RECEIVER.len()])
}

fn sent(raw: &[u8]) -> Sent {
    // EIP-1559: type, list of chain, nonce, tip, fee, gas, …
    let skipped = if raw[1] >= 0xf8 {
        2 + usize::from(raw[1] - 0xf7)
    } else {
        2
    };
    let mut rest = &raw[skipped..];
    let mut integer = || {
        let (first, after) = rest.split_first().unwrap();
        if *first < 0x80 {
            rest = after;
            return u128::from(*first);
        }
        let (bytes, after) = after.split_at(usize::from(first - 0x80));
        rest = after;
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u128::from(*byte))
    };
    let [_, nonce, tip, fee_max, gas] = [(); 5].map(|()| integer());
    Sent {
        channel: channel(raw),
        nonce,
        tip,
        fee_max,
        gas,
        hash: Keccak256::digest(raw).into(),
    }
}
