//! `zq relay`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use attestation::codec::Malformed;
use attestation::commit::Commit;
use attestation::ids::{CommitteeId, Digest, EvmKey, LeafRoot, ZappId};
use evm_client::calldata::Inclusion;
use evm_client::contract::Trust;
use evm_client::relay::{
    Blocked, Done, Item, ItemKind, Lane, Page, Pass, Proof, Relay, RelayError, Sent, Source, Target,
};
use evm_client::rpc::{Rpc, RpcError, harmless, text};
use evm_client::transaction::{AccountKey, Address};
use serde_json::{Value, json};

use crate::arguments::relay::{EvmArguments, RelayVerb};
use crate::failure::Failure;
use crate::key_file;
use crate::node::Node;
use crate::print::{Print, fields};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// How often a wait looks whether it is interrupted.
const LOOK: Duration = Duration::from_millis(100);
/// Steps of one answer of the gateway.
const STEPS: u64 = 100;
const GWEI: u128 = 1_000_000_000;

pub(crate) fn run(verb: RelayVerb, node: Node, print: &Print) -> Result<(), Failure> {
    let RelayVerb::Evm(arguments) = verb;
    evm(&arguments, node, print)
}

fn evm(arguments: &EvmArguments, node: Node, print: &Print) -> Result<(), Failure> {
    let key = AccountKey::from_bytes(&key_file::secret(&arguments.key)?).ok_or_else(|| {
        Failure::new(
            "the key file holds no key of secp256k1",
            "make another one: zq key new",
        )
    })?;
    let rpc = Rpc::new(&arguments.rpc).map_err(|error| Failure::Usage(error.to_string()))?;
    let target = Target {
        chain: arguments.chain,
        messages: arguments.messages.map(|address| address.0),
        ledger: arguments.ledger.map(|address| address.0),
        fee_max: u128::from(arguments.fee_max) * GWEI,
        gas_max: arguments.gas_max,
        budget: arguments.budget.map(|budget| budget.0),
        zapps: arguments.zapp.iter().copied().collect(),
        trust: trust(&node)?,
    };
    if target.messages.is_some() && target.zapps.is_empty() && target.budget.is_none() {
        tell("without --zapp and --budget, anybody's messages are paid for: see --help");
    }
    let relay = Relay::begin(rpc, key, target, arguments.from).map_err(failed)?;
    let mut relay = relay.until(interrupted);
    interruptible()?;
    let mut told = Told::default();
    let mut end = follow(arguments, &mut relay, &mut Gateway(node), &mut told);
    if arguments.once && end.is_ok() && !told.pass.blocked.is_empty() {
        let blocked = told.pass.blocked.remove(0);
        end = Err(failed(blocked.error));
    }
    // What was paid for is told, however it ended.
    if end.is_ok() || told.has_brought() {
        print.result(&told.summary(&relay), fields);
    }
    end
}

fn follow(
    arguments: &EvmArguments,
    relay: &mut Relay,
    source: &mut Gateway,
    told: &mut Told,
) -> Result<(), Failure> {
    let mut failed_before = false;
    loop {
        match relay.pass(source, &mut |done| told.note(&done)) {
            Ok(pass) => {
                let is_unfinished = pass.unfinished;
                told.end_of(pass);
                failed_before = false;
                if is_unfinished && !interrupted() {
                    continue;
                }
            }
            Err(RelayError::Interrupted) => return Ok(()),
            // Whoever follows outlives what passes.
            Err(error) if !arguments.once && passes(&error, failed_before) => {
                failed_before = matches!(error, RelayError::Failed(_));
                let failure = failed(error).to_json();
                let why = failure
                    .get("error")
                    .and_then(Value::as_str)
                    .map(str::to_owned);
                tell(&format!("{}; trying again", why.unwrap_or_default()));
            }
            Err(error) => return Err(failed(error)),
        }
        if arguments.once || !wait(Duration::from_secs(arguments.every)) {
            return Ok(());
        }
    }
}

/// What was brought, and where it ended.
#[derive(Default)]
struct Told {
    pass: Pass<Failure>,
    /// Why each lane waits, as it was told last.
    blocked: BTreeMap<Lane, String>,
    brought: Vec<Value>,
    counts: [u64; 2],
    gas: u64,
}

