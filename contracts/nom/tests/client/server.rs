//! A node's RPC on loopback that answers as it is told to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use nom::{Address, Hash, Momentum, Seal, momentum_from_json};
use serde_json::{Value, json};

/// The devnet's identifier.
pub const CHAIN: u64 = 321;

/// What comes back for a call.
#[derive(Clone)]
pub enum Reply {
    /// A result.
    Result(Value),
    /// An error with a text.
    Error(String),
    /// The body of an answer.
    Body(String),
    /// A status line and headers, without a body.
    Status(&'static str),
    /// Bytes that are no HTTP.
    Bytes(Vec<u8>),
    /// Nothing, with the connection left open.
    Nothing,
    /// The begin of an answer, with the connection left open.
    HalfAnAnswer,
}

/// A server, stopped when dropped.
pub struct Server {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

/// How often a method was called.
pub struct Count(Arc<AtomicUsize>);

impl Count {
    pub fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Server {
    pub fn start(reply: impl Fn(&str, &Value) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let address = listener.local_addr().expect("bound");
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        thread::spawn(move || {
            // Left open until the server stops.
            let mut kept = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                kept.extend(serve(stream, &reply));
            }
        });
        Self { address, stopped }
    }

    /// A server that counts the calls of one method.
    pub fn counting(
        counted: &'static str,
        reply: impl Fn(&str, &Value) -> Reply + Send + 'static,
    ) -> (Self, Count) {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        let server = Self::start(move |method, params| {
            counter.fetch_add(usize::from(method == counted), Ordering::SeqCst);
            reply(method, params)
        });
        (server, Count(count))
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // The connection wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// An address where nobody listens: one that was just given back.
pub fn nobody() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    format!("http://{}", listener.local_addr().expect("bound"))
}

/// Answers one call; gives the connection back if it is to stay open.
fn serve(mut stream: TcpStream, reply: &impl Fn(&str, &Value) -> Reply) -> Option<TcpStream> {
    let call = read_call(&stream)?;
    let id = &call["id"];
    let method = call["method"].as_str().expect("a method");
    let body = match reply(method, &call["params"]) {
        Reply::Nothing => return Some(stream),
        Reply::HalfAnAnswer => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{");
            return Some(stream);
        }
        Reply::Bytes(bytes) => {
            let _ = stream.write_all(&bytes);
            return None;
        }
        Reply::Status(head) => {
            let head = format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
            return None;
        }
        Reply::Result(result) => {
            json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string()
        }
        Reply::Error(message) => {
            let error = json!({ "code": -32_000, "message": message });
            json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string()
        }
        Reply::Body(body) => body,
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    // A client that has heard enough may be gone.
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body.as_bytes());
    None
}

fn read_call(stream: &TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

/// The dump of the devnet.
pub fn dump() -> Value {
    let text = include_str!("../../../../tests/data/nom-devnet.json");
    serde_json::from_str(text).expect("the dump is JSON")
}

/// What the devnet's node answers, as far as the dump tells.
pub fn truth(method: &str, params: &Value) -> Value {
    let dump = dump();
    let blocks = dump["accounts"]["frost_committee_1"]["blocks"].clone();
    let blocks = blocks.as_array().expect("blocks");
    let momentums = dump["momentums"].as_array().expect("momentums");
    let window = |list: &[Value], from: &Value, count: &Value| {
        let number =
            |value: &Value| usize::try_from(value.as_u64().expect("a number")).expect("small");
        let list = list.iter().skip(number(from) - 1).take(number(count));
        let list: Vec<Value> = list.cloned().collect();
        json!({ "list": list, "count": list.len() })
    };
    match method {
        "ledger.getFrontierMomentum" => momentums[momentums.len() - 1].clone(),
        "ledger.getMomentumsByHeight" => window(momentums, &params[0], &params[1]),
        "ledger.getDetailedMomentumsByHeight" => {
            detailed(&window(momentums, &params[0], &params[1]))
        }
        "ledger.getAccountBlocksByHeight" => window(blocks, &params[1], &params[2]),
        "ledger.getFrontierAccountBlock" => blocks[0].clone(),
        "ledger.getAccountBlockByHash" => {
            let wanted = blocks.iter().find(|block| block["hash"] == params[0]);
            wanted.unwrap_or(&blocks[0]).clone()
        }
        "ledger.getUnreceivedBlocksByAddress" => json!({ "list": [blocks[0]], "count": 1 }),
        "ledger.getAccountInfoByAddress" => json!({
            "address": dump["accounts"]["frost_committee_1"]["address"],
            "accountHeight": 10,
            "balanceInfoMap": { "zts1znnxxxxxxxxxxxxx9z4ulx": { "token": null, "balance": "700" } },
        }),
        "embedded.sentinel.getByOwner" => json!({
            "owner": dump["accounts"]["frost_committee_1"]["address"],
            "registrationTimestamp": 1_795_237_000,
            "isRevocable": false,
            "revokeCooldown": 2_332_790,
            "active": true,
        }),
        "embedded.plasma.getRequiredPoWForAccountBlock" => {
            json!({ "availablePlasma": 0, "basePlasma": 23_176, "requiredDifficulty": 34_764_000 })
        }
        other => panic!("{other} is not among the dump"),
    }
}

/// An answer of momentums with what they confirm. The dump has not all of the first one's blocks: of
/// those it says what nobody looks at.
pub fn detailed(momentums: &Value) -> Value {
    let dump = dump();
    let accounts = dump["accounts"].as_object().expect("accounts").values();
    let blocks = accounts.flat_map(|one| one["blocks"].as_array().expect("blocks"));
    let blocks: Vec<&Value> = blocks.collect();
    let list = momentums["list"].as_array().expect("a list").iter();
    let list: Vec<Value> = list
        .map(|momentum| {
            let content = momentum["content"].as_array().into_iter().flatten();
            let confirmed = content.map(|header| {
                let found = blocks.iter().find(|block| block["hash"] == header["hash"]);
                found.map_or_else(
                    || json!({ "hash": header["hash"], "toAddress": "" }),
                    |block| (*block).clone(),
                )
            });
            json!({ "momentum": momentum, "blocks": confirmed.collect::<Vec<_>>() })
        })
        .collect();
    json!({ "list": list, "count": list.len() })
}

/// A momentum of somebody who was not elected, rightly hashed and signed.
pub fn forged_momentum(height: u64) -> Value {
    forge(height, Hash::from_bytes([7; 32]))
}

/// A momentum of a branch that leaves the chain after height 22.
pub fn branch_momentum(height: u64) -> Value {
    let previous = match height {
        23 => dump()["momentums"][21]["hash"].clone(),
        _ => branch_momentum(height - 1)["hash"].clone(),
    };
    let mut bytes = [0; 32];
    hex::decode_to_slice(previous.as_str().expect("a hash"), &mut bytes).expect("hex");
    forge(height, Hash::from_bytes(bytes))
}

fn forge(height: u64, previous_hash: Hash) -> Value {
    let key = SigningKey::from_bytes(&[3; 32]);
    let mut raw = dump()["momentums"][1].clone();
    let mut momentum: Momentum = momentum_from_json(&raw.to_string()).expect("a momentum");
    momentum.height = height;
    // Made a second after the network's own: at the same time it would be the same momentum.
    let all = dump()["momentums"].as_array().expect("momentums").clone();
    let place = usize::try_from(height).expect("a height").min(all.len());
    let made = all[place - 1]["timestamp"].as_u64().expect("a time") + 1;
    momentum.timestamp = made;
    momentum.previous_hash = previous_hash;
    momentum.producer = Address::from_key(key.verifying_key().as_bytes());
    momentum.hash = momentum.recomputed_hash();
    let seal = Seal {
        public_key: key.verifying_key().to_bytes(),
        signature: key.sign(momentum.hash.as_bytes()).to_bytes(),
    };
    raw["height"] = height.into();
    raw["timestamp"] = made.into();
    raw["previousHash"] = previous_hash.to_string().into();
    raw["producer"] = momentum.producer.to_string().into();
    raw["hash"] = momentum.hash.to_string().into();
    raw["publicKey"] = STANDARD.encode(seal.public_key).into();
    raw["signature"] = STANDARD.encode(seal.signature).into();
    raw
}