/// Most things that the summary names one by one.
const NAMED_MAX: usize = 1000;
/// Most things whose reasons are kept, so that each is told once.
const BLOCKED_MAX: usize = 10_000;

impl Told {
    fn note(&mut self, done: &Done) {
        let (value, line, sent) = described(done);
        self.gas = self.gas.saturating_add(sent.receipt.gas);
        let at = usize::from(matches!(done, Done::Step { .. }));
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        if self.brought.len() < NAMED_MAX {
            self.brought.push(value);
        }
        tell(&format!("{line}, gas {}", sent.receipt.gas));
    }

    /// A pass ended: what could not be brought is told once for each reason.
    fn end_of(&mut self, pass: Pass<Failure>) {
        if self.blocked.len() > BLOCKED_MAX {
            self.blocked.clear();
        }
        for blocked in &pass.blocked {
            let why = blocked.error.to_string();
            let line = format!("{}: {why}; the others go on", place(blocked));
            if self.blocked.insert(blocked.lane, why.clone()) != Some(why) {
                tell(&line);
            }
        }
        self.pass = pass;
    }

    fn has_brought(&self) -> bool {
        self.counts.iter().any(|count| *count > 0)
    }

    fn summary(self, relay: &Relay) -> Value {
        let [leaves, steps] = self.counts;
        let blocked = self.pass.blocked.iter().map(|blocked| {
            json!({ "seq": blocked.seq, "what": place(blocked), "error": blocked.error.to_string() })
        });
        json!({
            "account": text(&relay.account()),
            "head": self.pass.head,
            "leaves_brought": leaves,
            "steps_brought": steps,
            "skipped": self.pass.skipped,
            "left_out": self.pass.left_out,
            "not_brought": self.pass.blocked.len(),
            "waits_for_signature_of": self.pass.unsigned,
            "gas": self.gas,
            "wei": relay.spent().to_string(),
            "pending": relay.pending().map(|hash| text(&hash)),
            "blocked": blocked.collect::<Vec<_>>(),
            "brought": self.brought,
        })
    }
}

/// Where something stands that could not be brought.
fn place(blocked: &Blocked<Failure>) -> String {
    let seq = blocked.seq;
    match blocked.lane {
        Lane::Ledger => format!("step {seq}"),
        Lane::Channel(channel) => format!("step {seq}, channel {channel}"),
        Lane::KeyChange { index, .. } => format!("step {seq}, key change at {index}"),
    }
}

fn described(done: &Done) -> (Value, String, Sent) {
    match done {
        Done::Message {
            seq,
            channel,
            number,
            outcome,
            sent,
        } => (
            json!({ "seq": seq, "channel": channel, "number": number, "outcome": outcome,
                    "transaction": text(&sent.hash), "gas": sent.receipt.gas }),
            format!("step {seq}: message {number} of channel {channel}: {outcome}"),
            *sent,
        ),
        Done::Step { seq, sent } => (
            json!({ "seq": seq, "outcome": "accepted", "transaction": text(&sent.hash),
                    "gas": sent.receipt.gas }),
            format!("step {seq}: accepted by the ledger"),
            *sent,
        ),
        Done::KeyChange { seq, sent } => (
            json!({ "seq": seq, "outcome": "key_change_taken",
                    "transaction": text(&sent.hash), "gas": sent.receipt.gas }),
            format!("step {seq}: the contract took a change of key, which waits for its delay"),
            *sent,
        ),
        Done::KeyActivated { sent } => (
            json!({ "outcome": "key_changed", "transaction": text(&sent.hash),
                    "gas": sent.receipt.gas }),
            "the contract trusts the new key".to_owned(),
            *sent,
        ),
        Done::Late { sent } => (
            json!({ "outcome": if sent.receipt.succeeded { "in_a_block" } else { "failed" },
                    "transaction": text(&sent.hash), "gas": sent.receipt.gas }),
            format!("transaction {} is in a block now", text(&sent.hash)),
            *sent,
        ),
    }
}

/// A committee's gateway.
struct Gateway(Node);

impl Source for Gateway {
    type Error = Failure;

    fn leaves(&mut self, from: u64, chain: u64, contract: &Address) -> Result<Page, Failure> {
        let answer = self
            .0
            .get(&format!("/v1/steps?from={from}&limit={STEPS}"))?;
        let head = number(&answer, "head")?;
        let mut page = Page {
            head,
            next: from,
            items: Vec::new(),
        };
        let mut padded = [0; 32];
        let (_, tail) = padded.split_at_mut(12);
        tail.copy_from_slice(contract);
        let contract = hex::encode(padded);
        for step in array(&answer, "steps")? {
            let seq = number(step, "seq")?;
            // One after the other: what a gateway passes over is not passed over here.
            if seq != page.next.max(1) || seq > head {
                return Err(unreadable("seq"));
            }
            page.next = seq.saturating_add(1);
            for leaf in array(step, "leaves")? {
                page.items.extend(item(seq, leaf, chain, &contract)?);
            }
        }
        Ok(page)
    }

    fn proof(&mut self, seq: u64, index: u64) -> Result<Option<Proof>, Failure> {
        let path = format!("/v1/attestations/{seq}/{index}.evm");
        match self.0.get_if(&path, "not_cosigned")? {
            Some(answer) => proof(&answer).map(Some),
            None => Ok(None),
        }
    }
}

/// A leaf that is for the contract.
fn item(seq: u64, leaf: &Value, chain: u64, contract: &str) -> Result<Option<Item>, Failure> {
    let kind = leaf.get("kind").and_then(Value::as_str);
    let kind = match kind {
        Some("message") => {
            let is_meant = number(leaf, "chain")? == chain && word(leaf, "contract")? == contract;
            if !is_meant {
                return Ok(None);
            }
            ItemKind::Message {
                zapp: parsed::<ZappId>(leaf, "zapp")?,
                channel: parsed::<Digest>(leaf, "channel")?,
                number: number(leaf, "number")?,
            }
        }
        Some("key_change") => ItemKind::KeyChange,
        _ => return Ok(None),
    };
    let index = number(leaf, "leaf")?;
    Ok(Some(Item { seq, index, kind }))
}

fn proof(answer: &Value) -> Result<Proof, Failure> {
    let commit = Commit::from_bytes(&bytes(answer, "commit")?);
    let path = array(answer, "path")?.iter().map(|hash| {
        let hash = hash.as_str().and_then(|hash| hex::decode(hash).ok());
        hash.and_then(|hash| hash.try_into().ok())
            .ok_or_else(|| unreadable("path"))
    });
    Ok(Proof {
        commit: commit.map_err(|_: Malformed| unreadable("commit"))?,
        root: parsed::<LeafRoot>(answer, "root")?,
        signature: parsed(answer, "signature")?,
        inclusion: Inclusion {
            leaf: bytes(answer, "leaf_bytes")?,
            index: number(answer, "leaf")?,
            path: path.collect::<Result<_, _>>()?,
        },
    })
}

/// Whom contracts must trust to take what this gateway has.
fn trust(node: &Node) -> Result<Trust, Failure> {
    let committee = node.get("/v1/committee")?;
    let key = match committee.get("evm") {
        Some(key) if key.is_object() => parsed::<EvmKey>(key, "key")?,
        Some(_) => {
            return Err(Failure::new(
                "the committee's key for EVM chains is not generated yet",
                "wait until `zq committee show` has it",
            ));
        }
        None => {
            return Err(Failure::new(
                "this committee does not sign for EVM chains",
                "make one with `zq committee create --evm`",
            ));
        }
    };
    Ok(Trust {
        network: number(&committee, "network")?,
        committee: parsed::<CommitteeId>(&committee, "committee_id")?,
        key,
    })
}

fn number(value: &Value, name: &'static str) -> Result<u64, Failure> {
    let number = value.get(name).and_then(Value::as_u64);
    number.ok_or_else(|| unreadable(name))
}

fn word<'a>(value: &'a Value, name: &'static str) -> Result<&'a str, Failure> {
    let word = value.get(name).and_then(Value::as_str);
    word.ok_or_else(|| unreadable(name))
}

fn parsed<T: std::str::FromStr>(value: &Value, name: &'static str) -> Result<T, Failure> {
    word(value, name)?.parse().map_err(|_| unreadable(name))
}

fn bytes(value: &Value, name: &'static str) -> Result<Vec<u8>, Failure> {
    hex::decode(word(value, name)?).map_err(|_| unreadable(name))
}

fn array<'a>(value: &'a Value, name: &'static str) -> Result<&'a Vec<Value>, Failure> {
    let array = value.get(name).and_then(Value::as_array);
    array.ok_or_else(|| unreadable(name))
}

fn unreadable(name: &str) -> Failure {
    Failure::new(
        format!("the gateway's answer has no {name} that can be read"),
        "is this a zquorum node of the same version?",
    )
}

/// Whether it may be over when it is tried again.
/// One failed transaction may be another relay's success; the second in a row costs fees for nothing.
const fn passes(error: &RelayError<Failure>, failed_before: bool) -> bool {
    matches!(
        error,
        RelayError::Source(Failure::Unreachable { .. })
            | RelayError::Rpc(RpcError::Unreachable { .. } | RpcError::Refused { .. })
            | RelayError::Fee { .. }
            | RelayError::Funds { .. }
            | RelayError::Refused { .. }
            | RelayError::Unmined(_)
            | RelayError::Stuck { .. }
    ) || (!failed_before && matches!(error, RelayError::Failed(_)))
}

fn failed(error: RelayError<Failure>) -> Failure {
    let error = match error {
        RelayError::Source(failure) => return failure,
        other => other,
    };
    let advice = match &error {
        RelayError::Source(_) | RelayError::Interrupted => "",
        RelayError::Rpc(RpcError::Unreachable { url, error }) => {
            return Failure::Unreachable {
                node: url.clone(),
                error: error.clone(),
            };
        }
        RelayError::Committee { .. } | RelayError::Key { .. } => {
            let error = error.to_string();
            let check = "trust";
            return Failure::Invalid { check, error };
        }
        RelayError::Proof { .. } => {
            let error = error.to_string();
            let check = "proof";
            return Failure::Invalid { check, error };
        }
        RelayError::Rpc(_) => "check --rpc, and that the node is synchronised",
        RelayError::Chain { .. } => "check --chain and --rpc",
        RelayError::NoContract(_) => "check --messages and --ledger, and the chain",
        RelayError::Missing { .. } => "begin with an earlier step: --from",
        RelayError::Refused { why, .. } if why.starts_with("Paused") => {
            "the contract is paused until the time in brackets, Unix seconds"
        }
        RelayError::Refused { why, .. } if why.starts_with("NotEnoughGas") => {
            "the message grants more gas than a transaction of this chain may have"
        }
        RelayError::Refused { .. } => {
            "look up the error in contracts/evm; another relay may have been first"
        }
        RelayError::Fee { .. } => "wait, or allow more with --fee-max",
        RelayError::Funds { .. } => "send the account ether of this chain",
        RelayError::Gas { .. } => "allow more with --gas-max if the zApp is worth it",
        RelayError::Budget { .. } => {
            "the relay ends here; start it again with another --budget, or name with --zapp whose \
             messages are worth it"
        }
        RelayError::Unmined(_) => {
            "its fee is raised up to --fee-max; start again and wait: nothing is sent twice"
        }
        RelayError::Stuck { .. } => "allow more with --fee-max, so that it can be outbid",
        RelayError::Signing => "make another key: zq key new",
        RelayError::Failed(_) => "start again: what was consumed is skipped",
    };
    Failure::new(error.to_string(), advice)
}

fn interruptible() -> Result<(), Failure> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .map_err(|error| Failure::new(format!("no handler of Ctrl-C: {error}"), "try again"))
}

fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Waits; false once interrupted.
fn wait(time: Duration) -> bool {
    let began = Instant::now();
    while began.elapsed() < time && !interrupted() {
        std::thread::sleep(LOOK.min(time));
    }
    !interrupted()
}

/// For people; a line that cannot be shown is no reason to stop.
fn tell(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{}", harmless(line));
}
